//! Questions and answers of DNS (RFC 1035): the first name, the answer's code, whether an address
//! is in it.

use super::be16;

/// What a message says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) id: u16,
    pub(super) response: bool,
    pub(super) code: u8,
    pub(super) answers: u16,
    pub(super) name: String,
}

/// Reads the head and the first question.
pub(super) fn parse(bytes: &[u8]) -> Option<Answer> {
    let flags = be16(bytes, 2)?;
    let questions = be16(bytes, 4)?;
    if questions == 0 || flags >> 11 & 0xf != 0 {
        return None;
    }
    let mut name = String::new();
    let mut at = 12;
    loop {
        let length = usize::from(*bytes.get(at)?);
        match length {
            0 => break,
            // A question is never compressed.
            64.. => return None,
            _ => {
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&super::plain(bytes.get(at + 1..at + 1 + length)?, 63));
                at += 1 + length;
            }
        }
    }
    Some(Answer {
        id: be16(bytes, 0)?,
        response: flags & 0x8000 != 0,
        code: (flags & 0xf) as u8,
        answers: be16(bytes, 6)?,
        name,
    })
}

/// Returns the name of an answer's code.
pub(super) const fn code_name(code: u8) -> &'static str {
    match code {
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        5 => "REFUSED",
        _ => "an error",
    }
}
