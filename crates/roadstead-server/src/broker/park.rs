//! Sessions that outlive their connection.
//!
//! The packet window stays in memory with the session machine's own state; filters, packet id and
//! what arrives meanwhile are in the store. After a restart of the server the client finds no
//! session (it subscribes again), but gets what waited for it.

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::mqtt as core_mqtt;
use roadstead_core::{DeviceId, Timestamp};
use roadstead_wire::mqtt::packet::{Publish, QoS};
use roadstead_wire::mqtt::session::server::Parked;
use tokio::sync::oneshot;

use super::{Broker, Member, Place};
use crate::shell::Mailbox;

/// How long a new connection waits for the session of the one it replaces.
const HANDOVER: Duration = Duration::from_secs(2);

/// What a new connection continues.
#[derive(Default)]
pub(crate) struct Resumed {
    /// The session machine's state.
    pub(crate) parked: Option<Parked>,
    /// Messages that arrived meanwhile, oldest first.
    pub(crate) waited: Vec<Publish>,
    /// Where packet ids go on.
    pub(crate) next_packet_id: Option<u16>,
}

/// Announces that a device is being connected again; see [`Broker::attach`].
pub(crate) struct Handover(Option<oneshot::Receiver<Option<Parked>>>);

impl Broker {
    /// Asks the connection that is about to be replaced for its session; call it before that
    /// connection is told to end. A clean start wants nothing.
    pub(crate) fn announce(&self, device: &DeviceId, has_older: bool, is_clean: bool) -> Handover {
        if is_clean || !has_older {
            return Handover(None);
        }
        let (sender, receiver) = oneshot::channel();
        self.handovers.lock().insert(device.clone(), sender);
        Handover(Some(receiver))
    }

    /// Continues the session of a device, or ends it when the client wants a clean start.
    pub(crate) async fn attach(
        self: &Arc<Self>,
        device: &DeviceId,
        mailbox: &Arc<Mailbox>,
        handover: Handover,
        is_clean: bool,
    ) -> Resumed {
        self.settle_will(device, is_clean);
        if is_clean {
            return self.end_session(device).await;
        }
        let mut resumed = Resumed::default();
        if let Handover(Some(receiver)) = handover {
            let handed = tokio::time::timeout(HANDOVER, receiver).await;
            resumed.parked = handed.ok().and_then(Result::ok).flatten();
            self.handovers.lock().remove(device);
        }
        let now = self.clock.now();
        let is_stored = {
            let mut state = self.state.write();
            let Some(member) = state.member_mut(device) else { return resumed };
            let live = Place::Live(mailbox.clone());
            if let Place::Parked { session, next_packet_id, expires_at } =
                std::mem::replace(&mut member.place, live)
            {
                self.metrics.parked.decrement();
                resumed.next_packet_id = Some(next_packet_id);
                resumed.parked = session.filter(|_| now < expires_at).map(|session| *session);
            }
            let is_stored = member.is_stored;
            if resumed.parked.is_none() {
                // The client is told that there is no session, so it has no subscriptions.
                state.remove(device);
            }
            is_stored
        };
        if is_stored {
            // A failing store keeps the messages; they come at the next connection.
            let waited = self.store.take_queue(device.as_str()).await.unwrap_or_default();
            resumed.waited = waited.into_iter().map(message).collect();
            if resumed.parked.is_none() {
                let _ = self.store.unpark(device.as_str()).await;
            }
        }
        resumed
    }

    async fn end_session(&self, device: &DeviceId) -> Resumed {
        let member = self.state.write().remove(device);
        let mut resumed = Resumed::default();
        let Some(member) = member else { return resumed };
        if let Place::Parked { next_packet_id, .. } = member.place {
            self.metrics.parked.decrement();
            resumed.next_packet_id = Some(next_packet_id);
        }
        if member.is_stored {
            // What is left behind ends by itself at its expiry.
            let _ = self.store.unpark(device.as_str()).await;
        }
        resumed
    }

    /// Takes the session of a connection that ended; durable when it returns. `is_latest` is
    /// false when a newer connection of the device has taken over.
    pub(crate) async fn detach(&self, device: &DeviceId, is_latest: bool, parked: Option<Parked>) {
        let waiting = self.handovers.lock().remove(device);
        if let Some(waiting) = waiting {
            // The new connection may have given up waiting.
            let _ = waiting.send(parked);
            return;
        }
        if !is_latest {
            return;
        }
        let Some(parked) = parked else {
            let member = self.state.write().remove(device);
            if member.is_some_and(|member| member.is_stored) {
                let _ = self.store.unpark(device.as_str()).await;
            }
            return;
        };
        let stored = self.park(device, parked);
        // On failure the session still lives in memory.
        let _ = self.store.park(stored).await;
    }

    fn park(&self, device: &DeviceId, parked: Parked) -> core_mqtt::Parked {
        let life_ms = i64::from(parked.session_expiry_s()) * 1000;
        let expires_at = Timestamp(self.clock.now().as_millis().saturating_add(life_ms));
        let next_packet_id = parked.next_packet_id();
        let filters = parked.subscriptions().iter();
        let filters = filters.map(|granted| (&*granted.filter, granted.options.qos.byte()));
        let stored = core_mqtt::Parked {
            client: device.as_str().into(),
            filters: filters.map(|(filter, qos)| (filter.into(), qos)).collect(),
            next_packet_id,
            expires_at,
        };
        let session = Some(Box::new(parked));
        let place = Place::Parked { session, next_packet_id, expires_at };
        let mut state = self.state.write();
        self.metrics.parked.increment();
        match state.member_mut(device) {
            Some(member) => (member.place, member.is_stored) = (place, true),
            None => {
                let (device, filters) = (device.clone(), Vec::new());
                state.enter(Member { device, filters, place, is_stored: true });
            }
        }
        stored
    }

    /// Forgets sessions whose clients stayed away too long; returns how many.
    pub(crate) async fn expire(&self) -> usize {
        let now = self.clock.now();
        let expired: Vec<DeviceId> = {
            let mut state = self.state.write();
            let old = state.members.values().filter(|member| {
                matches!(member.place, Place::Parked { expires_at, .. } if expires_at <= now)
            });
            let old: Vec<_> = old.map(|member| member.device.clone()).collect();
            for device in &old {
                state.remove(device);
                self.metrics.parked.decrement();
            }
            old
        };
        for device in &expired {
            let _ = self.store.unpark(device.as_str()).await;
        }
        expired.len()
    }
}

fn message(queued: core_mqtt::Queued) -> Publish {
    let qos = QoS::from_byte(queued.qos).unwrap_or(QoS::AtLeastOnce);
    Publish::new(&*queued.topic, queued.payload, qos)
}
