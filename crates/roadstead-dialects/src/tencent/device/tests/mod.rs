//! The device against the phone's dialogue and against recordings, in memory and virtual time.
//!
//! [`Bench`] is a small world: one device, at most one phone on a lossy link, and a cloud that
//! answers as the recorded test cloud did.

mod replay;
mod scenario;

use std::collections::BTreeMap;
use std::format;
use std::net::SocketAddr;
use std::string::{String, ToString};
use std::vec::Vec;

use bytes::Bytes;
use core::time::Duration;
use roadstead_core::attempt::Stage;
use roadstead_core::{Code, Secret, Tick, Timestamp, Value};
use serde_json::json;

use super::*;
use crate::device::{
    Datagram, Event, HttpReply, MqttAction, MqttEvent, Request, Tls, UdpAction, WifiAction,
    WifiEvent,
};
use crate::tencent::app::{self, Dialogue};

const PHONE: &str = "192.168.4.66:47482";
const TOKEN: &str = "69f978dfbb48ec40cadb6d9af470d0f6";
const SECRET: &str = "MLvMHde65nKPk0Lx+ZThaA==";
const PRODUCT_SECRET: &str = "XoezQjzzMedF4lAr2CqCkVYK";
/// The payload of a registration that holds `SECRET`, from the seed's log.
const PAYLOAD: &str =
    "sf1gANtJCT/PRC4ZHOypfkLnO53otVR/oBAnD3vXhS2m8XkbQ08bTCD+I1Tz5Jjo7vhAnC6QE3RgWWZGg6pWGg==";

/// Something the device said, in a form that is the same in every run.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    ms: u64,
    text: String,
}

/// Something that will happen.
enum Due {
    ToDevice(Input),
    ToPhone(Vec<u8>),
    PhoneStarts,
}

/// How the cloud answers the token.
#[derive(Clone, Copy)]
enum Verdict {
    Code(i64, &'static str),
    Garbage,
    Silence,
    NoPubAck,
}

struct Bench {
    device: Device,
    now: Tick,
    due: BTreeMap<(Tick, u64), Due>,
    count: u64,
    said: Vec<Line>,
    stages: Vec<Stage>,
    failures: Vec<Code>,
    events: Vec<Event>,
    store: BTreeMap<&'static str, Secret>,
    phone: Option<Dialogue>,
    heard: Vec<app::Output>,
    /// Datagrams lost, of 100, in both directions.
    loss: u64,
    random: Random,
    /// The phone has left the device's network.
    phone_is_home: bool,
    join: Result<(), i32>,
    verdict: Verdict,
    status: Value,
    lamp: Value,
    refuse: Option<u8>,
}

impl Bench {
    fn new(config: Config, policy: Policy) -> Self {
        Self::restarted(config, policy, BTreeMap::new())
    }

    fn restarted(config: Config, policy: Policy, store: BTreeMap<&'static str, Secret>) -> Self {
        let stored = store.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
        let mut bench = Self {
            device: Device::new(config, policy),
            now: Tick::ZERO,
            due: BTreeMap::new(),
            count: 0,
            said: Vec::new(),
            stages: Vec::new(),
            failures: Vec::new(),
            events: Vec::new(),
            store,
            phone: None,
            heard: Vec::new(),
            loss: 0,
            random: Random::new(7),
            phone_is_home: false,
            join: Ok(()),
            verdict: Verdict::Code(0, "success"),
            status: json!({}),
            lamp: json!({"power_switch": 0, "color": 0, "brightness": 0, "name": "TEST2"}),
            refuse: None,
        };
        let clock = Some(Timestamp(1_795_221_300_000));
        bench.after(0, Due::ToDevice(Input::Start { stored, clock }));
        bench
    }

    fn after(&mut self, ms: u64, due: Due) {
        self.count += 1;
        self.due.insert((self.now + Duration::from_millis(ms), self.count), due);
    }

    fn phone(&mut self, at_ms: u64, task: app::Task) {
        self.phone = Some(Dialogue::new(task, app::Policy::default()));
        self.phone_is_home = false;
        self.after(at_ms, Due::PhoneStarts);
    }

    /// Lets a datagram of any text reach the device.
    fn datagram(&mut self, at_ms: u64, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let from: SocketAddr = PHONE.parse().expect("address");
        let port = super::super::comm::COMMAND_PORT;
        self.after(at_ms, Due::ToDevice(Input::Udp(Datagram { port, from, bytes })));
    }

    /// Runs the world for this long.
    fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        loop {
            let due = self.due.first_key_value().map(|((tick, _), _)| *tick);
            let device = self.device.deadline().map(|(tick, _)| tick);
            let phone = self.phone.as_ref().and_then(Dialogue::deadline).map(|(tick, _)| tick);
            let next = [due, device, phone].into_iter().flatten().min().unwrap_or(end).min(end);
            self.now = next.max(self.now);
            if next >= end && due.is_none_or(|due| due > end) && device.is_none_or(|d| d > end) {
                break;
            }
            if due == Some(next) {
                if let Some((_, due)) = self.due.pop_first() {
                    self.happen(due);
                }
            } else if device == Some(next) {
                self.feed(Input::Timeout);
                let later = self.device.deadline().is_none_or(|(tick, _)| tick > self.now);
                assert!(
                    later,
                    "the device must not ask for the past: {:?}",
                    self.device.deadline()
                );
            } else {
                self.phone_input(app::Input::Timeout);
            }
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::ToDevice(input) => self.feed(input),
            Due::ToPhone(bytes) => self.phone_input(app::Input::Datagram(&bytes)),
            Due::PhoneStarts => self.phone_input(app::Input::Start),
        }
    }

