//! `/devices/{id}/messages` and `/broadcast-messages`: opaque content for devices. Source: Huawei
//! §8.4, §9.4.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use roadstead_core::message::{Encoding, Format, Message, Properties, Status, Target};
use roadstead_core::{DeviceId, Timestamp, Value};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Body, Id, Ids, Paging, Params};
use super::failure::{Failure, NorthError, wire};
use super::view::compact;
use super::{PageView, scope};
use crate::service::{Caller, NewBroadcast, NewMessage, Platform};

/// Largest life that the field can hold, minutes; the rule is the platform's.
const TTL_MINUTES_MAX: u64 = 1_000_000;

/// Returns the routes of this noun.
pub(super) fn routes() -> OpenApiRouter<Arc<Platform>> {
    OpenApiRouter::new()
        .routes(routes!(create_message, list_messages))
        .routes(routes!(show_message, delete_message))
        .routes(routes!(broadcast_message))
}

/// A message to a device.
#[derive(Deserialize, ToSchema)]
struct MessageRequest {
    /// Unique per device, at most 100 characters; made when absent.
    message_id: Option<String>,
    /// At most 128 characters.
    name: Option<String>,
    /// A text, or a JSON object.
    #[schema(value_type = Object)]
    message: Value,
    /// What MQTT 5 carries beside it.
    properties: Option<PropertiesView>,
    /// `none` or `base64`.
    #[schema(value_type = Option<String>)]
    encoding: Option<Encoding>,
    /// `standard` or `raw`.
    #[schema(value_type = Option<String>)]
    payload_format: Option<Format>,
    /// The end of a topic of the product's own.
    topic: Option<String>,
    /// A whole topic name; not together with `topic`.
    topic_full_name: Option<String>,
    /// Minutes that it is kept: a multiple of 5, at most 1440; 0 is not at all, absent is 1440.
    ttl: Option<u64>,
}

/// What MQTT 5 carries beside the payload.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
struct PropertiesView {
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<String>,
    /// At most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    user_properties: Vec<UserProperty>,
}

/// A property that the customer names.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
struct UserProperty {
    #[serde(default)]
    prop_key: String,
    #[serde(default)]
    prop_value: String,
}

impl From<PropertiesView> for Properties {
    fn from(view: PropertiesView) -> Self {
        let user = view.user_properties.into_iter();
        Self {
            correlation_data: view.correlation_data.map(Into::into),
            response_topic: view.response_topic.map(Into::into),
            user_properties: user.map(|p| (p.prop_key.into(), p.prop_value.into())).collect(),
        }
    }
}

impl From<Properties> for PropertiesView {
    fn from(properties: Properties) -> Self {
        let user = properties.user_properties.into_iter();
        Self {
            correlation_data: properties.correlation_data.map(Into::into),
            response_topic: properties.response_topic.map(Into::into),
            user_properties: user
                .map(|(key, value)| UserProperty { prop_key: key.into(), prop_value: value.into() })
                .collect(),
        }
    }
}

impl MessageRequest {
    fn into_new(self) -> Result<NewMessage, Failure> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let target = match (given(self.topic), given(self.topic_full_name)) {
            (None, None) => Target::Default,
            (Some(topic), None) => Target::Topic(topic.into()),
            (None, Some(topic)) => Target::TopicName(topic.into()),
            (Some(_), Some(_)) => {
                return Err(Failure::bad("topic: not together with topic_full_name"));
            }
        };
        let ttl = self.ttl.map(|minutes| Duration::from_secs(minutes.min(TTL_MINUTES_MAX) * 60));
        Ok(NewMessage {
            id: given(self.message_id),
            name: given(self.name),
            content: self.message,
            encoding: self.encoding.unwrap_or_default(),
            format: self.payload_format.unwrap_or_default(),
            target,
            properties: self.properties.map(Into::into),
            ttl,
        })
    }
}

/// A message that was created.
#[derive(Serialize, ToSchema)]
struct MessageCreated {
    message_id: String,
    result: MessageResult,
}

/// Where a message stands.
#[derive(Serialize, ToSchema)]
struct MessageResult {
    /// `PENDING`, `DELIVERED`, `FAILED` or `TIMEOUT`.
    #[schema(value_type = String)]
    status: Status,
    created_time: String,
    /// Absent while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_time: Option<String>,
}

/// Keeps a message for a device and delivers it when the device can take it.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/devices/{device_id}/messages",
    tag = "messages",
    params(("project_id" = String, Path), ("device_id" = String, Path)),
    request_body = MessageRequest,
    security(("token" = ["operator"])),
    responses((status = 201, body = MessageCreated), (status = "4XX", body = NorthError)),
)]
async fn create_message(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Body(body): Body<MessageRequest>,
) -> Result<(StatusCode, Json<MessageCreated>), Failure> {
    let (device, new) = (DeviceId::from(&*id), body.into_new()?);
    let message = platform.create_message(&caller.space, &device, new).await?;
    let result = MessageResult {
        status: message.status,
        created_time: compact(message.created_at),
        finished_time: message.finished_at.map(compact),
    };
    let created = MessageCreated { message_id: message.id.to_string(), result };
    Ok((StatusCode::CREATED, Json(created)))
}

/// A message.
#[derive(Serialize, ToSchema)]
struct MessageView {
    message_id: String,
    name: Option<String>,
    /// As it was given.
    #[schema(value_type = Object)]
    message: Value,
    #[schema(value_type = String)]
    encoding: Encoding,
    #[schema(value_type = String)]
    payload_format: Format,
    /// The end of a topic of the product's own, or a whole topic name.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<PropertiesView>,
    /// `PENDING`, `DELIVERED`, `FAILED` or `TIMEOUT`.
    #[schema(value_type = String)]
    status: Status,
    /// Why it was not delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_info: Option<ErrorInfo>,
    created_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_time: Option<String>,
}

