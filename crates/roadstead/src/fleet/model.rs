//! Reads a vendor's thing-model file. What it means is recognised by content on the platform.

use std::path::Path;

use roadstead_core::limit::MODEL_BYTES_MAX;
use serde_json::Value;

/// Returns the document of a model file, or what is wrong with it.
pub(super) fn read(path: &Path) -> Result<Value, String> {
    let shown = path.display();
    let bytes = std::fs::read(path).map_err(|error| format!("reading `{shown}`: {error}"))?;
    if bytes.len() > MODEL_BYTES_MAX {
        return Err(format!("`{shown}` is larger than {MODEL_BYTES_MAX} bytes"));
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    serde_json::from_slice(text).map_err(|error| format!("`{shown}` is not JSON: {error}"))
}
