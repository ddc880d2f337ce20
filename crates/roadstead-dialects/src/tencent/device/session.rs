//! Normal operation on one connection: opening, reports, control, actions, unbinding.
//!
//! ```text
//! Sys -> Time -> Subscribe(channel)... -> Settle -> Info? -> Status -> Gap -> Ready
//! ```
//!
//! A step that gets no answer in time is passed over with a line in the log; the platform repeats
//! nothing, so waiting longer would not help.
//!
//! Source: Tencent §3.5, §6.5, §7, §8; transcripts softap-bind-plain, data-template-full-plain,
//! v3-mqtt-unbind-plain.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use roadstead_core::attempt::Stage;
use roadstead_core::exchange::SubDevice;
use roadstead_core::product::Level;
use roadstead_core::{Map, Tick, Timestamp, Value};
use serde_json::json;

use super::super::topic::{Thing, Topic, Verb};
use super::context::Context;
use super::gateway::Gateway;
use super::policy::Channel;
use super::values::{
    event_to_wire, input_from_wire, level, members, output_to_wire, properties_from_wire,
    properties_to_wire, service, text,
};
use crate::device::{Event, MqttEvent, Node, Request, RequestKey, earliest};

/// Unanswered requests of either side; the oldest is forgotten (Tencent §3.5, §7).
const OPEN_MAX: usize = 10;
/// Requests of the application kept while the session opens.
const QUEUE_MAX: usize = 32;
/// Result of a control or action that does not fit the model.
const BAD_VALUE: i64 = 406;

/// What the parent must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The platform took the owner away.
    Unbound,
    /// The platform confirmed what the user asked for.
    UnboundByUser,
}

enum Step {
    Sys { tries: u8, due: Tick, filter: Box<str> },
    SysGap { due: Tick },
    Time { sent_ms: i64, due: Tick },
    Subscribe { filter: Box<str>, due: Tick },
    Settle { due: Tick },
    Status { due: Tick },
    Gap { due: Tick },
    Ready,
}

/// A request of ours that the platform will answer.
struct Asked {
    token: String,
    what: &'static str,
    due: Tick,
}

/// A request of the platform that the application will answer.
struct Question {
    key: RequestKey,
    node: Node,
    token: String,
    /// The action; `None` for a control.
    action: Option<Box<str>>,
}

/// One connection in normal operation.
pub(super) struct Session {
    step: Step,
    to_subscribe: VecDeque<Channel>,
    asked: Vec<Asked>,
    questions: VecDeque<Question>,
    queue: VecDeque<Request>,
    gateway: Option<Gateway>,
    has_reported: bool,
}

impl Session {
    /// Opens normal operation on a fresh connection.
    pub(super) fn open(cx: &mut Context<'_>) -> Self {
        let mut session = Self {
            step: Step::Ready,
            to_subscribe: cx.policy().channels.iter().copied().collect(),
            asked: Vec::new(),
            questions: VecDeque::new(),
            queue: VecDeque::new(),
            gateway: None,
            has_reported: false,
        };
        match cx.policy().time_sync {
            true => session.subscribe_sys(1, cx),
            false => session.subscribe_next(cx),
        }
        session
    }

    /// Takes an event of the connection.
    pub(super) fn event(&mut self, event: &MqttEvent, cx: &mut Context<'_>) -> Option<Verdict> {
        match event {
            MqttEvent::Subscribed { filter, granted } => {
                if granted.is_none() {
                    cx.failed("mqtt.denied_topic", format!("refused: {filter}"));
                }
                self.subscribed(filter, cx);
                None
            }
            MqttEvent::Message { topic, payload } => self.message(topic, payload, cx),
            MqttEvent::Published { .. }
            | MqttEvent::Connected
            | MqttEvent::Refused(_)
            | MqttEvent::Closed(_) => None,
        }
    }

    /// Takes a request of the application.
    pub(super) fn request(&mut self, request: Request, cx: &mut Context<'_>) {
        let waits = match &request {
            Request::Report { .. }
            | Request::Info(_)
            | Request::Post { .. }
            | Request::SubDevice { .. } => !matches!(self.step, Step::Ready),
            Request::Answer { .. } | Request::Unbind | Request::Scanned(_) | Request::Reset => {
                false
            }
        };
        if !waits {
            return self.perform(request, cx);
        }
        if self.queue.len() == QUEUE_MAX {
            self.queue.pop_front();
        }
        self.queue.push_back(request);
    }