/// Why a message was not delivered.
#[derive(Serialize, ToSchema)]
struct ErrorInfo {
    /// The vendor's number.
    error_code: &'static str,
    error_msg: String,
    /// Our stable code.
    code: String,
}

impl From<Message> for MessageView {
    fn from(message: Message) -> Self {
        let topic = match message.target {
            Target::Default => None,
            Target::Topic(topic) | Target::TopicName(topic) => Some(topic.into()),
        };
        let error_info = message.error.map(|(code, text)| ErrorInfo {
            error_code: wire(&code).number,
            error_msg: text.into(),
            code: code.into(),
        });
        let date = |at: Option<Timestamp>| at.map(compact);
        Self {
            message_id: message.id.to_string(),
            name: message.name.map(Into::into),
            message: message.content,
            encoding: message.encoding,
            payload_format: message.format,
            topic,
            properties: message.properties.map(Into::into),
            status: message.status,
            error_info,
            created_time: compact(message.created_at),
            finished_time: date(message.finished_at),
        }
    }
}

/// Messages of one device.
#[derive(Serialize, ToSchema)]
struct MessageList {
    device_id: String,
    /// Newest first.
    messages: Vec<MessageView>,
    page: PageView,
}

/// Lists the messages of a device: those that wait and the last finished ones.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}/messages",
    tag = "messages",
    params(("project_id" = String, Path), ("device_id" = String, Path), Paging),
    security(("token" = ["viewer"])),
    responses((status = 200, body = MessageList), (status = "4XX", body = NorthError)),
)]
async fn list_messages(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    Params(paging): Params<Paging>,
) -> Result<Json<MessageList>, Failure> {
    let (device, page) = (DeviceId::from(&*id), paging.page()?);
    let listed = platform.messages(&caller.space, &device, &page).await?;
    let last = listed.items.last().map(|message| message.id.to_string());
    let page = PageView::new(listed.total, last.as_deref());
    let messages = listed.items.into_iter().map(MessageView::from).collect();
    Ok(Json(MessageList { device_id: id, messages, page }))
}

/// Shows a message.
#[utoipa::path(
    get,
    path = "/v5/iot/{project_id}/devices/{device_id}/messages/{message_id}",
    tag = "messages",
    params(
        ("project_id" = String, Path),
        ("device_id" = String, Path),
        ("message_id" = String, Path),
    ),
    security(("token" = ["viewer"])),
    responses((status = 200, body = MessageView), (status = "4XX", body = NorthError)),
)]
async fn show_message(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Ids(device, message): Ids,
) -> Result<Json<MessageView>, Failure> {
    let (device, message) = (device.as_str().into(), message.as_str().into());
    Ok(Json(platform.message(&caller.space, &device, &message).await?.into()))
}

/// Forgets a message; one that waits is not delivered any more.
#[utoipa::path(
    delete,
    path = "/v5/iot/{project_id}/devices/{device_id}/messages/{message_id}",
    tag = "messages",
    params(
        ("project_id" = String, Path),
        ("device_id" = String, Path),
        ("message_id" = String, Path),
    ),
    security(("token" = ["operator"])),
    responses((status = 204), (status = "4XX", body = NorthError)),
)]
async fn delete_message(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Ids(device, message): Ids,
) -> Result<StatusCode, Failure> {
    let (device, message) = (device.as_str().into(), message.as_str().into());
    platform.delete_message(&caller.space, &device, &message).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A message to all who listen.
#[derive(Deserialize, ToSchema)]
struct BroadcastRequest {
    /// The space; the project's when absent.
    app_id: Option<String>,
    topic_full_name: String,
    /// Base64 of what the devices get.
    message: String,
    /// Ignored: a broadcast is not kept.
    #[serde(default)]
    #[allow(dead_code, reason = "part of the vendor's request")]
    ttl: Option<u64>,
    /// Made when absent.
    message_id: Option<String>,
}

/// A broadcast that was made.
#[derive(Serialize, ToSchema)]
struct BroadcastCreated {
    app_id: String,
    topic_full_name: String,
    message_id: String,
    created_time: String,
    /// Devices that were on line and had subscribed the topic.
    receivers: u64,
}

/// Sends a message to every device of a space that is on line and has subscribed the topic.
#[utoipa::path(
    post,
    path = "/v5/iot/{project_id}/broadcast-messages",
    tag = "messages",
    params(("project_id" = String, Path)),
    request_body = BroadcastRequest,
    security(("token" = ["operator"])),
    responses((status = 201, body = BroadcastCreated), (status = "4XX", body = NorthError)),
)]
async fn broadcast_message(
    State(platform): State<Arc<Platform>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<BroadcastRequest>,
) -> Result<(StatusCode, Json<BroadcastCreated>), Failure> {
    let space = scope(&platform, &caller, body.app_id.as_deref()).await?;
    let payload = BASE64.decode(&body.message);
    let payload = payload.map_err(|_| Failure::bad("message: must be Base64"))?;
    let id = body.message_id.filter(|id| !id.is_empty());
    let topic = body.topic_full_name;
    let new = NewBroadcast { id, topic: topic.clone(), payload: payload.into() };
    let made = platform.broadcast(&space.id, new).await?;
    let created = BroadcastCreated {
        app_id: space.id.to_string(),
        topic_full_name: topic,
        message_id: made.id,
        created_time: compact(made.at),
        receivers: made.receivers,
    };
    Ok((StatusCode::CREATED, Json(created)))
}
