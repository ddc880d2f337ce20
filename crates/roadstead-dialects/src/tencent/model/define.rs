//! The type of one value: `{"type": "int", "min": "0", …}` to [`DataType`] and back.
//!
//! Numbers are written as text, as the console does; both forms are read.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use roadstead_core::Value;
use roadstead_core::product::{DataType, EnumItem, Extra, Range};

use super::{Object, bad, elements, read_field, unique, write_field, written};
use crate::Problem;

/// Display text of a `stringenum` item in its `extra`.
const LABEL: &str = "label";

/// Reads a type and the initial value it may name.
pub(super) fn read(define: &Object, id: &str) -> Result<(DataType, Option<Value>), Problem> {
    let ty = match define.get("type").and_then(Value::as_str) {
        Some("bool") => DataType::Bool { labels: labels(define) },
        Some("int") => {
            let initial = number(define, "start").filter(|n| n % 1.0 == 0.0);
            return Ok((
                DataType::Int { range: range(define) },
                initial.map(|n| (n as i64).into()),
            ));
        }
        Some("float") => {
            let initial = number(define, "start").map(Value::from);
            return Ok((DataType::Float { range: range(define) }, initial));
        }
        Some("enum" | "stringenum") => DataType::Enum { items: items(define, id)? },
        Some("string") => DataType::Text { length_max: length_max(define) },
        Some("timestamp") => DataType::Time,
        Some("struct") => DataType::Struct {
            fields: elements(define, "specs", read_field).map_err(|p| super::inside(id, p))?,
        },
        Some("array") => {
            let item = define.get("arrayInfo").and_then(Value::as_object);
            let item = item.ok_or_else(|| bad(id, "an array needs an `arrayInfo` object"))?;
            DataType::Array { item: Box::new(read(item, id)?.0), items_max: None }
        }
        Some(other) => return Err(bad(id, &format!("type `{other}` is not known"))),
        None => return Err(bad(id, "has no `type`")),
    };
    Ok((ty, None))
}

/// Writes a type. `rest` is what only the original document said of it, or said otherwise; it is
/// used as far as it still means the same.
pub(super) fn write(
    ty: &DataType,
    initial: Option<&Value>,
    rest: Option<&Value>,
    id: &str,
) -> Result<Object, Problem> {
    let rendered = render(ty, initial, id)?;
    let Some(rest) = rest.and_then(Value::as_object) else { return Ok(rendered) };
    let mut original = rendered.clone();
    original.extend(rest.clone());
    if let Ok((same, start)) = read(&original, id)
        && same == *ty
        && (initial.is_none() || start.as_ref() == initial)
    {
        return Ok(original);
    }
    let mut edited = rendered;
    for (key, value) in rest {
        if !edited.contains_key(key) {
            edited.insert(key.clone(), value.clone());
        }
    }
    Ok(edited)
}

fn render(ty: &DataType, initial: Option<&Value>, id: &str) -> Result<Object, Problem> {
    let mut define = Object::new();
    let mut set = |key: &str, value: Value| drop(define.insert(key.into(), value));
    match ty {
        DataType::Bool { labels } => {
            set("type", "bool".into());
            if let Some((off, on)) = labels {
                set("mapping", mapping([("0", &**off), ("1", &**on)].into_iter()));
            }
        }
        DataType::Int { range } | DataType::Float { range } => {
            let name = if matches!(ty, DataType::Int { .. }) { "int" } else { "float" };
            set("type", name.into());
            for (key, value) in [("min", range.min), ("max", range.max), ("step", range.step)] {
                if let Some(value) = value {
                    set(key, format!("{value}").into());
                }
            }
            if let Some(start) = initial.filter(|value| value.is_number()) {
                set("start", start.to_string().into());
            }
            if let Some(unit) = &range.unit {
                set("unit", (&**unit).into());
            }
        }
        DataType::Enum { items } => {
            let (name, pairs) = enum_pairs(items, id)?;
            set("type", name.into());
            if !pairs.is_empty() {
                set("mapping", mapping(pairs.iter().map(|(key, text)| (&**key, *text))));
            }
        }
        DataType::Text { length_max } => {
            set("type", "string".into());
            if let Some(max) = length_max {
                set("max", format!("{max}").into());
            }
        }
        DataType::Time => set("type", "timestamp".into()),
        DataType::Struct { fields } => {
            let specs = written(fields.iter(), write_field)?;
            unique(id, &specs)?;
            set("type", "struct".into());
            if !specs.is_empty() {
                set("specs", Value::Array(specs));
            }
        }
        DataType::Array { item, items_max: None } => {
            set("type", "array".into());
            set("arrayInfo", Value::Object(render(item, None, id)?));
        }
        DataType::Array { .. } => return Err(bad(id, "a data template has no longest array")),
        DataType::Any => return Err(bad(id, "a data template has no type for any value")),
    }
    Ok(define)
}

