//! LLSync of Tencent: assisted provisioning of a Wi-Fi device over Bluetooth.
//!
//! Nothing is encrypted: credentials and token are readable by anyone in radio range. Results
//! other than 0 have no published meaning; 1 is what this implementation sends for a failure.
//!
//! Not here: LLSync as a protocol of Bluetooth-only devices (events, properties, upgrades).
//!
//! Source: Airlink §9; "LLSync device access protocol" 1.4.1.

mod device;
mod message;
mod phone;
#[cfg(test)]
mod tests;

pub use device::LlSyncDevice;
pub use message::{Joiner, split};
pub use phone::LlSyncPhone;

use super::Gatt;

/// Service FFE0 of the standard; see [`COMBO_SERVICE`].
pub const GATT: Gatt = Gatt {
    base: [0, 0, 0, 0, 0x65, 0xD0, 0x4E, 0x20, 0xB5, 0x6A, 0xE4, 0x93, 0x54, 0x1B, 0xA4, 0xE2],
    service: 0xFFE0,
    write: 0xFFE1,
    notify: 0xFFE3,
};

/// Service under which Wi-Fi combo firmware lives instead; a phone accepts both.
pub const COMBO_SERVICE: u16 = 0xFFF0;

/// Version of the protocol a device tells.
const VERSION: u8 = 2;
/// The phone may change the MTU.
const MTU_SETTABLE: u16 = 0x8000;
/// Mode "station".
const STATION: u8 = 1;

/// Message types, phone to device.
mod order {
    pub(super) const INFO: u8 = 0xE0;
    pub(super) const MODE: u8 = 0xE1;
    pub(super) const NETWORK: u8 = 0xE2;
    pub(super) const CONNECT: u8 = 0xE3;
    pub(super) const TOKEN: u8 = 0xE4;
    pub(super) const LOG: u8 = 0xE5;
}

/// Message types, device to phone.
mod report {
    pub(super) const INFO: u8 = 0x08;
    pub(super) const MODE: u8 = 0xE0;
    pub(super) const NETWORK: u8 = 0xE1;
    pub(super) const CONNECT: u8 = 0xE2;
    pub(super) const TOKEN: u8 = 0xE3;
    pub(super) const LOG: u8 = 0xE4;
}
