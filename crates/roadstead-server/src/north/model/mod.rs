//! Thing models as IoTDA v5 writes them (`service_capabilities`) ⇄ the canonical model.
//!
//! What v5 cannot say (nested structures, numbers behind enum names, display names) travels in
//! additional fields (`type_detail`, `title`, `level`), so that what one call returns another
//! call accepts without loss. Not a vendor's model file: those are imported by the dialects.
//!
//! Source: Huawei §7.1; models `ServiceCapability`, `ServiceProperty`, `ServiceCommand`,
//! `ServiceEvent` of the northbound SDK.

mod read;
mod write;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub(crate) use read::{merge_extra, read_model};
pub(crate) use write::write_model;

/// A service of the thing model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ServiceCapability {
    /// Unique in the product.
    pub(crate) service_id: String,
    /// Kind of service; the same as `service_id` unless told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_type: Option<String>,
    /// State.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) properties: Vec<ServiceProperty>,
    /// What it can be told to do.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) commands: Vec<ServiceCommand>,
    /// What it tells on its own.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) events: Vec<ServiceEvent>,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// `Master`, `Mandatory` or `Optional`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) option: Option<String>,
    /// Display name (addition to v5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
}

/// Type and limits of a property or parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct TypeFields {
    /// `int`, `long`, `decimal`, `string`, `DateTime`, `jsonObject`, `enum`, `boolean` or
    /// `string list`.
    pub(crate) data_type: String,
    /// Whether it must be given.
    #[serde(default)]
    pub(crate) required: bool,
    /// Names of an enum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enum_list: Option<Vec<String>>,
    /// Smallest value, as text.
    #[serde(default, deserialize_with = "number_text", skip_serializing_if = "Option::is_none")]
    pub(crate) min: Option<String>,
    /// Largest value, as text.
    #[serde(default, deserialize_with = "number_text", skip_serializing_if = "Option::is_none")]
    pub(crate) max: Option<String>,
    /// Longest text, bytes, or most items of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_length: Option<u32>,
    /// Smallest difference of two values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<f64>,
    /// Unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<String>,
    /// Description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// Display name (addition to v5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    /// The whole type where the other fields cannot say it (addition to v5); wins over them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) type_detail: Option<Value>,
}

/// A property of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ServiceProperty {
    /// Unique in its service.
    pub(crate) property_name: String,
    /// Type and limits.
    #[serde(flatten)]
    pub(crate) fields: TypeFields,
    /// Letters of `RWE`: readable, writable, reported.
    pub(crate) method: String,
    /// Initial value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) default_value: Option<Value>,
}

/// A parameter of a command, a response or an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ServiceCommandPara {
    /// Unique among its siblings.
    pub(crate) para_name: String,
    /// Type and limits.
    #[serde(flatten)]
    pub(crate) fields: TypeFields,
}

/// A command of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ServiceCommand {
    /// Unique in its service.
    pub(crate) command_name: String,
    /// What it takes.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) paras: Vec<ServiceCommandPara>,
    /// What it answers.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) responses: Vec<ServiceCommandResponse>,
    /// Display name (addition to v5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
}

/// A response of a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ServiceCommandResponse {
    /// Its name.
    pub(crate) response_name: String,
    /// What it carries.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) paras: Vec<ServiceCommandPara>,
}

/// An event of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ServiceEvent {
    /// Unique in its service.
    pub(crate) event_type: String,
    /// What it carries.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) paras: Vec<ServiceCommandPara>,
    /// `info`, `alert` or `fault` (addition to v5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<String>,
    /// Display name (addition to v5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
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

#[cfg(test)]
mod tests;
