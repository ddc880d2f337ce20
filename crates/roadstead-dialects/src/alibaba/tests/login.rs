//! Log-ins: every recorded client, and what must be refused.

use std::format;
use std::sync::Arc;
use std::vec::Vec;

use roadstead_core::product::Model;
use roadstead_core::{Secret, Value};
use serde_json::json;

use super::{NODE, NOW, PRODUCT, SECRET, account, cloud, device, product};
use crate::alibaba::auth::{Method, login_source, source};
use crate::cloud::{Account, Claim, Hello, Tls};

fn vectors(kind: &str) -> Vec<Value> {
    let text = include_str!("../../../vectors/alibaba.json");
    let file: Value = serde_json::from_str(text).expect("JSON");
    let all = file["vectors"].as_array().expect("a list").clone();
    all.into_iter().filter(|vector| vector["kind"] == kind).collect()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key}"))
}

fn hello<'a>(client_id: &'a str, user: &'a str, password: &'a str) -> Hello<'a> {
    let password = Some(password.as_bytes());
    Hello { level: 4, client_id, user: Some(user), password, keep_alive_s: 60, tls: &Tls::None }
}

#[test]
fn every_client_logs_in_with_its_own_way_of_signing() {
    let cloud = cloud(&json!({}));
    let vectors = vectors("mqtt_connect");
    assert_eq!(vectors.len(), 7);
    for vector in vectors {
        let (id, user) = (text(&vector, "clientId"), text(&vector, "username"));
        let hello = hello(id, user, text(&vector, "password"));
        assert!(cloud.recognizes(&hello));
        let claim = Claim::Node { product: PRODUCT.into(), node: NODE.into() };
        assert_eq!(cloud.identify(&hello), Ok(claim), "{id}");
        assert_eq!(cloud.admit(&hello, &account(PRODUCT, NODE, Model::default()), NOW), Ok(()));
        let other = Arc::new(device(PRODUCT, NODE, "another secret"));
        let wrong = Account { device: other, ..account(PRODUCT, NODE, Model::default()) };
        let refusal = cloud.admit(&hello, &wrong, NOW).expect_err("another secret");
        assert_eq!((refusal.code, cloud.connack(refusal.code)), ("auth.bad_password", 4));
    }
}

#[test]
fn dynamic_registration_is_signed_with_the_product_secret() {
    let cloud = cloud(&json!({}));
    let vectors = vectors("mqtt_dynamic_register");
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let (id, user) = (text(&vector, "clientId"), text(&vector, "username"));
        let hello = hello(id, user, text(&vector, "password"));
        let device = format!("{PRODUCT}_{NODE}").into();
        let claim = Claim::Member { product: PRODUCT.into(), device };
        assert_eq!(cloud.identify(&hello), Ok(claim), "{id}");
        let mut product = product(PRODUCT, Model::default());
        assert_eq!(cloud.admit_member(&hello, &product, NOW), Ok(()));
        product.secret = Some(Secret::from("another"));
        let refusal = cloud.admit_member(&hello, &product, NOW).expect_err("another secret");
        assert_eq!(refusal.code, "register.bad_signature");
        product.secret = None;
        let refusal = cloud.admit_member(&hello, &product, NOW).expect_err("no secret");
        assert_eq!((refusal.code, cloud.connack(refusal.code)), ("register.off", 4));
    }
}

#[test]
fn trap_05_the_client_id_is_not_the_identity() {
    let cloud = cloud(&json!({}));
    for base in ["a1RsKq9ZxTb.lamp-0001", "18:FE:34:12:33:44", "fan.a1Other", &"x".repeat(64)] {
        for (method, name) in
            [(Method::Md5, "hmacmd5"), (Method::Sha1, "hmacsha1"), (Method::Sha256, "hmacSha256")]
        {
            let id = format!("{base}|securemode=3,signmethod={name},lan=JS|Ali|");
            let signed = login_source(base, NODE, PRODUCT, None, None);
            let password = method.sign(SECRET.as_bytes(), &signed).to_uppercase();
            let user = format!("{NODE}&{PRODUCT}");
            let hello = hello(&id, &user, &password);
            let claim = Claim::Node { product: PRODUCT.into(), node: NODE.into() };
            assert_eq!(cloud.identify(&hello), Ok(claim));
            assert_eq!(cloud.admit(&hello, &account(PRODUCT, NODE, Model::default()), NOW), Ok(()));
        }
    }
}

#[test]
fn the_extended_source_of_old_firmware_is_accepted() {
    let fields = [("clientId", "x"), ("deviceName", NODE), ("ext", "1"), ("productKey", PRODUCT)];
    let password = Method::Sha1.sign(SECRET.as_bytes(), &source(fields));
    let user = format!("{NODE}&{PRODUCT}");
    let hello = hello("x|securemode=2,ext=1|", &user, &password);
    let account = account(PRODUCT, NODE, Model::default());
    assert_eq!(cloud(&json!({})).admit(&hello, &account, NOW), Ok(()));
}

#[test]
fn what_is_no_log_in_is_refused_with_its_cause() {
    let cloud = cloud(&json!({}));
    let account = account(PRODUCT, NODE, Model::default());
    let user = format!("{NODE}&{PRODUCT}");
    let cases: [(&str, Option<&str>, &str, u8); 4] = [
        ("no-bar", Some("x"), "auth.malformed", 2),
        ("x|signmethod=hmacsm3|", Some("x"), "auth.malformed", 2),
        ("x|securemode=3|", None, "auth.bad_password", 4),
        ("x|securemode=3|", Some("not hexadecimal"), "auth.bad_password", 4),
    ];
    for (client_id, password, code, connack) in cases {
        let password = password.map(str::as_bytes);
        let hello = Hello { password, ..hello(client_id, &user, "") };
        assert!(cloud.recognizes(&hello), "the user name has the shape");
        let refused = cloud.admit(&hello, &account, NOW).expect_err(client_id);
        assert_eq!((refused.code, cloud.connack(refused.code)), (code, connack), "{client_id}");
    }
    for user in ["", "lamp", "L4WG9V9M2MTEST2;21010406;5B1N0;1"] {
        assert!(!cloud.recognizes(&hello("x|securemode=3|", user, "x")), "{user}");
    }
}
