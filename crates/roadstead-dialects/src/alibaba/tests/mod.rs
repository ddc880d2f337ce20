//! Tests of the cloud half as a whole: vectors, replayed recordings, hostile input, rules.
#![allow(clippy::wildcard_enum_match_arm, reason = "tests name what they expect")]

mod http;
mod login;
mod replay;
mod rules;

use std::boxed::Box;
use std::sync::Arc;

use roadstead_core::device::Device;
use roadstead_core::product::{Auth, Model, Product, Rebind, Registration};
use roadstead_core::{Map, Secret, Timestamp, Value};

use super::Alibaba;
use crate::Dialect as _;
use crate::cloud::{Account, Cloud, Message};

/// The identity of the recordings (made up).
pub(super) const PRODUCT: &str = "a1RsKq9ZxTb";
pub(super) const NODE: &str = "lamp-0001";
pub(super) const SECRET: &str = "Zq3tJ8vYp0LwXc5NdR7mBf2HsK9uGa4E";
pub(super) const PRODUCT_SECRET: &str = "pS9dK2mQ7xWv4LtZ";
/// About when the recordings were made.
pub(super) const NOW: Timestamp = Timestamp(1_795_222_375_288);

pub(super) fn cloud(settings: &Value) -> Box<dyn Cloud> {
    Alibaba.cloud(settings).expect("valid settings")
}

pub(super) fn product(id: &str, model: Model) -> Product {
    Product {
        id: id.into(),
        space: "s".into(),
        dialect: "alibaba".into(),
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

/// The model of the recorded lamp.
pub(super) fn lamp() -> Model {
    let text = include_str!("../../../vectors/alibaba-tsl-lamp.json");
    let document = serde_json::from_str(text).expect("JSON");
    Alibaba.import_model(&document).expect("recognised").expect("imports")
}

pub(super) fn body(message: &Message) -> Value {
    serde_json::from_slice(&message.payload).expect("JSON")
}
