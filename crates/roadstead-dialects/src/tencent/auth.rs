//! Names and proofs: client id, user name, password, device key. Both halves use them.
//!
//! Not here: which proof a product asks for (that is the cloud half's decision) and the
//! signatures of dynamic registration and log upload (`http`).
//!
//! Source: Tencent §1.1, §3.1, §3.2; SDK 3.1.5 wire captures.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit as _, Mac as _};
use roadstead_core::Secret;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::{PRODUCT_ID_LEN, is_device_name};

/// Base64 as the firmware's own decoder takes it: padding optional, trailing bits ignored.
pub(crate) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The HMAC of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Digest {
    /// HMAC-SHA1: both C SDK lines.
    Sha1,
    /// HMAC-SHA256: console tool, Android, Java, Python.
    Sha256,
}

impl Digest {
    /// Returns the digest of a wire name; documents write it in both cases.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha256].into_iter().find(|d| d.name().eq_ignore_ascii_case(name))
    }

    /// Returns the wire name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "hmacsha1",
            Self::Sha256 => "hmacsha256",
        }
    }

    /// Returns the code of `message` under `key`, 20 or 32 bytes.
    pub(crate) fn sign(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => {
                let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes any key");
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    /// Compares a claimed code in constant time.
    pub(crate) fn verify(self, key: &[u8], message: &[u8], claimed: &[u8]) -> bool {
        self.sign(key, message).ct_eq(claimed).into()
    }
}

/// Splits a client id into ProductId and DeviceName; there is no separator.
pub(crate) fn split_client_id(client_id: &str) -> Option<(&str, &str)> {
    let (product, node) = client_id.split_at_checked(PRODUCT_ID_LEN)?;
    let fits = product.bytes().all(|byte| byte.is_ascii_alphanumeric()) && is_device_name(node);
    fits.then_some((product, node))
}

/// `<clientId>;<sdkAppId>;<connId>;<expiry>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UserName<'a> {
    /// Client id of the signer.
    pub(crate) client_id: &'a str,
    /// Names the SDK; any text.
    pub(crate) sdk_app_id: &'a str,
    /// Random, new for each CONNECT; any text.
    pub(crate) conn_id: &'a str,
    /// UTC seconds as text. 64-bit firmware cuts `LONG_MAX` to 17 digits (SDK 3.1.5 capture).
    pub(crate) expiry: &'a str,
}

impl<'a> UserName<'a> {
    /// Returns `None` unless there are exactly four fields.
    pub(crate) fn parse(user: &'a str) -> Option<Self> {
        let mut fields = user.split(';');
        let parsed = Self {
            client_id: fields.next()?,
            sdk_app_id: fields.next()?,
            conn_id: fields.next()?,
            expiry: fields.next()?,
        };
        fields.next().is_none().then_some(parsed)
    }

    /// True when the expiry is a number that lies before `now_secs`. A text that is no number
    /// never expires: devices without a clock send what they like.
    pub(crate) fn is_expired(&self, now_secs: i64) -> bool {
        self.expiry.parse::<u64>().is_ok_and(|at| i64::try_from(at).is_ok_and(|at| at < now_secs))
    }
}

/// Decodes a device secret; `None` when it is no base64 or empty.
pub(crate) fn device_key(secret: &Secret) -> Option<Secret> {
    let key = BASE64.decode(secret.expose()).ok()?;
    (!key.is_empty()).then(|| Secret::new(key))
}

/// Writes the password for a user name: hex digest, `;`, digest name.
pub(crate) fn password(key: &Secret, user: &str, digest: Digest) -> String {
    let code = digest.sign(key.expose(), user.as_bytes());
    format!("{};{}", hex::encode(code), digest.name())
}

/// Checks a password against the user name exactly as received. The hex may have either case.
pub(crate) fn password_matches(key: &Secret, user: &str, password: &[u8]) -> bool {
    let Some(split) = password.iter().rposition(|&byte| byte == b';') else { return false };
    let digest = core::str::from_utf8(&password[split + 1..]).ok().and_then(Digest::parse);
    let (Some(digest), Ok(claimed)) = (digest, hex::decode(&password[..split])) else {
        return false;
    };
    digest.verify(key.expose(), user.as_bytes(), &claimed)
}

