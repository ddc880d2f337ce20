//! The vendor's own packages, unmodified: `aliyun-iot-linkkit` (Python) and
//! `alibabacloud-iot-device-sdk` (npm).
//!
//! `ROADSTEAD_TEST_NODE_MODULES` names the folder with the npm package; where it is missing the
//! test says so and passes, unless `ROADSTEAD_TEST_CLIENTS=required`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use super::{PRODUCT, PRODUCT_SECRET, SUB_PRODUCT, SUB_SECRET, with_lamp};
use crate::clients::{Script, python};
use crate::platform::Platform;

/// Returns the folder of the npm package, `None` (with a printed reason) when it is missing.
fn node_modules() -> Option<String> {
    let folder = std::env::var("ROADSTEAD_TEST_NODE_MODULES").unwrap_or_default();
    let package = format!("{folder}/alibabacloud-iot-device-sdk/package.json");
    if std::path::Path::new(&package).exists() {
        return Some(folder);
    }
    let required = std::env::var("ROADSTEAD_TEST_CLIENTS").is_ok_and(|value| value == "required");
    let told = format!("no npm package at `{package}`; see tests/clients/package.json");
    assert!(!required, "{told}");
    println!("SKIPPED: {told}");
    None
}

/// Sets a property and calls both kinds of service.
async fn obeys(platform: &Platform, device: &str, level: u64) {
    let path = |end: &str| format!("/devices/{device}/{end}");
    let wanted =
        json!({"services": [{"service_id": "default", "properties": {"LightSwitch": false}}]});
    let (status, body) = platform.api.call(Method::PUT, &path("properties"), Some(wanted)).await;
    assert_eq!((status, &body["response"]["result_code"]), (200, &json!(0)), "{body}");
    let call = |name: &str, paras: Value| json!({"service_id": "default", "command_name": name, "paras": paras});
    let measure = Some(call("Measure", json!({})));
    let (status, body) = platform.api.call(Method::POST, &path("commands"), measure).await;
    assert_eq!((status, &body["response"]["paras"]["level"]), (200, &json!(level)), "{body}");
    let custom = Some(call("Custom", json!({"transparency": 7})));
    let (status, body) = platform.api.call(Method::POST, &path("commands"), custom).await;
    assert_eq!(status, 200, "{body}");
    assert!(body["response"]["paras"]["transparency"].as_u64() >= Some(8), "{body}");
}

async fn reported(platform: &Platform, device: &str) -> Value {
    let shadow = platform.api.get(&format!("/devices/{device}/shadow")).await;
    shadow["shadow"][0]["reported"]["properties"].clone()
}

async fn has(platform: &Platform, device: &str, entries: &[&str]) {
    let trace = platform.api.trace(device).await;
    for entry in entries {
        assert!(trace.contains(&(*entry).to_owned()), "{entry}: {trace:?}");
    }
}

