//! New devices that one on line has found by radio: who sees them, who lets them in.
//!
//! The device that found them (the registrar) tells; its users see; its users choose; then it is
//! told and gets the key under which the new one reads the network's password. Nothing is stored:
//! a device that is not let in says again that it is there.

use std::time::Duration;

use roadstead_core::exchange::{Answer, Downlink, SubDevice, SubDeviceProof, SubDeviceSecret};
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{Code, DeviceId, Timestamp, Value};
use roadstead_dialects::cloud::Account;

use super::{Caller, Error, Platform};

/// Registrars that are remembered.
pub(super) const REGISTRARS_MAX: usize = 4096;
/// New devices of one registrar.
const FOUND_MAX: usize = 16;
/// How long a new device is shown after its registrar told of it, and may be let in after it was
/// chosen.
pub(super) const SEEN_LIFE: Duration = Duration::from_secs(60);

/// A new device within reach of one that is on line.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrollee {
    /// Which.
    pub device: SubDevice,
    /// The device that found it.
    pub registrar: DeviceId,
    /// Strength of its signal there, dBm.
    pub rssi: Option<i64>,
    /// When it was told of last.
    pub seen_at: Timestamp,
    /// A user has chosen it.
    pub is_admitted: bool,
}

impl Platform {
    /// A device tells what new ones it sees; one result for each.
    pub(super) async fn enrollees_found(
        &self,
        registrar: &Account,
        proofs: Vec<SubDeviceProof>,
        now: Timestamp,
    ) -> Vec<(SubDevice, Result<(), Code>)> {
        let mut results = Vec::with_capacity(proofs.len());
        for SubDeviceProof { device, proof } in proofs {
            let checked = self.check_enrollee(registrar, &device, &proof).await;
            if checked.is_ok() {
                let rssi = proof.get("rssi").and_then(Value::as_i64);
                self.remember_enrollee(&registrar.device.id, &device, rssi, now);
            }
            results.push((device, checked));
        }
        results
    }

    fn remember_enrollee(
        &self,
        registrar: &DeviceId,
        device: &SubDevice,
        rssi: Option<i64>,
        now: Timestamp,
    ) {
        let mut seen = self.enrollees.lock();
        let mut known = seen.remove(registrar, now).unwrap_or_default();
        known.retain(|one| now < one.seen_at + SEEN_LIFE);
        let before = known.iter().position(|one| one.device == *device);
        let is_admitted = before.is_some_and(|at| known.remove(at).is_admitted);
        if known.len() < FOUND_MAX {
            let (device, registrar) = (device.clone(), registrar.clone());
            known.push(Enrollee { device, registrar, rssi, seen_at: now, is_admitted });
        }
        seen.set(registrar.clone(), known, now);
    }

    async fn check_enrollee(
        &self,
        registrar: &Account,
        device: &SubDevice,
        proof: &roadstead_core::Map<String, Value>,
    ) -> Result<(), Code> {
        let product = self.store.product(&(&*device.product).into()).await;
        let product = product.map_err(|error| error.code())?.filter(|product| {
            product.space == registrar.device.space && product.dialect == registrar.product.dialect
        });
        let product = product.ok_or("subdevice.unknown_product")?;
        let known = self.store.device_by_node(&product.id, &device.node).await;
        let known = known.map_err(|error| error.code())?;
        if let Some(known) = &known {
            if known.frozen {
                return Err("auth.frozen");
            }
            let bindings = self.store.bindings_of_device(&known.id).await;
            if !bindings.map_err(|error| error.code())?.is_empty() {
                return Err("bind.bound_to_other");
            }
        }
        let cloud = self.cloud(&product.dialect).ok_or("subdevice.unknown_product")?;
        cloud.verify_enrollee(&product, known.as_deref(), &device.node, proof)
    }

