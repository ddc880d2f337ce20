//! `/bindings`: who owns which device, as operators see and end it. An addition to v5.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id, Paging, Params};
use super::failure::{Failure, NorthError};
use super::view::BindingView;
use super::{PageView, device_in};
use crate::service::{Caller, Platform};

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(list_bindings, create_binding))
        .routes(routes!(show_binding, delete_binding))
}

/// A page of bindings.
#[derive(Serialize, ToSchema)]
struct BindingPage {
    bindings: Vec<BindingView>,
    page: PageView,
}

/// Which bindings.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct BindingQuery {
    /// Of this device, owner first; not paged.
    device_id: Option<String>,
}

/// Lists bindings.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/bindings",
    tag = "bindings",
    params(("project_id" = String, Path), BindingQuery, Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = BindingPage), (status = "4XX", body = NorthError)),
)]
async fn list_bindings(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<BindingQuery>,
    Params(paging): Params<Paging>,
) -> Result<Json<BindingPage>, Failure> {
    let (items, total) = match query.device_id {
        Some(device) => {
            let device = device.as_str().into();
            device_in(&platform, &caller, &device).await?;
            let items = platform.store().bindings_of_device(&device).await?;
            let total = items.len() as u64;
            (items, total)
        }
        None => {
            let listing = platform.bindings_in(&caller.space, &paging.page()?).await?;
            (listing.items, listing.total)
        }
    };
    let page = PageView::new(total, items.last().map(|binding| binding.id.as_str()));
    Ok(Json(BindingPage { bindings: items.iter().map(BindingView::from).collect(), page }))
}

/// A binding to make: either with a bind token, for the caller itself, or by giving a device to a
/// user.
#[derive(Deserialize, ToSchema)]
struct NewBinding {
    /// The token that the device reported.
    token: Option<String>,
    /// Product of the device; needed with a token that several devices may know.
    product: Option<String>,
    /// Node id of the device.
    device: Option<String>,
    /// The device to give; a bound one is handed over.
    device_id: Option<String>,
    /// Its new owner.
    username: Option<String>,
}

/// Binds with a token, or gives a device to a user.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/bindings",
    tag = "bindings",
    params(("project_id" = String, Path)),
    request_body = NewBinding,
    security(("token" = ["operator"])),
    responses((status = 201, body = BindingView), (status = "4XX", body = NorthError)),
)]
async fn create_binding(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(new): Body<NewBinding>,
) -> Result<(StatusCode, Json<BindingView>), Failure> {
    let binding = match (&new.token, &new.device_id, &new.username) {
        (Some(token), None, None) => {
            let device = new.product.as_deref().zip(new.device.as_deref());
            platform.bind(&caller, token, device).await?
        }
        (None, Some(device), Some(username)) => {
            platform.give(&caller, &device.as_str().into(), username).await?
        }
        _ => return Err(Failure::bad("either token, or device_id and username")),
    };
    Ok((StatusCode::CREATED, Json(BindingView::from(&binding))))
}

/// Shows a binding.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/bindings/{binding_id}",
    tag = "bindings",
    params(("project_id" = String, Path), ("binding_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = BindingView), (status = "4XX", body = NorthError)),
)]
async fn show_binding(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<BindingView>, Failure> {
    let binding = platform.binding(&caller, &id.as_str().into()).await?;
    Ok(Json(BindingView::from(&binding)))
}

/// Ends a binding; the owner's ends those of all guests.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/bindings/{binding_id}",
    tag = "bindings",
    params(("project_id" = String, Path), ("binding_id" = String, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_binding(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.end_binding(&caller, &id.as_str().into()).await?;
    Ok(StatusCode::NO_CONTENT)
}
