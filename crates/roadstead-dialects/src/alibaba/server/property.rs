//! Properties: posted, in batches, of the past; set, asked for; desired.
//!
//! Source: Alibaba §8; recordings of six clients.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Uplink};
use roadstead_core::limit::VALUE_DEPTH_MAX;
use roadstead_core::product::DataType;
use roadstead_core::shadow::{Shadow, Values};
use roadstead_core::{Map, RequestId, Timestamp, Value};

use super::message::{
    Asked, answered, bad_params, checked, device_time, heard, malformed, message, noted, nothing,
    verdict,
};
use super::pending::{Pending, Wanted};
use super::reply::{Kind, Mark};
use super::scene::Scene;
use crate::alibaba::payload::Request;
use crate::alibaba::settings::UnknownKeys;
use crate::alibaba::topic::{Verb, sys};
use crate::alibaba::value::{join_name, split_name, to_canonical, to_wire};
use crate::cloud::{Heard, Message};
use crate::value::is_deeper;

/// Most values of one batch; the vendor's limit is 200 per message.
const VALUES_MAX: usize = 512;
/// Version in the requests of the thing model, as recorded.
const REQUEST_VERSION: &str = "1.0.0";

/// One value on its way: its name on the wire, the value, when it was true.
pub(super) type Posted = (String, Value, Timestamp);

/// Understands `property/post`: `{"x":1}` or `{"x":{"value":1,"time":ms}}`.
pub(super) fn post(
    scene: &Scene<'_>,
    pending: &mut Pending,
    rest: &str,
    request: &Request,
    out: &mut Vec<Heard>,
) {
    let Some(params) = request.params.as_object() else {
        return out.push(heard(bad_params("`params` is no object"), Kind::Report, rest, request));
    };
    let mut posted: Vec<Posted> = Vec::with_capacity(params.len());
    for (key, value) in params {
        let (value, time) = unwrapped(scene, key, value);
        posted.push((key.clone(), value.clone(), device_time(time, scene.now)));
    }
    fulfil(scene, pending, params, out);
    reported(scene, posted, rest, request, out);
}

/// Clients that only report what they were told to set have answered by that.
fn fulfil(
    scene: &Scene<'_>,
    pending: &mut Pending,
    params: &Map<String, Value>,
    out: &mut Vec<Heard>,
) {
    if let Some(id) = pending.take_fulfilled(scene.names(), params) {
        out.push(noted(super::service::response(Some(id), 0, "reported", Map::new())));
    }
}

/// Takes the value out of `{"value", "time"}`, unless the property itself has such a form.
fn unwrapped<'v>(scene: &Scene<'_>, key: &str, value: &'v Value) -> (&'v Value, Option<&'v Value>) {
    let model = &scene.account.product.model;
    let (service, member) = split_name(model, key, |service, id| service.property(id).is_some());
    let property = model.service(service).and_then(|service| service.property(member));
    let has_form = property.is_some_and(|property| {
        matches!(&property.ty, DataType::Struct { fields } if fields.iter().any(|f| &*f.id == "value"))
            || matches!(property.ty, DataType::Any)
    });
    match value.as_object() {
        Some(object) if !has_form && is_wrapped(object) => (&object["value"], object.get("time")),
        _ => (value, None),
    }
}

/// True for `{"value": …}` with or without a `time`.
pub(super) fn is_wrapped(object: &Map<String, Value>) -> bool {
    object.contains_key("value") && object.keys().all(|key| key == "value" || key == "time")
}

/// Understands `property/batch/post`: `{"properties":{x:[{value,time}]},"events":{e:[{value,time}]}}`.
pub(super) fn batch(scene: &Scene<'_>, rest: &str, request: &Request, out: &mut Vec<Heard>) {
    let (mut posted, mut events) = (Vec::new(), Vec::new());
    if !collect(&request.params, scene, &mut posted, &mut events) {
        let uplink = bad_params("`properties` and `events` are not lists of values, or too long");
        return out.push(heard(uplink, Kind::Report, rest, request));
    }
    super::event::happened(scene, events, out);
    reported(scene, posted, rest, request, out);
}

/// Understands `property/history/post` of one device: a list of such batches, or of maps.
pub(super) fn history(scene: &Scene<'_>, rest: &str, request: &Request, out: &mut Vec<Heard>) {
    let (mut posted, mut events) = (Vec::new(), Vec::new());
    let list = request.params.as_array().map_or(&[][..], Vec::as_slice);
    if !request.params.is_array()
        || !list.iter().all(|part| collect(part, scene, &mut posted, &mut events))
    {
        let uplink = bad_params("`params` is no list of `properties` and `events`, or too long");
        return out.push(heard(uplink, Kind::Report, rest, request));
    }
    super::event::happened(scene, events, out);
    reported(scene, posted, rest, request, out);
}

