//! Bluetooth by BlueZ: a GATT server for one framing of [`roadstead_wire::ble`], and the
//! advertisement that lets a phone find it.
//!
//! ```text
//! phone --ATT--> bluetoothd --D-Bus: WriteValue--> Peripheral --Guest::Wrote--> the device's loop
//!                           <--PropertiesChanged--            <--notify()------
//! ```
//!
//! One phone at a time: another one is refused until the first has gone. Bonding is not asked for.
//! The D-Bus policy of `bluetoothd` lets root and the group `bluetooth` register.
//!
//! Source: BlueZ `doc/org.bluez.{Adapter,Device,GattManager,GattService,GattCharacteristic,
//! LEAdvertisingManager,LEAdvertisement}.rst`, 5.50 and later.

mod objects;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use roadstead_wire::ble::{PIECE_MAX, PIECE_MIN, Role, Service};
use tokio::sync::mpsc;
use zbus::zvariant::{ObjectPath, OwnedObjectPath, Value};
use zbus::{Connection, DBusError as _, fdo, proxy};

use objects::{Advertisement, Attribute, GattService};

/// Where the objects of this process live on the bus.
const ROOT: &str = "/io/roadstead";
/// Events that wait for the device's loop; above it a phone's writes are refused.
const EVENTS_MAX: usize = 64;
/// What ATT takes of an MTU.
const ATT_HEADER: u16 = 3;

/// What a phone did.
#[derive(Clone, PartialEq, Eq)]
pub enum Guest {
    /// It wrote for the first time; a write or notification may have this many bytes.
    Came(usize),
    /// It wrote to the framing.
    Wrote(Vec<u8>),
    /// Its connection is gone.
    Left,
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Came(size) => write!(f, "Came({size})"),
            Self::Wrote(bytes) => write!(f, "Wrote({} bytes)", bytes.len()),
            Self::Left => f.write_str("Left"),
        }
    }
}

/// A device that phones find and write to.
#[async_trait::async_trait]
pub trait Peripheral: Send {
    /// Waits for what a phone does; `None` when the radio is gone.
    async fn next(&mut self) -> Option<Guest>;

    /// Notifies the phone; bytes of a framing that belong nowhere are dropped.
    ///
    /// # Errors
    /// The radio is gone.
    async fn notify(&mut self, note: &[u8]) -> Result<(), BluetoothError>;

    /// Sends the phone away.
    ///
    /// # Errors
    /// The radio is gone.
    async fn dismiss(&mut self) -> Result<(), BluetoothError>;
}

/// Why Bluetooth does not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BluetoothError {
    /// There is no message bus, or no `bluetoothd` on it.
    #[error("BlueZ does not answer")]
    NoBlueZ(#[source] zbus::Error),
    /// There is no such adapter.
    #[error("BlueZ has no adapter `{adapter}`")]
    NoAdapter {
        /// Its name, such as `hci0`.
        adapter: String,
    },
    /// The adapter is switched off and cannot be switched on.
    #[error("adapter `{adapter}` is off")]
    Off {
        /// Its name.
        adapter: String,
        /// Why it stays off.
        #[source]
        cause: zbus::Error,
    },
    /// The process may not.
    #[error("BlueZ does not permit it")]
    Denied(#[source] zbus::Error),
    /// BlueZ refused otherwise.
    #[error("BlueZ refused")]
    Refused(#[source] zbus::Error),
}

impl BluetoothError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoBlueZ(_) => "bluetooth.no_bluez",
            Self::NoAdapter { .. } => "bluetooth.no_adapter",
            Self::Off { .. } => "bluetooth.off",
            Self::Denied(_) => "bluetooth.denied",
            Self::Refused(_) => "bluetooth.refused",
        }
    }
}

impl From<zbus::Error> for BluetoothError {
    fn from(error: zbus::Error) -> Self {
        let name = name_of(&error);
        match name.as_str() {
            "" => Self::NoBlueZ(error),
            "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner" => Self::NoBlueZ(error),
            "org.freedesktop.DBus.Error.AccessDenied"
            | "org.bluez.Error.NotPermitted"
            | "org.bluez.Error.NotAuthorized" => Self::Denied(error),
            _ => Self::Refused(error),
        }
    }
}

#[proxy(interface = "org.bluez.Adapter1", default_service = "org.bluez", gen_blocking = false)]
trait Adapter {
    #[zbus(property)]
    fn powered(&self) -> zbus::Result<bool>;

