//! P0 actions: bits and bytes of status, control and read.
//!
//! A bit segment is one big-endian number: its first attribute is the least bit of its *last*
//! byte, and a field may lie across two bytes.
//!
//! | action | fixed | variable | carries |
//! |---|---|---|---|
//! | control | 0x01 | 0x11 | flags, values |
//! | read | 0x02 | 0x12 | (flags) |
//! | answer | 0x03 | 0x13 | status |
//! | report | 0x04 | 0x14 | status |
//! | to the device | 0x05 | | anything |
//! | from the device | 0x06 | | anything |
//!
//! Source: GizWits §4.1 to §4.5; generated MCU code V03030000.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::product::Model;
use roadstead_core::{Map, Value};

use super::layout::{Attr, Form, Kind, Layout, Size};
use super::value::{
    binary_of, binary_value, bool_of, enum_of, enum_value, number_of, number_value,
};

/// What a P0 payload does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gizwits) enum Action {
    /// Set attributes.
    Control,
    /// Ask for the status.
    Read,
    /// The status asked for.
    Answer,
    /// The status, unasked.
    Report,
    /// Bytes for the MCU.
    ToDevice,
    /// Bytes of the MCU.
    FromDevice,
    /// Light gateway: a sub-device's payload (GizWits §6.3).
    Gateway,
}

/// One payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gizwits) struct P0<'a> {
    /// What it does.
    pub(in crate::gizwits) action: Action,
    /// Whether only flagged attributes are in it.
    pub(in crate::gizwits) is_variable: bool,
    /// What follows the action.
    pub(in crate::gizwits) body: &'a [u8],
}

/// A status, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::gizwits) struct Decoded {
    /// Service id and its canonical values.
    pub(in crate::gizwits) services: Vec<(Box<str>, Map<String, Value>)>,
    /// Attributes whose value does not fit the model: name and why.
    pub(in crate::gizwits) rejected: Vec<(Box<str>, Box<str>)>,
    /// Alerts and faults: kind, service, name, and whether it is on.
    pub(in crate::gizwits) signals: Vec<(Kind, Box<str>, Box<str>, bool)>,
}

/// Why a payload cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::gizwits) enum PackError {
    /// Firmware and model differ.
    #[error("a status of {got} bytes, by the model it has {expected}")]
    Length {
        /// Bytes received.
        got: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// The payload is of the other form.
    #[error("the payload is not of the form of the product's protocol")]
    Form,
    /// A value does not fit.
    #[error("{0}")]
    Value(Box<str>),
}

impl<'a> P0<'a> {
    /// Reads the action; `None` for one that is not known, or none.
    pub(in crate::gizwits) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (first, body) = bytes.split_first()?;
        let (action, is_variable) = match first {
            0x01 => (Action::Control, false),
            0x02 => (Action::Read, false),
            0x03 => (Action::Answer, false),
            0x04 => (Action::Report, false),
            0x05 => (Action::ToDevice, false),
            0x06 => (Action::FromDevice, false),
            0x11 => (Action::Control, true),
            0x12 => (Action::Read, true),
            0x13 => (Action::Answer, true),
            0x14 => (Action::Report, true),
            0x72 => (Action::Gateway, false),
            _ => return None,
        };
        Some(Self { action, is_variable, body })
    }
}

impl Layout {
    /// Reads a status: the body of an answer or a report.
    ///
    /// # Errors
    ///
    /// The payload does not belong to this model; nothing was read.
    pub(in crate::gizwits) fn decode(
        &self,
        model: &Model,
        p0: &P0<'_>,
    ) -> Result<Decoded, PackError> {
        let mut decoded = Decoded::default();
        match (self.form, p0.is_variable) {
            (Form::Fixed, false) => self.decode_fixed(model, p0.body, &mut decoded)?,
            (Form::Variable, true) => self.decode_variable(model, p0.body, &mut decoded)?,
            (Form::Fixed | Form::Variable | Form::Custom, _) => return Err(PackError::Form),
        }
        Ok(decoded)
    }

    /// Writes a control of some properties of one service.
    ///
    /// # Errors
    ///
    /// A value that does not fit, or a product without attributes.
    pub(in crate::gizwits) fn control(
        &self,
        model: &Model,
        service: &str,
        values: &Map<String, Value>,
    ) -> Result<Vec<u8>, PackError> {
        let mut wanted = Vec::with_capacity(values.len());
        for (key, value) in values {
            let attr = self.find(model, service, key).filter(|attr| attr.kind == Kind::Writable);
            let Some(attr) = attr else {
                return Err(PackError::Value(format!("{key}: not an attribute to set").into()));
            };
            wanted.push((attr, self.raw(model, attr, value)?));
        }
        wanted.sort_by_key(|(attr, _)| attr.id);
        match self.form {
            Form::Fixed => Ok(self.control_fixed(&wanted)),
            Form::Variable => Ok(self.flagged(0x11, &wanted)),
            Form::Custom => Err(PackError::Form),
        }
    }

