//! Wi-Fi by NetworkManager: joins a network, opens the access point of an onboarding, leaves,
//! looks around.
//!
//! A network that is tried out is kept in memory only; once it is joined it is saved, so that the
//! board finds it again after a restart and a wrong password leaves nothing behind. The calls need
//! polkit's `network-control` and `settings.modify.system`, which root has.
//!
//! Not here: WPA3 alone, enterprise networks, static addresses.
//!
//! Source: NetworkManager D-Bus API 1.16 and later (`AddAndActivateConnection2`,
//! `Device.StateChanged`, `NM_DEVICE_STATE_REASON_*`).

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use roadstead_core::Secret;
use roadstead_wire::airlink::{Mac, PASSWORD_MAX, SSID_MAX};
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, proxy};

/// Time a join or an access point may take; NetworkManager itself gives up earlier.
const JOIN_WAIT: Duration = Duration::from_secs(90);
/// Address of the own access point: that of most onboarding pages.
pub(super) const AP_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 4, 1);
/// Prefix of its network.
const AP_PREFIX: u32 = 24;
/// Networks told of a scan.
const NETWORKS_MAX: usize = 64;

/// `NM_DEVICE_TYPE_WIFI`.
const WIFI: u32 = 2;
/// `NM_DEVICE_STATE_*`.
const UNAVAILABLE: u32 = 20;
const DISCONNECTED: u32 = 30;
const ACTIVATED: u32 = 100;
const FAILED: u32 = 120;

/// Wi-Fi of a device.
#[async_trait::async_trait]
pub trait WifiControl: Send + Sync {
    /// Joins a network as a station and returns the address that was given.
    ///
    /// # Errors
    /// The network was not joined; the error says why.
    async fn join(&self, ssid: &[u8], password: &Secret) -> Result<Ipv4Addr, WifiError>;

    /// Opens an access point with DHCP on a channel of 2.4 GHz; returns its address.
    ///
    /// # Errors
    /// It could not be opened.
    async fn start_ap(
        &self,
        ssid: &[u8],
        password: Option<&Secret>,
        channel: u8,
    ) -> Result<Ipv4Addr, WifiError>;

    /// Leaves the network or closes the access point; without effect when there is neither.
    ///
    /// # Errors
    /// The driver refused.
    async fn leave(&self) -> Result<(), WifiError>;

    /// Returns the hardware address.
    ///
    /// # Errors
    /// The driver refused.
    async fn mac(&self) -> Result<Mac, WifiError>;

    /// Returns the networks in range, name and signal in dBm, the strongest first.
    ///
    /// # Errors
    /// The driver refused.
    async fn networks(&self) -> Result<Vec<(Vec<u8>, i8)>, WifiError>;
}

/// Why Wi-Fi does not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WifiError {
    /// There is no message bus, or no NetworkManager on it.
    #[error("NetworkManager does not answer")]
    NoManager(#[source] zbus::Error),
    /// There is no such interface, or it is not Wi-Fi.
    #[error("`{interface}` is no Wi-Fi interface of NetworkManager")]
    NoDevice {
        /// Its name.
        interface: String,
    },
    /// NetworkManager leaves the interface alone, or the radio is switched off.
    #[error("`{interface}` is not managed, or its radio is off")]
    Unavailable {
        /// Its name.
        interface: String,
    },
    /// The process may not.
    #[error("NetworkManager does not permit it")]
    Denied(#[source] zbus::Error),
    /// Name or password has an impossible length.
    #[error("network name or password has an impossible length")]
    Network,
    /// The password is wrong.
    #[error("the network refused the password")]
    WrongPassword,
    /// The network is not in range.
    #[error("there is no network of that name in range")]
    NotFound,
    /// The network gave no address.
    #[error("the network gave no address")]
    NoAddress,
    /// It was not joined for another reason.
    #[error("the network was not joined; reason {reason} of NetworkManager")]
    NotJoined {
        /// `NM_DEVICE_STATE_REASON_*`.
        reason: u32,
    },
    /// Nothing was heard of it in time.
    #[error("NetworkManager did not finish in time")]
    TimedOut,
    /// NetworkManager refused otherwise.
    #[error("NetworkManager refused")]
    Refused(#[source] zbus::Error),
}

impl WifiError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoManager(_) => "station.no_network_manager",
            Self::NoDevice { .. } => "station.no_device",
            Self::Unavailable { .. } => "station.unavailable",
            Self::Denied(_) => "station.denied",
            Self::Network => "station.bad_network",
            Self::WrongPassword => "station.wrong_password",
            Self::NotFound => "station.not_found",
            Self::NoAddress => "station.no_address",
            Self::NotJoined { .. } | Self::TimedOut => "station.not_joined",
            Self::Refused(_) => "station.refused",
        }
    }

    /// Returns the number that a device's protocol tells: that of NetworkManager, -1 for others.
    pub fn number(&self) -> i32 {
        match self {
            Self::WrongPassword => 9,
            Self::NotFound => 53,
            Self::NoAddress => 17,
            Self::NotJoined { reason } => i32::try_from(*reason).unwrap_or(-1),
            Self::NoManager(_)
            | Self::NoDevice { .. }
            | Self::Unavailable { .. }
            | Self::Denied(_)
            | Self::Network
            | Self::TimedOut
            | Self::Refused(_) => -1,
        }
    }

    /// Returns what a state of failure means.
    fn of(reason: u32) -> Self {
        match reason {
            // No secrets, supplicant disconnected, its configuration failed, it failed, timed out.
            7..=11 => Self::WrongPassword,
            // IP configuration unavailable or expired, DHCP failed to start, erred, failed.
            5 | 6 | 15..=17 => Self::NoAddress,
            53 => Self::NotFound,
            reason => Self::NotJoined { reason },
        }
    }
}

