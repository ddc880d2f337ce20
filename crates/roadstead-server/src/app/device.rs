//! The caller's devices: list, show, control.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use roadstead_core::binding::BindingRole;
use roadstead_core::command::CommandError;
use roadstead_core::device::Status;
use roadstead_core::limit::PAGE_ITEMS_MAX;
use roadstead_core::port::{DeviceFilter, Page};
use roadstead_core::product::{DEFAULT_SERVICE, Model};
use roadstead_core::{DeviceId, Map, Timestamp, Value};
use roadstead_dialects::capability::{ServiceCapability, write_model};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::north::extract::Body;
use crate::north::failure::{AppError, Failure};
use crate::north::view::{DeviceAnswer, ShadowService, shadow_services};
use crate::north::{command_failure, product_of, send_command, set};
use crate::service::{Caller, DeviceView, Platform};

/// Returns the operations.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(app_list_devices))
        .routes(routes!(app_show_device))
        .routes(routes!(app_set_properties))
        .routes(routes!(app_send_command))
        .routes(routes!(app_local_key))
}

/// What a phone opens local control of a device with, without the platform in between.
#[derive(Serialize, ToSchema)]
struct AppLocalKey {
    /// Names the key.
    access_key: String,
    /// Proves it; keep it as safe as a password.
    access_token: String,
}

/// Returns the key of local control of one of the caller's devices, for vendors that have it.
#[utoipa::path(
    get,
    path = "/app/v1/devices/{device_id}/local-key",
    tag = "app",
    params(("device_id" = String, Path)),
    security(("bearer" = ["member"])),
    responses((status = 200, body = AppLocalKey), (status = "4XX", body = AppError)),
)]
async fn app_local_key(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<AppLocalKey>, Failure> {
    let key = platform.local_key(&caller, &DeviceId::from(&*id)).await?;
    let access_token = key.token.expose_text().unwrap_or_default().to_owned();
    Ok(Json(AppLocalKey { access_key: key.key.into(), access_token }))
}

/// A device as its user sees it.
#[derive(Serialize, ToSchema)]
struct AppDevice {
    device_id: String,
    /// Product of the device.
    product: String,
    /// Node id of the device.
    device: String,
    /// Display name.
    name: String,
    product_name: String,
    dialect: String,
    /// `owner` or `guest`; absent for operators who look at a device of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    role: Option<BindingRole>,
    online: bool,
    /// `ONLINE`, `OFFLINE`, `INACTIVE` or `FROZEN`.
    #[schema(value_type = String)]
    status: Status,
    /// Start of the last session, or its end when it is over; RFC 3339.
    last_seen: Option<String>,
    fw_version: Option<String>,
    /// The thing model.
    model: Vec<ServiceCapability>,
    /// Reported and desired values.
    shadow: Vec<ShadowService>,
}

/// The caller's devices.
#[derive(Serialize, ToSchema)]
struct AppDeviceList {
    devices: Vec<AppDevice>,
}

/// Lists the caller's devices, own and shared.
#[utoipa::path(
    get,
    path = "/app/v1/devices",
    tag = "app",
    security(("bearer" = ["member"])),
    responses((status = 200, body = AppDeviceList), (status = "4XX", body = AppError)),
)]
async fn app_list_devices(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<AppDeviceList>, Failure> {
    let filter = DeviceFilter { user: Some(caller.user.clone()), ..DeviceFilter::default() };
    let limit = u32::try_from(PAGE_ITEMS_MAX).unwrap_or(u32::MAX);
    let page = Page { limit, ..Page::default() };
    let listing = platform.devices(&caller.space, &filter, &page).await?;
    let roles = roles(&platform, &caller).await?;
    let mut devices = Vec::with_capacity(listing.items.len());
    for view in &listing.items {
        let role = roles.get(&view.device.id).copied();
        devices.push(describe(&platform, &caller, view, role).await?);
    }
    Ok(Json(AppDeviceList { devices }))
}

/// Shows a device with model and shadow.
#[utoipa::path(
    get,
    path = "/app/v1/devices/{device_id}",
    tag = "app",
    params(("device_id" = String, Path)),
    security(("bearer" = ["member"])),
    responses((status = 200, body = AppDevice), (status = "4XX", body = AppError)),
)]
async fn app_show_device(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<AppDevice>, Failure> {
    let id = DeviceId::from(&*id);
    platform.check_access(&caller, &id).await?;
    let view = platform.device(&caller.space, &id).await?;
    let role = roles(&platform, &caller).await?.get(&id).copied();
    Ok(Json(describe(&platform, &caller, &view, role).await?))
}

/// Values to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AppProperties {
    /// The service; found by the names of the properties when absent.
    service: Option<String>,
    #[schema(value_type = Object)]
    properties: Map<String, Value>,
}

/// Sets properties and waits for the device's answer.
#[utoipa::path(
    put,
    path = "/app/v1/devices/{device_id}/properties",
    tag = "app",
    params(("device_id" = String, Path)),
    request_body = AppProperties,
    security(("bearer" = ["member"])),
    responses(
        (status = 200, body = DeviceAnswer),
        (status = 409, description = "The device is not on line", body = AppError),
        (status = 504, description = "The device did not answer", body = AppError),
        (status = "4XX", body = AppError),
    ),
)]
async fn app_set_properties(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<AppProperties>,
) -> Result<Json<DeviceAnswer>, Failure> {
    let id = DeviceId::from(&*id);
    platform.check_access(&caller, &id).await?;
    if body.properties.is_empty() {
        return Err(Failure::bad("properties: empty"));
    }
    let product = product_of(&platform, &caller.space, &id).await?;
    let wishes = match body.service {
        Some(service) => vec![(service.into(), body.properties)],
        None => by_service(&product.model, body.properties)
            .map_err(|error| command_failure(error.into()))?,
    };
    let answer = set(&platform, &caller.space, &id, wishes).await.map_err(command_failure)?;
    Ok(Json(answer.into()))
}

