//! The phases of a device's life, and which input reaches which part.
//!
//! `provision` holds the way to a network, `connect` the way to a session. LAN and tokens live
//! beside the phases: the port is open whenever there is a network, a token is confirmed whenever
//! there is a session.

mod connect;
mod provision;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::{Secret, Tick, Timestamp};

use super::super::lan::Answer;
use super::super::softap::{Network, Region};
use super::context::Context;
use super::http::{Call, Place};
use super::lan::{Heard, Lan};
use super::question::Origin;
use super::session::{Session, answer_cloud};
use super::token::Tokens;
use super::{Start, store, values};
use crate::device::{Datagram, Event, Fault, HttpReply, MqttEvent, Request, WifiEvent, earliest};

/// Events that happened while there was no session; the oldest is dropped.
const POSTS_MAX: usize = 32;
/// The vendor's number of success, and of a request that did not work.
const OK: i64 = 200;
const FAILED: i64 = 5000;

/// Where the device is.
#[derive(Default)]
enum Phase {
    /// Switched off.
    #[default]
    Off,
    /// Waiting for a phone.
    Listening,
    /// Has network and token; the phone still hears the answer.
    Switching { due: Tick },
    /// Joining a setup network, or the router's.
    Joining { due: Tick, setup: bool },
    /// Waiting for an HTTP answer.
    Calling { call: Call, tries: u8, due: Tick },
    /// Waiting for the secret on a connection of its own.
    Registering { due: Tick },
    /// Waiting for CONNACK.
    Connecting { due: Tick },
    /// Normal operation.
    Online(Box<Session>),
    /// Waiting, then `next`.
    Pausing { due: Tick, next: Next },
}

/// What follows a pause.
#[derive(Clone, Copy)]
enum Next {
    Provision,
    Join,
    Call { call: Call, tries: u8 },
    Register,
    Connect,
}

/// User name and password of a guided log-in.
struct Guided {
    user: Box<str>,
    password: Secret,
}

/// The device between two inputs.
#[derive(Default)]
pub(super) struct Life {
    phase: Phase,
    lan: Option<Lan>,
    tokens: Tokens,
    network: Option<Network>,
    /// Where to log in, from bootstrap, phone or platform.
    place: Option<Place>,
    /// Number of a region that has no built-in host.
    region: Option<u32>,
    guided: Option<Guided>,
    /// Client id and token of an open registration.
    token_login: Option<(String, Secret)>,
    /// A factory reset that the platform has not confirmed.
    reset: Option<u8>,
    /// The phone told the network in this boot; ends with the first confirmed token.
    is_onboarding: bool,
    /// Failed log-ins in a row.
    failures: u8,
    /// Wait before the next reconnect, milliseconds; 0 before the first failure.
    backoff_ms: u64,
    /// Number of the last HTTP call.
    call: u32,
    posts: VecDeque<Request>,
}

impl Life {
    /// Power on.
    pub(super) fn start(
        &mut self,
        stored: Vec<(Box<str>, Secret)>,
        clock: Option<Timestamp>,
        cx: &mut Context<'_>,
    ) {
        let now_ms = cx.now.as_millis() as i64;
        cx.memory.clock_offset = clock.map(|clock| clock.as_millis() - now_ms);
        for (key, value) in stored {
            match &*key {
                store::SECRET => cx.memory.config.secret = Some(value),
                store::TOKEN_LOGIN => self.token_login = store::read_token_login(&value),
                store::WIFI => self.network = store::read_network(&value),
                store::TOKEN => self.tokens.take_phones(value),
                store::ADDRESS => self.place = value.expose_text().and_then(Place::parse),
                store::RESET => self.reset = value.expose_text().and_then(|t| t.parse().ok()),
                store::KEYS => {
                    if let Some(pair) = store::read_keys(&value) {
                        cx.memory.local.add(pair);
                    }
                }
                _ => {}
            }
        }
        self.begin(cx);
    }

    /// Chooses the first phase from what is stored.
    fn begin(&mut self, cx: &mut Context<'_>) {
        match cx.memory.config.start {
            Start::Direct => self.connect_or_register(cx),
            Start::OnNetwork => {
                cx.memory.ip = cx.memory.config.ip;
                self.lan = Some(Lan::at_home(cx));
                self.connect_or_register(cx);
            }
            Start::SoftAp | Start::SmartConfig | Start::PhoneAp | Start::RouterAp => {
                match self.network.is_some() {
                    true => self.join(cx),
                    false => self.provision(cx),
                }
            }
        }
    }

