//! What a phone wants to send, and what it sends for it.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Mac, PASSWORD_MAX, SSID_MAX, Scheme, ack};

/// What is to be told to the device.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Network name, 1..=32 bytes.
    pub ssid: &'a [u8],
    /// Password, up to 64 bytes; empty for an open network.
    pub password: &'a [u8],
    /// Access point the phone is on (ESPTouch).
    pub bssid: Mac,
    /// The phone's own address (ESPTouch v1, Simple Config).
    pub phone_ip: [u8; 4],
    /// The phone's own MAC address (Simple Config).
    pub phone_mac: Mac,
    /// AES key (AirKiss, ESPTouch v2), PIN (Simple Config) or product secret (smartconfig).
    pub key: Option<&'a [u8]>,
    /// Data of the application that travels along (ESPTouch v2), up to 64 bytes.
    pub extra: &'a [u8],
    /// Whether the SSID is left to the device, which hears it in the beacons (ESPTouch v2).
    pub omit_ssid: bool,
    /// Which of its ports the phone listens on, 0..=3 (ESPTouch v2).
    pub port_mark: u8,
    /// Whether to encrypt with a zero IV, for devices that know nothing better (ESPTouch v2).
    pub zero_iv: bool,
    /// Whether to use multicast where a scheme knows both (ESPTouch v1).
    pub multicast: bool,
    /// Randomness, fresh for each request.
    pub random: [u8; RANDOM_SIZE],
}

/// Bytes of randomness a request carries.
pub(super) const RANDOM_SIZE: usize = 20;
/// Longest application data in bytes (Airlink §4.3).
const EXTRA_MAX: usize = 64;

impl Request<'_> {
    /// Checks what all schemes have in common.
    pub(super) fn check(&self) -> Result<(), EncodeError> {
        if self.ssid.is_empty() || self.ssid.len() > SSID_MAX {
            return Err(EncodeError::Ssid { size: self.ssid.len() });
        }
        if self.password.len() > PASSWORD_MAX {
            return Err(EncodeError::Password { size: self.password.len() });
        }
        if self.extra.len() > EXTRA_MAX {
            return Err(EncodeError::Extra { size: self.extra.len() });
        }
        Ok(())
    }
}

/// Why a scheme cannot carry a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The SSID is empty or too long.
    #[error("an SSID has 1 to 32 bytes, this one has {size}")]
    Ssid {
        /// Its bytes.
        size: usize,
    },
    /// The password is too long.
    #[error("a password has up to 64 bytes, this one has {size}")]
    Password {
        /// Its bytes.
        size: usize,
    },
    /// The application data is too long, or the scheme carries none.
    #[error("the application data has {size} bytes; ESPTouch v2 takes up to 64, others none")]
    Extra {
        /// Its bytes.
        size: usize,
    },
    /// The whole does not fit the scheme.
    #[error("{scheme} carries up to {limit} bytes, this needs {size}; try another scheme")]
    TooLong {
        /// The scheme.
        scheme: Scheme,
        /// Bytes needed.
        size: usize,
        /// Bytes possible.
        limit: usize,
    },
    /// The key has a length the scheme cannot use.
    #[error("the key of {scheme} has {want} bytes, this one has {size}")]
    Key {
        /// The scheme.
        scheme: Scheme,
        /// What is possible.
        want: &'static str,
        /// Its bytes.
        size: usize,
    },
    /// The scheme cannot work without a key.
    #[error("{scheme} needs a key: {what}")]
    NoKey {
        /// The scheme.
        scheme: Scheme,
        /// What the key is.
        what: &'static str,
    },
}

impl EncodeError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ssid { .. } => "airlink.bad_ssid",
            Self::Password { .. } => "airlink.bad_password",
            Self::Extra { .. } | Self::TooLong { .. } => "airlink.too_long",
            Self::Key { .. } | Self::NoKey { .. } => "airlink.bad_key",
        }
    }
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// 255.255.255.255, and the broadcast address of the subnet where a phone's system drops that.
    Broadcast,
    /// A multicast group.
    Group([u8; 4]),
}

impl Destination {
    /// Returns the IPv4 address.
    pub fn ip(self) -> [u8; 4] {
        match self {
            Self::Broadcast => [255; 4],
            Self::Group(ip) => ip,
        }
    }

    /// Returns the MAC address.
    pub fn mac(self) -> Mac {
        match self {
            Self::Broadcast => Mac::BROADCAST,
            Self::Group(ip) => Mac::of_group(ip),
        }
    }
}

/// One datagram of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When, from the beginning of the round.
    pub at: Duration,
    /// Where to.
    pub destination: Destination,
    /// UDP payload in bytes; the content does not matter.
    pub length: u16,
}

/// One full round: everything a receiver needs, once. A sender repeats it until it is
/// acknowledged or its time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// The scheme.
    pub scheme: Scheme,
    /// The datagrams in order.
    pub packets: Vec<Packet>,
    /// How long it takes, pause after the last packet included.
    pub lasts: Duration,
    /// UDP port of the datagrams.
    pub port: u16,
    /// How long to go on repeating before giving up.
    pub time_out: Duration,
    /// How the device's acknowledgement is known.
    pub ack: ack::Expectation,
}

/// Lays out packets one after the other.
pub(super) struct Layout {
    packets: Vec<Packet>,
    at: Duration,
    spacing: Duration,
}

impl Layout {
    /// Begins with `spacing` between packets.
    pub(super) fn new(spacing: Duration) -> Self {
        Self { packets: Vec::new(), at: Duration::ZERO, spacing }
    }

    /// Adds a packet.
    pub(super) fn push(&mut self, destination: Destination, length: u16) {
        self.packets.push(Packet { at: self.at, destination, length });
        self.at += self.spacing;
    }

    /// Adds broadcasts of these lengths.
    pub(super) fn broadcast(&mut self, lengths: impl IntoIterator<Item = u16>) {
        lengths.into_iter().for_each(|length| self.push(Destination::Broadcast, length));
    }

    /// Returns the packets and the time they take.
    pub(super) fn finish(self) -> (Vec<Packet>, Duration) {
        (self.packets, self.at)
    }
}
