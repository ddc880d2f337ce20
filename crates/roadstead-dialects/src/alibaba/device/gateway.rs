//! The gateway's part: attach sub-devices with proof, log them in and out, carry what they say and
//! what they are told.
//!
//! One request at a time, as in the SDK. A sub-device speaks on its own topics, on the gateway's
//! connection; its secret is kept until it is detached, because each log-in needs it.
//!
//! Not here: models of sub-devices; their values pass as they are.
//!
//! Source: Alibaba §8 (`topo`, `combine`); transcripts v4_subdev, node_gw.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::exchange::SubDevice;
use roadstead_core::product::DEFAULT_SERVICE;
use roadstead_core::{Map, Secret, Tick, Value};
use serde_json::json;

use super::super::auth::{Method, login_source};
use super::super::lan::{Answer, Ask};
use super::super::topic::{Topic, Verb, sys};
use super::context::Context;
use super::question::Origin;
use super::session::answer_cloud;
use super::values;
use crate::device::{Event, MqttAction, Output, SubDeviceAction};

/// Requests that wait for their turn.
const QUEUE_MAX: usize = 64;
/// Sub-devices whose secrets are kept.
const KNOWN_MAX: usize = 64;
/// The vendor's number of success; the application's is 0.
const OK: i64 = 200;
/// The application's number of a request without an answer.
const TIMED_OUT: i64 = -1;
/// The time stamp of every C SDK.
const TIMESTAMP: &str = "2524608000000";
/// What a gateway subscribes before its first request, of firmware that subscribes at all.
const OWN_SUBSCRIPTIONS: [&str; 5] = [
    "thing/topo/add_reply",
    "thing/topo/delete_reply",
    sys::TOPO_CHANGE,
    sys::TOPO_ADD_NOTIFY,
    sys::GATEWAY_PERMIT,
];
/// What is subscribed for a sub-device on line by firmware that subscribes at all.
const SUBSCRIPTIONS: [&str; 6] = [
    sys::PROPERTY_SET,
    "thing/service/+",
    "thing/event/+/post_reply",
    sys::DISABLE,
    sys::ENABLE,
    sys::DELETE,
];

/// A request under way.
struct Current {
    device: SubDevice,
    action: SubDeviceAction,
    id: String,
    due: Tick,
}

