//! The operator's settings: section `[dialect.tencent]`, shown by `settings.toml`.

use core::time::Duration;

use alloc::string::String;

use roadstead_core::Value;
use serde::{Deserialize, Deserializer, de};

use crate::Problem;

/// The settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) check_expiry: bool,
    pub(super) unknown_keys: UnknownKeys,
    pub(super) custom_topics: CustomTopics,
    #[serde(deserialize_with = "window")]
    pub(super) registration_window: Option<Duration>,
    #[serde(deserialize_with = "window")]
    pub(super) sub_device_window: Option<Duration>,
}

/// What happens to keys that the model does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnknownKeys {
    /// The rest is stored, the answer has a code.
    Partial,
    /// Nothing is stored.
    Reject,
    /// All is stored.
    Accept,
}

/// Which topics of their own devices may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CustomTopics {
    /// Everything below the device's prefix.
    Any,
    /// The three that the vendor creates with a product.
    Vendor,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            check_expiry: true,
            unknown_keys: UnknownKeys::Partial,
            custom_topics: CustomTopics::Any,
            registration_window: Some(Duration::from_secs(3600)),
            sub_device_window: None,
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

/// Reads `"90s"`, `"15m"`, `"1h"`; zero is `None`.
fn window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let parsed = text.char_indices().next_back().and_then(|(at, unit)| {
        let scale = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        text[..at].parse::<u32>().ok().map(|n| Duration::from_secs(u64::from(n) * scale))
    });
    let duration = parsed.ok_or_else(|| de::Error::custom("expected a duration like \"90s\""))?;
    Ok((!duration.is_zero()).then_some(duration))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_have_defaults_and_refuse_what_they_do_not_know() {
        let read = Settings::read(&json!({"registration_window": "0s", "unknown_keys": "accept"}))
            .expect("valid");
        assert_eq!(read.registration_window, None);
        assert_eq!(read.unknown_keys, UnknownKeys::Accept);
        assert!(read.check_expiry);
        for bad in [
            json!({"chek_expiry": true}),
            json!({"unknown_keys": "maybe"}),
            json!({"registration_window": "soon"}),
            json!({"registration_window": "5€"}),
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
        let default = Settings::default();
        assert_eq!(std::format!("{shown:?}"), std::format!("{default:?}"));
    }
}
