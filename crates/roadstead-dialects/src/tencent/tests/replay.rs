//! Every recording: what the device sent is understood, what the recorded cloud answered we answer
//! too, byte for byte (ids that are ours alone excepted).

use std::boxed::Box;
use std::collections::BTreeMap;
use std::path::Path;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;

use bytes::Bytes;
use roadstead_core::device::Fingerprint;
use roadstead_core::exchange::{Answer, Downlink, SubDevice, Uplink};
use roadstead_core::product::{Auth, DEFAULT_SERVICE, Model};
use roadstead_core::shadow::{ServiceState, Shadow, Values};
use roadstead_core::{Map, RequestId, Timestamp, Value};
use serde_json::json;

use super::{NOW, PRODUCT, SECRET, body, cloud, device, lamp, product};
use crate::cloud::{Account, Claim, Cloud, Grant, Heard, Hello, Message, Route, Session, Tls};
use crate::tencent::topic::Topic;
use crate::tencent::value::to_canonical;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/transcripts/tencent");
/// The request number of everything the recorded cloud pushed.
const REQUEST: RequestId = RequestId(0x2a);

/// What a run of all recordings did; a silent skip would show here.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    logins: usize,
    subscriptions: usize,
    uplinks: usize,
    answers: usize,
    pushes: usize,
    responses: usize,
    /// Firmware updates and the gateway's `unbind_all`: not sent by this dialect.
    unsupported: usize,
}

#[test]
fn every_recording_is_understood_and_answered_alike() {
    let mut tally = Tally::default();
    let mut files = 0;
    for entry in std::fs::read_dir(FOLDER).expect("transcripts") {
        let path = entry.expect("entry").path();
        if path.extension().is_some_and(|ext| ext == "json") {
            Replay::new(&path).run(&mut tally);
            files += 1;
        }
    }
    let expected = Tally {
        logins: 38,
        subscriptions: 68,
        uplinks: 144,
        answers: 95,
        pushes: 8,
        responses: 2,
        unsupported: 18,
    };
    assert_eq!((files, tally), (52, expected));
}

struct Replay {
    name: String,
    exchanges: Vec<Value>,
    cloud: Box<dyn Cloud>,
    accounts: BTreeMap<(String, String), Account>,
    own: Option<Account>,
    session: Option<Box<dyn Session>>,
    pending: Vec<(Heard, Account)>,
    /// Recorded token of a push to ours: the recorded answer carries the former.
    tokens: Vec<(String, String)>,
}

impl Replay {
    fn new(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("readable");
        let mut file: Value = serde_json::from_str(&text).expect("JSON");
        let Value::Array(exchanges) = file["exchanges"].take() else { panic!("exchanges") };
        Self {
            name: path.file_name().expect("name").to_string_lossy().into_owned(),
            exchanges,
            cloud: cloud(json!({})),
            accounts: BTreeMap::new(),
            own: None,
            session: None,
            pending: Vec::new(),
            tokens: Vec::new(),
        }
    }

    fn run(mut self, tally: &mut Tally) {
        for exchange in core::mem::take(&mut self.exchanges) {
            let up = exchange["dir"] == "dev->cloud";
            match exchange["packet"].as_str() {
                Some("CONNECT") => self.connect(&exchange, tally),
                Some("SUBSCRIBE") => self.subscribe(&exchange, tally),
                Some("PUBLISH") if up => self.up(&exchange, tally),
                Some("PUBLISH") => self.down(&exchange, tally),
                _ => {}
            }
        }
    }

    fn account(&mut self, id: &str, node: &str) -> Account {
        let model = if id == PRODUCT { lamp() } else { Model::default() };
        let make = || {
            let mut product = product(id, model);
            let mut device = device(id, node, SECRET);
            if id == "CERTPROD01" {
                product.auth = Auth::Certificate;
                device.fingerprint = Some(Fingerprint::Sha1([7; 20]));
            }
            Account { product: Arc::new(product), device: Arc::new(device) }
        };
        self.accounts.entry((id.into(), node.into())).or_insert_with(make).clone()
    }

