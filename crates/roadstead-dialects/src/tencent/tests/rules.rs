//! The rules of the specification that no recording shows, and hostile input.

use std::boxed::Box;
use std::string::{String, ToString as _};
use std::time::Duration;
use std::vec;
use std::vec::Vec;

use bytes::Bytes;
use proptest::prelude::*;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Downlink, SubDevice, SubDevices, Uplink};
use roadstead_core::product::{DEFAULT_SERVICE, DataType, Level, Model};
use roadstead_core::shadow::{ServiceState, Shadow, Values};
use roadstead_core::{Map, RequestId, Timestamp, Value};
use serde_json::json;

use super::{Lamp, NODE, NOW, PRODUCT, account, body, lamp};
use crate::cloud::{Grant, Message, Route};

const PROPERTY: &str = "$thing/up/property";
const EVENT: &str = "$thing/up/event";
const ACTION: &str = "$thing/up/action";
const SERVICE: &str = "$thing/up/service";

impl Lamp {
    fn answer(&mut self, heard: &crate::cloud::Heard, answer: &Answer) -> Vec<Message> {
        let mut out = Vec::new();
        let reply = heard.reply.as_ref().expect("wants an answer");
        self.session.answer(&self.account, reply, answer, NOW, &mut out);
        out
    }

    fn send(&mut self, request: &Downlink) -> Result<Vec<Message>, CommandError> {
        let mut out = Vec::new();
        let id = Some(RequestId(5));
        self.session.downlink(&self.account, id, request, NOW, &mut out).map(|()| out)
    }
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("an object") };
    object
}

fn refused(code: &'static str) -> Answer {
    Answer::Refused { code, detail: "because".into() }
}

#[test]
fn topics_of_the_device_its_sub_devices_and_others() {
    let own = |topic: &str| std::format!("{topic}/{PRODUCT}/{NODE}");
    let sub = Route::Sub(SubDevice { product: "WPDA0S6S08".into(), node: "dev001".into() });
    let any = Lamp::new(json!({}));
    let vendor = Lamp::new(json!({"custom_topics": "vendor"}));
    for (topic, route) in [
        (own(PROPERTY), Route::Own),
        (own("$gateway/operation"), Route::Own),
        (std::format!("$rrpc/txd/{PRODUCT}/{NODE}/1"), Route::Own),
        ("$thing/up/event/WPDA0S6S08/dev001".into(), sub.clone()),
        ("WPDA0S6S08/dev001/data".into(), sub),
        ("$gateway/operation/WPDA0S6S08/dev001".into(), Route::Denied),
        (std::format!("{PRODUCT}/{NODE}/data"), Route::Free),
        (std::format!("{PRODUCT}/{NODE}/+"), Route::Denied),
        (own("$thing/down/property"), Route::Denied),
        (own("$sys/operation/result"), Route::Denied),
        ("$oc/devices/x/sys/properties/report".into(), Route::Denied),
        ("plain".into(), Route::Denied),
    ] {
        assert_eq!(any.session.publish_route(&topic), route, "{topic}");
    }
    let own_custom = std::format!("{PRODUCT}/{NODE}/user/anything");
    assert_eq!(any.session.publish_route(&own_custom), Route::Free);
    assert_eq!(vendor.session.publish_route(&own_custom), Route::Denied);
    let control = std::format!("{PRODUCT}/{NODE}/control");
    assert_eq!(vendor.session.publish_route(&control), Route::Denied);
    assert_eq!(vendor.session.subscribe_grant(&control), Grant::Free { qos_max: 1 });
    for (filter, grant) in [
        (own("$thing/down/action"), Grant::Platform { qos_max: 1 }),
        (std::format!("$rrpc/rxd/{PRODUCT}/{NODE}/+"), Grant::Platform { qos_max: 1 }),
        (own("$broadcast/rxd"), Grant::Platform { qos_max: 1 }),
        (std::format!("{PRODUCT}/{NODE}/#"), Grant::Free { qos_max: 1 }),
        (own(PROPERTY), Grant::Denied),
        ("$thing/down/#".into(), Grant::Denied),
        ("#".into(), Grant::Denied),
        ("$gateway/operation/result/WPDA0S6S08/dev001".into(), Grant::Denied),
    ] {
        assert_eq!(any.session.subscribe_grant(&filter), grant, "{filter}");
    }
    assert!(any.session.is_ready_after(&own("$thing/down/service")));
    assert!(!any.session.is_ready_after(&own("$sys/operation/result")));
    assert!(!any.session.is_ready_after("$thing/down/service/WPDA0S6S08/dev001"));
}

