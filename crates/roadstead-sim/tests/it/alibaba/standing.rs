//! What a device and its gateway are told when an operator freezes, thaws, deletes and adds (§8).

use reqwest::Method;
use serde_json::{Value, json};

use super::{NODE, PRODUCT, SUB_PRODUCT, SUB_SECRET, connect, lamp, log_in, sys, with_lamp};
use crate::mqtt::Device;
use crate::platform::Platform;

const SUB: &str = "sub-1";

fn sub_topic(rest: &str) -> String {
    format!("/sys/{SUB_PRODUCT}/{SUB}/{rest}")
}

async fn told(device: &mut Device) -> (String, Value) {
    let publish = device.publication().await;
    let body: Value = serde_json::from_slice(&publish.payload).expect("JSON");
    (publish.topic.to_string(), body["params"].clone())
}

async fn operator(platform: &Platform, method: Method, end: &str) {
    let (status, body) = platform.api.call(method, &format!("/devices/{end}"), None).await;
    assert_eq!(status, 204, "{end}: {body}");
}

async fn ask(device: &mut Device, topic: &str, body: &Value) -> Value {
    device.publish_bytes(topic, body.to_string().into_bytes()).await;
    device.message().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_told_before_its_connection_ends() {
    let platform = with_lamp(|_| {}).await;
    let mut device = log_in(platform.address("mqtt"), ",_ss=1").await;
    operator(&platform, Method::POST, &format!("{}/freeze", lamp())).await;
    assert_eq!(told(&mut device).await, (sys("thing/disable"), json!({})));
    assert_eq!(device.next().await, None, "the connection ends behind it");
    let mut again = Device::open(platform.address("mqtt"), NODE).await;
    again.send(&connect(",_ss=1")).await;
    let refused = format!("{:?}", again.next().await);
    assert!(refused.contains("NotAuthorized"), "{refused}");
    operator(&platform, Method::POST, &format!("{}/unfreeze", lamp())).await;
    let mut device = log_in(platform.address("mqtt"), ",_ss=1").await;
    operator(&platform, Method::DELETE, &lamp()).await;
    assert_eq!(told(&mut device).await, (sys("thing/delete"), json!({})));
    assert_eq!(device.next().await, None);
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_hears_of_everything_behind_it() {
    let platform = with_lamp(|_| {}).await;
    let mut gateway = log_in(platform.address("mqtt"), ",_ss=1").await;
    let (client_id, _, sign) = roadstead_sim::alibaba::login(SUB_PRODUCT, SUB, SUB_SECRET, "");
    let base = client_id.split('|').next().expect("an id");
    let proof = json!({
        "productKey": SUB_PRODUCT, "deviceName": SUB, "clientId": base, "sign": sign,
        "signMethod": "hmacsha1", "timestamp": "2524608000000",
    });
    let add = json!({"id": "1", "params": [&proof]});
    assert_eq!(ask(&mut gateway, &sys("thing/topo/add"), &add).await["code"], 200);
    let login = json!({"id": "2", "params": &proof});
    let combine = format!("/ext/session/{PRODUCT}/{NODE}/combine/login");
    assert_eq!(ask(&mut gateway, &combine, &login).await["code"], 200);

    let sub = format!("{SUB_PRODUCT}_{SUB}");
    let names = json!([{"productKey": SUB_PRODUCT, "deviceName": SUB}]);
    let change = |status: u8| {
        (sys("thing/topo/change"), json!({"status": status, "subList": names.clone()}))
    };
    operator(&platform, Method::POST, &format!("{sub}/freeze")).await;
    assert_eq!(told(&mut gateway).await, (sub_topic("thing/disable"), json!({})));
    assert_eq!(told(&mut gateway).await, change(8));
    // What a frozen one reports is not taken, and its gateway goes on.
    let report = json!({"id": "3", "params": {"t": 1}});
    let post = sub_topic("thing/event/property/post");
    gateway.publish_bytes(&post, report.to_string().into_bytes()).await;
    let login = json!({"id": "4", "params": &proof});
    assert_ne!(ask(&mut gateway, &combine, &login).await["code"], 200);
    let shadow = platform.api.get(&format!("/devices/{sub}/shadow")).await;
    assert_eq!(shadow["shadow"], json!([]), "{shadow}");

    operator(&platform, Method::POST, &format!("{sub}/unfreeze")).await;
    assert_eq!(told(&mut gateway).await, (sub_topic("thing/enable"), json!({})));
    assert_eq!(told(&mut gateway).await, change(2));
    assert_eq!(
        ask(&mut gateway, &combine, &json!({"id": "5", "params": &proof})).await["code"],
        200
    );
    assert_eq!(ask(&mut gateway, &post, &report).await["code"], 200);

    operator(&platform, Method::DELETE, &sub).await;
    assert_eq!(told(&mut gateway).await, (sub_topic("thing/delete"), json!({})));
    assert_eq!(told(&mut gateway).await, change(1));
    let new = json!({"product_id": SUB_PRODUCT, "node_id": SUB, "gateway_id": lamp()});
    let (status, body) = platform.api.call(Method::POST, "/devices", Some(new)).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!(told(&mut gateway).await, change(0));
    assert_eq!(told(&mut gateway).await, (sys("thing/topo/add/notify"), names.clone()));
    platform.stop().await;
}
