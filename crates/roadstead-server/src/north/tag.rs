//! `/tags`: mark devices and find them by their marks.
//!
//! Source: Huawei §9.7; models `BindTagsDTO`, `UnbindTagsDTO`, `QueryResourceByTagsDTO`. The only
//! kind of resource is `device`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::device::Tags;
use roadstead_core::port::{DeviceFilter, marker};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::PageView;
use super::device::TagView;
use super::extract::{Body, Paging, Params};
use super::failure::{Failure, NorthError};
use crate::service::{Caller, Platform, check_tag};

/// Tags that one call names at the most.
const TAGS_PER_CALL_MAX: usize = 50;

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(bind_tags))
        .routes(routes!(unbind_tags))
        .routes(routes!(query_resources))
}

/// What a tag marks.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ResourceType {
    Device,
}

/// Tags to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TagsToBind {
    #[serde(rename = "resource_type")]
    _resource_type: ResourceType,
    /// Device id.
    resource_id: String,
    tags: Vec<TagView>,
}

/// Adds tags to a device; a key that it has gets the new value.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/tags/bind-resource",
    tag = "tags",
    params(("project_id" = String, Path)),
    request_body = TagsToBind,
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn bind_tags(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<TagsToBind>,
) -> Result<StatusCode, Failure> {
    few(body.tags.len())?;
    let mut tags = Tags::new();
    for TagView { tag_key, tag_value } in body.tags {
        if tags.insert(tag_key.into(), tag_value.unwrap_or_default().into()).is_some() {
            return Err(Failure::bad("tags: a key is named twice"));
        }
    }
    platform.bind_tags(&caller.space, &body.resource_id.as_str().into(), tags).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tags to take away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TagsToUnbind {
    #[serde(rename = "resource_type")]
    _resource_type: ResourceType,
    /// Device id.
    resource_id: String,
    tag_keys: Vec<String>,
}

/// Takes tags from a device; keys that it lacks do not matter.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/tags/unbind-resource",
    tag = "tags",
    params(("project_id" = String, Path)),
    request_body = TagsToUnbind,
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn unbind_tags(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<TagsToUnbind>,
) -> Result<StatusCode, Failure> {
    few(body.tag_keys.len())?;
    let keys = body.tag_keys.into_iter().map(Into::into).collect();
    platform.unbind_tags(&caller.space, &body.resource_id.as_str().into(), keys).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tags to look for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TagsToFind {
    #[serde(rename = "resource_type")]
    _resource_type: ResourceType,
    /// The device has every one of them; without `tag_value` any value does.
    tags: Vec<TagView>,
}

/// Something that has the tags.
#[derive(Serialize, ToSchema)]
struct ResourceView {
    /// Device id.
    resource_id: String,
}

/// A page of what has the tags.
#[derive(Serialize, ToSchema)]
struct ResourcePage {
    resources: Vec<ResourceView>,
    page: PageView,
}

/// Finds the devices that have every one of some tags, newest first.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/tags/query-resources",
    tag = "tags",
    params(("project_id" = String, Path), Paging),
    request_body = TagsToFind,
    security(("token" = ["viewer"])),
    responses((status = 200, body = ResourcePage), (status = "4XX", body = NorthError)),
)]
async fn query_resources(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(paging): Params<Paging>,
    Body(body): Body<TagsToFind>,
) -> Result<Json<ResourcePage>, Failure> {
    few(body.tags.len())?;
    for tag in &body.tags {
        check_tag(&tag.tag_key, tag.tag_value.as_deref())?;
    }
    let tag = |tag: TagView| (tag.tag_key.into(), tag.tag_value.map(Into::into));
    let tags = body.tags.into_iter().map(tag).collect();
    let filter = DeviceFilter { tags, ..DeviceFilter::default() };
    let listing = platform.devices(&caller.space, &filter, &paging.newest()?).await?;
    let last = listing.items.last().map(|view| marker(view.device.number));
    let page = PageView::new(listing.total, last.as_deref());
    let resource = |id: &dyn ToString| ResourceView { resource_id: id.to_string() };
    let resources = listing.items.iter().map(|view| resource(&view.device.id)).collect();
    Ok(Json(ResourcePage { resources, page }))
}

fn few(tags: usize) -> Result<(), Failure> {
    match (1..=TAGS_PER_CALL_MAX).contains(&tags) {
        true => Ok(()),
        false => Err(Failure::bad(format!("tags: 1 to {TAGS_PER_CALL_MAX}"))),
    }
}
