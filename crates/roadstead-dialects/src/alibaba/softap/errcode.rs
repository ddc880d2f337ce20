//! Why a device's last try failed, as it tells the next phone.
//!
//! Source: Alibaba §7.3, §11.3; vector errcode-sign, transcript l16_softap_apfail.

use alloc::format;
use alloc::string::{String, ToString as _};

use roadstead_core::{Code, Map, Secret, Value};

use super::super::crypt::hmac_sha1;
use super::super::lan::info::number;

/// Something that a device can fail at, with the vendor's `err_code` and state code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The network is not there, or on a band the device has not.
    NetworkNotFound,
    /// The password of the network is wrong.
    NetworkPassword,
    /// The network gave no address.
    NoAddress,
    /// The address of the platform was not told.
    Bootstrap,
    /// The platform's HTTP answered no.
    DeviceRefused,
    /// The platform cannot be reached.
    Unreachable,
    /// The log-in was refused.
    LogIn,
    /// The platform never confirmed the token.
    TokenUnconfirmed,
}

impl Failure {
    /// Every failure.
    pub const ALL: [Self; 8] = [
        Self::NetworkNotFound,
        Self::NetworkPassword,
        Self::NoAddress,
        Self::Bootstrap,
        Self::DeviceRefused,
        Self::Unreachable,
        Self::LogIn,
        Self::TokenUnconfirmed,
    ];

    /// Returns the vendor's `err_code` (§11.3).
    pub fn number(self) -> u16 {
        match self {
            Self::NetworkNotFound => 50_400,
            Self::NetworkPassword => 50_402,
            Self::NoAddress => 50_403,
            Self::Bootstrap => 50_434,
            Self::DeviceRefused => 50_435,
            Self::Unreachable => 50_437,
            Self::LogIn => 50_438,
            Self::TokenUnconfirmed => 50_440,
        }
    }

    /// Returns the vendor's words; `what` is a network's name for example.
    pub fn words(self, what: &str) -> String {
        match self {
            Self::NetworkNotFound => format!("-0x0461,{what} not found"),
            Self::NetworkPassword => format!("-0x0463,{what} auth"),
            Self::NoAddress => format!("-0x0464,{what} no ip"),
            Self::Bootstrap => format!("-0x0642,{what}"),
            Self::DeviceRefused => format!("-0x0643,{what}"),
            Self::Unreachable => format!("-0x0342,{what}"),
            Self::LogIn => format!("-0x0305,{what}"),
            Self::TokenUnconfirmed => format!("-0x0812,{what}"),
        }
    }

    /// Returns the stable code.
    pub fn code(self) -> Code {
        match self {
            Self::NetworkNotFound | Self::NetworkPassword | Self::NoAddress => {
                "attempt.network_not_joined"
            }
            Self::Bootstrap | Self::Unreachable => "attempt.never_connected",
            Self::DeviceRefused => "auth.unknown_device",
            Self::LogIn => "auth.bad_password",
            Self::TokenUnconfirmed => "attempt.not_confirmed",
        }
    }

    /// Finds a failure by `err_code`.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| u64::from(failure.number()) == number)
    }
}

/// The answer of `errcode/get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    /// Vendor's `err_code`; 0 when nothing has failed.
    pub number: u64,
    /// Vendor's words, with a state code in front.
    pub words: String,
    /// Signature of the number with the device's secret, hexadecimal.
    pub sign: String,
}

impl ErrorReport {
    /// Returns a signed report.
    pub fn new(failure: Option<Failure>, what: &str, names: (&str, &str), secret: &Secret) -> Self {
        let number = failure.map_or(0, |failure| u64::from(failure.number()));
        let words = failure.map_or_else(String::new, |failure| failure.words(what));
        Self { number, words, sign: sign(number, names, secret) }
    }

    /// Whether the device of these names (product, device) signed it.
    pub fn is_valid(&self, names: (&str, &str), secret: &Secret) -> bool {
        let right = Secret::from(sign(self.number, names, secret));
        right.matches(self.sign.to_ascii_lowercase().as_bytes())
    }

    /// Returns `data`.
    pub fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("codeVer".into(), "1".into());
        map.insert("state".into(), u64::from(self.number != 0).into());
        map.insert("code".into(), self.number.into());
        map.insert("errMsg".into(), self.words.as_str().into());
        map.insert("signSecretType".into(), 0.into());
        map.insert("sign".into(), self.sign.as_str().into());
        Value::Object(map)
    }

    /// Reads `data`; `None` without a code.
    pub fn from_value(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        Some(Self {
            number: value.get("code").and_then(number)?,
            words: text("errMsg").to_string(),
            sign: text("sign").to_string(),
        })
    }
}

fn sign(number: u64, (product, device): (&str, &str), secret: &Secret) -> String {
    let source = format!("credibleErrorCode{number}deviceName{device}productKey{product}");
    hex::encode(hmac_sha1(secret.expose(), &[source.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: (&str, &str) = ("a1RsKq9ZxTb", "lamp-0001");

    #[test]
    fn the_report_is_the_recorded_one() {
        let secret = Secret::from("Zq3tJ8vYp0LwXc5NdR7mBf2HsK9uGa4E");
        let report = ErrorReport::new(Some(Failure::NetworkNotFound), "HomeNet", NAMES, &secret);
        let recorded = r#"{"codeVer":"1","state":1,"code":50400,"errMsg":"-0x0461,HomeNet not found","signSecretType":0,"sign":"0bab7d42c375142f96580ee85a58a54d700e51bc"}"#;
        assert_eq!(report.to_value().to_string(), recorded);
        assert_eq!(ErrorReport::from_value(&report.to_value()), Some(report.clone()));
        assert!(report.is_valid(NAMES, &secret));
        assert!(!report.is_valid(NAMES, &"other".into()));
        let lie = ErrorReport { number: 50_402, ..report };
        assert!(!lie.is_valid(NAMES, &secret));
    }

    #[test]
    fn every_failure_is_found_by_its_number() {
        for failure in Failure::ALL {
            assert_eq!(Failure::from_number(failure.number().into()), Some(failure));
            assert!(failure.words("x").starts_with("-0x0"));
        }
        let quiet = ErrorReport::new(None, "", NAMES, &"s".into());
        assert_eq!((quiet.number, quiet.words.as_str()), (0, ""));
    }
}
