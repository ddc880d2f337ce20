//! `/dialects` and `/errors`: what this server speaks, and what its codes mean. Additions to v5.

use std::sync::Arc;

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::failure::{NorthError, wire};
use crate::service::Platform;

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new().routes(routes!(list_dialects)).routes(routes!(list_errors))
}

/// A dialect of this server.
#[derive(Serialize, ToSchema)]
struct DialectView {
    /// Name in products and fleet files.
    dialect: &'static str,
    /// The name people know it by.
    title: &'static str,
}

#[derive(Serialize, ToSchema)]
struct DialectList {
    dialects: Vec<DialectView>,
}

/// Lists the dialects of this server.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/dialects",
    tag = "reference",
    params(("project_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = DialectList), (status = "4XX", body = NorthError)),
)]
async fn list_dialects() -> Json<DialectList> {
    let view = |dialect: &&'static dyn roadstead_dialects::Dialect| DialectView {
        dialect: dialect.id(),
        title: dialect.title(),
    };
    Json(DialectList { dialects: roadstead_dialects::ALL.iter().map(view).collect() })
}

/// What a code means.
#[derive(Serialize, ToSchema)]
struct CodeView {
    /// Our stable code.
    code: &'static str,
    /// The number of the northbound API.
    error_code: &'static str,
    meaning: &'static str,
    /// The usual cause.
    cause: &'static str,
    /// What to do.
    remedy: &'static str,
}

#[derive(Serialize, ToSchema)]
struct CodeList {
    errors: Vec<CodeView>,
}

/// Lists every failure code with its cause and remedy.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/errors",
    tag = "reference",
    params(("project_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = CodeList), (status = "4XX", body = NorthError)),
)]
async fn list_errors() -> Json<CodeList> {
    let view = |info: &'static roadstead_core::code::Info| CodeView {
        code: info.code,
        error_code: wire(info.code).number,
        meaning: info.meaning,
        cause: info.cause,
        remedy: info.remedy,
    };
    Json(CodeList { errors: roadstead_core::code::ALL.iter().map(view).collect() })
}
