//! Children of a gateway: messages that speak for several devices, and `$sub_device_manager`.
//!
//! Children are named by device id. A gateway may register and delete its own; their state is
//! what the gateway said last, also while it is off line itself (§8.1).
//!
//! Source: Huawei §3.2, §3.6; recordings of the C SDK; T11. That adding a child again is a success
//! is UNVERIFIED.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use roadstead_core::exchange::{
    Answer, NewSubDevice, SubDevice, SubDeviceFacts, SubDevices, Uplink,
};
use roadstead_core::limit::VALUE_DEPTH_MAX;
use roadstead_core::{Code, Map, Secret, Value};
use serde::{Deserialize, Serialize};

use super::event::{Event, event, object_of};
use super::message::{ignored, malformed, message, noted, unpack, unreadable};
use super::reply::{Kind, heard};
use super::scene::Scene;
use crate::cloud::{Heard, Message, Portion};
use crate::huawei::codes;
use crate::huawei::settings::Settings;
use crate::huawei::topic::{Leaf, Topic};
use crate::huawei::{DEVICE_ID_MAX, NODE_ID_MAX, PRODUCT_ID_MAX, is_id};
use crate::value::is_deeper;

/// Most children of one batch report (§3.2).
const BATCH_MAX: usize = 100;
/// Most children whose state one message changes (§3.6).
const STATUSES_MAX: usize = 100;
/// Most children added or deleted by one message (§3.6).
const CHANGES_MAX: usize = 50;
/// Children told about in one message: the C SDK's buffers are small.
const NOTIFY_MAX: usize = 50;

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    devices: Vec<Member<'a>>,
}

#[derive(Deserialize)]
struct Member<'a> {
    #[serde(borrow)]
    device_id: Cow<'a, str>,
    services: Value,
}

/// Splits a message into one portion per device. What cannot be split stays one portion, which
/// [`batch_error`] explains.
pub(super) fn split(
    own: &str,
    settings: &Settings,
    (topic, leaf): (&str, Leaf<'_>),
    payload: &Bytes,
    out: &mut Vec<Portion>,
) {
    let whole = |device| Portion { device, topic: topic.into(), payload: payload.clone() };
    if let Leaf::GatewayReport { gzip } = leaf {
        let members = unpack(payload, gzip, settings.unpacked_bytes_max);
        let members = members.ok().and_then(|body| members_of(own, &body));
        match members {
            Some(members) => out.extend(members),
            None => out.push(whole(None)),
        }
        return;
    }
    // A packed message of a child is not looked into: no SDK sends one.
    let child = object_of(payload).filter(|id| **id != *own && is_id(id, DEVICE_ID_MAX));
    out.push(whole(child.map(SubDevice::of_id)));
}

fn members_of(own: &str, body: &[u8]) -> Option<Vec<Portion>> {
    let batch = serde_json::from_slice::<Batch<'_>>(body).ok()?;
    if !(1..=BATCH_MAX).contains(&batch.devices.len()) {
        return None;
    }
    let topic =
        alloc::format!("{}", Topic::Device { device: own, leaf: Leaf::Report { gzip: false } });
    let portion = |member: Member<'_>| {
        let device = match &*member.device_id {
            id if id == own => None,
            id if is_id(id, DEVICE_ID_MAX) => Some(SubDevice::of_id(id)),
            _ => return None,
        };
        let body = Map::from_iter([(String::from("services"), member.services)]);
        let payload = serde_json::to_vec(&body).ok()?.into();
        Some(Portion { device, topic: topic.as_str().into(), payload })
    };
    batch.devices.into_iter().map(portion).collect()
}

/// Says why a batch report could not be split.
pub(super) fn batch_error(scene: &Scene<'_>, payload: &[u8], is_packed: bool) -> Heard {
    let body = match unpack(payload, is_packed, scene.settings.unpacked_bytes_max) {
        Ok(body) => body,
        Err(heard) => return *heard,
    };
    match serde_json::from_slice::<Batch<'_>>(&body) {
        Ok(_) => {
            let rule = "`devices` has 1 to 100 entries, each with a device_id";
            noted(malformed("payload.malformed", rule))
        }
        Err(error) => unreadable(&error),
    }
}

