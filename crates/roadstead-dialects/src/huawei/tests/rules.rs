//! What is understood and written: properties, commands, events, children, bridges, files.

use std::string::ToString as _;
use std::vec;

use proptest::prelude::*;
use roadstead_core::device::Status;
use roadstead_core::exchange::{
    Answer, Downlink, NewSubDevice, SubDevice, SubDeviceFacts, SubDevices, Uplink,
};
use roadstead_core::product::Model;
use roadstead_core::shadow::{Change, Shadow, Values};
use serde_json::json;

use super::*;
use crate::cloud::Grant;
use crate::huawei::gzip;

fn map(value: Value) -> Map<std::string::String, Value> {
    match value {
        Value::Object(map) => map,
        _ => panic!("an object"),
    }
}

#[test]
fn reports_are_sorted_by_the_model() {
    let report = json!({"services": [
        {"service_id": "WaterMeter", "event_time": "20261121T003200Z", "properties": {
            "level": 7.0, "since": "2026-11-21T00:32:00Z", "note": "far too long", "x": 1
        }},
        {"service_id": "Other", "properties": {"a": 1}}
    ]});
    let mut wire = Wire::new(json!({}), meter());
    let Uplink::Report { services, rejected } =
        wire.hear_one("sys/properties/report", &report).uplink
    else {
        panic!("a report")
    };
    let at = Timestamp(1_795_221_120_000);
    let properties = map(json!({"level": 7, "since": at.0}));
    assert_eq!(services, [("WaterMeter".into(), Values { properties, at })]);
    let keys: Vec<&str> = rejected.iter().map(|(key, _)| &**key).collect();
    assert_eq!(keys, ["WaterMeter.note", "WaterMeter.x", "Other"]);
    // Strict and lenient operators.
    let mut strict = Wire::new(json!({"unknown_keys": "reject"}), meter());
    assert_eq!(code(&strict.hear_one("sys/properties/report", &report)), "model.violation");
    let mut lenient = Wire::new(json!({"unknown_keys": "accept"}), meter());
    let Uplink::Report { services, rejected } =
        lenient.hear_one("sys/properties/report", &report).uplink
    else {
        panic!("a report")
    };
    assert_eq!((services.len(), rejected.len()), (2, 1));
    for bad in [json!({}), json!({"services": []}), json!({"services": 1}), json!([])] {
        assert_eq!(code(&wire.hear_one("sys/properties/report", &bad)), "payload.malformed");
    }
}

#[test]
fn compressed_bodies_are_unpacked_up_to_a_limit() {
    let report = json!({"services": [{"service_id": "s", "properties": {"a": "b".repeat(500)}}]});
    let packed = Bytes::from(gzip::tests::pack(report.to_string().as_bytes(), 8));
    let mut wire = Wire::new(json!({}), Model::default());
    let topic = wire.topic("sys/properties/report?encoding=gzip");
    let heard = wire.hear_bytes(&topic, &packed);
    assert!(matches!(heard[0].1.uplink, Uplink::Report { .. }));
    let mut small = Wire::new(json!({"unpacked_bytes_max": 100}), Model::default());
    assert_eq!(code(&small.hear_bytes(&topic, &packed)[0].1), "payload.malformed");
    let batch = json!({"devices": [
        {"device_id": "c1", "services": [{"service_id": "s", "properties": {"a": 1}}]},
        {"device_id": DEVICE, "services": [{"service_id": "s", "properties": {"a": 2}}]}
    ]});
    let packed = Bytes::from(gzip::tests::pack(batch.to_string().as_bytes(), 0));
    let topic = wire.topic("sys/gateway/sub_devices/properties/report?encoding=gzip");
    let heard = wire.hear_bytes(&topic, &packed);
    let whom: Vec<&str> = heard.iter().map(|(account, _)| account.device.id.as_str()).collect();
    assert_eq!(whom, ["c1", DEVICE]);
    assert!(heard.iter().all(|(_, heard)| matches!(heard.uplink, Uplink::Report { .. })));
    for bad in [json!({"devices": []}), json!({"devices": [{"device_id": "a b", "services": []}]})]
    {
        let heard = wire.hear("sys/gateway/sub_devices/properties/report", &bad);
        assert_eq!(code(&heard[0]), "payload.malformed", "{bad}");
    }
}

