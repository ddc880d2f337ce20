//! From canonical to v5.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::Timestamp;
use roadstead_core::product::{
    Access, Command, DataType, Event, Extra, Level, Model, Parameter, Property, Range, Service,
};
use serde_json::Value;

use super::{ServiceCapability, ServiceCommand, ServiceCommandPara, ServiceCommandResponse};
use super::{ServiceEvent, ServiceProperty, TypeFields, read};

/// Keys of `extra` that v5 fields are kept under.
pub(super) const OWN_KEYS: [&str; 12] = [
    "service_type",
    "option",
    "response_name",
    "responses",
    "description",
    "data_type",
    "unit",
    "max_length",
    "min",
    "max",
    "step",
    "default_value",
];

/// The items of a `string list`.
const PLAIN_TEXT: DataType = DataType::Text { length_max: None };

/// Writes a model.
pub fn write_model(model: &Model) -> Vec<ServiceCapability> {
    model.services.iter().map(write_service).collect()
}

/// Writes a service.
pub(crate) fn write_service(service: &Service) -> ServiceCapability {
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
        default_value: write_initial(property),
    }
}

fn write_initial(property: &Property) -> Option<Value> {
    let initial = property.initial.as_ref()?;
    let is_time = matches!(property.ty, DataType::Time);
    let at = initial.as_i64().filter(|_| is_time).map(Timestamp);
    let Some(at) = at else { return Some(initial.clone()) };
    let original = kept(&property.extra, "default_value");
    match original.filter(|text| read::read_time(text) == Some(at)) {
        Some(text) => Some(text.into()),
        None => Some(write_time(at).into()),
    }
}

/// Writes `yyyyMMdd'T'HHmmss'Z'`.
pub(super) fn write_time(at: Timestamp) -> String {
    let c = at.civil();
    format!("{:04}{:02}{:02}T{:02}{:02}{:02}Z", c.year, c.month, c.day, c.hour, c.minute, c.second)
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
        DataType::Int { range } => {
            let int = if is_32_bits(range) { "int" } else { "long" };
            with_range(named(int, int_names(int)), range, extra)
        }
        DataType::Float { range } => with_range(named("decimal", &[]), range, extra),
        DataType::Enum { items } => {
            let plain = items.iter().all(|item| item.code.is_none() && item.extra.is_empty());
            TypeFields {
                enum_list: Some(items.iter().map(|item| (*item.name).into()).collect()),
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
    let is_same = kept(extra, "data_type").is_some_and(|name| name == fields.data_type);
    if is_same && !matches!(ty, DataType::Int { .. } | DataType::Float { .. }) {
        fields.min = kept(extra, "min").map(Into::into);
        fields.max = kept(extra, "max").map(Into::into);
        fields.step = extra.get("step").and_then(Value::as_f64);
    }
    if is_same && fields.max_length.is_none() {
        fields.max_length = extra.get("max_length").and_then(Value::as_u64).map(|n| n as u32);
    }
    fields
}

fn is_32_bits(range: &Range) -> bool {
    let fits = |n: Option<f64>| {
        n.is_some_and(|n| (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&n))
    };
    fits(range.min) && fits(range.max)
}

/// A number that fits 32 bits may have been called `long`.
fn int_names(name: &str) -> &'static [&'static str] {
    if name == "int" { &["long"] } else { &[] }
}

fn with_range(fields: TypeFields, range: &Range, extra: &Extra) -> TypeFields {
    let text = |key: &str, bound: Option<f64>| {
        let ours = bound.map(|n| n.to_string());
        let Some(original) = extra.get(key) else { return ours };
        let original = original.as_str();
        match read::read_bound(&fields.data_type, key, original) == Some(bound) {
            true => original.map(Into::into),
            false => ours,
        }
    };
    TypeFields {
        min: text("min", range.min),
        max: text("max", range.max),
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

/// Whole numbers without a fraction, as people write them.
pub(super) mod short {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(in crate::capability) fn serialize<S: Serializer>(
        number: &Option<f64>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match number {
            Some(n) if n % 1.0 == 0.0 && n.abs() < 9.0e15 => to.serialize_i64(*n as i64),
            Some(n) => to.serialize_f64(*n),
            None => to.serialize_none(),
        }
    }

    pub(in crate::capability) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<f64>, D::Error> {
        Option::<f64>::deserialize(from)
    }
}
