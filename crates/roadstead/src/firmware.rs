//! Virtual devices: which machine, which application, which addresses. One row per dialect; the
//! agent library does the rest.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use roadstead_agent::app::{Application, Lamp};
use roadstead_agent::hal::net::Options;
use roadstead_agent::portal::PortalOptions;
use roadstead_agent::{AgentEvent, agent::Agent};
use roadstead_core::Secret;
use roadstead_dialects::air::{self, Bearer};
use roadstead_dialects::alibaba::device as alibaba;
use roadstead_dialects::device::{Machine, Tls};
use roadstead_dialects::huawei::device as huawei;
use roadstead_dialects::tencent::{comm, device as tencent};
use roadstead_wire::airlink::Scheme;

use crate::failure::{Failure, Result, chain};

/// Every dialect that has a device half, alphabetical.
pub(crate) static KINDS: &[Kind] = &[
    Kind { dialect: "alibaba", hears_everybody: true, ways: ALIBABA, build: alibaba_lamp },
    Kind { dialect: "huawei", hears_everybody: false, ways: &[Via::None], build: huawei_lamp },
    Kind { dialect: "tencent", hears_everybody: false, ways: TENCENT, build: tencent_lamp },
];

/// Ways of smart-living devices.
const ALIBABA: &[Via] = &[Via::Softap, Via::Smartconfig, Via::Token, Via::None];
/// Ways of devices of the C SDKs.
const TENCENT: &[Via] = &[
    Via::Softap,
    Via::Airkiss,
    Via::Esptouch,
    Via::Esptouch2,
    Via::Simpleconfig,
    Via::Ble,
    Via::Blufi,
    Via::Combo,
    Via::Llsync,
    Via::Token,
    Via::None,
];
/// Ways of communication modules.
pub(crate) const MODULE: &[Via] = &[
    Via::Softap,
    Via::Airkiss,
    Via::Esptouch,
    Via::Esptouch2,
    Via::Simpleconfig,
    Via::Token,
    Via::None,
];

/// Returns the way that was named, or the usual one; `ways` are those of the dialect's devices.
pub(crate) fn choose(dialect: &str, ways: &[Via], named: Option<Via>) -> Result<Via> {
    match (named, ways) {
        (Some(via), _) if ways.contains(&via) => Ok(via),
        (None, [usual, ..]) => Ok(*usual),
        (_, _) => {
            let known: Vec<String> = ways.iter().map(|via| format!("`{}`", via.name())).collect();
            let known = known.join(", ");
            Err(Failure::Usage(format!("devices of `{dialect}` take `--via` {known}")))
        }
    }
}

/// A dialect's virtual device.
pub(crate) struct Kind {
    /// Name of the dialect.
    pub(crate) dialect: &'static str,
    /// Its devices are found by questions to everybody.
    hears_everybody: bool,
    /// How they come by network and owner, the usual way first.
    pub(crate) ways: &'static [Via],
    build: fn(&Flash, IpAddr) -> Result<Firmware>,
}

/// What is flashed into a virtual device.
#[derive(Clone)]
pub(crate) struct Flash {
    /// Product id.
    pub(crate) product: String,
    /// The vendor's name inside the product.
    pub(crate) device: String,
    /// Device secret; without it the device registers itself.
    pub(crate) secret: Option<Secret>,
    /// Product secret, for registration.
    pub(crate) product_secret: Option<Secret>,
    /// Certificate chain and key, PEM, for [`TlsMode::Certificate`].
    pub(crate) certificate: Option<(Box<[u8]>, Secret)>,
    /// Where it logs in, unless a provisioning service says so.
    pub(crate) server: Option<Address>,
    /// Where it registers.
    pub(crate) registrar: Option<Address>,
    /// Its vendor's provisioning service.
    pub(crate) bootstrap: Option<Bootstrap>,
    /// Protection of the log-in.
    pub(crate) tls: TlsMode,
    /// Reports are packed.
    pub(crate) is_packed: bool,
    /// How it comes by network and bind token.
    pub(crate) via: Via,
    /// Its timing.
    pub(crate) pace: Pace,
    /// Makes its jitter differ from that of others.
    pub(crate) seed: u64,
}

/// A provisioning service and what the device says there.
#[derive(Clone)]
pub(crate) struct Bootstrap {
    /// Where it is.
    pub(crate) address: Address,
    /// Scope id of the device's registration group; its secret is the product secret.
    pub(crate) scope: Option<String>,
    /// Chooses among the platforms behind the service.
    pub(crate) keyword: Option<String>,
}

