//! One line, ready for the signs: text, number, time, device key, where foreign text begins.

use std::cell::OnceCell;

use memchr::memmem;

/// One line of a log after decoding and unwrapping.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// Number in the file, from 1.
    pub number: u64,
    /// The text without terminal control and without the wrapper of a log collector.
    pub text: &'a str,
    /// Port, host or container in front of the line; empty where there is none.
    pub key: &'a str,
    /// Index in `text` from which the text is not the program's own: a payload or JSON.
    pub payload: usize,
    /// Where its printed time begins, its length and value, once asked for.
    stamp: OnceCell<Option<(usize, usize, i64, bool)>>,
}

/// Texts that introduce a payload.
pub(crate) const PAYLOAD_MARKS: &[&str] =
    &["{\"", "{ \"", "{\\\"", "payload", " msg: ", " msg= ", "topic_msg=", "Json Document="];

impl<'a> Line<'a> {
    /// Makes a line and finds its payload.
    pub fn new(number: u64, text: &'a str, key: &'a str) -> Self {
        Self::with_payload(number, text, key, payload(text))
    }

    /// Makes a line whose payload begins at a known index.
    pub(crate) fn with_payload(number: u64, text: &'a str, key: &'a str, payload: usize) -> Self {
        Self { number, text, key, payload, stamp: OnceCell::new() }
    }

    /// Returns the time in milliseconds: since 1970 where a date is printed, else since the start
    /// of the device. Only differences of the same kind mean anything.
    pub fn time(&self) -> Option<Stamp<'a>> {
        let known = self.stamp.get_or_init(|| {
            let found = stamp(self.text)?;
            let begin = found.text.as_ptr().addr() - self.text.as_ptr().addr();
            Some((begin, found.text.len(), found.ms, found.dated))
        });
        known.map(|(begin, length, ms, dated)| Stamp {
            text: &self.text[begin..begin + length],
            ms,
            dated,
        })
    }
}

/// Returns true for a line of a printed payload: JSON or a dump.
pub(crate) fn is_payload(text: &str) -> bool {
    let start = text.trim_start();
    start.starts_with('"') || start.starts_with("> ") || start.starts_with("< ")
}

fn payload(text: &str) -> usize {
    if is_payload(text) {
        return 0;
    }
    let found =
        PAYLOAD_MARKS.iter().filter_map(|mark| memmem::find(text.as_bytes(), mark.as_bytes()));
    found.min().unwrap_or(text.len())
}

/// A time as it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// The printed text.
    pub text: &'a str,
    /// Milliseconds since 1970 or since the start of the device.
    pub ms: i64,
    /// True when a date is printed.
    pub dated: bool,
}

/// Bytes at the start of a line that are searched for a time.
const STAMP_BYTES: usize = 96;

fn stamp(text: &str) -> Option<Stamp<'_>> {
    let head = &text.as_bytes()[..text.len().min(STAMP_BYTES)];
    clock(text, head).or_else(|| tick(text, head))
}

/// Finds `hh:mm:ss` with a fraction and a date around it.
fn clock<'a>(text: &'a str, head: &[u8]) -> Option<Stamp<'a>> {
    let at = memchr::memchr_iter(b':', head).find(|&at| {
        at >= 2
            && head.get(at + 3) == Some(&b':')
            && number(head, at - 2, 2).is_some()
            && number(head, at + 1, 2).is_some()
            && number(head, at + 4, 2).is_some()
    })?;
    let mut end = at + 6;
    let mut fraction = 0;
    if matches!(head.get(end), Some(b'.' | b',')) {
        let digits = head[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        for n in 0..3 {
            let digit = if n < digits { i64::from(head[end + 1 + n] - b'0') } else { 0 };
            fraction = fraction * 10 + digit;
        }
        end += usize::from(digits > 0) * (digits + 1);
    }
    let of_day =
        number(head, at - 2, 2)? * 3600 + number(head, at + 1, 2)? * 60 + number(head, at + 4, 2)?;
    let (begin, days) = date(head, at - 2);
    let ms = (days.unwrap_or(0) * 86_400 + of_day) * 1000 + fraction;
    let text = text.get(begin..end)?;
    Some(Stamp { text, ms, dated: true })
}

