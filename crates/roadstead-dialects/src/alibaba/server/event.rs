//! Events of the thing model.
//!
//! Source: Alibaba §8; the Python client writes `{"value": {…}}` around the parameters.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::exchange::{Occurrence, Uplink};
use roadstead_core::limit::VALUE_DEPTH_MAX;
use roadstead_core::product::{Level, Violation};
use roadstead_core::{Map, Timestamp, Value};

use super::message::{bad_params, device_time, heard, malformed, noted};
use super::property::{Posted, is_wrapped};
use super::reply::Kind;
use super::scene::Scene;
use crate::alibaba::payload::Request;
use crate::alibaba::settings::UnknownKeys;
use crate::alibaba::value::{fields_to_canonical, split_name};
use crate::cloud::Heard;
use crate::value::is_deeper;

/// Understands `event/{name}/post`.
pub(super) fn post(
    scene: &Scene<'_>,
    name: &str,
    rest: &str,
    request: &Request,
    out: &mut Vec<Heard>,
) {
    let params = match &request.params {
        Value::Object(params) => params.clone(),
        Value::Null => Map::new(),
        _ => {
            return out.push(heard(
                bad_params("`params` is no object"),
                Kind::Plain,
                rest,
                request,
            ));
        }
    };
    let (params, time) = unwrapped(scene, name, params);
    let at = device_time(time.as_ref(), scene.now);
    let (occurrence, wrong) = occurrence(scene, name, params, at);
    let refused = scene.settings.unknown_keys == UnknownKeys::Reject;
    match (occurrence, wrong) {
        (Some(event), None) => {
            out.push(heard(Uplink::Events(Vec::from([event])), Kind::Plain, rest, request));
        }
        (Some(event), Some(wrong)) if !refused => {
            out.push(noted(malformed("model.violation", wrong.to_string())));
            out.push(heard(Uplink::Events(Vec::from([event])), Kind::Plain, rest, request));
        }
        (_, wrong) => {
            let why = wrong.map_or_else(|| "not in the model".into(), |wrong| wrong.to_string());
            out.push(heard(malformed("model.violation", why), Kind::Plain, rest, request));
        }
    }
}

/// Takes events of a batch; what does not fit is said once each.
pub(super) fn happened(scene: &Scene<'_>, posted: Vec<Posted>, out: &mut Vec<Heard>) {
    let mut events = Vec::new();
    for (name, value, at) in posted {
        let params = match value {
            Value::Object(params) => params,
            other => Map::from_iter([("value".into(), other)]),
        };
        let (occurrence, wrong) = occurrence(scene, &name, params, at);
        events.extend(occurrence);
        out.extend(wrong.map(|wrong| noted(malformed("model.violation", wrong.to_string()))));
    }
    if !events.is_empty() {
        events.sort_by_key(|event| event.at);
        out.push(noted(Uplink::Events(events)));
    }
}

/// Takes the parameters out of `{"value": {…}, "time"}`, unless the event declares a `value`.
fn unwrapped(
    scene: &Scene<'_>,
    name: &str,
    mut params: Map<String, Value>,
) -> (Map<String, Value>, Option<Value>) {
    let model = &scene.account.product.model;
    let (service, member) = split_name(model, name, |service, id| service.event(id).is_some());
    let event = model.service(service).and_then(|service| service.event(member));
    let declares = event.is_some_and(|event| event.output.iter().any(|p| &*p.id == "value"));
    if declares || !is_wrapped(&params) || !params["value"].is_object() {
        return (params, None);
    }
    let time = params.get("time").cloned();
    match params.remove("value") {
        Some(Value::Object(inner)) => (inner, time),
        _ => (params, time),
    }
}

fn occurrence(
    scene: &Scene<'_>,
    name: &str,
    params: Map<String, Value>,
    at: Timestamp,
) -> (Option<Occurrence>, Option<Violation>) {
    let model = &scene.account.product.model;
    let (service, member) = split_name(model, name, |service, id| service.event(id).is_some());
    let declared = model.service(service).and_then(|service| service.event(member));
    let accepts = model.is_empty() || scene.settings.unknown_keys == UnknownKeys::Accept;
    let (level, params, wrong) = match declared {
        Some(event) => {
            let (params, wrong) = fields_to_canonical(&event.output, params, accepts);
            (event.level, params, wrong.map(|wrong| wrong.inside(name)))
        }
        None if accepts && !params.values().any(|value| is_deeper(value, VALUE_DEPTH_MAX)) => {
            (Level::Info, params, None)
        }
        None => {
            return (None, Some(Violation::new("not in the model").inside(&String::from(name))));
        }
    };
    let (service, event) = (service.into(), member.into());
    (Some(Occurrence { service, event, level, at, params }), wrong)
}
