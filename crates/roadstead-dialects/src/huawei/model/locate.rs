//! In which line of a JSON document an element stands. For messages to people only: the document
//! was parsed by a real parser before.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

/// One step from an element to one inside it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    /// The member of an object.
    Key(&'a str),
    /// The item of a list, from 0.
    Index(usize),
}

/// Returns the line, from 1, of the element that `path` leads to; of the last one on the way that
/// is there.
pub(super) fn line(text: &str, path: &[Step<'_>]) -> usize {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    let mut found = scan.skip_space();
    for step in path {
        let inside = match step {
            Step::Key(key) => scan.enter_member(key),
            Step::Index(n) => scan.enter_item(*n),
        };
        match inside {
            Some(at) => found = at,
            None => break,
        }
    }
    1 + text.as_bytes()[..found].iter().filter(|&&byte| byte == b'\n').count()
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Skips white space and returns the position.
    fn skip_space(&mut self) -> usize {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
        self.at
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.skip_space();
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// Moves to the value of a member of the object here; returns where its key stands. The last
    /// one of several equal keys counts, as for the parser.
    fn enter_member(&mut self, wanted: &str) -> Option<usize> {
        self.take(b'{')?;
        let mut found = None;
        loop {
            let key_at = self.skip_space();
            let Some(key) = self.string() else { break };
            if self.take(b':').is_none() {
                break;
            }
            self.skip_space();
            if key == wanted {
                found = Some((key_at, self.at));
            }
            self.skip_value();
            if self.take(b',').is_none() {
                break;
            }
        }
        let (key_at, value_at) = found?;
        self.at = value_at;
        Some(key_at)
    }

    fn enter_item(&mut self, n: usize) -> Option<usize> {
        self.take(b'[')?;
        for _ in 0..n {
            self.skip_value();
            self.take(b',')?;
        }
        Some(self.skip_space())
    }

    /// Reads a string and steps behind it.
    fn string(&mut self) -> Option<String> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return None;
        }
        self.skip_string();
        let raw = core::str::from_utf8(self.bytes.get(start..self.at)?).ok()?;
        serde_json::from_str(raw).ok().or_else(|| Some(raw.to_owned()))
    }

    fn skip_string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        self.at = self.at.min(self.bytes.len());
    }

    /// Steps behind the value here: brackets are counted, not recursed into.
    fn skip_value(&mut self) {
        let mut depth = 0usize;
        self.skip_space();
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.skip_string();
                    if depth == 0 {
                        return;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => return,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return;
                    }
                }
                b',' if depth == 0 => return,
                _ => {}
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::prelude::v1::*;

    use proptest::prelude::*;

    use super::Step::{Index, Key};
    use super::*;

    #[test]
    fn elements_are_found() {
        let text =
            "{\n \"a\": [1,\n  {\"x\": \"}\\\"\", \"b\": [\n  ], \"c\":\n null}],\n \"d\": 5\n}";
        for (path, expected) in [
            (&[][..], 1),
            (&[Key("a")], 2),
            (&[Key("a"), Index(0)], 2),
            (&[Key("a"), Index(1)], 3),
            (&[Key("a"), Index(1), Key("c")], 4),
            (&[Key("d")], 6),
            // What is not there: the line of what is.
            (&[Key("a"), Index(1), Key("nothing")], 3),
            (&[Key("a"), Index(7)], 2),
            (&[Key("d"), Key("e")], 6),
        ] {
            assert_eq!(line(text, path), expected, "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[\\[\\]{}:,\"\\\\a1 \n]{0,40}", n in 0usize..3) {
            let lines = 1 + text.matches('\n').count();
            prop_assert!(line(&text, &[Key("a"), Index(n), Key("a")]) <= lines);
            prop_assert!(line(&text, &[Index(n), Index(n)]) <= lines);
        }
    }
}
