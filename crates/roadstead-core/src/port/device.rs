//! Devices, their presence, dynamic registration.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use async_trait::async_trait;

use super::{Listing, Page, StoreError};
use crate::device::{Device, Fingerprint};
use crate::search::{Condition, Order};
use crate::session::Presence;
use crate::{DeviceId, GroupId, Map, ProductId, Secret, SpaceId, Timestamp, Value};

/// Which devices a list shows; all given conditions hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceFilter {
    /// Of this product.
    pub product: Option<ProductId>,
    /// With this node id.
    pub node: Option<Box<str>>,
    /// Behind this gateway.
    pub gateway: Option<DeviceId>,
    /// With `gateway`: sub-devices of its sub-devices, too.
    pub cascade: bool,
    /// With this text in its display name.
    pub name: Option<Box<str>>,
    /// Created then or later.
    pub created_from: Option<Timestamp>,
    /// Created then or earlier.
    pub created_until: Option<Timestamp>,
    /// Owned by this user or shared with it.
    pub user: Option<crate::UserId>,
    /// Members of this static group.
    pub group: Option<GroupId>,
    /// With every one of these tags; `None` is any value.
    pub tags: Vec<(Box<str>, Option<Box<str>>)>,
    /// Whose last log-in was refused and that are off line since.
    pub failing: bool,
    /// For which this holds.
    pub condition: Option<Condition>,
    /// Another order than newest first. [`Page::after`] must be `None` then.
    pub order: Vec<Order>,
}

/// Writes the marker of a device in lists: 24 hex digits, as long as the vendor's.
pub fn marker(number: u64) -> String {
    alloc::format!("{number:024x}")
}

/// Reads a marker of a list of devices: the number before which the list goes on.
///
/// # Errors
///
/// `Marker` when it is no marker of such a list.
pub fn read_marker(page: &Page) -> Result<Option<u64>, StoreError> {
    let Some(text) = page.after.as_deref() else { return Ok(None) };
    if text.len() != 24 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(StoreError::Marker);
    }
    let number = u128::from_str_radix(text, 16).map_err(|_| StoreError::Marker)?;
    Ok(u64::try_from(number).ok().filter(|&number| number <= i64::MAX as u64))
}

/// What an update changes; `None` leaves a field as it is.
#[derive(Clone, Default)]
pub struct DevicePatch {
    /// Display name.
    pub name: Option<Box<str>>,
    /// Device secret.
    pub secret: Option<Secret>,
    /// Second device secret.
    pub secondary_secret: Option<Secret>,
    /// Certificate digest; `Some(None)` forgets it.
    pub fingerprint: Option<Option<Fingerprint>>,
    /// Digest of the second certificate; `Some(None)` forgets it.
    pub secondary_fingerprint: Option<Option<Fingerprint>>,
    /// Whether only encrypted connections are meant to be let in.
    pub secure: Option<bool>,
    /// Time from creation to the first log-in, seconds; 0 is for ever.
    pub register_within_s: Option<u32>,
    /// Gateway; `Some(None)` detaches.
    pub gateway: Option<Option<DeviceId>>,
    /// Frozen or not.
    pub frozen: Option<bool>,
    /// Facts to merge into `info`.
    pub info: Option<Map<String, Value>>,
    /// `Some(None)` makes the device register anew.
    pub activated_at: Option<Option<Timestamp>>,
}

/// A session that began or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceChange {
    /// Whose.
    pub device: DeviceId,
    /// The state after the change. A change with a lower epoch than the stored one is ignored.
    pub presence: Presence,
}

/// Result of a dynamic registration.
#[derive(Clone)]
pub struct Registered {
    /// The device, with its secret.
    pub device: Arc<Device>,
    /// True when the registration created it.
    pub created: bool,
}

