//! ESPTouch v1: every byte of the message as three lengths, each with its own index and CRC.
//!
//! | word | length - 40 | content |
//! |---|---|---|
//! | guide | 475, 474, 473, 472 | 515, 514, 513, 512 on the air |
//! | first | 0x00..0xFF | high halves of CRC and byte |
//! | second | 0x100 + index | which byte |
//! | third | 0x00..0xFF | low halves of CRC and byte |
//!
//! Bytes: total, password length, CRC-8 of SSID and BSSID, XOR; the phone's IPv4 address; password;
//! SSID; the BSSID behind the end. By broadcast, or to a multicast group per triplet. Nothing is
//! encrypted.
//!
//! Source: Airlink §3; vectors of Espressif's Android sender and three ports.

mod decode;
mod encode;

pub use decode::EspTouch;
pub use encode::{Datum, datum, encode};

/// Guide code.
const GUIDE: [u16; 4] = [515, 514, 513, 512];
/// Added to every data word.
const EXTRA: u16 = 40;
/// Marks the second word.
const INDEX: u16 = 0x100;
/// Bytes before the password.
const HEAD: usize = 9;
/// Bytes of the BSSID behind the end.
const TAIL: usize = 6;
/// Bytes between two of the BSSID in the sending order.
const BETWEEN: usize = 3;
/// Where the first byte of the BSSID goes in the sending order.
const FIRST_TAIL: usize = 5;

/// Returns the CRC that guards a byte.
fn check(byte: u8, index: u8) -> u8 {
    super::crc8(&[byte, index])
}

/// Returns the vendor's sending order of a message of `total` bytes: head, then one byte of the
/// BSSID in front of every three others.
fn order(total: usize) -> impl Iterator<Item = u8> {
    let mut main = 0..total;
    let mut tail = total..total + TAIL;
    (0..total + TAIL).filter_map(move |at| {
        let of_tail = at >= FIRST_TAIL && (at - FIRST_TAIL).is_multiple_of(BETWEEN + 1);
        let next = if of_tail { tail.next().or_else(|| main.next()) } else { main.next() };
        next.or_else(|| tail.next()).map(|index| index as u8)
    })
}
