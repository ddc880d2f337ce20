//! Every vector of `vectors/tencent.json` that concerns the cloud half.

use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt as _, KeyIvInit as _};
use base64::Engine as _;
use roadstead_core::exchange::{SubDevices, Uplink};
use roadstead_core::product::Model;
use roadstead_core::{Secret, Timestamp, Value};
use serde_json::json;

use super::{NOW, PRODUCT, PRODUCT_SECRET, SECRET, account, cloud, device, lamp, product};
use crate::cloud::{Account, Claim, Effect, Hello, HttpRequest, HttpResponse, Performed, Tls};
use crate::tencent::auth::{BASE64, Digest};

fn vectors(section: &str) -> Vec<Value> {
    let text = include_str!("../../../vectors/tencent.json");
    let file: Value = serde_json::from_str(text).expect("JSON");
    file[section].as_array().expect("a section").clone()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key}"))
}

#[test]
fn logins() {
    let cloud = cloud(json!({}));
    let mut kinds = Vec::new();
    for vector in vectors("auth") {
        let kind = text(&vector, "kind");
        kinds.push(kind.to_string());
        let client_id = vector["client_id"].as_str().or(vector["psk_identity"].as_str());
        let client_id = client_id.expect("an identity");
        let (product_id, node) = client_id.split_at(10);
        let mut device = device(product_id, node, text(&vector, "device_secret_b64"));
        let key = cloud.psk_key(&device).expect("base64");
        assert_eq!(hex::encode(key.expose()), text(&vector, "psk_hex"), "{kind}");
        let tls = match vector["psk_identity"].as_str() {
            Some(identity) => Tls::Psk { identity: identity.as_bytes().into() },
            None => Tls::None,
        };
        let hello = Hello {
            level: 4,
            client_id,
            user: vector["username"].as_str(),
            password: vector["password"].as_str().map(str::as_bytes),
            keep_alive_s: 240,
            tls: &tls,
        };
        assert!(cloud.recognizes(&hello), "{kind}");
        let claim = Claim::Node { product: product_id.into(), node: node.into() };
        assert_eq!(cloud.identify(&hello), Ok(claim.clone()), "{kind}");
        if let Tls::Psk { identity } = &tls {
            assert_eq!(cloud.psk_claim(identity), Some(claim));
        }
        let right = Account {
            product: Arc::new(product(product_id, lamp())),
            device: Arc::new(device.clone()),
        };
        assert_eq!(cloud.admit(&hello, &right, NOW), Ok(()), "{kind}");
        if tls == Tls::None {
            device.secret = Some(Secret::from("AAAAAAAAAAAAAAAAAAAAAA=="));
            let wrong = Account { device: Arc::new(device), ..right };
            let refusal = cloud.admit(&hello, &wrong, NOW).expect_err("another secret");
            assert_eq!(refusal.code, "auth.bad_password");
        }
    }
    assert!(kinds.len() >= 5 && kinds.iter().any(|kind| kind == "tls_psk"), "{kinds:?}");
}

/// Decrypts what a device gets, as the SDK does: to the first zero byte.
pub(super) fn decrypt(product_secret: &str, payload: &str) -> String {
    let mut bytes = BASE64.decode(payload).expect("base64");
    let key = *product_secret.as_bytes().first_chunk::<16>().expect("long enough");
    let mut cipher = cbc::Decryptor::<Aes128>::new(&Array(key), &Array([b'0'; 16]));
    for chunk in bytes.chunks_exact_mut(16) {
        cipher.decrypt_block(chunk.try_into().expect("a block"));
    }
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    assert!(bytes[end..].iter().all(|&byte| byte == 0) && bytes.len() - end < 16);
    String::from_utf8(bytes[..end].to_vec()).expect("text")
}

