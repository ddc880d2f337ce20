//! Every recording of GAgent 04020006, played at the cloud half: each HTTP request gets an answer
//! its parser takes, each packet is let in, granted or understood. What the platform would send is
//! compared with what reached the module then.

use std::boxed::Box;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use bytes::Bytes;
use roadstead_core::exchange::{Downlink, Uplink};
use roadstead_core::{RequestId, Timestamp, Value};
use serde_json::json;

use super::lab::Lab;
use super::login::product;
use super::session::pet_house;
use crate::cloud::{Account, Grant, Heard, Hello, Route, Session, Tls};
use crate::gizwits::lan::varint;

const KEYS: [&str; 2] = [super::login::KEY, "b4953ca374724b66b3686fbfb9d7c57a"];

const RECORDINGS: [(&str, &str); 18] = [
    ("airlink", include_str!("../../../transcripts/gizwits/airlink.json")),
    ("api_down", include_str!("../../../transcripts/gizwits/api_down.json")),
    ("api_silent", include_str!("../../../transcripts/gizwits/api_silent.json")),
    ("cloud_9016", include_str!("../../../transcripts/gizwits/cloud_9016.json")),
    ("connack_4", include_str!("../../../transcripts/gizwits/connack_4.json")),
    ("first_boot", include_str!("../../../transcripts/gizwits/first_boot.json")),
    ("lan_app", include_str!("../../../transcripts/gizwits/lan_app.json")),
    ("m2m_drop", include_str!("../../../transcripts/gizwits/m2m_drop.json")),
    ("mcu_noack", include_str!("../../../transcripts/gizwits/mcu_noack.json")),
    ("mcu_ota", include_str!("../../../transcripts/gizwits/mcu_ota.json")),
    ("mcu_silent", include_str!("../../../transcripts/gizwits/mcu_silent.json")),
    ("prodtest", include_str!("../../../transcripts/gizwits/prodtest.json")),
    ("reset_pk", include_str!("../../../transcripts/gizwits/reset_pk.json")),
    ("rssi", include_str!("../../../transcripts/gizwits/rssi.json")),
    ("small_fw", include_str!("../../../transcripts/gizwits/small_fw.json")),
    ("softap", include_str!("../../../transcripts/gizwits/softap.json")),
    ("webconfig", include_str!("../../../transcripts/gizwits/webconfig.json")),
    ("wrong_passcode", include_str!("../../../transcripts/gizwits/wrong_passcode.json")),
];

/// One recording on its way.
struct Play {
    name: &'static str,
    lab: Lab,
    session: Option<(Account, Box<dyn Session>)>,
    /// The laboratory gave the same DID again after a reset; a registry does not.
    registrations: Vec<String>,
    calls: usize,
    logins: usize,
    reports: usize,
    events: usize,
}

#[test]
fn every_recording_is_understood() {
    let mut total = (0, 0, 0, 0);
    for (name, text) in RECORDINGS {
        let recording: Value = serde_json::from_str(text).expect("JSON");
        let mut play = Play::new(name, &recording);
        for event in recording["events"].as_array().expect("events") {
            play.event(event);
        }
        total.0 += play.calls;
        total.1 += play.logins;
        total.2 += play.reports;
        total.3 += play.events;
    }
    // Nothing was skipped: these are the numbers of the recordings.
    assert_eq!((total.0, total.1), (53, 26), "calls and log-ins");
    assert!(total.2 >= 12 && total.3 >= 1, "{total:?}");
}

impl Play {
    fn new(name: &'static str, recording: &Value) -> Self {
        let settings = json!({"m2m_host": "m2m.gizwits.com"});
        let products = KEYS.map(|key| {
            let mut product = product(pet_house());
            product.id = key.into();
            product
        });
        let mut lab = Lab::new(&settings, products.into());
        let events = recording["events"].as_array().expect("events");
        let given = events.iter().filter(|event| event["dir"] == "api>mod");
        let given = given.filter_map(|event| event["text"].as_str()?.split_once("\r\n\r\ndid="));
        lab.ids = given.map(|(_, did)| did.into()).collect();
        Self {
            name,
            lab,
            session: None,
            registrations: Vec::new(),
            calls: 0,
            logins: 0,
            reports: 0,
            events: 0,
        }
    }

    fn event(&mut self, event: &Value) {
        let (channel, way) = (event["ch"].as_str(), event["dir"].as_str());
        match (channel, way) {
            (Some("http"), Some("mod>api")) => self.http(event["text"].as_str().expect("text")),
            (Some("mqtt"), Some("mod>m2m")) => self.packet(event, true),
            (Some("mqtt"), Some("m2m>mod")) => self.packet(event, false),
            _ => {}
        }
    }

    fn http(&mut self, text: &str) {
        let name = self.name;
        if text.contains(" /dev/ota/v4.1/download/") {
            return assert!(self.lab.raw(text).is_none(), "a web server's");
        }
        self.calls += 1;
        let response = self.lab.raw(text).expect("a call of this vendor");
        let body = String::from_utf8(response.body).expect("text");
        if text.starts_with("POST /dev/devices ") {
            assert_eq!(response.status, 201, "{name}: {body}");
            assert!(body.starts_with("did=") && body.len() == 26, "{name}: {body}");
            self.registrations.push(body["did=".len()..].into());
        } else if text.starts_with("GET /dev/devices/") {
            assert_eq!(response.status, 200, "{name}: {body}");
            assert!(body.starts_with("host=m2m.gizwits.com&port=1883&server_ts=1795221215&"));
            assert!(body.ends_with('&'), "{name}: {body}");
        } else if text.starts_with("DELETE ") {
            assert_eq!((response.status, &*body), (200, ""), "{name}");
        } else {
            assert!(text.starts_with("POST /dev/ota/"), "{name}: {text}");
            assert_eq!(response.status, 404, "{name}: {body}");
        }
    }

