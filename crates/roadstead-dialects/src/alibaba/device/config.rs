//! What is flashed into one device: names, secrets, addresses.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::net::Ipv4Addr;

use roadstead_core::Secret;
use roadstead_core::product::Model;

/// Host of the bootstrap (§1).
pub const BOOTSTRAP_HOST: &str = "iot-auth-global.aliyuncs.com";
/// Host of registration and guided log-in in China (§1).
pub const AUTH_HOST: &str = "iot-auth.cn-shanghai.aliyuncs.com";

/// One device's firmware image.
#[derive(Clone)]
pub struct Config {
    /// ProductKey.
    pub product: Box<str>,
    /// DeviceName.
    pub device: Box<str>,
    /// DeviceSecret; without it the device registers itself first.
    pub secret: Option<Secret>,
    /// ProductSecret: registration, and credentials in provisioning.
    pub product_secret: Option<Secret>,
    /// Where it logs in when nothing else is told.
    pub mqtt: Endpoint,
    /// TLS with a server certificate below MQTT.
    pub tls: bool,
    /// Its HTTP calls.
    pub http: Endpoint,
    /// TLS below them.
    pub https: bool,
    /// How it comes by the platform's address.
    pub address: Address,
    /// How it registers itself.
    pub registration: Registration,
    /// How it comes by network and token.
    pub start: Start,
    /// Hardware address, `B0:F8:93:15:BF:21`.
    pub mac: Box<str>,
    /// Its address in its own network, and where it is in the network from the start.
    pub ip: Ipv4Addr,
    /// Version of the firmware.
    pub firmware: Box<str>,
    /// Thing model; without one, values pass through in the vendor's coding.
    pub model: Option<Arc<Model>>,
    /// Makes random numbers, message ids and jitter differ between devices.
    pub seed: u64,
}

/// A host and a port, and the name TLS and HTTP ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address to connect to.
    pub host: Box<str>,
    /// Port to connect to.
    pub port: u16,
    /// The vendor's own name of it.
    pub name: Box<str>,
}

/// How a device comes by the platform's address (§3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// It is built in, or told with the credentials.
    Direct,
    /// `POST /auth/bootstrap`: smart-living.
    Bootstrap,
    /// `POST /auth/devicename`: old firmware; gives a user name and password, too.
    Guided,
}

/// How a device registers itself (§3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// `POST /auth/register/device`.
    Http,
    /// A connection of its own; the name is registered.
    Mqtt,
    /// A connection of its own; the name need not be registered, the platform gives a token.
    MqttOpen,
}

/// How a device comes by network and token when nothing is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It opens a network of its own and waits for `switchap` (§7.3).
    SoftAp,
    /// Its radio overhears smartconfig, which its product's secret decrypts (Airlink §6); then it
    /// makes a token of its own.
    SmartConfig,
    /// It joins the setup network of a phone (§7.4).
    PhoneAp,
    /// It joins the setup network of a router (§7.4).
    RouterAp,
    /// It is in the network and can be bound there.
    OnNetwork,
    /// It is in the network and nobody needs to own it: no LAN at all.
    Direct,
}

impl Endpoint {
    /// Returns the vendor's own host.
    pub fn vendor(name: &str, port: u16) -> Self {
        Self { host: name.into(), port, name: name.into() }
    }

    /// Connects there instead; TLS and HTTP go on asking for the vendor's name.
    #[must_use]
    pub fn at(self, host: &str, port: u16) -> Self {
        Self { host: host.into(), port, ..self }
    }
}

impl Config {
    /// Returns a smart-living device that talks to the vendor's hosts over TLS.
    pub fn new(product: &str, device: &str) -> Self {
        let mqtt = format!("{product}.iot-as-mqtt.cn-shanghai.aliyuncs.com");
        Self {
            product: product.into(),
            device: device.into(),
            secret: None,
            product_secret: None,
            mqtt: Endpoint::vendor(&mqtt, 443),
            tls: true,
            http: Endpoint::vendor(BOOTSTRAP_HOST, 443),
            https: true,
            address: Address::Bootstrap,
            registration: Registration::Http,
            start: Start::SoftAp,
            mac: mac(product, device).into(),
            ip: Ipv4Addr::UNSPECIFIED,
            firmware: "app-1.0.0".into(),
            model: None,
            seed: 0,
        }
    }

    /// Returns what encrypts its credentials: the product's secret, or its own without one.
    pub(super) fn cipher_secret(&self) -> Secret {
        let secret = self.product_secret.as_ref().or(self.secret.as_ref());
        secret.cloned().unwrap_or_else(|| Secret::from(""))
    }

    /// Returns `pk.dn`, the vendor's usual client id.
    pub(super) fn client_base(&self) -> alloc::string::String {
        format!("{}.{}", self.product, self.device)
    }
}

/// Returns a locally administered hardware address made of the names.
fn mac(product: &str, device: &str) -> alloc::string::String {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = product.bytes().chain(device.bytes()).fold(0x811C_9DC5, step);
    let [a, b, c, d] = hash.to_be_bytes();
    format!("02:00:{a:02X}:{b:02X}:{c:02X}:{d:02X}")
}
