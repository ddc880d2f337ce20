//! From v5 to canonical; every refusal names the element and the rule.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::limit::MODEL_BYTES_MAX;
use roadstead_core::product::{
    Access, Command, DataType, EnumItem, Event, Extra, Level, Model, Parameter, Property, Range,
    Service,
};
use roadstead_core::time::{Civil, Timestamp};
use serde_json::Value;

use super::{ServiceCapability, ServiceCommand, ServiceCommandPara, ServiceEvent, ServiceProperty};
use super::{TypeFields, bad, write};
use crate::Problem;

/// Most services of a model, and most members of one kind of a service (Huawei §7.1).
const MEMBERS_MAX: usize = 500;
/// Longest name of an element, bytes. Huawei allows 64; other vendors' names are longer.
const NAME_BYTES_MAX: usize = 128;

/// Reads a model.
///
/// # Errors
///
/// `import.bad_model`, naming the first element that breaks a rule.
pub fn read_model(services: &[ServiceCapability]) -> Result<Model, Problem> {
    read_services(services).map_err(bad)
}

fn read_services(services: &[ServiceCapability]) -> Result<Model, String> {
    check_all("service_id", services.iter().map(|s| &*s.service_id))?;
    let services: Vec<Service> = services
        .iter()
        .map(|service| read_service(service).map_err(|e| format!("{}.{e}", service.service_id)))
        .collect::<Result<_, _>>()?;
    let model = Model { services, extra: Extra::new() };
    match serde_json::to_vec(&model) {
        Ok(bytes) if bytes.len() <= MODEL_BYTES_MAX => Ok(model),
        Ok(_) | Err(_) => Err(format!("the model is larger than {MODEL_BYTES_MAX} bytes")),
    }
}

/// Carries what only the stored model knows (a vendor's own fields) over to a model that was read
/// from v5, element by element of the same name.
pub fn merge_extra(new: &mut Model, stored: &Model) {
    new.extra.clone_from(&stored.extra);
    for service in &mut new.services {
        let Some(old) = stored.service(&service.id) else { continue };
        adopt(&mut service.extra, &old.extra);
        for property in &mut service.properties {
            if let Some(old) = old.property(&property.id) {
                adopt(&mut property.extra, &old.extra);
            }
        }
        for command in &mut service.commands {
            let Some(old) = old.command(&command.id) else { continue };
            adopt(&mut command.extra, &old.extra);
            adopt_parameters(&mut command.input, &old.input);
            adopt_parameters(&mut command.output, &old.output);
        }
        for event in &mut service.events {
            let Some(old) = old.event(&event.id) else { continue };
            adopt(&mut event.extra, &old.extra);
            adopt_parameters(&mut event.output, &old.output);
        }
    }
}

fn adopt(new: &mut Extra, old: &Extra) {
    for (key, value) in old.iter().filter(|(key, _)| !write::OWN_KEYS.contains(&key.as_str())) {
        if !new.contains_key(key) {
            new.insert(key.clone(), value.clone());
        }
    }
}

fn adopt_parameters(new: &mut [Parameter], old: &[Parameter]) {
    for parameter in new {
        if let Some(old) = old.iter().find(|other| other.id == parameter.id) {
            adopt(&mut parameter.extra, &old.extra);
        }
    }
}

/// Reads a service. The text of an error names element and field.
pub(crate) fn read_service(service: &ServiceCapability) -> Result<Service, String> {
    check_all("property_name", service.properties.iter().map(|p| &*p.property_name))?;
    check_all("command_name", service.commands.iter().map(|c| &*c.command_name))?;
    check_all("event_type", service.events.iter().map(|e| &*e.event_type))?;
    let mut extra = Extra::new();
    let kind = service.service_type.as_deref().filter(|kind| *kind != service.service_id);
    keep(&mut extra, "service_type", kind);
    keep(&mut extra, "option", service.option.as_deref());
    Ok(Service {
        id: (&*service.service_id).into(),
        name: text(service.title.as_deref()),
        description: text(service.description.as_deref()),
        properties: collect(&service.properties, read_property, |p| &p.property_name)?,
        commands: collect(&service.commands, read_command, |c| &c.command_name)?,
        events: collect(&service.events, read_event, |e| &e.event_type)?,
        extra,
    })
}

pub(crate) fn read_property(property: &ServiceProperty) -> Result<Property, String> {
    if property.property_name.contains(['.', '$', '\0']) {
        return Err("property_name: `.`, `$` and NUL are not allowed".into());
    }
    let ty = read_type(&property.fields)?;
    let mut extra = type_extra(&property.fields);
    let initial = match &property.default_value {
        None | Some(Value::Null) => None,
        Some(value) => Some(read_initial(value, &ty, &mut extra)?),
    };
    Ok(Property {
        id: (&*property.property_name).into(),
        name: text(property.fields.title.as_deref()),
        description: text(property.fields.description.as_deref()),
        access: read_method(&property.method)?,
        required: property.fields.required,
        ty,
        initial,
        extra,
    })
}

