//! A device, phones and a cloud in memory and virtual time.
//!
//! The cloud is a script that answers like the recordings' test server, or in `pair` the product's
//! own cloud half. Every datagram and every MQTT message has a number, and
//! any of them can be lost.

mod bind;
mod control;
mod gateway;
mod operate;
mod pair;
mod platform;
mod replay;
mod setup;

use std::collections::BTreeMap;
use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use core::net::SocketAddr;
use core::time::Duration;

use bytes::Bytes;
use roadstead_core::attempt::Stage;
use roadstead_core::{Code, Map, Secret, Tick, Timestamp, Value};
use serde_json::json;

use super::*;
use crate::alibaba::app::{
    self, Control, ControlOutput, Finder, FinderOutput, FinderPolicy, Provisioner,
    ProvisionerOutput,
};
use crate::alibaba::lan::trim;
use crate::device::{
    Datagram, Event, Fault, FaultKind, HttpReply, MqttAction, MqttEvent, Request, UdpAction,
    WifiAction, WifiEvent,
};

const PRODUCT: &str = "a1RsKq9ZxTb";
const NODE: &str = "lamp-0001";
const SECRET: &str = "Zq3tJ8vYp0LwXc5NdR7mBf2HsK9uGa4E";
const PRODUCT_SECRET: &str = "pS9dK2mQ7xWv4LtZ";
const PHONE_TOKEN: &str = "00112233445566778899AABBCCDDEEFF";
const HOME: &str = "HomeNet";
const HOME_KEY: &str = "home-wifi-2024";

/// A phone's machine.
enum Phone {
    Provisioner(Provisioner),
    Finder(Finder),
    Control(Control),
}

/// What phones learned.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Provision(ProvisionerOutput),
    Find(FinderOutput),
    Control(ControlOutput),
}

enum Due {
    ToDevice(Input),
    Mqtt(u64, MqttEvent),
    ToPhone(usize, Bytes),
    Start(usize),
}

/// How the cloud treats tokens and requests.
#[derive(Clone, Debug, Default)]
struct Script {
    /// Never answers `enrollee/match`.
    silent_match: bool,
    /// Answers it with this code.
    match_code: Option<i64>,
    /// CONNACK of every log-in.
    refuse: Option<u8>,
    /// HTTP answer instead of the usual ones.
    http: Option<(u16, String)>,
    /// Nothing listens.
    down: bool,
    /// Answers no `thing/reset` until this many were sent.
    resets_ignored: usize,
    /// Refuses this subscription.
    refuse_filter: Option<&'static str>,
}

struct World {
    device: Device,
    now: Tick,
    queue: BTreeMap<(Tick, u64), Due>,
    count: u64,
    connection: u64,
    store: BTreeMap<&'static str, Secret>,
    phones: Vec<Phone>,
    heard: Vec<(usize, Heard)>,
    /// Name of the network the device is in.
    network: Option<String>,
    /// Names of networks the phones are in.
    phone_networks: Vec<String>,
    joinable: bool,
    script: Script,
    /// The product's own cloud half instead of the script.
    platform: Option<platform::Platform>,
    /// Another instance, behind this host; it is the world's from the first log-in there on.
    there: Option<(&'static str, platform::Platform)>,
    /// Tokens the cloud has; which of them are used.
    tokens: BTreeMap<String, bool>,
    resets: usize,
    said: Vec<(u64, String)>,
    stages: Vec<Stage>,
    failures: Vec<Code>,
    events: Vec<Event>,
    /// Numbers of the datagram or message under way, and of the one that is lost.
    sent: usize,
    lose: Option<usize>,
    /// The application answers requests.
    obeys: bool,
}

fn config() -> Config {
    let mut config = Config::new(PRODUCT, NODE);
    config.secret = Some(SECRET.into());
    config.product_secret = Some(PRODUCT_SECRET.into());
    config.mac = "B0:F8:93:15:BF:21".into();
    config.ip = [192, 168, 77, 20].into();
    config.firmware = "app-1.0.0-20180101.1000".into();
    config.tls = false;
    config.https = false;
    config.http = Endpoint::vendor(BOOTSTRAP_HOST, 80).at("192.168.77.1", 80);
    config.start = Start::OnNetwork;
    config
}

fn device_address() -> SocketAddr {
    SocketAddr::from(([192, 168, 77, 20], crate::alibaba::lan::PORT))
}

fn phone_address(n: usize) -> SocketAddr {
    SocketAddr::from(([192, 168, 77, 100 + n as u8], 40_000))
}

impl World {
    fn new(config: Config, policy: Policy) -> Self {
        Self::restarted(config, policy, BTreeMap::new())
    }

