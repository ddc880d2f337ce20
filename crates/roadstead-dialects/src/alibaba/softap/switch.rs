//! The request `switchap`: network, token and region for a device.
//!
//! Source: Alibaba §7.3 (device's own network), §7.4 (setup networks).

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::{Code, Map, Secret, Value};

use super::super::lan::Maker;
use super::super::lan::info::{is_token, number};
use super::Security;
use super::cipher::PASSWORD_BYTES_MAX;

/// Longest network name, bytes (IEEE 802.11).
pub const SSID_BYTES_MAX: usize = 32;
/// Longest `host:port`, characters (smart-living: below 128).
const ENDPOINT_LEN_MAX: usize = 127;

/// A network to join.
#[derive(Clone, PartialEq, Eq)]
pub struct Network {
    /// Name: any 1 to 32 bytes.
    pub ssid: Vec<u8>,
    /// Password; empty for an open network.
    pub password: Secret,
    /// Access point, when the phone knows it.
    pub bssid: Option<[u8; 6]>,
}

/// Which platform the device shall use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Region {
    /// Number of a region (§1).
    Number(u32),
    /// `host:port`.
    Endpoint(String),
}

/// The request.
#[derive(Clone, PartialEq, Eq)]
pub struct Switch {
    /// Network.
    pub network: Network,
    /// A token that the phone made; the device makes its own without one.
    pub token: Option<Secret>,
    /// Another platform.
    pub region: Option<Region>,
}

impl core::fmt::Debug for Switch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let token = if self.token.is_some() { "with" } else { "without" };
        let ssid = String::from_utf8_lossy(&self.network.ssid);
        write!(f, "to {ssid:?} {token} token, region {:?}", self.region)
    }
}

/// Why a device refuses; code and words are the firmware's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwitchError {
    /// No name, too long, or not hexadecimal.
    #[error("ssid error")]
    Ssid,
    /// Not whole blocks of hexadecimal.
    #[error("passwd len error")]
    PasswordLength,
    /// Not text after decryption: most likely another product's secret.
    #[error("passwd content error")]
    PasswordContent,
    /// Not 32 hexadecimal digits.
    #[error("random len error")]
    Random,
}

impl SwitchError {
    /// Returns the vendor's number.
    pub fn number(self) -> i64 {
        match self {
            Self::Ssid => -1,
            Self::PasswordLength | Self::PasswordContent => -3,
            Self::Random => -4,
        }
    }

    /// Returns the stable code.
    pub fn code(self) -> Code {
        match self {
            Self::Ssid | Self::Random => "attempt.device_error",
            Self::PasswordLength | Self::PasswordContent => "attempt.credentials_not_readable",
        }
    }

    /// Finds the error of a device's answer.
    pub fn from_answer(number: i64, words: &str) -> Option<Self> {
        let all = [Self::Ssid, Self::PasswordLength, Self::PasswordContent, Self::Random];
        let exact = all.into_iter().find(|e| e.number() == number && e.to_string() == words);
        exact.or_else(|| all.into_iter().find(|e| e.number() == number))
    }
}

impl Switch {
    /// Returns `params`; `random` must be fresh for each request.
    pub fn to_params(&self, security: &Security, random: &[u8; 16]) -> Value {
        let mut map = Map::new();
        if let Security::V2 { .. } = security {
            map.insert("security".into(), "2.0".into());
        }
        match core::str::from_utf8(&self.network.ssid) {
            Ok(text) if text.bytes().all(|byte| (0x20..0x7F).contains(&byte)) => {
                map.insert("ssid".into(), text.into());
            }
            _ => drop(map.insert("xssid".into(), hex::encode(&self.network.ssid).into())),
        }
        let sealed = security.seal(&self.network.password, random);
        map.insert("passwd".into(), hex::encode(sealed).into());
        if let Some(bssid) = self.network.bssid {
            let [a, b, c, d, e, f] = bssid;
            let text = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
            map.insert("bssid".into(), text.into());
        }
        if let Security::Legacy(_) = security {
            map.insert("cipherType".into(), 3.into());
        }
        map.insert("random".into(), hex::encode(random).into());
        if let Some(token) = &self.token {
            map.insert("token".into(), token.expose_text().unwrap_or_default().into());
            map.insert("tokenType".into(), Maker::Phone.number().to_string().into());
        }
        match &self.region {
            None => {}
            Some(Region::Number(number)) => {
                map.insert("regionType".into(), "0".into());
                map.insert("regionContent".into(), number.to_string().into());
            }
            Some(Region::Endpoint(endpoint)) => {
                map.insert("regionType".into(), "1".into());
                map.insert("regionContent".into(), endpoint.as_str().into());
            }
        }
        Value::Object(map)
    }

