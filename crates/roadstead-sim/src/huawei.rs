//! Log-in proofs of Huawei devices, computed with OpenSSL. Source: Huawei §2.2.

use openssl::hash::MessageDigest;

/// Returns the MQTT password: hex of the HMAC of the secret, keyed with the time stamp. `sign` is
/// the sign type: 0 and 1 are SHA-256, 2 is SM3; `None` for any other.
pub fn password(sign: u8, stamp: &str, secret: &str) -> Option<String> {
    let digest = match sign {
        0 | 1 => MessageDigest::sha256(),
        2 => MessageDigest::sm3(),
        _ => return None,
    };
    Some(super::hex(&super::hmac(digest, stamp.as_bytes(), secret.as_bytes())?))
}

#[cfg(test)]
mod tests {
    #[test]
    fn recorded_passwords_are_reproduced() {
        let made = |sign| super::password(sign, "2026112100", "lab-secret-0001");
        let sha256 = "d0975b6e4ab8a4d24d4b34c89162bc0b2f49be915b4b69455862d8ca281c1633";
        assert_eq!(made(0).as_deref(), Some(sha256));
        assert_eq!(made(1), made(0));
        let sm3 = "cb68a4518af2e974f42174d7e5c6544ffd869b83fa3f31a30695ec67a78ae147";
        assert_eq!(made(2).as_deref(), Some(sm3));
        assert_eq!(made(3), None);
    }
}
