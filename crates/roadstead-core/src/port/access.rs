//! Spaces, users, access keys, sign-ins.

use alloc::boxed::Box;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::StoreError;
use crate::space::Space;
use crate::user::{AccessKey, Login, User};
use crate::{SpaceId, Timestamp, UserId};

/// Who may call the APIs.
#[async_trait]
pub trait AccessStore: Send + Sync {
    /// Lists all spaces.
    async fn spaces(&self) -> Result<Vec<Space>, StoreError>;

    /// Returns a space.
    async fn space(&self, id: &SpaceId) -> Result<Option<Space>, StoreError>;

    /// Creates a space. `Exists` when id or name is taken.
    async fn create_space(&self, space: Space) -> Result<(), StoreError>;

    /// Renames a space.
    async fn rename_space(&self, id: &SpaceId, name: &str) -> Result<(), StoreError>;

    /// Deletes an empty space; `InUse` when it has products, devices or users.
    async fn delete_space(&self, id: &SpaceId) -> Result<(), StoreError>;

    /// Creates a user. `Exists` when id or name is taken.
    async fn create_user(&self, user: User) -> Result<(), StoreError>;

    /// Returns a user by id.
    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError>;

    /// Returns a user by sign-in name.
    async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError>;

    /// Lists the users of a space by name.
    async fn users(&self, space: &SpaceId) -> Result<Vec<User>, StoreError>;

    /// Replaces name, role and password hash of an existing user. Another hash ends its sign-ins;
    /// `Exists` when the name is taken.
    async fn update_user(&self, user: User) -> Result<(), StoreError>;

    /// Deletes a user with its keys, sign-ins, guest bindings and unused bind tokens; `InUse`
    /// while it owns devices.
    async fn delete_user(&self, id: &UserId) -> Result<(), StoreError>;

    /// Stores an access key.
    async fn create_access_key(&self, key: AccessKey) -> Result<(), StoreError>;

    /// Returns an access key by its public part.
    async fn access_key(&self, id: &str) -> Result<Option<AccessKey>, StoreError>;

    /// Lists the access keys of a user.
    async fn access_keys(&self, user: &UserId) -> Result<Vec<AccessKey>, StoreError>;

    /// Deletes an access key.
    async fn delete_access_key(&self, id: &str) -> Result<(), StoreError>;

    /// Stores a sign-in.
    async fn create_login(&self, login: Login) -> Result<(), StoreError>;

    /// Returns a sign-in that lives at `now`.
    async fn login(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Login>, StoreError>;

    /// Ends a sign-in; ending an unknown one succeeds.
    async fn delete_login(&self, digest: &[u8; 32]) -> Result<(), StoreError>;
}