    fn packet(&mut self, event: &Value, is_up: bool) {
        let bytes = hex::decode(event["hex"].as_str().expect("hex")).expect("hex");
        let (len, taken) = varint(&bytes[1..]).flatten().expect("a length");
        assert_eq!(bytes.len(), 1 + taken + len as usize, "one packet per segment");
        let body = &bytes[1 + taken..];
        match bytes[0] >> 4 {
            1 => self.connect(&bytes),
            3 if is_up => self.heard(body),
            // A module may not speak as the cloud.
            3 => {
                let (topic, _) = text(body);
                let (_, session) = self.session.as_ref().expect("after the log-in");
                assert_eq!(session.publish_route(topic), Route::Denied);
            }
            8 => {
                let (filter, rest) = text(&body[2..]);
                assert_eq!(rest, [0], "QoS 0, one filter");
                let (_, session) = self.session.as_ref().expect("after the log-in");
                let grant = session.subscribe_grant(filter);
                assert_eq!(grant, Grant::Platform { qos_max: 0 }, "{filter}");
                assert_eq!(session.is_ready_after(filter), filter.ends_with("/#"));
            }
            _ => {}
        }
    }

    fn heard(&mut self, publish: &[u8]) {
        let (topic, payload) = text(publish);
        let payload = Bytes::copy_from_slice(payload);
        let now = self.lab.now;
        let (account, session) = self.session.as_mut().expect("after the log-in");
        assert_eq!(session.publish_route(topic), Route::Own);
        let mut heard: Vec<Heard> = Vec::new();
        session.uplink(account, topic, &payload, now, &mut heard);
        for heard in heard {
            if let Uplink::Report { .. } = heard.uplink {
                self.reports += 1;
            } else if let Uplink::Events(events) = heard.uplink {
                self.events += events.len();
            } else if let Uplink::Info(facts) = heard.uplink {
                let device = Arc::make_mut(&mut account.device);
                device.info.extend(facts);
            } else if let Uplink::Ignored { .. } = heard.uplink {
                // An acknowledgement, or an answer to the laboratory's phone.
            } else if let Uplink::Malformed { code: "model.violation", .. } = heard.uplink {
                // The laboratory's MCU once sends 200 bytes, to have a long frame.
                assert_eq!((self.name, payload.len()), ("lan_app", 210));
            } else {
                panic!("{}: {:?}", self.name, heard.uplink);
            }
        }
    }

    fn connect(&mut self, bytes: &[u8]) {
        let (protocol, rest) = text(&bytes[2..]);
        assert_eq!((protocol, &rest[..4], bytes.len()), ("MQIsdp", &[3, 0xc2, 0, 120][..], 74));
        let (client_id, rest) = text(&rest[4..]);
        let (user, rest) = text(rest);
        let (password, _) = text(rest);
        let hello = Hello {
            level: 3,
            client_id,
            user: Some(user),
            password: Some(password.as_bytes()),
            keep_alive_s: 120,
            tls: &Tls::None,
        };
        assert!(self.lab.cloud.recognizes(&hello));
        self.logins += 1;
        let device = self.lab.device(client_id).expect("registered").clone();
        let mut products = self.lab.products.iter();
        let product = products.find(|product| product.id == device.product).expect("known");
        let account = Account { product: product.clone(), device };
        assert_eq!(self.lab.cloud.admit(&hello, &account, self.lab.now), Ok(()), "{}", self.name);
        let session = self.lab.cloud.session(&account, 7 << 32);
        self.session = Some((account, session));
    }
}

/// Reads a text with its length before it.
fn text(bytes: &[u8]) -> (&str, &[u8]) {
    let (len, rest) = bytes.split_first_chunk().expect("a length");
    let (text, rest) = rest.split_at(usize::from(u16::from_be_bytes(*len)));
    (core::str::from_utf8(text).expect("text"), rest)
}

/// What reached the module as a numbered read, written by a session of ours: all but the number
/// and the name of the one who asked.
#[test]
fn a_read_is_the_recorded_one() {
    let recording: Value = serde_json::from_str(RECORDINGS[5].1).expect("JSON");
    let sent = recording["events"].as_array().expect("events").iter();
    let sent = sent.filter(|event| event["ch"] == "mqtt-app" && event["dir"] == "app>m2m");
    let frames = sent.map(|event| hex::decode(event["hex"].as_str().expect("hex")).expect("hex"));
    let mut recorded =
        frames.into_iter().find(|frame| frame.ends_with(&[0, 0, 0, 42, 2])).expect("a read");
    recorded[11] = 1;
    let account = super::login::account(pet_house());
    let mut session = super::login::cloud().session(&account, 0);
    let request = Downlink::GetProperties { service: "default".into(), properties: Vec::new() };
    let mut out = Vec::new();
    let (id, now) = (Some(RequestId(1)), Timestamp(0));
    session.downlink(&account, id, &request, now, &mut out).expect("fits");
    assert_eq!(out[0].payload[..], recorded);
}
