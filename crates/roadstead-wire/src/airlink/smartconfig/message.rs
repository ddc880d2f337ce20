//! The message: coding, encryption and checksum.

use alloc::vec::Vec;

use aes::Aes128;
use cfb_mode::cipher::KeyIvInit as _;
use sha2::{Digest as _, Sha256};

use super::super::ack::Proof;
use super::super::{Credentials, EncodeError, PASSWORD_MAX, Reason, SSID_MAX, Scheme};
use super::VALUE_MAX;

/// Flags: an SSID is there.
const SSID: u8 = 0b00_0001;
/// Flags: the password is AES-128-CFB; the vendor's receiver refuses everything else.
const CFB: u8 = 0b00_0100;
/// Flags: which bits tell the encryption.
const ENCRYPTION: u8 = 0b00_0110;
/// Flags: the SSID is regrouped.
const PACKED: u8 = 0b10_0000;
/// Taken off the bytes of a plain SSID.
const OFFSET: u8 = 32;
/// Bytes in front of the SSID.
const HEAD: usize = 4;
/// Bytes of the checksum.
const SUM: usize = 2;
/// Bits of a coded byte.
const BITS: usize = 6;
const MASK: u8 = 0x3F;

/// Returns the AES key of a product: the beginning of SHA-256(secret, ",", 16 zero bytes).
pub fn key(product_secret: &[u8]) -> [u8; 16] {
    let digest = Sha256::digest([product_secret, b",", &[0; 16]].concat());
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

/// Returns the message that carries SSID and password.
///
/// # Errors
/// If its length does not fit a slot.
pub fn emit(ssid: &[u8], password: &[u8], key: [u8; 16]) -> Result<Vec<u8>, EncodeError> {
    let mut cipher = password.to_vec();
    cfb_mode::Encryptor::<Aes128>::new(&key.into(), &[0; 16].into()).encrypt(&mut cipher);
    let plain = ssid.iter().all(|byte| (OFFSET..0x80).contains(byte));
    let ssid = match plain {
        true => ssid.iter().map(|byte| byte - OFFSET).collect(),
        false => packed(ssid),
    };
    let password = packed(&cipher);
    let total = HEAD + ssid.len() + password.len() + SUM;
    // The length travels in a slot like everything else.
    let limit = usize::from(VALUE_MAX);
    if total > limit {
        return Err(EncodeError::TooLong { scheme: Scheme::SmartConfig, size: total, limit });
    }
    let flags = SSID | CFB | if plain { 0 } else { PACKED };
    let mut message =
        [&[total as u8, flags, ssid.len() as u8, password.len() as u8][..], &ssid, &password]
            .concat();
    let sum = sum(&message);
    message.extend_from_slice(&sum);
    Ok(message)
}

/// Reads a message whose bytes are all known.
pub(super) fn parse(message: &[u8], key: Option<[u8; 16]>) -> Result<Credentials, Reason> {
    let (body, sum_sent) = message.split_last_chunk::<SUM>().ok_or(Reason::ChecksumConflict)?;
    let [_, flags, rest @ ..] = body else {
        return Err(Reason::ChecksumConflict);
    };
    if sum(body) != *sum_sent {
        return Err(Reason::ChecksumConflict);
    }
    let (ssid, password) = match (flags & SSID != 0, rest) {
        (true, [ssid, password, rest @ ..])
            if rest.len() == usize::from(*ssid) + usize::from(*password) =>
        {
            rest.split_at(usize::from(*ssid))
        }
        (false, [password, rest @ ..]) if rest.len() == usize::from(*password) => (&[][..], rest),
        _ => return Err(Reason::ChecksumConflict),
    };
    let ssid = match flags & PACKED != 0 {
        true => unpacked(ssid),
        false => ssid.iter().map(|byte| byte.wrapping_add(OFFSET)).collect(),
    };
    let mut password = unpacked(password);
    if ssid.len() > SSID_MAX || password.len() > PASSWORD_MAX {
        return Err(Reason::ChecksumConflict);
    }
    let key = key.filter(|_| flags & ENCRYPTION == CFB).ok_or(Reason::DecryptFailed)?;
    cfb_mode::Decryptor::<Aes128>::new(&key.into(), &[0; 16].into()).decrypt(&mut password);
    // CFB decrypts under any key; a wrong one gives bytes that nobody types.
    if core::str::from_utf8(&password).map_or(true, |text| text.chars().any(char::is_control)) {
        return Err(Reason::DecryptFailed);
    }
    Ok(Credentials {
        ssid,
        password,
        bssid: None,
        phone_ip: None,
        extra: Vec::new(),
        ack: Proof::SmartConfig,
    })
}

/// Returns the checksum, high half first; a half of zero is sent as one.
fn sum(bytes: &[u8]) -> [u8; SUM] {
    let sum = bytes.iter().fold(0_u16, |sum, byte| sum.wrapping_add((*byte).into()));
    [sum >> BITS, sum].map(|half| (half as u8 & MASK).max(1))
}

/// Regroups bytes into six bits, lowest first.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| byte >> (at % 8) & 1);
    let groups = (bytes.len() * 8).div_ceil(BITS);
    (0..groups)
        .map(|group| (0..BITS).fold(0, |sum, at| sum | bit(group * BITS + at) << at))
        .collect()
}

/// The reverse; bits left over are padding.
fn unpacked(groups: &[u8]) -> Vec<u8> {
    let bit = |at: usize| groups.get(at / BITS).map_or(0, |group| group >> (at % BITS) & 1);
    let bytes = groups.len() * BITS / 8;
    (0..bytes).map(|byte| (0..8).fold(0, |sum, at| sum | bit(byte * 8 + at) << at)).collect()
}
