//! Values: the vendor's coding to canonical and back.
//!
//! | type | on the wire | canonical |
//! |---|---|---|
//! | DateTime | `20151212T121212Z`, also with separators | Unix milliseconds |
//! | int | as displayed; 5.0 is taken for 5 | number |
//! | the others | as displayed | the same |
//!
//! Source: Huawei §3.2, §7.1.

use alloc::format;
use alloc::string::String;

use roadstead_core::limit::VALUE_DEPTH_MAX;
use roadstead_core::product::{DataType, Parameter, Violation};
use roadstead_core::{Map, Timestamp, Value};

use super::time;

/// Returns the canonical form of a value a device sent, checked against its type.
///
/// # Errors
///
/// The first [`Violation`].
pub(crate) fn to_canonical(ty: &DataType, value: Value) -> Result<Value, Violation> {
    if is_deeper(&value, VALUE_DEPTH_MAX) {
        return Err(too_deep());
    }
    let value = convert(ty, value)?;
    ty.check(&value)?;
    Ok(value)
}

/// Returns the violation of a value that nests too deep.
pub(crate) fn too_deep() -> Violation {
    Violation::new("nested deeper than the limit")
}

/// The value is not deeper than the limit, so this is not either.
fn convert(ty: &DataType, value: Value) -> Result<Value, Violation> {
    match (ty, value) {
        (DataType::Int { .. }, Value::Number(n)) => Ok(whole(n)),
        (DataType::Time, Value::String(text)) => match time::parse(&text) {
            Some(at) => Ok(Value::from(at.as_millis())),
            None => Err(Violation::expected("a date like 20151212T121212Z", &text.into())),
        },
        (DataType::Struct { fields }, Value::Object(object)) => {
            let inner = |(key, value): (String, Value)| {
                let field = fields.iter().find(|field| *field.id == *key);
                let value = match field {
                    Some(field) => convert(&field.ty, value).map_err(|v| v.inside(&key))?,
                    None => value,
                };
                Ok((key, value))
            };
            object.into_iter().map(inner).collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        (DataType::Array { item, .. }, Value::Array(values)) => {
            let inner =
                |(n, value)| convert(item, value).map_err(|v: Violation| v.inside(&format!("{n}")));
            values.into_iter().enumerate().map(inner).collect::<Result<_, _>>().map(Value::Array)
        }
        // What the vendor codes as we do; `check` refuses the rest.
        (_, value) => Ok(value),
    }
}

/// Turns 5.0 into 5: firmware that prints every number with `%f`.
fn whole(n: serde_json::Number) -> Value {
    match n.as_f64() {
        // Exact: an f64 holds every whole number of this range.
        Some(f) if n.is_f64() && f % 1.0 == 0.0 && f.abs() < 9e15 => Value::from(f as i64),
        _ => Value::Number(n),
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
        (DataType::Time, Value::Number(n)) => {
            n.as_i64().map_or_else(|| value.clone(), |ms| time::compact(Timestamp(ms)).into())
        }
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

/// Returns the canonical form of named values, and the first that did not fit.
pub(crate) fn fields_to_canonical(
    fields: &[Parameter],
    values: Map<String, Value>,
) -> (Map<String, Value>, Option<Violation>) {
    let mut canonical = Map::new();
    let mut wrong = None;
    for (key, value) in values {
        let converted = match fields.iter().find(|field| *field.id == *key) {
            Some(field) => to_canonical(&field.ty, value),
            None => Err(Violation::new("not in the model")),
        };
        match converted {
            Ok(value) => drop(canonical.insert(key, value)),
            Err(violation) => wrong = wrong.or_else(|| Some(violation.inside(&key))),
        }
    }
    (canonical, wrong)
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use roadstead_core::product::Range;
    use serde_json::json;

    use super::*;

    #[test]
    fn both_codings_of_every_type() {
        let int = DataType::Int { range: Range { max: Some(100.0), ..Range::default() } };
        let point = DataType::Struct { fields: [Parameter::new("at", DataType::Time)].into() };
        for (ty, wire, canonical) in [
            (&int, json!(66), Ok(json!(66))),
            (&int, json!(66.0), Ok(json!(66))),
            (&int, json!("66"), Err("expected a whole number, got \"66\"")),
            (&DataType::Time, json!("20261121T003249Z"), Ok(json!(1_795_221_169_000_i64))),
            (
                &DataType::Time,
                json!("soon"),
                Err("expected a date like 20151212T121212Z, got \"soon\""),
            ),
            (
                &point,
                json!({"at": "2026-11-21T00:32:49Z"}),
                Ok(json!({"at": 1_795_221_169_000_i64})),
            ),
            (&DataType::Any, json!({"a": [1]}), Ok(json!({"a": [1]}))),
        ] {
            let got = to_canonical(ty, wire.clone()).map_err(|v| v.to_string());
            assert_eq!(got, canonical.map_err(ToString::to_string), "{wire}");
        }
        let back = to_wire(&point, &json!({"at": 1_795_221_169_000_i64}));
        assert_eq!(back, json!({"at": "20261121T003249Z"}));
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert!(to_canonical(&DataType::Any, deep).is_err());
    }
}
