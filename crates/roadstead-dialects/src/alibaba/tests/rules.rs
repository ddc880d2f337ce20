//! What every topic does: one test per family, and the traps of a session.

use std::boxed::Box;
use std::format;
use std::string::{String, ToString as _};
use std::vec;
use std::vec::Vec;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Downlink, SubDevice, SubDevices, Uplink, Wipe};
use roadstead_core::product::{DEFAULT_SERVICE, Model};
use roadstead_core::shadow::{Shadow, Values};
use roadstead_core::{Map, RequestId, Value};
use serde_json::json;

use super::{NODE, NOW, PRODUCT, account, body, cloud, device, lamp};
use crate::alibaba::auth::{Method, local_key, login_source};
use crate::cloud::{Account, Grant, Heard, Hello, Message, Portion, Route, Session, Tls};

const AUTO: &str = "x|securemode=3,_ss=1|";
const PLAIN: &str = "x|securemode=3|";

struct Lamp {
    account: Account,
    session: Box<dyn Session>,
}

impl Lamp {
    fn new(settings: &Value, client_id: &str) -> Self {
        let account = account(PRODUCT, NODE, lamp());
        let (user, tls) = (format!("{NODE}&{PRODUCT}"), Tls::None);
        let hello = Hello {
            level: 4,
            client_id,
            user: Some(&user),
            password: None,
            keep_alive_s: 60,
            tls: &tls,
        };
        let session = cloud(settings).session_of(&hello, &account, 7);
        Self { account, session }
    }

    fn plain() -> Self {
        Self::new(&json!({}), PLAIN)
    }

    fn hear_raw(&mut self, topic: &str, payload: Vec<u8>) -> Vec<Heard> {
        let mut out = Vec::new();
        self.session.uplink(&self.account, topic, &payload.into(), NOW, &mut out);
        out
    }

    fn hear(&mut self, rest: &str, payload: &Value) -> Heard {
        let topic = format!("/sys/{PRODUCT}/{NODE}/{rest}");
        let mut heard = self.hear_raw(&topic, serde_json::to_vec(payload).expect("JSON"));
        heard.pop().expect("heard")
    }

    fn answer(&mut self, heard: &Heard, answer: &Answer) -> Message {
        let mut out = Vec::new();
        let reply = heard.reply.as_ref().expect("an answer is due");
        self.session.answer(&self.account, reply, answer, NOW, &mut out);
        out.pop().expect("answered")
    }

    fn send(&mut self, request: &Downlink) -> Result<Message, CommandError> {
        let mut out = Vec::new();
        let id = Some(RequestId(9));
        self.session.downlink(&self.account, id, request, NOW, &mut out)?;
        Ok(out.pop().expect("sent"))
    }
}

fn posted(params: &Value) -> Value {
    json!({"id": "1", "version": "1.0", "params": params, "method": "thing.event.property.post"})
}

fn report(heard: &Heard) -> (Value, usize) {
    let Uplink::Report { services, rejected } = &heard.uplink else { panic!("{heard:?}") };
    let all: Map<String, Value> =
        services.iter().flat_map(|(_, values)| values.properties.clone()).collect();
    (Value::Object(all), rejected.len())
}

#[test]
fn trap_01_a_padded_token_report_is_understood() {
    let mut lamp = Lamp::plain();
    let mut payload = serde_json::to_vec(&json!({
        "id": "0", "version": "1.0", "method": "thing.awss.enrollee.match",
        "params": {"token": "FAA9AFE560F1F9C872394400326F4022"}}))
    .expect("JSON");
    payload.resize(256, 0);
    for topic in ["thing/awss/enrollee/match", "ts/thing/awss/enrollee/match"] {
        let topic = format!("/sys/{PRODUCT}/{NODE}/{topic}");
        let heard = lamp.hear_raw(&topic, payload.clone()).pop().expect("heard");
        let Uplink::BindToken { token, own_life, .. } = &heard.uplink else { panic!("{heard:?}") };
        assert_eq!(token.0.expose(), b"FAA9AFE560F1F9C872394400326F4022");
        assert_eq!(own_life.map(|life| life.as_secs()), Some(120));
        let reply = lamp.answer(&heard, &Answer::Done);
        let expected = format!("/sys/{PRODUCT}/{NODE}/thing/awss/enrollee/match_reply");
        assert_eq!(&*reply.topic, expected, "never below `ts/`");
    }
}

