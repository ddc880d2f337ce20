//! Properties: report, state query, control, device information.
//!
//! Source: Tencent §7; `transcripts/tencent/data-template-full-plain.json`.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Response, Uplink};
use roadstead_core::limit::VALUE_DEPTH_MAX;
use roadstead_core::product::DEFAULT_SERVICE;
use roadstead_core::shadow::{Shadow, Values};
use roadstead_core::{Map, RequestId, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::message::{
    CodeReply, PACKET_BYTES_MAX, TOKEN_BYTES_MAX, address, checked, device_time, heard, ignored,
    malformed, message, noted, packet_bytes, result_code, status_text, unreadable, verdict,
};
use super::reply::Kind;
use super::session::Scene;
use super::token;
use crate::cloud::{Heard, Message};
use crate::tencent::settings::UnknownKeys;
use crate::tencent::value::{to_canonical, to_wire};
use crate::value::is_deeper;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "clientToken")]
    token: Cow<'a, str>,
    timestamp: Option<Value>,
    params: Option<Map<String, Value>>,
    code: Option<Value>,
    status: Option<Value>,
}

/// Understands one message of `$thing/up/property`.
pub(super) fn uplink(scene: &Scene<'_>, payload: &[u8]) -> Heard {
    let body: Body<'_> = match serde_json::from_slice(payload) {
        Ok(body) => body,
        Err(error) => return refused(payload, &error),
    };
    if body.token.len() > TOKEN_BYTES_MAX {
        return noted(malformed("payload.malformed", "the clientToken is too long"));
    }
    let token = &*body.token;
    let method = match (&body.method, &body.code) {
        (Some(method), _) => &**method,
        // The Python package (`tencent-iot-device` 1.0.0) answers a control without `method`.
        (None, Some(_)) => "control_reply",
        (None, None) => return noted(malformed("payload.malformed", "the method is missing")),
    };
    match method {
        "report" => {
            let at = device_time(body.timestamp.as_ref(), scene.now);
            heard(report(scene, body.params.unwrap_or_default(), at), Kind::Report, token)
        }
        "report_info" => {
            let info = information(body.params.unwrap_or_default());
            heard(Uplink::Info(info), Kind::ReportInfo, token)
        }
        "get_status" => heard(Uplink::ReadShadow, Kind::GetStatus, token),
        "clear_control" => heard(Uplink::ClearDesired, Kind::ClearControl, token),
        "control_reply" => noted(Uplink::Response {
            request: token::decode(scene.connection, token).map(|(id, _)| id),
            response: Response {
                code: result_code(body.code.as_ref()),
                status: status_text(body.status.as_ref()),
                output: Map::new(),
                payload: bytes::Bytes::new(),
            },
        }),
        other => ignored(other),
    }
}

fn refused(payload: &[u8], error: &serde_json::Error) -> Heard {
    let Some(address) = address(payload) else { return noted(unreadable(error)) };
    let kind = match &*address.method {
        "report" => Kind::Report,
        "report_info" => Kind::ReportInfo,
        "get_status" => Kind::GetStatus,
        "clear_control" => Kind::ClearControl,
        "control_reply" => return noted(unreadable(error)),
        other => return ignored(other),
    };
    match address.token.len() {
        0..=TOKEN_BYTES_MAX => heard(unreadable(error), kind, &address.token),
        _ => noted(unreadable(error)),
    }
}

/// Sorts reported values into services. A model without services takes everything.
fn report(scene: &Scene<'_>, params: Map<String, Value>, at: Timestamp) -> Uplink {
    let model = &scene.account.product.model;
    let policy = scene.settings.unknown_keys;
    let mut services: Vec<(Box<str>, Values)> = Vec::new();
    let mut rejected: Vec<(Box<str>, Box<str>)> = Vec::new();
    for (key, value) in params {
        let (service, fitted) = match model.property(&key) {
            Some((service, property)) => (&*service.id, to_canonical(&property.ty, value)),
            None if is_deeper(&value, VALUE_DEPTH_MAX) => {
                rejected.push((key.into(), "nested deeper than the limit".into()));
                continue;
            }
            None if model.is_empty() || policy == UnknownKeys::Accept => {
                (model.services.first().map_or(DEFAULT_SERVICE, |service| &*service.id), Ok(value))
            }
            None => {
                rejected.push((key.into(), "not in the model".into()));
                continue;
            }
        };
        match fitted {
            Ok(value) => insert(&mut services, service, at, key, value),
            Err(violation) => rejected.push((key.into(), violation.to_string().into())),
        }
    }
    match rejected.first() {
        Some((key, why)) if policy == UnknownKeys::Reject => {
            malformed("model.violation", alloc::format!("{key}: {why}"))
        }
        _ => Uplink::Report { services, rejected },
    }
}

