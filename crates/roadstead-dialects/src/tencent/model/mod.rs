//! The data template: import to the canonical thing model and export without loss.
//!
//! What the canonical form does not hold stays in `extra`: unknown keys under their own name,
//! unknown or differently written keys of a type under `define`. On export the original writing
//! is used wherever it still means the same, so an untouched element comes out equal and an edited
//! one comes out edited.
//!
//! Source: Tencent §7; documents of the SDK samples (`docs/…/data_template`), the console's
//! "import JSON".

mod adapt;
mod define;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::product::{
    Access, Command, DEFAULT_SERVICE, Event, Extra, Level, Model, Parameter, Property, Service,
};
use roadstead_core::{Map, Value};

use crate::Problem;

/// Key of the leftover of a type in `extra`.
pub(super) const DEFINE: &str = "define";
/// The name of `define` in the fields of a struct.
const DATA_TYPE: &str = "dataType";

pub(super) use adapt::adapt;

type Object = Map<String, Value>;

/// Recognises a data template by content.
pub(super) fn recognizes(document: &Value) -> bool {
    let Some(object) = document.as_object() else { return false };
    let list = |key: &str| object.get(key).and_then(Value::as_array);
    let lists = ["properties", "events", "actions"].map(list);
    let typed = |item: &Value| item.get(DEFINE).is_some_and(Value::is_object);
    let has_define = |key: &str, list: Option<&Vec<Value>>| {
        let list = list.into_iter().flatten();
        match key {
            "" => list.clone().any(typed),
            key => list.filter_map(|item| item.get(key)?.as_array()).flatten().any(typed),
        }
    };
    let profile = object.get("profile").is_some_and(|profile| profile.get("ProductId").is_some());
    !object.contains_key("services")
        && (profile
            || has_define("", lists[0])
            || has_define("params", lists[1])
            || has_define("input", lists[2])
            || has_define("output", lists[2]))
}

/// Reads a data template.
pub(super) fn import(document: &Value) -> Result<Model, Problem> {
    let object = document.as_object().ok_or_else(|| bad("the document", "is not an object"))?;
    let mut service = Service::new(DEFAULT_SERVICE);
    service.properties = elements(object, "properties", read_property)?;
    service.events = elements(object, "events", read_event)?;
    service.commands = elements(object, "actions", read_action)?;
    let is_empty =
        service.properties.is_empty() && service.events.is_empty() && service.commands.is_empty();
    let services = if is_empty { Vec::new() } else { Vec::from([service]) };
    let mut model = Model { services, extra: Extra::new() };
    model.extra = leftover(object, &render(&model)?);
    Ok(model)
}

/// Writes a data template. A model of several services is flattened.
pub(super) fn export(model: &Model) -> Result<Value, Problem> {
    let rendered = render(model)?;
    Ok(Value::Object(merge(rendered, &model.extra)))
}

fn render(model: &Model) -> Result<Object, Problem> {
    let mut object = Object::new();
    let services = || model.services.iter();
    let lists = [
        ("properties", written(services().flat_map(|s| &s.properties), write_property)?),
        ("events", written(services().flat_map(|s| &s.events), write_event)?),
        ("actions", written(services().flat_map(|s| &s.commands), write_action)?),
    ];
    for (key, list) in lists {
        unique(key, &list)?;
        if !list.is_empty() {
            object.insert(key.into(), Value::Array(list));
        }
    }
    Ok(object)
}

fn written<'a, T: 'a>(
    items: impl Iterator<Item = &'a T>,
    write: impl Fn(&'a T) -> Result<Object, Problem>,
) -> Result<Vec<Value>, Problem> {
    items.map(|item| write(item).map(Value::Object)).collect()
}

fn unique(kind: &str, list: &[Value]) -> Result<(), Problem> {
    let mut ids: Vec<_> = list.iter().filter_map(|item| item.get("id")?.as_str()).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(bad(kind, &format!("`{}` occurs twice", pair[0]))),
        None => Ok(()),
    }
}

/// Reads a list of elements with unique ids; an absent list is empty.
fn elements<T>(
    object: &Object,
    key: &str,
    read: impl Fn(&Object, &str) -> Result<T, Problem>,
) -> Result<Vec<T>, Problem> {
    let list = match object.get(key) {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(bad(key, "is not a list")),
    };
    unique(key, list)?;
    let item = |(n, item): (usize, &Value)| {
        let at = format!("{key}[{n}]");
        let object = item.as_object().ok_or_else(|| bad(&at, "is not an object"))?;
        let id = text(object, "id");
        if id.is_empty() {
            return Err(bad(&at, "has no `id`"));
        }
        read(object, &id)
    };
    list.iter().enumerate().map(item).collect()
}

