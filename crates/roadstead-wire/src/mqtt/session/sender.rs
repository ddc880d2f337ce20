//! The sending half of QoS: window, queue, packet ids, repetition after a reconnect.
//!
//! ```text
//! enqueue -> queue -> in flight (Publish) --PUBACK--> resolved
//!                          '--PUBREC--> (Release) --PUBCOMP--> resolved
//! ```
//!
//! Order is kept: a message that waits for the window holds back all later ones, QoS 0 too.
//! A message is repeated only on a new connection, with DUP (3.1.1 section 4.4). Not repeated is a
//! QoS 1 message whose deadline has passed meanwhile: its sender was already told so. (QoS 2
//! cannot be skipped: the receiver may remember its id.)
//!
//! Source: MQTT 5.0 sections 4.3, 4.4, 4.6 and 4.9.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::num::NonZeroU32;

use bytes::Bytes;

use super::alias::Outbound;
use super::{Class, Effects, Handle, Ids, Outgoing, PublishOutcome, earlier};
use crate::mqtt::packet::{Ack, Packet, PacketId, Publish, QoS, Reason, Version};

/// What one queued message costs beside topic and payload, in bytes; an estimate for the bound.
const ENTRY_BYTES: usize = 128;

/// How much may wait for a client.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Messages.
    pub messages_max: usize,
    /// Topics, payloads and bookkeeping, in bytes.
    pub size_bytes_max: usize,
}

/// What the current connection allows.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) version: Version,
    /// Unacknowledged messages.
    pub(super) window: u16,
    /// Biggest packet that the peer takes.
    pub(super) max_packet: Option<NonZeroU32>,
    /// The socket takes nothing more for now.
    pub(super) blocked: bool,
    pub(super) aliases: Option<Box<Outbound>>,
}

#[derive(Debug, Default)]
pub(super) struct Sender {
    /// The last `unsent` of them were not sent on this connection.
    in_flight: VecDeque<InFlight>,
    unsent: usize,
    queue: VecDeque<Message>,
    queue_bytes: usize,
    /// Not later than the earliest deadline.
    due: Option<u64>,
    dropped: u64,
}

#[derive(Debug)]
struct InFlight {
    id: PacketId,
    message: Message,
    /// PUBREC arrived: PUBREL is repeated, not PUBLISH.
    released: bool,
    /// The message left on this or an earlier connection.
    sent: bool,
}

#[derive(Debug)]
struct Message {
    publish: Publish,
    handle: Option<Handle>,
    class: Class,
    /// The earlier of deadline and message expiry.
    expires: Option<u64>,
    born: u64,
}

impl Message {
    fn cost(&self) -> usize {
        ENTRY_BYTES + self.publish.topic.len() + self.publish.payload.len()
    }

    fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }

    fn resolve(&mut self, outcome: PublishOutcome, out: &mut impl Effects) {
        if let Some(handle) = self.handle.take() {
            out.resolved(handle, outcome);
        }
    }

    /// Returns the packet of this attempt.
    fn attempt(&self, id: Option<PacketId>, dup: bool, link: &mut Link, now: u64) -> Packet {
        let mut publish = self.publish.clone();
        publish.id = id;
        publish.dup = dup;
        if link.version == Version::V5 {
            if let Some(properties) = publish.properties.as_deref_mut() {
                let waited = u32::try_from(now.saturating_sub(self.born) / 1000);
                properties.message_expiry_s = properties.message_expiry_s.map(|left| {
                    let left = left.get().saturating_sub(waited.unwrap_or(u32::MAX));
                    NonZeroU32::new(left).unwrap_or(NonZeroU32::MIN)
                });
            }
            if let Some(aliases) = &mut link.aliases {
                aliases.apply(&mut publish);
            }
        } else {
            publish.properties = None;
        }
        Packet::Publish(publish)
    }
}

impl Sender {
    pub(super) fn is_empty(&self) -> bool {
        self.in_flight.is_empty() && self.queue.is_empty()
    }

    /// Returns how many messages were dropped for newer ones.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Returns how many messages wait, in flight included.
    pub(super) fn len(&self) -> usize {
        self.in_flight.len() + self.queue.len()
    }

    /// Returns when [`expire`](Self::expire) is worth a call.
    pub(super) fn due(&self) -> Option<u64> {
        self.due
    }

    /// Returns true while `id` is in flight.
    pub(super) fn uses(&self, id: PacketId) -> bool {
        self.in_flight.iter().any(|entry| entry.id == id)
    }

