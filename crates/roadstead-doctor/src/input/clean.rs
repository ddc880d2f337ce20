//! Removes what terminals interpret: escape sequences, NUL, carriage returns.

use std::borrow::Cow;

use super::split::is_dirty;

/// Returns the line without terminal control; pieces between lone carriage returns are joined by a
/// blank, because progress texts overwrite each other.
pub(crate) fn strip(line: &[u8]) -> Cow<'_, [u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !is_dirty(line) {
        return Cow::Borrowed(line);
    }
    let mut out = Vec::with_capacity(line.len());
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            0x1b => at = escape_end(line, at),
            0 => at += 1,
            b'\r' => {
                if at + 1 < line.len() && line[at + 1] != b'\r' {
                    out.push(b' ');
                }
                at += 1;
            }
            _ => {
                let rest = &line[at..];
                let run = memchr::memchr3(0x1b, 0, b'\r', rest).unwrap_or(rest.len());
                out.extend_from_slice(&rest[..run]);
                at += run;
            }
        }
    }
    Cow::Owned(out)
}

/// Returns the index after the escape sequence that begins at `at` (ECMA-48: CSI, OSC, others).
fn escape_end(line: &[u8], at: usize) -> usize {
    let end = line.len();
    match line.get(at + 1) {
        Some(b'[') => {
            let rest = &line[at + 2..];
            let last = rest.iter().position(|byte| !(0x20..=0x3f).contains(byte));
            // A sequence that is cut by another control character ends before it.
            last.map_or(end, |n| at + 2 + n + usize::from((0x40..=0x7e).contains(&rest[n])))
        }
        Some(b']' | b'P' | b'_' | b'^' | b'X') => {
            let rest = &line[at + 2..];
            match rest.iter().position(|byte| matches!(byte, 7 | 0x1b)) {
                Some(n) if rest[n] == 7 => at + 3 + n,
                Some(n) if rest.get(n + 1) == Some(&b'\\') => at + 4 + n,
                // Not closed: drop the introducer alone, so that no text is lost.
                Some(_) | None => at + 2,
            }
        }
        Some(0x20..=0x2f) => (at + 3).min(end),
        Some(0x30..=0x7e) => at + 2,
        Some(_) | None => at + 1,
    }
}

/// Returns the text with every control character made visible as a blank, so that a terminal, a
/// page or a person cannot be tricked by it. Bidirectional overrides count as control.
pub(crate) fn printable(text: &str) -> String {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffd}')
    };
    text.chars().map(|c| if odd(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_control_goes_and_text_stays() {
        let cases: &[(&[u8], &str)] = &[
            (b"plain\r", "plain"),
            (b"\x1b[0m\x1b[1;36m[dbg] x\x1b[0m\r\r", "[dbg] x"),
            (b"a\x1b]0;title\x07b", "ab"),
            (b"a\x1b]0;title\x1b\\b", "ab"),
            (b"10%\r20%\r30%", "10% 20% 30%"),
            (b"n\0u\0l\0l", "null"),
            (b"cut\x1b", "cut"),
            (b"cut\x1b[", "cut"),
        ];
        for (line, expected) in cases {
            assert_eq!(String::from_utf8_lossy(&strip(line)), *expected);
        }
        assert_eq!(printable("a\u{7}b\u{202e}c\u{9b}d"), "a b c d");
    }
}
