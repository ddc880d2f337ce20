//! Tests of the cloud half as a whole: vectors, replayed recordings, traps, hostile input.
#![allow(clippy::wildcard_enum_match_arm, reason = "tests name what they expect")]

mod login;
mod provision;
mod replay;
mod rules;
mod traps;

use std::boxed::Box;
use std::sync::Arc;
use std::vec::Vec;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::device::Device;
use roadstead_core::exchange::{Answer, Downlink, Uplink};
use roadstead_core::product::{Auth, Model, Product, Rebind, Registration};
use roadstead_core::{Map, RequestId, Secret, Timestamp, Value};
use serde_json::json;

use super::Huawei;
use crate::Dialect as _;
use crate::cloud::{Account, Cloud, Heard, Hello, Message, Portion, Route, Session, Tls, Vouched};

/// The devices of the recordings and their secret (public test values).
pub(super) const DEVICE: &str = "lab_product_dev1";
pub(super) const PRODUCT: &str = "lab_product";
pub(super) const SECRET: &str = "lab-secret-0001";
pub(super) const GROUP_SECRET: &str = "Z3JvdXAtc2VjcmV0LTAwMDAwMDAwMDAwMDAwMDAwMDAx";
/// About when the recordings were made: 2026-11-21 00:32:49 UTC.
pub(super) const NOW: Timestamp = Timestamp(1_795_221_169_000);
pub(super) const RANDOM: u64 = 0x1234_5678_9abc_def0;

pub(super) fn cloud(settings: Value) -> Box<dyn Cloud> {
    Huawei.cloud(&settings).expect("valid settings")
}

/// A model with a service, and one of every kind of member.
pub(super) fn meter() -> Model {
    let document = json!({"service_capabilities": [{
        "service_id": "WaterMeter",
        "properties": [
            {"property_name": "level", "data_type": "int", "min": "0", "max": "100", "method": "RWE"},
            {"property_name": "since", "data_type": "DateTime", "method": "RWE"},
            {"property_name": "note", "data_type": "string", "max_length": 8, "method": "RWE"}
        ],
        "commands": [{"command_name": "ON_OFF", "paras": [
            {"para_name": "value", "data_type": "string", "required": true},
            {"para_name": "at", "data_type": "DateTime"}
        ]}],
        "events": [{"event_type": "leak", "paras": [
            {"para_name": "litres", "data_type": "int", "required": true}
        ]}]
    }]});
    Huawei.import_model(&document).expect("recognised").expect("imports")
}

pub(super) fn account(id: &str, model: Model) -> Account {
    let product = Product {
        id: PRODUCT.into(),
        space: "s".into(),
        dialect: "huawei".into(),
        name: PRODUCT.into(),
        secret: Some(Secret::from(GROUP_SECRET)),
        auth: Auth::Secret,
        registration: Registration::Open,
        rebind: Rebind::Refuse,
        model,
        attributes: Map::new(),
        created_at: Timestamp(0),
    };
    let device = Device {
        id: id.into(),
        space: "s".into(),
        product: PRODUCT.into(),
        node: id.into(),
        name: id.into(),
        secret: Some(Secret::from(SECRET)),
        fingerprint: None,
        gateway: None,
        frozen: false,
        info: Map::new(),
        created_at: Timestamp(0),
        activated_at: None,
        access: roadstead_core::device::Access::default(),
        tags: roadstead_core::device::Tags::default(),
        number: 0,
    };
    Account { product: Arc::new(product), device: Arc::new(device) }
}

/// A log-in by secret of a device.
pub(super) fn hello<'a>(client_id: &'a str, user: &'a str, password: &'a str) -> Hello<'a> {
    Hello {
        level: 4,
        client_id,
        user: Some(user),
        password: Some(password.as_bytes()),
        keep_alive_s: 120,
        tls: &Tls::None,
    }
}

/// What an uploaded authority says.
pub(super) fn vouched() -> Option<Box<Vouched>> {
    Some(Box::new(Vouched {
        authority: "ca1".into(),
        space: "s".into(),
        subject: roadstead_core::trust::Subject::default(),
        pem: "".into(),
        expires_at: Timestamp(i64::MAX),
    }))
}

/// One connection, as the shell drives it.
pub(super) struct Wire {
    pub(super) own: Account,
    pub(super) session: Box<dyn Session>,
    next: u64,
}

