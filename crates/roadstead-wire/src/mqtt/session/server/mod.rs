//! The server's side of one connection, from the parsed CONNECT to the end of the session.
//!
//! ```text
//! Server::open --> Open --Input::Closed, DISCONNECT, violation, keep-alive, close()--> Closed
//!                                                  '-- into_parked --> Parked --open--> Open
//! ```
//!
//! The shell authenticates first; [`refuse`] builds the CONNACK of a refusal. It answers
//! [`Output::Message`] with [`Server::accept`] once the effect is durable: PUBACK leaves then,
//! never earlier, and in order of arrival. It answers [`Output::Subscribe`] with
//! [`Server::subscribed`]. Routing, retained messages and the delay of a will are the shell's.
//!
//! Memory: an idle session is one [`Server`] of at most [`IDLE_BYTES_MAX`] bytes beside its
//! filters; tables are allocated when used and freed by [`Server::trim`].
//!
//! Source: MQTT 5.0 chapters 3 and 4; MQTT 3.1.1 chapters 3 and 4.

mod parked;
mod policy;
mod subscription;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU32;

pub use parked::Parked;
pub use policy::Policy;
pub use subscription::{FILTERS_PER_PACKET_MAX, Granted};

use self::subscription::Request;
use super::alias::{Inbound, Outbound};
use super::receiver::{Arrival, Receiver};
use super::sender::{Link, Sender};
use super::{Effects, Handle, Ids, Outgoing, PublishOutcome, Token};
use crate::mqtt::packet::{
    ConnAck, Connect, Disconnect, Packet, PacketId, Publish, Reason, Subscription, Version, Will,
};

/// Upper bound of `size_of::<Server>()` in bytes, held by a test.
pub const IDLE_BYTES_MAX: usize = 250;

/// What the shell tells the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A packet was read.
    Packet(Packet),
    /// The bytes were no packet.
    Malformed(Reason),
    /// The connection is gone.
    Closed,
    /// The deadline has come.
    Timeout,
    /// The socket takes nothing more: keep messages in the queue.
    Blocked,
    /// The socket takes bytes again.
    Unblocked,
}

/// What the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write this packet.
    Send(Packet),
    /// Process this message, then call [`Server::accept`].
    Message {
        /// For [`Server::accept`].
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
    /// Decide about these filters, then call [`Server::subscribed`].
    Subscribe {
        /// For [`Server::subscribed`].
        id: PacketId,
        /// The valid ones; the machine has refused the others.
        filters: Vec<Subscription>,
        /// To be sent back with matching messages.
        subscription_id: Option<NonZeroU32>,
    },
    /// Forget these filters, then call [`Server::unsubscribed`].
    Unsubscribe {
        /// For [`Server::unsubscribed`].
        id: PacketId,
        /// As sent by the client.
        filters: Vec<Arc<str>>,
    },
    /// Publish this will, after `delay_s` unless the client is back before.
    Will(Box<Will>),
    /// The connection is over: flush, close the socket. Comes exactly once.
    Close(Cause),
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The client said goodbye.
    Disconnected,
    /// The connection broke or was closed by the peer.
    Lost,
    /// Nothing arrived for 1.5 keep-alive intervals, or for the idle limit.
    KeepAlive,
    /// The client broke the protocol or a limit.
    Violation(Reason),
    /// The shell closed it.
    Server(Reason),
}

impl Cause {
    /// Returns the name, for traces; the platform maps it to a failure code.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Lost => "connection_lost",
            Self::KeepAlive => "keep_alive_timeout",
            Self::Violation(reason) | Self::Server(reason) => reason.name(),
        }
    }
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The client has been silent for too long by then.
    KeepAlive,
    /// An outgoing message expires or its outcome is waited for no longer.
    MessageDeadline,
}

/// What the shell adds to CONNECT.
#[derive(Debug, Default)]
pub struct Opening {
    /// The identifier of a client that sent none; told to it in MQTT 5.
    pub assigned_client_id: Option<Box<str>>,
    /// Where packet ids start when nothing is resumed: what [`Server::next_packet_id`] returned
    /// for the last connection of the client, or a random number.
    pub first_packet_id: u16,
    /// The stored session; only for a client that did not ask for a clean start.
    pub parked: Option<Parked>,
}

