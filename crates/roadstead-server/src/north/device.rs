//! `/devices`: create, list, show, change, freeze, secrets and fingerprints.
//!
//! Source: Huawei §9.3; models `AddDevice`, `ShowDeviceResponse`, `QueryDeviceSimplify`.
//! Additions to v5: `dialect`, and connection times in lists. Lists are ordered by device id.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use http::StatusCode;
use roadstead_core::device::{Fingerprint, Status};
use roadstead_core::limit::ID_BYTES_MAX;
use roadstead_core::port::{DeviceFilter, marker};
use roadstead_core::product::{Auth, Product};
use roadstead_core::space::Space;
use roadstead_core::user::Role;
use roadstead_core::{Map, Secret, SpaceId, Timestamp, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id, Paging, Params};
use super::failure::{Failure, NorthError};
use super::view::compact;
use super::{AppQuery, PageView, scope};
use crate::service::{Caller, DeviceView, NewDevice, Platform};

/// Longest description, bytes, and largest extension object, bytes of JSON (Huawei §9.3, with
/// room for UTF-8).
const DESCRIPTION_BYTES_MAX: usize = 8192;
const EXTENSION_BYTES_MAX: usize = 4096;

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(list_devices, create_device))
        .routes(routes!(show_device, update_device, delete_device))
        .routes(routes!(device_action))
        .routes(routes!(reset_fingerprint))
        .routes(routes!(freeze_device))
        .routes(routes!(unfreeze_device))
}

/// A device to create.
#[derive(Deserialize, ToSchema)]
struct DeviceToCreate {
    /// Its id; `{product_id}_{node_id}` when absent.
    device_id: Option<String>,
    /// The vendor's name inside the product: DeviceName, node id or MAC.
    node_id: String,
    /// Display name.
    device_name: Option<String>,
    product_id: String,
    auth_info: Option<AuthInfo>,
    description: Option<String>,
    /// The gateway it is attached to.
    gateway_id: Option<String>,
    /// The space of its product.
    app_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    extension_info: Option<Map<String, Value>>,
    /// Values that are desired from the start.
    shadow: Option<Vec<InitialDesired>>,
}

/// Values of one service that are desired from the start.
#[derive(Deserialize, ToSchema)]
struct InitialDesired {
    service_id: String,
    #[schema(value_type = Object)]
    desired: Map<String, Value>,
}

/// How a device proves who it is.
#[derive(Deserialize, Serialize, ToSchema)]
struct AuthInfo {
    /// `SECRET` or `CERTIFICATES`.
    auth_type: Option<String>,
    /// Device secret as the vendor shows it; made when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// SHA-1 or SHA-256 of the certificate, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Whether plain connections are refused; informative.
    #[serde(skip_serializing_if = "Option::is_none")]
    secure_access: Option<bool>,
    /// Seconds to the first log-in; informative.
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<i64>,
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
    #[schema(value_type = Vec<Object>)]
    tags: [(); 0],
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
            tags: [],
            extension_info: device.info.get("extension_info").cloned(),
            dialect: product.map_or_else(String::new, |p| (*p.dialect).into()),
        }
    }

    /// The whole device; its secret only to those who may change it.
    fn whole(view: &DeviceView, product: Option<&Product>, space: &Space, role: Role) -> Self {
        let device = &view.device;
        let by_certificate = product.is_some_and(|p| p.auth == Auth::Certificate);
        let secret = device.secret.as_ref().filter(|_| role >= Role::Operator);
        let auth_info = AuthInfo {
            auth_type: Some(if by_certificate { "CERTIFICATES" } else { "SECRET" }.into()),
            secret: secret.and_then(|s| s.expose_text().map(Into::into)),
            fingerprint: device.fingerprint.as_ref().map(Fingerprint::to_string),
            secure_access: Some(by_certificate),
            timeout: Some(0),
        };
        Self { auth_info: Some(auth_info), ..Self::new(view, product, space) }
    }
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
    /// With exactly this display name.
    device_name: Option<String>,
    /// Of this space; the project's when absent.
    app_id: Option<String>,
    /// Owned by this user or shared with it (addition to v5).
    user_id: Option<String>,
}

/// Lists devices, by id.
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
    let filter = DeviceFilter {
        product: query.product_id.as_deref().map(Into::into),
        node: query.node_id.as_deref().map(Into::into),
        gateway: query.gateway_id.as_deref().map(Into::into),
        name: query.device_name.as_deref().map(Into::into),
        user: query.user_id.as_deref().map(Into::into),
        ..DeviceFilter::default()
    };
    let listing = platform.devices(&space.id, &filter, &paging.page()?).await?;
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
    let info = descriptive(body.description, body.extension_info)?;
    let auth = body.auth_info.as_ref();
    let by_certificate = auth.is_some_and(|a| a.auth_type.as_deref() == Some("CERTIFICATES"));
    let fingerprint = auth.and_then(|a| a.fingerprint.as_deref()).map(fingerprint).transpose()?;
    let secret = auth.and_then(|a| a.secret.clone()).filter(|text| !text.is_empty());
    let new = NewDevice {
        product: body.product_id,
        node: body.node_id,
        name: body.device_name,
        id: body.device_id,
        secret: secret.map(Secret::from),
        make_secret: !by_certificate,
        fingerprint,
        gateway: body.gateway_id.as_deref().filter(|id| !id.is_empty()).map(Into::into),
        info,
    };
    let device = platform.create_device(&space.id, new).await?;
    for wish in body.shadow.into_iter().flatten() {
        platform.desire(&space.id, &device.id, &wish.service_id, wish.desired).await?;
    }
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
struct DevicePatchBody {
    device_name: Option<String>,
    description: Option<String>,
    #[schema(value_type = Option<Object>)]
    extension_info: Option<Map<String, Value>>,
}

