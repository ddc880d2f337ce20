//! The name server of an access point without a way out: every name is the device's address, so
//! that a phone's look for a captive portal finds the device's page.
//!
//! One question per message, no recursion, no EDNS: more is answered as "not implemented".
//!
//! Source: RFC 1035 §4; RFC 8020 is not needed, as every name exists.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// Longest question, bytes (RFC 1035 §4.2.1).
pub const MESSAGE_MAX: usize = 512;
/// Seconds for which an answer may be kept: the phone goes home soon.
const LIFE: u32 = 5;
/// Bytes of a header.
const HEADER: usize = 12;
/// Longest name, bytes (RFC 1035 §2.3.4).
const NAME_MAX: usize = 255;
/// Type A, class IN.
const A: u16 = 1;
const ANY: u16 = 255;
const IN: u16 = 1;
const NOT_IMPLEMENTED: u8 = 4;

/// Answers a question; `None` for what is none and gets no answer.
pub fn answer(question: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    if question.len() > MESSAGE_MAX {
        return None;
    }
    let (header, rest) = question.split_first_chunk::<HEADER>()?;
    let [id0, id1, flags, _, ..] = *header;
    let is_answer = flags & 0x80 != 0;
    if is_answer {
        return None;
    }
    let count = u16::from_be_bytes([header[4], header[5]]);
    let is_query = flags & 0x78 == 0;
    let asked = if is_query && count == 1 { name_end(rest) } else { None };
    let parts = asked.and_then(|end| {
        let (name, rest) = rest.split_at_checked(end)?;
        let (kind, rest) = rest.split_first_chunk()?;
        let (class, _) = rest.split_first_chunk()?;
        Some((name, u16::from_be_bytes(*kind), u16::from_be_bytes(*class)))
    });
    // Authoritative; whether recursion is wanted is repeated, as is the operation.
    let own = 0x84 | flags & 0x79;
    let Some((name, kind, class)) = parts else {
        let head = [id0, id1, own, NOT_IMPLEMENTED];
        return Some(head.into_iter().chain([0; HEADER - 4]).collect());
    };
    let has_address = matches!(kind, A | ANY) && class == IN;
    let mut out = Vec::with_capacity(HEADER + name.len() + 20);
    out.extend_from_slice(&[id0, id1, own, 0, 0, 1, 0, u8::from(has_address), 0, 0, 0, 0]);
    out.extend_from_slice(name);
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&class.to_be_bytes());
    if has_address {
        // A pointer to the name behind the header.
        out.extend_from_slice(&[0xC0, HEADER as u8]);
        out.extend_from_slice(&A.to_be_bytes());
        out.extend_from_slice(&IN.to_be_bytes());
        out.extend_from_slice(&LIFE.to_be_bytes());
        out.extend_from_slice(&[0, 4]);
        out.extend_from_slice(&address.octets());
    }
    Some(out)
}

/// Returns the length of the name at the start, its last zero included; a question has no pointers.
fn name_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let len = usize::from(*bytes.get(at)?);
        at += 1 + len;
        match len {
            0 => return (at <= NAME_MAX).then_some(at),
            1..=63 if at < NAME_MAX => {}
            _ => return None,
        }
    }
}
