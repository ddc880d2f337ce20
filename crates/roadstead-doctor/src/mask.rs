//! Keeps secrets out of every answer.
//!
//! Two nets: values behind a telling key are masked where they stand, and a value once found is
//! masked everywhere else, in any case and as hexadecimal. Source: diagnosis model, section 7.

use std::collections::{BTreeSet, HashSet};
use std::sync::LazyLock;

use memchr::memchr3_iter;
use memchr::memmem::Finder;

use crate::limit::{SECRET_BYTES_MAX, SECRETS_MAX};

/// Texts that announce a secret; they join the automaton of the signs.
pub(crate) const MARKS: &[&str] = &[
    "assw",
    "ASSW",
    "asscode",
    "ASSCODE",
    "ecret",
    "ECRET",
    "oken",
    "OKEN",
    "psk",
    "PSK",
    "Psk",
    "PSW",
    "pwd",
    "PWD",
    "Pwd",
    "KEY:",
    "Key:",
    "StaPass",
    "DS :",
    "sign:",
    "sign=",
    "sign\"",
    "sign\\",
    "signature",
    "Sign:",
    "SIGN",
    "earer",
    "uthorization",
    "UTHORIZATION",
    "PRIVATE KEY",
    "produce random",
    "LK-0318",
    "pikey",
    "pi_key",
    "ApiKey",
    "APIKEY",
    "ientKey",
    "ynreg 0 ",
    "rivateKey",
    "rivate_key",
    "): payload:",
];

/// Keys whose values are secret: compared without case, `_` and `-`, at the end of the key.
const KEYS: &[&str] = &[
    "password",
    "passwd",
    "passcode",
    "pwd",
    "psw",
    "psk",
    "secret",
    "token",
    "authorization",
    "apikey",
    "privatekey",
    "clientkey",
    "stapass",
    "sign",
    "signature",
    "pass",
    "devsecret",
];

/// Whole keys, compared with their case.
const EXACT: &[&str] = &["KEY", "DS", "Key"];

/// Values that look like secrets of a key and are none.
const HARMLESS: &[&str] =
    &["null", "none", "true", "false", "success", "exist", "(null)", "undefined", "error"];

/// Texts before secrets that have no key.
struct Texts {
    pem: Finder<'static>,
    random: Finder<'static>,
    /// One word follows.
    words: [Finder<'static>; 3],
    registration: Finder<'static>,
    payload: Finder<'static>,
}

static TEXTS: LazyLock<Texts> = LazyLock::new(|| Texts {
    pem: Finder::new("PRIVATE KEY"),
    random: Finder::new("produce random"),
    words: ["earer ", "LK-0318] ", "dynreg 0 "].map(Finder::new),
    registration: Finder::new("_parse_devinfo"),
    payload: Finder::new("payload:"),
});

/// The memory of secret values.
#[derive(Default)]
pub(crate) struct Masker {
    values: BTreeSet<String>,
    /// The same as they stood: a log repeats them in line after line.
    seen: HashSet<Box<str>>,
    /// The next line holds the bytes of a fresh random token.
    bytes_follow: bool,
    /// Inside a PEM block of a private key.
    in_key: bool,
}

impl Masker {
    /// Learns secrets from a line that holds one of [`MARKS`].
    pub(crate) fn learn(&mut self, text: &str) {
        if TEXTS.pem.find(text.as_bytes()).is_some() {
            self.in_key = text.contains("BEGIN");
        }
        if TEXTS.random.find(text.as_bytes()).is_some() {
            self.bytes_follow = true;
        }
        for (start, end) in spans(text) {
            self.keep(&text[start..end]);
        }
    }

    /// Returns true when the next line must be given to [`Masker::learn_next`] whatever it holds.
    pub(crate) fn wants_next(&self) -> bool {
        self.bytes_follow || self.in_key
    }

