//! Properties: report, set, get.
//!
//! A report has no answer. What does not fit the model is named in the trace, the connection
//! stays.
//!
//! Source: Huawei §3.2, §3.3, §16 (reports of v3 firmware); T8, T11.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Response, Uplink};
use roadstead_core::product::{Model, Service};
use roadstead_core::shadow::Values;
use roadstead_core::{Map, RequestId, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::message::{
    checked, malformed, message, noted, result_code, status_text, unpack, unreadable,
};
use super::scene::Scene;
use crate::cloud::{Heard, Message};
use crate::huawei::settings::UnknownKeys;
use crate::huawei::time::event_time;
use crate::huawei::topic::Leaf;
use crate::huawei::value::{to_canonical, to_wire};
use crate::value::{is_deeper, too_deep};
use roadstead_core::limit::VALUE_DEPTH_MAX;

/// Most services of one report; the C SDK sends at most 49 (T11).
const SERVICES_MAX: usize = 500;

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow)]
    services: Vec<Part<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, alias = "serviceId")]
    service_id: Cow<'a, str>,
    #[serde(alias = "serviceData")]
    properties: Map<String, Value>,
    #[serde(default, alias = "eventTime")]
    event_time: Option<Value>,
}

/// Understands a property report.
pub(super) fn report(scene: &Scene<'_>, payload: &Bytes, is_packed: bool) -> Heard {
    if scene.is_binary() {
        return noted(Uplink::Message { channel: "properties".into(), payload: payload.clone() });
    }
    let body = match unpack(payload, is_packed, scene.settings.unpacked_bytes_max) {
        Ok(body) => body,
        Err(heard) => return *heard,
    };
    match serde_json::from_slice::<Report<'_>>(&body) {
        Ok(report) => noted(sorted(scene, report.services)),
        Err(error) => unreadable(&error),
    }
}

#[derive(Deserialize)]
struct V3<'a> {
    #[serde(borrow, rename = "msgType")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Vec<Part<'a>>,
}

/// Understands `/huawei/v1/devices/{id}/data/json`.
pub(super) fn v3(scene: &Scene<'_>, payload: &[u8]) -> Heard {
    match serde_json::from_slice::<V3<'_>>(payload) {
        Ok(body) if body.kind == "deviceReq" => noted(sorted(scene, body.data)),
        // An answer to a v3 command, which this platform does not send.
        Ok(body) if body.kind == "deviceRsp" => noted(Uplink::Response {
            request: None,
            response: Response {
                code: 0,
                status: "".into(),
                output: Map::new(),
                payload: Bytes::new(),
            },
        }),
        Ok(_) => noted(malformed("payload.malformed", "msgType is not deviceReq or deviceRsp")),
        Err(error) => unreadable(&error),
    }
}

/// Checks reported values against the model. A model without services takes everything.
fn sorted(scene: &Scene<'_>, parts: Vec<Part<'_>>) -> Uplink {
    if parts.is_empty() || parts.len() > SERVICES_MAX {
        return malformed("payload.malformed", "no service, or more than 500");
    }
    let model = &scene.account.product.model;
    let policy = scene.settings.unknown_keys;
    let mut services: Vec<(Box<str>, Values)> = Vec::with_capacity(parts.len());
    let mut rejected: Vec<(Box<str>, Box<str>)> = Vec::new();
    for part in parts {
        let at = event_time(part.event_time.as_ref(), scene.now);
        let service = model.service(&part.service_id);
        if service.is_none() && !model.is_empty() && policy != UnknownKeys::Accept {
            rejected.push((part.service_id.into(), "no such service in the model".into()));
            continue;
        }
        let id = &*part.service_id;
        let fitted = fit(model, service, id, part.properties, policy, &mut rejected);
        if !fitted.is_empty() {
            insert(&mut services, id, fitted, at);
        }
    }
    match rejected.first() {
        Some((key, why)) if policy == UnknownKeys::Reject => {
            malformed("model.violation", alloc::format!("{key}: {why}"))
        }
        _ => Uplink::Report { services, rejected },
    }
}

