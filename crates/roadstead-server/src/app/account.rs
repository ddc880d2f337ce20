//! Signing up, in and out.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use http::StatusCode;
use roadstead_core::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::north::bearer;
use crate::north::extract::Body;
use crate::north::failure::{AppError, Failure};
use crate::service::Platform;

/// Returns the operations.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new().routes(routes!(app_sign_up)).routes(routes!(app_sign_in, app_sign_out))
}

/// Name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AppCredentials {
    /// Sign-in name.
    username: String,
    /// Password, at least 8 bytes.
    password: String,
}

/// A sign-in.
#[derive(Serialize, ToSchema)]
struct AppSession {
    /// Send it as `Authorization: Bearer`.
    token: String,
    /// End of its life, RFC 3339.
    expires_at: String,
    user_id: String,
    username: String,
}

/// Creates an account and signs in.
#[utoipa::path(
    post,
    path = "/app/v1/users",
    tag = "app",
    request_body = AppCredentials,
    security(()),
    responses((status = 201, body = AppSession), (status = "4XX", body = AppError)),
)]
async fn app_sign_up(
    State(platform): State<Arc<Platform>>,
    Body(body): Body<AppCredentials>,
) -> Result<(StatusCode, Json<AppSession>), Failure> {
    let caller = platform.sign_up(&body.username, &Secret::from(body.password)).await?;
    let life = platform.config().app.session_life;
    let (token, expires_at) = platform.grant_token(&caller.user, life).await?;
    let session = AppSession {
        token: token.expose_text().unwrap_or_default().into(),
        expires_at: expires_at.to_string(),
        user_id: caller.user.to_string(),
        username: caller.name.into(),
    };
    Ok((StatusCode::CREATED, Json(session)))
}

/// Signs in.
#[utoipa::path(
    post,
    path = "/app/v1/sessions",
    tag = "app",
    request_body = AppCredentials,
    security(()),
    responses((status = 201, body = AppSession), (status = "4XX", body = AppError)),
)]
async fn app_sign_in(
    State(platform): State<Arc<Platform>>,
    Body(body): Body<AppCredentials>,
) -> Result<(StatusCode, Json<AppSession>), Failure> {
    let life = platform.config().app.session_life;
    let signed_in = platform
        .sign_in(&body.username, &Secret::from(body.password), life)
        .await
        .map_err(|error| Failure::from(error).at_sign_in())?;
    let session = AppSession {
        token: signed_in.token.expose_text().unwrap_or_default().into(),
        expires_at: signed_in.expires_at.to_string(),
        user_id: signed_in.caller.user.to_string(),
        username: signed_in.caller.name.into(),
    };
    Ok((StatusCode::CREATED, Json(session)))
}

/// Signs out: the token of this call is over.
#[utoipa::path(
    delete,
    path = "/app/v1/sessions",
    tag = "app",
    security(("bearer" = ["member"])),
    responses((status = 204), (status = "4XX", body = AppError)),
)]
async fn app_sign_out(
    State(platform): State<Arc<Platform>>,
    request: Request,
) -> Result<StatusCode, Failure> {
    let (parts, _) = request.into_parts();
    if let Some(token) = bearer(&parts) {
        platform.sign_out(token).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
