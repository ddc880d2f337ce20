//! One device's whole day, once over plain TCP and once over TLS: everything it can say and be
//! told, looked at from both ends.

use reqwest::Method;
use serde_json::{Value, json};

use super::device::{Device, connect, stamp, tcp, tls};
use super::{DEVICE, PRODUCT, SECRET, with_meter};
use crate::platform::Platform;

/// How a device gets in: listener and sign type.
#[derive(Clone, Copy)]
enum Way {
    /// The plain listener.
    Plain { sign: u8 },
    /// The TLS listener, trusting the platform's own authority.
    Tls { sign: u8 },
}

impl Way {
    async fn arrive(self, platform: &Platform, device: &str) -> Device {
        let stamp = stamp();
        match self {
            Self::Plain { sign } => {
                let stream = tcp(platform.address("mqtt")).await;
                Device::login(stream, connect(device, SECRET, sign, &stamp)).await
            }
            Self::Tls { sign } => {
                let ca = platform.folder.path().join("tls/ca.pem");
                let stream = tls(platform.address("mqtts"), &ca).await.expect("a trusted chain");
                Device::login(stream, connect(device, SECRET, sign, &stamp)).await
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_tour_over_plain_tcp() {
    tour(Way::Plain { sign: 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_tour_over_tls_with_a_checked_time_stamp() {
    tour(Way::Tls { sign: 1 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sign_type_logs_in_on_both_listeners() {
    let platform = with_meter(|_| {}).await;
    for sign in 0..=2 {
        for way in [Way::Plain { sign }, Way::Tls { sign }] {
            let device = way.arrive(&platform, DEVICE).await;
            assert_eq!(show(&platform, DEVICE).await["status"], "ONLINE");
            device.leave().await;
        }
    }
    platform.stop().await;
}

async fn tour(way: Way) {
    let platform = with_meter(|_| {}).await;
    assert_eq!(show(&platform, DEVICE).await["status"], "INACTIVE");
    let mut device = way.arrive(&platform, DEVICE).await;
    assert_eq!(show(&platform, DEVICE).await["status"], "ONLINE");
    reports_and_shadow(&platform, &mut device).await;
    properties(&platform, &mut device).await;
    commands(&platform, &mut device).await;
    messages(&platform, &mut device).await;
    clock_and_log(&platform, &mut device).await;
    let children = add_children(&platform, &mut device).await;
    children_live(&platform, &mut device, &children).await;
    children_of_the_api(&platform, &mut device).await;
    device.leave().await;
    // The state of children is what their gateway said last (§8.1).
    assert_eq!(show(&platform, DEVICE).await["status"], "OFFLINE");
    assert_eq!(show(&platform, &children[0]).await["status"], "ONLINE");
    assert_eq!(show(&platform, &children[1]).await["status"], "OFFLINE");
    platform.stop().await;
}

fn path(device: &str, end: &str) -> String {
    format!("/devices/{device}/{end}")
}

async fn show(platform: &Platform, device: &str) -> Value {
    platform.api.get(&format!("/devices/{device}")).await
}

/// What the platform knows that a device reported of its meter.
async fn reported(platform: &Platform, device: &str) -> Value {
    let shadow = platform.api.get(&path(device, "shadow")).await;
    shadow["shadow"][0]["reported"].clone()
}

/// The texts of a device's trace entries of one kind that went well, oldest first.
async fn traced(platform: &Platform, device: &str, what: &str) -> Vec<String> {
    let trace = platform.api.get(&path(device, "trace?limit=1000")).await;
    let entries = trace["entries"].as_array().expect("entries").iter();
    let of_kind = entries.filter(|entry| entry["what"] == what && entry["code"] == "ok");
    of_kind.map(|entry| entry["text"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn reports_and_shadow(platform: &Platform, device: &mut Device) {
    let report = json!({"services": [{"service_id": "meter",
        "properties": {"level": 7, "alarm": "true"}, "event_time": "20261121T003249Z"}]});
    device.say("sys/properties/report", &report).await;
    let known = reported(platform, DEVICE).await;
    // The model says what a value is: a text is no boolean, and the rest is kept.
    assert_eq!(known["properties"], json!({"level": 7}), "{known}");
    assert_eq!(known["event_time"], "20261121T003249Z");
    assert!(
        platform.api.trace(DEVICE).await.contains(&"report:model.violation".to_owned()),
        "the reason is traced"
    );
    let question = json!({"object_device_id": DEVICE, "service_id": "meter"});
    device.say("sys/shadow/get/request_id=q-1", &question).await;
    let (rid, shadow) = device.hear("sys/shadow/get/response/request_id=").await;
    assert_eq!(rid, "q-1");
    assert_eq!(shadow["object_device_id"], DEVICE);
    let state = &shadow["shadow"][0];
    assert_eq!(state["reported"]["properties"], json!({"level": 7}), "{shadow}");
    let north = platform.api.get(&path(DEVICE, "shadow")).await;
    assert_eq!(state["version"], north["shadow"][0]["version"], "{shadow} {north}");
}

async fn properties(platform: &Platform, device: &mut Device) {
    let services = json!([{"service_id": "meter", "properties": {"level": 42}}]);
    let path = path(DEVICE, "properties");
    let wanted = json!({ "services": services });
    let taken = json!({"result_code": 0, "result_desc": "success"});
    let ((status, done), asked) = tokio::join!(
        platform.api.call(Method::PUT, &path, Some(wanted)),
        device.obey("properties/set", &taken),
    );
    assert_eq!((status, &done["response"]["result_code"]), (200, &json!(0)), "{done}");
    assert_eq!(asked, json!({"object_device_id": DEVICE, "services": services}));

    let values = json!({"services": [
        {"service_id": "meter", "properties": {"level": 42, "alarm": true}, "event_time": null}]});
    let query = format!("{path}?service_id=meter");
    let ((status, got), asked) = tokio::join!(
        platform.api.call(Method::GET, &query, None),
        device.obey("properties/get", &values),
    );
    assert_eq!(asked, json!({"object_device_id": DEVICE, "service_id": "meter"}));
    let service = &got["response"]["services"][0];
    assert_eq!(status, 200, "{got}");
    assert_eq!(service["properties"], json!({"level": 42, "alarm": true}), "{got}");

    let refused = json!({"result_code": 1, "result_desc": "valve stuck"});
    let wanted = json!({"services": [{"service_id": "meter", "properties": {"level": 43}}]});
    let ((status, answer), _) = tokio::join!(
        platform.api.call(Method::PUT, &path, Some(wanted)),
        device.obey("properties/set", &refused),
    );
    assert_eq!((status, &answer["response"]["result_code"]), (200, &json!(1)), "{answer}");
    assert_eq!(answer["response"]["result_desc"], "valve stuck", "{answer}");
}

async fn commands(platform: &Platform, device: &mut Device) {
    let command = json!({"service_id": "meter", "command_name": "turn", "paras": {"to": "on"}});
    let answer = json!({"result_code": 0, "response_name": "done", "paras": {"at": "on"}});
    let path = path(DEVICE, "commands");
    let ((status, done), asked) = tokio::join!(
        platform.api.call(Method::POST, &path, Some(command)),
        device.obey("commands", &answer),
    );
    assert_eq!(
        asked,
        json!({"object_device_id": DEVICE, "service_id": "meter", "command_name": "turn",
               "paras": {"to": "on"}})
    );
    assert_eq!(status, 200, "{done}");
    assert_eq!(done["response"]["paras"], json!({"at": "on"}), "{done}");
    assert_eq!(done["response"]["response_name"], "done", "{done}");
    let (status, bad) = platform
        .api
        .call(Method::POST, &path, Some(json!({"service_id": "meter", "command_name": "fly"})))
        .await;
    assert_eq!((status / 100, &bad["error_code"].is_string()), (4, &true), "{bad}");
}

async fn messages(platform: &Platform, device: &mut Device) {
    let path = path(DEVICE, "messages");
    let body = json!({"message_id": "m-1", "name": "greeting", "message": "hello from cloud"});
    let (status, made) = platform.api.call(Method::POST, &path, Some(body)).await;
    assert_eq!((status, &made["message_id"]), (201, &json!("m-1")), "{made}");
    let (rest, message) = device.hear("sys/messages/down").await;
    assert_eq!(rest, "");
    assert_eq!(
        message,
        json!({"object_device_id": null, "name": "greeting", "id": "m-1",
               "content": "hello from cloud"})
    );
    // Raw: nothing but the message.
    let raw = json!({"payload_format": "raw", "message": "{\"a\":1}"});
    let (status, made) = platform.api.call(Method::POST, &path, Some(raw)).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(device.hear("sys/messages/down").await.1, json!({"a": 1}));

    let up = json!({"object_device_id": null, "name": "n", "id": "i", "content": "hello"});
    device.say("sys/messages/up", &up).await;
    let size = format!("default, {} B", up.to_string().len());
    let kept = traced(platform, DEVICE, "message").await;
    assert!(kept.iter().any(|text| text.ends_with(&size)), "{kept:?}");
    device.say("user/diary", &json!({"any": "thing"})).await;
    let kept = traced(platform, DEVICE, "message").await;
    assert!(kept.iter().any(|text| text.contains("diary")), "{kept:?}");
}

async fn clock_and_log(platform: &Platform, device: &mut Device) {
    device.event("$time_sync", "time_sync_request", json!({"device_send_time": 1234})).await;
    let answer = device.told("time_sync_response").await;
    let number = |key: &str| answer[key].as_i64().expect("a bare number");
    assert_eq!(number("device_send_time"), 1234);
    let (received, sent) = (number("server_recv_time"), number("server_send_time"));
    assert!(received > 1_700_000_000_000 && sent >= received, "{answer}");

    let log = json!({"timestamp": "1795221677257", "type": "DEVICE_STATUS", "content": "rebooted"});
    device.event("$log", "log_report", log).await;
    let kept = traced(platform, DEVICE, "logs").await;
    assert_eq!(kept, ["1795221677257 DEVICE_STATUS rebooted"]);
    let info = json!({"device_sdk_version": "C_v1.2.1", "fw_version": "v2", "sw_version": "s3"});
    device.event("$sdk_info", "sdk_info_report", info).await;
    let shown = show(platform, DEVICE).await;
    assert_eq!((&shown["fw_version"], &shown["sw_version"]), (&json!("v2"), &json!("s3")));
    assert_eq!(shown["device_sdk_version"], "C_v1.2.1", "{shown}");
}

/// Registers two children through the device; returns their ids.
async fn add_children(platform: &Platform, device: &mut Device) -> [String; 2] {
    let rows = ["c1", "c2"].map(|node| {
        json!({"parent_device_id": DEVICE, "node_id": node, "device_id": "", "name": node,
               "description": "", "product_id": PRODUCT, "extension_info": {"slot": node}})
    });
    let stray = json!({"node_id": "c3", "product_id": "nosuch"});
    let devices = json!({"devices": [rows[0], rows[1], stray]});
    device.event("$sub_device_manager", "add_sub_device_request", devices).await;
    let answer = device.told("add_sub_device_response").await;
    let made = answer["successful_devices"].as_array().expect("a list");
    assert_eq!(made.len(), 2, "{answer}");
    assert_eq!(answer["failed_devices"][0]["node_id"], "c3", "{answer}");
    let ids = ["c1", "c2"].map(|node| format!("{PRODUCT}_{node}"));
    for (one, id) in made.iter().zip(&ids) {
        assert_eq!(one["device_id"], **id, "{answer}");
        assert_eq!(one["parent_device_id"], DEVICE, "{answer}");
        let shown = show(platform, id).await;
        assert_eq!(
            (&shown["gateway_id"], &shown["node_type"]),
            (&json!(DEVICE), &json!("ENDPOINT"))
        );
        assert_eq!(shown["status"], "INACTIVE", "{shown}");
    }
    let listed = platform.api.get(&format!("/devices?gateway_id={DEVICE}")).await;
    assert_eq!(listed["devices"].as_array().map(Vec::len), Some(2), "{listed}");
    device.event("$sub_device_manager", "sub_device_sync_request", json!({"version": 0})).await;
    let known = device.told("add_sub_device_notify").await;
    let mut nodes: Vec<&str> = known["devices"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["node_id"].as_str().expect("text"))
        .collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["c1", "c2"], "{known}");
    ids
}

async fn children_live(platform: &Platform, device: &mut Device, ids: &[String; 2]) {
    let statuses = json!({"device_statuses": [
        {"device_id": ids[0], "status": "ONLINE"}, {"device_id": ids[1], "status": "ONLINE"},
        {"device_id": "stranger", "status": "ONLINE"}]});
    device.event("$sub_device_manager", "sub_device_update_status", statuses).await;
    let answer = device.told("sub_device_update_status_response").await;
    let done = answer["successful_devices"].as_array().expect("a list");
    assert_eq!(done.len(), 2, "{answer}");
    assert_eq!(answer["failed_devices"][0]["device_id"], "stranger", "{answer}");
    for id in ids {
        assert_eq!(show(platform, id).await["status"], "ONLINE");
    }

    let part = |level: u8| json!([{"service_id": "meter", "properties": {"level": level}}]);
    let batch = json!({"devices": [
        {"device_id": ids[0], "services": part(1)}, {"device_id": ids[1], "services": part(2)},
        {"device_id": DEVICE, "services": part(3)}]});
    device.say("sys/gateway/sub_devices/properties/report", &batch).await;
    for (id, level) in [(&*ids[0], 1), (&*ids[1], 2), (DEVICE, 3)] {
        let known = reported(platform, id).await;
        assert_eq!(known["properties"]["level"], level, "{id}: {known}");
    }

    let command = json!({"service_id": "meter", "command_name": "turn", "paras": {"to": "off"}});
    let answer = json!({"result_code": 0, "response_name": "done", "paras": {"at": "off"}});
    let path = path(&ids[0], "commands");
    let ((status, done), asked) = tokio::join!(
        platform.api.call(Method::POST, &path, Some(command)),
        device.obey("commands", &answer),
    );
    assert_eq!((status, &done["response"]["paras"]), (200, &json!({"at": "off"})), "{done}");
    assert_eq!(asked["object_device_id"], *ids[0], "{asked}");

    let gone = json!({"device_statuses": [{"device_id": ids[1], "status": "OFFLINE"}]});
    device.event("$sub_device_manager", "sub_device_update_status", gone).await;
    let answer = device.told("sub_device_update_status_response").await;
    assert_eq!(
        answer["successful_devices"],
        json!([{"device_id": ids[1], "status": "OFFLINE"}]),
        "{answer}"
    );
}

/// What the API adds and deletes behind the gateway is told to it.
async fn children_of_the_api(platform: &Platform, device: &mut Device) {
    let child = json!({"product_id": PRODUCT, "node_id": "c4", "gateway_id": DEVICE});
    let (status, made) = platform.api.call(Method::POST, "/devices", Some(child)).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/devices/{PRODUCT}_c4");
    let (status, _) = platform.api.call(Method::DELETE, &path, None).await;
    assert_eq!(status, 204);
    for kind in ["add_sub_device_notify", "delete_sub_device_notify"] {
        let told = device.told(kind).await;
        let one = &told["devices"][0];
        assert_eq!((&one["node_id"], &one["parent_device_id"]), (&json!("c4"), &json!(DEVICE)));
        assert!(told["version"].is_i64(), "{told}");
    }
}
