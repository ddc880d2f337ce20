//! Wi-Fi credentials through the air: what a phone sends so that a device that is not yet on any
//! network can read it off the length or the address of encrypted frames.
//!
//! A *sender* turns a [`Request`] into a [`Round`]: UDP datagrams whose lengths (or multicast
//! addresses) carry the message. A *receiver* in monitor mode sees of each of them the header and
//! the length ([`Frame`]), in up to two copies, with losses, among foreign traffic, and has to find
//! the message again: [`Receiver`] hears one scheme, [`Hopper`] all of them on one air. Everything
//! here is a pure machine: frames and time go in, packets and events come out.
//!
//! The rule of this module is *never wrong, fast under loss*. A receiver believes credentials only
//! when every check of the scheme passes **and** each unit that is guarded by a short check has been
//! seen again. Until then readings are votes (`vote`), collected over rounds, in any order, from
//! both copies.
//!
//! | folder | scheme | carried in | guarded by |
//! |---|---|---|---|
//! | [`airkiss`] | AirKiss, plain and AES | lengths 1..511 | 7 bits per 4 bytes, CRC-8 of the SSID |
//! | [`esptouch`] | ESPTouch v1, broadcast and multicast | lengths 40..555 | CRC-8 per byte, XOR, two CRC-8 |
//! | [`esptouch2`] | ESPTouch v2, security 0, 1, 2 | lengths 64..1135 | 6 or 8 bits per group, CRC-8 of the head |
//! | [`simpleconfig`] | Realtek Simple Config, multicast | addresses 239.S.C.D | checksum per frame, AES key wrap |
//! | [`smartconfig`] | Alibaba smartconfig, broadcast | lengths 256..1248 | 12-bit sum |
//!
//! None of them is secret: keys are product-wide constants or absent, and anyone who listens can
//! read along. What binds a device to an owner is the bind token, not these credentials.
//!
//! Source: Airlink §§1-7; each folder names the programs it was checked against.

pub mod ack;
pub mod air;
pub mod airkiss;
mod crc;
pub mod esptouch;
pub mod esptouch2;
mod frame;
mod guide;
mod hopper;
mod pace;
pub mod radiotap;
mod receiver;
mod request;
mod session;
pub mod simpleconfig;
pub mod smartconfig;
mod talker;
#[cfg(test)]
mod tests;
mod vote;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

pub use crc::crc8;
pub use frame::{Direction, Frame, Mac};
pub use hopper::{Hopper, Plan};
pub use receiver::{Event, Keys, Receiver};
pub use request::{Destination, EncodeError, Packet, Request, Round};

/// Longest SSID in bytes (IEEE 802.11-2020 §9.4.2.2).
pub const SSID_MAX: usize = 32;
/// Longest password in bytes: a raw PSK as 64 hexadecimal digits.
pub const PASSWORD_MAX: usize = 64;

/// A way to carry credentials through the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// AirKiss of WeChat, also used by Tencent and GizWits.
    AirKiss,
    /// ESPTouch v1 of Espressif.
    EspTouch,
    /// ESPTouch v2 of Espressif.
    EspTouch2,
    /// Simple Config of Realtek.
    SimpleConfig,
    /// Smartconfig ("zconfig") of Alibaba.
    SmartConfig,
}

impl Scheme {
    /// All of them, in the order in which a phone that knows nothing of the device tries them.
    pub const ALL: [Self; 5] =
        [Self::EspTouch2, Self::SimpleConfig, Self::AirKiss, Self::EspTouch, Self::SmartConfig];

    /// Returns the name used on the command line and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::AirKiss => "airkiss",
            Self::EspTouch => "esptouch",
            Self::EspTouch2 => "esptouch2",
            Self::SimpleConfig => "simpleconfig",
            Self::SmartConfig => "smartconfig",
        }
    }

    /// Builds the packets of one full round.
    ///
    /// # Errors
    /// If the scheme cannot carry the request; the error says which limit, and the caller falls
    /// back to another scheme.
    pub fn encode(self, request: &Request<'_>) -> Result<Round, EncodeError> {
        request.check()?;
        match self {
            Self::AirKiss => airkiss::encode(request),
            Self::EspTouch => esptouch::encode(request),
            Self::EspTouch2 => esptouch2::encode(request),
            Self::SimpleConfig => simpleconfig::encode(request),
            Self::SmartConfig => smartconfig::encode(request),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such scheme; known are airkiss, esptouch, esptouch2, simpleconfig and smartconfig")]
pub struct UnknownScheme;

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(text: &str) -> Result<Self, UnknownScheme> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == text).ok_or(UnknownScheme)
    }
}

/// What a receiver found. Does not print the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Network name; empty when the sender left it out and only the BSSID tells (ESPTouch v2).
    pub ssid: Vec<u8>,
    /// Password; empty for an open network.
    pub password: Vec<u8>,
    /// Access point the sender is on: what the message says, else where it was heard.
    pub bssid: Option<Mac>,
    /// IPv4 address of the phone, for the acknowledgement.
    pub phone_ip: Option<[u8; 4]>,
    /// Data of the application that travelled along (ESPTouch v2); at most 64 bytes.
    pub extra: Vec<u8>,
    /// What the acknowledgement must carry so that the phone knows it for its own.
    pub ack: ack::Proof,
}

impl Credentials {
    /// Returns the SSID as text, lossily when it is not UTF-8.
    pub fn ssid_text(&self) -> String {
        String::from_utf8_lossy(&self.ssid).into_owned()
    }

    /// Returns the password as text, lossily when it is not UTF-8.
    pub fn password_text(&self) -> String {
        String::from_utf8_lossy(&self.password).into_owned()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("ssid", &self.ssid_text())
            .field("password_len", &self.password.len())
            .field("bssid", &self.bssid)
            .field("phone_ip", &self.phone_ip)
            .field("extra_len", &self.extra.len())
            .field("ack", &self.ack)
            .finish()
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        self.password.zeroize();
        self.extra.zeroize();
    }
}

/// Why an air gave no credentials, as far as a receiver can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No guide code of any scheme was heard.
    NoGuide,
    /// A sender was heard, but too little of its message.
    LockedNoData,
    /// Units were read that contradict each other or the message's own checks.
    ChecksumConflict,
    /// The message is whole, but does not decrypt: the key is missing or wrong.
    DecryptFailed,
}

impl Reason {
    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoGuide => "airlink.no_guide",
            Self::LockedNoData => "airlink.locked_no_data",
            Self::ChecksumConflict => "airlink.checksum_conflict",
            Self::DecryptFailed => "airlink.decrypt_failed",
        }
    }
}
