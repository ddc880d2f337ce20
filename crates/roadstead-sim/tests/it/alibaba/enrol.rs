//! Zero-config: a device on line finds a new one, its owner chooses it, it is let in (§7.5).

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sha::sha256;
use openssl::sign::Signer;
use reqwest::Method;
use serde_json::{Value, json};

use super::{NODE, PRODUCT, PRODUCT_SECRET, log_in, sys, with_lamp};
use crate::api::Phone;
use crate::mqtt::Device;

const NEW: &str = "lamp-0002";
const RANDOM: [u8; 16] = *b"0123456789abcdef";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the new device says by radio.
fn record(secret: &str) -> String {
    let signed = [&RANDOM[..], NEW.as_bytes(), PRODUCT.as_bytes()].concat();
    let key = PKey::hmac(secret.as_bytes()).expect("a key");
    let mut signer = Signer::new(MessageDigest::sha1(), &key).expect("HMAC-SHA1");
    let sign = signer.sign_oneshot_to_vec(&signed).expect("a signature");
    let mut bytes = Vec::new();
    for part in [NEW.as_bytes(), PRODUCT.as_bytes(), &RANDOM] {
        bytes.push(u8::try_from(part.len()).expect("short"));
        bytes.extend(part);
    }
    bytes.extend([3, 0, u8::try_from(sign.len()).expect("short")]);
    bytes.extend(sign);
    hex(&bytes)
}

async fn ask(device: &mut Device, rest: &str, params: Value) -> Value {
    let body = json!({"id": "7", "version": "1.0", "params": params}).to_string();
    device.publish_bytes(&sys(rest), body.into_bytes()).await;
    let answer = device.publication().await;
    assert_eq!(&*answer.topic, sys(&format!("{rest}_reply")));
    serde_json::from_slice(&answer.payload).expect("JSON")
}

async fn found(device: &mut Device, secret: &str) -> Value {
    let params = json!({"type": 0, "ssid": "Home", "bssid": "02:00:00:00:00:01", "rssi": -40,
                        "payload": [record(secret)]});
    let reply = ask(device, "thing/awss/enrollee/found", params).await;
    assert_eq!(reply["code"], 200, "{reply}");
    reply["data"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_on_line_lets_in_the_new_one_that_its_owner_chose() {
    let platform = with_lamp(|_| {}).await;
    let mut device = log_in(platform.address("mqtt"), ",_ss=1").await;
    let http = platform.address("http");
    let (ann, bob) = (Phone::new(http, "ann").await, Phone::new(http, "bob").await);
    let token = json!({"token": "FAA9AFE560F1F9C872394400326F4022"});
    assert_eq!(ask(&mut device, "thing/awss/enrollee/match", token.clone()).await["code"], 200);
    let bind = json!({"product": PRODUCT, "device": NODE, "token": token["token"]});
    let (status, body) = ann.call(Method::POST, "/bindings", Some(bind)).await;
    assert!(status < 300, "{body}");

    assert_eq!(found(&mut device, "not-the-product's").await, json!([]), "a forged signature");
    let names = json!([{"productKey": PRODUCT, "deviceName": NEW, "timeout": 60}]);
    assert_eq!(found(&mut device, PRODUCT_SECRET).await, names);
    let key = json!({"productKey": PRODUCT, "deviceName": NEW, "cipherType": 3,
                     "random": hex(&RANDOM)});
    let early = ask(&mut device, "thing/cipher/get", key.clone()).await;
    assert_ne!(early["code"], 200, "nobody chose it: {early}");

    let (_, seen) = bob.call(Method::GET, "/enrollees", None).await;
    assert_eq!(seen["enrollees"], json!([]), "the neighbour's devices are not bob's business");
    let (_, seen) = ann.call(Method::GET, "/enrollees", None).await;
    let one = &seen["enrollees"][0];
    assert_eq!((&one["device"], &one["rssi"]), (&json!(NEW), &json!(-40)), "{seen}");
    let choice = json!({"product": PRODUCT, "device": NEW});
    let (status, _) = bob.call(Method::POST, "/enrollees", Some(choice.clone())).await;
    assert_eq!(status, 404);
    let (status, body) = ann.call(Method::POST, "/enrollees", Some(choice)).await;
    assert_eq!((status, &body["admitted"]), (200, &json!(true)), "{body}");
    let told = device.publication().await;
    assert_eq!(&*told.topic, sys("thing/awss/enrollee/checkin"));
    let told: Value = serde_json::from_slice(&told.payload).expect("JSON");
    assert_eq!(told["params"], names[0]);

    let given = ask(&mut device, "thing/cipher/get", key).await;
    let digest = sha256(&[PRODUCT_SECRET.as_bytes(), b",", &RANDOM].concat());
    assert_eq!(given["data"]["secret"], hex(&digest[..16]), "{given}");
    platform.stop().await;
}
