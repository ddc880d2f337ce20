//! The connection to the M2M server: log-in, three subscriptions, heartbeats, back-off.
//!
//! ```text
//! Idle -> Resolving -> Connecting -> Subscribing 1, 2, 3 -> Running
//!   ^        |             |               |                  | closed: at once
//!   '--------'-------------'---------------'------------------'
//!     10 x n s; every tenth failure asks for another address
//! ```
//! Source: seed §8.5 to §8.9, §11_4; GizWits §3.3 to §3.8; transcripts m2m_drop, connack_4.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use roadstead_core::{Secret, Tick};

use super::super::lan::{Frame, HEAD, Message, varint};
use super::Module;
use super::forward::{Asker, ClientId};
use super::io::{Cx, Event, Level, M2mAction, M2mEvent, Name, Output};
use super::ota::Kind;

/// Named in CONNECT (seed §8.5_2).
const KEEP_ALIVE: Duration = Duration::from_secs(120);
/// Subscriptions, one after the other.
const FILTERS: u8 = 3;

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Link {
    #[default]
    Idle,
    Resolving(Tick),
    Connecting(Tick),
    Subscribing(u8, Tick),
    Running,
}

/// The connection.
#[derive(Default)]
pub(super) struct M2m {
    link: Link,
    address: Option<IpAddr>,
    hold: Option<Tick>,
    failures: u32,
    heard: Tick,
    beat: Option<Tick>,
    look_up: Option<Tick>,
    /// Clients of the cloud that are there.
    pub(super) clients: u16,
    pub(super) topic: String,
}

impl M2m {
    pub(super) fn is_running(&self) -> bool {
        self.link == Link::Running
    }
}

impl Module {
    pub(super) fn advance_m2m(&mut self, cx: &mut Cx<'_>) {
        let is_checking = self.chain.asking.is_some() || !self.chain.checks.is_empty();
        let first = self.chain.trying_since.is_some() && self.m2m.failures == 0;
        // The firmware check comes before the first log-in (seed §9_2).
        let waits = first && is_checking;
        let free = self.m2m.link == Link::Idle && self.m2m.hold.is_none_or(|at| cx.now >= at);
        if !free || waits || self.flash.did.is_empty() {
            return;
        }
        let Some(place) = &self.chain.place else { return };
        self.m2m.hold = None;
        match self.m2m.address {
            Some(address) => {
                let to = SocketAddr::new(address, place.port);
                self.connect(to, cx);
            }
            None => {
                self.m2m.link = Link::Resolving(cx.now + self.policy.m2m_wait);
                cx.put(Output::Resolve { name: Name::M2m, host: &place.host });
            }
        }
    }

    pub(super) fn m2m_resolved(&mut self, address: Result<IpAddr, &str>, cx: &mut Cx<'_>) {
        match (address, self.m2m.link) {
            (Ok(address), Link::Resolving(_)) => {
                self.m2m.address = Some(address);
                self.m2m.link = Link::Idle;
            }
            (Ok(address), Link::Running) if self.m2m.address != Some(address) => {
                self.log(Level::Info, "the M2M server has another address now", cx);
                self.m2m.address = Some(address);
            }
            (Err(why), Link::Resolving(_)) => {
                self.m2m_failed(&format!("name of the M2M server: {why}"), cx);
            }
            (Ok(_) | Err(_), _) => {}
        }
    }

    fn connect(&mut self, to: SocketAddr, cx: &mut Cx<'_>) {
        let wait = self.policy.m2m_wait;
        let passcode = self.flash.passcode.as_ref().map_or(&[][..], Secret::expose);
        self.m2m.link = Link::Connecting(cx.now + wait);
        let (did, keep_alive) = (&*self.flash.did, KEEP_ALIVE);
        cx.put(Output::M2m(M2mAction::Connect { to, did, passcode, keep_alive, wait }));
    }

