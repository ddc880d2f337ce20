//! The rules of the HTTP calls, byte by byte: what breaks one crashes modules in the field.

use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use proptest::prelude::*;
use roadstead_core::product::{Model, Registration};
use roadstead_core::{Secret, Value};
use serde_json::json;

use super::lab::{Lab, shown};
use super::login::{KEY, product};
use crate::cloud::{HttpRequest, Place};

const MAC: &str = "0247495A0001";

fn register(lab: &mut Lab, mac: &str, passcode: &str) -> (u16, String) {
    let body = format!("passcode={passcode}&mac={mac}&product_key={KEY}");
    shown(lab.call("POST", "/dev/devices", "api.gizwits.com", &body))
}

fn did(answer: &(u16, String)) -> &str {
    assert_eq!(answer.0, 201);
    answer.1.strip_prefix("did=").expect("did=")
}

fn number(answer: &(u16, String)) -> (u16, u64) {
    let body: Value = serde_json::from_str(&answer.1).expect("the vendor's error document");
    (answer.0, body["error_code"].as_u64().expect("number"))
}

#[test]
fn the_same_module_gets_the_same_did() {
    let mut lab = Lab::open();
    let first = register(&mut lab, MAC, "SDGUVYIYYB");
    assert_eq!(did(&first).len(), 22);
    assert_eq!(register(&mut lab, MAC, "SDGUVYIYYB"), first, "a lost answer");
    assert_eq!(register(&mut lab, "0247495a0001", "SDGUVYIYYB"), first, "another generation");
    let second = register(&mut lab, MAC, "ARRFUVMQUB");
    assert_ne!(did(&second), did(&first), "after a reset");
    assert!(lab.device(did(&first)).is_none());
    assert_ne!(did(&register(&mut lab, "0247495A0002", "ARRFUVMQUB")), did(&second));
    assert_eq!(lab.devices.len(), 2);
}

#[test]
fn policies_of_registration() {
    for (policy, settings, known, again, other) in [
        (Registration::Open, json!({}), 201, 201, 201),
        (Registration::Open, json!({"new_passcode": "refuse"}), 201, 201, 400),
        (Registration::Preregistered, json!({}), 201, 400, 201),
        (Registration::Off, json!({}), 201, 400, 400),
    ] {
        let mut lab = Lab::new(&settings, Vec::from([product(Model::default())]));
        register(&mut lab, MAC, "SDGUVYIYYB");
        let id = lab.devices[0].id.clone();
        lab.change(&id, |device| device.activated_at = Some(Lab::open().now));
        std::sync::Arc::make_mut(&mut lab.products[0]).registration = policy;
        assert_eq!(register(&mut lab, MAC, "SDGUVYIYYB").0, known, "{policy:?} again");
        assert_eq!(register(&mut lab, "0247495A0002", "SDGUVYIYYB").0, again, "{policy:?} new");
        assert_eq!(register(&mut lab, MAC, "ARRFUVMQUB").0, other, "{policy:?} other passcode");
    }
    let mut lab = Lab::open();
    let body = format!("passcode=A&mac={MAC}&product_key={}", "0".repeat(32));
    let unknown = shown(lab.call("POST", "/dev/devices", "", &body));
    assert_eq!(number(&unknown), (400, 9002));
    for bad in ["", "passcode=A", "mac=1&passcode=A", "passcode=A%26b&mac=0247495A0001"] {
        let body = format!("{bad}&product_key={KEY}");
        assert_eq!(
            number(&shown(lab.call("POST", "/dev/devices", "", &body))),
            (400, 9015),
            "{bad}"
        );
    }
}

