//! The HTTP listener of applications, phones and people: the northbound API in the shape of
//! IoTDA v5 with its IAM calls, the phone API, probes, documentation and the console.
//!
//! One file per noun. A handler parses, asks [`crate::service::Platform`] and shapes the answer;
//! who may call is decided before it by `guard`, how a failure is written after it by
//! `envelope`. Devices never come here.
//!
//! Source: Huawei §9 and §10; what v5 lacks follows its conventions in the same paths.

mod application;
mod async_command;
mod attempt;
mod auth;
mod binding;
mod certificate;
mod command;
mod device;
mod diagnosis;
pub(crate) mod extract;
pub(crate) mod failure;
mod fleet;
mod group;
pub(crate) mod guard;
mod message;
mod model_file;
pub mod multipart;
mod policy;
mod probe;
mod product;
mod reference;
mod runlog;
mod search;
mod setting;
mod shadow;
mod space;
mod tag;
mod template;
#[cfg(test)]
mod tests;
mod user;
pub(crate) mod view;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, Router};
use http::{HeaderName, HeaderValue, header};
use roadstead_core::DeviceId;
use roadstead_core::space::Space;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use crate::service::{Caller, Platform};
use crate::{app, console, openapi};
use failure::Failure;
use guard::Guard;

pub(crate) use auth::bearer;
pub(crate) use command::{command as send_command, failure as command_failure, product_of, set};
pub use probe::Probes;

/// Returns everything that is served on `listen.http`.
pub fn router(platform: Arc<Platform>, probes: Probes) -> Router {
    let (routes, document) = documented().split_for_parts();
    let document = openapi::finish(document);
    let guard = Arc::new(Guard::new(platform.clone(), &document));
    let routes = routes
        .with_state(platform)
        .route_layer(from_fn_with_state(guard, guard::guard))
        .layer(Extension(Arc::new(probes)))
        .layer(Extension(Arc::new(document)));
    Router::new()
        .merge(routes)
        .merge(console::routes())
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(envelope))
}

/// Returns every documented operation; the document is the rule book of `guard`.
pub(crate) fn documented() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .merge(auth::routes())
        .merge(product::routes())
        .merge(model_file::routes())
        .merge(certificate::routes())
        .merge(policy::routes())
        .merge(template::routes())
        .merge(device::routes())
        .merge(command::routes())
        .merge(async_command::routes())
        .merge(message::routes())
        .merge(shadow::routes())
        .merge(setting::routes())
        .merge(diagnosis::routes())
        .merge(runlog::routes())
        .merge(attempt::routes())
        .merge(binding::routes())
        .merge(user::routes())
        .merge(application::routes())
        .merge(space::routes())
        .merge(group::routes())
        .merge(tag::routes())
        .merge(search::routes())
        .merge(fleet::routes())
        .merge(reference::routes())
        .merge(app::routes())
        .merge(probe::routes())
}

async fn no_such_path() -> Failure {
    Failure::new("http.not_found", "there is no such path")
}

async fn no_such_method() -> Failure {
    Failure::new("http.method", "this path does not have this method")
}

/// Gives every answer its request id and writes failures in the shape of the API that was called.
async fn envelope(request: Request, next: Next) -> Response {
    let of_app = request.uri().path().starts_with("/app/");
    let mut response = next.run(request).await;
    let failure = match response.extensions_mut().remove::<Failure>() {
        Some(failure) => Some(failure),
        // What the HTTP library refused by itself, such as a path that is not UTF-8.
        None if response.status().is_client_error() && !is_json(&response) => {
            Some(Failure::bad("the request is malformed"))
        }
        None => None,
    };
    if let Some(failure) = failure {
        let status = failure.status(of_app);
        response = match of_app {
            true => (status, Json(failure.app())).into_response(),
            false => (status, Json(failure.north())).into_response(),
        };
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&view::fresh_id()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn is_json(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

/// Where a list goes on.
#[derive(Serialize, ToSchema)]
pub(crate) struct PageView {
    /// All that match.
    count: u64,
    /// Marker of the last item shown; the `marker` of the next call.
    marker: String,
}

impl PageView {
    /// Returns the page of a list of `count` items that shows up to `last`.
    fn new(count: u64, last: Option<&str>) -> Self {
        Self { count, marker: last.unwrap_or_default().into() }
    }
}

/// Which space of the project.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct AppQuery {
    /// The space; the project's when absent.
    app_id: Option<String>,
}

/// Returns the space a call is about: the one it names, if the caller may enter it, else the
/// project's own.
async fn scope(
    platform: &Platform,
    caller: &Caller,
    app_id: Option<&str>,
) -> Result<Space, Failure> {
    let id = app_id.filter(|id| !id.is_empty()).unwrap_or(caller.space.as_str());
    if id == caller.space.as_str() {
        let space = platform.store().space(&caller.space).await?;
        return space.ok_or_else(|| Failure::not_found("space", id));
    }
    let spaces = platform.spaces(caller).await?;
    let found = spaces.into_iter().find(|space| space.id.as_str() == id);
    found.ok_or_else(|| Failure::forbidden("there is no such space, or it belongs to others"))
}

/// Checks that a device is in the caller's space.
async fn device_in(platform: &Platform, caller: &Caller, id: &DeviceId) -> Result<(), Failure> {
    platform.device(&caller.space, id).await?;
    Ok(())
}
