//! What gateways and bridges are told when the API changes what is behind them.
//!
//! A gateway that is off line is told nothing: it asks for its list after its next log-in. A
//! device that came in through a bridge has no connection of its own to be ended, so the bridge is
//! told to let go of it.
//!
//! Source: Huawei §3.6 (`add_sub_device_notify`, `delete_sub_device_notify`), §3.9 (`disconnect`).

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::device::Device;
use roadstead_core::exchange::{Downlink, Standing, SubDevice};
use roadstead_core::limit::COMMAND_DEADLINE;
use roadstead_core::port::PresenceChange;
use roadstead_core::session::{Ending, Presence};
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{DeviceId, SpaceId};
use roadstead_dialects::cloud::Account;

use super::child::{BRIDGE, facts_with};
use super::command::order;
use super::login::ended;
use super::{Error, NewDevice, Platform};
use crate::directory::Link;

/// How long a notice may take to leave before the connection that carries it ends.
const NOTICE_WAIT: Duration = Duration::from_secs(1);

impl Platform {
    /// Creates a device for an operator; its gateway is told.
    ///
    /// # Errors
    ///
    /// Those of [`Platform::create_device`].
    pub async fn add_device(
        self: &Arc<Self>,
        space: &SpaceId,
        new: NewDevice,
    ) -> Result<Arc<Device>, Error> {
        let device = self.create_device(space, new).await?;
        if let Some(gateway) = &device.gateway {
            self.tell_gateway(gateway, true, &device, &Presence::default()).await;
        }
        Ok(device)
    }

    /// Deletes a device for an operator; its gateway is told.
    ///
    /// # Errors
    ///
    /// Those of [`Platform::delete_device`].
    pub async fn remove_device(
        self: &Arc<Self>,
        space: &SpaceId,
        id: &DeviceId,
    ) -> Result<(), Error> {
        let device = self.device_in(space, id).await?;
        let presence = self.store.presence(id).await?;
        self.erase_device(space, id, true).await?;
        if let Some(gateway) = &device.gateway {
            self.tell_gateway(gateway, false, &device, &presence).await;
        }
        Ok(())
    }

    /// Moves a sub-device behind another gateway for an operator; both are told.
    ///
    /// # Errors
    ///
    /// Those of [`Platform::change_gateway`].
    pub async fn move_device(
        self: &Arc<Self>,
        space: &SpaceId,
        id: &DeviceId,
        gateway: &DeviceId,
    ) -> Result<(), Error> {
        let before = self.device_in(space, id).await?;
        let device = self.change_gateway(space, id, gateway).await?;
        if before.gateway != device.gateway {
            let presence = self.store.presence(id).await?;
            if let Some(old) = &before.gateway {
                self.tell_gateway(old, false, &before, &presence).await;
            }
            self.tell_gateway(gateway, true, &device, &presence).await;
        }
        Ok(())
    }

    async fn tell_gateway(
        self: &Arc<Self>,
        gateway: &DeviceId,
        attached: bool,
        device: &Device,
        presence: &Presence,
    ) {
        if self.directory.find(gateway).is_none() {
            return;
        }
        let facts = facts_with(device, presence);
        let devices = vec![facts.device.clone()];
        let invited = attached.then(|| Downlink::InviteSubDevices(devices.clone()));
        let request = Downlink::SubDevicesChanged { attached, devices, facts: vec![facts] };
        self.post(&device.space, gateway, request).await;
        let product = self.store.product(&device.product).await;
        if let (Some(invited), Ok(Some(product))) = (invited, product)
            && self.tells_standing(&product.dialect)
        {
            self.post(&device.space, gateway, invited).await;
        }
    }

    fn tells_standing(&self, dialect: &str) -> bool {
        self.cloud(dialect).is_some_and(|cloud| cloud.tells_standing())
    }

    /// Tells a device that was on line through `link`, and its gateway, what became of it. Returns
    /// when the words are out: what follows may end the connection. A deleted device's gateway
    /// learns that it was detached elsewhere.
    pub(super) async fn tell_standing(
        &self,
        account: &Account,
        link: Option<Arc<dyn Link>>,
        standing: Standing,
    ) {
        let device = &account.device;
        if !self.tells_standing(&account.product.dialect) {
            return;
        }
        if let Some(link) = link {
            self.say(link.as_ref(), account.clone(), Downlink::Standing(standing)).await;
        }
        let gateway = device.gateway.as_ref().filter(|_| standing != Standing::Deleted);
        let Some(gateway) = gateway else { return };
        let devices =
            vec![SubDevice { product: device.product.as_str().into(), node: device.node.clone() }];
        let request = Downlink::SubDevicesStanding { standing, devices };
        let account = self.account_in(&device.space, gateway).await;
        if let (Some(link), Ok(account)) = (self.directory.find(gateway), account) {
            self.say(link.as_ref(), account, request).await;
        }
    }

    /// Puts something into a connection's mailbox and waits until it was sent; the connection
    /// notes it in the trace.
    async fn say(&self, link: &dyn Link, account: Account, request: Downlink) {
        let Ok(answer) = order(link, account, request, NOTICE_WAIT) else { return };
        drop(tokio::time::timeout(NOTICE_WAIT, answer).await);
    }

    /// Ends the connection of a device that may no longer be connected, also one through a bridge.
    pub(super) async fn expel(&self, space: &SpaceId, id: &DeviceId) {
        self.revoke(id);
        match self.store.presence(id).await {
            Ok(presence) => self.kick(space, id, presence).await,
            Err(error) => tracing::warn!(%error, device = %id, "reading the presence of a device"),
        }
    }

    /// Tells the bridge of a device, if that is how it is on line, to let go of it.
    pub(super) async fn kick(&self, space: &SpaceId, id: &DeviceId, presence: Presence) {
        let is_bridged = presence.online && presence.transport.as_deref() == Some(BRIDGE);
        let Some(bridge) = presence.peer.as_deref().filter(|_| is_bridged).map(DeviceId::from)
        else {
            return;
        };
        let now = self.clock.now();
        let epoch = presence.epoch;
        let presence = ended(presence, epoch, Ending::Revoked, now);
        let change = PresenceChange { device: id.clone(), presence };
        // A deleted device has no presence.
        if matches!(self.store.device(id).await, Ok(Some(_)))
            && let Err(error) = self.store.set_presence(vec![change]).await
        {
            tracing::warn!(%error, device = %id, "noting the end of a session");
        }
        let text = format!("its connection through {bridge}");
        self.note(id, Entry::new(now, Hop::Cloud, "logout", Ending::Revoked.code(), &text));
        let devices = vec![SubDevice::of_id(id.as_str())];
        let request = Downlink::SubDevicesChanged { attached: false, devices, facts: Vec::new() };
        let link = self.directory.find(&bridge);
        let account = self.account_in(space, &bridge).await;
        if let (Some(link), Ok(account)) = (link, account)
            && let Ok(answer) = order(link.as_ref(), account, request, COMMAND_DEADLINE)
        {
            // Dropping the receiver would cancel the message.
            tokio::spawn(tokio::time::timeout(COMMAND_DEADLINE, answer));
        }
    }
}
