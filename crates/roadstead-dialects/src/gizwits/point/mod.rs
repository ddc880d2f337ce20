//! Data points: what the status of a device is made of, and how it is packed.
//!
//! | file | does |
//! |---|---|
//! | `document` | the vendor's schema, in and out without loss |
//! | `layout` | the attributes of a model in the order of their ids |
//! | `pack` | bits and bytes of the P0 actions |
//! | `value` | one value, canonical and on the wire |
//! | `adapt` | models that come from elsewhere |
//!
//! Words: an *attribute* is a property; one of the kinds *alert* and *fault* is a property that
//! cannot be written, and an event of that name.
//!
//! Source: GizWits §4; generated MCU code V03030000.

mod adapt;
mod document;
mod layout;
mod pack;
#[cfg(test)]
mod tests;
mod value;

pub(super) use adapt::adapt;
pub(super) use document::{export, import, recognizes};
pub(super) use layout::{Kind, Layout};
pub(super) use pack::{Action, Decoded, P0, PackError};
#[cfg(feature = "server")]
pub(super) use value::{binary_of, binary_value, bool_of, enum_of, enum_value, number_of};

/// Key of the attribute number in what only the vendor's document says.
const ID: &str = "id";
/// Key of the kind of an attribute.
const TYPE: &str = "type";
/// Key of the data type of an attribute.
const DATA_TYPE: &str = "data_type";
/// Key of limits and scale of a number.
const UINT_SPEC: &str = "uint_spec";
/// Key of place and size of an attribute.
const POSITION: &str = "position";
/// Key of the kind of protocol of a product.
const PROTOCOL_TYPE: &str = "protocolType";
/// Most attributes of a product; 200 are known to work (GizWits §4.2).
const ATTRS_MAX: usize = 1024;
/// Longest binary attribute, bytes; a status must fit a packet of 1024 (GizWits §3.5).
const BINARY_MAX: u32 = 1000;
