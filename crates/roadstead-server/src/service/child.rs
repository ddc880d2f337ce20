//! What a gateway may do with devices: register and delete its own, and let devices in that prove
//! themselves (a bridge).
//!
//! A device behind a bridge is not attached to it: it is on line while the bridge's connection
//! lives, and its presence names the bridge.
//!
//! Source: Huawei §3.6, §3.9.

use std::collections::HashSet;

use roadstead_core::device::Device;
use roadstead_core::exchange::{
    Answer, NewSubDevice, SubDevice, SubDeviceFacts, SubDeviceProof, SubDeviceSecret,
};
use roadstead_core::limit::{PAGE_ITEMS_MAX, SUB_DEVICES_MAX};
use roadstead_core::port::{DeviceFilter, Page, PresenceChange};
use roadstead_core::product::Registration;
use roadstead_core::session::{Epoch, Presence};
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{Code, DeviceId, Map, Secret, Timestamp, Value};
use roadstead_dialects::cloud::Account;

use super::gateway::Results;
use super::{Error, NewDevice, Platform, Rank};

/// Transport of a device that came in through a bridge.
pub(super) const BRIDGE: &str = "bridge";

impl Platform {
    /// Registers sub-devices for their gateway.
    pub(super) async fn create_subs(
        &self,
        gateway: &Account,
        source: &str,
        subs: Vec<NewSubDevice>,
        now: Timestamp,
    ) -> Answer {
        let mut results = Vec::with_capacity(subs.len());
        for sub in subs {
            let named = sub.device.clone();
            let created = match self.create_sub(gateway, sub).await {
                Ok(device) => self.facts_of(&device).await,
                Err(code) => Err(code),
            };
            results.push((named, created));
        }
        let refused = results.iter().find_map(|(_, result)| result.as_ref().err().copied());
        let text = format!("{source}, {} sub-devices", results.len());
        let code = refused.unwrap_or("ok");
        self.note(&gateway.device.id, Entry::new(now, Hop::Up, "sub_create", code, &text));
        Answer::Created(results)
    }

    async fn create_sub(
        &self,
        gateway: &Account,
        sub: NewSubDevice,
    ) -> Result<std::sync::Arc<Device>, Code> {
        let NewSubDevice { device, id, name, info } = sub;
        let product = self.store.product(&(&*device.product).into()).await;
        let product = product.map_err(|error| error.code())?;
        let known = |p: &std::sync::Arc<roadstead_core::product::Product>| {
            p.space == gateway.device.space && p.dialect == gateway.product.dialect
        };
        let product = product.filter(known).ok_or("subdevice.unknown_product")?;
        let existing = match &id {
            Some(id) => self.store.device(&(&**id).into()).await,
            None => self.store.device_by_node(&product.id, &device.node).await,
        };
        if let Some(existing) = existing.map_err(|error| error.code())? {
            // Asking twice is no mistake: the answer may have been lost.
            let is_ours = existing.gateway.as_ref() == Some(&gateway.device.id)
                && existing.product == product.id
                && existing.node == device.node;
            return match (is_ours, &existing.gateway) {
                (true, _) => Ok(existing),
                (false, Some(_)) => Err("subdevice.bound_elsewhere"),
                (false, None) => Err("device.exists"),
            };
        }
        let new = NewDevice {
            product: product.id.as_str().into(),
            node: device.node.into(),
            name: (!name.is_empty()).then(|| name.into()),
            id: id.map(Into::into),
            gateway: Some(gateway.device.id.clone()),
            info,
            ..NewDevice::default()
        };
        let created = self.create_device(&gateway.device.space, new).await;
        created.map_err(|error| code_of(&error))
    }

    /// Gives a gateway the secrets of devices that will be behind it: by their products' policy,
    /// until they have been on line.
    pub(super) async fn register_subs(
        &self,
        gateway: &Account,
        source: &str,
        proofs: Vec<SubDeviceProof>,
        now: Timestamp,
    ) -> Answer {
        let mut results = Vec::with_capacity(proofs.len());
        for SubDeviceProof { device, proof } in proofs {
            let given = self.register_sub(gateway, &device, &proof, now).await;
            results.push((device, given));
        }
        let refused = results.iter().find_map(|(_, result)| result.as_ref().err().copied());
        let text = format!("{source}, {} sub-devices", results.len());
        let code = refused.unwrap_or("ok");
        self.note(&gateway.device.id, Entry::new(now, Hop::Up, "sub_register", code, &text));
        Answer::Registered(results)
    }

