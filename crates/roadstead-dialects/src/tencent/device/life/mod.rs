//! The phases of a device's life, and which input reaches which part.
//!
//! `provision` holds the way to a token, `connect` the way to a session; the parts themselves
//! (listener, binder, session) know nothing of each other.

mod connect;
mod provision;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use roadstead_core::{Secret, Tick, Timestamp};

use super::super::comm::RecordQueue;
use super::beacon::Beacon;
use super::bind::{Binder, PairTime};
use super::context::Context;
use super::listener::Listener;
use super::session::Session;
use super::{Start, store};
use crate::device::{Datagram, Event, Fault, HttpReply, MqttEvent, Request, WifiEvent, earliest};

/// Events that happened while there was no session; the oldest is dropped.
const POSTS_MAX: usize = 32;

/// Where the device is.
#[derive(Default)]
enum Phase {
    /// Switched off.
    #[default]
    Off,
    /// Waiting for a phone.
    Listening(Listener),
    /// Waiting for a QR code.
    Camera,
    /// Waiting for credentials through the air.
    Radio,
    /// Serving its log after a failure.
    LogService(Listener),
    /// Joining the network.
    Joining { due: Tick },
    /// Waiting for the registration's answer.
    Registering { tries: u8, due: Tick },
    /// Waiting for CONNACK.
    Connecting { due: Tick },
    /// Reporting the token.
    Binding(Binder),
    /// Normal operation.
    Online(Session),
    /// Waiting, then `next`.
    Pausing { due: Tick, next: Next },
}

/// What follows a pause.
#[derive(Clone, Copy)]
enum Next {
    Provision,
    Join,
    Register { tries: u8 },
    Connect,
}

/// One onboarding attempt that has its token.
struct Attempt {
    token: Secret,
    times: PairTime,
    due: Tick,
}

