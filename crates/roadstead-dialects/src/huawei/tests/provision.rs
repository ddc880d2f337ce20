//! The provisioning service: groups, policies, addresses (Huawei §4; T14, T15).

use roadstead_core::device::Fingerprint;
use roadstead_core::exchange::Answer;
use roadstead_core::product::Model;
use serde_json::{Value, json};
use std::string::ToString as _;
use std::sync::Arc;

use super::login::shown;
use super::*;

const ADDRESS: &str = "iot-mqtts.example:8883";

fn settings() -> Value {
    json!({
        "address": ADDRESS,
        "init_config": "x",
        "groups": {"scope_1234": PRODUCT},
        "policies": [
            {"keyword": "dev2", "address": "two.example:8883"},
            {"keyword": "east", "keyword_from": "payload", "address": "east.example:1883"},
            {"authority": "ca1", "address": "ca.example:8883"},
        ],
    })
}

fn bootstrap(wire: &mut Wire, payload: &Bytes) -> Value {
    let topic = wire.topic("sys/bootstrap/up");
    let heard = wire.hear_bytes(&topic, payload);
    assert_eq!(heard.len(), 1);
    let out = wire.answer(&heard[0].1, &Answer::Done);
    assert_eq!(&*out[0].topic, wire.topic("sys/bootstrap/down"));
    body(&out[0])
}

#[test]
fn a_group_secret_vouches_for_its_members() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../vectors/huawei.json")).expect("JSON");
    let cloud = cloud(settings());
    for vector in vectors["bootstrap_group_secret"].as_array().expect("a list") {
        let text = |key: &str| vector[key].as_str().expect("text");
        let device = text("device_id");
        let hello = hello(text("client_id"), device, text("password"));
        let account = account(device, Model::default());
        assert_eq!(text("group_secret_base64"), GROUP_SECRET);
        assert_eq!(cloud.admit_member(&hello, &account.product, NOW), Ok(()), "{device}");
        let forged = Hello { password: Some(b"00"), ..hello };
        let refused = cloud.admit_member(&forged, &account.product, NOW).expect_err("forged");
        assert_eq!(refused.code, "auth.bad_password");
        // It is told the secret that the platform made, until it has used it.
        let mut wire = Wire::of(account.clone(), cloud.session_of(&hello, &account, RANDOM));
        let expected = json!({"address": ADDRESS, "initConfig": "x", "deviceSecret": SECRET});
        assert_eq!(bootstrap(&mut wire, &Bytes::new()), expected);
        let mut used = account.clone();
        let mut device = Device::clone(&used.device);
        device.activated_at = Some(NOW);
        used.device = Arc::new(device);
        let mut wire = Wire::of(used.clone(), cloud.session_of(&hello, &used, RANDOM));
        let expected = json!({"address": ADDRESS, "initConfig": "x"});
        assert_eq!(bootstrap(&mut wire, &Bytes::new()), expected);
        // It may do nothing else.
        let report = wire.topic("sys/properties/report");
        assert_eq!(wire.session.publish_route(&report), Route::Denied);
    }
}

#[test]
fn a_certificate_and_a_scope_are_enough_for_a_member() {
    let cloud = cloud(settings());
    let tls = |authority| Tls::Certificate {
        sha1: Fingerprint::Sha1([1; 20]),
        sha256: Fingerprint::Sha256([2; 32]),
        common_name: None,
        authority,
    };
    let (known, strange) = (tls(vouched()), tls(None));
    fn hello(tls: &Tls) -> Hello<'_> {
        shown("lab_product_dev1_0_scope_1234", tls)
    }
    let account = account(DEVICE, Model::default());
    let admit = |tls: &Tls| cloud.admit_member(&hello(tls), &account.product, NOW);
    assert_eq!(admit(&known), Ok(()));
    assert_eq!(admit(&strange).expect_err("strange").code, "auth.certificate_authority");
    assert_eq!(admit(&Tls::None).expect_err("none").code, "auth.certificate_missing");
    // The certificate policy: by the authority of its chain.
    let mut wire = Wire::of(account.clone(), cloud.session_of(&hello(&known), &account, RANDOM));
    assert_eq!(bootstrap(&mut wire, &Bytes::new())["address"], "ca.example:8883");
}

#[test]
fn static_policies_look_at_name_and_payload() {
    let keyword = |text: &str| Bytes::from(json!({"baseStrategyKeyword": text}).to_string());
    let mut wire = Wire::new(settings(), Model::default());
    // A device with its own credential keeps its secret.
    let plain = json!({"address": ADDRESS, "initConfig": "x"});
    assert_eq!(bootstrap(&mut wire, &Bytes::new()), plain);
    assert_eq!(
        bootstrap(&mut wire, &keyword("far east")),
        json!({
            "address": "east.example:1883", "initConfig": "x"
        })
    );
    assert_eq!(bootstrap(&mut wire, &keyword("west"))["address"], ADDRESS);
    let own = account("lab_product_dev2", Model::default());
    let session = cloud(settings()).session(&own, RANDOM);
    let mut wire = Wire::of(own, session);
    assert_eq!(bootstrap(&mut wire, &Bytes::new())["address"], "two.example:8883");
    let topic = wire.topic("sys/bootstrap/up");
    let heard = wire.hear_bytes(&topic, &Bytes::from_static(b"{"));
    assert_eq!(code(&heard[0].1), "payload.malformed");
}

#[test]
fn t15_the_address_has_a_port_and_is_never_made_up() {
    let mut wire = Wire::new(json!({}), Model::default());
    let topic = wire.topic("sys/bootstrap/up");
    let heard = wire.hear_bytes(&topic, &Bytes::new());
    assert_eq!((code(&heard[0].1), &heard[0].1.reply), ("register.off", &None));
    assert!(Huawei.cloud(&json!({"address": "host-without-port"})).is_err());
}
