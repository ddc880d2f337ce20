//! A GizWits module's day at the cloud over real sockets: registration over plain HTTP read with
//! one recv, MQTT 3.1 with a stock client, and with a client that reads like the firmware: one
//! recv, one packet.

mod module;

use reqwest::Method;
use serde_json::{Value, json};

use crate::clients::{Script, python};
use crate::platform::Platform;

const KEY: &str = "6f3074fe43894547a4f1314bd7e3ae0b";
const MAC: &str = "0247495A0001";
const DID: &str = "GzwDemo0123456789ABCDE";
const PASSCODE: &str = "SDGUVYIYYB";

fn fleet(devices: &Value) -> Value {
    let model: Value = serde_json::from_str(include_str!("../clients/gizwits_pet_house.json"))
        .expect("the vendor's document");
    json!({
        "version": 1,
        "products": [{"dialect": "gizwits", "product": KEY, "name": "Pet house", "auth": "secret",
            "dynamic_registration": "open", "model": model}],
        "devices": devices,
    })
}

async fn platform(devices: &Value) -> Platform {
    let platform = Platform::start().await;
    let report = platform.api.import(fleet(devices)).await;
    assert_eq!(report["errors"], json!([]), "{report}");
    platform
}

fn arguments<'a>(platform: &'a Platform, mac: &'a str) -> Vec<&'a str> {
    let http = platform.address("vendor_http");
    Vec::from(["--http", http, "--product", KEY, "--mac", mac, "--passcode", PASSCODE])
}

/// Registers, is sent to this server, checks its firmware, logs in, reports, obeys; the same DID
/// after a restart of the platform.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stock_client_does_the_tour_of_a_module() {
    let Some(python) = python("paho.mqtt.client").await else { return };
    let mut platform = platform(&json!([])).await;
    let mut known: Option<String> = None;
    for _ in 0..2 {
        let mut script = Script::start(&python, "gizwits_module.py", &arguments(&platform, MAC));
        let did = script.event("registered").await["did"].as_str().expect("text").to_owned();
        assert_eq!(*known.get_or_insert_with(|| did.clone()), did, "stable");
        let port = platform.address("mqtt").rsplit_once(':').expect("port").1;
        assert_eq!(script.event("provisioned").await["port"].to_string(), port);
        assert_eq!(script.event("checked").await["status"], 404);
        assert_eq!(script.event("connected").await["rc"], 0);
        let ready = script.event("ready").await;
        assert_eq!(
            (&ready["granted"], &ready["clients"]),
            (&json!([0, 0, 0]), &json!("0000000302100001"))
        );
        obeys(&platform, &did).await;
        script.ends_well().await;
        shows(&platform, &did).await;
        platform = platform.restart().await;
    }
    platform.stop().await;
}

/// Sets two properties and reads all.
async fn obeys(platform: &Platform, did: &str) {
    let path = format!("/devices/{did}/properties");
    let wanted = json!({"services": [{"service_id": "default",
        "properties": {"LED_OnOff": true, "LED_Color": "Purple"}}]});
    let (status, body) = platform.api.call(Method::PUT, &path, Some(wanted)).await;
    assert_eq!((status, &body["response"]["result_code"]), (200, &json!(0)), "{body}");
    let read = platform.api.get(&path).await;
    let values = &read["response"]["services"][0]["properties"];
    assert_eq!((&values["LED_R"], &values["Temperature"]), (&json!(254), &json!(12)), "{read}");
}

/// What the business side sees.
async fn shows(platform: &Platform, did: &str) {
    let device = platform.api.get(&format!("/devices/{did}")).await;
    assert_eq!((&device["product_id"], &device["node_id"]), (&json!(KEY), &json!(MAC)), "{device}");
    assert_eq!(
        (&device["fw_version"], &device["sw_version"]),
        (&json!("04020006"), &json!("00000002"))
    );
    let shadow = platform.api.get(&format!("/devices/{did}/shadow")).await;
    let service = &shadow["shadow"][0];
    assert_eq!(service["service_id"], "default");
    let reported = &service["reported"]["properties"];
    assert_eq!((&reported["LED_Color"], &reported["Alert_2"]), (&json!("Purple"), &json!(true)));
    let trace = platform.api.trace(did).await;
    assert!(trace.iter().any(|hop| hop == "event:ok"), "{trace:?}");
}

/// A device with its own DID logs in unchanged; four controls at once reach it one by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_packet_shares_a_segment_with_another() {
    let Some(python) = python("paho.mqtt.client").await else { return };
    let row = json!([{"dialect": "gizwits", "product": KEY, "device": "0247495a0001",
        "device_id": DID, "secret": PASSCODE}]);
    let platform = platform(&row).await;
    let mut arguments = arguments(&platform, MAC);
    arguments.extend(["--raw", "--requests", "4"]);
    let mut script = Script::start(&python, "gizwits_module.py", &arguments);
    assert_eq!(script.event("registered").await["did"], DID, "in capitals or not");
    assert_eq!(script.event("connected").await["rc"], 0);
    script.event("ready").await;
    let path = format!("/devices/{DID}/properties");
    let set = |speed: i32| {
        let wanted = json!({"services": [{"service_id": "default",
            "properties": {"Motor_Speed": speed}}]});
        platform.api.call(Method::PUT, &path, Some(wanted))
    };
    let answers = tokio::join!(set(1), set(2), set(3), set(4));
    for (status, body) in [answers.0, answers.1, answers.2, answers.3] {
        assert_eq!((status, &body["response"]["result_code"]), (200, &json!(0)), "{body}");
    }
    script.ends_well().await;
    platform.stop().await;
}
