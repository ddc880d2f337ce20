//! One gzip member (RFC 1952) of bounded size: the body of topics with `?encoding=gzip`.
//!
//! Not here: deflate (`miniz_oxide`), files of several members; no SDK sends them.
//!
//! Source: Huawei §3; RFC 1952; recordings of the C SDK.

use alloc::vec::Vec;

use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_with_limit};

/// Effort of packing, 1 to 10; bodies are small.
const LEVEL: u8 = 6;

/// Header without optional fields, bytes.
const HEAD: usize = 10;
/// Checksum and length, bytes.
const TAIL: usize = 8;

const FLAG_CHECKSUM: u8 = 0x02;
const FLAG_EXTRA: u8 = 0x04;
const FLAG_NAME: u8 = 0x08;
const FLAG_COMMENT: u8 = 0x10;
const FLAG_RESERVED: u8 = 0xE0;

/// Why a member cannot be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GzipError {
    /// It is no gzip member.
    #[error("not gzip")]
    Header,
    /// The compressed data is damaged.
    #[error("damaged deflate stream")]
    Stream,
    /// It unpacks to more than the limit.
    #[error("larger than {0} bytes when unpacked")]
    TooLarge(usize),
    /// Checksum or length at its end differ.
    #[error("the checksum differs")]
    Checksum,
}

/// Unpacks a member to at most `bytes_max` bytes.
///
/// # Errors
///
/// `GzipError`; nothing larger than the limit is ever allocated.
pub fn gunzip(member: &[u8], bytes_max: usize) -> Result<Vec<u8>, GzipError> {
    let start = header(member).ok_or(GzipError::Header)?;
    let end = member.len().checked_sub(TAIL).filter(|end| *end >= start);
    let (body, tail) = member.split_at(end.ok_or(GzipError::Header)?);
    let unpacked = decompress_to_vec_with_limit(&body[start..], bytes_max);
    let plain = unpacked.map_err(|error| {
        if error.status == TINFLStatus::HasMoreOutput {
            GzipError::TooLarge(bytes_max)
        } else {
            GzipError::Stream
        }
    })?;
    let number = |at: usize| {
        tail.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    };
    let length = u32::try_from(plain.len()).ok();
    if number(0) != Some(crc32(&plain)) || number(4) != length {
        return Err(GzipError::Checksum);
    }
    Ok(plain)
}

/// Packs a member without optional fields.
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    // No time, no extra flags, written by an unknown system.
    let mut member = Vec::from([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF]);
    member.extend(compress_to_vec(plain, LEVEL));
    member.extend(crc32(plain).to_le_bytes());
    // RFC 1952 keeps the length modulo 2^32.
    member.extend((plain.len() as u32).to_le_bytes());
    member
}

/// Returns where the compressed data begins.
fn header(member: &[u8]) -> Option<usize> {
    let [0x1F, 0x8B, 8, flags, ..] = *member else { return None };
    if flags & FLAG_RESERVED != 0 || member.len() < HEAD {
        return None;
    }
    let mut at = HEAD;
    if flags & FLAG_EXTRA != 0 {
        let length = member.get(at..at + 2)?;
        at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            at += 1 + member.get(at..)?.iter().position(|&byte| byte == 0)?;
        }
    }
    if flags & FLAG_CHECKSUM != 0 {
        at += 2;
    }
    (at <= member.len()).then_some(at)
}

/// CRC-32 of RFC 1952 section 8, bit by bit: bodies are small and rare.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Packs a member, with the optional fields of `flags`.
    pub(crate) fn pack(plain: &[u8], flags: u8) -> Vec<u8> {
        let mut member = Vec::from([0x1F, 0x8B, 8, flags, 0, 0, 0, 0, 0, 3]);
        if flags & FLAG_EXTRA != 0 {
            member.extend([3, 0, 1, 2, 3]);
        }
        if flags & FLAG_NAME != 0 {
            member.extend(b"name\0");
        }
        if flags & FLAG_COMMENT != 0 {
            member.extend(b"\0");
        }
        if flags & FLAG_CHECKSUM != 0 {
            member.extend([0xAA, 0xBB]);
        }
        member.extend(compress_to_vec(plain, 6));
        member.extend(crc32(plain).to_le_bytes());
        member.extend((plain.len() as u32).to_le_bytes());
        member
    }

    #[test]
    fn damage_and_bombs_are_refused() {
        let member = pack(b"hello", 0);
        assert_eq!(gunzip(&member, 5).as_deref(), Ok(&b"hello"[..]));
        assert_eq!(gunzip(&member, 4), Err(GzipError::TooLarge(4)));
        let bomb = pack(&[0; 1 << 20], 0);
        assert!(bomb.len() < 2000);
        assert_eq!(gunzip(&bomb, 65_536), Err(GzipError::TooLarge(65_536)));
        let mut wrong = member.clone();
        *wrong.last_mut().expect("bytes") ^= 1;
        assert_eq!(gunzip(&wrong, 100), Err(GzipError::Checksum));
        assert_eq!(gunzip(&member[..member.len() - 1], 100), Err(GzipError::Stream));
        for len in 0..18 {
            assert!(gunzip(&member[..len], 100).is_err());
        }
    }

    proptest! {
        #[test]
        fn members_round_trip(
            plain in proptest::collection::vec(any::<u8>(), 0..2000),
            flags in 0_u8..0x20,
        ) {
            prop_assert_eq!(gunzip(&gzip(&plain), 2000), Ok(plain.clone()));
            prop_assert_eq!(gunzip(&pack(&plain, flags), 2000), Ok(plain));
        }

        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = gunzip(&bytes, 1000);
            let mut framed = Vec::from([0x1F, 0x8B, 8]);
            framed.extend(bytes);
            let _ = gunzip(&framed, 1000);
        }
    }
}