    fn connect(&mut self, exchange: &Value, tally: &mut Tally) {
        let client_id = exchange["client_id"].as_str().expect("client id");
        let tls = match exchange["transport"].as_str() {
            Some("mqtts") if client_id.starts_with("CERT") => Tls::Certificate {
                sha1: Fingerprint::Sha1([7; 20]),
                sha256: Fingerprint::Sha256([8; 32]),
                common_name: None,
                authority: None,
            },
            Some("mqtts") => Tls::Psk { identity: client_id.as_bytes().into() },
            _ => Tls::None,
        };
        let hello = Hello {
            level: 4,
            client_id,
            user: exchange["username"].as_str(),
            password: exchange["password"].as_str().map(str::as_bytes),
            keep_alive_s: 240,
            tls: &tls,
        };
        assert!(self.cloud.recognizes(&hello), "{}", self.name);
        let claim = self.cloud.identify(&hello).expect("consistent");
        let Claim::Node { product, node } = claim else { panic!("{}", self.name) };
        let account = self.account(&product, &node);
        // The recorded gateway had another secret, which is not published.
        if &*product != "GWPROD0001" {
            assert_eq!(self.cloud.admit(&hello, &account, NOW), Ok(()), "{}", self.name);
            tally.logins += 1;
        }
        self.session = Some(self.cloud.session(&account, 7));
        self.own = Some(account);
        self.pending.clear();
    }

    fn subscribe(&mut self, exchange: &Value, tally: &mut Tally) {
        let session = self.session.as_ref().expect("connected");
        for filter in exchange["filters"].as_array().expect("filters") {
            let filter = filter[0].as_str().expect("text");
            let own = Topic::parse(filter).expect("a topic");
            let own = own.product == self.own.as_ref().expect("own").product.id.as_str();
            match session.subscribe_grant(filter) {
                Grant::Platform { qos_max: 1 } if own => {}
                Grant::Sub { qos_max: 1, .. } if !own => {}
                other => panic!("{}: {filter}: {other:?}", self.name),
            }
            tally.subscriptions += 1;
        }
    }

    fn up(&mut self, exchange: &Value, tally: &mut Tally) {
        let topic = exchange["topic"].as_str().expect("topic");
        let route = self.session.as_ref().expect("connected").publish_route(topic);
        let account = match route {
            Route::Own => self.own.clone().expect("own"),
            Route::Sub(SubDevice { product, node }) => self.account(&product, &node),
            other => panic!("{}: {topic}: {other:?}", self.name),
        };
        let mut payload = recorded(exchange);
        for (theirs, ours) in &self.tokens {
            payload = String::from_utf8_lossy(&payload).replace(theirs, ours).into();
        }
        let mut out = Vec::new();
        let session = self.session.as_mut().expect("connected");
        session.uplink(&account, topic, &payload, NOW, &mut out);
        assert_eq!(out.len(), 1, "{}: {topic}", self.name);
        let heard = out.remove(0);
        assert!(
            !matches!(heard.uplink, Uplink::Malformed { .. }),
            "{}: {topic}: {heard:?}",
            self.name
        );
        if let Uplink::Report { rejected, .. } = &heard.uplink {
            assert_eq!(rejected, &[], "{}", self.name);
        }
        if let Uplink::Response { request: Some(request), response } = &heard.uplink {
            assert_eq!((*request, response.code), (REQUEST, 0), "{}", self.name);
            tally.responses += 1;
        }
        tally.uplinks += 1;
        if heard.reply.is_some() {
            self.pending.push((heard, account));
        }
    }

    fn down(&mut self, exchange: &Value, tally: &mut Tally) {
        let topic = exchange["topic"].as_str().expect("topic");
        let payload = recorded(exchange);
        let Ok(json) = serde_json::from_slice::<Value>(&payload) else {
            // One scenario answers with garbage, one sends raw bytes.
            if topic.starts_with("$thing/down/raw/") {
                self.push(topic, &json!({"method": "raw"}), &payload, tally);
            }
            return;
        };
        let session = self.session.as_mut().expect("connected");
        for at in 0..self.pending.len() {
            let (heard, account) = &self.pending[at];
            let (answer, now) = answer_like(&heard.uplink, &json, account);
            let reply = heard.reply.as_ref().expect("pending ones have one");
            let mut out = Vec::new();
            session.answer(account, reply, &answer, now, &mut out);
            if let [message] = out.as_slice()
                && *message.topic == *topic
                && is_alike(message, &json, &payload)
            {
                self.pending.remove(at);
                tally.answers += 1;
                return;
            }
        }
        self.push(topic, &json, &payload, tally);
    }

