//! Who may call what: every request of the APIs passes here before its handler.
//!
//! The OpenAPI document is the rule book: an operation's `security` names its scheme and, as the
//! scope, the least role. What the document does not list is refused, so that a new endpoint is
//! closed until somebody says who may use it.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use axum::body::{self, Body};
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::Method;
use roadstead_core::SpaceId;
use roadstead_core::trust::TrustKind;
use roadstead_core::user::Role;
use serde_json::Value;

use super::auth;
use super::failure::Failure;
use crate::service::{Caller, Platform};

/// Scheme of the northbound API in the OpenAPI document: IAM token or signature.
pub(crate) const NORTH: &str = "token";
/// Scheme of the phone API: bearer token.
pub(crate) const APP: &str = "bearer";

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Anybody.
    Public,
    /// Business applications, with at least this role.
    North(Role),
    /// Phones, with at least this role.
    App(Role),
}

/// The rule book and what is needed to apply it.
pub(crate) struct Guard {
    platform: Arc<Platform>,
    rules: HashMap<String, Vec<(Method, Rule)>>,
    default_space: OnceLock<SpaceId>,
}

impl Guard {
    /// Reads the rule book out of an OpenAPI document.
    pub(crate) fn new(platform: Arc<Platform>, document: &Value) -> Self {
        let rules = document["paths"].as_object().into_iter().flatten().map(|(path, item)| {
            let operations = item.as_object().into_iter().flatten();
            let rules = operations.filter_map(|(method, operation)| {
                let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes()).ok()?;
                Some((method, rule(operation)?))
            });
            (path.clone(), rules.collect())
        });
        Self { platform, rules: rules.collect(), default_space: OnceLock::new() }
    }

    fn rule(&self, path: &str, method: &Method) -> Option<Rule> {
        let method = if *method == Method::HEAD { &Method::GET } else { method };
        let rules = self.rules.get(path)?;
        rules.iter().find(|(known, _)| known == method).map(|(_, rule)| *rule)
    }

    /// Moves the caller into the space that the path names.
    ///
    /// Everybody lives in one space. Administrators of the default space enter every space; seen
    /// from the default space they also find the objects of the others by id, as a project of the
    /// vendor's cloud holds all its resource spaces.
    async fn enter(&self, mut caller: Caller, params: &RawPathParams) -> Result<Caller, Failure> {
        let find = |name: &str| params.iter().find(|(key, _)| *key == name).map(|(_, v)| v);
        let Some(project) = find("project_id") else { return Ok(caller) };
        let elsewhere = caller.space.as_str() != project;
        if caller.role < Role::Admin || !self.is_default(&caller.space).await? {
            return match elsewhere {
                true => Err(Failure::forbidden("the project belongs to others")),
                false => Ok(caller),
            };
        }
        let store = self.platform.store();
        if elsewhere {
            let space = store.space(&project.into()).await?;
            let space = space.ok_or_else(|| Failure::forbidden("there is no such project"))?;
            caller.space = space.id;
            return Ok(caller);
        }
        if let Some(id) = find("device_id") {
            let device = store.device(&id.into()).await?;
            caller.space = device.map_or(caller.space, |device| device.space.clone());
        } else if let Some(id) = find("product_id") {
            let product = store.product(&id.into()).await?;
            caller.space = product.map_or(caller.space, |product| product.space.clone());
        } else if let Some((kinds, id)) = trust_id(&find) {
            for kind in kinds {
                if let Some(object) = store.trust(*kind, id).await? {
                    caller.space = object.space().clone();
                }
            }
        }
        Ok(caller)
    }

    async fn is_default(&self, space: &SpaceId) -> Result<bool, Failure> {
        if let Some(known) = self.default_space.get() {
            return Ok(known == space);
        }
        let spaces = self.platform.store().spaces().await?;
        let Some(default) = spaces.into_iter().find(|space| space.is_default) else {
            return Ok(false);
        };
        Ok(self.default_space.get_or_init(|| default.id) == space)
    }
}

/// Returns the object of trust that a path names, with the kinds it may have.
fn trust_id<'a>(
    find: &impl Fn(&str) -> Option<&'a str>,
) -> Option<(&'static [TrustKind], &'a str)> {
    let names: [(&str, &[TrustKind]); 3] = [
        ("certificate_id", &[TrustKind::Authority, TrustKind::Certificate]),
        ("policy_id", &[TrustKind::Policy]),
        ("template_id", &[TrustKind::Template]),
    ];
    names.into_iter().find_map(|(name, kinds)| Some((kinds, find(name)?)))
}

fn rule(operation: &Value) -> Option<Rule> {
    let entries = operation["security"].as_array()?;
    if entries.iter().any(|entry| entry.as_object().is_some_and(serde_json::Map::is_empty)) {
        return Some(Rule::Public);
    }
    let role = |scheme: &str| {
        let scopes = entries.iter().find_map(|entry| entry.get(scheme))?;
        serde_json::from_value::<Role>(scopes.get(0)?.clone()).ok()
    };
    role(NORTH).map(Rule::North).or_else(|| role(APP).map(Rule::App))
}

/// Lets a request pass to its handler with its [`Caller`], or refuses it.
pub(crate) async fn guard(
    State(guard): State<Arc<Guard>>,
    matched: MatchedPath,
    params: RawPathParams,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let Some(rule) = guard.rule(matched.as_str(), request.method()) else {
        return Err(Failure::new("http.method", "this path does not have this method"));
    };
    let (mut parts, body) = request.into_parts();
    let limit = guard.platform.config().north.body_bytes_max;
    let body = body::to_bytes(body, limit).await.map_err(|_| {
        Failure::new("api.too_large", format!("the body is cut off or above {limit} bytes"))
    })?;
    let caller = match rule {
        Rule::Public => None,
        Rule::North(role) => {
            let caller = auth::north(&guard.platform, &parts, &body).await?;
            Some((guard.enter(caller, &params).await?, role))
        }
        Rule::App(role) => Some((auth::app(&guard.platform, &parts).await?, role)),
    };
    if let Some((caller, role)) = caller {
        if caller.role < role {
            return Err(Failure::forbidden("the role of the user is too low"));
        }
        parts.extensions.insert(caller);
    }
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}
