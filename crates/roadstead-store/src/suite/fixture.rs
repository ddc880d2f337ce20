//! Nouns to test with.

use std::sync::Arc;

use roadstead_core::attempt::Attempt;
use roadstead_core::binding::{BindToken, TokenState};
use roadstead_core::device::Device;
use roadstead_core::port::{Page, Store};
use roadstead_core::product::{Auth, Model, Product, Rebind, Registration};
use roadstead_core::session::{Epoch, Presence};
use roadstead_core::shadow::{Change, Values};
use roadstead_core::space::Space;
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::user::{Role, User};
use roadstead_core::{DeviceId, Map, Secret, Timestamp, Value};
use serde_json::json;

pub(super) fn space(id: &str) -> Space {
    let name = format!("Space {id}").into();
    Space { id: id.into(), name, is_default: id == "s", created_at: Timestamp(1) }
}

pub(super) fn user(id: &str, space: &str) -> User {
    User {
        id: id.into(),
        space: space.into(),
        name: format!("{id}@example.com").into(),
        role: Role::Member,
        password_hash: Secret::from(format!("$argon2id${id}")),
        created_at: Timestamp(2),
    }
}

pub(super) fn product(id: &str, space: &str) -> Product {
    let mut attributes = Map::new();
    attributes.insert("industry".into(), json!("lighting"));
    Product {
        id: id.into(),
        space: space.into(),
        dialect: "tencent".into(),
        name: format!("Product {id}").into(),
        secret: Some(Secret::from("product secret")),
        auth: Auth::Secret,
        registration: Registration::Off,
        rebind: Rebind::Refuse,
        model: Model::default(),
        attributes,
        created_at: Timestamp(3),
    }
}

/// A device of product `p` in space `s` whose id equals its node.
pub(super) fn device(node: &str) -> Device {
    let mut info = Map::new();
    info.insert("fw_version".into(), json!("1.0"));
    Device {
        id: node.into(),
        space: "s".into(),
        product: "p".into(),
        node: node.into(),
        name: format!("Device {node}").into(),
        secret: Some(Secret::from(format!("secret of {node}"))),
        fingerprint: None,
        gateway: None,
        frozen: false,
        info,
        created_at: Timestamp(4),
        activated_at: None,
        access: roadstead_core::device::Access::default(),
        tags: roadstead_core::device::Tags::new(),
        number: 0,
    }
}

/// Space `s` with product `p` and users `ann`, `bob`.
pub(super) async fn seed(store: &dyn Store) {
    store.create_space(space("s")).await.expect("space");
    store.create_product(product("p", "s")).await.expect("product");
    for name in ["ann", "bob"] {
        store.create_user(user(name, "s")).await.expect("user");
    }
}

/// [`seed`] and these devices.
pub(super) async fn seed_devices(store: &dyn Store, nodes: &[&str]) {
    seed(store).await;
    for node in nodes {
        store.create_device(device(node)).await.expect("device");
    }
}

/// A token of `user` in space `s` that binds by itself; lives from 10 to 600 010.
pub(super) fn token(n: u8, user: &str) -> BindToken {
    BindToken {
        digest: [n; 32],
        space: "s".into(),
        user: Some(user.into()),
        device: None,
        state: TokenState::New,
        auto_bind: true,
        attempt: Some("attempt".into()),
        refusal: None,
        created_at: Timestamp(10),
        expires_at: Timestamp(600_010),
    }
}

pub(super) fn attempt(id: &str, user: Option<&str>, at: i64) -> Attempt {
    Attempt::new(id.into(), "s".into(), user.map(Into::into), Timestamp(at))
}

pub(super) fn online(epoch: u64, at: i64) -> Presence {
    Presence {
        online: true,
        epoch: Epoch(epoch),
        online_at: Some(Timestamp(at)),
        peer: Some("192.0.2.7:49152".into()),
        transport: Some("tls-psk".into()),
        ..Presence::default()
    }
}

pub(super) fn report(value: Value, at: i64) -> Change {
    Change::Report { service: "default".into(), values: values(value, at) }
}

pub(super) fn desire(value: Value, at: i64) -> Change {
    Change::Desire { service: "default".into(), values: values(value, at) }
}

fn values(value: Value, at: i64) -> Values {
    let Value::Object(properties) = value else { panic!("an object") };
    Values { properties, at: Timestamp(at) }
}

pub(super) fn entry(at: i64, text: &str) -> Entry {
    Entry::new(Timestamp(at), Hop::Up, "report", "ok", text)
}

pub(super) fn page(after: Option<&str>, offset: u32, limit: u32) -> Page {
    Page { after: after.map(Into::into), offset, limit }
}

pub(super) async fn get(store: &dyn Store, id: &str) -> Arc<Device> {
    store.device(&DeviceId::from(id)).await.expect("read").expect("exists")
}