#[test]
fn unknown_keys_follow_the_policy() {
    let report = json!({"method": "report", "clientToken": "t", "params":
        {"power_switch": 1, "color": 2, "brightness": 101, "what": [1]}});
    let known = object(json!({"power_switch": true, "color": "Blue"}));
    let Uplink::Report { services, rejected } =
        Lamp::new(json!({})).hear_one(PROPERTY, &report).uplink
    else {
        panic!("a report")
    };
    assert_eq!(services, [(DEFAULT_SERVICE.into(), Values { properties: known, at: NOW })]);
    let rejected: Vec<_> = rejected.iter().map(|(key, why)| (&**key, &**why)).collect();
    let expected = [("brightness", "101 is above the maximum"), ("what", "not in the model")];
    assert_eq!(rejected, expected);

    let reject = Lamp::new(json!({"unknown_keys": "reject"})).hear_one(PROPERTY, &report);
    let detail = "brightness: 101 is above the maximum".into();
    assert_eq!(reject.uplink, Uplink::Malformed { code: "model.violation", detail });
    assert!(reject.reply.is_some(), "the device is told");

    let accept = Lamp::new(json!({"unknown_keys": "accept"})).hear_one(PROPERTY, &report);
    let Uplink::Report { services, rejected } = accept.uplink else { panic!("a report") };
    assert_eq!(services[0].1.properties["what"], json!([1]));
    assert_eq!(rejected.len(), 1, "a wrong value stays wrong");

    let mut bare = Lamp::with_model(json!({}), Model::default());
    let Uplink::Report { services, rejected } = bare.hear_one(PROPERTY, &report).uplink else {
        panic!("a report")
    };
    assert_eq!((services[0].1.properties.len(), rejected.len()), (4, 0));
}

#[test]
fn a_report_is_answered_with_the_outcome() {
    let mut lamp = Lamp::new(json!({}));
    let report = json!({"method": "report", "clientToken": "L4WG9V9M2M-7", "params": {}});
    let heard = lamp.hear_one(PROPERTY, &report);
    let detail = "what: not in the model".into();
    for (answer, code, status) in [
        (Answer::Done, 0, "success"),
        (Answer::Partly { code: "model.violation", detail }, 406, "what: not in the model"),
        (refused("internal.store"), 500, "because"),
    ] {
        let out = lamp.answer(&heard, &answer);
        let expected = std::format!(
            r#"{{"method":"report_reply","clientToken":"L4WG9V9M2M-7","code":{code},"status":"{status}"}}"#
        );
        assert_eq!(out[0].payload, expected);
        assert_eq!(&*out[0].topic, "$thing/down/property/L4WG9V9M2M/TEST2");
    }
    let bad =
        lamp.hear_one(PROPERTY, &json!({"method": "report", "clientToken": "t", "params": 1}));
    assert!(matches!(bad.uplink, Uplink::Malformed { code: "payload.malformed", .. }));
    assert_eq!(bad.reply.expect("told").token.as_ref(), "t");
    let ancient = json!({"method": "report", "params": {"power_switch": true}});
    let heard = lamp.hear_one(PROPERTY, &ancient);
    assert_eq!(
        lamp.answer(&heard, &Answer::Done)[0].payload,
        r#"{"method":"report_reply","code":0,"status":"success"}"#
    );
}

#[test]
fn device_information_gets_canonical_names() {
    let info = json!({"method": "report_info", "clientToken": "t", "params":
        {"fw_ver": "3.1.5", "module_softinfo": "V1.0", "mac": "aa", "device_label": {"k": "v"}}});
    let heard = Lamp::new(json!({})).hear_one(PROPERTY, &info);
    let expected = json!({"fw_version": "3.1.5", "module_version": "V1.0", "mac": "aa",
        "device_label": {"k": "v"}});
    assert_eq!(heard.uplink, Uplink::Info(object(expected)));
}

fn shadow(reported: Value, desired: Value) -> Box<Shadow> {
    let values = |value| Values { properties: object(value), at: NOW };
    let state = ServiceState { reported: values(reported), desired: values(desired), version: 1 };
    let mut shadow = Shadow::default();
    shadow.services.insert(DEFAULT_SERVICE.into(), state);
    Box::new(shadow)
}

