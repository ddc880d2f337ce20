//! Improv Wi-Fi: the open way of browsers and home servers to give a device its network, over
//! Bluetooth and over a serial line.
//!
//! Nothing is encrypted; whoever may press the device's button is the owner
//! ([`Provisioner::authorized`](super::Provisioner::authorized)), and how long that holds is the
//! caller's: the publication suggests a minute. There is no bind token: a phone tells it in the home
//! network afterwards.
//!
//! Over Bluetooth there are several characteristics: what a device notifies begins with the number
//! of the one it belongs to ([`service`]), what a phone writes goes to the command. Over a serial
//! line packets of all kinds share one stream with whatever else the firmware prints.
//!
//! Not here: identify, host name and device name; unknown to this device, it says so.
//!
//! Source: Airlink §11; improv-wifi.com, "Improv via BLE" 2.2 and "Improv via Serial" 1.

mod device;
mod message;
mod phone;
#[cfg(test)]
mod tests;

pub use device::{About, ImprovDevice};
pub use message::{Rpc, Stream};
pub use phone::ImprovPhone;

use super::{Characteristic, Role, Service};

/// What carries the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Characteristics: each RPC ends with its own checksum.
    Gatt,
    /// A serial line: each packet ends with a checksum.
    Serial,
}

/// The service's 128-bit number without its last byte, big-endian.
const BASE: [u8; 16] = *b"\x00\x46\x77\x68\x62\x28\x22\x72\x46\x63\x27\x74\x78\x26\x80\x00";

/// Characteristics by their last byte; over a serial line the kinds of packets.
mod kind {
    pub(super) const STATE: u8 = 1;
    pub(super) const ERROR: u8 = 2;
    pub(super) const COMMAND: u8 = 3;
    pub(super) const RESULT: u8 = 4;
    pub(super) const CAPABILITIES: u8 = 5;
}

/// What a device is at.
mod state {
    pub(super) const LOCKED: u8 = 1;
    pub(super) const READY: u8 = 2;
    pub(super) const JOINING: u8 = 3;
    pub(super) const JOINED: u8 = 4;
}

/// What went wrong.
mod error {
    pub(super) const NONE: u8 = 0;
    pub(super) const INVALID: u8 = 1;
    pub(super) const UNKNOWN_COMMAND: u8 = 2;
    pub(super) const NOT_JOINED: u8 = 3;
    pub(super) const NOT_AUTHORIZED: u8 = 4;
    pub(super) const OTHER: u8 = 0xFF;
}

/// Commands of a phone.
mod command {
    pub(super) const NETWORK: u8 = 1;
    /// Over a serial line; over Bluetooth the number means "identify".
    pub(super) const STATE: u8 = 2;
    pub(super) const INFO: u8 = 3;
    pub(super) const SCAN: u8 = 4;
}

/// Device information and scan are understood; identify is not.
const CAPABILITIES: u8 = 0b110;

fn uuid(last: u8) -> [u8; 16] {
    let mut uuid = BASE;
    uuid[15] = last;
    uuid
}

/// Returns the service as a driver serves it; `authorized` as for [`ImprovDevice::new`].
pub fn service(authorized: bool) -> Service {
    let characteristic = |last: u8, role: Role, value: &[u8]| Characteristic {
        uuid: uuid(last),
        role,
        tag: (role == Role::Notify).then_some(last),
        value: value.to_vec(),
    };
    let now = if authorized { state::READY } else { state::LOCKED };
    Service {
        uuid: uuid(0),
        characteristics: alloc::vec![
            characteristic(kind::STATE, Role::Notify, &[now]),
            characteristic(kind::ERROR, Role::Notify, &[error::NONE]),
            characteristic(kind::COMMAND, Role::Write, &[]),
            characteristic(kind::RESULT, Role::Notify, &[]),
            characteristic(kind::CAPABILITIES, Role::Read, &[CAPABILITIES]),
        ],
        // State and capabilities, four bytes reserved.
        data: Some((0x4677, alloc::vec![now, CAPABILITIES, 0, 0, 0, 0])),
    }
}