    /// Wakes up.
    pub(super) fn timeout(&mut self, cx: &mut Context<'_>) {
        self.forget_unanswered(cx);
        if let Some(gateway) = &mut self.gateway {
            gateway.timeout(cx);
        }
        match &self.step {
            Step::Sys { tries, due, .. } if cx.now >= *due => {
                let tries = *tries;
                match tries < cx.policy().sys_tries {
                    true => self.subscribe_sys(tries + 1, cx),
                    false => self.ask_time(cx),
                }
            }
            Step::SysGap { due } if cx.now >= *due => self.subscribe_next(cx),
            Step::Time { due, .. } if cx.now >= *due => {
                cx.log("time", "no answer");
                self.subscribe_next(cx);
            }
            Step::Subscribe { filter, due } if cx.now >= *due => {
                cx.log("subscribe", &format!("no SUBACK: {filter}"));
                self.subscribe_next(cx);
            }
            Step::Settle { due } if cx.now >= *due => self.query(cx),
            Step::Status { due } if cx.now >= *due => self.pause_before_ready(cx),
            Step::Gap { due } if cx.now >= *due => self.ready(cx),
            Step::Sys { .. }
            | Step::SysGap { .. }
            | Step::Time { .. }
            | Step::Subscribe { .. }
            | Step::Settle { .. }
            | Step::Status { .. }
            | Step::Gap { .. }
            | Step::Ready => {}
        }
    }

    /// Returns when to wake up.
    pub(super) fn deadline(&self) -> Option<(Tick, &'static str)> {
        let step = match &self.step {
            Step::Sys { due, .. } => Some((*due, "SUBACK of the time topic")),
            Step::SysGap { due } => Some((*due, "pause after the time")),
            Step::Time { due, .. } => Some((*due, "the time")),
            Step::Subscribe { due, .. } => Some((*due, "SUBACK")),
            Step::Settle { due } => Some((*due, "pause before the state query")),
            Step::Status { due } => Some((*due, "reply to the state query")),
            Step::Gap { due } => Some((*due, "pause before the first report")),
            Step::Ready => None,
        };
        let asked = self.asked.iter().map(|a| a.due).min().map(|due| (due, "a reply"));
        let gateway = self.gateway.as_ref().and_then(Gateway::deadline);
        earliest(step, earliest(asked, gateway))
    }

    fn subscribe_sys(&mut self, tries: u8, cx: &mut Context<'_>) {
        let filter = cx.subscribe(Verb::SysDown, &None, 0);
        self.step = Step::Sys { tries, due: cx.now + cx.policy().sys_wait, filter };
    }

    fn ask_time(&mut self, cx: &mut Context<'_>) {
        let sent_ms = cx.date_ms();
        cx.publish(Verb::SysUp, &None, &json!({"type": "get", "resource": ["time"]}), 0);
        self.step = Step::Time { sent_ms, due: cx.now + cx.policy().time_wait };
    }

    fn subscribe_next(&mut self, cx: &mut Context<'_>) {
        let next = self.to_subscribe.pop_front().map(|channel| {
            let qos = u8::from(channel == Channel::Service);
            cx.subscribe(Verb::ThingDown(channel.thing()), &None, qos)
        });
        let filter = next.or_else(|| {
            let wanted = cx.memory.config.gateway && self.gateway.is_none();
            wanted.then(|| {
                self.gateway = Some(Gateway::default());
                cx.subscribe(Verb::GatewayDown, &None, 1)
            })
        });
        self.step = match filter {
            Some(filter) => Step::Subscribe { filter, due: cx.now + cx.policy().command_wait },
            None => Step::Settle { due: cx.now + cx.policy().settle },
        };
    }

