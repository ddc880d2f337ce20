//! Times for people: `12 s ago`, `3 h ago`; and the two date formats of the API.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use roadstead_core::Timestamp;
use roadstead_core::time::Civil;
use serde_json::Value;

/// The moment that relative times count from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(pub(crate) Timestamp);

/// How far ahead the platform's clock may be before its past looks like the future.
const SLACK: Duration = Duration::from_secs(1);

impl Clock {
    /// Returns the clock of this machine.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns how long ago a date of the API was; `-` when there is none, the text itself when
    /// it is no date.
    pub(crate) fn ago(self, date: &Value) -> String {
        match parse_time(date) {
            // What happened after this command began, or by a clock that is a little ahead, is past.
            Some(at) if at > self.0 + SLACK => format!("in {}", span(at.since(self.0))),
            Some(at) => format!("{} ago", span(self.0.since(at))),
            None => match date {
                Value::String(text) => text.clone(),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::Array(_)
                | Value::Object(_) => "-".to_owned(),
            },
        }
    }

    /// Returns the date in the form of `X-Sdk-Date`: `20261121T003818Z`.
    pub(crate) fn basic(self) -> String {
        let c = self.0.civil();
        format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
            c.year, c.month, c.day, c.hour, c.minute, c.second
        )
    }
}

/// Returns a duration with one unit, rounded down: `850 ms`, `4.2 s`, `3 min`, `5 h`, `12 d`.
pub(crate) fn span(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..10_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        10_000..120_000 => format!("{} s", ms / 1000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

/// Reads `20261121T003818Z`, `2026-11-21T00:38:18.123Z` or milliseconds since 1970.
pub(crate) fn parse_time(date: &Value) -> Option<Timestamp> {
    if let Some(ms) = date.as_i64() {
        return Some(Timestamp(ms));
    }
    let text = date.as_str()?.strip_suffix('Z')?;
    let (day, time) = text.split_once('T')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let number = |text: &str| -> Option<u32> {
        let digits: String = text.chars().filter(|c| *c != '-' && *c != ':').collect();
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let (day, time) = (number(day)?, number(time)?);
    let milli = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let civil = Civil {
        year: i64::from(day / 10_000),
        month: u8::try_from(day / 100 % 100).ok().filter(|m| (1..=12).contains(m))?,
        day: u8::try_from(day % 100).ok().filter(|d| (1..=31).contains(d))?,
        hour: u8::try_from(time / 10_000).ok().filter(|h| *h < 24)?,
        minute: u8::try_from(time / 100 % 100).ok().filter(|m| *m < 60)?,
        second: u8::try_from(time % 100).ok().filter(|s| *s < 60)?,
        milli,
    };
    Some(Timestamp::from_civil(civil))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_date_forms_are_read() {
        let at = Timestamp(1_611_299_964_123);
        assert_eq!(parse_time(&json!("2021-01-22T07:19:24.123Z")), Some(at));
        assert_eq!(parse_time(&json!("20210122T071924Z")), Some(Timestamp(1_611_299_964_000)));
        assert_eq!(parse_time(&json!(1_611_299_964_123i64)), Some(at));
        for bad in ["", "yesterday", "20211322T071924Z", "2021-01-22", "T.Z", "20210122T07192é.Z"]
        {
            assert_eq!(parse_time(&json!(bad)), None, "{bad}");
        }
    }

    #[test]
    fn relative_times_have_one_unit() {
        let clock = Clock(Timestamp(1_611_299_964_123));
        for (before, expected) in [
            (5, "5 ms ago"),
            (4200, "4.2 s ago"),
            (90_000, "90 s ago"),
            (600_000, "10 min ago"),
            (86_400_000, "24 h ago"),
            (864_000_000, "10 d ago"),
            (-3000, "in 3.0 s"),
        ] {
            assert_eq!(clock.ago(&json!(clock.0.0 - before)), expected);
        }
        assert_eq!(clock.ago(&Value::Null), "-");
        assert_eq!(clock.basic(), "20210122T071924Z");
    }
}
