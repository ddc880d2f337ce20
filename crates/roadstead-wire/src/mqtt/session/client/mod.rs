//! The client's side: one object for the whole life of a device, across all its connections.
//!
//! ```text
//! Offline --Input::Opened--> Connecting --CONNACK 0--> Online --closed, refused, silent--> Offline
//! ```
//!
//! The driver opens the transport, feeds [`Input::Opened`], and after [`Output::Close`] closes it
//! and decides when to try again; back-off is a vendor matter and not here. Messages published
//! while offline wait in the bounded queue.
//!
//! With [`Config::remember_ids`] the machine drops QoS 1 messages whose packet id is among the
//! last ten, as the Tencent SDK does (Tencent §3.5); the memory outlives connections.
//!
//! Source: MQTT 5.0 chapters 3 and 4; MQTT 3.1.1 chapters 3 and 4.

mod config;
mod request;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

pub use config::{Config, REMEMBERED_IDS};
pub use request::RequestOutcome;

use self::request::Request;
use super::alias::{Inbound, Outbound};
use super::receiver::{Arrival, Receiver};
use super::sender::{Link, Sender};
use super::{Effects, Handle, Ids, Outgoing, PublishOutcome, Token};
use crate::mqtt::packet::{
    Ack, ConnAck, Disconnect, Packet, PacketId, Publish, QoS, Reason, Version,
};

/// What the driver tells the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The transport is open.
    Opened,
    /// A packet was read.
    Packet(Packet),
    /// The bytes were no packet.
    Malformed(Reason),
    /// The transport is gone.
    Closed,
    /// The deadline has come.
    Timeout,
}

/// What the driver must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this packet.
    Send(Packet),
    /// The server accepted the connection.
    Connected(Box<ConnAck>),
    /// Process this message, then call [`Client::accept`].
    Message {
        /// For [`Client::accept`].
        token: Token,
        /// The topic is complete; aliases are resolved.
        publish: Publish,
    },
    /// An outgoing message has come to its end.
    Resolved {
        /// As given with the message.
        handle: Handle,
        /// What became of it.
        outcome: PublishOutcome,
    },
    /// A SUBSCRIBE or UNSUBSCRIBE has come to its end.
    Answered {
        /// As given with the request.
        handle: Handle,
        /// What became of it.
        outcome: RequestOutcome,
    },
    /// The connection is over: flush, close the transport. Comes once per connection.
    Close(Cause),
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// We said goodbye.
    Disconnected,
    /// The transport broke or was closed by the server.
    Lost,
    /// CONNACK refused us.
    Refused(Reason),
    /// The server said goodbye; MQTT 5.
    Dismissed(Reason),
    /// No CONNACK in time.
    NoConnAck,
    /// No PINGRESP in time, after all tries.
    NoPingResp,
    /// The server broke the protocol.
    Violation(Reason),
}

impl Cause {
    /// Returns the name, for traces; the platform maps it to a failure code.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Lost => "connection_lost",
            Self::NoConnAck => "no_connack",
            Self::NoPingResp => "no_pingresp",
            Self::Refused(reason) | Self::Dismissed(reason) | Self::Violation(reason) => {
                reason.name()
            }
        }
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// CONNACK must have come.
    ConnAck,
    /// Time for a PINGREQ.
    Ping,
    /// PINGRESP must have come.
    PingResp,
    /// SUBACK or UNSUBACK must have come.
    Request,
    /// An outgoing message expires or its outcome is waited for no longer.
    MessageDeadline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Offline,
    Connecting { due: u64 },
    Online { ping: Option<Ping> },
}

/// A PINGREQ without answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ping {
    due: u64,
    tries: u8,
}

/// The machine. Owns no socket, no clock, no thread.
#[derive(Debug)]
pub struct Client {
    config: Config,
    state: State,
    link: Link,
    sender: Sender,
    receiver: Receiver,
    aliases: Inbound,
    requests: Vec<Request>,
    recent: VecDeque<PacketId>,
    ids: Ids,
    /// 0 is never.
    ping_after_ms: u64,
    last_sent: u64,
    last_heard: u64,
    had_session: bool,
}