fn insert(
    services: &mut Vec<(Box<str>, Values)>,
    service: &str,
    at: Timestamp,
    key: String,
    value: Value,
) {
    if let Some((_, values)) = services.iter_mut().find(|(id, _)| **id == *service) {
        values.properties.insert(key, value);
        return;
    }
    let mut properties = Map::with_capacity(8);
    properties.insert(key, value);
    services.push((service.into(), Values { properties, at }));
}

/// Gives the vendor's names of device information their canonical ones; the rest keeps its name.
fn information(params: Map<String, Value>) -> Map<String, Value> {
    let canonical = |key: String| match &*key {
        "fw_ver" => "fw_version".into(),
        "module_softinfo" => "module_version".into(),
        _ => key,
    };
    let shallow = params.into_iter().filter(|(_, value)| !is_deeper(value, VALUE_DEPTH_MAX));
    shallow.map(|(key, value)| (canonical(key), value)).collect()
}

#[derive(Serialize)]
struct StatusReply<'a> {
    #[serde(flatten)]
    head: CodeReply<'a>,
    data: Data,
}

#[derive(Default, Serialize)]
struct Data {
    #[serde(skip_serializing_if = "Map::is_empty")]
    reported: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    control: Map<String, Value>,
}

/// Writes a reply that has nothing but its outcome.
pub(super) fn plain(scene: &Scene<'_>, method: &str, token: &str, answer: &Answer) -> Message {
    let (code, status) = verdict(answer);
    message(scene.down_property(), &CodeReply { method, token, code, status }, 0)
}

/// Writes `get_status_reply`.
pub(super) fn status_reply(scene: &Scene<'_>, token: &str, answer: &Answer) -> Message {
    if let Answer::Shadow(shadow) = answer {
        state_reply(scene, token, shadow)
    } else {
        plain(scene, "get_status_reply", token, answer)
    }
}

/// A state that the firmware's buffer cannot hold is cut: `reported`
/// goes first (the C SDK reads only `control`), then the last of the pending values, which the
/// device gets when it asks again.
fn state_reply(scene: &Scene<'_>, token: &str, shadow: &Shadow) -> Message {
    let model = &scene.account.product.model;
    let mut data = Data::default();
    for (service, state) in &shadow.services {
        let wire = |(key, value): (&String, &Value)| {
            let property = model.service(service).and_then(|service| service.property(key));
            let value = property.map_or_else(|| value.clone(), |p| to_wire(&p.ty, value));
            (key.clone(), value)
        };
        data.reported.extend(state.reported.properties.iter().map(wire));
        data.control.extend(state.desired.properties.iter().map(wire));
    }
    let head = CodeReply { method: "get_status_reply", token, code: 0, status: "success" };
    let mut body = StatusReply { head, data };
    loop {
        let written = message(scene.down_property(), &body, 0);
        if packet_bytes(&written) <= PACKET_BYTES_MAX || body.data.is_empty() {
            return written;
        }
        body.data.shrink();
    }
}

impl Data {
    fn is_empty(&self) -> bool {
        self.reported.is_empty() && self.control.is_empty()
    }

    fn shrink(&mut self) {
        if self.reported.is_empty() {
            // Halving ends quickly even for the largest shadow.
            let kept = self.control.len() / 2;
            self.control = core::mem::take(&mut self.control).into_iter().take(kept).collect();
        } else {
            self.reported.clear();
        }
    }
}

#[derive(Serialize)]
struct Control<'a> {
    method: &'static str,
    #[serde(rename = "clientToken")]
    token: &'a str,
    params: Map<String, Value>,
}

/// Writes `control`.
pub(super) fn control(
    scene: &Scene<'_>,
    id: Option<RequestId>,
    service: &str,
    properties: &Map<String, Value>,
) -> Result<Message, CommandError> {
    let service = scene.account.product.model.service(service);
    let wire = |(key, value): (&String, &Value)| {
        let property = service.and_then(|service| service.property(key));
        let value = property.map_or_else(|| value.clone(), |p| to_wire(&p.ty, value));
        (key.clone(), value)
    };
    let body = Control {
        method: "control",
        token: &token::encode(scene.connection, id, None, scene.now),
        params: properties.iter().map(wire).collect(),
    };
    checked(message(scene.down_property(), &body, 1), PACKET_BYTES_MAX)
}