/// Where a virtual device lives.
pub(crate) struct Home<'a> {
    /// Where it is reached; port 0 is the dialect's own.
    pub(crate) lan: SocketAddr,
    /// Its flash.
    pub(crate) folder: &'a Path,
    /// Its simulated radio.
    pub(crate) air: Option<SocketAddr>,
    /// Authorities it trusts; the system's when missing.
    pub(crate) ca_file: Option<&'a Path>,
    /// What it serves in its own access point.
    pub(crate) portal: Option<PortalOptions>,
    /// The only network it can join; all when missing.
    pub(crate) network: Option<(String, Secret)>,
}

/// A device without its hardware.
struct Firmware {
    machine: Box<dyn Machine>,
    application: Box<dyn Application>,
    /// The port that the phone talks to.
    command_port: u16,
}

/// `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Name or IP address.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
}

/// Protection of a log-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TlsMode {
    /// Plain TCP.
    Off,
    /// TLS with the device secret as shared key.
    Psk,
    /// TLS with a server certificate.
    Server,
    /// TLS with both certificates.
    Certificate,
}

/// How a device comes by network and bind token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// It opens an access point and waits for network and token.
    Softap,
    /// It is in the network and waits for a token.
    Token,
    /// It is in the network and nobody needs to own it.
    None,
    /// Its radio overhears AirKiss.
    Airkiss,
    /// Its radio overhears ESPTouch v1.
    Esptouch,
    /// Its radio overhears ESPTouch v2.
    Esptouch2,
    /// Its radio overhears Realtek Simple Config.
    Simpleconfig,
    /// Its radio overhears the smartconfig of its vendor (Alibaba).
    Smartconfig,
    /// Over Bluetooth, in the framing of its vendor.
    Ble,
    /// Over Bluetooth: BluFi with security.
    Blufi,
    /// Over Bluetooth: the subset of BluFi without security.
    Combo,
    /// Over Bluetooth: LLSync.
    Llsync,
}

impl Via {
    /// Returns the word of the command line.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Returns how it goes through the simulated air, if it does.
    pub(crate) fn bearer(self) -> Option<Bearer> {
        Some(match self {
            Self::Softap | Self::Token | Self::None => return None,
            Self::Airkiss => Bearer::Sniffed(Scheme::AirKiss),
            Self::Esptouch => Bearer::Sniffed(Scheme::EspTouch),
            Self::Esptouch2 => Bearer::Sniffed(Scheme::EspTouch2),
            Self::Simpleconfig => Bearer::Sniffed(Scheme::SimpleConfig),
            Self::Smartconfig => Bearer::Sniffed(Scheme::SmartConfig),
            // The only vendor with a framing of its own.
            Self::Ble => Bearer::LlSync,
            Self::Blufi => Bearer::BluFi,
            Self::Combo => Bearer::Combo,
            Self::Llsync => Bearer::LlSync,
        })
    }
}

/// Timing of a virtual device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pace {
    /// Short pauses, for tests and demonstrations.
    Lab,
    /// The pauses of real firmware.
    Real,
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parsed = text.rsplit_once(':').and_then(|(host, port)| {
            let host = host.trim_start_matches('[').trim_end_matches(']');
            Some(Self { host: host.to_owned(), port: port.parse().ok()? })
        });
        parsed
            .filter(|address| !address.host.is_empty() && address.port != 0)
            .ok_or_else(|| "write it as `HOST:PORT`".to_owned())
    }
}

/// Returns the row of a dialect.
pub(crate) fn find(dialect: &str) -> Result<&'static Kind> {
    KINDS.iter().find(|kind| kind.dialect == dialect).ok_or_else(|| {
        let known: Vec<&str> = KINDS.iter().map(|kind| kind.dialect).collect();
        let known = known.join("`, `");
        Failure::Usage(format!("there is no virtual device of `{dialect}`; known are `{known}`"))
    })
}

impl Kind {
    /// Returns a device that is switched off.
    pub(crate) fn device(
        &self,
        flash: &Flash,
        home: Home<'_>,
        observer: impl FnMut(AgentEvent) + Send + 'static,
    ) -> Result<Agent> {
        let Home { lan, folder, air, ca_file, portal, network } = home;
        let Firmware { machine, application, command_port } = (self.build)(flash, lan.ip())?;
        let mut options = Options::new(lan, command_port, folder);
        options.hears_everybody = self.hears_everybody;
        options.ca_file = ca_file.map(Path::to_owned);
        (options.portal, options.network) = (portal, network);
        options.air = air.map(|_| radio(air, lan));
        let agent = Agent::new(machine, application, options)
            .map_err(|error| stopped(error.code(), &error))?;
        Ok(agent.with_observer(observer))
    }
}

