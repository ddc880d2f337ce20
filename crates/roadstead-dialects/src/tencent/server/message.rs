//! Reading and writing of message bodies, common to all topics.
//!
//! Source: Tencent §3.5 (packet sizes), §7 (members of replies).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString as _;

use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Uplink};
use roadstead_core::{Code, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::reply::Kind;
use crate::cloud::{Heard, Message, Reply};
use crate::tencent::codes;
use crate::tencent::topic::Topic;
use crate::tencent::value::SECONDS_MAX;

/// Largest packet the firmware takes, bytes; its receive buffer has 2048 (§3.5).
pub(super) const PACKET_BYTES_MAX: usize = 2047;
/// Largest packet a gateway takes on its own topics, bytes (§12).
pub(super) const GATEWAY_PACKET_BYTES_MAX: usize = 1023;
/// Longest `clientToken` that is echoed, bytes. The SDK's own limit is 90 (§7).
pub(super) const TOKEN_BYTES_MAX: usize = 128;
/// Longest `status` text sent, bytes.
const STATUS_BYTES_MAX: usize = 160;
/// Longest name of an unknown method kept for the trace, bytes.
const NAME_BYTES_MAX: usize = 48;
/// A device clock before this is not set: it counts from 1970 or from its start (§13.1).
const CLOCK_SET: Timestamp = Timestamp(1_000_000_000_000);
/// A device clock further ahead than this is wrong, milliseconds.
const CLOCK_AHEAD_MAX_MS: i64 = 24 * 3_600_000;

/// The members that every request on a `$thing` topic has.
#[derive(Deserialize)]
pub(super) struct Address<'a> {
    #[serde(borrow)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow, default, rename = "clientToken")]
    pub(super) token: Cow<'a, str>,
}

/// `{"method", "clientToken", "code", "status"}`: most replies.
#[derive(Serialize)]
pub(super) struct CodeReply<'a> {
    pub(super) method: &'a str,
    #[serde(rename = "clientToken", skip_serializing_if = "str::is_empty")]
    pub(super) token: &'a str,
    pub(super) code: i32,
    pub(super) status: &'a str,
}

/// Writes a message.
pub(super) fn message(topic: Topic<'_>, body: &impl Serialize, qos: u8) -> Message {
    let payload = serde_json::to_vec(body).expect("bodies have text keys only");
    Message { topic: topic.to_string().into(), payload: payload.into(), qos }
}

/// Returns the size of the PUBLISH packet on the wire, bytes.
pub(super) fn packet_bytes(message: &Message) -> usize {
    // Fixed header 1 + up to 2 (below 16 KiB), topic length 2, packet id 2.
    7 + message.topic.len() + message.payload.len()
}

/// Refuses a request that the firmware's buffer cannot hold.
pub(super) fn checked(message: Message, limit: usize) -> Result<Message, CommandError> {
    match packet_bytes(&message) {
        size if size > limit => Err(CommandError::TooLarge { size, limit }),
        _ => Ok(message),
    }
}

/// Returns `code` and `status` of a reply.
pub(super) fn verdict(answer: &Answer) -> (i32, &str) {
    match answer {
        Answer::Partly { code, detail } | Answer::Refused { code, detail } => {
            (codes::reply(code), clip(detail, STATUS_BYTES_MAX))
        }
        Answer::Done
        | Answer::Shadow(_)
        | Answer::Time { .. }
        | Answer::LogLevel(_)
        | Answer::Config(_)
        | Answer::SubDevices(_)
        | Answer::Created(_)
        | Answer::Registered(_)
        | Answer::Described(_) => (0, "success"),
    }
}

/// Cuts a text at a character boundary.
pub(super) fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Something understood, to be answered.
pub(super) fn heard(uplink: Uplink, kind: Kind, token: &str) -> Heard {
    Heard { uplink, reply: Some(Reply { kind: kind as u8, token: token.into() }) }
}

/// Something understood that has no answer.
pub(super) fn noted(uplink: Uplink) -> Heard {
    Heard { uplink, reply: None }
}

/// Something of the vendor's that means nothing here.
pub(super) fn ignored(what: &str) -> Heard {
    noted(Uplink::Ignored { what: clip(what, NAME_BYTES_MAX).into() })
}

/// Something not understood.
pub(super) fn malformed(code: Code, detail: impl Into<Box<str>>) -> Uplink {
    Uplink::Malformed { code, detail: detail.into() }
}

/// Something that is no JSON or has a member of the wrong type. The parser's own text is not
/// passed on: it quotes values.
pub(super) fn unreadable(error: &serde_json::Error) -> Uplink {
    let what = if error.is_data() { "a member is missing or has a wrong type" } else { "not JSON" };
    malformed("payload.malformed", format!("{what}, byte {}", error.column()))
}

/// Returns when something happened: by the device's clock (seconds or milliseconds) if that can
/// be right, else by ours.
pub(super) fn device_time(claimed: Option<&Value>, now: Timestamp) -> Timestamp {
    let Some(claimed) = claimed.and_then(Value::as_i64) else { return now };
    let at =
        Timestamp(if claimed.unsigned_abs() <= SECONDS_MAX { claimed * 1000 } else { claimed });
    let is_right = at >= CLOCK_SET && at.0.saturating_sub(now.0) <= CLOCK_AHEAD_MAX_MS;
    if is_right { at } else { now }
}

/// Reads a result code; firmware writes it as a number or as text.
pub(super) fn result_code(code: Option<&Value>) -> i64 {
    match code {
        Some(Value::String(text)) => text.parse().unwrap_or(-1),
        Some(value) => value.as_i64().unwrap_or(-1),
        None => 0,
    }
}

/// Reads a status text.
pub(super) fn status_text(status: Option<&Value>) -> Box<str> {
    clip(status.and_then(Value::as_str).unwrap_or_default(), STATUS_BYTES_MAX).into()
}

/// Finds out whom to refuse when a body did not parse.
pub(super) fn address(payload: &[u8]) -> Option<Address<'_>> {
    serde_json::from_slice(payload).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn device_clocks_are_believed_only_when_they_can_be_right() {
        let now = Timestamp(1_795_222_375_288);
        for (claimed, expected) in [
            (json!(1_795_222_000), 1_795_222_000_000),
            (json!(1_795_222_000_123_i64), 1_795_222_000_123),
            (json!(now.0 + CLOCK_AHEAD_MAX_MS), now.0 + CLOCK_AHEAD_MAX_MS),
            (json!(now.0 + CLOCK_AHEAD_MAX_MS + 1), now.0),
            (json!(now.as_secs() + 90_000), now.0),
            (json!(35), now.0),
            (json!(35_000), now.0),
            (json!(i64::MAX), now.0),
            (json!(i64::MIN), now.0),
            (json!("later"), now.0),
            (json!(null), now.0),
        ] {
            assert_eq!(device_time(Some(&claimed), now).0, expected, "{claimed}");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(clip("温度太高", 5), "温");
        assert_eq!(clip("ok", 5), "ok");
    }
}
