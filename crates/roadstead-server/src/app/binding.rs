//! Bind tokens, bindings, guests, transfer.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::binding::{BindError, BindingRole};
use roadstead_core::{BindingId, SpaceId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::north::extract::Body;
use crate::north::failure::{AppError, Failure, remedy};
use crate::service::{Caller, Error, Platform, TokenProgress};

/// Returns the operations.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(app_create_bind_token))
        .routes(routes!(app_show_bind_token))
        .routes(routes!(app_list_bindings, app_bind))
        .routes(routes!(app_show_binding, app_unbind))
        .routes(routes!(app_share))
        .routes(routes!(app_unshare))
        .routes(routes!(app_transfer))
}

/// How the token is to be used.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AppTokenRequest {
    /// The device's report of the token completes the binding (default); with `false` it needs
    /// `POST /bindings` as well.
    #[serde(default = "yes")]
    auto_bind: bool,
}

fn yes() -> bool {
    true
}

/// A bind token: give it to the device together with the network's name and password.
#[derive(Serialize, ToSchema)]
struct AppBindToken {
    token: String,
    /// End of its life, RFC 3339.
    expires_at: String,
    /// The onboarding attempt that starts with it.
    attempt_id: String,
}

/// Makes a bind token and starts an onboarding attempt.
#[utoipa::path(
    post,
    path = "/app/v1/bind-tokens",
    tag = "app",
    request_body = Option<AppTokenRequest>,
    security(("bearer" = ["member"])),
    responses((status = 201, body = AppBindToken), (status = "4XX", body = AppError)),
)]
async fn app_create_bind_token(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    body: Option<Body<AppTokenRequest>>,
) -> Result<(StatusCode, Json<AppBindToken>), Failure> {
    let auto_bind = body.is_none_or(|Body(body)| body.auto_bind);
    let made = platform.create_bind_token(&caller, auto_bind).await?;
    let token = AppBindToken {
        token: made.token.expose_text().unwrap_or_default().into(),
        expires_at: made.expires_at.to_string(),
        attempt_id: made.attempt.to_string(),
    };
    Ok((StatusCode::CREATED, Json(token)))
}

/// Where a bind token is.
#[derive(Serialize, ToSchema)]
struct AppTokenState {
    /// `new`, `reported`, `bound` or `expired`.
    #[schema(value_type = String)]
    state: TokenProgress,
    /// The device that reported it.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    /// Why it does not get on; a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What to do about the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt_id: Option<String>,
    /// End of its life, RFC 3339.
    expires_at: String,
}

/// Says where a bind token is; poll it while the device is being provisioned.
#[utoipa::path(
    get,
    path = "/app/v1/bind-tokens/{token}",
    tag = "app",
    params(("token" = String, Path)),
    security(("bearer" = ["member"])),
    responses((status = 200, body = AppTokenState), (status = "4XX", body = AppError)),
)]
async fn app_show_bind_token(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path(token): Path<String>,
) -> Result<Json<AppTokenState>, Failure> {
    let status = platform.bind_token(&caller, &token).await?;
    Ok(Json(AppTokenState {
        state: status.state,
        device_id: status.device.as_ref().map(ToString::to_string),
        remedy: status.reason.as_deref().map(remedy),
        reason: status.reason.map(Into::into),
        attempt_id: status.attempt.as_ref().map(ToString::to_string),
        expires_at: status.expires_at.to_string(),
    }))
}

/// A binding as its user sees it.
#[derive(Serialize, ToSchema)]
struct AppBinding {
    binding_id: String,
    device_id: String,
    /// Product of the device.
    product: String,
    /// Node id of the device.
    device: String,
    /// Display name of the device.
    name: String,
    /// `owner` or `guest`.
    #[schema(value_type = String)]
    role: BindingRole,
    username: String,
    /// Since when, RFC 3339.
    created_at: String,
    /// Who shares the device; to its owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    guests: Option<Vec<AppGuest>>,
}

/// Somebody who shares a device.
#[derive(Serialize, ToSchema)]
struct AppGuest {
    binding_id: String,
    username: String,
}

/// The caller's bindings.
#[derive(Serialize, ToSchema)]
struct AppBindingList {
    bindings: Vec<AppBinding>,
}

/// Lists the caller's bindings, oldest first.
#[utoipa::path(
    get,
    path = "/app/v1/bindings",
    tag = "app",
    security(("bearer" = ["member"])),
    responses((status = 200, body = AppBindingList), (status = "4XX", body = AppError)),
)]
async fn app_list_bindings(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<AppBindingList>, Failure> {
    let mut bindings = Vec::new();
    for binding in platform.bindings(&caller).await? {
        bindings.push(describe(&platform, &caller, &binding).await?);
    }
    Ok(Json(AppBindingList { bindings }))
}

/// A binding to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AppBindRequest {
    /// The token that the device reported; for vendors without tokens, what the device itself told
    /// the phone (a module's passcode).
    token: String,
    /// The onboarding attempt that this completes, when the token is not the attempt's own.
    attempt_id: Option<String>,
    /// Product of the device; with `device`, for a token that the device made.
    product: Option<String>,
    /// Node id of the device.
    device: Option<String>,
}

