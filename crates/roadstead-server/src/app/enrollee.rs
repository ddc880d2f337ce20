//! New devices that the caller's own devices have found by radio.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::north::extract::Body;
use crate::north::failure::{AppError, Failure};
use crate::service::{Caller, Enrollee, Platform};

/// Returns the operations.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new().routes(routes!(app_list_enrollees, app_admit_enrollee))
}

/// A new device within reach of one of the caller's.
#[derive(Serialize, ToSchema)]
struct AppEnrollee {
    product: String,
    device: String,
    /// The caller's device that found it.
    registrar: String,
    /// Strength of its signal there, dBm.
    rssi: Option<i64>,
    /// When it was told of last, RFC 3339.
    seen_at: String,
    /// True after it was chosen.
    admitted: bool,
}

impl From<&Enrollee> for AppEnrollee {
    fn from(one: &Enrollee) -> Self {
        Self {
            product: one.device.product.to_string(),
            device: one.device.node.to_string(),
            registrar: one.registrar.as_str().to_owned(),
            rssi: one.rssi,
            seen_at: one.seen_at.to_string(),
            admitted: one.is_admitted,
        }
    }
}

/// The new devices.
#[derive(Serialize, ToSchema)]
struct AppEnrollees {
    /// Latest first.
    enrollees: Vec<AppEnrollee>,
}

/// Which one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AppAdmit {
    product: String,
    device: String,
}

/// Lists new devices that the caller's devices have found by radio (zero-config).
#[utoipa::path(
    get,
    path = "/app/v1/enrollees",
    tag = "app",
    security(("bearer" = ["member"])),
    responses((status = 200, body = AppEnrollees), (status = "4XX", body = AppError)),
)]
async fn app_list_enrollees(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<AppEnrollees>, Failure> {
    let seen = platform.enrollees(&caller).await?;
    Ok(Json(AppEnrollees { enrollees: seen.iter().map(AppEnrollee::from).collect() }))
}

/// Lets a new device into the network: the caller's device that sees it best gives it the password.
#[utoipa::path(
    post,
    path = "/app/v1/enrollees",
    tag = "app",
    request_body = AppAdmit,
    security(("bearer" = ["member"])),
    responses((status = 200, body = AppEnrollee), (status = "4XX", body = AppError)),
)]
async fn app_admit_enrollee(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<AppAdmit>,
) -> Result<Json<AppEnrollee>, Failure> {
    let admitted = platform.admit_enrollee(&caller, &body.product, &body.device).await?;
    Ok(Json(AppEnrollee::from(&admitted)))
}