/// Values to set, by service.
type Wishes = Vec<(Box<str>, Map<String, Value>)>;

/// Sorts properties into the services that have them.
fn by_service(model: &Model, properties: Map<String, Value>) -> Result<Wishes, CommandError> {
    let mut sorted = Wishes::new();
    for (key, value) in properties {
        let service = match model.property(&key) {
            Some((service, _)) => &*service.id,
            None if model.is_empty() => DEFAULT_SERVICE,
            None => return Err(CommandError::Model(format!("{key}: not in the model").into())),
        };
        match sorted.iter_mut().find(|(known, _)| **known == *service) {
            Some((_, values)) => drop(values.insert(key, value)),
            None => sorted.push((service.into(), Map::from_iter([(key, value)]))),
        }
    }
    Ok(sorted)
}

/// A command.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AppCommand {
    /// The service; the first one that has the command when absent.
    service: Option<String>,
    command: String,
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Map<String, Value>,
}

/// Sends a command and waits for the device's answer.
#[utoipa::path(
    post,
    path = "/app/v1/devices/{device_id}/commands",
    tag = "app",
    params(("device_id" = String, Path)),
    request_body = AppCommand,
    security(("bearer" = ["member"])),
    responses(
        (status = 200, body = DeviceAnswer),
        (status = 409, description = "The device is not on line", body = AppError),
        (status = 504, description = "The device did not answer", body = AppError),
        (status = "4XX", body = AppError),
    ),
)]
async fn app_send_command(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Body(body): Body<AppCommand>,
) -> Result<Json<DeviceAnswer>, Failure> {
    let id = DeviceId::from(&*id);
    platform.check_access(&caller, &id).await?;
    let service = body.service.as_deref();
    let sent =
        send_command(&platform, &caller.space, &id, service, &body.command, body.params).await;
    Ok(Json(sent.map_err(command_failure)?.into()))
}

async fn roles(
    platform: &Platform,
    caller: &Caller,
) -> Result<HashMap<DeviceId, BindingRole>, Failure> {
    let bindings = platform.bindings(caller).await?;
    Ok(bindings.into_iter().map(|binding| (binding.device, binding.role)).collect())
}

async fn describe(
    platform: &Platform,
    caller: &Caller,
    view: &DeviceView,
    role: Option<BindingRole>,
) -> Result<AppDevice, Failure> {
    let device = &view.device;
    let product = platform.store().product(&device.product).await?;
    let shadow = platform.shadow(&caller.space, &device.id).await?;
    let seen = match view.presence.online {
        true => view.presence.online_at,
        false => view.presence.offline_at,
    };
    let text = |field: fn(&roadstead_core::product::Product) -> &str| {
        product.as_deref().map(field).unwrap_or_default().to_owned()
    };
    Ok(AppDevice {
        device_id: device.id.to_string(),
        product: device.product.to_string(),
        device: (*device.node).into(),
        name: (*device.name).into(),
        product_name: text(|product| &product.name),
        dialect: text(|product| &product.dialect),
        role,
        online: view.presence.online,
        status: view.status(),
        last_seen: seen.as_ref().map(Timestamp::to_string),
        fw_version: device.info.get("fw_version").and_then(Value::as_str).map(Into::into),
        model: product.as_ref().map_or_else(Vec::new, |product| write_model(&product.model)),
        shadow: shadow_services(shadow),
    })
}

#[cfg(test)]
mod tests {
    use roadstead_core::product::{Access, DataType, Property, Service};
    use serde_json::json;

    use super::*;

    #[test]
    fn properties_find_their_service() {
        let property = |id: &str| Property {
            id: id.into(),
            name: "".into(),
            description: "".into(),
            access: Access::READ_WRITE,
            required: false,
            ty: DataType::Any,
            initial: None,
            extra: Map::new(),
        };
        let service = |id: &str, of: &[&str]| Service {
            properties: of.iter().map(|id| property(id)).collect(),
            ..Service::new(id)
        };
        let model = Model {
            services: vec![service("a", &["x", "y"]), service("b", &["z"])],
            extra: Map::new(),
        };
        let values = |json: Value| json.as_object().cloned().expect("object");
        let sorted = by_service(&model, values(json!({"x": 1, "z": 2, "y": 3})));
        let expected = vec![
            ("a".into(), values(json!({"x": 1, "y": 3}))),
            ("b".into(), values(json!({"z": 2}))),
        ];
        assert_eq!(sorted, Ok(expected));
        let unknown = by_service(&model, values(json!({"q": 1})));
        assert_eq!(unknown, Err(CommandError::Model("q: not in the model".into())));
        let free = by_service(&Model::default(), values(json!({"q": 1})));
        assert_eq!(free, Ok(vec![(DEFAULT_SERVICE.into(), values(json!({"q": 1})))]));
    }
}