    /// Takes a message into the queue, or resolves it at once when there is no room.
    pub(super) fn enqueue(
        &mut self,
        outgoing: Outgoing,
        limits: QueueLimits,
        now: u64,
        out: &mut impl Effects,
    ) {
        let expiry = outgoing.publish.properties.as_ref().and_then(|p| p.message_expiry_s);
        let expiry = expiry.map(|expiry_s| now + u64::from(expiry_s.get()) * 1000);
        let mut message = Message {
            publish: outgoing.publish,
            handle: outgoing.handle,
            class: outgoing.class,
            expires: earlier(expiry, outgoing.deadline_ms),
            born: now,
        };
        if message.is_expired(now) {
            return message.resolve(PublishOutcome::Expired, out);
        }
        while self.queue.len() >= limits.messages_max
            || self.queue_bytes + message.cost() > limits.size_bytes_max
        {
            let hopeless = limits.messages_max == 0 || message.cost() > limits.size_bytes_max;
            let oldest = self.queue.iter().position(|m| m.class == Class::Telemetry);
            let Some(at) = oldest.filter(|_| !hopeless) else {
                return match message.class {
                    Class::Telemetry => {
                        self.dropped += 1;
                        message.resolve(PublishOutcome::Dropped, out);
                    }
                    Class::Command => {
                        message.resolve(PublishOutcome::Refused(Reason::QuotaExceeded), out);
                    }
                };
            };
            if let Some(mut old) = self.queue.remove(at) {
                self.queue_bytes -= old.cost();
                self.dropped += 1;
                old.resolve(PublishOutcome::Dropped, out);
            }
        }
        self.due = earlier(self.due, message.expires);
        self.queue_bytes += message.cost();
        self.queue.push_back(message);
    }

    /// Sends what the window and the socket allow.
    pub(super) fn pump(
        &mut self,
        link: &mut Link,
        ids: &mut Ids,
        used: impl Fn(PacketId) -> bool,
        now: u64,
        out: &mut impl Effects,
    ) {
        while self.unsent > 0 && !link.blocked && self.has_window(link) {
            let at = self.in_flight.len() - self.unsent;
            self.unsent -= 1;
            let Some(entry) = self.in_flight.get_mut(at) else { return };
            let packet = match entry.released {
                true => Packet::PubRel(Ack::new(entry.id, Reason::Success)),
                false => entry.message.attempt(Some(entry.id), entry.sent, link, now),
            };
            entry.sent = true;
            out.send(packet);
        }
        while !link.blocked && self.unsent == 0 {
            let Some(front) = self.queue.front() else { return };
            let waits = front.publish.qos != QoS::AtMostOnce && !front.is_expired(now);
            if waits && !self.has_window(link) {
                return;
            }
            let Some(mut message) = self.queue.pop_front() else { return };
            self.queue_bytes -= message.cost();
            if message.is_expired(now) {
                message.resolve(PublishOutcome::Expired, out);
            } else if is_too_large(&message.publish, link) {
                message.resolve(PublishOutcome::Refused(Reason::PacketTooLarge), out);
            } else if message.publish.qos == QoS::AtMostOnce {
                out.send(message.attempt(None, false, link, now));
                message.resolve(PublishOutcome::Sent, out);
            } else {
                let id = ids.take(|id| self.uses(id) || used(id));
                out.send(message.attempt(Some(id), false, link, now));
                self.in_flight.push_back(InFlight { id, message, released: false, sent: true });
            }
        }
    }

    fn has_window(&self, link: &Link) -> bool {
        self.in_flight.len() - self.unsent < usize::from(link.window)
    }

    /// Handles PUBACK; an unknown id is ignored.
    ///
    /// # Errors
    ///
    /// The id belongs to a QoS 2 exchange.
    pub(super) fn puback(&mut self, ack: &Ack, out: &mut impl Effects) -> Result<(), Reason> {
        let Some(at) = self.find(ack.id) else { return Ok(()) };
        if self.in_flight[at].message.publish.qos != QoS::AtLeastOnce {
            return Err(Reason::ProtocolError);
        }
        self.finish(at, ack.reason, out);
        Ok(())
    }