    /// Writes a read; a fixed product always answers with everything.
    pub(in crate::gizwits) fn read(
        &self,
        model: &Model,
        service: &str,
        names: &[Box<str>],
    ) -> Result<Vec<u8>, PackError> {
        match self.form {
            Form::Fixed => return Ok(Vec::from([0x02])),
            Form::Variable => {}
            Form::Custom => return Err(PackError::Form),
        }
        let mut flags = Segment::new(self.attrs.len());
        for (n, attr) in self.attrs.iter().enumerate() {
            let is_wanted = names.is_empty()
                || self.property(model, attr).is_some_and(|p| names.contains(&p.id))
                    && super::layout::service_of(model, attr) == service;
            flags.put(n, 1, u32::from(is_wanted));
        }
        let mut out = Vec::from([0x12]);
        flags.emit(&mut out);
        Ok(out)
    }

    fn find(&self, model: &Model, service: &str, key: &str) -> Option<&Attr> {
        self.attrs.iter().find(|attr| {
            super::layout::service_of(model, attr) == service
                && self.property(model, attr).is_some_and(|property| &*property.id == key)
        })
    }

    fn raw(&self, model: &Model, attr: &Attr, value: &Value) -> Result<Raw, PackError> {
        let Some(property) = self.property(model, attr) else {
            return Err(PackError::Value("no such attribute".into()));
        };
        let raw = match attr.size {
            Size::Bool => bool_of(value).map(|on| Raw::Bits(u32::from(on))),
            Size::Enum(_) => enum_of(&property.ty, value).map(Raw::Bits),
            Size::Number(number) => {
                let x = number_of(value).and_then(|y| number.wire(y));
                x.map(|x| Raw::Bytes(x.to_be_bytes()[4 - usize::from(number.bytes)..].to_vec()))
            }
            Size::Binary(len) => binary_of(value, len as usize).map(Raw::Bytes),
        };
        raw.ok_or_else(|| {
            PackError::Value(format!("{}: the value does not fit", property.id).into())
        })
    }

    fn control_fixed(&self, wanted: &[(&Attr, Raw)]) -> Vec<u8> {
        let writable: Vec<&Attr> =
            self.attrs.iter().filter(|attr| attr.kind == Kind::Writable).collect();
        let given = |attr: &Attr| wanted.iter().find(|(found, _)| found.id == attr.id);
        let mut flags = Segment::new(writable.len());
        for (n, attr) in writable.iter().enumerate() {
            flags.put(n, 1, u32::from(given(attr).is_some()));
        }
        let mut bits = Segment::new(writable.iter().filter_map(|attr| attr.size.bits()).sum());
        let mut at = 0;
        for (attr, width) in writable.iter().filter_map(|attr| Some((attr, attr.size.bits()?))) {
            if let Some((_, Raw::Bits(value))) = given(attr) {
                bits.put(at, width, *value);
            }
            at += width;
        }
        let mut out = Vec::from([0x01]);
        flags.emit(&mut out);
        bits.emit(&mut out);
        for attr in writable.iter().filter(|attr| attr.size.bits().is_none()) {
            match given(attr) {
                Some((_, Raw::Bytes(bytes))) => out.extend_from_slice(bytes),
                _ => out.resize(out.len() + attr.size.bytes(), 0),
            }
        }
        out
    }

    fn flagged(&self, action: u8, wanted: &[(&Attr, Raw)]) -> Vec<u8> {
        let mut flags = Segment::new(self.attrs.len());
        for (n, attr) in self.attrs.iter().enumerate() {
            flags.put(n, 1, u32::from(wanted.iter().any(|(found, _)| found.id == attr.id)));
        }
        let mut bits = Segment::new(wanted.iter().filter_map(|(attr, _)| attr.size.bits()).sum());
        let mut at = 0;
        for (attr, raw) in wanted {
            if let (Some(width), Raw::Bits(value)) = (attr.size.bits(), raw) {
                bits.put(at, width, *value);
                at += width;
            }
        }
        let mut out = Vec::from([action]);
        flags.emit(&mut out);
        bits.emit(&mut out);
        for (_, raw) in wanted {
            if let Raw::Bytes(bytes) = raw {
                out.extend_from_slice(bytes);
            }
        }
        out
    }

    /// The four groups of a fixed status, in the order of the wire.
    fn decode_fixed(&self, model: &Model, body: &[u8], out: &mut Decoded) -> Result<(), PackError> {
        let groups = [Kind::Writable, Kind::ReadOnly, Kind::Alert, Kind::Fault];
        let expected = groups.into_iter().map(|kind| size(&self.group(kind))).sum();
        if body.len() != expected {
            return Err(PackError::Length { got: body.len(), expected });
        }
        let mut rest = body;
        for kind in groups {
            let group = self.group(kind);
            let (own, after) = rest.split_at_checked(size(&group)).unwrap_or((rest, &[]));
            self.decode_group(model, &group, own, out);
            rest = after;
        }
        Ok(())
    }

