//! Gateways: what they say of their sub-devices, and what they are told.
//!
//! Firmware reads only the first object of `devices`, so every message names one device; lists
//! are split. It takes `result` -2 for "still waiting", so that number is never sent.
//!
//! Source: Tencent §12, §13.2; `transcripts/tencent/*gateway*.json`, `gw-subdev-offline.json`.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use base64::Engine as _;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, SubDevice, SubDeviceProof, SubDevices, Uplink};
use roadstead_core::{Code, Map, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::message::{
    GATEWAY_PACKET_BYTES_MAX, checked, heard, ignored, malformed, message, noted, packet_bytes,
    unreadable,
};
use super::reply::Kind;
use crate::cloud::{Account, Heard, Message};
use crate::tencent::auth::{BASE64, Digest, device_key};
use crate::tencent::topic::Topic;
use crate::tencent::{PRODUCT_ID_LEN, codes, is_device_name};

/// Most devices one message of a gateway may name.
const DEVICES_MAX: usize = 64;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "type")]
    ty: Cow<'a, str>,
    payload: Option<Value>,
}

/// Understands one message of `$gateway/operation`.
pub(super) fn uplink(payload: &[u8]) -> Heard {
    let body: Body<'_> = match serde_json::from_slice(payload) {
        Ok(body) => body,
        Err(error) => return noted(unreadable(&error)),
    };
    let ty = &*body.ty;
    if ty == "describe_sub_devices" {
        return heard(Uplink::SubDevices(SubDevices::List), Kind::SubList, "");
    }
    if !matches!(ty, "online" | "offline" | "bind" | "unbind") {
        // Acknowledgements of `change`, `search_devices`, `unbind_all`; SDK 3.1 sends none.
        return ignored(ty);
    }
    let listed = body.payload.as_ref().and_then(|payload| payload.get("devices")?.as_array());
    let objects = match listed {
        Some(list) if (1..=DEVICES_MAX).contains(&list.len()) => list,
        _ => return noted(malformed("payload.malformed", "no `payload.devices`, or too many")),
    };
    let Some(devices) = objects.iter().map(named).collect::<Option<Vec<_>>>() else {
        return noted(malformed("payload.malformed", "a device without its two names"));
    };
    let token = names(&devices);
    let (said, kind) = match ty {
        "online" => (SubDevices::Online(devices), Kind::SubOnline),
        "offline" => (SubDevices::Offline(devices), Kind::SubOffline),
        "bind" => (SubDevices::Bind(proofs(devices, objects)), Kind::SubBind),
        _ => (SubDevices::Unbind(devices), Kind::SubUnbind),
    };
    heard(Uplink::SubDevices(said), kind, &token)
}

fn named(object: &Value) -> Option<SubDevice> {
    let name = |key| object.get(key)?.as_str().filter(|name| is_device_name(name));
    let product = name("product_id").filter(|name| name.len() <= PRODUCT_ID_LEN)?;
    Some(SubDevice { product: product.into(), node: name("device_name")?.into() })
}