impl From<zbus::Error> for WifiError {
    fn from(error: zbus::Error) -> Self {
        let zbus::Error::MethodError(name, ..) = &error else {
            return Self::NoManager(error);
        };
        match name.as_str() {
            "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner" => Self::NoManager(error),
            "org.freedesktop.DBus.Error.AccessDenied"
            | "org.freedesktop.NetworkManager.PermissionDenied"
            | "org.freedesktop.NetworkManager.Settings.PermissionDenied" => Self::Denied(error),
            _ => Self::Refused(error),
        }
    }
}

/// A connection's settings: group, name, value.
type Settings<'a> = HashMap<&'a str, HashMap<&'a str, Value<'a>>>;

#[proxy(
    interface = "org.freedesktop.NetworkManager",
    default_service = "org.freedesktop.NetworkManager",
    default_path = "/org/freedesktop/NetworkManager",
    gen_blocking = false
)]
trait Manager {
    fn get_device_by_ip_iface(&self, iface: &str) -> zbus::Result<OwnedObjectPath>;

    fn add_and_activate_connection2(
        &self,
        connection: &Settings<'_>,
        device: &ObjectPath<'_>,
        specific_object: &ObjectPath<'_>,
        options: HashMap<&str, Value<'_>>,
    ) -> zbus::Result<(OwnedObjectPath, OwnedObjectPath, HashMap<String, OwnedValue>)>;
}

#[proxy(
    interface = "org.freedesktop.NetworkManager.Device",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
trait Device {
    fn disconnect(&self) -> zbus::Result<()>;

    #[zbus(signal, name = "StateChanged")]
    fn went_on(&self, new_state: u32, old_state: u32, reason: u32) -> zbus::Result<()>;

    #[zbus(property)]
    fn device_type(&self) -> zbus::Result<u32>;

    #[zbus(property)]
    fn state(&self) -> zbus::Result<u32>;

    #[zbus(property)]
    fn ip4_config(&self) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(
    interface = "org.freedesktop.NetworkManager.Device.Wireless",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
trait Wireless {
    fn get_all_access_points(&self) -> zbus::Result<Vec<OwnedObjectPath>>;

    fn request_scan(&self, options: HashMap<&str, Value<'_>>) -> zbus::Result<()>;

    #[zbus(property)]
    fn hw_address(&self) -> zbus::Result<String>;
}

#[proxy(
    interface = "org.freedesktop.NetworkManager.AccessPoint",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
trait AccessPoint {
    #[zbus(property)]
    fn ssid(&self) -> zbus::Result<Vec<u8>>;

    #[zbus(property)]
    fn strength(&self) -> zbus::Result<u8>;
}

#[proxy(
    interface = "org.freedesktop.NetworkManager.IP4Config",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
trait Ip4Config {
    #[zbus(property)]
    fn address_data(&self) -> zbus::Result<Vec<HashMap<String, OwnedValue>>>;
}

#[proxy(
    interface = "org.freedesktop.NetworkManager.Settings.Connection",
    default_service = "org.freedesktop.NetworkManager",
    gen_blocking = false
)]
trait Profile {
    fn save(&self) -> zbus::Result<()>;
}

/// One Wi-Fi interface in the hands of NetworkManager.
pub struct NetworkManager {
    bus: Connection,
    interface: String,
    path: OwnedObjectPath,
}

impl NetworkManager {
    /// Takes an interface, over the bus of the system.
    ///
    /// # Errors
    /// There is no bus, no NetworkManager or no such interface.
    pub async fn open(interface: &str) -> Result<Self, WifiError> {
        let bus = Connection::system().await.map_err(WifiError::NoManager)?;
        Self::on(bus, interface).await
    }