/// Why a dynamic registration failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Only pre-registered names may register.
    #[error("the device is not pre-registered")]
    UnknownDevice,
    /// It has connected before; its secret is not given out again.
    #[error("the device was activated before")]
    Activated,
    /// Registration is switched off.
    #[error("dynamic registration is off")]
    Off,
    /// The store failed.
    #[error("registering the device")]
    Store(#[from] StoreError),
}

impl RegisterError {
    /// Returns the stable code.
    pub fn code(&self) -> crate::Code {
        match self {
            Self::UnknownDevice => "register.unknown_device",
            Self::Activated => "register.activated",
            Self::Off => "register.off",
            Self::Store(error) => error.code(),
        }
    }
}

/// Devices.
#[async_trait]
pub trait DeviceStore: Send + Sync {
    /// Returns a device.
    async fn device(&self, id: &DeviceId) -> Result<Option<Arc<Device>>, StoreError>;

    /// Returns a device by the vendor's names; hot path of a log-in.
    async fn device_by_node(
        &self,
        product: &ProductId,
        node: &str,
    ) -> Result<Option<Arc<Device>>, StoreError>;

    /// The same from a synchronous TLS callback; may block for the time of one indexed read.
    fn device_by_node_blocking(
        &self,
        product: &ProductId,
        node: &str,
    ) -> Result<Option<Arc<Device>>, StoreError>;

    /// Lists devices with their presence, newest first; markers are those of [`marker`]. The
    /// total is exact for a whole space, product or gateway; otherwise counting stops at
    /// [`crate::limit::COUNT_MAX`]. `TooBroad` when finding them takes too much work.
    async fn devices(
        &self,
        space: &SpaceId,
        filter: &DeviceFilter,
        page: &Page,
    ) -> Result<Listing<(Arc<Device>, Presence)>, StoreError>;

    /// Creates a device. `Exists` when its id, or its node in its product, is taken; `Missing`
    /// without product, space or gateway; `Limit` when its gateway is full or too deep.
    async fn create_device(&self, device: Device) -> Result<(), StoreError>;

    /// Creates or updates many devices in few transactions; one result per device, in order.
    /// `Ok(true)` created, `Ok(false)` existed and was updated or equal.
    async fn import_devices(
        &self,
        devices: Vec<Device>,
    ) -> Result<Vec<Result<bool, StoreError>>, StoreError>;

    /// Changes a device and returns it after the change.
    async fn update_device(
        &self,
        id: &DeviceId,
        patch: DevicePatch,
    ) -> Result<Arc<Device>, StoreError>;

    /// Deletes a device with its bindings, shadow, presence, tags, memberships and pending
    /// messages. `InUse` while it has sub-devices.
    async fn delete_device(&self, id: &DeviceId) -> Result<(), StoreError>;

    /// Deletes devices without sub-devices whose time to log in first has run out, at most `max`,
    /// the most overdue first.
    async fn delete_unregistered(
        &self,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<Arc<Device>>, StoreError>;

    /// Registers a device dynamically: finds or creates it by its node id and gives it
    /// `candidate.secret` unless it has a secret already. The product's policy is read in the
    /// same transaction. A device that was activated is refused; one that registered but never
    /// connected gets the same secret again.
    async fn register_device(&self, candidate: Device) -> Result<Registered, RegisterError>;

    /// Returns what is known of a device's connection.
    async fn presence(&self, id: &DeviceId) -> Result<Presence, StoreError>;

    /// Notes sessions that began or ended; the first one activates its device.
    async fn set_presence(&self, changes: Vec<PresenceChange>) -> Result<(), StoreError>;

    /// Notes a refused log-in.
    async fn note_refusal(
        &self,
        device: &DeviceId,
        code: &str,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Marks every on-line device as lost (`Ending::ServerLost`) at start-up and returns the
    /// highest epoch ever given out.
    async fn recover_presence(&self, now: Timestamp) -> Result<crate::session::Epoch, StoreError>;

    /// Counts devices: all, on line, activated.
    async fn count_devices(&self, space: &SpaceId) -> Result<(u64, u64, u64), StoreError>;
}
