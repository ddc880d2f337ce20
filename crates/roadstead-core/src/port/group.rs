//! Groups of devices and who belongs to the static ones. Their members are listed with
//! [`super::DeviceFilter::group`], those of dynamic groups with its `condition`.

use alloc::boxed::Box;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::{Listing, Page, StoreError};
use crate::group::{Group, Kind};
use crate::{DeviceId, GroupId, SpaceId};

/// Which groups a list shows; all given conditions hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFilter {
    /// With this text in the name.
    pub name: Option<Box<str>>,
    /// Of this kind.
    pub kind: Option<Kind>,
    /// Changed then or later.
    pub changed_from: Option<crate::Timestamp>,
}

/// What an update changes; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupPatch {
    /// Name, unique among the groups of the space.
    pub name: Option<Box<str>>,
    /// Description.
    pub description: Option<Box<str>>,
}

/// Groups.
#[async_trait]
pub trait GroupStore: Send + Sync {
    /// Creates a group. `Exists` when id or name is taken in its space, `Missing` without space
    /// or super group, `Limit` when the space has `max` groups or the super group lies `depth`
    /// levels deep.
    async fn create_group(&self, group: Group, max: u64, depth: usize) -> Result<(), StoreError>;

    /// Returns a group of a space.
    async fn group(&self, space: &SpaceId, id: &GroupId) -> Result<Option<Group>, StoreError>;

    /// Lists groups, newest first; markers are those of [`super::marker`] on their number.
    async fn groups(
        &self,
        space: &SpaceId,
        filter: &GroupFilter,
        page: &Page,
    ) -> Result<Listing<Group>, StoreError>;

    /// Changes a group and returns it after the change. `Exists` when the name is taken.
    async fn update_group(
        &self,
        space: &SpaceId,
        id: &GroupId,
        patch: GroupPatch,
        now: crate::Timestamp,
    ) -> Result<Group, StoreError>;

    /// Deletes a group with its memberships; the devices stay. `InUse` while it has sub-groups.
    async fn delete_group(&self, space: &SpaceId, id: &GroupId) -> Result<(), StoreError>;

    /// Adds a device of the same space to a static group; `false` when it was in. `Missing`
    /// without one of them, `Limit` when the group has `max` members.
    async fn add_member(
        &self,
        space: &SpaceId,
        id: &GroupId,
        device: &DeviceId,
        max: u64,
    ) -> Result<bool, StoreError>;

    /// Takes a device out of a group; `false` when it was not in.
    async fn remove_member(
        &self,
        space: &SpaceId,
        id: &GroupId,
        device: &DeviceId,
    ) -> Result<bool, StoreError>;

    /// Returns the static groups of a device, newest first.
    async fn groups_of(&self, device: &DeviceId) -> Result<Vec<Group>, StoreError>;

    /// Returns the dynamic groups of a space, newest first.
    async fn dynamic_groups(&self, space: &SpaceId) -> Result<Vec<Group>, StoreError>;
}
