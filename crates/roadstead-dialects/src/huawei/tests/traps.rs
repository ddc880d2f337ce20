//! The interop traps of Huawei §17 that concern MQTT, each by its number. T4, T8 and T12 also have
//! tests beside their parsers; T5, T6, T7 and T13 concern listeners and throttle and are shown by the
//! simulation (`roadstead-sim/tests/it/huawei/traps.rs`); T14 and T15 are in [`super::provision`];
//! T16 to T25 do not concern this dialect over MQTT.

use roadstead_core::exchange::{
    Answer, Downlink, Envelope, SubDevice, SubDevices, Uplink, channel,
};
use roadstead_core::product::Model;
use serde_json::json;

use super::*;
use crate::cloud::Grant;
use crate::huawei::auth::{Sign, client_id, password};

#[test]
fn t01_platform_topics_need_no_subscription() {
    let wire = Wire::new(json!({}), Model::default());
    assert!(wire.session.is_implicit());
    for leaf in [
        "sys/messages/down",
        "sys/commands/request_id=1",
        "sys/properties/set/request_id=1",
        "sys/properties/get/request_id=1",
        "sys/shadow/get/response/request_id=1",
        "sys/events/down",
        "sys/bootstrap/down",
    ] {
        assert!(!wire.session.needs_subscription(&wire.topic(leaf)), "{leaf}");
    }
    assert!(wire.session.needs_subscription(&wire.topic("user/wifi")));
    assert!(wire.session.needs_subscription("some/topic"));
    // Asking for them is granted all the same, as the platform's own topics: they do not go
    // through the broker, so they cannot come twice.
    for leaf in [
        "sys/commands/#",
        "sys/properties/set/#",
        "sys/properties/get/#",
        "sys/shadow/get/response/#",
        "sys/messages/down",
        "sys/events/down",
        "user/wifi",
        "#",
    ] {
        let granted = wire.session.subscribe_grant(&wire.topic(leaf));
        assert_eq!(granted, Grant::Platform { qos_max: 1 }, "{leaf}");
    }
    for foreign in ["$oc/devices/other/sys/commands/#", "$oc/devices/+/sys/#", "#", "a/b"] {
        assert_eq!(wire.session.subscribe_grant(foreign), Grant::Denied, "{foreign}");
    }
}

#[test]
fn t02_the_time_stamp_is_an_opaque_key() {
    for stamp in ["2026102100", "2026000100", "2026112124", "9999999999"] {
        for sign in [Sign::Sha256, Sign::Sm3] {
            let (client, proof) =
                (client_id(DEVICE, sign, stamp), password(sign, stamp, SECRET.as_bytes()));
            let own = account(DEVICE, Model::default());
            let admitted = cloud(json!({})).admit(&hello(&client, DEVICE, &proof), &own, NOW);
            assert_eq!(admitted, Ok(()), "{stamp}");
        }
    }
}

#[test]
fn t03_sign_type_1_lies_within_an_hour() {
    for (stamp, good) in [
        ("2026112100", true),
        ("2026112101", true),
        ("2026112023", true),
        // The C SDK counted on past midnight.
        ("2026112024", true),
        ("2026112025", true),
        ("2026112026", false),
        ("2026112022", false),
        ("2026112102", false),
        ("2026102100", false),
    ] {
        let sign = Sign::Sha256Checked;
        let (client, proof) =
            (client_id(DEVICE, sign, stamp), password(sign, stamp, SECRET.as_bytes()));
        let own = account(DEVICE, Model::default());
        let admitted = cloud(json!({})).admit(&hello(&client, DEVICE, &proof), &own, NOW);
        assert_eq!(admitted.is_ok(), good, "{stamp}");
    }
}

#[test]
fn t05_mqtt_31_is_understood_and_gets_the_same_code() {
    let own = account(DEVICE, Model::default());
    let cloud = cloud(json!({}));
    let login = hello("lab_product_dev1_0_0_2026112100", DEVICE, "00");
    let refused = |level| {
        let hello = Hello { level, ..login };
        assert!(cloud.recognizes(&hello));
        cloud.connack(cloud.admit(&hello, &own, NOW).expect_err("wrong").code)
    };
    assert_eq!((refused(4), refused(3)), (4, 4));
}

#[test]
fn t08_null_and_empty_members_are_taken() {
    let mut wire = Wire::new(json!({}), meter());
    let report = json!({"services": [
        {"service_id": "WaterMeter", "properties": {"level": 5}, "event_time": null}
    ]});
    let Uplink::Report { services, rejected } =
        wire.hear_one("sys/properties/report", &report).uplink
    else {
        panic!("a report")
    };
    assert_eq!((services[0].1.at, rejected.len()), (NOW, 0));
    let log = json!({"object_device_id": DEVICE, "services": [{
        "service_id": "$log", "event_type": "log_report", "event_time": "2026-11-21T08:41:17Z",
        "event_id": "", "paras": {"timestamp": "1795221677257", "type": "DEVICE_STATUS", "content": "hi"}
    }]});
    let Uplink::Logs(records) = wire.hear_one("sys/events/up", &log).uplink else {
        panic!("a record")
    };
    assert_eq!(&*records[0], "1795221677257 DEVICE_STATUS hi");
    let empty = json!({"object_device_id": "", "id": "", "name": "", "content": "hello"});
    let heard = wire.hear("sys/messages/up", &empty);
    assert!(matches!(heard[0].uplink, Uplink::Message { .. }));
}