/// Gathers `properties` and `events` of a batch; false when they have another form.
fn collect(
    batch: &Value,
    scene: &Scene<'_>,
    posted: &mut Vec<Posted>,
    events: &mut Vec<Posted>,
) -> bool {
    [("properties", posted), ("events", events)].into_iter().all(|(key, into)| {
        match batch.get(key) {
            None | Some(Value::Null) => true,
            Some(Value::Object(by_name)) => by_name.iter().all(|(name, values)| match values {
                Value::Array(values) => values.iter().all(|value| keep(name, value, scene, into)),
                value => keep(name, value, scene, into),
            }),
            // History: `[{"x": {"value", "time"}, …}, …]`.
            Some(Value::Array(maps)) => maps.iter().all(|map| {
                let map = map.as_object();
                map.is_some_and(|map| {
                    map.iter().all(|(name, value)| keep(name, value, scene, into))
                })
            }),
            Some(_) => false,
        }
    })
}

fn keep(name: &str, value: &Value, scene: &Scene<'_>, into: &mut Vec<Posted>) -> bool {
    let (value, time) = match value.as_object() {
        Some(object) if is_wrapped(object) => (&object["value"], object.get("time")),
        _ => (value, None),
    };
    into.push((name.into(), value.clone(), device_time(time, scene.now)));
    into.len() <= VALUES_MAX
}

/// Sorts values into services and moments, oldest first; the last report carries the answer.
fn reported(
    scene: &Scene<'_>,
    mut posted: Vec<Posted>,
    rest: &str,
    request: &Request,
    out: &mut Vec<Heard>,
) {
    let model = &scene.account.product.model;
    let policy = scene.settings.unknown_keys;
    posted.sort_by_key(|(_, _, at)| *at);
    let mut services: Vec<(Box<str>, Values)> = Vec::new();
    let mut rejected: Vec<(Box<str>, Box<str>)> = Vec::new();
    for (key, value, at) in posted {
        let (service, member) =
            split_name(model, &key, |service, id| service.property(id).is_some());
        let property = model.service(service).and_then(|service| service.property(member));
        let fitted = match property {
            Some(property) => to_canonical(&property.ty, value).map_err(|v| v.to_string()),
            None if is_deeper(&value, VALUE_DEPTH_MAX) => {
                Err("nested deeper than the limit".into())
            }
            None if model.is_empty() || policy == UnknownKeys::Accept => Ok(value),
            None => Err("not in the model".into()),
        };
        match fitted {
            Ok(value) => insert(&mut services, service, at, member, value),
            Err(why) => rejected.push((key.into(), why.into())),
        }
    }
    let uplink = match rejected.first() {
        Some((key, why)) if policy == UnknownKeys::Reject => {
            malformed("model.violation", alloc::format!("{key}: {why}"))
        }
        _ => Uplink::Report { services, rejected },
    };
    out.push(heard(uplink, Kind::Report, rest, request));
}

fn insert(
    services: &mut Vec<(Box<str>, Values)>,
    service: &str,
    at: Timestamp,
    key: &str,
    value: Value,
) {
    let same = |(id, values): &&mut (Box<str>, Values)| **id == *service && values.at == at;
    if let Some((_, values)) = services.iter_mut().find(same) {
        values.properties.insert(key.into(), value);
        return;
    }
    let mut properties = Map::with_capacity(8);
    properties.insert(key.into(), value);
    services.push((service.into(), Values { properties, at }));
}

/// Writes the answer to a report: what was left out is in `data`, by name.
pub(super) fn report_reply(scene: &Scene<'_>, mark: &Mark<'_>, answer: &Answer) -> Message {
    let data = match answer {
        Answer::Partly { detail, .. } => {
            Value::Object(Map::from_iter([("rejected".into(), Value::from(&**detail))]))
        }
        _ => nothing(),
    };
    answered(scene, mark, verdict(answer), &data)
}

/// Understands `desired/get`: a list of names.
pub(super) fn desired_get(rest: &str, request: &Request) -> Heard {
    heard(Uplink::ReadShadow, Kind::Desired, rest, request)
}

/// Writes what is desired. The device gets all of it: firmware asks for what it has.
pub(super) fn desired_reply(scene: &Scene<'_>, mark: &Mark<'_>, answer: &Answer) -> Message {
    let Answer::Shadow(shadow) = answer else {
        return answered(scene, mark, verdict(answer), &nothing());
    };
    let mut data = Map::new();
    for (service, key, value, version) in desired(scene, shadow) {
        let entry = [("value".into(), value), ("version".into(), Value::from(version))];
        data.insert(join_name(service, key).into(), Value::Object(Map::from_iter(entry)));
    }
    answered(scene, mark, verdict(answer), &Value::Object(data))
}

