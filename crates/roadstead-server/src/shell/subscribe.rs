//! SUBSCRIBE and UNSUBSCRIBE: the dialect grants, the registry confirms sub-devices, the broker
//! takes free topics.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, join_all};
use roadstead_core::Code;
use roadstead_core::exchange::SubDevice;
use roadstead_core::trace::Hop;
use roadstead_core::trust::Action;
use roadstead_dialects::cloud::{Account, Grant};
use roadstead_wire::mqtt::packet::{PacketId, QoS, Reason, Subscription, Version};
use roadstead_wire::mqtt::session::server::Granted;
use roadstead_wire::mqtt::topic::Filter;

use super::Connection;
use super::work::Work;

/// A SUBSCRIBE that waits for the registry.
pub(super) struct Subscribing {
    request: Request,
    lookups: BoxFuture<'static, Vec<(SubDevice, Result<Account, Code>)>>,
}

struct Request {
    id: PacketId,
    filters: Vec<Subscription>,
    subscription_id: Option<NonZeroU32>,
}

impl Connection {
    /// Decides about a SUBSCRIBE, at once if no unknown sub-device is named.
    pub(super) fn subscribe(
        &mut self,
        id: PacketId,
        filters: Vec<Subscription>,
        subscription_id: Option<NonZeroU32>,
        now: u64,
        work: &mut Work,
    ) {
        let mut unknown: Vec<SubDevice> = Vec::new();
        for wanted in &filters {
            if let Grant::Sub { device, .. } = self.grant(&wanted.filter)
                && self.known_sub(&device).is_none()
                && !unknown.contains(&device)
            {
                unknown.push(device);
            }
        }
        let request = Request { id, filters, subscription_id };
        if unknown.is_empty() {
            self.grant_all(request, now, work);
            return;
        }
        let lookups = join_all(unknown.into_iter().map(|device| {
            let lookup = self.look_up(device.clone());
            async move { (device, lookup.await) }
        }));
        let subscribing = Subscribing { request, lookups: Box::pin(lookups) };
        self.side.get_or_insert_default().subscribing.push(subscribing);
    }

    /// Moves SUBSCRIBEs on that wait for the registry; true when one was answered.
    pub(super) fn poll_subscribing(
        &mut self,
        cx: &mut Context<'_>,
        now: u64,
        work: &mut Work,
    ) -> bool {
        let Some(side) = &mut self.side else { return false };
        let mut ready = Vec::new();
        let mut at = 0;
        while let Some(subscribing) = side.subscribing.get_mut(at) {
            match subscribing.lookups.as_mut().poll(cx) {
                Poll::Ready(found) => ready.push((side.subscribing.remove(at).request, found)),
                Poll::Pending => at += 1,
            }
        }
        let is_progress = !ready.is_empty();
        for (request, found) in ready {
            for (device, account) in found {
                if let Ok(account) = account {
                    self.remember_sub(device, account);
                }
            }
            self.grant_all(request, now, work);
        }
        is_progress
    }

    fn grant(&self, filter: &str) -> Grant {
        // The machine has checked it; a share group changes who gets a message, not which ones.
        let inner = Filter::parse(filter).map_or(filter, |parsed| parsed.as_str());
        self.session.subscribe_grant(inner)
    }

    fn grant_all(&mut self, request: Request, now: u64, work: &mut Work) {
        let Request { id, filters, subscription_id } = request;
        let mut codes = Vec::with_capacity(filters.len());
        let mut free = Vec::new();
        let mut is_ready = false;
        for wanted in filters {
            let (qos_max, is_free) = match self.grant(&wanted.filter) {
                Grant::Platform { qos_max } => (Some(qos_max), false),
                Grant::Sub { device, qos_max } => (self.known_sub(&device).map(|_| qos_max), false),
                Grant::Free { qos_max } => (Some(qos_max), true),
                Grant::Denied => (None, false),
            };
            let is_permitted =
                self.shared.services.permits(&self.account, Action::Subscribe, &wanted.filter);
            let Some(qos_max) = qos_max.filter(|_| is_permitted) else {
                let code = if is_permitted { "mqtt.denied_topic" } else { "policy.denied" };
                self.trace(Hop::Up, "subscribe", code, &wanted.filter);
                codes.push(match self.server.version() {
                    Version::V31 | Version::V311 => Reason::UnspecifiedError,
                    Version::V5 => Reason::NotAuthorized,
                });
                continue;
            };
            let qos_max = QoS::from_byte(qos_max).unwrap_or(QoS::ExactlyOnce);
            let mut options = wanted.options;
            options.qos = options.qos.min(qos_max);
            codes.push(options.qos.granted());
            is_ready |= match is_free {
                // Its own devices are ready from the start; only this topic may wait for them.
                true => self.session.is_implicit(),
                false => self.session.is_ready_after(&wanted.filter),
            };
            if is_free {
                let is_new = self.server.granted(&wanted.filter).is_none();
                free.push((Granted { filter: wanted.filter, options, subscription_id }, is_new));
            }
        }
        self.is_deafness_noted = false;
        self.server.subscribed(id, &codes, &mut work.todo);
        for (granted, is_new) in free {
            let device = &self.account.device.id;
            let retained = self.shared.broker.subscribe(device, &self.mailbox, &granted, is_new);
            for publish in retained {
                self.send_free(publish, now, work);
            }
        }
        if is_ready {
            self.fetch_waiting();
        }
    }

    /// Forgets filters.
    pub(super) fn unsubscribe(&mut self, id: PacketId, filters: &[Arc<str>], work: &mut Work) {
        for filter in filters {
            self.shared.broker.unsubscribe(&self.account.device.id, filter);
        }
        self.server.unsubscribed(id, &mut work.todo);
    }
}
