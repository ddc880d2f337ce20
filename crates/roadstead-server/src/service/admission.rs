//! Log-ins that change the registry: members of a registration group, and the first certificate
//! of a device.
//!
//! Not here: proofs (the dialects), the order of a log-in ([`super::login`]).
//!
//! Source: Huawei §1 (fingerprints), §4 (registration groups).

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use roadstead_core::device::Device;
use roadstead_core::port::{DevicePatch, StoreError};
use roadstead_core::product::{Product, Registration};
use roadstead_core::session::Epoch;
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{DeviceId, Timestamp};
use roadstead_dialects::cloud::{Account, Cloud, Hello, Refusal};

use super::Platform;

/// What is going on beside ordinary log-ins.
#[derive(Default)]
pub(super) struct Admissions {
    /// Held while a first certificate is compared and stored: two of them must not both be first.
    learning: tokio::sync::Mutex<()>,
    /// Connections that only hand out credentials; they are no presence.
    provisioning: Mutex<HashSet<Epoch>>,
}

impl Admissions {
    /// Notes a connection that only hands out credentials.
    pub(super) fn enter(&self, epoch: Epoch) {
        self.provisioning.lock().insert(epoch);
    }

    /// Forgets it; true when it was one.
    pub(super) fn leave(&self, epoch: Epoch) -> bool {
        self.provisioning.lock().remove(&epoch)
    }
}

impl Platform {
    /// Stores the first certificate of a device, if its vendor wants that. Of two that come at the
    /// same time one is first, the other is checked against it.
    pub(super) async fn learn_certificate(
        &self,
        cloud: &Arc<dyn Cloud>,
        hello: &Hello<'_>,
        account: Account,
        now: Timestamp,
    ) -> Result<Account, (Account, Refusal)> {
        if cloud.learned_fingerprint(hello, &account).is_none() {
            return Ok(account);
        }
        let _one_at_a_time = self.admissions.learning.lock().await;
        let id = account.device.id.clone();
        let device = match self.store.device(&id).await {
            Ok(device) => device.unwrap_or_else(|| account.device.clone()),
            Err(error) => return Err((account, reading(&error))),
        };
        let account = Account { device, ..account };
        let Some(fingerprint) = cloud.learned_fingerprint(hello, &account) else {
            return match cloud.admit(hello, &account, now) {
                Ok(()) => Ok(account),
                Err(refusal) => Err((account, refusal)),
            };
        };
        let text = format!("first certificate, {fingerprint}");
        let patch = DevicePatch { fingerprint: Some(Some(fingerprint)), ..DevicePatch::default() };
        match self.store.update_device(&id, patch).await {
            Ok(device) => {
                self.note(&id, Entry::new(now, Hop::Up, "set_fingerprint", "ok", &text));
                Ok(Account { device, ..account })
            }
            Err(error) => Err((account, reading(&error))),
        }
    }

    /// Returns the account of a group's member, registered now if its product allows that.
    pub(super) async fn load_member(
        &self,
        (dialect, cloud): (&str, &Arc<dyn Cloud>),
        hello: &Hello<'_>,
        (product, device): (&str, &str),
        now: Timestamp,
    ) -> Result<Account, Refusal> {
        let found = self.store.product(&product.into()).await.map_err(|error| reading(&error))?;
        let product = found.filter(|product| &*product.dialect == dialect).ok_or_else(|| {
            Refusal::new("auth.unknown_product", format!("product `{product}` of the group"))
        })?;
        cloud.admit_member(hello, &product, now)?;
        let id = DeviceId::new(device);
        let known = self.store.device(&id).await.map_err(|error| reading(&error))?;
        if let Some(known) = &known
            && known.product != product.id
        {
            let detail = format!("device `{id}` is of another product than its group");
            return Err(Refusal::new("auth.identity_mismatch", detail));
        }
        let device = match known {
            Some(known) if cloud.registers_once() && known.frozen => {
                return Err(Refusal::new("auth.frozen", "an operator froze the device"));
            }
            Some(known) if cloud.registers_once() && known.activated_at.is_some() => {
                let detail = "the device has been on line; its secret is not given out again";
                return Err(Refusal::new("register.activated", detail));
            }
            Some(known) if cloud.registers_once() && product.registration == Registration::Off => {
                let detail =
                    format!("product `{}` registers no devices ({})", product.id, known.id);
                return Err(Refusal::new("register.off", detail));
            }
            Some(known) if known.activated_at.is_some() || known.frozen => known,
            Some(known) if known.secret.is_some() || known.fingerprint.is_some() => known,
            known => self.register_member(cloud, &product, known, id, now).await?,
        };
        Ok(Account { product, device })
    }

    async fn register_member(
        &self,
        cloud: &Arc<dyn Cloud>,
        product: &Product,
        known: Option<Arc<Device>>,
        id: DeviceId,
        now: Timestamp,
    ) -> Result<Arc<Device>, Refusal> {
        let is_new = known.is_none();
        // A device id is product and node id, unless somebody chose another.
        let node = id.as_str().strip_prefix(product.id.as_str());
        let node = node.and_then(|node| node.strip_prefix('_')).filter(|node| !node.is_empty());
        let node: Box<str> = node.unwrap_or(id.as_str()).into();
        let candidate = self.candidate(cloud, product, known, &node, now);
        let candidate = if is_new { Device { id, ..candidate } } else { candidate };
        match self.store.register_device(candidate).await {
            Ok(registered) => {
                let device = registered.device;
                self.observer.count("register", "ok");
                let text = "by its registration group";
                self.note(&device.id, Entry::new(now, Hop::Up, "register", "ok", text));
                Ok(device)
            }
            Err(error) => Err(Refusal::new(error.code(), format!("registering: {error}"))),
        }
    }
}

fn reading(error: &StoreError) -> Refusal {
    Refusal::new(error.code(), "reading the registry")
}
