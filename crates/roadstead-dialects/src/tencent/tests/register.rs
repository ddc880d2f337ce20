//! Dynamic registration and log upload: recordings, refusals, hostile bodies.

use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;

use base64::Engine as _;
use proptest::prelude::*;
use roadstead_core::product::{Model, Registration};
use roadstead_core::{Secret, Timestamp, Value};
use serde_json::json;

use super::vectors::{assert_alike, call, decrypt};
use super::{NODE, NOW, PRODUCT, PRODUCT_SECRET, account, cloud};
use crate::cloud::{Account, Effect, HttpRequest};
use crate::tencent::auth::{BASE64, Digest};

fn post<'a>(path: &'a str, headers: &'a [(&'a str, &'a str)], body: &'a [u8]) -> HttpRequest<'a> {
    HttpRequest {
        method: "POST",
        host: "gateway.tencentdevices.com",
        path,
        query: "",
        headers,
        body,
        mqtt_port: None,
    }
}

fn signed(timestamp: i64) -> String {
    let text = std::format!("deviceName={NODE}&nonce=7&productId={PRODUCT}&timestamp={timestamp}");
    let code = Digest::Sha1.sign(PRODUCT_SECRET.as_bytes(), text.as_bytes());
    let signature = BASE64.encode(hex::encode(code));
    json!({"deviceName": NODE, "nonce": 7, "productId": PRODUCT, "timestamp": timestamp, "signature": signature})
        .to_string()
}

fn with(registration: Registration, activated: bool) -> Account {
    let mut account = account(PRODUCT, NODE, Model::default());
    Arc::get_mut(&mut account.product).expect("fresh").registration = registration;
    let device = Arc::get_mut(&mut account.device).expect("fresh");
    device.activated_at = activated.then_some(Timestamp(1));
    account
}

#[test]
fn recorded_calls_are_answered_alike() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/transcripts/tencent");
    let mut answered = 0;
    for entry in std::fs::read_dir(folder).expect("transcripts") {
        let path = entry.expect("entry").path();
        let name = path.file_stem().expect("name").to_string_lossy().into_owned();
        if path.extension().is_none_or(|ext| ext != "json") || name.contains("ota") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        let mut ours = None;
        for exchange in file["exchanges"].as_array().expect("exchanges") {
            if let Some(line) = exchange["request"].as_str() {
                ours = Some(replay(&name, line, exchange));
            } else if exchange["status"] == "200 OK"
                && let Some(ours) = ours.take()
            {
                let recorded = exchange["payload"].as_str().expect("text");
                // In this scenario the recorded cloud encrypted with another secret.
                if name != "dynreg-decrypt" {
                    assert_alike(&ours, recorded);
                }
                answered += 1;
            }
        }
    }
    assert_eq!(answered, 9);
}

fn replay(name: &str, line: &str, exchange: &Value) -> crate::cloud::HttpResponse {
    let path = line.split(' ').nth(1).expect("a path");
    let body = exchange["payload"].as_str().expect("text");
    let request = post(path, &[], body.as_bytes());
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let text = |key: &str, default: &str| json[key].as_str().unwrap_or(default).to_string();
    let mut account =
        account(&text("productId", PRODUCT), &text("deviceName", NODE), Model::default());
    if name == "dynreg-sign" {
        // The scenario: platform and firmware have different product secrets.
        let product = Arc::get_mut(&mut account.product).expect("fresh");
        product.secret = Some(Secret::from("another-product-secret-1"));
    }
    let now = json["timestamp"].as_i64().map_or(NOW, |s| Timestamp(s * 1000));
    let certificate = (name == "dynreg-cert-https").then(|| recorded_certificate(name));
    call(&request, &account, true, certificate, now).0
}

