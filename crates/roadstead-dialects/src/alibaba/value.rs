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

use roadstead_core::product::{DEFAULT_SERVICE, DataType, Model, Parameter, Violation};
use roadstead_core::{Map, Value};

use crate::value::{self, Coding, code_of, name_of, whole, zero_or_one};

/// Between a function block and a member of it, in names on the wire.
const BLOCK: char = ':';

/// The vendor's coding.
struct Tsl;

impl Coding for Tsl {
    const KEEPS_UNKNOWN_MEMBERS: bool = false;

    fn read(ty: &DataType, value: Value) -> Result<Value, Violation> {
        match (ty, value) {
            (DataType::Bool { .. }, Value::Number(n)) => zero_or_one(n),
            (DataType::Int { .. } | DataType::Time, Value::Number(n)) => Ok(whole(n)),
            (DataType::Enum { items }, Value::Bool(on)) => {
                name_of(items, Value::from(i64::from(on)))
            }
            (DataType::Enum { items }, value) => name_of(items, value),
            (DataType::Time, Value::String(text)) => match text.parse::<i64>() {
                Ok(ms) => Ok(Value::from(ms)),
                Err(_) => Err(Violation::expected("Unix milliseconds", &Value::String(text))),
            },
            // What the vendor codes as we do; the check refuses the rest.
            (_, value) => Ok(value),
        }
    }

    fn write(ty: &DataType, value: &Value) -> Value {
        match (ty, value) {
            (DataType::Bool { .. }, Value::Bool(on)) => Value::from(u8::from(*on)),
            (DataType::Enum { items }, Value::String(name)) => code_of(items, name),
            (DataType::Time, Value::Number(n)) => Value::from(format!("{n}")),
            _ => value.clone(),
        }
    }
}

/// Returns the canonical form of a value a device sent, checked against its type.
///
/// # Errors
///
/// The first [`Violation`].
pub(crate) fn to_canonical(ty: &DataType, value: Value) -> Result<Value, Violation> {
    value::to_canonical::<Tsl>(ty, value)
}

/// Returns the vendor's form of a canonical value. A value that does not fit is left as it is.
pub(crate) fn to_wire(ty: &DataType, value: &Value) -> Value {
    value::to_wire::<Tsl>(ty, value)
}

/// Returns the vendor's form of named canonical values; unknown names stay as they are.
pub(crate) fn fields_to_wire(
    fields: &[Parameter],
    values: &Map<String, Value>,
) -> Map<String, Value> {
    value::fields_to_wire::<Tsl>(fields, values)
}

/// Returns the canonical form of named values, and the first that did not fit. What the list does
/// not name is kept when `keeps_unknown`.
pub(crate) fn fields_to_canonical(
    fields: &[Parameter],
    values: Map<String, Value>,
    keeps_unknown: bool,
) -> (Map<String, Value>, Option<Violation>) {
    value::fields_to_canonical::<Tsl>(fields, values, keeps_unknown)
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

    use roadstead_core::limit::VALUE_DEPTH_MAX;
    use roadstead_core::product::{EnumItem, Extra, Range, Service};
    use serde_json::json;

    use super::*;
    use crate::value::is_deeper;

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
