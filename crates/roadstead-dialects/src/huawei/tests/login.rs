//! Who may log in: vectors, sign types, certificates, codes.

use std::string::{String, ToString as _};
use std::sync::Arc;

use proptest::prelude::*;
use roadstead_core::device::Fingerprint;
use roadstead_core::product::{Auth, Model};
use roadstead_core::{DeviceId, Secret};
use serde_json::{Value, json};

use super::*;
use crate::cloud::Claim;
use crate::huawei::auth::{Sign, password};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../vectors/huawei.json")).expect("JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn with(secret: &str) -> Account {
    let mut account = account(DEVICE, Model::default());
    Arc::get_mut(&mut account.device).expect("fresh").secret = Some(Secret::from(secret));
    account
}

#[test]
fn every_vector_logs_in() {
    let (cloud, vectors) = (cloud(json!({})), vectors());
    let lists = ["mqtt_password_hmac_sha256", "mqtt_password_hmac_sm3"];
    let all = lists.iter().flat_map(|list| vectors[list].as_array().expect("a list"));
    let mut seen = 0;
    for vector in all {
        let device = text(vector, "device_id");
        let hello = hello(text(vector, "client_id"), device, text(vector, "password"));
        assert!(cloud.recognizes(&hello), "{vector}");
        assert_eq!(cloud.identify(&hello), Ok(Claim::Device(DeviceId::new(device))));
        let right = with(text(vector, "secret"));
        assert_eq!(cloud.admit(&hello, &right, NOW), Ok(()), "{vector}");
        let upper = text(vector, "password").to_uppercase();
        let shouted = Hello { password: Some(upper.as_bytes()), ..hello };
        assert_eq!(cloud.admit(&shouted, &right, NOW), Ok(()));
        let refused = cloud.admit(&hello, &with("another-secret"), NOW).expect_err("wrong");
        assert_eq!((refused.code, cloud.connack(refused.code)), ("auth.bad_password", 4));
        assert!(!refused.detail.contains("another-secret"));
        seen += 1;
    }
    assert_eq!(seen, 7);
}

#[test]
fn the_client_id_grammar() {
    let settings = json!({"groups": {"scope_1234": PRODUCT}});
    let (cloud, vectors) = (cloud(settings), vectors());
    for vector in vectors["client_id_grammar"].as_array().expect("a list") {
        let name = vector["device_id"].as_str().or(vector["node_id"].as_str()).expect("a name");
        let claim = cloud.identify(&hello(text(vector, "client_id"), name, "00"));
        match (vector["kind"].as_i64(), vector["scope_id"].as_str()) {
            (Some(2), _) => assert_eq!(claim.expect_err("legacy").code, "auth.malformed"),
            (_, Some(_)) => {
                let (product, device) = (PRODUCT.into(), name.into());
                assert_eq!(claim, Ok(Claim::Member { product, device }));
            }
            _ => assert_eq!(claim, Ok(Claim::Device(DeviceId::new(name)))),
        }
    }
    for (client_id, user, code) in [
        ("d_0_0_2026112100", "e", "auth.identity_mismatch"),
        ("d_0_scope_9", "d", "auth.unknown_product"),
        ("something", "something", "auth.malformed"),
    ] {
        let refused = cloud.identify(&hello(client_id, user, "00")).expect_err("refused");
        assert_eq!(refused.code, code, "{client_id}");
    }
    // CONNACK 2: the client id; 4: the device or its proof; 5: not allowed.
    assert_eq!(cloud.connack("auth.identity_mismatch"), 2);
    assert_eq!(cloud.connack("auth.malformed"), 2);
    assert_eq!(cloud.connack("auth.unknown_device"), 4);
    assert_eq!(cloud.connack("auth.frozen"), 5);
    assert_eq!(cloud.connack("internal.store"), 3);
}

fn log_in(settings: Value, sign: Sign, stamp: &str) -> Result<(), String> {
    let client_id = crate::huawei::auth::client_id(DEVICE, sign, stamp);
    let proof = password(sign, stamp, SECRET.as_bytes());
    let hello = hello(&client_id, DEVICE, &proof);
    cloud(settings).admit(&hello, &with(SECRET), NOW).map_err(|refusal| refusal.code.to_string())
}

#[test]
fn time_stamps_count_for_sign_type_1_or_if_the_operator_is_strict() {
    for (sign, strict, far) in [
        (Sign::Sha256, false, Ok(())),
        (Sign::Sm3, false, Ok(())),
        (Sign::Sha256Checked, false, Err("auth.expired".to_string())),
        (Sign::Sha256, true, Err("auth.expired".to_string())),
    ] {
        let settings = || json!({"strict_time": strict});
        assert_eq!(log_in(settings(), sign, "2026102100"), far, "{sign:?}");
        assert_eq!(log_in(settings(), sign, "2026000100"), far, "{sign:?}");
        assert_eq!(log_in(settings(), sign, "2026112101"), Ok(()));
        assert_eq!(log_in(settings(), sign, "2026112023"), Ok(()));
    }
    let wide = json!({"time_window": "2h"});
    assert_eq!(log_in(wide, Sign::Sha256Checked, "2026112102"), Ok(()));
    assert_eq!(log_in(json!({}), Sign::Sha256Checked, "2026112102"), Err("auth.expired".into()));
}