/// GizWits §3.1 rule 3: a value without its `&` ends the module with signal 11.
#[test]
fn every_value_of_the_provisioning_answer_is_terminated() {
    let uuid = json!({KEY: {"cloud": "jd", "product_uuid": "U1"}});
    for (settings, host, expected) in [
        (
            json!({}),
            "api.gizwits.com",
            "host=api.gizwits.com&port=1883&server_ts=1795221215&log_host=&log_port=&",
        ),
        (json!({}), "", "host=m2m.gizwits.com&port=1883&server_ts=1795221215&log_host=&log_port=&"),
        (
            json!({}),
            "a&port=1",
            "host=m2m.gizwits.com&port=1883&server_ts=1795221215&log_host=&log_port=&",
        ),
        (
            json!({"m2m_host": "10.0.0.7", "m2m_port": 1884}),
            "api",
            "host=10.0.0.7&port=1884&server_ts=1795221215&log_host=&log_port=&",
        ),
        (
            json!({"third_party": uuid}),
            "api",
            "host=api&port=1883&server_ts=1795221215&log_host=&log_port=&3rd_cloud=jd&product_uuid=U1\r\n",
        ),
    ] {
        let mut lab = Lab::new(&settings, Vec::from([product(Model::default())]));
        let registered = register(&mut lab, MAC, "SDGUVYIYYB");
        let path = format!("/dev/devices/{}", did(&registered));
        let answer = shown(lab.call("GET", &path, host, ""));
        assert_eq!(answer, (200, expected.to_string()));
        // A device of another region is sent there.
        lab.place = Some(Place { host: "eu.example".into(), port: 11883 });
        let (_, answer) = shown(lab.call("GET", &path, host, ""));
        assert!(answer.starts_with("host=eu.example&port=11883&server_ts="), "{answer}");
    }
}

/// A module that does not know better asks with a DID that is gone: 9016 makes a newer one
/// register anew.
#[test]
fn a_did_that_is_not_registered_is_told_so() {
    let mut lab = Lab::open();
    let registered = register(&mut lab, MAC, "SDGUVYIYYB");
    let did = did(&registered).to_string();
    let delete = |code: &str| format!("did={did}&passcode={code}");
    let wrong = shown(lab.call("DELETE", "/dev/devices", "", &delete("ARRFUVMQUB")));
    assert_eq!(number(&wrong), (400, 9016));
    assert_eq!(
        shown(lab.call("DELETE", "/dev/devices", "", &delete("SDGUVYIYYB"))),
        (200, String::new())
    );
    let again = shown(lab.call("DELETE", "/dev/devices", "", &delete("SDGUVYIYYB")));
    assert_eq!(number(&again), (400, 9016));
    for path in ["/dev/devices/GzwDemo0123456789ABCDE", "/dev/devices/short", "/dev/devices/"] {
        assert_eq!(number(&shown(lab.call("GET", path, "", ""))), (400, 9016), "{path}");
    }
    let frozen = lab.devices[0].id.clone();
    lab.change(&frozen, |device| device.frozen = true);
    let path = format!("/dev/devices/{did}");
    assert_eq!(number(&shown(lab.call("GET", &path, "", ""))), (400, 9023));
}

fn check(lab: &mut Lab, did: &str, part: u8, hard: &str, soft: &str) -> (u16, String) {
    let path = format!("/dev/ota/v4.1/update_and_check/{did}");
    let body = format!("passcode=SDGUVYIYYB&type={part}&hard_version={hard}&soft_version={soft}");
    shown(lab.call("POST", &path, "", &body))
}