    pub(super) fn m2m_event(&mut self, event: M2mEvent<'_>, cx: &mut Cx<'_>) {
        if matches!(self.m2m.link, Link::Idle | Link::Resolving(_)) {
            return;
        }
        self.m2m.heard = cx.now;
        if self.m2m.is_running() {
            self.m2m.beat = Some(cx.now + self.policy.m2m_beat);
        }
        match (event, self.m2m.link) {
            (M2mEvent::Connected, Link::Connecting(_)) => self.subscribe(0, cx),
            (M2mEvent::Refused(code), Link::Connecting(_)) => self.log_in_refused(code, cx),
            (M2mEvent::Subscribed(true), Link::Subscribing(n, _)) if n + 1 < FILTERS => {
                self.subscribe(n + 1, cx);
            }
            (M2mEvent::Subscribed(true), Link::Subscribing(..)) => self.came_online(cx),
            (M2mEvent::Subscribed(false), Link::Subscribing(..)) => {
                self.m2m_failed("a subscription was refused", cx);
            }
            (M2mEvent::Message { topic, payload }, Link::Running) => {
                self.m2m_message(topic, payload, cx);
            }
            (M2mEvent::Closed(why), _) => self.closed(why, cx),
            (
                M2mEvent::Connected
                | M2mEvent::Refused(_)
                | M2mEvent::Subscribed(_)
                | M2mEvent::Message { .. }
                | M2mEvent::Pong,
                _,
            ) => {}
        }
    }

    fn subscribe(&mut self, n: u8, cx: &mut Cx<'_>) {
        self.m2m.link = Link::Subscribing(n, cx.now + self.policy.m2m_wait);
        let filter = match n {
            0 => format!("ser2cli_noti/{}", self.flash.product_key),
            1 => format!("ser2cli_res/{}", self.flash.did),
            _ => format!("app2dev/{}/#", self.flash.did),
        };
        cx.put(Output::M2m(M2mAction::Subscribe(&filter)));
    }

    fn came_online(&mut self, cx: &mut Cx<'_>) {
        self.m2m.link = Link::Running;
        self.m2m.failures = 0;
        self.m2m.beat = Some(cx.now + self.policy.m2m_beat);
        self.m2m.look_up = Some(cx.now + self.policy.dns_every);
        self.chain.renewals = 0;
        self.chain.trying_since = None;
        self.m2m.topic.reserve(128);
        self.log(Level::Info, "connected to the cloud", cx);
        cx.event(Event::Online);
    }

    fn log_in_refused(&mut self, code: u8, cx: &mut Cx<'_>) {
        let line = format!("log-in refused: CONNACK {code}");
        self.m2m_failed(&line, cx);
        // Only this one means that DID and passcode are not known (seed §8.9).
        if code == 4 && self.policy.registers_anew {
            self.register_anew(cx);
        }
    }

    fn closed(&mut self, why: &str, cx: &mut Cx<'_>) {
        match self.m2m.is_running() {
            // At once (seed §8.8_3).
            true => {
                self.go_offline(why, cx);
                self.chain.trying_since = Some(cx.now);
                self.m2m.failures = 0;
            }
            false => self.m2m_failed(why, cx),
        }
    }

    /// Ends the connection, whatever its state.
    pub(super) fn go_offline(&mut self, why: &str, cx: &mut Cx<'_>) {
        if self.m2m.link != Link::Idle {
            cx.put(Output::M2m(M2mAction::Close));
        }
        if self.m2m.is_running() {
            self.log(Level::Warning, &format!("cloud lost: {why}"), cx);
            cx.event(Event::Offline);
        }
        self.m2m.link = Link::Idle;
        self.m2m.beat = None;
        self.m2m.look_up = None;
        self.m2m.clients = 0;
        self.m2m.hold = None;
        self.chain.trying_since = None;
    }

    fn m2m_failed(&mut self, why: &str, cx: &mut Cx<'_>) {
        self.log(Level::Error, why, cx);
        cx.event(Event::Failed("attempt.never_connected", why));
        if !matches!(self.m2m.link, Link::Resolving(_)) {
            cx.put(Output::M2m(M2mAction::Close));
        }
        self.m2m.link = Link::Idle;
        self.m2m.failures += 1;
        self.m2m.hold = Some(cx.now + self.policy.back_off * self.m2m.failures);
        if self.m2m.failures.is_multiple_of(self.policy.provision_after.max(1)) {
            self.log(Level::Warning, "asking for the M2M server's address anew", cx);
            self.chain.place = None;
            self.m2m.address = None;
        }
    }

