//! The attributes of a model as the packing needs them: in the order of their ids, with kind,
//! size and scale. A model that the vendor's document did not make gets its layout derived.
//!
//! Source: GizWits §4.2, §4.3.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::Value;
use roadstead_core::product::{DataType, Extra, Model, Property, Range};

use super::value::Number;
use super::{ATTRS_MAX, BINARY_MAX, DATA_TYPE, ID, POSITION, PROTOCOL_TYPE, TYPE, UINT_SPEC};

/// How the status of a product is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gizwits) enum Form {
    /// All of it, always.
    Fixed,
    /// What changed, with flags.
    Variable,
    /// Bytes that only the customer understands.
    Custom,
}

/// What an attribute is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::gizwits) enum Kind {
    /// May be set.
    Writable,
    /// May not.
    ReadOnly,
    /// Wants attention while true.
    Alert,
    /// Does not work while true.
    Fault,
}

/// The size of an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Size {
    /// One bit.
    Bool,
    /// As many bits as the number of the last item needs.
    Enum(u8),
    /// A number.
    Number(Number),
    /// Bytes.
    Binary(u32),
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Attr {
    pub(super) id: u32,
    pub(super) kind: Kind,
    pub(super) size: Size,
    /// Which service of the model.
    pub(super) service: u16,
    /// Which property of the service.
    pub(super) property: u16,
}

/// The attributes of a product, by id.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::gizwits) struct Layout {
    pub(in crate::gizwits) form: Form,
    pub(super) attrs: Vec<Attr>,
}

impl Kind {
    const NAMES: [(Self, &'static str); 4] = [
        (Self::Writable, "status_writable"),
        (Self::ReadOnly, "status_readonly"),
        (Self::Alert, "alert"),
        (Self::Fault, "fault"),
    ];

    /// Reads the vendor's word.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// Returns the vendor's word.
    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    /// Returns whether the attribute tells of something that happened.
    pub(super) fn is_event(self) -> bool {
        matches!(self, Self::Alert | Self::Fault)
    }
}

impl Form {
    /// Reads the vendor's word; none is the standard form.
    pub(super) fn parse(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("standard") => Some(Self::Fixed),
            Some("var_len") => Some(Self::Variable),
            Some("custom") => Some(Self::Custom),
            Some(_) => None,
        }
    }
}

impl Size {
    /// Returns the bits of a value inside a bit segment; `None` for what has whole bytes.
    pub(super) fn bits(self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Enum(bits) => Some(usize::from(bits)),
            Self::Number(_) | Self::Binary(_) => None,
        }
    }

    /// Returns the bytes of a value outside of a bit segment; 0 for what has bits.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Bool | Self::Enum(_) => 0,
            Self::Number(number) => usize::from(number.bytes),
            Self::Binary(len) => len as usize,
        }
    }
}

impl Layout {
    /// Returns the layout of a model.
    ///
    /// # Errors
    ///
    /// Which property cannot be an attribute, and why.
    pub(in crate::gizwits) fn of(model: &Model) -> Result<Self, String> {
        let name = model.extra.get(PROTOCOL_TYPE).and_then(Value::as_str);
        let form = Form::parse(name).ok_or_else(|| format!("{PROTOCOL_TYPE}: not known"))?;
        let mut attrs = Vec::new();
        let mut next = first_free(model);
        for (at, service) in model.services.iter().enumerate() {
            for (n, property) in service.properties.iter().enumerate() {
                let place = (u16::try_from(at), u16::try_from(n));
                let (Ok(service), Ok(property_at)) = place else { break };
                let size = size(property).map_err(|why| format!("{}: {why}", property.id))?;
                let kind = kind(property);
                let id = id_of(&property.extra).unwrap_or_else(|| {
                    next += 1;
                    next - 1
                });
                attrs.push(Attr { id, kind, size, service, property: property_at });
            }
        }
        if attrs.len() > ATTRS_MAX {
            return Err(format!("more than {ATTRS_MAX} attributes"));
        }
        attrs.sort_by_key(|attr| attr.id);
        if let Some(pair) = attrs.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(format!("two attributes have the id {}", pair[0].id));
        }
        Ok(Self { form, attrs })
    }

    /// Returns the property of an attribute.
    pub(super) fn property<'m>(&self, model: &'m Model, attr: &Attr) -> Option<&'m Property> {
        let service = model.services.get(usize::from(attr.service))?;
        service.properties.get(usize::from(attr.property))
    }
}

fn first_free(model: &Model) -> u32 {
    let properties = model.services.iter().flat_map(|service| &service.properties);
    let ids = properties.filter_map(|property| id_of(&property.extra));
    ids.max().map_or(0, |id| id.saturating_add(1))
}

fn id_of(extra: &Extra) -> Option<u32> {
    extra.get(ID)?.as_u64().and_then(|id| u32::try_from(id).ok()).filter(|id| *id < u32::MAX)
}

