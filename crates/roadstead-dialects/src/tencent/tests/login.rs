//! Who is let in, and with which words the others are refused.

use std::string::String;
use std::sync::Arc;

use proptest::prelude::*;
use roadstead_core::device::Fingerprint;
use roadstead_core::product::Auth;
use roadstead_core::{Secret, Value};
use serde_json::json;

use super::{NODE, NOW, PRODUCT, SECRET, account, cloud, lamp};
use crate::cloud::{Account, Hello, Tls};
use crate::tencent::auth::{Digest, device_key, password};

const CLIENT: &str = "L4WG9V9M2MTEST2";
const SHA1: [u8; 20] = [1; 20];
const SHA256: [u8; 32] = [2; 32];

fn user(expiry: &str) -> String {
    std::format!("{CLIENT};12010126;9IOP8;{expiry}")
}

fn signed(user: &str, digest: Digest) -> String {
    password(&device_key(&Secret::from(SECRET)).expect("base64"), user, digest)
}

fn certificate() -> Tls {
    Tls::Certificate {
        sha1: Fingerprint::Sha1(SHA1),
        sha256: Fingerprint::Sha256(SHA256),
        common_name: Some("somebody".into()),
        authority: None,
    }
}

fn with(auth: Auth, secret: Option<&str>, fingerprint: Option<Fingerprint>) -> Account {
    let mut account = account(PRODUCT, NODE, lamp());
    Arc::get_mut(&mut account.product).expect("fresh").auth = auth;
    let device = Arc::get_mut(&mut account.device).expect("fresh");
    device.secret = secret.map(Secret::from);
    device.fingerprint = fingerprint;
    account
}

fn admit(
    settings: Value,
    account: &Account,
    tls: &Tls,
    user: &str,
    password: Option<&str>,
) -> &'static str {
    let password = password.map(str::as_bytes);
    let user = Some(user);
    let hello = Hello { level: 4, client_id: CLIENT, user, password, keep_alive_s: 240, tls };
    cloud(settings).admit(&hello, account, NOW).map_or_else(|refusal| refusal.code, |()| "ok")
}

#[test]
fn by_password() {
    let device = with(Auth::Secret, Some(SECRET), None);
    let forever = user("2147483647");
    let past = user("1611299964");
    for digest in [Digest::Sha1, Digest::Sha256] {
        for tls in [Tls::None, Tls::Server, certificate()] {
            let good = signed(&forever, digest);
            assert_eq!(admit(json!({}), &device, &tls, &forever, Some(&good)), "ok");
            assert_eq!(
                admit(json!({}), &device, &tls, &past, Some(&good)),
                "auth.bad_password",
                "the user name is what is signed"
            );
        }
    }
    let old = signed(&past, Digest::Sha1);
    let lenient = json!({"check_expiry": false});
    assert_eq!(admit(json!({}), &device, &Tls::None, &past, Some(&old)), "auth.expired");
    assert_eq!(admit(lenient, &device, &Tls::None, &past, Some(&old)), "ok");
    assert_eq!(admit(json!({}), &device, &Tls::Server, &forever, None), "auth.bad_password");
    let bare = with(Auth::Secret, None, None);
    let good = signed(&forever, Digest::Sha1);
    assert_eq!(admit(json!({}), &bare, &Tls::None, &forever, Some(&good)), "auth.no_credential");
    let odd = with(Auth::Secret, Some("not base64!"), None);
    assert_eq!(admit(json!({}), &odd, &Tls::None, &forever, Some(&good)), "auth.no_credential");
}

#[test]
fn by_psk_whatever_the_password_says() {
    let device = with(Auth::Secret, Some(SECRET), None);
    let right = Tls::Psk { identity: CLIENT.as_bytes().into() };
    let wrong = Tls::Psk { identity: b"L4WG9V9M2MTEST3"[..].into() };
    for password in [None, Some("rubbish;hmacsha1")] {
        assert_eq!(admit(json!({}), &device, &right, &user("0"), password), "ok");
        assert_eq!(
            admit(json!({}), &device, &wrong, &user("0"), password),
            "auth.identity_mismatch"
        );
    }
}

