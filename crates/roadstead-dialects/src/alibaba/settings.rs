//! The operator's settings: section `[dialect.alibaba]`, shown by `settings.toml`.

use alloc::string::String;
use core::time::Duration;

use roadstead_core::Value;
use serde::{Deserialize, Deserializer, de};

use crate::Problem;

/// The settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) unknown_keys: UnknownKeys,
    pub(super) mqtt_host: String,
    pub(super) mqtt_port: u16,
    #[serde(deserialize_with = "span")]
    pub(super) guider_token_life: Duration,
    pub(super) connects_per_minute: u32,
    #[serde(deserialize_with = "span")]
    pub(super) bind_token_life: Duration,
}

/// What happens to keys that the model does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnknownKeys {
    /// The rest is stored.
    Partial,
    /// Nothing is stored, the answer has a code.
    Reject,
    /// All is stored.
    Accept,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            unknown_keys: UnknownKeys::Partial,
            mqtt_host: String::new(),
            mqtt_port: 1883,
            guider_token_life: Duration::from_secs(7 * 24 * 3600),
            connects_per_minute: 0,
            bind_token_life: Duration::from_secs(120),
        }
    }
}

impl Settings {
    /// Reads the section; `null` is all defaults.
    ///
    /// # Errors
    ///
    /// [`Problem`] naming the setting.
    pub(super) fn read(section: &Value) -> Result<Self, Problem> {
        if section.is_null() {
            return Ok(Self::default());
        }
        if !section.is_object() {
            return Err(Problem::new("api.bad_request", "the section is not a table"));
        }
        Self::deserialize(section)
            .map_err(|error| Problem::new("api.bad_request", alloc::format!("{error}")))
    }
}

/// Reads `"90s"`, `"15m"`, `"1h"`, `"7d"`; not zero.
fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = text.char_indices().next_back().and_then(|(at, unit)| {
        let scale = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            _ => return None,
        };
        let n = text[..at].parse::<u32>().ok().filter(|&n| n > 0)?;
        Some(Duration::from_secs(u64::from(n) * scale))
    });
    parsed.ok_or_else(|| de::Error::custom("expected a duration like \"90s\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_have_defaults_and_refuse_what_they_do_not_know() {
        let read = Settings::read(&json!({"bind_token_life": "45s", "unknown_keys": "accept"}))
            .expect("valid");
        assert_eq!(read.bind_token_life, Duration::from_secs(45));
        assert_eq!(read.unknown_keys, UnknownKeys::Accept);
        assert_eq!(read.mqtt_port, 1883);
        for bad in [
            json!({"mqtt_hots": ""}),
            json!({"unknown_keys": "maybe"}),
            json!({"bind_token_life": "soon"}),
            json!({"bind_token_life": "0s"}),
            json!({"bind_token_life": "5€"}),
            json!([]),
        ] {
            assert!(Settings::read(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_template_shows_the_defaults() {
        let lines = include_str!("settings.toml").lines().filter(|line| !line.starts_with('#'));
        let section = lines.map(|line| {
            let (key, value) = line.split_once(" = ").expect("key = value");
            (key.into(), serde_json::from_str(value).expect("TOML scalars that are JSON too"))
        });
        let shown = Settings::read(&Value::Object(section.collect())).expect("valid");
        assert_eq!(std::format!("{shown:?}"), std::format!("{:?}", Settings::default()));
    }
}
