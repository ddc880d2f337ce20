//! Dates as texts: `YYYYMMDDTHHMMSSZ` and `YYYY-MM-DDTHH:MM:SSZ`, both UTC by contract.
//!
//! Source: Huawei §3, T8. The Python SDK fills the second form with *local* time; a device cannot
//! be told apart by it, so a date is believed unless it lies too far ahead.

use alloc::format;
use alloc::string::String;

use roadstead_core::{Timestamp, Value};

/// A device clock further ahead than this is wrong, milliseconds. Local time is at most 14 hours
/// ahead of UTC.
const AHEAD_MAX_MS: i64 = 24 * 3_600_000;
/// A device clock before this is not set.
const CLOCK_SET: Timestamp = Timestamp(1_000_000_000_000);
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A date in the proleptic Gregorian calendar, UTC.
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    /// Takes a date apart.
    pub(crate) fn of(at: Timestamp) -> Self {
        let ms = at.as_millis();
        let (days, of_day) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS) / 1000);
        // Days are counted from 0000-03-01, so that the leap day ends the year.
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Self {
            year: year + era * 400 + i64::from(month <= 2),
            month,
            day,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }
}

/// Returns midnight of a date; `None` when there is no such day.
pub(crate) fn date(year: i64, month: i64, day: i64) -> Option<Timestamp> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..=9999).contains(&year) {
        return None;
    }
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let of_era = shifted_year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let at = Timestamp(days * DAY_MS);
    let back = Civil::of(at);
    (back.month == month && back.day == day).then_some(at)
}

/// Writes `YYYYMMDDTHHMMSSZ`.
pub(crate) fn compact(at: Timestamp) -> String {
    let Civil { year, month, day, hour, minute, second } = Civil::of(at);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Reads either form; a fraction of a second is taken, the `Z` may be missing.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim().strip_suffix(['Z', 'z']).unwrap_or(text.trim());
    let (text, fraction) = match text.split_once('.') {
        Some((text, fraction)) => (text, fraction),
        None => (text, ""),
    };
    let (day, clock) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = fields(day, '-', [4, 2, 2])?;
    let [hour, minute, second] = fields(clock, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let ms = match fraction.as_bytes() {
        [] => 0,
        digits if digits.len() > 9 || !digits.iter().all(u8::is_ascii_digit) => return None,
        digits => (0..3)
            .fold(0, |ms, n| ms * 10 + digits.get(n).map_or(0, |digit| i64::from(digit - b'0'))),
    };
    let of_day = (hour * 3600 + minute * 60 + second) * 1000 + ms;
    Some(Timestamp(date(year, month, day)?.as_millis() + of_day))
}

/// Reads three numbers of fixed length, with or without separators.
fn fields(text: &str, separator: char, lengths: [usize; 3]) -> Option<[i64; 3]> {
    let mut rest = text;
    let mut numbers = [0; 3];
    for (n, (number, len)) in numbers.iter_mut().zip(lengths).enumerate() {
        if n > 0 {
            rest = rest.strip_prefix(separator).unwrap_or(rest);
        }
        let (digits, after) = rest.split_at_checked(len)?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = digits.parse().ok()?;
        rest = after;
    }
    rest.is_empty().then_some(numbers)
}

/// Returns when something happened: by the device's clock if that can be right, else by ours.
pub(crate) fn event_time(claimed: Option<&Value>, now: Timestamp) -> Timestamp {
    let claimed = claimed.and_then(Value::as_str).and_then(parse);
    let is_right = |at: &Timestamp| *at >= CLOCK_SET && at.0.saturating_sub(now.0) <= AHEAD_MAX_MS;
    claimed.filter(is_right).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_221_169_000);

    #[test]
    fn t08_every_form_of_event_time() {
        for (claimed, expected) in [
            (json!("20261121T003249Z"), NOW.0),
            (json!("2026-11-21T00:32:49Z"), NOW.0),
            (json!("2026-11-21T00:32:49.5Z"), NOW.0 + 500),
            (json!("20261121T003248"), NOW.0 - 1000),
            // Local time in China.
            (json!("2026-11-21T08:32:49Z"), NOW.0 + 8 * 3_600_000),
            (json!("2026-11-23T00:32:49Z"), NOW.0),
            (json!("19700101T000010Z"), NOW.0),
            (json!("20260231T000000Z"), NOW.0),
            (json!("yesterday"), NOW.0),
            (json!(""), NOW.0),
            (json!(null), NOW.0),
            (json!(17), NOW.0),
        ] {
            assert_eq!(event_time(Some(&claimed), NOW).0, expected, "{claimed}");
        }
        assert_eq!(event_time(None, NOW), NOW);
        assert_eq!(compact(NOW), "20261121T003249Z");
    }

    proptest! {
        #[test]
        fn dates_round_trip(secs in -62_000_000_000_i64..253_000_000_000) {
            let at = Timestamp(secs * 1000);
            prop_assert_eq!(parse(&compact(at)), Some(at));
        }

        #[test]
        fn any_text_is_survived(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
