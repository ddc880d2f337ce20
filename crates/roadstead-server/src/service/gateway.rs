//! Sub-devices behind gateways: attached by proof, on line by the gateway's word, off line with
//! its connection. Source: Tencent §12.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use roadstead_core::exchange::{Answer, SubDevice, SubDeviceProof, SubDevices};
use roadstead_core::limit::{PAGE_ITEMS_MAX, SUB_DEVICES_MAX};
use roadstead_core::port::{DeviceFilter, DevicePatch, Page, PresenceChange, marker};
use roadstead_core::session::{Ending, Epoch, Presence};
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{Code, DeviceId, Timestamp};
use roadstead_dialects::cloud::Account;

use super::Platform;
use super::login::ended;

/// One result per sub-device asked about.
pub(super) type Results = Vec<(SubDevice, Result<(), Code>)>;

/// Which sub-devices each connection of a gateway has said to be on line. The inner lock is held
/// over a whole message, so that messages of one gateway take effect in their order.
#[derive(Default)]
pub(super) struct Gateways(Mutex<HashMap<(DeviceId, Epoch), Online>>);

type Online = Arc<tokio::sync::Mutex<HashSet<DeviceId>>>;

impl Gateways {
    fn of(&self, gateway: &DeviceId, epoch: Epoch) -> Online {
        self.0.lock().entry((gateway.clone(), epoch)).or_default().clone()
    }

    fn remove(&self, gateway: &DeviceId, epoch: Epoch) -> Option<Online> {
        self.0.lock().remove(&(gateway.clone(), epoch))
    }
}

impl Platform {
    /// Performs what a gateway says of its sub-devices.
    pub(super) async fn sub_devices(
        &self,
        gateway: &Account,
        epoch: Epoch,
        source: &str,
        said: SubDevices,
    ) -> Answer {
        let online = self.gateways.of(&gateway.device.id, epoch);
        let mut online = online.lock().await;
        let now = self.clock.now();
        let results = match said {
            SubDevices::Online(subs) => {
                self.subs_online(gateway, epoch, subs, &mut online, now).await
            }
            SubDevices::Offline(subs) => {
                self.subs_offline(gateway, epoch, subs, &mut online, now).await
            }
            SubDevices::Bind(proofs) => self.attach_subs(gateway, proofs, now).await,
            SubDevices::Unbind(subs) => {
                self.detach_subs(gateway, epoch, subs, &mut online, now).await
            }
            SubDevices::Create(subs) => return self.create_subs(gateway, source, subs, now).await,
            SubDevices::Delete(subs) => self.delete_subs(gateway, subs, &mut online).await,
            SubDevices::Describe => return self.describe_subs(gateway, source, now).await,
            SubDevices::Enter(proof) => {
                let sub = proof.device.clone();
                let result = self.enter_sub(gateway, epoch, &proof, &mut online, now).await;
                vec![(sub, result)]
            }
            SubDevices::ResetSecret { device, old, new } => {
                let result = self.reset_sub_secret(gateway, &device, &old.0, new.0).await;
                vec![(device, result)]
            }
            SubDevices::Found(proofs) => self.enrollees_found(gateway, proofs, now).await,
            SubDevices::PasswordKey(proof) => {
                return self.password_key(gateway, source, proof, now).await;
            }
            SubDevices::Login(proofs) => {
                self.log_subs_in(gateway, epoch, proofs, &mut online, now).await
            }
            SubDevices::Register(proofs) => {
                return self.register_subs(gateway, source, proofs, now).await;
            }
            SubDevices::List => match self.attached_subs(gateway).await {
                Ok(subs) => subs.into_iter().map(|sub| (sub, Ok(()))).collect(),
                Err(code) => {
                    return Answer::Refused { code, detail: "reading the sub-devices".into() };
                }
            },
        };
        let refused = results.iter().find_map(|(_, result)| result.err());
        let text = format!("{source}, {} sub-devices", results.len());
        let code = refused.unwrap_or("ok");
        self.note(&gateway.device.id, Entry::new(now, Hop::Up, "sub_devices", code, &text));
        Answer::SubDevices(results)
    }

    /// Returns the account of a sub-device that is attached to the gateway.
    pub(super) async fn sub_account_of(
        &self,
        gateway: &Account,
        sub: &SubDevice,
    ) -> Result<Account, Code> {
        let account = self.find_sub(gateway, sub).await?;
        if account.device.gateway.as_ref() != Some(&gateway.device.id)
            && !self.is_behind_bridge(gateway, &account.device.id).await
        {
            return Err("subdevice.not_attached");
        }
        if account.device.frozen {
            return Err("auth.frozen");
        }
        Ok(account)
    }

