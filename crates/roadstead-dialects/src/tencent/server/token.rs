//! The correlation text of our requests: it carries the request id, so no table is kept.
//!
//! `rs<connection>-<request>[-<actionId>]`, both numbers hexadecimal. The connection part keeps
//! an answer to an earlier connection or process from being taken for one of this.
//!
//! Source: Tencent §7 (`clientToken` up to 90 characters, echoed unchanged), §8 (RRPC process).

use alloc::format;
use alloc::string::String;

use roadstead_core::{RequestId, Timestamp};

const MARK: &str = "rs";

/// Returns the token of a request. Without an id nobody waits, but firmware drops a request
/// without a token (§7), so it gets one that is never recognised.
pub(super) fn encode(
    connection: u32,
    id: Option<RequestId>,
    action: Option<&str>,
    now: Timestamp,
) -> String {
    match (id, action) {
        (None, _) => format!("push-{}", now.as_millis()),
        (Some(RequestId(id)), None) => format!("{MARK}{connection:08x}-{id:x}"),
        (Some(RequestId(id)), Some(action)) => format!("{MARK}{connection:08x}-{id:x}-{action}"),
    }
}

/// Returns the request a token of this connection names, and the action it carries.
pub(super) fn decode(connection: u32, token: &str) -> Option<(RequestId, Option<&str>)> {
    let (ours, rest) = token.strip_prefix(MARK)?.split_once('-')?;
    if ours.len() != 8 || number(ours)? != u64::from(connection) {
        return None;
    }
    let (id, action) = match rest.split_once('-') {
        Some((id, action)) => (id, Some(action)),
        None => (rest, None),
    };
    Some((RequestId(number(id)?), action))
}

/// Reads hexadecimal digits; no sign.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u64::from_str_radix(text, 16).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_round_trip(
            connection: u32,
            id: u64,
            action in proptest::option::of("[a-zA-Z0-9_-]{1,20}"),
        ) {
            let action = action.as_deref();
            let token = encode(connection, Some(RequestId(id)), action, Timestamp(0));
            prop_assert!(token.len() <= 90);
            prop_assert_eq!(decode(connection, &token), Some((RequestId(id), action)));
            prop_assert_eq!(decode(connection ^ 1, &token), None);
            let push = encode(connection, None, action, Timestamp(5));
            prop_assert_eq!(decode(connection, &push), None);
        }

        #[test]
        fn foreign_tokens_are_not_ours(connection: u32, token in "\\PC{0,40}") {
            prop_assert_eq!(decode(connection, &token), None);
        }
    }

    #[test]
    fn signs_and_gaps_are_no_numbers() {
        for token in ["rs+0000001-1", "rs1-1", "rs00000001-", "rs00000001", "rs00000001-x"] {
            assert_eq!(decode(1, token), None, "{token}");
        }
    }
}
