//! Signatures: log-in, registration, sub-devices, vendor HTTP. Both halves use them.
//!
//! They are all one form: an HMAC, in hexadecimal of either case, over the signed fields written
//! name, value, name, value, in alphabetical order of the names, without separators.
//!
//! Not here: which key and which fields a product asks for (the halves decide).
//!
//! Source: Alibaba §2, §3.2, §3.3, §8; vectors of nine clients.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// The HMAC of a signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Method {
    /// `hmacmd5`
    Md5,
    /// `hmacsha1`; what clients that name none use.
    #[default]
    Sha1,
    /// `hmacsha256`
    Sha256,
}

impl Method {
    /// Returns the method of a wire name. Case differs (`hmacSha256`), and documents leave the
    /// `hmac` out (`sha256`: UNVERIFIED).
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let is = |method: &Self| {
            let full = method.name();
            name.eq_ignore_ascii_case(full) || name.eq_ignore_ascii_case(&full["hmac".len()..])
        };
        [Self::Md5, Self::Sha1, Self::Sha256].into_iter().find(is)
    }

    /// Returns the wire name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Md5 => "hmacmd5",
            Self::Sha1 => "hmacsha1",
            Self::Sha256 => "hmacsha256",
        }
    }

    /// Returns the code of `message` under `key`: 16, 20 or 32 bytes.
    pub(crate) fn code(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        macro_rules! hmac {
            ($hash:ty) => {{
                let mut mac = Hmac::<$hash>::new_from_slice(key).expect("HMAC takes any key");
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }};
        }
        match self {
            Self::Md5 => hmac!(Md5),
            Self::Sha1 => hmac!(Sha1),
            Self::Sha256 => hmac!(Sha256),
        }
    }

    /// Returns the signature, lower-case hexadecimal.
    pub(crate) fn sign(self, key: &[u8], source: &str) -> String {
        hex::encode(self.code(key, source.as_bytes()))
    }

    /// Compares a signature in constant time; the case of its digits does not matter.
    pub(crate) fn verify(self, key: &[u8], source: &str, claimed: &[u8]) -> bool {
        let Ok(claimed) = hex::decode(claimed) else { return false };
        self.code(key, source.as_bytes()).ct_eq(&claimed).into()
    }
}

/// Returns the signed text of fields: sorted by name, then name and value after each other.
pub(crate) fn source<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut fields: Vec<_> = fields.into_iter().collect();
    fields.sort_unstable();
    let mut text = String::with_capacity(fields.iter().map(|(k, v)| k.len() + v.len()).sum());
    for (name, value) in fields {
        text.push_str(name);
        text.push_str(value);
    }
    text
}

/// Returns the signed text of a log-in. Absent parts are left out; `ext` is the variant of the
/// old smart route of 2.x.
pub(crate) fn login_source(
    client: &str,
    node: &str,
    product: &str,
    ext: Option<&str>,
    timestamp: Option<&str>,
) -> String {
    let always = [("clientId", client), ("deviceName", node), ("productKey", product)];
    let ext = ext.map(|ext| ("ext", ext));
    let timestamp = timestamp.map(|timestamp| ("timestamp", timestamp));
    source(always.into_iter().chain(ext).chain(timestamp))
}

/// Returns over which other text, or by which other method, a refused password was made: the
/// mistakes that firmware writers make. `None` when it is none of them: then the secret differs.
pub(crate) fn login_mistake(
    secret: &[u8],
    password: &[u8],
    method: Method,
    id: (&str, &str),
    (node, product): (&str, &str),
    timestamp: Option<&str>,
) -> Option<String> {
    let (base, whole) = id;
    let joined = format!("{product}.{node}");
    let right = login_source(base, node, product, None, timestamp);
    let others = [
        login_source(base, node, product, None, None),
        login_source(whole, node, product, None, timestamp),
        login_source(&joined, node, product, None, timestamp),
        login_source(base, product, node, None, timestamp),
        format!("{base}{node}{product}{}", timestamp.unwrap_or_default()),
    ];
    if let Some(text) = others.iter().find(|text| method.verify(secret, text, password)) {
        return Some(format!("the password is the HMAC of `{text}`, not of `{right}`"));
    }
    let methods = [Method::Md5, Method::Sha1, Method::Sha256];
    let other = methods.into_iter().find(|other| other.verify(secret, &right, password))?;
    Some(format!("the password is made by {other:?}, the client id says {method:?}"))
}

/// Returns the signed text of a dynamic registration.
pub(crate) fn register_source(node: &str, product: &str, random: &str) -> String {
    source([("deviceName", node), ("productKey", product), ("random", random)])
}

/// Writes the user name: DeviceName, `&`, ProductKey.
pub(crate) fn user_name(node: &str, product: &str) -> String {
    format!("{node}&{product}")
}

