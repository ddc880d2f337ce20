//! Values: the vendor's coding to canonical and back.
//!
//! | type | on the wire | canonical |
//! |---|---|---|
//! | bool | 0/1, `true`/`false`; sent as 0/1 | `true`/`false` |
//! | enum | the key of the mapping, a number | the text of the mapping |
//! | stringenum | the key of the mapping, a text | that key |
//! | timestamp | Unix seconds (milliseconds are taken) | Unix milliseconds |
//! | int, float, string | as displayed | the same |
//! | struct, array | object, list | the same, member by member |
//!
//! Source: Tencent §7; SDK 3.1.5 prints bools with `%u`.

use alloc::string::String;

use roadstead_core::product::{DataType, Parameter, Violation};
use roadstead_core::{Map, Value};

use crate::value::{self, Coding, code_of, name_of, whole, zero_or_one};

/// A Unix time above this is in milliseconds: as seconds it would lie beyond the year 5000.
pub(crate) const SECONDS_MAX: u64 = 100_000_000_000;

/// The vendor's coding.
struct Template;

impl Coding for Template {
    const KEEPS_UNKNOWN_MEMBERS: bool = false;

    fn read(ty: &DataType, value: Value) -> Result<Value, Violation> {
        match (ty, value) {
            (DataType::Bool { .. }, Value::Number(n)) => zero_or_one(n),
            (DataType::Int { .. }, Value::Number(n)) => Ok(whole(n)),
            (DataType::Enum { items }, value) => name_of(items, value),
            (DataType::Time, Value::Number(n)) => {
                let value = whole(n);
                let seconds = value.as_i64().filter(|s| s.unsigned_abs() <= SECONDS_MAX);
                Ok(seconds.map_or(value, |s| Value::from(s * 1000)))
            }
            // What the vendor codes as we do; the check refuses the rest.
            (_, value) => Ok(value),
        }
    }

    fn write(ty: &DataType, value: &Value) -> Value {
        match (ty, value) {
            (DataType::Bool { .. }, Value::Bool(on)) => Value::from(u8::from(*on)),
            (DataType::Enum { items }, Value::String(name)) => code_of(items, name),
            (DataType::Time, Value::Number(n)) => {
                n.as_i64().map_or_else(|| value.clone(), |ms| Value::from(ms.div_euclid(1000)))
            }
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
    value::to_canonical::<Template>(ty, value)
}

/// Returns the vendor's form of a canonical value. A value that does not fit is left as it is.
pub(crate) fn to_wire(ty: &DataType, value: &Value) -> Value {
    value::to_wire::<Template>(ty, value)
}

/// Returns the vendor's form of named canonical values; unknown names stay as they are.
pub(crate) fn fields_to_wire(
    fields: &[Parameter],
    values: &Map<String, Value>,
) -> Map<String, Value> {
    value::fields_to_wire::<Template>(fields, values)
}

/// Returns the canonical form of named values, and the first that did not fit.
pub(crate) fn fields_to_canonical(
    fields: &[Parameter],
    values: Map<String, Value>,
) -> (Map<String, Value>, Option<Violation>) {
    value::fields_to_canonical::<Template>(fields, values, false)
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::string::ToString;
    use std::vec;

    use roadstead_core::limit::VALUE_DEPTH_MAX;
    use roadstead_core::product::{EnumItem, Extra, Range};
    use serde_json::json;

    use super::*;
    use crate::value::is_deeper;

    fn color() -> DataType {
        let item = |name: &str, code| EnumItem {
            name: name.into(),
            code: Some(code),
            extra: Extra::new(),
        };
        DataType::Enum { items: vec![item("Red", 0), item("Green", 1)] }
    }

    #[test]
    fn both_codings_of_every_type() {
        let range = Range { min: Some(0.0), max: Some(100.0), ..Range::default() };
        let int = DataType::Int { range: range.clone() };
        let mode = DataType::Enum {
            items: vec![EnumItem { name: "eco".into(), code: None, extra: Extra::new() }],
        };
        let point = DataType::Struct {
            fields: vec![Parameter::new("on", DataType::Bool { labels: None })],
        };
        let list = DataType::Array { item: Box::new(point.clone()), items_max: None };
        let bool_ = DataType::Bool { labels: None };
        let cases = [
            (&bool_, json!(1), Ok(json!(true)), json!(1)),
            (&bool_, json!(false), Ok(json!(false)), json!(0)),
            (&bool_, json!(2), Err("expected 0 or 1, got 2"), json!(null)),
            (&bool_, json!("1"), Err("expected true or false, got \"1\""), json!(null)),
            (&int, json!(66), Ok(json!(66)), json!(66)),
            (&int, json!(66.0), Ok(json!(66)), json!(66)),
            (&int, json!(101), Err("101 is above the maximum"), json!(null)),
            (&DataType::Float { range }, json!(6.5), Ok(json!(6.5)), json!(6.5)),
            (&color(), json!(1), Ok(json!("Green")), json!(1)),
            (&color(), json!("Green"), Ok(json!("Green")), json!(1)),
            (&color(), json!(7), Err("expected a value of the enum, got 7"), json!(null)),
            (&mode, json!("eco"), Ok(json!("eco")), json!("eco")),
            (
                &DataType::Time,
                json!(1_611_299_964),
                Ok(json!(1_611_299_964_000_i64)),
                json!(1_611_299_964),
            ),
            (
                &DataType::Time,
                json!(1_611_299_964_123_i64),
                Ok(json!(1_611_299_964_123_i64)),
                json!(1_611_299_964),
            ),
            (&point, json!({"on": 1}), Ok(json!({"on": true})), json!({"on": 1})),
            (&point, json!({"off": 1}), Err("off: not in the model"), json!(null)),
            (&list, json!([{"on": 0}]), Ok(json!([{"on": false}])), json!([{"on": 0}])),
            (
                &list,
                json!([{"on": "x"}]),
                Err("0.on: expected true or false, got \"x\""),
                json!(null),
            ),
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
        assert_eq!(to_canonical(&DataType::Any, json!([[1]])), Ok(json!([[1]])));
    }
}