/// The gateway's requests on one connection.
#[derive(Default)]
pub(super) struct Gateway {
    queue: VecDeque<(SubDevice, SubDeviceAction)>,
    current: Option<Current>,
    online: Vec<SubDevice>,
    is_open: bool,
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
            let detail = "too many requests wait".to_string();
            return cx.tell(Event::Rejected { what, code: "command.busy", detail });
        }
        self.queue.push_back((device, action));
        self.open(cx);
        self.next(cx);
    }

    /// Wakes up.
    pub(super) fn timeout(&mut self, cx: &mut Context<'_>) {
        if self.current.as_ref().is_some_and(|current| cx.now >= current.due) {
            self.finish(TIMED_OUT, cx);
        }
    }

    /// Returns when to wake up.
    pub(super) fn deadline(&self) -> Option<(Tick, &'static str)> {
        self.current.as_ref().map(|current| (current.due, "an answer about a sub-device"))
    }

    /// Subscribes what a gateway hears, once for each connection.
    fn open(&mut self, cx: &mut Context<'_>) {
        if self.is_open || !subscribes(cx) {
            return;
        }
        self.is_open = true;
        let combine = ["login_reply", "logout_reply"].map(Verb::Combine);
        for verb in OWN_SUBSCRIPTIONS.map(Verb::Sys).into_iter().chain(combine) {
            let filter = cx.topic(verb);
            cx.out.push(Output::Mqtt(MqttAction::Subscribe { filter, qos: 0 }));
        }
    }

    fn next(&mut self, cx: &mut Context<'_>) {
        while self.current.is_none() {
            let Some((device, action)) = self.queue.pop_front() else { return };
            self.start(device, action, cx);
        }
    }

    fn start(&mut self, device: SubDevice, action: SubDeviceAction, cx: &mut Context<'_>) {
        if let SubDeviceAction::Bind { secret } = &action {
            cx.memory.subs.retain(|(known, _)| *known != device);
            if cx.memory.subs.len() < KNOWN_MAX {
                cx.memory.subs.push((device.clone(), secret.clone()));
            }
        }
        let secret = cx.memory.subs.iter().find(|(known, _)| *known == device);
        let secret = secret.map(|(_, secret)| secret.clone());
        let needs_proof = matches!(action, SubDeviceAction::Bind { .. } | SubDeviceAction::Online);
        let entry = match (needs_proof, secret) {
            (true, Some(secret)) => proof(&device, &secret),
            (true, None) => {
                let what = name(&action).into();
                let detail = "its secret is not known; attach it first".to_string();
                return cx.tell(Event::Rejected { what, code: "command.unsupported", detail });
            }
            (false, _) => names(&device),
        };
        let id = cx.next_message();
        let (topic, params) = match &action {
            SubDeviceAction::Bind { .. } => (Verb::Sys(sys::TOPO_ADD), json!([entry])),
            SubDeviceAction::Unbind => (Verb::Sys(sys::TOPO_DELETE), json!([entry])),
            SubDeviceAction::Online => (Verb::Combine("login"), clean(entry)),
            SubDeviceAction::Offline => (Verb::Combine("logout"), entry.into()),
        };
        let body = json!({"id": id, "version": "1.0", "params": params});
        let topic = cx.topic(topic);
        cx.publish_text(topic, body.to_string(), 0);
        let due = cx.now + cx.policy().answer_wait;
        self.current = Some(Current { device, action, id, due });
    }

    /// Takes the answer to a request, by its id.
    pub(super) fn replied(&mut self, payload: &[u8], cx: &mut Context<'_>) {
        let Ok(reply) = Answer::parse(payload) else { return };
        if self.current.as_ref().is_some_and(|current| current.id == reply.id) {
            self.finish(if reply.code == OK { 0 } else { reply.code }, cx);
        }
    }

    fn finish(&mut self, result: i64, cx: &mut Context<'_>) {
        let Some(Current { device, action, .. }) = self.current.take() else { return };
        if result == 0 {
            self.online.retain(|known| *known != device);
            match &action {
                SubDeviceAction::Online => {
                    subscribe(&device, cx);
                    self.online.push(device.clone());
                }
                SubDeviceAction::Unbind => {
                    cx.memory.subs.retain(|(known, _)| *known != device);
                }
                SubDeviceAction::Bind { .. } | SubDeviceAction::Offline => {}
            }
        }
        cx.tell(Event::SubDevice { device, what: name(&action).into(), result });
        self.next(cx);
    }

    /// Takes a request of the platform about the topology.
    pub(super) fn told(&mut self, rest: &str, params: &Value, cx: &mut Context<'_>) {
        match rest {
            sys::TOPO_ADD_NOTIFY => {
                for device in devices(params) {
                    cx.tell(Event::SubDeviceChanged { device, attached: true });
                }
            }
            sys::GATEWAY_PERMIT => {
                let start = params.get("time").and_then(Value::as_i64).unwrap_or(0) > 0;
                cx.tell(Event::SearchSubDevices { start });
            }
            _ => {
                let list = params.get("subList").unwrap_or(&Value::Null);
                let status = params.get("status").and_then(Value::as_i64);
                for device in devices(list) {
                    // 2 and 8, allowed and forbidden to log in, come on its own topics too.
                    let (0 | 1, Some(status)) = (status.unwrap_or(-1), status) else { continue };
                    self.changed(device, status == 0, cx);
                }
            }
        }
    }

    fn changed(&mut self, device: SubDevice, attached: bool, cx: &mut Context<'_>) {
        if !attached {
            self.online.retain(|known| *known != device);
            cx.memory.subs.retain(|(known, _)| *known != device);
        }
        cx.tell(Event::SubDeviceChanged { device, attached });
    }

    /// Takes a message on a sub-device's topic.
    pub(super) fn message(
        &mut self,
        (product, node): (&str, &str),
        (rest, topic): (&str, &str),
        payload: &[u8],
        cx: &mut Context<'_>,
    ) {
        let device = SubDevice { product: product.into(), node: node.into() };
        if rest.ends_with(sys::REPLY) {
            return rejected(rest, payload, cx);
        }
        let Ok(ask) = Ask::parse(payload) else { return };
        let reply: Box<str> = format!("{topic}{}", sys::REPLY).into();
        match rest {
            sys::DISABLE | sys::ENABLE => {
                answer_cloud(reply, &Answer::ok(&ask.id, Map::new()), cx);
                if rest == sys::DISABLE {
                    self.online.retain(|known| *known != device);
                }
                cx.tell(Event::SubDevice { device, what: rest.into(), result: 0 });
            }
            sys::DELETE => {
                answer_cloud(reply, &Answer::ok(&ask.id, Map::new()), cx);
                self.changed(device, false, cx);
            }
            _ => match rest.strip_prefix(sys::SERVICE) {
                Some(name) if self.online.contains(&device) => {
                    question(device, name, ask, reply, cx)
                }
                Some(_) => {
                    answer_cloud(reply, &Answer::refusal(&ask.id, 400, "not logged in"), cx);
                }
                None => {}
            },
        }
    }
}

