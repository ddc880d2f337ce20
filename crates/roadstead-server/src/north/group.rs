//! `/device-group`: groups, static and dynamic, and who is in them.
//!
//! Source: Huawei §9.7; models `AddDeviceGroupDTO`, `ListDeviceGroupsResponse`,
//! `ShowDevicesInGroupResponse`.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::group::{Group, Kind};
use roadstead_core::port::{GroupFilter, GroupPatch, marker};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id, Paging, Params};
use super::failure::{Failure, NorthError};
use super::view::parse_when;
use super::{PageView, scope};
use crate::service::{Caller, DeviceView, NewGroup, Platform};

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(list_groups, create_group))
        .routes(routes!(show_group, update_group, delete_group))
        .routes(routes!(group_devices))
        .routes(routes!(group_action))
}

/// A group to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GroupToCreate {
    /// 1 to 64 characters, unique in the space.
    name: String,
    description: Option<String>,
    /// The group above it.
    super_group_id: Option<String>,
    /// Its space; the project's when absent.
    app_id: Option<String>,
    /// `STATIC` when absent.
    #[schema(value_type = Option<String>)]
    group_type: Option<Kind>,
    /// Of a `DYNAMIC` group: what stands after `where` in a search.
    dynamic_group_rule: Option<String>,
}

/// A group without its rule.
#[derive(Serialize, ToSchema)]
pub(super) struct GroupSummary {
    group_id: String,
    name: String,
    description: String,
    super_group_id: Option<String>,
    /// `STATIC` or `DYNAMIC`.
    #[schema(value_type = String)]
    group_type: Kind,
}

impl From<&Group> for GroupSummary {
    fn from(group: &Group) -> Self {
        Self {
            group_id: group.id.to_string(),
            name: group.name.to_string(),
            description: group.description.to_string(),
            super_group_id: group.parent.as_ref().map(ToString::to_string),
            group_type: group.kind,
        }
    }
}

/// A group.
#[derive(Serialize, ToSchema)]
struct GroupView {
    #[serde(flatten)]
    summary: GroupSummary,
    dynamic_group_rule: Option<String>,
}

impl From<&Group> for GroupView {
    fn from(group: &Group) -> Self {
        let dynamic_group_rule = group.rule.as_deref().map(Into::into);
        Self { summary: group.into(), dynamic_group_rule }
    }
}

/// A page of groups.
#[derive(Serialize, ToSchema)]
struct GroupPage {
    device_groups: Vec<GroupSummary>,
    page: PageView,
}

/// Which groups; all given conditions hold.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct GroupQuery {
    /// Changed then or later: `20261121T003818Z`.
    last_modified_time: Option<String>,
    /// Of this space; the project's when absent.
    app_id: Option<String>,
    /// `STATIC` or `DYNAMIC`.
    #[param(value_type = Option<String>)]
    group_type: Option<Kind>,
    /// With this text in the name.
    name: Option<String>,
}

/// Lists groups, newest first.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/device-group",
    tag = "groups",
    params(("project_id" = String, Path), GroupQuery, Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = GroupPage), (status = "4XX", body = NorthError)),
)]
async fn list_groups(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<GroupQuery>,
    Params(paging): Params<Paging>,
) -> Result<Json<GroupPage>, Failure> {
    let space = scope(&platform, &caller, query.app_id.as_deref()).await?;
    let changed_from =
        match query.last_modified_time.as_deref() {
            None | Some("") => None,
            Some(text) => Some(parse_when(text).ok_or_else(|| {
                Failure::bad("last_modified_time: a date such as 20261121T003818Z")
            })?),
        };
    let name = query.name.filter(|name| !name.is_empty()).map(Into::into);
    let filter = GroupFilter { name, kind: query.group_type, changed_from };
    let listing = platform.groups(&space.id, &filter, &paging.newest()?).await?;
    let last = listing.items.last().map(|group| marker(group.number));
    let page = PageView::new(listing.total, last.as_deref());
    let device_groups = listing.items.iter().map(GroupSummary::from).collect();
    Ok(Json(GroupPage { device_groups, page }))
}