    /// Learns from a line that follows an announcement.
    pub(crate) fn learn_next(&mut self, text: &str) {
        if self.in_key {
            let body = text.trim();
            self.in_key = !text.contains("END ");
            if self.in_key {
                self.keep(body);
            }
        }
        let bytes: Vec<&str> = text.split_ascii_whitespace().collect();
        let hex = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
        if self.bytes_follow && bytes.len() >= 4 {
            self.bytes_follow = false;
            if bytes.iter().all(hex) {
                self.keep(text.trim());
                self.keep(&bytes.concat());
            }
        }
    }

    fn keep(&mut self, value: &str) {
        let value = value.trim();
        if self.seen.contains(value) {
            return;
        }
        let fits = (4..=SECRET_BYTES_MAX).contains(&value.len());
        let harmless = HARMLESS.iter().any(|known| value.eq_ignore_ascii_case(known));
        let stars = value.bytes().all(|byte| byte == b'*');
        if !fits || harmless || stars || self.values.len() >= SECRETS_MAX {
            return;
        }
        let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
        if hex.len() <= SECRET_BYTES_MAX {
            self.values.insert(hex);
        }
        self.values.insert(value.to_ascii_lowercase());
        self.seen.insert(value.into());
    }

    /// Returns the text with every secret masked.
    pub(crate) fn apply(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for (start, end) in spans(text) {
            if start >= from {
                out.push_str(&text[from..start]);
                out.push_str(&masked(&text[start..end]));
                from = end;
            }
        }
        out.push_str(&text[from..]);
        self.known(out)
    }

    /// Masks values found elsewhere, the longest first.
    fn known(&self, mut text: String) -> String {
        let mut values: Vec<&String> = self.values.iter().collect();
        values.sort_by_key(|value| core::cmp::Reverse(value.len()));
        for value in values {
            let lower = text.to_ascii_lowercase();
            if !lower.contains(value.as_str()) {
                continue;
            }
            let short = value.len() < 8;
            let mut out = String::with_capacity(text.len());
            let mut from = 0;
            for (at, _) in lower.match_indices(value.as_str()) {
                let end = at + value.len();
                let edge = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
                let whole =
                    edge(lower[..at].chars().next_back()) && edge(lower[end..].chars().next());
                if at < from || (short && !whole) {
                    continue;
                }
                out.push_str(&text[from..at]);
                out.push_str(&masked(&text[at..end]));
                from = end;
            }
            out.push_str(&text[from..]);
            text = out;
        }
        text
    }
}

/// `***`, with at most two characters of a long value.
fn masked(value: &str) -> String {
    let long = value.chars().count() >= 12;
    let head: String = value.chars().take(if long { 2 } else { 0 }).collect();
    format!("{head}***")
}

/// Returns the byte ranges of values behind telling keys, in order.
fn spans(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    found.extend(memchr3_iter(b':', b'=', b'(', bytes).filter_map(|at| keyed(text, at)));
    for mark in &TEXTS.words {
        for at in mark.find_iter(bytes) {
            let start = at + mark.needle().len();
            let end = bytes[start..].iter().position(u8::is_ascii_whitespace);
            found.push((start, end.map_or(bytes.len(), |end| start + end)));
        }
    }
    if let Some(at) = TEXTS.registration.find(bytes)
        && let Some(body) = TEXTS.payload.find(&bytes[at..])
    {
        found.push((at + body + TEXTS.payload.needle().len(), text.len()));
    }
    found.retain(|(start, end)| start < end);
    found.sort_unstable();
    found.dedup();
    found
}

/// The value behind the key that ends before the separator at `at`.
fn keyed(text: &str, at: usize) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let quote = |byte: &u8| matches!(byte, b' ' | b'"' | b'\\' | b'\'');
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let end = bytes[..at].iter().rposition(|byte| !quote(byte))? + 1;
    if !may_end_key(bytes[end - 1]) {
        return None;
    }
    let start = bytes[..end].iter().rposition(|byte| !name(byte)).map_or(0, |n| n + 1);
    if !is_secret(&bytes[start..end]) {
        return None;
    }
    let blank = |byte: &u8| matches!(byte, b' ' | b'\\' | b'\t');
    let mut begin = at + 1 + bytes[at + 1..].iter().take_while(|byte| blank(byte)).count();
    let quote = text[begin..].chars().next().filter(|c| matches!(c, '"' | '\''));
    begin += usize::from(quote.is_some());
    let value = &text[begin..];
    let length = match quote {
        Some(quote) => value.find([quote, '\\']).unwrap_or(value.len()),
        None => {
            let stop = |c: char| c.is_whitespace() || ",;&|{}\"'\\()<>[]".contains(c);
            value.find(stop).unwrap_or(value.len())
        }
    };
    // `Bearer` alone is the scheme; its value has a mark of its own.
    let scheme = value[..length].eq_ignore_ascii_case("bearer");
    (length > 0 && !scheme).then_some((begin, begin + length))
}

