//! One session: reports, alerts, controls and reads with their answers, limits, hostile bytes.

use std::string::String;
use std::vec::Vec;

use bytes::Bytes;
use proptest::prelude::*;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Downlink, Uplink};
use roadstead_core::product::{Level, Model};
use roadstead_core::{RequestId, Timestamp, Value};
use serde_json::json;

use super::login::{DID, account, cloud};
use crate::cloud::{Account, Heard, Message, Route, Session};
use crate::gizwits::point;

const NOW: Timestamp = Timestamp(1_795_221_215_000);

/// The model of the recordings.
pub(super) fn pet_house() -> Model {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../vectors/gizwits.json")).expect("JSON");
    let schema = &vectors["datapoints"]["schemas"]["pet_house"];
    let document = json!({"packetVersion": "0x00000004", "protocolType": schema["protocolType"],
        "entities": [{"id": 0, "name": "entity0", "attrs": schema["attrs"]}]});
    point::import(&document).expect("valid")
}

struct Bench {
    account: Account,
    session: std::boxed::Box<dyn Session>,
}

impl Bench {
    fn new(model: Model) -> Self {
        let account = account(model);
        let session = cloud().session(&account, 0x0000_00ab_0000_0000);
        Self { account, session }
    }

    fn hear(&mut self, topic: &str, payload: &str) -> Vec<Uplink> {
        self.hear_bytes(topic, &hex::decode(payload).expect("hex").into())
    }

    fn hear_bytes(&mut self, topic: &str, payload: &Bytes) -> Vec<Uplink> {
        let mut heard: Vec<Heard> = Vec::new();
        self.session.uplink(&self.account, topic, payload, NOW, &mut heard);
        heard.into_iter().map(|heard| heard.uplink).collect()
    }

    fn say(&mut self, id: u64, request: &Downlink) -> Result<Message, CommandError> {
        let mut out = Vec::new();
        let id = Some(RequestId(id));
        self.session.downlink(&self.account, id, request, NOW, &mut out)?;
        assert_eq!((out.len(), out[0].qos), (1, 0), "one packet of QoS 0");
        Ok(out.remove(0))
    }
}

fn set(values: Value) -> Downlink {
    let Value::Object(properties) = values else { panic!("an object") };
    Downlink::SetProperties { service: "default".into(), properties }
}

fn broadcast() -> String {
    ["dev2app/", DID].concat()
}

fn mine() -> String {
    ["dev2app/", DID, "/roadstead000000ab"].concat()
}

#[test]
fn a_recorded_report_becomes_values() {
    let mut bench = Bench::new(pet_house());
    let heard = bench.hear(&broadcast(), "000000030e0000910405fe800a030119460201");
    let [Uplink::Report { services, rejected }, Uplink::Events(events), Uplink::Info(facts)] =
        &heard[..]
    else {
        panic!("{heard:?}")
    };
    assert!(rejected.is_empty());
    assert_eq!(Value::Object(facts.clone()), json!({"signals": ["Alert_2", "Fault_LED"]}));
    let (service, values) = &services[0];
    assert_eq!((&**service, values.at), ("default", NOW));
    assert_eq!(values.properties["LED_Color"], "Purple");
    assert_eq!(
        (&values.properties["LED_G"], &values.properties["Temperature"]),
        (&json!(128), &json!(12))
    );
    let told: Vec<_> = events
        .iter()
        .map(|event| (&*event.event, event.level, event.params["value"].clone()))
        .collect();
    assert_eq!(
        told,
        [("Alert_2", Level::Alert, json!(true)), ("Fault_LED", Level::Fault, json!(true))]
    );
    // The same status again is no new event; its end is one.
    assert_eq!(bench.hear(&broadcast(), "000000030e0000910405fe800a030119460201").len(), 1);
    let ended = bench.hear(&broadcast(), "000000030e0000910405fe800a030119460200");
    let [_, Uplink::Events(events), Uplink::Info(_)] = &ended[..] else { panic!("{ended:?}") };
    assert_eq!((&*events[0].event, &events[0].params["value"]), ("Fault_LED", &json!(false)));
}