#[test]
fn trap_02_the_id_is_echoed_every_time() {
    let mut lamp = Lamp::plain();
    for id in [json!("0"), json!("1"), json!(2), json!(4_294_967_295_u32)] {
        let request = json!({"id": id, "params": {"token": "00112233445566778899AABBCCDDEEFF"}});
        let heard = lamp.hear("thing/awss/enrollee/match", &request);
        let echoed = body(&lamp.answer(&heard, &Answer::Done))["id"].clone();
        assert_eq!(echoed, id.as_str().map_or_else(|| id.to_string(), Into::into).as_str());
    }
    let refused = Answer::Refused { code: "bind.other_device", detail: "no".into() };
    let request = json!({"id": "7", "params": {"token": "00112233445566778899AABBCCDDEEFF"}});
    let heard = lamp.hear("thing/awss/enrollee/match", &request);
    let reply = body(&lamp.answer(&heard, &refused));
    assert_eq!((&reply["id"], &reply["code"]), (&json!("7"), &json!(6403)));
}

#[test]
fn trap_03_an_id_may_be_any_text() {
    let mut lamp = Lamp::plain();
    let id = format!("1|exp-topic|/sys/{PRODUCT}/{NODE}/thing/event/property/post_reply");
    let heard =
        lamp.hear("thing/event/property/post", &json!({"id": id, "params": {"LightSwitch": 1}}));
    assert_eq!(body(&lamp.answer(&heard, &Answer::Done))["id"], json!(id));
    let odd = "\u{1f}\u{1f}\"";
    let heard = lamp.hear("thing/event/property/post", &json!({"id": odd, "params": {}}));
    assert_eq!(body(&lamp.answer(&heard, &Answer::Done))["id"], json!(odd));
}

#[test]
fn trap_04_delivery_without_subscription_is_what_the_client_id_says() {
    let topics = [
        (format!("/sys/{PRODUCT}/{NODE}/thing/service/property/set"), false),
        (format!("/ext/ntp/{PRODUCT}/{NODE}/response"), false),
        (format!("/ota/device/upgrade/{PRODUCT}/{NODE}"), false),
        (format!("/shadow/get/{PRODUCT}/{NODE}"), false),
        (format!("/{PRODUCT}/{NODE}/user/get"), true),
        (format!("/broadcast/{PRODUCT}/all"), true),
    ];
    let (auto, plain) = (Lamp::new(&json!({}), AUTO), Lamp::plain());
    assert!(auto.session.is_implicit() && !plain.session.is_implicit());
    for (topic, is_customers) in topics {
        assert_eq!(auto.session.needs_subscription(&topic), is_customers, "{topic}");
        assert!(plain.session.needs_subscription(&topic), "{topic}");
    }
}

#[test]
fn topics_belong_where_they_belong() {
    let lamp = Lamp::plain();
    let sub = || Route::Sub(SubDevice { product: "a1SubDevKey".into(), node: "sub-1".into() });
    for (topic, route) in [
        ("/sys/a1RsKq9ZxTb/lamp-0001/thing/event/property/post", Route::Own),
        ("/sys/a1RsKq9ZxTb/lamp-0001/thing/event/property/history/post", Route::Mixed),
        ("/sys/a1RsKq9ZxTb/lamp-0001/thing/service/property/set", Route::Denied),
        ("/sys/a1RsKq9ZxTb/lamp-0001/thing/awss/enrollee/match_reply", Route::Denied),
        ("/sys/a1SubDevKey/sub-1/thing/event/property/post", sub()),
        ("/ext/session/a1RsKq9ZxTb/lamp-0001/combine/login", Route::Own),
        ("/ext/session/a1SubDevKey/sub-1/combine/login", Route::Denied),
        ("/a1RsKq9ZxTb/lamp-0001/user/update", Route::Free),
        ("/a1RsKq9ZxTb/lamp-0001/user/+", Route::Denied),
        ("/ext/register", Route::Denied),
        ("/broadcast/a1RsKq9ZxTb/all", Route::Denied),
        ("$oc/devices/x/sys/properties/report", Route::Denied),
    ] {
        assert_eq!(lamp.session.publish_route(topic), route, "{topic}");
    }
    for (filter, granted) in [
        ("/sys/a1RsKq9ZxTb/lamp-0001/#", true),
        ("/broadcast/a1RsKq9ZxTb/+", true),
        ("/broadcast/a1Other/+", false),
        ("/sys/+/lamp-0001/#", false),
        ("#", false),
    ] {
        assert_eq!(lamp.session.subscribe_grant(filter) != Grant::Denied, granted, "{filter}");
    }
}