impl Wire {
    pub(super) fn new(settings: Value, model: Model) -> Self {
        let own = account(DEVICE, model);
        let session = cloud(settings).session(&own, RANDOM);
        Self::of(own, session)
    }

    pub(super) fn of(own: Account, session: Box<dyn Session>) -> Self {
        Self { own, session, next: 0 }
    }

    /// Returns a whole topic of the device.
    pub(super) fn topic(&self, leaf: &str) -> std::string::String {
        std::format!("$oc/devices/{}/{leaf}", self.own.device.id)
    }

    /// Hears a message; each thing with the account it is about. Children have the model of the
    /// connection's own product.
    pub(super) fn hear_bytes(&mut self, topic: &str, payload: &Bytes) -> Vec<(Account, Heard)> {
        let mut portions = Vec::new();
        match self.session.publish_route(topic) {
            Route::Own => portions.push(Portion {
                device: None,
                topic: topic.into(),
                payload: payload.clone(),
            }),
            Route::Sub(device) => portions.push(Portion {
                device: Some(device),
                topic: topic.into(),
                payload: payload.clone(),
            }),
            Route::Mixed => self.session.split(topic, payload, &mut portions),
            route => panic!("{topic}: {route:?}"),
        }
        let mut all = Vec::new();
        for Portion { device, topic, payload } in portions {
            let account = match &device {
                None => self.own.clone(),
                Some(sub) => {
                    let id = sub.id().expect("named by id");
                    account(id, self.own.product.model.clone())
                }
            };
            let mut out = Vec::new();
            self.session.uplink(&account, &topic, &payload, NOW, &mut out);
            all.extend(out.into_iter().map(|heard| (account.clone(), heard)));
        }
        all
    }

    pub(super) fn hear(&mut self, leaf: &str, payload: &Value) -> Vec<Heard> {
        let payload = Bytes::from(serde_json::to_vec(payload).expect("JSON"));
        let topic = self.topic(leaf);
        self.hear_bytes(&topic, &payload).into_iter().map(|(_, heard)| heard).collect()
    }

    /// Hears exactly one thing.
    pub(super) fn hear_one(&mut self, leaf: &str, payload: &Value) -> Heard {
        let mut heard = self.hear(leaf, payload);
        assert_eq!(heard.len(), 1, "{payload}");
        heard.remove(0)
    }

    /// Hears one event.
    pub(super) fn event(&mut self, service: &str, kind: &str, paras: Value) -> Heard {
        let event = json!({"services": [{
            "service_id": service, "event_type": kind, "event_id": "e1", "paras": paras
        }]});
        self.hear_one("sys/events/up", &event)
    }

    /// Writes the answer to what was heard.
    pub(super) fn answer(&mut self, heard: &Heard, answer: &Answer) -> Vec<Message> {
        let own = self.own.clone();
        self.answer_about(&own, heard, answer)
    }

    pub(super) fn answer_about(
        &mut self,
        account: &Account,
        heard: &Heard,
        answer: &Answer,
    ) -> Vec<Message> {
        let mut out = Vec::new();
        let reply = heard.reply.as_ref().expect("answered");
        self.session.answer(account, reply, answer, NOW, &mut out);
        out
    }

    /// Sends a request and returns its number and the message.
    pub(super) fn ask(&mut self, request: &Downlink) -> Result<(RequestId, Message), CommandError> {
        let own = self.own.clone();
        self.ask_about(&own, request)
    }

    pub(super) fn ask_about(
        &mut self,
        account: &Account,
        request: &Downlink,
    ) -> Result<(RequestId, Message), CommandError> {
        self.next += 1;
        let (id, mut out) = (RequestId(self.next), Vec::new());
        self.session.downlink(account, Some(id), request, NOW, &mut out)?;
        assert_eq!(out.len(), 1);
        Ok((id, out.remove(0)))
    }
}

pub(super) fn body(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).expect("JSON")
}

/// Returns the request id at the end of a topic.
pub(super) fn rid(message: &Message) -> &str {
    message.topic.split_once("request_id=").expect("a request").1
}

/// Returns the code of what was not understood.
pub(super) fn code(heard: &Heard) -> &'static str {
    match &heard.uplink {
        Uplink::Malformed { code, .. } => code,
        other => panic!("{other:?}"),
    }
}
