//! The way to a session: registration, address, log-in, tokens, reconnects, other regions.
//!
//! Source: Alibaba §2, §3, §4; transcripts v301_dynreg, py_register, py_regnwl, l16_redirect,
//! l16_kicked, l16_http403.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use core::time::Duration;

use roadstead_core::attempt::Stage;
use roadstead_core::{Code, Secret, Value};

use super::super::super::lan::trim;
use super::super::super::softap::Failure;
use super::super::super::topic::Topic;
use super::super::context::Context;
use super::super::http::{ANSWER_BYTES_MAX, Call, Outcome, Place};
use super::super::login::{Extras, Proof, login, registration};
use super::super::policy::Generation;
use super::super::session::{Session, Verdict};
use super::super::token::News;
use super::super::{Address, Registration, store};
use super::{Guided, Life, Next, Phase};
use crate::device::{Event, Fault, HttpCall, HttpReply, MqttAction, MqttEvent, Output, Tls};

/// Time beyond the hardware's own limit after which a missing result counts as a failure.
const GRACE: Duration = Duration::from_secs(5);
/// Length of the random text of a registration.
const RANDOM_LEN: usize = 15;
/// Regions with a built-in host; a larger number is asked for over HTTP (§4).
const REGIONS: [&str; 6] =
    ["cn-shanghai", "ap-southeast-1", "ap-northeast-1", "us-east-1", "eu-central-1", "us-west-1"];

impl Life {
    /// Logs in, or does first what a log-in needs.
    pub(super) fn connect_or_register(&mut self, cx: &mut Context<'_>) {
        let config = &cx.memory.config;
        if config.secret.is_none() && self.token_login.is_none() {
            return match config.registration {
                Registration::Http => self.call(Call::Register, 1, cx),
                Registration::Mqtt => self.register(false, cx),
                Registration::MqttOpen => self.register(true, cx),
            };
        }
        match config.address {
            Address::Guided if self.guided.is_none() => self.call(Call::Guide, 1, cx),
            Address::Bootstrap if self.place.is_none() => match self.region {
                Some(number) if (number as usize) >= REGIONS.len() => {
                    self.call(Call::Bootstrap(Some(number)), 1, cx);
                }
                Some(_) => self.connect(cx),
                None => self.call(Call::Bootstrap(None), 1, cx),
            },
            Address::Direct | Address::Guided | Address::Bootstrap => self.connect(cx),
        }
    }

    /// Sends an HTTP call; `tries` counts this one.
    pub(super) fn call(&mut self, call: Call, tries: u8, cx: &mut Context<'_>) {
        let random = cx.memory.random.alphanumeric(RANDOM_LEN);
        let request = match call.request(&cx.memory.config, &random) {
            Ok(request) => request,
            Err(error) => {
                let words = error.to_string();
                return self.call_refused(call, error.code(call), &words, cx);
            }
        };
        self.call += 1;
        let (config, wait) = (&cx.memory.config, cx.memory.policy.http_wait);
        cx.out.push(Output::Http(HttpCall {
            id: self.call,
            host: config.http.host.clone(),
            port: config.http.port,
            tls: if config.https { Tls::Server } else { Tls::Off },
            server_name: call.host().into(),
            request,
            wait,
            body_bytes_max: ANSWER_BYTES_MAX,
        }));
        self.phase = Phase::Calling { call, tries, due: cx.now + wait + GRACE };
    }

    /// Takes the answer of an HTTP call.
    pub(super) fn called(
        &mut self,
        call: Call,
        tries: u8,
        result: Result<HttpReply, Fault>,
        cx: &mut Context<'_>,
    ) {
        let reply = match result {
            Ok(reply) => reply,
            Err(fault) => {
                return self.call_failed(call, tries, fault.code(), &fault.to_string(), cx);
            }
        };
        match call.answer(reply.status, &reply.body) {
            Ok(Outcome::Place(place)) => {
                self.set_place(Some(place), cx);
                self.connect(cx);
            }
            Ok(Outcome::Guided { place, user, password }) => {
                if place.is_some() {
                    self.set_place(place, cx);
                }
                self.guided = Some(Guided { user, password });
                self.connect(cx);
            }
            Ok(Outcome::Secret(secret)) => {
                cx.out.push(store::set(store::SECRET, Some(secret.clone())));
                cx.memory.config.secret = Some(secret);
                cx.stage(Stage::Registered, None);
                self.connect_or_register(cx);
            }
            Err(error) => {
                let (code, words) = (error.code(call), error.to_string());
                self.call_refused(call, code, &words, cx);
            }
        }
    }

