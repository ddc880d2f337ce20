//! Request ids of the platform: UUIDs that carry the request, so no table of them is kept.
//!
//! ```text
//! cccccccc-rrrr-4rrr-8rrr-rrrrrrmmmmmm     connection, request, mark of the connection
//! ```
//!
//! The connection part keeps an answer to an earlier connection or process from being taken for
//! one of this. Request 0 is one that nobody waits for.
//!
//! Source: Huawei §3 (`request_id` is a UUID of the requester), T12.

use alloc::format;
use alloc::string::String;

use roadstead_core::RequestId;

/// Bits of the mark.
const MARK: u64 = 0x00FF_FFFF;

/// Writes the id of a request of this connection.
pub(super) fn encode(connection: u64, id: Option<RequestId>) -> String {
    let id = id.map_or(0, |id| id.0);
    let head = connection as u32;
    let mark = connection >> 32 & MARK;
    let part = |from: u32, bits: u32| id >> (64 - from - bits) & ((1 << bits) - 1);
    format!(
        "{head:08x}-{:04x}-4{:03x}-8{:03x}-{:06x}{mark:06x}",
        part(0, 16),
        part(16, 12),
        part(28, 12),
        part(40, 24)
    )
}

/// Returns the request that an id of this connection names.
pub(super) fn decode(connection: u64, text: &str) -> Option<RequestId> {
    let mut digits = text.bytes().enumerate().filter_map(|(n, byte)| match (n, byte) {
        (8 | 13 | 18 | 23, b'-') => None,
        // The fixed digits of a version 4 UUID.
        (14, b'4') | (19, b'8') => None,
        (_, byte) => Some(char::from(byte).to_digit(16).map(u64::from)),
    });
    let mut number = |len: usize| (0..len).try_fold(0, |n, _| Some(n << 4 | digits.next()??));
    let (head, id, mark) = (number(8)?, number(16)?, number(6)?);
    let id = RequestId(id);
    let is_ours = head == u64::from(connection as u32) && mark == connection >> 32 & MARK;
    // What it does not write itself it does not recognise.
    (is_ours && id.0 != 0 && encode(connection, Some(id)) == text).then_some(id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_round_trip(connection: u64, id in 1_u64..) {
            let text = encode(connection, Some(RequestId(id)));
            prop_assert_eq!(text.len(), 36);
            prop_assert_eq!(decode(connection, &text), Some(RequestId(id)));
            prop_assert_eq!(decode(connection ^ 1, &text), None);
            prop_assert_eq!(decode(connection ^ 1 << 40, &text), None);
            prop_assert_eq!(decode(connection, &encode(connection, None)), None);
        }

        #[test]
        fn foreign_ids_are_not_ours(connection: u64, text in "\\PC{0,50}|[0-9a-f-]{36}") {
            prop_assert_eq!(decode(connection, &text), None);
        }
    }
}
