//! Devices as operators manage them. What changes a device's right to be connected ends its
//! connection; every other change reaches the connection as [`Order::Reload`].

use std::sync::Arc;

use roadstead_core::device::{Access, Device, Fingerprint, Status};
use roadstead_core::exchange::{Downlink, Standing};
use roadstead_core::limit::NAME_BYTES_MAX;
use roadstead_core::port::{DeviceFilter, DevicePatch, Listing, Page, StoreError};
use roadstead_core::product::{Auth, Product};
use roadstead_core::session::{Ending, Presence};
use roadstead_core::shadow::{Change, Shadow, Values};
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{DeviceId, Map, ProductId, Secret, SpaceId, Value};
use roadstead_dialects::cloud::Account;
use roadstead_dialects::{Dialect, SecretKind};

use super::model::check_set;
use super::{Error, Platform};
use crate::directory::Order;

/// Key of `info` that holds what operators set; devices cannot write keys with this first letter.
const SETTINGS: &str = "$settings";
/// First letter of the keys of `info` that devices cannot write.
pub(super) const RESERVED: char = '$';
/// Devices deleted at once because they never logged in.
const SWEEP_BATCH: usize = 100;
/// Highest log level.
const LOG_LEVEL_MAX: u8 = 4;

/// A device to create.
#[derive(Default)]
pub struct NewDevice {
    /// Its product.
    pub product: String,
    /// The vendor's name inside the product.
    pub node: String,
    /// Display name; the node id when absent.
    pub name: Option<String>,
    /// Its id where the vendor assigns one.
    pub id: Option<String>,
    /// Its secret as the vendor shows it; without one it is pre-registered, unless `make_secret`.
    pub secret: Option<Secret>,
    /// Makes a secret when none is given.
    pub make_secret: bool,
    /// Digest of its certificate.
    pub fingerprint: Option<Fingerprint>,
    /// The gateway it is attached to.
    pub gateway: Option<DeviceId>,
    /// Descriptive fields.
    pub info: Map<String, Value>,
    /// Further credentials and terms of its access.
    pub access: Access,
    /// Values that are desired from the start, by service.
    pub desired: Vec<(String, Map<String, Value>)>,
}

/// What an update changes; `None` leaves a field as it is.
#[derive(Default)]
pub struct DeviceChange {
    /// Display name.
    pub name: Option<String>,
    /// Descriptive fields to merge.
    pub info: Option<Map<String, Value>>,
    /// Whether only encrypted connections are meant to be let in.
    pub secure: Option<bool>,
    /// Time from creation to the first log-in, seconds; 0 is for ever.
    pub register_within_s: Option<u32>,
}

/// A device with what is known of its connection.
#[derive(Clone)]
pub struct DeviceView {
    /// The device.
    pub device: Arc<Device>,
    /// Its connection.
    pub presence: Presence,
}

impl DeviceView {
    /// Returns the state to show.
    pub fn status(&self) -> Status {
        self.device.status(&self.presence)
    }
}