/// The device between two inputs.
#[derive(Default)]
pub(super) struct Life {
    phase: Phase,
    attempt: Option<Attempt>,
    /// Start of provisioning, for `pairTime`.
    started: Tick,
    network: Option<(String, Secret)>,
    is_bound: bool,
    /// The network came without a token.
    awaits_token: bool,
    beacon: Option<Beacon>,
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
        let mut chain = None;
        let mut chain_key = None;
        let mut token = None;
        for (key, value) in stored {
            match &*key {
                store::ERRORS => cx.memory.records = RecordQueue::load(value.expose()),
                store::SECRET => cx.memory.config.secret = Some(value),
                store::CERTIFICATE => chain = Some(value.expose().into()),
                store::CERTIFICATE_KEY => chain_key = Some(value),
                store::WIFI => self.network = store::read_wifi(&value),
                store::TOKEN => token = Some(value),
                store::BOUND => self.is_bound = true,
                _ => {}
            }
        }
        if let (Some(chain), Some(key)) = (chain, chain_key) {
            cx.memory.config.certificate = Some((chain, key));
        }
        self.started = cx.now;
        if let Some(token) = token {
            self.begin_attempt(token, cx);
        }
        self.begin(cx);
    }

    /// Chooses the first phase from what is stored.
    fn begin(&mut self, cx: &mut Context<'_>) {
        let needs_radio = match cx.memory.config.start {
            Start::SoftAp { .. } | Start::Camera | Start::OverAir { .. } => true,
            Start::OnNetwork { .. } => false,
            Start::Direct => return self.connect_or_register(cx),
        };
        match (self.is_bound || self.attempt.is_some(), needs_radio) {
            (true, true) if self.network.is_some() => self.join(cx),
            (true, false) => self.connect_or_register(cx),
            (true, true) | (false, _) => self.provision(cx),
        }
    }

    /// Wakes up whatever is due.
    pub(super) fn timeout(&mut self, cx: &mut Context<'_>) {
        Beacon::timeout(&mut self.beacon, cx);
        if self.attempt.as_ref().is_some_and(|attempt| cx.now >= attempt.due) {
            return self.attempt_timed_out(cx);
        }
        match &mut self.phase {
            Phase::Listening(listener) => {
                let taken = listener.timeout(cx);
                self.taken(taken, cx);
            }
            Phase::LogService(listener) => {
                let taken = listener.timeout(cx);
                self.log_read(taken.is_some(), cx);
            }
            Phase::Binding(binder) => {
                let end = binder.timeout(cx);
                self.after_binder(end, cx);
            }
            Phase::Online(session) => session.timeout(cx),
            Phase::Joining { due } if cx.now >= *due => self.join_failed(-1, cx),
            Phase::Registering { tries, due } if cx.now >= *due => {
                let tries = *tries;
                self.registration_failed(tries, "attempt.never_connected", "no answer", cx);
            }
            Phase::Connecting { due } if cx.now >= *due => {
                self.log_in_failed("attempt.never_connected", "no CONNACK", cx);
            }
            Phase::Pausing { due, next } if cx.now >= *due => match *next {
                Next::Provision => self.provision(cx),
                Next::Join => self.join(cx),
                Next::Register { tries } => self.register(tries, cx),
                Next::Connect => self.connect(cx),
            },
            Phase::Off
            | Phase::Camera
            | Phase::Radio
            | Phase::Joining { .. }
            | Phase::Registering { .. }
            | Phase::Connecting { .. }
            | Phase::Pausing { .. } => {}
        }
    }

    /// Returns when to wake up, and why.
    pub(super) fn deadline(&self) -> Option<(Tick, &'static str)> {
        let phase = match &self.phase {
            Phase::Off | Phase::Camera | Phase::Radio => None,
            Phase::Listening(listener) | Phase::LogService(listener) => Some(listener.deadline()),
            Phase::Joining { due } => Some((*due, "joining the network")),
            Phase::Registering { due, .. } => Some((*due, "answer of the registration")),
            Phase::Connecting { due } => Some((*due, "CONNACK")),
            Phase::Binding(binder) => Some(binder.deadline()),
            Phase::Online(session) => session.deadline(),
            Phase::Pausing { due, .. } => Some((*due, "pause")),
        };
        let attempt = self.attempt.as_ref().map(|attempt| (attempt.due, "end of the attempt"));
        let beacon = self.beacon.as_ref().map(Beacon::deadline);
        earliest(phase, earliest(attempt, beacon))
    }

    /// The radio said something.
    pub(super) fn wifi(&mut self, event: &WifiEvent, cx: &mut Context<'_>) {
        match (event, &mut self.phase) {
            (WifiEvent::Joined(address), Phase::Joining { .. }) => self.joined(*address, cx),
            (WifiEvent::Joined(address), Phase::Listening(listener)) => {
                announce(listener, *address, self.network.as_ref(), cx);
            }
            (WifiEvent::JoinFailed(code), Phase::Joining { .. }) => self.join_failed(*code, cx),
            (WifiEvent::ApFailed(code), Phase::Listening(_) | Phase::Radio) => {
                self.ap_failed(*code, cx);
            }
            (WifiEvent::Heard(heard), _) => self.heard(heard.clone(), cx),
            (
                WifiEvent::Lost,
                Phase::Registering { .. }
                | Phase::Connecting { .. }
                | Phase::Binding(_)
                | Phase::Online(_)
                | Phase::Pausing { next: Next::Connect | Next::Register { .. }, .. },
            ) if self.network.is_some() => {
                self.leave_session(cx);
                self.join(cx);
            }
            _ => {}
        }
    }

    /// A datagram came.
    pub(super) fn datagram(&mut self, datagram: &Datagram, cx: &mut Context<'_>) {
        let (Phase::Listening(listener) | Phase::LogService(listener)) = &mut self.phase else {
            return;
        };
        if listener.port() != datagram.port {
            return;
        }
        let taken = listener.datagram(datagram.from, &datagram.bytes, cx);
        match self.phase {
            Phase::LogService(_) => self.log_read(taken.is_some(), cx),
            Phase::Off
            | Phase::Listening(_)
            | Phase::Camera
            | Phase::Radio
            | Phase::Joining { .. }
            | Phase::Registering { .. }
            | Phase::Connecting { .. }
            | Phase::Binding(_)
            | Phase::Online(_)
            | Phase::Pausing { .. } => self.taken(taken, cx),
        }
    }

    /// The registration was answered.
    pub(super) fn http(&mut self, id: u32, result: Result<HttpReply, Fault>, cx: &mut Context<'_>) {
        if let Phase::Registering { tries, .. } = self.phase
            && id == self.call
        {
            self.registered(tries, result, cx);
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
            | MqttEvent::Message { .. } => {
                if let Phase::Binding(binder) = &mut self.phase {
                    binder.event(event, cx);
                    self.after_binder(None, cx);
                } else if let Phase::Online(session) = &mut self.phase {
                    let verdict = session.event(event, cx);
                    self.after_session(verdict, cx);
                }
            }
        }
    }

    /// The application wants something.
    pub(super) fn request(&mut self, request: Request, cx: &mut Context<'_>) {
        match (request, &mut self.phase) {
            (Request::Reset, Phase::Off) => {}
            (Request::Reset, _) => self.reset(cx),
            (Request::Scanned(text), Phase::Camera) => self.scanned(&text, cx),
            (Request::Scanned(_), _) => {}
            (request, Phase::Online(session)) => session.request(request, cx),
            (request @ Request::Post { .. }, _) => {
                if self.posts.len() == POSTS_MAX {
                    self.posts.pop_front();
                }
                self.posts.push_back(request);
            }
            // State is reported anew with `Event::Online`; answers belong to a lost session.
            (
                Request::Report { .. }
                | Request::Info(_)
                | Request::Answer { .. }
                | Request::SubDevice { .. },
                _,
            ) => {}
            (Request::Unbind, _) => cx.tell(Event::Rejected {
                what: "unbind".into(),
                code: "device.not_online",
                detail: String::new(),
            }),
        }
    }
}

fn announce(
    listener: &mut Listener,
    address: Ipv4Addr,
    network: Option<&(String, Secret)>,
    cx: &Context<'_>,
) {
    if cx.policy().protocol == super::super::comm::Protocol::V3 {
        let lengths = network.map_or((0, 0), |(ssid, key)| (ssid.len(), key.expose().len()));
        listener.announce(address, lengths, cx);
    }
}
