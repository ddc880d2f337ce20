//! The description of a device: names, address, cipher, bind token.
//!
//! The order of the members is the firmware's: some phones scan for texts.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use core::net::Ipv4Addr;
use core::time::Duration;

use roadstead_core::{Map, Secret, Value};
use serde_json::json;

use super::super::crypt::hmac_sha1;

/// Longest name that is read, bytes; real ones have at most 32.
const NAME_BYTES_MAX: usize = 64;
/// Characters of a bind token: 16 bytes in hexadecimal.
pub const TOKEN_LEN: usize = 32;

/// What a device says about itself.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// ProductKey.
    pub product: Box<str>,
    /// DeviceName.
    pub device: Box<str>,
    /// Hardware address, `B0:F8:93:15:BF:21`.
    pub mac: Box<str>,
    /// Address in the network.
    pub ip: Ipv4Addr,
    /// How credentials for it are encrypted.
    pub cipher: CipherType,
    /// Version of its firmware; smart-living only.
    pub firmware: Option<Box<str>>,
    /// Bind token.
    pub token: Option<TokenInfo>,
    /// Proof of its identity, in setup networks only.
    pub proof: Option<InfoProof>,
}

/// A bind token and how long it may be used.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// 32 hexadecimal digits.
    pub token: Secret,
    /// Who made it; Link Kit 3.0.1 and older make their own and do not say so.
    pub maker: Option<Maker>,
    /// Rest of its life.
    pub remaining: Duration,
}

/// Who made a bind token (`tokenType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// The device.
    Device,
    /// The phone, or the platform for it.
    Phone,
}

/// What encrypts credentials (`cipherType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherType {
    /// Nothing.
    None,
    /// A key of the product's secret.
    Product,
    /// A key of the device's secret.
    Device,
    /// A key of the maker's.
    Manufacturer,
    /// Another number.
    Other(u8),
}

/// A signature over the device's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InfoProof {
    /// 16 bytes in hexadecimal.
    pub random: String,
    /// HMAC-SHA1 in hexadecimal.
    pub sign: String,
}

impl CipherType {
    /// Returns the wire number.
    pub fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Product => 3,
            Self::Device => 4,
            Self::Manufacturer => 5,
            Self::Other(number) => number,
        }
    }

    /// Reads a wire number.
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::None,
            3 => Self::Product,
            4 => Self::Device,
            5 => Self::Manufacturer,
            other => Self::Other(other),
        }
    }
}

impl Maker {
    /// Returns the wire number.
    pub fn number(self) -> u8 {
        match self {
            Self::Device => 0,
            Self::Phone => 1,
        }
    }

    /// Reads a number or text.
    pub fn parse(value: &Value) -> Option<Self> {
        match number(value)? {
            0 => Some(Self::Device),
            1 => Some(Self::Phone),
            _ => None,
        }
    }
}

impl InfoProof {
    /// Signs with the product's secret, or the device's for [`CipherType::Device`] (§7.3).
    pub fn new(secret: &[u8], random: [u8; 16], product: &str, device: &str) -> Self {
        let mac = hmac_sha1(secret, &[&random, device.as_bytes(), product.as_bytes()]);
        Self { random: hex::encode_upper(random), sign: hex::encode_upper(mac) }
    }

    /// Checks the signature of a description.
    pub fn is_valid(&self, secret: &[u8], product: &str, device: &str) -> bool {
        let mut random = [0; 16];
        if hex::decode_to_slice(&self.random, &mut random).is_err() {
            return false;
        }
        let right = Secret::from(Self::new(secret, random, product, device).sign);
        right.matches(self.sign.to_ascii_uppercase().as_bytes())
    }
}

impl DeviceInfo {
    /// Returns it as `params` or `data`.
    pub fn to_value(&self) -> Value {
        let versions = json!({
            "smartconfig": "2.0", "zconfig": "2.0", "router": "2.0", "ap": "2.0", "softap": "2.0",
        });
        let mut map = Map::new();
        map.insert("awssVer".into(), versions);
        map.insert("productKey".into(), (*self.product).into());
        map.insert("deviceName".into(), (*self.device).into());
        map.insert("mac".into(), (*self.mac).into());
        map.insert("ip".into(), self.ip.to_string().into());
        map.insert("cipherType".into(), self.cipher.number().into());
        if let Some(firmware) = &self.firmware {
            map.insert("fwVersion".into(), (**firmware).into());
            // Bit 0: it answers `errcode/get`.
            map.insert("service".into(), 1.into());
            map.insert("serviceVer".into(), json!({"ErrCode": "1.0"}));
        }
        if let Some(token) = &self.token {
            map.insert("token".into(), token.token.expose_text().unwrap_or_default().into());
            if let Some(maker) = token.maker {
                map.insert("tokenType".into(), maker.number().into());
            }
            let ms = u64::try_from(token.remaining.as_millis()).unwrap_or(u64::MAX);
            map.insert("remainTime".into(), ms.into());
        }
        match &self.proof {
            Some(proof) => {
                map.insert("random".into(), proof.random.as_str().into());
                map.insert("signMethod".into(), 0.into());
                map.insert("sign".into(), proof.sign.as_str().into());
            }
            None => drop(map.insert("type".into(), 0.into())),
        }
        Value::Object(map)
    }