fn labels(define: &Object) -> Option<(Box<str>, Box<str>)> {
    let mapping = define.get("mapping")?;
    let label = |key| mapping.get(key).and_then(Value::as_str).map(Box::from);
    Some((label("0")?, label("1")?))
}

fn range(define: &Object) -> Range {
    let unit = define.get("unit").and_then(Value::as_str).filter(|unit| !unit.is_empty());
    Range {
        min: number(define, "min"),
        max: number(define, "max"),
        step: number(define, "step"),
        unit: unit.map(Box::from),
    }
}

fn number(define: &Object, key: &str) -> Option<f64> {
    let number = match define.get(key)? {
        Value::Number(n) => n.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    number.is_finite().then_some(number)
}

fn length_max(define: &Object) -> Option<u32> {
    let max = number(define, "max").filter(|max| (0.0..=f64::from(u32::MAX)).contains(max))?;
    Some(max as u32)
}

/// Reads a mapping: number to text names the item by its text, text to text by its key.
fn items(define: &Object, id: &str) -> Result<Vec<EnumItem>, Problem> {
    let mapping = match define.get("mapping") {
        None => return Ok(Vec::new()),
        Some(mapping) => {
            mapping.as_object().ok_or_else(|| bad(id, "`mapping` is not an object"))?
        }
    };
    let is_coded = define.get("type").and_then(Value::as_str) == Some("enum")
        && mapping.keys().all(|key| key.parse::<i64>().is_ok());
    let mut items: Vec<EnumItem> = Vec::with_capacity(mapping.len());
    for (key, text) in mapping {
        let text = text.as_str().unwrap_or_default();
        let mut extra = Extra::new();
        if !is_coded && text != key {
            extra.insert(LABEL.into(), text.into());
        }
        let taken = mapping.values().filter(|other| other.as_str() == Some(text)).count() > 1
            || mapping.contains_key(text);
        let name = if !is_coded || text.is_empty() || taken { key.as_str() } else { text };
        let code = if is_coded { key.parse().ok() } else { None };
        items.push(EnumItem { name: name.into(), code, extra });
    }
    Ok(items)
}

type Pairs<'a> = Vec<(String, &'a str)>;

fn enum_pairs<'a>(items: &'a [EnumItem], id: &str) -> Result<(&'static str, Pairs<'a>), Problem> {
    let coded = items.iter().filter(|item| item.code.is_some()).count();
    if coded == items.len() {
        let pair = |item: &'a EnumItem| Some((format!("{}", item.code?), &*item.name));
        return Ok(("enum", items.iter().filter_map(pair).collect()));
    }
    if coded > 0 {
        return Err(bad(id, "either all items of an enum have a number, or none"));
    }
    let label = |item: &'a EnumItem| item.extra.get(LABEL).and_then(Value::as_str);
    let pair = |item: &'a EnumItem| (item.name.to_string(), label(item).unwrap_or(&item.name));
    Ok(("stringenum", items.iter().map(pair).collect()))
}

fn mapping<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    Value::Object(pairs.map(|(key, text)| (key.into(), text.into())).collect())
}