/// Understands an event of `$sub_device_manager`.
pub(super) fn uplink(scene: &Scene<'_>, event: Event<'_>, out: &mut Vec<Heard>) {
    if scene.is_about_child() {
        let why = "a child has no children";
        return out.push(noted(malformed("payload.malformed", why)));
    }
    match &*event.event_type {
        "sub_device_update_status" => statuses(&event, out),
        "add_sub_device_request" => out.push(create(&event)),
        "delete_sub_device_request" => out.push(delete(&event)),
        "sub_device_sync_request" => {
            let asked = Uplink::SubDevices(SubDevices::Describe);
            out.push(heard(asked, Kind::SubSync, &[event.id()]));
        }
        _ => out.push(ignored(&event.name())),
    }
}

/// Children that come and children that go are two requests, each with its answer.
fn statuses(event: &Event<'_>, out: &mut Vec<Heard>) {
    let list = event.para("device_statuses").and_then(Value::as_array);
    let Some(list) = list.filter(|list| (1..=STATUSES_MAX).contains(&list.len())) else {
        let why = "`device_statuses` has 1 to 100 entries";
        return out.push(noted(malformed("payload.malformed", why)));
    };
    let (mut online, mut offline) = (Vec::new(), Vec::new());
    for entry in list {
        let id = entry.get("device_id").and_then(Value::as_str);
        let Some(id) = id.filter(|id| is_id(id, DEVICE_ID_MAX)) else {
            return out.push(noted(malformed("payload.malformed", "a status without device_id")));
        };
        match entry.get("status").and_then(Value::as_str) {
            Some("ONLINE") => online.push(SubDevice::of_id(id)),
            Some("OFFLINE") => offline.push(SubDevice::of_id(id)),
            Some(_) | None => {
                let why = "a status is ONLINE or OFFLINE";
                return out.push(noted(malformed("payload.malformed", why)));
            }
        }
    }
    let mut push = |said, status: &str| {
        out.push(heard(Uplink::SubDevices(said), Kind::SubStatus, &[event.id(), status]));
    };
    if !online.is_empty() {
        push(SubDevices::Online(online), "ONLINE");
    }
    if !offline.is_empty() {
        push(SubDevices::Offline(offline), "OFFLINE");
    }
}

fn create(event: &Event<'_>) -> Heard {
    let list = event.para("devices").and_then(Value::as_array);
    let Some(list) = list.filter(|list| (1..=CHANGES_MAX).contains(&list.len())) else {
        return noted(malformed("payload.malformed", "`devices` has 1 to 50 entries"));
    };
    match list.iter().map(new_child).collect::<Option<Vec<_>>>() {
        Some(children) => {
            let said = Uplink::SubDevices(SubDevices::Create(children));
            heard(said, Kind::SubCreate, &[event.id()])
        }
        None => noted(malformed("payload.malformed", "a child without node_id or product_id")),
    }
}

fn new_child(entry: &Value) -> Option<NewSubDevice> {
    let text = |key| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = |key, max| text(key).filter(|text| is_id(text, max));
    let id = match text("device_id") {
        Some(_) => Some(name("device_id", DEVICE_ID_MAX)?.into()),
        None => None,
    };
    let mut info = Map::new();
    for key in ["description", "extension_info"] {
        let said = entry.get(key).filter(|value| !value.is_null() && value.as_str() != Some(""));
        if let Some(value) = said.filter(|value| !is_deeper(value, VALUE_DEPTH_MAX)) {
            info.insert(key.into(), value.clone());
        }
    }
    Some(NewSubDevice {
        device: SubDevice {
            product: name("product_id", PRODUCT_ID_MAX)?.into(),
            node: name("node_id", NODE_ID_MAX)?.into(),
        },
        id,
        name: text("name").unwrap_or_default().into(),
        info,
    })
}

fn delete(event: &Event<'_>) -> Heard {
    let list = event.para("devices").and_then(Value::as_array);
    let ids = list.filter(|list| (1..=CHANGES_MAX).contains(&list.len())).and_then(|list| {
        let id = |entry: &Value| {
            entry.as_str().filter(|id| is_id(id, DEVICE_ID_MAX)).map(SubDevice::of_id)
        };
        list.iter().map(id).collect::<Option<Vec<_>>>()
    });
    match ids {
        Some(ids) => {
            let said = Uplink::SubDevices(SubDevices::Delete(ids));
            heard(said, Kind::SubDelete, &[event.id()])
        }
        None => noted(malformed("payload.malformed", "`devices` has 1 to 50 device ids")),
    }
}

