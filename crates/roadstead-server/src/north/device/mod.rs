//! `/devices`: create, list, show, change, delete. What lets a device in is in [`access`].
//!
//! Source: Huawei §9.3; models `AddDevice`, `ShowDeviceResponse`, `QueryDeviceSimplify`.
//! Additions to v5: `dialect`, and connection times in lists.

mod access;

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::device::{Access, Device, Fingerprint, Status};
use roadstead_core::limit::ID_BYTES_MAX;
use roadstead_core::port::{DeviceFilter, marker};
use roadstead_core::product::{Auth, Product};
use roadstead_core::space::Space;
use roadstead_core::user::Role;
use roadstead_core::{Map, Secret, Timestamp, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id, Paging, Params};
use super::failure::{Failure, NorthError};
use super::view::{compact, parse_when};
use super::{AppQuery, PageView, scope};
use crate::service::{Caller, DeviceChange, DeviceView, NewDevice, Platform};

/// Longest description, characters, and largest extension object, bytes of JSON (Huawei §9.3).
const DESCRIPTION_CHARS_MAX: usize = 2048;
const EXTENSION_BYTES_MAX: usize = 1024;
/// Longest time to the first log-in, seconds (Huawei §1).
const TIMEOUT_MAX: u32 = 2_147_483_647;

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(list_devices, create_device))
        .routes(routes!(show_device, update_device, delete_device))
        .merge(access::routes())
}

/// A device to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeviceToCreate {
    /// Its id, at most 128 of `A-Z a-z 0-9 _ -`; `{product_id}_{node_id}` when absent.
    device_id: Option<String>,
    /// The vendor's name inside the product: DeviceName, node id or MAC.
    node_id: String,
    /// Display name; the node id when absent.
    device_name: Option<String>,
    product_id: String,
    auth_info: Option<NewAuth>,
    /// At most 2048 characters.
    description: Option<String>,
    /// The gateway it is attached to.
    gateway_id: Option<String>,
    /// The space of its product.
    app_id: Option<String>,
    /// At most 1 KB of JSON.
    #[schema(value_type = Option<Object>)]
    extension_info: Option<Map<String, Value>>,
    /// Values that are desired from the start.
    shadow: Option<Vec<InitialDesired>>,
}

/// Values of one service that are desired from the start.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct InitialDesired {
    service_id: String,
    #[schema(value_type = Object)]
    desired: Map<String, Value>,
}

/// How a new device proves who it is.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewAuth {
    /// `SECRET` or `CERTIFICATES`.
    auth_type: Option<String>,
    /// Device secret as the vendor shows it; made when absent.
    secret: Option<String>,
    /// A second secret with the same power.
    secondary_secret: Option<String>,
    /// SHA-1 or SHA-256 of the certificate, hex; without one that of the first log-in is kept.
    fingerprint: Option<String>,
    /// The same of a second certificate.
    secondary_fingerprint: Option<String>,
    /// Whether only encrypted connections are meant to be let in.
    secure_access: Option<bool>,
    /// Seconds to the first log-in, after which the device is deleted; 0 is for ever.
    timeout: Option<u32>,
}

/// How a device proves who it is.
#[derive(Serialize, ToSchema)]
struct AuthInfo {
    /// `SECRET` or `CERTIFICATES`.
    auth_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secondary_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secondary_fingerprint: Option<String>,
    secure_access: bool,
    /// Seconds to the first log-in; 0 is for ever.
    timeout: u32,
}

/// One tag.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TagView {
    /// 1 to 64 characters.
    pub(super) tag_key: String,
    /// At most 128 characters.
    pub(super) tag_value: Option<String>,
}

/// A device.
#[derive(Serialize, ToSchema)]
struct DeviceBody {
    app_id: String,
    app_name: String,
    device_id: String,
    node_id: String,
    /// Its gateway; itself for a device that connects directly.
    gateway_id: String,
    device_name: String,
    /// `GATEWAY` for a device that connects directly, `ENDPOINT` for a sub-device.
    node_type: &'static str,
    description: String,
    fw_version: String,
    sw_version: String,
    device_sdk_version: String,
    /// Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_info: Option<AuthInfo>,
    product_id: String,
    product_name: String,
    /// `ONLINE`, `OFFLINE`, `INACTIVE` or `FROZEN`.
    #[schema(value_type = String)]
    status: Status,
    create_time: String,
    /// Start or end of the last session, RFC 3339.
    connection_status_update_time: Option<String>,
    /// First log-in.
    active_time: Option<String>,
    tags: Vec<TagView>,
    /// Firmware of its modules: the platform knows none. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    modules: Option<[(); 0]>,
    #[schema(value_type = Option<Object>)]
    extension_info: Option<Value>,
    /// The vendor whose language it speaks (addition to v5).
    dialect: String,
}