/// Turns the end of a virtual device into a failure.
pub(crate) fn stopped(code: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(code, format!("The virtual device stopped: {}.", chain(error)))
}

/// Returns the address of a simulated radio: what `--air` says, the usual port, or that of a device
/// at `lan`.
pub(crate) fn radio(air: Option<SocketAddr>, lan: SocketAddr) -> SocketAddr {
    let mut radio = air.unwrap_or(SocketAddr::new(lan.ip(), 0));
    if radio.port() == 0 {
        radio.set_port(air::PORT);
    }
    radio
}

/// Returns the address of a `--lan` argument: `IP` or `IP:PORT`.
pub(crate) fn lan(text: &str) -> std::result::Result<SocketAddr, String> {
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    address.or_else(|_| text.parse()).map_err(|_| "write it as `IP` or `IP:PORT`".to_owned())
}

impl Flash {
    fn server(&self) -> Result<&Address> {
        let missing = || Failure::Usage("name the platform's address with `--server`".to_owned());
        self.server.as_ref().ok_or_else(missing)
    }

    fn certificate(&self) -> Result<(Box<[u8]>, Secret)> {
        let text = "`--tls certificate` needs `--certificate` and `--key`";
        self.certificate.clone().ok_or_else(|| Failure::Usage(text.to_owned()))
    }
}

/// An Alibaba device of the smart-living SDK with the sample lamp on it. Without a server it asks
/// over vendor HTTP where to log in.
fn alibaba_lamp(flash: &Flash, ip: IpAddr) -> Result<Firmware> {
    let lamp = Lamp::sample(&flash.device);
    if flash.bootstrap.is_some() || flash.is_packed {
        let text = "devices of this dialect know neither `--bootstrap` nor `--gzip`; without \
                    `--server` they ask at `--vendor-http`";
        return Err(Failure::Usage(text.to_owned()));
    }
    let mut config = alibaba::Config::new(&flash.product, &flash.device);
    config.address = match (&flash.server, &flash.registrar) {
        (Some(Address { host, port }), _) => {
            config.mqtt = alibaba::Endpoint::vendor(host, *port);
            alibaba::Address::Direct
        }
        (None, Some(_)) => alibaba::Address::Bootstrap,
        (None, None) => {
            let text = "name the platform's address with `--server`, or its vendor HTTP address \
                        with `--vendor-http`";
            return Err(Failure::Usage(text.to_owned()));
        }
    };
    match &flash.registrar {
        Some(Address { host, port }) => {
            config.http = config.http.at(host, *port);
            config.https = false;
        }
        // Then it registers on a connection of its own.
        None => config.registration = alibaba::Registration::Mqtt,
    }
    if flash.secret.is_none() && flash.product_secret.is_none() {
        let text = "a device without `--secret` registers itself and needs `--product-secret`";
        return Err(Failure::Usage(text.to_owned()));
    }
    config.secret.clone_from(&flash.secret);
    config.product_secret.clone_from(&flash.product_secret);
    config.tls = match flash.tls {
        TlsMode::Off => false,
        TlsMode::Server => true,
        TlsMode::Psk | TlsMode::Certificate => {
            let text = "devices of this dialect prove themselves by password; use `--tls off` or \
                        `server`";
            return Err(Failure::Usage(text.to_owned()));
        }
    };
    let via = choose("alibaba", ALIBABA, Some(flash.via))?;
    if via == Via::Smartconfig && flash.product_secret.is_none() {
        let text = "`--via smartconfig` needs `--product-secret`: it decrypts the password";
        return Err(Failure::Usage(text.to_owned()));
    }
    let starts = [
        (Via::Softap, alibaba::Start::SoftAp),
        (Via::Smartconfig, alibaba::Start::SmartConfig),
        (Via::Token, alibaba::Start::OnNetwork),
    ];
    let start = starts.into_iter().find(|(known, _)| *known == via);
    config.start = start.map_or(alibaba::Start::Direct, |(_, start)| start);
    if let IpAddr::V4(ip) = ip {
        config.ip = ip;
    }
    config.model = Some(Arc::new(lamp.model().clone()));
    config.seed = flash.seed;
    let policy = match flash.pace {
        Pace::Lab => alibaba::Policy::living16().lab(),
        Pace::Real => alibaba::Policy::living16(),
    };
    Ok(Firmware {
        machine: Box::new(alibaba::Device::new(config, policy)),
        application: Box::new(lamp),
        command_port: roadstead_dialects::alibaba::lan::PORT,
    })
}

