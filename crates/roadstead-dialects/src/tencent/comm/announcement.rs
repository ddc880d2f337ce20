//! The 11 bytes by which a 3.0 device tells its address; same layout as the ESP-TOUCH
//! acknowledgement.
//!
//! Source: Tencent §5.6. The layout was read in the SDK's source; the datagram was not captured.

use core::net::Ipv4Addr;

/// What stands where ESP-TOUCH has the device's MAC.
const FILLER: [u8; 6] = *b"012345";

/// One address announcement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Length of network name plus password plus 9, modulo 256.
    pub check: u8,
    /// The device's address; may be a dummy in imitations: prefer the sender's address.
    pub address: Ipv4Addr,
}

impl Announcement {
    /// Length in bytes.
    pub const LEN: usize = 11;

    /// Returns the announcement of a device that joined with these lengths, in bytes.
    pub fn new(ssid_len: usize, password_len: usize, address: Ipv4Addr) -> Self {
        Self { check: (ssid_len + password_len + 9) as u8, address }
    }

    /// Reads a datagram; `None` when it is not exactly 11 bytes long.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let [check, _, _, _, _, _, _, a, b, c, d] = *bytes;
        Some(Self { check, address: Ipv4Addr::new(a, b, c, d) })
    }

    /// Writes the datagram.
    pub fn emit(self) -> [u8; Self::LEN] {
        let [m0, m1, m2, m3, m4, m5] = FILLER;
        let [a, b, c, d] = self.address.octets();
        [self.check, m0, m1, m2, m3, m4, m5, a, b, c, d]
    }
}