    /// Wakes up whatever is due.
    pub(super) fn timeout(&mut self, cx: &mut Context<'_>) {
        if let Some(news) = self.tokens.timeout(cx) {
            self.news(news, cx);
        }
        if let Some(lan) = &mut self.lan {
            lan.timeout(&mut self.tokens, cx);
        }
        match &mut self.phase {
            Phase::Online(session) => {
                let verdict = session.timeout(cx);
                self.judge(verdict, cx);
            }
            Phase::Switching { due } if cx.now >= *due => self.leave_setup(cx),
            Phase::Joining { due, setup } if cx.now >= *due => {
                let setup = *setup;
                self.join_failed(-1, setup, cx);
            }
            Phase::Calling { call, tries, due } if cx.now >= *due => {
                let (call, tries) = (*call, *tries);
                self.call_failed(call, tries, "attempt.never_connected", "no answer", cx);
            }
            Phase::Registering { due } if cx.now >= *due => {
                self.register_failed("attempt.never_connected", "no secret came", cx);
            }
            Phase::Connecting { due } if cx.now >= *due => {
                self.log_in_failed("attempt.never_connected", "no CONNACK", cx);
            }
            Phase::Pausing { due, next } if cx.now >= *due => match *next {
                Next::Provision => self.provision(cx),
                Next::Join => self.join(cx),
                Next::Call { call, tries } => self.call(call, tries, cx),
                Next::Register => self.connect_or_register(cx),
                Next::Connect => self.connect(cx),
            },
            Phase::Off
            | Phase::Listening
            | Phase::Switching { .. }
            | Phase::Joining { .. }
            | Phase::Calling { .. }
            | Phase::Registering { .. }
            | Phase::Connecting { .. }
            | Phase::Pausing { .. } => {}
        }
    }

    /// Returns when to wake up, and why.
    pub(super) fn deadline(&self) -> Option<(Tick, &'static str)> {
        let phase = match &self.phase {
            Phase::Off | Phase::Listening => None,
            Phase::Switching { due } => Some((*due, "end of the own network")),
            Phase::Joining { due, .. } => Some((*due, "joining the network")),
            Phase::Calling { due, .. } => Some((*due, "HTTP answer")),
            Phase::Registering { due } => Some((*due, "the device's secret")),
            Phase::Connecting { due } => Some((*due, "CONNACK")),
            Phase::Online(session) => session.deadline(),
            Phase::Pausing { due, .. } => Some((*due, "pause")),
        };
        let lan = self.lan.as_ref().and_then(Lan::deadline);
        earliest(phase, earliest(lan, self.tokens.deadline()))
    }

    /// The radio said something.
    pub(super) fn wifi(&mut self, event: &WifiEvent, cx: &mut Context<'_>) {
        match (event, &self.phase) {
            (WifiEvent::ApStarted, Phase::Listening) => self.open_setup(cx),
            (WifiEvent::ApFailed(code), Phase::Listening) => self.ap_failed(*code, cx),
            (WifiEvent::Heard(heard), Phase::Listening) => self.heard(heard.clone(), cx),
            (WifiEvent::Joined(address), Phase::Joining { setup, .. }) => {
                let setup = *setup;
                self.joined(*address, setup, cx);
            }
            (WifiEvent::JoinFailed(code), Phase::Joining { setup, .. }) => {
                let setup = *setup;
                self.join_failed(*code, setup, cx);
            }
            (WifiEvent::Lost, Phase::Listening) => {
                self.close_lan(cx);
                self.pause(cx.policy().backoff_first, Next::Provision, cx);
            }
            (
                WifiEvent::Lost,
                Phase::Calling { .. }
                | Phase::Registering { .. }
                | Phase::Connecting { .. }
                | Phase::Online(_)
                | Phase::Pausing { next: Next::Connect | Next::Register | Next::Call { .. }, .. },
            ) if self.network.is_some() => {
                self.leave_session(cx);
                self.close_lan(cx);
                self.join(cx);
            }
            _ => {}
        }
    }

    /// A datagram came.
    pub(super) fn datagram(&mut self, datagram: &Datagram, cx: &mut Context<'_>) {
        // A device that was reset and has not told it keeps quiet (§5.6).
        let quiet = matches!(&self.phase, Phase::Online(session) if session.is_resetting());
        let Some(lan) = self.lan.as_mut().filter(|_| !quiet) else { return };
        let heard = lan.datagram(datagram.from, &datagram.bytes, &mut self.tokens, cx);
        match heard {
            Some(Heard::Switch(switch)) => self.switched(switch, cx),
            Some(Heard::Question(event)) => cx.tell(event),
            None => {}
        }
    }

    /// An HTTP exchange ended.
    pub(super) fn http(&mut self, id: u32, result: Result<HttpReply, Fault>, cx: &mut Context<'_>) {
        if let Phase::Calling { call, tries, .. } = self.phase
            && id == self.call
        {
            self.called(call, tries, result, cx);
        }
    }