/// Reads an initial value. Dates are text in v5 and milliseconds in the canonical form.
fn read_initial(value: &Value, ty: &DataType, extra: &mut Extra) -> Result<Value, String> {
    let canonical = match (ty, value) {
        (DataType::Time, Value::String(text)) => {
            let at = read_time(text).ok_or_else(|| {
                format!("default_value: `{text}` is not a date such as 20261121T003818Z")
            })?;
            if write::write_time(at) != *text {
                keep(extra, "default_value", Some(text));
            }
            Value::from(at.as_millis())
        }
        _ => value.clone(),
    };
    ty.check(&canonical).map_err(|violation| format!("default_value: {violation}"))?;
    Ok(canonical)
}

/// Reads `yyyyMMdd'T'HHmmss'Z'`.
pub(super) fn read_time(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let fits = bytes.len() == 16 && bytes[8] == b'T' && bytes[15] == b'Z';
    let number = |from: usize, to: usize| -> Option<u16> {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0u16, |n, byte| {
            byte.is_ascii_digit().then(|| n * 10 + u16::from(byte - b'0'))
        })
    };
    let small = |from, to| number(from, to).and_then(|n| u8::try_from(n).ok());
    let civil = Civil {
        year: i64::from(number(0, 4).filter(|_| fits)?),
        month: small(4, 6)?,
        day: small(6, 8)?,
        hour: small(9, 11)?,
        minute: small(11, 13)?,
        second: small(13, 15)?,
        milli: 0,
    };
    // What the calendar does not have comes back as another date.
    let at = Timestamp::from_civil(civil);
    (at.civil() == civil).then_some(at)
}

fn read_method(method: &str) -> Result<Access, String> {
    let mut access = Access { read: false, write: false, report: false };
    for letter in method.chars() {
        let flag = match letter {
            'R' => &mut access.read,
            'W' => &mut access.write,
            'E' => &mut access.report,
            _ => return Err(format!("method: `{method}` has letters other than R, W, E")),
        };
        if core::mem::replace(flag, true) {
            return Err(format!("method: `{method}` has a letter twice"));
        }
    }
    match method.is_empty() {
        true => Err("method: empty".into()),
        false => Ok(access),
    }
}

pub(crate) fn read_command(command: &ServiceCommand) -> Result<Command, String> {
    let mut extra = Extra::new();
    let mut responses = command.responses.iter();
    let output = match responses.next() {
        Some(first) => {
            keep(&mut extra, "response_name", Some(&first.response_name));
            read_parameters(&first.paras)?
        }
        None => Vec::new(),
    };
    if responses.len() > 0 {
        // The canonical form has one answer; the others are only shown again.
        let rest: Vec<_> = responses.collect();
        extra.insert("responses".into(), serde_json::to_value(rest).map_err(|e| e.to_string())?);
    }
    Ok(Command {
        id: (&*command.command_name).into(),
        name: text(command.title.as_deref()),
        description: "".into(),
        input: read_parameters(&command.paras)?,
        output,
        extra,
    })
}

pub(crate) fn read_event(event: &ServiceEvent) -> Result<Event, String> {
    let level = match event.level.as_deref() {
        None | Some("info") => Level::Info,
        Some("alert") => Level::Alert,
        Some("fault") => Level::Fault,
        Some(other) => return Err(format!("level: `{other}` is not info, alert or fault")),
    };
    Ok(Event {
        id: (&*event.event_type).into(),
        name: text(event.title.as_deref()),
        description: "".into(),
        level,
        output: read_parameters(&event.paras)?,
        extra: Extra::new(),
    })
}

fn read_parameters(paras: &[ServiceCommandPara]) -> Result<Vec<Parameter>, String> {
    check_all("para_name", paras.iter().map(|p| &*p.para_name))?;
    collect(paras, read_parameter, |p| &p.para_name)
}

fn read_parameter(para: &ServiceCommandPara) -> Result<Parameter, String> {
    let mut extra = type_extra(&para.fields);
    keep(&mut extra, "description", para.fields.description.as_deref());
    Ok(Parameter {
        id: (&*para.para_name).into(),
        name: text(para.fields.title.as_deref()),
        required: para.fields.required,
        ty: read_type(&para.fields)?,
        extra,
    })
}

