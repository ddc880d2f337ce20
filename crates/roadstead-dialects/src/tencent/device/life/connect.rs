//! The way to a session: registration, log-in, binding, reconnects.

use alloc::format;
use alloc::string::ToString;
use core::time::Duration;

use roadstead_core::attempt::Stage;
use roadstead_core::{Code, Secret};

use super::super::super::comm::{Progress, Record, id, sub};
use super::super::beacon::Beacon;
use super::super::bind::{Binder, End};
use super::super::context::Context;
use super::super::login::login;
use super::super::register::{self, Credential, RegisterError};
use super::super::session::{Session, Verdict};
use super::super::{AfterBind, Proof, Start, store};
use super::{Life, Next, Phase};
use crate::device::{Event, Fault, HttpCall, HttpReply, MqttAction, Output, Tls};

/// Time beyond the hardware's own limit after which a missing result counts as a failure.
const GRACE: Duration = Duration::from_secs(5);
/// Steps of the random part of a reconnect wait, milliseconds (Tencent §3.5).
const JITTER_STEP_MS: u64 = 10;

impl Life {
    /// Logs in, or registers first when there is nothing to log in with.
    pub(super) fn connect_or_register(&mut self, cx: &mut Context<'_>) {
        let config = &cx.memory.config;
        let has_credential = match config.proof {
            Proof::Certificate => config.certificate.is_some(),
            Proof::Psk | Proof::Sha1 { .. } | Proof::Sha256 { .. } => config.secret.is_some(),
        };
        match has_credential {
            true => self.connect(cx),
            false => self.register(1, cx),
        }
    }

    /// Sends a registration; `tries` counts this one.
    pub(super) fn register(&mut self, tries: u8, cx: &mut Context<'_>) {
        cx.log("register", "started");
        let nonce = cx.memory.random.below(i32::MAX as u64 - 1) as u32 + 1;
        let timestamp = cx.date_ms().div_euclid(1000);
        let request = match register::request(&cx.memory.config, nonce, timestamp) {
            Ok(request) => request,
            Err(error) => return self.register_never(error.code(), &error.to_string(), cx),
        };
        self.call += 1;
        let registrar = &cx.memory.config.register;
        let wait = cx.memory.policy.http_wait;
        cx.out.push(Output::Http(HttpCall {
            id: self.call,
            host: registrar.endpoint.host.clone(),
            port: registrar.endpoint.port,
            tls: if registrar.tls { Tls::Server } else { Tls::Off },
            server_name: registrar.endpoint.name.clone(),
            request,
            wait,
            body_bytes_max: register::ANSWER_BYTES_MAX,
        }));
        self.phase = Phase::Registering { tries, due: cx.now + wait + GRACE };
    }

    /// Takes the answer of a registration.
    pub(super) fn registered(
        &mut self,
        tries: u8,
        result: Result<HttpReply, Fault>,
        cx: &mut Context<'_>,
    ) {
        let reply = match result {
            Ok(reply) => reply,
            Err(fault) => {
                return self.registration_failed(tries, fault.code(), &fault.to_string(), cx);
            }
        };
        match register::answer(&cx.memory.config, &reply) {
            Ok(credential) => {
                keep(credential, cx);
                cx.stage(Stage::Registered, None);
                let due = cx.now + cx.policy().register_settle;
                self.phase = Phase::Pausing { due, next: Next::Connect };
            }
            Err(error @ (RegisterError::Refused { .. } | RegisterError::OtherType)) => {
                self.register_never(error.code(), &error.to_string(), cx);
            }
            Err(error) => {
                self.registration_failed(tries, error.code(), &error.to_string(), cx);
            }
        }
    }

    /// A registration got no usable answer: again, or never.
    pub(super) fn registration_failed(
        &mut self,
        tries: u8,
        code: Code,
        detail: &str,
        cx: &mut Context<'_>,
    ) {
        if tries >= cx.policy().register_tries {
            return self.register_never(code, detail, cx);
        }
        cx.log("register", detail);
        let due = cx.now + cx.policy().register_gap;
        self.phase = Phase::Pausing { due, next: Next::Register { tries: tries + 1 } };
    }

