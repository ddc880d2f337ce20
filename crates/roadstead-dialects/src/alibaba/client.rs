//! The client id: a free part, a bar, then keys and values. Both halves use it.
//!
//! ```text
//! a1RsKq9ZxTb.lamp-0001|securemode=3,signmethod=hmacsha256,timestamp=2524608000000,_ss=1|
//! ```
//!
//! The part before the first bar is whatever the firmware likes; the identity is the user name
//! (trap 5). Everything behind that bar belongs to the keys, further bars included: values of
//! browser clients hold them (`lan=JS|Ali`). Unknown keys are kept and ignored.
//!
//! Source: Alibaba §2, §3.3; trap 5.

use alloc::string::String;

/// Longest client id read, bytes. The longest recorded one has 280.
pub(crate) const CLIENT_ID_BYTES_MAX: usize = 1024;
/// Most keys of one client id; the vendor's own lists have up to 16.
const KEYS_MAX: usize = 64;

/// A client id, taken apart. Borrows the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientId<'a> {
    /// The part before the first bar; signed literally.
    pub(crate) base: &'a str,
    /// The list of keys, without the bar at its end.
    list: &'a str,
}

impl<'a> ClientId<'a> {
    /// Returns `None` for a text without a bar, an empty first part, or one beyond the limits.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if text.len() > CLIENT_ID_BYTES_MAX {
            return None;
        }
        let (base, rest) = text.split_once('|')?;
        let list = rest.strip_suffix('|').unwrap_or(rest);
        let few = list.bytes().filter(|&byte| byte == b',').count() < KEYS_MAX;
        (!base.is_empty() && few).then_some(Self { base, list })
    }

    /// Returns the keys with their values, in order; what has no `=` is skipped.
    pub(crate) fn keys(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.list.split(',').filter_map(|pair| pair.split_once('='))
    }

    /// Returns the value of a key; the first of several.
    pub(crate) fn get(self, key: &str) -> Option<&'a str> {
        self.keys().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Returns the security mode; `None` when it is absent or no number.
    pub(crate) fn secure_mode(self) -> Option<i8> {
        self.get("securemode")?.parse().ok()
    }

    /// True when the platform's topics are delivered without a SUBSCRIBE (trap 4).
    pub(crate) fn is_auto_subscribed(self) -> bool {
        self.get("_ss") == Some("1")
    }

    /// True when the client takes RRPC on `/ext/rrpc/…`: bit 0 of `ext`.
    pub(crate) fn has_ext_rrpc(self) -> bool {
        self.get("ext").and_then(|bits| bits.parse::<u32>().ok()).is_some_and(|bits| bits & 1 == 1)
    }

    /// Returns what the connection is for.
    pub(crate) fn purpose(self) -> Purpose {
        match self.get("authType") {
            Some("register") => Purpose::Register,
            Some("regnwl") => Purpose::RegisterOpen,
            Some("connwl") => Purpose::Token,
            _ => match self.secure_mode() {
                Some(-2) => Purpose::Token,
                Some(-1 | 0) => Purpose::Guided,
                _ => Purpose::Session,
            },
        }
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A session under the device secret.
    Session,
    /// A session under `iotId` and `iotToken` of the log-in over HTTP (§3.2).
    Guided,
    /// A session under the token of a registration without a registered name (§3.3 c).
    Token,
    /// Asks for the device secret; the name is registered (`authType=register`).
    Register,
    /// Asks for a token; the name need not be registered (`authType=regnwl`).
    RegisterOpen,
}

/// Writes a client id: the base, a bar, the keys, a bar.
pub(crate) fn write(base: &str, keys: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(base.len() + 16 * keys.len() + 2);
    text.push_str(base);
    text.push('|');
    for (n, (key, value)) in keys.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        text.push_str(key);
        text.push('=');
        text.push_str(value);
    }
    text.push('|');
    text
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn recorded_client_ids() {
        let id = "a1RsKq9ZxTb.lamp-0001|timestamp=2524608000000,_v=sdk-c-3.0.1,securemode=3,\
                  signmethod=hmacsha256,lan=C,gw=0,ext=0|";
        let id = ClientId::parse(id).expect("parses");
        assert_eq!(id.base, "a1RsKq9ZxTb.lamp-0001");
        assert_eq!(id.get("timestamp"), Some("2524608000000"));
        assert_eq!(id.secure_mode(), Some(3));
        assert!(!id.is_auto_subscribed() && !id.has_ext_rrpc());
        assert_eq!(id.purpose(), Purpose::Session);
        for (tail, purpose) in [
            ("random=x,authType=regnwl,securemode=2", Purpose::RegisterOpen),
            ("random=x,authType=register,securemode=2", Purpose::Register),
            ("securemode=-2,authType=connwl", Purpose::Token),
            ("securemode=-2", Purpose::Token),
            ("securemode=-1,timestamp=1", Purpose::Guided),
            ("authtype=custom-ilop,securemode=3", Purpose::Session),
            ("securemode=x", Purpose::Session),
            ("", Purpose::Session),
        ] {
            let text = format!("x|{tail}|");
            assert_eq!(ClientId::parse(&text).expect("parses").purpose(), purpose, "{tail}");
        }
    }

    #[test]
    fn only_the_first_bar_divides() {
        let id = ClientId::parse("mac|lan=JS|Ali,ext=3,_ss=1,odd,=x|").expect("parses");
        assert_eq!((id.base, id.get("lan")), ("mac", Some("JS|Ali")));
        assert!(id.has_ext_rrpc() && id.is_auto_subscribed());
        let open = ClientId::parse("mac|_ss=1").expect("the last bar may be missing");
        assert!(open.is_auto_subscribed());
        for bad in
            ["", "|a=b|", "L4WG9V9M2MTEST2", &"x".repeat(2000), &format!("x|{}|", ",".repeat(99))]
        {
            assert_eq!(ClientId::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            base in "[a-zA-Z0-9.&:_-]{1,64}",
            keys in prop::collection::vec(("[a-zA-Z_]{1,10}", "[a-zA-Z0-9.|=+-]{0,20}[a-z0-9]"), 0..10),
        ) {
            let pairs: Vec<_> = keys.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let text = write(&base, &pairs);
            let read = ClientId::parse(&text).expect("parses");
            prop_assert_eq!(read.base, &*base);
            prop_assert_eq!(read.keys().collect::<Vec<_>>(), pairs);
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
            if let Some(id) = ClientId::parse(&text) {
                let _ = (id.purpose(), id.keys().count(), id.get("_ss"), id.has_ext_rrpc());
            }
        }
    }
}
