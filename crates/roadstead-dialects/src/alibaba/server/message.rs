//! Reading and writing of messages, common to all topics of the cloud half.
//!
//! Source: Alibaba §2 (sizes), §8 (answers).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};

use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Uplink};
use roadstead_core::{Code, Map, Timestamp, Value};
use serde::Serialize;

use super::reply::{Kind, Mark};
use super::scene::Scene;
use crate::alibaba::codes;
use crate::alibaba::payload::{Answered, OK, Request, VERSION};
use crate::alibaba::topic::{Verb, sys};
use crate::cloud::{Heard, Message, Reply};

/// Largest payload sent, bytes: the receive buffer of the living SDK. Link Kit 3 takes 1024 unless
/// its maker raised it; what people ask for is sent whole, the rest stays far below (§2).
pub(super) const PAYLOAD_BYTES_MAX: usize = 5000;
/// Longest topic firmware takes, bytes (§2).
const TOPIC_BYTES_MAX: usize = 128;
/// Longest text of a refusal sent, bytes.
const TEXT_BYTES_MAX: usize = 160;
/// Longest name of something unknown kept for the trace, bytes.
const NAME_BYTES_MAX: usize = 96;
/// Longest `method` that is echoed, bytes.
const METHOD_BYTES_MAX: usize = 128;
/// A device clock before this is not set: it counts from 1970 or from its start.
const CLOCK_SET: Timestamp = Timestamp(1_000_000_000_000);
/// A device clock further ahead than this is wrong, milliseconds.
const CLOCK_AHEAD_MAX_MS: i64 = 24 * 3_600_000;

/// Writes a message.
pub(super) fn message(topic: impl core::fmt::Display, body: &impl Serialize, qos: u8) -> Message {
    let payload = serde_json::to_vec(body).expect("bodies have text keys only");
    Message { topic: topic.to_string().into(), payload: payload.into(), qos }
}

/// Refuses a request that firmware cannot take.
pub(super) fn checked(message: Message) -> Result<Message, CommandError> {
    if message.topic.len() > TOPIC_BYTES_MAX {
        return Err(CommandError::Unsupported("the topic is longer than firmware takes"));
    }
    match message.payload.len() {
        size if size > PAYLOAD_BYTES_MAX => {
            Err(CommandError::TooLarge { size, limit: PAYLOAD_BYTES_MAX })
        }
        _ => Ok(message),
    }
}

/// A request of the platform; the order of its members is the recorded one.
#[derive(Serialize)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) id: &'a str,
    pub(super) params: &'a Value,
    pub(super) version: &'static str,
}

/// Writes a request on a topic of `/sys`.
pub(super) fn request(
    scene: &Scene<'_>,
    rest: &str,
    id: &str,
    params: &Value,
) -> Result<Message, CommandError> {
    let method = rest.replace('/', ".");
    let body = Asked { method: &method, id, params, version: VERSION };
    checked(message(scene.topic(Verb::Sys(rest)), &body, 0))
}

/// Returns `code` and `message` of an answer.
pub(super) fn verdict(answer: &Answer) -> (i64, &str) {
    match answer {
        Answer::Refused { code, detail } => (codes::reply(code), clip(detail, TEXT_BYTES_MAX)),
        // What did not fit is said in `data`.
        Answer::Partly { .. }
        | Answer::Done
        | Answer::Shadow(_)
        | Answer::Time { .. }
        | Answer::LogLevel(_)
        | Answer::Config(_)
        | Answer::SubDevices(_)
        | Answer::Created(_)
        | Answer::Registered(_)
        | Answer::Described(_) => (OK, "success"),
    }
}

/// Writes an answer.
pub(super) fn answered(
    scene: &Scene<'_>,
    mark: &Mark<'_>,
    (code, text): (i64, &str),
    data: &Value,
) -> Message {
    let body =
        Answered { code, data, id: mark.id, message: text, method: mark.method, version: VERSION };
    let rest = format!("{}{}", mark.rest, sys::REPLY);
    let verb = match mark.rest.strip_prefix(super::reply::COMBINE) {
        Some(combine) => {
            let combine = format!("{combine}{}", sys::REPLY);
            return message(scene.topic(Verb::Combine(&combine)), &body, 0);
        }
        None => Verb::Sys(&rest),
    };
    message(scene.topic(verb), &body, 0)
}

/// Returns an empty object.
pub(super) fn nothing() -> Value {
    Value::Object(Map::new())
}

/// Cuts a text at a character boundary.
pub(super) fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// Something understood, answered on the topic of the request with its id. Without an id nobody
/// could recognise the answer, and there is none.
pub(super) fn heard(uplink: Uplink, kind: Kind, rest: &str, request: &Request) -> Heard {
    let Some(id) = request.id_text() else { return noted(uplink) };
    let method = clip(&request.method, METHOD_BYTES_MAX);
    let token = Mark { rest, method, id: &id }.write();
    Heard { uplink, reply: Some(Reply { kind: kind as u8, token }) }
}

/// Something understood that has no answer.
pub(super) fn noted(uplink: Uplink) -> Heard {
    Heard { uplink, reply: None }
}

/// Something of the vendor's that means nothing here.
pub(super) fn ignored(what: &str) -> Uplink {
    Uplink::Ignored { what: clip(what, NAME_BYTES_MAX).into() }
}

/// Something that this dialect answers by itself.
pub(super) fn asked(what: &str) -> Uplink {
    Uplink::Asked { what: what.into() }
}

/// Something not understood.
pub(super) fn malformed(code: Code, detail: impl Into<Box<str>>) -> Uplink {
    Uplink::Malformed { code, detail: detail.into() }
}

/// A request whose parameters are not what its topic wants.
pub(super) fn bad_params(what: &str) -> Uplink {
    malformed("payload.malformed", String::from(what))
}

/// Something that is no JSON or has a member of the wrong type. The parser's own text is not
/// passed on: it quotes values.
pub(super) fn unreadable(error: &serde_json::Error) -> Uplink {
    let what = if error.is_data() { "a member is missing or has a wrong type" } else { "not JSON" };
    malformed("payload.malformed", format!("{what}, byte {}", error.column()))
}

/// Returns when something happened: by the device's clock (milliseconds) if that can be right,
/// else by ours.
pub(super) fn device_time(claimed: Option<&Value>, now: Timestamp) -> Timestamp {
    let claimed = claimed.and_then(|value| match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_i64(),
    });
    let Some(at) = claimed.map(Timestamp) else { return now };
    let is_right = at >= CLOCK_SET && at.0.saturating_sub(now.0) <= CLOCK_AHEAD_MAX_MS;
    if is_right { at } else { now }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn device_clocks_are_believed_only_when_they_can_be_right() {
        let now = Timestamp(1_795_222_375_288);
        for (claimed, expected) in [
            (json!(1_795_222_000_123_i64), 1_795_222_000_123),
            (json!("1795222000123"), 1_795_222_000_123),
            (json!(now.0 + CLOCK_AHEAD_MAX_MS), now.0 + CLOCK_AHEAD_MAX_MS),
            (json!(now.0 + CLOCK_AHEAD_MAX_MS + 1), now.0),
            (json!(35), now.0),
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