#[test]
fn requests_and_their_answers() {
    let mut wire = Wire::new(json!({}), meter());
    let properties = map(json!({"since": 1_795_221_120_000_i64, "level": 3}));
    let set = Downlink::SetProperties { service: "WaterMeter".into(), properties };
    let (id, message) = wire.ask(&set).expect("sent");
    assert_eq!(
        body(&message),
        json!({"object_device_id": DEVICE, "services": [{
            "service_id": "WaterMeter", "properties": {"since": "20261121T003200Z", "level": 3}
        }]})
    );
    let leaf = std::format!("sys/properties/set/response/request_id={}", rid(&message));
    let heard = wire.hear_one(&leaf, &json!({"result_code": 0, "result_desc": "success"}));
    let Uplink::Response { request, response } = heard.uplink else { panic!("a response") };
    assert_eq!((request, response.code, &*response.status), (Some(id), 0, "success"));

    let get = Downlink::GetProperties { service: "WaterMeter".into(), properties: vec![] };
    for (answered, output, status) in
        [("WaterMeter", json!({"level": 5}), ""), ("Other", json!({}), "it answered for Other")]
    {
        let (id, message) = wire.ask(&get).expect("sent");
        assert_eq!(
            body(&message),
            json!({
                "object_device_id": DEVICE, "service_id": "WaterMeter"
            })
        );
        let leaf = std::format!("sys/properties/get/response/request_id={}", rid(&message));
        let heard = wire.hear_one(
            &leaf,
            &json!({"services": [
                {"service_id": answered, "properties": {"level": 5}, "event_time": null}
            ]}),
        );
        let Uplink::Response { request, response } = heard.uplink else { panic!("a response") };
        assert_eq!((request, &*response.status), (Some(id), status));
        assert_eq!(Value::Object(response.output), output);
    }

    let params = map(json!({"value": "1", "at": 1_795_221_120_000_i64}));
    let ask = |command: &str| Downlink::Command {
        service: "WaterMeter".into(),
        command: command.into(),
        params: params.clone(),
    };
    let (id, message) = wire.ask(&ask("ON_OFF")).expect("sent");
    assert_eq!(
        body(&message),
        json!({
            "object_device_id": DEVICE, "service_id": "WaterMeter", "command_name": "ON_OFF",
            "paras": {"value": "1", "at": "20261121T003200Z"}
        })
    );
    let leaf = std::format!("sys/commands/response/request_id={}", rid(&message));
    let heard = wire.hear_one(&leaf, &json!({"paras": {"result": "ok"}}));
    let Uplink::Response { request, response } = heard.uplink else { panic!("a response") };
    assert_eq!(
        (request, response.code, response.output),
        (Some(id), 0, map(json!({"result": "ok"})))
    );
    assert!(matches!(wire.ask(&ask("NOPE")), Err(CommandError::Model(_))));
    for request in [Downlink::Unbound, Downlink::Call(Bytes::new()), Downlink::Config(json!(1))] {
        assert!(matches!(wire.ask(&request), Err(CommandError::Unsupported(_))));
    }
}