/// Splits a user name into ProductKey and DeviceName.
pub(crate) fn split_user_name(user: &str) -> Option<(&str, &str)> {
    let (node, product) = user.rsplit_once('&')?;
    (super::is_product_key(product) && super::is_device_name(node)).then_some((product, node))
}

/// Characters of a local prefix (§10).
const LOCAL_PREFIX_LEN: usize = 8;
/// Characters of a local secret, as long as the built-in one.
const LOCAL_SECRET_LEN: usize = 16;
const LOCAL_ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Returns prefix and secret of a device's local control (ALCS, §10). They are made of the device
/// secret, so no table is kept: the device asks for them, phones of its owner get the same.
pub(crate) fn local_key(secret: &[u8], product: &str, node: &str) -> (String, String) {
    let derive = |purpose, len| {
        let fields = [("deviceName", node), ("productKey", product), ("purpose", purpose)];
        let code = Method::Sha256.code(secret, source(fields).as_bytes());
        let letter =
            |byte: &u8| char::from(LOCAL_ALPHABET[usize::from(*byte) % LOCAL_ALPHABET.len()]);
        code.iter().take(len).map(letter).collect()
    };
    (derive("localPrefix", LOCAL_PREFIX_LEN), derive("localSecret", LOCAL_SECRET_LEN))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn method_names_in_every_spelling() {
        for (name, expected) in [
            ("hmacmd5", Some(Method::Md5)),
            ("hmacsha1", Some(Method::Sha1)),
            ("hmacSha256", Some(Method::Sha256)),
            ("HmacSHA256", Some(Method::Sha256)),
            ("sha256", Some(Method::Sha256)),
            ("", None),
            ("hmac", None),
            ("hmacsm3", None),
        ] {
            assert_eq!(Method::parse(name), expected, "{name}");
        }
    }

    #[test]
    fn a_password_over_another_text_is_told() {
        let (secret, ids) = (b"secret", ("12345", "12345|securemode=3,timestamp=9|"));
        let told = |text: &str, method: Method| {
            let made = method.sign(secret, text);
            let names = ("lamp", "a1RsKq9ZxTb");
            login_mistake(secret, made.as_bytes(), Method::Sha1, ids, names, Some("9"))
        };
        let right = login_source(ids.0, "lamp", "a1RsKq9ZxTb", None, Some("9"));
        let bare = login_source(ids.0, "lamp", "a1RsKq9ZxTb", None, None);
        let expected = format!("the password is the HMAC of `{bare}`, not of `{right}`");
        assert_eq!(told(&bare, Method::Sha1), Some(expected));
        assert!(told(&right, Method::Sha256).is_some_and(|text| text.contains("Sha256")));
        assert_eq!(told("something else", Method::Sha1), None);
    }

    #[test]
    fn user_names_split_at_the_last_ampersand() {
        assert_eq!(split_user_name("lamp-0001&a1RsKq9ZxTb"), Some(("a1RsKq9ZxTb", "lamp-0001")));
        for bad in ["", "&", "lamp", "&a1", "lamp&", "la/mp&a1", "lamp&a1/", "a&b&c"] {
            assert_eq!(split_user_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn local_keys_are_the_devices_own() {
        let (prefix, secret) = local_key(b"secret", "a1", "n");
        assert_eq!((prefix.len(), secret.len()), (8, 16));
        assert_eq!(local_key(b"secret", "a1", "n"), (prefix.clone(), secret.clone()));
        for (other, node) in [(&b"other"[..], "n"), (b"secret", "m")] {
            let (p, s) = local_key(other, "a1", node);
            assert!(p != prefix && s != secret);
        }
    }

    #[test]
    fn absent_parts_are_left_out_of_the_source() {
        assert_eq!(
            login_source("sn-00012", "lamp-0001", "a1RsKq9ZxTb", None, None),
            "clientIdsn-00012deviceNamelamp-0001productKeya1RsKq9ZxTb"
        );
        assert_eq!(
            login_source("x", "d", "p", Some("1"), Some("2")),
            "clientIdxdeviceNamedext1productKeyptimestamp2"
        );
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies(key: Vec<u8>, text in "\\PC{0,80}", n in 0usize..3, upper: bool) {
            let method = [Method::Md5, Method::Sha1, Method::Sha256][n];
            let sign = method.sign(&key, &text);
            let sign = if upper { sign.to_uppercase() } else { sign };
            prop_assert!(method.verify(&key, &text, sign.as_bytes()));
            let other = format!("{text}x");
            prop_assert!(!method.verify(&key, &other, sign.as_bytes()));
        }

        #[test]
        fn arbitrary_signatures_never_panic(text in "\\PC{0,40}", claimed: Vec<u8>) {
            prop_assert!(!Method::Sha1.verify(b"k", &text, &claimed));
            let _ = split_user_name(&text);
        }
    }
}
