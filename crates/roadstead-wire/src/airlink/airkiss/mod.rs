//! AirKiss: the message in the lengths of broadcasts, four bytes at a time.
//!
//! | word | length | content |
//! |---|---|---|
//! | guide | 1, 2, 3, 4 | constant |
//! | magic | 0x0h, 0x1l, 0x2h, 0x3l | message length; CRC-8 of the SSID |
//! | prefix | 0x4h, 0x5l, 0x6h, 0x7l | password length; its CRC-8 |
//! | header | 0x80 + 7 bits, 0x80 + index | CRC of index and bytes; index of the sequence |
//! | data | 0x100 + byte | up to four per sequence |
//!
//! The message is password, random byte, SSID. With a key the password alone is encrypted:
//! AES-128-CBC, the key is also the initialisation vector, PKCS#7; on the air nothing tells the
//! two apart. [`lan`] is how devices are found that are in the network already.
//!
//! Source: Airlink §2; vectors of zhchbin's sender, read by airkissOpen, evilpan's and
//! lanseyujie's receivers, and two captures from the air.

mod decode;
mod encode;
pub mod lan;

pub use decode::AirKiss;
pub use encode::{Words, encode, words};

/// Guide code.
const GUIDE: [u16; 4] = [1, 2, 3, 4];
/// Sent for a first magic word of zero, because a datagram of length 0 does not travel.
const MAGIC_ZERO: u16 = 8;
/// Bytes of a sequence.
const SEQUENCE: usize = 4;
/// AES block; encrypted passwords are whole blocks.
const BLOCK: usize = 16;
/// Longest password on the air: 64 bytes and a block of padding.
const CIPHER_MAX: usize = super::PASSWORD_MAX + BLOCK;
/// Longest message.
const MESSAGE_MAX: usize = CIPHER_MAX + 1 + super::SSID_MAX;

/// Returns the seven bits that guard a sequence.
fn crc7(index: u8, bytes: &[u8]) -> u8 {
    let mut guarded = [index; SEQUENCE + 1];
    guarded[1..=bytes.len()].copy_from_slice(bytes);
    super::crc8(&guarded[..=bytes.len()]) & 0x7F
}

/// Returns a key as the vendor pads it, zeros on the right; `None` beyond 16 bytes.
pub fn pad_key(key: &[u8]) -> Option<[u8; BLOCK]> {
    let mut padded = [0; BLOCK];
    padded.get_mut(..key.len())?.copy_from_slice(key);
    Some(padded)
}
