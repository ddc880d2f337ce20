//! Who owns which device, and the bind token that proves it.
//!
//! ```text
//! New --device reports it--> Reported --owner binds--> Bound
//!  |                            |
//!  '--------- life ends --------'--> Expired (derived, never stored)
//! ```
//!
//! Only the token state in the store is the truth: devices of protocol 2.0 print success whatever
//! the cloud says (Tencent §6.3). `decide` is pure; the store calls it inside the transaction
//! that performs its effects, so a device is never half-bound.

mod decide;

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::{AttemptId, BindingId, DeviceId, SpaceId, Timestamp, UserId};

pub use decide::{Effect, Facts, bind, report, unbind};

/// A user's tie to a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Stable id.
    pub id: BindingId,
    /// Tenant.
    pub space: SpaceId,
    /// Who.
    pub user: UserId,
    /// What.
    pub device: DeviceId,
    /// Owner or guest.
    pub role: BindingRole,
    /// Since when.
    pub created_at: Timestamp,
}

/// What a binding allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindingRole {
    /// Controls, shares, transfers and gives up the device. Exactly one per bound device.
    Owner,
    /// Controls it.
    Guest,
}

/// A bind token as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindToken {
    /// SHA-256 of the token text; the text itself is only known to phone and device.
    pub digest: [u8; 32],
    /// Tenant of its maker.
    pub space: SpaceId,
    /// The phone's user, when the phone made it; `None` for a token a device made.
    pub user: Option<UserId>,
    /// The device that reported it.
    pub device: Option<DeviceId>,
    /// Progress.
    pub state: TokenState,
    /// True when the device's report completes the binding without a second call of the app.
    pub auto_bind: bool,
    /// The onboarding attempt it belongs to.
    pub attempt: Option<AttemptId>,
    /// Why the last use of it was refused; a stable code.
    pub refusal: Option<Box<str>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// End of its life.
    pub expires_at: Timestamp,
}

/// Stored progress of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Made, not heard of since.
    New,
    /// A device presented it.
    Reported,
    /// It bound a device; it never binds again.
    Bound,
}

/// Why a token did not bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Nobody made this token, or it was forgotten long ago.
    #[error("the bind token is not known")]
    UnknownToken,
    /// Its life is over.
    #[error("the bind token expired")]
    Expired,
    /// It has bound a device already.
    #[error("the bind token was already used")]
    AlreadyUsed,
    /// The device has not presented it yet.
    #[error("the device has not reported the bind token yet")]
    NotReported,
    /// It was made by another user.
    #[error("the bind token belongs to another account")]
    OtherAccount,
    /// It was made in another space.
    #[error("the bind token belongs to another space")]
    OtherSpace,
    /// Another device presented it.
    #[error("the bind token was reported by another device")]
    OtherDevice,
    /// The device was moved to another instance and reports its tokens there.
    #[error("the device belongs to another region")]
    OtherRegion,
    /// The device has an owner, and the product does not let a new user take over.
    #[error("the device is bound to another user")]
    BoundToOther,
    /// There is no such binding.
    #[error("the device is not bound to this user")]
    NotBound,
}

impl BindError {
    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownToken => "bind.unknown_token",
            Self::Expired => "bind.expired",
            Self::AlreadyUsed => "bind.already_used",
            Self::NotReported => "bind.not_reported",
            Self::OtherAccount => "bind.other_account",
            Self::OtherSpace => "bind.other_space",
            Self::OtherDevice => "bind.other_device",
            Self::OtherRegion => "bind.other_region",
            Self::BoundToOther => "bind.bound_to_other",
            Self::NotBound => "bind.not_bound",
        }
    }
}