/// Returns true for the last letters of [`KEYS`] and [`EXACT`]; most keys end in another one.
const fn may_end_key(byte: u8) -> bool {
    matches!(
        byte.to_ascii_lowercase(),
        b'd' | b'e' | b'k' | b'n' | b's' | b't' | b'w' | b'y' | b'_' | b'-'
    )
}

/// Returns true when the value of a key is secret.
fn is_secret(key: &[u8]) -> bool {
    let ends = |key: &[u8], known: &str| {
        let from = key.len().checked_sub(known.len());
        from.is_some_and(|from| key[from..].eq_ignore_ascii_case(known.as_bytes()))
    };
    let exact = |known: &&str| known.as_bytes() == key;
    if KEYS.iter().any(|known| ends(key, known)) || EXACT.iter().any(exact) {
        return true;
    }
    let split = |byte: &u8| matches!(byte, b'_' | b'-');
    if !key.iter().any(split) {
        return false;
    }
    let joined: Vec<u8> = key.iter().copied().filter(|byte| !split(byte)).collect();
    KEYS.iter().any(|known| ends(&joined, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_behind_keys_are_masked_in_every_shape() {
        let masker = Masker::default();
        for (text, expected) in [
            (
                r#"{"ssid":"home","password":"pa ss-1","token":"69f978dfbb48"}"#,
                r#"{"ssid":"home","password":"***","token":"69***"}"#,
            ),
            (r#"\"token\":\"abcdef\""#, r#"\"token\":\"***\""#),
            (
                "STA to connect SSID:lab PASSWORD:lab-pass-1 CHANNEL:0",
                "STA to connect SSID:lab PASSWORD:*** CHANNEL:0",
            ),
            ("passcode=SDGUVYIYYB&mac=02", "passcode=***&mac=02"),
            ("Send passcode(SDGUVYIYYB) to", "Send passcode(***) to"),
            ("   DS : Zq3tJ8vYp0", "   DS : ***"),
            ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
            ("[1.2][LK-0318] C2BD1B8409A0B6D8", "[1.2][LK-0318] C2***"),
            ("user:dev passwd:80ffc981a6c0bb37", "user:dev passwd:80***"),
            ("report token res:28", "report token res:28"),
            ("token_len: 4", "token_len: 4"),
        ] {
            assert_eq!(masker.apply(text), expected);
        }
    }

    #[test]
    fn every_key_passes_the_quick_look() {
        for key in KEYS.iter().chain(EXACT) {
            let last = key.as_bytes()[key.len() - 1];
            assert!(may_end_key(last) && is_secret(key.as_bytes()), "{key}");
        }
    }

    #[test]
    fn a_value_once_known_is_masked_everywhere() {
        let mut masker = Masker::default();
        masker.learn("PASSWORD:Lab-Pass-1 x");
        assert_eq!(masker.apply("joined with lab-pass-1 ok"), "joined with *** ok");
        assert_eq!(masker.apply("dump 4c61622d506173732d31"), "dump 4c***");
        masker.learn("awss_get_token(54): produce random:");
        assert!(masker.wants_next());
        masker.learn_next("36 cc 37 77 d7 83 de 6a ce 25 02 cd b5 ae 4a 59 ");
        assert_eq!(masker.apply("x 36CC3777D783DE6ACE2502CDB5AE4A59 y"), "x 36*** y");
    }
}
