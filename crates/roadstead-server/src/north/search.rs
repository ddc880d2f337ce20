//! `/search/query-devices`: devices by a search text.
//!
//! Source: Huawei §9.3; models `SearchSql`, `SearchDevicesResponse`. The language is that of
//! [`roadstead_core::search`]; a search without `limit` shows 10 devices.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use roadstead_core::device::Status;
use roadstead_core::port::{DeviceFilter, Page, marker};
use roadstead_core::search::{self, node_type};
use roadstead_core::space::Space;
use roadstead_core::{Map, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::Body;
use super::failure::{Failure, NorthError};
use super::scope;
use crate::service::{Caller, DeviceView, Error, Platform};

/// Devices of one answer, when the search says nothing and at the most; the largest offset.
const LIMIT: u32 = 10;
const LIMIT_MAX: u32 = 50;
const OFFSET_MAX: u32 = 500;

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new().routes(routes!(query_devices))
}

/// A search.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SearchBody {
    /// `select * from device where … [order by …] [limit [offset,] count]`.
    sql: String,
}

/// A device that was found.
#[derive(Serialize, ToSchema)]
struct FoundDevice {
    app_id: String,
    app_name: String,
    device_id: String,
    node_id: String,
    /// Its gateway; itself for a device that connects directly.
    gateway_id: String,
    device_name: String,
    node_type: &'static str,
    fw_version: String,
    sw_version: String,
    device_sdk_version: String,
    product_id: String,
    product_name: String,
    /// Names of its static groups, by id.
    #[schema(value_type = Object)]
    groups: Map<String, Value>,
    #[schema(value_type = String)]
    status: Status,
    /// Values by key.
    #[schema(value_type = Object)]
    tags: Map<String, Value>,
    marker: String,
}

/// What was found.
#[derive(Serialize, ToSchema)]
struct FoundDevices {
    devices: Vec<FoundDevice>,
    /// All that match; counting stops at 10 000.
    count: u64,
}

/// Finds devices by a search over their fields, tags and groups.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/search/query-devices",
    tag = "devices",
    params(("project_id" = String, Path)),
    request_body = SearchBody,
    security(("token" = ["viewer"])),
    responses((status = 200, body = FoundDevices), (status = "4XX", body = NorthError)),
)]
async fn query_devices(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<SearchBody>,
) -> Result<Json<FoundDevices>, Failure> {
    let search = search::parse(&body.sql).map_err(Error::from)?;
    let limit = search.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) || search.offset > OFFSET_MAX {
        let rule = format!("limit: 1 to {LIMIT_MAX} after an offset of at most {OFFSET_MAX}");
        return Err(Failure::bad(rule));
    }
    let space = scope(&platform, &caller, None).await?;
    let filter = DeviceFilter {
        condition: search.condition,
        order: search.order,
        ..DeviceFilter::default()
    };
    let page = Page { after: None, offset: search.offset, limit };
    let listing = platform.devices(&space.id, &filter, &page).await?;
    let mut devices = Vec::with_capacity(listing.items.len());
    for view in &listing.items {
        devices.push(describe(&platform, &space, view).await?);
    }
    Ok(Json(FoundDevices { devices, count: listing.total }))
}

async fn describe(
    platform: &Platform,
    space: &Space,
    view: &DeviceView,
) -> Result<FoundDevice, Failure> {
    let device = &view.device;
    let store = platform.store();
    let product = store.product(&device.product).await?;
    let groups = store.groups_of(&device.id).await?;
    let told =
        |key: &str| device.info.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let text = |text: &str| Value::from(text);
    Ok(FoundDevice {
        app_id: space.id.to_string(),
        app_name: space.name.to_string(),
        device_id: device.id.to_string(),
        node_id: device.node.to_string(),
        gateway_id: device.gateway.as_ref().unwrap_or(&device.id).to_string(),
        device_name: device.name.to_string(),
        node_type: node_type(device),
        fw_version: told("fw_version"),
        sw_version: told("sw_version"),
        device_sdk_version: told("device_sdk_version"),
        product_id: device.product.to_string(),
        product_name: product.map_or_else(String::new, |product| product.name.to_string()),
        groups: groups.iter().map(|g| (g.id.to_string(), text(&g.name))).collect(),
        status: view.status(),
        tags: device.tags.iter().map(|(key, value)| (key.to_string(), text(value))).collect(),
        marker: marker(device.number),
    })
}