    fn phone_input(&mut self, input: app::Input<'_>) {
        let Some(phone) = &mut self.phone else { return };
        let mut out = Vec::new();
        phone.handle(input, self.now, &mut out);
        for output in out {
            if let app::Output::Send(bytes) = &output {
                if !self.is_lost() && !self.phone_is_home {
                    let text = core::str::from_utf8(bytes).expect("text").to_string();
                    self.datagram(1, &text);
                }
            } else {
                self.phone_is_home |= matches!(output, app::Output::Found { .. });
                self.heard.push(output);
            }
        }
    }

    fn is_lost(&mut self) -> bool {
        self.random.below(100) < self.loss
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.device.handle(input, self.now, &mut out);
        for output in out {
            self.perform(output);
        }
    }

    fn say(&mut self, text: String) {
        self.said.push(Line { ms: self.now.as_millis(), text });
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Wifi(WifiAction::StartAp { .. }) => {
                self.after(1, Due::ToDevice(Input::Wifi(WifiEvent::ApStarted)));
            }
            Output::Wifi(WifiAction::Join { .. }) => {
                let event = match self.join {
                    Ok(()) => WifiEvent::Joined([192, 168, 1, 23].into()),
                    Err(code) => WifiEvent::JoinFailed(code),
                };
                self.after(20, Due::ToDevice(Input::Wifi(event)));
            }
            Output::Wifi(WifiAction::StopAp | WifiAction::Leave | WifiAction::Listen(_)) => {}
            Output::Udp(UdpAction::Send { bytes, .. }) => {
                self.say(format!("udp {}", plain(&bytes)));
                if !self.is_lost() && !self.phone_is_home {
                    self.after(1, Due::ToPhone(bytes.to_vec()));
                }
            }
            Output::Udp(UdpAction::Broadcast { port, bytes }) => {
                if port == super::super::comm::PROGRESS_PORT && !self.is_lost() {
                    self.after(1, Due::ToPhone(bytes.to_vec()));
                }
            }
            Output::Udp(UdpAction::Bind(_) | UdpAction::Close(_)) => {}
            Output::Http(call) => {
                let text = core::str::from_utf8(&call.request).expect("text");
                let (head, body) = text.split_once("\r\n\r\n").expect("head");
                let line = head.lines().next().unwrap_or_default().to_string();
                self.say(format!("http {line} {}", plain(body.as_bytes())));
                let answer =
                    json!({"code": 0, "message": "success", "len": 53, "payload": PAYLOAD});
                let body = Bytes::from(answer.to_string());
                let result = Ok(HttpReply { status: 200, body });
                self.after(1, Due::ToDevice(Input::Http { id: call.id, result }));
            }
            Output::Mqtt(action) => self.cloud(action),
            Output::Store { key, value } => {
                match value {
                    Some(value) => self.store.insert(key, value),
                    None => self.store.remove(key),
                };
            }
            Output::Stage { stage, .. } => self.stages.push(stage),
            Output::Failed { code, .. } => self.failures.push(code),
            Output::App(event) => self.application(event),
        }
    }

    /// The recorded test cloud.
    fn cloud(&mut self, action: MqttAction) {
        match action {
            MqttAction::Connect(login) => {
                let tls = match &login.tls {
                    Tls::Off => "plain",
                    Tls::Server => "server",
                    Tls::Certificate { .. } => "certificate",
                    Tls::Psk { .. } => "psk",
                };
                let password = if login.password.is_some() { " password" } else { "" };
                let keep_alive = login.keep_alive.as_secs();
                self.say(format!("CONNECT {tls} {} {keep_alive}{password}", login.client_id));
                let event = self.refuse.map_or(MqttEvent::Connected, MqttEvent::Refused);
                self.after(1, Due::ToDevice(Input::Mqtt(event)));
            }
            MqttAction::Subscribe { filter, qos } => {
                self.say(format!("SUBSCRIBE {filter} {qos}"));
                let event = MqttEvent::Subscribed { filter, granted: Some(qos) };
                self.after(1, Due::ToDevice(Input::Mqtt(event)));
            }
            MqttAction::Publish { topic, payload, qos, mark } => {
                self.say(format!("PUBLISH {topic} {qos} {}", plain(&payload)));
                let body: Value = serde_json::from_slice(&payload).expect("JSON");
                let binds = body["method"] == "app_bind_token";
                if qos == 1 && !(binds && matches!(self.verdict, Verdict::NoPubAck)) {
                    let event = MqttEvent::Published { mark };
                    self.after(1, Due::ToDevice(Input::Mqtt(event)));
                }
                if let Some(answer) = self.answer(&body) {
                    let (up, down) = ("$thing/up/", "$thing/down/");
                    let topic = topic.replace(up, down).replace("operation/", "operation/result/");
                    self.message(100, &topic, &answer);
                }
            }
            MqttAction::Disconnect => self.say("DISCONNECT".to_string()),
        }
    }

    fn message(&mut self, after_ms: u64, topic: &str, payload: &str) {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        let event = MqttEvent::Message { topic: topic.into(), payload };
        self.after(after_ms, Due::ToDevice(Input::Mqtt(event)));
    }

    fn answer(&self, body: &Value) -> Option<String> {
        let token = &body["clientToken"];
        let method = body["method"].as_str().unwrap_or_default();
        let answer = match (method, body["type"].as_str()) {
            ("app_bind_token", _) => match self.verdict {
                Verdict::Code(code, status) => {
                    json!({"method": "app_bind_token_reply", "clientToken": token, "code": code, "status": status})
                }
                Verdict::Garbage => return Some("not json".into()),
                Verdict::Silence | Verdict::NoPubAck => return None,
            },
            ("get_status", _) => {
                json!({"method": "get_status_reply", "clientToken": token, "code": 0, "status": "success", "data": self.status})
            }
            ("unbind_device_request", _) => {
                json!({"method": "unbind_device_reply", "clientToken": token, "code": 0, "status": "success"})
            }
            ("event_post", _) => {
                json!({"method": "event_reply", "clientToken": token, "version": "1.0", "code": 0, "status": "", "data": {}})
            }
            ("report" | "report_info" | "clear_control", _) => {
                json!({"method": format!("{method}_reply"), "clientToken": token, "code": 0, "status": "success"})
            }
            ("", Some("get")) => {
                json!({"type": "get", "time": 1_795_221_327, "ntptime1": 1_795_221_327_270_i64, "ntptime2": 1_795_221_327_270_i64})
            }
            ("", Some(kind @ ("bind" | "online" | "offline" | "unbind"))) => {
                let mut device = body["payload"]["devices"][0].clone();
                device["result"] = 0.into();
                json!({"type": kind, "payload": {"devices": [device]}})
            }
            _ => return None,
        };
        Some(answer.to_string())
    }

    /// The sample's application: reports on coming on line, obeys and reports.
    fn application(&mut self, event: Event) {
        let requests = match &event {
            Event::Online => {
                let properties = self.lamp.as_object().expect("object").clone();
                std::vec![Request::Report { node: None, service: "default".into(), properties }]
            }
            Event::Set { key, node, service, properties } => std::vec![
                Request::Answer {
                    key: *key,
                    code: 0,
                    status: String::new(),
                    output: roadstead_core::Map::new(),
                },
                Request::Report {
                    node: node.clone(),
                    service: service.clone(),
                    properties: properties.clone()
                },
            ],
            Event::Command { key, .. } => {
                let output = json!({"err_code": 1}).as_object().expect("object").clone();
                let status = "action execute success!".to_string();
                std::vec![Request::Answer { key: *key, code: 0, status, output }]
            }
            Event::Offline
            | Event::Bound
            | Event::Unbound
            | Event::Shadow { .. }
            | Event::Rejected { .. }
            | Event::Clock(_)
            | Event::SubDevice { .. }
            | Event::SubDeviceChanged { .. }
            | Event::SearchSubDevices { .. } => Vec::new(),
        };
        self.events.push(event);
        for request in requests {
            self.after(0, Due::ToDevice(Input::App(request)));
        }
    }

    fn said(&self, what: &str) -> Vec<&Line> {
        self.said.iter().filter(|line| line.text.contains(what)).collect()
    }
}

