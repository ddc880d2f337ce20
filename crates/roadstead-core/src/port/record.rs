//! Records: see [`crate::record`].

use alloc::boxed::Box;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::StoreError;
use crate::record::{Record, RecordKind};
use crate::{DeviceId, SpaceId, UserId};

/// Which records a list shows; all given conditions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// Of this space.
    pub space: Option<SpaceId>,
    /// Of this user.
    pub user: Option<UserId>,
    /// Of this device.
    pub device: Option<DeviceId>,
}

impl RecordFilter {
    /// True when a record fits.
    pub fn matches(&self, record: &Record) -> bool {
        self.space.as_ref().is_none_or(|space| record.space == *space)
            && self.user.as_ref().is_none_or(|user| record.user.as_ref() == Some(user))
            && self.device.as_ref().is_none_or(|device| record.device.as_ref() == Some(device))
    }
}

/// Records; those of a user end with the user, those of a device with the device.
#[async_trait]
pub trait RecordStore: Send + Sync {
    /// Stores a record in place of the one of the same kind and id. `Missing` when its user or
    /// device does not exist, `Limit` for a body that is too large.
    async fn put_record(&self, record: Record) -> Result<(), StoreError>;

    /// Returns a record.
    async fn record(&self, kind: RecordKind, id: &str) -> Result<Option<Record>, StoreError>;

    /// Lists records by id, at most [`crate::limit::PAGE_ITEMS_MAX`] after `after`.
    async fn records(
        &self,
        kind: RecordKind,
        filter: &RecordFilter,
        after: Option<Box<str>>,
    ) -> Result<Vec<Record>, StoreError>;

    /// Deletes a record.
    async fn delete_record(&self, kind: RecordKind, id: &str) -> Result<(), StoreError>;
}
