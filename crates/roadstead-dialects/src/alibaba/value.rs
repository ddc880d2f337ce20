//! Values: the vendor's coding to canonical and back. Both halves use it.
//!
//! | type | on the wire | canonical |
//! |---|---|---|
//! | bool | 0/1, `true`/`false`; sent as 0/1 | `true`/`false` |
//! | enum | the key of the list, a number | the text of the list |
//! | date | Unix milliseconds as text (a number is taken) | Unix milliseconds |
//! | int, float, double, text | as displayed | the same |
//! | struct, array | object, list | the same, member by member |
//!
//! Source: Alibaba §8; the vendor's TSL documents.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use roadstead_core::limit::VALUE_DEPTH_MAX;
use roadstead_core::product::{DEFAULT_SERVICE, DataType, EnumItem, Model, Parameter, Violation};
use roadstead_core::{Map, Value};

/// Between a function block and a member of it, in names on the wire.
const BLOCK: char = ':';

/// Returns the canonical form of a value a device sent, checked against its type.
///
/// # Errors
///
/// The first [`Violation`].
pub(crate) fn to_canonical(ty: &DataType, value: Value) -> Result<Value, Violation> {
    let value = convert(ty, value, VALUE_DEPTH_MAX)?;
    ty.check(&value)?;
    Ok(value)
}

fn convert(ty: &DataType, value: Value, depth: usize) -> Result<Value, Violation> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Violation::new("nested deeper than the limit"));
    };
    match (ty, value) {
        (DataType::Bool { .. }, Value::Number(n)) => match n.as_u64() {
            Some(n @ 0..=1) => Ok(Value::Bool(n == 1)),
            _ => Err(Violation::expected("0 or 1", &Value::Number(n))),
        },
        (DataType::Int { .. }, Value::Number(n)) => Ok(whole(n)),
        (DataType::Enum { items }, value) => name_of(items, value),
        (DataType::Time, Value::Number(n)) => Ok(whole(n)),
        (DataType::Time, Value::String(text)) => match text.parse::<i64>() {
            Ok(ms) => Ok(Value::from(ms)),
            Err(_) => Err(Violation::expected("Unix milliseconds", &Value::String(text))),
        },
        (DataType::Struct { fields }, Value::Object(object)) => {
            let inner = |(key, value): (String, Value)| {
                let Some(field) = fields.iter().find(|field| *field.id == *key) else {
                    return Err(Violation::new("not in the model").inside(&key));
                };
                let value = convert(&field.ty, value, depth).map_err(|v| v.inside(&key))?;
                Ok((key, value))
            };
            object.into_iter().map(inner).collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        (DataType::Array { item, .. }, Value::Array(values)) => {
            let inner = |(n, value)| {
                convert(item, value, depth).map_err(|v: Violation| v.inside(&format!("{n}")))
            };
            values.into_iter().enumerate().map(inner).collect::<Result<_, _>>().map(Value::Array)
        }
        (DataType::Any, value) if is_deeper(&value, depth) => {
            Err(Violation::new("nested deeper than the limit"))
        }
        // What the vendor codes as we do; `check` refuses the rest.
        (_, value) => Ok(value),
    }
}

/// Turns 5.0 into 5: script clients print whole numbers as floats.
fn whole(n: serde_json::Number) -> Value {
    match n.as_f64() {
        // Exact: an f64 holds every whole number of this range.
        Some(f) if n.is_f64() && f % 1.0 == 0.0 && f.abs() < 9e15 => Value::from(f as i64),
        _ => Value::Number(n),
    }
}