impl Platform {
    /// Returns a device of a space.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn device(&self, space: &SpaceId, id: &DeviceId) -> Result<DeviceView, Error> {
        let device = self.device_in(space, id).await?;
        let presence = self.store.presence(id).await?;
        Ok(DeviceView { device, presence })
    }

    /// Lists devices of a space, newest first.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn devices(
        &self,
        space: &SpaceId,
        filter: &DeviceFilter,
        page: &Page,
    ) -> Result<Listing<DeviceView>, Error> {
        let Listing { items, total } = self.store.devices(space, filter, page).await?;
        let items = items.into_iter().map(|(device, presence)| DeviceView { device, presence });
        Ok(Listing { items: items.collect(), total })
    }

    /// Returns the shadow of a device of a space.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn shadow(&self, space: &SpaceId, id: &DeviceId) -> Result<Shadow, Error> {
        self.device_in(space, id).await?;
        Ok(self.store.shadow(id).await?)
    }

    /// Creates a device. The answer holds its secret.
    ///
    /// # Errors
    ///
    /// `api.not_found` for an unknown product, `device.exists`, `import.*` for a broken vendor
    /// rule, `command.model` for desired values that do not fit, `api.quota`, `api.bad_request`.
    /// Nothing was changed.
    pub async fn create_device(
        &self,
        space: &SpaceId,
        new: NewDevice,
    ) -> Result<Arc<Device>, Error> {
        let product = self.product(space, &new.product.as_str().into()).await?;
        let dialect = dialect_of(&product)?;
        let mut secret = new.secret;
        if secret.is_none() && new.make_secret && product.auth == Auth::Secret {
            secret = Some(self.new_secret(&product)?);
        }
        check_device(dialect, &product.id, &new.node, new.id.as_deref(), secret.as_ref())?;
        if let Some(second) = &new.access.secondary_secret {
            check_secret(dialect, SecretKind::Device, second)?;
        }
        let wishes = wishes(&product, new.desired, self.clock.now())?;
        let name = new.name.unwrap_or_else(|| new.node.clone());
        check_display_name(&name)?;
        // Held until the device is kept, so that two do not take the last place.
        let _gate = match &new.gateway {
            Some(gateway) => Some(self.room_behind(space, gateway).await?),
            None => None,
        };
        let id = match new.id {
            Some(id) => DeviceId::new(id),
            None => DeviceId::of_node(&product.id, &new.node),
        };
        let device = Device {
            id: id.clone(),
            space: space.clone(),
            product: product.id.clone(),
            node: new.node.into(),
            name: name.into(),
            secret,
            fingerprint: new.fingerprint,
            gateway: new.gateway,
            frozen: false,
            info: new.info,
            created_at: self.clock.now(),
            activated_at: None,
            access: new.access,
            tags: roadstead_core::device::Tags::new(),
            number: 0,
        };
        match self.store.create_device(device.clone()).await {
            Ok(()) => {}
            Err(StoreError::Exists) => return Err(Error::DeviceExists(id.as_str().into())),
            Err(error) => return Err(error.into()),
        }
        let mut initial = Self::initial_state(&product, self.clock.now());
        initial.extend(wishes);
        if !initial.is_empty() {
            self.store.change_shadow(&id, initial, None).await?;
        }
        self.note(&id, Entry::new(self.clock.now(), Hop::Api, "create", "ok", ""));
        if self.cloud(&product.dialect).is_some_and(|cloud| cloud.pushes_desired()) {
            let wishes = super::shadow::initial_wishes(&product, self.clock.now());
            if !wishes.is_empty() {
                self.store.change_shadow(&id, wishes, None).await?;
            }
        }
        Ok(Arc::new(device))
    }

    /// Changes name, descriptive fields and terms of access of a device.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `api.bad_request`.
    pub async fn update_device(
        &self,
        space: &SpaceId,
        id: &DeviceId,
        change: DeviceChange,
    ) -> Result<Arc<Device>, Error> {
        self.device_in(space, id).await?;
        let DeviceChange { name, info, secure, register_within_s } = change;
        if let Some(name) = &name {
            check_display_name(name)?;
        }
        if info.as_ref().is_some_and(|info| info.keys().any(|key| key.starts_with(RESERVED))) {
            return Err(Error::Invalid(format!("keys of `info` do not start with `{RESERVED}`")));
        }
        let name = name.map(Into::into);
        let patch = DevicePatch { name, info, secure, register_within_s, ..DevicePatch::default() };
        self.change_device(id, patch, "update").await
    }

    /// Deletes the devices whose time to log in first has run out.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn sweep_unregistered(&self) -> Result<usize, Error> {
        let mut swept = 0;
        loop {
            let now = self.clock.now();
            let gone = self.store.delete_unregistered(now, SWEEP_BATCH).await?;
            for device in &gone {
                self.note(&device.id, Entry::new(now, Hop::Cloud, "expire", "ok", "never seen"));
                self.forget_device(&device.id).await;
                self.revoke(&device.id);
                self.observer.count("device_expired", "ok");
            }
            swept += gone.len();
            if gone.len() < SWEEP_BATCH {
                return Ok(swept);
            }
        }
    }

    /// Deletes a device with everything that is known of it; ends its connection.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `device.has_children`.
    pub async fn delete_device(&self, space: &SpaceId, id: &DeviceId) -> Result<(), Error> {
        self.erase_device(space, id, false).await
    }

    /// Deletes a device; `is_told` says so to the device before its connection ends. What deletes
    /// at a gateway's own word must not wait for that gateway.
    pub(super) async fn erase_device(
        &self,
        space: &SpaceId,
        id: &DeviceId,
        is_told: bool,
    ) -> Result<(), Error> {
        let account = self.account_in(space, id).await?;
        let presence = self.store.presence(id).await?;
        let link = self.link_of(&account).await.unwrap_or_default();
        match self.store.delete_device(id).await {
            Err(StoreError::InUse(_)) => return Err(Error::HasChildren(id.as_str().into())),
            outcome => outcome?,
        }
        if is_told {
            self.tell_standing(&account, link, Standing::Deleted).await;
        }
        self.forget_device(id).await;
        self.revoke(id);
        self.kick(space, id, presence).await;
        Ok(())
    }

    /// Sets how much a device logs (0 off to 4 debug); it learns it now or when it asks.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `api.bad_request`.
    pub async fn set_log_level(
        self: &Arc<Self>,
        space: &SpaceId,
        id: &DeviceId,
        level: u8,
    ) -> Result<(), Error> {
        if level > LOG_LEVEL_MAX {
            return Err(Error::Invalid(format!("a log level is 0 to {LOG_LEVEL_MAX}")));
        }
        self.set_setting(space, id, "log_level", level.into()).await?;
        self.tell(space, id, Downlink::LogLevel(level));
        Ok(())
    }

    /// Sets the remote configuration of a device; it learns it now or when it asks.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn set_config(
        self: &Arc<Self>,
        space: &SpaceId,
        id: &DeviceId,
        config: Value,
    ) -> Result<(), Error> {
        self.set_setting(space, id, "config", config.clone()).await?;
        self.tell(space, id, Downlink::Config(config));
        Ok(())
    }

    pub(super) async fn set_setting(
        &self,
        space: &SpaceId,
        id: &DeviceId,
        key: &str,
        value: Value,
    ) -> Result<(), Error> {
        let device = self.device_in(space, id).await?;
        let mut settings = match device.info.get(SETTINGS) {
            Some(Value::Object(settings)) => settings.clone(),
            Some(_) | None => Map::new(),
        };
        settings.insert(key.into(), value);
        let info = Map::from_iter([(SETTINGS.into(), Value::Object(settings))]);
        let patch = DevicePatch { info: Some(info), ..DevicePatch::default() };
        self.change_device(id, patch, key).await?;
        Ok(())
    }

    /// Sends something that nobody waits for, if the device is on line.
    pub(super) fn tell(self: &Arc<Self>, space: &SpaceId, id: &DeviceId, request: Downlink) {
        let (platform, space, id) = (self.clone(), space.clone(), id.clone());
        tokio::spawn(async move {
            // The trace has the result; the device asks for it after its next log-in.
            drop(platform.request(&space, &id, request, None).await);
        });
    }

    /// Returns a device of a space.
    pub(super) async fn device_in(
        &self,
        space: &SpaceId,
        id: &DeviceId,
    ) -> Result<Arc<Device>, Error> {
        let device = self.store.device(id).await?.filter(|device| device.space == *space);
        device.ok_or_else(|| Error::UnknownDevice(id.as_str().into()))
    }

    pub(super) async fn change_device(
        &self,
        id: &DeviceId,
        patch: DevicePatch,
        what: &str,
    ) -> Result<Arc<Device>, Error> {
        let device = self.store.update_device(id, patch).await?;
        self.note(id, Entry::new(self.clock.now(), Hop::Api, what, "ok", ""));
        self.reload(&device).await;
        Ok(device)
    }

    /// Tells the connection of a device, if there is one, what changed.
    pub(super) async fn reload(&self, device: &Arc<Device>) {
        let Some(link) = self.directory.find(&device.id) else { return };
        match self.store.product(&device.product).await {
            Ok(Some(product)) => {
                let account = Account { product, device: device.clone() };
                // A full mailbox means a connection in trouble; the next log-in reads it anew.
                drop(link.send(Order::Reload(account)));
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, device = %device.id, "reading a product"),
        }
    }

    /// Ends the connection of a device that may no longer be connected.
    pub(super) fn revoke(&self, id: &DeviceId) {
        if let Some(link) = self.directory.find(id) {
            // A connection that cannot take the order is ending anyway.
            drop(link.send(Order::Close(Ending::Revoked)));
        }
    }

    pub(super) fn new_secret(&self, product: &Product) -> Result<Secret, Error> {
        let cloud = self.cloud(&product.dialect);
        let cloud = cloud.ok_or_else(|| Error::Invalid(no_dialect(&product.dialect)))?;
        Ok(cloud.new_secret(self.random.bytes()))
    }
}