impl DeviceBody {
    fn new(view: &DeviceView, product: Option<&Product>, space: &Space) -> Self {
        let device = &view.device;
        let info =
            |key: &str| device.info.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let gateway = device.gateway.as_ref();
        let changed = match view.presence.online {
            true => view.presence.online_at,
            false => view.presence.offline_at,
        };
        Self {
            app_id: space.id.to_string(),
            app_name: (*space.name).into(),
            device_id: device.id.to_string(),
            node_id: (*device.node).into(),
            gateway_id: gateway.unwrap_or(&device.id).to_string(),
            device_name: (*device.name).into(),
            node_type: if gateway.is_some() { "ENDPOINT" } else { "GATEWAY" },
            description: info("description"),
            fw_version: info("fw_version"),
            sw_version: info("sw_version"),
            device_sdk_version: info("device_sdk_version"),
            auth_info: None,
            product_id: device.product.to_string(),
            product_name: product.map_or_else(String::new, |p| (*p.name).into()),
            status: view.status(),
            create_time: compact(device.created_at),
            connection_status_update_time: changed.as_ref().map(Timestamp::to_string),
            active_time: device.activated_at.as_ref().map(Timestamp::to_string),
            tags: tag_views(device),
            modules: None,
            extension_info: device.info.get("extension_info").cloned(),
            dialect: product.map_or_else(String::new, |p| (*p.dialect).into()),
        }
    }

    /// The whole device; its secret only to those who may change it.
    fn whole(view: &DeviceView, product: Option<&Product>, space: &Space, role: Role) -> Self {
        let device = &view.device;
        let by_certificate = product.is_some_and(|p| p.auth == Auth::Certificate);
        let shown = |secret: &Option<Secret>| {
            let secret = secret.as_ref().filter(|_| role >= Role::Operator);
            secret.and_then(|secret| secret.expose_text().map(Into::into))
        };
        let digest = |digest: &Option<Fingerprint>| digest.as_ref().map(Fingerprint::to_string);
        let auth_info = AuthInfo {
            auth_type: if by_certificate { "CERTIFICATES" } else { "SECRET" },
            secret: shown(&device.secret),
            secondary_secret: shown(&device.access.secondary_secret),
            fingerprint: digest(&device.fingerprint),
            secondary_fingerprint: digest(&device.access.secondary_fingerprint),
            secure_access: device.access.secure,
            timeout: device.access.register_within_s,
        };
        let body = Self::new(view, product, space);
        Self { auth_info: Some(auth_info), modules: Some([]), ..body }
    }
}

fn tag_views(device: &Device) -> Vec<TagView> {
    let tags = device.tags.iter();
    tags.map(|(key, value)| TagView {
        tag_key: key.to_string(),
        tag_value: Some(value.to_string()),
    })
    .collect()
}

/// A page of devices.
#[derive(Serialize, ToSchema)]
struct DevicePage {
    devices: Vec<DeviceBody>,
    page: PageView,
}

/// Which devices; all given conditions hold.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct DeviceQuery {
    /// Of this product.
    product_id: Option<String>,
    /// Behind this gateway.
    gateway_id: Option<String>,
    /// With this node id.
    node_id: Option<String>,
    /// With this text in its display name.
    device_name: Option<String>,
    /// With `gateway_id`: sub-devices of sub-devices, too; the setting `north.is_cascade_query` when absent.
    is_cascade_query: Option<bool>,
    /// Created then or later: `20261121T003818Z`.
    start_time: Option<String>,
    /// Created then or earlier.
    end_time: Option<String>,
    /// Of this space; the project's when absent.
    app_id: Option<String>,
    /// Owned by this user or shared with it (addition to v5).
    user_id: Option<String>,
}

