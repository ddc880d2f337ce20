//! The envelope: `{"id","version","method","params"}` and `{"id","code","data"}`.
//!
//! Ids are opaque text; firmware compares and echoes them, some as digits without quotes.

use alloc::string::{String, ToString as _};

use roadstead_core::{Map, Value};

/// Longest JSON of a datagram that is read, bytes; a CoAP message is not longer.
const TEXT_BYTES_MAX: usize = 1472;
/// Longest id, bytes.
const ID_BYTES_MAX: usize = 64;
/// The answer of success.
pub const OK: i64 = 200;

/// A request or an announcement.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Opaque; a number is kept as its digits.
    pub id: String,
    /// `1.0`; it chooses the behaviour of one resource (§7.3).
    pub version: String,
    /// Repeats the path with dots; never needed to understand.
    pub method: String,
    /// Parameters; `Null` when missing.
    pub params: Value,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Of the request.
    pub id: String,
    /// [`OK`], or what went wrong.
    pub code: i64,
    /// Result, or words.
    pub data: Value,
}

/// How an answer writes its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdStyle {
    /// Digits stand without quotes: provisioning and binding.
    Digits,
    /// Always in quotes: local control.
    Quoted,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not a JSON object.
    #[error("not a JSON object")]
    NotJson,
    /// An answer without a number as `code`.
    #[error("the answer has no code")]
    NoCode,
    /// More than 1472 bytes.
    #[error("too long")]
    TooLong,
}

/// Returns a payload without the NULs and blanks that firmware pads its buffers with (trap 1).
pub fn trim(bytes: &[u8]) -> &[u8] {
    let is_padding = |byte: &u8| *byte == 0 || byte.is_ascii_whitespace();
    let end = bytes.iter().rposition(|byte| !is_padding(byte)).map_or(0, |at| at + 1);
    bytes.get(..end).unwrap_or_default()
}

impl Ask {
    /// Returns a request of version 1.0.
    pub fn new(id: impl Into<String>, method: &str, params: Value) -> Self {
        Self { id: id.into(), version: "1.0".into(), method: method.into(), params }
    }

    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`MessageError`]; missing members are no error.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let mut object = object(bytes)?;
        let text = |object: &Map<String, Value>, key: &str| {
            object.get(key).and_then(Value::as_str).unwrap_or_default().to_string()
        };
        Ok(Self {
            id: id(&object),
            version: text(&object, "version"),
            method: text(&object, "method"),
            params: object.get_mut("params").map_or(Value::Null, Value::take),
        })
    }

    /// Writes it the way devices and phones do.
    pub fn emit(&self) -> String {
        let mut object = Map::new();
        object.insert("id".into(), self.id.as_str().into());
        object.insert("version".into(), self.version.as_str().into());
        object.insert("method".into(), self.method.as_str().into());
        object.insert("params".into(), self.params.clone());
        Value::Object(object).to_string()
    }
}

impl Answer {
    /// Returns a success.
    pub fn ok(id: &str, data: impl Into<Value>) -> Self {
        Self { id: id.into(), code: OK, data: data.into() }
    }

    /// Returns a refusal in the vendor's words.
    pub fn refusal(id: &str, code: i64, words: &str) -> Self {
        Self { id: id.into(), code, data: words.into() }
    }

    /// Reads a payload.
    ///
    /// # Errors
    ///
    /// [`MessageError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        let mut object = object(bytes)?;
        let code = match object.get("code") {
            Some(Value::String(text)) => text.parse().ok(),
            Some(code) => code.as_i64(),
            None => None,
        };
        Ok(Self {
            id: id(&object),
            code: code.ok_or(MessageError::NoCode)?,
            data: object.get_mut("data").map_or(Value::Null, Value::take),
        })
    }

    /// Writes it.
    pub fn emit(&self, style: IdStyle) -> String {
        let number = (style == IdStyle::Digits && is_plain_number(&self.id))
            .then(|| self.id.parse::<u64>().ok())
            .flatten();
        let mut object = Map::new();
        object.insert("id".into(), number.map_or_else(|| self.id.as_str().into(), Value::from));
        object.insert("code".into(), self.code.into());
        object.insert("data".into(), self.data.clone());
        Value::Object(object).to_string()
    }
}

/// Whether a text is a number that is written again as it stands.
fn is_plain_number(text: &str) -> bool {
    text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, MessageError> {
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(MessageError::TooLong);
    }
    serde_json::from_slice(trim(bytes)).map_err(|_| MessageError::NotJson)
}

fn id(object: &Map<String, Value>) -> String {
    let id = match object.get("id") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => {
            String::new()
        }
    };
    if id.len() > ID_BYTES_MAX { String::new() } else { id }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn trap_1_padding_is_no_part_of_the_text() {
        // l16_ackbind: the announcement of local control is padded with NULs.
        let padded = b"{\"id\":\"0\",\"version\":\"1.0\",\"params\":{}} \r\n\0\0\0";
        let ask = Ask::parse(padded).expect("message");
        assert_eq!((ask.id.as_str(), ask.method.as_str()), ("0", ""));
        assert_eq!(trim(b"\0\0 "), b"");
        assert_eq!(Ask::parse(b"\0\0"), Err(MessageError::NotJson));
        assert_eq!(Ask::parse(&[b' '; 1473]), Err(MessageError::TooLong));
    }

    #[test]
    fn ids_are_echoed_as_the_firmware_writes_them() {
        let answer = |id: &str, style| Answer::refusal(id, -4, "random len error").emit(style);
        // l16_softap_badrandom.
        assert_eq!(answer("1", IdStyle::Digits), r#"{"id":1,"code":-4,"data":"random len error"}"#);
        assert!(answer("1", IdStyle::Quoted).starts_with(r#"{"id":"1","#));
        for text in ["01", "", "1|exp-topic|/sys", "99999999999999999999"] {
            let back = Answer::parse(answer(text, IdStyle::Digits).as_bytes()).expect("answer");
            assert_eq!(back.id, text, "trap 3: opaque");
        }
    }

    #[test]
    fn codes_come_as_numbers_and_as_text() {
        let code = |text: &str| Answer::parse(text.as_bytes()).map(|answer| answer.code);
        assert_eq!(code(r#"{"id":1,"code":200,"data":{}}"#), Ok(200));
        assert_eq!(code(r#"{"code":"-3"}"#), Ok(-3));
        assert_eq!(code(r#"{"id":1}"#), Err(MessageError::NoCode));
        assert_eq!(code("[1]"), Err(MessageError::NotJson));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(id in "[ -~]{0,20}", number in any::<u32>(), code in any::<i64>()) {
            let ask = Ask::new(id.as_str(), "device.info.get", json!({"a": number}));
            prop_assert_eq!(Ask::parse(ask.emit().as_bytes()), Ok(ask));
            for id in [id, number.to_string()] {
                let answer = Answer { id, code, data: json!({}) };
                for style in [IdStyle::Digits, IdStyle::Quoted] {
                    prop_assert_eq!(Answer::parse(answer.emit(style).as_bytes()), Ok(answer.clone()));
                }
            }
        }
    }
}
