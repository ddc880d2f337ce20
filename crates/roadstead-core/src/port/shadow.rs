//! Shadows, and messages that wait for a device.

use alloc::boxed::Box;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::StoreError;
use crate::shadow::{Change, Expected, Shadow};
use crate::trace::Entry;
use crate::{DeviceId, Timestamp};

/// Shadows. The hot path of the platform: one [`ShadowStore::change_shadow`] per report.
#[async_trait]
pub trait ShadowStore: Send + Sync {
    /// Returns a device's shadow, empty when it has none.
    async fn shadow(&self, device: &DeviceId) -> Result<Shadow, StoreError>;

    /// Applies changes in order and notes `trace` with them, durably, in one group. Returns
    /// whether something is desired afterwards. `Limit` when the shadow would exceed
    /// [`crate::limit::SHADOW_BYTES_MAX`]; nothing is changed then, the trace is kept.
    async fn change_shadow(
        &self,
        device: &DeviceId,
        changes: Vec<Change>,
        trace: Option<Entry>,
    ) -> Result<bool, StoreError> {
        self.change_shadow_if(device, Vec::new(), changes, trace).await
    }

    /// The same if every service named in `expected` has that version when its turn comes;
    /// otherwise `Stale`, nothing is changed and the trace is kept.
    async fn change_shadow_if(
        &self,
        device: &DeviceId,
        expected: Vec<Expected>,
        changes: Vec<Change>,
        trace: Option<Entry>,
    ) -> Result<bool, StoreError>;
}

/// Messages for devices that are away, oldest first. Bounded by
/// [`crate::limit::PENDING_PER_DEVICE_MAX`]; the oldest is dropped.
#[async_trait]
pub trait PendingStore: Send + Sync {
    /// Keeps a message; `kind` and `body` are the platform's own.
    async fn push_pending(
        &self,
        device: &DeviceId,
        kind: &str,
        body: &str,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Returns what waits for a device: sequence number, kind, body.
    async fn pending(
        &self,
        device: &DeviceId,
    ) -> Result<Vec<(u64, Box<str>, Box<str>)>, StoreError>;

    /// Forgets a message that was delivered.
    async fn pop_pending(&self, device: &DeviceId, sequence: u64) -> Result<(), StoreError>;
}