/// Writes JSON with everything that differs between runs replaced; other text as it is.
fn plain(bytes: &[u8]) -> String {
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else {
        return String::from_utf8_lossy(bytes).trim_end().to_string();
    };
    for key in ["nonce", "timestamp", "signature"] {
        if let Some(member) = value.get_mut(key) {
            *member = "*".into();
        }
    }
    if let Some(token) = value.get_mut("clientToken")
        && let Some(text) = token.as_str()
        && let Some((name, _)) = text.rsplit_once('-')
    {
        *token = format!("{name}-*").into();
    }
    if let Some(times) = value.pointer_mut("/params/pairTime").and_then(Value::as_object_mut) {
        for (key, member) in times.iter_mut() {
            if key != "type" {
                *member = "*".into();
            }
        }
    }
    let mut object = value.as_object().cloned().unwrap_or_default();
    object.sort_keys();
    Value::from(object).to_string()
}

fn soft_ap() -> Config {
    let mut config = Config::new("L4WG9V9M2M", "TEST2").with_mqtt("127.0.0.1", 1883);
    config.proof = Proof::Sha1 { tls: false };
    config.secret = Some(SECRET.into());
    config
}

fn task() -> app::Task {
    app::Task::SoftAp {
        ssid: "lab-home".into(),
        password: "lab-pass-1".into(),
        token: TOKEN.into(),
    }
}