    fn subscribed(&mut self, filter: &str, cx: &mut Context<'_>) {
        match &self.step {
            Step::Sys { filter: own, .. } if **own == *filter => self.ask_time(cx),
            Step::Subscribe { filter: own, .. } if **own == *filter => self.subscribe_next(cx),
            Step::Sys { .. }
            | Step::SysGap { .. }
            | Step::Time { .. }
            | Step::Subscribe { .. }
            | Step::Settle { .. }
            | Step::Status { .. }
            | Step::Gap { .. }
            | Step::Ready => {}
        }
    }

    fn query(&mut self, cx: &mut Context<'_>) {
        if !cx.memory.config.info.is_empty() {
            let params = Value::from(cx.memory.config.info.clone());
            self.ask("report_info", Thing::Property, &None, &[("params", params)], cx);
        }
        self.ask("get_status", Thing::Property, &None, &[], cx);
        self.step = Step::Status { due: cx.now + cx.policy().command_wait };
    }

    fn pause_before_ready(&mut self, cx: &Context<'_>) {
        self.step = Step::Gap { due: cx.now + cx.policy().status_gap };
    }

    fn ready(&mut self, cx: &mut Context<'_>) {
        self.step = Step::Ready;
        cx.tell(Event::Online);
        while let Some(request) = self.queue.pop_front() {
            self.perform(request, cx);
        }
    }