#[test]
fn messages_go_where_they_are_sent() {
    let mut wire = Wire::new(json!({}), Model::default());
    for (channel, topic) in [
        ("default", "$oc/devices/lab_product_dev1/sys/messages/down"),
        ("topic/wifi", "$oc/devices/lab_product_dev1/user/wifi"),
        ("topic_name/$oc/devices/lab_product_dev1/user/x", "$oc/devices/lab_product_dev1/user/x"),
        ("topic_name/a/b", "a/b"),
    ] {
        let (_, message) =
            wire.ask(&Downlink::message(channel, Bytes::from_static(b"\xff"))).expect("sent");
        assert_eq!((&*message.topic, &message.payload[..]), (topic, &b"\xff"[..]));
    }
    for channel in [
        "topic/",
        "topic/#",
        "topic_name/$oc/devices/other/user/x",
        "topic_name/",
        "raw",
        "topic_name/$oc/devices/lab_product_dev1/sys/commands/request_id=1",
        "topic_name/$SYS/x",
    ] {
        let refused = wire.ask(&Downlink::message(channel, Bytes::new()));
        assert!(matches!(refused, Err(CommandError::Unsupported(_))), "{channel}");
    }
    let heard = wire.hear("user/devMsg", &json!({"content": 1}));
    assert!(
        matches!(&heard[0].uplink, Uplink::Message { channel, .. } if &**channel == "topic/devMsg")
    );
    // Topics by the product's list.
    let mut own = account(DEVICE, Model::default());
    let mut product = Product::clone(&own.product);
    product.attributes = map(json!({"custom_topics": [
        {"topic": "$oc/devices/{device_id}/user/up", "operation": "PUBLISH"},
        {"topic": "down", "operation": "SUBSCRIBE"}
    ]}));
    own.product = product.into();
    let session = cloud(json!({"custom_topics": "product"})).session(&own, RANDOM);
    let wire = Wire::of(own, session);
    for (rest, publish, subscribe) in
        [("up", Route::Own, false), ("down", Route::Denied, true), ("other", Route::Denied, false)]
    {
        let topic = wire.topic(&std::format!("user/{rest}"));
        assert_eq!(wire.session.publish_route(&topic), publish);
        assert_eq!(wire.session.subscribe_grant(&topic) != Grant::Denied, subscribe);
    }
}

#[test]
fn the_shadow_of_one_service_or_of_all() {
    let mut shadow = Shadow::default();
    for service in ["WaterMeter", "Other"] {
        let properties = map(json!({"since": 1_795_221_120_000_i64}));
        let values = Values { properties, at: NOW };
        shadow.apply(&Change::Report { service: service.into(), values });
    }
    let answer = Answer::Shadow(Box::new(shadow));
    let mut wire = Wire::new(json!({}), meter());
    let topic = wire.topic("sys/shadow/get/request_id=$get_device_shadow");
    for (question, services) in [
        (json!({}), 2),
        (json!({"object_device_id": DEVICE, "service_id": "WaterMeter"}), 1),
        (json!({"service_id": "None"}), 0),
    ] {
        let heard = wire.hear_bytes(&topic, &Bytes::from(question.to_string()));
        let out = wire.answer(&heard[0].1, &answer);
        let expected = wire.topic("sys/shadow/get/response/request_id=$get_device_shadow");
        assert_eq!(*out[0].topic, *expected);
        let body = body(&out[0]);
        assert_eq!(body["object_device_id"], DEVICE);
        assert_eq!(body["shadow"].as_array().map(Vec::len), Some(services), "{question}");
        if services == 1 {
            assert_eq!(
                body["shadow"][0],
                json!({
                    "service_id": "WaterMeter",
                    "desired": {"properties": {}, "event_time": null},
                    "reported": {"properties": {"since": "20261121T003200Z"},
                                 "event_time": "20261121T003249Z"},
                    "version": 1
                })
            );
        }
    }
    // A child's shadow is asked for through the gateway and answered to it.
    let heard = wire.hear_bytes(&topic, &Bytes::from_static(b"{\"object_device_id\":\"c1\"}"));
    let (child, heard) = &heard[0];
    let out = wire.answer_about(child, heard, &answer);
    assert!(out[0].topic.starts_with("$oc/devices/lab_product_dev1/"));
    assert_eq!(body(&out[0])["object_device_id"], "c1");
}

