//! Devices, presence, dynamic registration.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use roadstead_core::device::Device;
use roadstead_core::limit::{GATEWAY_DEPTH_MAX, SUB_DEVICES_MAX};
use roadstead_core::port::{
    DeviceFilter, DevicePatch, DeviceStore, Listing, Page, PresenceChange, RegisterError,
    Registered, StoreError, read_marker,
};
use roadstead_core::search::{Field, Order, Subject};
use roadstead_core::session::{Ending, Epoch, Presence};
use roadstead_core::shadow::Shadow;
use roadstead_core::{DeviceId, GroupId, ProductId, SpaceId, Timestamp};

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
        let before = read_marker(page)?.unwrap_or(u64::MAX);
        let state = self.lock();
        let mut matching: Vec<&Held> = state
            .devices
            .values()
            .filter(|held| held.device.space == *space && state.matches(held, filter))
            .collect();
        let total = matching.len() as u64;
        let total = if rule::counts_exactly(filter) { total } else { rule::at_most(total) };
        matching.retain(|held| held.device.number < before);
        matching.sort_by(|a, b| in_order(&filter.order, a, b));
        let page = matching.into_iter().skip(page.offset as usize).take(rule::page_items(page));
        let items = page.map(|held| (held.device.clone(), held.presence.clone())).collect();
        Ok(Listing { items, total })
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
        self.lock().delete_device(id)
    }

    async fn delete_unregistered(
        &self,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<Arc<Device>>, StoreError> {
        let mut state = self.lock();
        let mut overdue: Vec<(Timestamp, Arc<Device>)> = state
            .devices
            .values()
            .filter_map(|held| Some((held.device.register_by()?, held.device.clone())))
            .filter(|(by, device)| *by <= now && !state.has_sub_devices(&device.id))
            .collect();
        overdue.sort_by_key(|(by, _)| *by);
        overdue.truncate(max);
        overdue.iter().try_for_each(|(_, device)| state.delete_device(&device.id))?;
        Ok(overdue.into_iter().map(|(_, device)| device).collect())
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

    fn matches(&self, held: &Held, filter: &DeviceFilter) -> bool {
        let DeviceFilter {
            product,
            node,
            gateway,
            cascade,
            name,
            created_from,
            created_until,
            user,
            group,
            tags,
            failing,
            condition,
            order: _,
        } = filter;
        let device = &held.device;
        product.as_ref().is_none_or(|product| device.product == *product)
            && node.as_ref().is_none_or(|node| device.node == *node)
            && gateway.as_ref().is_none_or(|gateway| self.is_behind(device, gateway, *cascade))
            && name.as_ref().is_none_or(|name| device.name.contains(&**name))
            && created_from.is_none_or(|from| device.created_at >= from)
            && created_until.is_none_or(|until| device.created_at <= until)
            && user.as_ref().is_none_or(|user| {
                self.bindings_of_device(&device.id).iter().any(|binding| binding.user == *user)
            })
            && group
                .as_ref()
                .is_none_or(|group| self.members.contains(&(group.clone(), device.id.clone())))
            && tags.iter().all(|(key, value)| {
                let held = device.tags.get(key);
                held.is_some_and(|held| value.as_ref().is_none_or(|value| held == value))
            })
            && (!failing || is_failing(&held.presence))
            && condition.as_ref().is_none_or(|condition| {
                let groups: Vec<GroupId> =
                    self.groups_of(&device.id).into_iter().map(|group| group.id).collect();
                condition.holds(Subject { device, presence: &held.presence, groups: &groups })
            })
    }

    fn is_behind(&self, device: &Device, gateway: &DeviceId, cascade: bool) -> bool {
        let Some(above) = &device.gateway else { return false };
        let further = || {
            self.devices.get(above).is_some_and(|held| self.is_behind(&held.device, gateway, true))
        };
        above == gateway || (cascade && further())
    }

    fn delete_device(&mut self, id: &DeviceId) -> Result<(), StoreError> {
        let held = self.devices.get(id).ok_or(StoreError::Missing)?;
        if self.has_sub_devices(id) {
            return Err(StoreError::InUse("sub-devices"));
        }
        let device = held.device.clone();
        self.devices.remove(id);
        self.nodes.remove(&(device.product.clone(), device.node.clone()));
        if let Some(gateway) = &device.gateway {
            self.detach(gateway, id);
        }
        self.members.retain(|(_, member)| member != id);
        self.records.retain(|_, record| record.device.as_ref() != Some(id));
        for binding in self.bindings_of_device(id) {
            self.remove_binding(&binding);
        }
        Ok(())
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
        self.numbers += 1;
        let device = Arc::new(Device { number: self.numbers, ..device });
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
                self.detach(&gateway, id);
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
        let (mut level, mut next) = (1, self.gateway_of(gateway));
        while let Some(above) = next.filter(|_| level <= GATEWAY_DEPTH_MAX) {
            level += 1;
            next = self.gateway_of(&above);
        }
        if gateway == device || level + self.levels_below(device) > GATEWAY_DEPTH_MAX {
            return Err(StoreError::Limit("levels of gateways"));
        }
        let subs = self.sub_devices.entry(gateway.clone()).or_default();
        if subs.len() >= SUB_DEVICES_MAX {
            return Err(StoreError::Limit("sub-devices per gateway"));
        }
        subs.insert(device.clone());
        Ok(())
    }

    fn detach(&mut self, gateway: &DeviceId, device: &DeviceId) {
        if let Some(subs) = self.sub_devices.get_mut(gateway) {
            subs.remove(device);
        }
    }

    fn gateway_of(&self, device: &DeviceId) -> Option<DeviceId> {
        self.devices.get(device)?.device.gateway.clone()
    }

    fn levels_below(&self, device: &DeviceId) -> usize {
        let below = self.sub_devices.get(device).into_iter().flatten();
        below.map(|sub| 1 + self.levels_below(sub)).max().unwrap_or(0)
    }

    fn has_sub_devices(&self, id: &DeviceId) -> bool {
        self.sub_devices.get(id).is_some_and(|subs| !subs.is_empty())
    }
}

/// Compares in the order that a list asks for, the newest first among equals.
fn in_order(orders: &[Order], a: &Held, b: &Held) -> std::cmp::Ordering {
    for Order { field, descending } in orders {
        let order = if *field == Field::CreatedAt {
            a.device.created_at.cmp(&b.device.created_at)
        } else {
            text(field, a).cmp(&text(field, b))
        };
        let order = if *descending { order.reverse() } else { order };
        if order.is_ne() {
            return order;
        }
    }
    b.device.number.cmp(&a.device.number)
}

fn text(field: &Field, held: &Held) -> Option<String> {
    let subject = Subject { device: &held.device, presence: &held.presence, groups: &[] };
    field.text(subject)
}

impl Held {
    pub(super) fn edit(&mut self, change: impl FnOnce(&mut Device)) {
        let mut device = Device::clone(&self.device);
        change(&mut device);
        self.device = Arc::new(device);
    }
}

/// True when the last log-in was refused and nothing went well since.
fn is_failing(presence: &Presence) -> bool {
    let refused = presence.refusal.as_ref().map(|(_, at)| *at);
    !presence.online && refused.is_some_and(|at| presence.online_at.is_none_or(|last| at > last))
}
