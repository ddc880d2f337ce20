//! JSON as the device's library (cJSON) reads and writes it: keys in any case, tabs when pretty.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt::Write;

use roadstead_core::{Map, Value};

/// One JSON object with case-insensitive keys.
pub(super) struct Object(Map<String, Value>);

impl Object {
    /// Reads the object at the start of a datagram; a NUL ends it, as in C.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        match serde_json::from_slice(bytes.get(..end)?).ok()? {
            Value::Object(map) => Some(Self(map)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => None,
        }
    }

    /// Returns the first member called `key`, in any case.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value)
    }

    /// Returns a text member.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_str()
    }

    /// Returns a whole number; `1.0` counts, as in cJSON.
    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        let value = self.get(key)?;
        value.as_i64().or_else(|| {
            let n = value.as_f64()?;
            let whole = n as i64;
            (whole as f64 == n).then_some(whole)
        })
    }

    /// Returns a text member as an owned text, empty when absent.
    pub(super) fn text_or_empty(&self, key: &str) -> String {
        self.text(key).unwrap_or_default().to_owned()
    }
}

/// Writes members the way `cJSON_Print` does: a tab before each key, one after each colon.
pub(super) fn print(members: &[(&str, Value)]) -> String {
    let mut out = String::from("{\n");
    for (n, (key, value)) in members.iter().enumerate() {
        let comma = if n + 1 == members.len() { "" } else { "," };
        let _ = writeln!(out, "\t\"{key}\":\t{value}{comma}");
    }
    out.push('}');
    out
}
