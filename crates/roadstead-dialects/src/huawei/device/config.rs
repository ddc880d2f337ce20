//! What one device is made of.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;
use core::time::Duration;

use roadstead_core::Secret;
use roadstead_core::product::Model;

use crate::device::Tls;

/// Keep-alive of the C and Python SDKs (Huawei §2.1).
const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// What one device is made of.
pub struct Config {
    /// Device id.
    pub device_id: Box<str>,
    /// Device secret; `None` for a device that shows a certificate ([`Tls::Certificate`]) or gets
    /// its secret from the provisioning service.
    pub secret: Option<Secret>,
    /// Where it logs in, unless the provisioning service says so.
    pub host: Box<str>,
    /// Where it logs in; real firmware knows 1883 and 8883 only (T6).
    pub port: u16,
    /// Protection of the log-in.
    pub tls: Tls,
    /// Asks the provisioning service first.
    pub bootstrap: Option<Bootstrap>,
    /// The platform compares the time stamp of the password with its clock (sign type 1).
    pub is_time_checked: bool,
    /// Reports are packed (`?encoding=gzip`).
    pub is_packed: bool,
    /// Longest silence.
    pub keep_alive: Duration,
    /// Thing model; without it values are passed through.
    pub model: Option<Arc<Model>>,
    /// Divides the pauses between log-ins.
    pub haste: u32,
    /// Makes jitter differ between devices.
    pub seed: u64,
}

/// The provisioning service, and what the device shows there. It has a certificate where
/// [`Bootstrap::tls`] has one, otherwise the group's secret, otherwise its own.
pub struct Bootstrap {
    /// Where it is.
    pub host: Box<str>,
    /// Where it is; real firmware knows 8883 only.
    pub port: u16,
    /// Protection of this connection.
    pub tls: Tls,
    /// Scope id of the registration group; `None` for a device that is known there by itself.
    pub scope: Option<Box<str>>,
    /// Secret of the registration group, base64 as the vendor shows it.
    pub group_secret: Option<Secret>,
    /// `baseStrategyKeyword`: chooses among the platforms behind the service.
    pub keyword: Option<Box<str>>,
    /// Failed log-ins in a row after which the stored answer is forgotten and the service is asked
    /// again; 0 is never, as in the Python SDK (T14).
    pub patience: u32,
}

impl Config {
    /// Returns a device with the id that the platform gives by itself, on the plain port.
    pub fn new(product: &str, node: &str) -> Self {
        Self {
            device_id: format!("{product}_{node}").into(),
            secret: None,
            host: "localhost".into(),
            port: 1883,
            tls: Tls::Off,
            bootstrap: None,
            is_time_checked: false,
            is_packed: false,
            keep_alive: KEEP_ALIVE,
            model: None,
            haste: 1,
            seed: 0,
        }
    }

    /// Sets the device secret.
    #[must_use]
    pub fn with_secret(self, secret: Secret) -> Self {
        Self { secret: Some(secret), ..self }
    }
}

impl Bootstrap {
    /// Returns a service that knows the device by its own secret.
    pub fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: Tls::Server,
            scope: None,
            group_secret: None,
            keyword: None,
            patience: 0,
        }
    }
}
