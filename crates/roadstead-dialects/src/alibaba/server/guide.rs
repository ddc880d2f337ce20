//! What devices get instead of their secret: `iotId` and `iotToken` of the guided log-in, and
//! the token of a registration without a registered name.
//!
//! All are made of the device secret, so no table is kept and every instance knows them; a new
//! secret ends them. The vendor's are opaque to devices, and so are these.
//!
//! Source: Alibaba §3.2 (`iotId` ≤ 64, `iotToken` ≤ 65 characters), §3.3 c (UNVERIFIED by run).

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use roadstead_core::Timestamp;
use subtle::ConstantTimeEq as _;

use crate::alibaba::auth::{Method, source};
use crate::alibaba::{is_device_name, is_product_key};

/// Before the names in an `iotId`; no DeviceName follows it directly.
const MARK: &str = "rs1.";
/// Hexadecimal digits of the time in an `iotToken`.
const TIME_DIGITS: usize = 8;
/// Hexadecimal digits of the proof in an `iotToken`: 64 in all.
const PROOF_DIGITS: usize = 56;
/// Hexadecimal digits of the client id of a registration.
const CLIENT_DIGITS: usize = 16;

/// Writes the `iotId` of a device.
pub(in crate::alibaba) fn iot_id(product: &str, node: &str) -> String {
    format!("{MARK}{product}.{node}")
}

/// Returns ProductKey and DeviceName of an `iotId`.
pub(in crate::alibaba) fn split_iot_id(text: &str) -> Option<(&str, &str)> {
    let (product, node) = text.strip_prefix(MARK)?.split_once('.')?;
    (is_product_key(product) && is_device_name(node)).then_some((product, node))
}

/// Writes the `iotToken` of a device, made at `now`.
pub(in crate::alibaba) fn iot_token(secret: &[u8], iot_id: &str, now: Timestamp) -> String {
    let at = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
    token_of(secret, iot_id, at)
}

fn token_of(secret: &[u8], iot_id: &str, at: u32) -> String {
    let at = format!("{at:08x}");
    let proof = Method::Sha256.sign(secret, &source([("iotId", iot_id), ("iotTokenAt", &at)]));
    format!("{at}{}", &proof[..PROOF_DIGITS])
}

/// Checks an `iotToken`: `None` when it is not ours, else whether it is still good.
pub(in crate::alibaba) fn check_iot_token(
    secret: &[u8],
    iot_id: &str,
    token: &[u8],
    life: Duration,
    now: Timestamp,
) -> Option<bool> {
    let digits = core::str::from_utf8(token.get(..TIME_DIGITS)?).ok()?;
    let at = u32::from_str_radix(digits, 16).ok()?;
    let is_ours: bool = token_of(secret, iot_id, at).as_bytes().ct_eq(token).into();
    let age = now.as_secs().saturating_sub(i64::from(at));
    is_ours.then(|| u64::try_from(age).is_ok_and(|age| age <= life.as_secs()))
}

/// Writes client id and token for a device that registered without a registered name.
pub(in crate::alibaba) fn device_token(
    secret: &[u8],
    product: &str,
    node: &str,
) -> (String, String) {
    let names = [("deviceName", node), ("productKey", product), ("purpose", "clientId")];
    let mut client = Method::Sha256.sign(secret, &source(names));
    client.truncate(CLIENT_DIGITS);
    let names = [("clientId", &*client), ("deviceName", node), ("productKey", product)];
    let token =
        Method::Sha256.sign(secret, &source(names.into_iter().chain([("purpose", "token")])));
    (client, token)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    const LIFE: Duration = Duration::from_secs(60);

    #[test]
    fn tokens_fit_the_firmware_and_end() {
        let id = iot_id("a1RsKq9ZxTbXXXXXXXXX", &"n".repeat(32));
        assert!(id.len() <= 64);
        let (now, later) = (Timestamp(1_795_222_375_000), Timestamp(1_795_222_435_000));
        let token = iot_token(b"secret", &id, now);
        assert_eq!(token.len(), 64);
        let check = |secret: &[u8], at| check_iot_token(secret, &id, token.as_bytes(), LIFE, at);
        assert_eq!(check(b"secret", now), Some(true));
        assert_eq!(check(b"secret", later), Some(true));
        assert_eq!(check(b"secret", Timestamp(later.0 + 1000)), Some(false));
        assert_eq!(check(b"other", now), None);
        let (client, token) = device_token(b"secret", "a1", "n");
        assert_eq!((client.len(), token.len()), (16, 64));
        assert_ne!(device_token(b"other", "a1", "n").1, token);
    }

    proptest! {
        #[test]
        fn ids_split_again(product in "[a-zA-Z0-9]{1,20}", node in "[a-zA-Z0-9_.:@-]{1,32}") {
            let id = iot_id(&product, &node);
            prop_assert_eq!(split_iot_id(&id), Some((&*product, &*node)));
        }

        #[test]
        fn arbitrary_tokens_never_panic(id in "\\PC{0,60}", token: Vec<u8>) {
            let _ = split_iot_id(&id);
            prop_assert_eq!(check_iot_token(b"k", &id, &token, LIFE, Timestamp(0)), None);
        }
    }
}
