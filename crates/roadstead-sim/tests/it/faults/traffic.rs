//! Faults of established sessions: topics, payloads, models, bind tokens, commands, gateways.

use reqwest::Method;
use roadstead_wire::mqtt::packet::QoS;
use serde_json::{Value, json};

use super::clinic::{Clinic, bind, id};
use crate::api::Phone;
use crate::mqtt::topic;
use crate::platform::PRODUCT;

/// What a lamp may report wrongly.
const REPORTS: &[(&str, &str, &[u8], &str, &str)] = &[
    ("half a document", "$thing/up/property", b"{", "payload.malformed", "codec.decode_failed"),
    ("nothing", "$thing/up/property", b"", "payload.malformed", "codec.decode_failed"),
    ("no UTF-8", "$thing/up/property", b"\xff\xfe", "payload.malformed", "codec.decode_failed"),
    ("a list", "$thing/up/property", b"[]", "payload.malformed", "codec.decode_failed"),
    (
        "a number for a method",
        "$thing/up/property",
        b"{\"method\":7}",
        "payload.malformed",
        "codec.decode_failed",
    ),
    ("null", "$thing/up/property", b"null", "payload.malformed", "codec.decode_failed"),
    (
        "out of range",
        "$thing/up/property",
        br#"{"method":"report","clientToken":"m","params":{"brightness":1000}}"#,
        "model.violation",
        "report.model_mismatch",
    ),
    (
        "text for a number",
        "$thing/up/property",
        br#"{"method":"report","clientToken":"m","params":{"brightness":"bright"}}"#,
        "model.violation",
        "report.model_mismatch",
    ),
    (
        "no such choice",
        "$thing/up/property",
        br#"{"method":"report","clientToken":"m","params":{"color":9}}"#,
        "model.violation",
        "report.model_mismatch",
    ),
    (
        "no such property",
        "$thing/up/property",
        br#"{"method":"report","clientToken":"m","params":{"smell":1}}"#,
        "model.violation",
        "report.model_mismatch",
    ),
    (
        "no such event",
        "$thing/up/event",
        br#"{"method":"event_post","clientToken":"m","eventId":"fire","type":"alert","params":{}}"#,
        "model.violation",
        "report.model_mismatch",
    ),
];

pub(super) async fn reports(clinic: &mut Clinic) {
    let (node, lamp) = clinic.online().await;
    clinic.expect("silence", &id(&node), "device.silent", "report.not_arrived").await;
    drop(lamp);
    for (fault, kind, payload, code, log) in REPORTS {
        let (node, mut lamp) = clinic.online().await;
        let sent = lamp.publish_bytes(&topic(kind, &node), payload.to_vec()).await;
        lamp.acknowledged(sent).await;
        clinic.expect(fault, &id(&node), code, log).await;
    }
    let log = "report.topic_not_allowed";
    let (node, mut lamp) = clinic.online().await;
    let other = clinic.lamp().await;
    let stolen = topic("$thing/up/property", &other);
    let sent = lamp.publish_bytes(&stolen, b"{}".to_vec()).await;
    lamp.acknowledged(sent).await;
    let (code, child) = ("subdevice.not_attached", "gateway.subdevice_not_bound");
    clinic.expect("another's topic", &id(&node), code, child).await;

    let (node, mut lamp) = clinic.online().await;
    let sent = lamp.publish_bytes("nobody", b"{}".to_vec()).await;
    lamp.acknowledged(sent).await;
    clinic.expect("a topic of nobody", &id(&node), "mqtt.denied_topic", log).await;

    let (node, mut lamp) = clinic.online().await;
    lamp.subscribe(&topic("$thing/down/property", "SOMEBODY"), QoS::AtMostOnce).await;
    clinic.expect("another's messages", &id(&node), "mqtt.denied_topic", log).await;

    // All was well before.
    let ann = Phone::new(clinic.platform.address("http"), "ann").await;
    for (fault, kind, payload, code, log) in [REPORTS[0], REPORTS[6]] {
        let (node, mut lamp) = clinic.well(&ann).await;
        let sent = lamp.publish_bytes(&topic(kind, &node), payload.to_vec()).await;
        lamp.acknowledged(sent).await;
        clinic.expect(&format!("{fault}, bound"), &id(&node), code, log).await;
    }
}

