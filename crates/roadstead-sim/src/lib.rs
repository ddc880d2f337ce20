//! Load and integration tests: `src/bin/load` measures a running platform, `tests/it` drives one.
//!
//! The library part is what both need: log-in proofs computed with OpenSSL, independently of the
//! dialects under test.

pub mod alibaba;
pub mod huawei;

use openssl::base64::{decode_block, encode_block};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

/// Returns the MQTT password of a Tencent device without TLS: HMAC-SHA1 over the user name under
/// the decoded secret, in hex, with its suffix. `None` when the secret is not base64.
///
/// Source: Tencent §3.2.
pub fn password(secret: &str, user: &str) -> Option<String> {
    let key = decode_block(secret).ok()?;
    Some(format!("{};hmacsha1", hex(&hmac_sha1(&key, user.as_bytes())?)))
}

/// Returns the body of a Tencent registration, variant 1 (Tencent §4.1).
pub fn registration(product: &str, secret: &str, device: &str, nonce: u32, time: i64) -> String {
    let text = format!("deviceName={device}&nonce={nonce}&productId={product}&timestamp={time}");
    let digest = hmac_sha1(secret.as_bytes(), text.as_bytes()).unwrap_or_default();
    let signature = encode_block(hex(&digest).as_bytes());
    format!(
        r#"{{"deviceName":"{device}","nonce":{nonce},"productId":"{product}","timestamp":{time},"signature":"{signature}"}}"#
    )
}

fn hmac_sha1(key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    hmac(MessageDigest::sha1(), key, message)
}

fn hmac(digest: MessageDigest, key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let key = PKey::hmac(key).ok()?;
    let mut signer = Signer::new(digest, &key).ok()?;
    signer.sign_oneshot_to_vec(message).ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_proofs_are_reproduced() {
        let user = "L4WG9V9M2MTEST2;21010406;5B1N0;92233720368547758";
        assert_eq!(
            password("MLvMHde65nKPk0Lx+ZThaA==", user).as_deref(),
            Some("f8bd3bc698a7f0500252c0dde84650c99162ba65;hmacsha1")
        );
        let body = registration(
            "L4WG9V9M2M",
            "XoezQjzzMedF4lAr2CqCkVYK",
            "TEST2",
            1_005_258_070,
            1_611_299_964,
        );
        assert!(
            body.contains("YWM2ZjM1MDZlYzE4N2M1NGNiYjIwZTcwY2E1YTY5NzIyMWM0Mjg2NA=="),
            "{body}"
        );
    }
}
