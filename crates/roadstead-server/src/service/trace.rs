//! Reading the trace. Writing it is part of what is traced, or of [`super::recorder`].

use roadstead_core::limit::PAGE_ITEMS_MAX;
use roadstead_core::trace::Entry;
use roadstead_core::{DeviceId, SpaceId, Timestamp};

use super::{Error, Platform};

impl Platform {
    /// Returns up to `limit` hops of a device of the space between two dates (both exclusive),
    /// newest last; everything that happened before the call is among them.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn trace_of(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<Entry>, Error> {
        self.device_in(space, device).await?;
        self.flush_notes().await;
        let limit = limit.min(u32::try_from(PAGE_ITEMS_MAX).unwrap_or(u32::MAX));
        Ok(in_order(self.store.trace(device, since, until, limit).await?))
    }
}

/// Hops that nobody waits for are written a little later than those that somebody does.
pub(super) fn in_order(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_key(|entry| entry.at);
    entries
}
