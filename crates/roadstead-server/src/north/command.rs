//! `/devices/{id}/commands` and `/devices/{id}/properties`: synchronous requests to devices.
//!
//! A request that the device did not answer in time is HTTP 200 with an error in the body (trap
//! T24). Where a dialect cannot ask for properties, the last reported values answer and `source`
//! says so. Source: Huawei §8.3, §9.5, §9.6.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use roadstead_core::command::{CommandError, Outcome};
use roadstead_core::exchange::{Downlink, Response};
use roadstead_core::product::{DEFAULT_SERVICE, Model, Product, Service};
use roadstead_core::{DeviceId, Map, SpaceId, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id, Params};
use super::failure::{Failure, NorthError, wire};
use super::view::{compact, fresh_id};
use crate::service::{Caller, Error, Platform};

/// Services of one request.
const SERVICES_MAX: usize = 50;

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(create_command))
        .routes(routes!(show_properties, update_properties))
}

/// A command.
#[derive(Deserialize, ToSchema)]
struct CommandRequest {
    /// The service; the first one that has the command when absent.
    service_id: Option<String>,
    command_name: String,
    /// Canonical parameters.
    #[schema(value_type = Option<Object>)]
    paras: Option<Map<String, Value>>,
}

/// How a command ended: `response`, or `error_code` when the device did not answer in time.
#[derive(Serialize, ToSchema)]
struct CommandResponse {
    command_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<CommandResult>,
    #[serde(flatten)]
    timeout: Option<Timeout>,
}

/// What the device answered.
#[derive(Serialize, ToSchema)]
struct CommandResult {
    /// The device's own code; 0 is success.
    result_code: i64,
    response_name: String,
    /// The device's words.
    result_desc: String,
    #[schema(value_type = Object)]
    paras: Map<String, Value>,
}

/// The device did not answer in time.
#[derive(Serialize, ToSchema)]
struct Timeout {
    error_code: &'static str,
    error_msg: String,
    code: &'static str,
}

impl Timeout {
    /// Sorts a failure into "not answered in time", which is a success over HTTP, and the rest.
    fn sort(error: Error) -> Result<Self, Failure> {
        if !matches!(error, Error::Command(CommandError::Timeout(_))) {
            return Err(failure(error));
        }
        let code = error.code();
        Ok(Self { error_code: wire(code).number, error_msg: error.to_string(), code })
    }
}

/// Sends a command and waits for the answer.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/commands",
    tag = "commands",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = CommandRequest,
    security(("token" = ["operator"])),
    responses((status = 200, body = CommandResponse), (status = "4XX", body = NorthError)),
)]
async fn create_command(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<CommandRequest>,
) -> Result<Json<CommandResponse>, Failure> {
    let id = DeviceId::from(&*id);
    let service = body.service_id.as_deref();
    let params = body.paras.unwrap_or_default();
    let command_id = fresh_id();
    let result = command(&platform, &caller.space, &id, service, &body.command_name, params).await;
    let (response, timeout) = match result {
        Ok(response) => (Some(response), None),
        Err(error) => (None, Some(Timeout::sort(error)?)),
    };
    let response = match response {
        Some(response) => Some(CommandResult {
            result_code: response.code,
            response_name: response_name(&platform, &caller.space, &id, &body.command_name).await,
            result_desc: response.status.into(),
            paras: response.output,
        }),
        None => None,
    };
    Ok(Json(CommandResponse { command_id, response, timeout }))
}

/// Returns what the thing model calls the response of a command.
async fn response_name(
    platform: &Platform,
    space: &SpaceId,
    id: &DeviceId,
    command: &str,
) -> String {
    let product = product_of(platform, space, id).await.ok();
    let found = product.as_ref().and_then(|product| product.model.command(command));
    let name = found.and_then(|(_, command)| command.extra.get("response_name")?.as_str());
    name.map_or_else(|| format!("{command}_RSP"), Into::into)
}

/// Sends a command to a device; finds the service when none is named.
pub(crate) async fn command(
    platform: &Platform,
    space: &SpaceId,
    id: &DeviceId,
    service: Option<&str>,
    command: &str,
    params: Map<String, Value>,
) -> Result<Response, Error> {
    let product = product_of(platform, space, id).await?;
    let found = product.model.command(command);
    let service = service.or(found.map(|(service, _)| &*service.id)).unwrap_or(DEFAULT_SERVICE);
    let request = Downlink::Command { service: service.into(), command: command.into(), params };
    Ok(answered(platform.request(space, id, request, None).await?))
}

/// Values to set, by service.
#[derive(Deserialize, ToSchema)]
struct PropertiesRequest {
    services: Vec<ServiceValues>,
}

/// Values of one service.
#[derive(Deserialize, Serialize, ToSchema)]
struct ServiceValues {
    service_id: String,
    #[schema(value_type = Object)]
    properties: Map<String, Value>,
    /// When the values were true; in answers from the shadow.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<String>,
}

/// How a request about properties ended.
#[derive(Serialize, ToSchema)]
struct PropertiesResponse {
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<PropertiesResult>,
    #[serde(flatten)]
    timeout: Option<Timeout>,
}

/// What the device answered.
#[derive(Default, Serialize, ToSchema)]
struct PropertiesResult {
    /// The device's own code; 0 is success.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_code: Option<i64>,
    /// The device's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_desc: Option<String>,
    /// The values asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<Vec<ServiceValues>>,
    /// `device`, or `shadow` for last reported values.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
}

