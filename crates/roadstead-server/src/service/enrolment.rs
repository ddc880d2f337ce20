//! Registration of devices that make their own secret, and its end.
//!
//! Who repeats a registration gets the same device id. Another secret for a known node is a device
//! that was reset: it gets a new id and loses its owner, and keeps its name, tags and gateway.
//!
//! Not here: whether it may register, which the dialect decides; registration with a secret of
//! the platform ([`super::registration`]).
//!
//! Source: GizWits §3.1, §7.8.

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::device::Device;
use roadstead_core::exchange::Answer;
use roadstead_core::port::{DevicePatch, StoreError};
use roadstead_core::product::Product;
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{Code, DeviceId, Map, Value};
use roadstead_dialects::cloud::{Account, Cloud, Enrolment, Performed};

use super::Platform;
use super::device::dialect_of;

/// How long a phone finds a fresh device by its call sign.
pub(super) const CALL_SIGN_LIFE: Duration = Duration::from_secs(900);
/// Devices that may have one call sign: it is made of network and product.
const CALLED_MAX: usize = 16;
/// How often a registration is tried again when another one of the same node was faster.
const TRIES: usize = 3;

impl Platform {
    /// Registers a device with the secret it made.
    pub(super) async fn enrol(
        &self,
        cloud: &Arc<dyn Cloud>,
        product: &Arc<Product>,
        known: Option<Arc<Device>>,
        enrolment: Enrolment,
    ) -> Result<Performed, Code> {
        let dialect = dialect_of(product).map_err(|error| error.code())?;
        let ids = dialect.check_ids(product.id.as_str(), Some(&enrolment.node));
        ids.map_err(|_| "register.bad_request")?;
        let mut known = known;
        for _ in 0..TRIES {
            let done = match &known {
                Some(device) => self.enrol_again(cloud, product, device, &enrolment).await,
                None => self.enrol_new(cloud, product, None, &enrolment).await,
            };
            match done {
                Err(StoreError::Exists | StoreError::Missing) => {
                    let found = self.store.device_by_node(&product.id, &enrolment.node).await;
                    known = found.map_err(|error| error.code())?;
                }
                Err(StoreError::InUse(_)) => return Err("device.has_children"),
                Err(error) => {
                    tracing::warn!(%error, product = %product.id, "registering a device");
                    return Err(error.code());
                }
                Ok(device) => {
                    self.remember_call_sign(enrolment.call_sign, &device.id);
                    return Ok(Performed::Registered { device, certificate: None });
                }
            }
        }
        Err("internal.overload")
    }

    fn remember_call_sign(&self, sign: Option<Box<str>>, device: &DeviceId) {
        let Some(sign) = sign else { return };
        let now = self.clock.now();
        let mut signs = self.call_signs.lock();
        let mut called = signs.remove(&sign, now).unwrap_or_default();
        called.retain(|known| known != device);
        called.truncate(CALLED_MAX - 1);
        called.insert(0, device.clone());
        signs.set(sign, called, now);
    }

    async fn enrol_again(
        &self,
        cloud: &Arc<dyn Cloud>,
        product: &Arc<Product>,
        device: &Arc<Device>,
        enrolment: &Enrolment,
    ) -> Result<Arc<Device>, StoreError> {
        let info = Some(enrolment.info.clone());
        let is_placeholder = device.id == DeviceId::of_node(&product.id, &device.node);
        if device.secret.as_ref() == Some(&enrolment.secret) && !is_placeholder {
            let patch = DevicePatch { info, ..DevicePatch::default() };
            return self.store.update_device(&device.id, patch).await;
        }
        // A row without a secret waits for its device; an id that somebody gave it stays.
        let waits = device.secret.is_none() && device.activated_at.is_none();
        if !is_placeholder && (waits || enrolment.keeps_id) {
            let secret = Some(enrolment.secret.clone());
            let patch = DevicePatch { secret, info, ..DevicePatch::default() };
            let device = self.store.update_device(&device.id, patch).await?;
            self.revoke(&device.id);
            return Ok(device);
        }
        self.store.delete_device(&device.id).await?;
        let text = "registered again: a new id takes its place";
        let entry = Entry::new(self.clock.now(), Hop::Cloud, "deregister", "ok", text);
        self.note(&device.id, entry);
        self.forget_device(&device.id).await;
        self.revoke(&device.id);
        self.enrol_new(cloud, product, Some(device), enrolment).await
    }

    /// Creates the device; what people said about its predecessor is kept.
    async fn enrol_new(
        &self,
        cloud: &Arc<dyn Cloud>,
        product: &Arc<Product>,
        before: Option<&Arc<Device>>,
        enrolment: &Enrolment,
    ) -> Result<Arc<Device>, StoreError> {
        let Enrolment { node, secret, info, keeps_id: _, call_sign: _ } = enrolment;
        let fresh = cloud.new_device_id(self.random.bytes());
        let mut device = self.candidate(cloud, product, None, node, self.clock.now());
        device.id = fresh.unwrap_or(device.id);
        device.secret = Some(secret.clone());
        device.info = info.clone();
        if let Some(before) = before {
            device.name = before.name.clone();
            device.tags = before.tags.clone();
            device.gateway = before.gateway.clone();
            device.node = before.node.clone();
        }
        self.store.create_device(device.clone()).await?;
        self.observer.count("register", "created");
        let created = self.store.device(&device.id).await?;
        created.ok_or(StoreError::Missing)
    }

    /// Keeps facts a device told about itself over HTTP.
    pub(super) async fn learn(
        &self,
        account: Option<&Account>,
        source: &str,
        facts: Map<String, Value>,
    ) -> Result<Performed, Code> {
        let account = account.ok_or("device.unknown")?;
        let answer = self.learn_info(account, source, facts).await;
        if let Answer::Refused { code, .. } = answer { Err(code) } else { Ok(Performed::Kept) }
    }

    /// Ends a registration: the owner is gone and the secret opens nothing. The device stays, and
    /// registers anew.
    pub(super) async fn retire(
        &self,
        cloud: &Arc<dyn Cloud>,
        account: Option<&Account>,
        source: &str,
    ) -> Result<Performed, Code> {
        let id = &account.ok_or("device.unknown")?.device.id;
        let secret = Some(cloud.new_secret(self.random.bytes()));
        let patch = DevicePatch { secret, activated_at: Some(None), ..DevicePatch::default() };
        self.store.update_device(id, patch).await.map_err(|error| error.code())?;
        // Not to be bound is no failure.
        let _ = self.unbind_by_device(id, source).await;
        self.note(id, Entry::new(self.clock.now(), Hop::Up, "deregister", "ok", source));
        self.revoke(id);
        Ok(Performed::Kept)
    }
}
