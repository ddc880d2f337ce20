//! The fleet file of `import`: products and devices with the ids and secrets they already have.
//!
//! YAML and JSON carry both and are read whole; CSV and JSON lines carry device rows alone and
//! are streamed, so their size is not limited by memory. Every row knows its line. Unknown keys
//! are errors. What a row *means* is the platform's decision, not made here.

mod document;
mod model;
mod rows;

use std::path::{Path, PathBuf};

use roadstead_core::Secret;
use roadstead_core::product::{Auth, Registration};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

pub(crate) use rows::Devices;

use crate::failure::{Failure, Result};

/// Version of the file format.
const VERSION: u32 = 1;
/// Largest YAML or JSON fleet file, bytes; larger fleets use CSV or JSON lines.
const DOCUMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A fleet file, opened.
pub(crate) struct Fleet {
    /// Folder that `model` is relative to.
    pub(crate) folder: PathBuf,
    /// Products, all of them.
    pub(crate) products: Vec<Row<Product>>,
    /// Devices, read on demand.
    pub(crate) devices: Devices,
}

/// Something with the line it starts on, counted from 1.
pub(crate) struct Row<T> {
    /// Line in the file.
    pub(crate) line: u64,
    /// What stands there.
    pub(crate) value: T,
}

/// Why a row, or the whole file, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct RowError {
    /// Line in the file.
    pub(crate) line: u64,
    /// Stable code.
    pub(crate) code: String,
    /// What is wrong.
    pub(crate) message: String,
}

/// One product of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Product {
    dialect: String,
    /// The vendor's own id.
    product: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    secret: Option<Secret>,
    /// `secret` for a new product when missing.
    #[serde(default)]
    auth: Option<Auth>,
    /// `off` for a new product when missing.
    #[serde(default)]
    dynamic_registration: Option<Registration>,
    /// The vendor's thing-model file, relative to the fleet file.
    #[serde(default)]
    model: Option<PathBuf>,
}

/// One device of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Device {
    dialect: String,
    product: String,
    /// The vendor's name inside the product.
    device: String,
    #[serde(default)]
    device_id: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    secret: Option<Secret>,
    #[serde(default)]
    fingerprint: Option<String>,
    #[serde(default)]
    gateway: Option<String>,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Secret::from))
}

/// Opens a fleet file; its form follows from its name.
///
/// # Errors
///
/// A failure of the file itself, or the error of the line that makes the file unusable.
pub(crate) fn open(path: &Path) -> Result<std::result::Result<Fleet, RowError>> {
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let form = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    let fleet = match form.as_str() {
        "yaml" | "yml" => document::yaml(&read(path)?),
        "json" => document::json(&read(path)?),
        "csv" => rows::csv(open_rows(path)?),
        "jsonl" | "ndjson" => Ok(rows::json_lines(open_rows(path)?)),
        _ => {
            let shown = path.display();
            return Err(Failure::Usage(format!(
                "`{shown}` has no known ending; use .yaml, .json, .csv or .jsonl"
            )));
        }
    };
    Ok(fleet.map(|fleet| Fleet { folder, ..fleet }))
}

fn read(path: &Path) -> Result<String> {
    let failed = |error: std::io::Error| Failure::file("Reading", path, &error);
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > DOCUMENT_BYTES_MAX {
        return Err(Failure::with_remedy(
            "client.file",
            format!("`{}` is larger than 64 MiB.", path.display()),
            "Put the device rows into a CSV or JSON lines file and import that after the products.",
        ));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

fn open_rows(path: &Path) -> Result<Box<dyn std::io::BufRead + Send>> {
    let file = std::fs::File::open(path).map_err(|e| Failure::file("Reading", path, &e))?;
    Ok(Box::new(std::io::BufReader::new(file)))
}

impl RowError {
    fn unreadable(line: u64, message: impl Into<String>) -> Self {
        Self { line, code: "import.unreadable".to_owned(), message: message.into() }
    }
}

impl Row<Product> {
    /// Returns the row as the import call carries it, its model file read.
    ///
    /// # Errors
    ///
    /// The model file cannot be read.
    pub(crate) fn to_json(&self, folder: &Path) -> std::result::Result<Value, RowError> {
        let p = &self.value;
        let mut row = Map::new();
        row.insert("line".into(), self.line.into());
        row.insert("dialect".into(), p.dialect.clone().into());
        row.insert("product".into(), p.product.clone().into());
        put(&mut row, "name", p.name.as_deref());
        put(&mut row, "secret", p.secret.as_ref().and_then(Secret::expose_text));
        if let Some(auth) = p.auth {
            row.insert("auth".into(), serde_json::json!(auth));
        }
        if let Some(registration) = p.dynamic_registration {
            row.insert("dynamic_registration".into(), serde_json::json!(registration));
        }
        if let Some(file) = &p.model {
            let model = model::read(&folder.join(file)).map_err(|message| RowError {
                line: self.line,
                code: "import.bad_model".to_owned(),
                message,
            })?;
            row.insert("model".into(), model);
        }
        Ok(row.into())
    }
}

impl Row<Device> {
    /// Returns the row as the import call carries it.
    pub(crate) fn to_json(&self) -> Value {
        let d = &self.value;
        let mut row = Map::new();
        row.insert("line".into(), self.line.into());
        row.insert("dialect".into(), d.dialect.clone().into());
        row.insert("product".into(), d.product.clone().into());
        row.insert("device".into(), d.device.clone().into());
        put(&mut row, "device_id", d.device_id.as_deref());
        put(&mut row, "secret", d.secret.as_ref().and_then(Secret::expose_text));
        put(&mut row, "fingerprint", d.fingerprint.as_deref());
        put(&mut row, "gateway", d.gateway.as_deref());
        row.into()
    }
}

fn put(row: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        row.insert(name.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests;
