//! A device moves from one instance to another (§4).

use reqwest::Method;
use serde_json::{Value, json};

use super::{NODE, PRODUCT, lamp, log_in, sys, with_lamp};
use crate::api::Phone;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_moved_device_is_told_asks_again_and_is_bound_there() {
    let there = with_lamp(|config| config.region.name = "eu".to_owned()).await;
    let peer = there.address("mqtt").to_owned();
    let here = with_lamp(|config| {
        config.region.name = "cn".to_owned();
        config.region.peers.insert("eu".to_owned(), peer.clone());
    })
    .await;
    let bootstrap = || async {
        let body = format!(
            "productKey={PRODUCT}&deviceName={NODE}&clientId={PRODUCT}.{NODE}&resources=mqtt"
        );
        let url = format!("http://{}/auth/bootstrap", here.address("vendor_http"));
        let answer = reqwest::Client::new().post(url).body(body).send().await.expect("answers");
        let json: Value = answer.json().await.expect("JSON");
        let mqtt = &json["data"]["resources"]["mqtt"];
        format!("{}:{}", mqtt["host"].as_str().expect("text"), mqtt["port"])
    };
    assert_eq!(bootstrap().await, "127.0.0.1:1883", "nobody moved it yet");
    let mut device = log_in(here.address("mqtt"), ",_ss=1").await;
    let path = format!("/devices/{}/region", lamp());
    let (status, body) = here.api.call(Method::PUT, &path, Some(json!({"region": "mars"}))).await;
    assert_eq!(status, 400, "{body}");
    let (status, body) = here.api.call(Method::PUT, &path, Some(json!({"region": "eu"}))).await;
    assert_eq!(status, 200, "{body}");
    let told = device.publication().await;
    assert_eq!(&*told.topic, sys("thing/bootstrap/notify"));
    let told: Value = serde_json::from_slice(&told.payload).expect("JSON");
    assert_eq!(
        (&told["method"], &told["params"]),
        (&json!("thing.bootstrap.notify"), &json!({"cmd": 0}))
    );
    drop(device);

    // A phone that looks for it here is told why it cannot be bound here, and so is the operator.
    let phone = Phone::new(here.address("http"), "ann").await;
    let bind = json!({"product": PRODUCT, "device": NODE, "token": "0".repeat(32)});
    let (status, body) = phone.call(Method::POST, "/bindings", Some(bind)).await;
    assert_eq!((status, &body["code"]), (409, &json!("bind.other_region")), "{body}");
    let attempts = here.api.get(&format!("/attempts?device_id={}", lamp())).await;
    let reason = &attempts["attempts"][0]["reason"];
    assert_eq!(reason["code"], "bind.other_region", "{attempts}");

    let address = bootstrap().await;
    assert_eq!(address, peer);
    let url = format!("http://{}/auth/bootstrap/regionId/7", here.address("vendor_http"));
    let by_number: Value = reqwest::get(url).await.expect("answers").json().await.expect("JSON");
    assert_eq!(
        by_number["data"]["resources"]["mqtt"]["port"], 1883,
        "a region of no device is here"
    );

    let mut device = log_in(&address, ",_ss=1").await;
    let token = "FAA9AFE560F1F9C872394400326F4022";
    let report = json!({"id": "0", "params": {"token": token}}).to_string();
    device.publish_bytes(&sys("thing/awss/enrollee/match"), report.into_bytes()).await;
    assert_eq!(device.message().await["code"], 200);
    let phone = Phone::new(there.address("http"), "ann").await;
    let bind = json!({"product": PRODUCT, "device": NODE, "token": token});
    let (status, body) = phone.call(Method::POST, "/bindings", Some(bind)).await;
    assert!(status < 300, "{status} {body}");

    // One that comes back to the old address is told again.
    let mut astray = log_in(here.address("mqtt"), ",_ss=1").await;
    assert_eq!(&*astray.publication().await.topic, sys("thing/bootstrap/notify"));
    let trace = here.api.trace(&lamp()).await;
    assert!(trace.contains(&"locate:ok".to_owned()), "{trace:?}");
    here.stop().await;
    there.stop().await;
}