#[test]
fn events_of_the_model_and_of_the_platform() {
    let mut wire = Wire::new(json!({}), meter());
    let Uplink::Events(events) = wire.event("WaterMeter", "leak", json!({"litres": 3})).uplink
    else {
        panic!("an event")
    };
    assert_eq!((&*events[0].event, &events[0].params["litres"]), ("leak", &json!(3)));
    assert_eq!(code(&wire.event("WaterMeter", "burst", json!({}))), "model.violation");
    let wrong = json!({"services": [{
        "service_id": "WaterMeter", "event_type": "leak", "paras": {"litres": "x"}
    }]});
    assert_eq!(wire.hear("sys/events/up", &wrong).len(), 2);
    let info = wire.event(
        "$sdk_info",
        "sdk_info_report",
        json!({
            "device_sdk_version": "C_v1.2.1", "sw_version": "v1.0", "fw_version": ""
        }),
    );
    let facts = map(json!({"device_sdk_version": "C_v1.2.1", "sw_version": "v1.0"}));
    assert_eq!(info.uplink, Uplink::Info(facts));
    let version = wire.event("$ota", "version_report", json!({"fw_version": "2"}));
    assert_eq!(version.uplink, Uplink::Info(map(json!({"fw_version": "2"}))));
    for (service, kind) in [("$ota", "upgrade_progress_report"), ("$tunnel_manager", "x")] {
        let heard = wire.event(service, kind, json!({}));
        assert!(matches!(heard.uplink, Uplink::Ignored { .. }));
    }
    let found = wire.event("sub_device_discovery", "scan_result", json!({"devices": []}));
    assert!(matches!(found.uplink, Uplink::Events(_)));
    let (_, message) = wire.ask(&Downlink::LogLevel(4)).expect("sent");
    assert_eq!(
        body(&message)["services"][0]["paras"],
        json!({
            "switch": "on", "end_time": "20261122T003249Z"
        })
    );
    let (_, scan) = wire.ask(&Downlink::SearchSubDevices { start: true }).expect("sent");
    assert_eq!(body(&scan)["services"][0]["event_type"], "start_scan");
    assert_eq!(
        code(&wire.hear_one("sys/events/up", &json!({"services": []}))),
        "payload.malformed"
    );
}

#[test]
fn files_go_where_the_operator_says() {
    let paras = |name: &str| json!({"file_name": name, "file_attributes": {"size": 1}});
    let mut wire = Wire::new(json!({}), Model::default());
    let heard = wire.event("$file_manager", "get_upload_url", paras("a.txt"));
    assert_eq!((code(&heard), heard.reply), ("command.unsupported", None));
    let mut wire = Wire::new(json!({"file_url": "https://f.example/u/"}), Model::default());
    for (kind, answered) in [
        ("get_upload_url", "get_upload_url_response"),
        ("get_download_url", "get_download_url_response"),
    ] {
        let heard = wire.event("$file_manager", kind, paras("a.txt"));
        let event = body(&wire.answer(&heard, &Answer::Done)[0])["services"][0].clone();
        assert_eq!((&event["event_type"], &event["event_id"]), (&json!(answered), &json!("e1")));
        assert_eq!(
            event["paras"],
            json!({
                "url": "https://f.example/u/lab_product_dev1/a.txt", "bucket_name": "",
                "object_name": "lab_product_dev1/a.txt", "expire": 3600, "file_name": "a.txt"
            })
        );
    }
    for bad in ["", "..", "../x", "a/b", "a?b", "a b"] {
        let heard = wire.event("$file_manager", "get_upload_url", paras(bad));
        assert_eq!(code(&heard), "payload.malformed", "{bad}");
    }
}

fn facts(id: &str) -> SubDeviceFacts {
    SubDeviceFacts {
        device: SubDevice { product: "p1".into(), node: "n1".into() },
        id: id.into(),
        name: "s".into(),
        gateway: Some(DEVICE.into()),
        info: map(json!({"fw_version": "1"})),
        status: Status::Inactive,
    }
}