#[test]
fn properties_in_every_form() {
    let mut lamp = Lamp::plain();
    let params = json!({"LightSwitch": {"value": 0, "time": 1_795_222_000_123_i64}, "WorkMode": 2,
                        "RGBColor": {"Red": 1, "Green": 2}, "power:Voltage": 230.5, "bad": 1, "Counter": 101});
    let heard = lamp.hear("thing/event/property/post", &posted(&params));
    let expected = json!({"LightSwitch": false, "WorkMode": "Cinema",
                          "RGBColor": {"Red": 1, "Green": 2}, "Voltage": 230.5});
    assert_eq!(report(&heard), (expected, 2));
    let partly = Answer::Partly { code: "model.violation", detail: "bad: not in the model".into() };
    let reply = body(&lamp.answer(&heard, &partly));
    assert_eq!(
        (&reply["code"], &reply["data"]["rejected"]),
        (&json!(200), &json!("bad: not in the model"))
    );
    let mut strict = Lamp::new(&json!({"unknown_keys": "reject"}), PLAIN);
    let heard = strict.hear("thing/event/property/post", &posted(&params));
    assert!(matches!(heard.uplink, Uplink::Malformed { code: "model.violation", .. }));

    let batch = json!({"id": "2", "params": {
        "properties": {"Counter": [{"value": 2, "time": 1_795_222_000_002_i64}, {"value": 1, "time": 1_795_222_000_001_i64}]},
        "events": {"Error": [{"value": {"e": 1}, "time": 1_795_222_000_000_i64}]}}});
    let topic = format!("/sys/{PRODUCT}/{NODE}/thing/event/property/batch/post");
    let heard = lamp.hear_raw(&topic, serde_json::to_vec(&batch).expect("JSON"));
    let Uplink::Events(events) = &heard[0].uplink else { panic!("{heard:?}") };
    assert_eq!((&*events[0].event, &events[0].params["e"]), ("Error", &json!("lamp")));
    let Uplink::Report { services, .. } = &heard[1].uplink else { panic!("{heard:?}") };
    let times: Vec<_> =
        services.iter().map(|(_, v)| (v.at.0, v.properties["Counter"].clone())).collect();
    assert_eq!(
        times,
        [(1_795_222_000_001, json!(1)), (1_795_222_000_002, json!(2))],
        "oldest first"
    );
}

#[test]
fn the_past_of_several_devices_is_divided() {
    let mut lamp = Lamp::plain();
    let part = |product: &str, node: &str| {
        json!({"identity": {"productKey": product, "deviceName": node},
               "properties": [{"Counter": {"value": 1, "time": 1_795_222_000_000_i64}}]})
    };
    let request = json!({"id": "5", "params": [part("a1SubDevKey", "sub-1"), part(PRODUCT, NODE)]});
    let topic = format!("/sys/{PRODUCT}/{NODE}/thing/event/property/history/post");
    let payload = Bytes::from(serde_json::to_vec(&request).expect("JSON"));
    let mut portions = Vec::new();
    lamp.session.split(&topic, &payload, &mut portions);
    let [Portion { device: Some(sub), .. }, Portion { device: None, payload, .. }] = &portions[..]
    else {
        panic!("{portions:?}");
    };
    assert_eq!(&*sub.node, "sub-1");
    let heard = lamp.hear_raw(&topic, payload.to_vec()).pop().expect("heard");
    assert_eq!(report(&heard), (json!({"Counter": 1}), 0));
    assert_eq!(body(&lamp.answer(&heard, &Answer::Done))["id"], "5");
    let sub_payload = portions[0].payload.to_vec();
    let account =
        Account { device: device("a1SubDevKey", "sub-1", "s").into(), ..lamp.account.clone() };
    let mut out = Vec::new();
    lamp.session.uplink(&account, &portions[0].topic, &sub_payload.into(), NOW, &mut out);
    assert!(out.iter().all(|heard| heard.reply.is_none()), "one answer, on the gateway's topic");
}

