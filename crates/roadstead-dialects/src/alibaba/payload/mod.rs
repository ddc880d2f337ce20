//! Bodies of the vendor's messages: what all requests and answers have in common. Both halves use
//! it.
//!
//! Not here: the parameters of each topic.
//!
//! Source: Alibaba §8; traps 1 and 3.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a JSON value or an answer of another kind is wrong alike, whichever it is"
)]

use alloc::string::{String, ToString as _};

use roadstead_core::Value;
use serde::{Deserialize, Serialize};

/// Longest id that is echoed, bytes. Those of the npm client hold a topic (trap 3).
pub(crate) const ID_BYTES_MAX: usize = 512;
/// Version of the protocol in requests and answers.
pub(crate) const VERSION: &str = "1.0";
/// `code` of an answer that says yes.
pub(crate) const OK: i64 = 200;

/// Returns the payload without what firmware pads it with: NULs and white space (trap 1).
pub(crate) fn trim(payload: &[u8]) -> &[u8] {
    let is_padding = |byte: &u8| *byte == 0 || byte.is_ascii_whitespace();
    let end = payload.iter().rposition(|byte| !is_padding(byte)).map_or(0, |at| at + 1);
    &payload[..end]
}

/// A request of either side.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Request {
    /// A text or a number; opaque, echoed as text (trap 3).
    #[serde(default)]
    pub(crate) id: Value,
    /// Dotted name; LinkSDK 4 leaves it out.
    #[serde(default)]
    pub(crate) method: String,
    /// Whatever the topic wants; C SDKs write some of them as text (`"{}"`).
    #[serde(default)]
    pub(crate) params: Value,
}

impl Request {
    /// Reads a request; padding does not matter.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(trim(payload))
    }

    /// Returns the id as it is echoed; `None` when there is none that can be.
    pub(crate) fn id_text(&self) -> Option<String> {
        id_text(&self.id)
    }
}

fn id_text(id: &Value) -> Option<String> {
    match id {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
    .filter(|text| (1..=ID_BYTES_MAX).contains(&text.len()))
}

/// An answer of a device.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Response {
    /// The id of the request.
    #[serde(default)]
    pub(crate) id: Value,
    /// [`OK`] or why not; a number, or text in some firmware.
    #[serde(default)]
    pub(crate) code: Value,
    /// Words.
    #[serde(default)]
    pub(crate) message: Value,
    /// What was asked for.
    #[serde(default)]
    pub(crate) data: Value,
}

impl Response {
    /// Reads an answer; padding does not matter.
    pub(crate) fn parse(payload: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(trim(payload))
    }

    /// Returns the id as text.
    pub(crate) fn id_text(&self) -> Option<String> {
        id_text(&self.id)
    }

    /// Returns the result code; what is no number is -1, what is absent is yes.
    pub(crate) fn code(&self) -> i64 {
        match &self.code {
            Value::Null => OK,
            Value::String(text) => text.parse().unwrap_or(-1),
            code => code.as_i64().unwrap_or(-1),
        }
    }
}

/// An answer of the platform; the order of its members is the recorded one.
#[derive(Serialize)]
pub(crate) struct Answered<'a> {
    pub(crate) code: i64,
    pub(crate) data: &'a Value,
    pub(crate) id: &'a str,
    pub(crate) message: &'a str,
    pub(crate) method: &'a str,
    pub(crate) version: &'static str,
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn trap_01_padding_is_stripped() {
        let mut payload =
            br#"{"id":"0","version":"1.0","method":"m","params":{"token":"T"}}"#.to_vec();
        let plain = Request::parse(&payload).expect("JSON");
        payload.extend([b' ', b'\n']);
        payload.resize(256, 0);
        let padded = Request::parse(&payload).expect("padding does not matter");
        assert_eq!((padded.params, padded.method), (plain.params, plain.method));
        assert_eq!(trim(b"\0\0"), b"");
        assert!(Request::parse(b"{\0}").is_err(), "only behind the end");
    }

    #[test]
    fn trap_03_ids_are_opaque() {
        let long = "1|exp-topic|/sys/a1RsKq9ZxTb/lamp-0001/thing/event/property/post_reply";
        for (id, expected) in [
            (json!(long), Some(long)),
            (json!("1"), Some("1")),
            (json!(1), Some("1")),
            (json!(18_446_744_073_709_551_615_u64), Some("18446744073709551615")),
            (json!(""), None),
            (json!(null), None),
            (json!([1]), None),
            (json!("x".repeat(513)), None),
        ] {
            let request = Request { id, ..Request::default() };
            assert_eq!(request.id_text().as_deref(), expected);
        }
    }

    #[test]
    fn result_codes_in_every_writing() {
        for (text, code) in [
            (r#"{"code":200}"#, 200),
            (r#"{"code":"200"}"#, 200),
            (r#"{"id":"1"}"#, 200),
            (r#"{"code":-1}"#, -1),
            (r#"{"code":"x"}"#, -1),
            (r#"{"code":true}"#, -1),
        ] {
            assert_eq!(Response::parse(text.as_bytes()).expect("JSON").code(), code, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Request::parse(&bytes).map(|request| request.id_text());
            let _ = Response::parse(&bytes).map(|response| (response.id_text(), response.code()));
        }
    }
}