fn recorded_certificate(name: &str) -> (String, Secret) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/transcripts/tencent");
    let text = std::fs::read_to_string(std::format!("{folder}/{name}.json")).expect("readable");
    let file: Value = serde_json::from_str(&text).expect("JSON");
    let answers = file["exchanges"].as_array().expect("exchanges").iter();
    let answer = answers.filter(|e| e["status"] == "200 OK").find_map(|e| e["payload"].as_str());
    let answer: Value = serde_json::from_str(answer.expect("an answer")).expect("JSON");
    let plain = decrypt(PRODUCT_SECRET, answer["payload"].as_str().expect("text"));
    let plain: Value = serde_json::from_str(&plain).expect("JSON");
    let text = |key: &str| plain[key].as_str().expect("text").to_string();
    (text("clientCert"), Secret::from(text("clientKey")))
}

#[test]
fn every_refusal_has_its_number() {
    let now_s = NOW.as_secs();
    let good = signed(now_s);
    let forged = good.replace("\"nonce\":7", "\"nonce\":8");
    let odd_name = good.replace("TEST2", "TE/ST2");
    let cases = [
        (&*good, Registration::Open, false, true, 0),
        (&*good, Registration::Open, false, false, 0),
        (&*good, Registration::Preregistered, false, true, 0),
        (&*good, Registration::Preregistered, false, false, 1006),
        (&*good, Registration::Off, false, true, 1005),
        (&*good, Registration::Open, true, true, 1021),
        (&*forged, Registration::Open, false, true, 1007),
        (&*forged, Registration::Off, false, true, 1007),
        (&*odd_name, Registration::Open, false, true, 1001),
        ("{}", Registration::Open, false, true, 1001),
        ("deviceName=TEST2", Registration::Open, false, true, 1001),
    ];
    for (n, (body, registration, activated, known, number)) in cases.into_iter().enumerate() {
        let account = with(registration, activated);
        let request = post("/register/dev", &[], body.as_bytes());
        let (response, effect) = call(&request, &account, known, None, NOW);
        let json: Value = serde_json::from_slice(&response.body).expect("JSON");
        assert_eq!(json["code"], number, "case {n}");
        assert_eq!(effect.is_some(), number == 0, "case {n}");
    }
    let request = post("/register/dev", &[], good.as_bytes());
    let mut unknown = cloud(json!({})).http(&request).expect("recognised");
    let response = unknown.decide(None, None, NOW).expect_err("no product");
    assert_eq!(response.code, "register.unknown_product");
    let mut secretless = with(Registration::Open, false);
    Arc::get_mut(&mut secretless.product).expect("fresh").secret = None;
    assert_eq!(call(&request, &secretless, true, None, NOW).0.code, "register.off");
}

#[test]
fn the_window_forgives_devices_without_a_clock() {
    let now = NOW.as_secs();
    let account = with(Registration::Open, false);
    for (timestamp, code) in [
        (now, "ok"),
        (now - 3600, "ok"),
        (now + 3600, "ok"),
        (now - 3601, "register.timestamp"),
        (now + 3601, "register.timestamp"),
        (0, "ok"),
        (86_400, "ok"),
    ] {
        let body = signed(timestamp);
        let (response, _) =
            call(&post("/register/dev", &[], body.as_bytes()), &account, true, None, NOW);
        assert_eq!(response.code, code, "{timestamp}");
    }
}

#[test]
fn a_replay_has_the_same_key_and_a_retry_has_not() {
    let account = with(Registration::Open, false);
    let key = |timestamp| {
        let body = signed(timestamp);
        let request = post("/register/dev", &[], body.as_bytes());
        match call(&request, &account, true, None, NOW).1 {
            Some(Effect::Register { node, replay_key }) => {
                assert_eq!(&*node, NODE);
                replay_key
            }
            other => panic!("{other:?}"),
        }
    };
    let now = NOW.as_secs();
    assert_eq!(key(now), key(now));
    assert_ne!(key(now), key(now + 1));
}