#[derive(Serialize)]
struct Results<S, F> {
    successful_devices: Vec<S>,
    failed_devices: Vec<F>,
}

#[derive(Serialize)]
struct Status<'a> {
    device_id: &'a str,
    status: &'a str,
}

#[derive(Serialize)]
struct Failed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<&'a str>,
    error_code: &'static str,
    error_msg: &'static str,
}

impl<'a> Failed<'a> {
    fn new(device: &'a SubDevice, code: Code) -> Self {
        let (error_code, error_msg) = codes::child(code);
        let named = device.id().is_none();
        Self {
            device_id: device.id(),
            node_id: named.then_some(&*device.node),
            product_id: named.then_some(&*device.product),
            error_code,
            error_msg,
        }
    }
}

const MANAGER: &str = "$sub_device_manager";

/// Writes `sub_device_update_status_response`.
pub(super) fn statuses_reply(
    scene: &Scene<'_>,
    id: &str,
    status: &str,
    answer: &Answer,
) -> Option<Message> {
    let Answer::SubDevices(results) = answer else { return None };
    let done = results.iter().filter(|(_, result)| result.is_ok());
    let successful_devices =
        done.map(|(device, _)| Status { device_id: &device.node, status }).collect();
    let paras = Results { successful_devices, failed_devices: failures(results) };
    Some(event(scene, (MANAGER, "sub_device_update_status_response"), id, paras))
}

/// Writes `delete_sub_device_response`.
pub(super) fn delete_reply(scene: &Scene<'_>, id: &str, answer: &Answer) -> Option<Message> {
    let Answer::SubDevices(results) = answer else { return None };
    let done = results.iter().filter(|(_, result)| result.is_ok());
    let successful_devices: Vec<&str> = done.map(|(device, _)| &*device.node).collect();
    let paras = Results { successful_devices, failed_devices: failures(results) };
    Some(event(scene, (MANAGER, "delete_sub_device_response"), id, paras))
}

fn failures(results: &[(SubDevice, Result<(), Code>)]) -> Vec<Failed<'_>> {
    let failed = results.iter().filter_map(|(device, result)| Some((device, result.err()?)));
    failed.map(|(device, code)| Failed::new(device, code)).collect()
}

/// Writes `add_sub_device_response`.
pub(super) fn create_reply(scene: &Scene<'_>, id: &str, answer: &Answer) -> Option<Message> {
    let Answer::Created(results) = answer else { return None };
    let mut paras = Results { successful_devices: Vec::new(), failed_devices: Vec::new() };
    for (device, result) in results {
        match result {
            Ok(facts) => paras.successful_devices.push(Child::of(facts)),
            Err(code) => paras.failed_devices.push(Failed::new(device, code)),
        }
    }
    Some(event(scene, (MANAGER, "add_sub_device_response"), id, paras))
}

#[derive(Serialize)]
struct Child<'a> {
    parent_device_id: Option<&'a str>,
    node_id: &'a str,
    device_id: &'a str,
    name: &'a str,
    description: Option<&'a Value>,
    product_id: &'a str,
    fw_version: Option<&'a Value>,
    sw_version: Option<&'a Value>,
    status: roadstead_core::device::Status,
    extension_info: Option<&'a Value>,
}

impl<'a> Child<'a> {
    fn of(facts: &'a SubDeviceFacts) -> Self {
        let info = |key| facts.info.get(key);
        Self {
            parent_device_id: facts.gateway.as_deref(),
            node_id: &facts.device.node,
            device_id: &facts.id,
            name: &facts.name,
            description: info("description"),
            product_id: &facts.device.product,
            fw_version: info("fw_version"),
            sw_version: info("sw_version"),
            status: facts.status,
            extension_info: info("extension_info"),
        }
    }
}

#[derive(Serialize)]
struct Notice<'a> {
    devices: Vec<Child<'a>>,
    // Seconds since 1970: grows with every change, as devices expect of it.
    version: i64,
}