    pub(super) fn m2m_timeout(&mut self, cx: &mut Cx<'_>) {
        self.m2m.hold.take_if(|at| cx.now >= *at);
        match self.m2m.link {
            Link::Resolving(at) if cx.now >= at => self.m2m_resolved(Err("no answer"), cx),
            Link::Connecting(at) if cx.now >= at => self.m2m_failed("no CONNACK in time", cx),
            Link::Subscribing(_, at) if cx.now >= at => self.m2m_failed("no SUBACK in time", cx),
            Link::Running => self.running_timeout(cx),
            Link::Idle | Link::Resolving(_) | Link::Connecting(_) | Link::Subscribing(..) => {}
        }
    }

    fn running_timeout(&mut self, cx: &mut Cx<'_>) {
        if cx.now.since(self.m2m.heard) >= self.policy.m2m_dead {
            return self.closed("the server is silent", cx);
        }
        if self.m2m.beat.is_some_and(|at| cx.now >= at) {
            self.m2m.beat = Some(cx.now + self.policy.m2m_beat);
            cx.put(Output::M2m(M2mAction::Ping));
        }
        if self.m2m.look_up.is_some_and(|at| cx.now >= at) {
            self.m2m.look_up = Some(cx.now + self.policy.dns_every);
            let host: Option<Box<str>> = self.chain.place.as_ref().map(|p| p.host.clone());
            if let Some(host) = host {
                cx.put(Output::Resolve { name: Name::M2m, host: &host });
            }
        }
    }

    pub(super) fn m2m_deadline(&self) -> Option<(Tick, &'static str)> {
        let running = self.m2m.is_running();
        let dead = running.then(|| self.m2m.heard + self.policy.m2m_dead);
        let wait = match self.m2m.link {
            Link::Resolving(at) | Link::Connecting(at) | Link::Subscribing(_, at) => Some(at),
            Link::Idle | Link::Running => None,
        };
        [
            (wait, "answer of the M2M server"),
            (self.m2m.hold, "next log-in"),
            (self.m2m.beat, "heartbeat of the cloud"),
            (dead, "silence of the cloud"),
            (self.m2m.look_up, "name of the M2M server"),
        ]
        .into_iter()
        .filter_map(|(at, why)| Some((at?, why)))
        .min_by_key(|d| d.0)
    }

    /// A message of a client or of the server itself (seed §8.7_1).
    fn m2m_message(&mut self, topic: &str, payload: &[u8], cx: &mut Cx<'_>) {
        if topic.starts_with("ser2cli_") {
            return self.server_message(payload, cx);
        }
        let did = &*self.flash.did;
        let rest = topic.strip_prefix("app2dev/").and_then(|rest| rest.strip_prefix(did));
        let Some(client) = rest.and_then(|rest| rest.strip_prefix('/')).and_then(ClientId::new)
        else {
            return self.log(Level::Warning, "message of an unknown topic", cx);
        };
        let inner = payload.strip_prefix(&HEAD).and_then(|rest| {
            let (_, taken) = varint(rest)??;
            rest.get(taken..)
        });
        let Some(frame) = inner.and_then(Frame::inner) else {
            return self.log(Level::Warning, "message without a frame", cx);
        };
        let asker = |sn| Asker::Cloud { client, sn, reads: false };
        if let Message::Control(p0) = Message::of(&frame) {
            self.ask(asker(None), p0, cx);
        } else if let Message::ControlSn { sn, p0 } = Message::of(&frame) {
            self.ask(asker(Some(sn)), p0, cx);
        }
    }

    /// GizWits §3.6: no length, no flag.
    fn server_message(&mut self, payload: &[u8], cx: &mut Cx<'_>) {
        let Some(([high, low], body)) =
            payload.strip_prefix(&HEAD).and_then(|rest| rest.split_first_chunk())
        else {
            return;
        };
        match u16::from_be_bytes([*high, *low]) {
            0x0210 => {
                self.m2m.clients = body.first_chunk().map_or(0, |n| u16::from_be_bytes(*n));
            }
            0x0211 => {
                let kind = if body.first() == Some(&1) { Kind::Wifi } else { Kind::Mcu };
                if !self.chain.checks.contains(&kind) {
                    self.chain.checks.push_back(kind);
                }
            }
            0x020E => self.pushed_firmware(body, cx),
            _ => {}
        }
    }
}
