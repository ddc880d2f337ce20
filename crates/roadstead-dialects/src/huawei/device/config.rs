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
    /// Device secret.
    pub secret: Secret,
    /// Where it logs in.
    pub host: Box<str>,
    /// Where it logs in; real firmware knows 1883 and 8883 only (T6).
    pub port: u16,
    /// Protection of the log-in.
    pub tls: Tls,
    /// Longest silence.
    pub keep_alive: Duration,
    /// Thing model; without it values are passed through.
    pub model: Option<Arc<Model>>,
    /// Divides the pauses between log-ins.
    pub haste: u32,
    /// Makes jitter differ between devices.
    pub seed: u64,
}

impl Config {
    /// Returns a device with the id that the platform gives by itself, on the plain port.
    pub fn new(product: &str, node: &str, secret: Secret) -> Self {
        Self {
            device_id: format!("{product}_{node}").into(),
            secret,
            host: "localhost".into(),
            port: 1883,
            tls: Tls::Off,
            keep_alive: KEEP_ALIVE,
            model: None,
            haste: 1,
            seed: 0,
        }
    }
}
