//! `/device-policies`: what devices may publish and subscribe.
//!
//! Source: Huawei §9.2; models `CreateDevicePolicy`, `Statement`, `BindDevicePolicy`,
//! `ShowTargetsInDevicePolicyResponse` of the northbound SDK.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::port::TrustFilter;
use roadstead_core::trust::{Policy, Statement, TargetKind};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id, Paging, Params};
use super::failure::{Failure, NorthError, wire};
use super::view::compact;
use super::{PageView, scope};
use crate::service::{Caller, FailedTarget, Platform};

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(list_policies, create_policy))
        .routes(routes!(show_policy, update_policy, delete_policy))
        .routes(routes!(bind_policy))
        .routes(routes!(unbind_policy))
        .routes(routes!(list_targets))
}

/// A rule, for the documentation.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described; the canonical type is read")]
struct StatementBody {
    /// `ALLOW` or `DENY`.
    effect: String,
    /// `iotda:devices:publish`, `iotda:devices:subscribe`.
    actions: Vec<String>,
    /// `topic:NAME`, with `${devices.deviceId}`, `*` and `?`.
    resources: Vec<String>,
}

/// A policy to create.
#[derive(Deserialize, ToSchema)]
struct NewPolicy {
    /// Unique in the space.
    policy_name: String,
    /// The space; the project's when absent.
    app_id: Option<String>,
    #[schema(value_type = Vec<StatementBody>)]
    statement: Vec<Statement>,
}

/// What changes of a policy; absent fields stay.
#[derive(Deserialize, ToSchema)]
struct PolicyChange {
    policy_name: Option<String>,
    #[schema(value_type = Option<Vec<StatementBody>>)]
    statement: Option<Vec<Statement>>,
}

/// A policy.
#[derive(Serialize, ToSchema)]
struct PolicyView {
    app_id: String,
    policy_id: String,
    policy_name: String,
    /// Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<StatementBody>>)]
    statement: Option<Vec<Statement>>,
    create_time: String,
    update_time: String,
}

impl PolicyView {
    fn new(policy: &Policy) -> Self {
        Self {
            app_id: policy.space.to_string(),
            policy_id: (*policy.id).into(),
            policy_name: (*policy.name).into(),
            statement: None,
            create_time: compact(policy.created_at),
            update_time: compact(policy.updated_at),
        }
    }

    fn whole(policy: Policy) -> Json<Self> {
        let view = Self::new(&policy);
        Json(Self { statement: Some(policy.statements), ..view })
    }
}

/// A page of policies.
#[derive(Serialize, ToSchema)]
struct PolicyPage {
    policies: Vec<PolicyView>,
    page: PageView,
}

/// Which policies.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct PolicyQuery {
    /// Of this space; the project's when absent.
    app_id: Option<String>,
    /// With exactly this name.
    policy_name: Option<String>,
}

/// Lists policies, newest first.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/device-policies",
    tag = "device-policies",
    params(("project_id" = String, Path), PolicyQuery, Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = PolicyPage), (status = "4XX", body = NorthError)),
)]
async fn list_policies(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<PolicyQuery>,
    Params(paging): Params<Paging>,
) -> Result<Json<PolicyPage>, Failure> {
    let space = scope(&platform, &caller, query.app_id.as_deref()).await?;
    let name = query.policy_name.map(Into::into);
    let filter = TrustFilter { space: Some(space.id), name, ..TrustFilter::default() };
    let listing = platform.trusted_list::<Policy>(&filter, &paging.page()?).await?;
    let page = PageView::new(listing.total, listing.items.last().map(|item| &*item.id));
    let policies = listing.items.iter().map(PolicyView::new).collect();
    Ok(Json(PolicyPage { policies, page }))
}

/// Creates a policy; it says nothing until it is bound.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/device-policies",
    tag = "device-policies",
    params(("project_id" = String, Path)),
    request_body = NewPolicy,
    security(("token" = ["operator"])),
    responses((status = 201, body = PolicyView), (status = "4XX", body = NorthError)),
)]
async fn create_policy(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<NewPolicy>,
) -> Result<(StatusCode, Json<PolicyView>), Failure> {
    let space = scope(&platform, &caller, body.app_id.as_deref()).await?;
    let policy = platform.create_policy(&space.id, &body.policy_name, body.statement).await?;
    Ok((StatusCode::CREATED, PolicyView::whole(policy)))
}