/// Runs one call from request to response.
pub(super) fn call(
    request: &HttpRequest<'_>,
    account: &Account,
    known: bool,
    certificate: Option<(String, Secret)>,
    now: Timestamp,
) -> (HttpResponse, Option<Effect>) {
    let cloud = cloud(json!({}));
    let mut call = cloud.http(request).expect("recognised");
    let claim = match call.claim() {
        Ok(claim) => claim,
        Err(response) => return (response, None),
    };
    let Claim::Node { product, node } = claim else { panic!("a node") };
    assert_eq!(&*product, account.product.id.as_str());
    assert_eq!(node, account.device.node);
    let device = known.then_some(&account.device);
    let effect = match call.decide(Some(&account.product), device, now) {
        Ok(effect) => effect,
        Err(response) => return (response, None),
    };
    let performed = match &effect {
        Effect::Register { .. } => {
            Performed::Registered { device: account.device.clone(), certificate }
        }
        Effect::Logs(_)
        | Effect::Enrol(_)
        | Effect::Learn(_)
        | Effect::Retire
        | Effect::Nothing => Performed::Kept,
        Effect::Locate => panic!("this vendor asks for no address"),
    };
    (call.respond(&account.product, Ok(performed), [9; 16]), Some(effect))
}

/// Equal but for the request id.
pub(super) fn assert_alike(response: &HttpResponse, recorded: &str) {
    let strip = |text: &str| {
        let mut json: Value = serde_json::from_str(text).expect("JSON");
        for object in [json.get_mut("requestId")].into_iter().flatten() {
            *object = Value::Null;
        }
        if let Some(id) = json.pointer_mut("/Response/RequestId") {
            *id = Value::Null;
        }
        json.to_string()
    };
    let ours = core::str::from_utf8(&response.body).expect("text");
    assert_eq!(strip(ours), strip(recorded));
}

#[test]
fn registrations() {
    let mut variants = Vec::new();
    for vector in vectors("dynreg") {
        let Some(body) = vector["request_body"].as_str() else {
            seed_registration(&vector);
            variants.push(0);
            continue;
        };
        variants.push(vector["variant"].as_u64().expect("variant"));
        let second = variants.last() == Some(&2);
        let mut headers = Vec::new();
        for (key, value) in vector["headers"].as_object().into_iter().flatten() {
            headers.push((key.to_lowercase(), value.as_str().expect("text")));
        }
        let headers: Vec<_> = headers.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let request = HttpRequest {
            method: "POST",
            host: if second { "ap-guangzhou.gateway.tencentdevices.com" } else { "x" },
            path: if second { "/device/register" } else { "/register/dev" },
            query: "",
            headers: &headers,
            body: body.as_bytes(),
            mqtt_port: None,
        };
        let json: Value = serde_json::from_str(body).expect("JSON");
        let name =
            |a: &str, b: &str| json[a].as_str().or(json[b].as_str()).expect("name").to_string();
        let account = account(
            &name("productId", "ProductId"),
            &name("deviceName", "DeviceName"),
            Model::default(),
        );
        let at = json["timestamp"].as_i64().unwrap_or(1_611_299_964);
        let recorded = text(&vector, "response_body");
        let recorded_json: Value = serde_json::from_str(recorded).expect("JSON");
        let payload = recorded_json["payload"].as_str();
        let payload = payload.or(recorded_json["Response"]["Payload"].as_str()).expect("payload");
        let plain: Value = serde_json::from_str(&decrypt(PRODUCT_SECRET, payload)).expect("JSON");
        let certificate = plain["clientCert"]
            .as_str()
            .map(|certificate| (certificate.to_string(), Secret::from(text(&plain, "clientKey"))));
        let (response, effect) = call(&request, &account, false, certificate, Timestamp(at * 1000));
        assert_eq!((response.status, response.code), (200, "ok"));
        assert!(matches!(effect, Some(Effect::Register { .. })));
        assert_alike(&response, recorded);
        if plain["psk"].is_string() {
            assert!(response.body.len() < 256, "PSK builds read 256 bytes");
        }
    }
    assert_eq!(variants, [0, 1, 1, 2]);
}

/// The seed's own numbers: its request was logged without a body.
fn seed_registration(vector: &Value) {
    let body = json!({
        "deviceName": text(vector, "device_name"),
        "nonce": vector["nonce"],
        "productId": text(vector, "product_id"),
        "timestamp": vector["timestamp"],
        "signature": text(vector, "signature"),
    })
    .to_string();
    let request = HttpRequest {
        method: "POST",
        host: "gateway.tencentdevices.com",
        path: "/register/dev",
        query: "",
        headers: &[],
        body: body.as_bytes(),
        mqtt_port: None,
    };
    let account = account(PRODUCT, "TEST2", Model::default());
    let now = Timestamp(vector["timestamp"].as_i64().expect("s") * 1000);
    let (response, _) = call(&request, &account, true, None, now);
    let json: Value = serde_json::from_slice(&response.body).expect("JSON");
    assert_eq!(json["payload"], vector["response_payload"]);
    assert_eq!(json["len"], vector["response_len"]);
    assert_eq!(decrypt(PRODUCT_SECRET, text(&json, "payload")), text(vector, "plaintext"));
}