fn fit(
    model: &Model,
    service: Option<&Service>,
    id: &str,
    properties: Map<String, Value>,
    policy: UnknownKeys,
    rejected: &mut Vec<(Box<str>, Box<str>)>,
) -> Map<String, Value> {
    let mut fitted = Map::with_capacity(properties.len());
    for (key, value) in properties {
        let converted = match service.and_then(|service| service.property(&key)) {
            Some(property) => to_canonical(&property.ty, value).map_err(|v| v.to_string()),
            None if is_deeper(&value, VALUE_DEPTH_MAX) => Err(too_deep().to_string()),
            None if model.is_empty() || policy == UnknownKeys::Accept => Ok(value),
            None => Err("not in the model".into()),
        };
        match converted {
            Ok(value) => drop(fitted.insert(key, value)),
            Err(why) => rejected.push((alloc::format!("{id}.{key}").into(), why.into())),
        }
    }
    fitted
}

/// One service may be there twice, for two times: the later one wins, key by key.
fn insert(
    services: &mut Vec<(Box<str>, Values)>,
    service: &str,
    properties: Map<String, Value>,
    at: Timestamp,
) {
    match services.iter_mut().find(|(id, _)| **id == *service) {
        Some((_, values)) => {
            values.properties.extend(properties);
            values.at = values.at.max(at);
        }
        None => services.push((service.into(), Values { properties, at })),
    }
}

#[derive(Deserialize)]
struct Outcome {
    result_code: Option<Value>,
    result_desc: Option<Value>,
}

/// Understands the answer to a set.
pub(super) fn set_response(request: Option<RequestId>, payload: &[u8]) -> Heard {
    match serde_json::from_slice::<Outcome>(payload) {
        Ok(outcome) => noted(Uplink::Response {
            request,
            response: Response {
                code: result_code(outcome.result_code.as_ref()),
                status: status_text(outcome.result_desc.as_ref()),
                output: Map::new(),
                payload: Bytes::new(),
            },
        }),
        Err(error) => unreadable(&error),
    }
}

/// Understands the answer to a get. The caller asked for one service; a device that answers
/// another one (the C SDK's demo) is told apart by its status.
pub(super) fn get_response(
    scene: &Scene<'_>,
    request: Option<RequestId>,
    asked: Option<&str>,
    payload: &[u8],
) -> Heard {
    let report = match serde_json::from_slice::<Report<'_>>(payload) {
        Ok(report) => report,
        Err(error) => return unreadable(&error),
    };
    let model = &scene.account.product.model;
    let mut output = Map::new();
    let mut others: Vec<String> = Vec::new();
    for part in report.services.into_iter().take(SERVICES_MAX) {
        if asked.is_some_and(|asked| !asked.is_empty() && *asked != *part.service_id) {
            others.push(part.service_id.into());
            continue;
        }
        let service = model.service(&part.service_id);
        for (key, value) in part.properties {
            // What does not fit stays as the device wrote it: it was asked for, not stored.
            let property = service.and_then(|service| service.property(&key));
            let value = match property {
                Some(property) => to_canonical(&property.ty, value.clone()).unwrap_or(value),
                None => value,
            };
            output.insert(key, value);
        }
    }
    let status: Box<str> = match others.is_empty() {
        true => "".into(),
        false => alloc::format!("it answered for {}", others.join(", ")).into(),
    };
    let response = Response { code: 0, status, output, payload: Bytes::new() };
    noted(Uplink::Response { request, response })
}

#[derive(Serialize)]
struct Set<'a> {
    object_device_id: &'a str,
    services: [SetService<'a>; 1],
}

#[derive(Serialize)]
struct SetService<'a> {
    service_id: &'a str,
    properties: Map<String, Value>,
}

/// Writes `properties/set`.
pub(super) fn set(
    scene: &Scene<'_>,
    rid: &str,
    service_id: &str,
    properties: &Map<String, Value>,
) -> Result<Message, CommandError> {
    let service = scene.account.product.model.service(service_id);
    let wire = |(key, value): (&String, &Value)| {
        let property = service.and_then(|service| service.property(key));
        let value = property.map_or_else(|| value.clone(), |p| to_wire(&p.ty, value));
        (key.clone(), value)
    };
    let properties = properties.iter().map(wire).collect();
    let body =
        Set { object_device_id: scene.object(), services: [SetService { service_id, properties }] };
    checked(message(&scene.topic(Leaf::Set(rid)), &body))
}

#[derive(Serialize)]
struct Get<'a> {
    object_device_id: &'a str,
    service_id: &'a str,
}

/// Writes `properties/get`. The Python SDK requires the service id; an empty one means all.
pub(super) fn get(scene: &Scene<'_>, rid: &str, service: &str) -> Message {
    let body = Get { object_device_id: scene.object(), service_id: service };
    message(&scene.topic(Leaf::Get(rid)), &body)
}
