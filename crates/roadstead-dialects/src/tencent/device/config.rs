//! What is flashed into one device: names, secrets, addresses.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use roadstead_core::product::Model;
use roadstead_core::{Map, Secret, Value};
use roadstead_wire::airlink::Scheme;

use crate::air::Bearer;

/// One device's firmware image.
#[derive(Clone)]
pub struct Config {
    /// ProductId.
    pub product: Box<str>,
    /// DeviceName.
    pub device: Box<str>,
    /// Device secret as the vendor shows it; without it the device registers itself first.
    pub secret: Option<Secret>,
    /// Product secret for registration.
    pub product_secret: Option<Secret>,
    /// Certificate chain and key in PEM, for certificate products.
    pub certificate: Option<(Box<[u8]>, Secret)>,
    /// How it proves itself to the platform.
    pub proof: Proof,
    /// Where it logs in.
    pub mqtt: Endpoint,
    /// Where and how it registers.
    pub register: Registrar,
    /// How it comes by network and token.
    pub start: Start,
    /// Thing model; without one, values pass through in the vendor's coding.
    pub model: Option<Arc<Model>>,
    /// What it tells about itself after each log-in (`report_info`); empty for nothing.
    pub info: Map<String, Value>,
    /// Acts as a gateway.
    pub gateway: bool,
    /// Makes connection ids and jitter differ between devices.
    pub seed: u64,
}

/// A host and a port, and the name TLS asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address to connect to.
    pub host: Box<str>,
    /// Port to connect to.
    pub port: u16,
    /// The vendor's own name of it.
    pub name: Box<str>,
}

/// How a device proves itself (Tencent §2, §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// TLS-PSK; no password.
    Psk,
    /// Password with HMAC-SHA1, the C SDKs' way.
    Sha1 {
        /// Over TLS with a server certificate instead of plain TCP.
        tls: bool,
    },
    /// Password with HMAC-SHA256, the other SDKs' way.
    Sha256 {
        /// Over TLS with a server certificate instead of plain TCP.
        tls: bool,
    },
    /// Client certificate; no password.
    Certificate,
}

/// Where and how a device registers itself (Tencent §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registrar {
    /// Where.
    pub endpoint: Endpoint,
    /// HTTPS instead of HTTP.
    pub tls: bool,
    /// Which call.
    pub variant: Variant,
}

/// The two registration calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// `POST /register/dev`, C SDKs.
    One,
    /// `POST /device/register`, Python SDK and newer devices.
    Two,
}

impl Variant {
    /// Returns the vendor's host of this call in China.
    pub fn host(self) -> &'static str {
        match self {
            Self::One => "gateway.tencentdevices.com",
            Self::Two => "ap-guangzhou.gateway.tencentdevices.com",
        }
    }
}

/// How a device comes by network and token when nothing is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// It opens an access point of this name and waits for `cmdType` 1.
    SoftAp {
        /// Name of the access point.
        ssid: String,
    },
    /// It is in the network already (by cable, or its radio came by it) and waits for `cmdType` 0.
    OnNetwork {
        /// What `pairTime` calls the method.
        method: Method,
    },
    /// Its radio waits for the network, and where the bearer carries one for the token; otherwise
    /// it waits for `cmdType` 0 once it is in the network.
    OverAir {
        /// How they come.
        bearer: Bearer,
    },
    /// Its camera waits for a QR code.
    Camera,
    /// It is in the network and nobody needs to own it.
    Direct,
}

/// Names of methods in `pairTime`; the last one is spelt as the SDK spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// WeChat airkiss.
    AirKiss,
    /// ESP-TOUCH.
    SmartConfig,
    /// Realtek simpleconfig.
    SimpleConfig,
    /// Anything else.
    Unknown,
}

impl Method {
    /// Returns the method of a bearer. What `pairTime` calls Bluetooth is not published.
    fn of(bearer: Bearer) -> Self {
        match bearer {
            Bearer::Sniffed(Scheme::AirKiss) => Self::AirKiss,
            Bearer::Sniffed(Scheme::EspTouch | Scheme::EspTouch2 | Scheme::SmartConfig) => {
                Self::SmartConfig
            }
            Bearer::Sniffed(Scheme::SimpleConfig) => Self::SimpleConfig,
            Bearer::BluFi | Bearer::Combo | Bearer::LlSync => Self::Unknown,
        }
    }

    /// Returns the wire name.
    pub fn name(self) -> &'static str {
        match self {
            Self::AirKiss => "AirKiss",
            Self::SmartConfig => "SmartConfig",
            Self::SimpleConfig => "SimpleConfig",
            Self::Unknown => "Unknow",
        }
    }
}

impl Start {
    /// Returns the method's wire name. The camera is `Unknow` (SDK 3.2.1, v3-qrcode-bind-plain).
    pub(super) fn method(&self) -> &'static str {
        match self {
            Self::SoftAp { .. } => "SoftAP",
            Self::OnNetwork { method } => method.name(),
            Self::OverAir { bearer } => Method::of(*bearer).name(),
            Self::Camera | Self::Direct => Method::Unknown.name(),
        }
    }
}

impl Config {
    /// Returns a C SDK device that talks to the vendor's hosts: SoftAP, PSK, registration over
    /// HTTPS when it has no secret.
    pub fn new(product: &str, device: &str) -> Self {
        let host: Box<str> = format!("{product}.iotcloud.tencentdevices.com").into();
        let register: Box<str> = Variant::One.host().into();
        Self {
            product: product.into(),
            device: device.into(),
            secret: None,
            product_secret: None,
            certificate: None,
            proof: Proof::Psk,
            mqtt: Endpoint { name: host.clone(), host, port: 8883 },
            register: Registrar {
                endpoint: Endpoint { name: register.clone(), host: register, port: 443 },
                tls: true,
                variant: Variant::One,
            },
            start: Start::SoftAp { ssid: format!("tcloud_{device}") },
            model: None,
            info: Map::new(),
            gateway: false,
            seed: 0,
        }
    }

    /// Connects there instead of to the vendor's host.
    #[must_use]
    pub fn with_mqtt(mut self, host: &str, port: u16) -> Self {
        self.mqtt.host = host.into();
        self.mqtt.port = port;
        self
    }

    /// Registers there instead of at the vendor's host, by plain HTTP unless `tls`.
    #[must_use]
    pub fn with_registrar(mut self, host: &str, port: u16, tls: bool, variant: Variant) -> Self {
        let name = variant.host().into();
        let endpoint = Endpoint { host: host.into(), port, name };
        self.register = Registrar { endpoint, tls, variant };
        self
    }

    /// Returns `productId` + `deviceName`.
    pub(super) fn client_id(&self) -> String {
        format!("{}{}", self.product, self.device)
    }
}