/// What ends while the module is away is told when it is back, and what goes on is not repeated.
#[test]
fn alerts_outlive_the_connection() {
    let mut first = Bench::new(pet_house());
    let heard = first.hear(&broadcast(), "000000030e0000910405fe800a030119460201");
    let Some(Uplink::Info(facts)) = heard.last() else { panic!("{heard:?}") };
    let mut account = first.account.clone();
    std::sync::Arc::make_mut(&mut account.device).info.extend(facts.clone());
    let session = cloud().session(&account, 1);
    let mut second = Bench { account, session };
    let heard = second.hear(&broadcast(), "000000030e0000910405fe800a030119460200");
    let [_, Uplink::Events(events), Uplink::Info(facts)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(events.len(), 1);
    assert_eq!((&*events[0].event, &events[0].params["value"]), ("Fault_LED", &json!(false)));
    assert_eq!(Value::Object(facts.clone()), json!({"signals": ["Alert_2"]}));
}

/// The recording reports 255 where the model ends at 254.
#[test]
fn a_value_outside_of_the_model_costs_only_itself() {
    let mut bench = Bench::new(pet_house());
    let heard = bench.hear(&broadcast(), "000000030e0000910405ff800a030119460201");
    let Uplink::Report { services, rejected } = &heard[0] else { panic!("{heard:?}") };
    assert_eq!((&*rejected[0].0, rejected.len()), ("LED_R", 1));
    assert_eq!(services[0].1.properties.len(), 14);
}

#[test]
fn a_control_is_answered_by_its_number() {
    let mut bench = Bench::new(pet_house());
    let first = bench.say(1, &set(json!({"LED_OnOff": true}))).expect("fits");
    assert_eq!(&*first.topic, &["app2dev/", DID, "/roadstead000000ab"].concat());
    assert_eq!(hex::encode(&first.payload), "000000030e0000930000000101010100000000");
    let second = bench.say(2, &set(json!({"LED_R": 3}))).expect("fits");
    assert_eq!(second.payload[8..12], [0, 0, 0, 2]);
    for (sn, request) in [("00000002", Some(2)), ("00000001", Some(1)), ("00000001", None)] {
        let heard = bench.hear(&mine(), &["0000000307000094", sn].concat());
        let [Uplink::Response { request: found, response }] = &heard[..] else {
            panic!("{heard:?}")
        };
        assert_eq!((*found, response.code), (request.map(RequestId), 0));
    }
    bench.say(3, &set(json!({"LED_R": 3}))).expect("fits");
    bench.session.forget(RequestId(3));
    let heard = bench.hear(&mine(), "000000030700009400000003");
    assert!(matches!(heard[..], [Uplink::Response { request: None, .. }]));
}

#[test]
fn a_read_brings_values_to_whoever_asked_and_to_the_shadow() {
    let mut bench = Bench::new(pet_house());
    let request = Downlink::GetProperties {
        service: "default".into(),
        properties: Vec::from(["Humidity".into(), "LED_R".into()]),
    };
    let message = bench.say(9, &request).expect("fits");
    assert_eq!(hex::encode(&message.payload), "00000003080000930000000102");
    let heard = bench.hear(&mine(), "0000000312000094000000010305fe800a030119460200");
    let [
        Uplink::Report { .. },
        Uplink::Events(_),
        Uplink::Info(_),
        Uplink::Response { request, response },
    ] = &heard[..]
    else {
        panic!("{heard:?}")
    };
    assert_eq!((*request, response.code), (Some(RequestId(9)), 0));
    assert_eq!(Value::Object(response.output.clone()), json!({"LED_R": 254, "Humidity": 70}));
}

#[test]
fn a_read_that_is_not_answered_as_asked_says_so() {
    let mut bench = Bench::new(pet_house());
    let request = Downlink::GetProperties { service: "default".into(), properties: Vec::new() };
    bench.say(9, &request).expect("fits");
    let heard = bench.hear(&mine(), "00000003090000940000000103ff");
    let [Uplink::Malformed { code, .. }, Uplink::Response { request, response }] = &heard[..]
    else {
        panic!("{heard:?}")
    };
    assert_eq!((*code, *request, response.code), ("model.violation", Some(RequestId(9)), 1));
}

#[test]
fn bytes_that_only_the_mcu_understands_go_both_ways() {
    let mut bench = Bench::new(pet_house());
    let payload = Bytes::from_static(b"hello");
    for (request, sent) in [
        (Downlink::message("raw", payload.clone()), "000000030900009005"),
        (Downlink::message("default", payload.clone()), "000000030900009005"),
        (Downlink::message("p0", payload.clone()), "0000000308000090"),
        (Downlink::Call(payload), "000000030d0000930000000105"),
    ] {
        let mut out = Vec::new();
        let id = request.deadline().map(|_| RequestId(1));
        bench.session.downlink(&bench.account, id, &request, NOW, &mut out).expect("fits");
        assert_eq!(hex::encode(&out[0].payload), [sent, "68656c6c6f"].concat());
    }
    let heard = bench.hear(&broadcast(), "000000030900009106");
    assert!(matches!(heard[..], [Uplink::Malformed { .. }]), "the length lies");
    let heard = bench.hear(&broadcast(), "00000003090000910668656c6c6f");
    assert!(
        matches!(&heard[..], [Uplink::Message { channel, payload }] if &**channel == "raw" && &payload[..] == b"hello")
    );
    // Without a model, a status is what it is.
    let mut bare = Bench::new(Model::default());
    let heard = bare.hear(&broadcast(), "0000000305000091");
    assert!(matches!(heard[..], [Uplink::Malformed { .. }]));
    let heard = bare.hear(&broadcast(), "00000003050000910407");
    assert!(
        matches!(&heard[..], [Uplink::Message { channel, payload }] if &**channel == "p0" && payload[..] == [4, 7])
    );
}

#[test]
fn what_a_module_cannot_take_is_refused_before_it_is_sent() {
    let mut bench = Bench::new(pet_house());
    let code = |outcome: Result<Message, CommandError>| outcome.map_or_else(|e| e.code(), |_| "ok");
    assert_eq!(code(bench.say(1, &set(json!({"Humidity": 3})))), "command.model");
    assert_eq!(code(bench.say(1, &set(json!({"LED_R": 255})))), "command.model");
    let large = Downlink::Call(Bytes::from(std::vec![0; 1024]));
    assert_eq!(code(bench.say(1, &large)), "command.too_large");
    let fits = Downlink::Call(Bytes::from(std::vec![0; 900]));
    let message = bench.say(1, &fits).expect("fits one read");
    assert!(message.topic.len() + message.payload.len() + 5 <= 1024);
    for request in
        [Downlink::Unbound, Downlink::LogLevel(1), Downlink::message("other", Bytes::new())]
    {
        assert_eq!(code(bench.say(1, &request)), "command.unsupported");
    }
}

#[test]
fn the_module_may_ask_how_many_clients_there_are() {
    let mut bench = Bench::new(pet_house());
    let mut heard = Vec::new();
    let payload = Bytes::from_static(&[0, 0, 0, 3, 2, 0x0f]);
    bench.session.uplink(&bench.account, "cli2ser_req", &payload, NOW, &mut heard);
    let reply = heard[0].reply.clone().expect("an answer");
    let mut out = Vec::new();
    bench.session.answer(&bench.account, &reply, &Answer::Done, NOW, &mut out);
    assert_eq!(&*out[0].topic, &["ser2cli_res/", DID].concat());
    assert_eq!(out[0].payload[..], [0, 0, 0, 3, 2, 0x10, 0, 1]);
}

#[test]
fn answers_to_others_and_foreign_topics() {
    let mut bench = Bench::new(pet_house());
    bench.say(1, &set(json!({"LED_OnOff": true}))).expect("fits");
    let other = ["dev2app/", DID, "/appclient0001"].concat();
    let heard = bench.hear(&other, "000000030700009400000001");
    assert!(matches!(heard[..], [Uplink::Ignored { .. }]), "{heard:?}");
    assert!(matches!(bench.hear(&broadcast(), "0000000303000091")[..], [Uplink::Ignored { .. }]));
    for (topic, route) in [
        ("dev2app/GzwDemo0123456789ABCDF", Route::Denied),
        ("app2dev/GzwDemo0123456789ABCDE/x", Route::Denied),
        ("anything", Route::Denied),
        ("cli2ser_req", Route::Own),
    ] {
        assert_eq!(bench.session.publish_route(topic), route, "{topic}");
    }
}

proptest! {
    #[test]
    fn hostile_payloads_are_told_and_nothing_else(payload in prop::collection::vec(any::<u8>(), 0..64), cmd in 0x8f..0x96_u8, framed in any::<bool>(), own in any::<bool>()) {
        let mut bench = Bench::new(pet_house());
        let payload = match framed {
            true => [&[0, 0, 0, 3, payload.len() as u8 + 3, 0, 0, cmd], &payload[..]].concat(),
            false => payload,
        };
        let topic = if own { mine() } else { broadcast() };
        let heard = bench.hear_bytes(&topic, &payload.into());
        prop_assert!(!heard.is_empty());
    }
}
