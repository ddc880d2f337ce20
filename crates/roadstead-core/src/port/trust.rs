//! Authorities, device certificates, policies and templates.

use alloc::boxed::Box;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::{Listing, Page, StoreError};
use crate::SpaceId;
use crate::trust::{Policy, Target, TargetKind, TrustKind, TrustObject};

/// Which objects of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustFilter {
    /// Of one space.
    pub space: Option<SpaceId>,
    /// With exactly this name.
    pub name: Option<Box<str>>,
    /// With exactly this key: the digest of a certificate.
    pub key: Option<Box<str>>,
}

/// Objects of trust. They are few (device certificates aside) and kept whole.
#[async_trait]
pub trait TrustStore: Send + Sync {
    /// Returns an object.
    async fn trust(&self, kind: TrustKind, id: &str) -> Result<Option<TrustObject>, StoreError>;

    /// Lists objects, newest first; the marker of a page is an id.
    async fn trusts(
        &self,
        kind: TrustKind,
        filter: &TrustFilter,
        page: &Page,
    ) -> Result<Listing<TrustObject>, StoreError>;

    /// Creates an object. `Exists` when its id is taken, or its key in its space.
    async fn create_trust(&self, object: TrustObject) -> Result<(), StoreError>;

    /// Replaces an object. `Missing` when it does not exist, `Exists` when its new key is taken.
    async fn update_trust(&self, object: TrustObject) -> Result<(), StoreError>;

    /// Deletes an object; a policy with its bindings.
    async fn delete_trust(&self, kind: TrustKind, id: &str) -> Result<(), StoreError>;

    /// Binds a policy; binding twice changes nothing. `Missing` when there is no such policy.
    async fn bind_policy(&self, policy: &str, targets: Vec<Target>) -> Result<(), StoreError>;

    /// Unbinds a policy; what is not bound stays so.
    async fn unbind_policy(&self, policy: &str, targets: Vec<Target>) -> Result<(), StoreError>;

    /// Unbinds every policy from a target that ceases to exist.
    async fn forget_target(&self, target: &Target) -> Result<(), StoreError>;

    /// Lists what a policy is bound to, by kind and id; the marker of a page is an id.
    async fn policy_targets(
        &self,
        policy: &str,
        kind: Option<TargetKind>,
        page: &Page,
    ) -> Result<Listing<Target>, StoreError>;

    /// Returns the policies that are bound to any of the targets, each once.
    async fn policies_of(&self, targets: &[Target]) -> Result<Vec<Policy>, StoreError>;

    /// True when any policy is bound to anything.
    async fn has_policies(&self) -> Result<bool, StoreError>;
}