#[test]
fn sub_device_signatures() {
    let vectors = vectors("gateway");
    let vector = &vectors[0];
    let mut gateway = super::Lamp::new(json!({}));
    let request: Value = serde_json::from_str(text(vector, "request")).expect("JSON");
    let heard = gateway.hear_one("$gateway/operation", &request);
    let Uplink::SubDevices(SubDevices::Bind(proofs)) = heard.uplink else { panic!("a bind") };
    let sub = |secret: &str| Account {
        product: Arc::new(product("BIND_PID", Model::default())),
        device: Arc::new(device("BIND_PID", "BIND_DEV_NAME", secret)),
    };
    let verify = |secret: &str, settings: Value| {
        cloud(settings).verify_sub_device(&sub(secret), &proofs[0].proof, NOW)
    };
    assert_eq!(verify(text(vector, "key_text"), json!({})), Ok(()));
    assert_eq!(verify(SECRET, json!({})), Err("subdevice.bad_signature"));
    let strict = json!({"sub_device_window": "60s"});
    assert_eq!(verify(text(vector, "key_text"), strict), Err("subdevice.expired"));
}

#[test]
fn sub_device_signatures_in_every_allowed_form() {
    let sub = account("BIND_PID", "BIND_DEV_NAME", Model::default());
    let decoded = BASE64.decode(SECRET).expect("base64");
    let verify = |method: &str, key: &[u8], digest: Digest| {
        let code = digest.sign(key, b"BIND_PIDBIND_DEV_NAME;7;1795222215");
        let proof = json!({"signature": BASE64.encode(code), "random": 7,
            "timestamp": "1795222215", "signmethod": method, "authtype": "psk"});
        cloud(json!({})).verify_sub_device(&sub, proof.as_object().expect("object"), NOW)
    };
    assert_eq!(verify("hmacsha1", SECRET.as_bytes(), Digest::Sha1), Ok(()));
    assert_eq!(verify("hmacsha1", &decoded, Digest::Sha1), Ok(()));
    assert_eq!(verify("hmacsha256", &decoded, Digest::Sha256), Ok(()));
    assert_eq!(verify("hmacsha256", &decoded, Digest::Sha1), Err("subdevice.bad_signature"));
    assert_eq!(verify("md5", &decoded, Digest::Sha1), Err("subdevice.sign_method"));
    let empty = serde_json::Map::new();
    let bare = cloud(json!({})).verify_sub_device(&sub, &empty, NOW);
    assert_eq!(bare, Err("payload.malformed"));
}

#[test]
fn log_uploads() {
    for vector in vectors("log_upload") {
        let body = hex::decode(text(&vector, "body_hex")).expect("hex");
        let request = HttpRequest {
            method: "POST",
            host: "devicelog.iot.cloud.tencent.com",
            path: "/cgi-bin/report-log",
            query: "",
            headers: &[],
            body: &body,
            mqtt_port: None,
        };
        let account = account(PRODUCT, "TEST2", Model::default());
        assert_eq!(text(&vector, "key_text"), SECRET);
        let (response, effect) = call(&request, &account, true, None, NOW);
        assert_alike(&response, r#"{"Retcode":0,"Message":"success"}"#);
        let Some(Effect::Logs(records)) = effect else { panic!("records") };
        assert_eq!(records.len(), 1);
        assert!(records[0].ends_with("Upload log level change to: 4"), "{}", records[0]);
        let mut changed = body.clone();
        *changed.last_mut().expect("bytes") ^= 1;
        let (response, effect) =
            call(&HttpRequest { body: &changed, ..request }, &account, true, None, NOW);
        assert_eq!((response.code, effect), ("auth.bad_password", None));
    }
}
