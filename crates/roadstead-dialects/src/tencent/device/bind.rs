//! The binding: subscribe, publish the token, wait for the platform's word.
//!
//! ```text
//! Subscribing --round over and SUBACK--> Publishing --PUBACK--> Waiting --reply--> Lingering --> End
//!      '--no SUBACK in time, go on--^     ^  '--no PUBACK: again--'  '--no reply: again--> Publishing
//! ```
//!
//! Source: Tencent §6.1 to §6.3; transcripts softap-bind-plain, v3-softap-bind-plain, v3-bind-code,
//! bind-no-reply, bind-no-puback, bind-garbage.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};

use roadstead_core::attempt::Stage;
use roadstead_core::{Map, Secret, Tick, Value};

use super::super::comm::{Progress, Protocol, Record, id, sub};
use super::super::topic::{Thing, Verb};
use super::context::Context;
use super::policy::ReplyRule;
use super::values::text;
use crate::device::MqttEvent;

/// Sub-code of a reply that is not JSON or has no code (Tencent §13.3).
const UNREADABLE: i32 = 201;
/// The SDK's number of a refused subscription.
const SUBSCRIPTION_REFUSED: i32 = -108;

/// Ticks of one attempt, milliseconds of the device's clock (`pairTime`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PairTime {
    /// Provisioning began.
    pub(super) start: u64,
    /// The network's name came.
    pub(super) got_ssid: u64,
    /// The network was joined.
    pub(super) joined: u64,
    /// The token came.
    pub(super) got_token: u64,
    /// The log-in began.
    pub(super) mqtt_start: u64,
    /// Logged in.
    pub(super) mqtt_connected: u64,
}

/// How a binding ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The platform said yes, or the rule asks for nothing more than PUBACK.
    Bound,
    /// The platform said no.
    Refused {
        /// Vendor's code.
        code: i64,
        /// Vendor's words.
        status: String,
    },
    /// The platform acknowledged the token and never answered it.
    Unanswered,
    /// The platform never acknowledged the token.
    Unacknowledged,
    /// The answer's topic was refused.
    NotSubscribed,
}

enum State {
    Subscribing { acked: bool, round: Tick, due: Tick },
    Publishing { mark: u32, due: Tick },
    Waiting { due: Tick },
    Lingering { due: Tick, end: End },
}

/// One binding on one connection.
pub(super) struct Binder {
    token: Secret,
    method: &'static str,
    times: PairTime,
    filter: Box<str>,
    state: State,
    /// Publications since the last PUBACK.
    tries: u8,
    /// Publications that were acknowledged and not answered.
    rounds: u8,
    published_at: Tick,
}

impl Binder {
    /// Subscribes the answer.
    pub(super) fn start(
        token: Secret,
        method: &'static str,
        times: PairTime,
        cx: &mut Context<'_>,
    ) -> Self {
        let filter = cx.subscribe(Verb::ThingDown(Thing::Service), &None, 0);
        let round = cx.now + cx.policy().subscribe_round;
        let due = cx.now + cx.policy().command_wait.max(cx.policy().subscribe_round);
        let state = State::Subscribing { acked: false, round, due };
        Self { token, method, times, filter, state, tries: 0, rounds: 0, published_at: cx.now }
    }

    /// Takes an event of the connection.
    pub(super) fn event(&mut self, event: &MqttEvent, cx: &mut Context<'_>) {
        match (event, &mut self.state) {
            (MqttEvent::Subscribed { filter, granted }, State::Subscribing { acked, .. })
                if *filter == self.filter =>
            {
                *acked = true;
                if granted.is_none() {
                    cx.record(Record { id: id::TOKEN_SEND, sub: SUBSCRIPTION_REFUSED });
                    self.end(End::NotSubscribed, cx);
                }
            }
            (MqttEvent::Published { mark }, State::Publishing { mark: own, .. }) if mark == own => {
                self.acknowledged(cx);
            }
            (
                MqttEvent::Message { topic, payload },
                State::Publishing { .. } | State::Waiting { .. },
            ) if *topic == self.filter => {
                self.reply(payload, cx);
            }
            _ => {}
        }
    }

    /// Wakes up; returns how it ended.
    pub(super) fn timeout(&mut self, cx: &mut Context<'_>) -> Option<End> {
        match &self.state {
            State::Subscribing { acked: true, round, .. } if cx.now >= *round => self.publish(cx),
            // SDK 2.x warns "wait for subscribe result timeout!" and goes on.
            State::Subscribing { acked: false, due, .. } if cx.now >= *due => self.publish(cx),
            State::Publishing { due, .. } if cx.now >= *due => {
                if self.tries < cx.policy().publish_tries {
                    self.publish(cx);
                } else {
                    cx.record(Record { id: id::TOKEN_SEND, sub: sub::GENERIC });
                    self.end(End::Unacknowledged, cx);
                }
            }
            State::Waiting { due } if cx.now >= *due => self.not_answered(cx),
            State::Subscribing { .. }
            | State::Publishing { .. }
            | State::Waiting { .. }
            | State::Lingering { .. } => {}
        }
        match &self.state {
            State::Lingering { due, end } if cx.now >= *due => Some(end.clone()),
            State::Subscribing { .. }
            | State::Publishing { .. }
            | State::Waiting { .. }
            | State::Lingering { .. } => None,
        }
    }

