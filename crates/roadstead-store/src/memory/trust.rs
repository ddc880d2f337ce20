//! Authorities, device certificates, policies and templates.

use async_trait::async_trait;
use roadstead_core::limit::PAGE_ITEMS_MAX;
use roadstead_core::port::{Listing, Page, StoreError, TrustFilter, TrustStore};
use roadstead_core::trust::{Policy, Target, TargetKind, TrustKind, TrustObject};

use super::{Memory, State};

#[async_trait]
impl TrustStore for Memory {
    async fn trust(&self, kind: TrustKind, id: &str) -> Result<Option<TrustObject>, StoreError> {
        let state = self.lock();
        Ok(state.trust.iter().find(|object| is(object, kind, id)).cloned())
    }

    async fn trusts(
        &self,
        kind: TrustKind,
        filter: &TrustFilter,
        page: &Page,
    ) -> Result<Listing<TrustObject>, StoreError> {
        let state = self.lock();
        let fits = |object: &&TrustObject| {
            object.kind() == kind
                && filter.space.as_ref().is_none_or(|space| object.space() == space)
                && filter.name.as_deref().is_none_or(|name| object.name() == name)
                && filter.key.as_deref().is_none_or(|key| object.key() == key)
        };
        let found: Vec<&TrustObject> = state.trust.iter().rev().filter(fits).collect();
        let start = match &page.after {
            // An unknown marker has nothing behind it.
            Some(after) => {
                found.iter().position(|o| o.id() == &**after).map_or(found.len(), |n| n + 1)
            }
            None => 0,
        };
        Ok(cut(found, start, page))
    }

    async fn create_trust(&self, object: TrustObject) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.trust.iter().any(|other| is(other, object.kind(), object.id())) {
            return Err(StoreError::Exists);
        }
        key_is_free(&state, &object)?;
        state.trust.push(object);
        Ok(())
    }

    async fn update_trust(&self, object: TrustObject) -> Result<(), StoreError> {
        let mut state = self.lock();
        key_is_free(&state, &object)?;
        let stored = state.trust.iter_mut().find(|other| is(other, object.kind(), object.id()));
        *stored.ok_or(StoreError::Missing)? = object;
        Ok(())
    }

    async fn delete_trust(&self, kind: TrustKind, id: &str) -> Result<(), StoreError> {
        let mut state = self.lock();
        let at = state.trust.iter().position(|object| is(object, kind, id));
        state.trust.remove(at.ok_or(StoreError::Missing)?);
        if kind == TrustKind::Policy {
            state.policy_targets.retain(|(policy, _)| &**policy != id);
        }
        Ok(())
    }

    async fn bind_policy(&self, policy: &str, targets: Vec<Target>) -> Result<(), StoreError> {
        let mut state = self.lock();
        if !state.trust.iter().any(|object| is(object, TrustKind::Policy, policy)) {
            return Err(StoreError::Missing);
        }
        state.policy_targets.extend(targets.into_iter().map(|target| (policy.into(), target)));
        Ok(())
    }

    async fn unbind_policy(&self, policy: &str, targets: Vec<Target>) -> Result<(), StoreError> {
        let mut state = self.lock();
        for target in targets {
            state.policy_targets.remove(&(policy.into(), target));
        }
        Ok(())
    }

    async fn forget_target(&self, target: &Target) -> Result<(), StoreError> {
        self.lock().policy_targets.retain(|(_, other)| other != target);
        Ok(())
    }

    async fn policy_targets(
        &self,
        policy: &str,
        kind: Option<TargetKind>,
        page: &Page,
    ) -> Result<Listing<Target>, StoreError> {
        let state = self.lock();
        let fits = |target: &Target| kind.is_none_or(|kind| target.kind == kind);
        let found: Vec<&Target> = state
            .policy_targets
            .iter()
            .filter(|(owner, target)| &**owner == policy && fits(target))
            .map(|(_, target)| target)
            .collect();
        let start = match &page.after {
            Some(after) => found.iter().position(|t| t.id == *after).map_or(found.len(), |n| n + 1),
            None => 0,
        };
        Ok(cut(found, start, page))
    }

    async fn policies_of(&self, targets: &[Target]) -> Result<Vec<Policy>, StoreError> {
        let state = self.lock();
        let bound = |id: &str| {
            state
                .policy_targets
                .iter()
                .any(|(policy, target)| &**policy == id && targets.contains(target))
        };
        let policies = state.trust.iter().filter_map(|object| match object {
            TrustObject::Policy(policy) if bound(&policy.id) => Some(policy.clone()),
            TrustObject::Policy(_)
            | TrustObject::Authority(_)
            | TrustObject::Certificate(_)
            | TrustObject::Template(_) => None,
        });
        Ok(policies.collect())
    }

    async fn has_policies(&self) -> Result<bool, StoreError> {
        Ok(!self.lock().policy_targets.is_empty())
    }
}

fn is(object: &TrustObject, kind: TrustKind, id: &str) -> bool {
    object.kind() == kind && object.id() == id
}

fn key_is_free(state: &State, object: &TrustObject) -> Result<(), StoreError> {
    let same = |other: &TrustObject| {
        other.kind() == object.kind()
            && other.space() == object.space()
            && other.key() == object.key()
            && other.id() != object.id()
    };
    if state.trust.iter().any(same) { Err(StoreError::Exists) } else { Ok(()) }
}

fn cut<T: Clone>(found: Vec<&T>, start: usize, page: &Page) -> Listing<T> {
    let limit = (page.limit as usize).min(PAGE_ITEMS_MAX);
    let items = found.iter().skip(start + page.offset as usize).take(limit);
    Listing { items: items.map(|item| (*item).clone()).collect(), total: found.len() as u64 }
}
