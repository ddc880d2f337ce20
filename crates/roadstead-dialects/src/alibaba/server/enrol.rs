//! Zero-config: a device that is on line finds new ones by radio and lets those in that its owner
//! chose.
//!
//! ```text
//! new device --probe request--> registrar --enrollee/found--> here --found_reply--> registrar
//! phone: list, choose --> enrollee/checkin --> registrar --cipher/get--> here: key of the password
//! ```
//!
//! Source: Alibaba §7.5 (read in the firmware's source, not run).

use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::exchange::{Answer, SubDevice, SubDeviceProof, SubDevices, Uplink};
use roadstead_core::{Code, Map, Secret, Value};
use subtle::ConstantTimeEq as _;

use super::message::{answered, bad_params, heard, nothing, verdict};
use super::reply::{Kind, Mark};
use super::scene::Scene;
use crate::alibaba::crypt::{hmac_sha1, short_sha256};
use crate::alibaba::payload::{OK, Request};
use crate::alibaba::{codes, is_device_name, is_product_key};
use crate::cloud::{Heard, Message};

/// Most new devices of one message; the firmware keeps five.
const FOUND_MAX: usize = 16;
/// Longest record of one, bytes: two names, random, two numbers, signature, five lengths.
const RECORD_BYTES_MAX: usize = 128;
/// Bytes of the random number of a record.
const RANDOM_BYTES: usize = 16;
/// Bytes of the signature of a record: HMAC-SHA1.
const SIGN_BYTES: usize = 20;
/// Number of HMAC-SHA1.
const SIGN_METHOD: u8 = 0;
/// `cipherType`: the password is encrypted under the secret of the product, or of the device.
const OF_PRODUCT: i64 = 3;
const OF_DEVICE: i64 = 4;
/// How long the registrar keeps a new device, seconds.
const TIMEOUT_SECS: u32 = 60;

/// Understands `enrollee/found`. One unreadable record does not spoil the others.
pub(super) fn found(rest: &str, request: &Request) -> Heard {
    let records = request.params.get("payload").and_then(Value::as_array);
    let Some(records) = records.filter(|list| list.len() <= FOUND_MAX) else {
        let uplink = bad_params("no list `params.payload`, or too long");
        return heard(uplink, Kind::Plain, rest, request);
    };
    let rssi = request.params.get("rssi").and_then(Value::as_i64);
    let read = |text: &Value| {
        let mut proof = record(&hex::decode(text.as_str()?).ok()?)?;
        proof.proof.extend(rssi.map(|rssi| (String::from("rssi"), rssi.into())));
        Some(proof)
    };
    let proofs: Vec<SubDeviceProof> = records.iter().filter_map(read).collect();
    if proofs.is_empty() && !records.is_empty() {
        let uplink = bad_params("no record of `params.payload` is readable");
        return heard(uplink, Kind::Plain, rest, request);
    }
    heard(Uplink::SubDevices(SubDevices::Found(proofs)), Kind::Enrollees, rest, request)
}

/// Reads `len DeviceName len ProductKey len random security signMethod len sign`.
fn record(bytes: &[u8]) -> Option<SubDeviceProof> {
    if bytes.len() > RECORD_BYTES_MAX {
        return None;
    }
    let (node, bytes) = counted(bytes)?;
    let (product, bytes) = counted(bytes)?;
    let (random, bytes) = counted(bytes)?;
    let (&security, bytes) = bytes.split_first()?;
    let (&method, bytes) = bytes.split_first()?;
    let (sign, _) = counted(bytes)?;
    let node = core::str::from_utf8(node).ok().filter(|name| is_device_name(name))?;
    let product = core::str::from_utf8(product).ok().filter(|name| is_product_key(name))?;
    if random.len() != RANDOM_BYTES {
        return None;
    }
    let mut proof = Map::new();
    proof.insert("random".into(), hex::encode(random).into());
    proof.insert("security".into(), security.into());
    proof.insert("signMethod".into(), method.into());
    proof.insert("sign".into(), hex::encode(sign).into());
    Some(SubDeviceProof { device: SubDevice { product: product.into(), node: node.into() }, proof })
}

fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(len))
}

/// Understands `cipher/get`.
pub(super) fn key_wanted(rest: &str, request: &Request) -> Heard {
    let text = |key| request.params.get(key).and_then(Value::as_str);
    let product = text("productKey").filter(|name| is_product_key(name));
    let node = text("deviceName").filter(|name| is_device_name(name));
    let (Some(product), Some(node)) = (product, node) else {
        let uplink = bad_params("no `productKey` and `deviceName`");
        return heard(uplink, Kind::Plain, rest, request);
    };
    let mut proof = Map::new();
    for key in ["random", "cipherType"] {
        proof.extend(request.params.get(key).map(|value| (String::from(key), value.clone())));
    }
    let device = SubDevice { product: product.into(), node: node.into() };
    let said = SubDevices::PasswordKey(SubDeviceProof { device, proof });
    heard(Uplink::SubDevices(said), Kind::PasswordKey, rest, request)
}

/// Checks that a new device knows its product's secret or its own.
pub(super) fn verify<'s>(
    mut secrets: impl Iterator<Item = &'s Secret>,
    node: &str,
    product: &str,
    proof: &Map<String, Value>,
) -> Result<(), Code> {
    let bytes =
        |key: &str| proof.get(key).and_then(Value::as_str).and_then(|t| hex::decode(t).ok());
    let (Some(random), Some(sign)) = (bytes("random"), bytes("sign")) else {
        return Err("payload.malformed");
    };
    if proof.get("signMethod").and_then(Value::as_u64) != Some(SIGN_METHOD.into()) {
        return Err("subdevice.sign_method");
    }
    let parts = [&random[..], node.as_bytes(), product.as_bytes()];
    let fits = |secret: &Secret| {
        let code = hmac_sha1(secret.expose(), &parts);
        sign.len() == SIGN_BYTES && bool::from(code.ct_eq(&sign))
    };
    secrets.any(fits).then_some(()).ok_or("subdevice.bad_signature")
}

