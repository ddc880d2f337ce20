//! Tags of devices. Finding devices by tag is [`super::DeviceFilter::tags`].

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::StoreError;
use crate::DeviceId;
use crate::device::{Device, Tags};

/// Tags of devices.
#[async_trait]
pub trait TagStore: Send + Sync {
    /// Adds tags to a device; a key that it has gets the new value. `Limit` when it would have
    /// more than `max`; nothing has changed then.
    async fn bind_tags(
        &self,
        device: &DeviceId,
        tags: Tags,
        max: usize,
    ) -> Result<Arc<Device>, StoreError>;

    /// Takes tags from a device; keys that it lacks do not matter.
    async fn unbind_tags(
        &self,
        device: &DeviceId,
        keys: Vec<Box<str>>,
    ) -> Result<Arc<Device>, StoreError>;
}