    /// Returns what a 3.0 device tells everybody about it.
    pub(super) fn progress(&self) -> Progress {
        match &self.state {
            State::Subscribing { .. } | State::Publishing { .. } | State::Waiting { .. } => {
                Progress::Reporting
            }
            State::Lingering { end: End::Bound | End::Refused { .. }, .. } => Progress::Reported,
            State::Lingering {
                end: End::Unanswered | End::Unacknowledged | End::NotSubscribed,
                ..
            } => Progress::ReportFailed,
        }
    }

    /// Returns when to wake up.
    pub(super) fn deadline(&self) -> (Tick, &'static str) {
        match &self.state {
            State::Subscribing { acked: true, round, .. } => (*round, "publishing the token"),
            State::Subscribing { due, .. } => (*due, "SUBACK of the bind reply"),
            State::Publishing { due, .. } => (*due, "PUBACK of the token"),
            State::Waiting { due } => (*due, "reply to the token"),
            State::Lingering { due, .. } => (*due, "end of the binding"),
        }
    }

    fn publish(&mut self, cx: &mut Context<'_>) {
        self.tries += 1;
        self.published_at = cx.now;
        let body = self.body(cx);
        let mark = cx.publish(Verb::ThingUp(Thing::Service), &None, &body, 1);
        if self.tries == 1 && self.rounds == 0 {
            cx.stage(Stage::TokenSent, None);
        }
        self.state = State::Publishing { mark, due: cx.now + cx.policy().command_wait };
    }

    fn body(&self, cx: &Context<'_>) -> Value {
        let now = cx.now.as_millis();
        let mut params = Map::new();
        params.insert("token".into(), self.token.expose_text().unwrap_or_default().into());
        if cx.policy().protocol == Protocol::V3 {
            params.insert("pairTime".into(), self.pair_time(now));
        }
        let mut body = Map::new();
        body.insert("method".into(), "app_bind_token".into());
        let device = &cx.memory.config.device;
        body.insert("clientToken".into(), format!("{device}-{now}").into());
        body.insert("params".into(), params.into());
        body.into()
    }

    fn pair_time(&self, now: u64) -> Value {
        let t = &self.times;
        let mut map = Map::new();
        map.insert("type".into(), self.method.into());
        for (key, tick) in [
            ("start", t.start),
            ("getSSID", t.got_ssid),
            ("wifiConnected", t.joined),
            ("getToken", t.got_token),
            ("mqttStart", t.mqtt_start),
            ("mqttConnected", t.mqtt_connected),
            ("tokenPublish", now),
        ] {
            map.insert(key.into(), tick.into());
        }
        map.into()
    }

    fn acknowledged(&mut self, cx: &mut Context<'_>) {
        self.tries = 0;
        match cx.policy().reply {
            ReplyRule::Ignored => self.state = State::Waiting { due: self.linger_end(cx) },
            ReplyRule::Required { wait, .. } => self.state = State::Waiting { due: cx.now + wait },
        }
    }

    fn not_answered(&mut self, cx: &mut Context<'_>) {
        self.rounds += 1;
        match cx.policy().reply {
            ReplyRule::Ignored => self.end(End::Bound, cx),
            ReplyRule::Required { rounds, .. } if self.rounds < rounds => self.publish(cx),
            ReplyRule::Required { .. } => {
                cx.record(Record { id: id::TOKEN_SEND, sub: sub::GENERIC });
                self.end(End::Unanswered, cx);
            }
        }
    }

    /// Reads what came on the answer's topic. The firmware takes any JSON with a `code`; a strict
    /// device wants the reply by name, so that no other message can bind it.
    fn reply(&mut self, payload: &[u8], cx: &mut Context<'_>) {
        let reply: Result<Value, _> = serde_json::from_slice(payload);
        let strict = cx.policy().reply != ReplyRule::Ignored;
        let (code, status) = match &reply {
            Ok(reply) if strict && text(reply, "method") != "app_bind_token_reply" => return,
            Ok(reply) => match reply.get("code").and_then(Value::as_i64) {
                Some(code) => (code, text(reply, "status").to_string()),
                None => (i64::from(UNREADABLE), "the reply has no code".to_string()),
            },
            Err(_) => (i64::from(UNREADABLE), "the reply is not JSON".to_string()),
        };
        if code == 0 {
            return self.end(End::Bound, cx);
        }
        let sub = i32::try_from(code).unwrap_or(sub::GENERIC);
        cx.record(Record { id: id::TOKEN_REPLY, sub });
        match strict {
            true => self.end(End::Refused { code, status }, cx),
            // SDK 2.x calls a refused binding a success (§6.3).
            false => self.end(End::Bound, cx),
        }
    }

    fn end(&mut self, end: End, cx: &Context<'_>) {
        self.state = State::Lingering { due: self.linger_end(cx), end };
    }

    fn linger_end(&self, cx: &Context<'_>) -> Tick {
        (self.published_at + cx.policy().bind_linger).max(cx.now)
    }
}