fn name_of(items: &[EnumItem], value: Value) -> Result<Value, Violation> {
    let code = match &value {
        Value::Number(n) => whole(n.clone()).as_i64(),
        Value::String(text) => {
            if items.iter().any(|item| *item.name == **text) {
                return Ok(value);
            }
            text.parse().ok()
        }
        Value::Bool(on) => Some(i64::from(*on)),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let item = code.and_then(|code| items.iter().find(|item| item.code == Some(code)));
    match item {
        Some(item) => Ok(Value::from(&*item.name)),
        None => Err(Violation::expected("a value of the enum", &value)),
    }
}

/// Returns true when `value` nests deeper than `depth` levels below itself.
pub(crate) fn is_deeper(value: &Value, depth: usize) -> bool {
    let Some(inner) = depth.checked_sub(1) else {
        return value.is_array() || value.is_object();
    };
    match value {
        Value::Array(items) => items.iter().any(|item| is_deeper(item, inner)),
        Value::Object(object) => object.values().any(|item| is_deeper(item, inner)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Returns the vendor's form of a canonical value. A value that does not fit is left as it is.
pub(crate) fn to_wire(ty: &DataType, value: &Value) -> Value {
    match (ty, value) {
        (DataType::Bool { .. }, Value::Bool(on)) => Value::from(u8::from(*on)),
        (DataType::Enum { items }, Value::String(name)) => {
            let code = items.iter().find(|item| *item.name == **name).and_then(|item| item.code);
            code.map_or_else(|| value.clone(), Value::from)
        }
        (DataType::Time, Value::Number(n)) => Value::from(format!("{n}")),
        (DataType::Struct { fields }, Value::Object(object)) => {
            Value::Object(fields_to_wire(fields, object))
        }
        (DataType::Array { item, .. }, Value::Array(values)) => {
            Value::Array(values.iter().map(|value| to_wire(item, value)).collect())
        }
        _ => value.clone(),
    }
}

/// Returns the vendor's form of named canonical values; unknown names stay as they are.
pub(crate) fn fields_to_wire(
    fields: &[Parameter],
    values: &Map<String, Value>,
) -> Map<String, Value> {
    let field = |key: &str| fields.iter().find(|field| *field.id == *key);
    let wire = |(key, value): (&String, &Value)| {
        let value = field(key).map_or_else(|| value.clone(), |field| to_wire(&field.ty, value));
        (key.clone(), value)
    };
    values.iter().map(wire).collect()
}

/// Returns the canonical form of named values, and the first that did not fit. What the list does
/// not name is kept when `keeps_unknown`.
pub(crate) fn fields_to_canonical(
    fields: &[Parameter],
    values: Map<String, Value>,
    keeps_unknown: bool,
) -> (Map<String, Value>, Option<Violation>) {
    let mut canonical = Map::new();
    let mut wrong = None;
    for (key, value) in values {
        let converted = match fields.iter().find(|field| *field.id == *key) {
            Some(field) => to_canonical(&field.ty, value),
            None if keeps_unknown && !is_deeper(&value, VALUE_DEPTH_MAX) => Ok(value),
            None => Err(Violation::new("not in the model")),
        };
        match converted {
            Ok(value) => drop(canonical.insert(key, value)),
            Err(violation) => wrong = wrong.or_else(|| Some(violation.inside(&key))),
        }
    }
    (canonical, wrong)
}

/// Splits a name on the wire into service and member: `block:member`, or the member alone, which
/// then is of the default block or of whichever has it.
pub(crate) fn split_name<'a>(
    model: &'a Model,
    name: &'a str,
    has: impl Fn(&'a roadstead_core::product::Service, &str) -> bool,
) -> (&'a str, &'a str) {
    if let Some((block, member)) = name.split_once(BLOCK)
        && model.service(block).is_some()
    {
        return (block, member);
    }
    let found = model.services.iter().find(|service| has(service, name));
    let service = found.or_else(|| model.services.first());
    (service.map_or(DEFAULT_SERVICE, |service| &service.id), name)
}

/// Writes a name of a member for the wire: that of a block of its own has the block before it.
pub(crate) fn join_name(service: &str, member: &str) -> Box<str> {
    match service {
        DEFAULT_SERVICE => member.into(),
        block => format!("{block}{BLOCK}{member}").into(),
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;
    use std::vec;

    use roadstead_core::product::{Extra, Range, Service};
    use serde_json::json;

    use super::*;

    #[test]
    fn both_codings_of_every_type() {
        let item = |name: &str, code| EnumItem {
            name: name.into(),
            code: Some(code),
            extra: Extra::new(),
        };
        let color = DataType::Enum { items: vec![item("Red", 0), item("Green", 1)] };
        let range = Range { min: Some(0.0), max: Some(100.0), ..Range::default() };
        let int = DataType::Int { range: range.clone() };
        let bool_ = DataType::Bool { labels: None };
        let point = DataType::Struct { fields: vec![Parameter::new("on", bool_.clone())] };
        let list = DataType::Array { item: Box::new(point.clone()), items_max: None };
        let cases = [
            (&bool_, json!(1), Ok(json!(true)), json!(1)),
            (&bool_, json!(false), Ok(json!(false)), json!(0)),
            (&bool_, json!(2), Err("expected 0 or 1, got 2"), json!(null)),
            (&int, json!(66.0), Ok(json!(66)), json!(66)),
            (&int, json!(101), Err("101 is above the maximum"), json!(null)),
            (&DataType::Float { range }, json!(6.5), Ok(json!(6.5)), json!(6.5)),
            (&color, json!(1), Ok(json!("Green")), json!(1)),
            (&color, json!("1"), Ok(json!("Green")), json!(1)),
            (&color, json!("Green"), Ok(json!("Green")), json!(1)),
            (&color, json!(7), Err("expected a value of the enum, got 7"), json!(null)),
            (
                &DataType::Time,
                json!("1611299964123"),
                Ok(json!(1_611_299_964_123_i64)),
                json!("1611299964123"),
            ),
            (
                &DataType::Time,
                json!(1_611_299_964_123_i64),
                Ok(json!(1_611_299_964_123_i64)),
                json!("1611299964123"),
            ),
            (
                &DataType::Time,
                json!("soon"),
                Err("expected Unix milliseconds, got \"soon\""),
                json!(null),
            ),
            (&point, json!({"on": 1}), Ok(json!({"on": true})), json!({"on": 1})),
            (&point, json!({"off": 1}), Err("off: not in the model"), json!(null)),
            (&list, json!([{"on": 0}]), Ok(json!([{"on": false}])), json!([{"on": 0}])),
        ];
        for (n, (ty, wire, canonical, back)) in cases.into_iter().enumerate() {
            let got = to_canonical(ty, wire);
            match canonical {
                Ok(expected) => {
                    assert_eq!(got.as_ref(), Ok(&expected), "case {n}");
                    assert_eq!(to_wire(ty, &expected), back, "case {n}");
                }
                Err(expected) => {
                    assert_eq!(got.expect_err("refused").to_string(), expected, "case {n}");
                }
            }
        }
    }

    #[test]
    fn depth_is_bounded_for_every_type() {
        let mut value = json!(1);
        for _ in 0..100 {
            value = json!([value]);
        }
        assert!(is_deeper(&value, VALUE_DEPTH_MAX));
        assert!(to_canonical(&DataType::Any, value).is_err());
    }

    #[test]
    fn names_of_blocks() {
        let block = Service::new("power");
        let model =
            Model { services: vec![Service::new(DEFAULT_SERVICE), block], extra: Extra::new() };
        let none = |_: &Service, _: &str| false;
        assert_eq!(split_name(&model, "power:on", none), ("power", "on"));
        assert_eq!(split_name(&model, "other:on", none), (DEFAULT_SERVICE, "other:on"));
        assert_eq!(split_name(&model, "on", none), (DEFAULT_SERVICE, "on"));
        assert_eq!(&*join_name("power", "on"), "power:on");
        assert_eq!(&*join_name(DEFAULT_SERVICE, "on"), "on");
    }
}