impl Client {
    /// A client that is offline. `first_packet_id` continues an earlier life of the device, or
    /// is 1.
    pub fn new(config: Config, first_packet_id: u16) -> Self {
        let link = Link {
            version: config.connect.version,
            window: config.window_max.get(),
            max_packet: None,
            blocked: true,
            aliases: None,
        };
        Self {
            config,
            state: State::Offline,
            link,
            sender: Sender::default(),
            receiver: Receiver::default(),
            aliases: Inbound::default(),
            requests: Vec::new(),
            recent: VecDeque::new(),
            ids: Ids::new(first_packet_id),
            ping_after_ms: 0,
            last_sent: 0,
            last_heard: 0,
            had_session: false,
        }
    }

    /// Returns the settings; a changed CONNECT (a new password, say) is used next time.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// Feeds one input.
    pub fn handle(&mut self, input: Input, now_ms: u64, out: &mut Vec<Output>) {
        let start = out.len();
        match (self.state, input) {
            (State::Offline, Input::Opened) => self.opened(now_ms, out),
            (State::Offline, Input::Timeout) => self.sender.expire(now_ms, out),
            (State::Offline, Input::Packet(_) | Input::Malformed(_) | Input::Closed) => {}
            // The driver opened a second transport without closing the first: start over.
            (State::Connecting { .. } | State::Online { .. }, Input::Opened) => {
                self.end(Cause::Lost, now_ms, out);
                self.opened(now_ms, out);
            }
            (State::Connecting { .. } | State::Online { .. }, Input::Closed) => {
                self.end(Cause::Lost, now_ms, out);
            }
            (State::Connecting { .. } | State::Online { .. }, Input::Malformed(reason)) => {
                self.end(Cause::Violation(reason), now_ms, out);
            }
            (State::Connecting { .. } | State::Online { .. }, Input::Timeout) => {
                self.timeout(now_ms, out);
            }
            (State::Connecting { .. }, Input::Packet(Packet::ConnAck(ack))) => {
                self.last_heard = now_ms;
                self.connack(ack, now_ms, out);
            }
            (State::Connecting { .. }, Input::Packet(_)) => {
                self.end(Cause::Violation(Reason::ProtocolError), now_ms, out);
            }
            (State::Online { .. }, Input::Packet(packet)) => {
                self.last_heard = now_ms;
                self.state = State::Online { ping: None };
                match self.packet(packet, out) {
                    Ok(()) => self.pump(now_ms, out),
                    Err(cause) => self.end(cause, now_ms, out),
                }
            }
        }
        self.note_sent(start, now_ms, out);
    }

    fn opened(&mut self, now: u64, out: &mut Vec<Output>) {
        self.link.version = self.config.connect.version;
        self.link.window = self.config.window_max.get();
        self.aliases = Inbound::default();
        self.state = State::Connecting { due: now + self.config.connect_wait_ms };
        out.push(Output::Send(Packet::Connect(Box::new(self.config.connect.clone()))));
    }

    fn connack(&mut self, ack: Box<ConnAck>, now: u64, out: &mut Vec<Output>) {
        if ack.reason != Reason::Success {
            return self.end(Cause::Refused(ack.reason), now, out);
        }
        // MQTT-3.2.2-4: a session that we do not have.
        if ack.session_present && self.config.connect.clean_start {
            return self.end(Cause::Violation(Reason::ProtocolError), now, out);
        }
        self.state = State::Online { ping: None };
        let keep_alive_s = ack.server_keep_alive_s.unwrap_or(self.config.connect.keep_alive_s);
        self.ping_after_ms = self.config.ping_after_ms(keep_alive_s);
        let theirs = ack.receive_max.map_or(u16::MAX, |max| max.get());
        self.link.window = self.config.window_max.get().min(theirs);
        self.link.max_packet = ack.max_packet_size;
        self.link.aliases = Outbound::new(ack.topic_alias_max.min(self.config.topic_alias_out_max));
        self.link.blocked = false;
        // 3.1 cannot say whether it has a session: assume that it has what it was asked to keep.
        let present = ack.session_present
            || self.link.version == Version::V31 && !self.config.connect.clean_start;
        if present && self.had_session {
            self.receiver.flush(self.link.version, out);
            self.sender.resume(now, out);
        } else {
            self.receiver = Receiver::new(self.receiver.next_token());
            self.sender.lose_in_flight(out);
        }
        self.had_session = true;
        out.push(Output::Connected(ack));
        self.pump(now, out);
    }

