//! Device policies: kept in the store, and in memory for the one question that every message
//! asks. Without bindings the answer costs one atomic load.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use roadstead_core::port::{Page, StoreError, TrustFilter};
use roadstead_core::trust::{
    Action, Policy, Statement, Target, TargetKind, TrustKind, Trusted as _, Verdict,
};
use roadstead_core::{Code, SpaceId};
use roadstead_dialects::cloud::Account;

use super::{Error, Platform};

/// Objects read per call while they are recalled.
const RECALL_PAGE: u32 = 1000;
/// Most targets of one call.
const TARGETS_MAX: usize = 10;

/// Which policies are bound to what.
#[derive(Default)]
pub(super) struct Policies {
    is_any: AtomicBool,
    bound: RwLock<Bound>,
}

#[derive(Default)]
struct Bound {
    policies: HashMap<Box<str>, Arc<Policy>>,
    devices: HashMap<Box<str>, HashSet<Box<str>>>,
    products: HashMap<Box<str>, HashSet<Box<str>>>,
    spaces: HashMap<Box<str>, HashSet<Box<str>>>,
}

impl Bound {
    fn targets(&mut self, kind: TargetKind) -> &mut HashMap<Box<str>, HashSet<Box<str>>> {
        match kind {
            TargetKind::Device => &mut self.devices,
            TargetKind::Product => &mut self.products,
            TargetKind::App => &mut self.spaces,
        }
    }

    fn is_empty(&self) -> bool {
        self.devices.is_empty() && self.products.is_empty() && self.spaces.is_empty()
    }

    fn bind(&mut self, policy: &str, target: &Target) {
        let targets = self.targets(target.kind);
        targets.entry(target.id.clone()).or_default().insert(policy.into());
    }

    fn unbind(&mut self, policy: &str, target: &Target) {
        let targets = self.targets(target.kind);
        if let Some(policies) = targets.get_mut(&target.id) {
            policies.remove(policy);
            if policies.is_empty() {
                targets.remove(&target.id);
            }
        }
    }

    fn forget(&mut self, policy: &str) {
        self.policies.remove(policy);
        for targets in [&mut self.devices, &mut self.products, &mut self.spaces] {
            targets.retain(|_, policies| {
                policies.remove(policy);
                !policies.is_empty()
            });
        }
    }
}

/// A target that could not be bound or unbound.
pub struct FailedTarget {
    /// Its id.
    pub id: String,
    /// Stable code.
    pub code: Code,
    /// Why.
    pub message: String,
}

impl Platform {
    /// Whether the policies of a device let it do something.
    pub(super) fn is_permitted(&self, account: &Account, action: Action, topic: &str) -> bool {
        if !self.policies.is_any.load(Ordering::Acquire) {
            return true;
        }
        let bound = self.policies.bound.read();
        let device = account.device.id.as_str();
        let ids = [
            bound.devices.get(device),
            bound.products.get(account.product.id.as_str()),
            bound.spaces.get(account.device.space.as_str()),
        ];
        let ids = ids.into_iter().flatten().flatten();
        let policies = ids.filter_map(|id| bound.policies.get(id).map(|policy| &**policy));
        Policy::decide(policies, device, action, topic) == Verdict::Allowed
    }

    /// Reads policies and bindings into memory.
    pub(super) async fn recall_policies(&self) -> Result<(), StoreError> {
        let mut bound = Bound::default();
        let mut page = Page { limit: RECALL_PAGE, ..Page::default() };
        loop {
            let listing =
                self.store.trusts(TrustKind::Policy, &TrustFilter::default(), &page).await?;
            let Some(last) = listing.items.last() else { break };
            page.after = Some(last.id().into());
            for policy in listing.items.into_iter().filter_map(Policy::from_object) {
                let mut targets = Page { limit: RECALL_PAGE, ..Page::default() };
                loop {
                    let part = self.store.policy_targets(&policy.id, None, &targets).await?;
                    if part.items.is_empty() {
                        break;
                    }
                    part.items.iter().for_each(|target| bound.bind(&policy.id, target));
                    // An id may stand in two kinds; counting is exact where a marker is not.
                    targets.offset += u32::try_from(part.items.len()).unwrap_or(u32::MAX);
                }
                bound.policies.insert(policy.id.clone(), Arc::new(policy));
            }
        }
        self.change_bound(|old| *old = bound);
        Ok(())
    }

    fn change_bound(&self, change: impl FnOnce(&mut Bound)) {
        let mut bound = self.policies.bound.write();
        change(&mut bound);
        self.policies.is_any.store(!bound.is_empty(), Ordering::Release);
    }

