//! `/attempts`: what happened while devices were being onboarded. An addition to v5.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use roadstead_core::port::AttemptFilter;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Id, Params};
use super::failure::{Failure, NorthError};
use super::view::{AttemptList, AttemptView};
use crate::service::{Caller, Platform};

/// Attempts listed when the caller names no number.
pub(crate) const ATTEMPTS_LISTED: u32 = 50;
/// Most attempts of one list.
pub(crate) const ATTEMPTS_LISTED_MAX: u32 = 1000;

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new().routes(routes!(list_attempts)).routes(routes!(show_attempt))
}

/// Which attempts.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct AttemptQuery {
    /// About this device.
    device_id: Option<String>,
    /// By the phone of this user.
    user_id: Option<String>,
    /// Only those that still run.
    #[serde(default)]
    open: bool,
    /// At most this many, newest first; 50 unless told otherwise.
    limit: Option<u32>,
}

/// Lists onboarding attempts, newest first.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/attempts",
    tag = "attempts",
    params(("project_id" = String, Path), AttemptQuery),
    security(("token" = ["viewer"])),
    responses((status = 200, body = AttemptList), (status = "4XX", body = NorthError)),
)]
async fn list_attempts(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<AttemptQuery>,
) -> Result<Json<AttemptList>, Failure> {
    let filter = AttemptFilter {
        device: query.device_id.as_deref().map(Into::into),
        user: query.user_id.as_deref().map(Into::into),
        open: query.open,
    };
    let limit = query.limit.unwrap_or(ATTEMPTS_LISTED).min(ATTEMPTS_LISTED_MAX);
    let attempts = platform.attempts(&caller, filter, limit).await?;
    Ok(Json(AttemptList { attempts: attempts.iter().map(AttemptView::from).collect() }))
}

/// Shows one onboarding attempt.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/attempts/{attempt_id}",
    tag = "attempts",
    params(("project_id" = String, Path), ("attempt_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = AttemptView), (status = "4XX", body = NorthError)),
)]
async fn show_attempt(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<AttemptView>, Failure> {
    let attempt = platform.attempt(&caller, &id.as_str().into()).await?;
    Ok(Json(AttemptView::from(&attempt)))
}