    /// A call got no answer: again, or later.
    pub(super) fn call_failed(
        &mut self,
        call: Call,
        tries: u8,
        code: Code,
        detail: &str,
        cx: &mut Context<'_>,
    ) {
        if tries < cx.policy().http_tries {
            let wait = cx.policy().http_gap;
            return self.pause(wait, Next::Call { call, tries: tries + 1 }, cx);
        }
        cx.memory.failure = Some((Failure::Bootstrap, detail.to_string()));
        cx.failed(code, detail);
        let wait = self.next_wait(cx);
        self.pause(wait, Next::Call { call, tries: 1 }, cx);
    }

    /// A call was refused: much later again.
    fn call_refused(&mut self, call: Call, code: Code, detail: &str, cx: &mut Context<'_>) {
        cx.memory.failure = Some((Failure::DeviceRefused, detail.to_string()));
        cx.failed(code, detail);
        let wait = self.next_wait(cx);
        self.pause(wait, Next::Call { call, tries: 1 }, cx);
    }

    /// Asks for the secret, or for a token, on a connection of its own (§3.3 b, c).
    fn register(&mut self, is_open: bool, cx: &mut Context<'_>) {
        let random = cx.memory.random.alphanumeric(RANDOM_LEN);
        let place = self.place(cx);
        let (config, policy) = (&cx.memory.config, &cx.memory.policy);
        match registration(config, policy, &place, is_open, &random) {
            Some(login) => {
                let due = cx.now + login.wait + cx.policy().answer_wait;
                cx.out.push(Output::Mqtt(MqttAction::Connect(Box::new(login))));
                self.phase = Phase::Registering { due };
            }
            None => self.register_failed("auth.no_credential", "no product secret", cx),
        }
    }

    /// Takes what came on the connection of a registration.
    pub(super) fn registered(&mut self, event: &MqttEvent, cx: &mut Context<'_>) {
        let MqttEvent::Message { topic, payload } = event else { return };
        let topic = Topic::parse(topic);
        if !matches!(topic, Some(Topic::Register | Topic::RegisterOpen)) {
            return;
        }
        let body: Option<Value> = serde_json::from_slice(trim(payload)).ok();
        let text = |key: &str| body.as_ref()?.get(key)?.as_str().filter(|t| !t.is_empty());
        match (text("deviceSecret"), text("clientId").zip(text("deviceToken"))) {
            (Some(secret), _) => {
                let secret = Secret::from(secret);
                cx.out.push(store::set(store::SECRET, Some(secret.clone())));
                cx.memory.config.secret = Some(secret);
            }
            (None, Some((client, token))) => {
                let token = Secret::from(token);
                let value = store::token_login(client, &token);
                cx.out.push(store::set(store::TOKEN_LOGIN, Some(value)));
                self.token_login = Some((client.into(), token));
            }
            (None, None) => {
                return self.register_failed("register.unknown_device", "no secret in it", cx);
            }
        }
        cx.out.push(Output::Mqtt(MqttAction::Disconnect));
        cx.stage(Stage::Registered, None);
        self.connect_or_register(cx);
    }

    /// A registration on a connection of its own failed.
    pub(super) fn register_failed(&mut self, code: Code, detail: &str, cx: &mut Context<'_>) {
        cx.out.push(Output::Mqtt(MqttAction::Disconnect));
        cx.failed(code, detail);
        let wait = self.next_wait(cx);
        self.pause(wait, Next::Register, cx);
    }

    /// Returns where to log in.
    fn place(&self, cx: &Context<'_>) -> Place {
        let config = &cx.memory.config;
        let built_in = || Place { host: config.mqtt.host.clone(), port: config.mqtt.port };
        match (&self.place, self.region.and_then(|region| REGIONS.get(region as usize))) {
            (Some(place), _) => place.clone(),
            (None, Some(region)) => {
                let host = format!("{}.iot-as-mqtt.{region}.aliyuncs.com", config.product);
                Place { host: host.into(), port: config.mqtt.port }
            }
            (None, None) => built_in(),
        }
    }

    /// Logs in.
    pub(super) fn connect(&mut self, cx: &mut Context<'_>) {
        if self.is_onboarding {
            cx.stage(Stage::Connecting, None);
        }
        let place = self.place(cx);
        let living = cx.policy().generation == Generation::Living16;
        let bindable = self.lan.is_some();
        let extras = Extras {
            token: (living && bindable && self.reset.is_none()).then(|| self.tokens.for_login(cx)),
            reset: self.reset,
            is_told: self.place.is_some(),
        };
        let (config, policy) = (&cx.memory.config, &cx.memory.policy);
        let proof = match (&self.guided, &config.secret, &self.token_login) {
            (Some(guided), ..) => Proof::Guided(&guided.user, &guided.password),
            (None, Some(secret), _) => Proof::Secret(secret),
            (None, None, Some((client, token))) => Proof::Token(client, token),
            (None, None, None) => return self.connect_or_register(cx),
        };
        let login = login(config, policy, &place, &proof, &extras);
        let due = cx.now + login.wait + GRACE;
        cx.out.push(Output::Mqtt(MqttAction::Connect(Box::new(login))));
        self.phase = Phase::Connecting { due };
    }

