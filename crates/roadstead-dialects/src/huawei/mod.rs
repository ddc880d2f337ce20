//! Huawei IoTDA: the dialect of the C, Python, Java, Go and Tiny device SDKs over MQTT.
//!
//! Words: *product_id* is our product id, *node_id* our node id, *device_id* our device id,
//! *service/property/command/event* are ours, *child* our sub-device, *secret* our device secret,
//! *registration group* a product with a product secret (`settings.toml`).
//!
//! | half | where |
//! |---|---|
//! | cloud | `server` |
//! | device | [`device`] |
//! | product models and their archives | [`model`] |
//!
//! Not here: LwM2M and CoAP (§6), firmware updates (§12), legacy v3 commands (§16: reports are
//! understood), log-in by node id (kind 2, legacy).
//!
//! Source: Huawei §1 to §4; recordings of the C, Python and Tiny SDKs (`transcripts/huawei`),
//! seed huawei-iotda-faq.

#[cfg(feature = "device")]
pub mod device;

#[cfg_attr(
    not(all(feature = "server", feature = "device")),
    allow(dead_code, reason = "each half uses its part")
)]
mod auth;
#[cfg(feature = "server")]
mod codes;
#[cfg_attr(
    not(all(feature = "server", feature = "device")),
    allow(dead_code, reason = "each half uses its part")
)]
mod gzip;
pub mod model;
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
mod time;
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

pub use gzip::{GzipError, gunzip, gzip};

#[cfg(feature = "server")]
use alloc::boxed::Box;
use alloc::format;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roadstead_core::Value;
use roadstead_core::product::{Model, Product};

use crate::{Adapted, Archive, ArchiveFile, Dialect, Packed, Problem, SecretKind, capability};

/// Longest product id, characters (Huawei §1).
const PRODUCT_ID_MAX: usize = 36;
/// Longest node id, characters (Huawei §1).
const NODE_ID_MAX: usize = 64;
/// Longest device id, characters (Huawei §1).
pub(crate) const DEVICE_ID_MAX: usize = 128;
/// Length of a device secret, characters (Huawei §1).
const SECRET_LEN: core::ops::RangeInclusive<usize> = 8..=32;
/// Longest decoded group secret, bytes; the recorded one has 34 (Huawei §4).
const GROUP_KEY_MAX: usize = 256;

/// The dialect; a row of [`crate::ALL`].
pub struct Huawei;

impl Dialect for Huawei {
    fn id(&self) -> &'static str {
        "huawei"
    }

    fn title(&self) -> &'static str {
        "Huawei IoTDA"
    }

    fn check_ids(&self, product: &str, node: Option<&str>) -> Result<(), Problem> {
        if !is_id(product, PRODUCT_ID_MAX) {
            let rule = "a product_id has 1 to 36 letters, digits, `_` or `-`";
            return Err(Problem::new("import.bad_row", format!("product `{product}`: {rule}")));
        }
        match node {
            Some(node) if !is_id(node, NODE_ID_MAX) => {
                let rule = "a node_id has 1 to 64 letters, digits, `_` or `-`";
                Err(Problem::new("import.bad_row", format!("device `{node}`: {rule}")))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn check_secret(&self, kind: SecretKind, secret: &str) -> Result<(), Problem> {
        let rule = match kind {
            SecretKind::Device if !SECRET_LEN.contains(&secret.len()) => {
                "a device secret has 8 to 32 characters"
            }
            SecretKind::Device if !is_id(secret, *SECRET_LEN.end()) => {
                "a device secret has letters, digits, `_` and `-` only"
            }
            SecretKind::Device => return Ok(()),
            SecretKind::Product => match STANDARD.decode(secret) {
                Ok(key) if (1..=GROUP_KEY_MAX).contains(&key.len()) => return Ok(()),
                Ok(_) => "a group secret decodes to 1 to 256 bytes",
                Err(_) => "a group secret is base64 text",
            },
        };
        Err(Problem::new("import.bad_row", rule))
    }

    fn import_model(&self, document: &Value) -> Option<Result<Model, Problem>> {
        capability::recognizes(document).then(|| capability::import(document))
    }

    fn export_model(&self, model: &Model) -> Result<Value, Problem> {
        Ok(capability::export(model))
    }

    fn check_model(&self, model: &Model) -> Result<(), Problem> {
        model::check(model)
    }

    fn adapt_model(&self, model: &Model) -> Adapted {
        model::adapt(model)
    }

    fn desires_initial_values(&self) -> bool {
        true
    }

    fn import_archive(
        &self,
        name: Option<&str>,
        files: &[ArchiveFile<'_>],
    ) -> Option<Result<Packed, Problem>> {
        model::import(name, files)
    }

    fn export_archive(&self, product: &Product) -> Option<Result<Archive, Problem>> {
        Some(model::export(product))
    }

    #[cfg(feature = "server")]
    fn cloud(&self, settings: &Value) -> Result<Box<dyn crate::cloud::Cloud>, Problem> {
        let settings = settings::Settings::read(settings)?;
        Ok(Box::new(server::HuaweiCloud::new(settings)))
    }

    fn settings_template(&self) -> &'static str {
        include_str!("settings.toml")
    }
}

/// Returns true for `[A-Za-z0-9_-]{1,max}`, the shape of every name of this vendor.
pub(crate) fn is_id(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod checks {
    use super::*;

    #[test]
    fn ids_and_secrets_of_a_fleet_file() {
        for (product, node, good) in [
            ("5f58768785edc002bc69cbf2", Some("imei-861234567890001"), true),
            ("lab_product", None, true),
            ("", None, false),
            (&*"p".repeat(37), None, false),
            ("a b", None, false),
            ("p", Some(""), false),
            ("p", Some(&*"n".repeat(64)), true),
            ("p", Some(&*"n".repeat(65)), false),
            ("p", Some("a/b"), false),
        ] {
            assert_eq!(Huawei.check_ids(product, node).is_ok(), good, "{product} {node:?}");
        }
        for (kind, secret, good) in [
            (SecretKind::Device, "lab-secret-0001", true),
            (SecretKind::Device, "3b935a250c50dc2c6d481d048cefdc3c", true),
            (SecretKind::Device, "short", false),
            (SecretKind::Device, "with space 1234", false),
            (SecretKind::Product, "Z3JvdXAtc2VjcmV0LTAwMDAwMDAwMDAwMDAwMDAwMDAx", true),
            (SecretKind::Product, "not base64!", false),
            (SecretKind::Product, "", false),
        ] {
            let checked = Huawei.check_secret(kind, secret);
            assert_eq!(checked.is_ok(), good, "{kind:?}");
            assert!(checked.err().is_none_or(|p| secret.is_empty() || !p.message.contains(secret)));
        }
    }
}
