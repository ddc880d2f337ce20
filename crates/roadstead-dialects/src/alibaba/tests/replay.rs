//! Every recording: what the device sent is understood, what the recorded cloud answered we answer
//! too: equal as JSON documents (what is ours alone excepted); the order of members is not compared.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::path::Path;
use std::string::{String, ToString as _};
use std::sync::Arc;
use std::vec::Vec;

use bytes::Bytes;
use roadstead_core::exchange::{Answer, Downlink, Standing, SubDevice, SubDeviceSecret, Uplink};
use roadstead_core::product::{DEFAULT_SERVICE, Model};
use roadstead_core::{Map, RequestId, Secret, Timestamp, Value};
use serde_json::json;

use super::{NODE, NOW, PRODUCT, SECRET, body, cloud, device, lamp, product};
use crate::alibaba::topic::Topic;
use crate::cloud::{Account, Claim, Cloud, Grant, Heard, Hello, Message, Route, Session, Tls};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/transcripts/alibaba");
/// The request number of everything the recorded cloud pushed.
const REQUEST: RequestId = RequestId(0x2a);

/// What a run of all recordings did; a silent skip would show here.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    logins: usize,
    refused: usize,
    subscriptions: usize,
    foreign: usize,
    uplinks: usize,
    answers: usize,
    unanswered: usize,
    pushes: usize,
    responses: usize,
    tokens: usize,
    /// Updates and the older redirect: not sent by this dialect.
    unsupported: usize,
}

#[test]
fn every_recording_is_understood_and_answered_alike() {
    let mut tally = Tally::default();
    let mut files = 0;
    let mut paths: Vec<_> = std::fs::read_dir(FOLDER)
        .expect("transcripts")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .collect();
    paths.sort();
    for path in paths {
        let replay = Replay::new(&path);
        // The others are between device and phone alone.
        files += usize::from(replay.exchanges.iter().any(|e| e["ev"] == "CONNECT"));
        replay.run(&mut tally);
    }
    let expected = Tally {
        logins: 41,
        refused: 19,
        subscriptions: 243,
        foreign: 18,
        uplinks: 241,
        answers: 180,
        // Where the recorded cloud kept silent: that is what those recordings are about.
        unanswered: 28,
        pushes: 38,
        responses: 7,
        tokens: 54,
        unsupported: 7,
    };
    assert_eq!((files, tally), (29, expected));
}

struct Replay {
    name: String,
    exchanges: Vec<Value>,
    cloud: Box<dyn Cloud>,
    own: Option<Account>,
    session: Option<Box<dyn Session>>,
    pending: Vec<(Heard, Account, String)>,
    /// Recorded id of a push to ours: the recorded answer carries the former.
    ids: BTreeMap<String, String>,
}

impl Replay {
    fn new(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("readable");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        let Value::Array(exchanges) = file else { panic!("a list") };
        Self {
            name: path.file_stem().expect("name").to_string_lossy().into_owned(),
            exchanges,
            cloud: cloud(&json!({})),
            own: None,
            session: None,
            pending: Vec::new(),
            ids: BTreeMap::new(),
        }
    }

    fn run(mut self, tally: &mut Tally) {
        for exchange in core::mem::take(&mut self.exchanges) {
            let up = exchange["direction"] == "device->cloud";
            match exchange["ev"].as_str() {
                Some("CONNECT") => self.connect(&exchange, tally),
                Some("SUBSCRIBE") => self.subscribe(&exchange, tally),
                Some("PUBLISH") if up => self.up(&exchange, tally),
                Some("PUBLISH") => self.down(&exchange, tally),
                _ => {}
            }
        }
        tally.unanswered += self.pending.len();
    }

    fn account(&self, id: &str, node: &str) -> Account {
        let model = if id == PRODUCT { lamp() } else { Model::default() };
        let secret = if id == PRODUCT { SECRET } else { "subSecret000000000000000000000001" };
        Account {
            product: Arc::new(product(id, model)),
            device: Arc::new(device(id, node, secret)),
        }
    }

