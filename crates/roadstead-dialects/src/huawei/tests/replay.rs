//! Recordings of the C, Python and Tiny SDKs (`transcripts/huawei`), played against the cloud half.
//!
//! Every log-in gets the verdict that its proof deserves; every message of a device is understood;
//! every recorded message of the platform can be written in the recorded form. The recorder's own
//! forced CONNACKs (2, 3, 5) and its missing SM3 are not repeated.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::string::{String, ToString as _};

use roadstead_core::device::{Fingerprint, Status};
use roadstead_core::exchange::{Downlink, Envelope, SubDevice, SubDeviceFacts, Uplink, channel};
use roadstead_core::product::Model;
use roadstead_core::shadow::{ServiceState, Shadow, Values};
use serde_json::json;

use super::*;
use crate::cloud::{Claim, Grant};
use crate::huawei::time;

#[derive(Default)]
struct Tally {
    logins: usize,
    refused: usize,
    heard: usize,
    written: usize,
    subscribed: usize,
}

fn recordings() -> Vec<(String, Value)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("transcripts/huawei");
    let mut files: Vec<PathBuf> =
        folder.read_dir().expect("transcripts").map(|e| e.expect("entry").path()).collect();
    files.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("text");
        let name = path.file_stem().expect("name").to_string_lossy().into_owned();
        (name, serde_json::from_str(&text).expect("JSON"))
    };
    files.iter().map(read).collect()
}

#[test]
fn every_recording_is_understood_and_its_answers_can_be_written() {
    let mut tally = Tally::default();
    let recordings = recordings();
    for (name, recording) in &recordings {
        let mut replay = Replay { name, wire: None, ids: BTreeMap::new(), pending: None };
        for record in recording["records"].as_array().expect("records") {
            replay.play(record, &mut tally);
        }
    }
    assert_eq!(recordings.len(), 29);
    assert_eq!((tally.logins, tally.refused), (39, 8));
    assert!(tally.heard >= 55, "{}", tally.heard);
    assert!(tally.written >= 35, "{}", tally.written);
    assert!(tally.subscribed >= 20, "{}", tally.subscribed);
}

struct Replay<'a> {
    name: &'a str,
    wire: Option<Wire>,
    /// Recorded request ids and those of the replay.
    ids: BTreeMap<String, (RequestId, String)>,
    /// The last thing heard that wants an answer.
    pending: Option<(Account, Heard)>,
}