    /// Takes an interface, over a given connection.
    ///
    /// # Errors
    /// As [`NetworkManager::open`].
    pub async fn on(bus: Connection, interface: &str) -> Result<Self, WifiError> {
        let manager = ManagerProxy::new(&bus).await?;
        let no_device = || WifiError::NoDevice { interface: interface.to_owned() };
        let path = match manager.get_device_by_ip_iface(interface).await {
            Ok(path) => path,
            Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".UnknownDevice") => {
                return Err(no_device());
            }
            Err(error) => return Err(error.into()),
        };
        let this = Self { bus, interface: interface.to_owned(), path };
        let device = this.device().await?;
        if device.device_type().await? != WIFI {
            return Err(no_device());
        }
        if device.state().await? <= UNAVAILABLE {
            return Err(WifiError::Unavailable { interface: interface.to_owned() });
        }
        Ok(this)
    }

    /// Properties are read when they are asked for: they follow each other in time.
    async fn device(&self) -> zbus::Result<DeviceProxy<'_>> {
        let builder = DeviceProxy::builder(&self.bus).path(&self.path)?;
        builder.cache_properties(proxy::CacheProperties::No).build().await
    }

    /// Activates settings and waits until the device is through with them.
    async fn activate(&self, settings: &Settings<'_>, keep: bool) -> Result<Ipv4Addr, WifiError> {
        let device = self.device().await?;
        // Listen first: the answer to the call and the first states come at the same time.
        let mut states = device.receive_went_on().await?;
        let manager = ManagerProxy::new(&self.bus).await?;
        let none = ObjectPath::from_static_str_unchecked("/");
        let options = HashMap::from([("persist", Value::from("volatile"))]);
        let (profile, ..) =
            manager.add_and_activate_connection2(settings, &self.path, &none, options).await?;
        let settled = async {
            use futures_util::StreamExt as _;
            // Before it begins anew the device leaves what it had: that is not an end.
            let mut begun = false;
            while let Some(signal) = states.next().await {
                let change = signal.args().map_err(WifiError::Refused)?;
                match change.new_state {
                    ACTIVATED => return Ok(()),
                    FAILED => return Err(WifiError::of(change.reason)),
                    UNAVAILABLE.. if change.new_state > DISCONNECTED => begun = true,
                    _ if begun => return Err(WifiError::of(change.reason)),
                    _ => {}
                }
            }
            Err(WifiError::NoManager(zbus::Error::InputOutput(
                std::io::Error::from(std::io::ErrorKind::BrokenPipe).into(),
            )))
        };
        tokio::time::timeout(JOIN_WAIT, settled).await.map_err(|_| WifiError::TimedOut)??;
        if keep {
            let profile = ProfileProxy::builder(&self.bus).path(profile)?.build().await?;
            profile.save().await?;
        }
        self.address(&device).await
    }

    async fn address(&self, device: &DeviceProxy<'_>) -> Result<Ipv4Addr, WifiError> {
        let path = device.ip4_config().await?;
        if path.as_str() == "/" {
            return Err(WifiError::NoAddress);
        }
        let config = Ip4ConfigProxy::builder(&self.bus)
            .path(path)?
            .cache_properties(proxy::CacheProperties::No)
            .build()
            .await?;
        let addresses = config.address_data().await?;
        addresses
            .iter()
            .filter_map(|row| <&str>::try_from(row.get("address")?).ok())
            .find_map(|text| text.parse().ok())
            .ok_or(WifiError::NoAddress)
    }
}

/// Settings that station and access point have in common.
fn settings<'a>(
    id: &'a str,
    ssid: &'a [u8],
    password: Option<&'a str>,
    mode: &'static str,
) -> Settings<'a> {
    let text = |text: &'a str| Value::from(text);
    let mut all = Settings::from([
        (
            "connection",
            HashMap::from([
                ("id", text(id)),
                ("type", text("802-11-wireless")),
                ("autoconnect", Value::from(mode == "infrastructure")),
            ]),
        ),
        (
            "802-11-wireless",
            HashMap::from([("ssid", Value::from(ssid.to_vec())), ("mode", text(mode))]),
        ),
        ("ipv6", HashMap::from([("method", text("ignore"))])),
    ]);
    if let Some(password) = password {
        let security = HashMap::from([("key-mgmt", text("wpa-psk")), ("psk", text(password))]);
        all.insert("802-11-wireless-security", security);
    }
    all
}

