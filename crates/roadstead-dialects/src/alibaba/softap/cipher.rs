//! How a Wi-Fi password is encrypted.
//!
//! ```text
//! legacy         key = SHA256(secret "," random16)[..16]              iv = random16
//! security 2.0   key = SHA256(the 32 hex digits of random16)[..16]    iv = random16
//! ```
//!
//! AES-128-CBC, padded with zeros. Security 2.0 protects against nobody who hears the datagram: its
//! key travels with it. It exists for phones that do not know the product's secret.
//!
//! Source: Alibaba §7, §7.3, trap 14; vectors softap-*.

use alloc::vec::Vec;

use roadstead_core::Secret;

use super::super::crypt::{BLOCK, decrypt, encrypt, short_sha256};

/// Longest password, bytes (WPA2: 63, or 64 digits of a raw key).
pub const PASSWORD_BYTES_MAX: usize = 64;

/// Generation of the encryption.
#[derive(Clone, PartialEq, Eq)]
pub enum Security {
    /// With the product's or the device's secret.
    Legacy(Secret),
    /// `"2.0"`: without a secret.
    V2 {
        /// The random number as it was sent: letters may be of either case.
        digits: [u8; 2 * BLOCK],
    },
}

impl Security {
    /// Returns security 2.0 with digits in lower case.
    pub fn v2(random: &[u8; BLOCK]) -> Self {
        let mut digits = [0; 2 * BLOCK];
        // The lengths fit by type.
        let _ = hex::encode_to_slice(random, &mut digits);
        Self::V2 { digits }
    }

    fn key(&self, random: &[u8; BLOCK]) -> [u8; BLOCK] {
        match self {
            Self::Legacy(secret) => short_sha256(&[secret.expose(), b",", random]),
            Self::V2 { digits } => short_sha256(&[digits]),
        }
    }

    /// Encrypts a password.
    pub fn seal(&self, password: &Secret, random: &[u8; BLOCK]) -> Vec<u8> {
        let mut bytes = password.expose().to_vec();
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        encrypt(&self.key(random), random, &mut bytes);
        bytes
    }

    /// Decrypts a password; `None` when the result is nothing that anybody types, so most likely
    /// the secret is another one. `cut` takes the first block alone, as smart-living 1.6.0 does in
    /// security 2.0 (trap 14).
    pub fn open(&self, sealed: &[u8], random: &[u8; BLOCK], cut: bool) -> Option<Secret> {
        let cut = cut && matches!(self, Self::V2 { .. });
        let len = if cut { sealed.len().min(BLOCK) } else { sealed.len() };
        let mut bytes = sealed.get(..len)?.to_vec();
        decrypt(&self.key(random), random, &mut bytes);
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        bytes.truncate(end);
        let text = core::str::from_utf8(&bytes).ok()?;
        let is_typed = text.len() <= PASSWORD_BYTES_MAX && !text.chars().any(char::is_control);
        is_typed.then(|| Secret::from(text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RANDOM: [u8; 16] = *b"\x8f\x3a\x1c\x5e\x7d\x9b\x02\x46\x81\x35\x79\xbd\xf0\x24\x68\xac";

    fn legacy() -> Security {
        Security::Legacy("pS9dK2mQ7xWv4LtZ".into())
    }

    #[test]
    fn the_vectors_hold() {
        let cases = [
            // softap-legacy-14, softap-legacy-32, softap-security2-14.
            (legacy(), "home-wifi-2024", "6ace4459cea2673d5caf437f96c079f8"),
            (
                legacy(),
                "a-longer-passphrase-of-32-chars!",
                "31041ce7b7b020490a8287a710202d76fedeaa27a7c927d2f30b28ec989319b2",
            ),
            (Security::v2(&RANDOM), "home-wifi-2024", "5f08f46e920c765386b1333d5a0816be"),
        ];
        for (security, password, sealed) in cases {
            let password = Secret::from(password);
            let bytes = security.seal(&password, &RANDOM);
            assert_eq!(hex::encode(&bytes), sealed);
            assert!(security.open(&bytes, &RANDOM, false) == Some(password));
        }
    }

    #[test]
    fn trap_14_old_firmware_reads_one_block() {
        // Vector softap-security2-32-truncated; transcript l16_softap_sec2_long.
        let security = Security::v2(&RANDOM);
        let whole = Secret::from("a-longer-passphrase-of-32-chars!");
        let sealed = security.seal(&whole, &RANDOM);
        assert_eq!(
            hex::encode(&sealed),
            "062f40f9abbed13b0b067a5f8bcfb8f791be80a2133c3b89214ef7331be958a1"
        );
        let cut = security.open(&sealed, &RANDOM, true).expect("text");
        assert_eq!(cut.expose_text(), Some("a-longer-passphr"));
        assert!(security.open(&sealed, &RANDOM, false) == Some(whole.clone()));
        let sealed = legacy().seal(&whole, &RANDOM);
        assert!(legacy().open(&sealed, &RANDOM, true) == Some(whole), "legacy is not cut");
    }

    #[test]
    fn another_secret_gives_nothing() {
        let sealed = legacy().seal(&"home-wifi-2024".into(), &RANDOM);
        let other = Security::Legacy("somebody-elses-x".into());
        assert!(other.open(&sealed, &RANDOM, false).is_none());
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens(password in "[ -~]{0,64}", random in any::<[u8; 16]>()) {
            let password = Secret::from(password);
            for security in [legacy(), Security::v2(&random)] {
                let sealed = security.seal(&password, &random);
                prop_assert!(sealed.len() % BLOCK == 0);
                prop_assert!(security.open(&sealed, &random, false) == Some(password.clone()));
            }
        }
    }
}
