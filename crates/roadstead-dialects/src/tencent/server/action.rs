//! Actions: the platform asks, the device does and answers.
//!
//! Firmware never answers an action that lacks one of its five keys or one of the inputs it
//! declares, so inputs that the caller may leave out are filled in here.
//!
//! Source: Tencent §7; SDK 3.1 source (`Not handle` cases), transcripts.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Response, Uplink};
use roadstead_core::product::{Command, DataType, Parameter};
use roadstead_core::{Map, RequestId, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::message::{
    PACKET_BYTES_MAX, address, checked, ignored, message, noted, result_code, status_text,
    unreadable,
};
use super::session::Scene;
use super::token;
use crate::cloud::{Heard, Message};
use crate::tencent::value::{fields_to_wire, to_canonical, to_wire};

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default, rename = "clientToken")]
    token: Cow<'a, str>,
    code: Option<Value>,
    status: Option<Value>,
    response: Option<Value>,
}

/// Understands one message of `$thing/up/action`.
pub(super) fn uplink(scene: &Scene<'_>, payload: &[u8]) -> Heard {
    let body: Body<'_> = match serde_json::from_slice(payload) {
        Ok(body) => body,
        Err(error) => {
            return match address(payload) {
                Some(address) if address.method != "action_reply" => ignored(&address.method),
                _ => noted(unreadable(&error)),
            };
        }
    };
    if body.method != "action_reply" {
        return ignored(&body.method);
    }
    let ours = token::decode(scene.connection, &body.token);
    let action = ours.and_then(|(_, action)| action);
    let command = action.and_then(|action| scene.account.product.model.command(action));
    let output = match body.response {
        Some(Value::Object(output)) => canonical(command.map(|(_, command)| command), output),
        _ => Map::new(),
    };
    noted(Uplink::Response {
        request: ours.map(|(id, _)| id),
        response: Response {
            code: result_code(body.code.as_ref()),
            status: status_text(body.status.as_ref()),
            output,
            payload: Bytes::new(),
        },
    })
}

/// Outputs that do not fit the model stay as the device wrote them: the action is done already.
fn canonical(command: Option<&Command>, output: Map<String, Value>) -> Map<String, Value> {
    let convert = |(key, value): (String, Value)| {
        let field = command.and_then(|c| c.output.iter().find(|field| *field.id == *key));
        let value = match field {
            Some(field) => to_canonical(&field.ty, value.clone()).unwrap_or(value),
            None => value,
        };
        (key, value)
    };
    output.into_iter().map(convert).collect()
}

#[derive(Serialize)]
struct Action<'a> {
    method: &'static str,
    #[serde(rename = "clientToken")]
    token: &'a str,
    #[serde(rename = "actionId")]
    id: &'a str,
    timestamp: i64,
    params: Map<String, Value>,
}

/// Writes `action`.
pub(super) fn action(
    scene: &Scene<'_>,
    id: Option<RequestId>,
    service: &str,
    command: &str,
    params: &Map<String, Value>,
) -> Result<Message, CommandError> {
    let model = &scene.account.product.model;
    let params = match model.service(service).and_then(|service| service.command(command)) {
        Some(declared) => complete(declared, params, scene.now)?,
        None if model.is_empty() => params.clone(),
        None => return Err(CommandError::Model(format!("no action `{command}`").into())),
    };
    let body = Action {
        method: "action",
        token: &token::encode(scene.connection, id, Some(command), scene.now),
        id: command,
        timestamp: scene.now.as_secs(),
        params,
    };
    checked(message(scene.down_action(), &body, 1), PACKET_BYTES_MAX)
}

fn complete(
    declared: &Command,
    params: &Map<String, Value>,
    now: Timestamp,
) -> Result<Map<String, Value>, CommandError> {
    let mut wire = fields_to_wire(&declared.input, params);
    for input in &declared.input {
        if wire.contains_key(&*input.id) {
            continue;
        }
        if input.required {
            return Err(CommandError::Model(format!("{}: missing", input.id).into()));
        }
        wire.insert((&*input.id).into(), to_wire(&input.ty, &filler(input, now)));
    }
    Ok(wire)
}

/// Returns the value of an input that the caller left out: the document's own start value, else
/// the least value of its type.
fn filler(input: &Parameter, now: Timestamp) -> Value {
    let start = input.extra.get("define").and_then(|define| define.get("start"));
    let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok());
    let start = start.and_then(number);
    match &input.ty {
        DataType::Bool { .. } => Value::Bool(false),
        DataType::Int { range } => Value::from(start.or(range.min).unwrap_or_default() as i64),
        DataType::Float { range } => Value::from(start.or(range.min).unwrap_or_default()),
        DataType::Enum { items } => items.first().map_or(Value::Null, |item| (&*item.name).into()),
        DataType::Text { .. } => Value::from(""),
        DataType::Time => Value::from(now.as_millis()),
        DataType::Struct { fields } => {
            let field = |field: &Parameter| (String::from(&*field.id), filler(field, now));
            Value::Object(fields.iter().map(field).collect())
        }
        DataType::Array { .. } => Value::Array(alloc::vec::Vec::new()),
        DataType::Any => Value::Null,
    }
}
