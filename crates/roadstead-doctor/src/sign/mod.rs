//! Signs: what an SDK prints, and what it means.
//!
//! A sign is a short unanchored text and its meanings: recognition, stage marks, explicit faults,
//! or a function for what needs memory. One table per family of SDKs; a new diagnosis is one row
//! there and one sample. Signs are found by one automaton over all tables; a hit is given only to
//! the tracker of its own family, so that equal words of two SDKs cannot be mixed up.

mod alibaba;
mod capture;
mod gizwits;
mod huawei;
mod nb;
mod platform;
mod record;
mod shared;
mod tencent;
mod tls;
mod tool;
mod trace;

use crate::Stage;
use crate::input::Line;
use crate::tracker::Tracker;

/// A family of SDKs that share one table of signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    Alibaba,
    Capture,
    Gizwits,
    Huawei,
    Nb,
    Platform,
    Tencent,
    Trace,
}

impl Family {
    /// Every family and its functions.
    pub(crate) const ALL: [Self; 8] = [
        Self::Alibaba,
        Self::Capture,
        Self::Gizwits,
        Self::Huawei,
        Self::Nb,
        Self::Platform,
        Self::Tencent,
        Self::Trace,
    ];

    /// Returns the table of signs.
    pub(crate) fn signs(self) -> &'static [Sign] {
        match self {
            Self::Alibaba => alibaba::SIGNS,
            Self::Capture => capture::SIGNS,
            Self::Gizwits => gizwits::SIGNS,
            Self::Huawei => huawei::SIGNS,
            Self::Nb => nb::SIGNS,
            Self::Platform => platform::SIGNS,
            Self::Tencent => tencent::SIGNS,
            Self::Trace => trace::SIGNS,
        }
    }

    /// Decides what only the end of the log can show.
    pub(crate) fn finish(self, tracker: &mut Tracker) {
        match self {
            Self::Alibaba => alibaba::finish(tracker),
            Self::Capture => capture::finish(tracker),
            Self::Gizwits => gizwits::finish(tracker),
            Self::Huawei => huawei::finish(tracker),
            Self::Nb => nb::finish(tracker),
            Self::Platform => record::finish(tracker),
            Self::Trace => {}
            Self::Tencent => tencent::finish(tracker),
        }
    }

    /// Returns vendor and SDK of a recognised tracker.
    pub(crate) fn name(self, tracker: &Tracker) -> (Option<&'static str>, Option<&'static str>) {
        match self {
            Self::Alibaba => (Some("alibaba"), Some(alibaba::sdk(tracker))),
            Self::Capture => (None, Some(capture::SDK)),
            Self::Gizwits => (Some("gizwits"), Some("gizwits-gagent")),
            Self::Huawei => huawei::name(tracker),
            Self::Nb => (nb::vendor(tracker), Some("nb-at")),
            Self::Platform => (None, Some("platform")),
            Self::Tencent => (Some("tencent"), Some(tencent::sdk(tracker))),
            Self::Trace => (None, Some("roadstead-trace")),
        }
    }
}

