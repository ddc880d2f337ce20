//! Alibaba smartconfig ("zconfig"), broadcast form: six bits per length, eight per group.
//!
//! | packet | length |
//! |---|---|
//! | start, group 0 | 0x4E0 |
//! | group k | 0x3E0 + k |
//! | slot j, 1..=8, of the current group | (j + 1) << 7 \| value, value up to 0x5F |
//!
//! Message: total, flags, coded lengths, SSID, password, 12-bit sum. The SSID is its ASCII less 32,
//! or regrouped into six bits; the password AES-128-CFB under a key of the product, with a zero IV:
//! equal passwords look equal across a product line. That is the vendor's weakness, not ours to
//! repeat elsewhere.
//!
//! Not here: the multicast form of v2.3.0 (§6.3), which nobody could cross-check.
//!
//! Source: Airlink §6; vectors accepted by the vendor's receiver v3.0.1.

mod decode;
mod encode;
mod message;

pub use decode::SmartConfig;
pub use encode::encode;
pub use message::{emit, key};

/// Start packet, which is also the marker of group 0.
const START: u16 = 0x4E0;
/// Marker of group 0 would be this; groups 1.. are counted from it.
const GROUP: u16 = 0x3E0;
/// Groups there can be, the first included.
const GROUPS: usize = 16;
/// Slots of a group.
const SLOTS: usize = 8;
/// Highest value of a slot.
const VALUE_MAX: u16 = 0x5F;
/// Most bytes of a message.
const MESSAGE_MAX: usize = GROUPS * SLOTS;
