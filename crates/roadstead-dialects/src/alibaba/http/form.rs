//! Bodies of the calls: `key=value&key=value`.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

/// Most fields of one body; the vendor's calls have up to 8.
const FIELDS_MAX: usize = 32;

/// A body, taken apart.
pub(super) struct Form<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Form<'a> {
    /// Reads a body; what is no UTF-8 or too much reads as empty.
    pub(super) fn parse(body: &'a [u8]) -> Self {
        let text = core::str::from_utf8(body).unwrap_or_default().trim();
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.take(FIELDS_MAX).map(|(key, value)| (key, decoded(value))).collect())
    }

    /// Returns the value of a field; the first of several.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| &**value)
    }
}

/// Undoes `%41`; the plus sign stays what it is: firmware writes values as they are.
fn decoded(value: &str) -> Cow<'_, str> {
    if !value.contains('%') {
        return value.into();
    }
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| first == b'%').and_then(|digits| {
            let digits = core::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        match escaped {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bodies_of_the_firmware() {
        let form = Form::parse(b"productKey=a1&deviceName=lamp%40home&empty=&odd&sign=a+b%zz%4\n");
        assert_eq!(form.get("productKey"), Some("a1"));
        assert_eq!(form.get("deviceName"), Some("lamp@home"));
        assert_eq!(form.get("empty"), Some(""));
        assert_eq!(form.get("sign"), Some("a+b%zz%4"));
        assert_eq!(form.get("odd"), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(body: Vec<u8>) {
            let _ = Form::parse(&body).get("x");
        }
    }
}
