//! A person: an operator of a space, or an owner of devices.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::{Secret, SpaceId, Timestamp, UserId};

/// What a user may do in its space. Ordered: a later role may do all that an earlier one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Phone-app user: own devices only, no northbound API.
    Member,
    /// Reads everything in the space.
    Viewer,
    /// Reads, controls devices, manages products and devices.
    Operator,
    /// Everything, users and keys included.
    Admin,
}

/// One account. The password is kept as an Argon2id string (RFC 9106), never as text.
#[derive(Clone)]
pub struct User {
    /// Stable id.
    pub id: UserId,
    /// Tenant.
    pub space: SpaceId,
    /// Sign-in name, unique in the instance.
    pub name: Box<str>,
    /// What the user may do.
    pub role: Role,
    /// PHC string of the password.
    pub password_hash: Secret,
    /// When it was created.
    pub created_at: Timestamp,
}

/// An access key pair for signed northbound calls.
#[derive(Clone)]
pub struct AccessKey {
    /// Public part (AK).
    pub id: Box<str>,
    /// Secret part (SK).
    pub secret: Secret,
    /// Who calls with it.
    pub user: UserId,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A signed-in session of the app or northbound API. Only the digest of the token is kept.
#[derive(Clone)]
pub struct Login {
    /// SHA-256 of the bearer token.
    pub digest: [u8; 32],
    /// Whose it is.
    pub user: UserId,
    /// End of its life.
    pub expires_at: Timestamp,
}