    #[zbus(property)]
    fn set_powered(&self, powered: bool) -> zbus::Result<()>;
}

#[proxy(interface = "org.bluez.GattManager1", default_service = "org.bluez", gen_blocking = false)]
trait GattManager {
    fn register_application(
        &self,
        application: &ObjectPath<'_>,
        options: HashMap<&str, Value<'_>>,
    ) -> zbus::Result<()>;
}

#[proxy(
    interface = "org.bluez.LEAdvertisingManager1",
    default_service = "org.bluez",
    gen_blocking = false
)]
trait AdvertisingManager {
    fn register_advertisement(
        &self,
        advertisement: &ObjectPath<'_>,
        options: HashMap<&str, Value<'_>>,
    ) -> zbus::Result<()>;
}

#[proxy(interface = "org.bluez.Device1", default_service = "org.bluez", gen_blocking = false)]
trait Device {
    fn disconnect(&self) -> zbus::Result<()>;

    #[zbus(property)]
    fn connected(&self) -> zbus::Result<bool>;
}

/// What the objects on the bus and the driver share.
struct Shared {
    /// The phone that is served.
    guest: Mutex<Option<OwnedObjectPath>>,
    events: mpsc::Sender<Guest>,
    bus: Connection,
}

impl Shared {
    /// Takes a write of a phone; the first one decides who is served.
    fn write(
        self: &Arc<Self>,
        device: Option<OwnedObjectPath>,
        mtu: Option<u16>,
        bytes: Vec<u8>,
    ) -> fdo::Result<()> {
        // A bus without the option serves one phone at a time by itself.
        let device = device.unwrap_or_default();
        let busy = || fdo::Error::LimitsExceeded("busy".into());
        {
            let mut guest = self.guest.lock().unwrap_or_else(PoisonError::into_inner);
            match &*guest {
                Some(known) if *known == device => {}
                Some(_) => return Err(fdo::Error::AccessDenied("another phone is served".into())),
                None => {
                    let size =
                        mtu.map_or(PIECE_MIN, |it| usize::from(it.saturating_sub(ATT_HEADER)));
                    let size = size.clamp(PIECE_MIN, PIECE_MAX);
                    self.events.try_send(Guest::Came(size)).map_err(|_| busy())?;
                    *guest = Some(device.clone());
                    tokio::spawn(watch(self.clone(), device));
                }
            }
        }
        self.events.try_send(Guest::Wrote(bytes)).map_err(|_| busy())
    }

    /// Lets the next phone in, if this one is still served; says whether it was.
    fn forget(&self, device: &OwnedObjectPath) -> bool {
        let mut guest = self.guest.lock().unwrap_or_else(PoisonError::into_inner);
        let was = guest.as_ref() == Some(device);
        if was {
            *guest = None;
        }
        was
    }
}

/// Waits until a phone's connection is gone.
async fn watch(shared: Arc<Shared>, device: OwnedObjectPath) {
    let gone = async {
        let proxy = DeviceProxy::builder(&shared.bus).path(device.clone())?.build().await?;
        let mut changes = proxy.receive_connected_changed().await;
        while let Some(change) = changes.next().await {
            if !change.get().await? {
                break;
            }
        }
        Ok::<(), zbus::Error>(())
    };
    if let Err(error) = gone.await {
        tracing::debug!(%error, "a phone cannot be watched");
        return;
    }
    if shared.forget(&device) {
        // A loop that is gone has no use for it.
        let _ = shared.events.send(Guest::Left).await;
    }
}

/// A GATT server and its advertisement. Both end with the connection to the bus.
pub struct BlueZ {
    shared: Arc<Shared>,
    service: Service,
    events: mpsc::Receiver<Guest>,
}

impl BlueZ {
    /// Serves a framing on an adapter (`hci0`), over the bus of the system, under a name of up to 26
    /// bytes that fits into an advertisement.
    ///
    /// # Errors
    /// There is no bus, no BlueZ, no adapter, or a right is missing.
    pub async fn serve(
        adapter: &str,
        service: Service,
        name: &str,
    ) -> Result<Self, BluetoothError> {
        let bus = Connection::system().await.map_err(BluetoothError::NoBlueZ)?;
        Self::on(bus, adapter, service, name).await
    }

