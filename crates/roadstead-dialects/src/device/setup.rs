//! What an operator says of one device, in words that every dialect has.
//!
//! Each dialect turns a [`Setup`] into its machine and names what it cannot do.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use roadstead_core::Secret;
use roadstead_core::product::Model;

/// One device to be run.
#[derive(Clone)]
pub struct Setup {
    /// Product id.
    pub product: Box<str>,
    /// Node id.
    pub device: Box<str>,
    /// Device secret as the vendor shows it; without it the device registers itself.
    pub secret: Option<Secret>,
    /// Product secret as the vendor shows it.
    pub product_secret: Option<Secret>,
    /// Client certificate chain and key in PEM.
    pub certificate: Option<(Box<[u8]>, Secret)>,
    /// Where it logs in; `None` for the vendor's own host.
    pub server: Option<(String, u16)>,
    /// Where its vendor HTTP calls go; `None` for the vendor's own host.
    pub vendor_http: Option<(String, u16)>,
    /// HTTPS for those calls.
    pub vendor_https: bool,
    /// Protection of the log-in.
    pub tls: TlsMode,
    /// How it comes by network and token: `softap`, `camera`, `token`, the name of a [`crate::air::Bearer`], or `direct` for a
    /// device that is in the network and needs no owner.
    pub via: Box<str>,
    /// Generation of the vendor's protocol; `None` for the dialect's usual one.
    pub protocol: Option<Box<str>>,
    /// Pauses short enough for a demonstration.
    pub fast: bool,
    /// Thing model.
    pub model: Option<Arc<Model>>,
    /// Makes connection ids and jitter differ between devices.
    pub seed: u64,
}

/// Protection of the log-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Plain TCP.
    Off,
    /// TLS-PSK with the device secret.
    Psk,
    /// TLS with both certificates.
    Certificate,
    /// TLS with the server's certificate; the device proves itself by password.
    Server,
}

impl Setup {
    /// Returns a device without secrets that uses the vendor's hosts.
    pub fn new(product: &str, device: &str) -> Self {
        Self {
            product: product.into(),
            device: device.into(),
            secret: None,
            product_secret: None,
            certificate: None,
            server: None,
            vendor_http: None,
            vendor_https: false,
            tls: TlsMode::Off,
            via: "softap".into(),
            protocol: None,
            fast: false,
            model: None,
            seed: 0,
        }
    }
}
