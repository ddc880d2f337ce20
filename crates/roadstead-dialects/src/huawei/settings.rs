//! The operator's settings: section `[dialect.huawei]`, shown by `settings.toml`.
//!
//! Source: Huawei §2.1 (keep-alive), §2.2 (time stamps), §4 (provisioning policies).

use core::time::Duration;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::Value;
use serde::{Deserialize, Deserializer, de};

use super::{PRODUCT_ID_MAX, is_id};
use crate::Problem;

/// The settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) strict_time: bool,
    #[serde(deserialize_with = "duration")]
    pub(super) time_window: Duration,
    #[serde(deserialize_with = "duration")]
    pub(super) keep_alive_min: Duration,
    #[serde(deserialize_with = "duration")]
    pub(super) keep_alive_max: Duration,
    pub(super) verify_chain: bool,
    pub(super) learn_fingerprint: bool,
    pub(super) unknown_keys: UnknownKeys,
    pub(super) custom_topics: CustomTopics,
    pub(super) unpacked_bytes_max: usize,
    #[serde(deserialize_with = "address")]
    pub(super) address: Box<str>,
    pub(super) init_config: Box<str>,
    pub(super) policies: Vec<Policy>,
    pub(super) groups: BTreeMap<Box<str>, Box<str>>,
    pub(super) file_url: Box<str>,
    #[serde(deserialize_with = "duration")]
    pub(super) file_url_life: Duration,
}

/// What happens to keys that the model does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum UnknownKeys {
    /// The rest is stored.
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
    /// Those that the product lists.
    Product,
}

/// Sends some devices to another address.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    /// Static policy: a text contained in name or payload.
    #[serde(default)]
    pub(super) keyword: Option<Box<str>>,
    /// Where the keyword is looked for.
    #[serde(default)]
    pub(super) keyword_from: KeywordFrom,
    /// Certificate policy: id of the authority of the client certificate.
    #[serde(default)]
    pub(super) authority: Option<Box<str>>,
    /// Where to.
    #[serde(deserialize_with = "address")]
    pub(super) address: Box<str>,
}

/// Where the keyword of a static policy is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeywordFrom {
    /// The device's display name, id or node id.
    #[default]
    #[serde(alias = "deviceName")]
    DeviceName,
    /// `baseStrategyKeyword` of its request.
    Payload,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            strict_time: false,
            time_window: Duration::from_secs(3600),
            keep_alive_min: Duration::from_secs(30),
            keep_alive_max: Duration::from_secs(1200),
            verify_chain: true,
            learn_fingerprint: true,
            unknown_keys: UnknownKeys::Partial,
            custom_topics: CustomTopics::Any,
            unpacked_bytes_max: 1024 * 1024,
            address: "".into(),
            init_config: "".into(),
            policies: Vec::new(),
            groups: BTreeMap::new(),
            file_url: "".into(),
            file_url_life: Duration::from_secs(3600),
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
        let bad = |text: String| Problem::new("api.bad_request", text);
        if section.is_null() {
            return Ok(Self::default());
        }
        if !section.is_object() {
            return Err(bad("the section is not a table".into()));
        }
        let read = Self::deserialize(section).map_err(|error| bad(alloc::format!("{error}")))?;
        for (scope, product) in &read.groups {
            if scope.is_empty() || !is_id(product, PRODUCT_ID_MAX) {
                return Err(bad(alloc::format!("groups: `{scope}` names no product id")));
            }
        }
        let empty = |policy: &Policy| policy.keyword.is_none() && policy.authority.is_none();
        if read.policies.iter().any(empty) {
            return Err(bad("policies: one has neither `keyword` nor `authority`".into()));
        }
        Ok(read)
    }
}

/// Reads `"90s"`, `"15m"`, `"1h"`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
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
    parsed.ok_or_else(|| de::Error::custom("expected a duration like \"90s\""))
}

/// Reads an address that firmware can use: `host:port` with an explicit numeric port (T15).
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<str>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let split = text.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
    match split {
        Some((host, Ok(1..))) if !host.is_empty() && !host.contains(':') => Ok(text.into()),
        None if text.is_empty() => Ok(text.into()),
        Some(_) | None => Err(de::Error::custom("expected an address like \"host:8883\"")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_have_defaults_and_refuse_what_they_do_not_know() {
        let read = Settings::read(&json!({
            "strict_time": true,
            "policies": [{"keyword": "east", "keyword_from": "payload", "address": "e:8883"}],
            "groups": {"scope_1234": "lab_product"},
        }))
        .expect("valid");
        assert!(read.strict_time && read.learn_fingerprint);
        assert_eq!(read.policies[0].keyword_from, KeywordFrom::Payload);
        for bad in [
            json!({"strict_tim": true}),
            json!({"unknown_keys": "maybe"}),
            json!({"time_window": "soon"}),
            json!({"address": "no-port"}),
            json!({"address": "host:0"}),
            json!({"address": ":8883"}),
            json!({"address": "a:b:8883"}),
            json!({"policies": [{"address": "e:8883"}]}),
            json!({"policies": [{"authority": 1, "address": "e:8883"}]}),
            json!({"groups": {"scope": "a b"}}),
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
