//! SUBSCRIBE and UNSUBSCRIBE of the client's machine.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Cause, Client, Output};
use crate::mqtt::packet::{Packet, PacketId, Reason, SubAck, Subscribe, Subscription, Unsubscribe};
use crate::mqtt::session::Handle;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestOutcome {
    /// The server's codes, one per filter; none for UNSUBSCRIBE in 3.x.
    Answered(Vec<Reason>),
    /// The connection ended first.
    Lost,
    /// No answer in time.
    Expired,
    /// There is no connection, or too many requests are open.
    Refused,
}

/// A request without answer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: PacketId,
    handle: Handle,
    due: u64,
    /// How many codes SUBACK must have; `None` for UNSUBSCRIBE.
    codes: Option<usize>,
}

impl Client {
    /// Subscribes; the outcome comes as [`Output::Answered`].
    pub fn subscribe(
        &mut self,
        filters: Vec<Subscription>,
        handle: Handle,
        now_ms: u64,
        out: &mut Vec<Output>,
    ) {
        let count = filters.len();
        let Some(id) = self.request(handle, Some(count), now_ms, out) else { return };
        let packet = Subscribe { id, filters, subscription_id: None, user: Vec::new() };
        out.push(Output::Send(Packet::Subscribe(packet)));
        self.last_sent = now_ms;
    }

    /// Gives filters back; the outcome comes as [`Output::Answered`].
    pub fn unsubscribe(
        &mut self,
        filters: Vec<Arc<str>>,
        handle: Handle,
        now_ms: u64,
        out: &mut Vec<Output>,
    ) {
        let Some(id) = self.request(handle, None, now_ms, out) else { return };
        out.push(Output::Send(Packet::Unsubscribe(Unsubscribe { id, filters, user: Vec::new() })));
        self.last_sent = now_ms;
    }

    fn request(
        &mut self,
        handle: Handle,
        codes: Option<usize>,
        now: u64,
        out: &mut Vec<Output>,
    ) -> Option<PacketId> {
        let full = self.requests.len() >= self.config.requests_max;
        if !self.is_online() || full || codes == Some(0) {
            out.push(Output::Answered { handle, outcome: RequestOutcome::Refused });
            return None;
        }
        let (requests, sender) = (&self.requests, &self.sender);
        let used = |id| sender.uses(id) || requests.iter().any(|request| request.id == id);
        let id = self.ids.take(used);
        let due = now + self.config.request_wait_ms;
        self.requests.push(Request { id, handle, due, codes });
        Some(id)
    }

    /// Handles SUBACK (`is_subscribe`) and UNSUBACK; an answer that nobody waits for (any more)
    /// is ignored.
    pub(super) fn answered(
        &mut self,
        ack: SubAck,
        is_subscribe: bool,
        out: &mut Vec<Output>,
    ) -> Result<(), Cause> {
        let matches =
            |request: &Request| request.id == ack.id && request.codes.is_some() == is_subscribe;
        let Some(at) = self.requests.iter().position(matches) else { return Ok(()) };
        let request = self.requests.remove(at);
        if request.codes.is_some_and(|count| count != ack.codes.len()) {
            out.push(Output::Answered { handle: request.handle, outcome: RequestOutcome::Lost });
            return Err(Cause::Violation(Reason::ProtocolError));
        }
        let outcome = RequestOutcome::Answered(ack.codes);
        out.push(Output::Answered { handle: request.handle, outcome });
        Ok(())
    }

    pub(super) fn expire_requests(&mut self, now: u64, out: &mut Vec<Output>) {
        self.requests.retain(|request| {
            let expired = now >= request.due;
            if expired {
                let outcome = RequestOutcome::Expired;
                out.push(Output::Answered { handle: request.handle, outcome });
            }
            !expired
        });
    }

    pub(super) fn lose_requests(&mut self, out: &mut Vec<Output>) {
        for request in self.requests.drain(..) {
            out.push(Output::Answered { handle: request.handle, outcome: RequestOutcome::Lost });
        }
    }

    pub(super) fn request_due(&self) -> Option<u64> {
        self.requests.iter().map(|request| request.due).min()
    }
}