impl Replay<'_> {
    fn play(&mut self, record: &Value, tally: &mut Tally) {
        let is_up = record["dir"] == "c2s";
        match (record["type"].as_str().expect("a type"), is_up) {
            ("CONNECT", _) => self.connect(record, tally),
            ("SUBSCRIBE", _) => {
                let wire = self.wire.as_ref().expect("logged in");
                for topic in record["topics"].as_array().expect("topics") {
                    let filter = topic["filter"].as_str().expect("filter");
                    let granted = wire.session.subscribe_grant(filter);
                    assert_eq!(granted, Grant::Platform { qos_max: 1 }, "{filter}");
                    tally.subscribed += 1;
                }
            }
            ("PUBLISH", true) => self.hear(record, tally),
            ("PUBLISH", false) => self.write(record, tally),
            _ => {}
        }
    }

    fn connect(&mut self, record: &Value, tally: &mut Tally) {
        let check = record["auth_check"].as_str().expect("a check");
        let sha1 = check.strip_prefix("cert sha1=").and_then(Fingerprint::parse);
        let tls = match (record["tls"].as_bool(), &sha1) {
            (Some(true), Some(sha1)) => Tls::Certificate {
                sha1: sha1.clone(),
                sha256: Fingerprint::Sha256([7; 32]),
                common_name: None,
                authority: vouched(),
            },
            (Some(true), None) => Tls::Server,
            _ => Tls::None,
        };
        let user = record["username"].as_str().expect("a user name");
        let hello = Hello {
            level: record["level"].as_u64().expect("a level") as u8,
            client_id: record["client_id"].as_str().expect("a client id"),
            user: Some(user),
            password: record["password"].as_str().map(str::as_bytes),
            keep_alive_s: record["keepalive"].as_u64().expect("keep-alive") as u16,
            tls: &tls,
        };
        let settings = json!({
            "address": "127.0.0.1:8883",
            "groups": {"scope_1234": PRODUCT},
            "file_url": "https://files.example",
        });
        let cloud = cloud(settings);
        assert!(cloud.recognizes(&hello), "{}", self.name);
        let mut own = account(user, Model::default());
        let device = Arc::get_mut(&mut own.device).expect("fresh");
        if self.name.contains("zero-byte") {
            device.secret = Some(Secret::from("zero-secret-0000"));
        }
        if sha1.is_some() {
            device.fingerprint = sha1;
            Arc::get_mut(&mut own.product).expect("fresh").auth = Auth::Certificate;
        }
        let verdict = match cloud.identify(&hello).expect("consistent") {
            Claim::Member { .. } => cloud.admit_member(&hello, &own.product, NOW),
            Claim::Device(id) => {
                assert_eq!(id.as_str(), user);
                cloud.admit(&hello, &own, NOW)
            }
            Claim::Node { .. } => panic!("{}", self.name),
        };
        // The recorder could not compute SM3.
        let is_right = check != "mismatch" || self.name.contains("sm3");
        match verdict {
            Ok(()) => tally.logins += 1,
            Err(refusal) => {
                assert_eq!(cloud.connack(refusal.code), 4, "{}", self.name);
                tally.refused += 1;
            }
        }
        assert_eq!(verdict_is_ok(&*cloud, &hello, &own), is_right, "{}", self.name);
        let session = cloud.session_of(&hello, &own, RANDOM);
        self.wire = Some(Wire::of(own, session));
    }

    fn hear(&mut self, record: &Value, tally: &mut Tally) {
        let wire = self.wire.as_mut().expect("logged in");
        let mut topic = record["topic"].as_str().expect("a topic").to_string();
        let mut expected = None;
        if let Some((head, rid)) = topic.split_once("request_id=")
            && let Some((id, ours)) = self.ids.get(rid)
        {
            expected = Some(*id);
            topic = std::format!("{head}request_id={ours}");
        }
        let payload = &record["payload"];
        let payload: Bytes = match (payload["text"].as_str(), payload["hex"].as_str()) {
            (_, Some(hex)) => hex::decode(hex).expect("hex").into(),
            (Some(text), None) => text.to_string().into(),
            (None, None) => Bytes::new(),
        };
        let heard = wire.hear_bytes(&topic, &payload);
        assert!(!heard.is_empty(), "{}: {topic}", self.name);
        for (account, heard) in heard {
            if let Uplink::Malformed { code, detail } = &heard.uplink {
                panic!("{}: {topic}: {code} {detail}", self.name);
            }
            if let Uplink::Response { request, .. } = &heard.uplink {
                assert_eq!(*request, expected, "{}: {topic}", self.name);
            }
            if heard.reply.is_some() {
                self.pending = Some((account, heard));
            }
            tally.heard += 1;
        }
    }

    fn write(&mut self, record: &Value, tally: &mut Tally) {
        let topic = record["topic"].as_str().expect("a topic");
        let text = record["payload"]["text"].as_str().expect("text");
        let mut recorded: Value = serde_json::from_str(text).expect("JSON");
        if let Some((_, Heard { reply: Some(reply), .. })) = &self.pending
            && topic.contains("/shadow/get/response/")
            && let Some((asked @ "smokeDetector", _)) = reply.token.split_once('\n')
        {
            // The recorder answered for its own service whatever was asked.
            recorded["shadow"][0]["service_id"] = asked.into();
        }
        let event = &recorded["services"][0];
        let written = match event["event_type"].as_str() {
            // Updates are not part of this dialect yet.
            Some("version_query") => return,
            Some("time_sync_response") => self.answer(&Answer::Time { received: NOW, sent: NOW }),
            _ if topic.contains("/shadow/get/response/") => self.answer(&shadow(&recorded)),
            _ if topic.ends_with("bootstrap/down") => self.answer(&Answer::Done),
            _ => self.request(topic, &recorded),
        };
        tally.written += 1;
        let (head, _) = topic.split_once("request_id=").unwrap_or((topic, ""));
        assert!(written.topic.starts_with(head), "{}: {} {topic}", self.name, written.topic);
        if topic.ends_with("bootstrap/down") {
            assert_eq!(body(&written)["address"], "127.0.0.1:8883");
            return;
        }
        assert_eq!(shape(&recorded), shape(&body(&written)), "{}: {topic}", self.name);
        if event["event_type"].is_null() {
            assert_eq!(recorded, body(&written), "{}: {topic}", self.name);
        }
    }

    fn answer(&mut self, answer: &Answer) -> Message {
        let (account, heard) = self.pending.take().expect("a question");
        let wire = self.wire.as_mut().expect("logged in");
        wire.answer_about(&account, &heard, answer).remove(0)
    }

    fn request(&mut self, topic: &str, recorded: &Value) -> Message {
        let wire = self.wire.as_mut().expect("logged in");
        let (id, message) = wire.ask(&downlink(topic, recorded)).expect("sendable");
        if let Some((_, rid)) = topic.split_once("request_id=") {
            let ours = super::rid(&message).to_string();
            self.ids.insert(rid.into(), (id, ours));
        }
        message
    }
}

