//! `/devices/{id}/log-level`, `/devices/{id}/config`, `/devices/{id}/region`: what a device asks its cloud for besides its
//! shadow. Not in v5; same conventions. Source: Tencent §9 (log level) and §10 (remote
//! configuration); dialects that lack one of them ignore it.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use roadstead_core::{DeviceId, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id};
use super::failure::{Failure, NorthError};
use crate::service::{Caller, Platform};

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(set_log_level))
        .routes(routes!(set_config))
        .routes(routes!(set_region))
}

/// How much a device logs and uploads.
#[derive(Deserialize, Serialize, ToSchema)]
struct LogLevel {
    /// 0 off, 1 error, 2 warning, 3 information, 4 debug.
    #[schema(minimum = 0, maximum = 4)]
    level: u8,
}

/// Sets how much a device logs; it learns it now or when it asks.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/devices/{device_id}/log-level",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = LogLevel,
    security(("token" = ["operator"])),
    responses((status = 200, body = LogLevel), (status = "4XX", body = NorthError)),
)]
async fn set_log_level(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<LogLevel>,
) -> Result<Json<LogLevel>, Failure> {
    platform.set_log_level(&caller.space, &DeviceId::from(&*id), body.level).await?;
    Ok(Json(body))
}

/// The region whose instance a device belongs to.
#[derive(Deserialize, Serialize, ToSchema)]
struct Region {
    /// A name of the settings' section `region`.
    region: String,
}

/// Moves a device to another region's instance; it learns it now or when it asks where to connect.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/devices/{device_id}/region",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = Region,
    security(("token" = ["operator"])),
    responses((status = 200, body = Region), (status = "4XX", body = NorthError)),
)]
async fn set_region(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<Region>,
) -> Result<Json<Region>, Failure> {
    platform.move_to_region(&caller.space, &DeviceId::from(&*id), &body.region).await?;
    Ok(Json(body))
}

/// The remote configuration of a device: any JSON its firmware understands.
#[derive(Deserialize, Serialize, ToSchema)]
struct RemoteConfig {
    #[schema(value_type = Object)]
    config: Value,
}

/// Largest remote configuration, bytes of JSON.
const CONFIG_BYTES_MAX: usize = 16 * 1024;

/// Sets the remote configuration of a device; it learns it now or when it asks.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/devices/{device_id}/config",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = RemoteConfig,
    security(("token" = ["operator"])),
    responses((status = 200, body = RemoteConfig), (status = "4XX", body = NorthError)),
)]
async fn set_config(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<RemoteConfig>,
) -> Result<Json<RemoteConfig>, Failure> {
    if body.config.to_string().len() > CONFIG_BYTES_MAX {
        return Err(Failure::bad(format!("config: at most {CONFIG_BYTES_MAX} bytes of JSON")));
    }
    platform.set_config(&caller.space, &DeviceId::from(&*id), body.config.clone()).await?;
    Ok(Json(body))
}
