//! Values: the vendor's coding to canonical and back.
//!
//! | type | on the wire | canonical |
//! |---|---|---|
//! | DateTime | `20151212T121212Z`, also with separators | Unix milliseconds |
//! | int | as displayed; 5.0 is taken for 5 | number |
//! | the others | as displayed | the same |
//!
//! Source: Huawei §3.2, §7.1.

use alloc::string::String;

use roadstead_core::product::{DataType, Parameter, Violation};
use roadstead_core::{Map, Timestamp, Value};

use super::time;
use crate::value::{self, Coding, whole};

/// The vendor's coding.
struct Capability;

impl Coding for Capability {
    const KEEPS_UNKNOWN_MEMBERS: bool = true;

    fn read(ty: &DataType, value: Value) -> Result<Value, Violation> {
        match (ty, value) {
            (DataType::Int { .. }, Value::Number(n)) => Ok(whole(n)),
            (DataType::Time, Value::String(text)) => match time::parse(&text) {
                Some(at) => Ok(Value::from(at.as_millis())),
                None => Err(Violation::expected("a date like 20151212T121212Z", &text.into())),
            },
            // What the vendor codes as we do; the check refuses the rest.
            (_, value) => Ok(value),
        }
    }

    fn write(ty: &DataType, value: &Value) -> Value {
        match (ty, value) {
            (DataType::Time, Value::Number(n)) => {
                n.as_i64().map_or_else(|| value.clone(), |ms| time::compact(Timestamp(ms)).into())
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
    value::to_canonical::<Capability>(ty, value)
}

/// Returns the vendor's form of a canonical value. A value that does not fit is left as it is.
pub(crate) fn to_wire(ty: &DataType, value: &Value) -> Value {
    value::to_wire::<Capability>(ty, value)
}

/// Returns the vendor's form of named canonical values; unknown names stay as they are.
pub(crate) fn fields_to_wire(
    fields: &[Parameter],
    values: &Map<String, Value>,
) -> Map<String, Value> {
    value::fields_to_wire::<Capability>(fields, values)
}

/// Returns the canonical form of named values, and the first that did not fit.
pub(crate) fn fields_to_canonical(
    fields: &[Parameter],
    values: Map<String, Value>,
) -> (Map<String, Value>, Option<Violation>) {
    value::fields_to_canonical::<Capability>(fields, values, false)
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