fn verdict_is_ok(cloud: &dyn Cloud, hello: &Hello<'_>, own: &Account) -> bool {
    match cloud.identify(hello) {
        Ok(Claim::Member { .. }) => cloud.admit_member(hello, &own.product, NOW).is_ok(),
        Ok(_) => cloud.admit(hello, own, NOW).is_ok(),
        Err(_) => false,
    }
}

/// Reads the canonical request back from its recorded form.
fn downlink(topic: &str, recorded: &Value) -> Downlink {
    let text = |key: &str| recorded[key].as_str().expect("text").into();
    let map = |value: &Value| value.as_object().expect("an object").clone();
    let event = &recorded["services"][0];
    match event["event_type"].as_str() {
        Some("log_config") => return Downlink::LogLevel(1),
        Some("add_sub_device_notify") => {
            let facts = SubDeviceFacts {
                device: SubDevice { product: "p1".into(), node: "subnode1".into() },
                id: "sub_device_1".into(),
                name: "s".into(),
                gateway: Some(DEVICE.into()),
                info: Map::new(),
                status: Status::Inactive,
            };
            let (attached, devices) = (true, Vec::new());
            return Downlink::SubDevicesChanged { attached, devices, facts: Vec::from([facts]) };
        }
        Some(other) => panic!("{other}"),
        None => {}
    }
    if topic.contains("/commands/") {
        let (service, command) = (text("service_id"), text("command_name"));
        return Downlink::Command { service, command, params: map(&recorded["paras"]) };
    }
    if topic.contains("/properties/set/") {
        let service = event["service_id"].as_str().expect("a service").into();
        return Downlink::SetProperties { service, properties: map(&event["properties"]) };
    }
    if topic.contains("/properties/get/") {
        return Downlink::GetProperties { service: text("service_id"), properties: Vec::new() };
    }
    assert!(topic.ends_with("/messages/down"), "{topic}");
    let envelope = Envelope {
        id: text("id"),
        name: recorded["name"].as_str().map(Into::into),
        content: recorded["content"].clone(),
    };
    let (channel, payload) = (channel::DEFAULT.into(), Bytes::new());
    Downlink::Message { channel, payload, envelope: Some(Box::new(envelope)), properties: None }
}

fn shadow(recorded: &Value) -> Answer {
    let values = |part: &Value| Values {
        properties: part["properties"].as_object().expect("an object").clone(),
        at: time::parse(part["event_time"].as_str().expect("a time")).expect("a date"),
    };
    let mut shadow = Shadow::default();
    for service in recorded["shadow"].as_array().expect("a list") {
        let state = ServiceState {
            reported: values(&service["reported"]),
            desired: values(&service["desired"]),
            version: service["version"].as_u64().expect("a number"),
        };
        shadow.services.insert(service["service_id"].as_str().expect("text").into(), state);
    }
    Answer::Shadow(Box::new(shadow))
}

/// Returns which keys a document has, without values; the platform leaves out empty event ids and
/// a field that only the vendor's own devices have.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let kept = object.iter().filter(|(key, _)| *key != "event_id");
            let mut keys: Vec<(String, Value)> =
                kept.map(|(key, value)| (key.clone(), shape(value))).collect();
            keys.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(keys.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(shape).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::Null,
    }
}
