//! The machines behind one connection: [`server::Server`] and [`client::Client`].
//!
//! Both are sans-IO: `now_ms` is a parameter (milliseconds of any monotonic clock), every effect
//! is pushed into a vector of the caller, and `deadline` says when and why to wake the machine
//! up. They share the two halves of QoS: `sender` (window, queue, packet ids, repetition) and
//! `receiver` (order of acknowledgement, suppression of duplicates).
//!
//! Packet ids run on across connections of one client and are not taken again before 65 534
//! others, because devices remember the last ids that they have seen, even across a reconnect
//! (Tencent §3.5).
//!
//! Source: MQTT 5.0 chapter 4; MQTT 3.1.1 chapter 4.

mod alias;
pub mod client;
mod receiver;
mod sender;
pub mod server;

#[cfg(test)]
mod tests;

use super::packet::{Packet, PacketId, Publish, Reason};

pub use sender::QueueLimits;

/// Names an outgoing message or request; chosen by the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(pub u64);

/// Names an inbound message until it is accepted; unique within a session, also across its
/// connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

/// What happens to a message when the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Never dropped once taken; refused when there is no room.
    Command,
    /// The oldest of this class makes room for newer messages.
    Telemetry,
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Topic, payload, QoS, retain and properties; `id` and `dup` are set by the session.
    pub publish: Publish,
    /// Whom to tell the outcome.
    pub handle: Option<Handle>,
    /// What happens when the queue is full.
    pub class: Class,
    /// Until when the outcome is waited for and the message may still leave.
    pub deadline_ms: Option<u64>,
}

impl Outgoing {
    /// A command without handle and deadline.
    pub fn new(publish: Publish) -> Self {
        Self { publish, handle: None, class: Class::Command, deadline_ms: None }
    }
}

/// What became of an outgoing message; each handle is resolved exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishOutcome {
    /// QoS 0: written to the connection; nobody will know more.
    Sent,
    /// PUBACK or PUBCOMP arrived.
    Acked,
    /// The session ended before the acknowledgement; the peer may or may not have the message.
    Lost,
    /// The deadline or the message expiry passed first.
    Expired,
    /// Telemetry that made room for newer messages.
    Dropped,
    /// Refused by the peer, or by the session because there is no room or it is too large.
    Refused(Reason),
}

impl PublishOutcome {
    /// Returns the name, for traces; the platform maps it to a failure code.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "publish_sent",
            Self::Acked => "publish_acked",
            Self::Lost => "publish_lost",
            Self::Expired => "publish_expired",
            Self::Dropped => "publish_dropped",
            Self::Refused(reason) => reason.name(),
        }
    }
}

/// Where the shared halves push their effects.
trait Effects {
    fn send(&mut self, packet: Packet);
    fn resolved(&mut self, handle: Handle, outcome: PublishOutcome);
}

/// The counter of packet ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ids {
    next: PacketId,
}

impl Ids {
    /// Starts at `first`; zero counts as one.
    fn new(first: u16) -> Self {
        Self { next: PacketId::new(first).unwrap_or(PacketId::MIN) }
    }

    /// Takes the next id that is not `used`. Windows are far smaller than the id space.
    fn take(&mut self, used: impl Fn(PacketId) -> bool) -> PacketId {
        let mut id = self.next;
        while used(id) {
            id = id.checked_add(1).unwrap_or(PacketId::MIN);
        }
        self.next = id.checked_add(1).unwrap_or(PacketId::MIN);
        id
    }
}

/// Returns the earlier of two optional times.
fn earlier(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