pub(super) async fn bindings(clinic: &mut Clinic) {
    let bob = Phone::new(clinic.platform.address("http"), "bob").await;
    let eve = Phone::new(clinic.platform.address("http"), "eve").await;
    let (node, _lamp) = clinic.reporting().await;
    clinic.expect("nobody's", &id(&node), "device.unbound", "bind.not_started").await;

    let (node, mut lamp) = clinic.reporting().await;
    assert_ne!(bind(&mut lamp, &"0".repeat(32)).await["code"], 0);
    let (code, log) = ("bind.unknown_token", "bind.token_unknown");
    clinic.expect("a token of nobody", &id(&node), code, log).await;

    let token = bob.bind_token().await;
    let (_, mut first) = clinic.reporting().await;
    assert_eq!(bind(&mut first, &token).await["code"], 0);
    let (node, mut second) = clinic.reporting().await;
    assert_ne!(bind(&mut second, &token).await["code"], 0);
    let (code, log) = ("bind.already_used", "bind.token_already_used");
    clinic.expect("a used token", &id(&node), code, log).await;

    let (node, mut lamp) = clinic.well(&bob).await;
    assert_ne!(bind(&mut lamp, &eve.bind_token().await).await["code"], 0);
    let (code, log) = ("bind.bound_to_other", "bind.token_refused");
    clinic.expect("another's device", &id(&node), code, log).await;
}

fn blink() -> Value {
    json!({"service_id": "default", "command_name": "light_blink",
        "paras": {"time": 1, "color": 1, "total_time": 1}})
}

pub(super) async fn commands(clinic: &mut Clinic) {
    let dan = Phone::new(clinic.platform.address("http"), "dan").await;
    let send = |node: &str| format!("/devices/{}/commands", id(node));
    let (node, _lamp) = clinic.well(&dan).await;
    let (_, body) = clinic.platform.api.call(Method::POST, &send(&node), Some(blink())).await;
    assert_eq!(body["code"], "command.not_listening", "{body}");
    let (code, log) = ("command.not_listening", "command.not_subscribed");
    clinic.expect("nobody listens", &id(&node), code, log).await;

    let mut later = blink();
    later["send_strategy"] = json!("immediately");
    for (fault, answer, code, log) in [
        ("a command refused", Some(1), "command.refused", "command.failed"),
        ("no answer to a command", None, "command.no_answer", "command.no_response"),
    ] {
        let (node, mut lamp) = clinic.well(&dan).await;
        lamp.subscribe(&topic("$thing/down/action", &node), QoS::AtLeastOnce).await;
        let path = format!("/devices/{}/async-commands", id(&node));
        let (status, body) =
            clinic.platform.api.call(Method::POST, &path, Some(later.clone())).await;
        assert_eq!(status / 100, 2, "{body}");
        let asked = lamp.message().await;
        if let Some(number) = answer {
            let reply = json!({"method": "action_reply", "clientToken": asked["clientToken"],
                "code": number, "status": "broken", "response": {}});
            lamp.publish("$thing/up/action", &reply).await;
        }
        clinic.until(&id(&node), "state", "failing").await;
        clinic.expect(fault, &id(&node), code, log).await;
    }
}

/// What a gateway may say wrongly of its lamps.
fn gateway_faults() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let named = |ty: &str, product: &str, node: &str| json!({"type": ty, "payload": {"devices": [{"product_id": product, "device_name": node}]}});
    let proof = |node: &str, method: &str| {
        json!({"type": "bind", "payload": {"devices": [{"product_id": PRODUCT, "device_name": node,
            "signature": "AAAA", "random": 1, "timestamp": 1_795_221_479, "signmethod": method,
            "authtype": "psk"}]}})
    };
    vec![
        (
            "not attached",
            named("online", PRODUCT, "CHILD"),
            "subdevice.not_attached",
            "gateway.subdevice_not_bound",
        ),
        (
            "no such child",
            named("online", PRODUCT, "GONE"),
            "subdevice.unknown",
            "gateway.subdevice_unknown",
        ),
        (
            "another signature",
            proof("CHILD", "hmacsha1"),
            "subdevice.bad_signature",
            "gateway.bind_signature",
        ),
        (
            "another method",
            proof("CHILD", "hmacsha9"),
            "subdevice.sign_method",
            "gateway.bind_signature",
        ),
        (
            "a child of nobody",
            proof("GONE", "hmacsha1"),
            "subdevice.unknown",
            "gateway.subdevice_unknown",
        ),
    ]
}

pub(super) async fn gateways(clinic: &mut Clinic) {
    clinic.platform.import(&[("CHILD", Some(crate::platform::DEVICE_SECRET))]).await;
    for (fault, message, code, log) in gateway_faults() {
        let (node, mut gateway) = clinic.online().await;
        let down = topic("$gateway/operation/result", &node);
        gateway.subscribe(&down, QoS::AtMostOnce).await;
        gateway.publish("$gateway/operation", &message).await;
        gateway.message().await;
        clinic.expect(fault, &id(&node), code, log).await;
    }
}
