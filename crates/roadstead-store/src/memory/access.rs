//! Spaces, users, access keys, sign-ins.

use async_trait::async_trait;
use roadstead_core::binding::{BindingRole, TokenState};
use roadstead_core::port::{AccessStore, StoreError};
use roadstead_core::space::Space;
use roadstead_core::user::{AccessKey, Login, User};
use roadstead_core::{SpaceId, Timestamp, UserId};

use super::{Memory, State};
use crate::rule::LOGINS_PER_USER_MAX;

#[async_trait]
impl AccessStore for Memory {
    async fn spaces(&self) -> Result<Vec<Space>, StoreError> {
        Ok(self.lock().spaces.values().cloned().collect())
    }

    async fn space(&self, id: &SpaceId) -> Result<Option<Space>, StoreError> {
        Ok(self.lock().spaces.get(id).cloned())
    }

    async fn create_space(&self, space: Space) -> Result<(), StoreError> {
        let mut state = self.lock();
        let taken = |other: &Space| other.id == space.id || other.name == space.name;
        if state.spaces.values().any(taken) {
            return Err(StoreError::Exists);
        }
        state.spaces.insert(space.id.clone(), space);
        Ok(())
    }

    async fn rename_space(&self, id: &SpaceId, name: &str) -> Result<(), StoreError> {
        let mut state = self.lock();
        if !state.spaces.contains_key(id) {
            return Err(StoreError::Missing);
        }
        if state.spaces.values().any(|other| other.id != *id && &*other.name == name) {
            return Err(StoreError::Exists);
        }
        state.spaces.get_mut(id).ok_or(StoreError::Missing)?.name = name.into();
        Ok(())
    }

    async fn delete_space(&self, id: &SpaceId) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.products.values().any(|product| product.space == *id) {
            return Err(StoreError::InUse("products"));
        }
        if state.devices.values().any(|held| held.device.space == *id) {
            return Err(StoreError::InUse("devices"));
        }
        if state.users.values().any(|user| user.space == *id) {
            return Err(StoreError::InUse("users"));
        }
        state.spaces.remove(id).map(drop).ok_or(StoreError::Missing)
    }

    async fn create_user(&self, user: User) -> Result<(), StoreError> {
        let mut state = self.lock();
        let taken = |other: &User| other.id == user.id || other.name == user.name;
        if state.users.values().any(taken) {
            return Err(StoreError::Exists);
        }
        if !state.spaces.contains_key(&user.space) {
            return Err(StoreError::Missing);
        }
        state.users.insert(user.id.clone(), user);
        Ok(())
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        Ok(self.lock().users.get(id).cloned())
    }

    async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        Ok(self.lock().users.values().find(|user| &*user.name == name).cloned())
    }

    async fn users(&self, space: &SpaceId) -> Result<Vec<User>, StoreError> {
        let state = self.lock();
        let mut users: Vec<_> =
            state.users.values().filter(|user| user.space == *space).cloned().collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }

    async fn update_user(&self, user: User) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.users.values().any(|other| other.id != user.id && other.name == user.name) {
            return Err(StoreError::Exists);
        }
        let stored = state.users.get_mut(&user.id).ok_or(StoreError::Missing)?;
        stored.name = user.name;
        stored.role = user.role;
        if stored.password_hash != user.password_hash {
            stored.password_hash = user.password_hash;
            state.logins.retain(|_, login| login.user != user.id);
        }
        Ok(())
    }

    async fn delete_user(&self, id: &UserId) -> Result<(), StoreError> {
        let mut state = self.lock();
        if !state.users.contains_key(id) {
            return Err(StoreError::Missing);
        }
        let bindings = state.bindings_of_user(id);
        if bindings.iter().any(|binding| binding.role == BindingRole::Owner) {
            return Err(StoreError::InUse("devices"));
        }
        bindings.iter().for_each(|binding| state.remove_binding(binding));
        state.keys.retain(|_, key| key.user != *id);
        state.records.retain(|_, record| record.user.as_ref() != Some(id));
        state.logins.retain(|_, login| login.user != *id);
        state
            .tokens
            .retain(|_, token| token.user.as_ref() != Some(id) || token.state == TokenState::Bound);
        state.users.remove(id);
        Ok(())
    }

    async fn create_access_key(&self, key: AccessKey) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.keys.contains_key(&key.id) {
            return Err(StoreError::Exists);
        }
        state.require_user(&key.user)?;
        state.keys.insert(key.id.clone(), key);
        Ok(())
    }

    async fn access_key(&self, id: &str) -> Result<Option<AccessKey>, StoreError> {
        Ok(self.lock().keys.get(id).cloned())
    }

    async fn access_keys(&self, user: &UserId) -> Result<Vec<AccessKey>, StoreError> {
        Ok(self.lock().keys.values().filter(|key| key.user == *user).cloned().collect())
    }

    async fn delete_access_key(&self, id: &str) -> Result<(), StoreError> {
        self.lock().keys.remove(id).map(drop).ok_or(StoreError::Missing)
    }

    async fn create_login(&self, login: Login) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.logins.contains_key(&login.digest) {
            return Err(StoreError::Exists);
        }
        state.require_user(&login.user)?;
        let of_user = |other: &&Login| other.user == login.user;
        if state.logins.values().filter(of_user).count() >= LOGINS_PER_USER_MAX {
            let first = state
                .logins
                .values()
                .filter(of_user)
                .min_by_key(|other| (other.expires_at, other.digest))
                .map(|other| other.digest);
            first.and_then(|digest| state.logins.remove(&digest));
        }
        state.logins.insert(login.digest, login);
        Ok(())
    }

    async fn login(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Login>, StoreError> {
        let state = self.lock();
        Ok(state.logins.get(digest).filter(|login| now < login.expires_at).cloned())
    }

    async fn delete_login(&self, digest: &[u8; 32]) -> Result<(), StoreError> {
        self.lock().logins.remove(digest);
        Ok(())
    }
}

impl State {
    /// Fails with `Missing` unless the user exists.
    pub(super) fn require_user(&self, id: &UserId) -> Result<(), StoreError> {
        self.users.contains_key(id).then_some(()).ok_or(StoreError::Missing)
    }
}