/// Returns where the date before `at` begins and its days since 1970: `yyyy-mm-dd`, `mm-dd`, or a
/// month's English name and a day (a year is then unknown and left out).
fn date(head: &[u8], at: usize) -> (usize, Option<i64>) {
    let Some(gap) = at.checked_sub(1) else { return (at, None) };
    let day = |from: usize| number(head, from, 2);
    let dash = |n: usize| matches!(head.get(n), Some(b'-' | b'/'));
    if gap >= 10
        && dash(gap - 3)
        && dash(gap - 6)
        && let (Some(y), Some(m), Some(d)) = (number(head, gap - 10, 4), day(gap - 5), day(gap - 2))
    {
        return (gap - 10, Some(civil(y, m, d)));
    }
    if gap >= 5
        && dash(gap - 3)
        && let (Some(m), Some(d)) = (day(gap - 5), day(gap - 2))
    {
        return (gap - 5, Some(civil(1970, m, d)));
    }
    if gap >= 6
        && let Some(month) = MONTHS.iter().position(|name| head[gap - 6..].starts_with(name))
    {
        let tens = if head[gap - 2] == b' ' { 0 } else { i64::from(head[gap - 2]) - 48 };
        let day = tens * 10 + i64::from(head[gap - 1]) - 48;
        return (gap - 6, Some(civil(1970, month as i64 + 1, day)));
    }
    (at, None)
}

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

/// Returns the days since 1970 of a date of the proleptic Gregorian calendar.
fn civil(y: i64, m: i64, d: i64) -> i64 {
    let y = if m <= 2 { y - 1 } else { y };
    let era = y.div_euclid(400);
    let of_era = y - era * 400;
    let of_year = (153 * ((m + 9) % 12) + 2) / 5 + d - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Finds a counter: `[seconds.ms]`, `[seconds]`, `[ms]<E>`, `](ms)` or `I (ms)`.
fn tick<'a>(text: &'a str, head: &[u8]) -> Option<Stamp<'a>> {
    let bracket = |open: u8, close: u8| {
        memchr::memchr_iter(open, head).find_map(|at| {
            // `port=[1883]` and `f(12)` are no times: a counter stands alone.
            if at > 0 && !matches!(head[at - 1], b' ' | b']') {
                return None;
            }
            let inner = &head[at + 1..];
            let end = memchr::memchr(close, inner)?;
            let digits = &inner[..end];
            let plain = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
            (end >= 4 && plain).then_some((at + 1, at + 1 + end))
        })
    };
    let (begin, end) = bracket(b'[', b']').or_else(|| bracket(b'(', b')'))?;
    let printed = text.get(begin..end)?;
    let (whole, fraction) = printed.split_once('.').unwrap_or((printed, ""));
    let whole: i64 = whole.parse().ok()?;
    let dated = (1_000_000_000..4_000_000_000).contains(&whole);
    let ms = match (dated, fraction) {
        (true, _) => {
            whole.checked_mul(1000)?.checked_add(fraction.get(..3).unwrap_or("0").parse().ok()?)?
        }
        (false, "") => whole,
        (false, fraction) => {
            whole.checked_mul(1000)?.checked_add(fraction.get(..3).unwrap_or("0").parse().ok()?)?
        }
    };
    Some(Stamp { text: printed, ms, dated })
}

fn number(bytes: &[u8], at: usize, digits: usize) -> Option<i64> {
    let piece = bytes.get(at..at + digits)?;
    piece
        .iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_all_shapes() {
        let cases = [
            ("ERR|2026-11-21 00:37:59|f.c|g(1): x", "2026-11-21 00:37:59", 1_795_221_479_000),
            ("2026-11-21 00:33:45.424 INFO x", "2026-11-21 00:33:45.424", 1_795_221_225_424),
            ("2026-11-21T00:33:45,424 x", "2026-11-21T00:33:45,424", 1_795_221_225_424),
            ("[2019-04-24-14:37:26][018912]<D> x", "2019-04-24-14:37:26", 1_556_116_646_000),
            ("[107787]<E> x", "107787", 107_787),
            ("[inf](3953008) f(1): x", "3953008", 3_953_008),
            ("[1795222756.444][LK-0313] x", "1795222756.444", 1_795_222_756_444),
            ("I (12345) wifi: x", "12345", 12_345),
            ("Nov 21 00:34:19 host app[1]: x", "Nov 21 00:34:19", 27_995_659_000),
            ("11-21 00:34:19.123  1  2 I x: y", "11-21 00:34:19.123", 27_995_659_123),
        ];
        for (text, printed, ms) in cases {
            let stamp = Line::new(1, text, "").time().expect(text);
            assert_eq!((stamp.text, stamp.ms), (printed, ms), "{text}");
        }
        for text in ["no time (1): x", "server(host='h', port=[1883])", "f(1234): x"] {
            assert_eq!(Line::new(1, text, "").time(), None, "{text}");
        }
    }

    #[test]
    fn payloads_begin_at_their_mark() {
        for (text, own) in [
            ("x payload={\"a\":1}", "x "),
            ("report token:{\"id\":1}", "report token:"),
            ("  \"key\": \"mqtt connect success\"", ""),
            ("> \"code\": 200", ""),
            ("plain text", "plain text"),
        ] {
            let line = Line::new(1, text, "");
            assert_eq!(&text[..line.payload], own);
        }
    }
}
