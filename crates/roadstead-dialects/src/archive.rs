//! Products as a vendor's archive, and models fitted to a vendor's form: what travels between a
//! dialect and those who pack, unpack and store. Archives are already unpacked here: a dialect
//! sees paths and bytes, never a compressed stream.

use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::product::Model;
use roadstead_core::{Map, Value};

/// One file of an archive.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveFile<'a> {
    /// Path inside the archive, `/` between folders; a folder ends with `/`.
    pub path: &'a str,
    /// Content.
    pub bytes: &'a [u8],
}

/// What an archive says about a product.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Packed {
    /// Descriptive fields, named as in the northbound API (`device_type`, `manufacturer_name`, …)
    /// or, where that has none, as the vendor's rule wants them again.
    pub attributes: Map<String, Value>,
    /// The thing model.
    pub model: Model,
}

/// An archive to be packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// File name that the vendor asks for.
    pub name: String,
    /// Paths and contents, in order.
    pub files: Vec<(String, Vec<u8>)>,
}

/// A model fitted to a vendor's form.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapted {
    /// What the vendor's form can say.
    pub model: Model,
    /// What it cannot, in the order of the original.
    pub notes: Vec<Note>,
}

/// One thing that has no counterpart in a vendor's form.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Note {
    /// The element, dotted: service, member, parameter.
    pub path: String,
    /// What becomes of it.
    pub text: String,
}

impl Adapted {
    /// Returns a model that fits as it is.
    pub fn unchanged(model: &Model) -> Self {
        Self { model: model.clone(), notes: Vec::new() }
    }
}