/// What may be set is decided by the model; the vendor's document tells the others apart.
fn kind(property: &Property) -> Kind {
    if property.access.write {
        return Kind::Writable;
    }
    let said = property.extra.get(TYPE).and_then(Value::as_str).and_then(Kind::parse);
    let is_bool = matches!(property.ty, DataType::Bool { .. });
    match said {
        Some(kind @ (Kind::Alert | Kind::Fault)) if is_bool => kind,
        Some(_) | None => Kind::ReadOnly,
    }
}

fn size(property: &Property) -> Result<Size, &'static str> {
    let said = property.extra.get(DATA_TYPE).and_then(Value::as_str);
    match &property.ty {
        DataType::Bool { .. } => Ok(Size::Bool),
        DataType::Enum { items } => match u32::try_from(items.len()) {
            Ok(0) => Err("an enum without items"),
            Ok(count) => Ok(Size::Enum((32 - (count - 1).leading_zeros()).max(1) as u8)),
            Err(_) => Err("too many items"),
        },
        DataType::Int { range } | DataType::Float { range } => {
            let spec = property.extra.get(UINT_SPEC);
            let said = said.and_then(|name| number(name, spec.unwrap_or(&Value::Null)));
            match said {
                Some(number) if is_same(&number, range) => Ok(Size::Number(number)),
                Some(number) => rescaled(number, range),
                None => derived(range, matches!(property.ty, DataType::Int { .. })),
            }
        }
        DataType::Text { length_max } if said == Some("binary") => {
            let said = property.extra.get(POSITION).and_then(|position| position.get("len"));
            let len = said.and_then(Value::as_u64).and_then(|len| u32::try_from(len).ok());
            match len.or(length_max.map(|digits| digits / 2)) {
                Some(len @ 1..=BINARY_MAX) => Ok(Size::Binary(len)),
                _ => Err("bytes without a length from 1 to 1000"),
            }
        }
        DataType::Text { .. } => Err("text; the vendor has bytes as hex digits only"),
        DataType::Time | DataType::Struct { .. } | DataType::Array { .. } | DataType::Any => {
            Err("the vendor has no such type")
        }
    }
}

/// Reads scale and limits of a number.
pub(super) fn number(name: &str, spec: &Value) -> Option<Number> {
    let bytes = match name {
        "uint8" => 1,
        "uint16" => 2,
        "uint32" => 4,
        _ => return None,
    };
    let field = |key: &str| spec.get(key).and_then(super::value::number_of);
    let whole = |n: f64| (n >= 0.0 && n <= f64::from(largest(bytes))).then_some(n as u32);
    let ratio = field("ratio").unwrap_or(1.0);
    let min = whole(field("min").unwrap_or(0.0))?;
    let max = whole(field("max").unwrap_or_else(|| f64::from(largest(bytes))))?;
    let addition = field("addition").unwrap_or(0.0);
    let number = Number { bytes, min, max, ratio, addition };
    let (low, high) = number.limits();
    let is_good = ratio != 0.0 && min <= max && low.is_finite() && high.is_finite();
    is_good.then_some(number)
}

/// Returns the largest number of so many bytes.
pub(super) fn largest(bytes: u8) -> u32 {
    match bytes {
        1 => u32::from(u8::MAX),
        2 => u32::from(u16::MAX),
        _ => u32::MAX,
    }
}

/// Returns whether limits of the model are those of the vendor's document.
pub(super) fn is_same(number: &Number, range: &Range) -> bool {
    let (min, max) = number.limits();
    range.min == Some(min) && range.max == Some(max)
}

/// Keeps the scale, takes the limits of the model.
fn rescaled(number: Number, range: &Range) -> Result<Size, &'static str> {
    let open = Number { min: 0, max: largest(number.bytes), ..number };
    let (low, high) = number.limits();
    let ends = [range.min.unwrap_or(low), range.max.unwrap_or(high)].map(|end| open.wire(end));
    match ends {
        [Some(a), Some(b)] => Ok(Size::Number(Number { min: a.min(b), max: a.max(b), ..number })),
        _ => Err("its limits do not fit the scale of its attribute"),
    }
}

/// Makes a scale of limits and step.
fn derived(range: &Range, is_whole: bool) -> Result<Size, &'static str> {
    let (Some(min), Some(max)) = (range.min, range.max) else {
        return Err("a number without limits");
    };
    let ratio = match range.step {
        Some(step) if step > 0.0 => step,
        _ if is_whole => 1.0,
        _ => return Err("a number with a fraction and without a step"),
    };
    let open = Number { bytes: 4, min: 0, max: u32::MAX, ratio, addition: min };
    let Some(count) = open.wire(max) else { return Err("more than 32 bits") };
    let bytes = [1, 2, 4].into_iter().find(|bytes| count <= largest(*bytes)).unwrap_or(4);
    Ok(Size::Number(Number { bytes, max: count, ..open }))
}

/// Returns the name of the service that an attribute's property is in.
pub(super) fn service_of<'m>(model: &'m Model, attr: &Attr) -> &'m str {
    &model.services[usize::from(attr.service)].id
}