#[test]
fn the_state_has_control_only_when_something_waits() {
    let mut lamp = Lamp::new(json!({}));
    let heard = lamp.hear_one(PROPERTY, &json!({"method": "get_status", "clientToken": "t"}));
    for (state, data) in [
        (shadow(json!({}), json!({})), json!({})),
        (
            shadow(json!({"power_switch": true}), json!({})),
            json!({"reported": {"power_switch": 1}}),
        ),
        (
            shadow(json!({"color": "Red"}), json!({"color": "Blue", "power_switch": false})),
            json!({"reported": {"color": 0}, "control": {"color": 2, "power_switch": 0}}),
        ),
    ] {
        let out = lamp.answer(&heard, &Answer::Shadow(state));
        assert_eq!(body(&out[0])["data"], data);
    }
    assert_eq!(body(&lamp.answer(&heard, &refused("internal.store"))[0])["code"], 500);
}

#[test]
fn a_state_that_does_not_fit_is_cut_and_keeps_what_is_pending() {
    let mut lamp = Lamp::with_model(json!({}), Model::default());
    let heard = lamp.hear_one(PROPERTY, &json!({"method": "get_status", "clientToken": "t"}));
    let many = |n: usize| {
        Value::Object((0..n).map(|n| (std::format!("key{n}"), "x".repeat(40).into())).collect())
    };
    for (reported, desired, keeps_all) in [(100, 5, true), (100, 100, false), (0, 60, false)] {
        let out = lamp.answer(&heard, &Answer::Shadow(shadow(many(reported), many(desired))));
        assert!(out[0].payload.len() + out[0].topic.len() + 7 < 2048);
        let data = &body(&out[0])["data"];
        assert!(data.get("reported").is_none());
        let kept = data["control"].as_object().expect("something").len();
        assert!(kept > 0 && (kept == desired) == keeps_all, "{kept} of {desired}");
    }
}

#[test]
fn control_speaks_the_vendors_values_and_knows_its_answer() {
    let mut lamp = Lamp::new(json!({}));
    let properties = object(json!({"power_switch": true, "color": "Green", "brightness": 5}));
    let request = Downlink::SetProperties { service: DEFAULT_SERVICE.into(), properties };
    let out = lamp.send(&request).expect("sendable");
    let sent = body(&out[0]);
    assert_eq!(sent["params"], json!({"power_switch": 1, "color": 1, "brightness": 5}));
    let reply = |token: &Value| json!({"method": "control_reply", "code": 0, "clientToken": token});
    let request_of = |lamp: &mut Lamp, token: &Value| match lamp.hear_one(PROPERTY, &reply(token)) {
        heard if heard.reply.is_none() => match heard.uplink {
            Uplink::Response { request, .. } => request,
            other => panic!("{other:?}"),
        },
        heard => panic!("{heard:?}"),
    };
    assert_eq!(request_of(&mut lamp, &sent["clientToken"]), Some(RequestId(5)));
    assert_eq!(request_of(&mut lamp, &json!("L4WG9V9M2M-1")), None);
    // The next connection does not take it for its own.
    let mut next = Lamp::new(json!({}));
    next.session = super::cloud(json!({})).session(&next.account, 99);
    assert_eq!(request_of(&mut next, &sent["clientToken"]), None);
}

#[test]
fn a_request_that_does_not_fit_the_buffer_is_refused() {
    let mut lamp = Lamp::with_model(json!({}), Model::default());
    let properties = |n: usize| object(json!({"text": "x".repeat(n)}));
    let set = |n| Downlink::SetProperties { service: "s".into(), properties: properties(n) };
    let fixed = lamp.send(&set(0)).expect("sendable");
    let room = 2047 - 7 - fixed[0].topic.len() - fixed[0].payload.len();
    assert_eq!(lamp.send(&set(room)).expect("just fits").len(), 1);
    assert_eq!(lamp.send(&set(room + 1)), Err(CommandError::TooLarge { size: 2048, limit: 2047 }));
    let get = Downlink::GetProperties { service: "s".into(), properties: vec![] };
    assert!(matches!(lamp.send(&get), Err(CommandError::Unsupported(_))));
    let message = Downlink::message("smoke", Bytes::new());
    assert!(matches!(lamp.send(&message), Err(CommandError::Unsupported(_))));
}

fn command(command: &str, params: Value) -> Downlink {
    let (service, command) = (DEFAULT_SERVICE.into(), command.into());
    Downlink::Command { service, command, params: object(params) }
}