    fn perform(&mut self, request: Request, cx: &mut Context<'_>) {
        match request {
            Request::Report { node, properties, .. } => {
                let model = cx.memory.config.model.clone();
                let params = Value::from(properties_to_wire(model.as_deref(), properties));
                self.ask("report", Thing::Property, &node, &[("params", params)], cx);
            }
            Request::Info(info) => {
                self.ask("report_info", Thing::Property, &None, &[("params", info.into())], cx);
            }
            Request::Post { node, event, level, params, .. } => {
                self.post(&node, &event, level, &params, cx);
            }
            Request::Answer { key, code, status, output } => {
                self.answer(key, code, &status, &output, cx);
            }
            Request::Unbind => {
                let names = &cx.memory.config;
                let device = Value::from(&*names.device);
                let product = Value::from(&*names.product);
                let fields = [("deviceName", device), ("productId", product)];
                self.ask("unbind_device_request", Thing::Service, &None, &fields, cx);
            }
            Request::SubDevice { device, action } => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.request(device, action, cx);
                }
            }
            // The parent's business.
            Request::Scanned(_) | Request::Reset => {}
        }
    }

    /// Publishes a request that wants an answer.
    fn ask(
        &mut self,
        method: &'static str,
        channel: Thing,
        node: &Node,
        fields: &[(&str, Value)],
        cx: &mut Context<'_>,
    ) {
        cx.memory.token += 1;
        let token = format!("{}-{}", cx.memory.config.product, cx.memory.token);
        let mut body = Map::new();
        body.insert("method".into(), method.into());
        body.insert("clientToken".into(), token.as_str().into());
        body.extend(fields.iter().map(|(key, value)| ((*key).to_string(), value.clone())));
        cx.publish(Verb::ThingUp(channel), node, &body.into(), 0);
        if self.asked.len() == OPEN_MAX {
            self.asked.remove(0);
        }
        self.asked.push(Asked { token, what: method, due: cx.now + cx.policy().command_wait });
    }

    fn post(
        &mut self,
        node: &Node,
        event: &str,
        severity: Level,
        params: &Map<String, Value>,
        cx: &mut Context<'_>,
    ) {
        let params = event_to_wire(cx.memory.config.model.as_deref(), event, params);
        let fields = [
            ("version", Value::from("1.0")),
            ("eventId", Value::from(event)),
            ("type", Value::from(level(severity))),
            ("timestamp", Value::from(cx.date_ms())),
            ("params", params.into()),
        ];
        self.ask("event_post", Thing::Event, node, &fields, cx);
    }

    fn answer(
        &mut self,
        key: RequestKey,
        code: i64,
        status: &str,
        output: &Map<String, Value>,
        cx: &mut Context<'_>,
    ) {
        let Some(at) = self.questions.iter().position(|q| q.key == key) else { return };
        let Some(question) = self.questions.remove(at) else { return };
        let mut body = Map::new();
        match &question.action {
            None => {
                body.insert("method".into(), "control_reply".into());
                body.insert("code".into(), code.into());
                body.insert("clientToken".into(), question.token.into());
                if !status.is_empty() {
                    body.insert("status".into(), status.into());
                }
                cx.publish(Verb::ThingUp(Thing::Property), &question.node, &body.into(), 0);
            }
            Some(action) => {
                let model = cx.memory.config.model.as_deref();
                let response = output_to_wire(model, action, output);
                body.insert("method".into(), "action_reply".into());
                body.insert("clientToken".into(), question.token.into());
                body.insert("code".into(), code.into());
                body.insert("status".into(), status.into());
                body.insert("response".into(), response.into());
                cx.publish(Verb::ThingUp(Thing::Action), &question.node, &body.into(), 1);
            }
        }
    }

    fn message(&mut self, topic: &str, payload: &[u8], cx: &mut Context<'_>) -> Option<Verdict> {
        let topic = Topic::parse(topic)?;
        let Ok(body) = serde_json::from_slice::<Value>(payload) else {
            cx.log("message", "not JSON");
            return None;
        };
        let own = &cx.memory.config;
        let is_own = *topic.product == *own.product && *topic.node == *own.device;
        let node =
            (!is_own).then(|| SubDevice { product: topic.product.into(), node: topic.node.into() });
        match topic.verb {
            Verb::SysDown => self.time(&body, cx),
            Verb::ThingDown(Thing::Property) => self.property(&body, node, cx),
            Verb::ThingDown(Thing::Event) => self.replied(&body, cx),
            Verb::ThingDown(Thing::Action) => self.action(&body, node, cx),
            Verb::ThingDown(Thing::Service) => return self.service(&body, cx),
            Verb::GatewayDown => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.message(&body, cx);
                }
            }
            // Not subscribed, or not for devices.
            Verb::ThingUp(_)
            | Verb::ThingDown(Thing::Raw)
            | Verb::SysUp
            | Verb::LogUp
            | Verb::LogDown
            | Verb::OtaUp
            | Verb::OtaDown
            | Verb::GatewayUp
            | Verb::ConfigUp
            | Verb::ConfigDown
            | Verb::ResourceUp
            | Verb::ResourceDown
            | Verb::ShadowUp
            | Verb::ShadowDown
            | Verb::BroadcastDown
            | Verb::RrpcUp(_)
            | Verb::RrpcDown(_)
            | Verb::Custom(_) => {}
        }
        None
    }

    /// Sets the clock: both ways of the message are taken as equally long (§8).
    fn time(&mut self, body: &Value, cx: &mut Context<'_>) {
        let Step::Time { sent_ms, .. } = self.step else { return };
        let number = |key: &str| body.get(key).and_then(Value::as_i64);
        let date = match (number("ntptime1"), number("ntptime2"), number("time")) {
            (Some(t1), Some(t2), _) => {
                t1.saturating_add(t2).saturating_add(cx.date_ms()).saturating_sub(sent_ms) / 2
            }
            (_, _, Some(seconds)) => seconds.saturating_mul(1000),
            _ => return cx.log("time", "unreadable"),
        };
        cx.memory.clock_offset = Some(date.saturating_sub(cx.now.as_millis() as i64));
        cx.tell(Event::Clock(Timestamp(date)));
        self.step = Step::SysGap { due: cx.now + cx.policy().sys_gap };
    }

    fn property(&mut self, body: &Value, node: Node, cx: &mut Context<'_>) {
        match text(body, "method") {
            "control" => {
                let token = text(body, "clientToken").to_string();
                self.control(members(body, "params"), token, node, cx);
            }
            "get_status_reply" => self.status(body, node, cx),
            "" => {}
            _ => self.replied(body, cx),
        }
    }

    fn status(&mut self, body: &Value, node: Node, cx: &mut Context<'_>) {
        let token = text(body, "clientToken").to_string();
        self.replied(body, cx);
        let data = body.get("data").unwrap_or(&Value::Null);
        let model = cx.memory.config.model.clone();
        if let Ok(reported) = properties_from_wire(model.as_deref(), members(data, "reported")) {
            cx.tell(Event::Shadow { service: service(model.as_deref()), reported });
        }
        let control = members(data, "control");
        if !control.is_empty() {
            // The SDK clears with the token of its query, then applies and answers with it too.
            let clear = json!({"method": "clear_control", "clientToken": token.as_str()});
            cx.publish(Verb::ThingUp(Thing::Property), &node, &clear, 0);
            self.control(control, token, node, cx);
        }
        if matches!(self.step, Step::Status { .. }) {
            self.pause_before_ready(cx);
        }
    }

    fn control(
        &mut self,
        params: Map<String, Value>,
        token: String,
        node: Node,
        cx: &mut Context<'_>,
    ) {
        if token.is_empty() {
            // The SDK drops a control without a token silently.
            return cx.log("control", "no clientToken");
        }
        let key = self.question(node.clone(), token, None, cx);
        let model = cx.memory.config.model.clone();
        match properties_from_wire(model.as_deref(), params) {
            Ok(properties) => {
                cx.tell(Event::Set { key, node, service: service(model.as_deref()), properties })
            }
            Err(violation) => {
                self.answer(key, BAD_VALUE, &violation.to_string(), &Map::new(), cx);
            }
        }
    }

    fn action(&mut self, body: &Value, node: Node, cx: &mut Context<'_>) {
        let (token, id) = (text(body, "clientToken"), text(body, "actionId"));
        let is_action = text(body, "method") == "action";
        let complete = !token.is_empty() && !id.is_empty() && body.get("timestamp").is_some();
        let model = cx.memory.config.model.clone();
        let known = model.as_deref().is_none_or(|model| model.command(id).is_some());
        if !is_action || !complete || !known {
            // Real firmware answers none of these (§7).
            return cx.log("action", "ignored");
        }
        let command: Box<str> = id.into();
        let key = self.question(node.clone(), token.into(), Some(command.clone()), cx);
        match input_from_wire(model.as_deref(), id, members(body, "params")) {
            Ok(params) => cx.tell(Event::Command {
                key,
                node,
                service: service(model.as_deref()),
                command,
                params,
            }),
            Err(violation) => {
                self.answer(key, BAD_VALUE, &violation.to_string(), &Map::new(), cx);
            }
        }
    }

    fn question(
        &mut self,
        node: Node,
        token: String,
        action: Option<Box<str>>,
        cx: &mut Context<'_>,
    ) -> RequestKey {
        cx.memory.key += 1;
        let key = cx.memory.key;
        if self.questions.len() == OPEN_MAX {
            self.questions.pop_front();
        }
        self.questions.push_back(Question { key, node, token, action });
        key
    }

    fn service(&mut self, body: &Value, cx: &mut Context<'_>) -> Option<Verdict> {
        match text(body, "method") {
            // 3.2.1 sends no answer.
            "unbind_device" => Some(Verdict::Unbound),
            "unbind_device_reply" => {
                let code = body.get("code").and_then(Value::as_i64);
                self.replied(body, cx);
                (code == Some(0)).then_some(Verdict::UnboundByUser)
            }
            _ => None,
        }
    }

    /// Takes an answer to one of our requests.
    fn replied(&mut self, body: &Value, cx: &mut Context<'_>) {
        let token = text(body, "clientToken");
        let method = text(body, "method");
        let is_ours = |asked: &Asked| {
            asked.token == token
                && (method.strip_suffix("_reply") == Some(asked.what)
                    || (asked.what == "unbind_device_request" && method == "unbind_device_reply")
                    || (asked.what == "event_post" && method == "event_reply"))
        };
        let Some(at) = self.asked.iter().position(is_ours) else { return };
        let asked = self.asked.remove(at);
        let code = body.get("code").and_then(Value::as_i64).unwrap_or(0);
        if code != 0 {
            let detail = format!("{code}: {}", text(body, "status"));
            cx.tell(Event::Rejected { what: asked.what.into(), code: "model.violation", detail });
        } else if asked.what == "report" && !self.has_reported {
            self.has_reported = true;
            cx.stage(Stage::FirstReport, None);
        }
    }

    fn forget_unanswered(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        for asked in self.asked.extract_if(.., |asked| now >= asked.due) {
            let detail = String::from("no reply");
            cx.out.push(crate::device::Output::App(Event::Rejected {
                what: asked.what.into(),
                code: "command.timeout",
                detail,
            }));
        }
    }
}