/// Publishes a request below a sub-device's `/sys/{pk}/{dn}/`.
pub(super) fn say(device: &SubDevice, rest: &str, params: Value, cx: &mut Context<'_>) {
    let id = cx.next_message();
    let method = rest.replace('/', ".");
    let body = json!({"id": id, "version": "1.0", "params": params, "method": method});
    let topic = topic(device, rest);
    cx.publish_text(topic, body.to_string(), 0);
}

/// Publishes property values of a sub-device.
pub(super) fn report(
    device: &SubDevice,
    service: &str,
    properties: Map<String, Value>,
    cx: &mut Context<'_>,
) {
    let wire = values::properties_to_wire(None, service, properties);
    say(device, sys::PROPERTY_POST, wire.into(), cx);
}

fn topic(device: &SubDevice, rest: &str) -> Box<str> {
    let (product, node) = (&*device.product, &*device.node);
    Topic::Device { product, node, verb: Verb::Sys(rest) }.to_string().into()
}

/// True for firmware whose topics do not come by themselves (trap 4).
fn subscribes(cx: &Context<'_>) -> bool {
    cx.policy().subscriptions.contains(&sys::PROPERTY_SET)
}

fn subscribe(device: &SubDevice, cx: &mut Context<'_>) {
    if !subscribes(cx) {
        return;
    }
    for rest in SUBSCRIPTIONS {
        let filter = topic(device, rest);
        cx.out.push(Output::Mqtt(MqttAction::Subscribe { filter, qos: 0 }));
    }
}

fn question(device: SubDevice, name: &str, ask: Ask, reply: Box<str>, cx: &mut Context<'_>) {
    let Value::Object(params) = ask.params else {
        return answer_cloud(reply, &Answer::refusal(&ask.id, 460, "params is no object"), cx);
    };
    let (node, service) = (Some(device), DEFAULT_SERVICE.into());
    let origin = Origin::Sub(reply);
    if name == "property/set" {
        let key = cx.memory.questions.add(ask.id, origin, None);
        return cx.tell(Event::Set { key, node, service, properties: params });
    }
    let key = cx.memory.questions.add(ask.id, origin, Some(name.into()));
    cx.tell(Event::Command { key, node, service, command: name.into(), params });
}

fn rejected(rest: &str, payload: &[u8], cx: &mut Context<'_>) {
    let Ok(reply) = Answer::parse(payload) else { return };
    if reply.code != OK {
        let what = rest.trim_end_matches(sys::REPLY).into();
        let detail = reply.code.to_string();
        cx.tell(Event::Rejected { what, code: "command.refused", detail });
    }
}

fn name(action: &SubDeviceAction) -> &'static str {
    match action {
        SubDeviceAction::Bind { .. } => sys::TOPO_ADD,
        SubDeviceAction::Unbind => sys::TOPO_DELETE,
        SubDeviceAction::Online => "combine/login",
        SubDeviceAction::Offline => "combine/logout",
    }
}

fn names(device: &SubDevice) -> Map<String, Value> {
    let mut entry = Map::new();
    entry.insert("productKey".into(), (*device.product).into());
    entry.insert("deviceName".into(), (*device.node).into());
    entry
}

/// Returns names and signature, as the C SDK makes it.
fn proof(device: &SubDevice, secret: &Secret) -> Map<String, Value> {
    let (product, node) = (&*device.product, &*device.node);
    let client = format!("{product}.{node}");
    let method = Method::Sha256;
    let source = login_source(&client, node, product, None, Some(TIMESTAMP));
    let mut entry = names(device);
    entry.insert("clientId".into(), client.into());
    entry.insert("timestamp".into(), TIMESTAMP.into());
    entry.insert("signMethod".into(), method.name().into());
    entry.insert("sign".into(), method.sign(secret.expose(), &source).into());
    entry
}

fn clean(mut entry: Map<String, Value>) -> Value {
    entry.insert("cleanSession".into(), "true".into());
    entry.into()
}

fn devices(list: &Value) -> Vec<SubDevice> {
    let device = |entry: &Value| {
        let text = |key| entry.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (product, node) = (text("productKey")?.into(), text("deviceName")?.into());
        Some(SubDevice { product, node })
    };
    list.as_array().into_iter().flatten().filter_map(device).collect()
}