    fn register_never(&mut self, code: Code, detail: &str, cx: &mut Context<'_>) {
        if self.attempt.is_some() {
            return self.never_connected(code, detail, cx);
        }
        cx.failed(code, detail);
        let due = cx.now + cx.policy().backoff_rest;
        self.phase = Phase::Pausing { due, next: Next::Register { tries: 1 } };
    }

    /// Logs in.
    pub(super) fn connect(&mut self, cx: &mut Context<'_>) {
        if let Some(attempt) = &mut self.attempt {
            attempt.times.mqtt_start = cx.now.as_millis();
            Beacon::set(&mut self.beacon, Progress::Connecting, cx);
            cx.stage(Stage::Connecting, None);
        }
        let memory = &mut *cx.memory;
        match login(&memory.config, &memory.policy, &mut memory.random) {
            Ok(login) => {
                let due = cx.now + login.wait + GRACE;
                cx.out.push(Output::Mqtt(MqttAction::Connect(login.into())));
                self.phase = Phase::Connecting { due };
            }
            Err(error) if self.attempt.is_some() => {
                self.never_connected("auth.no_credential", &error.to_string(), cx);
            }
            Err(error) => {
                cx.failed("auth.no_credential", error.to_string());
                let due = cx.now + cx.policy().backoff_rest;
                self.phase = Phase::Pausing { due, next: Next::Connect };
            }
        }
    }

    /// Logged in: bind or operate.
    pub(super) fn connected(&mut self, cx: &mut Context<'_>) {
        if !matches!(self.phase, Phase::Connecting { .. }) {
            return;
        }
        cx.log("connect", "done");
        let method = cx.memory.config.start.method();
        match &mut self.attempt {
            Some(attempt) => {
                attempt.times.mqtt_connected = cx.now.as_millis();
                cx.stage(Stage::Connected, None);
                let binder = Binder::start(attempt.token.clone(), method, attempt.times, cx);
                self.phase = Phase::Binding(binder);
            }
            None => self.operate(cx),
        }
    }

    fn operate(&mut self, cx: &mut Context<'_>) {
        let mut session = Session::open(cx);
        self.backoff_ms = 0;
        for post in self.posts.drain(..) {
            session.request(post, cx);
        }
        self.phase = Phase::Online(session);
    }

    /// The log-in was refused.
    pub(super) fn refused(&mut self, number: u8, cx: &mut Context<'_>) {
        let code = match number {
            2 => "auth.unknown_device",
            3 => "internal.overload",
            4 => "auth.bad_password",
            5 => "auth.frozen",
            _ => "mqtt.violation",
        };
        self.log_in_failed(code, &format!("CONNACK {number}"), cx);
    }

    /// The connection did not come up or broke.
    pub(super) fn closed(&mut self, fault: &Fault, cx: &mut Context<'_>) {
        match &self.phase {
            Phase::Connecting { .. } | Phase::Binding(_) => {
                self.log_in_failed(fault.code(), &fault.to_string(), cx);
            }
            Phase::Online(_) => {
                cx.log("session", "lost");
                cx.tell(Event::Offline);
                self.reconnect("session.lost", &fault.to_string(), cx);
            }
            Phase::Off
            | Phase::Listening(_)
            | Phase::Camera
            | Phase::Radio
            | Phase::LogService(_)
            | Phase::Joining { .. }
            | Phase::Registering { .. }
            | Phase::Pausing { .. } => {}
        }
    }

    /// A log-in failed: wait and try again.
    pub(super) fn log_in_failed(&mut self, code: Code, detail: &str, cx: &mut Context<'_>) {
        cx.failed(code, detail);
        self.reconnect(code, detail, cx);
    }

