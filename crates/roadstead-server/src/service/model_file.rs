//! Product files: in which format a document or archive is, what it says, and a product written
//! as one. The formats are the API's own document, the archive, and each dialect's template.
//!
//! Pure: no store. Also used by the command line, which converts without a server.

use roadstead_core::product::Product;
use roadstead_core::{Map, Value};
use roadstead_dialects::capability;
use roadstead_dialects::{ALL, Adapted, ArchiveFile, Dialect, Note, Packed, Problem};

use crate::archive;

/// Name of the API's own document as a format.
pub const DOCUMENT: &str = "v5";
/// Name of the archive as a format.
pub const ARCHIVE: &str = "zip";

/// A product file that was read.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// `v5`, `zip`, or the dialect of a template.
    pub format: &'static str,
    /// The dialect whose own form it is.
    pub native: Option<&'static str>,
    /// The product id that it names.
    pub product: Option<String>,
    /// The display name that it gives.
    pub name: Option<String>,
    /// Descriptive fields and thing model.
    pub packed: Packed,
}

/// A product that was written as a file.
#[derive(Clone, Debug)]
pub struct Written {
    /// File name.
    pub name: String,
    /// Media type of the content.
    pub media: &'static str,
    /// Content.
    pub bytes: Vec<u8>,
    /// What the format has no counterpart for.
    pub notes: Vec<Note>,
}

/// Returns the names of all formats that products are written in.
pub fn formats() -> Vec<&'static str> {
    let templates = ALL.iter().filter(|dialect| !is_document_native(**dialect)).map(|d| d.id());
    [DOCUMENT, ARCHIVE].into_iter().chain(templates).collect()
}

