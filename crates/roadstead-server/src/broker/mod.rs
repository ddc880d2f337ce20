//! Free topics: whatever a dialect routes to nobody in particular goes to who subscribed it.
//!
//! Who may publish and subscribe what was decided before (the session's routes and grants). Not
//! here: platform topics, clients, packets.
//!
//! ```text
//! publish -> retained store
//!         -> trie -> live member   -> its mailbox (bounded, newest dropped)
//!                 -> parked member -> store (bounded there), durable before the acknowledgement
//! ```
//!
//! A device is a member while it has a free subscription or a parked session. A message that is
//! on its way to a live member is lost when the process dies: only what arrives for parked
//! sessions is durable.
//!
//! Source: MQTT 5.0 sections 3.1.2.11, 3.3.1.3, 4.1 and 4.8; MQTT 3.1.1 section 4.1.

mod fanout;
mod park;
mod will;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use roadstead_core::mqtt as core_mqtt;
use roadstead_core::port::{MqttStore, StoreError};
use roadstead_core::{DeviceId, Timestamp};
use roadstead_wire::mqtt::packet::{Publish, QoS, Reason, RetainHandling, SubscribeOptions};
use roadstead_wire::mqtt::retained;
use roadstead_wire::mqtt::session::server::{Granted, Parked};
use roadstead_wire::mqtt::topic::Filter;
use roadstead_wire::mqtt::trie::Trie;
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::config;
use crate::metrics::Metrics;
use crate::shell::Mailbox;

pub(crate) use park::Resumed;

/// The broker.
pub(crate) struct Broker {
    store: Arc<dyn MqttStore>,
    clock: Clock,
    metrics: Arc<Metrics>,
    state: RwLock<State>,
    retained: Mutex<retained::Store>,
    wills: Mutex<HashMap<DeviceId, will::Waiting>>,
    /// New connections that wait for the session of the one they replace.
    handovers: Mutex<HashMap<DeviceId, oneshot::Sender<Option<Parked>>>>,
}

#[derive(Default)]
struct State {
    trie: Trie<u64, Wish>,
    members: HashMap<u64, Member>,
    numbers: HashMap<DeviceId, u64>,
    next: u64,
}

/// What a subscription asks for.
struct Wish {
    options: SubscribeOptions,
    subscription_id: Option<NonZeroU32>,
}

struct Member {
    device: DeviceId,
    filters: Vec<Arc<str>>,
    place: Place,
    /// The store knows this session.
    is_stored: bool,
}

enum Place {
    Live(Arc<Mailbox>),
    /// `session` is absent after a restart.
    Parked {
        session: Option<Box<Parked>>,
        next_packet_id: u16,
        expires_at: Timestamp,
    },
}