#[test]
fn requests_and_their_answers() {
    let mut lamp = Lamp::plain();
    let on = Map::from_iter([("LightSwitch".to_string(), json!(true))]);
    let set = Downlink::SetProperties { service: DEFAULT_SERVICE.into(), properties: on };
    let sent = body(&lamp.send(&set).expect("sent"));
    assert_eq!(sent["params"], json!({"LightSwitch": 1}));
    let reply = json!({"id": sent["id"], "code": 200, "data": {}});
    let heard = lamp.hear("thing/service/property/set_reply", &reply);
    let Uplink::Response { request, response } = heard.uplink else { panic!() };
    assert_eq!((request, response.code), (Some(RequestId(9)), 0));
    let heard = lamp.hear("thing/service/property/set_reply", &reply);
    assert!(matches!(heard.uplink, Uplink::Response { request: None, .. }), "once");

    // Clients that only report the new value have answered by that.
    lamp.send(&set).expect("sent");
    let topic = format!("/sys/{PRODUCT}/{NODE}/thing/event/property/post");
    let payload = serde_json::to_vec(&posted(&json!({"LightSwitch": 1}))).expect("JSON");
    let heard = lamp.hear_raw(&topic, payload);
    assert!(matches!(&heard[0].uplink, Uplink::Response { request: Some(RequestId(9)), .. }));
    assert!(matches!(&heard[1].uplink, Uplink::Report { .. }));

    let get = Downlink::GetProperties { service: "power".into(), properties: Vec::new() };
    let sent = body(&lamp.send(&get).expect("sent"));
    assert_eq!(sent["params"], json!(["power:Voltage"]));
    let reply = json!({"id": sent["id"], "code": 200, "data": {"power:Voltage": 231}});
    let heard = lamp.hear("thing/service/property/get_reply", &reply);
    let Uplink::Response { response, .. } = heard.uplink else { panic!() };
    assert_eq!(response.output["Voltage"], json!(231));
}

#[test]
fn services_are_called_both_ways() {
    let mut lamp = Lamp::plain();
    let call = |command: &str| Downlink::Command {
        service: DEFAULT_SERVICE.into(),
        command: command.into(),
        params: Map::new(),
    };
    let sent = lamp.send(&call("Custom")).expect("sent");
    assert_eq!(&*sent.topic, format!("/sys/{PRODUCT}/{NODE}/thing/service/Custom"));
    let reply = json!({"id": body(&sent)["id"], "code": 5100, "message": "too hot", "data": {"transparency": 8}});
    let Uplink::Response { request, response } =
        lamp.hear("thing/service/Custom_reply", &reply).uplink
    else {
        panic!()
    };
    assert_eq!((request, response.code, &*response.status), (Some(RequestId(9)), 5100, "too hot"));

    let sent = lamp.send(&call("Measure")).expect("sent");
    let (head, number) = sent.topic.rsplit_once('/').expect("a number");
    assert_eq!(head, format!("/sys/{PRODUCT}/{NODE}/rrpc/request"), "`callType` is `sync`");
    let reply = json!({"id": "whatever", "code": 200, "data": {"level": 3}});
    let heard = lamp.hear(&format!("rrpc/response/{number}"), &reply);
    let Uplink::Response { request, response } = heard.uplink else { panic!() };
    assert_eq!((request, &response.output["level"]), (Some(RequestId(9)), &json!(3)));

    let mut extended = Lamp::new(&json!({}), "x|securemode=3,ext=3|");
    let sent = extended.send(&call("Measure")).expect("sent");
    let end = format!("/sys/{PRODUCT}/{NODE}/thing/service/Measure");
    assert!(sent.topic.starts_with("/ext/rrpc/") && sent.topic.ends_with(&end), "{}", sent.topic);
    assert_eq!(extended.session.publish_route(&sent.topic), Route::Own);
    let reply = serde_json::to_vec(&json!({"id": "1", "code": 200, "data": {"level": 4}}));
    let heard = extended.hear_raw(&sent.topic, reply.expect("JSON")).remove(0);
    let Uplink::Response { request, response } = heard.uplink else { panic!() };
    assert_eq!((request, &response.output["level"]), (Some(RequestId(9)), &json!(4)));

    let sent = lamp.send(&Downlink::Call(Bytes::from_static(b"\x00\x01"))).expect("sent");
    let number = sent.topic.rsplit('/').next().expect("a number").to_string();
    let topic = format!("/sys/{PRODUCT}/{NODE}/rrpc/response/{number}");
    let Uplink::Response { response, .. } = lamp.hear_raw(&topic, vec![2, 3]).remove(0).uplink
    else {
        panic!()
    };
    assert_eq!(&response.payload[..], [2, 3]);
    assert!(matches!(lamp.send(&call("Unheard")), Err(CommandError::Model(_))));
}