    fn packet(&mut self, packet: Packet, out: &mut Vec<Output>) -> Result<(), Cause> {
        let violation = Cause::Violation;
        match packet {
            Packet::Publish(publish) => self.message(publish, out).map_err(violation),
            Packet::PubAck(ack) => self.sender.puback(&ack, out).map_err(violation),
            Packet::PubRec(ack) => self.sender.pubrec(&ack, out).map_err(violation),
            Packet::PubComp(ack) => self.sender.pubcomp(&ack, out).map_err(violation),
            Packet::PubRel(ack) => {
                self.receiver.release(ack.id, out);
                Ok(())
            }
            Packet::SubAck(ack) => self.answered(ack, true, out),
            Packet::UnsubAck(ack) => self.answered(ack, false, out),
            Packet::PingResp => Ok(()),
            Packet::Disconnect(disconnect) if self.link.version == Version::V5 => {
                Err(Cause::Dismissed(disconnect.reason))
            }
            Packet::Disconnect(_)
            | Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq
            | Packet::Auth(_) => Err(Cause::Violation(Reason::ProtocolError)),
        }
    }

    fn message(&mut self, mut publish: Publish, out: &mut Vec<Output>) -> Result<(), Reason> {
        self.aliases.resolve(&mut publish, self.config.connect.topic_alias_max)?;
        if self.is_remembered(&publish) {
            if let Some(id) = publish.id {
                out.push(Output::Send(Packet::PubAck(Ack::new(id, Reason::Success))));
            }
            return Ok(());
        }
        let token = match self.receiver.arrive(&publish, out) {
            Arrival::Duplicate => return Ok(()),
            Arrival::New(token) => token,
        };
        let limit = self.config.connect.receive_max.map_or(u16::MAX, |max| max.get());
        if self.receiver.unacked() > usize::from(limit) {
            return Err(Reason::ReceiveMaximumExceeded);
        }
        out.push(Output::Message { token, publish });
        Ok(())
    }

    /// Looks up and notes the id of a QoS 1 message.
    fn is_remembered(&mut self, publish: &Publish) -> bool {
        let (true, QoS::AtLeastOnce, Some(id)) =
            (self.config.remember_ids, publish.qos, publish.id)
        else {
            return false;
        };
        if self.recent.contains(&id) {
            return true;
        }
        if self.recent.len() >= REMEMBERED_IDS {
            self.recent.pop_front();
        }
        self.recent.push_back(id);
        false
    }

    /// Accepts a message; its acknowledgement leaves when those before it are accepted. Returns
    /// false for a token that is not open.
    pub fn accept(&mut self, token: Token, reason: Reason, out: &mut Vec<Output>) -> bool {
        match self.state {
            State::Online { .. } => self.receiver.accept(token, reason, self.link.version, out),
            State::Offline | State::Connecting { .. } => self.receiver.decide(token, reason),
        }
    }

    /// Sends a message, or queues it until there is a connection.
    pub fn publish(&mut self, outgoing: Outgoing, now_ms: u64, out: &mut Vec<Output>) {
        let start = out.len();
        self.sender.enqueue(outgoing, self.config.queue, now_ms, out);
        self.pump(now_ms, out);
        self.note_sent(start, now_ms, out);
    }

    /// Says goodbye; the server drops the will.
    pub fn disconnect(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        if self.state == State::Offline {
            return;
        }
        if self.is_online() {
            out.push(Output::Send(Packet::Disconnect(Disconnect::new(Reason::Success))));
        }
        self.end(Cause::Disconnected, now_ms, out);
    }

