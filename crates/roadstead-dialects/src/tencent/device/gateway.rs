//! The gateway's part: attach sub-devices with proof, tell which are reachable, take changes.
//!
//! One request at a time, as in the SDK. Values and properties of a sub-device travel on its own
//! topics, subscribed here once it is on line.
//!
//! Source: Tencent §12; transcripts gateway-online-plain, v3-gateway-plain, gw-subdev-offline.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roadstead_core::exchange::SubDevice;
use roadstead_core::{Map, Secret, Tick, Value};
use serde_json::json;

use super::super::auth::Digest;
use super::super::topic::{Thing, Verb};
use super::context::Context;
use super::values::text;
use crate::device::{Event, SubDeviceAction};

/// Requests that wait for their turn.
const QUEUE_MAX: usize = 64;
/// The SDK's number of a gateway request without a result.
const TIMED_OUT: i64 = -223;
/// Result that only says that it was so before.
const ALREADY_BOUND: i64 = -809;

/// The gateway's requests on one connection.
#[derive(Default)]
pub(super) struct Gateway {
    queue: VecDeque<(SubDevice, SubDeviceAction)>,
    current: Option<(SubDevice, SubDeviceAction, Tick)>,
    /// Those the platform has confirmed as attached or on line.
    attached: Vec<SubDevice>,
}

impl Gateway {
    /// Takes a request of the application.
    pub(super) fn request(
        &mut self,
        device: SubDevice,
        action: SubDeviceAction,
        cx: &mut Context<'_>,
    ) {
        if self.queue.len() == QUEUE_MAX {
            let what = name(&action).into();
            let detail = String::from("too many requests wait");
            return cx.tell(Event::Rejected { what, code: "command.busy", detail });
        }
        self.queue.push_back((device, action));
        self.next(cx);
    }

    /// Takes a message of the platform.
    pub(super) fn message(&mut self, body: &Value, cx: &mut Context<'_>) {
        let payload = body.get("payload").unwrap_or(&Value::Null);
        match text(body, "type") {
            "change" => change(payload, cx),
            "search_devices" => {
                let status = payload.get("status").and_then(Value::as_i64).unwrap_or(0);
                cx.tell(Event::SearchSubDevices { start: status == 1 });
                let ack =
                    json!({"type": "search_devices", "payload": {"status": status, "result": 0}});
                cx.publish(Verb::GatewayUp, &None, &ack, 0);
            }
            "unbind_all" => {
                for device in core::mem::take(&mut self.attached) {
                    cx.tell(Event::SubDeviceChanged { device, attached: false });
                }
                let ack = json!({"type": "unbind_all", "payload": {"result": 0}});
                cx.publish(Verb::GatewayUp, &None, &ack, 0);
            }
            what => self.result(what, payload, cx),
        }
    }

    /// Wakes up.
    pub(super) fn timeout(&mut self, cx: &mut Context<'_>) {
        if self.current.as_ref().is_some_and(|(_, _, due)| cx.now >= *due) {
            self.finish(TIMED_OUT, cx);
        }
    }

    /// Returns when to wake up.
    pub(super) fn deadline(&self) -> Option<(Tick, &'static str)> {
        self.current.as_ref().map(|(_, _, due)| (*due, "gateway result"))
    }

    fn next(&mut self, cx: &mut Context<'_>) {
        if self.current.is_some() {
            return;
        }
        let Some((device, action)) = self.queue.pop_front() else { return };
        let mut entry = names(&device);
        if let SubDeviceAction::Bind { secret } = &action {
            let random = cx.memory.random.below(i32::MAX as u64 - 1) + 1;
            prove(&mut entry, &device, secret, random, cx.date_ms() / 1000);
        }
        let body = json!({"type": name(&action), "payload": {"devices": [entry]}});
        cx.publish(Verb::GatewayUp, &None, &body, 0);
        self.current = Some((device, action, cx.now + cx.policy().gateway_wait));
    }