/// Creates a group.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/device-group",
    tag = "groups",
    params(("project_id" = String, Path)),
    request_body = GroupToCreate,
    security(("token" = ["operator"])),
    responses((status = 201, body = GroupView), (status = "4XX", body = NorthError)),
)]
async fn create_group(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<GroupToCreate>,
) -> Result<(StatusCode, Json<GroupView>), Failure> {
    let space = scope(&platform, &caller, body.app_id.as_deref()).await?;
    let rule = body.dynamic_group_rule.filter(|rule| !rule.trim().is_empty());
    match (body.group_type.unwrap_or_default(), &rule) {
        (Kind::Static, Some(_)) => {
            return Err(Failure::bad("dynamic_group_rule: a STATIC group has none"));
        }
        (Kind::Dynamic, None) => {
            return Err(Failure::bad("dynamic_group_rule: a DYNAMIC group needs one"));
        }
        (Kind::Static, None) | (Kind::Dynamic, Some(_)) => {}
    }
    let parent = body.super_group_id.filter(|id| !id.is_empty());
    let new = NewGroup {
        name: body.name,
        description: body.description.unwrap_or_default(),
        parent: parent.map(|id| id.as_str().into()),
        rule,
    };
    let group = platform.create_group(&space.id, new).await?;
    Ok((StatusCode::CREATED, Json(GroupView::from(&group))))
}

/// Shows a group.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/device-group/{group_id}",
    tag = "groups",
    params(("project_id" = String, Path), ("group_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = GroupView), (status = "4XX", body = NorthError)),
)]
async fn show_group(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<GroupView>, Failure> {
    let group = platform.group(&caller.space, &id.as_str().into()).await?;
    Ok(Json(GroupView::from(&group)))
}

/// What to change; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GroupPatchBody {
    name: Option<String>,
    description: Option<String>,
}

/// Changes name and description of a group.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/device-group/{group_id}",
    tag = "groups",
    params(("project_id" = String, Path), ("group_id" = String, Path)),
    request_body = GroupPatchBody,
    security(("token" = ["operator"])),
    responses((status = 200, body = GroupView), (status = "4XX", body = NorthError)),
)]
async fn update_group(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<GroupPatchBody>,
) -> Result<Json<GroupView>, Failure> {
    let patch = GroupPatch {
        name: body.name.map(Into::into),
        description: body.description.map(Into::into),
    };
    let group = platform.update_group(&caller.space, &id.as_str().into(), patch).await?;
    Ok(Json(GroupView::from(&group)))
}

/// Deletes a group without sub-groups; its devices stay.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/device-group/{group_id}",
    tag = "groups",
    params(("project_id" = String, Path), ("group_id" = String, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_group(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.delete_group(&caller.space, &id.as_str().into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A device as groups show it.
#[derive(Serialize, ToSchema)]
struct MemberView {
    device_id: String,
    node_id: String,
    device_name: String,
    product_id: String,
}

impl From<&DeviceView> for MemberView {
    fn from(view: &DeviceView) -> Self {
        let device = &view.device;
        Self {
            device_id: device.id.to_string(),
            node_id: device.node.to_string(),
            device_name: device.name.to_string(),
            product_id: device.product.to_string(),
        }
    }
}

/// A page of the devices of a group.
#[derive(Serialize, ToSchema)]
struct MemberPage {
    devices: Vec<MemberView>,
    page: PageView,
}

/// Lists the devices of a group, newest first.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/device-group/{group_id}/devices",
    tag = "groups",
    params(("project_id" = String, Path), ("group_id" = String, Path), Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = MemberPage), (status = "4XX", body = NorthError)),
)]
async fn group_devices(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(paging): Params<Paging>,
) -> Result<Json<MemberPage>, Failure> {
    let page = paging.newest()?;
    let listing = platform.group_devices(&caller.space, &id.as_str().into(), &page).await?;
    let last = listing.items.last().map(|view| marker(view.device.number));
    let page = PageView::new(listing.total, last.as_deref());
    Ok(Json(MemberPage { devices: listing.items.iter().map(MemberView::from).collect(), page }))
}

/// What to do with which device.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct MemberQuery {
    /// `addDevice` or `removeDevice`.
    action_id: String,
    device_id: String,
}

/// Puts a device into a static group or takes it out.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/device-group/{group_id}/action",
    tag = "groups",
    params(("project_id" = String, Path), ("group_id" = String, Path), MemberQuery),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn group_action(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<MemberQuery>,
) -> Result<StatusCode, Failure> {
    let (group, device) = (id.as_str().into(), query.device_id.as_str().into());
    match &*query.action_id {
        "addDevice" => platform.add_member(&caller.space, &group, &device).await?,
        "removeDevice" => platform.remove_member(&caller.space, &group, &device).await?,
        _ => return Err(Failure::bad("action_id: addDevice or removeDevice")),
    }
    Ok(StatusCode::NO_CONTENT)
}