#[test]
fn by_certificate_the_fingerprint_decides() {
    let user = user("2147483647");
    let good = signed(&user, Digest::Sha1);
    let other = Fingerprint::Sha1([9; 20]);
    for (fingerprint, tls, expected) in [
        (Some(Fingerprint::Sha1(SHA1)), certificate(), "ok"),
        (Some(Fingerprint::Sha256(SHA256)), certificate(), "ok"),
        (Some(other), certificate(), "auth.certificate_mismatch"),
        (None, certificate(), "auth.certificate_mismatch"),
        (Some(Fingerprint::Sha1(SHA1)), Tls::Server, "auth.certificate_missing"),
        (Some(Fingerprint::Sha1(SHA1)), Tls::None, "auth.certificate_missing"),
    ] {
        let device = with(Auth::Certificate, Some(SECRET), fingerprint);
        // A right password does not help a product that asks for certificates.
        assert_eq!(admit(json!({}), &device, &tls, &user, Some(&good)), expected);
    }
}

#[test]
fn shapes_and_contradictions() {
    let cloud = cloud(json!({}));
    let psk = Tls::Psk { identity: CLIENT.as_bytes().into() };
    let hello = |client_id, user, tls| Hello {
        level: 4,
        client_id,
        user,
        password: None,
        keep_alive_s: 240,
        tls,
    };
    for (client_id, user, tls, recognized) in [
        (CLIENT, Some("L4WG9V9M2MTEST2;1;2;3"), &Tls::None, true),
        (CLIENT, Some("L4WG9V9M2MTEST3;1;2;3"), &Tls::None, true),
        (CLIENT, None, &psk, true),
        (CLIENT, None, &Tls::None, false),
        (CLIENT, Some("TEST2&L4WG9V9M2M"), &Tls::None, false),
        ("short", Some("short;1;2;3"), &Tls::None, false),
        ("5f2a_node", Some("5f2a_node"), &Tls::None, false),
    ] {
        assert_eq!(cloud.recognizes(&hello(client_id, user, tls)), recognized, "{user:?}");
    }
    let other = hello(CLIENT, Some("L4WG9V9M2MTEST3;1;2;3"), &Tls::None);
    assert_eq!(cloud.identify(&other).expect_err("two names").code, "auth.identity_mismatch");
    let psk = Tls::Psk { identity: b"L4WG9V9M2MTEST3"[..].into() };
    let other = hello(CLIENT, Some("L4WG9V9M2MTEST2;1;2;3"), &psk);
    assert_eq!(cloud.identify(&other).expect_err("two names").code, "auth.identity_mismatch");
}

#[test]
fn refusals_have_the_codes_the_sdk_explains_rightly() {
    let cloud = cloud(json!({}));
    for (code, connack) in [
        ("auth.unknown_product", 2),
        ("auth.unknown_device", 2),
        ("internal.overload", 3),
        ("auth.bad_password", 4),
        ("auth.expired", 4),
        ("auth.frozen", 5),
        ("auth.certificate_mismatch", 5),
    ] {
        assert_eq!(cloud.connack(code), connack, "{code}");
    }
}

#[test]
fn a_fresh_secret_is_a_usable_one() {
    use crate::Dialect as _;
    let secret = cloud(json!({})).new_secret(core::array::from_fn(|n| n as u8));
    let text = secret.expose_text().expect("text");
    assert_eq!((text, text.len()), ("AAECAwQFBgcICQoLDA0ODw==", 24));
    let kind = crate::SecretKind::Device;
    assert_eq!(crate::tencent::Tencent.check_secret(kind, text), Ok(()));
}

proptest! {
    #[test]
    fn arbitrary_logins_never_panic(
        client_id in "\\PC{0,30}",
        user in proptest::option::of("\\PC{0,60}"),
        password in proptest::option::of(prop::collection::vec(any::<u8>(), 0..60)),
    ) {
        let hello = Hello {
            level: 4,
            client_id: &client_id,
            user: user.as_deref(),
            password: password.as_deref(),
            keep_alive_s: 240,
            tls: &Tls::None,
        };
        let cloud = cloud(json!({}));
        let _ = (cloud.recognizes(&hello), cloud.identify(&hello));
        prop_assert!(cloud.admit(&hello, &with(Auth::Secret, Some(SECRET), None), NOW).is_err());
    }
}
