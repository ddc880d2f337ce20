//! Values as phones and enterprises write and read them.
//!
//! In: truths also as 0 and 1, items of an enum also by number, bytes as hex digits, as a list of
//! numbers, or (where the caller says so) as base64; what is missing at the end of bytes is zero.
//! Out: as kept; bytes as hex digits, as a list, or as base64.
//!
//! Source: GizWits §4.6.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roadstead_core::product::{DataType, Model};
use roadstead_core::{Map, Value};

use crate::gizwits::point::{binary_of, binary_value, bool_of, enum_of, enum_value, number_of};

/// Bytes in one call at the most; a module takes 1024.
pub(super) const RAW_BYTES_MAX: usize = 1000;

/// How a caller writes bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// Hex digits; read lists, too.
    Hex,
    /// Base64.
    Base64,
    /// A list of numbers; read hex digits, too.
    List,
}

impl Coding {
    /// Reads `binary_coding`.
    pub(super) fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("hex") => Some(Self::Hex),
            Some("base64") => Some(Self::Base64),
            Some(_) => None,
        }
    }
}

/// Values by service.
pub(super) type Sorted = Vec<(Box<str>, Map<String, Value>)>;

/// Reads values to set, sorted into the services of the model; a read-only or unknown attribute
/// is refused by name.
pub(super) fn read(
    model: &Model,
    attrs: &Map<String, Value>,
    coding: Coding,
) -> Result<Sorted, String> {
    let mut sorted = Sorted::new();
    for (name, value) in attrs {
        let (service, property) =
            model.property(name).ok_or_else(|| format!("{name}: not in the model"))?;
        if !property.access.write {
            return Err(format!("{name}: is read-only"));
        }
        let value = one(&property.ty, value, coding).ok_or_else(|| format!("{name}: {value}"))?;
        match sorted.iter_mut().find(|(known, _)| *known == service.id) {
            Some((_, values)) => drop(values.insert(name.clone(), value)),
            None => sorted.push((service.id.clone(), Map::from_iter([(name.clone(), value)]))),
        }
    }
    Ok(sorted)
}

fn one(ty: &DataType, value: &Value, coding: Coding) -> Option<Value> {
    match ty {
        DataType::Bool { .. } => bool_of(value).map(Value::Bool),
        DataType::Enum { .. } => enum_value(ty, enum_of(ty, value)?),
        DataType::Int { .. } | DataType::Float { .. } => {
            number_of(value)?;
            match value.as_str() {
                Some(text) => serde_json::from_str(text.trim()).ok(),
                None => Some(value.clone()),
            }
        }
        DataType::Text { length_max: Some(digits) } => {
            let len = usize::try_from(*digits).ok()? / 2;
            let bytes = match (coding, value) {
                (Coding::Base64, Value::String(text)) => {
                    let mut bytes = STANDARD.decode(text).ok().filter(|b| b.len() <= len)?;
                    bytes.resize(len, 0);
                    bytes
                }
                (_, value) => binary_of(value, len)?,
            };
            Some(binary_value(&bytes))
        }
        DataType::Text { .. }
        | DataType::Time
        | DataType::Struct { .. }
        | DataType::Array { .. }
        | DataType::Any => Some(value.clone()),
    }
}

/// Writes kept values, all of them in one object as the vendor has one service.
pub(super) fn write<'a>(
    model: &Model,
    services: impl IntoIterator<Item = &'a Map<String, Value>>,
    coding: Coding,
) -> Map<String, Value> {
    let mut shown = Map::new();
    for (name, value) in services.into_iter().flatten() {
        let ty = model.property(name).map(|(_, property)| &property.ty);
        let bytes = match (ty, value.as_str()) {
            (Some(DataType::Text { .. }), Some(digits)) if coding != Coding::Hex => {
                hex::decode(digits).ok()
            }
            _ => None,
        };
        let value = match (bytes, coding) {
            (Some(bytes), Coding::Base64) => STANDARD.encode(bytes).into(),
            (Some(bytes), Coding::List) => bytes.into(),
            (_, _) => value.clone(),
        };
        shown.insert(name.clone(), value);
    }
    shown
}