/// Sets properties and waits for the device's answer.
#[utoipa::path(
    put,
    path = "/v5/iot/{project_id}/devices/{device_id}/properties",
    tag = "properties",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = PropertiesRequest,
    security(("token" = ["operator"])),
    responses((status = 200, body = PropertiesResponse), (status = "4XX", body = NorthError)),
)]
async fn update_properties(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<PropertiesRequest>,
) -> Result<Json<PropertiesResponse>, Failure> {
    if body.services.is_empty() || body.services.len() > SERVICES_MAX {
        return Err(Failure::bad(format!("services: 1 to {SERVICES_MAX}")));
    }
    let id = DeviceId::from(&*id);
    let wishes = body.services.into_iter().map(|s| (s.service_id.into(), s.properties)).collect();
    let request_id = fresh_id();
    let (response, timeout) = match set(&platform, &caller.space, &id, wishes).await {
        Ok(answer) => {
            let result = PropertiesResult {
                result_code: Some(answer.code),
                result_desc: Some(answer.status.into()),
                ..PropertiesResult::default()
            };
            (Some(result), None)
        }
        Err(error) => (None, Some(Timeout::sort(error)?)),
    };
    Ok(Json(PropertiesResponse { request_id, response, timeout }))
}

/// Sets properties service by service; stops at the first that the device refuses.
pub(crate) async fn set(
    platform: &Platform,
    space: &SpaceId,
    id: &DeviceId,
    wishes: Vec<(Box<str>, Map<String, Value>)>,
) -> Result<Response, Error> {
    let mut last = answered(Outcome::Delivered);
    for (service, properties) in wishes {
        let request = Downlink::SetProperties { service, properties };
        last = answered(platform.request(space, id, request, None).await?);
        if last.code != 0 {
            break;
        }
    }
    Ok(last)
}

/// Which service.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ServiceQuery {
    /// Of this service; of all when absent.
    service_id: Option<String>,
}

/// Asks the device for its properties.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}/properties",
    tag = "properties",
    params(("project_id" = String, Path), ("device_id" = String, Path), ServiceQuery),
    security(("token" = ["viewer"])),
    responses((status = 200, body = PropertiesResponse), (status = "4XX", body = NorthError)),
)]
async fn show_properties(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(query): Params<ServiceQuery>,
) -> Result<Json<PropertiesResponse>, Failure> {
    let (id, space) = (DeviceId::from(&*id), &caller.space);
    let wanted: Vec<Box<str>> = match query.service_id.as_deref() {
        Some(service) => vec![service.into()],
        None => services_of(&product_of(&platform, space, &id).await?.model),
    };
    let request_id = fresh_id();
    let mut services = Vec::with_capacity(wanted.len());
    for service in &wanted {
        let request = Downlink::GetProperties { service: service.clone(), properties: Vec::new() };
        match platform.request(space, &id, request, None).await {
            Ok(outcome) => services.push(ServiceValues {
                service_id: (&**service).into(),
                properties: answered(outcome).output,
                event_time: None,
            }),
            Err(CommandError::Unsupported(_)) => {
                let response = Some(reported(&platform, space, &id, &wanted).await?);
                return Ok(Json(PropertiesResponse { request_id, response, timeout: None }));
            }
            Err(error) => {
                let timeout = Some(Timeout::sort(error.into())?);
                return Ok(Json(PropertiesResponse { request_id, response: None, timeout }));
            }
        }
    }
    let response = PropertiesResult {
        services: Some(services),
        source: Some("device"),
        ..PropertiesResult::default()
    };
    Ok(Json(PropertiesResponse { request_id, response: Some(response), timeout: None }))
}

/// Returns the last reported values.
async fn reported(
    platform: &Platform,
    space: &SpaceId,
    id: &DeviceId,
    wanted: &[Box<str>],
) -> Result<PropertiesResult, Failure> {
    let mut shadow = platform.shadow(space, id).await?;
    let services = wanted.iter().filter_map(|service| {
        let state = shadow.services.remove(service)?;
        Some(ServiceValues {
            service_id: (&**service).into(),
            properties: state.reported.properties,
            event_time: Some(compact(state.reported.at)),
        })
    });
    Ok(PropertiesResult {
        services: Some(services.collect()),
        source: Some("shadow"),
        ..PropertiesResult::default()
    })
}

/// Returns the services that have properties; one of the default name for a model that says
/// nothing.
fn services_of(model: &Model) -> Vec<Box<str>> {
    if model.is_empty() {
        return vec![DEFAULT_SERVICE.into()];
    }
    let readable = |service: &&Service| !service.properties.is_empty();
    model.services.iter().filter(readable).map(|service| service.id.clone()).collect()
}

/// Returns the product of a device that is in the space.
pub(crate) async fn product_of(
    platform: &Platform,
    space: &SpaceId,
    id: &DeviceId,
) -> Result<Arc<Product>, Error> {
    let device = platform.device(space, id).await?.device;
    platform.product(space, &device.product).await
}

/// Returns the answer of the device; a kind that is never answered succeeded when it was taken.
fn answered(outcome: Outcome) -> Response {
    match outcome {
        Outcome::Answered(response) => response,
        Outcome::Delivered => Response {
            code: 0,
            status: "delivered".into(),
            output: Map::new(),
            payload: bytes::Bytes::new(),
        },
    }
}

/// Writes a failed request; the vendor's own sentence where applications know it.
pub(crate) fn failure(error: Error) -> Failure {
    if matches!(error, Error::Command(CommandError::Offline)) {
        let text = "Operation not allowed. The device is not online.";
        return Failure::new("command.offline", text);
    }
    Failure::from(error)
}
