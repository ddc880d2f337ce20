//! The type of one value: `{"type":"int","specs":{"min":"0",…}}` to [`DataType`] and back.
//!
//! Numbers are written as text, as the console does; both forms are read. `double` and `float`
//! are one type here; which word it was is kept in the original.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use roadstead_core::Value;
use roadstead_core::product::{DataType, EnumItem, Extra, Range};

use super::{Object, bad, element, inside};
use crate::Problem;

/// Reads a type.
pub(super) fn read(object: &Object, id: &str) -> Result<DataType, Problem> {
    let none = Object::new();
    let specs = object.get("specs");
    let named = specs.and_then(Value::as_object).unwrap_or(&none);
    Ok(match object.get("type").and_then(Value::as_str) {
        Some("bool") => DataType::Bool { labels: labels(named) },
        Some("int" | "long") => DataType::Int { range: range(named) },
        Some("float" | "double") => DataType::Float { range: range(named) },
        Some("enum") => DataType::Enum { items: items(named, id)? },
        Some("text" | "string") => DataType::Text { length_max: whole(named, "length") },
        Some("date") => DataType::Time,
        Some("struct") => {
            let list = specs.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            DataType::Struct { fields: element::fields(list, id).map_err(|p| inside(id, p))? }
        }
        Some("array") => {
            let item = named.get("item").and_then(Value::as_object);
            let item = item.ok_or_else(|| bad(id, "an array needs `specs.item`"))?;
            let item = Box::new(read(item, id)?);
            DataType::Array { item, items_max: whole(named, "size") }
        }
        Some(other) => return Err(bad(id, &format!("type `{other}` is not known"))),
        None => return Err(bad(id, "has no `type`")),
    })
}

/// Writes a type; the original writing when it still means the same.
pub(super) fn write(ty: &DataType, original: Option<&Value>, id: &str) -> Result<Value, Problem> {
    if let Some(Value::Object(object)) = original
        && read(object, id).is_ok_and(|same| same == *ty)
    {
        return Ok(Value::Object(object.clone()));
    }
    Ok(Value::Object(render(ty, id)?))
}

fn render(ty: &DataType, id: &str) -> Result<Object, Problem> {
    let mut specs = Object::new();
    let (name, specs) = match ty {
        DataType::Bool { labels } => {
            let (off, on) = labels.as_ref().map_or(("0", "1"), |(off, on)| (&**off, &**on));
            specs.insert("0".into(), off.into());
            specs.insert("1".into(), on.into());
            ("bool", Value::Object(specs))
        }
        DataType::Int { range } => ("int", ranged(range)),
        DataType::Float { range } => ("double", ranged(range)),
        DataType::Enum { items } => {
            for item in items {
                let code = item.code.ok_or_else(|| bad(id, "an enum needs a number per item"))?;
                specs.insert(format!("{code}"), Value::from(label(item)));
            }
            ("enum", Value::Object(specs))
        }
        DataType::Text { length_max } => {
            if let Some(max) = length_max {
                specs.insert("length".into(), format!("{max}").into());
            }
            ("text", Value::Object(specs))
        }
        DataType::Time => ("date", Value::Object(specs)),
        DataType::Struct { fields } => {
            let fields = fields.iter().map(|f| element::write_parameter(f).map(Value::Object));
            let fields = fields.collect::<Result<Vec<_>, _>>()?;
            element::unique(id, &fields)?;
            ("struct", Value::Array(fields))
        }
        DataType::Array { item, items_max } => {
            if let Some(max) = items_max {
                specs.insert("size".into(), format!("{max}").into());
            }
            specs.insert("item".into(), Value::Object(render(item, id)?));
            ("array", Value::Object(specs))
        }
        DataType::Any => return Err(bad(id, "a TSL has no type for any value")),
    };
    let is_bare = specs.as_object().is_some_and(Object::is_empty);
    let mut object = Object::new();
    object.insert("type".into(), name.into());
    if !is_bare {
        object.insert("specs".into(), specs);
    }
    Ok(object)
}

fn ranged(range: &Range) -> Value {
    let mut specs = Object::new();
    for (key, value) in [("min", range.min), ("max", range.max), ("step", range.step)] {
        if let Some(value) = value {
            specs.insert(key.into(), format!("{value}").into());
        }
    }
    if let Some(unit) = &range.unit {
        specs.insert("unit".into(), (&**unit).into());
    }
    Value::Object(specs)
}

fn labels(specs: &Object) -> Option<(Box<str>, Box<str>)> {
    let label = |key| specs.get(key).and_then(Value::as_str).map(Box::from);
    Some((label("0")?, label("1")?))
}

fn range(specs: &Object) -> Range {
    let unit = specs.get("unit").and_then(Value::as_str).filter(|unit| !unit.is_empty());
    Range {
        min: number(specs, "min"),
        max: number(specs, "max"),
        step: number(specs, "step"),
        unit: unit.map(Box::from),
    }
}

fn number(specs: &Object, key: &str) -> Option<f64> {
    let number = match specs.get(key)? {
        Value::Number(n) => n.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    number.is_finite().then_some(number)
}

fn whole(specs: &Object, key: &str) -> Option<u32> {
    let n = number(specs, key).filter(|n| (0.0..=f64::from(u32::MAX)).contains(n))?;
    Some(n as u32)
}

/// Key of an item's text that cannot be its name.
const LABEL: &str = "label";

/// Names items by their texts; one whose text is empty or shared is named by its number.
fn items(specs: &Object, id: &str) -> Result<Vec<EnumItem>, Problem> {
    let mut items: Vec<EnumItem> = Vec::with_capacity(specs.len());
    for (key, value) in specs {
        let code = key.parse().map_err(|_| bad(id, "a key of an enum is no number"))?;
        let text = value.as_str().unwrap_or_default();
        let is_shared = specs.values().filter(|other| other.as_str() == Some(text)).count() > 1
            || specs.contains_key(text);
        let is_name = !text.is_empty() && !is_shared;
        let mut extra = Extra::new();
        if !is_name {
            extra.insert(LABEL.into(), text.into());
        }
        let name = if is_name { text } else { key };
        items.push(EnumItem { name: name.into(), code: Some(code), extra });
    }
    Ok(items)
}

fn label(item: &EnumItem) -> &str {
    item.extra.get(LABEL).and_then(Value::as_str).unwrap_or(&item.name)
}
