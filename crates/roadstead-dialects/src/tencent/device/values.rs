//! Canonical values of the application and the vendor's values of the wire, by the thing model.
//!
//! Without a model, or for keys it does not know, values pass as they are. The coding itself is
//! shared with the cloud half (`value`).

use alloc::boxed::Box;
use alloc::string::String;

use roadstead_core::product::{DEFAULT_SERVICE, Level, Model, Parameter, Violation};
use roadstead_core::{Map, Value};

use super::super::value::{fields_to_wire, to_canonical, to_wire};

/// Writes properties.
pub(super) fn properties_to_wire(
    model: Option<&Model>,
    map: Map<String, Value>,
) -> Map<String, Value> {
    let coded = |(key, value): (String, Value)| {
        let property = model.and_then(|model| model.property(&key));
        let value = property.map_or_else(|| value.clone(), |(_, p)| to_wire(&p.ty, &value));
        (key, value)
    };
    map.into_iter().map(coded).collect()
}

/// Reads properties.
pub(super) fn properties_from_wire(
    model: Option<&Model>,
    map: Map<String, Value>,
) -> Result<Map<String, Value>, Violation> {
    let coded = |(key, value): (String, Value)| {
        let value = match model.and_then(|model| model.property(&key)) {
            Some((_, property)) => {
                to_canonical(&property.ty, value).map_err(|violation| violation.inside(&key))?
            }
            None => value,
        };
        Ok((key, value))
    };
    map.into_iter().map(coded).collect()
}

/// Reads the input of a command.
pub(super) fn input_from_wire(
    model: Option<&Model>,
    command: &str,
    map: Map<String, Value>,
) -> Result<Map<String, Value>, Violation> {
    let fields: &[Parameter] =
        model.and_then(|model| model.command(command)).map_or(&[], |(_, found)| &found.input);
    let coded = |(key, value): (String, Value)| {
        let value = match fields.iter().find(|field| *field.id == *key) {
            Some(field) => to_canonical(&field.ty, value).map_err(|v| v.inside(&key))?,
            None => value,
        };
        Ok((key, value))
    };
    map.into_iter().map(coded).collect()
}

/// Writes the output of a command.
pub(super) fn output_to_wire(
    model: Option<&Model>,
    command: &str,
    map: &Map<String, Value>,
) -> Map<String, Value> {
    let fields: &[Parameter] =
        model.and_then(|model| model.command(command)).map_or(&[], |(_, found)| &found.output);
    fields_to_wire(fields, map)
}

/// Writes the parameters of an event.
pub(super) fn event_to_wire(
    model: Option<&Model>,
    event: &str,
    map: &Map<String, Value>,
) -> Map<String, Value> {
    let found = model.and_then(|m| m.services.iter().find_map(|service| service.event(event)));
    fields_to_wire(found.map_or(&[], |event| &event.output), map)
}

/// Returns the one service of a model.
pub(super) fn service(model: Option<&Model>) -> Box<str> {
    let first = model.and_then(|model| model.services.first());
    first.map_or(DEFAULT_SERVICE.into(), |service| service.id.clone())
}

/// Returns the vendor's word for a level.
pub(super) fn level(level: Level) -> &'static str {
    match level {
        Level::Info => "info",
        Level::Alert => "alert",
        Level::Fault => "fault",
    }
}

/// Returns the members of a JSON object member, empty for anything else.
pub(super) fn members(object: &Value, key: &str) -> Map<String, Value> {
    object.get(key).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Returns a text member, empty for anything else.
pub(super) fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