    fn decode_variable(
        &self,
        model: &Model,
        body: &[u8],
        out: &mut Decoded,
    ) -> Result<(), PackError> {
        let flag_bytes = self.attrs.len().div_ceil(8);
        let Some((flags, rest)) = body.split_at_checked(flag_bytes) else {
            return Err(PackError::Length { got: body.len(), expected: flag_bytes });
        };
        let flagged = self.attrs.iter().enumerate();
        let group: Vec<&Attr> =
            flagged.filter(|(n, _)| take(flags, *n, 1) == 1).map(|(_, attr)| attr).collect();
        if rest.len() != size(&group) {
            let expected = flag_bytes + size(&group);
            return Err(PackError::Length { got: body.len(), expected });
        }
        self.decode_group(model, &group, rest, out);
        Ok(())
    }

    fn group(&self, kind: Kind) -> Vec<&Attr> {
        self.attrs.iter().filter(|attr| attr.kind == kind).collect()
    }

    /// Reads a bit segment and what follows it; `bytes` has the size of the group.
    fn decode_group(&self, model: &Model, group: &[&Attr], bytes: &[u8], out: &mut Decoded) {
        let (segment, mut rest) =
            bytes.split_at_checked(segment_bytes(group)).unwrap_or((bytes, &[]));
        let mut at = 0;
        for attr in group {
            let value = match attr.size {
                Size::Bool => {
                    at += 1;
                    Ok(Value::Bool(take(segment, at - 1, 1) == 1))
                }
                Size::Enum(bits) => {
                    let n = take(segment, at, usize::from(bits));
                    at += usize::from(bits);
                    let named = self.property(model, attr).and_then(|p| enum_value(&p.ty, n));
                    named.ok_or_else(|| format!("no item {n}"))
                }
                Size::Number(number) => {
                    let (own, after) =
                        rest.split_at_checked(attr.size.bytes()).unwrap_or((rest, &[]));
                    rest = after;
                    let x = own.iter().fold(0_u32, |x, byte| x << 8 | u32::from(*byte));
                    match (number.min..=number.max).contains(&x) {
                        true => Ok(number_value(number.shown(x), number.is_whole())),
                        false => Err(format!("{} is outside of the limits", number.shown(x))),
                    }
                }
                Size::Binary(len) => {
                    let (own, after) = rest.split_at_checked(len as usize).unwrap_or((rest, &[]));
                    rest = after;
                    Ok(binary_value(own))
                }
            };
            self.note(model, attr, value, out);
        }
    }

    fn note(&self, model: &Model, attr: &Attr, value: Result<Value, String>, out: &mut Decoded) {
        let Some(property) = self.property(model, attr) else { return };
        let service = super::layout::service_of(model, attr);
        let value = match value {
            Ok(value) => value,
            Err(why) => return out.rejected.push((property.id.clone(), why.into())),
        };
        if attr.kind.is_event() {
            let is_on = value == Value::Bool(true);
            out.signals.push((attr.kind, service.into(), property.id.clone(), is_on));
        }
        let at = match out.services.iter().position(|(id, _)| **id == *service) {
            Some(at) => at,
            None => {
                out.services.push((service.into(), Map::new()));
                out.services.len() - 1
            }
        };
        out.services[at].1.insert(property.id.to_string(), value);
    }
}

/// A value on the wire.
enum Raw {
    Bits(u32),
    Bytes(Vec<u8>),
}

/// Bytes of the bit segment of a group.
fn segment_bytes(group: &[&Attr]) -> usize {
    group.iter().filter_map(|attr| attr.size.bits()).sum::<usize>().div_ceil(8)
}

/// Bytes of a group.
fn size(group: &[&Attr]) -> usize {
    segment_bytes(group) + group.iter().map(|attr| attr.size.bytes()).sum::<usize>()
}

/// Takes `width` bits at `offset` of a big-endian segment; missing ones are 0.
fn take(segment: &[u8], offset: usize, width: usize) -> u32 {
    (0..width.min(32)).fold(0, |value, n| {
        let at = offset + n;
        let byte = segment.len().checked_sub(1 + at / 8).map_or(0, |index| segment[index]);
        value | u32::from(byte >> (at % 8) & 1) << n
    })
}

/// A bit segment being written.
struct Segment(Vec<u8>);

impl Segment {
    fn new(bits: usize) -> Self {
        Self(alloc::vec![0; bits.div_ceil(8)])
    }

    fn put(&mut self, offset: usize, width: usize, value: u32) {
        for n in 0..width.min(32) {
            let at = offset + n;
            if value >> n & 1 == 1
                && let Some(index) = self.0.len().checked_sub(1 + at / 8)
            {
                self.0[index] |= 1 << (at % 8);
            }
        }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}
