//! From canonical to v5.

use roadstead_core::product::{
    Access, Command, DataType, Event, Extra, Level, Model, Parameter, Property, Range, Service,
};
use serde_json::Value;

use super::{ServiceCapability, ServiceCommand, ServiceCommandPara, ServiceCommandResponse};
use super::{ServiceEvent, ServiceProperty, TypeFields};

/// Keys of `extra` that v5 fields are kept under.
pub(super) const OWN_KEYS: [&str; 8] = [
    "service_type",
    "option",
    "response_name",
    "responses",
    "description",
    "data_type",
    "unit",
    "max_length",
];

/// The items of a `string list`.
const PLAIN_TEXT: DataType = DataType::Text { length_max: None };

/// Writes a model.
pub(crate) fn write_model(model: &Model) -> Vec<ServiceCapability> {
    model.services.iter().map(write_service).collect()
}

fn write_service(service: &Service) -> ServiceCapability {
    let service_type = kept(&service.extra, "service_type").unwrap_or(&service.id);
    ServiceCapability {
        service_id: (*service.id).into(),
        service_type: Some(service_type.into()),
        properties: service.properties.iter().map(write_property).collect(),
        commands: service.commands.iter().map(write_command).collect(),
        events: service.events.iter().map(write_event).collect(),
        description: text(&service.description),
        option: kept(&service.extra, "option").map(Into::into),
        title: text(&service.name),
    }
}

fn write_property(property: &Property) -> ServiceProperty {
    let fields = TypeFields {
        required: property.required,
        description: text(&property.description),
        title: text(&property.name),
        ..write_type(&property.ty, &property.extra)
    };
    ServiceProperty {
        property_name: (*property.id).into(),
        fields,
        method: write_method(property.access),
        default_value: property.initial.clone(),
    }
}

fn write_method(access: Access) -> String {
    [(access.read, 'R'), (access.write, 'W'), (access.report, 'E')]
        .into_iter()
        .filter_map(|(on, letter)| on.then_some(letter))
        .collect()
}

fn write_command(command: &Command) -> ServiceCommand {
    let name = kept(&command.extra, "response_name");
    let mut responses = Vec::new();
    if name.is_some() || !command.output.is_empty() {
        responses.push(ServiceCommandResponse {
            response_name: name.map_or_else(|| format!("{}_RSP", command.id), Into::into),
            paras: command.output.iter().map(write_parameter).collect(),
        });
    }
    if let Some(rest) = command.extra.get("responses") {
        let rest: Vec<ServiceCommandResponse> =
            serde_json::from_value(rest.clone()).unwrap_or_default();
        responses.extend(rest);
    }
    ServiceCommand {
        command_name: (*command.id).into(),
        paras: command.input.iter().map(write_parameter).collect(),
        responses,
        title: text(&command.name),
    }
}

fn write_event(event: &Event) -> ServiceEvent {
    let level = match event.level {
        Level::Info => None,
        Level::Alert => Some("alert"),
        Level::Fault => Some("fault"),
    };
    ServiceEvent {
        event_type: (*event.id).into(),
        paras: event.output.iter().map(write_parameter).collect(),
        level: level.map(Into::into),
        title: text(&event.name),
    }
}

fn write_parameter(parameter: &Parameter) -> ServiceCommandPara {
    let fields = TypeFields {
        required: parameter.required,
        description: kept(&parameter.extra, "description").map(Into::into),
        title: text(&parameter.name),
        ..write_type(&parameter.ty, &parameter.extra)
    };
    ServiceCommandPara { para_name: (*parameter.id).into(), fields }
}

fn write_type(ty: &DataType, extra: &Extra) -> TypeFields {
    let named = |default: &str, allowed: &[&str]| {
        let name = kept(extra, "data_type").filter(|name| allowed.contains(name));
        TypeFields { data_type: name.unwrap_or(default).into(), ..TypeFields::default() }
    };
    let whole = || serde_json::to_value(ty).ok();
    let mut fields = match ty {
        DataType::Bool { labels } => TypeFields {
            type_detail: labels.as_ref().and_then(|_| whole()),
            ..named("boolean", &[])
        },
        DataType::Int { range } => with_range(named("int", &["long"]), range),
        DataType::Float { range } => with_range(named("decimal", &[]), range),
        DataType::Enum { items } => {
            let plain = items.iter().all(|item| item.code.is_none() && item.extra.is_empty());
            TypeFields {
                enum_list: Some(items.iter().map(|item| (*item.name).into()).collect()),
                max_length: extra.get("max_length").and_then(Value::as_u64).map(|n| n as u32),
                type_detail: if plain { None } else { whole() },
                ..named("enum", &["string"])
            }
        }
        DataType::Text { length_max } => {
            TypeFields { max_length: *length_max, ..named("string", &[]) }
        }
        DataType::Time => named("DateTime", &["dateTime"]),
        DataType::Array { item, items_max } if **item == PLAIN_TEXT => {
            TypeFields { max_length: *items_max, ..named("string list", &[]) }
        }
        DataType::Array { .. } => TypeFields { type_detail: whole(), ..named("jsonObject", &[]) },
        DataType::Struct { .. } => TypeFields { type_detail: whole(), ..named("jsonObject", &[]) },
        DataType::Any => named("jsonObject", &[]),
    };
    if fields.unit.is_none() {
        fields.unit = kept(extra, "unit").map(Into::into);
    }
    fields
}

fn with_range(fields: TypeFields, range: &Range) -> TypeFields {
    TypeFields {
        min: range.min.map(|n| n.to_string()),
        max: range.max.map(|n| n.to_string()),
        step: range.step,
        unit: range.unit.as_deref().map(Into::into),
        ..fields
    }
}

fn kept<'a>(extra: &'a Extra, key: &str) -> Option<&'a str> {
    extra.get(key).and_then(Value::as_str)
}

fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.into())
}
