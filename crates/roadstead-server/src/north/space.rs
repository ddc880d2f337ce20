//! `/apps`: spaces, which v5 calls resource spaces. Administrators of the default space make and
//! enter others; everybody else sees the own one.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::limit::NAME_BYTES_MAX;
use roadstead_core::space::Space;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id, Params};
use super::failure::{Failure, NorthError};
use super::view::compact;
use crate::service::{Caller, Platform};

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(list_apps, create_app))
        .routes(routes!(show_app, update_app, delete_app))
}

/// A space.
#[derive(Serialize, ToSchema)]
struct AppView {
    /// Its id; also the project id of its API paths.
    app_id: String,
    /// Display name.
    app_name: String,
    /// When it was created.
    create_time: String,
    /// True for the space of the first start.
    default_app: bool,
}

impl From<&Space> for AppView {
    fn from(space: &Space) -> Self {
        Self {
            app_id: space.id.to_string(),
            app_name: (*space.name).into(),
            create_time: compact(space.created_at),
            default_app: space.is_default,
        }
    }
}

#[derive(Serialize, ToSchema)]
struct AppList {
    applications: Vec<AppView>,
}

/// Name of a space.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AppName {
    /// Display name, unique.
    app_name: String,
}

/// Which spaces.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct AppQuery {
    /// Only the default space, or all others.
    default_app: Option<bool>,
}

/// Lists the spaces that the caller may enter.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/apps",
    tag = "spaces",
    params(("project_id" = String, Path), AppQuery),
    security(("token" = ["viewer"])),
    responses((status = 200, body = AppList), (status = "4XX", body = NorthError)),
)]
async fn list_apps(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<AppQuery>,
) -> Result<Json<AppList>, Failure> {
    let spaces = platform.spaces(&caller).await?;
    let wanted = |space: &&Space| query.default_app.is_none_or(|flag| flag == space.is_default);
    let applications = spaces.iter().filter(wanted).map(AppView::from).collect();
    Ok(Json(AppList { applications }))
}

/// Creates a space.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/apps",
    tag = "spaces",
    params(("project_id" = String, Path)),
    request_body = AppName,
    security(("token" = ["admin"])),
    responses((status = 201, body = AppView), (status = "4XX", body = NorthError)),
)]
async fn create_app(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<AppName>,
) -> Result<(StatusCode, Json<AppView>), Failure> {
    let own = visible(&platform, &caller, caller.space.as_str()).await?;
    if !own.is_default {
        return Err(Failure::forbidden("spaces are made from the default space"));
    }
    let space = platform.create_space(&new.app_name).await?;
    Ok((StatusCode::CREATED, Json(AppView::from(&space))))
}

/// Shows a space.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/apps/{app_id}",
    tag = "spaces",
    params(("project_id" = String, Path), ("app_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = AppView), (status = "4XX", body = NorthError)),
)]
async fn show_app(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<AppView>, Failure> {
    Ok(Json(AppView::from(&visible(&platform, &caller, &id).await?)))
}

/// Renames a space.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/apps/{app_id}",
    tag = "spaces",
    params(("project_id" = String, Path), ("app_id" = String, Path)),
    request_body = AppName,
    security(("token" = ["admin"])),
    responses((status = 200, body = AppView), (status = "4XX", body = NorthError)),
)]
async fn update_app(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(new): Body<AppName>,
) -> Result<Json<AppView>, Failure> {
    let space = visible(&platform, &caller, &id).await?;
    let name = new.app_name.trim();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Failure::bad(format!("app_name: 1 to {NAME_BYTES_MAX} bytes")));
    }
    platform.store().rename_space(&space.id, name).await?;
    Ok(Json(AppView::from(&Space { name: name.into(), ..space })))
}

/// Deletes an empty space; the default one stays.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/apps/{app_id}",
    tag = "spaces",
    params(("project_id" = String, Path), ("app_id" = String, Path)),
    security(("token" = ["admin"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_app(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    let space = visible(&platform, &caller, &id).await?;
    if space.is_default {
        return Err(Failure::new("api.conflict", "the default space stays"));
    }
    platform.store().delete_space(&space.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns a space that the caller may enter.
pub(super) async fn visible(
    platform: &Platform,
    caller: &Caller,
    id: &str,
) -> Result<Space, Failure> {
    let spaces = platform.spaces(caller).await?;
    let found = spaces.into_iter().find(|space| space.id.as_str() == id);
    found.ok_or_else(|| Failure::not_found("space", id))
}