/// Reads bytes for the device: a list of numbers, or base64 where the caller says so.
pub(super) fn raw(value: &Value, coding: Coding) -> Option<Vec<u8>> {
    let bytes = match (coding, value.as_str()) {
        (Coding::Base64, Some(text)) => STANDARD.decode(text).ok()?,
        (Coding::Hex | Coding::List, Some(text)) => hex::decode(text).ok()?,
        (_, None) => {
            let byte = |item: &Value| item.as_u64().and_then(|n| u8::try_from(n).ok());
            value.as_array()?.iter().map(byte).collect::<Option<Vec<u8>>>()?
        }
    };
    (1..=RAW_BYTES_MAX).contains(&bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gizwits::point::import;

    fn model() -> Model {
        import(&json!({
            "name": "pet", "packetVersion": "0x00000004", "protocolType": "standard",
            "entities": [{"id": 0, "name": "entity0", "attrs": [
                {"id": 0, "name": "LED", "type": "status_writable", "data_type": "bool",
                 "position": {"byte_offset": 0, "bit_offset": 0, "len": 1, "unit": "bit"}},
                {"id": 1, "name": "Color", "type": "status_writable", "data_type": "enum",
                 "enum": ["off", "red", "blue"],
                 "position": {"byte_offset": 0, "bit_offset": 1, "len": 2, "unit": "bit"}},
                {"id": 2, "name": "Motor", "type": "status_writable", "data_type": "uint8",
                 "uint_spec": {"min": 0, "max": 10, "ratio": 1, "addition": -5},
                 "position": {"byte_offset": 1, "bit_offset": 0, "len": 1, "unit": "byte"}},
                {"id": 3, "name": "Text", "type": "status_writable", "data_type": "binary",
                 "position": {"byte_offset": 2, "bit_offset": 0, "len": 3, "unit": "byte"}},
                {"id": 4, "name": "Seen", "type": "status_readonly", "data_type": "bool",
                 "position": {"byte_offset": 5, "bit_offset": 0, "len": 1, "unit": "bit"}},
            ]}],
        }))
        .expect("a model")
    }

    fn read_one(attrs: Value, coding: Coding) -> Result<Value, String> {
        let attrs = attrs.as_object().cloned().expect("object");
        let mut sorted = read(&model(), &attrs, coding)?;
        assert_eq!(sorted.len(), 1);
        Ok(Value::Object(sorted.remove(0).1))
    }

    #[test]
    fn every_spelling_means_the_same() {
        let canonical = json!({"LED": true, "Color": "red", "Motor": -5, "Text": "010200"});
        for (attrs, coding) in [
            (canonical.clone(), Coding::Hex),
            (json!({"LED": 1, "Color": 1, "Motor": "-5", "Text": "0102"}), Coding::Hex),
            (json!({"LED": true, "Color": "red", "Motor": -5, "Text": [1, 2]}), Coding::List),
            (json!({"LED": true, "Color": 1, "Motor": -5, "Text": "AQI="}), Coding::Base64),
        ] {
            assert_eq!(read_one(attrs.clone(), coding), Ok(canonical.clone()), "{attrs}");
        }
        for (bad, named) in [
            (json!({"LED": 2}), "LED"),
            (json!({"Color": "green"}), "Color"),
            (json!({"Color": 3}), "Color"),
            (json!({"Motor": "fast"}), "Motor"),
            (json!({"Text": "01020304"}), "Text"),
            (json!({"Text": "zz"}), "Text"),
            (json!({"Seen": true}), "Seen: is read-only"),
            (json!({"Nothing": 1}), "Nothing: not in the model"),
        ] {
            let refused = read_one(bad, Coding::Hex).expect_err("refused");
            assert!(refused.starts_with(named), "{refused}");
        }
    }

    #[test]
    fn bytes_are_written_as_asked() {
        let kept = json!({"LED": true, "Text": "0102ff", "Other": "0102"});
        let kept = kept.as_object().expect("object");
        for (coding, text) in [
            (Coding::Hex, json!("0102ff")),
            (Coding::Base64, json!("AQL/")),
            (Coding::List, json!([1, 2, 255])),
        ] {
            let shown = write(&model(), [kept], coding);
            assert_eq!(shown["Text"], text);
            assert_eq!(shown["Other"], "0102", "not an attribute of bytes");
        }
        assert_eq!(raw(&json!([5, 1, 255]), Coding::Hex), Some([5, 1, 255].into()));
        assert_eq!(raw(&json!("BQH/"), Coding::Base64), Some([5, 1, 255].into()));
        for bad in [json!([]), json!([256]), json!([-1]), json!("xyz"), json!({}), Value::Null] {
            assert_eq!(raw(&bad, Coding::Hex), None, "{bad}");
        }
        assert_eq!(raw(&json!(alloc::vec![0; RAW_BYTES_MAX + 1]), Coding::Hex), None);
    }
}