/// A Huawei device with the sample lamp on it. It has an owner only through the API.
fn huawei_lamp(flash: &Flash, _: IpAddr) -> Result<Firmware> {
    choose("huawei", &[Via::None], Some(flash.via))?;
    let lamp = Lamp::sample(&flash.device);
    let mut config = huawei::Config::new(&flash.product, &flash.device);
    config.tls = match flash.tls {
        TlsMode::Off => Tls::Off,
        TlsMode::Server => Tls::Server,
        TlsMode::Certificate => {
            let (chain, key) = flash.certificate()?;
            Tls::Certificate { chain, key }
        }
        TlsMode::Psk => {
            let text = "devices of this dialect have no TLS-PSK; use `--tls off`, `server` or \
                        `certificate`";
            return Err(Failure::Usage(text.to_owned()));
        }
    };
    config.secret.clone_from(&flash.secret);
    let mut has_credential = flash.secret.is_some() || flash.tls == TlsMode::Certificate;
    match &flash.bootstrap {
        Some(service) => {
            let Address { host, port } = &service.address;
            let mut bootstrap = huawei::Bootstrap::new(host, *port);
            bootstrap.tls = config.tls.clone();
            bootstrap.scope = service.scope.as_deref().map(Into::into);
            bootstrap.keyword = service.keyword.as_deref().map(Into::into);
            bootstrap.group_secret.clone_from(&flash.product_secret);
            has_credential |= bootstrap.scope.is_some() && bootstrap.group_secret.is_some();
            config.bootstrap = Some(bootstrap);
        }
        None => {
            let Address { host, port } = flash.server()?;
            (config.host, config.port) = (host.as_str().into(), *port);
        }
    }
    if !has_credential {
        let text = "a device of this dialect needs its `--secret`, `--certificate` and `--key`, or \
                    `--bootstrap` with `--scope` and `--product-secret`";
        return Err(Failure::Usage(text.to_owned()));
    }
    config.is_packed = flash.is_packed;
    config.model = Some(Arc::new(lamp.model().clone()));
    config.haste = match flash.pace {
        Pace::Lab => 10,
        Pace::Real => 1,
    };
    config.seed = flash.seed;
    Ok(Firmware {
        machine: Box::new(huawei::Device::new(config)),
        application: Box::new(lamp),
        command_port: comm::COMMAND_PORT,
    })
}

