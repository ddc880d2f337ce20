//! Regions: which instance a device belongs to, and how it gets there.
//!
//! A device that was moved is told so when it is on line, after every log-in here, and whenever
//! it asks where to connect. Nothing is copied: the other instance knows the device already.
//!
//! Source: Alibaba §4.

use std::sync::Arc;

use roadstead_core::device::Device;
use roadstead_core::exchange::Downlink;
use roadstead_core::port::StoreError;
use roadstead_core::{DeviceId, SpaceId, Value};
use roadstead_dialects::cloud::Place;

use super::device::setting;
use super::{Error, Platform};

/// Name of the setting that says where a device belongs.
const REGION: &str = "region";

impl Platform {
    /// Moves a device to the instance of a region, by name; the own one brings it back.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `api.bad_request` for a region that the settings do not name.
    pub async fn move_to_region(
        self: &Arc<Self>,
        space: &SpaceId,
        id: &DeviceId,
        region: &str,
    ) -> Result<(), Error> {
        let known = &self.config.region;
        if region != known.name && self.place_of_region(region).is_none() {
            let names: Vec<_> = known.peers.keys().map(String::as_str).collect();
            let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            return Err(Error::Invalid(format!(
                "region `{region}` has no address; `region.peers` names {names}"
            )));
        }
        self.set_setting(space, id, REGION, region.into()).await?;
        if region != known.name {
            self.tell(space, id, Downlink::Moved);
        }
        Ok(())
    }

    /// Returns where a device belongs; `None` is here.
    pub(super) fn place_of(&self, device: &Device) -> Option<Place> {
        self.place_of_region(setting(device, REGION).and_then(Value::as_str)?)
    }

    /// True when a device belongs to another instance.
    pub(super) async fn is_elsewhere(&self, id: &DeviceId) -> Result<bool, StoreError> {
        Ok(self.store.device(id).await?.is_some_and(|device| self.place_of(&device).is_some()))
    }

    /// Returns where a region is; `None` is here, or not known.
    pub(super) fn place_of_region(&self, region: &str) -> Option<Place> {
        let known = &self.config.region;
        let address = known.peers.get(region).filter(|_| region != known.name)?;
        let (host, port) = address.rsplit_once(':')?;
        Some(Place { host: host.into(), port: port.parse().ok()? })
    }

    /// Tells a device that logged in here where it belongs, if that is elsewhere.
    pub(super) fn send_away(self: &Arc<Self>, device: &Device) {
        if self.place_of(device).is_some() {
            self.tell(&device.space, &device.id, Downlink::Moved);
        }
    }
}
