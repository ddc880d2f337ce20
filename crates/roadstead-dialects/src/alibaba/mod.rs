//! Alibaba Living / Link SDK: the dialect of Link Kit C 2.x and 3.x, the smart-living SDK, LinkSDK
//! 4, and the Python and npm clients.
//!
//! Words: *ProductKey* is our product id, *DeviceName* our node id, *TSL* our thing model (its
//! function blocks are our services), *property/event/service* our property/event/command,
//! `enrollee/match` our bind token report, *topology* our gateway and sub-devices.
//!
//! Not supported: ID2 and iTLS log-ins, X.509 beside fingerprints, the CoAP and HTTP/2 cloud
//! channels (§13).
//!
//! Source: Alibaba §0 to §12; recordings of six clients (`tests/transcripts`), seeds
//! alibaba-binding-principles and alibaba-provisioning-troubleshooting.

pub mod alcs;
#[cfg(feature = "app")]
pub mod app;
#[cfg_attr(
    not(all(feature = "server", feature = "device")),
    allow(dead_code, reason = "each half uses its part")
)]
mod auth;
#[cfg_attr(
    not(all(feature = "server", feature = "device")),
    allow(dead_code, reason = "each half uses its part")
)]
mod client;
#[cfg(feature = "server")]
mod codes;
mod crypt;
#[cfg(feature = "device")]
pub mod device;
#[cfg(feature = "server")]
mod http;
pub mod lan;
mod model;
#[cfg_attr(
    not(all(feature = "server", feature = "device")),
    allow(dead_code, reason = "each half uses its part")
)]
mod payload;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod settings;
pub mod softap;
#[cfg(all(test, feature = "server"))]
mod tests;
#[cfg_attr(
    not(all(feature = "server", feature = "device")),
    allow(dead_code, reason = "each half uses its part")
)]
mod topic;
#[cfg_attr(
    not(all(feature = "server", feature = "device")),
    allow(dead_code, reason = "each half uses its part")
)]
mod value;

#[cfg(feature = "server")]
use alloc::boxed::Box;
use alloc::format;

use roadstead_core::Value;
use roadstead_core::product::Model;

use crate::{Dialect, Problem, SecretKind};

/// Longest ProductKey, characters (Alibaba §1).
const PRODUCT_KEY_MAX: usize = 20;
/// Longest DeviceName, characters (Alibaba §1).
const DEVICE_NAME_MAX: usize = 32;
/// Longest secret of either kind, characters (Alibaba §1).
const SECRET_MAX: usize = 64;

/// The dialect; a row of [`crate::ALL`].
pub struct Alibaba;

impl Dialect for Alibaba {
    fn id(&self) -> &'static str {
        "alibaba"
    }

    fn title(&self) -> &'static str {
        "Alibaba Living / Link SDK"
    }

    fn check_ids(&self, product: &str, node: Option<&str>) -> Result<(), Problem> {
        if !is_product_key(product) {
            let rule = "a ProductKey has 1 to 20 letters and digits";
            return Err(Problem::new("import.bad_row", format!("product `{product}`: {rule}")));
        }
        let Some(node) = node else { return Ok(()) };
        if !is_device_name(node) {
            let rule = "a DeviceName has 1 to 32 letters, digits, `_`, `-`, `.`, `:` or `@`";
            return Err(Problem::new("import.bad_row", format!("device `{node}`: {rule}")));
        }
        Ok(())
    }

    fn check_secret(&self, kind: SecretKind, secret: &str) -> Result<(), Problem> {
        let is_word = secret.bytes().all(|byte| byte.is_ascii_graphic());
        if is_word && (1..=SECRET_MAX).contains(&secret.len()) {
            return Ok(());
        }
        let rule = match kind {
            SecretKind::Product => "a ProductSecret has 1 to 64 characters of ASCII, no blanks",
            SecretKind::Device => "a DeviceSecret has 1 to 64 characters of ASCII, no blanks",
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
        Ok(Box::new(server::AlibabaCloud::new(settings)))
    }

    fn settings_template(&self) -> &'static str {
        include_str!("settings.toml")
    }
}

/// Returns true for a text that can be a ProductKey.
pub(crate) fn is_product_key(text: &str) -> bool {
    (1..=PRODUCT_KEY_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Returns true for a text that can be a DeviceName.
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
            ("a1RsKq9ZxTb", Some("lamp-0001"), true),
            ("a1RsKq9ZxTb", None, true),
            ("", None, false),
            ("a1RsKq9ZxTb/", None, false),
            ("a1RsKq9ZxTba1RsKq9ZxT", None, false),
            ("a1RsKq9ZxTb", Some(""), false),
            ("a1RsKq9ZxTb", Some("a b"), false),
            ("a1RsKq9ZxTb", Some("a&b"), false),
            ("a1RsKq9ZxTb", Some(&*"x".repeat(32)), true),
            ("a1RsKq9ZxTb", Some(&*"x".repeat(33)), false),
        ] {
            assert_eq!(Alibaba.check_ids(product, node).is_ok(), good, "{product} {node:?}");
        }
        for (kind, secret, good) in [
            (SecretKind::Device, "Zq3tJ8vYp0LwXc5NdR7mBf2HsK9uGa4E", true),
            (SecretKind::Device, "", false),
            (SecretKind::Device, "two words", false),
            (SecretKind::Product, "pS9dK2mQ7xWv4LtZ", true),
            (SecretKind::Product, &*"x".repeat(65), false),
        ] {
            let checked = Alibaba.check_secret(kind, secret);
            assert_eq!(checked.is_ok(), good, "{kind:?}");
            assert!(checked.err().is_none_or(|p| secret.is_empty() || !p.message.contains(secret)));
        }
    }
}
