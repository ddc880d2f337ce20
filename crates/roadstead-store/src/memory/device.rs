//! Devices, presence, dynamic registration.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use roadstead_core::device::Device;
use roadstead_core::limit::SUB_DEVICES_MAX;
use roadstead_core::port::{
    DeviceFilter, DevicePatch, DeviceStore, Listing, Page, PresenceChange, RegisterError,
    Registered, StoreError,
};
use roadstead_core::session::{Ending, Epoch, Presence};
use roadstead_core::shadow::Shadow;
use roadstead_core::{DeviceId, ProductId, SpaceId, Timestamp};

use super::product::cut;
use super::{Held, Memory, State};
use crate::rule;

#[async_trait]
impl DeviceStore for Memory {
    async fn device(&self, id: &DeviceId) -> Result<Option<Arc<Device>>, StoreError> {
        Ok(self.lock().devices.get(id).map(|held| held.device.clone()))
    }

    async fn device_by_node(
        &self,
        product: &ProductId,
        node: &str,
    ) -> Result<Option<Arc<Device>>, StoreError> {
        self.device_by_node_blocking(product, node)
    }

    fn device_by_node_blocking(
        &self,
        product: &ProductId,
        node: &str,
    ) -> Result<Option<Arc<Device>>, StoreError> {
        Ok(self.lock().by_node(product, node))
    }

    async fn devices(
        &self,
        space: &SpaceId,
        filter: &DeviceFilter,
        page: &Page,
    ) -> Result<Listing<(Arc<Device>, Presence)>, StoreError> {
        let state = self.lock();
        let matching: Vec<_> = state
            .devices
            .values()
            .filter(|held| held.device.space == *space && state.matches(&held.device, filter))
            .map(|held| (held.device.clone(), held.presence.clone()))
            .collect();
        Ok(cut(matching.iter(), page, |(device, _)| device.id.as_str()))
    }

    async fn create_device(&self, device: Device) -> Result<(), StoreError> {
        self.lock().create_device(device).map(drop)
    }

    async fn import_devices(
        &self,
        devices: Vec<Device>,
    ) -> Result<Vec<Result<bool, StoreError>>, StoreError> {
        let mut state = self.lock();
        let mut results: Vec<Result<bool, StoreError>> =
            devices.iter().map(|_| Err(StoreError::Missing)).collect();
        // Gateways first: a file may name a sub-device before its gateway.
        let mut order: Vec<_> = devices.into_iter().enumerate().collect();
        order.sort_by_key(|(_, device)| device.gateway.is_some());
        for (n, device) in order {
            results[n] = state.import_device(device);
        }
        Ok(results)
    }

    async fn update_device(
        &self,
        id: &DeviceId,
        patch: DevicePatch,
    ) -> Result<Arc<Device>, StoreError> {
        self.lock().update_device(id, patch)
    }

    async fn delete_device(&self, id: &DeviceId) -> Result<(), StoreError> {
        let mut state = self.lock();
        let held = state.devices.remove(id).ok_or(StoreError::Missing)?;
        state.nodes.remove(&(held.device.product.clone(), held.device.node.clone()));
        if let Some(gateway) = &held.device.gateway {
            state.sub_devices.remove(&(gateway.clone(), id.clone()));
        }
        for sub in state.sub_devices_of(id) {
            state.sub_devices.remove(&(id.clone(), sub.clone()));
            if let Some(held) = state.devices.get_mut(&sub) {
                held.edit(|device| device.gateway = None);
            }
        }
        for binding in state.bindings_of_device(id) {
            state.remove_binding(&binding);
        }
        Ok(())
    }

    async fn register_device(&self, candidate: Device) -> Result<Registered, RegisterError> {
        let mut state = self.lock();
        let product = state.products.get(&candidate.product).ok_or(StoreError::Missing)?;
        let stored = state.by_node(&candidate.product, &candidate.node);
        rule::may_register(product.registration, stored.as_deref())?;
        let Some(stored) = stored else {
            let device = state.create_device(candidate)?;
            return Ok(Registered { device, created: true });
        };
        if stored.secret.is_some() {
            return Ok(Registered { device: stored, created: false });
        }
        let patch = DevicePatch { secret: candidate.secret, ..DevicePatch::default() };
        let device = state.update_device(&stored.id, patch)?;
        Ok(Registered { device, created: false })
    }

    async fn presence(&self, id: &DeviceId) -> Result<Presence, StoreError> {
        let state = self.lock();
        Ok(state.devices.get(id).map(|held| held.presence.clone()).unwrap_or_default())
    }

    async fn set_presence(&self, changes: Vec<PresenceChange>) -> Result<(), StoreError> {
        let mut state = self.lock();
        for PresenceChange { device, presence } in changes {
            state.epoch_max = state.epoch_max.max(presence.epoch);
            let Some(held) = state.devices.get_mut(&device) else {
                continue;
            };
            let Some(presence) = rule::change_presence(&held.presence, presence) else {
                continue;
            };
            if held.device.activated_at.is_none() {
                held.edit(|device| device.activated_at = rule::activation(&presence));
            }
            held.presence = presence;
        }
        Ok(())
    }

