//! Data types of properties and parameters, with units and limits.
//!
//! Canonical values are JSON: booleans are `true`/`false`, enums are the *name* of an item,
//! numbers are as displayed, times are Unix milliseconds. A dialect translates its own coding.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::{Extra, Parameter, Violation};
use crate::limit::VALUE_DEPTH_MAX;

/// The type of one value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DataType {
    /// `true` or `false`.
    Bool {
        /// Display texts of false and true.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        labels: Option<(Box<str>, Box<str>)>,
    },
    /// A whole number.
    Int {
        /// Limits and unit.
        #[serde(flatten)]
        range: Range,
    },
    /// A decimal number.
    Float {
        /// Limits and unit.
        #[serde(flatten)]
        range: Range,
    },
    /// One of a list of names.
    Enum {
        /// The list, in the vendor's order.
        items: Vec<EnumItem>,
    },
    /// Text.
    Text {
        /// Longest text, bytes of UTF-8.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        length_max: Option<u32>,
    },
    /// A date, Unix milliseconds.
    Time,
    /// Named fields.
    Struct {
        /// The fields.
        fields: Vec<Parameter>,
    },
    /// A list.
    Array {
        /// Type of each item.
        item: Box<DataType>,
        /// Most items.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        items_max: Option<u32>,
    },
    /// Any JSON value; for models that say no more.
    Any,
}

/// Limits and unit of a number. All in display units.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Smallest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// Largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Smallest difference of two values; not enforced, devices round differently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// Unit text as the vendor's model has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Box<str>>,
}

/// One name of an enum and the number a device uses for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnumItem {
    /// Canonical name; unique in its enum.
    pub name: Box<str>,
    /// The device's number, where it uses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    /// What only the vendor's document says.
    #[serde(default, skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

impl DataType {
    /// Checks a canonical value.
    ///
    /// # Errors
    ///
    /// The first [`Violation`], with the path inside the value.
    pub fn check(&self, value: &Value) -> Result<(), Violation> {
        self.check_at(value, VALUE_DEPTH_MAX)
    }

    fn check_at(&self, value: &Value, depth: usize) -> Result<(), Violation> {
        if depth == 0 {
            return Err(Violation::new("nested deeper than the limit"));
        }
        match self {
            Self::Bool { .. } if value.is_boolean() => Ok(()),
            Self::Bool { .. } => Err(Violation::expected("true or false", value)),
            Self::Int { range } => match value.as_i64() {
                Some(n) => range.check(n as f64),
                None => Err(Violation::expected("a whole number", value)),
            },
            Self::Float { range } => match value.as_f64() {
                Some(n) => range.check(n),
                None => Err(Violation::expected("a number", value)),
            },
            Self::Enum { items } => match value.as_str() {
                Some(name) if items.iter().any(|item| &*item.name == name) => Ok(()),
                Some(name) => Err(Violation::new(format!("`{name}` is not one of the enum"))),
                None => Err(Violation::expected("a name of the enum", value)),
            },
            Self::Text { length_max } => match value.as_str() {
                Some(text) if length_max.is_none_or(|max| text.len() <= max as usize) => Ok(()),
                Some(text) => {
                    Err(Violation::new(format!("text of {} bytes is too long", text.len())))
                }
                None => Err(Violation::expected("text", value)),
            },
            Self::Time if value.is_i64() || value.is_u64() => Ok(()),
            Self::Time => Err(Violation::expected("Unix milliseconds", value)),
            Self::Struct { fields } => check_fields(fields, value, depth),
            Self::Array { item, items_max } => check_items(item, *items_max, value, depth),
            Self::Any => Ok(()),
        }
    }
}

impl Range {
    fn check(&self, n: f64) -> Result<(), Violation> {
        if self.min.is_some_and(|min| n < min) {
            return Err(Violation::new(format!("{n} is below the minimum")));
        }
        if self.max.is_some_and(|max| n > max) {
            return Err(Violation::new(format!("{n} is above the maximum")));
        }
        Ok(())
    }
}

fn check_fields(fields: &[Parameter], value: &Value, depth: usize) -> Result<(), Violation> {
    let Some(object) = value.as_object() else {
        return Err(Violation::expected("an object", value));
    };
    for (key, inner) in object {
        let Some(field) = fields.iter().find(|field| &*field.id == key.as_str()) else {
            return Err(Violation::new("not in the model").inside(key));
        };
        field.ty.check_at(inner, depth - 1).map_err(|violation| violation.inside(key))?;
    }
    Ok(())
}

fn check_items(
    item: &DataType,
    items_max: Option<u32>,
    value: &Value,
    depth: usize,
) -> Result<(), Violation> {
    let Some(items) = value.as_array() else {
        return Err(Violation::expected("a list", value));
    };
    if items_max.is_some_and(|max| items.len() > max as usize) {
        return Err(Violation::new(format!("{} items are too many", items.len())));
    }
    for (n, inner) in items.iter().enumerate() {
        item.check_at(inner, depth - 1).map_err(|violation| violation.inside(&format!("{n}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use serde_json::json;

    use super::*;

    #[test]
    fn every_type_accepts_and_refuses() {
        let range = Range { min: Some(0.0), max: Some(100.0), ..Range::default() };
        let color = DataType::Enum {
            items: vec![EnumItem { name: "Red".into(), code: Some(0), extra: Extra::new() }],
        };
        let point = DataType::Struct {
            fields: vec![Parameter::new("x", DataType::Int { range: range.clone() })],
        };
        let list = DataType::Array { item: point.clone().into(), items_max: Some(1) };
        let cases = [
            (DataType::Bool { labels: None }, json!(true), "ok"),
            (DataType::Bool { labels: None }, json!(1), "expected true or false, got 1"),
            (DataType::Int { range: range.clone() }, json!(100), "ok"),
            (DataType::Int { range: range.clone() }, json!(101), "101 is above the maximum"),
            (
                DataType::Int { range: range.clone() },
                json!(1.5),
                "expected a whole number, got 1.5",
            ),
            (DataType::Float { range }, json!(-0.5), "-0.5 is below the minimum"),
            (color.clone(), json!("Red"), "ok"),
            (color, json!("Blue"), "`Blue` is not one of the enum"),
            (DataType::Text { length_max: Some(2) }, json!("abc"), "text of 3 bytes is too long"),
            (DataType::Time, json!(1_611_299_964_000_i64), "ok"),
            (point.clone(), json!({"x": 1}), "ok"),
            (point.clone(), json!({"y": 1}), "y: not in the model"),
            (point, json!({"x": "a"}), "x: expected a whole number, got \"a\""),
            (list.clone(), json!([{"x": 1}]), "ok"),
            (list.clone(), json!([{"x": 1}, {"x": 2}]), "2 items are too many"),
            (list, json!([{"x": 200}]), "0.x: 200 is above the maximum"),
            (DataType::Any, json!(null), "ok"),
        ];
        for (n, (ty, value, expected)) in cases.into_iter().enumerate() {
            let got = ty.check(&value).map_or_else(|v| v.to_string(), |()| "ok".into());
            assert_eq!(got, expected, "case {n}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let mut ty = DataType::Any;
        let mut value = json!(1);
        for _ in 0..VALUE_DEPTH_MAX {
            ty = DataType::Array { item: ty.into(), items_max: None };
            value = json!([value]);
        }
        assert_eq!(
            ty.check(&value).expect_err("too deep").message(),
            "nested deeper than the limit"
        );
    }
}
