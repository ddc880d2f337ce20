//! `/devices/{id}/shadow`: what was reported, what is desired. Source: Huawei §8.5, §9.6.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::{DeviceId, Map, SpaceId, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id};
use super::failure::{Failure, NorthError};
use super::view::{ShadowService, shadow_services};
use crate::service::{Caller, Platform, Wish};

/// Services of one request.
const SERVICES_MAX: usize = 50;

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new().routes(routes!(show_shadow, update_shadow, delete_shadow))
}

/// The shadow of a device.
#[derive(Serialize, ToSchema)]
struct ShadowView {
    device_id: String,
    shadow: Vec<ShadowService>,
}

/// Shows the shadow of a device.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}/shadow",
    tag = "shadow",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = ShadowView), (status = "4XX", body = NorthError)),
)]
async fn show_shadow(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<ShadowView>, Failure> {
    show(&platform, &caller.space, &id).await
}

/// What is desired, by service.
#[derive(Deserialize, ToSchema)]
struct ShadowUpdate {
    shadow: Vec<Desire>,
}

/// What is desired of one service.
#[derive(Deserialize, ToSchema)]
struct Desire {
    service_id: String,
    /// Property to value; `null` takes a wish back, `{}` takes all back.
    #[schema(value_type = Object)]
    desired: Map<String, Value>,
    /// Refuse when the shadow of the service has another version by now.
    version: Option<u64>,
}

/// Wants values of a device: sent now when it is on line, else when it asks for its shadow.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/devices/{device_id}/shadow",
    tag = "shadow",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = ShadowUpdate,
    security(("token" = ["operator"])),
    responses((status = 200, body = ShadowView), (status = "4XX", body = NorthError)),
)]
async fn update_shadow(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<ShadowUpdate>,
) -> Result<Json<ShadowView>, Failure> {
    if body.shadow.is_empty() || body.shadow.len() > SERVICES_MAX {
        return Err(Failure::bad(format!("shadow: 1 to {SERVICES_MAX} services")));
    }
    let wishes = body.shadow.into_iter().map(|wish| Wish {
        service: wish.service_id.into(),
        values: wish.desired,
        version: wish.version,
    });
    platform.desire_all(&caller.space, &DeviceId::from(&*id), wishes.collect()).await?;
    show(&platform, &caller.space, &id).await
}

/// Forgets what a device reported and what is desired of it; versions start at 0 again.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/devices/{device_id}/shadow",
    tag = "shadow",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_shadow(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.forget_shadow(&caller.space, &DeviceId::from(&*id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn show(platform: &Platform, space: &SpaceId, id: &str) -> Result<Json<ShadowView>, Failure> {
    let shadow = shadow_services(platform.shadow(space, &id.into()).await?);
    Ok(Json(ShadowView { device_id: id.into(), shadow }))
}