/// The machine. Owns no socket, no clock, no thread.
#[derive(Debug)]
pub struct Server {
    policy: Arc<Policy>,
    link: Link,
    will: Option<Box<Will>>,
    sender: Option<Box<Sender>>,
    receiver: Option<Box<Receiver>>,
    aliases: Option<Box<Inbound>>,
    requests: Vec<Request>,
    granted: Vec<Granted>,
    /// Silence after which the client is given up; 0 is never.
    silence_ms: u64,
    last_heard: u64,
    next_token: u64,
    session_expiry_s: u32,
    ids: Ids,
    closed: bool,
}

/// Returns the CONNACK that refuses a connection.
pub fn refuse(reason: Reason) -> Packet {
    Packet::ConnAck(Box::new(ConnAck::new(reason)))
}

impl Server {
    /// Opens the session of an authenticated client: answers CONNACK, then continues what was
    /// parked.
    pub fn open(
        connect: &Connect,
        opening: Opening,
        policy: Arc<Policy>,
        now_ms: u64,
        out: &mut Vec<Output>,
    ) -> Self {
        let v5 = connect.version == Version::V5;
        let session_expiry_s = match (v5, connect.clean_start) {
            (true, _) => connect.session_expiry_s,
            (false, true) => 0,
            (false, false) => u32::MAX,
        };
        let client_window = connect.receive_max.map_or(u16::MAX, |max| max.get());
        let mut server = Self {
            link: Link {
                version: connect.version,
                window: policy.window_max.get().min(client_window),
                max_packet: connect.max_packet_size,
                blocked: false,
                aliases: Outbound::new(connect.topic_alias_max.min(policy.topic_alias_out_max)),
            },
            will: connect.will.clone(),
            sender: None,
            receiver: None,
            aliases: None,
            requests: Vec::new(),
            granted: Vec::new(),
            silence_ms: policy.silence_ms(connect),
            last_heard: now_ms,
            next_token: 0,
            session_expiry_s: session_expiry_s.min(policy.session_expiry_max_s),
            ids: Ids::new(opening.first_packet_id),
            closed: false,
            policy,
        };
        let session_present = opening.parked.is_some() && !connect.clean_start;
        let mut ack = server.policy.connack(connect, server.session_expiry_s);
        ack.session_present = session_present;
        ack.assigned_client_id = opening.assigned_client_id;
        out.push(Output::Send(Packet::ConnAck(Box::new(ack))));
        if let Some(parked) = opening.parked {
            match session_present {
                true => server.restore(parked, now_ms, out),
                false => server.ids = parked.discard(out),
            }
        }
        server
    }

    fn restore(&mut self, parked: Parked, now: u64, out: &mut Vec<Output>) {
        self.ids = parked.ids;
        self.next_token = parked.next_token;
        self.granted = parked.granted;
        self.sender = parked.sender;
        self.receiver = parked.receiver;
        if let Some(receiver) = &mut self.receiver {
            receiver.flush(self.link.version, out);
        }
        if let Some(sender) = &mut self.sender {
            sender.resume(now, out);
        }
        self.pump(now, out);
    }

    /// Feeds one input.
    pub fn handle(&mut self, input: Input, now_ms: u64, out: &mut Vec<Output>) {
        if self.closed {
            return;
        }
        match input {
            Input::Packet(packet) => {
                self.last_heard = now_ms;
                if let Err(reason) = self.packet(packet, now_ms, out) {
                    self.end(Cause::Violation(reason), now_ms, out);
                }
            }
            Input::Malformed(reason) => self.end(Cause::Violation(reason), now_ms, out),
            Input::Closed => self.end(Cause::Lost, now_ms, out),
            Input::Timeout => self.timeout(now_ms, out),
            Input::Blocked => self.link.blocked = true,
            Input::Unblocked => {
                self.link.blocked = false;
                self.pump(now_ms, out);
            }
        }
    }