/// Writes `add_sub_device_notify` or `delete_sub_device_notify`.
pub(super) fn notify(
    scene: &Scene<'_>,
    id: &str,
    attached: bool,
    facts: &[SubDeviceFacts],
    out: &mut Vec<Message>,
) {
    let kind = if attached { "add_sub_device_notify" } else { "delete_sub_device_notify" };
    let mut write = |facts: &[SubDeviceFacts]| {
        let devices = facts.iter().map(Child::of).collect();
        let paras = Notice { devices, version: scene.now.as_secs() };
        out.push(event(scene, (MANAGER, kind), id, paras));
    };
    if facts.is_empty() {
        return write(facts);
    }
    facts.chunks(NOTIFY_MAX).for_each(write);
}

/// Writes the answer to `sub_device_sync_request`.
pub(super) fn sync_reply(scene: &Scene<'_>, id: &str, answer: &Answer, out: &mut Vec<Message>) {
    if let Answer::Described(facts) = answer {
        notify(scene, id, true, facts, out);
    }
}

/// Writes `start_scan`.
pub(super) fn scan(scene: &Scene<'_>) -> Message {
    event(scene, (MANAGER, "start_scan"), "", Map::<String, Value>::new())
}

#[derive(Deserialize)]
struct Login<'a> {
    sign_type: Option<i64>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    password: Cow<'a, str>,
}

/// Returns the proof of a device behind a bridge.
pub(super) fn bridge_proof(payload: &[u8]) -> Result<Map<String, Value>, Box<Heard>> {
    let login =
        serde_json::from_slice::<Login<'_>>(payload).map_err(|e| Box::new(unreadable(&e)))?;
    Ok(Map::from_iter([
        ("sign_type".into(), login.sign_type.unwrap_or(0).into()),
        ("timestamp".into(), Value::from(&*login.timestamp)),
        ("password".into(), Value::from(&*login.password)),
    ]))
}

#[derive(Deserialize)]
struct Reset<'a> {
    #[serde(borrow)]
    old_secret: Cow<'a, str>,
    #[serde(borrow)]
    new_secret: Cow<'a, str>,
}

/// Returns the old and the new secret of a device behind a bridge.
pub(super) fn bridge_reset(payload: &[u8]) -> Result<(Secret, Secret), Box<Heard>> {
    let reset =
        serde_json::from_slice::<Reset<'_>>(payload).map_err(|e| Box::new(unreadable(&e)))?;
    Ok((Secret::from(&*reset.old_secret), Secret::from(&*reset.new_secret)))
}

#[derive(Serialize)]
struct Verdict<'a> {
    result_code: i32,
    result_desc: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paras: Option<NewSecret<'a>>,
}

#[derive(Serialize)]
struct NewSecret<'a> {
    new_secret: &'a str,
}

/// Writes `disconnect`: the device behind the bridge may no longer be connected. What is in it is
/// UNVERIFIED; the SDKs look at the topic.
pub(super) fn bridge_disconnect(bridge: &str, device: &str) -> Message {
    let topic = Topic::Bridged { bridge, device, leaf: Leaf::Disconnect };
    message(&topic, &Map::<String, Value>::new())
}

/// Writes `login/response`, `logout/response` or `reset_secret/response` of a device behind a
/// bridge; the last one repeats the new secret when it is taken.
pub(super) fn bridge_reply(
    topic: &Topic<'_>,
    answer: &Answer,
    new_secret: Option<&Secret>,
) -> Message {
    let refused = match answer {
        Answer::SubDevices(results) => results.iter().find_map(|(_, result)| result.err()),
        Answer::Refused { code, .. } | Answer::Partly { code, .. } => Some(*code),
        Answer::Done
        | Answer::Shadow(_)
        | Answer::Time { .. }
        | Answer::LogLevel(_)
        | Answer::Config(_)
        | Answer::Created(_)
        | Answer::Registered(_)
        | Answer::Described(_) => None,
    };
    let result_desc = refused.unwrap_or("success").into();
    let new_secret = new_secret.filter(|_| refused.is_none()).and_then(Secret::expose_text);
    let paras = new_secret.map(|new_secret| NewSecret { new_secret });
    message(topic, &Verdict { result_code: i32::from(refused.is_some()), result_desc, paras })
}
