//! What lets a device in: secrets, certificates, freezing, its gateway. A caller says whether a
//! changed credential ends the connection that was let in by the old one.
//!
//! Source: Huawei §9.3; models `ResetDeviceSecret`, `ResetFingerprint`, `ChangeGateway`.

use std::sync::Arc;

use roadstead_core::device::{Device, Fingerprint};
use roadstead_core::exchange::Standing;
use roadstead_core::port::{DeviceFilter, DevicePatch, Page};
use roadstead_core::{DeviceId, Secret, SpaceId};
use roadstead_dialects::SecretKind;

use super::device::{check_secret, dialect_of};
use super::{Error, Platform};

/// Which of two credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rank {
    /// The first one.
    #[default]
    Primary,
    /// The second one, with the same power.
    Secondary,
}

impl Platform {
    /// Freezes or thaws a device. Freezing ends its connection; where the vendor has words for it,
    /// the device and its gateway are told before.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn freeze_device(
        &self,
        space: &SpaceId,
        id: &DeviceId,
        frozen: bool,
    ) -> Result<Arc<Device>, Error> {
        let account = self.account_in(space, id).await?;
        let patch = DevicePatch { frozen: Some(frozen), ..DevicePatch::default() };
        let what = if frozen { "freeze" } else { "thaw" };
        let device = self.change_device(id, patch, what).await?;
        let standing = if frozen { Standing::Frozen } else { Standing::Thawed };
        let link = self.link_of(&account).await.unwrap_or_default();
        self.tell_standing(&account, link, standing).await;
        if frozen {
            self.expel(space, id).await;
        }
        Ok(device)
    }

    /// Gives a device another secret, a made one when none is given; `disconnect` ends its
    /// connection.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `import.bad_row` for a secret that breaks the vendor's rules.
    pub async fn reset_secret(
        &self,
        space: &SpaceId,
        id: &DeviceId,
        secret: Option<Secret>,
        rank: Rank,
        disconnect: bool,
    ) -> Result<Secret, Error> {
        let account = self.account_in(space, id).await?;
        let secret = match secret {
            Some(secret) => {
                check_secret(dialect_of(&account.product)?, SecretKind::Device, &secret)?;
                secret
            }
            None => self.new_secret(&account.product)?,
        };
        let kept = Some(secret.clone());
        let patch = match rank {
            Rank::Primary => DevicePatch { secret: kept, ..DevicePatch::default() },
            Rank::Secondary => DevicePatch { secondary_secret: kept, ..DevicePatch::default() },
        };
        self.change_device(id, patch, "reset_secret").await?;
        if disconnect {
            self.expel(space, id).await;
        }
        Ok(secret)
    }

    /// Registers the certificate of a device; without one the next log-in's is kept. `disconnect`
    /// ends its connection.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn set_fingerprint(
        &self,
        space: &SpaceId,
        id: &DeviceId,
        fingerprint: Option<Fingerprint>,
        rank: Rank,
        disconnect: bool,
    ) -> Result<Arc<Device>, Error> {
        self.device_in(space, id).await?;
        let kept = Some(fingerprint);
        let patch = match rank {
            Rank::Primary => DevicePatch { fingerprint: kept, ..DevicePatch::default() },
            Rank::Secondary => {
                DevicePatch { secondary_fingerprint: kept, ..DevicePatch::default() }
            }
        };
        let device = self.change_device(id, patch, "set_fingerprint").await?;
        if disconnect {
            self.expel(space, id).await;
        }
        Ok(device)
    }

    /// Lets a device that was activated register itself once more; ends its connection.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn reset_registration(
        &self,
        space: &SpaceId,
        id: &DeviceId,
    ) -> Result<Arc<Device>, Error> {
        self.device_in(space, id).await?;
        let patch = DevicePatch { activated_at: Some(None), ..DevicePatch::default() };
        let device = self.change_device(id, patch, "reset_registration").await?;
        self.expel(space, id).await;
        Ok(device)
    }

    /// Moves a sub-device behind another gateway.
    ///
    /// # Errors
    ///
    /// `device.unknown` for either, `api.bad_request` for a device that connects directly,
    /// `api.quota` when the gateway is full or too deep.
    pub async fn change_gateway(
        &self,
        space: &SpaceId,
        id: &DeviceId,
        gateway: &DeviceId,
    ) -> Result<Arc<Device>, Error> {
        let device = self.device_in(space, id).await?;
        if device.gateway.is_none() {
            return Err(Error::Invalid("the device connects directly, it has no gateway".into()));
        }
        if device.gateway.as_ref() == Some(gateway) {
            return Ok(device);
        }
        let _gate = self.room_behind(space, gateway).await?;
        let gateway = Some(Some(gateway.clone()));
        let patch = DevicePatch { gateway, ..DevicePatch::default() };
        self.change_device(id, patch, "change_gateway").await
    }

    /// Checks that one more device fits behind a gateway, and lets nobody else in while the
    /// result is held.
    pub(super) async fn room_behind(
        &self,
        space: &SpaceId,
        gateway: &DeviceId,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>, Error> {
        self.device_in(space, gateway).await?;
        let gate = self.gateway_gate.lock().await;
        let filter = DeviceFilter { gateway: Some(gateway.clone()), ..DeviceFilter::default() };
        let page = Page { limit: 1, ..Page::default() };
        let children = self.store.devices(space, &filter, &page).await?.total;
        let max = self.config.quota.children;
        match children >= max {
            true => Err(Error::Quota(format!("a gateway has at most {max} sub-devices"))),
            false => Ok(gate),
        }
    }
}
