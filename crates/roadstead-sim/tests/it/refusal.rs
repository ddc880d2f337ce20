//! Every bad input gets the vendor's own answer where there is one, a stable reason in the trace,
//! and costs nobody else anything.

use std::time::Duration;

use reqwest::Method;
use roadstead_wire::mqtt::packet::{Packet, QoS, Reason, Version};
use serde_json::{Value, json};

use crate::api::Phone;
use crate::mqtt::{Device, topic};
use crate::platform::{DEVICE_SECRET, PRODUCT, PRODUCT_SECRET, Platform};

/// Another secret of the right shape.
const WRONG_SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAA==";

fn id(node: &str) -> String {
    format!("{PRODUCT}_{node}")
}

/// A platform with a healthy witness: a logged-in device that must not notice anything.
async fn with_witness(devices: &[&str]) -> (Platform, Device) {
    let platform = Platform::start_with(|config| {
        config.mqtt.first_packet = Duration::from_millis(500);
        config.mqtt.packet_bytes_max = 16 * 1024;
        config.throttle.hold = Duration::from_millis(300);
    })
    .await;
    let mut rows = vec![("WITNESS", Some(DEVICE_SECRET))];
    rows.extend(devices.iter().map(|node| (*node, Some(DEVICE_SECRET))));
    platform.import(&rows).await;
    let witness = Device::login(platform.address("mqtt"), "WITNESS", DEVICE_SECRET).await;
    (platform, witness)
}

/// The witness still reports and is answered.
async fn unharmed(mut witness: Device) {
    let granted =
        witness.subscribe(&topic("$thing/down/property", "WITNESS"), QoS::AtMostOnce).await;
    assert_eq!(granted, Reason::Success);
    let report = json!({"method": "report", "clientToken": "w", "params": {"brightness": 1}});
    witness.publish("$thing/up/property", &report).await;
    let answer = witness.message().await;
    assert_eq!((&answer["method"], &answer["code"]), (&json!("report_reply"), &json!(0)));
}

