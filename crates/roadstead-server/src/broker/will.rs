//! Wills: published at once, or after a delay unless the client is back before.
//!
//! Source: MQTT 5.0 sections 3.1.2.5 and 3.1.3.2.2.

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::DeviceId;
use roadstead_wire::mqtt::packet::{Publish, Will};
use tokio::task::AbortHandle;

use super::{Broker, Published};

/// Wills that wait; beyond it they are published at once.
const WAITING_MAX: usize = 10_000;

/// A will that waits.
pub(super) struct Waiting {
    timer: AbortHandle,
    publish: Publish,
}

impl Broker {
    /// Publishes the will of a device whose connection ended.
    pub(crate) fn will(self: &Arc<Self>, device: DeviceId, will: Will) {
        let Will { mut publish, delay_s } = will;
        // Shares the buffer of the CONNECT.
        publish.payload = bytes::Bytes::copy_from_slice(&publish.payload);
        let mut wills = self.wills.lock();
        if delay_s == 0 || wills.len() >= WAITING_MAX {
            drop(wills);
            self.publish_will(device, publish);
            return;
        }
        let (broker, whose) = (Arc::clone(self), device.clone());
        let timer = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(delay_s.into())).await;
            let due = broker.wills.lock().remove(&whose);
            if let Some(due) = due {
                broker.publish_will(whose, due.publish);
            }
        });
        let waiting = Waiting { timer: timer.abort_handle(), publish };
        if let Some(older) = wills.insert(device, waiting) {
            older.timer.abort();
        }
    }

    /// The client is back. Its session goes on without the will, or ends now with a clean start,
    /// which is when the will is due.
    pub(super) fn settle_will(self: &Arc<Self>, device: &DeviceId, is_clean: bool) {
        let Some(waiting) = self.wills.lock().remove(device) else { return };
        waiting.timer.abort();
        if is_clean {
            self.publish_will(device.clone(), waiting.publish);
        }
    }

    fn publish_will(self: &Arc<Self>, device: DeviceId, publish: Publish) {
        if let Published::Waits(kept) = self.publish(&device, publish) {
            tokio::spawn(kept);
        }
    }
}
