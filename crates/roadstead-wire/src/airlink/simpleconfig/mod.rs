//! Realtek Simple Config, multicast form: one byte per datagram, in the group's address.
//!
//! A datagram to 239.S.C.D carries byte D at place S; C makes the six bytes of the MAC address sum
//! to zero, and the UDP payload has S bytes, so every frame proves itself. Places 0..=2 hold the
//! pattern, 3 the number of packets, 4 a check of the first four, 5..=8 random bytes, 9.. the
//! profile: tags SSID, password and phone address, wrapped with AES (RFC 3394) under a key made of
//! phone MAC, PIN and the random bytes.
//!
//! Not here: the broadcast length form, whose coding nobody could confirm, and the SoftAP mode.
//!
//! Source: Airlink §5; vectors accepted by the vendor's device parser.

mod decode;
mod encode;
mod profile;

pub use decode::SimpleConfig;
pub use encode::encode;
pub use profile::wrapped;

/// First byte of the groups.
const NET: u8 = 239;
/// UDP port.
const PORT: u16 = 6_000;
/// Packets in front of the profile.
const HEAD: usize = 9;
/// Places there are.
const PLACES: usize = 128;
/// Pattern of the common PIN.
const COMMON: u8 = 2;
/// Pattern of a PIN of the device's own.
const OWN: u8 = 3;
/// The PIN of devices that have none of their own.
pub const COMMON_PIN: &[u8] = b"57289961";

/// Returns the check byte of a packet: it makes the MAC address sum to zero.
fn check(place: u8, byte: u8) -> u8 {
    0u8.wrapping_sub(0x01 + 0x5E).wrapping_sub(place).wrapping_sub(byte)
}

/// Returns the check of the first four packets (place 4).
fn magic(pattern: u8, count: u8) -> u8 {
    // Place of packet 0, check of packet 1 (whose byte is 0), bytes of packets 2 and 3.
    check(1, 0).wrapping_add(pattern).wrapping_add(count)
}
