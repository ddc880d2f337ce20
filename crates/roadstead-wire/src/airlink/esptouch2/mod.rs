//! ESPTouch v2: bytes in groups, each group as bit planes, one length per plane.
//!
//! | packet | length |
//! |---|---|
//! | sync | 1048 |
//! | count | 1072 + groups - 1, the head counted |
//! | marker | 128 + group, three times |
//! | data | plane << 7 \| 0x40 \| six bits, one per byte of the group |
//!
//! The head (six bytes: three lengths with their "8-bit" flags, CRC-8 of the BSSID, modes, CRC-8) is
//! announced by sync, count, sync, count. Then come segments: password and application data, plain or
//! as AES-128-CBC, then the SSID unless the network is visible. A group of 7-bit bytes has six of
//! them and six bits of CRC, a group of 8-bit bytes five and a whole CRC.
//!
//! Source: Airlink §4; vectors of Espressif's Android sender, and a device's printed log.

mod decode;
mod encode;
mod layout;

pub use decode::EspTouch2;
pub use encode::{Segments, encode, segments};

/// Sync packet.
const SYNC: u16 = 1048;
/// Count packet of one group.
const COUNT: u16 = 1072;
/// Marker of group 0 after the head.
const MARKER: u16 = 128;
/// Times a marker is sent.
const MARKERS: usize = 3;
/// Marks a data packet.
const DATA: u16 = 0x40;
/// Bits of a data packet.
const BITS: u16 = 0x3F;
/// Most groups after the head.
const GROUPS_MAX: usize = 64;
/// Bit planes of a group.
const PLANES: usize = 8;
/// Bytes a group carries, its own check included where that is a byte.
const GROUP: usize = 6;
/// AES block.
const BLOCK: usize = 16;
/// Random field after an encrypted segment of security 2; its first 16 bytes are the IV.
const IV_FIELD: usize = 20;
/// A length in the head: the bytes need 8 bits.
const EIGHT_BITS: u8 = 0x80;
