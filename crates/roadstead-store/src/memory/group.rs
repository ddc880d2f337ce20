//! Groups and their members.

use std::cmp::Reverse;

use async_trait::async_trait;
use roadstead_core::group::{Group, Kind};
use roadstead_core::port::{
    GroupFilter, GroupPatch, GroupStore, Listing, Page, StoreError, read_marker,
};
use roadstead_core::{DeviceId, GroupId, SpaceId, Timestamp};

use super::{Memory, State};
use crate::rule;

#[async_trait]
impl GroupStore for Memory {
    async fn create_group(&self, group: Group, max: u64, depth: usize) -> Result<(), StoreError> {
        let mut state = self.lock();
        if !state.spaces.contains_key(&group.space) {
            return Err(StoreError::Missing);
        }
        if state.groups.contains_key(&group.id) || state.has_name(&group.space, &group.name) {
            return Err(StoreError::Exists);
        }
        let siblings = state.groups.values().filter(|other| other.space == group.space);
        if siblings.count() as u64 >= max {
            return Err(StoreError::Limit("groups per space"));
        }
        let (mut level, mut above) = (1, group.parent.clone());
        while let Some(id) = above {
            level += 1;
            if level > depth {
                return Err(StoreError::Limit("levels of groups"));
            }
            above = state.group_in(&group.space, &id)?.parent.clone();
        }
        state.numbers += 1;
        let group = Group { number: state.numbers, ..group };
        state.groups.insert(group.id.clone(), group);
        Ok(())
    }

    async fn group(&self, space: &SpaceId, id: &GroupId) -> Result<Option<Group>, StoreError> {
        Ok(self.lock().group_in(space, id).ok().cloned())
    }

    async fn groups(
        &self,
        space: &SpaceId,
        filter: &GroupFilter,
        page: &Page,
    ) -> Result<Listing<Group>, StoreError> {
        let before = read_marker(page)?.unwrap_or(u64::MAX);
        let GroupFilter { name, kind, changed_from } = filter;
        let matches = |group: &Group| {
            name.as_ref().is_none_or(|name| group.name.contains(&**name))
                && kind.is_none_or(|kind| group.kind == kind)
                && changed_from.is_none_or(|from| group.changed_at >= from)
        };
        let mut groups = self.lock().groups_in(space, matches);
        let total = groups.len() as u64;
        groups.retain(|group| group.number < before);
        let items = groups.into_iter().skip(page.offset as usize).take(rule::page_items(page));
        Ok(Listing { items: items.collect(), total })
    }

    async fn update_group(
        &self,
        space: &SpaceId,
        id: &GroupId,
        patch: GroupPatch,
        now: Timestamp,
    ) -> Result<Group, StoreError> {
        let mut state = self.lock();
        let mut group = state.group_in(space, id)?.clone();
        if let Some(name) = patch.name.filter(|name| *name != group.name) {
            if state.has_name(space, &name) {
                return Err(StoreError::Exists);
            }
            group.name = name;
        }
        group.description = patch.description.unwrap_or(group.description);
        group.changed_at = now;
        state.groups.insert(id.clone(), group.clone());
        Ok(group)
    }

    async fn delete_group(&self, space: &SpaceId, id: &GroupId) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.group_in(space, id)?;
        if state.groups.values().any(|group| group.parent.as_ref() == Some(id)) {
            return Err(StoreError::InUse("sub-groups"));
        }
        state.groups.remove(id);
        state.members.retain(|(group, _)| group != id);
        Ok(())
    }

    async fn add_member(
        &self,
        space: &SpaceId,
        id: &GroupId,
        device: &DeviceId,
        max: u64,
    ) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let member = state.member(space, id, device)?;
        if state.members.contains(&member) {
            return Ok(false);
        }
        if state.members.iter().filter(|(group, _)| group == id).count() as u64 >= max {
            return Err(StoreError::Limit("devices per group"));
        }
        Ok(state.members.insert(member))
    }

    async fn remove_member(
        &self,
        space: &SpaceId,
        id: &GroupId,
        device: &DeviceId,
    ) -> Result<bool, StoreError> {
        let mut state = self.lock();
        let member = state.member(space, id, device)?;
        Ok(state.members.remove(&member))
    }

    async fn groups_of(&self, device: &DeviceId) -> Result<Vec<Group>, StoreError> {
        Ok(self.lock().groups_of(device))
    }

    async fn dynamic_groups(&self, space: &SpaceId) -> Result<Vec<Group>, StoreError> {
        Ok(self.lock().groups_in(space, |group| group.kind == Kind::Dynamic))
    }
}

impl State {
    fn group_in(&self, space: &SpaceId, id: &GroupId) -> Result<&Group, StoreError> {
        self.groups.get(id).filter(|group| group.space == *space).ok_or(StoreError::Missing)
    }

    fn has_name(&self, space: &SpaceId, name: &str) -> bool {
        self.groups.values().any(|group| group.space == *space && *group.name == *name)
    }

    /// Returns the groups of a space that match, newest first.
    fn groups_in(&self, space: &SpaceId, matches: impl Fn(&Group) -> bool) -> Vec<Group> {
        let found = self.groups.values().filter(|group| group.space == *space && matches(group));
        let mut groups: Vec<Group> = found.cloned().collect();
        groups.sort_by_key(|group| Reverse(group.number));
        groups
    }

    fn member(
        &self,
        space: &SpaceId,
        id: &GroupId,
        device: &DeviceId,
    ) -> Result<(GroupId, DeviceId), StoreError> {
        self.group_in(space, id)?;
        let held = self.devices.get(device).filter(|held| held.device.space == *space);
        held.map(|_| (id.clone(), device.clone())).ok_or(StoreError::Missing)
    }

    pub(super) fn groups_of(&self, device: &DeviceId) -> Vec<Group> {
        let mut groups: Vec<Group> = self
            .groups
            .values()
            .filter(|group| self.members.contains(&(group.id.clone(), device.clone())))
            .cloned()
            .collect();
        groups.sort_by_key(|group| Reverse(group.number));
        groups
    }
}