#[test]
fn the_firmware_check_learns_versions_and_finds_newer_ones() {
    let package = |part: u8, hard: &str, version: &str, url: &str| json!({"product": KEY, "type": part, "hard_version": hard, "version": version, "url": url, "size": 780});
    let settings = json!({"packages": [
        package(1, "000LINUX", "04020006", "http://fw.example/dev/ota/download/1"),
        package(1, "000LINUX", "04020007", "http://fw.example/7.bin"),
        package(1, "000LINUX", "04020006", "http://fw.example/dev/ota/download/2"),
        package(1, "000LINUX", "04030001", "http://fw.example/other-series.bin"),
        package(2, "00000001", "00000003", "http://fw.example/mcu.bin"),
    ]});
    let mut lab = Lab::new(&settings, Vec::from([product(Model::default())]));
    let registered = register(&mut lab, MAC, "SDGUVYIYYB");
    let did = did(&registered).to_string();
    // GizWits §3.1 rule 5: without CRLF the answer counts as none.
    for (part, hard, soft, expected) in [
        (
            1,
            "000LINUX",
            "04020006",
            Some("soft_ver=04020007&download_url=http://fw.example/7.bin\r\n"),
        ),
        (1, "000LINUX", "04020007", None),
        (1, "000LINUX", "04020008", None),
        (1, "000OTHER", "04020006", None),
        (
            2,
            "00000001",
            "00000002",
            Some("soft_ver=00000003&download_url=http://fw.example/mcu.bin\r\n"),
        ),
        (2, "00000001", "00000003", None),
        (2, "000LINUX", "00000002", None),
    ] {
        let answer = check(&mut lab, &did, part, hard, soft);
        match expected {
            Some(text) => assert_eq!(answer, (200, text.to_string())),
            None => assert_eq!(number(&answer), (404, 9027), "{hard} {soft}"),
        }
    }
    let info = &lab.device(&did).expect("there").info;
    assert_eq!(
        (info["fw_version"].as_str(), info["sw_version"].as_str()),
        (Some("04020006"), Some("00000002"))
    );
    let latest = format!(
        "/dev/ota/v4.1/latest?hard_version=00000001&soft_version=00000002&product_key={KEY}&type=2"
    );
    assert_eq!(shown(lab.call("GET", &latest, "", "")).0, 200);
    let target = |did: &str, fid| {
        format!(
            "/dev/ota/target_fid?did={did}&product_key={KEY}&type=1&hard_version=000LINUX&soft_version=04020006&current_fid={fid}"
        )
    };
    let old = shown(lab.call("GET", &target(&did, 1), "", ""));
    assert_eq!(
        old,
        (200, "target_fid=2&download_url=http://fw.example/dev/ota/download/2&".to_string())
    );
    for bad in ["type=3&hard_version=a&soft_version=b", "type=1&hard_version=a", ""] {
        let path = format!("/dev/ota/v4.1/update_and_check/{did}");
        let answer = shown(lab.call("POST", &path, "", &format!("passcode=SDGUVYIYYB&{bad}")));
        assert_eq!(number(&answer), (400, 9015), "{bad}");
    }
    let path = format!("/dev/ota/v4.1/update_and_check/{did}");
    let other =
        lab.call("POST", &path, "", "passcode=ARRFUVMQUB&type=1&hard_version=a&soft_version=b");
    assert_eq!(number(&shown(other)), (400, 9016));
}