fn read_type(fields: &TypeFields) -> Result<DataType, String> {
    if let Some(detail) = &fields.type_detail {
        return serde_json::from_value(detail.clone()).map_err(|e| format!("type_detail: {e}"));
    }
    let ty = match (&*fields.data_type, &fields.enum_list) {
        ("enum", None) => return Err("enum_list: missing".into()),
        ("enum" | "string", Some(names)) if !names.is_empty() => {
            check_all("enum_list", names.iter().map(|name| &**name))?;
            let item = |name: &String| EnumItem {
                name: (&**name).into(),
                code: None,
                extra: Extra::new(),
            };
            DataType::Enum { items: names.iter().map(item).collect() }
        }
        ("enum", Some(_)) => return Err("enum_list: empty".into()),
        ("int" | "long", _) => DataType::Int { range: read_range(fields)? },
        ("decimal", _) => DataType::Float { range: read_range(fields)? },
        ("boolean", _) => DataType::Bool { labels: None },
        ("string", _) => DataType::Text { length_max: fields.max_length },
        ("DateTime" | "dateTime", _) => DataType::Time,
        ("jsonObject", _) => DataType::Any,
        ("string list", _) => DataType::Array {
            item: Box::new(DataType::Text { length_max: None }),
            items_max: fields.max_length,
        },
        (other, _) => return Err(format!("data_type: `{other}` is not known")),
    };
    Ok(ty)
}

fn read_range(fields: &TypeFields) -> Result<Range, String> {
    let bound = |key: &str, text: &Option<String>| {
        read_bound(&fields.data_type, key, text.as_deref()).ok_or_else(|| {
            format!("{key}: `{}` is not a number", text.as_deref().unwrap_or_default())
        })
    };
    let range = Range {
        min: bound("min", &fields.min)?,
        max: bound("max", &fields.max)?,
        step: fields.step,
        unit: fields.unit.as_deref().map(Into::into),
    };
    match (range.min, range.max) {
        (Some(min), Some(max)) if min > max => Err("min: above max".into()),
        (Some(_) | None, Some(_) | None) => Ok(range),
    }
}

/// Reads a limit of a number; `None` when it is none. An absent limit of an `int` is that of 32
/// bits (Huawei §7.1).
pub(super) fn read_bound(data_type: &str, key: &str, text: Option<&str>) -> Option<Option<f64>> {
    match text.map(str::trim) {
        None | Some("") if data_type != "int" => Some(None),
        None | Some("") if key == "min" => Some(Some(i32::MIN.into())),
        None | Some("") => Some(Some(i32::MAX.into())),
        Some(text) => text.parse::<f64>().ok().filter(|n| n.is_finite()).map(Some),
    }
}

/// Keeps what the canonical type does not say, so that it is written as it was read.
fn type_extra(fields: &TypeFields) -> Extra {
    let mut extra = Extra::new();
    keep(&mut extra, "data_type", Some(&fields.data_type));
    let is_number = matches!(&*fields.data_type, "int" | "long" | "decimal");
    if !is_number {
        keep(&mut extra, "unit", fields.unit.as_deref());
    }
    for (key, text) in [("min", fields.min.as_deref()), ("max", fields.max.as_deref())] {
        let bound = match is_number {
            true => read_bound(&fields.data_type, key, text).flatten(),
            false => None,
        };
        // Absent or written differently from how we would write it.
        if text != bound.map(|n| n.to_string()).as_deref() {
            extra.insert(key.into(), text.into());
        }
    }
    if !is_number && let Some(step) = fields.step {
        extra.insert("step".into(), step.into());
    }
    let is_sized = matches!(&*fields.data_type, "string" | "string list");
    if fields.max_length.is_some() && (!is_sized || fields.enum_list.is_some()) {
        extra.insert("max_length".into(), fields.max_length.into());
    }
    extra
}

fn keep(extra: &mut Extra, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        extra.insert(key.into(), Value::from(value));
    }
}

fn text(value: Option<&str>) -> Box<str> {
    value.unwrap_or_default().into()
}

fn collect<T, U>(
    items: &[T],
    read: impl Fn(&T) -> Result<U, String>,
    name: impl Fn(&T) -> &String,
) -> Result<Vec<U>, String> {
    items.iter().map(|item| read(item).map_err(|e| format!("{}.{e}", name(item)))).collect()
}

/// Checks number, length and uniqueness of names.
fn check_all<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(format!("{what}: between 1 and {NAME_BYTES_MAX} bytes"));
        }
        if !seen.insert(name) {
            return Err(format!("{what}: `{name}` is there twice"));
        }
        if seen.len() > MEMBERS_MAX {
            return Err(format!("{what}: more than {MEMBERS_MAX}"));
        }
    }
    Ok(())
}