/// One meaning of a sign.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// This alone recognises the SDK.
    Strong(&'static str),
    /// Two different ones recognise the SDK.
    Weak(&'static str),
    /// A firmware starts.
    Boot,
    /// A stage begins.
    Start(Stage),
    /// A stage is done.
    Done(Stage),
    /// A fault with this code at its own stage.
    Fault(&'static str),
    /// What needs memory or numbers.
    Call(fn(&mut Tracker, &Hit<'_>)),
    /// The device names itself: another name than before is another device.
    Name(fn(&Hit<'_>) -> Option<String>),
}

/// One text of an SDK.
pub(crate) struct Sign {
    /// The text, found anywhere in the program's own part of a line.
    pub(crate) needle: &'static str,
    /// Another text that the line must hold; empty for none.
    needs: &'static str,
    /// A text that the line must not hold; empty for none.
    without: &'static str,
    /// True when the sign may stand in a payload.
    anywhere: bool,
    /// True when the sign must begin the text or follow a blank or punctuation.
    pub(crate) acts: &'static [Act],
}

/// Makes a sign.
const fn sign(needle: &'static str, acts: &'static [Act]) -> Sign {
    Sign { needle, needs: "", without: "", anywhere: false, acts }
}

impl Sign {
    /// Requires another text in the same line.
    const fn needs(mut self, text: &'static str) -> Self {
        self.needs = text;
        self
    }

    /// Excludes lines that hold a text.
    const fn without(mut self, text: &'static str) -> Self {
        self.without = text;
        self
    }

    /// Lets the sign count inside payloads too.
    const fn anywhere(mut self) -> Self {
        self.anywhere = true;
        self
    }

    /// Returns the name that a device gives itself with this sign.
    pub(crate) fn name(&self, hit: &Hit<'_>) -> Option<String> {
        let name = self.acts.iter().find_map(|act| match act {
            Act::Name(name) => name(hit),
            Act::Strong(_) | Act::Weak(_) | Act::Boot | Act::Start(_) | Act::Done(_) => None,
            Act::Fault(_) | Act::Call(_) => None,
        });
        name.filter(|name| !name.is_empty())
    }

    /// Returns true when the hit at `at` counts.
    pub(crate) fn holds(&self, line: &Line<'_>, at: usize) -> bool {
        let own = self.anywhere || at < line.payload;
        own && (self.needs.is_empty() || line.text.contains(self.needs))
            && (self.without.is_empty() || !line.text.contains(self.without))
    }
}

/// A sign found in a line.
pub(crate) struct Hit<'a> {
    /// The line.
    pub(crate) line: &'a Line<'a>,
    /// Index of the first byte of the sign.
    pub(crate) at: usize,
    /// Index after the sign.
    pub(crate) end: usize,
}

impl<'a> Hit<'a> {
    /// Returns the text after the sign.
    pub(crate) fn rest(&self) -> &'a str {
        self.line.text.get(self.end..).unwrap_or_default()
    }

    /// Returns the number after the sign, blanks skipped.
    pub(crate) fn int(&self) -> Option<i64> {
        int(self.rest())
    }

    /// Returns the hexadecimal number after the sign; a sign and `0x` are skipped.
    pub(crate) fn hex(&self) -> Option<i64> {
        hex(self.rest())
    }

    /// Returns the first word after the sign: up to a blank, quote, comma or bracket.
    pub(crate) fn word(&self) -> &'a str {
        word(self.rest())
    }
}

/// Reads a decimal number with a sign at the start of a text.
pub(crate) fn int(text: &str) -> Option<i64> {
    let text = text.trim_start();
    let (minus, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let value: i64 = digits.get(..end.min(18))?.parse().ok()?;
    Some(if minus { -value } else { value })
}

/// Reads `-0x0344`, `0x7280` or `7280` as a positive number.
pub(crate) fn hex(text: &str) -> Option<i64> {
    let text = text.trim_start().trim_start_matches('-');
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let end = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
    i64::from_str_radix(digits.get(..end.min(12))?, 16).ok()
}

/// Returns the first word of a text.
pub(crate) fn word(text: &str) -> &str {
    let text = text.trim_start_matches([' ', '\'', '"', '/']);
    let end = text.find([' ', '\'', '"', ',', ')', '(', '|', '/', '\t']).unwrap_or(text.len());
    &text[..end]
}

/// Returns the value of a JSON key in a text that may be cut or escaped: a number or a string.
pub(crate) fn json<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find(key) {
        let at = from + found;
        let before = text[..at].ends_with(['"', '\'']);
        let after = text[at + key.len()..].trim_start_matches(['"', '\\', '\'']);
        if before && let Some(value) = after.trim_start().strip_prefix(':') {
            let value = value.trim_start().trim_start_matches('\\');
            return Some(match value.strip_prefix('"') {
                Some(text) => text.split(['"', '\\']).next().unwrap_or_default(),
                None => value.split([',', '}', ' ', ']']).next().unwrap_or_default(),
            });
        }
        from = at + key.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    #[test]
    fn tables_name_known_codes_and_no_sign_twice() {
        for family in Family::ALL {
            let mut seen = std::collections::BTreeSet::new();
            for sign in family.signs() {
                // Only the console speaks Chinese: SDKs print it in two encodings.
                let plain = sign.needle.is_ascii() || family == Family::Platform;
                assert!(plain && sign.needle.len() >= 3, "{}", sign.needle);
                let own = (sign.needle, sign.needs, sign.without);
                assert!(seen.insert(own), "{family:?}: {} twice", sign.needle);
                for act in sign.acts {
                    if let Act::Fault(code) = act {
                        assert!(catalogue::entry(code).is_some(), "{code}");
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_and_json_are_read_from_broken_text() {
        assert_eq!(
            (int(" -35,"), int("x"), hex("-0x0344 x"), hex("0x7280")),
            (Some(-35), None, Some(0x344), Some(0x7280))
        );
        assert_eq!(json(r#"{"code":200,"x":"#, "code"), Some("200"));
        assert_eq!(json(r#"{\"code\": \"5\"}"#, "code"), Some("5"));
        assert_eq!(json(r#"{"errcode":1,"code":"a b"}"#, "code"), Some("a b"));
        assert_eq!(json("no", "code"), None);
    }
}