    fn timeout(&mut self, now: u64, out: &mut Vec<Output>) {
        self.sender.expire(now, out);
        match self.state {
            State::Connecting { due } if now >= due => self.end(Cause::NoConnAck, now, out),
            State::Online { ping } => {
                self.expire_requests(now, out);
                self.ping(ping, now, out);
            }
            State::Offline | State::Connecting { .. } => {}
        }
    }

    fn ping(&mut self, ping: Option<Ping>, now: u64, out: &mut Vec<Output>) {
        let tries = match ping {
            Some(ping) if now < ping.due => return,
            Some(ping) if ping.tries >= self.config.ping_tries.get() => {
                return self.end(Cause::NoPingResp, now, out);
            }
            Some(ping) => ping.tries + 1,
            None if self.ping_due().is_none_or(|due| now < due) => return,
            None => 1,
        };
        let due = now + self.config.ping_wait_ms;
        self.state = State::Online { ping: Some(Ping { due, tries }) };
        out.push(Output::Send(Packet::PingReq));
    }

    /// The server counts from what it heard, the device SDKs from what they heard: the earlier.
    fn ping_due(&self) -> Option<u64> {
        (self.ping_after_ms > 0).then(|| self.last_sent.min(self.last_heard) + self.ping_after_ms)
    }

    fn end(&mut self, cause: Cause, now: u64, out: &mut Vec<Output>) {
        if self.link.version == Version::V5
            && let (true, Cause::Violation(reason)) = (self.is_online(), cause)
        {
            out.push(Output::Send(Packet::Disconnect(Disconnect::new(reason))));
        }
        let was_online = self.is_online();
        self.state = State::Offline;
        self.link.blocked = true;
        self.lose_requests(out);
        self.receiver.park();
        self.sender.expire(now, out);
        self.sender.park();
        if was_online && !self.config.is_persistent() {
            self.had_session = false;
            self.sender.lose_in_flight(out);
        }
        out.push(Output::Close(cause));
    }

    /// Returns the next time to feed [`Input::Timeout`], and what for.
    pub fn deadline(&self) -> Option<(u64, Why)> {
        let message = self.sender.due().map(|due| (due, Why::MessageDeadline));
        let (own, request) = match self.state {
            State::Offline => (None, None),
            State::Connecting { due } => (Some((due, Why::ConnAck)), None),
            State::Online { ping } => {
                let ping = match ping {
                    Some(ping) => Some((ping.due, Why::PingResp)),
                    None => self.ping_due().map(|due| (due, Why::Ping)),
                };
                (ping, self.request_due().map(|due| (due, Why::Request)))
            }
        };
        [own, request, message].into_iter().flatten().min_by_key(|(due, _)| *due)
    }

    /// Returns true between CONNACK and the end of the connection.
    pub fn is_online(&self) -> bool {
        matches!(self.state, State::Online { .. })
    }

    /// Returns how many messages wait to be sent or acknowledged.
    pub fn outgoing(&self) -> usize {
        self.sender.len()
    }

    /// Returns how many messages were dropped for newer ones.
    pub fn dropped(&self) -> u64 {
        self.sender.dropped()
    }

    /// Returns false while too many messages wait for [`Self::accept`]: stop reading then.
    pub fn wants_read(&self) -> bool {
        self.receiver.pending() < usize::from(self.config.inbound_max.get())
    }

    /// Returns the next packet id, for a device that keeps it over a restart.
    pub fn next_packet_id(&self) -> u16 {
        self.ids.next.get()
    }

    fn pump(&mut self, now: u64, out: &mut Vec<Output>) {
        let requests = &self.requests;
        let used = |id| requests.iter().any(|request| request.id == id);
        self.sender.pump(&mut self.link, &mut self.ids, used, now, out);
    }

    fn note_sent(&mut self, start: usize, now: u64, out: &[Output]) {
        let new = out.get(start..).unwrap_or_default();
        if new.iter().any(|output| matches!(output, Output::Send(_))) {
            self.last_sent = now;
        }
    }
}

impl Effects for Vec<Output> {
    fn send(&mut self, packet: Packet) {
        self.push(Output::Send(packet));
    }

    fn resolved(&mut self, handle: Handle, outcome: PublishOutcome) {
        self.push(Output::Resolved { handle, outcome });
    }
}
