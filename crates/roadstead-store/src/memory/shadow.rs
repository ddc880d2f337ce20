//! Shadows and pending messages.

use async_trait::async_trait;
use roadstead_core::limit::{PENDING_PER_DEVICE_MAX, SHADOW_BYTES_MAX};
use roadstead_core::port::{PendingStore, ShadowStore, StoreError};
use roadstead_core::shadow::{Change, Expected, Shadow};
use roadstead_core::trace::{Entries, Entry};
use roadstead_core::{DeviceId, Timestamp};

use super::{Held, Memory};
use crate::rule;

#[async_trait]
impl ShadowStore for Memory {
    async fn shadow(&self, device: &DeviceId) -> Result<Shadow, StoreError> {
        let state = self.lock();
        Ok(state.devices.get(device).map(|held| held.shadow.clone()).unwrap_or_default())
    }

    async fn change_shadow_if(
        &self,
        device: &DeviceId,
        expected: Vec<Expected>,
        changes: Vec<Change>,
        trace: Option<Entry>,
    ) -> Result<bool, StoreError> {
        let mut state = self.lock();
        state.append(Entries { device: device.clone(), entries: trace.into_iter().collect() });
        let held = state.devices.get_mut(device).ok_or(StoreError::Missing)?;
        rule::check_versions(&held.shadow, &expected)?;
        let mut shadow = held.shadow.clone();
        changes.iter().for_each(|change| shadow.apply(change));
        if rule::shadow_bytes(&shadow) > SHADOW_BYTES_MAX {
            return Err(StoreError::Limit("shadow bytes"));
        }
        held.shadow = shadow;
        Ok(held.shadow.has_desired())
    }
}

#[async_trait]
impl PendingStore for Memory {
    async fn push_pending(
        &self,
        device: &DeviceId,
        kind: &str,
        body: &str,
        _at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.devices.get_mut(device).ok_or(StoreError::Missing)?.push_pending(kind, body);
        Ok(())
    }

    async fn pending(
        &self,
        device: &DeviceId,
    ) -> Result<Vec<(u64, Box<str>, Box<str>)>, StoreError> {
        let state = self.lock();
        let held = state.devices.get(device);
        Ok(held.map(|held| held.pending.iter().cloned().collect()).unwrap_or_default())
    }

    async fn pop_pending(&self, device: &DeviceId, sequence: u64) -> Result<(), StoreError> {
        if let Some(held) = self.lock().devices.get_mut(device) {
            held.pending.retain(|(n, _, _)| *n != sequence);
        }
        Ok(())
    }
}

impl Held {
    pub(super) fn push_pending(&mut self, kind: &str, body: &str) {
        self.pending.push_back((self.next_pending, kind.into(), body.into()));
        self.next_pending += 1;
        if self.pending.len() > PENDING_PER_DEVICE_MAX {
            self.pending.pop_front();
        }
    }
}
