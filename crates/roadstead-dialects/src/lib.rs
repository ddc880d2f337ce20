//! Vendor dialects: wire to canonical and back. The only crate that sees both the canonical
//! domain ([`roadstead_core`]) and wire formats.
//!
//! One folder per vendor, one row in [`ALL`]. A dialect has up to three halves, each behind a
//! feature: the cloud ([`cloud::Cloud`]), the device and the phone. All are sans-IO: no socket, no
//! clock, no randomness of their own.
//!
//! Dialects see messages (topic and payload, HTTP call, datagram), never MQTT or TLS bytes.
#![no_std]

extern crate alloc;
// The derives of `schema` name `std`; the code of this crate does not.
#[cfg(any(test, feature = "schema"))]
extern crate std;

pub mod air;
pub mod alibaba;
mod archive;
pub mod capability;
#[cfg(feature = "server")]
pub mod cloud;
#[cfg(feature = "device")]
pub mod device;
pub mod gizwits;
pub mod huawei;
pub mod tencent;
mod value;

#[cfg(feature = "server")]
use alloc::boxed::Box;
use alloc::string::String;

use roadstead_core::product::{Model, Product};
use roadstead_core::{Code, Value};

pub use archive::{Adapted, Archive, ArchiveFile, Note, Packed};

/// Every dialect of this build, alphabetical. A new vendor adds a folder, a `mod` line and a row.
pub static ALL: &[&dyn Dialect] =
    &[&alibaba::Alibaba, &gizwits::Gizwits, &huawei::Huawei, &tencent::Tencent];

/// Returns the dialect called `id`.
pub fn find(id: &str) -> Option<&'static dyn Dialect> {
    ALL.iter().find(|dialect| dialect.id() == id).copied()
}

/// What is fixed about one vendor's language: names, formats, checks. The halves hang off it.
pub trait Dialect: Sync {
    /// Returns the name used in configuration, fleet files, metrics and for the folder.
    fn id(&self) -> &'static str;

    /// Returns the name people know it by.
    fn title(&self) -> &'static str;

    /// Checks a product id or node id of a fleet file against the vendor's rules.
    ///
    /// # Errors
    ///
    /// Which rule is broken.
    fn check_ids(&self, product: &str, node: Option<&str>) -> Result<(), Problem>;

    /// Checks a secret, given as the vendor shows it.
    ///
    /// # Errors
    ///
    /// Which rule is broken; the text never holds the secret.
    fn check_secret(&self, kind: SecretKind, secret: &str) -> Result<(), Problem>;

    /// Recognises the vendor's own thing-model document by content and imports it. `None` when it
    /// is not this vendor's.
    fn import_model(&self, document: &Value) -> Option<Result<Model, Problem>>;

    /// Writes a model as the vendor's own document. What it imported comes out equal.
    ///
    /// # Errors
    ///
    /// [`Problem`] when the model has an element that the vendor's form cannot express.
    fn export_model(&self, model: &Model) -> Result<Value, Problem>;

    /// Checks a model against the vendor's rules of names, lengths and types.
    ///
    /// # Errors
    ///
    /// `import.bad_model`, naming the element and the rule.
    fn check_model(&self, model: &Model) -> Result<(), Problem> {
        let _ = model;
        Ok(())
    }

    /// Fits a model that comes from elsewhere to what the vendor's form can say, and names what
    /// has no counterpart. What it returns passes [`Dialect::check_model`] and exports.
    fn adapt_model(&self, model: &Model) -> Adapted {
        Adapted::unchanged(model)
    }

    /// Whether the initial values of a model are desired of every new device (Huawei §7.1) rather
    /// than shown to people only.
    fn desires_initial_values(&self) -> bool {
        false
    }

    /// Recognises the vendor's product archive by content and imports it. `None` when it is not
    /// this vendor's. `name` is the archive's file name where one is known.
    fn import_archive(
        &self,
        name: Option<&str>,
        files: &[ArchiveFile<'_>],
    ) -> Option<Result<Packed, Problem>> {
        let _ = (name, files);
        None
    }

    /// Writes a product as the vendor's archive; `None` when the vendor has no such form.
    fn export_archive(&self, product: &Product) -> Option<Result<Archive, Problem>> {
        let _ = product;
        None
    }

    /// Opens the cloud half with the operator's settings (section `[dialect.<id>]`; unknown keys
    /// are errors).
    ///
    /// # Errors
    ///
    /// [`Problem`] naming the setting.
    #[cfg(feature = "server")]
    fn cloud(&self, settings: &Value) -> Result<Box<dyn cloud::Cloud>, Problem>;

    /// Returns the commented default settings in TOML, without the section head.
    fn settings_template(&self) -> &'static str;
}

/// Which secret a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// The secret all devices of a product share.
    Product,
    /// One device's own secret.
    Device,
}

/// Why something that a person wrote does not fit the vendor's rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// Stable code: `import.bad_row`, `import.bad_model`, …
    pub code: Code,
    /// Which element and which rule; never a secret.
    pub message: String,
}

impl Problem {
    /// Returns a problem.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn every_folder_has_a_row() {
        let mut folders: Vec<String> =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))
                .expect("source folder")
                .map(|entry| entry.expect("entry").path())
                .filter(|path| path.is_dir())
                .map(|path| path.file_name().expect("name").to_string_lossy().into_owned())
                .filter(|name| !["air", "capability", "cloud", "device"].contains(&name.as_str()))
                .collect();
        folders.sort();
        assert_eq!(folders, ALL.iter().map(|dialect| dialect.id()).collect::<Vec<_>>());
        assert!(find("tencent").is_some() && find("nobody").is_none());
    }
}