/// Registration both ways, properties, event, tags, time, RRPC, version, a sub-device.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_package_makes_its_tour() {
    let Some(python) = python("linkkit.linkkit").await else { return };
    let platform = with_lamp(|_| {}).await;
    let model = format!("{}/tests/clients/alibaba-lamp.json", env!("CARGO_MANIFEST_DIR"));
    let start = |act: &str, device: &str, more: &[&str]| {
        let mut args = vec![act, "--mqtt", platform.address("mqtt"), "--product", PRODUCT];
        args.extend(["--device", device]);
        args.extend(more);
        Script::start(&python, "alibaba_sdk.py", &args)
    };
    let mut script = start("register", "py-1", &["--product-secret", PRODUCT_SECRET]);
    let registered = script.event("registered").await;
    assert_eq!(registered["rc"], 0, "{registered}");
    let secret = registered["values"][0].as_str().expect("a secret").to_owned();
    script.ends_well().await;

    // A name that nobody registered gets a token, and logs in with it.
    let mut script = start("register", "py-2", &["--open", "--product-secret", PRODUCT_SECRET]);
    let registered = script.event("registered").await;
    assert_eq!(registered["rc"], 0, "{registered}");
    let given = |n: usize| registered["values"][n].as_str().expect("text").to_owned();
    script.ends_well().await;
    let mut script = start("token", "py-2", &["--token", &given(0), &given(1), &given(2)]);
    assert_eq!(script.event("connected").await["rc"], 0);
    script.ends_well().await;

    let mut script = start("tour", "py-1", &["--secret", &secret, "--model", &model]);
    assert_eq!(script.event("connected").await["rc"], 0);
    let posted = script.event("thing_prop_post").await;
    assert_eq!(posted["values"][1], 200, "{posted}");
    let event = script.event("thing_event_post").await;
    assert!(event["values"].as_array().expect("list").contains(&json!(200)), "{event}");
    let time = script.event("topic").await;
    assert_eq!(time["payload"]["deviceSendTime"], "7", "{time}");
    let device = format!("{PRODUCT}_py-1");
    obeys(&platform, &device, 42).await;
    let properties = reported(&platform, &device).await;
    assert_eq!(properties["Counter"], 5, "{properties}");

    let register = json!({"do": "register_subdev", "with": [[SUB_PRODUCT, "sub-2"]]});
    script.tell(&register).await;
    let registered = script.event("gateway_register_subdev_reply").await;
    let values = registered["values"].as_array().expect("list");
    assert_eq!(values[1], 200, "{registered}");
    let secret = values[2][0]["deviceSecret"].as_str().expect("a secret").to_owned();
    for (act, reply) in [
        ("add_subdev_topo", "gateway_add_subdev_topo_reply"),
        ("login_subdev", "gateway_login_subdev_reply"),
    ] {
        let step = json!({"do": act, "with": [[SUB_PRODUCT, "sub-2", secret]]});
        script.tell(&step).await;
        let answer = script.event(reply).await;
        assert_eq!(answer["values"][1], 200, "{answer}");
    }
    let sub = platform.api.get(&format!("/devices/{SUB_PRODUCT}_sub-2")).await;
    assert_eq!((&sub["status"], &sub["gateway_id"]), (&json!("ONLINE"), &json!(device)), "{sub}");
    script.ends_well().await;
    has(&platform, &device, &["login:ok", "event:ok", "info:ok", "time:ok", "report:ok"]).await;
    let shown = platform.api.get(&format!("/devices/{device}")).await;
    assert_eq!(shown["fw_version"], "1.0.7", "{shown}");
    platform.stop().await;
}

/// Registration over HTTP, properties, event, tags, time, shadow, RRPC, version, a sub-device.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_npm_package_makes_its_tour() {
    let Some(modules) = node_modules() else { return };
    let platform = with_lamp(|_| {}).await;
    let mut command = Command::new("node");
    command
        .env("NODE_PATH", modules)
        .arg(format!("{}/tests/clients/alibaba_sdk.js", env!("CARGO_MANIFEST_DIR")))
        .args([platform.address("mqtt"), platform.address("vendor_http"), PRODUCT, "js-1"])
        .args([PRODUCT_SECRET, SUB_PRODUCT, "sub-1", SUB_SECRET]);
    let mut script = Script::run(command);
    assert_eq!(script.event("registered").await["code"], 200);
    script.event("connected").await;
    for name in ["posted", "event", "tags", "topo", "login"] {
        let told = script.event(name).await;
        assert_eq!(told["code"], 200, "{told}");
    }
    assert_eq!(script.event("subposted").await["code"], 200);
    let device = format!("{PRODUCT}_js-1");
    obeys(&platform, &device, 41).await;
    let sub = format!("{SUB_PRODUCT}_sub-1");
    let shown = platform.api.get(&format!("/devices/{sub}")).await;
    assert_eq!(
        (&shown["status"], &shown["gateway_id"]),
        (&json!("ONLINE"), &json!(device)),
        "{shown}"
    );
    assert_eq!(reported(&platform, &sub).await["t"], 21);
    // The package answers by reporting; the platform believes it before it has stored it.
    let stored = async { while reported(&platform, &device).await["LightSwitch"] != false {} };
    timeout(Duration::from_secs(20), stored).await.expect("set, then reported");
    script.ends_well().await;
    has(&platform, &device, &["login:ok", "event:ok", "info:ok", "time:ok", "read_shadow:ok"])
        .await;
    let shown = platform.api.get(&format!("/devices/{device}")).await;
    assert_eq!(shown["fw_version"], "2.0.1", "{shown}");
    platform.stop().await;
}
