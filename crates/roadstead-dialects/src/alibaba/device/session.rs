//! Normal operation on one connection: opening, tokens, reports, control, services.
//!
//! ```text
//! Opening --all SUBACKs--> Resetting? --reset_reply--> Ready
//! ```
//!
//! Source: Alibaba §2, §4, §5, §5.6, §8; transcripts v301_ok, v301_full, l16_full, l16_redirect,
//! v301_subfail.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::attempt::Stage;
use roadstead_core::{Map, Tick, Timestamp, Value};
use serde_json::json;

use super::super::alcs::{KeyPair, server::blacklist};
use super::super::lan::{Answer, Ask, IdStyle, info::number, trim};
use super::super::topic::{Topic, Verb, sys};
use super::context::Context;
use super::gateway::{self, Gateway};
use super::http::Place;
use super::question::Origin;
use super::{local, store, values};
use crate::device::{Event, MqttAction, MqttEvent, Output, Request, earliest};

/// Requests of ours that are not answered; the oldest is forgotten.
const ASKED_MAX: usize = 32;
/// Requests of the application kept while the session opens.
const QUEUE_MAX: usize = 32;
/// Longest time for an answer of a synchronous call, which the application has, too.
const OK: i64 = 200;

/// What the parent must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Tokens can be reported from now on.
    Ready,
    /// A `match_reply`.
    Match(bytes::Bytes),
    /// Ask again where to connect, and go there (§4).
    Redirected,
    /// Go there (§4).
    Moved(Place),
    /// The platform deleted the device.
    Deleted,
}

enum Step {
    /// Waits for these SUBACKs.
    Opening {
        filters: Vec<Box<str>>,
        due: Tick,
    },
    /// Waits for the confirmation of a factory reset.
    Resetting {
        due: Tick,
    },
    Ready,
}

/// A request of ours that the platform will answer.
struct Asked {
    id: String,
    what: Box<str>,
    due: Tick,
}

/// One connection.
pub(super) struct Session {
    step: Step,
    reset: Option<u8>,
    asked: VecDeque<Asked>,
    queue: VecDeque<Request>,
    /// When to ask for the keys of local control again.
    keys_due: Option<Tick>,
    has_reported: bool,
    is_disabled: bool,
    gateway: Gateway,
}

impl Session {
    /// Opens normal operation on a fresh connection.
    pub(super) fn open(reset: Option<u8>, cx: &mut Context<'_>) -> Self {
        let mut filters = Vec::new();
        for rest in cx.memory.policy.subscriptions {
            let filter = cx.topic(Verb::Sys(rest));
            cx.out.push(Output::Mqtt(MqttAction::Subscribe { filter: filter.clone(), qos: 0 }));
            filters.push(filter);
        }
        let due = cx.now + cx.policy().answer_wait;
        let mut session = Self {
            step: Step::Opening { filters, due },
            reset,
            asked: VecDeque::new(),
            queue: VecDeque::new(),
            keys_due: None,
            has_reported: false,
            is_disabled: false,
            gateway: Gateway::default(),
        };
        session.introduce(cx);
        session
    }

    /// Says what a fresh connection says: attributes, version, keys, time.
    fn introduce(&mut self, cx: &mut Context<'_>) {
        let attribute = |key: &str, value: &str| json!({"attrKey": key, "attrValue": value, "domain": "SYSTEM"});
        let params = json!([
            attribute("SYS_SDK_LANGUAGE", "C"),
            attribute("SYS_SDK_IF_INFO", &format!("WiFi|{}", cx.memory.config.mac)),
        ]);
        let id = cx.next_message();
        cx.ask(sys::INFO_UPDATE, &id, params, 1);
        let id = cx.next_message();
        let body = json!({"id": id, "params": {"version": &*cx.memory.config.firmware}});
        let topic = cx.topic(Verb::OtaInform);
        cx.publish_text(topic, body.to_string(), 1);
        if cx.memory.local.is_open_to_all() {
            self.ask_keys(cx);
        }
        let topic = cx.topic(Verb::NtpRequest);
        let sent = cx.now.as_millis().to_string();
        cx.publish_text(topic, json!({ "deviceSendTime": sent }).to_string(), 0);
    }

    fn ask_keys(&mut self, cx: &mut Context<'_>) {
        let id = cx.next_message();
        // Link Kit 3.0.1 sends a text where an object belongs (§8).
        cx.ask(sys::LAN_PREFIX_GET, &id, "{}".into(), 0);
        self.keys_due = Some(cx.now + cx.policy().keys_gap);
    }

