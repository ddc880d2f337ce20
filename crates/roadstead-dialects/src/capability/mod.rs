//! Thing models as IoTDA v5 writes them (`service_capabilities`) ⇄ the canonical model.
//!
//! What v5 cannot say (nested structures, numbers behind enum names, display names) travels in
//! additional fields (`type_detail`, `title`, `level`), so that what one call returns another
//! call accepts without loss. The document of the platform's own API, and the common ground of
//! every conversion; a vendor's own file formats are in its folder.
//!
//! Source: Huawei §7.1; models `ServiceCapability`, `ServiceProperty`, `ServiceCommand`,
//! `ServiceEvent` of the northbound SDK.

mod read;
mod write;

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
#[cfg(feature = "schema")]
use std::prelude::v1::*;
#[cfg(feature = "schema")]
use std::{format, vec};

use roadstead_core::product::Model;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::Problem;

pub use read::{merge_extra, read_model};
pub(crate) use read::{read_command, read_event, read_property, read_service};
pub use write::write_model;
pub(crate) use write::write_service;

/// A service of the thing model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ServiceCapability {
    /// Unique in the product.
    pub service_id: String,
    /// Kind of service; the same as `service_id` unless told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_type: Option<String>,
    /// State.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub properties: Vec<ServiceProperty>,
    /// What it can be told to do.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub commands: Vec<ServiceCommand>,
    /// What it tells on its own.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub events: Vec<ServiceEvent>,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `Master`, `Mandatory` or `Optional`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// Display name (addition to v5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// Type and limits of a property or parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TypeFields {
    /// `int`, `long`, `decimal`, `string`, `DateTime`, `jsonObject`, `enum`, `boolean` or
    /// `string list`.
    pub data_type: String,
    /// Whether it must be given.
    #[serde(default)]
    pub required: bool,
    /// Names of an enum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enum_list: Option<Vec<String>>,
    /// Smallest value, as text.
    #[serde(default, deserialize_with = "number_text", skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// Largest value, as text.
    #[serde(default, deserialize_with = "number_text", skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// Longest text, bytes, or most items of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u32>,
    /// Smallest difference of two values.
    #[serde(default, with = "write::short", skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// Unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Display name (addition to v5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The whole type where the other fields cannot say it (addition to v5); wins over them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub type_detail: Option<Value>,
}

/// A property of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ServiceProperty {
    /// Unique in its service.
    pub property_name: String,
    /// Type and limits.
    #[serde(flatten)]
    pub fields: TypeFields,
    /// Letters of `RWE`: readable, writable, reported.
    pub method: String,
    /// Initial value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(value_type = Option<Object>))]
    pub default_value: Option<Value>,
}

/// A parameter of a command, a response or an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ServiceCommandPara {
    /// Unique among its siblings.
    pub para_name: String,
    /// Type and limits.
    #[serde(flatten)]
    pub fields: TypeFields,
}

/// A command of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ServiceCommand {
    /// Unique in its service.
    pub command_name: String,
    /// What it takes.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub paras: Vec<ServiceCommandPara>,
    /// What it answers.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub responses: Vec<ServiceCommandResponse>,
    /// Display name (addition to v5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// A response of a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ServiceCommandResponse {
    /// Its name.
    pub response_name: String,
    /// What it carries.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub paras: Vec<ServiceCommandPara>,
}

/// An event of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ServiceEvent {
    /// Unique in its service.
    pub event_type: String,
    /// What it carries.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub paras: Vec<ServiceCommandPara>,
    /// `info`, `alert` or `fault` (addition to v5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// Display name (addition to v5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

/// Applications write `null` for an absent list.
fn null_is_empty<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<Vec<T>>::deserialize(from).map(Option::unwrap_or_default)
}

/// Limits are texts in v5; applications also write numbers.
fn number_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    match Option::<Value>::deserialize(from)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => {
            Err(serde::de::Error::custom("a limit is a number or its text"))
        }
    }
}

/// Recognises a document of this form by content.
pub fn recognizes(document: &Value) -> bool {
    document.get("service_capabilities").is_some_and(Value::is_array)
}

/// Reads a document `{"service_capabilities": [...]}`; other keys are the product's, not the
/// model's.
///
/// # Errors
///
/// `import.bad_model`, naming the first element that breaks a rule.
pub fn import(document: &Value) -> Result<Model, Problem> {
    let services = document.get("service_capabilities").unwrap_or(&Value::Null);
    let services = Vec::<ServiceCapability>::deserialize(services)
        .map_err(|error| bad(alloc::format!("service_capabilities: {error}")))?;
    read_model(&services)
        .map_err(|Problem { message, .. }| bad(alloc::format!("service_capabilities: {message}")))
}

/// Writes a model as `{"service_capabilities": [...]}`.
pub fn export(model: &Model) -> Value {
    let services = write_model(model).into_iter().map(|service| {
        // These types hold nothing that JSON cannot.
        serde_json::to_value(service).unwrap_or_default()
    });
    let mut document = Map::new();
    document.insert("service_capabilities".into(), services.collect());
    Value::Object(document)
}

fn bad(message: String) -> Problem {
    Problem::new("import.bad_model", message)
}

#[cfg(test)]
mod tests;
