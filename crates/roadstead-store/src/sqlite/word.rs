//! Nouns as columns: enums as the words of their serialization, maps as JSON, secrets sealed.

use roadstead_core::Secret;
use roadstead_core::port::StoreError;
use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{OrEngine, engine};
use crate::crypt::{Place, Vault};

/// Returns the word of an enum without fields.
pub(super) fn word(value: &impl Serialize) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(_) | Err(_) => Err(engine("storing", &"not a word")),
    }
}

/// Returns the enum of a word.
pub(super) fn of_word<T: DeserializeOwned>(word: String) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(|e| engine("reading", &e))
}

/// Returns JSON.
pub(super) fn json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| engine("storing", &error))
}

/// Parses JSON.
pub(super) fn of_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| engine("reading", &error))
}

/// Seals an optional secret.
pub(super) fn seal(
    vault: &Vault,
    place: Place<'_>,
    secret: Option<&Secret>,
) -> Result<Option<Vec<u8>>, StoreError> {
    secret.map(|secret| vault.seal(place, secret)).transpose()
}

/// Reads a column.
pub(super) fn get<T: rusqlite::types::FromSql>(row: &Row<'_>, n: usize) -> Result<T, StoreError> {
    row.get(n).or_engine()
}

/// Reads a column that holds a typed identifier or a name.
pub(super) fn text<T: for<'a> From<&'a str>>(row: &Row<'_>, n: usize) -> Result<T, StoreError> {
    let text = row.get_ref(n).or_engine()?.as_str();
    text.map(T::from).map_err(|error| engine("reading", &error))
}

/// Same for one that may be absent.
pub(super) fn maybe<T: for<'a> From<&'a str>>(
    row: &Row<'_>,
    n: usize,
) -> Result<Option<T>, StoreError> {
    let text = row.get_ref(n).or_engine()?.as_str_or_null();
    text.map(|text| text.map(T::from)).map_err(|error| engine("reading", &error))
}
