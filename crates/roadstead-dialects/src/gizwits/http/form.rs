//! Form bodies and queries: `key=value&key=value`, percent-encoded.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Longest form read, bytes; modules send less than 200.
const BYTES_MAX: usize = 4096;

/// A form; of several fields of one name the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::gizwits) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a form. What is not text, or too long, is a form without fields.
    pub(in crate::gizwits) fn parse(bytes: &[u8]) -> Self {
        let text = match core::str::from_utf8(bytes) {
            Ok(text) if text.len() <= BYTES_MAX => text.trim_matches(['\r', '\n', '\0', ' ']),
            Ok(_) | Err(_) => return Self::default(),
        };
        let field = |part: &str| {
            let (key, value) = part.split_once('=')?;
            Some((decode(key)?.into_owned(), decode(value)?.into_owned()))
        };
        Self(text.split('&').filter_map(field).collect())
    }

    /// Returns a field; empty ones are none.
    pub(in crate::gizwits) fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| &**value).filter(|value| !value.is_empty())
    }
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(text.into());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let (digits, after) = rest.split_first_chunk::<2>()?;
                out.extend(hex::decode(digits).ok()?);
                rest = after;
            }
            _ => out.push(*byte),
        }
    }
    String::from_utf8(out).ok().map(Cow::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_are_found() {
        let form = Form::parse(b"passcode=SDGUVYIYYB&mac=0247495A0001&a=%41%2b+b&a=2&empty=&=x&c");
        for (key, expected) in [
            ("passcode", Some("SDGUVYIYYB")),
            ("mac", Some("0247495A0001")),
            ("a", Some("A+ b")),
            ("empty", None),
            ("c", None),
            ("", Some("x")),
        ] {
            assert_eq!(form.get(key), expected, "{key}");
        }
        for bad in [&b"a=%4"[..], b"a=%zz", b"a=%ff", b"\xff=1", b""] {
            assert_eq!(Form::parse(bad).get("a"), None);
        }
        assert_eq!(Form::parse(&[b'a'; BYTES_MAX + 1]), Form::default());
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let form = Form::parse(&bytes);
            prop_assert!(form.0.len() <= bytes.len());
        }
    }
}
