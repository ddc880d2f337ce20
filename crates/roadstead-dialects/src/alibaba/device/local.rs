//! Local control: services of the thing model for a phone in an open session, and keys from a
//! local set-up.
//!
//! Source: Alibaba §10 items 2 and 4.

use alloc::string::{String, ToString as _};

use roadstead_core::{Map, Value};
use roadstead_wire::coap::Exchange;
use serde_json::json;

use super::super::alcs::{AuthError, KeyPair};
use super::super::lan::{Answer, Ask};
use super::context::Context;
use super::question::Origin;
use super::{store, values};
use crate::device::Event;

/// The vendor's number of a parameter that does not fit (§8).
const BAD_PARAMETER: i64 = 460;

/// Turns a request into an event for the application.
///
/// # Errors
///
/// The answer, when it can be given at once.
pub(super) fn ask(
    name: &str,
    ask: Ask,
    exchange: &Exchange,
    session: u32,
    cx: &mut Context<'_>,
) -> Result<Event, Answer> {
    let origin = Origin::Local { exchange: *exchange, session };
    event(name, ask, origin, cx)
}

/// Turns a service call of anybody into an event for the application.
///
/// # Errors
///
/// The answer, when it can be given at once.
pub(super) fn event(
    name: &str,
    ask: Ask,
    origin: Origin,
    cx: &mut Context<'_>,
) -> Result<Event, Answer> {
    let model = cx.memory.config.model.clone();
    let refuse = |words: &str| Answer {
        id: ask.id.clone(),
        code: BAD_PARAMETER,
        data: json!({ "error": words }),
    };
    if name == "property/get" {
        return Err(Answer::ok(&ask.id, reported(&ask.params, cx)));
    }
    let params = match &ask.params {
        Value::Object(map) => map.clone(),
        Value::Null => Map::new(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(refuse("params is no object"));
        }
    };
    if name == "property/set" {
        let values = values::properties_from_wire(model.as_deref(), params);
        let (service, properties) = values.map_err(|violation| refuse(&violation.to_string()))?;
        let key = cx.memory.questions.add(ask.id, origin, None);
        return Ok(Event::Set { key, node: None, service, properties });
    }
    let values = values::input_from_wire(model.as_deref(), name, params);
    let (service, command, params) = values.map_err(|violation| refuse(&violation.to_string()))?;
    let key = cx.memory.questions.add(ask.id, origin, Some(name.into()));
    Ok(Event::Command { key, node: None, service, command, params })
}

/// Returns what was reported last of the named properties, of all without names.
fn reported(params: &Value, cx: &Context<'_>) -> Value {
    let reported = &cx.memory.reported;
    let all = || reported.iter().map(|(id, value)| (id.clone(), value.clone())).collect();
    match params.as_array() {
        Some(names) => names
            .iter()
            .filter_map(Value::as_str)
            .filter_map(|id| Some((String::from(id), reported.get(id)?.clone())))
            .collect(),
        None => all(),
    }
}

/// Takes keys of a local set-up: only while everybody may control the device anyway.
pub(super) fn set_up(params: &Value, cx: &mut Context<'_>) -> Result<Value, AuthError> {
    if !cx.memory.local.is_open_to_all() {
        return Err(AuthError::Revoked);
    }
    let list = params.get("configValue").and_then(Value::as_array).ok_or(AuthError::Parameter)?;
    let (product, device) = cx.names();
    let own = |item: &&Value| {
        item.get("productKey").and_then(Value::as_str) == Some(product)
            && item.get("deviceName").and_then(Value::as_str) == Some(device)
    };
    let item = list.iter().find(own).ok_or(AuthError::Parameter)?;
    let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
    let pair = KeyPair::new(text("authCode"), text("authSecret").into());
    take(pair.ok_or(AuthError::Parameter)?, cx);
    Ok(json!({}))
}

/// Keeps and uses a pair of keys.
pub(super) fn take(pair: KeyPair, cx: &mut Context<'_>) {
    cx.out.push(store::set(store::KEYS, Some(store::keys(&pair))));
    cx.memory.local.add(pair);
}
