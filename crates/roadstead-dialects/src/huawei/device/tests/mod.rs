//! The device half against the cloud half, in memory and virtual time.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else comes fails the test, or is simply done"
)]

mod bootstrap;

use std::string::String;
use std::vec;

use roadstead_core::Secret;
use roadstead_core::exchange::{Answer, Downlink, Response, SubDevice, SubDevices, Uplink};
use roadstead_core::shadow::{Change, Shadow, Values};
use serde_json::json;

use super::*;
use crate::cloud::{Heard, Hello, Message, Session, Tls};
use crate::device::{Fault, Login, Request, SubDeviceAction};
use crate::huawei::tests::{DEVICE, NOW, RANDOM, SECRET, Wire, account, cloud, meter};

/// A device and its platform.
struct Pair {
    device: Device,
    wire: Wire,
    events: Vec<Event>,
    heard: Vec<Uplink>,
    shadow: Shadow,
    now: Tick,
}

impl Pair {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new("lab_product", "dev1").with_secret(Secret::from(SECRET));
        config.device_id = DEVICE.into();
        config.model = Some(meter().into());
        change(&mut config);
        let own = account(DEVICE, meter());
        let session: Box<dyn Session> = cloud(json!({})).session(&own, RANDOM);
        Self {
            device: Device::new(config),
            wire: Wire::of(own, session),
            events: Vec::new(),
            heard: Vec::new(),
            shadow: Shadow::default(),
            now: Tick::ZERO,
        }
    }

    fn feed(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.device.handle(input, self.now, &mut out);
        out
    }

    /// Feeds an input and plays on until both are silent.
    fn play(&mut self, input: Input) {
        let mut todo = self.feed(input);
        while !todo.is_empty() {
            for output in core::mem::take(&mut todo) {
                match output {
                    Output::App(event) => self.events.push(event),
                    Output::Mqtt(MqttAction::Publish { topic, payload, .. }) => {
                        for message in self.platform(&topic, &payload) {
                            todo.extend(self.deliver(message));
                        }
                    }
                    Output::Mqtt(MqttAction::Connect(login)) => {
                        self.admit(&login);
                        todo.extend(self.feed(Input::Mqtt(MqttEvent::Connected)));
                    }
                    _ => panic!("not expected here"),
                }
            }
        }
    }

    fn admit(&self, login: &Login) {
        let hello = Hello {
            level: 4,
            client_id: &login.client_id,
            user: login.user.as_deref(),
            password: login.password.as_ref().map(Secret::expose),
            keep_alive_s: login.keep_alive.as_secs() as u16,
            tls: &Tls::None,
        };
        let cloud = cloud(json!({"strict_time": true}));
        assert!(cloud.recognizes(&hello));
        assert_eq!(cloud.admit(&hello, &self.wire.own, NOW), Ok(()));
    }

    fn deliver(&mut self, message: Message) -> Vec<Output> {
        let Message { topic, payload, .. } = message;
        assert!(!self.wire.session.needs_subscription(&topic));
        self.feed(Input::Mqtt(MqttEvent::Message { topic, payload }))
    }

    /// Hears a message of the device as the services would.
    fn platform(&mut self, topic: &str, payload: &Bytes) -> Vec<Message> {
        let mut out = Vec::new();
        for (about, heard) in self.wire.hear_bytes(topic, payload) {
            let Heard { uplink, reply } = &heard;
            let answer = match uplink {
                Uplink::Malformed { code, detail } => panic!("{code} {detail}"),
                Uplink::ReadShadow => Answer::Shadow(Box::new(self.shadow.clone())),
                Uplink::Time => Answer::Time { received: NOW, sent: NOW },
                Uplink::SubDevices(SubDevices::Online(subs) | SubDevices::Delete(subs)) => {
                    Answer::SubDevices(subs.iter().map(|sub| (sub.clone(), Ok(()))).collect())
                }
                Uplink::SubDevices(SubDevices::Create(subs)) => Answer::Created(
                    subs.iter().map(|sub| (sub.device.clone(), Err("subdevice.limit"))).collect(),
                ),
                _ => Answer::Done,
            };
            if let Uplink::Report { services, .. } = uplink
                && about.device.id.as_str() == DEVICE
            {
                for (service, values) in services.clone() {
                    self.shadow.apply(&Change::Report { service, values });
                }
            }
            if reply.is_some() {
                out.extend(self.wire.answer_about(&about, &heard, &answer));
            }
            self.heard.push(heard.uplink);
        }
        out
    }

    fn start(&mut self) {
        let values = Values { properties: map(json!({"level": 1})), at: NOW };
        self.shadow.apply(&Change::Report { service: "WaterMeter".into(), values });
        self.play(Input::Start { stored: Vec::new(), clock: Some(NOW) });
    }

    /// Asks the device and returns its answer.
    fn ask(&mut self, request: &Downlink, answer: Option<(i64, Value)>) -> Response {
        let (id, message) = self.wire.ask(request).expect("sendable");
        let before = self.heard.len();
        let Message { topic, payload, .. } = message;
        self.play(Input::Mqtt(MqttEvent::Message { topic, payload }));
        if let Some((code, output)) = answer {
            let key = match self.events.last() {
                Some(Event::Set { key, .. } | Event::Command { key, .. }) => *key,
                other => panic!("{other:?}"),
            };
            let (status, output) = (String::from("ok"), map(output));
            self.play(Input::App(Request::Answer { key, code, status, output }));
        }
        match &self.heard[before..] {
            [Uplink::Response { request, response }] if *request == Some(id) => response.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

#[test]
fn it_logs_in_greets_and_reads_shadow_and_clock() {
    let mut pair = Pair::new();
    pair.start();
    let names: Vec<_> = pair.heard.iter().map(Uplink::name).collect();
    assert_eq!(names, ["logs", "time", "read_shadow"]);
    let (service, reported) = ("WaterMeter".into(), map(json!({"level": 1})));
    assert_eq!(
        pair.events,
        [Event::Online, Event::Clock(NOW), Event::Shadow { service, reported }]
    );
    assert_eq!(pair.device.deadline(), None);
}

#[test]
fn it_reports_and_answers() {
    let mut pair = Pair::new();
    pair.start();
    let properties = map(json!({"level": 7, "since": NOW.0}));
    let (node, service): (_, Box<str>) = (None, "WaterMeter".into());
    pair.play(Input::App(Request::Report {
        node,
        service: service.clone(),
        properties: properties.clone(),
    }));
    assert_eq!(pair.shadow.services["WaterMeter"].reported.properties, properties);
    let get = Downlink::GetProperties { service: service.clone(), properties: vec![] };
    assert_eq!(pair.ask(&get, None).output, properties);
    let set =
        Downlink::SetProperties { service: service.clone(), properties: map(json!({"level": 9})) };
    let response = pair.ask(&set, Some((0, json!({}))));
    assert_eq!((response.code, &*response.status), (0, "ok"));
    assert_eq!(pair.ask(&set, Some((3, json!({})))).code, 3);
    let params = map(json!({"value": "1", "at": NOW.0}));
    let command = Downlink::Command { service, command: "ON_OFF".into(), params: params.clone() };
    let response = pair.ask(&command, Some((0, json!({"value": "ON"}))));
    assert_eq!((response.code, response.output), (0, map(json!({"value": "ON"}))));
    let Some(Event::Command { params: given, .. }) =
        pair.events.iter().rfind(|event| matches!(event, Event::Command { .. }))
    else {
        panic!("a command")
    };
    assert_eq!(*given, params);
}

#[test]
fn it_speaks_for_two_children() {
    let mut pair = Pair::new();
    pair.start();
    let children = ["c1", "c2"].map(SubDevice::of_id);
    for child in &children {
        let (device, action) = (child.clone(), SubDeviceAction::Online);
        pair.play(Input::App(Request::SubDevice { device, action }));
        let what = "sub_device_update_status_response".into();
        let said = Event::SubDevice { device: child.clone(), what, result: 0 };
        assert_eq!(pair.events.last(), Some(&said));
        let (node, service) = (Some(child.clone()), "WaterMeter".into());
        let properties = map(json!({"level": 3}));
        pair.play(Input::App(Request::Report { node, service, properties }));
        assert_eq!(pair.heard.last().map(Uplink::name), Some("report"));
    }
    let device = SubDevice { product: "p".into(), node: "n".into() };
    let action = SubDeviceAction::Bind { secret: Secret::from("unused") };
    pair.play(Input::App(Request::SubDevice { device: device.clone(), action }));
    let what = "add_sub_device_response".into();
    assert_eq!(pair.events.last(), Some(&Event::SubDevice { device, what, result: -1 }));
}

#[test]
fn it_logs_in_again_after_every_failure() {
    let mut pair = Pair::new();
    pair.start();
    let fault = Fault::new(FaultKind::Closed, "gone");
    pair.play(Input::Mqtt(MqttEvent::Closed(fault)));
    assert_eq!(pair.events.last(), Some(&Event::Offline));
    let mut last = Duration::ZERO;
    for _ in 0..8 {
        let (due, _) = pair.device.deadline().expect("it will try again");
        last = due.since(pair.now);
        assert!(last <= PAUSE_MAX + Duration::from_secs(1));
        pair.now = due;
        let out = pair.feed(Input::Timeout);
        assert!(matches!(&out[..], [Output::Mqtt(MqttAction::Connect(_))]));
        let out = pair.feed(Input::Mqtt(MqttEvent::Refused(4)));
        assert!(matches!(&out[..], [Output::Failed { code: "auth.bad_password", .. }]));
    }
    assert!(last >= PAUSE_MAX);
}

#[test]
fn packed_reports_say_the_same() {
    let mut pair = Pair::with(|config| config.is_packed = true);
    pair.start();
    let properties = map(json!({"level": 7, "note": "a".repeat(8)}));
    let report = |node| {
        let (service, properties) = ("WaterMeter".into(), properties.clone());
        Input::App(Request::Report { node, service, properties })
    };
    let sent = pair.feed(report(None));
    let [Output::Mqtt(MqttAction::Publish { topic, payload, .. })] = &sent[..] else {
        panic!("one message")
    };
    assert!(topic.ends_with("/sys/properties/report?encoding=gzip"), "{topic}");
    assert_eq!(payload[..3], [0x1F, 0x8B, 8]);
    pair.play(report(None));
    assert_eq!(pair.shadow.services["WaterMeter"].reported.properties, properties);
    pair.play(report(Some(SubDevice::of_id("c1"))));
    assert_eq!(pair.heard.last().map(Uplink::name), Some("report"));
}
