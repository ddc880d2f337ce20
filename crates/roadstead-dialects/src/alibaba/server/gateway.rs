//! Gateways: topology, registration and log-in of what is behind them.
//!
//! Source: Alibaba §8 (`topo`, `sub/register`, `combine`); recordings of the npm client and
//! LinkSDK 4. The answer of `batch_login` and the numbers of `topo/change` are UNVERIFIED.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, SubDevice, SubDeviceProof, SubDevices, Uplink};
use roadstead_core::{Code, Map, Secret, Value};

use super::message::{answered, bad_params, heard, ignored, noted, nothing, request, verdict};
use super::reply::{COMBINE, Kind, Mark};
use super::scene::Scene;
use crate::alibaba::auth::{Method, login_source, register_source};
use crate::alibaba::payload::{OK, Request};
use crate::alibaba::topic::sys;
use crate::alibaba::{codes, is_device_name, is_product_key};
use crate::cloud::{Heard, Message};

/// Most devices one message of a gateway may name; the vendor's own limit is 30 to 50.
const DEVICES_MAX: usize = 64;
/// Longest client id of a sub-device, bytes.
const CLIENT_ID_BYTES_MAX: usize = 1024;
/// How long a gateway looks for sub-devices, seconds.
const SEARCH_SECS: u32 = 60;

/// Understands a topic of the topology and of registration; `None` when it is another.
pub(super) fn uplink(rest: &str, request: &Request) -> Option<Heard> {
    let list = || listed(&request.params);
    let named = |said: fn(Vec<SubDevice>) -> SubDevices, kind| match list() {
        Some(devices) => {
            let names = devices.into_iter().map(|proof| proof.device).collect();
            heard(Uplink::SubDevices(said(names)), kind, rest, request)
        }
        None => unnamed(rest, request),
    };
    let proven = |said: fn(Vec<SubDeviceProof>) -> SubDevices, kind| match list() {
        Some(devices) => heard(Uplink::SubDevices(said(devices)), kind, rest, request),
        None => unnamed(rest, request),
    };
    Some(match rest {
        sys::TOPO_ADD => proven(SubDevices::Bind, Kind::SubList),
        sys::TOPO_DELETE => named(SubDevices::Unbind, Kind::SubList),
        sys::TOPO_GET => heard(Uplink::SubDevices(SubDevices::List), Kind::SubList, rest, request),
        sys::TOPO_FOUND => heard(ignored(rest), Kind::Plain, rest, request),
        sys::SUB_REGISTER => proven(SubDevices::Register, Kind::SubSecrets),
        sys::SUB_UNREGISTER => named(SubDevices::Delete, Kind::SubList),
        sys::SUB_PRODUCT_REGISTER => {
            let proxied = request.params.get("proxieds").or(request.params.get("proxiedDevices"));
            match proxied.and_then(listed) {
                Some(devices) => {
                    let said = SubDevices::Register(devices);
                    heard(Uplink::SubDevices(said), Kind::SubSplit, rest, request)
                }
                None => unnamed(rest, request),
            }
        }
        _ => return None,
    })
}

/// Understands a topic of `/ext/session/…/combine/`.
pub(super) fn combine(rest: &str, request: &Request) -> Heard {
    let marked = alloc::format!("{COMBINE}{rest}");
    // Log-in and log-out of one: an object. Batches: a list, or `deviceList` with the method of
    // all signatures beside it.
    let (devices, kind) = match request.params.get("deviceList") {
        Some(list) => (listed(&with_method(list, &request.params)), Kind::SubList),
        None if request.params.is_array() => (listed(&request.params), Kind::SubList),
        None => (listed(&request.params), Kind::SubOne),
    };
    let Some(devices) = devices else { return unnamed(&marked, request) };
    let said = match rest {
        "login" | "batch_login" => SubDevices::Login(devices),
        "logout" | "batch_logout" => {
            SubDevices::Offline(devices.into_iter().map(|proof| proof.device).collect())
        }
        other => return noted(ignored(other)),
    };
    heard(Uplink::SubDevices(said), kind, &marked, request)
}

fn with_method(list: &Value, params: &Value) -> Value {
    let method = params.get("signMethod").or(params.get("signmethod"));
    let (Value::Array(devices), Some(method)) = (list, method) else { return list.clone() };
    let add = |device: &Value| match device.clone() {
        Value::Object(mut object) => {
            if !object.contains_key("signMethod") && !object.contains_key("signmethod") {
                object.insert("signMethod".into(), method.clone());
            }
            Value::Object(object)
        }
        other => other,
    };
    Value::Array(devices.iter().map(add).collect())
}

fn unnamed(rest: &str, request: &Request) -> Heard {
    let uplink = bad_params("no list of devices with `productKey` and `deviceName`, or too long");
    heard(uplink, Kind::Plain, rest, request)
}

/// Reads a list of devices, or one alone; what else their objects hold is their proof.
fn listed(params: &Value) -> Option<Vec<SubDeviceProof>> {
    let objects = match params {
        Value::Array(list) if (1..=DEVICES_MAX).contains(&list.len()) => list.as_slice(),
        one @ Value::Object(_) => core::slice::from_ref(one),
        _ => return None,
    };
    objects.iter().map(named).collect()
}

fn named(object: &Value) -> Option<SubDeviceProof> {
    let text = |key| object.get(key)?.as_str();
    let product = text("productKey").filter(|name| is_product_key(name))?;
    let node = text("deviceName").filter(|name| is_device_name(name))?;
    let is_proof = |key: &str| !matches!(key, "productKey" | "deviceName");
    let proof = object
        .as_object()?
        .iter()
        .filter(|(key, value)| is_proof(key) && (value.is_string() || value.is_number()));
    Some(SubDeviceProof {
        device: SubDevice { product: product.into(), node: node.into() },
        proof: proof.map(|(key, value)| (key.clone(), value.clone())).collect(),
    })
}