#[test]
fn an_action_has_all_five_keys_and_all_inputs() {
    let mut model = lamp();
    for input in &mut model.services[0].commands[0].input {
        input.required = &*input.id == "time";
    }
    let mut lamp = Lamp::with_model(json!({}), model);
    let out = lamp.send(&command("light_blink", json!({"time": 5}))).expect("sendable");
    let sent = body(&out[0]);
    let keys: Vec<_> = sent.as_object().expect("object").keys().collect();
    assert_eq!(keys, ["method", "clientToken", "actionId", "timestamp", "params"]);
    assert_eq!(sent["timestamp"], NOW.as_secs());
    assert_eq!(sent["params"], json!({"time": 5, "color": 0, "total_time": 1}));
    let missing = lamp.send(&command("light_blink", json!({"color": "Red"})));
    assert_eq!(missing, Err(CommandError::Model("time: missing".into())));
    let unknown = lamp.send(&command("dance", json!({})));
    assert_eq!(unknown, Err(CommandError::Model("no action `dance`".into())));

    let reply = json!({"method": "action_reply", "clientToken": sent["clientToken"], "code": 0,
        "status": "done", "response": {"err_code": 1, "more": 2}});
    let Uplink::Response { request, response } = lamp.hear_one(ACTION, &reply).uplink else {
        panic!("a response")
    };
    assert_eq!(request, Some(RequestId(5)));
    assert_eq!(response.output, object(json!({"err_code": true, "more": 2})));
    assert_eq!((response.code, &*response.status), (0, "done"));
}

#[test]
fn every_type_of_input_can_be_filled() {
    let text = include_str!("../../../vectors/tencent-model-meter.json");
    let document: Value = serde_json::from_str(text).expect("JSON");
    let mut model = crate::tencent::model::import(&document).expect("imports");
    let input: Vec<_> = model.services[0]
        .properties
        .iter()
        .map(|p| roadstead_core::product::Parameter {
            required: false,
            ..roadstead_core::product::Parameter::new(&p.id, p.ty.clone())
        })
        .collect();
    let mut action = lamp().services[0].commands[0].clone();
    action.input = input;
    model.services[0].commands.push(action);
    let out = Lamp::with_model(json!({}), model)
        .send(&command("light_blink", json!({})))
        .expect("sendable");
    let expected = json!({"mode": "eco", "since": NOW.as_secs(), "readings": [], "phases": [],
        "unlock": 0, "level": 0});
    assert_eq!(body(&out[0])["params"], expected);
}

#[test]
fn events_one_and_several() {
    let mut lamp = Lamp::new(json!({}));
    let one = json!({"method": "event_post", "clientToken": "e1", "version": "1.0",
        "eventId": "low_voltage", "type": "alert", "timestamp": 1_795_222_000_000_i64,
        "params": {"voltage": 3.5}});
    let heard = lamp.hear_one(EVENT, &one);
    let Uplink::Events(events) = &heard.uplink else { panic!("{heard:?}") };
    assert_eq!((&*events[0].event, events[0].level), ("low_voltage", Level::Alert));
    assert_eq!(events[0].at, Timestamp(1_795_222_000_000));
    assert_eq!(
        lamp.answer(&heard, &Answer::Done)[0].payload,
        r#"{"method":"event_reply","clientToken":"e1","version":"1.0","code":0,"status":"success","data":{}}"#
    );

    let post =
        |events: Value| json!({"method": "events_post", "clientToken": "e2", "events": events});
    let good = json!({"eventId": "status_report", "type": "info", "timestamp": 0,
        "params": {"status": 0, "message": "ok"}});
    let bad = json!({"eventId": "nothing", "type": "fatal", "params": {}});
    let heard = lamp.hear(EVENT, &post(json!([good, bad])));
    let Uplink::Events(events) = &heard[0].uplink else { panic!("{heard:?}") };
    assert_eq!((events.len(), events[0].at), (1, NOW));
    assert!(matches!(&heard[1].uplink, Uplink::Malformed { code: "model.violation", .. }));
    assert!(heard[1].reply.is_none(), "one message, one answer");
    assert_eq!(body(&lamp.answer(&heard[0], &Answer::Done)[0])["code"], 406);

    let heard = lamp.hear_one(EVENT, &post(json!([bad])));
    assert!(matches!(&heard.uplink, Uplink::Malformed { code: "model.violation", .. }));
    let mut lenient = Lamp::new(json!({"unknown_keys": "accept"}));
    let Uplink::Events(events) = lenient.hear_one(EVENT, &post(json!([bad]))).uplink else {
        panic!("events")
    };
    assert_eq!(events[0].level, Level::Fault);
}

