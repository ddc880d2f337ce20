//! The receiving half of QoS: acknowledgement in order of arrival, duplicates of QoS 2.
//!
//! A message waits in `pending` until the caller accepts it. Acceptances may come in any order;
//! PUBACK and PUBREC leave in the order of the PUBLISH packets [MQTT-4.6.0-2, -3]. After PUBREC a
//! QoS 2 id waits in `unreleased` for PUBREL; until then its PUBLISH is a duplicate.
//!
//! Source: MQTT 5.0 sections 4.3 and 4.6.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Effects, Token};
use crate::mqtt::packet::{Ack, Packet, PacketId, Publish, QoS, Reason, Version};

#[derive(Debug, Default)]
pub(super) struct Receiver {
    pending: VecDeque<Pending>,
    /// Sorted.
    unreleased: Vec<PacketId>,
    /// Token number of the front of `pending`.
    base: u64,
    bytes: usize,
    /// Entries of `pending` with QoS 1 or 2.
    unacked: usize,
}

#[derive(Debug)]
struct Pending {
    id: Option<PacketId>,
    qos: QoS,
    bytes: u32,
    decision: Option<Reason>,
}

/// What a PUBLISH turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    New(Token),
    Duplicate,
}

impl Receiver {
    /// Continues the token numbers of a receiver that was freed.
    pub(super) fn new(base: u64) -> Self {
        Self { base, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.unreleased.is_empty()
    }

    /// Returns the number of the next token.
    pub(super) fn next_token(&self) -> u64 {
        self.base + self.pending.len() as u64
    }

    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns what counts against the Receive Maximum (MQTT 5.0 section 4.9).
    pub(super) fn unacked(&self) -> usize {
        self.unacked + self.unreleased.len()
    }

    pub(super) fn unreleased(&self) -> usize {
        self.unreleased.len()
    }

    /// Returns true when `publish` repeats one that is still open, and answers it if it was
    /// answered before.
    pub(super) fn is_duplicate(&self, publish: &Publish, out: &mut impl Effects) -> bool {
        let Some(id) = publish.id else { return false };
        let open = |qos| self.pending.iter().any(|p| p.id == Some(id) && p.qos == qos);
        match publish.qos {
            QoS::AtMostOnce => false,
            // A 3.1 client may repeat within a connection: one PUBACK serves both.
            QoS::AtLeastOnce => publish.dup && open(QoS::AtLeastOnce),
            QoS::ExactlyOnce => {
                if self.unreleased.binary_search(&id).is_ok() {
                    out.send(Packet::PubRec(Ack::new(id, Reason::Success)));
                    return true;
                }
                open(QoS::ExactlyOnce)
            }
        }
    }

    /// Takes a PUBLISH that is no duplicate.
    pub(super) fn push(&mut self, publish: &Publish) -> Token {
        let token = Token(self.next_token());
        let size = publish.topic.len() + publish.payload.len();
        let bytes = u32::try_from(size).unwrap_or(u32::MAX);
        self.bytes += bytes as usize;
        self.unacked += usize::from(publish.qos != QoS::AtMostOnce);
        self.pending.push_back(Pending { id: publish.id, qos: publish.qos, bytes, decision: None });
        token
    }

    /// Takes a PUBLISH.
    pub(super) fn arrive(&mut self, publish: &Publish, out: &mut impl Effects) -> Arrival {
        match self.is_duplicate(publish, out) {
            true => Arrival::Duplicate,
            false => Arrival::New(self.push(publish)),
        }
    }

    /// Decides about a message; acknowledges it and those behind it that waited for it. Returns
    /// false for a token that is not open.
    pub(super) fn accept(
        &mut self,
        token: Token,
        reason: Reason,
        version: Version,
        out: &mut impl Effects,
    ) -> bool {
        if !self.decide(token, reason) {
            return false;
        }
        self.flush(version, out);
        true
    }

    /// Remembers a decision without answering: the connection is gone.
    pub(super) fn decide(&mut self, token: Token, reason: Reason) -> bool {
        let at = token.0.checked_sub(self.base).and_then(|at| usize::try_from(at).ok());
        match at.and_then(|at| self.pending.get_mut(at)) {
            Some(pending) if pending.decision.is_none() => {
                pending.decision = Some(reason);
                true
            }
            Some(_) | None => false,
        }
    }

    /// Sends every acknowledgement that is due.
    pub(super) fn flush(&mut self, version: Version, out: &mut impl Effects) {
        while let Some(Pending { decision: Some(reason), .. }) = self.pending.front() {
            let reason = *reason;
            let Some(done) = self.pending.pop_front() else { return };
            self.base += 1;
            self.bytes -= done.bytes as usize;
            self.unacked -= usize::from(done.qos != QoS::AtMostOnce);
            let Some(id) = done.id else { continue };
            match done.qos {
                QoS::AtMostOnce => {}
                QoS::AtLeastOnce => out.send(Packet::PubAck(Ack::new(id, reason))),
                QoS::ExactlyOnce => {
                    // 3.x cannot refuse; in 5 a refusal ends the exchange.
                    let refused = version == Version::V5 && reason.is_error();
                    if let (false, Err(at)) = (refused, self.unreleased.binary_search(&id)) {
                        self.unreleased.insert(at, id);
                    }
                    out.send(Packet::PubRec(Ack::new(id, reason)));
                }
            }
        }
    }

    /// Answers PUBREL.
    pub(super) fn release(&mut self, id: PacketId, out: &mut impl Effects) {
        let reason = match self.unreleased.binary_search(&id) {
            Ok(at) => {
                self.unreleased.remove(at);
                Reason::Success
            }
            Err(_) => Reason::PacketIdNotFound,
        };
        out.send(Packet::PubComp(Ack::new(id, reason)));
    }

    /// The connection is gone, the session stays: only QoS 2 is remembered. QoS 1 comes again.
    pub(super) fn park(&mut self) {
        for pending in &mut self.pending {
            if pending.qos != QoS::ExactlyOnce && pending.id.is_some() {
                self.unacked -= 1;
            }
            if pending.qos != QoS::ExactlyOnce {
                self.bytes -= pending.bytes as usize;
                *pending = Pending {
                    id: None,
                    qos: QoS::AtMostOnce,
                    bytes: 0,
                    decision: Some(Reason::Success),
                };
            }
        }
        while self.pending.front().is_some_and(|pending| pending.id.is_none()) {
            self.pending.pop_front();
            self.base += 1;
        }
    }

    /// Frees unused capacity.
    pub(super) fn trim(&mut self) {
        self.pending.shrink_to_fit();
        self.unreleased.shrink_to_fit();
    }
}