    fn restarted(config: Config, policy: Policy, store: BTreeMap<&'static str, Secret>) -> Self {
        let stored = store.iter().map(|(key, value)| ((*key).into(), value.clone())).collect();
        let network = matches!(config.start, Start::OnNetwork | Start::Direct);
        let mut world = Self {
            device: Device::new(config, policy),
            now: Tick::ZERO,
            queue: BTreeMap::new(),
            count: 0,
            connection: 0,
            store,
            phones: Vec::new(),
            heard: Vec::new(),
            network: network.then(|| HOME.to_string()),
            phone_networks: Vec::new(),
            joinable: true,
            script: Script::default(),
            platform: None,
            there: None,
            tokens: BTreeMap::new(),
            resets: 0,
            said: Vec::new(),
            stages: Vec::new(),
            failures: Vec::new(),
            events: Vec::new(),
            sent: 0,
            lose: None,
            obeys: true,
        };
        let clock = Some(Timestamp(1_795_221_300_000));
        world.after(0, Due::ToDevice(Input::Start { stored, clock }));
        world
    }

    fn after(&mut self, ms: u64, due: Due) {
        self.count += 1;
        self.queue.insert((self.now + Duration::from_millis(ms), self.count), due);
    }

    /// Adds a phone in this network that begins after `ms`.
    fn phone(&mut self, ms: u64, network: &str, phone: Phone) -> usize {
        self.phones.push(phone);
        self.phone_networks.push(network.to_string());
        let n = self.phones.len() - 1;
        self.after(ms, Due::Start(n));
        n
    }

    fn finder(&mut self, ms: u64) -> usize {
        let seed = 100 + self.phones.len() as u64;
        let finder = Finder::new(FinderPolicy::default(), seed).for_device(PRODUCT, NODE);
        self.phone(ms, HOME, Phone::Finder(finder.at(device_address())))
    }

    /// Runs the world for this long.
    fn run(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            if self.queue.first_key_value().is_some_and(|((at, _), _)| *at <= self.now) {
                if let Some((_, due)) = self.queue.pop_first() {
                    self.happen(due);
                }
                continue;
            }
            if self.device.deadline().is_some_and(|(at, _)| at <= self.now) {
                self.feed(Input::Timeout);
                let later = self.device.deadline().is_none_or(|(at, _)| at > self.now);
                assert!(later, "a deadline must move: {:?}", self.device.deadline());
            }
            for n in 0..self.phones.len() {
                if self.phone_deadline(n).is_some_and(|at| at <= self.now) {
                    self.phone_input(n, app::Input::Timeout);
                    let later = self.phone_deadline(n).is_none_or(|at| at > self.now);
                    assert!(later, "a phone's deadline must move");
                }
            }
        }
        self.now = end;
    }

    fn next(&self) -> Option<Tick> {
        let queue = self.queue.first_key_value().map(|((at, _), _)| *at);
        let device = self.device.deadline().map(|(at, _)| at);
        let phones = (0..self.phones.len()).filter_map(|n| self.phone_deadline(n));
        queue.into_iter().chain(device).chain(phones).min()
    }