    /// Waits 1 to 2 times the current wait, which doubles; beyond the limit the series ends.
    fn reconnect(&mut self, code: Code, detail: &str, cx: &mut Context<'_>) {
        let first = cx.policy().backoff_first.as_millis() as u64;
        let max = cx.policy().backoff_max.as_millis() as u64;
        let wait = match self.backoff_ms {
            0 => first + cx.memory.random.below(first / JITTER_STEP_MS + 1) * JITTER_STEP_MS,
            last => last.saturating_mul(2),
        };
        if wait <= max {
            self.backoff_ms = wait;
            let due = cx.now + Duration::from_millis(wait);
            self.phase = Phase::Pausing { due, next: Next::Connect };
        } else if self.attempt.is_some() {
            self.never_connected(code, detail, cx);
        } else {
            self.backoff_ms = 0;
            let due = cx.now + cx.policy().backoff_rest;
            self.phase = Phase::Pausing { due, next: Next::Connect };
        }
    }

    /// The attempt ends because the platform cannot be reached.
    fn never_connected(&mut self, code: Code, detail: &str, cx: &mut Context<'_>) {
        Beacon::set(&mut self.beacon, Progress::ConnectFailed, cx);
        cx.record(Record { id: id::MQTT_CONNECT, sub: sub::GENERIC });
        self.fail(code, detail, cx);
    }

    /// The binder took an input; `end` is how it ended.
    pub(super) fn after_binder(&mut self, end: Option<End>, cx: &mut Context<'_>) {
        let Phase::Binding(binder) = &self.phase else { return };
        Beacon::set(&mut self.beacon, binder.progress(), cx);
        match end {
            None => {}
            Some(End::Bound) => self.bound(cx),
            Some(End::Refused { code, status }) => {
                let known = match code {
                    403 => "bind.other_account",
                    409 => "bind.already_used",
                    410 => "bind.expired",
                    _ => "bind.unknown_token",
                };
                self.fail(known, &format!("{code}: {status}"), cx);
            }
            Some(End::Unanswered) => {
                self.fail("attempt.not_confirmed", "the token was not answered", cx);
            }
            Some(End::Unacknowledged) => {
                self.fail("attempt.token_not_reported", "the token was not acknowledged", cx);
            }
            Some(End::NotSubscribed) => {
                self.fail("mqtt.denied_topic", "the subscription of the reply was refused", cx);
            }
        }
    }

    fn bound(&mut self, cx: &mut Context<'_>) {
        self.attempt = None;
        self.is_bound = true;
        cx.out.push(store::set(store::BOUND, Some("1".into())));
        cx.out.push(store::set(store::TOKEN, None));
        cx.log("bind", "done");
        cx.stage(Stage::Bound, None);
        cx.tell(Event::Bound);
        match cx.policy().after_bind {
            AfterBind::Stay => self.operate(cx),
            AfterBind::Reconnect { pause } => {
                cx.out.push(Output::Mqtt(MqttAction::Disconnect));
                self.phase = Phase::Pausing { due: cx.now + pause, next: Next::Connect };
            }
        }
    }

    /// The session took an event.
    pub(super) fn after_session(&mut self, verdict: Option<Verdict>, cx: &mut Context<'_>) {
        let Some(Verdict::Unbound | Verdict::UnboundByUser) = verdict else { return };
        cx.log("unbind", "done");
        cx.tell(Event::Unbound);
        if cx.memory.config.start == Start::Direct {
            return;
        }
        self.reset(cx);
    }
}

fn keep(credential: Credential, cx: &mut Context<'_>) {
    match credential {
        Credential::Secret(secret) => {
            cx.out.push(store::set(store::SECRET, Some(secret.clone())));
            cx.memory.config.secret = Some(secret);
        }
        Credential::Certificate(chain, key) => {
            cx.out.push(store::set(store::CERTIFICATE, Some(Secret::new(chain.to_vec()))));
            cx.out.push(store::set(store::CERTIFICATE_KEY, Some(key.clone())));
            cx.memory.config.certificate = Some((chain, key));
        }
    }
}
