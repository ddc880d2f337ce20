//! The device half: a machine that asks the provisioning service where to go, logs in with its
//! secret or certificate, reports, answers and speaks for its children.
//!
//! ```text
//! start -> (bootstrap) -> logging in -> on line --closed, refused--> waiting -> logging in
//! ```
//!
//! It subscribes nothing (T1): platform topics come by themselves. A query of properties is
//! answered from what was reported last. Requests that name several services are told service by
//! service and answered once.
//!
//! Not here: updates.
//!
//! Source: Huawei §2.2, §3, §4; behaviour of the C and Python SDKs.

mod bootstrap;
mod config;
mod down;
#[cfg(test)]
mod tests;
mod up;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use roadstead_core::{Map, Tick, Timestamp, Value};

use super::auth;
use super::gzip::gzip;
use super::topic::Leaf;
use crate::device::{
    Event, FaultKind, Input, Machine, MqttAction, MqttEvent, Output, Random, RequestKey, Tls,
};
use bootstrap::Given;

pub use config::{Bootstrap, Config};

/// Requests of the platform that wait for the application; older ones are forgotten.
const PENDING_MAX: usize = 32;
/// Time for the log-in.
const LOGIN_WAIT: Duration = Duration::from_secs(20);
/// Time beyond it after which the hardware's silence counts as a failure.
const GRACE: Duration = Duration::from_secs(5);
/// Shortest and longest pause before the next log-in (Python SDK: up to 30 s).
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A device of this vendor.
pub struct Device {
    config: Config,
    phase: Phase,
    /// What the provisioning service said.
    given: Option<Given>,
    random: Random,
    /// A date and when it was right.
    clock: Option<(Tick, Timestamp)>,
    failures: u32,
    next_mark: u32,
    next_key: RequestKey,
    pending: Vec<Pending>,
    /// What was reported last, by service.
    reported: BTreeMap<Box<str>, Map<String, Value>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Off,
    /// Logging in at the provisioning service.
    Arriving {
        due: Tick,
    },
    /// Waiting for its answer.
    Asking {
        due: Tick,
    },
    LoggingIn {
        due: Tick,
    },
    Online,
    Waiting {
        due: Tick,
    },
}

/// A request of the platform that is not answered yet.
struct Pending {
    key: RequestKey,
    rid: Box<str>,
    is_command: bool,
}

impl Device {
    /// Returns a device that is switched off.
    pub fn new(config: Config) -> Self {
        Self {
            random: Random::new(config.seed),
            config,
            phase: Phase::Off,
            given: None,
            clock: None,
            failures: 0,
            next_mark: 0,
            next_key: 0,
            pending: Vec::new(),
            reported: BTreeMap::new(),
        }
    }

    fn date(&self, now: Tick) -> Option<Timestamp> {
        self.clock.map(|(tick, date)| date + now.since(tick))
    }

    /// A device without a clock signs any ten digits (T2).
    fn stamp(&self, now: Tick) -> String {
        auth::stamp(self.date(now).unwrap_or(Timestamp(0)))
    }

    fn log_in(&mut self, now: Tick, out: &mut Vec<Output>) {
        let due = now + LOGIN_WAIT + GRACE;
        if self.config.bootstrap.is_some() && self.given.is_none() {
            match self.bootstrap_login(now) {
                Some(login) => {
                    out.push(Output::Mqtt(MqttAction::Connect(Box::new(login))));
                    self.phase = Phase::Arriving { due };
                }
                None => self.has_nothing_to_show(now, out),
            }
            return;
        }
        let (sign, stamp) = (self.sign(), self.stamp(now));
        let (host, port, secret) = self.platform();
        let password = match (&self.config.tls, secret) {
            (Tls::Certificate { .. }, _) => None,
            (_, Some(secret)) => Some(auth::password(sign, &stamp, secret.expose())),
            (_, None) => return self.has_nothing_to_show(now, out),
        };
        let client_id = auth::client_id(&self.config.device_id, sign, &stamp).into();
        let login = self.login((&host, port, &self.config.tls), client_id, password);
        out.push(Output::Mqtt(MqttAction::Connect(Box::new(login))));
        self.phase = Phase::LoggingIn { due };
    }

    fn has_nothing_to_show(&mut self, now: Tick, out: &mut Vec<Output>) {
        let detail = String::from("the device has neither a secret nor a certificate");
        out.push(Output::Failed { code: "auth.no_credential", detail });
        self.retry(now, out);
    }