    /// Reads `params` as a device that holds `secret`; `cut` imitates trap 14.
    ///
    /// # Errors
    ///
    /// What the device answers.
    pub fn from_params(params: &Value, secret: &Secret, cut: bool) -> Result<Self, SwitchError> {
        let text = |key: &str| params.get(key).and_then(Value::as_str);
        let ssid = match (text("xssid"), text("ssid")) {
            (Some(hex), _) if !hex.is_empty() => hex::decode(hex).map_err(|_| SwitchError::Ssid)?,
            (_, Some(text)) => text.as_bytes().to_vec(),
            (_, None) => return Err(SwitchError::Ssid),
        };
        if ssid.is_empty() || ssid.len() > SSID_BYTES_MAX {
            return Err(SwitchError::Ssid);
        }
        let (random, digits) = random(text("random"))?;
        let security = match text("security") {
            Some("2.0") => Security::V2 { digits },
            Some(_) | None => Security::Legacy(secret.clone()),
        };
        let password = password(text("passwd"), &security, &random, cut)?;
        let token = text("token").filter(|token| is_token(token)).map(Secret::from);
        // A token of the device's own making is not sent to it.
        let maker = params.get("tokenType").and_then(Maker::parse);
        let token = token.filter(|_| maker != Some(Maker::Device));
        let bssid = text("bssid").and_then(bssid);
        let network = Network { ssid, password, bssid };
        Ok(Self { network, token, region: region(params) })
    }
}

fn random(text: Option<&str>) -> Result<([u8; 16], [u8; 32]), SwitchError> {
    let text = text.ok_or(SwitchError::Random)?;
    let digits: [u8; 32] = text.as_bytes().try_into().map_err(|_| SwitchError::Random)?;
    let mut random = [0; 16];
    hex::decode_to_slice(digits, &mut random).map_err(|_| SwitchError::Random)?;
    Ok((random, digits))
}

fn password(
    text: Option<&str>,
    security: &Security,
    random: &[u8; 16],
    cut: bool,
) -> Result<Secret, SwitchError> {
    let sealed = hex::decode(text.unwrap_or_default()).map_err(|_| SwitchError::PasswordLength)?;
    if !sealed.len().is_multiple_of(16) || sealed.len() > PASSWORD_BYTES_MAX {
        return Err(SwitchError::PasswordLength);
    }
    security.open(&sealed, random, cut).ok_or(SwitchError::PasswordContent)
}

