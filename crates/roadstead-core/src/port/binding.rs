//! Bindings and bind tokens. Every decision is made by [`crate::binding`] inside the transaction
//! that performs its effects.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::binding::{BindError, BindToken, Binding};
use crate::{BindingId, DeviceId, SpaceId, Timestamp, UserId};

/// A device presents a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindReport {
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// Which device.
    pub device: DeviceId,
    /// When.
    pub now: Timestamp,
    /// How long a token is good that nobody has made before: the device made it. `None` where
    /// such a token is unknown.
    pub own_life: Option<Duration>,
}

/// A user asks to bind with a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindQuery {
    /// SHA-256 of the token.
    pub digest: [u8; 32],
    /// Which device; `None` means the one that reported the token.
    pub device: Option<DeviceId>,
    /// Who asks.
    pub user: UserId,
    /// When.
    pub now: Timestamp,
}

/// A token and the binding it made, after a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenView {
    /// The token as it is now.
    pub token: BindToken,
    /// The owner's binding of the token's device, if there is one.
    pub binding: Option<Binding>,
    /// True when this call changed the owner of the device.
    pub newly_bound: bool,
}

/// Bindings and bind tokens. New binding ids are 128 random bits in hex, made by the engine.
#[async_trait]
pub trait BindingStore: Send + Sync {
    /// Stores a new token. `Exists` for a digest that is taken, `Limit` when the user has
    /// [`crate::limit::BIND_TOKENS_PER_USER_MAX`] live ones. Forgets long expired ones.
    async fn create_token(&self, token: BindToken) -> Result<(), StoreError>;

    /// Returns a token with the owner's binding.
    async fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenView>, StoreError>;

    /// Performs [`crate::binding::report`]; a refusal is noted on the token.
    async fn report_token(
        &self,
        report: BindReport,
    ) -> Result<Result<TokenView, BindError>, StoreError>;

    /// Performs [`crate::binding::bind`]; a refusal by anybody but a stranger is noted on the
    /// token.
    async fn bind_token(
        &self,
        query: BindQuery,
    ) -> Result<Result<TokenView, BindError>, StoreError>;

    /// Ends the ownership of a device and all guest bindings; returns what ended.
    async fn unbind(
        &self,
        device: &DeviceId,
    ) -> Result<Result<Vec<Binding>, BindError>, StoreError>;

    /// Makes `user` a guest of `device`. Repetition returns the existing binding; `Limit` past
    /// [`crate::limit::GUESTS_PER_DEVICE_MAX`]; `NotBound` when the device has no owner.
    async fn share(
        &self,
        device: &DeviceId,
        user: &UserId,
        now: Timestamp,
    ) -> Result<Result<Binding, BindError>, StoreError>;

    /// Makes an existing guest or another user the owner; guests stay.
    async fn transfer(
        &self,
        device: &DeviceId,
        to: &UserId,
        now: Timestamp,
    ) -> Result<Result<Binding, BindError>, StoreError>;

    /// Ends one guest binding.
    async fn unshare(&self, id: &BindingId) -> Result<(), StoreError>;

    /// Returns a binding.
    async fn binding(&self, id: &BindingId) -> Result<Option<Binding>, StoreError>;

    /// Lists the bindings of a user, oldest first.
    async fn bindings_of_user(&self, user: &UserId) -> Result<Vec<Binding>, StoreError>;

    /// Lists the bindings of a device, owner first.
    async fn bindings_of_device(&self, device: &DeviceId) -> Result<Vec<Binding>, StoreError>;

    /// Lists bindings of a space by id.
    async fn bindings(
        &self,
        space: &SpaceId,
        page: &super::Page,
    ) -> Result<super::Listing<Binding>, StoreError>;
}
