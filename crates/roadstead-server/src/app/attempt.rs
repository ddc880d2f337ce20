//! Onboarding attempts as the phone sees and reports them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use roadstead_core::attempt::Stage;
use roadstead_core::limit::ATTEMPT_STAGES_MAX;
use roadstead_core::port::AttemptFilter;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::north::extract::{Body, Params};
use crate::north::failure::{AppError, Failure};
use crate::north::view::{AttemptList, AttemptView, parse_when};
use crate::service::{Caller, PhoneMark, Platform};

/// Attempts listed when the caller names no number, and at most.
const LISTED: u32 = 20;
const LISTED_MAX: u32 = 100;

/// Returns the operations.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(app_list_attempts))
        .routes(routes!(app_show_attempt))
        .routes(routes!(app_mark_attempt))
        .routes(routes!(app_fail_attempt))
}

/// Which attempts.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct AppAttemptQuery {
    /// Only those that still run.
    #[serde(default)]
    open: bool,
    /// At most this many, newest first; 20 unless told otherwise.
    limit: Option<u32>,
}

/// Lists the caller's onboarding attempts, newest first.
#[utoipa::path(
    get,
    path = "/app/v1/attempts",
    tag = "app",
    params(AppAttemptQuery),
    security(("bearer" = ["member"])),
    responses((status = 200, body = AttemptList), (status = "4XX", body = AppError)),
)]
async fn app_list_attempts(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<AppAttemptQuery>,
) -> Result<Json<AttemptList>, Failure> {
    let user = Some(caller.user.clone());
    let filter = AttemptFilter { device: None, user, open: query.open };
    let limit = query.limit.unwrap_or(LISTED).min(LISTED_MAX);
    let attempts = platform.attempts(&caller, filter, limit).await?;
    Ok(Json(AttemptList { attempts: attempts.iter().map(AttemptView::from).collect() }))
}

/// Shows an onboarding attempt of the caller.
#[utoipa::path(
    get,
    path = "/app/v1/attempts/{attempt_id}",
    tag = "app",
    params(("attempt_id" = String, Path)),
    security(("bearer" = ["member"])),
    responses((status = 200, body = AttemptView), (status = "4XX", body = AppError)),
)]
async fn app_show_attempt(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<AttemptView>, Failure> {
    let attempt = platform.attempt(&caller, &id.as_str().into()).await?;
    Ok(Json(AttemptView::from(&attempt)))
}

/// Stages that the phone saw.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AppMarks {
    stages: Vec<AppMark>,
    /// Product of the device, if the phone knows it by now.
    product: Option<String>,
    /// Node id of the device, if the phone knows it by now.
    device: Option<String>,
    /// Provisioning method, such as `softap`.
    method: Option<String>,
}

/// One stage that the phone saw.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AppMark {
    /// Name of the stage, such as `credentials_sent`.
    stage: String,
    /// When, RFC 3339; now when absent.
    at: Option<String>,
    /// Evidence; never a secret.
    detail: Option<String>,
}

/// Reports stages that the phone saw.
#[utoipa::path(
    post,
    path = "/app/v1/attempts/{attempt_id}/stages",
    tag = "app",
    params(("attempt_id" = String, Path)),
    request_body = AppMarks,
    security(("bearer" = ["member"])),
    responses((status = 200, body = AttemptView), (status = "4XX", body = AppError)),
)]
async fn app_mark_attempt(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<AppMarks>,
) -> Result<Json<AttemptView>, Failure> {
    if body.stages.len() > ATTEMPT_STAGES_MAX {
        return Err(Failure::bad(format!("stages: at most {ATTEMPT_STAGES_MAX}")));
    }
    let marks = body.stages.into_iter().map(AppMark::read).collect::<Result<Vec<_>, _>>()?;
    let device = body.product.as_deref().zip(body.device.as_deref());
    let id = id.as_str().into();
    let method = body.method.as_deref();
    let attempt = platform.mark_attempt(&caller, &id, marks, device, method).await?;
    Ok(Json(AttemptView::from(&attempt)))
}

impl AppMark {
    fn read(self) -> Result<PhoneMark, Failure> {
        let stage = Stage::parse(&self.stage)
            .ok_or_else(|| Failure::bad(format!("stage: `{}` is not known", self.stage)))?;
        let at = match self.at.as_deref() {
            None => None,
            Some(text) => match parse_when(text) {
                Some(at) => Some(at),
                None => return Err(Failure::bad(format!("at: `{text}` is not a date"))),
            },
        };
        Ok(PhoneMark { stage, at, detail: self.detail })
    }
}

/// Why the phone gave up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AppGivenUp {
    /// A stable code `attempt.*` or `bind.*`; `attempt.abandoned` when absent.
    code: Option<String>,
    /// Evidence; never a secret.
    #[serde(default)]
    detail: String,
}

/// Ends an attempt that the phone gave up.
#[utoipa::path(
    post,
    path = "/app/v1/attempts/{attempt_id}/failure",
    tag = "app",
    params(("attempt_id" = String, Path)),
    request_body = AppGivenUp,
    security(("bearer" = ["member"])),
    responses((status = 200, body = AttemptView), (status = "4XX", body = AppError)),
)]
async fn app_fail_attempt(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<AppGivenUp>,
) -> Result<Json<AttemptView>, Failure> {
    let code = body.code.as_deref().unwrap_or("attempt.abandoned");
    let id = id.as_str().into();
    let attempt = platform.fail_attempt(&caller, &id, code, &body.detail).await?;
    Ok(Json(AttemptView::from(&attempt)))
}