fn read_property(object: &Object, id: &str) -> Result<Property, Problem> {
    let access = match object.get("mode").map(Value::as_str) {
        None | Some(Some("rw")) => Access::READ_WRITE,
        Some(Some("r")) => Access::READ,
        Some(Some("w")) => Access { read: false, write: true, report: false },
        Some(_) => return Err(bad(id, "`mode` is not `r`, `w` or `rw`")),
    };
    let (ty, initial) = define::read(define_of(object, id)?, id)?;
    let mut property = Property {
        id: id.into(),
        name: text(object, "name"),
        description: text(object, "desc"),
        access,
        required: flag(object, "required", id)?.unwrap_or(false),
        ty,
        initial,
        extra: Extra::new(),
    };
    mark_type_key(object, DEFINE, &mut property.extra);
    let rendered = write_property(&property)?;
    keep(&mut property.extra, object, &rendered);
    if !object.contains_key("mode") {
        // Absent means `rw`, and absent it must come out.
        property.extra.insert("mode".into(), Value::Null);
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
    if !(mode == "rw" && property.extra.get("mode") == Some(&Value::Null)) {
        object.insert("mode".into(), Value::from(mode));
    }
    let key = type_key(&property.extra, DEFINE);
    let rest = property.extra.get(key);
    let define = define::write(&property.ty, property.initial.as_ref(), rest, &property.id)?;
    object.insert(key.into(), Value::Object(define));
    Ok(merge(object, &property.extra))
}

fn read_event(object: &Object, id: &str) -> Result<Event, Problem> {
    let level = match object.get("type").map(Value::as_str) {
        None | Some(Some("info")) => Level::Info,
        Some(Some("alert")) => Level::Alert,
        Some(Some("fault" | "fatal")) => Level::Fault,
        Some(_) => return Err(bad(id, "`type` is not `info`, `alert` or `fault`")),
    };
    let mut event = Event {
        id: id.into(),
        name: text(object, "name"),
        description: text(object, "desc"),
        level,
        output: elements(object, "params", read_parameter).map_err(|p| inside(id, p))?,
        extra: Extra::new(),
    };
    event.extra = leftover(object, &write_event(&event)?);
    if !object.contains_key("type") {
        event.extra.insert("type".into(), Value::Null);
    }
    Ok(event)
}

fn write_event(event: &Event) -> Result<Object, Problem> {
    let level = match (event.level, event.extra.get("type").and_then(Value::as_str)) {
        (Level::Fault, Some("fatal")) => "fatal",
        (Level::Info, _) => "info",
        (Level::Alert, _) => "alert",
        (Level::Fault, _) => "fault",
    };
    let mut object = head(&event.id, &event.name, &event.description);
    if !(event.level == Level::Info && event.extra.get("type") == Some(&Value::Null)) {
        object.insert("type".into(), Value::from(level));
    }
    parameters(&mut object, "params", &event.output)?;
    Ok(merge(object, &event.extra))
}

fn read_action(object: &Object, id: &str) -> Result<Command, Problem> {
    let list = |key| elements(object, key, read_parameter).map_err(|p| inside(id, p));
    let mut command = Command {
        id: id.into(),
        name: text(object, "name"),
        description: text(object, "desc"),
        input: list("input")?,
        output: list("output")?,
        extra: Extra::new(),
    };
    command.extra = leftover(object, &write_action(&command)?);
    Ok(command)
}

fn write_action(command: &Command) -> Result<Object, Problem> {
    let mut object = head(&command.id, &command.name, &command.description);
    parameters(&mut object, "input", &command.input)?;
    parameters(&mut object, "output", &command.output)?;
    Ok(merge(object, &command.extra))
}

/// Reads a parameter of an event or action.
fn read_parameter(object: &Object, id: &str) -> Result<Parameter, Problem> {
    read_member(object, id, DEFINE)
}

/// Reads a field of a struct.
fn read_field(object: &Object, id: &str) -> Result<Parameter, Problem> {
    read_member(object, id, DATA_TYPE)
}

/// Absent `required` means yes: firmware ignores an action that lacks one of its inputs (§7).
fn read_member(object: &Object, id: &str, usual: &'static str) -> Result<Parameter, Problem> {
    let (ty, _) = define::read(define_of(object, id)?, id)?;
    let mut parameter = Parameter {
        id: id.into(),
        name: text(object, "name"),
        required: flag(object, "required", id)?.unwrap_or(true),
        ty,
        extra: Extra::new(),
    };
    mark_type_key(object, usual, &mut parameter.extra);
    let rendered = write_member(&parameter, usual)?;
    keep(&mut parameter.extra, object, &rendered);
    Ok(parameter)
}

fn write_parameter(parameter: &Parameter) -> Result<Object, Problem> {
    write_member(parameter, DEFINE)
}

fn write_field(parameter: &Parameter) -> Result<Object, Problem> {
    write_member(parameter, DATA_TYPE)
}

fn write_member(parameter: &Parameter, usual: &'static str) -> Result<Object, Problem> {
    let mut object = head(&parameter.id, &parameter.name, "");
    if !parameter.required {
        object.insert("required".into(), Value::Bool(false));
    }
    let key = type_key(&parameter.extra, usual);
    let define = define::write(&parameter.ty, None, parameter.extra.get(key), &parameter.id)?;
    object.insert(key.into(), Value::Object(define));
    Ok(merge(object, &parameter.extra))
}

fn parameters(object: &mut Object, key: &str, list: &[Parameter]) -> Result<(), Problem> {
    let list = written(list.iter(), write_parameter)?;
    unique(key, &list)?;
    if !list.is_empty() {
        object.insert(key.into(), Value::Array(list));
    }
    Ok(())
}

fn head(id: &str, name: &str, description: &str) -> Object {
    let mut object = Object::new();
    object.insert("id".into(), Value::from(id));
    for (key, text) in [("name", name), ("desc", description)] {
        if !text.is_empty() {
            object.insert(key.into(), Value::from(text));
        }
    }
    object
}

/// Remembers that an element calls its type by the unusual one of the two names.
fn mark_type_key(object: &Object, usual: &'static str, extra: &mut Extra) {
    if !object.contains_key(usual) {
        extra.insert(other(usual).into(), Value::Object(Object::new()));
    }
}

fn type_key(extra: &Extra, usual: &'static str) -> &'static str {
    if extra.contains_key(other(usual)) { other(usual) } else { usual }
}

fn other(name: &'static str) -> &'static str {
    if name == DEFINE { DATA_TYPE } else { DEFINE }
}

/// Keeps what only the original says, beside the mark of its type's name.
fn keep(extra: &mut Extra, original: &Object, rendered: &Object) {
    for (key, value) in leftover(original, rendered) {
        extra.insert(key, value);
    }
}

fn define_of<'a>(object: &'a Object, id: &str) -> Result<&'a Object, Problem> {
    let define = object.get(DEFINE).or_else(|| object.get(DATA_TYPE)).and_then(Value::as_object);
    define.ok_or_else(|| bad(id, "has no `define` object"))
}

fn text(object: &Object, key: &str) -> Box<str> {
    object.get(key).and_then(Value::as_str).unwrap_or_default().into()
}

fn flag(object: &Object, key: &str, id: &str) -> Result<Option<bool>, Problem> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(bad(id, &format!("`{key}` is not true or false"))),
    }
}