#[test]
fn children_are_added_deleted_and_described() {
    let mut wire = Wire::new(json!({}), Model::default());
    let manager = "$sub_device_manager";
    let heard = wire.event(manager, "add_sub_device_request", json!({"devices": [
        {"node_id": "n1", "product_id": "p1", "name": "s", "description": "d", "extension_info": {"a": 1}},
        {"node_id": "n2", "product_id": "p1", "device_id": "own", "parent_device_id": DEVICE}
    ]}));
    let Uplink::SubDevices(SubDevices::Create(new)) = &heard.uplink else { panic!("{heard:?}") };
    let first = NewSubDevice {
        device: SubDevice { product: "p1".into(), node: "n1".into() },
        id: None,
        name: "s".into(),
        info: map(json!({"description": "d", "extension_info": {"a": 1}})),
    };
    assert_eq!((&new[0], new[1].id.as_deref()), (&first, Some("own")));
    let results = vec![
        (new[0].device.clone(), Ok(facts("p1_n1"))),
        (new[1].device.clone(), Err("subdevice.bound_elsewhere")),
    ];
    let event = body(&wire.answer(&heard, &Answer::Created(results))[0])["services"][0].clone();
    assert_eq!(event["event_type"], "add_sub_device_response");
    assert_eq!(
        event["paras"],
        json!({
            "successful_devices": [{
                "parent_device_id": DEVICE, "node_id": "n1", "device_id": "p1_n1", "name": "s",
                "description": null, "product_id": "p1", "fw_version": "1", "sw_version": null,
                "status": "INACTIVE", "extension_info": null
            }],
            "failed_devices": [{
                "node_id": "n2", "product_id": "p1", "error_code": "IOTDA.014016",
                "error_msg": "The device belongs to another gateway."
            }]
        })
    );

    let heard = wire.event(manager, "delete_sub_device_request", json!({"devices": ["a", "b"]}));
    let subs = ["a", "b"].map(SubDevice::of_id);
    assert_eq!(heard.uplink, Uplink::SubDevices(SubDevices::Delete(subs.to_vec())));
    let [a, b] = subs;
    let results = Answer::SubDevices(vec![(a, Ok(())), (b, Err("subdevice.not_attached"))]);
    let event = body(&wire.answer(&heard, &results)[0])["services"][0].clone();
    assert_eq!(event["paras"]["successful_devices"], json!(["a"]));
    assert_eq!(event["paras"]["failed_devices"][0]["device_id"], "b");

    let heard = wire.event(manager, "sub_device_sync_request", json!({"version": 3}));
    assert_eq!(heard.uplink, Uplink::SubDevices(SubDevices::Describe));
    let many: Vec<SubDeviceFacts> = (0..60).map(|n| facts(&std::format!("c{n}"))).collect();
    let out = wire.answer(&heard, &Answer::Described(many));
    let counts: Vec<usize> = out
        .iter()
        .map(|m| body(m)["services"][0]["paras"]["devices"].as_array().expect("a list").len())
        .collect();
    assert_eq!(counts, [50, 10]);
    let gone =
        Downlink::SubDevicesChanged { attached: false, devices: vec![], facts: vec![facts("c")] };
    let (_, message) = wire.ask(&gone).expect("sent");
    assert_eq!(body(&message)["services"][0]["event_type"], "delete_sub_device_notify");

    for (kind, paras) in [
        ("add_sub_device_request", json!({"devices": []})),
        ("add_sub_device_request", json!({"devices": [{"node_id": "n"}]})),
        ("add_sub_device_request", json!({"devices": [{"node_id": "a b", "product_id": "p"}]})),
        ("delete_sub_device_request", json!({"devices": [1]})),
        ("sub_device_update_status", json!({"device_statuses": [{"device_id": "a"}]})),
        ("sub_device_update_status", json!({})),
    ] {
        assert_eq!(code(&wire.event(manager, kind, paras.clone())), "payload.malformed", "{paras}");
    }
}