/// Returns the key under which a new device reads the password of the network, in hexadecimal.
pub(super) fn password_key(
    of_product: Option<&Secret>,
    of_device: Option<&Secret>,
    proof: &Map<String, Value>,
) -> Option<Secret> {
    let secret = match proof.get("cipherType").and_then(Value::as_i64) {
        Some(OF_PRODUCT) | None => of_product,
        Some(OF_DEVICE) => of_device,
        Some(_) => None,
    }?;
    let random =
        proof.get("random").and_then(Value::as_str).and_then(|text| hex::decode(text).ok());
    let random = random.filter(|random| random.len() == RANDOM_BYTES)?;
    Some(Secret::from(hex::encode(short_sha256(&[secret.expose(), b",", &random]))))
}

/// Writes the answers to both.
pub(super) fn reply(scene: &Scene<'_>, kind: Kind, mark: &Mark<'_>, answer: &Answer) -> Message {
    let refused = |code: Code| {
        let text = roadstead_core::code::info(code).map_or("refused", |info| info.meaning);
        answered(scene, mark, (codes::reply(code), text), &nothing())
    };
    match (kind, answer) {
        (Kind::Enrollees, Answer::SubDevices(results)) => {
            let kept = results.iter().filter(|(_, result)| result.is_ok()).map(|(device, _)| {
                serde_json::json!({
                    "productKey": &*device.product, "deviceName": &*device.node,
                    "timeout": TIMEOUT_SECS,
                })
            });
            answered(scene, mark, (OK, "success"), &kept.collect())
        }
        (Kind::PasswordKey, Answer::Registered(results)) => match results.first() {
            Some((device, Ok(given))) => {
                let data = serde_json::json!({
                    "productKey": &*device.product, "deviceName": &*device.node,
                    "secret": given.secret.expose_text().unwrap_or_default(),
                });
                answered(scene, mark, (OK, "success"), &data)
            }
            Some((_, Err(code))) => refused(code),
            None => refused("subdevice.unknown"),
        },
        (_, answer) => answered(scene, mark, verdict(answer), &nothing()),
    }
}

/// Writes the parameters of `enrollee/checkin`: let this one in.
pub(super) fn checkin(device: &SubDevice) -> Value {
    serde_json::json!({
        "productKey": &*device.product, "deviceName": &*device.node, "timeout": TIMEOUT_SECS,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NODE: &str = "lamp-0002";
    const PRODUCT: &str = "a1RsKq9ZxTb";
    const SECRET: &str = "pS9dK2mQ7xWv4LtZ";

    fn written(sign: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in [NODE.as_bytes(), PRODUCT.as_bytes(), &[7; RANDOM_BYTES]] {
            bytes.push(u8::try_from(part.len()).expect("short"));
            bytes.extend(part);
        }
        bytes.extend([3, SIGN_METHOD, u8::try_from(sign.len()).expect("short")]);
        bytes.extend(sign);
        bytes
    }

    #[test]
    fn a_new_device_proves_itself_by_either_secret() {
        let secret = Secret::from(SECRET);
        let parts = [&[7; RANDOM_BYTES][..], NODE.as_bytes(), PRODUCT.as_bytes()];
        let read = record(&written(&hmac_sha1(secret.expose(), &parts))).expect("readable");
        assert_eq!((&*read.device.product, &*read.device.node), (PRODUCT, NODE));
        let check =
            |secrets: &[&Secret]| verify(secrets.iter().copied(), NODE, PRODUCT, &read.proof);
        let other = Secret::from("another");
        assert_eq!(check(&[&other, &secret]), Ok(()));
        assert_eq!(check(&[&other]), Err("subdevice.bad_signature"));
        assert_eq!(check(&[]), Err("subdevice.bad_signature"));
        let cut = record(&written(&[])).expect("readable");
        let refused = verify(core::iter::once(&secret), NODE, PRODUCT, &cut.proof);
        assert_eq!(refused, Err("subdevice.bad_signature"));
    }

    #[test]
    fn the_password_key_is_of_the_secret_that_was_asked_for() {
        let (product, device) = (Secret::from(SECRET), Secret::from("ds"));
        let ask = |cipher: i64, random: &str| {
            let Value::Object(proof) = json!({"cipherType": cipher, "random": random}) else {
                unreachable!("an object")
            };
            password_key(Some(&product), Some(&device), &proof)
        };
        let random = "00112233445566778899aabbccddeeff";
        let expected = |secret: &[u8]| {
            let bytes = hex::decode(random).expect("hex");
            Some(Secret::from(hex::encode(short_sha256(&[secret, b",", &bytes]))))
        };
        assert!(ask(3, random) == expected(SECRET.as_bytes()));
        assert!(ask(4, random) == expected(b"ds"));
        assert!(ask(5, random).is_none() && ask(3, "00").is_none() && ask(3, "zz").is_none());
    }

    proptest! {
        #[test]
        fn any_record_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..140)) {
            let _ = record(&bytes);
        }

        #[test]
        fn cut_records_are_refused(cut in 1_usize..59) {
            let whole = written(&[9; SIGN_BYTES]);
            prop_assert!(record(&whole).is_some());
            prop_assert!(record(&whole[..whole.len() - cut]).is_none());
        }
    }
}