    /// What the recorded cloud said unasked, we can say too.
    fn push(&mut self, topic: &str, json: &Value, payload: &Bytes, tally: &mut Tally) {
        let name = json["method"].as_str().or(json["type"].as_str()).expect("a name");
        let account = self.own.clone().expect("own");
        let status = json["payload"]["status"] == 1;
        let request = match name {
            "control" => Downlink::SetProperties {
                service: DEFAULT_SERVICE.into(),
                properties: canonical(&account, &json["params"]),
            },
            "action" => Downlink::Command {
                service: DEFAULT_SERVICE.into(),
                command: json["actionId"].as_str().expect("id").into(),
                params: json!({"time": 5, "color": "Green", "total_time": 30})
                    .as_object()
                    .expect("object")
                    .clone(),
            },
            "unbind_device" => Downlink::Unbound,
            "raw" => Downlink::message("raw", payload.clone()),
            "change" => {
                let devices = json["payload"]["devices"].as_array().expect("devices");
                let devices = devices.iter().map(sub_device).collect();
                Downlink::SubDevicesChanged { attached: status, devices, facts: Vec::new() }
            }
            "search_devices" => Downlink::SearchSubDevices { start: status },
            "update_firmware" | "unbind_all" | "describe_sub_devices" => {
                tally.unsupported += 1;
                return;
            }
            other => panic!("{}: nothing of ours is like {other}: {json}", self.name),
        };
        let now = json["timestamp"].as_i64().map_or(NOW, |s| Timestamp(s * 1000));
        let mut out = Vec::new();
        let session = self.session.as_mut().expect("connected");
        session.downlink(&account, Some(REQUEST), &request, now, &mut out).expect("sendable");
        assert_eq!(out.len(), 1, "{}", self.name);
        assert_eq!(&*out[0].topic, topic);
        if name == "raw" {
            assert_eq!(out[0].payload, payload);
        } else {
            let (mut ours, mut theirs) = (body(&out[0]), json.clone());
            if let (Some(ours), Some(theirs)) =
                (ours.get_mut("clientToken"), theirs.get_mut("clientToken"))
            {
                let pair = (theirs.take(), ours.take());
                let text = |value: &Value| value.as_str().expect("text").to_string();
                self.tokens.push((text(&pair.0), text(&pair.1)));
            }
            assert_eq!(ours.to_string(), theirs.to_string(), "{}", self.name);
        }
        tally.pushes += 1;
    }
}

fn recorded(exchange: &Value) -> Bytes {
    match (&exchange["payload"], &exchange["payload_hex"]) {
        (Value::String(text), _) => text.clone().into(),
        (_, Value::String(digits)) => hex::decode(digits).expect("hex").into(),
        _ => Bytes::new(),
    }
}

/// Returns the answer that would make a right session say what was recorded.
fn answer_like(uplink: &Uplink, json: &Value, account: &Account) -> (Answer, Timestamp) {
    let ms = |key: &str| Timestamp(json[key].as_i64().unwrap_or_default());
    let answer = match uplink {
        Uplink::ReadShadow => Answer::Shadow(Box::new(shadow(account, &json["data"]))),
        Uplink::Time => Answer::Time { received: ms("ntptime1"), sent: ms("ntptime2") },
        Uplink::LogLevel => Answer::LogLevel(json["log_level"].as_u64().unwrap_or_default() as u8),
        Uplink::SubDevices(_) => {
            let devices = json["payload"]["devices"].as_array().into_iter().flatten();
            let result = |device: &Value| match device["result"].as_i64() {
                Some(0) => Ok(()),
                _ => Err("subdevice.not_attached"),
            };
            Answer::SubDevices(devices.map(|d| (sub_device(d), result(d))).collect())
        }
        _ if json["code"].as_i64().is_some_and(|code| code != 0) => {
            Answer::Refused { code: "bind.unknown_token", detail: "token invalid".into() }
        }
        _ => Answer::Done,
    };
    let now = json["timestamp"].as_i64().map_or(NOW, |s| Timestamp(s * 1000));
    (answer, now)
}

/// Equal to the byte; the number of a refusal is each cloud's own.
fn is_alike(message: &Message, json: &Value, payload: &Bytes) -> bool {
    let mut ours = body(message);
    match (json["code"].as_i64(), ours["code"].as_i64()) {
        (Some(theirs), Some(own)) if theirs != 0 && own != 0 => {
            ours["code"] = theirs.into();
            ours == *json
        }
        _ => message.payload == payload,
    }
}

fn sub_device(object: &Value) -> SubDevice {
    let name = |key: &str| object[key].as_str().expect("text").into();
    SubDevice { product: name("product_id"), node: name("device_name") }
}

fn canonical(account: &Account, wire: &Value) -> Map<String, Value> {
    let model = &account.product.model;
    let convert = |(key, value): (&String, &Value)| {
        let (_, property) = model.property(key).unwrap_or_else(|| panic!("{key}"));
        (key.clone(), to_canonical(&property.ty, value.clone()).expect("fits"))
    };
    wire.as_object().into_iter().flatten().map(convert).collect()
}

fn shadow(account: &Account, data: &Value) -> Shadow {
    let values = |key: &str| Values { properties: canonical(account, &data[key]), at: NOW };
    let state =
        ServiceState { reported: values("reported"), desired: values("control"), version: 1 };
    Shadow { services: BTreeMap::from([(DEFAULT_SERVICE.into(), state)]) }
}
