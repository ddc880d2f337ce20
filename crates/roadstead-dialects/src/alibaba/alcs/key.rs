//! Access keys and what is derived from them.
//!
//! ```text
//! accessKey   = prefix (8) + 2 characters + sequence (3)
//! accessToken = base64(HMAC-SHA1(secret, accessKey))            known to the phone
//! sign        = base64(HMAC-SHA1(accessToken, own random))
//! sessionKey  = HMAC-SHA1(accessToken, phone random + device random)[..16]
//! ```
//!
//! A device knows prefix and secret and derives the token of any access key; a phone gets access
//! key and token from the platform, or derives both from the factory's pair.
//!
//! Source: Alibaba §10; vector alcs-session.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roadstead_core::Secret;

use super::super::crypt::{BLOCK, hmac_sha1};

/// Length of a prefix, characters.
pub const PREFIX_LEN: usize = 8;
/// Length of the sequence at the end, characters.
pub const SEQUENCE_LEN: usize = 3;
/// Length of an access key, characters.
pub const ACCESS_KEY_LEN: usize = 13;
/// Prefix and secret that are built into every firmware of the vendor: public, so a device that
/// has nothing better obeys anybody in its LAN.
pub const FACTORY: (&str, &str) = ("Xtau@iot", "Yx3DdsyetbSezlvc");

/// What a device checks access keys with.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// First 8 characters of its access keys.
    pub prefix: Box<str>,
    /// Secret.
    pub secret: Secret,
}

/// What a phone opens sessions with.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// 13 characters.
    pub key: Box<str>,
    /// Derived from key and secret.
    pub token: Secret,
}

impl KeyPair {
    /// Returns the built-in pair.
    pub fn factory() -> Self {
        Self { prefix: FACTORY.0.into(), secret: FACTORY.1.into() }
    }

    /// Returns a pair; `None` when the prefix has another length or characters that cannot travel.
    pub fn new(prefix: &str, secret: Secret) -> Option<Self> {
        let fits = prefix.len() == PREFIX_LEN
            && prefix.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
            && !secret.expose().is_empty();
        fits.then(|| Self { prefix: prefix.into(), secret })
    }

    /// Returns the token of an access key, whoever's prefix it has.
    pub fn token(&self, access_key: &str) -> Secret {
        sign(&self.secret, &[access_key.as_bytes()]).into()
    }

    /// Issues an access key; `sequence` can be revoked later.
    pub fn access_key(&self, sequence: u16) -> AccessKey {
        let key = format!("{}10{:03}", self.prefix, sequence % 1000);
        let token = self.token(&key);
        AccessKey { key: key.into(), token }
    }
}

/// Returns the sequence of an access key; `None` when its length is wrong.
pub(super) fn sequence(access_key: &str) -> Option<&str> {
    let fits = access_key.len() == ACCESS_KEY_LEN && access_key.is_ascii();
    access_key.get(ACCESS_KEY_LEN - SEQUENCE_LEN..).filter(|_| fits)
}

/// Signs with an access token, base64.
pub(super) fn sign(key: &Secret, parts: &[&[u8]]) -> String {
    STANDARD.encode(hmac_sha1(key.expose(), parts))
}

/// Returns the sign of a device's random number: the firmware signs the NUL behind it, too.
pub(super) fn server_sign(token: &Secret, random: &str) -> String {
    sign(token, &[random.as_bytes(), &[0]])
}

/// Returns the key of a session.
pub(super) fn session_key(token: &Secret, phone: &str, device: &str) -> [u8; BLOCK] {
    let mac = hmac_sha1(token.expose(), &[phone.as_bytes(), device.as_bytes()]);
    let mut key = [0; BLOCK];
    key.copy_from_slice(&mac[..BLOCK]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_holds() {
        let key = KeyPair::factory().access_key(0);
        assert_eq!(&*key.key, "Xtau@iot10000");
        assert_eq!(key.token.expose_text(), Some("OP54OkjcWevCNJooZaQ6oSNG2WY="));
        let (phone, device) = ("ABCDEFGHIJKLMNOP", "b7lI4bKoCP8uVKu");
        assert_eq!(sign(&key.token, &[phone.as_bytes()]), "riZwbSljBy9dOWrhIIrP5tc0KJw=");
        assert_eq!(server_sign(&key.token, device), "uIDF/8mLsydD0DWrcFGEdw80ZmE=");
        let session = session_key(&key.token, phone, device);
        assert_eq!(hex::encode(session), "8c8112ee0aaf2fa807c15d966d5672fc");
    }

    #[test]
    fn prefixes_and_sequences_have_their_lengths() {
        assert!(KeyPair::new("Xtau@iot", "s".into()).is_some());
        for bad in ["", "short", "too-long-x", "Xtau\"iot", "Xtau iot"] {
            assert!(KeyPair::new(bad, "s".into()).is_none(), "{bad}");
        }
        assert!(KeyPair::new("Xtau@iot", "".into()).is_none());
        assert_eq!(sequence("Xtau@iot10042"), Some("042"));
        assert_eq!(sequence("Xtau@iot1004"), None);
    }
}