/// Returns a password as NetworkManager takes it; `None` for an open network.
fn psk(password: &Secret) -> Result<Option<&str>, WifiError> {
    let bytes = password.expose();
    match bytes.len() {
        0 => Ok(None),
        8..=PASSWORD_MAX => core::str::from_utf8(bytes).map(Some).map_err(|_| WifiError::Network),
        _ => Err(WifiError::Network),
    }
}

fn check(ssid: &[u8]) -> Result<(), WifiError> {
    (1..=SSID_MAX).contains(&ssid.len()).then_some(()).ok_or(WifiError::Network)
}

#[async_trait::async_trait]
impl WifiControl for NetworkManager {
    async fn join(&self, ssid: &[u8], password: &Secret) -> Result<Ipv4Addr, WifiError> {
        check(ssid)?;
        let id = format!("roadstead {}", String::from_utf8_lossy(ssid));
        let mut settings = settings(&id, ssid, psk(password)?, "infrastructure");
        // Whoever tells a name may have hidden it.
        if let Some(wireless) = settings.get_mut("802-11-wireless") {
            wireless.insert("hidden", Value::from(true));
        }
        settings.insert("ipv4", HashMap::from([("method", Value::from("auto"))]));
        self.activate(&settings, true).await
    }

    async fn start_ap(
        &self,
        ssid: &[u8],
        password: Option<&Secret>,
        channel: u8,
    ) -> Result<Ipv4Addr, WifiError> {
        check(ssid)?;
        let password = password.map(psk).transpose()?.flatten();
        let mut settings = settings("roadstead onboarding", ssid, password, "ap");
        if let Some(wireless) = settings.get_mut("802-11-wireless") {
            wireless.insert("band", Value::from("bg"));
            wireless.insert("channel", Value::from(u32::from(channel)));
        }
        let address = AP_ADDRESS.to_string();
        let row: HashMap<&str, Value<'_>> = HashMap::from([
            ("address", Value::from(address.as_str())),
            ("prefix", Value::from(AP_PREFIX)),
        ]);
        let ipv4 = [("method", Value::from("shared")), ("address-data", Value::from(vec![row]))];
        settings.insert("ipv4", HashMap::from(ipv4));
        self.activate(&settings, false).await
    }

    async fn leave(&self) -> Result<(), WifiError> {
        match self.device().await?.disconnect().await {
            Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".NotActive") => Ok(()),
            other => Ok(other?),
        }
    }

    async fn mac(&self) -> Result<Mac, WifiError> {
        let wireless = WirelessProxy::builder(&self.bus).path(&self.path)?.build().await?;
        let text = wireless.hw_address().await?;
        text.parse().map_err(|_| WifiError::NoDevice { interface: self.interface.clone() })
    }

    async fn networks(&self) -> Result<Vec<(Vec<u8>, i8)>, WifiError> {
        let wireless = WirelessProxy::builder(&self.bus).path(&self.path)?.build().await?;
        // Refused while another scan runs: what that finds is as good.
        match wireless.request_scan(HashMap::new()).await {
            Ok(()) | Err(zbus::Error::MethodError(..)) => {}
            Err(error) => return Err(error.into()),
        }
        let mut strongest: HashMap<Vec<u8>, i8> = HashMap::new();
        for path in wireless.get_all_access_points().await?.into_iter().take(NETWORKS_MAX) {
            let point = AccessPointProxy::builder(&self.bus)
                .path(path)?
                .cache_properties(proxy::CacheProperties::No)
                .build()
                .await?;
            // An access point may go out of range between the two questions.
            let (Ok(ssid), Ok(strength)) = (point.ssid().await, point.strength().await) else {
                continue;
            };
            let signal = dbm(strength);
            if !ssid.is_empty() {
                strongest.entry(ssid).and_modify(|it| *it = signal.max(*it)).or_insert(signal);
            }
        }
        let mut all: Vec<_> = strongest.into_iter().collect();
        all.sort_by(|(a, x), (b, y)| y.cmp(x).then(a.cmp(b)));
        Ok(all)
    }
}

impl NetworkManager {
    /// Returns the name of the interface.
    pub fn interface(&self) -> &str {
        &self.interface
    }
}

/// Turns NetworkManager's percent back into dBm: 0 is -100, 100 is -40.
fn dbm(percent: u8) -> i8 {
    -100 + (i16::from(percent.min(100)) * 60 / 100) as i8
}
