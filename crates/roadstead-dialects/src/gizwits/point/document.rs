//! The vendor's schema of data points: import to the canonical model, export without loss.
//!
//! Names, texts and items of an enum are canonical; every other key of an attribute stays in
//! `extra` under its own name, and so does everything around the attributes. A key that says
//! nothing new (a number's limits) is written as it was unless the model was edited.
//!
//! Source: GizWits §4.2 (`GET /app/datapoint`).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::product::{
    Access, DEFAULT_SERVICE, DataType, EnumItem, Event, Extra, Level, Model, Parameter, Property,
    Range, Service,
};
use roadstead_core::{Map, Value};
use serde_json::json;

use super::layout::{Attr, Form, Kind, Layout, Size, number};
use super::value::Number;
use super::{ATTRS_MAX, BINARY_MAX, DATA_TYPE, ID, POSITION, PROTOCOL_TYPE, TYPE, UINT_SPEC};
use crate::Problem;

type Object = Map<String, Value>;

/// Key of the list around the attributes.
const ENTITIES: &str = "entities";
/// Key of the attributes.
const ATTRS: &str = "attrs";
/// Longest name of an attribute, bytes.
const NAME_MAX: usize = 64;
/// Bits of the widest enum.
const ENUM_ITEMS_MAX: usize = 1 << 16;

/// Recognises a schema by content.
pub(in crate::gizwits) fn recognizes(document: &Value) -> bool {
    let Some(object) = document.as_object() else { return false };
    let is_entity = |entity: &Value| entity.get(ATTRS).is_some_and(Value::is_array);
    let entities = object.get(ENTITIES).and_then(Value::as_array);
    entities.is_some_and(|list| !list.is_empty() && list.iter().all(is_entity))
        || object.contains_key("packetVersion") && object.contains_key(PROTOCOL_TYPE)
}

/// Reads a schema.
///
/// # Errors
///
/// `import.bad_model`, naming the attribute.
pub(in crate::gizwits) fn import(document: &Value) -> Result<Model, Problem> {
    let mut extra = document.as_object().cloned().unwrap_or_default();
    let form = Form::parse(extra.get(PROTOCOL_TYPE).and_then(Value::as_str));
    form.ok_or_else(|| bad("protocolType is not standard, var_len or custom"))?;
    let mut entities = match extra.remove(ENTITIES) {
        None => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(bad("`entities` is not a list")),
    };
    if entities.len() > 1 {
        return Err(bad("more than one entity"));
    }
    let mut services = Vec::new();
    if let Some(Value::Object(entity)) = entities.first_mut() {
        let Some(Value::Array(attrs)) = entity.remove(ATTRS) else {
            return Err(bad("an entity without a list `attrs`"));
        };
        if attrs.len() > ATTRS_MAX {
            return Err(bad(&format!("more than {ATTRS_MAX} attributes")));
        }
        let mut service = Service::new(DEFAULT_SERVICE);
        service.extra = core::mem::take(entity);
        for attr in attrs {
            add(attr, &mut service)?;
        }
        services.push(service);
    } else if !entities.is_empty() {
        return Err(bad("an entity is no object"));
    }
    let model = Model { services, extra };
    Layout::of(&model).map_err(|why| bad(&why))?;
    Ok(model)
}

fn add(attr: Value, service: &mut Service) -> Result<(), Problem> {
    let Value::Object(mut extra) = attr else { return Err(bad("an attribute is no object")) };
    let name: Box<str> = match extra.remove("name") {
        Some(Value::String(name)) if (1..=NAME_MAX).contains(&name.len()) => name.into(),
        _ => return Err(bad("an attribute has no name of 1 to 64 bytes")),
    };
    let wrong = |what: &str| bad(&format!("{name}: {what}"));
    if service.property(&name).is_some() {
        return Err(wrong("the name is used twice"));
    }
    if extra.get(ID).and_then(Value::as_u64).is_none_or(|id| id >= u64::from(u32::MAX)) {
        return Err(wrong("no id"));
    }
    let kind = extra.get(TYPE).and_then(Value::as_str).and_then(Kind::parse);
    let kind = kind.ok_or_else(|| wrong("the type is not known"))?;
    let ty = data_type(&mut extra).map_err(wrong)?;
    if kind.is_event() && !matches!(ty, DataType::Bool { .. }) {
        return Err(wrong("alerts and faults are bool"));
    }
    if kind.is_event() {
        service.events.push(signal(&name, kind));
    }
    service.properties.push(Property {
        name: text(&mut extra, "display_name"),
        description: text(&mut extra, "desc"),
        id: name,
        access: if kind == Kind::Writable { Access::READ_WRITE } else { Access::READ },
        required: false,
        ty,
        initial: None,
        extra,
    });
    Ok(())
}