    /// Takes an event of the connection.
    pub(super) fn event(&mut self, event: &MqttEvent, cx: &mut Context<'_>) -> Option<Verdict> {
        match event {
            MqttEvent::Subscribed { filter, granted } => {
                if granted.is_none() {
                    cx.failed("mqtt.denied_topic", format!("refused: {filter}"));
                }
                if let Step::Opening { filters, .. } = &mut self.step {
                    filters.retain(|waiting| waiting != filter);
                    if filters.is_empty() {
                        return self.opened(cx);
                    }
                }
                None
            }
            MqttEvent::Message { topic, payload } => self.message(topic, payload, cx),
            MqttEvent::Published { .. }
            | MqttEvent::Connected
            | MqttEvent::Refused(_)
            | MqttEvent::Closed(_) => None,
        }
    }

    /// Wakes up.
    pub(super) fn timeout(&mut self, cx: &mut Context<'_>) -> Option<Verdict> {
        while let Some(late) = self.asked.iter().position(|asked| cx.now >= asked.due) {
            if let Some(Asked { what, .. }) = self.asked.remove(late) {
                let detail = "no answer".to_string();
                cx.tell(Event::Rejected { what, code: "command.timeout", detail });
            }
        }
        self.gateway.timeout(cx);
        if self.keys_due.is_some_and(|due| cx.now >= due) {
            self.ask_keys(cx);
        }
        match &self.step {
            // Recordings show the same: what is not granted is done without.
            Step::Opening { due, .. } if cx.now >= *due => self.opened(cx),
            Step::Resetting { due } if cx.now >= *due => {
                self.report_reset(cx);
                None
            }
            Step::Opening { .. } | Step::Resetting { .. } | Step::Ready => None,
        }
    }

    /// Returns when to wake up.
    pub(super) fn deadline(&self) -> Option<(Tick, &'static str)> {
        let step = match &self.step {
            Step::Opening { due, .. } => Some((*due, "SUBACK")),
            Step::Resetting { due } => Some((*due, "reset_reply")),
            Step::Ready => None,
        };
        let asked = self.asked.iter().map(|asked| asked.due).min().map(|due| (due, "a reply"));
        let keys = self.keys_due.map(|due| (due, "keys of local control"));
        earliest(earliest(step, self.gateway.deadline()), earliest(asked, keys))
    }

    /// Whether a factory reset is not confirmed yet: such a device answers no query (§5.6).
    pub(super) fn is_resetting(&self) -> bool {
        self.reset.is_some()
    }

    fn opened(&mut self, cx: &mut Context<'_>) -> Option<Verdict> {
        if self.reset.is_some() {
            self.report_reset(cx);
            return None;
        }
        Some(self.ready(cx))
    }

    fn report_reset(&mut self, cx: &mut Context<'_>) {
        let kind = self.reset.unwrap_or_default().to_string();
        let id = cx.next_enrollee().to_string();
        cx.ask(sys::RESET, &id, json!({"resetKey": {"devReset": kind}}), 1);
        self.step = Step::Resetting { due: cx.now + cx.policy().reset_gap };
    }

    fn ready(&mut self, cx: &mut Context<'_>) -> Verdict {
        self.step = Step::Ready;
        cx.tell(Event::Online);
        while let Some(request) = self.queue.pop_front() {
            self.request(request, cx);
        }
        Verdict::Ready
    }

    /// Takes a request of the application; those about the LAN or the flash are the parent's.
    pub(super) fn request(&mut self, request: Request, cx: &mut Context<'_>) {
        if !matches!(self.step, Step::Ready) {
            if self.queue.len() == QUEUE_MAX {
                self.queue.pop_front();
            }
            return self.queue.push_back(request);
        }
        match request {
            Request::Report { node: Some(device), service, properties } => {
                gateway::report(&device, &service, properties, cx);
            }
            Request::Post { node: Some(device), event, params, .. } => {
                let rest = format!("{}{event}{}", sys::EVENT, sys::POST);
                gateway::say(&device, &rest, params.into(), cx);
            }
            Request::SubDevice { device, action } => self.gateway.request(device, action, cx),
            Request::Report { node: None, service, properties } => {
                let model = cx.memory.config.model.clone();
                let wire = values::properties_to_wire(model.as_deref(), &service, properties);
                self.ask(sys::PROPERTY_POST, wire.into(), cx);
                if !self.has_reported {
                    self.has_reported = true;
                    cx.stage(Stage::FirstReport, None);
                }
            }
            Request::Post { node: None, service, event, params, .. } => {
                let model = cx.memory.config.model.clone();
                let (event, wire) =
                    values::event_to_wire(model.as_deref(), &service, &event, &params);
                let rest = format!("{}{event}{}", sys::EVENT, sys::POST);
                self.ask(&rest, wire.into(), cx);
            }
            Request::Info(info) => {
                let attribute = |(key, value): (String, Value)| {
                    let text = value.as_str().map_or_else(|| value.to_string(), Into::into);
                    json!({"attrKey": key, "attrValue": text, "domain": "USER"})
                };
                let params = info.into_iter().map(attribute).collect();
                self.ask(sys::INFO_UPDATE, params, cx);
            }
            // Answers, unbinding, reset and QR codes are the parent's.
            Request::Answer { .. } | Request::Unbind | Request::Scanned(_) | Request::Reset => {}
        }
    }

