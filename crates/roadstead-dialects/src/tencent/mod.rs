//! Tencent IoT Explorer: the dialect of the two C SDK lines, the Python SDK and their relatives.
//!
//! Words: *ProductId* is our product id, *DeviceName* our node id, *data template* our thing model
//! (one service), *property/event/action* our property/event/command, *family* our owner,
//! `app_bind_token` our bind token report, *gateway sub-device* our sub-device.
//!
//! Not supported: MQTT shadow and file/resource topics (understood, ignored), CoAP.
//!
//! Source: Tencent §1 to §14; recordings of SDK 3.1.5 and 3.2.1 (`transcripts/tencent`), seed
//! tencent-wifi-provisioning.

#[cfg(feature = "app")]
pub mod app;
#[cfg(any(feature = "app", feature = "device"))]
pub mod comm;
#[cfg(feature = "device")]
pub mod device;

#[cfg_attr(
    not(all(feature = "server", feature = "device")),
    allow(dead_code, reason = "each half uses its part")
)]
mod auth;
#[cfg(any(feature = "device", feature = "server"))]
#[cfg_attr(
    not(all(feature = "server", feature = "device")),
    allow(dead_code, reason = "each half uses its part")
)]
mod codes;
#[cfg(feature = "server")]
mod http;
mod model;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod settings;
#[cfg(all(test, feature = "server"))]
mod tests;
#[cfg_attr(
    not(all(feature = "server", feature = "device")),
    allow(dead_code, reason = "each half uses its part")
)]
mod topic;
#[cfg(any(feature = "device", feature = "server"))]
#[cfg_attr(
    not(all(feature = "server", feature = "device")),
    allow(dead_code, reason = "each half uses its part")
)]
mod value;

#[cfg(feature = "server")]
use alloc::boxed::Box;
use alloc::format;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roadstead_core::Value;
use roadstead_core::product::Model;

use crate::{Dialect, Problem, SecretKind};

/// Length of a ProductId, characters; it is the head of every client id (Tencent §1.1).
pub(crate) const PRODUCT_ID_LEN: usize = 10;
/// Longest DeviceName, characters (Tencent §1.1).
pub(crate) const DEVICE_NAME_MAX: usize = 48;
/// Longest device secret, characters of base64 (Tencent §1.1).
const DEVICE_SECRET_MAX: usize = 64;
/// Longest decoded device secret, bytes (Tencent §1.1).
const DEVICE_KEY_MAX: usize = 48;
/// Shortest product secret the firmware accepts, characters (Tencent §1.1).
const PRODUCT_SECRET_MIN: usize = 16;
/// Longest product secret, characters (Tencent §1.1).
const PRODUCT_SECRET_MAX: usize = 32;

/// The dialect; a row of [`crate::ALL`].
pub struct Tencent;

impl Dialect for Tencent {
    fn id(&self) -> &'static str {
        "tencent"
    }

    fn title(&self) -> &'static str {
        "Tencent IoT Explorer"
    }

    fn check_ids(&self, product: &str, node: Option<&str>) -> Result<(), Problem> {
        // Sub-devices never send a client id, so only they can have a shorter one (SDK sample).
        let product_fits = (1..=PRODUCT_ID_LEN).contains(&product.len())
            && product.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !product_fits {
            let rule = "a ProductId has 10 letters and digits, that of a sub-device at most 10";
            return Err(Problem::new("import.bad_row", format!("product `{product}`: {rule}")));
        }
        let Some(node) = node else { return Ok(()) };
        if !is_device_name(node) {
            let rule = "a DeviceName has 1 to 48 letters, digits, `_`, `-`, `.`, `:` or `@`";
            return Err(Problem::new("import.bad_row", format!("device `{node}`: {rule}")));
        }
        Ok(())
    }

    fn check_secret(&self, kind: SecretKind, secret: &str) -> Result<(), Problem> {
        let rule = match kind {
            SecretKind::Product if !secret.is_ascii() => "a product secret is ASCII text",
            SecretKind::Product
                if !(PRODUCT_SECRET_MIN..=PRODUCT_SECRET_MAX).contains(&secret.len()) =>
            {
                "a product secret has 16 to 32 characters"
            }
            SecretKind::Product => return Ok(()),
            SecretKind::Device if secret.len() > DEVICE_SECRET_MAX => {
                "a device secret has at most 64 characters"
            }
            SecretKind::Device => match STANDARD.decode(secret) {
                Ok(key) if (1..=DEVICE_KEY_MAX).contains(&key.len()) => return Ok(()),
                Ok(_) => "a device secret decodes to 1 to 48 bytes",
                Err(_) => "a device secret is base64 text",
            },
        };
        Err(Problem::new("import.bad_row", rule))
    }

    fn import_model(&self, document: &Value) -> Option<Result<Model, Problem>> {
        model::recognizes(document).then(|| model::import(document))
    }

    fn export_model(&self, model: &Model) -> Result<Value, Problem> {
        model::export(model)
    }

    fn adapt_model(&self, model: &Model) -> crate::Adapted {
        model::adapt(model)
    }

    #[cfg(feature = "server")]
    fn cloud(&self, settings: &Value) -> Result<Box<dyn crate::cloud::Cloud>, Problem> {
        let settings = settings::Settings::read(settings)?;
        Ok(Box::new(server::TencentCloud::new(settings)))
    }

    fn settings_template(&self) -> &'static str {
        include_str!("settings.toml")
    }
}

/// Returns true for a text the SDKs take as a DeviceName.
pub(crate) fn is_device_name(text: &str) -> bool {
    (1..=DEVICE_NAME_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:@".contains(&byte))
}

#[cfg(test)]
mod checks {
    use super::*;

    #[test]
    fn ids_and_secrets_of_a_fleet_file() {
        for (product, node, good) in [
            ("L4WG9V9M2M", Some("TEST2"), true),
            ("BIND_PID", Some("BIND_DEV_NAME"), true),
            ("L4WG9V9M2M", None, true),
            ("L4WG9V9M2MX", None, false),
            ("", None, false),
            ("L4WG/V9M2M", None, false),
            ("L4WG9V9M2M", Some(""), false),
            ("L4WG9V9M2M", Some("a b"), false),
            ("L4WG9V9M2M", Some(&*"x".repeat(48)), true),
            ("L4WG9V9M2M", Some(&*"x".repeat(49)), false),
        ] {
            assert_eq!(Tencent.check_ids(product, node).is_ok(), good, "{product} {node:?}");
        }
        for (kind, secret, good) in [
            (SecretKind::Device, "MLvMHde65nKPk0Lx+ZThaA==", true),
            (SecretKind::Device, "not base64!", false),
            (SecretKind::Device, "", false),
            (SecretKind::Product, "XoezQjzzMedF4lAr2CqCkVYK", true),
            (SecretKind::Product, "short", false),
            (SecretKind::Product, "XoezQjzzMedF4lAé", false),
        ] {
            let checked = Tencent.check_secret(kind, secret);
            assert_eq!(checked.is_ok(), good, "{kind:?}");
            assert!(checked.err().is_none_or(|p| secret.is_empty() || !p.message.contains(secret)));
        }
    }
}