    async fn register_sub(
        &self,
        gateway: &Account,
        sub: &SubDevice,
        proof: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<SubDeviceSecret, Code> {
        let product = self.store.product(&(&*sub.product).into()).await;
        let product = product.map_err(|error| error.code())?.filter(|product| {
            product.space == gateway.device.space && product.dialect == gateway.product.dialect
        });
        let product = product.ok_or("subdevice.unknown_product")?;
        let cloud = self.cloud(&product.dialect).ok_or("subdevice.unknown_product")?;
        cloud.verify_sub_registration(&product, &sub.node, proof)?;
        let known = self.store.device_by_node(&product.id, &sub.node).await;
        let known = known.map_err(|error| error.code())?;
        if let Some(known) = &known {
            match &known.gateway {
                Some(parent) if *parent != gateway.device.id => {
                    return Err("subdevice.bound_elsewhere");
                }
                Some(_) | None if known.activated_at.is_some() => return Err("register.activated"),
                Some(_) | None => {}
            }
        }
        match (product.registration, &known) {
            (Registration::Off, _) => return Err("register.off"),
            (Registration::Preregistered, None) => return Err("register.unknown_device"),
            (Registration::Preregistered, Some(_)) | (Registration::Open, _) => {}
        }
        let candidate = self.candidate(cloud, &product, known, &sub.node, now);
        let registered = self.store.register_device(candidate).await;
        let device = registered.map_err(|error| error.code())?.device;
        let secret = device.secret.clone().ok_or("auth.no_credential")?;
        let text = format!("by its gateway {}", gateway.device.id);
        self.note(&device.id, Entry::new(now, Hop::Up, "register", "ok", &text));
        Ok(SubDeviceSecret { id: device.id.as_str().into(), secret })
    }

    /// Deletes sub-devices of this gateway.
    pub(super) async fn delete_subs(
        &self,
        gateway: &Account,
        subs: Vec<SubDevice>,
        online: &mut HashSet<DeviceId>,
    ) -> Results {
        let mut results = Vec::with_capacity(subs.len());
        for sub in subs {
            let result = self.delete_sub(gateway, &sub, online).await;
            results.push((sub, result));
        }
        results
    }

    async fn delete_sub(
        &self,
        gateway: &Account,
        sub: &SubDevice,
        online: &mut HashSet<DeviceId>,
    ) -> Result<(), Code> {
        let id: DeviceId = match sub.id() {
            Some(id) => id.into(),
            None => DeviceId::of_node(&(&*sub.product).into(), &sub.node),
        };
        let device = self.store.device(&id).await.map_err(|error| error.code())?;
        let device = device.filter(|device| device.space == gateway.device.space);
        match device.ok_or("subdevice.unknown")?.gateway.as_ref() {
            Some(parent) if *parent == gateway.device.id => {}
            Some(_) | None => return Err("subdevice.not_attached"),
        }
        online.remove(&id);
        let deleted = self.delete_device(&gateway.device.space, &id).await;
        deleted.map_err(|error| code_of(&error))
    }

    /// Tells a gateway what is known about its sub-devices.
    pub(super) async fn describe_subs(
        &self,
        gateway: &Account,
        source: &str,
        now: Timestamp,
    ) -> Answer {
        let limit = u32::try_from(PAGE_ITEMS_MAX).unwrap_or(u32::MAX);
        let filter =
            DeviceFilter { gateway: Some(gateway.device.id.clone()), ..DeviceFilter::default() };
        let mut facts: Vec<SubDeviceFacts> = Vec::new();
        while facts.len() < SUB_DEVICES_MAX {
            let offset = u32::try_from(facts.len()).unwrap_or(u32::MAX);
            let page = Page { limit, offset, ..Page::default() };
            let listed = self.store.devices(&gateway.device.space, &filter, &page).await;
            let items = match listed {
                Ok(listed) => listed.items,
                Err(error) => {
                    let detail = "reading the sub-devices".into();
                    return Answer::Refused { code: error.code(), detail };
                }
            };
            let count = items.len();
            facts.extend(items.iter().map(|(device, presence)| facts_with(device, presence)));
            if count < PAGE_ITEMS_MAX {
                break;
            }
        }
        let text = format!("{source}, {} sub-devices", facts.len());
        self.note(&gateway.device.id, Entry::new(now, Hop::Up, "sub_describe", "ok", &text));
        Answer::Described(facts)
    }

    async fn facts_of(&self, device: &Device) -> Result<SubDeviceFacts, Code> {
        let presence = self.store.presence(&device.id).await.map_err(|error| error.code())?;
        Ok(facts_with(device, &presence))
    }

    /// Lets a device in that a bridge brings, by its own proof.
    pub(super) async fn enter_sub(
        &self,
        bridge: &Account,
        epoch: Epoch,
        proof: &SubDeviceProof,
        online: &mut HashSet<DeviceId>,
        now: Timestamp,
    ) -> Result<(), Code> {
        let id: DeviceId = proof.device.id().ok_or("payload.malformed")?.into();
        let device = self.store.device(&id).await.map_err(|error| error.code())?;
        let device = device.filter(|device| device.space == bridge.device.space);
        let device = device.ok_or("subdevice.unknown")?;
        let product = self.store.product(&device.product).await.map_err(|error| error.code())?;
        let sub = Account { product: product.ok_or("subdevice.unknown")?, device };
        let cloud = self.cloud(&sub.product.dialect).ok_or("subdevice.unknown")?;
        let text = format!("through {}", bridge.device.id);
        let admitted = match sub.device.frozen {
            true => Err("auth.frozen"),
            false => cloud.verify_sub_device(&sub, &proof.proof, now),
        };
        if let Err(code) = admitted {
            self.note(&id, Entry::new(now, Hop::Up, "login", code, &text));
            return Err(code);
        }
        let presence = Presence {
            online: true,
            epoch,
            online_at: Some(now),
            peer: Some(bridge.device.id.as_str().into()),
            transport: Some(BRIDGE.into()),
            ..Presence::default()
        };
        let change = PresenceChange { device: id.clone(), presence };
        self.store.set_presence(vec![change]).await.map_err(|error| error.code())?;
        online.insert(id.clone());
        self.note(&id, Entry::new(now, Hop::Up, "login", "ok", &text));
        Ok(())
    }

    /// Gives a device behind a bridge or gateway another secret; it proves itself by its old one.
    pub(super) async fn reset_sub_secret(
        &self,
        bridge: &Account,
        device: &SubDevice,
        old: &Secret,
        new: Secret,
    ) -> Result<(), Code> {
        let sub = self.sub_account_of(bridge, device).await?.device;
        let rank = match (sub.secret.as_ref(), sub.access.secondary_secret.as_ref()) {
            (Some(known), _) if known == old => Rank::Primary,
            (_, Some(known)) if known == old => Rank::Secondary,
            (_, _) => return Err("auth.bad_password"),
        };
        let reset = self.reset_secret(&sub.space, &sub.id, Some(new), rank, false).await;
        reset.map(drop).map_err(|error| code_of(&error))
    }

    /// True while a device is on line through this bridge.
    pub(super) async fn is_behind_bridge(&self, bridge: &Account, device: &DeviceId) -> bool {
        let presence = self.store.presence(device).await;
        presence.is_ok_and(|presence| {
            presence.online
                && presence.transport.as_deref() == Some(BRIDGE)
                && presence.peer.as_deref() == Some(bridge.device.id.as_str())
        })
    }
}

pub(super) fn facts_with(device: &Device, presence: &Presence) -> SubDeviceFacts {
    SubDeviceFacts {
        device: SubDevice { product: device.product.as_str().into(), node: device.node.clone() },
        id: device.id.as_str().into(),
        name: device.name.clone(),
        gateway: device.gateway.as_ref().map(|gateway| gateway.as_str().into()),
        info: device.info.clone(),
        status: device.status(presence),
    }
}

fn code_of(error: &Error) -> Code {
    error.code()
}