    /// Handles PUBREC and answers PUBREL.
    ///
    /// # Errors
    ///
    /// The id belongs to a QoS 1 exchange.
    pub(super) fn pubrec(&mut self, ack: &Ack, out: &mut impl Effects) -> Result<(), Reason> {
        let Some(at) = self.find(ack.id) else {
            if !ack.reason.is_error() {
                out.send(Packet::PubRel(Ack::new(ack.id, Reason::PacketIdNotFound)));
            }
            return Ok(());
        };
        if self.in_flight[at].message.publish.qos != QoS::ExactlyOnce {
            return Err(Reason::ProtocolError);
        }
        if ack.reason.is_error() {
            self.finish(at, ack.reason, out);
            return Ok(());
        }
        let entry = &mut self.in_flight[at];
        entry.released = true;
        entry.message.publish.payload = Bytes::new();
        out.send(Packet::PubRel(Ack::new(ack.id, Reason::Success)));
        Ok(())
    }

    /// Handles PUBCOMP; an unknown id is ignored.
    ///
    /// # Errors
    ///
    /// The exchange has not come that far.
    pub(super) fn pubcomp(&mut self, ack: &Ack, out: &mut impl Effects) -> Result<(), Reason> {
        let Some(at) = self.find(ack.id) else { return Ok(()) };
        if !self.in_flight[at].released {
            return Err(Reason::ProtocolError);
        }
        // 0x92 means that the receiver has forgotten it, so it is complete there.
        self.finish(at, Reason::Success, out);
        Ok(())
    }

    fn find(&self, id: PacketId) -> Option<usize> {
        self.in_flight.iter().position(|entry| entry.id == id)
    }

    fn finish(&mut self, at: usize, reason: Reason, out: &mut impl Effects) {
        if at >= self.in_flight.len() - self.unsent {
            self.unsent -= 1;
        }
        let Some(mut entry) = self.in_flight.remove(at) else { return };
        let outcome = match reason.is_error() {
            true => PublishOutcome::Refused(reason),
            false => PublishOutcome::Acked,
        };
        entry.message.resolve(outcome, out);
        if self.is_empty() {
            self.due = None;
        }
    }

    /// Resolves what is overdue; what is in flight stays there until it is acknowledged.
    pub(super) fn expire(&mut self, now: u64, out: &mut impl Effects) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        let queue_bytes = &mut self.queue_bytes;
        self.queue.retain_mut(|message| {
            let expired = message.is_expired(now);
            if expired {
                *queue_bytes -= message.cost();
                message.resolve(PublishOutcome::Expired, out);
            }
            !expired
        });
        for entry in &mut self.in_flight {
            if entry.message.is_expired(now) {
                entry.message.resolve(PublishOutcome::Expired, out);
            }
        }
        let flying = self.in_flight.iter().map(|entry| &entry.message);
        let open = flying.filter(|message| message.handle.is_some()).chain(&self.queue);
        self.due = open.filter_map(|message| message.expires).min();
    }

    /// The connection is gone, the session stays.
    pub(super) fn park(&mut self) {
        self.unsent = self.in_flight.len();
    }

    /// A new connection continues the session.
    pub(super) fn resume(&mut self, now: u64, out: &mut impl Effects) {
        self.expire(now, out);
        self.in_flight.retain(|entry| {
            let skip = entry.message.publish.qos == QoS::AtLeastOnce;
            !(skip && entry.message.is_expired(now))
        });
        self.unsent = self.in_flight.len();
    }

    /// The peer has forgotten the session: what was in flight is lost, what waits may still go.
    pub(super) fn lose_in_flight(&mut self, out: &mut impl Effects) {
        for mut entry in self.in_flight.drain(..) {
            entry.message.resolve(PublishOutcome::Lost, out);
        }
        self.unsent = 0;
    }

    /// The session is over.
    pub(super) fn lose_all(&mut self, out: &mut impl Effects) {
        self.lose_in_flight(out);
        for mut message in self.queue.drain(..) {
            message.resolve(PublishOutcome::Lost, out);
        }
        self.queue_bytes = 0;
        self.due = None;
    }

    /// Frees unused capacity.
    pub(super) fn trim(&mut self) {
        self.in_flight.shrink_to_fit();
        self.queue.shrink_to_fit();
    }
}

/// An alias adds up to 3 bytes and a length byte; they are counted whether used or not.
fn is_too_large(publish: &Publish, link: &Link) -> bool {
    let Some(max) = link.max_packet else { return false };
    let alias = if link.aliases.is_some() { 5 } else { 0 };
    publish.encoded_len(link.version) + alias > max.get() as usize
}
