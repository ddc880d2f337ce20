//! The shadow, when a device asks for it.
//!
//! Source: Huawei §3.4; Tiny SDK recordings (request id `$get_device_shadow`).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::exchange::{Answer, Uplink};
use roadstead_core::product::Service;
use roadstead_core::shadow::{Shadow, Values};
use roadstead_core::{Map, Value};
use serde::{Deserialize, Serialize};

use super::message::{malformed, message, noted, unreadable};
use super::reply::{ECHO_BYTES_MAX, Kind, heard};
use super::scene::Scene;
use crate::cloud::{Heard, Message};
use crate::huawei::time::compact;
use crate::huawei::topic::Leaf;
use crate::huawei::value::to_wire;

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow)]
    service_id: Option<Cow<'a, str>>,
}

/// Understands `shadow/get`.
pub(super) fn uplink(rid: &str, payload: &[u8]) -> Heard {
    if rid.len() > ECHO_BYTES_MAX || rid.contains('\n') {
        return noted(malformed("payload.malformed", "the request id is too long to be echoed"));
    }
    let service = match payload.is_empty() {
        true => None,
        false => match serde_json::from_slice::<Question<'_>>(payload) {
            Ok(question) => question.service_id,
            Err(error) => return unreadable(&error),
        },
    };
    heard(Uplink::ReadShadow, Kind::Shadow, &[service.as_deref().unwrap_or_default(), rid])
}

#[derive(Serialize)]
struct Reply<'a> {
    object_device_id: &'a str,
    shadow: Vec<State<'a>>,
}

#[derive(Serialize)]
struct State<'a> {
    service_id: &'a str,
    desired: Part,
    reported: Part,
    version: u64,
}

#[derive(Serialize)]
struct Part {
    properties: Map<String, Value>,
    event_time: Option<String>,
}

/// Writes `shadow/get/response`; nothing when the shadow cannot be read, the device asks again.
pub(super) fn reply(
    scene: &Scene<'_>,
    wanted: &str,
    rid: &str,
    answer: &Answer,
) -> Option<Message> {
    let Answer::Shadow(shadow) = answer else { return None };
    let body = Reply { object_device_id: scene.object(), shadow: states(scene, shadow, wanted) };
    Some(message(&scene.topic(Leaf::ShadowResponse(rid)), &body))
}

fn states<'a>(scene: &Scene<'_>, shadow: &'a Shadow, wanted: &str) -> Vec<State<'a>> {
    let model = &scene.account.product.model;
    let asked = shadow.services.iter().filter(|(id, _)| wanted.is_empty() || ***id == *wanted);
    asked
        .map(|(id, state)| {
            let service = model.service(id);
            State {
                service_id: id,
                desired: part(service, &state.desired),
                reported: part(service, &state.reported),
                version: state.version,
            }
        })
        .collect()
}

fn part(service: Option<&Service>, values: &Values) -> Part {
    let wire = |(key, value): (&String, &Value)| {
        let property = service.and_then(|service| service.property(key));
        let value = property.map_or_else(|| value.clone(), |p| to_wire(&p.ty, value));
        (key.clone(), value)
    };
    let properties: Map<_, _> = values.properties.iter().map(wire).collect();
    let event_time = (values.at.as_millis() != 0).then(|| compact(values.at));
    Part { properties, event_time }
}