#[test]
fn the_second_variant_signs_headers_and_body() {
    let body = json!({"ProductId": PRODUCT, "DeviceName": NODE}).to_string();
    let at = NOW.as_secs().to_string();
    let account = with(Registration::Open, false);
    for (algorithm, digest) in
        [("hmacsha256", Digest::Sha256), ("HmacSha256", Digest::Sha256), ("hmacsha1", Digest::Sha1)]
    {
        use sha2::Digest as _;
        let hash = hex::encode(sha2::Sha256::digest(&body));
        let host = "gateway.tencentdevices.com";
        let lines = ["POST", host, "/device/register", "", algorithm, &at, "7", &hash];
        let text = lines.join("\n");
        let signature = BASE64.encode(digest.sign(PRODUCT_SECRET.as_bytes(), text.as_bytes()));
        let headers = [
            ("x-tc-algorithm", algorithm),
            ("x-tc-timestamp", &*at),
            ("x-tc-nonce", "7"),
            ("x-tc-signature", &*signature),
        ];
        let request = post("/device/register", &headers, body.as_bytes());
        let (response, _) = call(&request, &account, true, None, NOW);
        assert_eq!(response.code, "ok", "{algorithm}");
        let elsewhere = HttpRequest { host: "other.example", ..request };
        let (response, _) = call(&elsewhere, &account, true, None, NOW);
        let json: Value = serde_json::from_slice(&response.body).expect("JSON");
        assert_eq!(json["Response"]["Error"]["Code"], "AuthFailure.SignatureFailure");
        assert!(json["Response"]["RequestId"].as_str().is_some_and(|id| id.len() == 36));
    }
    assert!(cloud(json!({})).http(&post("/device/register", &[], b"{}")).is_none());
    let get = HttpRequest { method: "GET", ..post("/register/dev", &[], b"{}") };
    assert!(cloud(json!({})).http(&get).is_none());
}

#[test]
fn the_longest_secret_still_fits_the_firmwares_buffer() {
    let mut account = with(Registration::Open, false);
    let longest = BASE64.encode([0xff; 48]);
    assert_eq!(longest.len(), 64);
    Arc::get_mut(&mut account.device).expect("fresh").secret = Some(Secret::from(longest));
    let body = signed(NOW.as_secs());
    let (response, _) =
        call(&post("/register/dev", &[], body.as_bytes()), &account, true, None, NOW);
    assert_eq!(response.code, "ok");
    assert!(response.body.len() < 256, "{}", response.body.len());
}

#[test]
fn uploaded_secrets_are_masked() {
    let name = std::format!("{NODE:#<48}");
    let signed = std::format!(
        "P###{PRODUCT}{name}1795222375ERR|t|a.c|f(1): SSID:lab|PSW:hunter2|TOKEN:69f978\n\u{c}\
         INF|t|b.c|g(2): ok\n\u{c}"
    );
    let code = Digest::Sha1.sign(super::SECRET.as_bytes(), signed.as_bytes());
    let body = std::format!("{}{signed}", hex::encode(code));
    let account = with(Registration::Off, true);
    let request = post("/cgi-bin/report-log", &[], body.as_bytes());
    let (_, effect) = call(&request, &account, true, None, NOW);
    let Some(Effect::Logs(records)) = effect else { panic!("{effect:?}") };
    assert_eq!(
        records.iter().map(|record| &**record).collect::<Vec<_>>(),
        ["ERR|t|a.c|f(1): SSID:lab|PSW:***|TOKEN:***", "INF|t|b.c|g(2): ok"]
    );
    assert_eq!(call(&request, &account, false, None, NOW).0.code, "auth.unknown_device");
    let certificate = body.replace("P###", "C###");
    let request = post("/cgi-bin/report-log", &[], certificate.as_bytes());
    assert_eq!(call(&request, &account, true, None, NOW).0.code, "auth.no_credential");
}

proptest! {
    #[test]
    fn arbitrary_bodies_never_panic(
        path in prop_oneof![Just("/register/dev"), Just("/device/register"), Just("/cgi-bin/report-log")],
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "[{}\":,a-zA-Z0-9#]{0,200}".prop_map(String::into_bytes),
        ],
    ) {
        let headers = [("x-tc-algorithm", "hmacsha256"), ("x-tc-timestamp", "1"), ("x-tc-nonce", "1"), ("x-tc-signature", "x")];
        let account = with(Registration::Open, false);
        let cloud = cloud(json!({}));
        let mut call = cloud.http(&post(path, &headers, &body)).expect("recognised");
        if call.claim().is_ok() {
            prop_assert!(call.decide(Some(&account.product), Some(&account.device), NOW).is_err());
        }
    }
}
