//! The log level: how much the device should upload.
//!
//! Source: Tencent §11; `transcripts/tencent/log-upload-plain.json`.

use alloc::borrow::Cow;

use roadstead_core::Timestamp;
use roadstead_core::exchange::Uplink;
use serde::{Deserialize, Serialize};

use super::message::{TOKEN_BYTES_MAX, heard, ignored, malformed, message, noted, unreadable};
use super::reply::Kind;
use crate::cloud::{Heard, Message};
use crate::tencent::topic::Topic;

/// The highest level: debug.
const LEVEL_MAX: u8 = 4;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "type")]
    ty: Cow<'a, str>,
    #[serde(borrow, default, rename = "clientToken")]
    token: Cow<'a, str>,
}

/// Understands one message of `$log/operation`.
pub(super) fn uplink(payload: &[u8]) -> Heard {
    match serde_json::from_slice::<Body<'_>>(payload) {
        Ok(body) if body.token.len() > TOKEN_BYTES_MAX => {
            noted(malformed("payload.malformed", "the clientToken is too long"))
        }
        Ok(body) if body.ty == "get_log_level" => {
            heard(Uplink::LogLevel, Kind::LogLevel, &body.token)
        }
        Ok(body) => ignored(&body.ty),
        Err(error) => noted(unreadable(&error)),
    }
}

#[derive(Serialize)]
struct LevelReply<'a> {
    #[serde(rename = "type")]
    ty: &'static str,
    log_level: u8,
    timestamp: i64,
    #[serde(rename = "clientToken", skip_serializing_if = "str::is_empty")]
    token: &'a str,
}

/// Writes the level, asked for or not.
pub(super) fn level(topic: Topic<'_>, level: u8, token: &str, now: Timestamp) -> Message {
    let log_level = level.min(LEVEL_MAX);
    let body = LevelReply { ty: "get_log_level", log_level, timestamp: now.as_secs(), token };
    message(topic, &body, 1)
}
