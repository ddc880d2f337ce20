//! The device shadow on its own two topics.
//!
//! The vendor keeps it beside the thing model; here it is the same state.
//!
//! Source: Alibaba §8; recordings of the Python and npm clients.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::exchange::{Answer, Uplink};
use roadstead_core::{Map, Value};
use serde::Deserialize;

use super::message::{clip, ignored, message, noted, unreadable, verdict};
use super::property;
use super::reply::Kind;
use super::scene::Scene;
use crate::alibaba::payload::{OK, Request, trim};
use crate::alibaba::settings::{Settings, UnknownKeys};
use crate::alibaba::topic::Verb;
use crate::alibaba::value::{join_name, to_wire};
use crate::cloud::{Heard, Message, Reply};

/// Longest name of an unknown method kept, bytes.
const METHOD_BYTES_MAX: usize = 48;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    method: String,
    #[serde(default)]
    state: Value,
}

/// Understands `/shadow/update`.
pub(super) fn uplink(scene: &Scene<'_>, payload: &[u8], out: &mut Vec<Heard>) {
    let Body { method, state } = match serde_json::from_slice(trim(payload)) {
        Ok(body) => body,
        Err(error) => return out.push(noted(unreadable(&error))),
    };
    match &*method {
        "get" => out.push(answered(Uplink::ReadShadow, &method)),
        "update" => update(scene, state, out),
        "delete" => delete(scene, &state, out),
        other => out.push(noted(ignored(clip(other, METHOD_BYTES_MAX)))),
    }
}

fn update(scene: &Scene<'_>, mut state: Value, out: &mut Vec<Heard>) {
    let is_none = |value: &Value| value.is_null() || value == "null";
    if state.get("desired").is_some_and(is_none) {
        let uplink = Uplink::ClearDesired;
        match state.get("reported") {
            Some(reported) if !is_none(reported) => out.push(noted(uplink)),
            _ => return out.push(answered(uplink, "update")),
        }
    }
    let params = state.get_mut("reported").map(Value::take).unwrap_or_default();
    let request = Request { id: "update".into(), params, ..Request::default() };
    let mut heard = Vec::new();
    let mut nothing_waits = super::pending::Pending::new(0);
    // The vendor's shadow is not bound to the thing model.
    let settings = Settings { unknown_keys: UnknownKeys::Accept, ..scene.settings.clone() };
    let scene = Scene { settings: &settings, ..*scene };
    property::post(&scene, &mut nothing_waits, "", &request, &mut heard);
    out.extend(heard.into_iter().map(|heard| match heard.reply {
        Some(_) => answered(heard.uplink, "update"),
        None => heard,
    }));
}

/// Forgets desired values: `{"reported": {"x": "null"}}` names them, `"null"` means all.
fn delete(scene: &Scene<'_>, state: &Value, out: &mut Vec<Heard>) {
    let named = state.get("reported").or(state.get("desired")).and_then(Value::as_object);
    let uplink = match named {
        None => Uplink::ClearDesired,
        Some(keys) => {
            let params = Value::Object(keys.clone());
            let request = Request { params, ..Request::default() };
            property::desired_delete(scene, "", &request).uplink
        }
    };
    out.push(answered(uplink, "delete"));
}

fn answered(uplink: Uplink, method: &str) -> Heard {
    Heard { uplink, reply: Some(Reply { kind: Kind::Shadow as u8, token: method.into() }) }
}

/// Writes the answer on `/shadow/get`.
pub(super) fn reply(scene: &Scene<'_>, answer: &Answer) -> Message {
    let payload = match answer {
        Answer::Shadow(shadow) => whole(scene, shadow),
        _ => match verdict(answer) {
            (OK, _) => serde_json::json!({"status": "success"}),
            (code, text) => serde_json::json!({
                "status": "error",
                "content": {"errorcode": code.to_string(), "errormessage": text},
            }),
        },
    };
    let mut body = Map::new();
    body.insert("method".into(), "reply".into());
    body.insert("payload".into(), payload);
    if let Answer::Shadow(shadow) = answer {
        let version = shadow.services.values().map(|state| state.version).sum::<u64>();
        body.insert("version".into(), version.into());
    }
    body.insert("timestamp".into(), scene.now.as_secs().into());
    message(scene.topic(Verb::ShadowGet), &Value::Object(body), 1)
}

fn whole(scene: &Scene<'_>, shadow: &roadstead_core::shadow::Shadow) -> Value {
    let model = &scene.account.product.model;
    let [mut reported, mut desired, mut reported_at, mut desired_at] =
        core::array::from_fn(|_| Map::<String, Value>::new());
    for (service, state) in &shadow.services {
        let declared = model.service(service);
        let write = |from: &roadstead_core::shadow::Values,
                     values: &mut Map<String, Value>,
                     times: &mut Map<String, Value>| {
            for (key, value) in &from.properties {
                let property = declared.and_then(|service| service.property(key));
                let value = property.map_or_else(|| value.clone(), |p| to_wire(&p.ty, value));
                let name: Box<str> = join_name(service, key);
                values.insert(String::from(&*name), value);
                let at = serde_json::json!({"timestamp": from.at.as_secs()});
                times.insert(name.into(), at);
            }
        };
        write(&state.reported, &mut reported, &mut reported_at);
        write(&state.desired, &mut desired, &mut desired_at);
    }
    let mut state = Map::from_iter([(String::from("reported"), Value::Object(reported))]);
    let mut metadata = Map::from_iter([(String::from("reported"), Value::Object(reported_at))]);
    if !desired.is_empty() {
        state.insert("desired".into(), Value::Object(desired));
        metadata.insert("desired".into(), Value::Object(desired_at));
    }
    serde_json::json!({"status": "success", "state": state, "metadata": metadata})
}