    async fn find_sub(&self, gateway: &Account, sub: &SubDevice) -> Result<Account, Code> {
        if let Some(id) = sub.id() {
            let device = self.store.device(&id.into()).await.map_err(|e| e.code())?;
            let device = device.filter(|device| {
                device.space == gateway.device.space && device.id != gateway.device.id
            });
            let device = device.ok_or("subdevice.unknown")?;
            let product = self.store.product(&device.product).await.map_err(|e| e.code())?;
            return Ok(Account { product: product.ok_or("subdevice.unknown")?, device });
        }
        let product = self.store.product(&(&*sub.product).into()).await.map_err(|e| e.code())?;
        let product = product.filter(|product| product.space == gateway.device.space);
        let product = product.ok_or("subdevice.unknown")?;
        let device = self.store.device_by_node(&product.id, &sub.node).await;
        let device = device.map_err(|e| e.code())?.filter(|d| d.id != gateway.device.id);
        Ok(Account { device: device.ok_or("subdevice.unknown")?, product })
    }

    async fn subs_online(
        &self,
        gateway: &Account,
        epoch: Epoch,
        subs: Vec<SubDevice>,
        online: &mut HashSet<DeviceId>,
        now: Timestamp,
    ) -> Results {
        let mut changes = Vec::new();
        let mut results = Vec::new();
        for sub in subs {
            let result = match self.sub_account_of(gateway, &sub).await {
                Err(code) => Err(code),
                Ok(account) => {
                    changes.push(PresenceChange {
                        device: account.device.id.clone(),
                        presence: Presence {
                            online: true,
                            epoch,
                            online_at: Some(now),
                            peer: Some(gateway.device.id.as_str().into()),
                            transport: Some("gateway".into()),
                            ..Presence::default()
                        },
                    });
                    Ok(())
                }
            };
            results.push((sub, result));
        }
        self.change_presence(changes, &mut results, now, "login", |device| {
            online.insert(device.clone());
        })
        .await;
        results
    }

    /// Those attached log in, each by its own proof; the ones whose proof is wrong stay away.
    async fn log_subs_in(
        &self,
        gateway: &Account,
        epoch: Epoch,
        proofs: Vec<SubDeviceProof>,
        online: &mut HashSet<DeviceId>,
        now: Timestamp,
    ) -> Results {
        let mut results = Vec::with_capacity(proofs.len());
        let mut proven = Vec::new();
        for proof in proofs {
            let result = self.check_sub_proof(gateway, &proof, now).await;
            if result.is_ok() {
                proven.push(proof.device.clone());
            }
            results.push((proof.device, result));
        }
        let entered = self.subs_online(gateway, epoch, proven, online, now).await;
        let mut entered = entered.into_iter();
        for (_, result) in results.iter_mut().filter(|(_, result)| result.is_ok()) {
            if let Some((_, outcome)) = entered.next() {
                *result = outcome;
            }
        }
        results
    }

    async fn check_sub_proof(
        &self,
        gateway: &Account,
        proof: &SubDeviceProof,
        now: Timestamp,
    ) -> Result<(), Code> {
        let sub = self.sub_account_of(gateway, &proof.device).await?;
        let cloud = self.cloud(&sub.product.dialect).ok_or("subdevice.unknown")?;
        cloud.verify_sub_device(&sub, &proof.proof, now).inspect_err(|code| {
            let text = format!("through {}", gateway.device.id);
            self.note(&sub.device.id, Entry::new(now, Hop::Up, "login", code, &text));
        })
    }

    /// What waits for sub-devices that their gateway just reported on line can be sent.
    pub(super) async fn subs_ready(
        self: &Arc<Self>,
        gateway: &Account,
        results: &[(SubDevice, Result<(), Code>)],
    ) {
        for (sub, _) in results.iter().filter(|(_, result)| result.is_ok()) {
            if let Ok(account) = self.find_sub(gateway, sub).await {
                self.device_ready(&account.device.id);
            }
        }
    }

    async fn subs_offline(
        &self,
        gateway: &Account,
        epoch: Epoch,
        subs: Vec<SubDevice>,
        online: &mut HashSet<DeviceId>,
        now: Timestamp,
    ) -> Results {
        let mut changes = Vec::new();
        let mut results = Vec::new();
        for sub in subs {
            let result = match self.sub_account_of(gateway, &sub).await {
                Err(code) => Err(code),
                Ok(account) => {
                    changes.extend(self.offline_change(&account.device.id, epoch, now).await);
                    Ok(())
                }
            };
            results.push((sub, result));
        }
        self.change_presence(changes, &mut results, now, "logout", |device| {
            online.remove(device);
        })
        .await;
        results
    }

    /// Writes presences; a failure of the store becomes the result of every sub-device that had
    /// none before.
    async fn change_presence(
        &self,
        changes: Vec<PresenceChange>,
        results: &mut Results,
        now: Timestamp,
        what: &str,
        mut done: impl FnMut(&DeviceId),
    ) {
        let devices: Vec<DeviceId> = changes.iter().map(|change| change.device.clone()).collect();
        match self.store.set_presence(changes).await {
            Ok(()) => {
                for device in &devices {
                    done(device);
                    self.note(device, Entry::new(now, Hop::Up, what, "ok", "by its gateway"));
                }
            }
            Err(error) => {
                for (_, result) in results.iter_mut().filter(|(_, result)| result.is_ok()) {
                    *result = Err(error.code());
                }
            }
        }
    }

