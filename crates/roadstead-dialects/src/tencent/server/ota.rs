//! Firmware versions. Updates are not offered yet: progress and results are ignored by name.
//!
//! Source: Tencent §9; `transcripts/tencent/ota-*.json`.

use alloc::borrow::Cow;

use roadstead_core::exchange::{Answer, Uplink};
use roadstead_core::{Map, Value};
use serde::{Deserialize, Serialize};

use super::message::{heard, ignored, malformed, message, noted, unreadable, verdict};
use super::reply::Kind;
use crate::cloud::{Heard, Message};
use crate::tencent::topic::Topic;

/// Longest version, bytes (§9).
const VERSION_BYTES_MAX: usize = 32;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "type")]
    ty: Cow<'a, str>,
    report: Option<Value>,
}

/// Understands one message of `$ota/report`.
pub(super) fn uplink(payload: &[u8]) -> Heard {
    let body: Body<'_> = match serde_json::from_slice(payload) {
        Ok(body) => body,
        Err(error) => return noted(unreadable(&error)),
    };
    if body.ty != "report_version" {
        return ignored(&body.ty);
    }
    let version = body.report.as_ref().and_then(|report| report.get("version")?.as_str());
    let uplink = match version {
        Some(version) if (1..=VERSION_BYTES_MAX).contains(&version.len()) => {
            Uplink::Info(Map::from_iter([("fw_version".into(), version.into())]))
        }
        Some(_) => malformed("payload.malformed", "the version has not 1 to 32 characters"),
        None => malformed("payload.malformed", "no `report.version`"),
    };
    heard(uplink, Kind::Version, "")
}

#[derive(Serialize)]
struct VersionReply<'a> {
    #[serde(rename = "type")]
    ty: &'static str,
    // The SDK compares the text of this value with "0": it must be a number.
    result_code: i32,
    result_msg: &'a str,
}

/// Writes `report_version_rsp`.
pub(super) fn reply(topic: Topic<'_>, answer: &Answer) -> Message {
    let (result_code, result_msg) = verdict(answer);
    message(topic, &VersionReply { ty: "report_version_rsp", result_code, result_msg }, 1)
}