/// Shows a policy.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/device-policies/{policy_id}",
    tag = "device-policies",
    params(("project_id" = String, Path), ("policy_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = PolicyView), (status = "4XX", body = NorthError)),
)]
async fn show_policy(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<PolicyView>, Failure> {
    Ok(PolicyView::whole(platform.trusted(&caller.space, &id).await?))
}

/// Changes a policy; devices are held to it from the next message on.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/device-policies/{policy_id}",
    tag = "device-policies",
    params(("project_id" = String, Path), ("policy_id" = String, Path)),
    request_body = PolicyChange,
    security(("token" = ["operator"])),
    responses((status = 200, body = PolicyView), (status = "4XX", body = NorthError)),
)]
async fn update_policy(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<PolicyChange>,
) -> Result<Json<PolicyView>, Failure> {
    let name = body.policy_name.as_deref();
    Ok(PolicyView::whole(platform.update_policy(&caller.space, &id, name, body.statement).await?))
}

/// Deletes a policy with its bindings.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/device-policies/{policy_id}",
    tag = "device-policies",
    params(("project_id" = String, Path), ("policy_id" = String, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_policy(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.delete_policy(&caller.space, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What to bind a policy to, or to unbind it from.
#[derive(Deserialize, ToSchema)]
struct Targets {
    /// `device`, `product` or `app`.
    #[schema(value_type = String)]
    target_type: TargetKind,
    /// 1 to 10 ids.
    target_ids: Vec<String>,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
struct BindResult {
    policy_id: String,
    #[schema(value_type = String)]
    target_type: TargetKind,
    success_targets: Vec<String>,
    failure_targets: Vec<FailureView>,
}

/// A target that was not bound.
#[derive(Serialize, ToSchema)]
struct FailureView {
    target_id: String,
    error_code: &'static str,
    error_msg: String,
}

impl BindResult {
    fn new(policy: String, targets: Targets, failed: Vec<FailedTarget>) -> Json<Self> {
        let Targets { target_type, mut target_ids } = targets;
        target_ids.retain(|id| failed.iter().all(|failed| failed.id != *id));
        let view = |failed: FailedTarget| FailureView {
            target_id: failed.id,
            error_code: wire(failed.code).number,
            error_msg: failed.message,
        };
        Json(Self {
            policy_id: policy,
            target_type,
            success_targets: target_ids,
            failure_targets: failed.into_iter().map(view).collect(),
        })
    }
}

/// Binds a policy.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/device-policies/{policy_id}/bind",
    tag = "device-policies",
    params(("project_id" = String, Path), ("policy_id" = String, Path)),
    request_body = Targets,
    security(("token" = ["operator"])),
    responses((status = 200, body = BindResult), (status = "4XX", body = NorthError)),
)]
async fn bind_policy(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<Targets>,
) -> Result<Json<BindResult>, Failure> {
    let failed =
        platform.bind_policy(&caller.space, &id, body.target_type, &body.target_ids).await?;
    Ok(BindResult::new(id, body, failed))
}

/// Unbinds a policy.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/device-policies/{policy_id}/unbind",
    tag = "device-policies",
    params(("project_id" = String, Path), ("policy_id" = String, Path)),
    request_body = Targets,
    security(("token" = ["operator"])),
    responses((status = 200, body = BindResult), (status = "4XX", body = NorthError)),
)]
async fn unbind_policy(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<Targets>,
) -> Result<Json<BindResult>, Failure> {
    platform.unbind_policy(&caller.space, &id, body.target_type, &body.target_ids).await?;
    Ok(BindResult::new(id, body, Vec::new()))
}

/// Which targets.
#[derive(Default, Deserialize, ToSchema)]
struct TargetQuery {
    /// `device`, `product` or `app`; all when absent.
    #[schema(value_type = Option<String>)]
    target_type: Option<TargetKind>,
    #[serde(flatten)]
    paging: Paging,
}

/// What a policy is bound to.
#[derive(Serialize, ToSchema)]
struct TargetView {
    #[schema(value_type = String)]
    target_type: TargetKind,
    target_id: String,
}

/// A page of targets.
#[derive(Serialize, ToSchema)]
struct TargetPage {
    targets: Vec<TargetView>,
    page: PageView,
}

/// Lists what a policy is bound to, by kind and id.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/device-policies/{policy_id}/list-targets",
    tag = "device-policies",
    params(("project_id" = String, Path), ("policy_id" = String, Path)),
    request_body = TargetQuery,
    security(("token" = ["viewer"])),
    responses((status = 200, body = TargetPage), (status = "4XX", body = NorthError)),
)]
async fn list_targets(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    query: Option<Body<TargetQuery>>,
) -> Result<Json<TargetPage>, Failure> {
    let TargetQuery { target_type, paging } = query.map_or_else(Default::default, |Body(q)| q);
    let page = paging.page()?;
    platform.trusted::<Policy>(&caller.space, &id).await?;
    let listing = platform.store().policy_targets(&id, target_type, &page).await?;
    let page = PageView::new(listing.total, listing.items.last().map(|target| &*target.id));
    let view = |target: roadstead_core::trust::Target| TargetView {
        target_type: target.kind,
        target_id: (*target.id).into(),
    };
    Ok(Json(TargetPage { targets: listing.items.into_iter().map(view).collect(), page }))
}