fn bssid(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

fn region(params: &Value) -> Option<Region> {
    let content = params.get("regionContent")?;
    match params.get("regionType").and_then(number)? {
        0 => Some(Region::Number(u32::try_from(number(content)?).ok()?)),
        1 => {
            let text = content.as_str()?;
            let fits = !text.is_empty() && text.len() <= ENDPOINT_LEN_MAX;
            fits.then(|| Region::Endpoint(text.to_string()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SECRET: &str = "pS9dK2mQ7xWv4LtZ";
    const RANDOM: &str = "8f3a1c5e7d9b0246813579bdf02468ac";

    fn read(params: Value) -> Result<Switch, SwitchError> {
        Switch::from_params(&params, &SECRET.into(), false)
    }

    #[test]
    fn the_recorded_requests_are_read() {
        // l16_softap_legacy.
        let legacy = read(json!({
            "ssid": "HomeNet", "passwd": "6ace4459cea2673d5caf437f96c079f8",
            "bssid": "aa:bb:cc:dd:ee:01", "cipherType": 3, "random": RANDOM,
        }))
        .expect("request");
        assert_eq!(legacy.network.ssid, b"HomeNet");
        assert_eq!(legacy.network.password.expose_text(), Some("home-wifi-2024"));
        assert_eq!(legacy.network.bssid, Some([0xAA, 0xBB, 0xCC, 0xDD, 0xEE, 1]));
        assert!(legacy.token.is_none() && legacy.region.is_none());
        // l16_softap_token.
        let token = read(json!({
            "security": "2.0", "xssid": "486f6d654e6574", "random": RANDOM,
            "passwd": "5f08f46e920c765386b1333d5a0816be", "bssid": "aa:bb:cc:dd:ee:01",
            "token": "00112233445566778899AABBCCDDEEFF", "tokenType": "1",
            "regionType": "1", "regionContent": "192.168.77.1:1883",
        }))
        .expect("request");
        assert_eq!(token.network.ssid, b"HomeNet");
        assert_eq!(token.network.password.expose_text(), Some("home-wifi-2024"));
        assert!(token.token.is_some());
        assert_eq!(token.region, Some(Region::Endpoint("192.168.77.1:1883".into())));
    }

    #[test]
    fn refusals_are_the_firmwares() {
        let sealed = "6ace4459cea2673d5caf437f96c079f8";
        let error = |params: Value| {
            let error = read(params).expect_err("refused");
            let words = error.to_string();
            assert_eq!(SwitchError::from_answer(error.number(), &words), Some(error));
            (error.number(), words)
        };
        // l16_softap_nossid, l16_softap_badrandom.
        let ssid = (-1, "ssid error".to_string());
        assert_eq!(error(json!({"passwd": sealed, "random": RANDOM})), ssid);
        assert_eq!(error(json!({"ssid": "", "passwd": sealed, "random": RANDOM})), ssid);
        assert_eq!(error(json!({"xssid": "4", "passwd": sealed, "random": RANDOM})), ssid);
        let long = "x".repeat(33);
        assert_eq!(error(json!({"ssid": long, "passwd": sealed, "random": RANDOM})), ssid);
        let random = (-4, "random len error".to_string());
        assert_eq!(error(json!({"ssid": "HomeNet", "passwd": sealed, "random": "8f3a"})), random);
        assert_eq!(error(json!({"ssid": "HomeNet", "passwd": sealed})), random);
        let len = (-3, "passwd len error".to_string());
        assert_eq!(error(json!({"ssid": "a", "passwd": "6ace", "random": RANDOM})), len);
        assert_eq!(error(json!({"ssid": "a", "passwd": "xyz", "random": RANDOM})), len);
        let content = (-3, "passwd content error".to_string());
        let other = "ffffffffffffffffffffffffffffffff";
        assert_eq!(error(json!({"ssid": "a", "passwd": other, "random": RANDOM})), content);
        assert_eq!(error(json!([])), ssid);
    }

    #[test]
    fn an_open_network_has_no_password() {
        let open = read(json!({"ssid": "cafe", "random": RANDOM})).expect("request");
        assert!(open.network.password.expose().is_empty());
        let region = read(json!({
            "ssid": "cafe", "random": RANDOM, "regionType": 0, "regionContent": "4",
        }));
        assert_eq!(region.ok().and_then(|s| s.region), Some(Region::Number(4)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            ssid in prop::collection::vec(any::<u8>(), 1..=32),
            password in "[ -~]{0,63}",
            random in any::<[u8; 16]>(),
            bssid in prop::option::of(any::<[u8; 6]>()),
            token in prop::option::of("[0-9A-F]{32}"),
            region in prop::option::of(any::<u32>()),
        ) {
            let switch = Switch {
                network: Network { ssid, password: password.into(), bssid },
                token: token.map(Secret::from),
                region: region.map(Region::Number),
            };
            for security in [Security::Legacy(SECRET.into()), Security::v2(&random)] {
                let params = switch.to_params(&security, &random);
                let read = Switch::from_params(&params, &SECRET.into(), false);
                prop_assert!(read == Ok(switch.clone()), "{}", params);
            }
        }
    }
}