    /// Takes a result; like the SDK it reads the first object of the list alone.
    fn result(&mut self, what: &str, payload: &Value, cx: &mut Context<'_>) {
        let Some((device, action, _)) = &self.current else { return };
        let first = payload.get("devices").and_then(|list| list.get(0));
        let Some(first) = first.filter(|_| what == name(action)) else { return };
        let is_same = text(first, "product_id") == &*device.product
            && text(first, "device_name") == &*device.node;
        let result = first.get("result").and_then(Value::as_i64);
        if let Some(result) = result.filter(|_| is_same) {
            self.finish(result, cx);
        }
    }

    fn finish(&mut self, result: i64, cx: &mut Context<'_>) {
        let Some((device, action, _)) = self.current.take() else { return };
        if result == 0 {
            self.attached.retain(|known| *known != device);
            if action != SubDeviceAction::Unbind {
                self.attached.push(device.clone());
            }
        }
        let is_bind = matches!(action, SubDeviceAction::Bind { .. });
        let result = if is_bind && result == ALREADY_BOUND { 0 } else { result };
        if result == 0 && action == SubDeviceAction::Online {
            let node = Some(device.clone());
            cx.subscribe(Verb::ThingDown(Thing::Property), &node, 0);
            cx.subscribe(Verb::ThingDown(Thing::Action), &node, 0);
        }
        cx.tell(Event::SubDevice { device, what: name(&action).into(), result });
        self.next(cx);
    }
}

fn change(payload: &Value, cx: &mut Context<'_>) {
    let status = payload.get("status").and_then(Value::as_i64).unwrap_or(0);
    let mut done = Vec::new();
    for device in devices(payload) {
        let mut entry = names(&device);
        entry.insert("result".into(), 0.into());
        done.push(Value::from(entry));
        cx.tell(Event::SubDeviceChanged { device, attached: status == 1 });
    }
    let ack = json!({"type": "change", "payload": {"status": status, "devices": done}});
    cx.publish(Verb::GatewayUp, &None, &ack, 0);
}

fn devices(payload: &Value) -> impl Iterator<Item = SubDevice> {
    let list = payload.get("devices").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|entry| {
        let (product, node) = (text(entry, "product_id"), text(entry, "device_name"));
        let named = !product.is_empty() && !node.is_empty();
        named.then(|| SubDevice { product: product.into(), node: node.into() })
    })
}

fn names(device: &SubDevice) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("product_id".into(), (*device.product).into());
    entry.insert("device_name".into(), (*device.node).into());
    entry
}

/// Adds the proof: the key is the secret's *text*, not its decoded bytes.
fn prove(
    entry: &mut Map<String, Value>,
    device: &SubDevice,
    secret: &Secret,
    random: u64,
    timestamp: i64,
) {
    let signed = format!("{}{};{random};{timestamp}", device.product, device.node);
    let signature = STANDARD.encode(Digest::Sha1.sign(secret.expose(), signed.as_bytes()));
    entry.insert("signature".into(), signature.into());
    entry.insert("random".into(), random.into());
    entry.insert("timestamp".into(), timestamp.into());
    entry.insert("signmethod".into(), Digest::Sha1.name().to_string().into());
    entry.insert("authtype".into(), "psk".into());
}

fn name(action: &SubDeviceAction) -> &'static str {
    match action {
        SubDeviceAction::Bind { .. } => "bind",
        SubDeviceAction::Unbind => "unbind",
        SubDeviceAction::Online => "online",
        SubDeviceAction::Offline => "offline",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_the_captured_one() {
        let all: Value =
            serde_json::from_str(include_str!("../../../vectors/tencent.json")).expect("vectors");
        let vector = &all["gateway"][0];
        let request: Value =
            serde_json::from_str(vector["request"].as_str().expect("text")).expect("JSON");
        let expected = request["payload"]["devices"][0].as_object().expect("object");
        let device = SubDevice { product: "BIND_PID".into(), node: "BIND_DEV_NAME".into() };
        let mut entry = names(&device);
        let key = vector["key_text"].as_str().expect("text").into();
        prove(&mut entry, &device, &key, 1_128_356_749, 1_795_222_215);
        assert_eq!(&entry, expected);
    }
}
