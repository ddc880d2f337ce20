//! Tests of the cloud half as a whole: vectors, replayed recordings, hostile input, rules.
#![allow(clippy::wildcard_enum_match_arm, reason = "tests name what they expect")]

mod login;
mod register;
mod replay;
mod rules;
mod vectors;

use std::boxed::Box;
use std::sync::Arc;
use std::vec::Vec;

use bytes::Bytes;
use roadstead_core::device::Device;
use roadstead_core::product::{Auth, Model, Product, Rebind, Registration};
use roadstead_core::{Map, Secret, Timestamp, Value};
use serde_json::json;

use super::Tencent;
use crate::Dialect as _;
use crate::cloud::{Account, Cloud, Heard, Message, Session};

/// The product of the recordings and its secret (public test values).
pub(super) const PRODUCT: &str = "L4WG9V9M2M";
pub(super) const NODE: &str = "TEST2";
pub(super) const SECRET: &str = "MLvMHde65nKPk0Lx+ZThaA==";
pub(super) const PRODUCT_SECRET: &str = "XoezQjzzMedF4lAr2CqCkVYK";
/// About when the recordings were made.
pub(super) const NOW: Timestamp = Timestamp(1_795_222_375_288);

pub(super) fn cloud(settings: Value) -> Box<dyn Cloud> {
    Tencent.cloud(&settings).expect("valid settings")
}

pub(super) fn lamp() -> Model {
    let text = include_str!("../../../vectors/tencent-model-lamp.json");
    let document = serde_json::from_str(text).expect("JSON");
    Tencent.import_model(&document).expect("recognised").expect("imports")
}

pub(super) fn product(id: &str, model: Model) -> Product {
    Product {
        id: id.into(),
        space: "s".into(),
        dialect: "tencent".into(),
        name: id.into(),
        secret: Some(Secret::from(PRODUCT_SECRET)),
        auth: Auth::Secret,
        registration: Registration::Open,
        rebind: Rebind::Refuse,
        model,
        attributes: Map::new(),
        created_at: Timestamp(0),
    }
}

pub(super) fn device(product: &str, node: &str, secret: &str) -> Device {
    Device {
        id: std::format!("{product}_{node}").as_str().into(),
        space: "s".into(),
        product: product.into(),
        node: node.into(),
        name: node.into(),
        secret: Some(Secret::from(secret)),
        fingerprint: None,
        gateway: None,
        frozen: false,
        info: Map::new(),
        created_at: Timestamp(0),
        activated_at: None,
        access: roadstead_core::device::Access::default(),
        tags: roadstead_core::device::Tags::new(),
        number: 0,
    }
}

pub(super) fn account(id: &str, node: &str, model: Model) -> Account {
    Account { product: Arc::new(product(id, model)), device: Arc::new(device(id, node, SECRET)) }
}

/// A session of the lamp.
pub(super) struct Lamp {
    pub(super) account: Account,
    pub(super) session: Box<dyn Session>,
}

impl Lamp {
    pub(super) fn new(settings: Value) -> Self {
        Self::with_model(settings, lamp())
    }

    pub(super) fn with_model(settings: Value, model: Model) -> Self {
        let account = account(PRODUCT, NODE, model);
        let session = cloud(settings).session(&account, 0x1234_5678_9abc_def0);
        Self { account, session }
    }

    pub(super) fn hear(&mut self, channel: &str, payload: &Value) -> Vec<Heard> {
        let topic = std::format!("{channel}/{PRODUCT}/{NODE}");
        let payload = Bytes::from(serde_json::to_vec(payload).expect("JSON"));
        let mut out = Vec::new();
        self.session.uplink(&self.account, &topic, &payload, NOW, &mut out);
        out
    }

    /// Hears exactly one thing.
    pub(super) fn hear_one(&mut self, channel: &str, payload: &Value) -> Heard {
        let mut heard = self.hear(channel, payload);
        assert_eq!(heard.len(), 1, "{payload}");
        heard.remove(0)
    }
}

pub(super) fn body(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).unwrap_or_else(|_| json!({"raw": true}))
}