    fn packet(&mut self, packet: Packet, now: u64, out: &mut Vec<Output>) -> Result<(), Reason> {
        match packet {
            Packet::Publish(publish) => self.message(publish, out)?,
            Packet::PubAck(ack) => self.sender().puback(&ack, out)?,
            Packet::PubRec(ack) => self.sender().pubrec(&ack, out)?,
            Packet::PubComp(ack) => self.sender().pubcomp(&ack, out)?,
            Packet::PubRel(ack) => self.receiver().release(ack.id, out),
            Packet::Subscribe(subscribe) => self.subscribe(subscribe, out)?,
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(unsubscribe, out)?,
            Packet::PingReq => out.push(Output::Send(Packet::PingResp)),
            Packet::Disconnect(disconnect) => return self.disconnect(&disconnect, now, out),
            // Extended authentication was not agreed upon in CONNECT.
            Packet::Auth(_) => return Err(Reason::ProtocolError),
            // A second CONNECT [MQTT-3.1.0-2], or what only a server sends.
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp => return Err(Reason::ProtocolError),
        }
        self.pump(now, out);
        Ok(())
    }

    fn message(&mut self, mut publish: Publish, out: &mut Vec<Output>) -> Result<(), Reason> {
        let policy = Arc::clone(&self.policy);
        if publish.qos > policy.max_qos {
            return Err(Reason::QoSNotSupported);
        }
        if publish.retain && !policy.retain_available {
            return Err(Reason::RetainNotSupported);
        }
        if let Some(properties) = &publish.properties {
            // MQTT-3.3.4-6
            if !properties.subscription_ids.is_empty() {
                return Err(Reason::ProtocolError);
            }
            if properties.topic_alias.is_some() {
                let aliases = self.aliases.get_or_insert_default();
                aliases.resolve(&mut publish, policy.topic_alias_max)?;
            }
        }
        let version = self.link.version;
        let receiver = self.receiver();
        let token = match receiver.arrive(&publish, out) {
            Arrival::Duplicate => return Ok(()),
            Arrival::New(token) => token,
        };
        let limit = usize::from(policy.receive_max.get());
        if version == Version::V5 && receiver.unacked() > limit {
            return Err(Reason::ReceiveMaximumExceeded);
        }
        // 3.x has no Receive Maximum; `wants_read` bounds the rest.
        if receiver.unreleased() > limit {
            return Err(Reason::QuotaExceeded);
        }
        out.push(Output::Message { token, publish });
        Ok(())
    }

    fn disconnect(
        &mut self,
        disconnect: &Disconnect,
        now: u64,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        if let Some(expiry) = disconnect.properties.as_ref().and_then(|p| p.session_expiry_s) {
            // MQTT-3.1.2-23: a session that was to end cannot be prolonged.
            if self.session_expiry_s == 0 && expiry != 0 {
                return Err(Reason::ProtocolError);
            }
            self.session_expiry_s = expiry.min(self.policy.session_expiry_max_s);
        }
        if disconnect.reason == Reason::Success {
            self.will = None;
        }
        self.end(Cause::Disconnected, now, out);
        Ok(())
    }

    fn timeout(&mut self, now: u64, out: &mut Vec<Output>) {
        if let Some(sender) = &mut self.sender {
            sender.expire(now, out);
        }
        if self.silence_ms > 0 && now >= self.last_heard + self.silence_ms {
            self.end(Cause::KeepAlive, now, out);
        }
    }

    /// Decides about a message; its acknowledgement leaves when those before it are decided.
    /// Returns false for a token that is not open.
    pub fn accept(&mut self, token: Token, reason: Reason, out: &mut Vec<Output>) -> bool {
        let version = self.link.version;
        let Some(receiver) = &mut self.receiver else { return false };
        match self.closed {
            true => receiver.decide(token, reason),
            false => receiver.accept(token, reason, version, out),
        }
    }

    /// Sends or queues a message.
    pub fn publish(&mut self, outgoing: Outgoing, now_ms: u64, out: &mut Vec<Output>) {
        if self.closed && !self.is_persistent() {
            if let Some(handle) = outgoing.handle {
                out.resolved(handle, PublishOutcome::Lost);
            }
            return;
        }
        let limits = self.policy.queue;
        self.sender().enqueue(outgoing, limits, now_ms, out);
        self.pump(now_ms, out);
    }

    /// Ends the connection from this side, for example because another one took over.
    pub fn close(&mut self, reason: Reason, now_ms: u64, out: &mut Vec<Output>) {
        if !self.closed {
            self.end(Cause::Server(reason), now_ms, out);
        }
    }

