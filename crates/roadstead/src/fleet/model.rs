//! Reads a vendor's thing-model file. What it means is recognised by content on the platform.

use std::path::Path;

use roadstead_core::limit::MODEL_BYTES_MAX;
use roadstead_dialects::{Problem, capability};
use roadstead_server::service::model_file;
use serde_json::Value;

/// Returns the document of a model file, or what is wrong with it.
pub(super) fn read(path: &Path) -> Result<Value, String> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("reading `{shown}`: {error}"))?;
    if bytes.len() > MODEL_BYTES_MAX {
        return Err(format!("`{shown}` is larger than {MODEL_BYTES_MAX} bytes"));
    }
    if roadstead_server::archive::is_zip(&bytes) {
        return read_archive(path, &bytes).map_err(|problem| format!("`{shown}`: {problem}"));
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_json::from_slice(text).map_err(|error| format!("`{shown}` is not JSON: {error}"))
}

/// Returns an archive as the document of the API: rows of a fleet carry JSON.
fn read_archive(path: &Path, bytes: &[u8]) -> Result<Value, Problem> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let packed = model_file::read(name.as_deref(), bytes)?.packed;
    let mut document = packed.attributes;
    if let Value::Object(services) = capability::export(&packed.model) {
        document.extend(services);
    }
    Ok(Value::Object(document))
}
