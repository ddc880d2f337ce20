//! Canonical values of the application and the vendor's values of the wire, by the thing model.
//!
//! Without a model, or for names it does not know, values pass as they are. The coding itself is
//! shared with the cloud half (`value`).

use alloc::boxed::Box;
use alloc::string::String;

use roadstead_core::product::{DEFAULT_SERVICE, Model, Violation};
use roadstead_core::{Map, Value};

use super::super::value::{
    fields_to_canonical, fields_to_wire, join_name, split_name, to_canonical, to_wire,
};

/// Writes properties of a service, named as on the wire.
pub(super) fn properties_to_wire(
    model: Option<&Model>,
    service: &str,
    values: Map<String, Value>,
) -> Map<String, Value> {
    let found = model.and_then(|model| model.service(service));
    let coded = |(id, value): (String, Value)| {
        let property = found.and_then(|service| service.property(&id));
        let value = property.map_or_else(|| value.clone(), |p| to_wire(&p.ty, &value));
        (join_name(service, &id).into(), value)
    };
    values.into_iter().map(coded).collect()
}

/// Reads properties; returns them by service.
pub(super) fn properties_from_wire(
    model: Option<&Model>,
    values: Map<String, Value>,
) -> Result<(Box<str>, Map<String, Value>), Violation> {
    let Some(model) = model else { return Ok((DEFAULT_SERVICE.into(), values)) };
    let mut service: Option<Box<str>> = None;
    let mut read = Map::new();
    for (name, value) in values {
        let (block, id) = split_name(model, &name, |s, id| s.property(id).is_some());
        // One request about several blocks is not known of this vendor's cloud.
        if service.as_ref().is_some_and(|known| **known != *block) {
            return Err(Violation::new("of another block than the others").inside(&name));
        }
        service = Some(block.into());
        let found = model.service(block).and_then(|service| service.property(id));
        let value = match found {
            Some(property) => to_canonical(&property.ty, value).map_err(|v| v.inside(&name))?,
            None => value,
        };
        read.insert(id.into(), value);
    }
    let service = service.unwrap_or_else(|| DEFAULT_SERVICE.into());
    Ok((service, read))
}

/// Service, command and input.
pub(super) type Call = (Box<str>, Box<str>, Map<String, Value>);

/// Reads the input of a command.
pub(super) fn input_from_wire(
    model: Option<&Model>,
    name: &str,
    values: Map<String, Value>,
) -> Result<Call, Violation> {
    let Some(model) = model else { return Ok((DEFAULT_SERVICE.into(), name.into(), values)) };
    let (block, id) = split_name(model, name, |service, id| service.command(id).is_some());
    let command = model.service(block).and_then(|service| service.command(id));
    let fields = command.map_or(&[][..], |command| &command.input);
    match fields_to_canonical(fields, values, true) {
        (_, Some(violation)) => Err(violation),
        (input, None) => Ok((block.into(), id.into(), input)),
    }
}

/// Writes the output of a command, named as on the wire.
pub(super) fn output_to_wire(
    model: Option<&Model>,
    name: &str,
    values: &Map<String, Value>,
) -> Map<String, Value> {
    let Some(model) = model else { return values.clone() };
    let (block, id) = split_name(model, name, |service, id| service.command(id).is_some());
    let command = model.service(block).and_then(|service| service.command(id));
    fields_to_wire(command.map_or(&[][..], |command| &command.output), values)
}

/// Writes an event: its name and its parameters.
pub(super) fn event_to_wire(
    model: Option<&Model>,
    service: &str,
    id: &str,
    values: &Map<String, Value>,
) -> (Box<str>, Map<String, Value>) {
    let found = model.and_then(|m| m.service(service)).and_then(|s| s.event(id));
    let fields = found.map_or(&[][..], |event| &event.output);
    (join_name(service, id), fields_to_wire(fields, values))
}