/// Where a publication stands.
pub(crate) enum Published {
    /// Nothing to wait for.
    Done(Reason),
    /// The store is at work; the first poll hands over.
    Waits(BoxFuture<'static, Reason>),
}

impl Broker {
    /// Loads what survived the last run.
    pub(crate) async fn open(
        store: Arc<dyn MqttStore>,
        limits: &config::Mqtt,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, StoreError> {
        let mut kept = retained::Store::new(retained::Limits {
            messages_max: limits.retained_max,
            size_bytes_max: limits.retained_bytes_max,
        });
        for core_mqtt::Retained { topic, payload, qos } in store.retained().await? {
            let qos = QoS::from_byte(qos).unwrap_or_default();
            let (topic, properties) = (topic.into(), None);
            // A limit that was lowered since: the message stays in the store, unseen.
            let _ =
                kept.set(retained::Retained { topic, payload, qos, properties, expires_ms: None });
        }
        metrics.retained.set(kept.len() as u64);
        let mut state = State::default();
        for parked in store.parked(clock.now()).await? {
            state.restore(parked);
        }
        metrics.parked.set(state.members.len() as u64);
        Ok(Arc::new(Self {
            store,
            clock,
            metrics,
            state: RwLock::new(state),
            retained: Mutex::new(kept),
            wills: Mutex::default(),
            handovers: Mutex::default(),
        }))
    }

    /// Enters a subscription and returns the retained messages to send.
    pub(crate) fn subscribe(
        &self,
        device: &DeviceId,
        mailbox: &Arc<Mailbox>,
        granted: &Granted,
        is_new: bool,
    ) -> Vec<Publish> {
        let Ok(filter) = Filter::parse(&granted.filter) else { return Vec::new() };
        let mut state = self.state.write();
        let number = state.number(device, mailbox);
        let wish = Wish { options: granted.options, subscription_id: granted.subscription_id };
        let was = state.trie.insert(filter, number, wish);
        if was.is_none()
            && let Some(member) = state.members.get_mut(&number)
        {
            member.filters.push(granted.filter.clone());
        }
        drop(state);
        let wants_retained = match granted.options.retain_handling {
            RetainHandling::Always => true,
            RetainHandling::IfNew => is_new,
            RetainHandling::Never => false,
        };
        match wants_retained && filter.group().is_none() {
            true => self.retained_for(filter, granted),
            false => Vec::new(),
        }
    }

    fn retained_for(&self, filter: Filter<'_>, granted: &Granted) -> Vec<Publish> {
        let mut found = Vec::new();
        let now = self.clock.now().as_millis().unsigned_abs();
        self.retained.lock().matches(filter, now, |message| {
            let qos = message.qos.min(granted.options.qos);
            let mut publish = Publish::new(message.topic.clone(), message.payload.clone(), qos);
            publish.retain = true;
            publish.properties.clone_from(&message.properties);
            fanout::mark(&mut publish, granted.subscription_id);
            found.push(publish);
        });
        found
    }

    /// Ends a subscription; an unknown one is ignored.
    pub(crate) fn unsubscribe(&self, device: &DeviceId, filter: &str) {
        let mut state = self.state.write();
        let Some(&number) = state.numbers.get(device) else { return };
        if let Ok(parsed) = Filter::parse(filter) {
            state.trie.remove(parsed, &number);
        }
        let Some(member) = state.members.get_mut(&number) else { return };
        member.filters.retain(|known| **known != *filter);
        if member.filters.is_empty() && !member.is_stored {
            state.remove(device);
        }
    }
}

impl State {
    /// Returns the number of a live device, entering it if need be.
    fn number(&mut self, device: &DeviceId, mailbox: &Arc<Mailbox>) -> u64 {
        if let Some(number) = self.numbers.get(device) {
            return *number;
        }
        let place = Place::Live(mailbox.clone());
        self.enter(Member { device: device.clone(), filters: Vec::new(), place, is_stored: false })
    }

    fn enter(&mut self, member: Member) -> u64 {
        let number = self.next;
        self.next += 1;
        self.numbers.insert(member.device.clone(), number);
        self.members.insert(number, member);
        number
    }

    fn member_mut(&mut self, device: &DeviceId) -> Option<&mut Member> {
        self.members.get_mut(self.numbers.get(device)?)
    }

    /// Forgets a device with its subscriptions.
    fn remove(&mut self, device: &DeviceId) -> Option<Member> {
        let number = self.numbers.remove(device)?;
        let member = self.members.remove(&number)?;
        for filter in &member.filters {
            if let Ok(filter) = Filter::parse(filter) {
                self.trie.remove(filter, &number);
            }
        }
        Some(member)
    }

    fn restore(&mut self, parked: core_mqtt::Parked) {
        let core_mqtt::Parked { client, filters, next_packet_id, expires_at } = parked;
        let place = Place::Parked { session: None, next_packet_id, expires_at };
        let device = DeviceId::from(&*client);
        let number = self.enter(Member { device, filters: Vec::new(), place, is_stored: true });
        for (filter, qos) in filters {
            let Ok(parsed) = Filter::parse(&filter) else { continue };
            let qos = QoS::from_byte(qos).unwrap_or_default();
            let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
            self.trie.insert(parsed, number, Wish { options, subscription_id: None });
            if let Some(member) = self.members.get_mut(&number) {
                member.filters.push(filter.into());
            }
        }
    }
}