    /// Logged in.
    pub(super) fn connected(&mut self, cx: &mut Context<'_>) {
        if !matches!(self.phase, Phase::Connecting { .. }) {
            return;
        }
        if self.is_onboarding {
            cx.stage(Stage::Connected, None);
        }
        (self.failures, self.backoff_ms) = (0, 0);
        if let Some(lan) = &mut self.lan {
            lan.connection_began();
        }
        let mut session = Session::open(self.reset, cx);
        for post in self.posts.drain(..) {
            session.request(post, cx);
        }
        self.phase = Phase::Online(Box::new(session));
    }

    /// The log-in was refused (§11.1).
    pub(super) fn refused(&mut self, number: u8, cx: &mut Context<'_>) {
        let code = match number {
            2 => "auth.malformed",
            3 => "internal.overload",
            4 => "auth.bad_password",
            5 => "auth.frozen",
            _ => "mqtt.violation",
        };
        let words = format!("CONNACK {number}");
        if matches!(self.phase, Phase::Registering { .. }) {
            return self.register_failed(code, &words, cx);
        }
        cx.memory.failure = Some((Failure::LogIn, words.clone()));
        // The guided log-in's password may be over.
        self.guided = None;
        self.log_in_failed(code, &words, cx);
    }

    /// The connection did not come up, or broke.
    pub(super) fn closed(&mut self, fault: &Fault, cx: &mut Context<'_>) {
        let words = fault.to_string();
        match &self.phase {
            Phase::Registering { .. } => self.register_failed(fault.code(), &words, cx),
            Phase::Connecting { .. } => {
                cx.memory.failure = Some((Failure::Unreachable, words.clone()));
                self.log_in_failed(fault.code(), &words, cx);
            }
            Phase::Online(_) => {
                cx.tell(Event::Offline);
                cx.memory.questions.forget_cloud();
                self.tokens.offline();
                let wait = self.next_wait(cx);
                self.pause(wait, Next::Connect, cx);
            }
            Phase::Off
            | Phase::Listening
            | Phase::Switching { .. }
            | Phase::Joining { .. }
            | Phase::Calling { .. }
            | Phase::Pausing { .. } => {}
        }
    }

    /// A log-in failed: wait and try again; a told address that fails too often is asked for anew.
    pub(super) fn log_in_failed(&mut self, code: Code, detail: &str, cx: &mut Context<'_>) {
        cx.out.push(Output::Mqtt(MqttAction::Disconnect));
        cx.failed(code, detail);
        self.failures = self.failures.saturating_add(1);
        let is_told = self.place.is_some() && cx.memory.config.address == Address::Bootstrap;
        if is_told && self.failures >= cx.policy().address_tries {
            self.failures = 0;
            self.set_place(None, cx);
        }
        let wait = self.next_wait(cx);
        self.pause(wait, Next::Register, cx);
    }

    /// Returns the next wait: it doubles up to the limit, with jitter.
    pub(super) fn next_wait(&mut self, cx: &mut Context<'_>) -> Duration {
        let first = cx.policy().backoff_first.as_millis() as u64;
        let max = cx.policy().backoff_max.as_millis() as u64;
        let wait = match self.backoff_ms {
            0 => first,
            last => last.saturating_mul(2).min(max),
        };
        self.backoff_ms = wait;
        Duration::from_millis(wait + cx.memory.random.below(wait / 4 + 1))
    }

    /// The session took something.
    pub(super) fn judge(&mut self, verdict: Option<Verdict>, cx: &mut Context<'_>) {
        match verdict {
            None => {}
            Some(Verdict::Ready) => {
                self.reset = None;
                if self.lan.is_some() {
                    self.tokens.online(cx);
                }
            }
            Some(Verdict::Match(payload)) => {
                if let Some(news) = self.tokens.replied(&payload, cx) {
                    self.news(news, cx);
                }
            }
            Some(Verdict::Redirected) => {
                self.leave_session(cx);
                self.region = None;
                self.set_place(None, cx);
                self.connect_or_register(cx);
            }
            Some(Verdict::Moved(place)) => {
                self.leave_session(cx);
                self.set_place(Some(place), cx);
                self.connect(cx);
            }
            Some(Verdict::Deleted) => {
                cx.tell(Event::Unbound);
                self.leave_session(cx);
                let wait = cx.policy().backoff_max;
                self.pause(wait, Next::Register, cx);
            }
        }
    }

    /// Something became of the token.
    pub(super) fn news(&mut self, news: News, cx: &mut Context<'_>) {
        if news == News::Confirmed {
            self.is_onboarding = false;
        }
        if let Some(lan) = &mut self.lan {
            lan.news(news, &mut self.tokens, cx);
        }
    }
}