    fn end(&mut self, cause: Cause, now: u64, out: &mut Vec<Output>) {
        self.closed = true;
        if self.link.version == Version::V5 {
            let reason = match cause {
                Cause::Disconnected | Cause::Lost => None,
                Cause::KeepAlive => Some(Reason::KeepAliveTimeout),
                Cause::Violation(reason) | Cause::Server(reason) => Some(reason),
            };
            if let Some(reason) = reason {
                out.push(Output::Send(Packet::Disconnect(Disconnect::new(reason))));
            }
        }
        if let Some(mut will) = self.will.take() {
            // The end of the session is the latest time for a will (5.0 section 3.1.3.2.2).
            will.delay_s = will.delay_s.min(self.session_expiry_s);
            out.push(Output::Will(will));
        }
        self.requests = Vec::new();
        if let Some(receiver) = &mut self.receiver {
            receiver.park();
        }
        if let Some(sender) = &mut self.sender {
            sender.expire(now, out);
            match self.session_expiry_s {
                0 => sender.lose_all(out),
                _ => sender.park(),
            }
        }
        out.push(Output::Close(cause));
    }

    /// Returns the next time to feed [`Input::Timeout`], and what for.
    pub fn deadline(&self) -> Option<(u64, Why)> {
        if self.closed {
            return None;
        }
        let silence = (self.silence_ms > 0)
            .then(|| (self.last_heard.saturating_add(self.silence_ms), Why::KeepAlive));
        let message = self.sender.as_ref().and_then(|sender| sender.due());
        let message = message.map(|due| (due, Why::MessageDeadline));
        [silence, message].into_iter().flatten().min_by_key(|(due, _)| *due)
    }

    /// Returns false while too many messages wait for [`Self::accept`]: stop reading then. The
    /// machine itself takes every packet that it is given.
    pub fn wants_read(&self) -> bool {
        self.receiver.as_ref().is_none_or(|receiver| {
            receiver.pending() < usize::from(self.policy.inbound_max.get())
                && receiver.bytes() < self.policy.inbound_bytes_max
        })
    }

    /// Returns how many messages wait to be sent or acknowledged.
    pub fn outgoing(&self) -> usize {
        self.sender.as_ref().map_or(0, |sender| sender.len())
    }

    /// Returns how many messages were dropped for newer ones since the last trim.
    pub fn dropped(&self) -> u64 {
        self.sender.as_ref().map_or(0, |sender| sender.dropped())
    }

    /// Returns the version of the connection.
    pub fn version(&self) -> Version {
        self.link.version
    }

    /// Returns true after [`Output::Close`].
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Returns true when the session outlives the connection.
    pub fn is_persistent(&self) -> bool {
        self.session_expiry_s > 0
    }

    /// Returns the first packet id of the client's next connection; keep it even for a clean
    /// session.
    pub fn next_packet_id(&self) -> u16 {
        self.ids.next.get()
    }

    /// Frees tables that are not in use; call it when the connection becomes idle.
    pub fn trim(&mut self) {
        if let Some(receiver) = &mut self.receiver {
            self.next_token = receiver.next_token();
            receiver.trim();
        }
        if let Some(sender) = &mut self.sender {
            sender.trim();
        }
        self.receiver = self.receiver.take().filter(|receiver| !receiver.is_empty());
        self.sender = self.sender.take().filter(|sender| !sender.is_empty());
        self.requests.shrink_to_fit();
        self.granted.shrink_to_fit();
    }

    /// Returns the session of a closed connection for the client's return; `None` when it ended
    /// with the connection.
    pub fn into_parked(mut self) -> Option<Parked> {
        if !self.closed || !self.is_persistent() {
            return None;
        }
        self.trim();
        Some(Parked {
            granted: self.granted,
            sender: self.sender,
            receiver: self.receiver,
            limits: self.policy.queue,
            next_token: self.next_token,
            session_expiry_s: self.session_expiry_s,
            ids: self.ids,
        })
    }

    fn sender(&mut self) -> &mut Sender {
        self.sender.get_or_insert_default()
    }

    fn receiver(&mut self) -> &mut Receiver {
        let base = self.next_token;
        self.receiver.get_or_insert_with(|| Box::new(Receiver::new(base)))
    }

    fn pump(&mut self, now: u64, out: &mut Vec<Output>) {
        if self.closed {
            return;
        }
        if let Some(sender) = &mut self.sender {
            sender.pump(&mut self.link, &mut self.ids, |_| false, now, out);
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
