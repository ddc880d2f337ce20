//! Messages of live connections: one JSON object, told apart by `cmd`. The same envelope serves
//! the WebSocket of phones and the push line of enterprises.
//!
//! Numbers of refusals are those of the vendor's WebSocket as far as they are known (UNVERIFIED);
//! what the open API has a number for keeps that.
//!
//! Source: GizWits §6.2, §6.4.

use alloc::string::{String, ToString as _};

use roadstead_core::{Map, Value};
use serde_json::json;

use super::fault::Fault;

/// No JSON object.
pub(super) const NO_JSON: u32 = 1009;
/// A message that is not known, or lacks something.
pub(super) const INVALID: u32 = 1010;
/// A message that is not allowed now: log in first.
pub(super) const FORBIDDEN: u32 = 1011;

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Envelope {
    pub(super) cmd: String,
    pub(super) data: Value,
    /// Numbered by the sender, who wants it acknowledged.
    pub(super) req_sn: Option<u64>,
    /// Everything beside `cmd` and `data`.
    pub(super) rest: Map<String, Value>,
}

/// Why a message was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) number: u32,
    pub(super) text: String,
}

/// Returns a refusal.
pub(super) fn wrong(number: u32, text: &str) -> Wrong {
    Wrong { number, text: text.to_string() }
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Self {
        let text = match &fault.detail {
            Some(detail) => alloc::format!("{} {detail}", fault.text()),
            None => fault.text().to_string(),
        };
        Self { number: fault.number, text }
    }
}

impl From<roadstead_core::Code> for Wrong {
    fn from(code: roadstead_core::Code) -> Self {
        Fault::from(code).into()
    }
}

impl Envelope {
    /// Reads a message.
    pub(super) fn parse(text: &str) -> Result<Self, Wrong> {
        let Ok(Value::Object(mut rest)) = serde_json::from_str(text) else {
            return Err(wrong(NO_JSON, "no JSON object"));
        };
        let Some(Value::String(cmd)) = rest.shift_remove("cmd") else {
            return Err(wrong(INVALID, "cmd: missing"));
        };
        let data = rest.shift_remove("data").unwrap_or(Value::Null);
        let req_sn = rest.get("req_sn").and_then(Value::as_u64);
        Ok(Self { cmd, data, req_sn, rest })
    }

    /// Returns the data as an object.
    pub(super) fn object(&self) -> Result<&Map<String, Value>, Wrong> {
        self.data.as_object().ok_or_else(|| wrong(INVALID, "data: no object"))
    }

    /// Returns the data as a list of objects.
    pub(super) fn rows(
        &self,
        max: usize,
    ) -> Result<impl Iterator<Item = &Map<String, Value>>, Wrong> {
        let rows = self.data.as_array().filter(|rows| (1..=max).contains(&rows.len()));
        let rows = rows.filter(|rows| rows.iter().all(Value::is_object));
        let text = alloc::format!("data: a list of 1 to {max} objects");
        let rows = rows.ok_or_else(|| wrong(INVALID, &text))?;
        Ok(rows.iter().filter_map(Value::as_object))
    }
}

/// Returns a text of an object that must be there.
pub(super) fn text<'a>(data: &'a Map<String, Value>, key: &str) -> Result<&'a str, Wrong> {
    let text = data.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or_else(|| wrong(INVALID, &alloc::format!("{key}: missing")))
}

/// Writes a message.
pub(super) fn write(cmd: &str, data: Value) -> String {
    json!({"cmd": cmd, "data": data}).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_envelope_is_read() {
        let read = Envelope::parse(r#"{"cmd":"c2s_write","req_sn":7,"data":{"did":"D"},"x":1}"#);
        let read = read.expect("an envelope");
        assert_eq!((&*read.cmd, read.req_sn), ("c2s_write", Some(7)));
        assert_eq!(read.object().expect("object")["did"], "D");
        assert_eq!(read.rest["x"], 1);
        for (bad, number) in [
            ("", NO_JSON),
            ("[]", NO_JSON),
            ("{", NO_JSON),
            ("{}", INVALID),
            (r#"{"cmd":7}"#, INVALID),
        ] {
            assert_eq!(Envelope::parse(bad).expect_err("refused").number, number, "{bad}");
        }
        let rows = Envelope::parse(r#"{"cmd":"x","data":[{"a":1},2]}"#).expect("an envelope");
        assert!(rows.rows(5).is_err() && rows.object().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(cmd in "[a-z0-9_]{1,20}", did in ".{0,30}", n: u64) {
            let text = write(&cmd, json!({"did": did, "n": n}));
            let read = Envelope::parse(&text).expect("an envelope");
            prop_assert_eq!(&read.cmd, &cmd);
            prop_assert_eq!(&read.data["did"], &Value::from(did));
            prop_assert_eq!(&read.data["n"], &Value::from(n));
        }

        #[test]
        fn hostile_texts_are_read_or_not(text in ".{0,200}") {
            if let Ok(read) = Envelope::parse(&text) {
                prop_assert!(text.contains(&read.cmd) || text.contains('\\'));
            }
        }
    }
}