#[test]
fn keep_alives_have_a_range() {
    let stamp = "2026112100";
    let proof = password(Sign::Sha256, stamp, SECRET.as_bytes());
    let hello = hello("lab_product_dev1_0_0_2026112100", DEVICE, &proof);
    let admit = |settings: Value, keep_alive_s| {
        cloud(settings).admit(&Hello { keep_alive_s, ..hello }, &with(SECRET), NOW)
    };
    for good in [30, 60, 120, 1200] {
        assert_eq!(admit(json!({}), good), Ok(()));
    }
    for bad in [0, 1, 29, 1201, u16::MAX] {
        let refused = admit(json!({}), bad).expect_err("refused");
        assert_eq!((refused.code, cloud(json!({})).connack(refused.code)), ("auth.keep_alive", 5));
        let off = json!({"keep_alive_min": "0s", "keep_alive_max": "0s"});
        assert_eq!(admit(off, bad), Ok(()));
    }
}

const SHA1: [u8; 20] = [0xAB; 20];
const SHA256: [u8; 32] = [0xCD; 32];

fn certificate(known: bool) -> Tls {
    Tls::Certificate {
        sha1: Fingerprint::Sha1(SHA1),
        sha256: Fingerprint::Sha256(SHA256),
        common_name: None,
        authority: if known { vouched() } else { None },
    }
}

fn certified(fingerprint: Option<Fingerprint>) -> Account {
    let mut account = account(DEVICE, Model::default());
    Arc::get_mut(&mut account.product).expect("fresh").auth = Auth::Certificate;
    Arc::get_mut(&mut account.device).expect("fresh").fingerprint = fingerprint;
    account
}

/// A log-in by certificate.
pub(super) fn shown<'a>(client_id: &'a str, tls: &'a Tls) -> Hello<'a> {
    let (user, keep_alive_s) = (Some(DEVICE), 120);
    Hello { level: 4, client_id, user, password: None, keep_alive_s, tls }
}

#[test]
fn certificates_are_known_by_chain_and_fingerprint() {
    let cloud = cloud(json!({}));
    fn hello(tls: &Tls) -> Hello<'_> {
        shown("lab_product_dev1_0_0_2026112100", tls)
    }
    let (ours, strange) = (certificate(true), certificate(false));
    let code = |tls: &Tls, account: &Account| {
        cloud.admit(&hello(tls), account, NOW).err().map(|refusal| refusal.code)
    };
    // SHA-1 or SHA-256, either case, with colons.
    let sha1 = Fingerprint::parse(&"aB:".repeat(20));
    for known in [sha1, Some(Fingerprint::Sha256(SHA256))] {
        let account = certified(known);
        assert_eq!(code(&ours, &account), None);
        assert_eq!(cloud.learned_fingerprint(&hello(&ours), &account), None);
    }
    // The first certificate is learned, a second one refused.
    let fresh = certified(None);
    assert_eq!(code(&ours, &fresh), None);
    let learned = cloud.learned_fingerprint(&hello(&ours), &fresh);
    assert_eq!(learned, Some(Fingerprint::Sha256(SHA256)));
    let other = certified(Some(Fingerprint::Sha256([9; 32])));
    assert_eq!(code(&ours, &other), Some("auth.certificate_mismatch"));
    assert_eq!(cloud.connack("auth.certificate_mismatch"), 4);
    assert_eq!(code(&strange, &fresh), Some("auth.certificate_authority"));
    assert_eq!(cloud.connack("auth.certificate_authority"), 5);
    assert_eq!(code(&Tls::Server, &fresh), Some("auth.certificate_missing"));
    // A device with a secret is not let in by certificate.
    assert_eq!(code(&ours, &with(SECRET)), Some("auth.bad_password"));
    assert_eq!(cloud.learned_fingerprint(&hello(&ours), &with(SECRET)), None);
    let strict = super::cloud(json!({"learn_fingerprint": false, "verify_chain": false}));
    let refused = strict.admit(&hello(&strange), &fresh, NOW).expect_err("nothing registered");
    assert_eq!(refused.code, "auth.certificate_mismatch");
    assert_eq!(strict.learned_fingerprint(&hello(&strange), &fresh), None);
}

#[test]
fn a_fresh_secret_is_one_the_vendor_accepts() {
    let secret = cloud(json!({})).new_secret(core::array::from_fn(|n| n as u8));
    let shown = secret.expose_text().expect("text");
    assert_eq!(shown, "000102030405060708090a0b0c0d0e0f");
    assert_eq!(Huawei.check_secret(crate::SecretKind::Device, shown), Ok(()));
}

proptest! {
    #[test]
    fn arbitrary_logins_never_panic(
        client_id in "([a-z_]{0,6}(_[0-3]){0,2}_[0-9]{9,11})|\\PC{0,30}",
        user in proptest::option::of("[a-z_]{0,6}|\\PC{0,20}"),
        password in proptest::option::of(prop::collection::vec(any::<u8>(), 0..70)),
        keep_alive_s: u16,
    ) {
        let tls = certificate(true);
        let hello = Hello {
            level: 4,
            client_id: &client_id,
            user: user.as_deref(),
            password: password.as_deref(),
            keep_alive_s,
            tls: &tls,
        };
        let cloud = cloud(json!({"groups": {"s": PRODUCT}}));
        let _ = (cloud.recognizes(&hello), cloud.identify(&hello));
        prop_assert!(cloud.admit(&hello, &with(SECRET), NOW).is_err());
        let _ = cloud.admit(&hello, &certified(None), NOW);
        let _ = cloud.admit_member(&hello, &with(SECRET).product, NOW);
    }
}