/// Checks the values that are desired of a new device and returns them as changes.
fn wishes(
    product: &Product,
    desired: Vec<(String, Map<String, Value>)>,
    at: roadstead_core::Timestamp,
) -> Result<Vec<Change>, Error> {
    let mut seen = std::collections::BTreeSet::new();
    let wish = |(service, properties): (String, Map<String, Value>)| {
        check_set(&product.model, &service, &properties)?;
        if !seen.insert(service.clone()) {
            return Err(Error::Invalid(format!("{service}: the service is named twice")));
        }
        let service = service.as_str().into();
        Ok(Change::Desire { service, values: Values { properties, at } })
    };
    desired.into_iter().map(wish).collect()
}

/// Returns what operators set for a device.
pub(super) fn setting<'a>(device: &'a Device, key: &str) -> Option<&'a Value> {
    device.info.get(SETTINGS)?.get(key)
}

/// Returns the dialect of a product.
pub(super) fn dialect_of(product: &Product) -> Result<&'static dyn Dialect, Error> {
    roadstead_dialects::find(&product.dialect)
        .ok_or_else(|| Error::Invalid(no_dialect(&product.dialect)))
}

/// Checks names and secret of a device against the vendor's rules.
pub(super) fn check_device(
    dialect: &dyn Dialect,
    product: &ProductId,
    node: &str,
    id: Option<&str>,
    secret: Option<&Secret>,
) -> Result<(), Error> {
    use roadstead_core::limit::ID_BYTES_MAX;

    dialect.check_ids(product.as_str(), Some(node))?;
    if let Some(id) = id {
        let fits =
            (1..=ID_BYTES_MAX).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic());
        if !fits {
            let rule = format!("a device id has 1 to {ID_BYTES_MAX} visible ASCII characters");
            return Err(Error::Invalid(rule));
        }
    }
    match secret {
        Some(secret) => check_secret(dialect, SecretKind::Device, secret),
        None => Ok(()),
    }
}

/// Checks a secret against the vendor's rules.
pub(super) fn check_secret(
    dialect: &dyn Dialect,
    kind: SecretKind,
    secret: &Secret,
) -> Result<(), Error> {
    let text = secret.expose_text().ok_or_else(|| Error::Invalid("a secret is text".into()))?;
    Ok(dialect.check_secret(kind, text)?)
}

pub(super) fn check_display_name(name: &str) -> Result<(), Error> {
    if name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "a display name has at most {NAME_BYTES_MAX} bytes and no control characters"
    )))
}

pub(super) fn no_dialect(name: &str) -> String {
    let known: Vec<_> = roadstead_dialects::ALL.iter().map(|dialect| dialect.id()).collect();
    format!("`{name}` is not a dialect; known are {}", known.join(", "))
}