    /// Serves a framing over a given connection.
    ///
    /// # Errors
    /// As [`BlueZ::serve`].
    pub async fn on(
        bus: Connection,
        adapter: &str,
        service: Service,
        name: &str,
    ) -> Result<Self, BluetoothError> {
        let path = ObjectPath::try_from(format!("/org/bluez/{adapter}"))
            .map_err(|_| BluetoothError::NoAdapter { adapter: adapter.to_owned() })?;
        power(&bus, &path, adapter).await?;
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let shared = Arc::new(Shared { guest: Mutex::default(), events: sender, bus: bus.clone() });
        let server = bus.object_server();
        server.at(ROOT, fdo::ObjectManager).await?;
        server.at(service_path(), GattService::new(&service.uuid)).await?;
        for (at, characteristic) in service.characteristics.iter().enumerate() {
            let attribute = Attribute::new(characteristic, service_path(), shared.clone());
            server.at(characteristic_path(at), attribute).await?;
        }
        let advertisement = Advertisement::new(&service, name);
        server.at(advertisement_path(), advertisement).await?;
        let root = ObjectPath::from_static_str_unchecked(ROOT);
        let gatt = GattManagerProxy::builder(&bus).path(&path)?.build().await?;
        gatt.register_application(&root, HashMap::new()).await?;
        let advertising = AdvertisingManagerProxy::builder(&bus).path(&path)?.build().await?;
        let advertisement =
            ObjectPath::try_from(advertisement_path()).map_err(zbus::Error::from)?;
        advertising.register_advertisement(&advertisement, HashMap::new()).await?;
        Ok(Self { shared, service, events })
    }
}

/// Returns the name of an error that came over the bus; empty when the bus itself failed.
fn name_of(error: &zbus::Error) -> String {
    if let zbus::Error::MethodError(name, ..) = error {
        name.to_string()
    } else if let zbus::Error::FDO(error) = error {
        error.name().to_string()
    } else {
        String::new()
    }
}

/// Switches the adapter on.
async fn power(
    bus: &Connection,
    path: &ObjectPath<'_>,
    adapter: &str,
) -> Result<(), BluetoothError> {
    let proxy = AdapterProxy::builder(bus)
        .path(path)?
        .cache_properties(proxy::CacheProperties::No)
        .build()
        .await?;
    let no_adapter = || BluetoothError::NoAdapter { adapter: adapter.to_owned() };
    let powered = proxy.powered().await.map_err(|error| {
        match name_of(&error).strip_prefix("org.freedesktop.DBus.Error.") {
            Some("UnknownObject" | "UnknownInterface" | "UnknownMethod" | "UnknownProperty") => {
                no_adapter()
            }
            Some(_) | None => error.into(),
        }
    })?;
    if powered {
        return Ok(());
    }
    let off = |cause| BluetoothError::Off { adapter: adapter.to_owned(), cause };
    proxy.set_powered(true).await.map_err(off)
}

fn service_path() -> String {
    format!("{ROOT}/service0")
}

fn characteristic_path(at: usize) -> String {
    format!("{ROOT}/service0/char{at}")
}

fn advertisement_path() -> String {
    format!("{ROOT}/advertisement0")
}

#[async_trait::async_trait]
impl Peripheral for BlueZ {
    async fn next(&mut self) -> Option<Guest> {
        self.events.recv().await
    }

    async fn notify(&mut self, note: &[u8]) -> Result<(), BluetoothError> {
        let Some((at, value)) = self.service.route(note) else { return Ok(()) };
        let server = self.shared.bus.object_server();
        let reference = server.interface::<_, Attribute>(characteristic_path(at)).await?;
        let mut attribute = reference.get_mut().await;
        attribute.set(value);
        if attribute.is_notifying() {
            attribute.value_changed(reference.signal_emitter()).await?;
        }
        Ok(())
    }

    async fn dismiss(&mut self) -> Result<(), BluetoothError> {
        let guest = self.shared.guest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(guest) = guest else { return Ok(()) };
        let device = DeviceProxy::builder(&self.shared.bus).path(guest)?.build().await?;
        Ok(device.disconnect().await?)
    }
}

/// Says whether phones may do that.
fn flags(role: Role) -> Vec<&'static str> {
    match role {
        Role::Write => vec!["write", "write-without-response"],
        Role::Notify => vec!["read", "notify"],
        Role::Read => vec!["read"],
    }
}