/// Reads a product file; the format is recognised by content.
///
/// # Errors
///
/// `import.*` naming what is wrong with the file, with the line where there is one.
pub fn read(name: Option<&str>, bytes: &[u8]) -> Result<ModelFile, Problem> {
    if archive::is_zip(bytes) {
        return read_archive(name, bytes);
    }
    if name.is_some_and(|name| name.to_ascii_lowercase().ends_with(".zip")) {
        let text = "the name ends with `.zip`, but the content is not that of a zip archive";
        return Err(Problem::new("import.not_archive", text));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let document: Value = serde_json::from_slice(bytes).map_err(|error| {
        let text = format!("the file is neither a zip archive nor JSON: {error}");
        Problem::new("import.bad_model", text)
    })?;
    read_document(&document)
}

/// Reads a product document that is JSON already.
///
/// # Errors
///
/// `import.bad_model`.
pub fn read_document(document: &Value) -> Result<ModelFile, Problem> {
    let file = |format, native, model| ModelFile {
        format,
        native,
        product: None,
        name: None,
        packed: Packed { model, ..Packed::default() },
    };
    let is_list = |value: &Value| value.pointer("/0/service_id").is_some_and(Value::is_string);
    let wrapped = is_list(document).then(|| serde_json::json!({"service_capabilities": document}));
    let own = wrapped.as_ref().unwrap_or(document);
    if capability::recognizes(own) {
        let text = |key: &str| own.get(key).and_then(Value::as_str).map(str::to_owned);
        let native = ALL.iter().find(|dialect| is_document_native(**dialect)).map(|d| d.id());
        let mut read = file(DOCUMENT, native, capability::import(own)?);
        (read.product, read.name) = (text("product_id"), text("name"));
        for key in DESCRIPTIVE {
            if let Some(value) = text(key).filter(|value| !value.is_empty()) {
                read.packed.attributes.insert(key.into(), value.into());
            }
        }
        return Ok(read);
    }
    let found = ALL.iter().find_map(|dialect| Some((dialect, dialect.import_model(document)?)));
    match found {
        Some((dialect, model)) => Ok(file(dialect.id(), Some(dialect.id()), model?)),
        None => {
            let text = "the document is in the thing-model format of no known dialect";
            Err(Problem::new("import.bad_model", text))
        }
    }
}

/// Fields of the API's document that archives and products keep but the platform does not
/// interpret.
const DESCRIPTIVE: [&str; 8] = [
    "device_type",
    "protocol_type",
    "data_format",
    "manufacturer_name",
    "industry",
    "description",
    "manufacturer_id",
    "device_model",
];

fn read_archive(name: Option<&str>, bytes: &[u8]) -> Result<ModelFile, Problem> {
    let files = archive::unpack(bytes)?;
    let files: Vec<_> = files.iter().map(|(path, bytes)| ArchiveFile { path, bytes }).collect();
    let found =
        ALL.iter().find_map(|dialect| Some((dialect, dialect.import_archive(name, &files)?)));
    match found {
        Some((dialect, packed)) => Ok(ModelFile {
            format: ARCHIVE,
            native: Some(dialect.id()),
            product: None,
            name: None,
            packed: packed?,
        }),
        None => {
            let text = "the archive is in the form of no known dialect: no `…-capability.json`";
            Err(Problem::new("import.bad_model", text))
        }
    }
}

/// Fits the model of a file to a dialect: its own as it is, others as far as meaning allows.
///
/// # Errors
///
/// `import.bad_model` when it breaks a rule of the dialect.
pub fn fit(file: &ModelFile, dialect: &dyn Dialect) -> Result<Adapted, Problem> {
    let adapted = match file.native == Some(dialect.id()) {
        true => Adapted::unchanged(&file.packed.model),
        false => dialect.adapt_model(&file.packed.model),
    };
    dialect.check_model(&adapted.model)?;
    Ok(adapted)
}

/// Writes a product in a format.
///
/// # Errors
///
/// `import.bad_model` when the product has something the format cannot say, `api.bad_request`
/// for an unknown format.
pub fn write(product: &Product, format: &str) -> Result<Written, Problem> {
    if format == DOCUMENT {
        return Ok(json(product, &document(product), Vec::new()));
    }
    if format == ARCHIVE {
        return write_archive(product);
    }
    let Some(dialect) = roadstead_dialects::find(format) else {
        let text = format!("format: `{format}` is none of {}", formats().join(", "));
        return Err(Problem::new("api.bad_request", text));
    };
    let Adapted { model, notes } = fitted(product, dialect);
    Ok(json(product, &dialect.export_model(&model)?, notes))
}

fn write_archive(product: &Product) -> Result<Written, Problem> {
    for dialect in ALL {
        let Adapted { model, notes } = fitted(product, *dialect);
        let fitted = Product { model, ..product.clone() };
        if let Some(archive) = dialect.export_archive(&fitted) {
            let archive = archive?;
            let bytes = archive::pack(&archive)?;
            return Ok(Written { name: archive.name, media: "application/zip", bytes, notes });
        }
    }
    Err(Problem::new("api.bad_request", "format: no dialect of this build has archives"))
}

fn fitted(product: &Product, dialect: &dyn Dialect) -> Adapted {
    match *product.dialect == *dialect.id() {
        true => Adapted::unchanged(&product.model),
        false => dialect.adapt_model(&product.model),
    }
}

/// Returns the product as the API's own document.
fn document(product: &Product) -> Value {
    let mut document = Map::new();
    document.insert("product_id".into(), product.id.as_str().into());
    document.insert("name".into(), (&*product.name).into());
    for key in DESCRIPTIVE {
        if let Some(value) = product.attributes.get(key) {
            document.insert(key.into(), value.clone());
        }
    }
    if let Value::Object(services) = capability::export(&product.model) {
        document.extend(services);
    }
    Value::Object(document)
}

fn json(product: &Product, document: &Value, notes: Vec<Note>) -> Written {
    let bytes = format!("{document:#}\n").into_bytes();
    let name = format!("{}.json", product.id);
    Written { name, media: "application/json", bytes, notes }
}

/// True for the dialect whose own model document is that of the API.
fn is_document_native(dialect: &dyn Dialect) -> bool {
    let sample = serde_json::json!({"service_capabilities": []});
    dialect.import_model(&sample).is_some()
}