/// Returns the event of an alert or a fault.
fn signal(name: &str, kind: Kind) -> Event {
    let level = if kind == Kind::Fault { Level::Fault } else { Level::Alert };
    let value = Parameter::new("value", DataType::Bool { labels: None });
    Event {
        id: name.into(),
        name: "".into(),
        description: "".into(),
        level,
        output: Vec::from([value]),
        extra: Extra::new(),
    }
}

/// Takes a text out; an empty one stays where it is.
fn text(extra: &mut Object, key: &str) -> Box<str> {
    match extra.get(key).and_then(Value::as_str) {
        Some("") | None => "".into(),
        Some(text) => {
            let text = text.into();
            extra.shift_remove(key);
            text
        }
    }
}

fn data_type(extra: &mut Object) -> Result<DataType, &'static str> {
    let name = extra.get(DATA_TYPE).and_then(Value::as_str).unwrap_or_default().to_string();
    match &*name {
        "bool" => match extra.get(POSITION).and_then(|position| position.get("len")?.as_u64()) {
            Some(0) => Err("position.len is too small"),
            Some(_) | None => Ok(DataType::Bool { labels: None }),
        },
        "enum" => {
            let Some(Value::Array(list)) = extra.shift_remove("enum") else {
                return Err("an enum without items");
            };
            let items = items(&list)?;
            let bits = usize::BITS - (items.len() - 1).leading_zeros();
            let said = extra.get(POSITION).and_then(|position| position.get("len")?.as_u64());
            match said {
                Some(said) if said < u64::from(bits.max(1)) => Err("position.len is too small"),
                Some(_) | None => Ok(DataType::Enum { items }),
            }
        }
        "uint8" | "uint16" | "uint32" => {
            let spec = extra.get(UINT_SPEC).cloned().unwrap_or_else(|| json!({}));
            let number = number(&name, &spec).ok_or("uint_spec does not fit the data type")?;
            Ok(number_type(&number))
        }
        "binary" => {
            let len = extra.get(POSITION).and_then(|position| position.get("len")?.as_u64());
            match len.and_then(|len| u32::try_from(len).ok()) {
                Some(len @ 1..=BINARY_MAX) => Ok(DataType::Text { length_max: Some(2 * len) }),
                _ => Err("binary without position.len from 1 to 1000"),
            }
        }
        _ => Err("the data_type is not known"),
    }
}

fn items(list: &[Value]) -> Result<Vec<EnumItem>, &'static str> {
    if !(1..=ENUM_ITEMS_MAX).contains(&list.len()) {
        return Err("an enum has 1 to 65536 items");
    }
    let mut items: Vec<EnumItem> = Vec::with_capacity(list.len());
    let mut names = alloc::collections::BTreeSet::new();
    for (n, item) in list.iter().enumerate() {
        let Some(name) = item.as_str() else { return Err("an item of the enum is no text") };
        if !names.insert(name) {
            return Err("an item of the enum is there twice");
        }
        let code = i64::try_from(n).ok();
        items.push(EnumItem { name: name.into(), code, extra: Extra::new() });
    }
    Ok(items)
}

/// Returns the canonical type of a number: as displayed.
fn number_type(number: &Number) -> DataType {
    let (min, max) = number.limits();
    let step = if number.ratio < 0.0 { -number.ratio } else { number.ratio };
    let range = Range { min: Some(min), max: Some(max), step: Some(step), unit: None };
    if number.is_whole() { DataType::Int { range } } else { DataType::Float { range } }
}

/// Writes a model as the vendor's schema.
///
/// # Errors
///
/// `import.bad_model`: an element that has no counterpart.
pub(in crate::gizwits) fn export(model: &Model) -> Result<Value, Problem> {
    if model.services.len() > 1 {
        return Err(bad("the vendor has one service"));
    }
    let layout = Layout::of(model).map_err(|why| bad(&why))?;
    let mut document = model.extra.clone();
    // What came from the vendor's document says as much as it said there.
    let is_vendors = |property: &Property| property.extra.contains_key(ID);
    let is_foreign = !model.services.iter().flat_map(|service| &service.properties).any(is_vendors);
    if is_foreign && model.extra.is_empty() {
        document.insert("packetVersion".into(), "0x00000004".into());
        document.insert(PROTOCOL_TYPE.into(), "standard".into());
    }
    let mut entities = Vec::new();
    if let Some(service) = model.services.first() {
        if let Some(command) = service.commands.first() {
            return Err(bad(&format!("{}: the vendor has no commands", command.id)));
        }
        check_events(service, &layout, model)?;
        let mut attrs: Vec<Option<Value>> = Vec::new();
        attrs.resize(service.properties.len(), None);
        let mut place = Place::default();
        for attr in ordered(&layout) {
            let at = place.next(attr);
            if let (Some(property), Some(slot)) =
                (layout.property(model, attr), attrs.get_mut(usize::from(attr.property)))
            {
                *slot = Some(write(property, attr, at));
            }
        }
        let mut entity = service.extra.clone();
        if is_foreign && entity.is_empty() {
            entity.insert(ID.into(), 0.into());
            entity.insert("name".into(), "entity0".into());
        }
        entity.insert(ATTRS.into(), attrs.into_iter().flatten().collect());
        entities.push(Value::Object(entity));
    }
    if !entities.is_empty() || !model.extra.is_empty() {
        document.insert(ENTITIES.into(), Value::Array(entities));
    }
    Ok(Value::Object(document))
}

