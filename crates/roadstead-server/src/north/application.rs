//! `/applications`: ids and secrets of the programs that a vendor's cloud let in: phone
//! applications, and enterprises that receive the events of a product. An addition to v5.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id};
use super::failure::{Failure, NorthError};
use super::view::compact;
use crate::service::{ApplicationView as Registered, Caller, NewApplication, Platform};

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(list_applications, create_application))
        .routes(routes!(delete_application))
}

/// An application.
#[derive(Serialize, ToSchema)]
struct ApplicationView {
    /// Its id, as the vendor calls it.
    application_id: String,
    /// Display name.
    name: String,
    /// The product whose events it receives; absent for a phone application.
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<String>,
    /// Its secret; shown once, when it is registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// When it was registered.
    create_time: String,
}

impl ApplicationView {
    fn new(registered: &Registered, with_secret: bool) -> Self {
        let Registered { application, name, created_at } = registered;
        let secret = application.secret.expose_text().filter(|_| with_secret);
        Self {
            application_id: application.id.to_string(),
            name: name.clone(),
            product_id: application.product.as_ref().map(ToString::to_string),
            secret: secret.map(Into::into),
            create_time: compact(*created_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct ApplicationList {
    applications: Vec<ApplicationView>,
}

/// Lists the applications of the space without their secrets.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/applications",
    tag = "users",
    params(("project_id" = String, Path)),
    security(("token" = ["admin"])),
    responses((status = 200, body = ApplicationList), (status = "4XX", body = NorthError)),
)]
async fn list_applications(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ApplicationList>, Failure> {
    let found = platform.applications(&caller.space).await?;
    let applications = found.iter().map(|one| ApplicationView::new(one, false)).collect();
    Ok(Json(ApplicationList { applications }))
}

/// An application to register.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApplicationToCreate {
    /// The id that it is built with; a fresh one is made when it is absent.
    application_id: Option<String>,
    /// The secret that it is built with; a fresh one is made when it is absent.
    secret: Option<String>,
    /// Display name.
    #[serde(default)]
    name: String,
    /// The product whose events it receives; absent for a phone application.
    product_id: Option<String>,
}

/// Registers an application; the answer is the only one that shows its secret.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/applications",
    tag = "users",
    params(("project_id" = String, Path)),
    request_body = ApplicationToCreate,
    security(("token" = ["admin"])),
    responses((status = 201, body = ApplicationView), (status = "4XX", body = NorthError)),
)]
async fn create_application(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<ApplicationToCreate>,
) -> Result<(StatusCode, Json<ApplicationView>), Failure> {
    let new = NewApplication {
        id: new.application_id,
        secret: new.secret.map(Secret::from),
        name: new.name,
        product: new.product_id,
    };
    let made = platform.create_application(&caller.space, new).await?;
    Ok((StatusCode::CREATED, Json(ApplicationView::new(&made, true))))
}

/// Forgets an application: it opens nothing from then on. Its users stay.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/applications/{application_id}",
    tag = "users",
    params(("project_id" = String, Path), ("application_id" = String, Path)),
    security(("token" = ["admin"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_application(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.delete_application(&caller.space, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