    /// The connection said something.
    pub(super) fn mqtt(&mut self, event: &MqttEvent, cx: &mut Context<'_>) {
        match event {
            MqttEvent::Connected => self.connected(cx),
            MqttEvent::Refused(code) => self.refused(*code, cx),
            MqttEvent::Closed(fault) => self.closed(fault, cx),
            MqttEvent::Subscribed { .. }
            | MqttEvent::Published { .. }
            | MqttEvent::Message { .. } => match &mut self.phase {
                Phase::Online(session) => {
                    let verdict = session.event(event, cx);
                    self.judge(verdict, cx);
                }
                Phase::Registering { .. } => self.registered(event, cx),
                Phase::Off
                | Phase::Listening
                | Phase::Switching { .. }
                | Phase::Joining { .. }
                | Phase::Calling { .. }
                | Phase::Connecting { .. }
                | Phase::Pausing { .. } => {}
            },
        }
    }

    /// The application wants something.
    pub(super) fn request(&mut self, request: Request, cx: &mut Context<'_>) {
        match request {
            Request::Answer { key, code, status, output } => {
                self.answer(key, code, &status, &output, cx);
            }
            Request::Reset | Request::Unbind => self.factory_reset(cx),
            Request::SubDevice { .. } => match &mut self.phase {
                Phase::Online(session) => session.request(request, cx),
                Phase::Off
                | Phase::Listening
                | Phase::Switching { .. }
                | Phase::Joining { .. }
                | Phase::Calling { .. }
                | Phase::Registering { .. }
                | Phase::Connecting { .. }
                | Phase::Pausing { .. } => {
                    let detail = "the gateway is off line".to_string();
                    let (what, code) = ("sub_device".into(), "command.offline");
                    cx.tell(Event::Rejected { what, code, detail });
                }
            },
            Request::Scanned(_) => {}
            Request::Report { .. } | Request::Post { .. } | Request::Info(_) => {
                self.say(request, cx);
            }
        }
    }

    fn say(&mut self, request: Request, cx: &mut Context<'_>) {
        if let Request::Report { node: None, service, properties } = &request {
            let model = cx.memory.config.model.clone();
            let wire = values::properties_to_wire(model.as_deref(), service, properties.clone());
            cx.memory.reported.extend(wire);
        }
        match (&mut self.phase, &request) {
            (Phase::Online(session), _) => session.request(request, cx),
            (_, Request::Post { .. }) => {
                if self.posts.len() == POSTS_MAX {
                    self.posts.pop_front();
                }
                self.posts.push_back(request);
            }
            // State is reported anew with `Event::Online`.
            _ => {}
        }
    }

    fn answer(
        &mut self,
        key: u64,
        code: i64,
        status: &str,
        output: &roadstead_core::Map<String, roadstead_core::Value>,
        cx: &mut Context<'_>,
    ) {
        let Some(question) = cx.memory.questions.take(key) else { return };
        let model = cx.memory.config.model.clone();
        let data = match (&question.command, &question.origin) {
            (Some(_), Origin::Sub(_)) => output.clone(),
            (Some(name), _) => values::output_to_wire(model.as_deref(), name, output),
            (None, _) => roadstead_core::Map::new(),
        };
        // The application's numbers are not the vendor's: 0 is its success.
        let answer = match code {
            0 => Answer { id: question.id, code: OK, data: data.into() },
            _ => {
                let code =
                    if (OK + 1..=i64::from(u16::MAX)).contains(&code) { code } else { FAILED };
                Answer::refusal(&question.id, code, status)
            }
        };
        match question.origin {
            Origin::Cloud(topic) | Origin::Sub(topic) => answer_cloud(topic, &answer, cx),
            Origin::Local { exchange, session } => {
                if let Some(lan) = &mut self.lan {
                    lan.answer_local(&exchange, session, &answer, cx);
                }
            }
        }
    }

    /// Takes a region of the phone or platform.
    fn take_region(&mut self, region: Region, cx: &mut Context<'_>) {
        match region {
            Region::Endpoint(text) => {
                if let Some(place) = Place::parse(&text) {
                    self.set_place(Some(place), cx);
                }
            }
            Region::Number(number) => {
                self.set_place(None, cx);
                self.region = Some(number);
            }
        }
    }

    /// Keeps where to log in.
    fn set_place(&mut self, place: Option<Place>, cx: &mut Context<'_>) {
        let text = place.as_ref().map(|place| Secret::from(place.text()));
        cx.out.push(store::set(store::ADDRESS, text));
        self.place = place;
    }

    fn pause(&mut self, wait: core::time::Duration, next: Next, cx: &Context<'_>) {
        self.phase = Phase::Pausing { due: cx.now + wait, next };
    }
}