/// Checks the signature a gateway made for a sub-device under its secret. Clients differ in what
/// they sign of the client id: the part before the first bar, or all of it (§8).
pub(super) fn verify<'s>(
    (product, node): (&str, &str),
    secrets: impl Iterator<Item = &'s Secret>,
    proof: &Map<String, Value>,
) -> Result<(), Code> {
    let text = |key: &str| match proof.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(n)) => Some(n.to_string()),
        _ => None,
    };
    let method = method(proof)?;
    let (Some(sign), Some(client)) = (text("sign"), text("clientId")) else {
        return Err("payload.malformed");
    };
    if client.len() > CLIENT_ID_BYTES_MAX {
        return Err("payload.malformed");
    }
    let timestamp = text("timestamp");
    let base = client.split_once('|').map(|(base, _)| base);
    let sources: Vec<String> = core::iter::once(&*client)
        .chain(base)
        .map(|client| login_source(client, node, product, None, timestamp.as_deref()))
        .collect();
    let mut secrets = secrets;
    let fits = |secret: &Secret| {
        sources.iter().any(|source| method.verify(secret.expose(), source, sign.as_bytes()))
    };
    secrets.any(fits).then_some(()).ok_or("subdevice.bad_signature")
}

/// Checks the signature a gateway made with the product secret of a device to be registered.
pub(super) fn verify_registration(
    (product, node): (&str, &str),
    secret: Option<&Secret>,
    proof: &Map<String, Value>,
) -> Result<(), Code> {
    let text = |key: &str| proof.get(key).and_then(Value::as_str);
    let Some(sign) = text("sign") else { return Ok(()) };
    let secret = secret.ok_or("register.off")?;
    let source = register_source(node, product, text("random").unwrap_or_default());
    match method(proof)?.verify(secret.expose(), &source, sign.as_bytes()) {
        true => Ok(()),
        false => Err("register.bad_signature"),
    }
}

fn method(proof: &Map<String, Value>) -> Result<Method, Code> {
    let name = proof.get("signMethod").or(proof.get("signmethod"));
    match name.and_then(Value::as_str) {
        None | Some("") => Ok(Method::default()),
        Some(name) => Method::parse(name).ok_or("subdevice.sign_method"),
    }
}

fn names(device: &SubDevice) -> Value {
    serde_json::json!({"productKey": &*device.product, "deviceName": &*device.node})
}

/// Writes an answer that lists devices, or names one.
pub(super) fn reply(scene: &Scene<'_>, kind: Kind, mark: &Mark<'_>, answer: &Answer) -> Message {
    let (mut outcome, mut done, mut failed) = (verdict(answer), Vec::new(), Vec::new());
    match answer {
        Answer::SubDevices(results) => {
            for (device, result) in results {
                match result {
                    Ok(()) => done.push(names(device)),
                    Err(code) => {
                        outcome = (codes::reply(code), meaning(code));
                        failed.push(names(device));
                    }
                }
            }
        }
        Answer::Registered(results) => {
            for (device, result) in results {
                match result {
                    Ok(given) => {
                        let mut object = names(device);
                        object["iotId"] = (&*given.id).into();
                        object["deviceSecret"] =
                            given.secret.expose_text().unwrap_or_default().into();
                        done.push(object);
                    }
                    Err(code) => {
                        outcome = (codes::reply(code), meaning(code));
                        let mut object = names(device);
                        object["code"] = codes::reply(code).into();
                        failed.push(object);
                    }
                }
            }
        }
        _ => {}
    }
    let data = match kind {
        Kind::SubOne => done.pop().or(failed.pop()).unwrap_or_else(nothing),
        Kind::SubSplit => {
            outcome = if outcome.0 != OK && !done.is_empty() { (OK, "success") } else { outcome };
            serde_json::json!({"successes": done, "failures": failed})
        }
        _ => Value::Array(done),
    };
    answered(scene, mark, outcome, &data)
}

fn meaning(code: Code) -> &'static str {
    roadstead_core::code::info(code).map_or("refused", |info| info.meaning)
}

/// `status` of `topo/change`; the numbers are the vendor's documentation's, UNVERIFIED by run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Now behind the gateway.
    Attached = 0,
    /// No longer.
    Detached = 1,
    /// May log in again.
    Enabled = 2,
    /// May not log in.
    Disabled = 8,
}

/// Writes `topo/change`: what became of these.
pub(super) fn changed(
    scene: &Scene<'_>,
    id: &str,
    change: Change,
    devices: &[SubDevice],
) -> Result<Message, CommandError> {
    let list: Vec<Value> = devices.iter().map(names).collect();
    let params = serde_json::json!({"status": change as u8, "subList": list});
    request(scene, sys::TOPO_CHANGE, id, &params)
}

/// Writes `topo/add/notify`: the gateway signs for these with `topo/add` and logs them in.
pub(super) fn invited(
    scene: &Scene<'_>,
    id: &str,
    devices: &[SubDevice],
) -> Result<Message, CommandError> {
    let list: Value = devices.iter().map(names).collect();
    request(scene, sys::TOPO_ADD_NOTIFY, id, &list)
}

/// Writes `gateway/permit`: look for sub-devices, or stop.
pub(super) fn search(scene: &Scene<'_>, id: &str, start: bool) -> Result<Message, CommandError> {
    let secs = if start { SEARCH_SECS } else { 0 };
    let params = serde_json::json!({"time": secs, "productKey": scene.names().0});
    request(scene, sys::GATEWAY_PERMIT, id, &params)
}