    fn connect(&mut self, exchange: &Value, tally: &mut Tally) {
        let text = |key: &str| exchange[key].as_str().expect("text");
        let client_id = text("client_id");
        let hello = Hello {
            level: 4,
            client_id,
            user: Some(text("username")),
            password: Some(text("password").as_bytes()),
            keep_alive_s: 60,
            tls: &Tls::None,
        };
        assert!(self.cloud.recognizes(&hello), "{}", self.name);
        let account = self.account(PRODUCT, NODE);
        let admitted = match self.cloud.identify(&hello).expect("consistent") {
            Claim::Node { product, node } => {
                assert_eq!((&*product, &*node), (PRODUCT, NODE));
                self.cloud.admit(&hello, &account, NOW)
            }
            Claim::Member { .. } => self.cloud.admit_member(&hello, &account.product, NOW),
            other => panic!("{}: {other:?}", self.name),
        };
        match admitted {
            Ok(()) => tally.logins += 1,
            Err(refusal) => {
                assert!(self.name.ends_with("connack4"), "{}: {refusal}", self.name);
                assert_eq!(self.cloud.connack(refusal.code), 4);
                tally.refused += 1;
            }
        }
        let mut session = self.cloud.session_of(&hello, &account, 7);
        let (mut heard, mut messages) = (Vec::new(), Vec::new());
        session.begin(&account, NOW, &mut heard, &mut messages);
        tally.tokens += heard.len();
        self.pending.clear();
        // Those of a registration are compared with what was recorded behind the CONNACK.
        for message in messages {
            let heard = Heard { uplink: Uplink::Asked { what: "secret".into() }, reply: None };
            let sent = String::from_utf8(message.payload.to_vec()).expect("text");
            self.pending.push((heard, account.clone(), std::format!("{} {sent}", message.topic)));
        }
        self.session = Some(session);
        self.own = Some(account);
    }

    fn subscribe(&mut self, exchange: &Value, tally: &mut Tally) {
        let session = self.session.as_ref().expect("connected");
        for filter in exchange["filters"].as_array().expect("filters") {
            let filter = filter[0].as_str().expect("text");
            let topic = Topic::parse(filter).expect("a topic");
            let is_own = topic.names() == Some((PRODUCT, NODE));
            match session.subscribe_grant(filter) {
                Grant::Platform { qos_max: 1 } if is_own => tally.subscriptions += 1,
                Grant::Free { qos_max: 1 } if is_own => tally.subscriptions += 1,
                // Sub-devices of the npm client, and LinkSDK's demos that name their authors'.
                Grant::Sub { qos_max: 1, .. } if !is_own => tally.foreign += 1,
                other => panic!("{}: {filter}: {other:?}", self.name),
            }
        }
    }

    fn up(&mut self, exchange: &Value, tally: &mut Tally) {
        let topic = exchange["topic"].as_str().expect("topic");
        let route = self.session.as_ref().expect("connected").publish_route(topic);
        let account = match route {
            Route::Own | Route::Mixed => self.own.clone().expect("own"),
            Route::Sub(SubDevice { product, node }) => self.account(&product, &node),
            other => panic!("{}: {topic}: {other:?}", self.name),
        };
        let (topic, payload) = self.with_our_ids(topic, &recorded(exchange));
        let mut out = Vec::new();
        let session = self.session.as_mut().expect("connected");
        session.uplink(&account, &topic, &payload, NOW, &mut out);
        assert!(!out.is_empty(), "{}: {topic}", self.name);
        for heard in out {
            let is_understood = !matches!(heard.uplink, Uplink::Malformed { .. });
            assert!(is_understood, "{}: {topic}: {heard:?}", self.name);
            if let Uplink::Report { rejected, .. } = &heard.uplink {
                assert_eq!(rejected, &[], "{}", self.name);
            }
            if let Uplink::Response { request: Some(request), response } = &heard.uplink {
                assert_eq!((*request, response.code), (REQUEST, 0), "{}", self.name);
                tally.responses += 1;
            }
            tally.tokens += usize::from(matches!(heard.uplink, Uplink::BindToken { .. }));
            tally.uplinks += 1;
            if heard.reply.is_some() {
                self.pending.push((heard, account.clone(), String::new()));
            }
        }
    }

