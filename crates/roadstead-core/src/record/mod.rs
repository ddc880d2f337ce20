//! Records: what the sides for phones and enterprises keep beside the nouns of the domain, and
//! that the domain itself does not interpret. Each has an owner with whom it ends.
//!
//! Not here: anything that decides who may do what to a device; that is [`crate::binding`].

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::{DeviceId, Secret, SpaceId, Timestamp, UserId};

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// An application that may call, by its id; of nobody.
    Application,
    /// What a user tells of itself; of the user, by its id.
    Profile,
    /// How a user calls a device; of both.
    Alias,
    /// An offer to share a device; of the invited user and of the device.
    Invitation,
}

/// One record. The body is encrypted at rest, whatever it is.
#[derive(Clone)]
pub struct Record {
    /// What it is.
    pub kind: RecordKind,
    /// Unique within its kind.
    pub id: Box<str>,
    /// Tenant.
    pub space: SpaceId,
    /// The user with whom it ends.
    pub user: Option<UserId>,
    /// The device with which it ends.
    pub device: Option<DeviceId>,
    /// JSON; at most [`crate::limit::RECORD_BYTES_MAX`] bytes.
    pub body: Secret,
    /// When it was created.
    pub created_at: Timestamp,
}