/// Changes name and descriptive fields of a device.
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
    let info = (!info.is_empty()).then_some(info);
    platform.update_device(&space.id, &id.as_str().into(), body.device_name, info).await?;
    show(&platform, &space, &id, caller.role).await
}

/// Deletes a device with everything that is known of it.
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
    platform.delete_device(&caller.space, &id.as_str().into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which action.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ActionQuery {
    /// `resetSecret`, or `resetRegistration`: let an activated device register once more.
    action_id: String,
}

/// Details of `resetSecret`. A changed secret always ends the connection.
#[derive(Default, Deserialize, ToSchema)]
struct SecretReset {
    /// New secret as the vendor shows it; made when absent.
    secret: Option<String>,
    /// Accepted for compatibility.
    #[expect(dead_code, reason = "a changed secret always ends the connection")]
    force_disconnect: Option<bool>,
    /// `PRIMARY`; devices have one secret.
    secret_type: Option<String>,
}

/// The new secret.
#[derive(Serialize, ToSchema)]
struct SecretView {
    device_id: String,
    secret: Option<String>,
    secret_type: &'static str,
}

/// Resets the secret or the registration of a device; ends its connection.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/action",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path), ActionQuery),
    request_body = Option<SecretReset>,
    security(("token" = ["operator"])),
    responses((status = 200, body = SecretView), (status = "4XX", body = NorthError)),
)]
async fn device_action(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<ActionQuery>,
    body: Option<Body<SecretReset>>,
) -> Result<Json<SecretView>, Failure> {
    let device = id.as_str().into();
    let secret = match &*query.action_id {
        "resetSecret" => {
            let body = body.map(|Body(body)| body).unwrap_or_default();
            if body.secret_type.is_some_and(|kind| kind != "PRIMARY") {
                return Err(Failure::bad("secret_type: devices have one secret, PRIMARY"));
            }
            let asked = body.secret.filter(|text| !text.is_empty()).map(Secret::from);
            let made = platform.reset_secret(&caller.space, &device, asked).await?;
            made.expose_text().map(Into::into)
        }
        "resetRegistration" => {
            platform.reset_registration(&caller.space, &device).await?;
            None
        }
        _ => return Err(Failure::bad("action_id: resetSecret or resetRegistration")),
    };
    Ok(Json(SecretView { device_id: id, secret, secret_type: "PRIMARY" }))
}

/// The certificate of a device.
#[derive(Deserialize, ToSchema)]
struct FingerprintReset {
    /// SHA-1 or SHA-256 of the certificate, hex.
    fingerprint: Option<String>,
    /// Accepted for compatibility.
    #[expect(dead_code, reason = "a changed certificate always ends the connection")]
    force_disconnect: Option<bool>,
}

/// Registers the certificate of a device; ends its connection.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/reset-fingerprint",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = FingerprintReset,
    security(("token" = ["operator"])),
    responses((status = 200, body = DeviceBody), (status = "4XX", body = NorthError)),
)]
async fn reset_fingerprint(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<FingerprintReset>,
) -> Result<Json<DeviceBody>, Failure> {
    let text = body.fingerprint.ok_or_else(|| Failure::bad("fingerprint: missing"))?;
    let digest = fingerprint(&text)?;
    let space = scope(&platform, &caller, None).await?;
    platform.set_fingerprint(&space.id, &id.as_str().into(), digest).await?;
    show(&platform, &space, &id, caller.role).await
}

/// Freezes a device: it is disconnected and may not log in.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/freeze",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn freeze_device(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    freeze(&platform, &caller.space, &id, true).await
}

/// Lets a frozen device log in again.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/unfreeze",
    tag = "devices",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn unfreeze_device(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
) -> Result<StatusCode, Failure> {
    freeze(&platform, &caller.space, &id, false).await
}

async fn freeze(
    platform: &Platform,
    space: &SpaceId,
    id: &str,
    frozen: bool,
) -> Result<StatusCode, Failure> {
    platform.freeze_device(space, &id.into(), frozen).await?;
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
        if text.len() > DESCRIPTION_BYTES_MAX {
            return Err(Failure::bad(format!(
                "description: at most {DESCRIPTION_BYTES_MAX} bytes"
            )));
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

fn fingerprint(text: &str) -> Result<Fingerprint, Failure> {
    Fingerprint::parse(text)
        .ok_or_else(|| Failure::bad("fingerprint: 40 hex digits of SHA-1 or 64 of SHA-256"))
}