    fn with_our_ids(&self, topic: &str, payload: &Bytes) -> (String, Bytes) {
        let (mut topic, mut text) =
            (topic.to_string(), String::from_utf8_lossy(payload).into_owned());
        for (theirs, ours) in &self.ids {
            topic = topic.replace(
                &std::format!("rrpc/response/{theirs}"),
                &std::format!("rrpc/response/{ours}"),
            );
            text = text.replace(&std::format!("\"{theirs}\""), &std::format!("\"{ours}\""));
        }
        (topic, text.into())
    }

    fn down(&mut self, exchange: &Value, tally: &mut Tally) {
        let topic = exchange["topic"].as_str().expect("topic");
        let payload = recorded(exchange);
        let json: Value = serde_json::from_slice(&payload).expect("JSON");
        if let Topic::Register | Topic::RegisterOpen = Topic::parse(topic).expect("a topic") {
            let (_, _, sent) = self.pending.pop().expect("a secret was sent");
            let (ours, text) = sent.split_once(' ').expect("topic and text");
            assert_eq!(ours, topic);
            let ours: Value = serde_json::from_str(text).expect("JSON");
            let keys = |value: &Value| {
                value.as_object().expect("object").keys().cloned().collect::<Vec<_>>()
            };
            assert_eq!(keys(&ours), keys(&json), "{}", self.name);
            tally.answers += 1;
            return;
        }
        let session = self.session.as_mut().expect("connected");
        for at in 0..self.pending.len() {
            let (heard, account, _) = &self.pending[at];
            let answer = answer_like(&heard.uplink, &json);
            let reply = heard.reply.as_ref().expect("pending ones have one");
            let mut out = Vec::new();
            session.answer(account, reply, &answer, NOW, &mut out);
            if let [message] = out.as_slice()
                && *message.topic == *topic
                && is_alike(message, &json)
            {
                self.pending.remove(at);
                tally.answers += 1;
                return;
            }
        }
        self.push(topic, &json, tally);
    }

    /// What the recorded cloud said unasked, we can say too.
    fn push(&mut self, topic: &str, json: &Value, tally: &mut Tally) {
        let account = self.own.clone().expect("own");
        let params = || json["params"].as_object().cloned().unwrap_or_default();
        let method = json["method"].as_str().unwrap_or_default();
        let request = match method {
            "thing.service.property.set" => Downlink::SetProperties {
                service: DEFAULT_SERVICE.into(),
                properties: Map::from_iter([(
                    "LightSwitch".into(),
                    json!(json["params"]["LightSwitch"] == 1),
                )]),
            },
            "thing.service.property.get" => Downlink::GetProperties {
                service: DEFAULT_SERVICE.into(),
                properties: ["LightSwitch".into()].into(),
            },
            "thing.service.Custom" if topic.contains("/rrpc/") => {
                Downlink::Call(serde_json::to_vec(json).expect("JSON").into())
            }
            "thing.service.Custom" => Downlink::Command {
                service: DEFAULT_SERVICE.into(),
                command: "Custom".into(),
                params: params(),
            },
            "thing.config.push" => Downlink::Config(json["params"].clone()),
            "thing.bootstrap.notify" => Downlink::Moved,
            "thing.disable" => Downlink::Standing(Standing::Frozen),
            "thing.bootstrap.config.push" => {
                tally.unsupported += 1;
                return;
            }
            "" if topic.starts_with("/ota/device/upgrade/")
                || topic.starts_with("/ota/device/request/") =>
            {
                tally.unsupported += 1;
                return;
            }
            other => panic!("{}: nothing of ours is like {other}: {topic} {json}", self.name),
        };
        let mut out = Vec::new();
        let session = self.session.as_mut().expect("connected");
        session.downlink(&account, Some(REQUEST), &request, NOW, &mut out).expect("sendable");
        assert_eq!(out.len(), 1, "{}", self.name);
        let (mut ours, mut theirs) = (body(&out[0]), json.clone());
        if topic.contains("/rrpc/request/") {
            let number = |topic: &str| topic.rsplit('/').next().expect("number").to_string();
            self.ids.insert(number(topic), number(&out[0].topic));
        } else {
            assert_eq!(&*out[0].topic, topic);
            let id = |value: &mut Value| value["id"].take().as_str().expect("text").to_string();
            self.ids.insert(id(&mut theirs), id(&mut ours));
        }
        assert_eq!(ours, theirs, "{}", self.name);
        tally.pushes += 1;
    }
}

