//! Durations as text with a unit: `"250ms"`, `"30s"`, `"15m"`, `"24h"`, `"7d"`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Parses a duration; `None` for a missing or unknown unit, or a number out of range.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*ms).map(Duration::from_millis)
}

pub(super) fn format(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (unit, scale) = UNITS.iter().rev().find(|(_, scale)| ms % scale == 0).unwrap_or(&UNITS[0]);
    format!("{}{unit}", ms / scale)
}

pub(super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&format(*duration))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).ok_or_else(|| {
        serde::de::Error::custom(format!(
            "`{text}` is not a duration; write a number and ms, s, m, h or d, such as `30s`"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_trip() {
        for text in ["0ms", "250ms", "30s", "15m", "24h", "7d"] {
            let shown = format(parse(text).expect(text));
            assert_eq!(parse(&shown), parse(text), "{text}");
        }
        for bad in ["", "30", "s", "1.5s", "-1s", "10 s", "99999999999999999999s"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(format(Duration::from_secs(90)), "90s");
    }
}