#[test]
fn pair_times_become_stages_however_the_counter_wraps() {
    let ticks = |times: Value| {
        let bind = json!({"method": "app_bind_token", "clientToken": "b",
            "params": {"token": "69f978dfbb48ec40cadb6d9af470d0f6", "pairTime": times}});
        match Lamp::new(json!({})).hear_one(SERVICE, &bind).uplink {
            Uplink::BindToken { stages, method, token, own_life: None } => {
                assert_eq!(token.0.expose(), b"69f978dfbb48ec40cadb6d9af470d0f6");
                let stages: Vec<_> =
                    stages.into_iter().map(|stage| (stage.name, stage.tick_ms)).collect();
                (stages, method)
            }
            other => panic!("{other:?}"),
        }
    };
    let (stages, method) = ticks(json!({"type": "SoftAP", "start": 4_220_996_553_u64,
        "getSSID": 4_220_998_555_u64, "wifiConnected": 0, "getToken": 4_220_998_555_u64,
        "mqttStart": 4_221_003_645_u64, "mqttConnected": 4_221_003_645_u64,
        "tokenPublish": 4_221_004_645_u64}));
    assert_eq!(method.as_deref(), Some("SoftAP"));
    let expected = [
        ("provisioning_started", 4_220_996_553),
        ("credentials_received", 4_220_998_555),
        ("device_replied", 4_220_998_555),
        ("connecting", 4_221_003_645),
        ("connected", 4_221_003_645),
        ("token_sent", 4_221_004_645),
    ];
    assert_eq!(stages, expected);
    // Signed print: the counter passed 2^31.
    let (stages, _) = ticks(json!({"start": 2_147_483_000, "tokenPublish": -2_147_483_000}));
    assert_eq!(stages[1].1 - stages[0].1, 1296);
    // Unsigned print: the counter passed 2^32.
    let (stages, _) = ticks(json!({"start": 4_294_967_000_u64, "tokenPublish": "704"}));
    assert_eq!(stages[1].1 - stages[0].1, 1000);
    let (stages, _) = ticks(json!({"start": i64::MIN, "tokenPublish": i64::MAX}));
    assert_eq!(stages.len(), 2);
    assert_eq!(ticks(json!({"start": "x"})).0, []);
}

#[test]
fn only_the_bind_reply_has_a_code_while_a_token_waits() {
    let mut lamp = Lamp::new(json!({}));
    let bind = lamp.hear_one(
        SERVICE,
        &json!({"method": "app_bind_token", "clientToken": "b", "params": {"token": "t"}}),
    );
    let unbind =
        lamp.hear_one(SERVICE, &json!({"method": "unbind_device_request", "clientToken": "u"}));
    assert_eq!(unbind.uplink, Uplink::Unbind);
    assert_eq!(lamp.answer(&unbind, &Answer::Done), []);
    let out = lamp.answer(&bind, &refused("bind.expired"));
    let methods: Vec<_> = out.iter().map(|m| body(m)["method"].clone()).collect();
    assert_eq!(methods, ["app_bind_token_reply", "unbind_device_reply"]);
    assert_eq!(body(&out[0])["code"], 410);
    assert_eq!(lamp.answer(&unbind, &Answer::Done).len(), 1, "nothing waits any more");
}

#[test]
fn service_messages_that_are_wrong_or_strange() {
    let mut lamp = Lamp::new(json!({}));
    let long = "x".repeat(65);
    for params in [json!(null), json!({}), json!({"token": ""}), json!({"token": long})] {
        let bind = json!({"method": "app_bind_token", "clientToken": "b", "params": params});
        let heard = lamp.hear_one(SERVICE, &bind);
        let Uplink::Malformed { code, detail } = &heard.uplink else { panic!("{heard:?}") };
        assert!(*code == "payload.malformed" && !detail.contains(&long));
        assert_eq!(body(&lamp.answer(&heard, &refused(code))[0])["code"], 400);
    }
    let other = json!({"method": "unbind_device_request", "clientToken": "u", "deviceName": "x"});
    assert!(matches!(lamp.hear_one(SERVICE, &other).uplink, Uplink::Malformed { .. }));
    for method in ["get_automation_list", "request_asr", "alert_fence_event_reply", "brand_new"] {
        let heard = lamp.hear_one(SERVICE, &json!({"method": method, "params": [1]}));
        assert_eq!((heard.uplink, heard.reply), (Uplink::Ignored { what: method.into() }, None));
    }
}

#[test]
fn unbinding_is_told_without_waiting_for_an_answer() {
    let out = Lamp::new(json!({})).send(&Downlink::Unbound).expect("sendable");
    let sent = body(&out[0]);
    assert_eq!((&*out[0].topic, out[0].qos), ("$thing/down/service/L4WG9V9M2M/TEST2", 1));
    assert_eq!(
        (&sent["method"], &sent["timestamp"]),
        (&json!("unbind_device"), &json!(NOW.as_secs()))
    );
    assert!(sent.get("code").is_none());
}