    fn phone_deadline(&self, n: usize) -> Option<Tick> {
        let deadline = match self.phones.get(n)? {
            Phone::Provisioner(machine) => machine.deadline(),
            Phone::Finder(machine) => machine.deadline(),
            Phone::Control(machine) => machine.deadline(),
        };
        deadline.map(|(at, _)| at)
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::ToDevice(input) => self.feed(input),
            Due::Mqtt(connection, event) if connection == self.connection => {
                self.feed(Input::Mqtt(event));
            }
            Due::Mqtt(..) => {}
            Due::ToPhone(n, bytes) => {
                self.phone_input(n, app::Input::Datagram { from: device_address(), bytes: &bytes });
            }
            Due::Start(n) => self.phone_input(n, app::Input::Start),
        }
    }

    /// Counts a datagram or message; true when it is the lost one.
    fn is_lost(&mut self) -> bool {
        let number = self.sent;
        self.sent += 1;
        self.lose == Some(number)
    }

    fn phone_input(&mut self, n: usize, input: app::Input<'_>) {
        let now = self.now;
        let mut out = Vec::new();
        match self.phones.get_mut(n) {
            Some(Phone::Provisioner(machine)) => {
                let mut said = Vec::new();
                machine.handle(input, now, &mut said);
                out.extend(said.into_iter().map(Heard::Provision));
            }
            Some(Phone::Finder(machine)) => {
                let mut said = Vec::new();
                machine.handle(input, now, &mut said);
                out.extend(said.into_iter().map(Heard::Find));
            }
            Some(Phone::Control(machine)) => {
                let mut said = Vec::new();
                machine.handle(input, now, &mut said);
                out.extend(said.into_iter().map(Heard::Control));
            }
            None => {}
        }
        for heard in out {
            self.phone_output(n, heard);
        }
    }

    fn phone_output(&mut self, n: usize, heard: Heard) {
        match heard {
            Heard::Provision(ProvisionerOutput::Send { bytes, .. })
            | Heard::Find(FinderOutput::Send { bytes, .. })
            | Heard::Control(ControlOutput::Send { bytes, .. }) => {
                let same = self.network.as_ref() == self.phone_networks.get(n);
                if !self.is_lost() && same {
                    let (port, from) = (crate::alibaba::lan::PORT, phone_address(n));
                    let datagram = Datagram { port, from, bytes };
                    self.after(2, Due::ToDevice(Input::Udp(datagram)));
                }
            }
            other => self.heard.push((n, other)),
        }
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.device.handle(input, self.now, &mut out);
        for output in out {
            self.perform(output);
        }
    }

    fn say(&mut self, text: String) {
        self.said.push((self.now.as_millis(), text));
    }

    fn said(&self, what: &str) -> Vec<(u64, &str)> {
        let found = self.said.iter().filter(|(_, text)| text.contains(what));
        found.map(|(ms, text)| (*ms, text.as_str())).collect()
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Wifi(action) => self.wifi(action),
            Output::Udp(action) => self.udp(action),
            Output::Http(call) => {
                let text = core::str::from_utf8(&call.request).expect("text");
                let (head, body) = text.split_once("\r\n\r\n").expect("head");
                let line = head.lines().next().unwrap_or_default().to_string();
                self.say(format!("http {line} {body}"));
                let result = match (self.script.down || self.is_lost(), &self.script.http) {
                    (true, _) => Err(Fault::new(FaultKind::Timeout, "lost")),
                    (false, Some((status, body))) => {
                        Ok(HttpReply { status: *status, body: Bytes::from(body.clone()) })
                    }
                    (false, None) => Ok(HttpReply { status: 200, body: http_answer(&line) }),
                };
                self.after(3, Due::ToDevice(Input::Http { id: call.id, result }));
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

    fn wifi(&mut self, action: WifiAction) {
        let event = match action {
            WifiAction::StartAp { ssid, .. } => {
                self.network = Some(ssid);
                WifiEvent::ApStarted
            }
            WifiAction::StopAp | WifiAction::Leave => {
                self.network = None;
                return;
            }
            WifiAction::Listen(_) => return,
            WifiAction::Join { ssid, password } => {
                let home = ssid == HOME && password.matches(HOME_KEY.as_bytes()) && self.joinable;
                let setup = ssid == "aha" || ssid == "adha";
                self.network = (home || setup).then(|| ssid.clone());
                match (home || setup, ssid == HOME && !self.joinable) {
                    (true, _) => WifiEvent::Joined([192, 168, 77, 20].into()),
                    (false, true) => WifiEvent::JoinFailed(1),
                    (false, false) => WifiEvent::JoinFailed(2),
                }
            }
        };
        self.after(40, Due::ToDevice(Input::Wifi(event)));
    }

    fn udp(&mut self, action: UdpAction) {
        match action {
            UdpAction::Bind(_) | UdpAction::Close(_) => {}
            UdpAction::Send { to, bytes, .. } => {
                self.say(format!("udp {}", hex::encode(&bytes)));
                let phone = (0..self.phones.len()).find(|n| phone_address(*n) == to);
                if let Some(n) = phone
                    && !self.is_lost()
                    && self.phone_networks.get(n) == self.network.as_ref()
                {
                    self.after(2, Due::ToPhone(n, bytes));
                }
            }
            UdpAction::Broadcast { bytes, .. } => {
                self.say(format!("broadcast {}", hex::encode(&bytes)));
                let lost = self.is_lost();
                for n in 0..self.phones.len() {
                    if !lost && self.phone_networks.get(n) == self.network.as_ref() {
                        self.after(2, Due::ToPhone(n, bytes.clone()));
                    }
                }
            }
        }
    }

    fn cloud(&mut self, action: MqttAction) {
        match action {
            MqttAction::Connect(login) => {
                self.connection += 1;
                let user = login.user.as_deref().unwrap_or_default();
                self.say(format!(
                    "CONNECT {}:{} {user} {}",
                    login.host, login.port, login.client_id
                ));
                let registers = login.client_id.contains("authType=reg");
                if self.there.as_ref().is_some_and(|(host, _)| *host == &*login.host) {
                    self.platform = self.there.take().map(|(_, platform)| platform);
                }
                if let Some(platform) = self.platform.as_mut().filter(|_| !self.script.down) {
                    let (connack, messages) = platform.connect(&login, self.now);
                    self.later_mqtt(
                        2,
                        match connack {
                            0 => MqttEvent::Connected,
                            code => MqttEvent::Refused(code),
                        },
                    );
                    return self.deliver(messages);
                }
                let event = match (self.script.down, self.script.refuse) {
                    (true, _) => MqttEvent::Closed(Fault::new(FaultKind::Connect, "refused")),
                    (false, Some(code)) => MqttEvent::Refused(code),
                    (false, None) => MqttEvent::Connected,
                };
                self.later_mqtt(2, event);
                if registers {
                    let open = login.client_id.contains("regnwl");
                    let body = match open {
                        true => json!({"clientId": "x9f8e7d6c5b4a3", "deviceToken": "tok-0f1e"}),
                        false => json!({"deviceSecret": SECRET}),
                    };
                    let topic = if open { "/ext/regnwl" } else { "/ext/register" };
                    self.down(3, topic, &body.to_string());
                }
            }
            MqttAction::Subscribe { filter, qos } => {
                self.say(format!("SUBSCRIBE {filter} {qos}"));
                let refused = self.script.refuse_filter.is_some_and(|f| filter.ends_with(f));
                let granted = match &mut self.platform {
                    Some(platform) => platform.subscribe(&filter).map(|max| max.min(qos)),
                    None => (!refused).then_some(qos),
                };
                self.later_mqtt(2, MqttEvent::Subscribed { filter, granted });
            }
            MqttAction::Publish { topic, payload, qos, mark } => {
                let text = String::from_utf8_lossy(trim(&payload)).into_owned();
                self.say(format!("PUBLISH {topic} {qos} {text}"));
                if self.is_lost() {
                    return;
                }
                if qos == 1 {
                    self.later_mqtt(2, MqttEvent::Published { mark });
                }
                match &mut self.platform {
                    Some(platform) => {
                        let messages = platform.publish(&topic, &payload, self.now);
                        self.deliver(messages);
                    }
                    None => self.published(&topic, &text),
                }
            }
            MqttAction::Disconnect => {
                self.connection += 1;
                self.say("DISCONNECT".to_string());
            }
        }
    }

    fn published(&mut self, topic: &str, text: &str) {
        let body: Value = serde_json::from_str(text).expect("JSON");
        let rest = topic.strip_prefix(&format!("/sys/{PRODUCT}/{NODE}/"));
        let id = &body["id"];
        let mut code = 200;
        let mut data = json!({});
        match rest {
            None if topic.starts_with("/ext/ntp/") => {
                let answer = json!({
                    "deviceSendTime": body["deviceSendTime"],
                    "serverRecvTime": "1795221300100", "serverSendTime": "1795221300101",
                });
                return self.down(
                    4,
                    &format!("/ext/ntp/{PRODUCT}/{NODE}/response"),
                    &answer.to_string(),
                );
            }
            Some(rest) if rest.ends_with("_reply") || rest.starts_with("rrpc/") => return,
            None => return,
            Some("thing/awss/enrollee/match") => {
                let token = body["params"]["token"].as_str().expect("token").to_string();
                if self.script.silent_match {
                    return;
                }
                code = self.script.match_code.unwrap_or(200);
                if code == 200 {
                    self.tokens.entry(token).or_insert(false);
                }
            }
            Some("thing/reset") => {
                self.resets += 1;
                if self.resets <= self.script.resets_ignored {
                    return;
                }
            }
            Some("thing/lan/prefix/get") => {
                assert_eq!(body["params"], json!("{}"), "the firmware's text");
                data = json!({
                    "prefix": "Mine@iot", "deviceSecret": "own-secret",
                    "productKey": PRODUCT, "deviceName": NODE,
                });
            }
            Some(_) => {}
        }
        let answer = json!({
            "code": code, "data": data, "id": id, "message": "success", "version": "1.0",
        });
        self.down(4, &format!("{topic}_reply"), &answer.to_string());
    }

    /// Brings messages of the platform to the device.
    fn deliver(&mut self, messages: Vec<crate::cloud::Message>) {
        for message in messages {
            if !self.is_lost() {
                let (topic, payload) = (message.topic, message.payload);
                self.later_mqtt(4, MqttEvent::Message { topic, payload });
            }
        }
    }

    /// Publishes to the device.
    fn down(&mut self, ms: u64, topic: &str, text: &str) {
        if self.is_lost() {
            return;
        }
        let payload = Bytes::copy_from_slice(text.as_bytes());
        self.later_mqtt(ms, MqttEvent::Message { topic: topic.into(), payload });
    }

    fn later_mqtt(&mut self, ms: u64, event: MqttEvent) {
        self.after(ms, Due::Mqtt(self.connection, event));
    }

    /// Publishes below `/sys/{pk}/{dn}/`.
    fn tell(&mut self, rest: &str, body: &Value) {
        self.down(1, &format!("/sys/{PRODUCT}/{NODE}/{rest}"), &body.to_string());
    }

    fn application(&mut self, event: Event) {
        let requests = match &event {
            Event::Online => std::vec![report(json!({"LightSwitch": 0}))],
            Event::Set { key, properties, .. } if self.obeys => {
                std::vec![answer(*key, json!({})), report(properties.clone().into())]
            }
            Event::Command { key, params, .. } if self.obeys => {
                let more = params.get("transparency").and_then(Value::as_i64).unwrap_or(0) + 1;
                std::vec![answer(*key, json!({ "transparency": more }))]
            }
            _ => Vec::new(),
        };
        self.events.push(event);
        for request in requests {
            self.after(0, Due::ToDevice(Input::App(request)));
        }
    }

    /// A phone's user binds with a token.
    fn bind(&mut self, token: &Secret) -> Result<(), &'static str> {
        match self.tokens.get_mut(token.expose_text().unwrap_or_default()) {
            None => Err("bind.unknown_token"),
            Some(true) => Err("bind.already_used"),
            Some(used) => {
                *used = true;
                Ok(())
            }
        }
    }

    /// Binds with everything that phone `n` has found so far; true when one of them worked.
    fn bind_found(&mut self, n: usize) -> bool {
        let found: Vec<Secret> = self
            .heard
            .iter()
            .filter(|(phone, _)| *phone == n)
            .filter_map(|(_, heard)| match heard {
                Heard::Find(FinderOutput::Found { info, .. }) => info.token.as_ref(),
                _ => None,
            })
            .map(|token| token.token.clone())
            .collect();
        found.iter().any(|token| self.bind(token).is_ok())
    }
}

fn report(properties: Value) -> Request {
    let properties = properties.as_object().expect("object").clone();
    Request::Report { node: None, service: "default".into(), properties }
}

fn answer(key: u64, output: Value) -> Request {
    let output = output.as_object().cloned().unwrap_or_else(Map::new);
    Request::Answer { key, code: 0, status: String::new(), output }
}

fn http_answer(line: &str) -> Bytes {
    let mqtt = json!({"mqtt": {"host": "192.168.77.1", "port": 1883}});
    let data = if line.contains("register") {
        json!({"deviceName": NODE, "deviceSecret": SECRET, "productKey": PRODUCT})
    } else if line.contains("devicename") {
        json!({"iotId": "iot-id", "iotToken": "iot-token", "resources": mqtt})
    } else {
        json!({ "resources": mqtt })
    };
    Bytes::from(json!({"code": 200, "data": data, "message": "success"}).to_string())
}