/// Returns what a refused password was made of instead: the mistakes that firmware writers make.
/// `None` when it is none of them: then the secret differs.
pub(crate) fn mistake(
    secret: &Secret,
    key: &Secret,
    user: &str,
    client_id: &str,
    password: &[u8],
) -> Option<String> {
    if password_matches(secret, user, password) {
        return Some("its key is the secret's base64 text, not the bytes behind it".into());
    }
    let fields: Vec<&str> = user.split(';').collect();
    let others = [client_id, fields.first().copied().unwrap_or_default()];
    let text = others.into_iter().find(|text| password_matches(key, text, password))?;
    Some(format!("it is the HMAC of `{text}`"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_password_over_another_text_is_told() {
        let secret: Secret = "MLvMHde65nKPk0Lx+ZThaA==".into();
        let key = device_key(&secret).expect("base64");
        let (user, client) =
            ("L4WG9V9M2MTEST2;21010406;5B1N0;92233720368547758", "L4WG9V9M2MTEST2");
        let told = |made: &Secret, text: &str| {
            let password = password(made, text, Digest::Sha1);
            mistake(&secret, &key, user, client, password.as_bytes())
        };
        assert!(told(&secret, user).is_some_and(|text| text.contains("base64 text")));
        assert_eq!(told(&key, client), Some(format!("it is the HMAC of `{client}`")));
        assert_eq!(told(&key, "another"), None);
    }

    #[test]
    fn a_client_id_splits_after_ten_characters() {
        let cases = [
            ("L4WG9V9M2MTEST2", Some(("L4WG9V9M2M", "TEST2"))),
            ("L4WG9V9M2Ma", Some(("L4WG9V9M2M", "a"))),
            ("L4WG9V9M2M", None),
            ("short", None),
            ("L4WG9V9M2/TEST2", None),
            ("L4WG9V9M2MTE/ST", None),
            ("产品产品x", None),
        ];
        for (client_id, expected) in cases {
            assert_eq!(split_client_id(client_id), expected, "{client_id}");
        }
    }

    #[test]
    fn expiry_is_read_leniently() {
        let now = 1_795_221_243;
        for (expiry, expired) in [
            ("92233720368547758", false), // cut by 64-bit firmware
            ("9223372036854775807", false),
            ("2147483647", false),
            ("1795221243", false),
            ("1795221242", true),
            ("0", true),
            ("", false),
            ("never", false),
            ("99999999999999999999999", false),
            ("-5", false),
        ] {
            let user = format!("L4WG9V9M2MTEST2;21010406;5B1N0;{expiry}");
            let parsed = UserName::parse(&user).expect("four fields");
            assert_eq!(parsed.is_expired(now), expired, "{expiry}");
        }
        assert_eq!(UserName::parse("a;b;c"), None);
        assert_eq!(UserName::parse("a;b;c;d;e"), None);
    }

    #[test]
    fn passwords_survive_case_and_refuse_everything_else() {
        let key = device_key(&"MLvMHde65nKPk0Lx+ZThaA==".into()).expect("base64");
        let user = "L4WG9V9M2MTEST2;21010406;5B1N0;92233720368547758";
        let good = "f8bd3bc698a7f0500252c0dde84650c99162ba65;hmacsha1";
        assert_eq!(password(&key, user, Digest::Sha1), good);
        assert!(password_matches(&key, user, good.to_uppercase().as_bytes()));
        for bad in [
            "",
            ";hmacsha1",
            "f8bd3bc698a7f0500252c0dde84650c99162ba65",
            "f8bd3bc698a7f0500252c0dde84650c99162ba65;hmacsha256",
            "f8bd3bc698a7f0500252c0dde84650c99162ba66;hmacsha1",
            "f8bd3bc698a7f0500252c0dde84650c99162ba;hmacsha1",
            "f8bd3bc698a7f0500252c0dde84650c99162ba65;md5",
        ] {
            assert!(!password_matches(&key, user, bad.as_bytes()), "{bad}");
        }
        assert!(!password_matches(&key, "L4WG9V9M2MTEST2;21010406;5B1N1;0", good.as_bytes()));
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies(
            key in prop::collection::vec(any::<u8>(), 1..64),
            user in "\\PC{0,80}",
            sha256 in any::<bool>(),
        ) {
            let key = Secret::new(key);
            let digest = if sha256 { Digest::Sha256 } else { Digest::Sha1 };
            let password = password(&key, &user, digest);
            prop_assert!(password_matches(&key, &user, password.as_bytes()));
        }

        #[test]
        fn arbitrary_passwords_never_panic(user in "\\PC{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = UserName::parse(&user).map(|name| name.is_expired(0));
            prop_assert!(!password_matches(&Secret::from("k"), &user, &bytes));
        }
    }
}
