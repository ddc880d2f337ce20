//! Commands: the platform asks, the device does and answers within 20 s.
//!
//! Source: Huawei §3.5; T12.

use alloc::format;
use alloc::string::String;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Response, Uplink};
use roadstead_core::product::Model;
use roadstead_core::{Map, RequestId, Value};
use serde::{Deserialize, Serialize};

use super::message::{checked, message, noted, result_code, status_text, unreadable};
use super::scene::Scene;
use crate::cloud::{Heard, Message};
use crate::huawei::topic::Leaf;
use crate::huawei::value::fields_to_wire;

#[derive(Deserialize)]
struct Body {
    result_code: Option<Value>,
    response_name: Option<Value>,
    paras: Option<Map<String, Value>>,
}

/// Understands `commands/response`.
pub(super) fn response(request: Option<RequestId>, payload: &[u8]) -> Heard {
    match serde_json::from_slice::<Body>(payload) {
        Ok(body) => noted(Uplink::Response {
            request,
            response: Response {
                code: result_code(body.result_code.as_ref()),
                status: status_text(body.response_name.as_ref()),
                output: body.paras.unwrap_or_default(),
                payload: Bytes::new(),
            },
        }),
        Err(error) => unreadable(&error),
    }
}

#[derive(Serialize)]
struct Command<'a> {
    object_device_id: &'a str,
    service_id: &'a str,
    command_name: &'a str,
    paras: Map<String, Value>,
}

/// Writes `commands`.
pub(super) fn command(
    scene: &Scene<'_>,
    rid: &str,
    service_id: &str,
    command_name: &str,
    params: &Map<String, Value>,
) -> Result<Message, CommandError> {
    let paras = wire(&scene.account.product.model, service_id, command_name, params)?;
    let body = Command { object_device_id: scene.object(), service_id, command_name, paras };
    checked(message(&scene.topic(Leaf::Command(rid)), &body))
}

fn wire(
    model: &Model,
    service: &str,
    command: &str,
    params: &Map<String, Value>,
) -> Result<Map<String, Value>, CommandError> {
    match model.service(service).and_then(|service| service.command(command)) {
        Some(declared) => Ok(fields_to_wire(&declared.input, params)),
        None if model.is_empty() => Ok(params.clone()),
        None => Err(CommandError::Model(format!("no command `{service}/{command}`").into())),
    }
}