fn proofs(devices: Vec<SubDevice>, objects: &[Value]) -> Vec<SubDeviceProof> {
    let proof = |object: &Value| {
        let members = object.as_object().into_iter().flatten();
        let names = ["product_id", "device_name"];
        members
            .filter(|(key, _)| !names.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    devices
        .into_iter()
        .zip(objects)
        .map(|(device, object)| SubDeviceProof { device, proof: proof(object) })
        .collect()
}

/// Writes the devices of a request into its reply mark: `product/node,product/node`. Neither
/// sign occurs in a name.
fn names(devices: &[SubDevice]) -> String {
    let name = |device: &SubDevice| format!("{}/{}", device.product, device.node);
    devices.iter().map(name).collect::<Vec<_>>().join(",")
}

/// Checks the signature a gateway made for a sub-device.
///
/// The key is the text of the secret, not what it decodes to; documents show both, so both are
/// taken. Of a sub-device with a certificate the secret is the MD5 of the file in hexadecimal.
pub(super) fn verify(
    sub: &Account,
    proof: &Map<String, Value>,
    window: Option<Duration>,
    now: Timestamp,
) -> Result<(), Code> {
    let text = |key| proof.get(key).and_then(Value::as_str);
    let digest = match text("signmethod") {
        Some(name) => Digest::parse(name).ok_or("subdevice.sign_method")?,
        None => Digest::Sha1,
    };
    let (Some(signature), Some(random), Some(timestamp)) =
        (text("signature"), number(proof.get("random")), number(proof.get("timestamp")))
    else {
        return Err("payload.malformed");
    };
    let secret = sub.device.secret.as_ref().ok_or("subdevice.bad_signature")?;
    let claimed = BASE64.decode(signature).map_err(|_| "subdevice.bad_signature")?;
    let signed = format!("{}{};{random};{timestamp}", sub.product.id, sub.device.node);
    let decoded = device_key(secret);
    let matches = |key: &[u8]| digest.verify(key, signed.as_bytes(), &claimed);
    if !(matches(secret.expose()) || decoded.is_some_and(|key| matches(key.expose()))) {
        return Err("subdevice.bad_signature");
    }
    let age = now.as_secs().abs_diff(timestamp);
    match window {
        Some(window) if age > window.as_secs() => Err("subdevice.expired"),
        Some(_) | None => Ok(()),
    }
}

/// Reads a number that some firmware writes as text.
fn number(value: Option<&Value>) -> Option<i64> {
    let value = value?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    #[serde(rename = "type")]
    ty: &'a str,
    payload: T,
}

#[derive(Serialize)]
struct Devices<T> {
    devices: Vec<T>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    result: i32,
    product_id: &'a str,
    device_name: &'a str,
}

#[derive(Clone, Serialize)]
struct Names<'a> {
    product_id: &'a str,
    device_name: &'a str,
}

impl<'a> Names<'a> {
    fn of(device: &'a SubDevice) -> Self {
        Self { product_id: &device.product, device_name: &device.node }
    }
}

/// QoS of answers: 0 as in the recordings. The multi-threaded gateway of SDK 3.1.5 runs into its
/// write time-out (-605) when it has to acknowledge the answer it is waiting for.
const ANSWER_QOS: u8 = 0;

/// Writes the answer to `ty`: one message per device.
pub(super) fn reply(
    topic: Topic<'_>,
    ty: &str,
    token: &str,
    answer: &Answer,
    out: &mut Vec<Message>,
) {
    let mut push = |product_id: &str, device_name: &str, result: i32| {
        let devices = Vec::from([Outcome { result, product_id, device_name }]);
        out.push(message(topic, &Envelope { ty, payload: Devices { devices } }, ANSWER_QOS));
    };
    let asked = || token.split(',').filter_map(|name| name.split_once('/'));
    match answer {
        Answer::SubDevices(results) => {
            for (device, result) in results {
                push(&device.product, &device.node, result.map_or_else(codes::gateway, |()| 0));
            }
        }
        Answer::Partly { code, .. } | Answer::Refused { code, .. } => {
            asked().for_each(|(product, node)| push(product, node, codes::gateway(code)));
        }
        Answer::Done
        | Answer::Shadow(_)
        | Answer::Time { .. }
        | Answer::LogLevel(_)
        | Answer::Config(_)
        | Answer::Created(_)
        | Answer::Registered(_)
        | Answer::Described(_) => asked().for_each(|(product, node)| push(product, node, 0)),
    }
}

/// Writes the list of attached devices, in as many messages as the firmware's buffer needs.
pub(super) fn list(topic: Topic<'_>, answer: &Answer, out: &mut Vec<Message>) {
    let ty = "describe_sub_devices";
    let write =
        |devices| message(topic, &Envelope { ty, payload: Devices { devices } }, ANSWER_QOS);
    let mut page: Vec<Names<'_>> = Vec::new();
    let attached: &[_] = if let Answer::SubDevices(results) = answer { results } else { &[] };
    let empty = packet_bytes(&write(Vec::new()));
    let mut size = empty;
    for (device, _) in attached.iter().filter(|(_, result)| result.is_ok()) {
        // Two key names, quotes, braces, colons and commas: 36 bytes beside the names.
        let more = device.product.len() + device.node.len() + 36;
        if size + more > GATEWAY_PACKET_BYTES_MAX && !page.is_empty() {
            out.push(write(core::mem::take(&mut page)));
            size = empty;
        }
        page.push(Names::of(device));
        size += more;
    }
    out.push(write(page));
}

#[derive(Serialize)]
struct Change<'a> {
    status: u8,
    devices: [Names<'a>; 1],
}

/// Writes `change`: these were attached or detached.
pub(super) fn changed(
    topic: Topic<'_>,
    attached: bool,
    devices: &[SubDevice],
    out: &mut Vec<Message>,
) -> Result<(), CommandError> {
    let write = |device| {
        let payload = Change { status: u8::from(attached), devices: [Names::of(device)] };
        checked(message(topic, &Envelope { ty: "change", payload }, 1), GATEWAY_PACKET_BYTES_MAX)
    };
    let messages: Box<[Message]> = devices.iter().map(write).collect::<Result<_, _>>()?;
    out.extend(messages);
    Ok(())
}

#[derive(Serialize)]
struct Search {
    status: u8,
}

/// Writes `search_devices`: start or stop looking.
pub(super) fn search(topic: Topic<'_>, start: bool) -> Message {
    let payload = Search { status: u8::from(start) };
    message(topic, &Envelope { ty: "search_devices", payload }, 1)
}
