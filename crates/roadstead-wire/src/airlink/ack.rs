//! How a device tells the phone, once it is on the network, that the credentials worked.
//!
//! Every acknowledgement is a plain datagram that anyone on the network can send: the phone takes
//! it for a hint, the binding is the proof.
//!
//! Source: Airlink §§2.5, 3.4, 4.5, 5.3.

use alloc::vec;
use alloc::vec::Vec;

use super::Mac;

/// What a device needs to acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// AirKiss: the random byte of the message.
    AirKiss {
        /// The byte.
        random: u8,
    },
    /// ESPTouch v1: the length of the message.
    EspTouch {
        /// Nine and the lengths of SSID and password, modulo 256.
        total: u8,
    },
    /// ESPTouch v2: which of its ports the phone listens on.
    EspTouch2 {
        /// 0..=3.
        mark: u8,
    },
    /// Realtek Simple Config: nothing but the phone's address.
    SimpleConfig,
    /// Alibaba smartconfig: the acknowledgement is the notice on the LAN, not a datagram of the
    /// scheme.
    SmartConfig,
}

/// Bytes of the device name in a Simple Config acknowledgement.
const NAME_SIZE: usize = 64;
/// Content after the length field of a Simple Config acknowledgement.
const SIMPLE_CONFIG_LENGTH: u16 = 77;
/// Response to "configuration succeeded".
const SIMPLE_CONFIG_FLAG: u8 = 0x20;

/// One acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// UDP port of the phone.
    pub port: u16,
    /// Whether to send it to everybody as well as to the phone's own address, if that is known.
    pub broadcast: bool,
    /// The datagram.
    pub datagram: Vec<u8>,
    /// How often to send it.
    pub times: u8,
    /// Pause between two, in milliseconds.
    pub gap_ms: u16,
}

impl Proof {
    /// Returns what a device with this address sends; `None` if the scheme has no datagram.
    pub fn ack(self, mac: Mac, ip: [u8; 4], name: &str) -> Option<Ack> {
        let with_mac = |first: u8| {
            let mut datagram = vec![first];
            datagram.extend_from_slice(&mac.0);
            datagram
        };
        Some(match self {
            Self::AirKiss { random } => Ack {
                port: AIRKISS_PORT,
                broadcast: true,
                datagram: with_mac(random),
                times: 30,
                gap_ms: 100,
            },
            Self::EspTouch { total } => {
                let mut datagram = with_mac(total);
                datagram.extend_from_slice(&ip);
                Ack { port: ESPTOUCH_PORT, broadcast: true, datagram, times: 30, gap_ms: 100 }
            }
            Self::EspTouch2 { mark } => Ack {
                port: ESPTOUCH_PORT + 10_000 * u16::from(mark & 0b11),
                broadcast: true,
                datagram: with_mac(mark),
                times: 30,
                gap_ms: 100,
            },
            Self::SimpleConfig => Ack {
                port: SIMPLE_CONFIG_PORT,
                broadcast: false,
                datagram: simple_config(mac, ip, name),
                times: 20,
                gap_ms: 50,
            },
            Self::SmartConfig => return None,
        })
    }
}

/// AirKiss acknowledgements.
const AIRKISS_PORT: u16 = 10_000;
/// ESPTouch acknowledgements; v2 adds 10 000 per port mark.
const ESPTOUCH_PORT: u16 = 18_266;
/// Simple Config acknowledgements.
const SIMPLE_CONFIG_PORT: u16 = 8_864;

fn simple_config(mac: Mac, ip: [u8; 4], name: &str) -> Vec<u8> {
    let mut datagram = vec![SIMPLE_CONFIG_FLAG];
    datagram.extend_from_slice(&SIMPLE_CONFIG_LENGTH.to_be_bytes());
    datagram.extend_from_slice(&mac.0);
    // Connected; device type "any".
    datagram.extend_from_slice(&[1, 0, 0]);
    datagram.extend_from_slice(&ip);
    let mut field = [0; NAME_SIZE];
    // One byte stays zero: the phone reads the name as a C string.
    let end = (0..=name.len().min(NAME_SIZE - 1)).rev().find(|at| name.is_char_boundary(*at));
    let name = &name.as_bytes()[..end.unwrap_or(0)];
    field[..name.len()].copy_from_slice(name);
    datagram.extend_from_slice(&field);
    datagram
}

/// What a phone listens for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// UDP port; `None` if the scheme has no datagram.
    pub port: Option<u16>,
    /// What the device was told.
    pub proof: Proof,
}

impl Expectation {
    /// Returns the expectation that matches a proof.
    pub(super) fn of(proof: Proof) -> Self {
        Self { port: proof.ack(Mac::default(), [0; 4], "").map(|ack| ack.port), proof }
    }

    /// Reads a datagram that arrived on the port: the device it speaks of, or `None` when it is
    /// not the acknowledgement waited for.
    pub fn read(&self, datagram: &[u8]) -> Option<Acknowledged> {
        let mac = |at: usize| datagram.get(at..at + 6).and_then(|mac| mac.try_into().ok()).map(Mac);
        let ip = |at: usize| datagram.get(at..at + 4).and_then(|ip| ip.try_into().ok());
        let first = *datagram.first()?;
        match self.proof {
            Proof::AirKiss { random } => (first == random && matches!(datagram.len(), 1 | 7))
                .then(|| Acknowledged { mac: mac(1), ip: None }),
            Proof::EspTouch { total } => (first == total && datagram.len() == 11)
                .then(|| Acknowledged { mac: mac(1), ip: ip(7) }),
            Proof::EspTouch2 { .. } => {
                (datagram.len() >= 7).then(|| Acknowledged { mac: mac(1), ip: None })
            }
            Proof::SimpleConfig => (first & 0x3F == SIMPLE_CONFIG_FLAG && datagram.len() >= 13)
                .then(|| Acknowledged { mac: mac(3), ip: ip(12) }),
            Proof::SmartConfig => None,
        }
    }
}

/// What an acknowledgement says: a hint, not a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// MAC address of the device, if it told.
    pub mac: Option<Mac>,
    /// Its IPv4 address, if it told; else the datagram's source.
    pub ip: Option<[u8; 4]>,
}
