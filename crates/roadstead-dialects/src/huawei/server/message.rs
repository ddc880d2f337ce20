//! Reading and writing of message bodies, common to all topics.
//!
//! Source: Huawei §3; T9 (bare numbers).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString as _;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::Uplink;
use roadstead_core::{Code, Value};
use serde::Serialize;

use crate::cloud::{Heard, Message};
use crate::huawei::gzip::gunzip;
use crate::huawei::topic::Topic;

/// Largest message to a device, bytes (§2.1).
const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// Longest name of an unknown method kept for the trace, bytes.
const NAME_BYTES_MAX: usize = 64;
/// Longest status text of a device that is kept, bytes.
const STATUS_BYTES_MAX: usize = 256;

/// Writes a message.
pub(super) fn message(topic: &Topic<'_>, body: &impl Serialize) -> Message {
    let payload = serde_json::to_vec(body).expect("bodies have text keys only");
    raw(topic, payload.into())
}

/// Writes a message of given bytes. Everything the platform sends has QoS 1 (§3).
pub(super) fn raw(topic: &Topic<'_>, payload: Bytes) -> Message {
    Message { topic: topic.to_string().into(), payload, qos: 1 }
}

/// Refuses what the platform promises not to send.
pub(super) fn checked(message: Message) -> Result<Message, CommandError> {
    match message.payload.len() {
        size if size > PAYLOAD_BYTES_MAX => {
            Err(CommandError::TooLarge { size, limit: PAYLOAD_BYTES_MAX })
        }
        _ => Ok(message),
    }
}

/// Cuts a text at a character boundary.
pub(super) fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
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
pub(super) fn unreadable(error: &serde_json::Error) -> Heard {
    let what = if error.is_data() { "a member is missing or has a wrong type" } else { "not JSON" };
    let detail = format!("{what}, line {} byte {}", error.line(), error.column());
    noted(malformed("payload.malformed", detail))
}

/// Returns the body of a message, unpacked if its topic says that it is packed.
///
/// # Errors
///
/// What to make of a body that cannot be unpacked.
pub(super) fn unpack(
    payload: &[u8],
    is_packed: bool,
    bytes_max: usize,
) -> Result<Cow<'_, [u8]>, Box<Heard>> {
    if !is_packed {
        return Ok(Cow::Borrowed(payload));
    }
    gunzip(payload, bytes_max)
        .map(Cow::Owned)
        .map_err(|error| Box::new(noted(malformed("payload.malformed", error.to_string()))))
}

/// Reads a result code; firmware writes it as a number or as text, and leaves it out for success.
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
