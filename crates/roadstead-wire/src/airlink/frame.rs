//! What a receiver in monitor mode sees of a frame: header and length, never the content.
//!
//! Source: Airlink §1.1 and §1.2; IEEE 802.11-2020 §9.3.2.

use core::fmt;
use core::str::FromStr;

/// A MAC address.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Everybody.
    pub const BROADCAST: Self = Self([0xFF; 6]);

    /// Says whether it addresses more than one station.
    pub fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Returns the address, unless it is all zero, which stands for "not told".
    pub(super) fn known(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }

    /// Returns the address an IPv4 multicast group is sent to (RFC 1112 §6.4).
    pub fn of_group(ip: [u8; 4]) -> Self {
        Self([0x01, 0x00, 0x5E, ip[1] & 0x7F, ip[2], ip[3]])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a MAC address has twelve hexadecimal digits, bare or in pairs with `:` or `-`")]
pub struct BadMac;

impl FromStr for Mac {
    type Err = BadMac;

    fn from_str(text: &str) -> Result<Self, BadMac> {
        let mut mac = [0; 6];
        let mut digits = text.bytes().filter(|byte| !matches!(byte, b':' | b'-'));
        for byte in &mut mac {
            let mut pair = [0; 2];
            for digit in &mut pair {
                *digit = digits.next().ok_or(BadMac)?;
            }
            hex::decode_to_slice(pair, core::slice::from_mut(byte)).map_err(|_| BadMac)?;
        }
        digits.next().is_none().then_some(Self(mac)).ok_or(BadMac)
    }
}

/// Which of the two copies of a datagram it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the phone to the access point; retried until acknowledged.
    Up,
    /// From the access point to everybody; sent once, perhaps held back to the next beacon.
    Down,
}

/// One data frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// When it was heard, in microseconds of any clock; `None` in captures without times.
    pub at_us: Option<u64>,
    /// Channel the receiver was on.
    pub channel: u8,
    /// Which copy.
    pub direction: Direction,
    /// Who made the datagram: the phone, in both copies.
    pub source: Mac,
    /// Whom it is for: broadcast or a multicast group, in both copies.
    pub destination: Mac,
    /// The access point; all zero when the driver does not tell.
    pub bssid: Mac,
    /// Sequence number, 0..4095; `None` when the driver does not tell.
    pub sequence: Option<u16>,
    /// Length in bytes, counted the same way for all frames of one direction.
    pub length: u16,
    /// What `length` has over the UDP payload, where header and cipher are known
    /// ([`Frame::overhead`]); the guide code has to confirm it.
    pub overhead: Option<u16>,
}

/// Cipher of a data frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// None.
    Open,
    /// WEP.
    Wep,
    /// WPA's.
    Tkip,
    /// WPA2's.
    Ccmp,
}

/// LLC/SNAP, IPv4 and UDP header together.
const HEADERS: u16 = 8 + 20 + 8;
/// Frame check sequence.
const FCS: u16 = 4;
/// Frame control field: type and subtype bits.
const TYPE: u8 = 0b1111_1100;
const DATA: u8 = 0b0000_1000;
const QOS_DATA: u8 = 0b1000_1000;
const TO_DS: u8 = 0x01;
const FROM_DS: u8 = 0x02;
const RETRY: u8 = 0x08;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;

impl Frame {
    /// Returns what a frame has over its UDP payload (Airlink §1.2).
    pub fn overhead(header: u16, cipher: Cipher, with_fcs: bool) -> u16 {
        let crypt = match cipher {
            Cipher::Open => 0,
            Cipher::Wep => 8,
            Cipher::Tkip => 20,
            Cipher::Ccmp => 16,
        };
        header + HEADERS + crypt + if with_fcs { FCS } else { 0 }
    }

    /// Reads an 802.11 frame of which at least the header was captured; `length` is the length on
    /// the air. Returns `None` for everything that carries no credentials: no data frame, not
    /// exactly one of ToDS and FromDS, a later fragment, not for a group.
    pub fn parse(
        bytes: &[u8],
        length: u16,
        with_fcs: bool,
        channel: u8,
        at_us: Option<u64>,
    ) -> Option<Self> {
        let (control, flags) = (*bytes.first()?, *bytes.get(1)?);
        let qos = control & TYPE == QOS_DATA;
        if control & TYPE != DATA && !qos {
            return None;
        }
        let address =
            |at: usize| bytes.get(at..at + 6).and_then(|mac| mac.try_into().ok()).map(Mac);
        let (direction, bssid, source, destination) = match flags & (TO_DS | FROM_DS) {
            TO_DS => (Direction::Up, address(4)?, address(10)?, address(16)?),
            FROM_DS => (Direction::Down, address(10)?, address(16)?, address(4)?),
            _ => return None,
        };
        let sequence = u16::from_le_bytes([*bytes.get(22)?, *bytes.get(23)?]);
        if sequence & 0x0F != 0 || !destination.is_group() {
            return None;
        }
        let header = 24 + if qos { 2 } else { 0 } + if qos && flags & ORDER != 0 { 4 } else { 0 };
        let cipher = match flags & PROTECTED {
            0 => Some(Cipher::Open),
            _ => cipher(bytes.get(usize::from(header)..).unwrap_or_default()),
        };
        Some(Self {
            at_us,
            channel,
            direction,
            source,
            destination,
            bssid,
            sequence: Some(sequence >> 4),
            length,
            overhead: cipher.map(|cipher| Self::overhead(header, cipher, with_fcs)),
        })
    }

    /// Says whether the header marks a retransmission.
    pub fn is_retry(bytes: &[u8]) -> bool {
        bytes.get(1).is_some_and(|flags| flags & RETRY != 0)
    }
}

/// Returns the cipher, told by the initialisation vector (Airlink §1.2).
fn cipher(body: &[u8]) -> Option<Cipher> {
    let [first, second, third, fourth, ..] = *body else {
        return None;
    };
    let extended = fourth & 0x20 != 0;
    Some(match (extended, third) {
        (false, _) => Cipher::Wep,
        (true, 0) if second != (first | 0x20) & 0x7F => Cipher::Ccmp,
        (true, _) if second == (first | 0x20) & 0x7F => Cipher::Tkip,
        (true, _) => Cipher::Ccmp,
    })
}