    /// Lists the new devices that the caller's own devices see, the latest first.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn enrollees(&self, caller: &Caller) -> Result<Vec<Enrollee>, Error> {
        let now = self.clock.now();
        let bindings = self.store.bindings_of_user(&caller.user).await?;
        let mut all = Vec::new();
        let mut seen = self.enrollees.lock();
        for binding in bindings {
            let known = seen.get_mut(&binding.device, now).map(|known| known.clone());
            all.extend(known.unwrap_or_default());
        }
        all.retain(|one: &Enrollee| now < one.seen_at + SEEN_LIFE);
        all.sort_by_key(|one| std::cmp::Reverse(one.seen_at));
        Ok(all)
    }

    /// Lets a new device into the network of the caller's device that sees it best.
    ///
    /// # Errors
    ///
    /// `api.not_found` when none of them sees it, `command.*` when it cannot be told.
    pub async fn admit_enrollee(
        &self,
        caller: &Caller,
        product: &str,
        node: &str,
    ) -> Result<Enrollee, Error> {
        let is_it = |one: &Enrollee| *one.device.product == *product && *one.device.node == *node;
        let seen = self.enrollees(caller).await?;
        let best = seen.into_iter().filter(is_it).max_by_key(|one| one.rssi);
        let chosen = best.ok_or(Error::NotFound("new device"))?;
        let request = Downlink::Admit(chosen.device.clone());
        self.mark_admitted(&chosen, true);
        let sent = self.request(&caller.space, &chosen.registrar, request, None).await;
        if let Err(error) = sent {
            self.mark_admitted(&chosen, false);
            return Err(error.into());
        }
        Ok(Enrollee { is_admitted: true, ..chosen })
    }

    fn mark_admitted(&self, chosen: &Enrollee, is_admitted: bool) {
        let now = self.clock.now();
        let mut seen = self.enrollees.lock();
        let known = seen.get_mut(&chosen.registrar, now).into_iter().flatten();
        for one in known.filter(|one| one.device == chosen.device) {
            one.is_admitted = is_admitted;
            if is_admitted {
                one.seen_at = now;
            }
        }
    }

    /// A registrar asks for the key of the password for a device that its user chose.
    pub(super) async fn password_key(
        &self,
        registrar: &Account,
        source: &str,
        proof: SubDeviceProof,
        now: Timestamp,
    ) -> Answer {
        let SubDeviceProof { device, proof } = proof;
        let given = self.password_key_of(registrar, &device, &proof, now).await;
        let code = given.as_ref().map_or_else(|code| *code, |_| "ok");
        let text = format!("{source}, for {}/{}", device.product, device.node);
        self.note(&registrar.device.id, Entry::new(now, Hop::Up, "password_key", code, &text));
        Answer::Registered(vec![(device, given)])
    }

    async fn password_key_of(
        &self,
        registrar: &Account,
        device: &SubDevice,
        proof: &roadstead_core::Map<String, Value>,
        now: Timestamp,
    ) -> Result<SubDeviceSecret, Code> {
        let is_admitted = {
            let mut seen = self.enrollees.lock();
            let mut known = seen.get_mut(&registrar.device.id, now).into_iter().flatten();
            known.any(|one| {
                one.device == *device && one.is_admitted && now < one.seen_at + SEEN_LIFE
            })
        };
        if !is_admitted {
            return Err("subdevice.unknown");
        }
        let product = self.store.product(&(&*device.product).into()).await;
        let product = product.map_err(|error| error.code())?.ok_or("subdevice.unknown_product")?;
        let known = self.store.device_by_node(&product.id, &device.node).await;
        let known = known.map_err(|error| error.code())?;
        let cloud = self.cloud(&product.dialect).ok_or("subdevice.unknown_product")?;
        let secret = cloud.password_key(&product, known.as_deref(), proof);
        let secret = secret.ok_or("auth.no_credential")?;
        let id = DeviceId::of_node(&product.id, &device.node);
        Ok(SubDeviceSecret { id: id.as_str().into(), secret })
    }
}
