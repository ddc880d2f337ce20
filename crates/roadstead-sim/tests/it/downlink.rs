//! Messages and asynchronous commands over real sockets: they wait for the device, survive the
//! platform, leave in order, and end in the state that the device caused.

use reqwest::Method;
use roadstead_wire::mqtt::packet::{QoS, Reason, Version};
use serde_json::{Value, json};

use crate::mqtt::{Device, topic};
use crate::platform::{DEVICE_SECRET, PRODUCT, Platform};

const NODE: &str = "LAMP";

fn path(end: &str) -> String {
    format!("/devices/{PRODUCT}_{NODE}/{end}")
}

async fn post(platform: &Platform, end: &str, body: Value) -> Value {
    let (status, answer) = platform.api.call(Method::POST, &path(end), Some(body)).await;
    assert_eq!(status, 201, "{end}: {answer}");
    answer
}

/// Waits until the state of something is `wanted`; the platform is told by the device, not by us.
async fn until(platform: &Platform, end: &str, wanted: &str) -> Value {
    for _ in 0..3000 {
        let shown = platform.api.get(&path(end)).await;
        if shown["status"] == wanted {
            return shown;
        }
        tokio::task::yield_now().await;
    }
    panic!("{end} never became {wanted}: {}", platform.api.get(&path(end)).await);
}

/// Logs the lamp in and subscribes.
async fn arrive(platform: &Platform) -> Device {
    let mut lamp = Device::login(platform.address("mqtt"), NODE, DEVICE_SECRET).await;
    listen(&mut lamp).await;
    lamp
}

/// Subscribes; the last subscription makes the lamp ready.
async fn listen(lamp: &mut Device) {
    for filter in [format!("{PRODUCT}/{NODE}/control"), topic("$thing/down/action", NODE)] {
        assert_ne!(lamp.subscribe(&filter, QoS::AtLeastOnce).await, Reason::UnspecifiedError);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_wait_for_the_device_and_arrive_in_order() {
    let platform = Platform::start().await;
    platform.import(&[(NODE, Some(DEVICE_SECRET))]).await;
    for n in 0..3 {
        let body = json!({"message_id": format!("m{n}"), "message": {"n": n}});
        let made = post(&platform, "messages", body).await;
        assert_eq!(made["result"]["status"], "PENDING");
    }
    let platform = platform.restart().await;
    let mut lamp = arrive(&platform).await;
    for n in 0..3 {
        assert_eq!(lamp.message().await, json!({"n": n}), "in order");
    }
    for n in 0..3 {
        until(&platform, &format!("messages/m{n}"), "DELIVERED").await;
    }
    let sent =
        tokio::join!(post(&platform, "messages", json!({"message": {"n": 9}})), lamp.message());
    assert_eq!(sent.1, json!({"n": 9}));
    platform.stop().await;
}

/// What stands beside the payload reaches a device of MQTT 5, and costs one of 3.1.1 nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_of_a_message_go_beside_it() {
    let platform = Platform::start().await;
    platform.import(&[(NODE, Some(DEVICE_SECRET))]).await;
    let body = json!({"message": {"n": 1}, "properties": {
        "correlation_data": "c-7", "response_topic": "answers/7",
        "user_properties": [{"prop_key": "unit", "prop_value": "lx"}]}});
    for version in [Version::V5, Version::V311] {
        let address = platform.address("mqtt");
        // The second takes the first one over.
        let (mut lamp, ack) = Device::try_login(address, version, NODE, DEVICE_SECRET).await;
        assert_eq!(ack.reason, Reason::Success);
        listen(&mut lamp).await;
        let (_, publish) =
            tokio::join!(post(&platform, "messages", body.clone()), lamp.publication());
        assert_eq!(publish.payload.as_ref(), br#"{"n":1}"#);
        let properties = publish.properties.unwrap_or_default();
        let user: Vec<_> =
            properties.user.iter().map(|(name, value)| (&**name, &**value)).collect();
        let found = (properties.correlation_data.as_deref(), &properties.response_topic, user);
        let expected = match version {
            Version::V5 => (Some(&b"c-7"[..]), &Some("answers/7".into()), vec![("unit", "lx")]),
            Version::V31 | Version::V311 => (None, &None, Vec::new()),
        };
        assert_eq!(found, expected, "{version:?}");
    }
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_wait_for_the_device_and_leave_one_by_one() {
    let platform = Platform::start().await;
    platform.import(&[(NODE, Some(DEVICE_SECRET))]).await;
    let mut ids = Vec::new();
    for time in [1, 2] {
        let paras = json!({"time": time, "color": 1, "total_time": 10});
        let body = json!({"command_name": "light_blink", "paras": paras, "send_strategy": "delay"});
        let made = post(&platform, "async-commands", body).await;
        assert_eq!(made["status"], "PENDING");
        ids.push(made["command_id"].as_str().expect("id").to_owned());
    }
    let platform = platform.restart().await;
    let mut lamp = arrive(&platform).await;
    for (n, code) in [(0, 0), (1, 7)] {
        let action = lamp.message().await;
        assert_eq!(
            (&action["method"], &action["params"]["time"]),
            (&json!("action"), &json!(n + 1))
        );
        let queued = platform.api.get(&path(&format!("async-commands/{}", ids[n]))).await;
        assert!(["SENT", "DELIVERED"].contains(&queued["status"].as_str().expect("state")));
        let reply = json!({"method": "action_reply", "clientToken": action["clientToken"],
            "code": code, "status": "done", "response": {"err_code": code}});
        lamp.publish("$thing/up/action", &reply).await;
    }
    until(&platform, &format!("async-commands/{}", ids[0]), "SUCCESSFUL").await;
    let failed = until(&platform, &format!("async-commands/{}", ids[1]), "FAILED").await;
    assert_eq!(
        (&failed["reason"], &failed["result"]["result_code"]),
        (&json!("command.refused"), &json!(7))
    );
    let log = platform.api.get("/run-logs?category=command&result=failure").await;
    assert_eq!(log["logs"][0]["code"], "command.refused", "{log}");
    platform.stop().await;
}
