//! Properties, events, services and their parameters.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::Value;
use roadstead_core::product::{Access, Command, Event, Extra, Level, Parameter, Property, Service};

use super::{BUILT_IN, BUILT_IN_METHODS, LISTS, Object, bad, inside, list, merge, text, ty};
use crate::Problem;

/// Key of an element's id.
const ID: &str = "identifier";
/// Key of an element's type.
const TYPE: &str = "dataType";

/// True when a block says nothing of its own.
pub(super) fn is_empty(service: &Service) -> bool {
    service.properties.is_empty() && service.events.is_empty() && service.commands.is_empty()
}

/// Reads the three lists of a document or block.
pub(super) fn read_service(object: &Object, id: &str) -> Result<Service, Problem> {
    let mut service = Service::new(id);
    let mut built_in = Vec::new();
    service.properties = elements(object, LISTS[0], &mut built_in, read_property)?;
    service.events = elements(object, LISTS[1], &mut built_in, read_event)?;
    service.commands = elements(object, LISTS[2], &mut built_in, read_command)?;
    if !built_in.is_empty() {
        service.extra.insert(BUILT_IN.into(), Value::Array(built_in));
    }
    Ok(service)
}

/// Writes the three lists.
pub(super) fn write_service(service: &Service, object: &mut Object) -> Result<(), Problem> {
    let lists = [
        written(service.properties.iter(), write_property)?,
        written(service.events.iter(), write_event)?,
        written(service.commands.iter(), write_command)?,
    ];
    for (key, mut list) in LISTS.into_iter().zip(lists) {
        unique(key, &list)?;
        let built_in = service.extra.get(BUILT_IN).and_then(Value::as_array);
        for entry in built_in.into_iter().flatten().filter(|entry| entry[0] == key) {
            let at = entry[1].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
            list.insert(at.min(list.len()), entry[2].clone());
        }
        if !list.is_empty() {
            object.insert(key.into(), Value::Array(list));
        }
    }
    Ok(())
}

fn written<'a, T: 'a>(
    items: impl Iterator<Item = &'a T>,
    write: impl Fn(&'a T) -> Result<Object, Problem>,
) -> Result<Vec<Value>, Problem> {
    items.map(|item| write(item).map(Value::Object)).collect()
}

/// Checks that no id occurs twice.
pub(super) fn unique(kind: &str, list: &[Value]) -> Result<(), Problem> {
    let mut ids: Vec<_> = list.iter().filter_map(|item| item.get(ID)?.as_str()).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(bad(kind, &format!("`{}` occurs twice", pair[0]))),
        None => Ok(()),
    }
}

/// Reads a list of elements with unique ids; those the console added go to `built_in`.
fn elements<T>(
    object: &Object,
    key: &str,
    built_in: &mut Vec<Value>,
    read: impl Fn(&Object, &str) -> Result<T, Problem>,
) -> Result<Vec<T>, Problem> {
    let items = list(object, key)?;
    unique(key, items)?;
    let mut found = Vec::with_capacity(items.len());
    for (n, item) in items.iter().enumerate() {
        let at = format!("{key}[{n}]");
        let element = item.as_object().ok_or_else(|| bad(&at, "is not an object"))?;
        if BUILT_IN_METHODS.contains(&text(element, "method")) {
            built_in.push(serde_json::json!([key, n, item]));
            continue;
        }
        let id = text(element, ID);
        if id.is_empty() {
            return Err(bad(&at, "has no `identifier`"));
        }
        found.push(read(element, id)?);
    }
    Ok(found)
}

fn read_property(object: &Object, id: &str) -> Result<Property, Problem> {
    let access = match object.get("accessMode").map(Value::as_str) {
        None | Some(Some("rw")) => Access::READ_WRITE,
        Some(Some("r")) => Access::READ,
        Some(Some("w")) => Access { read: false, write: true, report: false },
        Some(_) => return Err(bad(id, "`accessMode` is not `r`, `w` or `rw`")),
    };
    let mut property = Property {
        id: id.into(),
        name: text(object, "name").into(),
        description: text(object, "desc").into(),
        access,
        required: object.get("required") == Some(&Value::Bool(true)),
        ty: ty::read(type_of(object, id)?, id)?,
        initial: None,
        extra: Extra::new(),
    };
    property.extra = leftover(object, &write_property(&property)?);
    if !object.contains_key("accessMode") {
        // Absent means `rw`, and absent it must come out.
        property.extra.insert("accessMode".into(), Value::Null);
    }
    Ok(property)
}

fn write_property(property: &Property) -> Result<Object, Problem> {
    let mode = match property.access {
        Access { read: false, write: true, .. } => "w",
        Access { write: false, .. } => "r",
        Access { .. } => "rw",
    };
    let mut object = head(&property.id, &property.name, &property.description);
    if property.required {
        object.insert("required".into(), Value::Bool(true));
    }
    if !(mode == "rw" && property.extra.get("accessMode") == Some(&Value::Null)) {
        object.insert("accessMode".into(), Value::from(mode));
    }
    object.insert(TYPE.into(), ty::write(&property.ty, property.extra.get(TYPE), &property.id)?);
    Ok(finished(object, &property.extra))
}