    pub(super) async fn offline_change(
        &self,
        device: &DeviceId,
        epoch: Epoch,
        now: Timestamp,
    ) -> Option<PresenceChange> {
        let presence = self.store.presence(device).await.ok()?;
        let ours = presence.online && presence.epoch <= epoch;
        let presence = ended(presence, epoch, Ending::Gateway, now);
        ours.then(|| PresenceChange { device: device.clone(), presence })
    }

    async fn attach_subs(
        &self,
        gateway: &Account,
        proofs: Vec<SubDeviceProof>,
        now: Timestamp,
    ) -> Results {
        let mut results = Vec::new();
        for proof in proofs {
            let result = self.attach_sub(gateway, &proof, now).await;
            results.push((proof.device, result));
        }
        results
    }

    async fn attach_sub(
        &self,
        gateway: &Account,
        proof: &SubDeviceProof,
        now: Timestamp,
    ) -> Result<(), Code> {
        let sub = self.find_sub(gateway, &proof.device).await?;
        let cloud = self.cloud(&sub.product.dialect).ok_or("subdevice.unknown")?;
        let verified = cloud.verify_sub_device(&sub, &proof.proof, now);
        let device = &sub.device.id;
        let text = format!("to {}", gateway.device.id);
        if let Err(code) = verified {
            self.note(device, Entry::new(now, Hop::Up, "attach", code, &text));
            return Err(code);
        }
        match &sub.device.gateway {
            Some(attached) if *attached == gateway.device.id => return Ok(()),
            Some(_) => return Err("subdevice.bound_elsewhere"),
            None => {}
        }
        if self.count_subs(gateway).await? >= SUB_DEVICES_MAX as u64 {
            return Err("subdevice.limit");
        }
        let attach = Some(Some(gateway.device.id.clone()));
        let patch = DevicePatch { gateway: attach, ..DevicePatch::default() };
        self.store.update_device(device, patch).await.map_err(|error| error.code())?;
        self.note(device, Entry::new(now, Hop::Up, "attach", "ok", &text));
        Ok(())
    }

    async fn detach_subs(
        &self,
        gateway: &Account,
        epoch: Epoch,
        subs: Vec<SubDevice>,
        online: &mut HashSet<DeviceId>,
        now: Timestamp,
    ) -> Results {
        let mut results = Vec::new();
        for sub in subs {
            let result = self.detach_sub(gateway, epoch, &sub, online, now).await;
            results.push((sub, result));
        }
        results
    }

    async fn detach_sub(
        &self,
        gateway: &Account,
        epoch: Epoch,
        sub: &SubDevice,
        online: &mut HashSet<DeviceId>,
        now: Timestamp,
    ) -> Result<(), Code> {
        let account = self.find_sub(gateway, sub).await?;
        if account.device.gateway.as_ref() != Some(&gateway.device.id) {
            return Err("subdevice.not_attached");
        }
        let device = &account.device.id;
        let patch = DevicePatch { gateway: Some(None), ..DevicePatch::default() };
        self.store.update_device(device, patch).await.map_err(|error| error.code())?;
        online.remove(device);
        let change = self.offline_change(device, epoch, now).await;
        self.store.set_presence(change.into_iter().collect()).await.map_err(|e| e.code())?;
        let text = format!("from {}", gateway.device.id);
        self.note(device, Entry::new(now, Hop::Up, "detach", "ok", &text));
        Ok(())
    }

    async fn count_subs(&self, gateway: &Account) -> Result<u64, Code> {
        let page = Page { limit: 1, ..Page::default() };
        let listed = self.store.devices(&gateway.device.space, &behind(gateway), &page).await;
        Ok(listed.map_err(|error| error.code())?.total)
    }

    async fn attached_subs(&self, gateway: &Account) -> Result<Vec<SubDevice>, Code> {
        let limit = u32::try_from(PAGE_ITEMS_MAX).unwrap_or(u32::MAX);
        let mut page = Page { limit, ..Page::default() };
        let mut subs = Vec::new();
        loop {
            let listed = self.store.devices(&gateway.device.space, &behind(gateway), &page).await;
            let items = listed.map_err(|error| error.code())?.items;
            let Some((last, _)) = items.last() else { return Ok(subs) };
            page.after = Some(marker(last.number).into());
            subs.extend(items.iter().map(|(device, _)| SubDevice {
                product: device.product.as_str().into(),
                node: device.node.clone(),
            }));
            if subs.len() >= SUB_DEVICES_MAX {
                return Ok(subs);
            }
        }
    }

    /// Returns the presences of the sub-devices that go with a gateway's connection.
    pub(super) async fn leave_gateway(
        &self,
        gateway: &DeviceId,
        epoch: Epoch,
        now: Timestamp,
    ) -> Vec<PresenceChange> {
        let Some(online) = self.gateways.remove(gateway, epoch) else { return Vec::new() };
        let subs: Vec<DeviceId> = online.lock().await.drain().collect();
        let mut changes = Vec::new();
        for sub in &subs {
            changes.extend(self.offline_change(sub, epoch, now).await);
        }
        changes
    }
}

fn behind(gateway: &Account) -> DeviceFilter {
    DeviceFilter { gateway: Some(gateway.device.id.clone()), ..DeviceFilter::default() }
}
