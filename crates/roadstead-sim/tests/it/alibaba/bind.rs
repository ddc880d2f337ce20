//! Tokens that devices make: reported, answered, used once; several phones; reset.

use reqwest::Method;
use serde_json::{Value, json};

use super::{NODE, PRODUCT, lamp, log_in, sys, with_lamp};
use crate::api::Phone;
use crate::mqtt::Device;

/// Reports a token as Link Kit does, padding included, and returns the answer.
async fn report(device: &mut Device, id: &str, token: &str) -> Value {
    let body = json!({"id": id, "version": "1.0", "method": "thing.awss.enrollee.match",
                      "params": {"token": token}});
    let mut payload = body.to_string().into_bytes();
    payload.resize(256, 0);
    device.publish_bytes(&sys("thing/awss/enrollee/match"), payload).await;
    let answer = device.publication().await;
    assert_eq!(&*answer.topic, sys("thing/awss/enrollee/match_reply"));
    serde_json::from_slice(&answer.payload).expect("JSON")
}

async fn bind(phone: &Phone, token: &str) -> (u16, String) {
    let body = json!({"product": PRODUCT, "device": NODE, "token": token});
    let (status, body) = phone.call(Method::POST, "/bindings", Some(body)).await;
    (status, body["code"].as_str().or(body["error_code"].as_str()).unwrap_or("ok").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_made_token_binds_once_and_the_second_phone_is_told() {
    let platform = with_lamp(|_| {}).await;
    let mut device = log_in(platform.address("mqtt"), ",_ss=1").await;
    let [first, second, third] = [
        "FAA9AFE560F1F9C872394400326F4022",
        "1236FE71EA4F6DC2C9858F538C11359D",
        "00112233445566778899AABBCCDDEEFF",
    ];
    let (ann, bob) = (
        Phone::new(platform.address("http"), "ann").await,
        Phone::new(platform.address("http"), "bob").await,
    );
    let (status, _) = bind(&ann, first).await;
    assert_eq!(status, 404, "not reported yet");
    for id in ["0", "1", "2"] {
        // Firmware repeats until it is answered; every report is.
        let reply = report(&mut device, id, first).await;
        assert_eq!((&reply["id"], &reply["code"]), (&json!(id), &json!(200)));
    }
    // Each phone that asked the device got a token of its own; both live.
    report(&mut device, "3", second).await;
    let (status, code) = bind(&ann, first).await;
    assert!(status < 300, "{status} {code}");
    assert_eq!(ann.devices().await, [lamp()]);
    // The owner's phone gets what the device checks local control with; nobody else does.
    let path = format!("/devices/{}/local-key", lamp());
    let (status, key) = ann.call(Method::GET, &path, None).await;
    assert_eq!((status, key["access_key"].as_str().map(str::len)), (200, Some(13)), "{key}");
    let (status, _) = bob.call(Method::GET, &path, None).await;
    assert!(status == 403 || status == 404 || status == 409, "{status}");
    let ask = json!({"id": "9", "params": "{}"}).to_string();
    device.publish_bytes(&sys("thing/lan/prefix/get"), ask.into_bytes()).await;
    let given = device.message().await["data"].clone();
    let prefix = given["prefix"].as_str().expect("text");
    assert!(key["access_key"].as_str().expect("text").starts_with(prefix), "{given}");
    let (status, body) = bob
        .call(
            Method::POST,
            "/bindings",
            Some(json!({"product": PRODUCT, "device": NODE, "token": first})),
        )
        .await;
    assert!(status >= 400 && body.to_string().contains("bind.already_used"), "{status} {body}");
    let (status, body) = bob
        .call(
            Method::POST,
            "/bindings",
            Some(json!({"product": PRODUCT, "device": NODE, "token": second})),
        )
        .await;
    assert!(status >= 400 && body.to_string().contains("bind.bound_to_other"), "{status} {body}");

    // A factory reset ends it; the next phone binds.
    let reset = json!({"id": "4", "params": {"resetKey": {"devReset": "1"}}}).to_string();
    device.publish_bytes(&sys("thing/reset"), reset.into_bytes()).await;
    assert_eq!(device.message().await["code"], 200);
    assert!(ann.devices().await.is_empty());
    report(&mut device, "5", third).await;
    let (status, code) = bind(&bob, third).await;
    assert!(status < 300, "{status} {code}");
    assert_eq!(bob.devices().await, [lamp()]);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_the_log_in_is_a_report() {
    let platform = with_lamp(|_| {}).await;
    let phone = Phone::new(platform.address("http"), "ann").await;
    // Made by the phone: it waits for the report and needs no second call.
    let token = phone.bind_token().await;
    let keys = format!(",_ss=1,tokenType=1,token={token}");
    let mut device = log_in(platform.address("mqtt"), &keys).await;
    // A message behind it is answered when the log-in's own report is durable.
    device
        .publish_bytes(
            &format!("/ext/ntp/{PRODUCT}/{NODE}/request"),
            br#"{"deviceSendTime":"1"}"#.to_vec(),
        )
        .await;
    assert_eq!(device.message().await["deviceSendTime"], "1");
    assert_eq!(phone.token_state(&token).await, ("bound".to_owned(), None));
    assert_eq!(phone.devices().await, [lamp()]);
    platform.stop().await;
}
