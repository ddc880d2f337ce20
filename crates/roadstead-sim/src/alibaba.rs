//! Log-in proofs of Alibaba devices, computed with OpenSSL.

use openssl::hash::MessageDigest;

use super::{hex, hmac};

/// Returns client id, user name and password (HMAC-SHA1) of a device; `keys` are further keys of
/// the client id, with a comma before each.
///
/// Source: Alibaba §2.
pub fn login(product: &str, device: &str, secret: &str, keys: &str) -> (String, String, String) {
    let id = format!("{product}.{device}");
    let client_id = format!("{id}|securemode=3,signmethod=hmacsha1,timestamp=2524608000000{keys}|");
    let text = format!("clientId{id}deviceName{device}productKey{product}timestamp2524608000000");
    let code = hmac(MessageDigest::sha1(), secret.as_bytes(), text.as_bytes()).unwrap_or_default();
    (client_id, format!("{device}&{product}"), hex(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_proof_is_reproduced() {
        let secret = "Zq3tJ8vYp0LwXc5NdR7mBf2HsK9uGa4E";
        let (_, user, password) = login("a1RsKq9ZxTb", "lamp-0001", secret, "");
        assert_eq!(user, "lamp-0001&a1RsKq9ZxTb");
        assert_eq!(password, "8ba1e437aaefca482f7be8eca1e0bd5792b858e1");
    }
}
