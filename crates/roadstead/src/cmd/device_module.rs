//! `roadstead device run` for a communication module: its MCU is virtual, or at a serial port.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use roadstead_agent::AgentEvent;
use roadstead_agent::module::{Line, ModuleAgent, Options, Ports, Press, Watchdog};
use roadstead_core::Secret;
use roadstead_dialects::gizwits::mcu::Panel;
use roadstead_dialects::gizwits::module::{Config, Flash, Policy};

use crate::failure::{Failure, Result};
use crate::firmware::{Address, Pace, Via};

/// The dialect whose devices are modules.
pub(crate) const DIALECT: &str = "gizwits";
/// The network that a module is in when nobody configures it.
const NETWORK: &str = "virtual";

/// What is known of a module to be run.
pub(crate) struct Module<'a> {
    pub(crate) product: &'a str,
    /// MAC address.
    pub(crate) device: &'a str,
    /// Passcode.
    pub(crate) secret: Option<Secret>,
    pub(crate) server: Option<&'a Address>,
    /// Port 0: those of the vendor.
    pub(crate) lan: SocketAddr,
    pub(crate) data_dir: &'a Path,
    pub(crate) serial: Option<PathBuf>,
    /// Status bytes of the virtual MCU instead of the sample product's.
    pub(crate) points: Option<&'a str>,
    pub(crate) via: Via,
    /// Where its simulated radio hears.
    pub(crate) air: SocketAddr,
    pub(crate) pace: Pace,
}

impl Module<'_> {
    /// Returns the module, switched off.
    pub(crate) fn build(
        &self,
        observer: impl FnMut(AgentEvent) + Send + 'static,
    ) -> Result<ModuleAgent> {
        let usage = |text: &str| Failure::Usage(text.to_owned());
        let mac: [u8; 6] = hex::decode(self.device)
            .ok()
            .and_then(|mac| mac.try_into().ok())
            .ok_or_else(|| usage("`--device` of a module is its MAC address, 12 hex digits"))?;
        if self.product.len() != 32 || !self.product.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(usage("`--product` of a module is its product key, 32 hex digits"));
        }
        let mut config = Config::new(mac);
        if let Some(Address { host, port }) = self.server {
            (config.api_host, config.api_port) = (host.as_str().into(), *port);
        }
        config.check().map_err(|error| Failure::Usage(error.to_string()))?;
        let panel = match self.points {
            None => Panel::pet_house(),
            Some(text) => Panel::raw(
                &hex::decode(text).map_err(|_| usage("`--points` takes hexadecimal digits"))?,
            ),
        };
        let line = match &self.serial {
            Some(path) => Line::Port(path.clone()),
            None => Line::Virtual { product_key: self.product.to_owned(), panel, bindable_s: 0 },
        };
        let policy = match self.pace {
            Pace::Lab => Policy::document().fast(),
            Pace::Real => Policy::document(),
        };
        // Which scheme it is only the phone must know: a module hears them all.
        let hears = self.via.bearer().is_some();
        if hears && self.serial.is_some() {
            let text = "a module with an MCU at `--serial` listens when that MCU says so; leave \
                        `--via` out";
            return Err(usage(text));
        }
        let waits = hears || self.via == Via::Softap;
        let network = (!waits).then(|| (NETWORK.as_bytes().into(), "".into()));
        let product_key = match self.secret {
            // A passcode belongs to the product that the MCU names.
            Some(_) => self.product.into(),
            None => "".into(),
        };
        let factory =
            Flash { network, passcode: self.secret.clone(), product_key, ..Flash::default() };
        let ports = match self.lan.port() {
            0 => Ports::default(),
            port => Ports::around(port),
        };
        let watchdog = Watchdog::start(|| {
            tracing::error!("the module's loop hangs: the watchdog ends the process");
            std::process::abort();
        });
        let options = Options {
            config,
            policy,
            lan: self.lan.ip(),
            ports,
            broadcast: None,
            data_dir: self.data_dir.to_owned(),
            factory,
            line,
            network: None,
            air: self.air,
            key: hears.then_some(Press::AirLink),
            watchdog: watchdog.ok(),
        };
        Ok(ModuleAgent::new(options).with_observer(observer))
    }
}
