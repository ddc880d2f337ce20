//! One publication to all who subscribed it.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;
use roadstead_core::DeviceId;
use roadstead_core::mqtt::{Queued, Retained};
use roadstead_wire::mqtt::packet::{Publish, QoS, Reason};
use roadstead_wire::mqtt::retained;
use roadstead_wire::mqtt::trie::Hit;

use super::{Broker, Place, Published, State, Wish};
use crate::metrics::Queue;
use crate::service::Fanout;
use crate::shell::Mailbox;

/// One member that gets the message once, however many of its filters match.
struct Receiver {
    number: u64,
    qos: QoS,
    retain: bool,
    ids: Vec<NonZeroU32>,
}

impl Broker {
    /// Publishes a message of a device (its own subscriptions with *no local* do not see it).
    pub(crate) fn publish(&self, from: &DeviceId, mut publish: Publish) -> Published {
        // Shares the read buffer of its connection until here.
        publish.payload = Bytes::copy_from_slice(&publish.payload);
        (publish.id, publish.dup) = (None, false);
        let retain = match publish.retain {
            true => match self.retain(&publish) {
                Ok(retain) => Some(retain),
                Err(reason) => return Published::Done(reason),
            },
            false => None,
        };
        let state = self.state.read();
        let receivers = receivers(&state, from, &publish);
        let is_heard = !receivers.is_empty();
        let mut queued = Vec::new();
        for receiver in receivers {
            let Some(member) = state.members.get(&receiver.number) else { continue };
            match &member.place {
                Place::Live(mailbox) => {
                    let mut copy = publish.clone();
                    (copy.qos, copy.retain) = (receiver.qos, receiver.retain);
                    for id in receiver.ids {
                        mark(&mut copy, Some(id));
                    }
                    mailbox.send_free(copy);
                }
                Place::Parked { expires_at, .. } => {
                    if receiver.qos != QoS::AtMostOnce && self.clock.now() < *expires_at {
                        queued.push(Queued {
                            client: member.device.as_str().into(),
                            topic: (&*publish.topic).into(),
                            payload: publish.payload.clone(),
                            qos: receiver.qos.byte(),
                        });
                    }
                }
            }
        }
        drop(state);
        let reason = if is_heard { Reason::Success } else { Reason::NoMatchingSubscribers };
        self.keep(retain, queued, reason)
    }

    /// Returns the live members that have subscribed `topic`, each once, with its mailbox.
    fn listeners(&self, topic: &str) -> Vec<(DeviceId, QoS, Arc<Mailbox>)> {
        let state = self.state.read();
        let publish = Publish::new(topic, Bytes::new(), QoS::AtLeastOnce);
        let receivers = receivers(&state, &DeviceId::new(""), &publish).into_iter();
        let live = receivers.filter_map(|receiver| {
            let member = state.members.get(&receiver.number)?;
            match &member.place {
                Place::Live(mailbox) => {
                    Some((member.device.clone(), receiver.qos, mailbox.clone()))
                }
                Place::Parked { .. } => None,
            }
        });
        live.collect()
    }

    /// Sets the retained message in memory and returns what the store must keep.
    fn retain(&self, publish: &Publish) -> Result<Retained, Reason> {
        let expiry = publish.properties.as_ref().and_then(|p| p.message_expiry_s);
        let now = self.clock.now().as_millis().unsigned_abs();
        let message = retained::Retained {
            topic: publish.topic.clone(),
            payload: publish.payload.clone(),
            qos: publish.qos,
            properties: publish.properties.clone(),
            expires_ms: expiry.map(|s| now + u64::from(s.get()) * 1000),
        };
        let mut kept = self.retained.lock();
        let mut outcome = kept.set(message.clone());
        if outcome.is_err() && kept.sweep(now) > 0 {
            outcome = kept.set(message);
        }
        self.metrics.retained.set(kept.len() as u64);
        drop(kept);
        if outcome.is_err() {
            self.metrics.dropped(Queue::Retained, 1);
            return Err(Reason::QuotaExceeded);
        }
        Ok(Retained {
            topic: (&*publish.topic).into(),
            payload: publish.payload.clone(),
            qos: publish.qos.byte(),
        })
    }

    /// Makes durable what must be before the acknowledgement.
    fn keep(&self, retain: Option<Retained>, queued: Vec<Queued>, reason: Reason) -> Published {
        if retain.is_none() && queued.is_empty() {
            return Published::Done(reason);
        }
        let store = Arc::clone(&self.store);
        Published::Waits(Box::pin(async move {
            let mut outcome = Ok(());
            if let Some(retain) = retain {
                outcome = store.retain(retain).await;
            }
            if outcome.is_ok() && !queued.is_empty() {
                outcome = store.enqueue(queued).await;
            }
            match outcome {
                Ok(()) => reason,
                Err(_) => Reason::UnspecifiedError,
            }
        }))
    }
}

impl Fanout for Broker {
    fn subscribers(&self, topic: &str) -> Vec<DeviceId> {
        self.listeners(topic).into_iter().map(|(device, ..)| device).collect()
    }

    fn send(&self, topic: &str, payload: &Bytes, devices: &[DeviceId]) -> u64 {
        let chosen: HashSet<&DeviceId> = devices.iter().collect();
        let listeners = self.listeners(topic).into_iter();
        let sent = listeners.filter(|(device, qos, mailbox)| {
            chosen.contains(device) && mailbox.send_free(Publish::new(topic, payload.clone(), *qos))
        });
        sent.count() as u64
    }
}

fn receivers(state: &State, from: &DeviceId, publish: &Publish) -> Vec<Receiver> {
    let own = state.numbers.get(from).copied();
    let mut receivers: Vec<Receiver> = Vec::new();
    let mut add = |number: u64, wish: &Wish| {
        if wish.options.no_local && own == Some(number) {
            return;
        }
        let qos = publish.qos.min(wish.options.qos);
        let retain = publish.retain && wish.options.retain_as_published;
        match receivers.iter_mut().find(|receiver| receiver.number == number) {
            Some(known) => {
                known.qos = known.qos.max(qos);
                known.retain |= retain;
                known.ids.extend(wish.subscription_id);
            }
            None => {
                let ids = wish.subscription_id.into_iter().collect();
                receivers.push(Receiver { number, qos, retain, ids });
            }
        }
    };
    state.trie.matches(&publish.topic, |hit| match hit {
        Hit::One(number, wish) => add(*number, wish),
        Hit::Group(group) => {
            let is_live = |number: &u64| {
                let member = state.members.get(number);
                member.is_some_and(|member| matches!(member.place, Place::Live(_)))
            };
            let mut turn = group.take_turn();
            for _ in 1..group.len() {
                if turn.is_some_and(|(number, _)| is_live(number)) {
                    break;
                }
                turn = group.take_turn();
            }
            if let Some((number, wish)) = turn {
                add(*number, wish);
            }
        }
    });
    receivers
}

/// Adds the identifier of a matching subscription (MQTT 5.0 section 3.3.2.3.8).
pub(super) fn mark(publish: &mut Publish, id: Option<NonZeroU32>) {
    if let Some(id) = id {
        publish.properties.get_or_insert_default().subscription_ids.push(id);
    }
}