/// Returns the payload as it was, padding included (trap 1).
fn recorded(exchange: &Value) -> Bytes {
    let mut bytes = match (&exchange["payload_text"], &exchange["payload_hex"]) {
        (Value::String(text), _) => text.clone().into_bytes(),
        (_, Value::String(digits)) => hex::decode(digits).expect("hex"),
        _ => Vec::new(),
    };
    let nuls = exchange["trailing_nul_bytes"].as_u64().unwrap_or(0);
    bytes.extend(core::iter::repeat_n(0, usize::try_from(nuls).expect("small")));
    bytes.into()
}

/// Returns the answer that would make a right session say what was recorded.
fn answer_like(uplink: &Uplink, json: &Value) -> Answer {
    let ms = |key: &str| {
        Timestamp(json[key].as_str().and_then(|text| text.parse().ok()).unwrap_or_default())
    };
    let names = || json["data"].as_array().into_iter().flatten();
    match uplink {
        Uplink::Time => Answer::Time { received: ms("serverRecvTime"), sent: ms("serverSendTime") },
        Uplink::Config => Answer::Config(Some(json["data"].clone())),
        Uplink::ReadShadow => Answer::Shadow(Box::default()),
        Uplink::SubDevices(roadstead_core::exchange::SubDevices::Register(_)) => {
            let given = |object: &Value| {
                let text = |key: &str| object[key].as_str().expect("text");
                let secret = Secret::from(text("deviceSecret"));
                (sub_device(object), Ok(SubDeviceSecret { id: text("iotId").into(), secret }))
            };
            Answer::Registered(names().map(given).collect())
        }
        Uplink::SubDevices(roadstead_core::exchange::SubDevices::Login(proofs)) => {
            Answer::SubDevices(proofs.iter().map(|proof| (proof.device.clone(), Ok(()))).collect())
        }
        Uplink::SubDevices(_) => {
            Answer::SubDevices(names().map(|object| (sub_device(object), Ok(()))).collect())
        }
        _ => Answer::Done,
    }
}

fn sub_device(object: &Value) -> SubDevice {
    let name = |key: &str| object[key].as_str().expect("text").into();
    SubDevice { product: name("productKey"), node: name("deviceName") }
}

/// Equal, but for what only we say: keys of local control, a batch's names, how much to log.
fn is_alike(message: &Message, json: &Value) -> bool {
    let (mut ours, mut theirs) = (body(message), json.clone());
    let is_ours_alone = [
        "/lan/prefix/",
        "/batch_login_",
        "/config/log/",
        "/shadow/get/",
        "Tsl",
        "/ota/device/request",
    ];
    if is_ours_alone.iter().any(|part| message.topic.contains(part)) {
        for value in [&mut ours, &mut theirs] {
            for key in ["data", "payload", "version", "timestamp"] {
                value[key] = Value::Null;
            }
        }
    }
    ours == theirs
}