    /// Creates a policy; it says nothing until it is bound.
    ///
    /// # Errors
    ///
    /// `api.bad_request`, `api.conflict`, `api.quota`.
    pub async fn create_policy(
        &self,
        space: &SpaceId,
        name: &str,
        statements: Vec<Statement>,
    ) -> Result<Policy, Error> {
        let now = self.clock.now();
        let policy = Policy {
            id: self.random.id().get(..24).unwrap_or_default().into(),
            space: space.clone(),
            name: name.into(),
            statements,
            created_at: now,
            updated_at: now,
        };
        policy.check().map_err(|error| Error::Invalid(error.0))?;
        self.keep_trust(policy.clone(), self.config.quota.policies).await?;
        self.change_bound(|bound| {
            bound.policies.insert(policy.id.clone(), Arc::new(policy.clone()));
        });
        Ok(policy)
    }

    /// Changes a policy; devices are held to it from the next message on.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `api.bad_request`, `api.conflict`.
    pub async fn update_policy(
        &self,
        space: &SpaceId,
        id: &str,
        name: Option<&str>,
        statements: Option<Vec<Statement>>,
    ) -> Result<Policy, Error> {
        let mut policy: Policy = self.trusted(space, id).await?;
        policy.name = name.map_or(policy.name, Into::into);
        policy.statements = statements.unwrap_or(policy.statements);
        policy.updated_at = self.clock.now();
        policy.check().map_err(|error| Error::Invalid(error.0))?;
        self.replace_trust(policy.clone()).await?;
        self.change_bound(|bound| {
            bound.policies.insert(policy.id.clone(), Arc::new(policy.clone()));
        });
        Ok(policy)
    }

    /// Deletes a policy with its bindings.
    ///
    /// # Errors
    ///
    /// `api.not_found`.
    pub async fn delete_policy(&self, space: &SpaceId, id: &str) -> Result<(), Error> {
        self.trusted::<Policy>(space, id).await?;
        self.store.delete_trust(TrustKind::Policy, id).await?;
        self.change_bound(|bound| bound.forget(id));
        Ok(())
    }

    /// Binds a policy to what exists in its space; returns what does not.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `api.bad_request` for too many or no targets.
    pub async fn bind_policy(
        &self,
        space: &SpaceId,
        id: &str,
        kind: TargetKind,
        ids: &[String],
    ) -> Result<Vec<FailedTarget>, Error> {
        self.trusted::<Policy>(space, id).await?;
        check_count(ids)?;
        let (mut targets, mut failed) = (Vec::new(), Vec::new());
        for target in ids {
            match self.check_target(space, kind, target).await {
                Ok(()) => targets.push(Target { kind, id: target.as_str().into() }),
                Err(error) => failed.push(FailedTarget {
                    id: target.clone(),
                    code: error.code(),
                    message: error.to_string(),
                }),
            }
        }
        self.store.bind_policy(id, targets.clone()).await?;
        self.change_bound(|bound| targets.iter().for_each(|target| bound.bind(id, target)));
        Ok(failed)
    }

    /// Unbinds a policy.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `api.bad_request` for too many or no targets.
    pub async fn unbind_policy(
        &self,
        space: &SpaceId,
        id: &str,
        kind: TargetKind,
        ids: &[String],
    ) -> Result<(), Error> {
        self.trusted::<Policy>(space, id).await?;
        check_count(ids)?;
        let targets: Vec<Target> =
            ids.iter().map(|target| Target { kind, id: target.as_str().into() }).collect();
        self.store.unbind_policy(id, targets.clone()).await?;
        self.change_bound(|bound| targets.iter().for_each(|target| bound.unbind(id, target)));
        Ok(())
    }

    /// Unbinds everything from a target that ceases to exist.
    pub(super) async fn forget_target(&self, target: &Target) -> Result<(), StoreError> {
        if !self.policies.is_any.load(Ordering::Acquire) {
            return Ok(());
        }
        self.store.forget_target(target).await?;
        self.change_bound(|bound| drop(bound.targets(target.kind).remove(&target.id)));
        Ok(())
    }

    async fn check_target(&self, space: &SpaceId, kind: TargetKind, id: &str) -> Result<(), Error> {
        match kind {
            TargetKind::Device => self.device_in(space, &id.into()).await.map(drop),
            TargetKind::Product => self.product(space, &id.into()).await.map(drop),
            TargetKind::App if space.as_str() == id => Ok(()),
            TargetKind::App => Err(Error::NotFound("space")),
        }
    }
}

fn check_count(ids: &[String]) -> Result<(), Error> {
    match (1..=TARGETS_MAX).contains(&ids.len()) {
        true => Ok(()),
        false => Err(Error::Invalid(format!("target_ids: 1 to {TARGETS_MAX}"))),
    }
}