async fn bind_answer(device: &mut Device, token: &str) -> Value {
    let body = json!({"method": "app_bind_token", "clientToken": "b", "params": {"token": token}});
    device.publish("$thing/up/service", &body).await;
    device.message().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_log_ins_name_their_cause() {
    let (platform, witness) = with_witness(&["LAMP", "ICE"]).await;
    let mqtt = platform.address("mqtt").to_owned();

    let (_, ack) = Device::try_login(&mqtt, Version::V311, "LAMP", WRONG_SECRET).await;
    assert_eq!(ack.reason, Reason::BadUserNameOrPassword);
    assert!(platform.api.trace(&id("LAMP")).await.contains(&"login:auth.bad_password".into()));

    let (_, ack) = Device::try_login(&mqtt, Version::V311, "NOBODY", DEVICE_SECRET).await;
    assert_ne!(ack.reason, Reason::Success);
    let strangers = platform.api.get("/strangers").await;
    assert!(strangers.to_string().contains("auth.unknown_device"), "{strangers}");

    let frozen = format!("/devices/{}/freeze", id("ICE"));
    assert_eq!(platform.api.call(Method::POST, &frozen, None).await.0, 204);
    let (_, ack) = Device::try_login(&mqtt, Version::V311, "ICE", DEVICE_SECRET).await;
    assert_eq!(ack.reason, Reason::NotAuthorized);
    assert!(platform.api.trace(&id("ICE")).await.contains(&"login:auth.frozen".into()));
    let why = platform.api.get(&format!("/devices/{}/why", id("ICE"))).await;
    assert!(why.to_string().contains("auth.frozen"), "{why}");

    unharmed(witness).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_binds_one_device_of_its_own_account_once() {
    let (platform, witness) = with_witness(&["LAMP", "FAN"]).await;
    let mqtt = platform.address("mqtt").to_owned();
    let ann = Phone::new(platform.address("http"), "ann").await;
    let bob = Phone::new(platform.address("http"), "bob").await;
    let mut lamp = Device::login(&mqtt, "LAMP", DEVICE_SECRET).await;
    let mut fan = Device::login(&mqtt, "FAN", DEVICE_SECRET).await;
    for (device, node) in [(&mut lamp, "LAMP"), (&mut fan, "FAN")] {
        device.subscribe(&topic("$thing/down/service", node), QoS::AtMostOnce).await;
    }

    let unknown = bind_answer(&mut lamp, &"0".repeat(32)).await;
    assert_ne!(unknown["code"], 0, "{unknown}");

    let token = ann.bind_token().await;
    assert_eq!(ann.token_state(&token).await, ("new".into(), None));
    assert_eq!(bind_answer(&mut lamp, &token).await["code"], 0);
    assert_eq!(ann.token_state(&token).await.0, "bound");
    assert_eq!(ann.devices().await, [id("LAMP")]);

    // The same device may repeat itself; another one may not use the token again.
    assert_eq!(bind_answer(&mut lamp, &token).await["code"], 0);
    assert_ne!(bind_answer(&mut fan, &token).await["code"], 0);
    assert!(platform.api.trace(&id("FAN")).await.contains(&"bind_token:bind.already_used".into()));

    // A stranger's token does not take the lamp over, and the stranger learns why.
    let other = bob.bind_token().await;
    assert_ne!(bind_answer(&mut lamp, &other).await["code"], 0);
    let (state, reason) = bob.token_state(&other).await;
    assert_eq!((state.as_str(), reason.as_deref()), ("new", Some("bind.bound_to_other")));
    assert_eq!(ann.devices().await, [id("LAMP")]);
    assert!(bob.devices().await.is_empty());
    let (status, body) = bob.call(Method::POST, "/bindings", Some(json!({"token": token}))).await;
    assert_eq!((status / 100, &body["code"]), (4, &json!("bind.other_account")), "{body}");

    unharmed(witness).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_does_not_bind() {
    let platform = Platform::start_with(|config| config.app.bind_token_life = Duration::ZERO).await;
    platform.import(&[("LAMP", Some(DEVICE_SECRET))]).await;
    let ann = Phone::new(platform.address("http"), "ann").await;
    let mut lamp = Device::login(platform.address("mqtt"), "LAMP", DEVICE_SECRET).await;
    lamp.subscribe(&topic("$thing/down/service", "LAMP"), QoS::AtMostOnce).await;
    let token = ann.bind_token().await;
    assert_ne!(bind_answer(&mut lamp, &token).await["code"], 0);
    let (state, reason) = ann.token_state(&token).await;
    assert_eq!((state.as_str(), reason.as_deref()), ("expired", Some("bind.expired")));
    assert!(platform.api.trace(&id("LAMP")).await.contains(&"bind_token:bind.expired".into()));
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_log_in_of_a_device_wins() {
    let (platform, witness) = with_witness(&["LAMP"]).await;
    let mqtt = platform.address("mqtt").to_owned();
    let mut first = Device::login(&mqtt, "LAMP", DEVICE_SECRET).await;
    let second = Device::login(&mqtt, "LAMP", DEVICE_SECRET).await;
    assert_eq!(first.next().await, None, "the older connection is closed");
    let presence = platform.api.get(&format!("/devices/{}/presence", id("LAMP"))).await;
    assert_eq!(presence["online"], true, "{presence}");
    drop(second);
    unharmed(witness).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_of_others_are_refused() {
    let (platform, witness) = with_witness(&["LAMP"]).await;
    let mut lamp = Device::login(platform.address("mqtt"), "LAMP", DEVICE_SECRET).await;
    let foreign = topic("$thing/down/property", "WITNESS");
    assert_eq!(lamp.subscribe(&foreign, QoS::AtMostOnce).await, Reason::UnspecifiedError);
    let report = json!({"method": "report", "clientToken": "x", "params": {"brightness": 99}});
    let stolen = topic("$thing/up/property", "WITNESS");
    let sent = lamp.publish_bytes(&stolen, report.to_string().into_bytes()).await;
    assert!(lamp.acknowledged(sent).await.is_empty());
    let trace = platform.api.trace(&id("LAMP")).await;
    assert!(trace.iter().any(|line| line.ends_with(":mqtt.denied_topic")), "{trace:?}");
    let shadow = platform.api.get(&format!("/devices/{}/shadow", id("WITNESS"))).await;
    assert!(!shadow.to_string().contains("99"), "{shadow}");
    unharmed(witness).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_payloads_are_acknowledged_traced_and_change_nothing() {
    let (platform, witness) = with_witness(&["LAMP"]).await;
    let mut lamp = Device::login(platform.address("mqtt"), "LAMP", DEVICE_SECRET).await;
    let up = topic("$thing/up/property", "LAMP");
    for broken in [&b"{"[..], b"", b"\xff\xfe", b"[]", b"{\"method\":7}", b"null"] {
        let sent = lamp.publish_bytes(&up, broken.to_vec()).await;
        lamp.acknowledged(sent).await;
    }
    let trace = platform.api.trace(&id("LAMP")).await;
    let malformed = trace.iter().filter(|line| line.ends_with(":payload.malformed")).count();
    assert_eq!(malformed, 6, "{trace:?}");

    lamp.subscribe(&topic("$thing/down/property", "LAMP"), QoS::AtMostOnce).await;
    let report = json!({"method": "report", "clientToken": "m",
        "params": {"brightness": 1000, "power_switch": 1}});
    lamp.publish("$thing/up/property", &report).await;
    let answer = lamp.message().await;
    assert_ne!(answer["code"], 0, "out of range: {answer}");
    let shadow = platform.api.get(&format!("/devices/{}/shadow", id("LAMP"))).await;
    let reported = &shadow["shadow"][0]["reported"]["properties"];
    assert_eq!(*reported, json!({"power_switch": true}), "the good part is kept");
    unharmed(witness).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_slow_and_silent_clients_are_closed() {
    let (platform, witness) = with_witness(&["LAMP"]).await;
    let mqtt = platform.address("mqtt").to_owned();

    let mut big = Device::login(&mqtt, "LAMP", DEVICE_SECRET).await;
    // A PUBLISH that announces 1 MiB; its body never comes.
    big.send_bytes(&[0x30, 0x80, 0x80, 0x40]).await;
    assert_eq!(big.next().await, None);
    let trace = platform.api.trace(&id("LAMP")).await;
    assert!(trace.iter().any(|line| line.ends_with(":mqtt.too_large")), "{trace:?}");

    let mut silent = Device::open(&mqtt, "LAMP").await;
    assert_eq!(silent.next().await, None, "no CONNECT in time");
    let mut slow = Device::open(&mqtt, "LAMP").await;
    slow.send_bytes(&[0x10, 0x40, 0x00]).await;
    assert_eq!(slow.next().await, None, "half a CONNECT in time");
    let mut stranger = Device::open(&mqtt, "LAMP").await;
    stranger.send_bytes(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(stranger.next().await, None, "not MQTT");

    unharmed(witness).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_secret_is_never_slowed() {
    let (platform, witness) = with_witness(&["LAMP", "FAN"]).await;
    let mqtt = platform.address("mqtt").to_owned();
    for _ in 0..6 {
        // From the same address; each refusal is answered later than the one before.
        let login = Device::try_login(&mqtt, Version::V311, "FAN", WRONG_SECRET);
        if let Ok((_, ack)) = tokio::time::timeout(Duration::from_millis(200), login).await {
            assert_eq!(ack.reason, Reason::BadUserNameOrPassword);
        }
    }
    for _ in 0..20 {
        let mut lamp = Device::login(&mqtt, "LAMP", DEVICE_SECRET).await;
        lamp.send(&Packet::PingReq).await;
        assert_eq!(lamp.next().await, Some(Packet::PingResp));
    }
    unharmed(witness).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_cannot_be_done_say_so() {
    let (platform, witness) = with_witness(&["LAMP"]).await;
    let path = format!("/devices/{}/commands", id("LAMP"));
    let blink = json!({"service_id": "default", "command_name": "light_blink",
        "paras": {"time": 1, "color": 1, "total_time": 1}});

    let (_, body) = platform.api.call(Method::POST, &path, Some(blink.clone())).await;
    assert_eq!(body["error_code"], "IOTDA.014016", "off line: {body}");

    let lamp = Device::login(platform.address("mqtt"), "LAMP", DEVICE_SECRET).await;
    let (_, body) = platform.api.call(Method::POST, &path, Some(blink)).await;
    assert_eq!(body["code"], "command.not_listening", "{body}");

    let wrong = json!({"service_id": "default", "command_name": "fly", "paras": {}});
    let (status, body) = platform.api.call(Method::POST, &path, Some(wrong)).await;
    assert_eq!((status, &body["code"]), (400, &json!("command.model")), "{body}");
    drop(lamp);
    unharmed(witness).await;
    platform.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_desired_and_an_unbinding_wait_for_the_device() {
    let (platform, witness) = with_witness(&["LAMP"]).await;
    let mqtt = platform.address("mqtt").to_owned();
    let ann = Phone::new(platform.address("http"), "ann").await;
    let mut lamp = Device::login(&mqtt, "LAMP", DEVICE_SECRET).await;
    lamp.subscribe(&topic("$thing/down/service", "LAMP"), QoS::AtLeastOnce).await;
    assert_eq!(bind_answer(&mut lamp, &ann.bind_token().await).await["code"], 0);
    drop(lamp);

    let desired = json!({"shadow": [{"service_id": "default", "desired": {"brightness": 12}}]});
    let path = format!("/devices/{}/shadow", id("LAMP"));
    let (status, body) = platform.api.call(Method::PUT, &path, Some(desired)).await;
    assert_eq!(status, 200, "{body}");
    let (_, body) = ann.call(Method::GET, "/bindings", None).await;
    let binding = body["bindings"][0]["binding_id"].as_str().expect("binding id").to_owned();
    assert_eq!(ann.call(Method::DELETE, &format!("/bindings/{binding}"), None).await.0, 204);

    let mut lamp = Device::login(&mqtt, "LAMP", DEVICE_SECRET).await;
    lamp.subscribe(&topic("$thing/down/service", "LAMP"), QoS::AtLeastOnce).await;
    assert_eq!(lamp.message().await["method"], "unbind_device");
    lamp.subscribe(&topic("$thing/down/property", "LAMP"), QoS::AtMostOnce).await;
    let get = json!({"method": "get_status", "clientToken": "g", "type": "report"});
    lamp.publish("$thing/up/property", &get).await;
    let status = lamp.message().await;
    assert_eq!(status["data"]["control"], json!({"brightness": 12}), "{status}");
    unharmed(witness).await;
    platform.stop().await;
}

/// Posts a registration; returns status and body.
async fn register(platform: &Platform, body: String) -> Value {
    let url = format!("http://{}/register/dev", platform.address("vendor_http"));
    let answer = reqwest::Client::new()
        .post(url)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Host", "gateway.tencentdevices.com")
        .body(body)
        .send()
        .await
        .expect("the vendor port answers");
    assert_eq!(answer.status(), 200);
    assert!(answer.headers().contains_key("content-length"));
    answer.json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_registrations_get_the_vendors_error() {
    let (platform, witness) = with_witness(&[]).await;
    let sign =
        |secret, device, nonce| roadstead_sim::registration(PRODUCT, secret, device, nonce, 0);
    let good = sign(PRODUCT_SECRET, "NEW1", 1);
    let first = register(&platform, good.clone()).await;
    assert_eq!(first["code"], 0, "{first}");
    assert!(first.to_string().len() < 256, "the firmware reads at most 256 bytes");

    // 1001 malformed, 1004 unknown product, 1007 signature, 1008 time; see docs/protocols.
    let unknown = roadstead_sim::registration("AAAAAAAAAA", PRODUCT_SECRET, "NEW1", 2, 0);
    let old = roadstead_sim::registration(PRODUCT, PRODUCT_SECRET, "NEW1", 3, 1_000_000_000);
    for (body, expected) in [
        ("{".to_owned(), 1001),
        ("{}".to_owned(), 1001),
        (unknown, 1004),
        (sign("another product secret", "NEW1", 4), 1007),
        (old, 1008),
    ] {
        let answer = register(&platform, body.clone()).await;
        assert_eq!(answer["code"], expected, "{body}: {answer}");
        assert!(answer.get("payload").is_none_or(Value::is_null), "no secret leaks: {answer}");
    }
    let replayed = register(&platform, good).await;
    assert_ne!(replayed["code"], 0, "{replayed}");
    // The same device with a fresh nonce gets the same secret again: it has never connected.
    let again = register(&platform, sign(PRODUCT_SECRET, "NEW1", 5)).await;
    assert_eq!((&again["code"], &again["payload"]), (&json!(0), &first["payload"]), "{again}");
    unharmed(witness).await;
    platform.stop().await;
}
