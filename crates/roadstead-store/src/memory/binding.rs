//! Bindings and bind tokens.

use async_trait::async_trait;
use roadstead_core::binding::{BindError, BindToken, Binding, BindingRole};
use roadstead_core::limit::BIND_TOKENS_PER_USER_MAX;
use roadstead_core::port::{
    BindQuery, BindReport, BindingStore, Listing, Page, StoreError, TokenView,
};
use roadstead_core::product::Rebind;
use roadstead_core::{BindingId, DeviceId, SpaceId, Timestamp, UserId};

use super::product::cut;
use super::{Memory, State};
use crate::ledger::{self, Ledger};
use crate::random::Random;
use crate::rule;

#[async_trait]
impl BindingStore for Memory {
    async fn create_token(&self, token: BindToken) -> Result<(), StoreError> {
        let mut state = self.lock();
        let now = token.created_at;
        state.tokens.retain(|_, old| now < old.expires_at + rule::TOKEN_KEPT);
        if state.tokens.contains_key(&token.digest) {
            return Err(StoreError::Exists);
        }
        if let Some(user) = &token.user {
            state.require_user(user)?;
            let counts =
                |old: &&BindToken| old.user.as_ref() == Some(user) && rule::token_lives(old, now);
            if state.tokens.values().filter(counts).count() >= BIND_TOKENS_PER_USER_MAX {
                return Err(StoreError::Limit("bind tokens per user"));
            }
        }
        state.tokens.insert(token.digest, token);
        Ok(())
    }

    async fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenView>, StoreError> {
        let mut state = self.lock();
        let rows = Rows { state: &mut state, random: &self.random };
        rows.token(digest)?.map(|token| ledger::view(&rows, token, false)).transpose()
    }

    async fn report_token(
        &self,
        report: BindReport,
    ) -> Result<Result<TokenView, BindError>, StoreError> {
        ledger::report(&mut Rows { state: &mut self.lock(), random: &self.random }, &report)
    }

    async fn bind_token(
        &self,
        query: BindQuery,
    ) -> Result<Result<TokenView, BindError>, StoreError> {
        ledger::bind(&mut Rows { state: &mut self.lock(), random: &self.random }, &query)
    }

    async fn unbind(
        &self,
        device: &DeviceId,
    ) -> Result<Result<Vec<Binding>, BindError>, StoreError> {
        ledger::unbind(&mut Rows { state: &mut self.lock(), random: &self.random }, device)
    }

    async fn share(
        &self,
        device: &DeviceId,
        user: &UserId,
        now: Timestamp,
    ) -> Result<Result<Binding, BindError>, StoreError> {
        let rows = &mut Rows { state: &mut self.lock(), random: &self.random };
        ledger::share(rows, device, user, now)
    }

    async fn transfer(
        &self,
        device: &DeviceId,
        to: &UserId,
        now: Timestamp,
    ) -> Result<Result<Binding, BindError>, StoreError> {
        let rows = &mut Rows { state: &mut self.lock(), random: &self.random };
        ledger::transfer(rows, device, to, now)
    }

    async fn unshare(&self, id: &BindingId) -> Result<(), StoreError> {
        let mut state = self.lock();
        let guest = state.bindings.get(id).filter(|binding| binding.role == BindingRole::Guest);
        let guest = guest.cloned().ok_or(StoreError::Missing)?;
        state.remove_binding(&guest);
        Ok(())
    }

    async fn binding(&self, id: &BindingId) -> Result<Option<Binding>, StoreError> {
        Ok(self.lock().bindings.get(id).cloned())
    }

    async fn bindings_of_user(&self, user: &UserId) -> Result<Vec<Binding>, StoreError> {
        Ok(self.lock().bindings_of_user(user))
    }

    async fn bindings_of_device(&self, device: &DeviceId) -> Result<Vec<Binding>, StoreError> {
        Ok(self.lock().bindings_of_device(device))
    }

    async fn bindings(&self, space: &SpaceId, page: &Page) -> Result<Listing<Binding>, StoreError> {
        let state = self.lock();
        let of_space = state.bindings.values().filter(|binding| binding.space == *space);
        Ok(cut(of_space, page, |binding| binding.id.as_str()))
    }
}

impl State {
    pub(super) fn bindings_of_user(&self, user: &UserId) -> Vec<Binding> {
        let mut bindings: Vec<_> = self
            .bindings_of_user
            .range((user.clone(), BindingId::new(""))..)
            .take_while(|(of, _)| of == user)
            .filter_map(|(_, id)| self.bindings.get(id).cloned())
            .collect();
        bindings.sort_by(rule::by_age);
        bindings
    }

    pub(super) fn bindings_of_device(&self, device: &DeviceId) -> Vec<Binding> {
        let mut bindings: Vec<_> = self
            .bindings_of_device
            .range((device.clone(), BindingId::new(""))..)
            .take_while(|(of, _)| of == device)
            .filter_map(|(_, id)| self.bindings.get(id).cloned())
            .collect();
        bindings.sort_by(rule::by_rank);
        bindings
    }

    pub(super) fn remove_binding(&mut self, binding: &Binding) {
        self.bindings.remove(&binding.id);
        self.bindings_of_device.remove(&(binding.device.clone(), binding.id.clone()));
        self.bindings_of_user.remove(&(binding.user.clone(), binding.id.clone()));
    }
}

struct Rows<'a> {
    state: &'a mut State,
    random: &'a Random,
}

impl Ledger for Rows<'_> {
    fn token(&self, digest: &[u8; 32]) -> Result<Option<BindToken>, StoreError> {
        Ok(self.state.tokens.get(digest).cloned())
    }

    fn put_token(&mut self, token: &BindToken) -> Result<(), StoreError> {
        self.state.tokens.insert(token.digest, token.clone());
        Ok(())
    }

    fn forget_tokens(&mut self, ended: Timestamp) -> Result<(), StoreError> {
        self.state.tokens.retain(|_, old| ended < old.expires_at);
        Ok(())
    }

    fn device(&self, id: &DeviceId) -> Result<Option<(SpaceId, Rebind)>, StoreError> {
        Ok(self.state.devices.get(id).map(|held| {
            let product = self.state.products.get(&held.device.product);
            (held.device.space.clone(), product.map(|p| p.rebind).unwrap_or_default())
        }))
    }

    fn user_space(&self, id: &UserId) -> Result<Option<SpaceId>, StoreError> {
        Ok(self.state.users.get(id).map(|user| user.space.clone()))
    }

    fn bindings_of(&self, device: &DeviceId) -> Result<Vec<Binding>, StoreError> {
        Ok(self.state.bindings_of_device(device))
    }

    fn put_binding(&mut self, binding: &Binding) -> Result<(), StoreError> {
        let Binding { id, device, user, .. } = binding;
        self.state.bindings_of_device.insert((device.clone(), id.clone()));
        self.state.bindings_of_user.insert((user.clone(), id.clone()));
        self.state.bindings.insert(id.clone(), binding.clone());
        Ok(())
    }

    fn remove_binding(&mut self, binding: &Binding) -> Result<(), StoreError> {
        self.state.remove_binding(binding);
        Ok(())
    }

    fn notify_unbound(&mut self, device: &DeviceId) -> Result<(), StoreError> {
        let held = self.state.devices.get_mut(device).ok_or(StoreError::Missing)?;
        held.push_pending(ledger::UNBOUND_KIND, ledger::UNBOUND_BODY);
        Ok(())
    }

    fn new_id(&mut self) -> Result<BindingId, StoreError> {
        self.random.binding_id()
    }
}
