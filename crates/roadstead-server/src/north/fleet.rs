//! `/import`: products and devices with the ids and secrets they have in the field. An addition
//! to v5; the body is a fleet file, already parsed.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Params};
use super::failure::{Failure, NorthError};
use crate::service::{Caller, Counts, Fleet, FleetDevice, FleetProduct, Platform, Works};

/// The version of fleet files that is understood.
const VERSION: u32 = 1;

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new().routes(routes!(import))
}

/// A fleet file. Unknown keys are errors.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FleetBody {
    /// 1.
    version: Option<u32>,
    /// Rows `{line?, dialect, product, name?, secret?, auth?, dynamic_registration?, model?}`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    products: Vec<FleetProduct>,
    /// Rows `{line?, dialect, product, device, device_id?, name?, secret?, fingerprint?,
    /// gateway?}`.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    devices: Vec<FleetDevice>,
}

/// What an import did.
#[derive(Serialize, ToSchema)]
struct ImportView {
    products: CountsView,
    devices: CountsView,
    errors: Vec<RowErrorView>,
    /// Verdicts, one per device row; only with `check`.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Vec<CheckView>>,
}

/// How many rows did what.
#[derive(Serialize, ToSchema)]
struct CountsView {
    created: u64,
    unchanged: u64,
    updated: u64,
    failed: u64,
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        let Counts { created, unchanged, updated, failed } = counts;
        Self { created, unchanged, updated, failed }
    }
}

/// Why a row was not imported.
#[derive(Serialize, ToSchema)]
struct RowErrorView {
    /// Line in the file; 0 when unknown.
    line: u32,
    code: &'static str,
    message: String,
}

/// The verdict on one device row.
#[derive(Serialize, ToSchema)]
struct CheckView {
    /// Line in the file; 0 when unknown.
    line: u32,
    product: String,
    device: String,
    /// `yes`, `depends` or `no`.
    #[schema(value_type = String)]
    works: Works,
    code: &'static str,
    message: String,
}

/// Whether to import or only to check.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// Change nothing; say of every device whether it will work unmodified.
    #[serde(default)]
    check: bool,
}

/// Imports products and devices; the same rows again change nothing.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/import",
    tag = "import",
    params(("project_id" = String, Path), ImportQuery),
    request_body = FleetBody,
    security(("token" = ["operator"])),
    responses((status = 200, body = ImportView), (status = "4XX", body = NorthError)),
)]
async fn import(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<ImportQuery>,
    Body(body): Body<FleetBody>,
) -> Result<Json<ImportView>, Failure> {
    if body.version.is_some_and(|version| version != VERSION) {
        return Err(Failure::new("import.unreadable", format!("version: only {VERSION} is known")));
    }
    let fleet = Fleet { products: body.products, devices: body.devices };
    let (report, checks) = match query.check {
        true => {
            let (report, checks) = platform.check_fleet(&caller.space, &fleet).await?;
            (report, Some(checks))
        }
        false => (platform.import(&caller.space, fleet).await?, None),
    };
    let errors = report.errors.into_iter().map(|error| RowErrorView {
        line: error.line,
        code: error.code,
        message: error.message,
    });
    let checks = checks.map(|rows| {
        let view = |row: crate::service::FleetCheck| CheckView {
            line: row.line,
            product: row.product,
            device: row.device,
            works: row.works,
            code: row.code,
            message: row.message,
        };
        rows.into_iter().map(view).collect()
    });
    Ok(Json(ImportView {
        products: report.products.into(),
        devices: report.devices.into(),
        errors: errors.collect(),
        checks,
    }))
}
