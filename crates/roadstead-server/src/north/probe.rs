//! Probes and documents for machines: `/healthz`, `/readyz`, `/metrics`, `/openapi.json`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::header::{CONTENT_TYPE, HeaderName};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::failure::{Failure, NorthError};
use crate::service::Platform;

/// A client identifier that no client has: forgetting it writes to the store and changes nothing.
const NOBODY: &str = "$probe";

/// What the process knows of itself and the API does not.
pub struct Probes {
    /// True when every configured listener accepts.
    pub ready: Box<dyn Fn() -> bool + Send + Sync>,
    /// Returns the metrics in the Prometheus text format.
    pub metrics: Box<dyn Fn() -> String + Send + Sync>,
}

/// Returns the probes.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(metrics))
        .routes(routes!(document))
}

/// The server is ready.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`.
    status: &'static str,
}

/// Says whether the server is ready: listeners accept and the store takes writes.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "probes",
    security(()),
    responses((status = 200, body = Health), (status = 503, body = NorthError)),
)]
async fn healthz(
    State(platform): State<Arc<Platform>>,
    Extension(probes): Extension<Arc<Probes>>,
) -> Result<Json<Health>, Failure> {
    check(&platform, &probes).await
}

/// The same as `/healthz`.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "probes",
    security(()),
    responses((status = 200, body = Health), (status = 503, body = NorthError)),
)]
async fn readyz(
    State(platform): State<Arc<Platform>>,
    Extension(probes): Extension<Arc<Probes>>,
) -> Result<Json<Health>, Failure> {
    check(&platform, &probes).await
}

async fn check(platform: &Platform, probes: &Probes) -> Result<Json<Health>, Failure> {
    if !(probes.ready)() {
        return Err(Failure::new("internal.overload", "a listener does not accept"));
    }
    platform.store().unpark(NOBODY).await.map_err(|error| {
        tracing::error!(%error, "the store takes no writes");
        Failure::new("internal.overload", "the store takes no writes")
    })?;
    Ok(Json(Health { status: "ok" }))
}

/// Returns the metrics in the Prometheus text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "probes",
    security(()),
    responses((status = 200, body = String, content_type = "text/plain")),
)]
async fn metrics(
    Extension(probes): Extension<Arc<Probes>>,
) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (probes.metrics)())
}

/// Returns this document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "probes",
    security(()),
    responses((status = 200, body = Object)),
)]
async fn document(Extension(document): Extension<Arc<Value>>) -> Json<Value> {
    Json(Value::clone(&document))
}
