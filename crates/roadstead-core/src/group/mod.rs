//! A group of devices: a list of members, or a rule that says who belongs to it.
//!
//! Not here: who is a member (`port`), what a rule means ([`crate::search`]).
//! Source: Huawei §9.7; models `AddDeviceGroupDTO`, `ShowDeviceGroupResponse`.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::{GroupId, SpaceId, Timestamp};

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Unique in the instance.
    pub id: GroupId,
    /// Tenant.
    pub space: SpaceId,
    /// Display name, unique in the space.
    pub name: Box<str>,
    /// Description.
    pub description: Box<str>,
    /// The group above it.
    pub parent: Option<GroupId>,
    /// How its members are known.
    pub kind: Kind,
    /// Of a dynamic group: the condition of a search that its members fulfil.
    pub rule: Option<Box<str>>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When name, description or members changed last.
    pub changed_at: Timestamp,
    /// Place in the order of creation; given by the store.
    pub number: u64,
}

/// How the members of a group are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// They are listed.
    #[default]
    Static,
    /// A rule says it.
    Dynamic,
}
