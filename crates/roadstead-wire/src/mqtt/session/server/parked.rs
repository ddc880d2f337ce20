//! A session without a connection: what waits until the client is back.
//!
//! QoS 1 and 2 messages may still be queued; acknowledgements of QoS 2 messages that were
//! delivered before the connection broke may still be decided, so that the repetition is
//! recognized.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Granted, Output};
use crate::mqtt::packet::{QoS, Reason};
use crate::mqtt::session::receiver::Receiver;
use crate::mqtt::session::sender::Sender;
use crate::mqtt::session::{Effects, Ids, Outgoing, PublishOutcome, QueueLimits, Token};

/// A stored session.
#[derive(Debug)]
pub struct Parked {
    pub(super) granted: Vec<Granted>,
    pub(super) sender: Option<Box<Sender>>,
    pub(super) receiver: Option<Box<Receiver>>,
    pub(super) limits: QueueLimits,
    pub(super) next_token: u64,
    pub(super) session_expiry_s: u32,
    pub(super) ids: Ids,
}

impl Parked {
    /// Returns every granted subscription.
    pub fn subscriptions(&self) -> &[Granted] {
        &self.granted
    }

    /// Returns how long the session lives on in seconds; `u32::MAX` is for ever.
    pub fn session_expiry_s(&self) -> u32 {
        self.session_expiry_s
    }

    /// Returns the first packet id of the client's next connection.
    pub fn next_packet_id(&self) -> u16 {
        self.ids.next.get()
    }

    /// Queues a message for the client's return; QoS 0 does not wait and is lost.
    pub fn publish(&mut self, outgoing: Outgoing, now_ms: u64, out: &mut Vec<Output>) {
        if outgoing.publish.qos == QoS::AtMostOnce {
            if let Some(handle) = outgoing.handle {
                out.resolved(handle, PublishOutcome::Lost);
            }
            return;
        }
        self.sender.get_or_insert_default().enqueue(outgoing, self.limits, now_ms, out);
    }

    /// Decides about a message that was delivered before; it is acknowledged after the return.
    pub fn accept(&mut self, token: Token, reason: Reason) -> bool {
        self.receiver.as_mut().is_some_and(|receiver| receiver.decide(token, reason))
    }

    /// Returns when [`expire`](Self::expire) is worth a call.
    pub fn deadline(&self) -> Option<u64> {
        self.sender.as_ref().and_then(|sender| sender.due())
    }

    /// Resolves messages whose deadline has passed.
    pub fn expire(&mut self, now_ms: u64, out: &mut Vec<Output>) {
        if let Some(sender) = &mut self.sender {
            sender.expire(now_ms, out);
        }
    }

    /// Ends the session; every open message is lost. Its packet ids still run on.
    pub fn end(self, out: &mut Vec<Output>) -> u16 {
        self.discard(out).next.get()
    }

    pub(super) fn discard(mut self, out: &mut Vec<Output>) -> Ids {
        if let Some(sender) = &mut self.sender {
            sender.lose_all(out);
        }
        self.ids
    }
}