#[test]
fn a_device_that_asks_for_the_time_without_end_is_kept_at_level_0() {
    let mut lamp = Lamp::new(json!({}));
    let topic = std::format!("$sys/operation/{PRODUCT}/{NODE}");
    let ask = Bytes::from_static(br#"{"type": "get", "resource": ["time"]}"#);
    let mut told = Vec::new();
    for n in 0..20u64 {
        let now = NOW + Duration::from_millis(100 * n);
        let mut heard = Vec::new();
        lamp.session.uplink(&lamp.account, &topic, &ask, now, &mut heard);
        let answer = Answer::Time { received: now, sent: now };
        let out = lamp.answer(&heard[0], &answer);
        assert_eq!(body(&out[0])["time"], now.as_secs(), "the time itself is always answered");
        told.extend(out[1..].iter().map(|m| (n, body(m)["log_level"].clone())));
    }
    assert_eq!(told.len(), 1, "told once: {told:?}");
    assert_eq!(told[0].1, 0);
    let level = lamp.hear_one("$log/operation", &json!({"type": "get_log_level"}));
    assert_eq!(body(&lamp.answer(&level, &Answer::LogLevel(4))[0])["log_level"], 0);
    assert_eq!(body(&lamp.send(&Downlink::LogLevel(4)).expect("sendable")[0])["log_level"], 0);

    let mut sane = Lamp::new(json!({}));
    for n in 0..20u64 {
        let now = NOW + Duration::from_millis(250 * n);
        let mut heard = Vec::new();
        sane.session.uplink(&sane.account, &topic, &ask, now, &mut heard);
        let answer = Answer::Time { received: now, sent: now };
        assert_eq!(sane.answer(&heard[0], &answer).len(), 1);
    }
    assert_eq!(body(&sane.send(&Downlink::LogLevel(4)).expect("sendable")[0])["log_level"], 4);
}

#[test]
fn versions_and_remote_configuration() {
    let mut lamp = Lamp::new(json!({}));
    let report = json!({"type": "report_version", "report": {"version": "1.0.0"}});
    let heard = lamp.hear_one("$ota/report", &report);
    assert_eq!(heard.uplink, Uplink::Info(object(json!({"fw_version": "1.0.0"}))));
    let out = lamp.answer(&heard, &Answer::Done);
    assert_eq!(
        out[0].payload,
        r#"{"type":"report_version_rsp","result_code":0,"result_msg":"success"}"#
    );
    let progress = json!({"type": "report_progress", "report": {"progress": {}}});
    assert!(matches!(lamp.hear_one("$ota/report", &progress).uplink, Uplink::Ignored { .. }));

    let heard = lamp.hear_one("$config/operation", &json!({"type": "get"}));
    assert_eq!(heard.uplink, Uplink::Config);
    let config = json!({"interval": 5});
    let out = lamp.answer(&heard, &Answer::Config(Some(config.clone())));
    assert_eq!(out[0].payload, r#"{"type":"reply","result":0,"payload":{"interval":5}}"#);
    let out = lamp.answer(&heard, &Answer::Config(None));
    assert_eq!(out[0].payload, r#"{"type":"reply","result":1002,"payload":{}}"#);
    let out = lamp.send(&Downlink::Config(config)).expect("sendable");
    assert_eq!(out[0].payload, r#"{"type":"push","result":0,"payload":{"interval":5}}"#);
}

#[test]
fn calls_carry_their_number_in_the_topic() {
    let mut lamp = Lamp::new(json!({}));
    let call = Downlink::Call(Bytes::from_static(b"ping"));
    let out = lamp.send(&call).expect("sendable");
    let up = out[0].topic.replace("$rrpc/rxd/", "$rrpc/txd/");
    assert_eq!(lamp.session.publish_route(&up), Route::Own);
    let mut heard = Vec::new();
    lamp.session.uplink(&lamp.account, &up, &Bytes::from_static(b"pong"), NOW, &mut heard);
    let Uplink::Response { request, response } = &heard[0].uplink else { panic!("{heard:?}") };
    assert_eq!((*request, &response.payload[..]), (Some(RequestId(5)), &b"pong"[..]));
    for (channel, topic) in [
        ("raw", "$thing/down/raw/L4WG9V9M2M/TEST2"),
        ("broadcast", "$broadcast/rxd/L4WG9V9M2M/TEST2"),
        ("custom", "L4WG9V9M2M/TEST2/control"),
        ("default", "L4WG9V9M2M/TEST2/control"),
        ("topic/alarm/1", "L4WG9V9M2M/TEST2/alarm/1"),
        ("topic_name/L4WG9V9M2M/TEST2/x", "L4WG9V9M2M/TEST2/x"),
    ] {
        let payload = Bytes::from_static(b"\xff\x00");
        let request = Downlink::message(channel, payload.clone());
        let out = lamp.send(&request).expect("sendable");
        assert_eq!((&*out[0].topic, &out[0].payload), (topic, &payload));
    }
    for channel in [
        "topic/",
        "topic/+",
        "topic/a/#",
        "topic_name/L4WG9V9M2M/OTHER/x",
        "topic_name/$thing/down/raw/L4WG9V9M2M/TEST2",
        "topic_name/a",
        "smoke",
    ] {
        let refused = lamp.send(&Downlink::message(channel, Bytes::new()));
        assert!(matches!(refused, Err(CommandError::Unsupported(_))), "{channel}");
    }
}

fn sub(n: usize) -> SubDevice {
    SubDevice { product: "WPDA0S6S08".into(), node: std::format!("dev{n:03}").into() }
}

#[test]
fn a_gateway_is_answered_one_device_at_a_time() {
    let mut gateway = Lamp::new(json!({}));
    let devices = json!([{"product_id": "WPDA0S6S08", "device_name": "dev001"},
        {"product_id": "WPDA0S6S08", "device_name": "dev002"}]);
    let online = json!({"type": "online", "payload": {"devices": devices}});
    let heard = gateway.hear_one("$gateway/operation", &online);
    assert_eq!(heard.uplink, Uplink::SubDevices(SubDevices::Online(vec![sub(1), sub(2)])));
    let results = Answer::SubDevices(vec![(sub(1), Ok(())), (sub(2), Err("subdevice.unknown"))]);
    for (answer, codes) in [
        (results, [0, -802]),
        (refused("subdevice.not_attached"), [-1, -1]),
        (refused("internal.store"), [-807, -807]),
        (Answer::Done, [0, 0]),
    ] {
        let out = gateway.answer(&heard, &answer);
        let sent: Vec<_> = out
            .iter()
            .map(|m| body(m)["payload"]["devices"].as_array().expect("devices").clone())
            .collect();
        assert!(sent.iter().all(|devices| devices.len() == 1));
        assert_eq!(
            [&sent[0][0]["result"], &sent[1][0]["result"]],
            codes.map(Value::from).each_ref()
        );
        assert_eq!([&sent[0][0]["device_name"], &sent[1][0]["device_name"]], ["dev001", "dev002"]);
    }
    for bad in [
        json!({"type": "online"}),
        json!({"type": "online", "payload": {"devices": []}}),
        json!({"type": "bind", "payload": {"devices": [{"product_id": "A"}]}}),
        json!({"type": "online", "payload": {"devices": [{"product_id": "A/B", "device_name": "c"}]}}),
    ] {
        let heard = gateway.hear_one("$gateway/operation", &bad);
        assert!(matches!(heard.uplink, Uplink::Malformed { .. }), "{bad}");
    }
    for ack in ["change", "search_devices", "unbind_all"] {
        let heard = gateway.hear_one("$gateway/operation", &json!({"type": ack, "payload": {}}));
        assert_eq!(heard.uplink, Uplink::Ignored { what: ack.into() });
    }
}

#[test]
fn lists_of_sub_devices_are_split_at_the_firmwares_buffer() {
    let mut gateway = Lamp::new(json!({}));
    let heard = gateway.hear_one("$gateway/operation", &json!({"type": "describe_sub_devices"}));
    assert_eq!(heard.uplink, Uplink::SubDevices(SubDevices::List));
    let attached: Vec<_> = (0..100).map(|n| (sub(n), Ok(()))).collect();
    let out = gateway.answer(&heard, &Answer::SubDevices(attached));
    assert!(out.len() > 5 && out.iter().all(|m| m.payload.len() + m.topic.len() + 7 < 1024));
    let names: Vec<_> = out
        .iter()
        .flat_map(|m| body(m)["payload"]["devices"].as_array().expect("devices").clone())
        .map(|device| device["device_name"].as_str().expect("text").to_string())
        .collect();
    assert_eq!(names, (0..100).map(|n| sub(n).node.to_string()).collect::<Vec<_>>());
    let out = gateway.answer(&heard, &Answer::SubDevices(vec![]));
    assert_eq!(out[0].payload, r#"{"type":"describe_sub_devices","payload":{"devices":[]}}"#);
    let devices = vec![sub(1), sub(2)];
    let changed = Downlink::SubDevicesChanged { attached: false, devices, facts: vec![] };
    assert_eq!(gateway.send(&changed).expect("sendable").len(), 2);
}

#[test]
fn sub_devices_speak_through_the_gateway_under_their_own_model() {
    let mut gateway = Lamp::new(json!({}));
    let dimmer = account("Y8T6NB8DM0", "test001", lamp());
    let topic = "$thing/up/property/Y8T6NB8DM0/test001";
    let payload = br#"{"method":"report","clientToken":"1","params":{"color":1}}"#;
    let mut heard = Vec::new();
    gateway.session.uplink(&dimmer, topic, &Bytes::from_static(payload), NOW, &mut heard);
    let mut out = Vec::new();
    let reply = heard[0].reply.as_ref().expect("answered");
    gateway.session.answer(&dimmer, reply, &Answer::Done, NOW, &mut out);
    assert_eq!(&*out[0].topic, "$thing/down/property/Y8T6NB8DM0/test001");
    let mut heard = Vec::new();
    let raw = Bytes::from_static(b"x");
    gateway.session.uplink(&dimmer, "Y8T6NB8DM0/test001/data", &raw, NOW, &mut heard);
    assert_eq!(heard[0].uplink, Uplink::Message { channel: "data".into(), payload: raw });
}

#[test]
fn details_never_quote_a_payload() {
    let mut lamp = Lamp::new(json!({}));
    let topic = std::format!("{SERVICE}/{PRODUCT}/{NODE}");
    for payload in [
        r#"{"method":"app_bind_token","clientToken":"b","params":{"token":"69f978"}"#,
        r#"{"method":69978,"params":{"token":"69f978"}}"#,
        r#"{"method":"app_bind_token","clientToken":["69f978"]}"#,
    ] {
        let mut heard = Vec::new();
        lamp.session.uplink(&lamp.account, &topic, &Bytes::from(payload), NOW, &mut heard);
        let Uplink::Malformed { detail, .. } = &heard[0].uplink else { panic!("{heard:?}") };
        assert!(!detail.contains("69"), "{detail}");
    }
}

fn channel() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        PROPERTY,
        EVENT,
        ACTION,
        SERVICE,
        "$thing/up/raw",
        "$sys/operation",
        "$log/operation",
        "$ota/report",
        "$gateway/operation",
        "$config/operation",
        "$resource/up/service",
        "$shadow/operation",
        "$thing/down/property",
        "elsewhere",
    ])
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "report",
            "report_info",
            "get_status",
            "clear_control",
            "control_reply",
            "event_post",
            "events_post",
            "action_reply",
            "app_bind_token",
            "unbind_device_request",
            "get",
            "bind",
            "online",
            "report_version",
            "get_log_level",
            "power_switch",
            "low_voltage",
        ])
        .prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "method",
        "type",
        "clientToken",
        "params",
        "payload",
        "devices",
        "events",
        "eventId",
        "report",
        "version",
        "token",
        "pairTime",
        "code",
        "status",
        "response",
        "resource",
        "product_id",
        "device_name",
        "power_switch",
        "color",
        "position",
        "timestamp",
        "start",
    ]);
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(k, v)| (k.into(), v)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_payload_is_heard_and_answered_at_most_once(
        channel in channel(),
        payload in prop_oneof![
            json_value().prop_map(|v| v.to_string().into_bytes()),
            prop::collection::vec(any::<u8>(), 0..120),
        ],
        policy in prop::sample::select(vec!["partial", "reject", "accept"]),
    ) {
        let mut lamp = Lamp::new(json!({"unknown_keys": policy}));
        let topic = std::format!("{channel}/{PRODUCT}/{NODE}");
        let mut heard = Vec::new();
        lamp.session.uplink(&lamp.account, &topic, &payload.into(), NOW, &mut heard);
        prop_assert!(!heard.is_empty());
        prop_assert!(heard.iter().filter(|heard| heard.reply.is_some()).count() <= 1);
        for heard in heard.iter().filter(|heard| heard.reply.is_some()) {
            for answer in [Answer::Done, refused("model.violation"), Answer::Config(None)] {
                for message in lamp.answer(heard, &answer) {
                    prop_assert!(body(&message).get("raw").is_none());
                    prop_assert!(message.payload.len() + message.topic.len() < 2040);
                }
            }
        }
    }

    #[test]
    fn canonical_values_fit_the_model_whatever_was_sent(value in json_value()) {
        let report = json!({"method": "report", "clientToken": "t", "params":
            {"power_switch": value, "color": value, "position": value, "brightness": value}});
        let heard = Lamp::new(json!({})).hear_one(PROPERTY, &report);
        if let Uplink::Report { services, .. } = heard.uplink {
            let model = lamp();
            for (key, value) in services.iter().flat_map(|(_, values)| &values.properties) {
                let ty: &DataType = &model.property(key).expect("known").1.ty;
                prop_assert_eq!(ty.check(value), Ok(()));
            }
        }
    }
}
