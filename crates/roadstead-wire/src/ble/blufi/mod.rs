//! BluFi of Espressif, and the subset of it that Tencent's BLE-combo devices speak.
//!
//! With security the two ends agree on a key (DH with 1024 bits, MD5) and every data frame is
//! encrypted and checked. The combo subset is the same framing without any of it, with the bind
//! token as custom data; the device's answer to the token is custom data too. Its layout is not
//! published: one byte, 0 for success, is what this implementation sends and expects (UNVERIFIED).
//!
//! Not here: the access point half of BluFi, certificates, and security 2 (ffdhe3072, AES-256-CTR).
//!
//! Source: Airlink §8; Espressif's BluFi guide.

mod crypt;
mod device;
mod frame;
mod phone;
#[cfg(test)]
mod tests;

pub use crypt::{PRIME, PRIVATE_SIZE};
pub use device::BluFiDevice;
pub use frame::{Assembly, Flags, Framer, Kind, Message};
pub use phone::BluFiPhone;

use super::Gatt;

/// Service 0xFFFF in the base of the Bluetooth specification.
pub const GATT: Gatt = Gatt {
    base: [0, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0x80, 0x5F, 0x9B, 0x34, 0xFB],
    service: 0xFFFF,
    write: 0xFF01,
    notify: 0xFF02,
};

/// Version a device tells: 1.3, the last one with security 1.
const VERSION: [u8; 2] = [1, 3];
/// Op mode "station".
const STATION: u8 = 1;
/// Tags in a state report, equal to the subtypes.
const TAG_BSSID: u8 = 1;
const TAG_SSID: u8 = 2;
const TAG_REASON: u8 = 0x15;
/// First byte of custom data from the device: the token was taken.
const TOKEN_TAKEN: u8 = 0;
/// The token was not taken.
const TOKEN_REFUSED: u8 = 1;