fn check_events(service: &Service, layout: &Layout, model: &Model) -> Result<(), Problem> {
    let signals = layout.attrs.iter().filter(|attr| attr.kind.is_event());
    let names: Vec<_> = signals.filter_map(|attr| layout.property(model, attr)).collect();
    let stray = service.events.iter().find(|event| names.iter().all(|name| name.id != event.id));
    match stray {
        Some(event) => Err(bad(&format!("{}: the vendor has alerts and faults only", event.id))),
        None => Ok(()),
    }
}

fn write(property: &Property, attr: &Attr, (byte, bit): (usize, usize)) -> Value {
    let mut object = property.extra.clone();
    object.insert(ID.into(), attr.id.into());
    object.insert("name".into(), (&*property.id).into());
    for (key, text) in [("display_name", &property.name), ("desc", &property.description)] {
        if !text.is_empty() {
            object.insert(key.into(), (&**text).into());
        }
    }
    object.insert(TYPE.into(), attr.kind.name().into());
    let (name, len, unit) = match attr.size {
        Size::Bool => ("bool", 1, "bit"),
        Size::Enum(bits) => ("enum", u32::from(bits), "bit"),
        Size::Number(number) => (number_name(&number), u32::from(number.bytes), "byte"),
        Size::Binary(len) => ("binary", len, "byte"),
    };
    object.insert(DATA_TYPE.into(), name.into());
    if let DataType::Enum { items } = &property.ty {
        let names = items.iter().map(|item| Value::from(&*item.name)).collect();
        object.insert("enum".into(), names);
    }
    if let Size::Number(number) = attr.size {
        spec(&mut object, name, &number, property.extra.contains_key(ID));
    }
    // The place stays as it was written, unless an edit made the value larger.
    let (is_vendors, said) = (property.extra.contains_key(ID), object.get(POSITION));
    let said_len = said.and_then(|position| position.get("len")?.as_u64());
    let is_short = unit == "bit" && said_len.is_some_and(|said| said < u64::from(len));
    if !is_vendors || is_short {
        let position = json!({"byte_offset": byte, "bit_offset": bit, "len": len, "unit": unit});
        object.insert(POSITION.into(), position);
    }
    Value::Object(object)
}

/// Writes limits and scale, unless what stands there says the same.
fn spec(object: &mut Object, name: &str, wanted: &Number, is_vendors: bool) {
    let empty = json!({});
    let said = number(name, object.get(UINT_SPEC).unwrap_or(&empty));
    if said.as_ref() == Some(wanted) && is_vendors {
        return;
    }
    let short = |n: f64| super::value::number_value(n, n == n as i64 as f64);
    let spec = json!({
        "min": wanted.min,
        "max": wanted.max,
        "ratio": short(wanted.ratio),
        "addition": short(wanted.addition),
    });
    object.insert(UINT_SPEC.into(), spec);
}

fn number_name(number: &Number) -> &'static str {
    match number.bytes {
        1 => "uint8",
        2 => "uint16",
        _ => "uint32",
    }
}

/// Returns the attributes in the order of a fixed status: by kind, bits before bytes, by id.
fn ordered(layout: &Layout) -> Vec<&Attr> {
    let mut attrs: Vec<&Attr> = layout.attrs.iter().collect();
    attrs.sort_by_key(|attr| (attr.kind, attr.size.bits().is_none(), attr.id));
    attrs
}

/// Where the next attribute of a fixed status begins (GizWits §4.3).
#[derive(Default)]
struct Place {
    kind: Option<Kind>,
    byte: usize,
    bits: usize,
}

impl Place {
    /// Returns byte and bit offset of an attribute.
    fn next(&mut self, attr: &Attr) -> (usize, usize) {
        if self.kind != Some(attr.kind) {
            self.finish();
            self.kind = Some(attr.kind);
        }
        if let Some(width) = attr.size.bits() {
            self.bits += width;
            return (self.byte, self.bits - width);
        }
        self.finish();
        self.byte += attr.size.bytes();
        (self.byte - attr.size.bytes(), 0)
    }

    fn finish(&mut self) {
        self.byte += self.bits.div_ceil(8);
        self.bits = 0;
    }
}

fn bad(what: &str) -> Problem {
    Problem::new("import.bad_model", what)
}