/// Binds the device that reported a token.
#[utoipa::path(
    post,
    path = "/app/v1/bindings",
    tag = "app",
    request_body = AppBindRequest,
    security(("bearer" = ["member"])),
    responses((status = 201, body = AppBinding), (status = "4XX", body = AppError)),
)]
async fn app_bind(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<AppBindRequest>,
) -> Result<(StatusCode, Json<AppBinding>), Failure> {
    let device = match (&body.product, &body.device) {
        (Some(product), Some(device)) => Some((&**product, &**device)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            return Err(Failure::bad("product and device belong together"));
        }
    };
    let attempt = body.attempt_id.as_deref().map(Into::into);
    if let Some(id) = &attempt {
        platform.attempt(&caller, id).await?;
    }
    let binding = platform.bind(&caller, &body.token, device).await?;
    if let Some(id) = &attempt {
        platform.complete_attempt(&caller, id, &binding).await?;
    }
    Ok((StatusCode::CREATED, Json(describe(&platform, &caller, &binding).await?)))
}

/// Shows a binding; its owner also sees the guests.
#[utoipa::path(
    get,
    path = "/app/v1/bindings/{binding_id}",
    tag = "app",
    params(("binding_id" = String, Path)),
    security(("bearer" = ["member"])),
    responses((status = 200, body = AppBinding), (status = "4XX", body = AppError)),
)]
async fn app_show_binding(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<AppBinding>, Failure> {
    let binding = platform.binding(&caller, &id.as_str().into()).await?;
    Ok(Json(describe(&platform, &caller, &binding).await?))
}

/// Ends a binding; the owner's ends those of all guests.
#[utoipa::path(
    delete,
    path = "/app/v1/bindings/{binding_id}",
    tag = "app",
    params(("binding_id" = String, Path)),
    security(("bearer" = ["member"])),
    responses((status = 204), (status = "4XX", body = AppError)),
)]
async fn app_unbind(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    platform.end_binding(&caller, &id.as_str().into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Another user of the space.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AppUserName {
    /// Sign-in name.
    username: String,
}

/// Shares the device with a guest.
#[utoipa::path(
    post,
    path = "/app/v1/bindings/{binding_id}/guests",
    tag = "app",
    params(("binding_id" = String, Path)),
    request_body = AppUserName,
    security(("bearer" = ["member"])),
    responses((status = 201, body = AppBinding), (status = "4XX", body = AppError)),
)]
async fn app_share(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<AppUserName>,
) -> Result<(StatusCode, Json<AppBinding>), Failure> {
    let binding = platform.binding(&caller, &id.as_str().into()).await?;
    let shared = platform.share(&caller, &binding.device, &body.username).await?;
    Ok((StatusCode::CREATED, Json(describe(&platform, &caller, &shared).await?)))
}

/// Ends the sharing with a guest.
#[utoipa::path(
    delete,
    path = "/app/v1/bindings/{binding_id}/guests/{username}",
    tag = "app",
    params(("binding_id" = String, Path), ("username" = String, Path)),
    security(("bearer" = ["member"])),
    responses((status = 204), (status = "4XX", body = AppError)),
)]
async fn app_unshare(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path((id, username)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    let binding = platform.binding(&caller, &id.as_str().into()).await?;
    let guest = guest_of(&platform, &caller, &binding.device, &username).await?;
    platform.end_binding(&caller, &guest).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn guest_of(
    platform: &Platform,
    caller: &Caller,
    device: &roadstead_core::DeviceId,
    username: &str,
) -> Result<BindingId, Failure> {
    let bindings = platform.bindings_of_device(caller, device).await?;
    for binding in bindings.into_iter().filter(|b| b.role == BindingRole::Guest) {
        if *user_name(platform, &caller.space, &binding.user).await? == *username {
            return Ok(binding.id);
        }
    }
    Err(Error::from(BindError::NotBound).into())
}

/// Makes another user the owner; guests stay.
#[utoipa::path(
    post,
    path = "/app/v1/bindings/{binding_id}/transfer",
    tag = "app",
    params(("binding_id" = String, Path)),
    request_body = AppUserName,
    security(("bearer" = ["member"])),
    responses((status = 200, body = AppBinding), (status = "4XX", body = AppError)),
)]
async fn app_transfer(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<AppUserName>,
) -> Result<Json<AppBinding>, Failure> {
    let binding = platform.binding(&caller, &id.as_str().into()).await?;
    let moved = platform.transfer(&caller, &binding.device, &body.username).await?;
    Ok(Json(describe(&platform, &caller, &moved).await?))
}

async fn describe(
    platform: &Platform,
    caller: &Caller,
    binding: &roadstead_core::binding::Binding,
) -> Result<AppBinding, Failure> {
    let device = platform.device(&caller.space, &binding.device).await?.device;
    let guests = match binding.role == BindingRole::Owner && binding.user == caller.user {
        true => Some(guests(platform, caller, &binding.device).await?),
        false => None,
    };
    Ok(AppBinding {
        binding_id: binding.id.to_string(),
        device_id: device.id.to_string(),
        product: device.product.to_string(),
        device: (*device.node).into(),
        name: (*device.name).into(),
        role: binding.role,
        username: user_name(platform, &caller.space, &binding.user).await?,
        created_at: binding.created_at.to_string(),
        guests,
    })
}

async fn guests(
    platform: &Platform,
    caller: &Caller,
    device: &roadstead_core::DeviceId,
) -> Result<Vec<AppGuest>, Failure> {
    let mut guests = Vec::new();
    for binding in platform.bindings_of_device(caller, device).await? {
        if binding.role == BindingRole::Guest {
            let username = user_name(platform, &caller.space, &binding.user).await?;
            guests.push(AppGuest { binding_id: binding.id.to_string(), username });
        }
    }
    Ok(guests)
}

async fn user_name(platform: &Platform, space: &SpaceId, id: &UserId) -> Result<String, Failure> {
    match platform.user(space, id.as_str()).await {
        Ok(user) => Ok(user.name.into()),
        // Deleted between two reads.
        Err(Error::NotFound(_)) => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}