/// Lists devices, newest first. The count is exact for a whole space, product or gateway, and
/// otherwise at most 10 000.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices",
    tag = "devices",
    params(("project_id" = String, Path), DeviceQuery, Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = DevicePage), (status = "4XX", body = NorthError)),
)]
async fn list_devices(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<DeviceQuery>,
    Params(paging): Params<Paging>,
) -> Result<Json<DevicePage>, Failure> {
    let space = scope(&platform, &caller, query.app_id.as_deref()).await?;
    let given = |text: &Option<String>| -> Option<Box<str>> {
        text.as_deref().filter(|text| !text.is_empty()).map(Into::into)
    };
    let (from, until) = range(query.start_time.as_deref(), query.end_time.as_deref())?;
    let gateway = given(&query.gateway_id);
    let default = platform.config().north.is_cascade_query;
    let filter = DeviceFilter {
        product: given(&query.product_id).map(|id| (&*id).into()),
        node: given(&query.node_id),
        cascade: gateway.is_some() && query.is_cascade_query.unwrap_or(default),
        gateway: gateway.map(|id| (&*id).into()),
        name: given(&query.device_name),
        created_from: from,
        created_until: until,
        user: given(&query.user_id).map(|id| (&*id).into()),
        ..DeviceFilter::default()
    };
    let listing = platform.devices(&space.id, &filter, &paging.newest()?).await?;
    let last = listing.items.last().map(|view| marker(view.device.number));
    let page = PageView::new(listing.total, last.as_deref());
    let mut devices = Vec::with_capacity(listing.items.len());
    for view in &listing.items {
        let product = platform.store().product(&view.device.product).await?;
        devices.push(DeviceBody::new(view, product.as_deref(), &space));
    }
    Ok(Json(DevicePage { devices, page }))
}

/// Creates a device. The answer holds its secret.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices",
    tag = "devices",
    params(("project_id" = String, Path)),
    request_body = DeviceToCreate,
    security(("token" = ["operator"])),
    responses((status = 201, body = DeviceBody), (status = "4XX", body = NorthError)),
)]
async fn create_device(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<DeviceToCreate>,
) -> Result<(StatusCode, Json<DeviceBody>), Failure> {
    let space = scope(&platform, &caller, body.app_id.as_deref()).await?;
    if body.node_id.is_empty() || body.node_id.len() > ID_BYTES_MAX {
        return Err(Failure::bad(format!("node_id: 1 to {ID_BYTES_MAX} bytes")));
    }
    check_id(body.device_id.as_deref())?;
    let info = descriptive(body.description, body.extension_info)?;
    let auth = body.auth_info.unwrap_or_default();
    let by_certificate = by_certificate(auth.auth_type.as_deref())?;
    let text = |text: Option<String>| text.filter(|text| !text.is_empty());
    let digest = |given: Option<String>| text(given).as_deref().map(fingerprint).transpose();
    let desired = body.shadow.unwrap_or_default().into_iter();
    let new = NewDevice {
        product: body.product_id,
        node: body.node_id,
        name: body.device_name,
        id: body.device_id,
        secret: text(auth.secret).map(Secret::from),
        make_secret: !by_certificate,
        fingerprint: digest(auth.fingerprint)?,
        gateway: text(body.gateway_id).map(|id| id.as_str().into()),
        info,
        access: Access {
            secondary_secret: text(auth.secondary_secret).map(Secret::from),
            secondary_fingerprint: digest(auth.secondary_fingerprint)?,
            secure: auth.secure_access.unwrap_or_default(),
            register_within_s: time_to_register(auth.timeout)?.unwrap_or_default(),
        },
        desired: desired.map(|wish| (wish.service_id, wish.desired)).collect(),
    };
    let device = platform.add_device(&space.id, new).await?;
    let shown = show(&platform, &space, device.id.as_str(), caller.role).await?;
    Ok((StatusCode::CREATED, shown))
}

/// Shows a device.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    security(("token" = ["viewer"])),
    responses((status = 200, body = DeviceBody), (status = "4XX", body = NorthError)),
)]
async fn show_device(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<Json<DeviceBody>, Failure> {
    let space = scope(&platform, &caller, None).await?;
    show(&platform, &space, &id, caller.role).await
}

/// What to change; absent fields stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DevicePatchBody {
    device_name: Option<String>,
    description: Option<String>,
    #[schema(value_type = Option<Object>)]
    extension_info: Option<Map<String, Value>>,
    auth_info: Option<AuthPatch>,
}

