//! One attribute's value: canonical JSON and the number or the bytes on the wire.
//!
//! A number on the wire is x, what people see is y = ratio · x + addition (GizWits §4.2).

use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::Value;
use roadstead_core::product::DataType;

/// Digits behind the point of a number that is shown; more are noise of binary fractions.
const SCALE: f64 = 1e9;

/// How a whole number of the wire is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    /// Bytes on the wire: 1, 2 or 4.
    pub(super) bytes: u8,
    /// Least value on the wire.
    pub(super) min: u32,
    /// Largest value on the wire.
    pub(super) max: u32,
    /// Never 0.
    pub(super) ratio: f64,
    /// What 0 on the wire is shown as.
    pub(super) addition: f64,
}

impl Number {
    /// Returns what people see.
    pub(super) fn shown(&self, x: u32) -> f64 {
        tidy(self.ratio * f64::from(x) + self.addition)
    }

    /// Returns the number for the wire, the nearest one; `None` outside of its limits.
    pub(super) fn wire(&self, y: f64) -> Option<u32> {
        let x = round((y - self.addition) / self.ratio);
        let fits = x >= f64::from(self.min) && x <= f64::from(self.max);
        fits.then_some(x as u32)
    }

    /// Returns whether every value that can be shown is a whole number.
    pub(super) fn is_whole(&self) -> bool {
        [self.ratio, self.addition].into_iter().all(|n| round(n) == n)
    }

    /// Returns least and largest value as shown.
    pub(super) fn limits(&self) -> (f64, f64) {
        let (a, b) = (self.shown(self.min), self.shown(self.max));
        if a <= b { (a, b) } else { (b, a) }
    }
}

/// Returns the nearest whole number; halves go away from zero.
fn round(n: f64) -> f64 {
    (n + if n < 0.0 { -0.5 } else { 0.5 }) as i128 as f64
}

/// Takes away what binary fractions add.
fn tidy(n: f64) -> f64 {
    if n.abs() < f64::from(u32::MAX) * SCALE { round(n * SCALE) / SCALE } else { n }
}

/// Writes a number as people see it: whole ones as such.
pub(super) fn number_value(y: f64, is_whole: bool) -> Value {
    if is_whole { Value::from(y as i64) } else { Value::from(y) }
}

/// Reads a canonical number; the vendor's clients write some as text.
pub(in crate::gizwits) fn number_of(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()).filter(|n| n.is_finite())
}

/// Reads a truth; 0 and 1 are accepted (GizWits §4.6).
pub(in crate::gizwits) fn bool_of(value: &Value) -> Option<bool> {
    match value.as_u64() {
        Some(n @ (0 | 1)) => Some(n == 1),
        Some(_) => None,
        None => value.as_bool(),
    }
}

/// Reads an item of an enum: its name, or its number (GizWits §4.6).
pub(in crate::gizwits) fn enum_of(ty: &DataType, value: &Value) -> Option<u32> {
    let DataType::Enum { items } = ty else { return None };
    let at = match value.as_str() {
        Some(name) => items.iter().position(|item| *item.name == *name)?,
        None => usize::try_from(value.as_u64()?).ok().filter(|at| *at < items.len())?,
    };
    u32::try_from(at).ok()
}

/// Returns the name of an item.
pub(in crate::gizwits) fn enum_value(ty: &DataType, at: u32) -> Option<Value> {
    let DataType::Enum { items } = ty else { return None };
    items.get(usize::try_from(at).ok()?).map(|item| Value::from(&*item.name))
}

/// Reads bytes: hex digits, or a list of numbers. What is missing at the end is zero
/// (GizWits §4.6).
pub(in crate::gizwits) fn binary_of(value: &Value, len: usize) -> Option<Vec<u8>> {
    let mut bytes = match value.as_str() {
        Some(text) => hex::decode(text).ok()?,
        None => {
            let byte = |item: &Value| item.as_u64().and_then(|n| u8::try_from(n).ok());
            value.as_array()?.iter().map(byte).collect::<Option<Vec<u8>>>()?
        }
    };
    if bytes.len() > len {
        return None;
    }
    bytes.resize(len, 0);
    Some(bytes)
}

/// Writes bytes as hex digits.
pub(in crate::gizwits) fn binary_value(bytes: &[u8]) -> Value {
    let text: String = hex::encode(bytes);
    Value::from(text)
}
