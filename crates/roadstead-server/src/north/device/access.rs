//! What lets a device in: secrets, certificates, freezing, its gateway; and its groups.
//!
//! Source: Huawei §9.3; models `ResetDeviceSecret`, `ResetFingerprint`, `ChangeGateway`,
//! `ListDeviceGroupsByDeviceResponse`. Addition to v5: action `resetRegistration`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::Secret;
use roadstead_core::device::Fingerprint;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::fingerprint;
use crate::north::extract::{Body, Id, Params};
use crate::north::failure::{Failure, NorthError};
use crate::north::group::GroupSummary;
use crate::service::{Caller, Platform, Rank};

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(device_action))
        .routes(routes!(reset_fingerprint))
        .routes(routes!(freeze_device))
        .routes(routes!(unfreeze_device))
        .routes(routes!(change_gateway))
        .routes(routes!(list_groups_of_device))
}

/// Which action.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ActionQuery {
    /// `resetSecret`, or `resetRegistration`: let an activated device register once more.
    action_id: String,
}

/// Which of two credentials.
#[derive(Clone, Copy, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum RankName {
    #[default]
    Primary,
    Secondary,
}

impl From<RankName> for Rank {
    fn from(name: RankName) -> Self {
        match name {
            RankName::Primary => Self::Primary,
            RankName::Secondary => Self::Secondary,
        }
    }
}

/// Details of `resetSecret`.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SecretReset {
    /// New secret as the vendor shows it; made when absent.
    secret: Option<String>,
    /// End the connection that was let in by the old one; false when absent.
    force_disconnect: Option<bool>,
    /// `PRIMARY` when absent.
    secret_type: Option<RankName>,
}

/// The new secret.
#[derive(Serialize, ToSchema)]
struct SecretView {
    device_id: String,
    secret: Option<String>,
    secret_type: RankName,
}

/// Resets the secret or the registration of a device.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/action",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path), ActionQuery),
    request_body = Option<SecretReset>,
    security(("token" = ["operator"])),
    responses((status = 200, body = SecretView), (status = "4XX", body = NorthError)),
)]
async fn device_action(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<ActionQuery>,
    body: Option<Body<SecretReset>>,
) -> Result<Json<SecretView>, Failure> {
    let device = id.as_str().into();
    let body = body.map(|Body(body)| body).unwrap_or_default();
    let rank = body.secret_type.unwrap_or_default();
    let secret = match &*query.action_id {
        "resetSecret" => {
            let asked = body.secret.filter(|text| !text.is_empty()).map(Secret::from);
            let disconnect = body.force_disconnect.unwrap_or_default();
            let made =
                platform.reset_secret(&caller.space, &device, asked, rank.into(), disconnect);
            made.await?.expose_text().map(Into::into)
        }
        "resetRegistration" => {
            platform.reset_registration(&caller.space, &device).await?;
            None
        }
        _ => return Err(Failure::bad("action_id: resetSecret or resetRegistration")),
    };
    Ok(Json(SecretView { device_id: id, secret, secret_type: rank }))
}

/// The certificate of a device.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FingerprintReset {
    /// SHA-1 or SHA-256 of the certificate, hex; without one that of the next log-in is kept.
    fingerprint: Option<String>,
    /// End the connection that was let in by the old one; false when absent.
    force_disconnect: Option<bool>,
    /// `PRIMARY` when absent.
    fingerprint_type: Option<RankName>,
}

/// The certificate that is registered now.
#[derive(Serialize, ToSchema)]
struct FingerprintView {
    device_id: String,
    fingerprint: Option<String>,
    fingerprint_type: RankName,
}

/// Registers the certificate of a device, or forgets it.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/reset-fingerprint",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = Option<FingerprintReset>,
    security(("token" = ["operator"])),
    responses((status = 200, body = FingerprintView), (status = "4XX", body = NorthError)),
)]
async fn reset_fingerprint(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    body: Option<Body<FingerprintReset>>,
) -> Result<Json<FingerprintView>, Failure> {
    let body = body.map(|Body(body)| body).unwrap_or_default();
    let given = body.fingerprint.filter(|text| !text.is_empty());
    let digest = given.as_deref().map(fingerprint).transpose()?;
    let shown = digest.as_ref().map(Fingerprint::to_string);
    let rank = body.fingerprint_type.unwrap_or_default();
    let disconnect = body.force_disconnect.unwrap_or_default();
    let device = id.as_str().into();
    platform.set_fingerprint(&caller.space, &device, digest, rank.into(), disconnect).await?;
    Ok(Json(FingerprintView { device_id: id, fingerprint: shown, fingerprint_type: rank }))
}

/// Freezes a device: it is disconnected and may not log in.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/freeze",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn freeze_device(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.freeze_device(&caller.space, &id.as_str().into(), true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a frozen device log in again.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/unfreeze",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn unfreeze_device(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.freeze_device(&caller.space, &id.as_str().into(), false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The new gateway of a sub-device.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GatewayChange {
    gateway_id: String,
}

/// Nothing to say.
#[derive(Serialize, ToSchema)]
struct Empty {}

/// Moves a sub-device behind another gateway.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/change-gateway",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = GatewayChange,
    security(("token" = ["operator"])),
    responses(
        (status = 200, body = Empty),
        (status = 204, description = "With the setting `north.empty_object = false`"),
        (status = "4XX", body = NorthError),
    ),
)]
async fn change_gateway(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<GatewayChange>,
) -> Result<Response, Failure> {
    let (device, gateway) = (id.as_str().into(), body.gateway_id.as_str().into());
    platform.move_device(&caller.space, &device, &gateway).await?;
    Ok(match platform.config().north.empty_object {
        true => Json(Empty {}).into_response(),
        false => StatusCode::NO_CONTENT.into_response(),
    })
}

/// The groups of a device.
#[derive(Serialize, ToSchema)]
struct GroupsOfDevice {
    device_groups: Vec<GroupSummary>,
}

/// Lists the groups that a device belongs to, static and dynamic.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/list-device-group",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = GroupsOfDevice), (status = "4XX", body = NorthError)),
)]
async fn list_groups_of_device(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<GroupsOfDevice>, Failure> {
    let groups = platform.groups_of(&caller.space, &id.as_str().into()).await?;
    Ok(Json(GroupsOfDevice { device_groups: groups.iter().map(GroupSummary::from).collect() }))
}