    /// Reads `params` or `data`; `None` without both names. Anything else may be missing.
    pub fn from_value(value: &Value) -> Option<Self> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let name =
            |key: &str| text(key).filter(|name| !name.is_empty() && name.len() <= NAME_BYTES_MAX);
        let token = text("token").filter(|token| is_token(token)).map(|token| TokenInfo {
            token: token.into(),
            maker: value.get("tokenType").and_then(Maker::parse),
            remaining: Duration::from_millis(
                value.get("remainTime").and_then(number).unwrap_or_default(),
            ),
        });
        let proof = text("random")
            .zip(text("sign"))
            .map(|(random, sign)| InfoProof { random: random.to_string(), sign: sign.to_string() });
        let cipher = value.get("cipherType").and_then(number).and_then(|n| u8::try_from(n).ok());
        Some(Self {
            product: name("productKey")?.into(),
            device: name("deviceName")?.into(),
            mac: text("mac").unwrap_or_default().into(),
            ip: text("ip").and_then(|ip| ip.parse().ok()).unwrap_or(Ipv4Addr::UNSPECIFIED),
            cipher: CipherType::from_number(cipher.unwrap_or_default()),
            firmware: text("fwVersion").map(Into::into),
            token,
            proof,
        })
    }
}

impl core::fmt::Debug for DeviceInfo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let token = if self.token.is_some() { "with" } else { "without" };
        f.write_str(&format!("{}/{} at {} {token} token", self.product, self.device, self.ip))
    }
}

/// Whether a text has the shape of a bind token.
pub fn is_token(text: &str) -> bool {
    text.len() == TOKEN_LEN && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads a number that may stand in quotes.
pub(crate) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRODUCT_SECRET: &[u8] = b"pS9dK2mQ7xWv4LtZ";

    #[test]
    fn the_signature_is_the_firmwares() {
        // Vector awss-device-info-sign; the reply of smart-living 1.6.0.
        let random = *b"\x39\xB8\x0C\xEE\x54\xB0\x25\x72\x3F\x70\x81\xA9\x63\xDB\x37\x66";
        let proof = InfoProof::new(PRODUCT_SECRET, random, "a1RsKq9ZxTb", "lamp-0001");
        assert_eq!(proof.random, "39B80CEE54B025723F7081A963DB3766");
        assert_eq!(proof.sign, "9488FFD1E223F52EBFA934110C4EB9FF7E6ACF34");
        assert!(proof.is_valid(PRODUCT_SECRET, "a1RsKq9ZxTb", "lamp-0001"));
        assert!(!proof.is_valid(PRODUCT_SECRET, "a1RsKq9ZxTb", "lamp-0002"));
        assert!(!proof.is_valid(b"other", "a1RsKq9ZxTb", "lamp-0001"));
        let broken = InfoProof { random: "39".into(), ..proof };
        assert!(!broken.is_valid(PRODUCT_SECRET, "a1RsKq9ZxTb", "lamp-0001"));
    }

    #[test]
    fn damaged_members_are_left_out() {
        let names = json!({"productKey": "a", "deviceName": "b"});
        let info = DeviceInfo::from_value(&names).expect("names suffice");
        assert!(info.token.is_none() && info.cipher == CipherType::None);
        for bad in [json!({}), json!({"productKey": "a"}), json!("x"), json!({"productKey": 1})] {
            assert!(DeviceInfo::from_value(&bad).is_none(), "{bad}");
        }
        let text = json!({"productKey": "a", "deviceName": "b", "token": "short", "ip": "x"});
        assert!(DeviceInfo::from_value(&text).is_some_and(|info| info.token.is_none()));
        let quoted = json!({
            "productKey": "a", "deviceName": "b", "token": "00112233445566778899AABBCCDDEEFF",
            "tokenType": "1", "remainTime": "43360",
        });
        let token = DeviceInfo::from_value(&quoted).and_then(|info| info.token).expect("token");
        assert_eq!(token.maker, Some(Maker::Phone));
        assert_eq!(token.remaining, Duration::from_millis(43_360));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            device in "[A-Za-z0-9_.:-]{1,32}",
            ip in any::<[u8; 4]>(),
            cipher in any::<u8>(),
            token in proptest::option::of(("[0-9A-F]{32}", any::<bool>(), any::<u32>())),
            firmware in proptest::option::of("[a-z0-9.-]{1,20}"),
        ) {
            let info = DeviceInfo {
                product: "a1RsKq9ZxTb".into(),
                device: device.into(),
                mac: "B0:F8:93:15:BF:21".into(),
                ip: ip.into(),
                cipher: CipherType::from_number(cipher),
                firmware: firmware.map(Into::into),
                token: token.map(|(token, phone, ms)| TokenInfo {
                    token: token.into(),
                    maker: Some(if phone { Maker::Phone } else { Maker::Device }),
                    remaining: Duration::from_millis(ms.into()),
                }),
                proof: None,
            };
            prop_assert_eq!(DeviceInfo::from_value(&info.to_value()), Some(info));
        }
    }
}