fn desired<'s>(
    scene: &'s Scene<'_>,
    shadow: &'s Shadow,
) -> impl Iterator<Item = (&'s str, &'s str, Value, u64)> {
    let model = &scene.account.product.model;
    shadow.services.iter().flat_map(move |(service, state)| {
        state.desired.properties.iter().map(move |(key, value)| {
            let property = model.service(service).and_then(|service| service.property(key));
            let value = property.map_or_else(|| value.clone(), |p| to_wire(&p.ty, value));
            (&**service, key.as_str(), value, state.version)
        })
    })
}

/// Understands `desired/delete`: `{"x":{"version":n}}`, or nothing for all.
pub(super) fn desired_delete(scene: &Scene<'_>, rest: &str, request: &Request) -> Heard {
    let Some(params) = request.params.as_object() else {
        return heard(bad_params("`params` is no object"), Kind::Plain, rest, request);
    };
    let uplink = match params.is_empty() {
        true => Uplink::ClearDesired,
        false => Uplink::ForgetDesired(by_service(scene, params.keys())),
    };
    heard(uplink, Kind::Plain, rest, request)
}

fn by_service<'k>(
    scene: &Scene<'_>,
    keys: impl Iterator<Item = &'k String>,
) -> Vec<(Box<str>, Vec<Box<str>>)> {
    let model = &scene.account.product.model;
    let mut services: Vec<(Box<str>, Vec<Box<str>>)> = Vec::new();
    for key in keys {
        let (service, member) =
            split_name(model, key, |service, id| service.property(id).is_some());
        match services.iter_mut().find(|(id, _)| **id == *service) {
            Some((_, members)) => members.push(member.into()),
            None => services.push((service.into(), Vec::from([member.into()]))),
        }
    }
    services
}

/// Writes `property/set`.
pub(super) fn set(
    scene: &Scene<'_>,
    pending: &mut Pending,
    id: Option<RequestId>,
    service: &str,
    properties: &Map<String, Value>,
) -> Result<Message, CommandError> {
    let declared = scene.account.product.model.service(service);
    let wire = |(key, value): (&String, &Value)| {
        let property = declared.and_then(|service| service.property(key));
        let value = property.map_or_else(|| value.clone(), |p| to_wire(&p.ty, value));
        (String::from(join_name(service, key)), value)
    };
    let params: Map<String, Value> = properties.iter().map(wire).collect();
    let number = pending.open(id, scene.names(), Wanted::Set(params.clone()))?;
    written(scene, sys::PROPERTY_SET, &number, &Value::Object(params))
}

/// Writes `property/get`; no names at all are all that can be read.
pub(super) fn get(
    scene: &Scene<'_>,
    pending: &mut Pending,
    id: Option<RequestId>,
    service: &str,
    properties: &[Box<str>],
) -> Result<Message, CommandError> {
    let declared = scene.account.product.model.service(service);
    let all = declared.into_iter().flat_map(|service| &service.properties);
    let names: Vec<Value> = match properties.is_empty() {
        true => all
            .filter(|p| p.access.read)
            .map(|p| Value::from(&*join_name(service, &p.id)))
            .collect(),
        false => properties.iter().map(|key| Value::from(&*join_name(service, key))).collect(),
    };
    let number = pending.open(id, scene.names(), Wanted::Get)?;
    written(scene, sys::PROPERTY_GET, &number, &Value::Array(names))
}

fn written(
    scene: &Scene<'_>,
    rest: &str,
    id: &str,
    params: &Value,
) -> Result<Message, CommandError> {
    let method = rest.replace('/', ".");
    let body = Asked { method: &method, id, params, version: REQUEST_VERSION };
    checked(message(scene.topic(Verb::Sys(rest)), &body, 0))
}

/// Returns the canonical form of values that a device answered with.
pub(super) fn canonical(scene: &Scene<'_>, data: &Map<String, Value>) -> Map<String, Value> {
    let model = &scene.account.product.model;
    let convert = |(key, value): (&String, &Value)| {
        let (service, member) =
            split_name(model, key, |service, id| service.property(id).is_some());
        let property = model.service(service).and_then(|service| service.property(member));
        let value = match property {
            Some(property) => {
                to_canonical(&property.ty, value.clone()).unwrap_or_else(|_| value.clone())
            }
            None => value.clone(),
        };
        (member.into(), value)
    };
    data.iter().map(convert).collect()
}