#[test]
fn encrypted_registration_keeps_its_did_and_ends_the_plain_one() {
    let secret = "067a83b650544d979bb3d4d147f32034";
    let vectors: Value =
        serde_json::from_str(include_str!("../../../vectors/gizwits.json")).expect("JSON");
    let sealed = vectors["http_encrypted"][0]["data_hex"].as_str().expect("hex");
    let mut lab = Lab::new(&Value::Null, Vec::from([product(Model::default())]));
    let path = format!("/dev/{KEY}/device");
    let body = format!("data={sealed}");
    assert_eq!(number(&shown(lab.call("POST", &path, "", &body))), (400, 9047));
    std::sync::Arc::make_mut(&mut lab.products[0]).secret = Some(Secret::from(secret));
    let plain = register(&mut lab, "bc1234567823", "SDGUVYIYYB");
    lab.ids.push("GzwDemo0123456789ABCDE".into());
    let answer = shown(lab.call("POST", &path, "", &body));
    assert_eq!(
        (answer.0, &*answer.1),
        (201, vectors["http_encrypted"][1]["data_hex"].as_str().expect("hex"))
    );
    assert!(lab.device(did(&plain)).is_none(), "the plain DID is gone");
    assert_eq!(shown(lab.call("POST", &path, "", &body)), answer, "again");
    // Plain calls about it are refused from now on.
    assert_eq!(number(&register(&mut lab, "bc1234567823", "1371df627f")), (400, 9048));
    let provision = lab.call("GET", "/dev/devices/GzwDemo0123456789ABCDE", "", "");
    assert_eq!(number(&shown(provision)), (400, 9048));
    let delete =
        lab.call("DELETE", "/dev/devices", "", "did=GzwDemo0123456789ABCDE&passcode=1371df627f");
    assert_eq!(number(&shown(delete)), (400, 9048));
    let data = vectors["http_encrypted"][2]["data_hex"].as_str().expect("hex");
    let (status, text) =
        shown(lab.call("GET", &format!("{path}?did={data}"), "m2m.gizwits.com", ""));
    assert_eq!(status, 200);
    let sealed_answer = hex::decode(text).expect("hex");
    assert_eq!(sealed_answer.len() % 16, 0);
    assert_eq!(number(&shown(lab.call("POST", &path, "", "data=00"))), (400, 9015));
    assert_eq!(number(&shown(lab.call("GET", &format!("{path}?did=00"), "", ""))), (400, 9016));
}

#[test]
fn the_schema_is_the_vendors() {
    let schema = json!({"name": "x", "packetVersion": "0x00000004", "protocolType": "standard", "product_key": KEY,
        "entities": [{"id": 0, "name": "entity0", "attrs": [
            {"id": 0, "name": "on", "type": "status_writable", "data_type": "bool", "position": {"byte_offset": 0, "bit_offset": 0, "len": 1, "unit": "bit"}}]}]});
    let model = crate::gizwits::point::import(&schema).expect("valid");
    let mut lab = Lab::new(&Value::Null, Vec::from([product(model)]));
    let path = format!("/app/datapoint?product_key={KEY}");
    let (status, text) = shown(lab.call("GET", &path, "", ""));
    assert_eq!((status, serde_json::from_str::<Value>(&text).expect("JSON")), (200, schema));
    assert_eq!(number(&shown(lab.call("GET", "/app/datapoint", "", ""))), (400, 9002));
}

#[test]
fn calls_of_others_are_left_alone() {
    let mut lab = Lab::open();
    for (method, path) in [
        ("POST", "/register/dev"),
        ("GET", "/dev/devices"),
        ("PUT", "/dev/devices"),
        ("GET", "/"),
        ("POST", "/dev/devices/x"),
        ("POST", "/dev/nokey/device"),
        ("GET", "/dev/ota/v4.1/latest/x"),
        ("POST", "/app/datapoint"),
    ] {
        assert!(lab.call(method, path, "", "").is_none(), "{method} {path}");
    }
}

proptest! {
    #[test]
    fn hostile_calls_are_answered(method in "GET|POST|DELETE", path in "/dev/(devices(/[a-zA-Z0-9]{0,23})?|ota/(v4.1/(latest|update_and_check/.{0,22})|target_fid)|[0-9a-f]{32}/device)", query in "([a-z_]{1,12}=.{0,40}&?){0,4}", body in prop::collection::vec(any::<u8>(), 0..200)) {
        let lab = Lab::open();
        let request = HttpRequest { method: &method, host: "h", path: &path, query: &query, headers: &[], body: &body, mqtt_port: None };
        if let Some(mut call) = lab.cloud.http(&request) {
            match call.claim() {
                Err(response) => prop_assert!(response.status >= 400),
                Ok(_) => {
                    let _ = call.second_claim(lab.products.first());
                    if let Err(response) = call.decide(lab.products.first(), None, lab.now) {
                        prop_assert!(response.status >= 400 && response.body.len() < 600);
                    }
                }
            }
        }
    }
}