/// Terms of access to change.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AuthPatch {
    secure_access: Option<bool>,
    /// Seconds from creation to the first log-in; 0 is for ever.
    timeout: Option<u32>,
}

/// Changes name, descriptive fields and terms of access of a device.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/devices/{device_id}",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = DevicePatchBody,
    security(("token" = ["operator"])),
    responses((status = 200, body = DeviceBody), (status = "4XX", body = NorthError)),
)]
async fn update_device(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<DevicePatchBody>,
) -> Result<Json<DeviceBody>, Failure> {
    let space = scope(&platform, &caller, None).await?;
    let info = descriptive(body.description, body.extension_info)?;
    let auth = body.auth_info.unwrap_or_default();
    let change = DeviceChange {
        name: body.device_name,
        info: (!info.is_empty()).then_some(info),
        secure: auth.secure_access,
        register_within_s: time_to_register(auth.timeout)?,
    };
    platform.update_device(&space.id, &id.as_str().into(), change).await?;
    show(&platform, &space, &id, caller.role).await
}

/// Deletes a device with everything that is known of it. A gateway with sub-devices stays.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/devices/{device_id}",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path), AppQuery),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_device(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    platform.remove_device(&caller.space, &id.as_str().into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn show(
    platform: &Platform,
    space: &Space,
    id: &str,
    role: Role,
) -> Result<Json<DeviceBody>, Failure> {
    let view = platform.device(&space.id, &id.into()).await?;
    let product = platform.store().product(&view.device.product).await?;
    Ok(Json(DeviceBody::whole(&view, product.as_deref(), space, role)))
}

/// Returns the descriptive fields as the device's information keeps them.
fn descriptive(
    description: Option<String>,
    extension: Option<Map<String, Value>>,
) -> Result<Map<String, Value>, Failure> {
    let mut info = Map::new();
    if let Some(text) = description {
        if text.chars().count() > DESCRIPTION_CHARS_MAX {
            let rule = format!("description: at most {DESCRIPTION_CHARS_MAX} characters");
            return Err(Failure::bad(rule));
        }
        info.insert("description".into(), text.into());
    }
    if let Some(object) = extension {
        let object = Value::Object(object);
        if object.to_string().len() > EXTENSION_BYTES_MAX {
            return Err(Failure::bad(format!(
                "extension_info: at most {EXTENSION_BYTES_MAX} bytes"
            )));
        }
        info.insert("extension_info".into(), object);
    }
    Ok(info)
}

/// Reads the digest of a certificate.
fn fingerprint(text: &str) -> Result<Fingerprint, Failure> {
    Fingerprint::parse(text)
        .ok_or_else(|| Failure::bad("fingerprint: 40 hex digits of SHA-1 or 64 of SHA-256"))
}

fn check_id(id: Option<&str>) -> Result<(), Failure> {
    let Some(id) = id else { return Ok(()) };
    let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(letter) {
        return Ok(());
    }
    let rule = format!("device_id: 1 to {ID_BYTES_MAX} letters, digits, `_` or `-`");
    Err(Failure::bad(rule))
}

fn by_certificate(kind: Option<&str>) -> Result<bool, Failure> {
    match kind {
        None | Some("" | "SECRET") => Ok(false),
        Some("CERTIFICATES") => Ok(true),
        Some(_) => Err(Failure::bad("auth_info.auth_type: SECRET or CERTIFICATES")),
    }
}

fn time_to_register(seconds: Option<u32>) -> Result<Option<u32>, Failure> {
    match seconds {
        Some(seconds) if seconds > TIMEOUT_MAX => {
            Err(Failure::bad(format!("auth_info.timeout: 0 to {TIMEOUT_MAX}")))
        }
        seconds => Ok(seconds),
    }
}

/// Reads a range of dates.
fn range(
    from: Option<&str>,
    until: Option<&str>,
) -> Result<(Option<Timestamp>, Option<Timestamp>), Failure> {
    let read = |name: &str, text: Option<&str>| match text.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => match parse_when(text) {
            Some(at) => Ok(Some(at)),
            None => Err(Failure::bad(format!("{name}: a date such as 20261121T003818Z"))),
        },
    };
    let (from, until) = (read("start_time", from)?, read("end_time", until)?);
    match (from, until) {
        (Some(from), Some(until)) if from >= until => {
            Err(Failure::bad("start_time: before end_time"))
        }
        range => Ok(range),
    }
}