    fn ask(&mut self, rest: &str, params: Value, cx: &mut Context<'_>) {
        let id = cx.next_message();
        cx.ask(rest, &id, params, 0);
        if self.asked.len() == ASKED_MAX {
            self.asked.pop_front();
        }
        let due = cx.now + cx.policy().answer_wait;
        self.asked.push_back(Asked { id, what: rest.into(), due });
    }

    fn message(
        &mut self,
        topic: &str,
        payload: &bytes::Bytes,
        cx: &mut Context<'_>,
    ) -> Option<Verdict> {
        match Topic::parse(topic)? {
            Topic::Device { product, node, verb } if (product, node) == cx.names() => match verb {
                Verb::Sys(rest) => self.heard(rest, topic, payload, cx),
                Verb::Combine(_) => {
                    self.gateway.replied(payload, cx);
                    None
                }
                Verb::NtpResponse => {
                    self.time(payload, cx);
                    None
                }
                Verb::Error => {
                    let words: String =
                        String::from_utf8_lossy(payload).chars().take(200).collect();
                    cx.failed("command.refused", words);
                    None
                }
                // Updates of the firmware are not here.
                Verb::OtaInform
                | Verb::OtaUpgrade
                | Verb::OtaRequest
                | Verb::OtaProgress
                | Verb::NtpRequest
                | Verb::ShadowUpdate
                | Verb::ShadowGet
                | Verb::Custom(_) => None,
            },
            Topic::ExtRrpc { .. } => {
                self.call(topic.into(), payload, cx);
                None
            }
            Topic::Device { product, node, verb: Verb::Sys(rest) } => {
                self.gateway.message((product, node), (rest, topic), payload, cx);
                None
            }
            Topic::Device { .. }
            | Topic::Broadcast { .. }
            | Topic::Register
            | Topic::RegisterOpen => None,
        }
    }

    fn heard(
        &mut self,
        rest: &str,
        topic: &str,
        payload: &bytes::Bytes,
        cx: &mut Context<'_>,
    ) -> Option<Verdict> {
        if let Some(asked) = rest.strip_suffix(sys::REPLY) {
            return self.replied(asked, payload, cx);
        }
        if let Some(id) = rest.strip_prefix(sys::RRPC_REQUEST) {
            let reply = cx.topic(Verb::Sys(&format!("{}{id}", sys::RRPC_RESPONSE)));
            self.call(reply, payload, cx);
            return None;
        }
        let ask = Ask::parse(payload).ok()?;
        match rest {
            sys::LAN_PREFIX_UPDATE => {
                self.keys(&ask.params, cx);
                self.confirm(rest, &ask.id, cx);
            }
            sys::LAN_BLACKLIST_UPDATE => {
                cx.memory.local.revoke(blacklist(&ask.params));
                self.confirm(rest, &ask.id, cx);
            }
            sys::DISABLE | sys::ENABLE => {
                self.is_disabled = rest == sys::DISABLE;
                self.confirm(rest, &ask.id, cx);
            }
            sys::DELETE => {
                self.confirm(rest, &ask.id, cx);
                return Some(Verdict::Deleted);
            }
            sys::TOPO_CHANGE | sys::TOPO_ADD_NOTIFY | sys::GATEWAY_PERMIT => {
                self.gateway.told(rest, &ask.params, cx);
                self.confirm(rest, &ask.id, cx);
            }
            sys::BOOTSTRAP_NOTIFY => return Some(Verdict::Redirected),
            "thing/bootstrap/config/push" => return moved(&ask.params).map(Verdict::Moved),
            sys::EVENT_NOTIFY => {
                bound(&ask.params, cx);
                self.confirm(rest, &ask.id, cx);
            }
            _ => {
                let name = rest.strip_prefix(sys::SERVICE)?;
                let reply: Box<str> = format!("{topic}{}", sys::REPLY).into();
                self.service(name, ask, reply, cx);
            }
        }
        None
    }

