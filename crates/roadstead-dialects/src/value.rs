//! Values: what the vendors' codings share. A vendor says how it codes single values ([`Coding`]);
//! the way through structs and arrays, names and the depth are here.

use alloc::format;
use alloc::string::String;

use roadstead_core::limit::VALUE_DEPTH_MAX;
use roadstead_core::product::{DataType, EnumItem, Parameter, Violation};
use roadstead_core::{Map, Value};

/// How a vendor codes a value that is neither struct nor array.
pub(crate) trait Coding {
    /// Whether members of a struct that the model does not name pass as they are; they are refused
    /// otherwise.
    const KEEPS_UNKNOWN_MEMBERS: bool;

    /// Returns the canonical form of what a device sent, not yet checked against the type.
    ///
    /// # Errors
    ///
    /// A [`Violation`] where the wire has a form that the vendor does not know.
    fn read(ty: &DataType, value: Value) -> Result<Value, Violation>;

    /// Returns the vendor's form of a canonical value. One that does not fit is left as it is.
    fn write(ty: &DataType, value: &Value) -> Value;
}

/// Returns the canonical form of a value a device sent, checked against its type.
///
/// # Errors
///
/// The first [`Violation`].
pub(crate) fn to_canonical<C: Coding>(ty: &DataType, value: Value) -> Result<Value, Violation> {
    if is_deeper(&value, VALUE_DEPTH_MAX) {
        return Err(too_deep());
    }
    let value = convert::<C>(ty, value)?;
    ty.check(&value)?;
    Ok(value)
}

/// The value is not deeper than the limit, so this is not either.
fn convert<C: Coding>(ty: &DataType, value: Value) -> Result<Value, Violation> {
    match (ty, value) {
        (DataType::Struct { fields }, Value::Object(object)) => {
            let inner = |(key, value): (String, Value)| {
                let value = match find(fields, &key) {
                    Some(field) => convert::<C>(&field.ty, value).map_err(|v| v.inside(&key))?,
                    None if C::KEEPS_UNKNOWN_MEMBERS => value,
                    None => return Err(unknown().inside(&key)),
                };
                Ok((key, value))
            };
            object.into_iter().map(inner).collect::<Result<Map<_, _>, _>>().map(Value::Object)
        }
        (DataType::Array { item, .. }, Value::Array(values)) => {
            let inner = |(n, value)| {
                convert::<C>(item, value).map_err(|v: Violation| v.inside(&format!("{n}")))
            };
            values.into_iter().enumerate().map(inner).collect::<Result<_, _>>().map(Value::Array)
        }
        (_, value) => C::read(ty, value),
    }
}

/// Returns the vendor's form of a canonical value. A value that does not fit is left as it is.
pub(crate) fn to_wire<C: Coding>(ty: &DataType, value: &Value) -> Value {
    match (ty, value) {
        (DataType::Struct { fields }, Value::Object(object)) => {
            Value::Object(fields_to_wire::<C>(fields, object))
        }
        (DataType::Array { item, .. }, Value::Array(values)) => {
            Value::Array(values.iter().map(|value| to_wire::<C>(item, value)).collect())
        }
        _ => C::write(ty, value),
    }
}

/// Returns the vendor's form of named canonical values; unknown names stay as they are.
pub(crate) fn fields_to_wire<C: Coding>(
    fields: &[Parameter],
    values: &Map<String, Value>,
) -> Map<String, Value> {
    let wire = |(key, value): (&String, &Value)| {
        let value = match find(fields, key) {
            Some(field) => to_wire::<C>(&field.ty, value),
            None => value.clone(),
        };
        (key.clone(), value)
    };
    values.iter().map(wire).collect()
}

/// Returns the canonical form of named values, and the first that did not fit. What the list does
/// not name is kept when `keeps_unknown`.
pub(crate) fn fields_to_canonical<C: Coding>(
    fields: &[Parameter],
    values: Map<String, Value>,
    keeps_unknown: bool,
) -> (Map<String, Value>, Option<Violation>) {
    let mut canonical = Map::new();
    let mut wrong = None;
    for (key, value) in values {
        let converted = match find(fields, &key) {
            Some(field) => to_canonical::<C>(&field.ty, value),
            None if keeps_unknown && !is_deeper(&value, VALUE_DEPTH_MAX) => Ok(value),
            None => Err(unknown()),
        };
        match converted {
            Ok(value) => drop(canonical.insert(key, value)),
            Err(violation) => wrong = wrong.or_else(|| Some(violation.inside(&key))),
        }
    }
    (canonical, wrong)
}

fn find<'a>(fields: &'a [Parameter], key: &str) -> Option<&'a Parameter> {
    fields.iter().find(|field| *field.id == *key)
}

fn unknown() -> Violation {
    Violation::new("not in the model")
}

/// Returns the violation of a value that nests too deep.
pub(crate) fn too_deep() -> Violation {
    Violation::new("nested deeper than the limit")
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

/// Turns 5.0 into 5: some firmware prints every number as a float.
pub(crate) fn whole(n: serde_json::Number) -> Value {
    match n.as_f64() {
        // Exact: an f64 holds every whole number of this range.
        Some(f) if n.is_f64() && f % 1.0 == 0.0 && f.abs() < 9e15 => Value::from(f as i64),
        _ => Value::Number(n),
    }
}

/// Returns the switch that 0 or 1 stands for.
///
/// # Errors
///
/// Any other number.
pub(crate) fn zero_or_one(n: serde_json::Number) -> Result<Value, Violation> {
    match n.as_u64() {
        Some(n @ 0..=1) => Ok(Value::Bool(n == 1)),
        _ => Err(Violation::expected("0 or 1", &Value::Number(n))),
    }
}

/// Returns the name of the item that a code, as number or text, stands for. A name stays.
///
/// # Errors
///
/// What is neither.
pub(crate) fn name_of(items: &[EnumItem], value: Value) -> Result<Value, Violation> {
    let code = match &value {
        Value::Number(n) => whole(n.clone()).as_i64(),
        Value::String(text) => {
            if items.iter().any(|item| *item.name == **text) {
                return Ok(value);
            }
            text.parse().ok()
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let item = code.and_then(|code| items.iter().find(|item| item.code == Some(code)));
    match item {
        Some(item) => Ok(Value::from(&*item.name)),
        None => Err(Violation::expected("a value of the enum", &value)),
    }
}

/// Returns the code of a named item, the name where it has none.
pub(crate) fn code_of(items: &[EnumItem], name: &str) -> Value {
    let code = items.iter().find(|item| *item.name == *name).and_then(|item| item.code);
    code.map_or_else(|| Value::from(name), Value::from)
}