/// A Tencent device with the sample lamp on it.
fn tencent_lamp(flash: &Flash, _: IpAddr) -> Result<Firmware> {
    let lamp = Lamp::sample(&flash.device);
    if flash.bootstrap.is_some() || flash.is_packed {
        let text = "devices of this dialect know neither `--bootstrap` nor `--gzip`";
        return Err(Failure::Usage(text.to_owned()));
    }
    let server = flash.server()?;
    let mut config =
        tencent::Config::new(&flash.product, &flash.device).with_mqtt(&server.host, server.port);
    match &flash.registrar {
        Some(Address { host, port }) => {
            config = config.with_registrar(host, *port, false, tencent::Variant::One);
        }
        None if flash.secret.is_none() && flash.certificate.is_none() => {
            return Err(Failure::Usage(
                "a device without `--secret` registers itself; name the server's vendor HTTP \
                 address with `--vendor-http`"
                    .to_owned(),
            ));
        }
        None => {}
    }
    config.secret.clone_from(&flash.secret);
    config.product_secret.clone_from(&flash.product_secret);
    config.certificate.clone_from(&flash.certificate);
    config.proof = match flash.tls {
        TlsMode::Psk => tencent::Proof::Psk,
        TlsMode::Certificate => {
            flash.certificate()?;
            tencent::Proof::Certificate
        }
        TlsMode::Server => tencent::Proof::Sha1 { tls: true },
        TlsMode::Off => tencent::Proof::Sha1 { tls: false },
    };
    let via = choose("tencent", TENCENT, Some(flash.via))?;
    config.start = match (via, via.bearer()) {
        (_, Some(bearer)) => tencent::Start::OverAir { bearer },
        (Via::Softap, None) => tencent::Start::SoftAp { ssid: format!("tcloud_{}", flash.device) },
        (Via::Token, None) => tencent::Start::OnNetwork { method: tencent::Method::Unknown },
        (_, None) => tencent::Start::Direct,
    };
    config.model = Some(Arc::new(lamp.model().clone()));
    config.seed = flash.seed;
    let policy = match flash.pace {
        Pace::Lab => tencent::Policy::v3().lab(),
        Pace::Real => tencent::Policy::v3(),
    };
    Ok(Firmware {
        machine: Box::new(tencent::Device::new(config, policy)),
        application: Box::new(lamp),
        command_port: comm::COMMAND_PORT,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn addresses_are_read() {
        let address = |text: &str| text.parse::<Address>().ok().map(|a| (a.host, a.port));
        assert_eq!(address("localhost:1883"), Some(("localhost".into(), 1883)));
        assert_eq!(address("[::1]:8883"), Some(("::1".into(), 8883)));
        for bad in ["", "localhost", ":1", "h:", "h:0", "h:99999"] {
            assert_eq!(address(bad), None, "{bad}");
        }
        assert_eq!(lan("127.0.0.2"), Ok(SocketAddr::from(([127, 0, 0, 2], 0))));
        assert_eq!(lan("127.0.0.2:9"), Ok(SocketAddr::from(([127, 0, 0, 2], 9))));
        assert!(lan("lamp").is_err());
    }

    fn flash() -> Flash {
        Flash {
            product: "p".to_owned(),
            device: "d".to_owned(),
            secret: None,
            product_secret: None,
            certificate: None,
            server: Some(Address { host: "h".to_owned(), port: 1 }),
            registrar: None,
            bootstrap: None,
            tls: TlsMode::Server,
            is_packed: false,
            via: Via::None,
            pace: Pace::Lab,
            seed: 0,
        }
    }

    #[test]
    fn a_device_needs_something_to_show_and_somewhere_to_go() {
        let usage = |flash: &Flash| {
            huawei_lamp(flash, LOOPBACK).err().map(|error| error.message().to_owned())
        };
        let told = |flash: &Flash, word| usage(flash).is_some_and(|text| text.contains(word));
        assert!(told(&flash(), "--secret"));
        assert!(told(&Flash { via: Via::Ble, ..flash() }, "take `--via` `none`"));
        let secret = Some(Secret::from("a secret"));
        let with_secret = Flash { secret: secret.clone(), ..flash() };
        assert_eq!(usage(&with_secret), None);
        assert!(told(&Flash { server: None, ..with_secret.clone() }, "--server"));
        assert!(told(&Flash { tls: TlsMode::Psk, ..with_secret }, "TLS-PSK"));
        assert!(told(&Flash { tls: TlsMode::Certificate, ..flash() }, "--certificate"));
        let address = Address { host: "h".to_owned(), port: 2 };
        let service = Bootstrap { address, scope: Some("s".to_owned()), keyword: None };
        let member = Flash { server: None, bootstrap: Some(service), ..flash() };
        assert!(told(&member, "--product-secret"));
        assert_eq!(usage(&Flash { product_secret: secret, ..member.clone() }), None);
        let strange = tencent_lamp(&Flash { secret: None, ..member }, LOOPBACK).err();
        assert!(strange.is_some_and(|error| error.message().contains("--bootstrap")));
    }

    #[test]
    fn a_way_that_a_vendor_has_not_is_refused_with_those_it_has() {
        for kind in KINDS {
            for via in Via::value_variants() {
                let chosen = choose(kind.dialect, kind.ways, Some(*via));
                assert_eq!(chosen.is_ok(), kind.ways.contains(via), "{} {via:?}", kind.dialect);
            }
            assert_eq!(choose(kind.dialect, kind.ways, None).ok(), kind.ways.first().copied());
        }
        let refused = choose("gizwits", MODULE, Some(Via::Ble)).expect_err("no Bluetooth");
        let text = "devices of `gizwits` take `--via` `softap`, `airkiss`, `esptouch`, \
                    `esptouch2`, `simpleconfig`, `token`, `none`";
        assert_eq!(refused.message(), text);
        let secret = Some(Secret::from("a secret"));
        let unkeyed = Flash { secret, via: Via::Smartconfig, ..flash() };
        let error = alibaba_lamp(&unkeyed, LOOPBACK).err().expect("no key");
        assert!(error.message().contains("--product-secret"));
        let keyed = Flash { product_secret: Some(Secret::from("key")), ..unkeyed };
        assert!(alibaba_lamp(&keyed, LOOPBACK).is_ok());
    }

    #[test]
    fn every_dialect_has_a_device() {
        // Its device is a module with an MCU, which has no row here.
        let module = crate::cmd::device_module::DIALECT;
        let mut kinds: Vec<_> = KINDS.iter().map(|kind| kind.dialect).collect();
        assert!(kinds.is_sorted());
        kinds.push(module);
        kinds.sort_unstable();
        let dialects: Vec<_> = roadstead_dialects::ALL.iter().map(|d| d.id()).collect();
        assert_eq!(kinds, dialects);
    }
}
