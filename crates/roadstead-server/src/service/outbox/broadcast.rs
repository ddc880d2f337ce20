//! Broadcasts: one message on one topic to every device of a space that is on line and has
//! subscribed it. Nothing is kept and nobody acknowledges.

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_core::limit::{NAME_BYTES_MAX, PAYLOAD_BYTES_MAX};
use roadstead_core::{DeviceId, SpaceId, Timestamp};

use super::{Error, Platform};

/// What knows who subscribed what.
#[async_trait]
pub trait Fanout: Send + Sync {
    /// Returns the devices that are on line and have subscribed `topic`.
    fn subscribers(&self, topic: &str) -> Vec<DeviceId>;

    /// Sends to these of them; returns how many took it.
    fn send(&self, topic: &str, payload: &Bytes, devices: &[DeviceId]) -> u64;
}

/// A broadcast to make.
#[derive(Clone, Debug)]
pub struct NewBroadcast {
    /// Its id; made when absent.
    pub id: Option<String>,
    /// Whole topic name.
    pub topic: String,
    /// What the devices get.
    pub payload: Bytes,
}

/// A broadcast that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Devices that got it.
    pub receivers: u64,
}

impl Platform {
    /// Gives the platform its view of free topics; only the first one counts.
    pub fn set_fanout(&self, fanout: std::sync::Arc<dyn Fanout>) {
        let _ = self.outbox.fanout.set(fanout);
    }

    /// Sends a message to every device of the space that listens on a topic now.
    ///
    /// # Errors
    ///
    /// `api.bad_request` for a topic that cannot be published, `api.too_large`.
    pub async fn broadcast(&self, space: &SpaceId, new: NewBroadcast) -> Result<Broadcast, Error> {
        let NewBroadcast { id, topic, payload } = new;
        let fits = (1..=NAME_BYTES_MAX).contains(&topic.len())
            && !topic.contains(['+', '#'])
            && !topic.chars().any(char::is_control);
        if !fits {
            let rule = "topic_full_name: a topic name without wildcards";
            return Err(Error::Invalid(rule.into()));
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            let rule = format!("message: at most {PAYLOAD_BYTES_MAX} bytes");
            return Err(Error::Invalid(rule));
        }
        let (id, at) = (id.unwrap_or_else(|| self.random.id()), self.clock.now());
        let Some(fanout) = self.outbox.fanout.get() else {
            return Ok(Broadcast { id, at, receivers: 0 });
        };
        let mut devices = fanout.subscribers(&topic);
        let mut ours = Vec::with_capacity(devices.len());
        for device in devices.drain(..) {
            // Spaces never see each other, whatever topics their devices subscribe.
            if self.store.device(&device).await?.is_some_and(|known| known.space == *space) {
                ours.push(device);
            }
        }
        let receivers = fanout.send(&topic, &payload, &ours);
        for device in &ours {
            self.note_step(device, "broadcast", "ok", &format!("{id} {topic}"));
        }
        Ok(Broadcast { id, at, receivers })
    }
}
