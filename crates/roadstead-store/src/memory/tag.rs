//! Tags of devices.

use std::sync::Arc;

use async_trait::async_trait;
use roadstead_core::DeviceId;
use roadstead_core::device::{Device, Tags};
use roadstead_core::port::{StoreError, TagStore};

use super::Memory;
use crate::rule;

#[async_trait]
impl TagStore for Memory {
    async fn bind_tags(
        &self,
        device: &DeviceId,
        tags: Tags,
        max: usize,
    ) -> Result<Arc<Device>, StoreError> {
        let mut state = self.lock();
        let held = state.devices.get_mut(device).ok_or(StoreError::Missing)?;
        let mut outcome = Ok(());
        held.edit(|device| outcome = rule::bind_tags(device, tags, max));
        outcome.map(|()| held.device.clone())
    }

    async fn unbind_tags(
        &self,
        device: &DeviceId,
        keys: Vec<Box<str>>,
    ) -> Result<Arc<Device>, StoreError> {
        let mut state = self.lock();
        let held = state.devices.get_mut(device).ok_or(StoreError::Missing)?;
        held.edit(|device| device.tags.retain(|key, _| !keys.contains(key)));
        Ok(held.device.clone())
    }
}