    fn replied(
        &mut self,
        asked: &str,
        payload: &bytes::Bytes,
        cx: &mut Context<'_>,
    ) -> Option<Verdict> {
        match asked {
            sys::MATCH => return Some(Verdict::Match(payload.clone())),
            sys::TOPO_ADD | sys::TOPO_DELETE => self.gateway.replied(payload, cx),
            sys::RESET if self.reset.take().is_some() => {
                cx.out.push(store::set(store::RESET, None));
                return Some(self.ready(cx));
            }
            _ => {}
        }
        let reply = Answer::parse(payload).ok()?;
        if asked == sys::LAN_PREFIX_GET && reply.code == OK {
            self.keys(&reply.data, cx);
        }
        let at = self.asked.iter().position(|known| known.id == reply.id)?;
        let known = self.asked.remove(at)?;
        if reply.code != OK {
            let message: Option<Value> = serde_json::from_slice(trim(payload)).ok();
            let words = message.as_ref().and_then(|m| m.get("message")).and_then(Value::as_str);
            let detail = format!("{}: {}", reply.code, words.unwrap_or_default());
            cx.tell(Event::Rejected { what: known.what, code: "command.refused", detail });
        }
        None
    }

    /// A synchronous call: its body names the service.
    fn call(&mut self, reply: Box<str>, payload: &[u8], cx: &mut Context<'_>) {
        let Ok(ask) = Ask::parse(payload) else {
            let answer = Answer::refusal("", 460, "not JSON");
            return answer_cloud(reply, &answer, cx);
        };
        let name = ask.method.strip_prefix("thing.service.").unwrap_or_default().replace('.', "/");
        match name.is_empty() {
            true => answer_cloud(reply, &Answer::refusal(&ask.id, 460, "no such method"), cx),
            false => self.service(&name, ask, reply, cx),
        }
    }

    fn service(&mut self, name: &str, ask: Ask, reply: Box<str>, cx: &mut Context<'_>) {
        if self.is_disabled {
            return answer_cloud(reply, &Answer::refusal(&ask.id, 400, "disabled"), cx);
        }
        match local::event(name, ask, Origin::Cloud(reply.clone()), cx) {
            Ok(event) => cx.tell(event),
            Err(answer) => answer_cloud(reply, &answer, cx),
        }
    }

    fn keys(&mut self, data: &Value, cx: &mut Context<'_>) {
        let text = |key: &str| data.get(key).and_then(Value::as_str).unwrap_or_default();
        if let Some(pair) = KeyPair::new(text("prefix"), text("deviceSecret").into()) {
            self.keys_due = None;
            local::take(pair, cx);
        }
    }

    fn confirm(&self, rest: &str, id: &str, cx: &mut Context<'_>) {
        let topic = cx.topic(Verb::Sys(&format!("{rest}{}", sys::REPLY)));
        answer_cloud(topic, &Answer::ok(id, Map::new()), cx);
    }

    fn time(&self, payload: &[u8], cx: &mut Context<'_>) {
        let Ok(reply) = serde_json::from_slice::<Value>(trim(payload)) else { return };
        let ms = |key: &str| reply.get(key).and_then(number).and_then(|ms| i64::try_from(ms).ok());
        let Some((received, sent)) = ms("serverRecvTime").zip(ms("serverSendTime")) else { return };
        let asked = ms("deviceSendTime").unwrap_or_default();
        let now = cx.now.as_millis() as i64;
        // Half of the time on the way (§8).
        let way =
            now.saturating_sub(asked).saturating_sub(sent.saturating_sub(received)).max(0) / 2;
        let date = sent.saturating_add(way);
        cx.memory.clock_offset = Some(date.saturating_sub(now));
        cx.tell(Event::Clock(Timestamp(date)));
    }
}

/// Publishes an answer.
pub(super) fn answer_cloud(topic: Box<str>, answer: &Answer, cx: &mut Context<'_>) {
    cx.publish_text(topic, answer.emit(IdStyle::Quoted), 0);
}

/// What became of the device's owner (§5.5).
fn bound(params: &Value, cx: &mut Context<'_>) {
    // UNVERIFIED: names of identifier and operations.
    if params.get("identifier").and_then(Value::as_str) != Some("awss.BindNotify") {
        return;
    }
    match params.pointer("/value/Operation").and_then(Value::as_str) {
        Some("Bind") => {
            cx.stage(Stage::Bound, None);
            cx.tell(Event::Bound);
        }
        Some("Unbind" | "Reset") => cx.tell(Event::Unbound),
        Some(_) | None => {}
    }
}

fn moved(params: &Value) -> Option<Place> {
    let mqtt = params.pointer("/endpoint/mqtt")?;
    let host = mqtt.get("host").and_then(Value::as_str)?;
    let port = mqtt.get("port").and_then(number)?;
    Place::parse(&format!("{host}:{port}"))
}