#[test]
fn t09_times_are_bare_numbers_whatever_the_question_was() {
    let mut wire = Wire::new(json!({}), Model::default());
    for sent in [json!(1_795_221_679_169_i64), json!("1795221679169")] {
        let heard =
            wire.event("$time_sync", "time_sync_request", json!({"device_send_time": sent}));
        assert_eq!(heard.uplink, Uplink::Time);
        let answer =
            Answer::Time { received: NOW, sent: NOW + core::time::Duration::from_millis(2) };
        let out = wire.answer(&heard, &answer);
        let paras = &body(&out[0])["services"][0]["paras"];
        assert_eq!(
            paras,
            &json!({
                "device_send_time": 1_795_221_679_169_i64,
                "server_recv_time": NOW.0,
                "server_send_time": NOW.0 + 2,
            })
        );
        assert!(
            std::str::from_utf8(&out[0].payload)
                .expect("text")
                .contains("\"server_recv_time\":1795")
        );
    }
}

#[test]
fn t10_content_is_text_or_document() {
    let mut wire = Wire::new(json!({}), Model::default());
    for content in [json!("hello"), json!({"a": 1})] {
        let pretty = std::format!("{{\n\t\"name\":\t\"n\",\n\t\"content\":\t{content}\n}}");
        let topic = wire.topic("sys/messages/up");
        let heard = wire.hear_bytes(&topic, &Bytes::from(pretty.clone()));
        let Uplink::Message { channel, payload } = &heard[0].1.uplink else { panic!("a message") };
        assert_eq!((&**channel, &payload[..]), ("default", pretty.as_bytes()));
    }
    // Raw bytes are no document and stay what they are.
    let topic = wire.topic("sys/messages/up");
    let heard = wire.hear_bytes(&topic, &Bytes::from_static(&[0xFF, 0, 1]));
    assert!(
        matches!(&heard[0].1.uplink, Uplink::Message { payload, .. } if payload[..] == [0xFF, 0, 1])
    );
}

#[test]
fn t11_one_event_and_four_keys_in_a_message() {
    let mut wire = Wire::new(json!({}), Model::default());
    let heard = wire.event("$sub_device_manager", "sub_device_update_status", json!({
        "device_statuses": [{"device_id": "a", "status": "ONLINE"}, {"device_id": "b", "status": "ONLINE"}]
    }));
    let subs = ["a", "b"].map(SubDevice::of_id);
    assert_eq!(heard.uplink, Uplink::SubDevices(SubDevices::Online(subs.to_vec())));
    let results = subs.map(|sub| (sub, Ok(()))).to_vec();
    for message in wire.answer(&heard, &Answer::SubDevices(results)) {
        assert_eq!(body(&message)["services"].as_array().map(Vec::len), Some(1));
    }
    let envelope = Envelope { id: "i".into(), name: None, content: json!("hello") };
    let (channel, payload) = (channel::DEFAULT.into(), Bytes::new());
    let message = Downlink::Message {
        channel,
        payload,
        envelope: Some(Box::new(envelope)),
        properties: None,
    };
    let (_, message) = wire.ask(&message).expect("sendable");
    assert_eq!(
        body(&message),
        json!({
            "object_device_id": null, "name": null, "id": "i", "content": "hello"
        })
    );
}

#[test]
fn t12_garbage_as_request_id_is_survived() {
    let mut wire = Wire::new(json!({}), Model::default());
    let garbage = [
        r#"{"object_device_id": null, "name": "n1", "content": "hello from cloud"}"#,
        "",
        "9d16b4c3-6b93-4c0e-9d11-0d3e6e0f0001",
        "$x",
    ];
    for rid in garbage {
        for leaf in ["commands/response", "properties/set/response", "properties/get/response"] {
            let topic = wire.topic(&std::format!("sys/{leaf}/request_id={rid}"));
            let heard = wire
                .hear_bytes(&topic, &Bytes::from_static(b"{\"result_code\":1,\"services\":[]}"));
            let [(_, heard)] = &heard[..] else { panic!("one thing") };
            assert!(matches!(heard.uplink, Uplink::Response { request: None, .. }), "{topic}");
        }
    }
    // A late answer names a request that is forgotten by then: that is for the caller to find out.
    let command =
        Downlink::Command { service: "s".into(), command: "c".into(), params: Map::new() };
    let (id, message) = wire.ask(&command).expect("sent");
    wire.session.forget(id);
    let topic = wire.topic(&std::format!("sys/commands/response/request_id={}", rid(&message)));
    let heard = wire.hear_bytes(&topic, &Bytes::from_static(b"{}"));
    assert!(matches!(heard[0].1.uplink, Uplink::Response { request, .. } if request == Some(id)));
}
