//! The operator's settings: section `[dialect.gizwits]`, shown by `settings.toml`.

use core::time::Duration;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::Value;
use serde::{Deserialize, Deserializer, de};

use crate::Problem;

/// Smallest firmware image, bytes; GAgent 04020006 crashes for ever on one that is smaller than
/// 600 less the header (GizWits §3.1 rule 7).
const IMAGE_BYTES_MIN: u64 = 600;
/// Longest download URL, characters: the answer must fit 1024 bytes with its header.
const URL_MAX: usize = 512;

/// The settings.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) m2m_host: Box<str>,
    pub(super) m2m_port: u16,
    #[serde(deserialize_with = "pause")]
    pub(super) packet_gap: Duration,
    pub(super) new_passcode: NewPasscode,
    pub(super) second_user: SecondUser,
    pub(super) third_party: BTreeMap<Box<str>, ThirdParty>,
    pub(super) packages: Vec<Package>,
}

/// What a registration of a known MAC address with another passcode does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NewPasscode {
    /// It gets a new DID; the old one ends.
    NewDid,
    /// It is refused.
    Refuse,
}

/// What becomes of a phone that binds a device which has an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SecondUser {
    /// It is refused with 9092; the owner shares.
    Refuse,
    /// It becomes a guest.
    Guest,
}

/// The cloud of a third party.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ThirdParty {
    pub(super) cloud: Box<str>,
    pub(super) product_uuid: Box<str>,
}

/// A firmware assigned by hand, delivered by any web server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Package {
    pub(super) product: Box<str>,
    /// 1 for the module, 2 for the MCU.
    #[serde(rename = "type")]
    pub(super) part: u8,
    pub(super) hard_version: Box<str>,
    pub(super) version: Box<str>,
    pub(super) url: Box<str>,
    /// Size of the file, bytes.
    pub(super) size: u64,
}

impl Package {
    /// Refuses what would brick a module.
    fn check(&self) -> Result<(), Problem> {
        let host = self.url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
        let text =
            |rule| alloc::format!("packages: {} {}: {rule}", self.hard_version, self.version);
        if self.size < IMAGE_BYTES_MIN {
            let rule = "an image has at least 600 bytes: modules crash on smaller ones";
            return Err(Problem::new("module.image_small", text(rule)));
        }
        // Only virtual modules live on this machine, and they understand ports.
        let strange: &[char] = match host.is_some_and(|host| host.starts_with("127.")) {
            true => &['@'],
            false => &[':', '@'],
        };
        let rule = if !matches!(self.part, 1 | 2) {
            "the type is 1 (module) or 2 (MCU)"
        } else if host.is_none_or(|host| host.is_empty() || host.contains(strange)) {
            "the URL begins with http:// and a host without a port"
        } else if self.url.len() > URL_MAX
            || !self.url.bytes().all(|b| b.is_ascii_graphic() && b != b'&')
        {
            "the URL has at most 512 characters, no blanks and no `&`"
        } else if !is_plain(&self.hard_version) || !is_plain(&self.version) {
            "a version has letters and digits"
        } else {
            return Ok(());
        };
        Err(Problem::new("api.bad_request", text(rule)))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            m2m_host: "".into(),
            m2m_port: 0,
            packet_gap: Duration::from_millis(50),
            new_passcode: NewPasscode::NewDid,
            second_user: SecondUser::Refuse,
            third_party: BTreeMap::new(),
            packages: Vec::new(),
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
        let read = Self::deserialize(section)
            .map_err(|error| Problem::new("api.bad_request", alloc::format!("{error}")))?;
        // These go into form bodies that modules cut at `&`.
        let texts = read.third_party.values().flat_map(|third| [&third.cloud, &third.product_uuid]);
        if texts.chain([&read.m2m_host]).any(|text| !is_plain(text)) {
            let text = "host, cloud and uuid have letters, digits, `-`, `_`, `.` and `:` only";
            return Err(Problem::new("api.bad_request", text));
        }
        read.packages.iter().try_for_each(Package::check)?;
        Ok(read)
    }
}

/// Returns whether a text can stand in a form body as it is.
pub(super) fn is_plain(text: &str) -> bool {
    text.len() <= 128
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

/// Reads `"50ms"`, `"2s"`.
fn pause<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let (digits, scale) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1),
        (None, Some(digits)) => (digits, 1000),
        (None, None) => ("", 0),
    };
    let ms = digits.parse::<u32>().ok().map(|n| Duration::from_millis(u64::from(n) * scale));
    ms.filter(|pause| *pause <= Duration::from_secs(10))
        .ok_or_else(|| de::Error::custom("expected a pause of at most 10 s like \"50ms\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_have_defaults_and_refuse_what_they_do_not_know() {
        let read = Settings::read(&json!({
            "packet_gap": "2s", "new_passcode": "refuse",
            "third_party": {"6f30": {"cloud": "jd", "product_uuid": "U1"}},
        }))
        .expect("valid");
        assert_eq!(read.packet_gap, Duration::from_secs(2));
        assert_eq!(read.new_passcode, NewPasscode::Refuse);
        assert_eq!(&*read.third_party["6f30"].cloud, "jd");
        let package = |key: &str, value: Value| {
            let mut package = json!({"product": "6f30", "type": 1, "hard_version": "000LINUX",
                "version": "04020007", "url": "http://fw.example/a.bin", "size": 600});
            package[key] = value;
            json!({"packages": [package]})
        };
        assert!(Settings::read(&package("size", json!(600))).is_ok());
        assert!(Settings::read(&package("url", json!("http://127.0.0.1:8080/a.bin"))).is_ok());
        let small = Settings::read(&package("size", json!(599))).expect_err("small");
        assert_eq!(small.code, "module.image_small");
        for bad in [
            package("size", json!(599)),
            package("type", json!(3)),
            package("url", json!("https://fw.example/a.bin")),
            package("url", json!("http://fw.example:8080/a.bin")),
            package("url", json!("http:///a.bin")),
            package("url", json!("http://fw.example/a?x=1&y=2")),
            package("version", json!("0402&")),
            json!({"m2m_prot": 1}),
            json!({"new_passcode": "maybe"}),
            json!({"packet_gap": "soon"}),
            json!({"packet_gap": "11s"}),
            json!({"packet_gap": "5"}),
            json!({"m2m_host": "a&port=1"}),
            json!({"third_party": {"6f30": {"cloud": "j d", "product_uuid": "U1"}}}),
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
