//! GizWits: the dialect of the GAgent modules, their MCUs, and the phones that talk to both.
//!
//! Words: *product_key* is our product id, *MAC* our node id, *DID* our device id, *passcode* our
//! device secret (the module makes it itself), *product_secret* our product secret, *data points*
//! our thing model (one service), *attribute* our property, *alert* and *fault* a property and an
//! event, *control* our property setting.
//!
//! | half | where |
//! |---|---|
//! | frames of all three | [`lan`] |
//! | cloud: HTTP calls | `http` |
//! | cloud: MQTT session | `server` |
//! | cloud: phones and enterprises | `open` |
//! | data points | `point` |
//! | serial line of module and MCU | [`serial`] |
//! | module | [`module`] |
//! | virtual MCU | [`mcu`] |
//! | phone: LAN, onboarding | [`app`] |
//! | configuration in the laboratory | [`lab`] |
//!
//! Source: GizWits §1 to §8; recordings of GAgent 04020006 (`transcripts/gizwits`), seed
//! gizwits-gagent-specification.

#[cfg(feature = "app")]
pub mod app;
#[cfg(all(feature = "app", feature = "device"))]
pub mod lab;
pub mod lan;
#[cfg(feature = "device")]
pub mod mcu;
#[cfg(feature = "device")]
pub mod module;
pub mod serial;

#[cfg(feature = "server")]
mod codes;
#[cfg(feature = "server")]
mod http;
#[cfg(feature = "server")]
mod open;
mod point;
#[cfg(feature = "server")]
mod server;
#[cfg(feature = "server")]
mod settings;
#[cfg(all(test, feature = "server"))]
mod tests;
#[cfg(feature = "server")]
mod topic;

#[cfg(feature = "server")]
use alloc::boxed::Box;
use alloc::format;

use roadstead_core::Value;
use roadstead_core::product::Model;

use crate::{Adapted, Dialect, Problem, SecretKind};

/// Digits of a product key and of a product secret (GizWits, primitives).
const KEY_LEN: usize = 32;
/// Characters of a DID (seed §8.1).
pub(crate) const DID_LEN: usize = 22;
/// Hex digits of a MAC address.
const MAC_LEN: usize = 12;
/// The channel of whole P0 payloads.
#[cfg(feature = "server")]
const P0_CHANNEL: &str = "p0";
/// Length of a passcode (seed §7.2).
const PASSCODE_LEN: core::ops::RangeInclusive<usize> = 1..=32;

/// The dialect; a row of [`crate::ALL`].
pub struct Gizwits;

impl Dialect for Gizwits {
    fn id(&self) -> &'static str {
        "gizwits"
    }

    fn title(&self) -> &'static str {
        "GizWits GAgent"
    }

    fn check_ids(&self, product: &str, node: Option<&str>) -> Result<(), Problem> {
        if !is_hex(product, KEY_LEN) {
            let rule = "a product_key has 32 hex digits";
            return Err(Problem::new("import.bad_row", format!("product `{product}`: {rule}")));
        }
        match node {
            Some(node) if !is_mac(node) => {
                let rule = "a MAC address has 12 hex digits, capitals or not, never both";
                Err(Problem::new("import.bad_row", format!("device `{node}`: {rule}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_secret(&self, kind: SecretKind, secret: &str) -> Result<(), Problem> {
        let rule = match kind {
            SecretKind::Product if is_hex(secret, KEY_LEN) => return Ok(()),
            SecretKind::Product => "a product_secret has 32 hex digits",
            SecretKind::Device if is_passcode(secret) => return Ok(()),
            SecretKind::Device => "a passcode has 1 to 32 letters and digits",
        };
        Err(Problem::new("import.bad_row", rule))
    }

    fn import_model(&self, document: &Value) -> Option<Result<Model, Problem>> {
        point::recognizes(document).then(|| point::import(document))
    }

    fn export_model(&self, model: &Model) -> Result<Value, Problem> {
        point::export(model)
    }

    fn adapt_model(&self, model: &Model) -> Adapted {
        point::adapt(model)
    }

    #[cfg(feature = "server")]
    fn cloud(&self, settings: &Value) -> Result<Box<dyn crate::cloud::Cloud>, Problem> {
        let settings = settings::Settings::read(settings)?;
        Ok(Box::new(server::GizwitsCloud::new(settings)))
    }

    fn settings_template(&self) -> &'static str {
        include_str!("settings.toml")
    }
}

/// Returns true for so many hex digits.
fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns true for a MAC address in one case: modules and phones write it either way.
fn is_mac(text: &str) -> bool {
    let (upper, lower) = (text.to_ascii_uppercase(), text.to_ascii_lowercase());
    is_hex(text, MAC_LEN) && (upper == text || lower == text)
}

/// Returns true for a text that can be a DID.
pub(crate) fn is_did(text: &str) -> bool {
    text.len() == DID_LEN && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Returns true for a text that can be a passcode: what survives a form body as it is.
pub(crate) fn is_passcode(text: &str) -> bool {
    PASSCODE_LEN.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod checks {
    use super::*;

    #[test]
    fn ids_and_secrets_of_a_fleet_file() {
        let key = "6f3074fe43894547a4f1314bd7e3ae0b";
        for (product, node, good) in [
            (key, Some("0247495A0001"), true),
            (key, Some("0247495a0001"), true),
            (key, None, true),
            (key, Some("02:47:49:5a:00:01"), false),
            (key, Some("0247495a00aB"), false),
            (key, Some(""), false),
            (&key[1..], None, false),
            ("zz3074fe43894547a4f1314bd7e3ae0b", None, false),
        ] {
            assert_eq!(Gizwits.check_ids(product, node).is_ok(), good, "{product} {node:?}");
        }
        for (kind, secret, good) in [
            (SecretKind::Device, "SDGUVYIYYB", true),
            (SecretKind::Device, "", false),
            (SecretKind::Device, "two words", false),
            (SecretKind::Device, "a&b", false),
            (SecretKind::Device, &*"x".repeat(33), false),
            (SecretKind::Product, "067a83b650544d979bb3d4d147f32034", true),
            (SecretKind::Product, "secret", false),
        ] {
            let checked = Gizwits.check_secret(kind, secret);
            assert_eq!(checked.is_ok(), good, "{kind:?}");
            assert!(checked.err().is_none_or(|p| secret.is_empty()
                || !p.message.contains(secret)
                || secret == "secret"));
        }
    }
}
