//! The device half: a machine that logs in with its secret, reports, answers and speaks for its
//! children.
//!
//! ```text
//! start -> logging in -> on line --closed, refused--> waiting -> logging in
//! ```
//!
//! It subscribes nothing (T1): platform topics come by themselves. A query of properties is
//! answered from what was reported last. Requests that name several services are told service by
//! service and answered once.
//!
//! Not here: provisioning, certificates, updates, compression.
//!
//! Source: Huawei §2.2, §3; behaviour of the C and Python SDKs.

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
use roadstead_core::{Map, Secret, Tick, Timestamp, Value};

use super::auth::{self, Sign};
use super::topic::{Leaf, Topic};
use crate::device::{
    Event, FaultKind, Input, Login, Machine, MqttAction, MqttEvent, Output, Random, RequestKey,
};

pub use config::Config;

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
    LoggingIn { due: Tick },
    Online,
    Waiting { due: Tick },
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

    fn log_in(&mut self, now: Tick, out: &mut Vec<Output>) {
        // A device without a clock signs any ten digits (T2).
        let stamp = auth::stamp(self.date(now).unwrap_or(Timestamp(0)));
        let (sign, id) = (Sign::Sha256, &*self.config.device_id);
        let password = auth::password(sign, &stamp, self.config.secret.expose());
        out.push(Output::Mqtt(MqttAction::Connect(Box::new(Login {
            host: self.config.host.clone(),
            port: self.config.port,
            tls: self.config.tls.clone(),
            server_name: self.config.host.clone(),
            client_id: auth::client_id(id, sign, &stamp).into(),
            user: Some(id.into()),
            password: Some(Secret::from(password)),
            keep_alive: self.config.keep_alive,
            wait: LOGIN_WAIT,
        }))));
        self.phase = Phase::LoggingIn { due: now + LOGIN_WAIT + GRACE };
    }

    fn retry(&mut self, now: Tick, out: &mut Vec<Output>) {
        if self.phase == Phase::Online {
            out.push(Output::App(Event::Offline));
        }
        self.pending.clear();
        let pause = PAUSE_MIN.saturating_mul(1 << self.failures.min(5)).min(PAUSE_MAX);
        let jitter = Duration::from_millis(self.random.below(1000));
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::Waiting { due: now + pause / self.config.haste + jitter };
    }

    fn mqtt(&mut self, event: MqttEvent, now: Tick, out: &mut Vec<Output>) {
        match event {
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
            MqttEvent::Message { topic, payload } => self.hear(&topic, &payload, now, out),
            MqttEvent::Subscribed { .. } | MqttEvent::Published { .. } => {}
        }
    }

    /// Publishes on a topic of this device.
    fn publish(&mut self, leaf: Leaf<'_>, body: &Value, out: &mut Vec<Output>) {
        let topic = Topic::Device { device: &self.config.device_id, leaf };
        let topic: Box<str> = alloc::format!("{topic}").into();
        self.next_mark = self.next_mark.wrapping_add(1);
        let payload = Bytes::from(serde_json::to_vec(body).expect("text keys only"));
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
            Input::Start { stored: _, clock } => {
                self.clock = clock.map(|date| (now, date));
                self.log_in(now, out);
            }
            Input::Timeout => match self.phase {
                Phase::Waiting { due } if now >= due => self.log_in(now, out),
                Phase::LoggingIn { due } if now >= due => self.retry(now, out),
                Phase::Off | Phase::Online | Phase::Waiting { .. } | Phase::LoggingIn { .. } => {}
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
            Phase::Off | Phase::Online => None,
        }
    }
}