/// Returns the keys of `original` that `rendered` lacks or writes differently. Of a type only its
/// own leftover is kept.
fn leftover(original: &Object, rendered: &Object) -> Extra {
    let mut extra = Extra::new();
    for (key, value) in original {
        let ours = rendered.get(key);
        match (key.as_str(), value, ours) {
            (_, _, Some(ours)) if ours == value => {}
            (DEFINE | DATA_TYPE, Value::Object(theirs), Some(Value::Object(ours))) => {
                extra.insert(key.clone(), Value::Object(leftover(theirs, ours)));
            }
            _ => drop(extra.insert(key.clone(), value.clone())),
        }
    }
    extra
}

/// Adds what only the original says. What both say is ours: it may have been edited. A `null`
/// mode or type is the mark of a key that must stay absent.
fn merge(mut rendered: Object, extra: &Extra) -> Object {
    // An action or event has no type: there the key is one like any other.
    let has_type = rendered.contains_key(DEFINE) || rendered.contains_key(DATA_TYPE);
    for (key, value) in extra {
        let is_type = has_type && matches!(key.as_str(), DEFINE | DATA_TYPE);
        let is_mark = value.is_null() && matches!(key.as_str(), "mode" | "type");
        if !is_mark && !is_type && !rendered.contains_key(key) {
            rendered.insert(key.clone(), value.clone());
        }
    }
    rendered
}

fn bad(what: &str, rule: &str) -> Problem {
    Problem::new("import.bad_model", format!("{what}: {rule}"))
}

fn inside(id: &str, problem: Problem) -> Problem {
    Problem::new(problem.code, format!("{id}: {}", problem.message))
}