    async fn note_refusal(
        &self,
        device: &DeviceId,
        code: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut state = self.lock();
        let held = state.devices.get_mut(device).ok_or(StoreError::Missing)?;
        held.presence.refusal = Some((code.into(), at));
        Ok(())
    }

    async fn recover_presence(&self, now: Timestamp) -> Result<Epoch, StoreError> {
        let mut state = self.lock();
        for held in state.devices.values_mut().filter(|held| held.presence.online) {
            held.presence.online = false;
            held.presence.offline_at = Some(now);
            held.presence.ending = Some(Ending::ServerLost);
        }
        Ok(state.epoch_max)
    }

    async fn count_devices(&self, space: &SpaceId) -> Result<(u64, u64, u64), StoreError> {
        let state = self.lock();
        let mut counts = (0, 0, 0);
        for held in state.devices.values().filter(|held| held.device.space == *space) {
            counts.0 += 1;
            counts.1 += u64::from(held.presence.online);
            counts.2 += u64::from(held.device.activated_at.is_some());
        }
        Ok(counts)
    }
}

impl State {
    fn by_node(&self, product: &ProductId, node: &str) -> Option<Arc<Device>> {
        let id = self.nodes.get(&(product.clone(), node.into()))?;
        self.devices.get(id).map(|held| held.device.clone())
    }

    fn matches(&self, device: &Device, filter: &DeviceFilter) -> bool {
        let DeviceFilter { product, node, gateway, name, user } = filter;
        product.as_ref().is_none_or(|product| device.product == *product)
            && node.as_ref().is_none_or(|node| device.node == *node)
            && gateway.as_ref().is_none_or(|gateway| device.gateway.as_ref() == Some(gateway))
            && name.as_ref().is_none_or(|name| device.name == *name)
            && user.as_ref().is_none_or(|user| {
                self.bindings_of_device(&device.id).iter().any(|binding| binding.user == *user)
            })
    }

    fn create_device(&mut self, device: Device) -> Result<Arc<Device>, StoreError> {
        let node = (device.product.clone(), device.node.clone());
        if self.devices.contains_key(&device.id) || self.nodes.contains_key(&node) {
            return Err(StoreError::Exists);
        }
        if !self.products.contains_key(&device.product) || !self.spaces.contains_key(&device.space)
        {
            return Err(StoreError::Missing);
        }
        if let Some(gateway) = &device.gateway {
            self.attach(gateway, &device.id)?;
        }
        let device = Arc::new(device);
        self.nodes.insert(node, device.id.clone());
        let held = Held {
            device: device.clone(),
            presence: Presence::default(),
            shadow: Shadow::default(),
            pending: VecDeque::new(),
            next_pending: 1,
            commands: Vec::new(),
            messages: Vec::new(),
        };
        self.devices.insert(device.id.clone(), held);
        Ok(device)
    }

    fn import_device(&mut self, given: Device) -> Result<bool, StoreError> {
        match self.devices.get(&given.id) {
            None => self.create_device(given).map(|_| true),
            Some(held) if !rule::same_identity(&held.device, &given) => Err(StoreError::Exists),
            Some(_) => self.update_device(&given.id, rule::import_patch(&given)).map(|_| false),
        }
    }

    fn update_device(
        &mut self,
        id: &DeviceId,
        patch: DevicePatch,
    ) -> Result<Arc<Device>, StoreError> {
        let before = self.devices.get(id).ok_or(StoreError::Missing)?.device.gateway.clone();
        if let Some(after) = patch.gateway.clone().filter(|after| *after != before) {
            if let Some(gateway) = &after {
                self.attach(gateway, id)?;
            }
            if let Some(gateway) = before {
                self.sub_devices.remove(&(gateway, id.clone()));
            }
        }
        let held = self.devices.get_mut(id).ok_or(StoreError::Missing)?;
        held.edit(|device| rule::patch_device(device, patch));
        Ok(held.device.clone())
    }

    /// Notes `device` behind `gateway`.
    fn attach(&mut self, gateway: &DeviceId, device: &DeviceId) -> Result<(), StoreError> {
        if !self.devices.contains_key(gateway) {
            return Err(StoreError::Missing);
        }
        if self.sub_devices_of(gateway).len() >= SUB_DEVICES_MAX {
            return Err(StoreError::Limit("sub-devices per gateway"));
        }
        self.sub_devices.insert((gateway.clone(), device.clone()));
        Ok(())
    }

    fn sub_devices_of(&self, gateway: &DeviceId) -> Vec<DeviceId> {
        self.sub_devices
            .range((gateway.clone(), DeviceId::new(""))..)
            .take_while(|(of, _)| of == gateway)
            .map(|(_, sub)| sub.clone())
            .collect()
    }
}

impl Held {
    fn edit(&mut self, change: impl FnOnce(&mut Device)) {
        let mut device = Device::clone(&self.device);
        change(&mut device);
        self.device = Arc::new(device);
    }
}