    fn retry(&mut self, now: Tick, out: &mut Vec<Output>) {
        if self.phase == Phase::Online {
            out.push(Output::App(Event::Offline));
        }
        self.pending.clear();
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(5)).min(PAUSE_MAX);
        let jitter = Duration::from_millis(self.random.below(1000));
        self.failures = self.failures.saturating_add(1);
        self.doubt(out);
        let haste = self.config.haste.max(1);
        self.phase = Phase::Waiting { due: now + (pause + jitter) / haste };
    }

    fn mqtt(&mut self, event: MqttEvent, now: Tick, out: &mut Vec<Output>) {
        match event {
            MqttEvent::Connected if matches!(self.phase, Phase::Arriving { .. }) => {
                self.ask(now, out);
            }
            MqttEvent::Connected => {
                self.phase = Phase::Online;
                self.failures = 0;
                out.push(Output::App(Event::Online));
                self.greet(now, out);
            }
            MqttEvent::Refused(code) => {
                let code_of = if code == 4 { "auth.bad_password" } else { "auth.unknown_device" };
                let detail = alloc::format!("CONNACK {code}");
                out.push(Output::Failed { code: code_of, detail });
                self.retry(now, out);
            }
            MqttEvent::Closed(fault) => {
                if fault.kind != FaultKind::Closed {
                    let detail = alloc::format!("{fault}");
                    out.push(Output::Failed { code: fault.code(), detail });
                }
                self.retry(now, out);
            }
            MqttEvent::Message { topic, payload } => match self.phase {
                Phase::Asking { .. } if *topic == *self.topic(Leaf::BootstrapDown) => {
                    self.told(&payload, now, out);
                }
                Phase::Asking { .. } => {}
                Phase::Off
                | Phase::Arriving { .. }
                | Phase::LoggingIn { .. }
                | Phase::Online
                | Phase::Waiting { .. } => self.hear(&topic, &payload, now, out),
            },
            MqttEvent::Subscribed { .. } | MqttEvent::Published { .. } => {}
        }
    }

    /// Publishes on a topic of this device; packed where the topic says so.
    fn publish(&mut self, leaf: Leaf<'_>, body: &Value, out: &mut Vec<Output>) {
        let mut payload = serde_json::to_vec(body).expect("text keys only");
        if leaf.is_packed() {
            payload = gzip(&payload);
        }
        self.publish_bytes(leaf, payload.into(), out);
    }

    fn publish_bytes(&mut self, leaf: Leaf<'_>, payload: Bytes, out: &mut Vec<Output>) {
        let topic = self.topic(leaf);
        self.next_mark = self.next_mark.wrapping_add(1);
        let mark = self.next_mark;
        out.push(Output::Mqtt(MqttAction::Publish { topic, payload, qos: 1, mark }));
    }

    fn remember(&mut self, rid: &str, is_command: bool) -> RequestKey {
        self.next_key += 1;
        if self.pending.len() >= PENDING_MAX {
            self.pending.remove(0);
        }
        self.pending.push(Pending { key: self.next_key, rid: rid.into(), is_command });
        self.next_key
    }
}

impl Machine for Device {
    fn handle(&mut self, input: Input, now: Tick, out: &mut Vec<Output>) {
        match input {
            Input::Start { stored, clock } => {
                self.clock = clock.map(|date| (now, date));
                self.given = Given::of_store(&stored).filter(|_| self.config.bootstrap.is_some());
                self.log_in(now, out);
            }
            Input::Timeout => match self.phase {
                Phase::Waiting { due } if now >= due => self.log_in(now, out),
                Phase::Asking { due } if now >= due => {
                    let detail = String::from("the provisioning service did not answer");
                    out.push(Output::Failed { code: "command.timeout", detail });
                    out.push(Output::Mqtt(MqttAction::Disconnect));
                    self.retry(now, out);
                }
                Phase::Arriving { due } | Phase::LoggingIn { due } if now >= due => {
                    self.retry(now, out);
                }
                Phase::Off
                | Phase::Arriving { .. }
                | Phase::Asking { .. }
                | Phase::LoggingIn { .. }
                | Phase::Online
                | Phase::Waiting { .. } => {}
            },
            Input::Mqtt(event) => self.mqtt(event, now, out),
            Input::App(request) => self.request(request, now, out),
            Input::Wifi(_) | Input::Udp(_) | Input::Http { .. } => {}
        }
    }

    fn deadline(&self) -> Option<(Tick, &'static str)> {
        match self.phase {
            Phase::Waiting { due } => Some((due, "next log-in")),
            Phase::LoggingIn { due } => Some((due, "log-in")),
            Phase::Arriving { due } => Some((due, "log-in at the provisioning service")),
            Phase::Asking { due } => Some((due, "answer of the provisioning service")),
            Phase::Off | Phase::Online => None,
        }
    }
}