fn read_event(object: &Object, id: &str) -> Result<Event, Problem> {
    let level = match object.get("type").map(Value::as_str) {
        None | Some(Some("info")) => Level::Info,
        Some(Some("alert")) => Level::Alert,
        Some(Some("error")) => Level::Fault,
        Some(_) => return Err(bad(id, "`type` is not `info`, `alert` or `error`")),
    };
    let mut event = Event {
        id: id.into(),
        name: text(object, "name").into(),
        description: text(object, "desc").into(),
        level,
        output: parameters(object, "outputData", id)?,
        extra: Extra::new(),
    };
    event.extra = leftover(object, &write_event(&event)?);
    if !object.contains_key("type") {
        event.extra.insert("type".into(), Value::Null);
    }
    Ok(event)
}

fn write_event(event: &Event) -> Result<Object, Problem> {
    let level = match event.level {
        Level::Info => "info",
        Level::Alert => "alert",
        Level::Fault => "error",
    };
    let mut object = head(&event.id, &event.name, &event.description);
    if !(event.level == Level::Info && event.extra.get("type") == Some(&Value::Null)) {
        object.insert("type".into(), Value::from(level));
    }
    insert(&mut object, "outputData", &event.output)?;
    Ok(finished(object, &event.extra))
}

fn read_command(object: &Object, id: &str) -> Result<Command, Problem> {
    let mut command = Command {
        id: id.into(),
        name: text(object, "name").into(),
        description: text(object, "desc").into(),
        input: parameters(object, "inputData", id)?,
        output: parameters(object, "outputData", id)?,
        extra: Extra::new(),
    };
    command.extra = leftover(object, &write_command(&command)?);
    Ok(command)
}

fn write_command(command: &Command) -> Result<Object, Problem> {
    let mut object = head(&command.id, &command.name, &command.description);
    insert(&mut object, "inputData", &command.input)?;
    insert(&mut object, "outputData", &command.output)?;
    Ok(finished(object, &command.extra))
}

fn parameters(object: &Object, key: &str, id: &str) -> Result<Vec<Parameter>, Problem> {
    let mut none = Vec::new();
    elements(object, key, &mut none, read_parameter).map_err(|problem| inside(id, problem))
}

fn insert(object: &mut Object, key: &str, list: &[Parameter]) -> Result<(), Problem> {
    let list = written(list.iter(), write_parameter)?;
    unique(key, &list)?;
    if !list.is_empty() {
        object.insert(key.into(), Value::Array(list));
    }
    Ok(())
}

/// Reads a parameter, or a field of a struct. Nothing says that one may be left out, and firmware
/// takes what it gets: none is required.
pub(super) fn read_parameter(object: &Object, id: &str) -> Result<Parameter, Problem> {
    let mut parameter = Parameter {
        id: id.into(),
        name: text(object, "name").into(),
        required: object.get("required") == Some(&Value::Bool(true)),
        ty: ty::read(type_of(object, id)?, id)?,
        extra: Extra::new(),
    };
    parameter.extra = leftover(object, &write_parameter(&parameter)?);
    Ok(parameter)
}

/// Reads the fields of a struct.
pub(super) fn fields(list: &[Value], id: &str) -> Result<Vec<Parameter>, Problem> {
    unique(id, list)?;
    let field = |(n, item): (usize, &Value)| {
        let at = format!("{id}[{n}]");
        let object = item.as_object().ok_or_else(|| bad(&at, "is not an object"))?;
        match text(object, ID) {
            "" => Err(bad(&at, "has no `identifier`")),
            id => read_parameter(object, id),
        }
    };
    list.iter().enumerate().map(field).collect()
}

/// Writes a parameter, or a field of a struct.
pub(super) fn write_parameter(parameter: &Parameter) -> Result<Object, Problem> {
    let mut object = head(&parameter.id, &parameter.name, "");
    if parameter.required {
        object.insert("required".into(), Value::Bool(true));
    }
    object.insert(TYPE.into(), ty::write(&parameter.ty, parameter.extra.get(TYPE), &parameter.id)?);
    Ok(finished(object, &parameter.extra))
}

fn head(id: &str, name: &str, description: &str) -> Object {
    let mut object = Object::new();
    object.insert(ID.into(), Value::from(id));
    for (key, text) in [("name", name), ("desc", description)] {
        if !text.is_empty() {
            object.insert(key.into(), Value::from(text));
        }
    }
    object
}

fn type_of<'a>(object: &'a Object, id: &str) -> Result<&'a Object, Problem> {
    let ty = object.get(TYPE).and_then(Value::as_object);
    ty.ok_or_else(|| bad(id, "has no `dataType` object"))
}

/// Returns the keys of `original` that `rendered` lacks or writes differently.
fn leftover(original: &Object, rendered: &Object) -> Extra {
    let differs = |(key, value): &(&String, &Value)| rendered.get(*key) != Some(value);
    original.iter().filter(differs).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Adds what only the original says; a `null` mode or type is the mark of a key that stays absent.
fn finished(object: Object, extra: &Extra) -> Object {
    let is_mark =
        |key: &str, value: &Value| value.is_null() && matches!(key, "accessMode" | "type");
    let said = extra.iter().filter(|(key, value)| !is_mark(key, value));
    let said: Extra = said.map(|(key, value)| (key.clone(), value.clone())).collect();
    merge(object, &said)
}
