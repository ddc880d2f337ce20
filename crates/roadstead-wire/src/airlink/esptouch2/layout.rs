//! Which bytes of which segment are in which group; sender and receiver derive it from the head.

use super::super::{PASSWORD_MAX, SSID_MAX};
use super::{BLOCK, EIGHT_BITS, GROUP, IV_FIELD};

/// Security: none, AES with a zero IV, AES with a random IV.
const SECURITY_MAX: u8 = 2;
/// Longest application data.
const EXTRA_MAX: usize = 64;

/// The head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) ssid: Length,
    pub(super) password: Length,
    pub(super) extra: Length,
    pub(super) bssid_crc: u8,
    /// 0 none, 1 AES with zero IV, 2 AES with random IV.
    pub(super) security: u8,
    /// Index of the port the phone listens on, 0..=3.
    pub(super) mark: u8,
}

/// A length and whether the bytes need eight bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) bytes: usize,
    pub(super) eight: bool,
}

impl Length {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len(), eight: !bytes.is_ascii() }
    }

    fn parse(byte: u8) -> Self {
        Self { bytes: (byte & !EIGHT_BITS).into(), eight: byte & EIGHT_BITS != 0 }
    }

    fn emit(self) -> u8 {
        self.bytes as u8 | if self.eight { EIGHT_BITS } else { 0 }
    }
}

/// A run of bytes with its own grouping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Bytes, padding not counted.
    pub(super) bytes: usize,
    /// Groups of five bytes and a CRC instead of six bytes of seven bits.
    pub(super) eight: bool,
    pub(super) kind: Kind,
}

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Password and application data, or either.
    Content,
    /// Random field whose beginning is the IV.
    Iv,
    /// Network name.
    Ssid,
}

impl Segment {
    /// Returns the bytes a group of this segment carries.
    pub(super) fn per_group(self) -> usize {
        if self.eight { GROUP - 1 } else { GROUP }
    }

    /// Returns its groups.
    pub(super) fn groups(self) -> usize {
        self.bytes.div_ceil(self.per_group())
    }
}

impl Head {
    /// Reads the first five bytes; the sixth is their CRC. `None` for what no sender makes.
    pub(super) fn parse(bytes: [u8; GROUP - 1]) -> Option<Self> {
        let [ssid, password, extra, bssid_crc, modes] = bytes;
        let head = Self {
            ssid: Length::parse(ssid),
            password: Length::parse(password),
            extra: Length::parse(extra),
            bssid_crc,
            security: modes >> 1 & 0b11,
            mark: modes >> 3 & 0b11,
        };
        let version = modes >> 6;
        let fits = head.ssid.bytes <= SSID_MAX
            && head.password.bytes <= PASSWORD_MAX
            && head.extra.bytes <= EXTRA_MAX
            && head.security <= SECURITY_MAX
            && version == 0;
        fits.then_some(head)
    }

    /// Writes the first five bytes.
    pub(super) fn emit(self) -> [u8; GROUP - 1] {
        // Bit 0: the phone has an IPv4 address.
        let modes = 1 | self.security << 1 | self.mark << 3;
        [self.ssid.emit(), self.password.emit(), self.extra.emit(), self.bssid_crc, modes]
    }

    /// Returns the segments in order; empty ones have no groups.
    pub(super) fn segments(self) -> [Segment; 3] {
        let content = self.password.bytes + self.extra.bytes;
        let segment = |bytes, eight, kind| Segment { bytes, eight, kind };
        let ssid = segment(self.ssid.bytes, self.ssid.eight, Kind::Ssid);
        if self.security > 0 && content > 0 {
            let iv = if self.security == SECURITY_MAX { IV_FIELD } else { 0 };
            let cipher = BLOCK * (content / BLOCK + 1);
            return [segment(cipher, true, Kind::Content), segment(iv, true, Kind::Iv), ssid];
        }
        if !self.password.eight && !self.extra.eight {
            let none = segment(0, false, Kind::Content);
            return [segment(content, false, Kind::Content), none, ssid];
        }
        [
            segment(self.password.bytes, self.password.eight, Kind::Content),
            segment(self.extra.bytes, self.extra.eight, Kind::Content),
            ssid,
        ]
    }

    /// Returns the groups of all segments.
    pub(super) fn groups(self) -> usize {
        self.segments().iter().map(|segment| segment.groups()).sum()
    }
}