#[test]
fn requests_to_a_child_go_through_its_gateway() {
    let mut wire = Wire::new(json!({}), Model::default());
    let child = account("c1", Model::default());
    let command =
        Downlink::Command { service: "s".into(), command: "c".into(), params: Map::new() };
    let (id, message) = wire.ask_about(&child, &command).expect("sent");
    assert!(message.topic.starts_with("$oc/devices/lab_product_dev1/sys/commands/request_id="));
    assert_eq!(body(&message)["object_device_id"], "c1");
    let leaf = std::format!("sys/commands/response/request_id={}", rid(&message));
    let heard = wire.hear_one(&leaf, &json!({"result_code": 0}));
    assert!(matches!(heard.uplink, Uplink::Response { request, .. } if request == Some(id)));
}

#[test]
fn a_bridge_brings_devices_by_their_own_proof() {
    use crate::huawei::auth::{Sign, password};
    let own = account("bridge01", Model::default());
    let cloud = cloud(json!({}));
    let proof = password(Sign::Sha256, "2026112100", SECRET.as_bytes());
    let login = hello("bridge01_3_0_2026112100", "bridge01", &proof);
    assert_eq!(cloud.admit(&login, &own, NOW), Ok(()));
    let session = cloud.session_of(&login, &own, RANDOM);
    let mut wire = Wire::of(own, session);
    let topic = "$oc/bridges/bridge01/devices/d1/sys/login/request_id=7";
    let body_of = |password: &str| {
        Bytes::from(
            json!({"sign_type": 0, "timestamp": "2026112100", "password": password}).to_string(),
        )
    };
    let heard = wire.hear_bytes(topic, &body_of(&proof));
    let Uplink::SubDevices(SubDevices::Enter(entering)) = &heard[0].1.uplink else {
        panic!("{heard:?}", heard = heard[0].1)
    };
    assert_eq!(entering.device.id(), Some("d1"));
    let sub = account("d1", Model::default());
    assert_eq!(cloud.verify_sub_device(&sub, &entering.proof, NOW), Ok(()));
    let answer = Answer::SubDevices(vec![(entering.device.clone(), Ok(()))]);
    let out = wire.answer(&heard[0].1, &answer);
    assert_eq!(&*out[0].topic, "$oc/bridges/bridge01/devices/d1/sys/login/response/request_id=7");
    assert_eq!(body(&out[0])["result_code"], 0);
    let forged = wire.hear_bytes(topic, &body_of("00"));
    let Uplink::SubDevices(SubDevices::Enter(entering)) = &forged[0].1.uplink else { panic!() };
    let refused = cloud.verify_sub_device(&sub, &entering.proof, NOW);
    assert_eq!(refused, Err("subdevice.bad_signature"));
    let answer =
        Answer::SubDevices(vec![(entering.device.clone(), Err("subdevice.bad_signature"))]);
    assert_eq!(body(&wire.answer(&forged[0].1, &answer)[0])["result_code"], 1);
    // What it says later is about the device; what the device is told goes to its own topics.
    let report =
        Bytes::from_static(b"{\"services\":[{\"service_id\":\"s\",\"properties\":{\"a\":1}}]}");
    let heard = wire.hear_bytes("$oc/bridges/bridge01/devices/d1/sys/properties/report", &report);
    assert_eq!(heard[0].0.device.id.as_str(), "d1");
    assert!(matches!(heard[0].1.uplink, Uplink::Report { .. }));
    let get = Downlink::GetProperties { service: "s".into(), properties: vec![] };
    let (_, message) = wire.ask_about(&sub, &get).expect("sent");
    assert!(message.topic.starts_with("$oc/bridges/bridge01/devices/d1/sys/properties/get/"));
    let heard =
        wire.hear_bytes("$oc/bridges/bridge01/devices/d1/sys/logout/request_id=8", &Bytes::new());
    let said = SubDevices::Offline(vec![SubDevice::of_id("d1")]);
    assert_eq!(heard[0].1.uplink, Uplink::SubDevices(said));
    // Another secret: the old one is the proof, the answer repeats the new one.
    let topic = "$oc/bridges/bridge01/devices/d1/sys/reset_secret/request_id=9";
    let reset = Bytes::from_static(br#"{"old_secret":"old-secret-1","new_secret":"new-secret-1"}"#);
    let heard = wire.hear_bytes(topic, &reset);
    let Uplink::SubDevices(SubDevices::ResetSecret { device, old, new }) = &heard[0].1.uplink
    else {
        panic!("{heard:?}", heard = heard[0].1)
    };
    let texts = [&old.0, &new.0].map(|secret| secret.expose_text());
    assert_eq!((device.id(), texts), (Some("d1"), [Some("old-secret-1"), Some("new-secret-1")]));
    assert!(!std::format!("{:?}", heard[0].1).contains("secret-1"), "secrets do not print");
    let taken = Answer::SubDevices(vec![(device.clone(), Ok(()))]);
    let out = wire.answer(&heard[0].1, &taken);
    let expected = "$oc/bridges/bridge01/devices/d1/sys/reset_secret/response/request_id=9";
    assert_eq!(&*out[0].topic, expected);
    let told = body(&out[0]);
    assert_eq!(
        (&told["result_code"], &told["paras"]["new_secret"]),
        (&json!(0), &json!("new-secret-1"))
    );
    let heard = wire.hear_bytes(topic, &reset);
    let refused = Answer::SubDevices(vec![(SubDevice::of_id("d1"), Err("auth.bad_password"))]);
    let told = body(&wire.answer(&heard[0].1, &refused)[0]);
    assert_eq!((&told["result_code"], told.get("paras")), (&json!(1), None));
    let broken = wire.hear_bytes(topic, &Bytes::from_static(b"{}"));
    assert_eq!(code(&broken[0].1), "payload.malformed");
    // The platform kicks a device.
    let gone = Downlink::SubDevicesChanged {
        attached: false,
        devices: vec![SubDevice::of_id("d1")],
        facts: vec![],
    };
    let (_, message) = wire.ask(&gone).expect("sent");
    assert_eq!(&*message.topic, "$oc/bridges/bridge01/devices/d1/sys/disconnect");
    let topic = "$oc/bridges/bridge01/devices/d1/sys/login/request_id=7";
    // Only a bridge has these topics, and only its own.
    let device = Wire::new(json!({}), Model::default());
    assert_eq!(device.session.publish_route(topic), Route::Denied);
    let foreign = "$oc/bridges/other/devices/d1/sys/messages/up";
    assert_eq!(wire.session.publish_route(foreign), Route::Denied);
}

proptest! {
    #[test]
    fn arbitrary_messages_never_panic(
        leaf in "sys/(messages/up|properties/report|events/up|gateway/sub_devices/properties/report|\
                 shadow/get/request_id=.{0,5}|commands/response/request_id=.{0,5}|\
                 properties/(set|get)/response/request_id=.{0,5}|bootstrap/up)(.encoding=gzip)?",
        payload in prop::collection::vec(any::<u8>(), 0..60),
        service in "[$]?(sub_device_manager|time_sync|log|file_manager|ota|x)",
        kind in "[a-z_]{0,30}|add_sub_device_request|sub_device_update_status|get_upload_url",
        paras in "[\\[\\]{}\":,a-z0-9]{0,30}",
    ) {
        let mut wire = Wire::new(json!({"file_url": "https://f"}), meter());
        let topic = wire.topic(&leaf);
        if wire.session.publish_route(&topic) != Route::Denied {
            for (account, heard) in wire.hear_bytes(&topic, &payload.into()) {
                if heard.reply.is_some() {
                    wire.answer_about(&account, &heard, &Answer::Done);
                }
            }
        }
        let paras = serde_json::from_str::<Value>(&paras).unwrap_or(json!({"devices": [paras]}));
        let event = json!({"services": [{"service_id": service, "event_type": kind, "paras": paras}]});
        for heard in wire.hear("sys/events/up", &event) {
            if heard.reply.is_some() {
                wire.answer(&heard, &Answer::Done);
            }
        }
    }
}