#[test]
fn events_with_and_without_a_wrapping() {
    let mut lamp = Lamp::plain();
    for params in [json!({"e": 1}), json!({"value": {"e": 1}, "time": 1_795_222_000_123_i64})] {
        let heard = lamp.hear("thing/event/Error/post", &json!({"id": "1", "params": params}));
        let Uplink::Events(events) = &heard.uplink else { panic!("{heard:?}") };
        assert_eq!(Value::Object(events[0].params.clone()), json!({"e": "lamp"}));
        let reply = lamp.answer(&heard, &Answer::Done);
        assert!(reply.topic.ends_with("/thing/event/Error/post_reply"));
    }
    let heard = lamp.hear("thing/event/Unheard/post", &json!({"id": "1", "params": {}}));
    assert!(matches!(heard.uplink, Uplink::Malformed { .. }));
    assert!(heard.reply.is_some(), "refused, not ignored");
}

#[test]
fn what_a_device_says_about_itself_and_asks() {
    let mut lamp = Lamp::plain();
    let info =
        json!({"id": "1", "params": [{"attrKey": "SYS_LP_SDK_VERSION", "attrValue": "3.0.1"}]});
    let Uplink::Info(told) = lamp.hear("thing/deviceinfo/update", &info).uplink else { panic!() };
    assert_eq!(told["SYS_LP_SDK_VERSION"], "3.0.1");
    let Uplink::Info(told) = lamp.hear("thing/deviceinfo/delete", &info).uplink else { panic!() };
    assert_eq!(told["SYS_LP_SDK_VERSION"], Value::Null);
    let topic = format!("/ota/device/inform/{PRODUCT}/{NODE}");
    for (params, key) in [
        (json!({"version": "1.2"}), "fw_version"),
        (json!({"version": "1.2", "module": "default"}), "fw_version"),
        (json!({"version": "1.2", "module": "mcu"}), "fw_version.mcu"),
    ] {
        let payload = serde_json::to_vec(&json!({"id": 1, "params": params})).expect("JSON");
        let heard = lamp.hear_raw(&topic, payload).remove(0);
        let Uplink::Info(told) = &heard.uplink else { panic!("{heard:?}") };
        assert_eq!((&told[key], &heard.reply), (&json!("1.2"), &None));
    }
    let heard = lamp.hear("thing/lan/prefix/get", &json!({"id": "0", "params": "{}"}));
    let data = body(&lamp.answer(&heard, &Answer::Done))["data"].clone();
    let (prefix, secret) = local_key(super::SECRET.as_bytes(), PRODUCT, NODE);
    assert_eq!((&data["prefix"], &data["deviceSecret"]), (&json!(prefix), &json!(secret)));
    let heard = lamp.hear("thing/dynamicTsl/get", &json!({"id": "0", "params": {}}));
    let document = body(&lamp.answer(&heard, &Answer::Done))["data"].clone();
    assert_eq!(document["profile"]["productKey"], PRODUCT);
    let topic = format!("/ota/device/request/{PRODUCT}/{NODE}");
    let heard = lamp.hear_raw(&topic, br#"{"id":"3","params":{"version":"1"}}"#.to_vec()).remove(0);
    let none = lamp.answer(&heard, &Answer::Done);
    assert_eq!((&*none.topic, body(&none)["data"].clone()), (&*topic, json!({})));
    // The newer form; no `url` in the answer is no update for either (§9).
    let ask = json!({"id": "4", "params": {"module": "default"}});
    let heard = lamp.hear("thing/ota/firmware/get", &ask);
    let none = body(&lamp.answer(&heard, &Answer::Done));
    assert_eq!((&none["id"], &none["code"], &none["data"]), (&json!("4"), &json!(200), &json!({})));
    let heard = lamp.hear("thing/config/get", &json!({"id": "3", "params": {}}));
    assert_eq!(body(&lamp.answer(&heard, &Answer::Config(None)))["code"], 6713);
    assert!(lamp.send(&Downlink::Config(json!({"no": "url"}))).is_err());
    let unheard = lamp.hear("thing/new/thing", &json!({"id": "3", "params": {}}));
    assert!(matches!(unheard.uplink, Uplink::Ignored { .. }) && unheard.reply.is_some());
}

#[test]
fn what_is_desired_and_the_shadow() {
    let mut lamp = Lamp::plain();
    let mut shadow = Shadow::default();
    let on = Map::from_iter([("LightSwitch".to_string(), json!(true))]);
    let values = Values { properties: on, at: NOW };
    let service: Box<str> = DEFAULT_SERVICE.into();
    shadow.apply(&roadstead_core::shadow::Change::Desire { service, values });
    let heard =
        lamp.hear("thing/property/desired/get", &json!({"id": "1", "params": ["LightSwitch"]}));
    let reply = body(&lamp.answer(&heard, &Answer::Shadow(Box::new(shadow.clone()))));
    assert_eq!(reply["data"], json!({"LightSwitch": {"value": 1, "version": 1}}));
    let taken = json!({"id": "1", "params": {"LightSwitch": {"version": 1}}});
    let Uplink::ForgetDesired(keys) = lamp.hear("thing/property/desired/delete", &taken).uplink
    else {
        panic!()
    };
    assert_eq!(keys, [(DEFAULT_SERVICE.into(), vec!["LightSwitch".into()])]);
    let all = lamp.hear("thing/property/desired/delete", &json!({"id": "1", "params": {}}));
    assert_eq!(all.uplink, Uplink::ClearDesired);
    let topic = format!("/shadow/update/{PRODUCT}/{NODE}");
    let heard = lamp.hear_raw(&topic, br#"{"method":"get"}"#.to_vec()).remove(0);
    let reply = lamp.answer(&heard, &Answer::Shadow(Box::new(shadow)));
    assert_eq!(&*reply.topic, format!("/shadow/get/{PRODUCT}/{NODE}"));
    assert_eq!(body(&reply)["payload"]["state"]["desired"], json!({"LightSwitch": 1}));
    let update =
        br#"{"method":"update","state":{"desired":"null","reported":{"any":1}},"version":2}"#;
    let heard = lamp.hear_raw(&topic, update.to_vec());
    assert_eq!(heard[0].uplink, Uplink::ClearDesired);
    assert_eq!(report(&heard[1]), (json!({"any": 1}), 0), "not bound to the model");
}

#[test]
fn a_reset_says_how_much() {
    let mut lamp = Lamp::plain();
    for (params, wipe) in [
        (json!({}), Wipe::Bindings),
        (json!({"resetKey": {"devReset": "1"}}), Wipe::Shadow),
        (json!({"resetKey": {"devReset": 2}}), Wipe::Everything),
    ] {
        let heard = lamp.hear("thing/reset", &json!({"id": "0", "params": params}));
        assert_eq!(heard.uplink, Uplink::Reset(wipe));
        let unowned = Answer::Refused { code: "bind.not_bound", detail: "".into() };
        assert_eq!(body(&lamp.answer(&heard, &unowned))["code"], 200, "it is what it wants to be");
    }
}

#[test]
fn the_log_in_itself_resets_and_reports() {
    let token = "00112233445566778899AABBCCDDEEFF";
    let id = format!("x|securemode=3,tokenType=1,token={token},reset=2,_ss=1|");
    let mut lamp = Lamp::new(&json!({}), &id);
    let (mut heard, mut messages) = (Vec::new(), Vec::new());
    lamp.session.begin(&lamp.account, NOW, &mut heard, &mut messages);
    assert_eq!(heard[0].uplink, Uplink::Reset(Wipe::Everything), "first the reset");
    assert!(matches!(&heard[1].uplink, Uplink::BindToken { .. }));
    assert!(messages.is_empty() && heard.iter().all(|heard| heard.reply.is_none()));
    heard.clear();
    lamp.session.begin(&lamp.account, NOW, &mut heard, &mut messages);
    assert!(heard.is_empty(), "once");
}

#[test]
fn a_gateway_proves_its_sub_devices_by_either_client_id() {
    let cloud = cloud(&json!({}));
    let secret = "subSecret000000000000000000000001";
    let sub = Account {
        product: super::product("a1SubDevKey", Model::default()).into(),
        device: device("a1SubDevKey", "sub-1", secret).into(),
    };
    let whole = "a1SubDevKey&sub-1|lan=Python,_v=1.2.13|";
    for signed in ["a1SubDevKey&sub-1", whole] {
        let source = login_source(signed, "sub-1", "a1SubDevKey", None, Some("7"));
        let sign = Method::Sha256.sign(secret.as_bytes(), &source).to_uppercase();
        let proof =
            json!({"clientId": whole, "timestamp": 7, "signmethod": "hmacSha256", "sign": sign});
        let proof = proof.as_object().expect("object").clone();
        assert_eq!(cloud.verify_sub_device(&sub, &proof, NOW), Ok(()), "{signed}");
        let mut forged = proof;
        forged["timestamp"] = json!(8);
        assert_eq!(cloud.verify_sub_device(&sub, &forged, NOW), Err("subdevice.bad_signature"));
    }
}

#[test]
fn gateway_batches_share_their_method() {
    let mut lamp = Lamp::plain();
    let login = json!({"id": "2", "params": {"signMethod": "hmacSha256", "deviceList": [
        {"productKey": "a1", "deviceName": "s1", "clientId": "c", "sign": "x"},
        {"productKey": "a1", "deviceName": "s2", "clientId": "c", "sign": "x"}]}});
    let topic = format!("/ext/session/{PRODUCT}/{NODE}/combine/batch_login");
    let heard = lamp.hear_raw(&topic, serde_json::to_vec(&login).expect("JSON")).remove(0);
    let Uplink::SubDevices(SubDevices::Login(proofs)) = &heard.uplink else { panic!("{heard:?}") };
    assert!(proofs.iter().all(|proof| proof.proof["signMethod"] == "hmacSha256"));
    let results = vec![
        (proofs[0].device.clone(), Ok(())),
        (proofs[1].device.clone(), Err("subdevice.not_attached")),
    ];
    let reply = lamp.answer(&heard, &Answer::SubDevices(results));
    assert_eq!(&*reply.topic, format!("{topic}_reply"));
    let reply = body(&reply);
    assert_eq!(reply["code"], 6401);
    assert_eq!(reply["data"], json!([{"productKey": "a1", "deviceName": "s1"}]));
    let bad = lamp.hear("thing/topo/add", &json!({"id": "3", "params": [{"productKey": "a1"}]}));
    assert!(matches!(bad.uplink, Uplink::Malformed { .. }) && bad.reply.is_some());
}

#[test]
fn hostile_messages_are_answered_or_noted_and_change_nothing() {
    let mut lamp = Lamp::plain();
    let deep = format!("{{\"id\":\"1\",\"params\":{}{}}}", "[".repeat(500), "]".repeat(500));
    for rest in [
        "thing/event/property/post",
        "thing/event/property/batch/post",
        "thing/topo/add",
        "thing/reset",
        "thing/awss/enrollee/match",
        "thing/service/x_reply",
        "rrpc/response/1",
        "thing/log/post",
        "thing/property/desired/delete",
        "thing/deviceinfo/update",
    ] {
        for payload in ["", "{", "[]", "null", "\u{0}", "{\"id\":{}}", "{\"params\":[[]]}", &deep] {
            let topic = format!("/sys/{PRODUCT}/{NODE}/{rest}");
            let heard = lamp.hear_raw(&topic, payload.as_bytes().to_vec());
            assert!(!heard.is_empty(), "{rest}: {payload}");
            assert!(!heard.iter().any(|heard| matches!(heard.uplink, Uplink::BindToken { .. })));
        }
    }
    let long = json!({"id": "1", "params": {"token": "x".repeat(65)}});
    let heard = lamp.hear("thing/awss/enrollee/match", &long);
    assert!(matches!(heard.uplink, Uplink::Malformed { .. }));
}
