//! SUBSCRIBE and UNSUBSCRIBE of the server's machine: checks before the shell is asked, and the
//! list of what was granted.
//!
//! Source: MQTT 5.0 sections 3.8 to 3.11.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use super::{Output, Server};
use crate::mqtt::packet::{
    Packet, PacketId, QoS, Reason, SubAck, Subscribe, SubscribeOptions, Subscription, Unsubscribe,
};
use crate::mqtt::topic::Filter;

/// Most filters of one SUBSCRIBE or UNSUBSCRIBE; each is compared with every granted one.
pub const FILTERS_PER_PACKET_MAX: usize = 256;

/// A granted subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// As subscribed, `$share/group/` included.
    pub filter: Arc<str>,
    /// As requested, with the granted QoS.
    pub options: SubscribeOptions,
    /// To be sent back with matching messages.
    pub subscription_id: Option<NonZeroU32>,
}

/// A request that waits for the shell.
#[derive(Debug)]
pub(super) enum Request {
    Subscribe { packet: Subscribe, codes: Vec<Option<Reason>> },
    Unsubscribe(Unsubscribe),
}

impl Request {
    fn id(&self) -> PacketId {
        match self {
            Self::Subscribe { packet, .. } => packet.id,
            Self::Unsubscribe(packet) => packet.id,
        }
    }
}

impl Server {
    pub(super) fn subscribe(
        &mut self,
        packet: Subscribe,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        self.check_request(packet.id, packet.filters.len())?;
        let mut new = 0;
        let mut codes = Vec::with_capacity(packet.filters.len());
        for wanted in &packet.filters {
            let code = self.check(wanted, packet.subscription_id, &mut new)?;
            codes.push(code);
        }
        let open = packet.filters.iter().zip(&codes).filter(|(_, code)| code.is_none());
        let filters: Vec<_> = open.map(|(wanted, _)| wanted.clone()).collect();
        let (id, subscription_id) = (packet.id, packet.subscription_id);
        self.requests.push(Request::Subscribe { packet, codes });
        match filters.is_empty() {
            true => self.subscribed(id, &[], out),
            false => out.push(Output::Subscribe { id, filters, subscription_id }),
        }
        Ok(())
    }

    /// Returns the refusal of a filter that the shell need not see.
    fn check(
        &self,
        wanted: &Subscription,
        subscription_id: Option<NonZeroU32>,
        new: &mut usize,
    ) -> Result<Option<Reason>, Reason> {
        let Ok(filter) = Filter::parse(&wanted.filter) else {
            return Ok(Some(Reason::TopicFilterInvalid));
        };
        let policy = &self.policy;
        let shared = filter.group().is_some();
        // MQTT-3.8.3-4
        if shared && wanted.options.no_local {
            return Err(Reason::ProtocolError);
        }
        if shared && !policy.shared_available {
            return Ok(Some(Reason::SharedSubscriptionsNotSupported));
        }
        if filter.has_wildcard() && !policy.wildcard_available {
            return Ok(Some(Reason::WildcardSubscriptionsNotSupported));
        }
        if subscription_id.is_some() && !policy.subscription_ids_available {
            return Ok(Some(Reason::SubscriptionIdsNotSupported));
        }
        if self.granted(&wanted.filter).is_none() {
            *new += 1;
            if self.granted.len() + *new > policy.subscriptions_max {
                return Ok(Some(Reason::QuotaExceeded));
            }
        }
        Ok(None)
    }

    pub(super) fn unsubscribe(
        &mut self,
        packet: Unsubscribe,
        out: &mut Vec<Output>,
    ) -> Result<(), Reason> {
        self.check_request(packet.id, packet.filters.len())?;
        let (id, filters) = (packet.id, packet.filters.clone());
        self.requests.push(Request::Unsubscribe(packet));
        out.push(Output::Unsubscribe { id, filters });
        Ok(())
    }

    fn check_request(&self, id: PacketId, filters: usize) -> Result<(), Reason> {
        let full = self.requests.len() >= self.policy.requests_max;
        if full || filters > FILTERS_PER_PACKET_MAX {
            return Err(Reason::QuotaExceeded);
        }
        if self.requests.iter().any(|request| request.id() == id) {
            return Err(Reason::ProtocolError);
        }
        Ok(())
    }

    /// Answers SUBSCRIBE `id` with the codes of the filters that [`Output::Subscribe`] listed; a
    /// missing code counts as a refusal. An unknown `id` is ignored.
    pub fn subscribed(&mut self, id: PacketId, codes: &[Reason], out: &mut Vec<Output>) {
        let found = self.requests.iter().position(
            |request| matches!(request, Request::Subscribe { packet, .. } if packet.id == id),
        );
        let Some(Request::Subscribe { packet, codes: mut all }) =
            found.map(|at| self.requests.remove(at))
        else {
            return;
        };
        let mut decided = codes.iter().copied();
        for (wanted, code) in packet.filters.into_iter().zip(&mut all) {
            if code.is_some() {
                continue;
            }
            let reason = decided.next().unwrap_or(Reason::UnspecifiedError);
            *code = Some(reason);
            if let Some(qos) = QoS::from_byte(reason.byte()) {
                let options = SubscribeOptions { qos, ..wanted.options };
                let subscription_id = packet.subscription_id;
                self.grant(Granted { filter: wanted.filter, options, subscription_id });
            }
        }
        let codes = all.into_iter().map(|code| code.unwrap_or(Reason::UnspecifiedError)).collect();
        out.push(Output::Send(Packet::SubAck(SubAck { id, codes, properties: None })));
    }

    fn grant(&mut self, new: Granted) {
        match self.granted.iter_mut().find(|known| known.filter == new.filter) {
            Some(known) => *known = new,
            None => {
                if self.granted.len() < 4 {
                    self.granted.reserve_exact(1);
                }
                self.granted.push(new);
            }
        }
    }

    /// Answers UNSUBSCRIBE `id`: the filters are forgotten. An unknown `id` is ignored.
    pub fn unsubscribed(&mut self, id: PacketId, out: &mut Vec<Output>) {
        let found = self
            .requests
            .iter()
            .position(|request| matches!(request, Request::Unsubscribe(packet) if packet.id == id));
        let Some(Request::Unsubscribe(packet)) = found.map(|at| self.requests.remove(at)) else {
            return;
        };
        let mut codes = Vec::with_capacity(packet.filters.len());
        for filter in packet.filters {
            let before = self.granted.len();
            self.granted.retain(|granted| granted.filter != filter);
            codes.push(match self.granted.len() < before {
                true => Reason::Success,
                false => Reason::NoSubscriptionExisted,
            });
        }
        out.push(Output::Send(Packet::UnsubAck(SubAck { id, codes, properties: None })));
    }

    /// Returns every granted subscription.
    pub fn subscriptions(&self) -> &[Granted] {
        &self.granted
    }

    /// Returns the granted subscription of `filter`.
    pub fn granted(&self, filter: &str) -> Option<&Granted> {
        self.granted.iter().find(|granted| &*granted.filter == filter)
    }
}
