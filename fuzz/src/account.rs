//! A product and a device for the targets.

use std::sync::Arc;

use roadstead_core::device::Device;
use roadstead_core::product::{Auth, Model, Product, Rebind, Registration};
use roadstead_core::{Map, Secret, SpaceId, Timestamp};
use roadstead_dialects::cloud::Account;

/// The account of the recordings.
pub(crate) fn of(dialect: &str) -> Account {
    account(dialect, "MLvMHde65nKPk0Lx+ZThaA==")
}

/// An account whose secret no input knows.
pub(crate) fn unguessable(dialect: &str) -> Account {
    account(dialect, "q83vEjRWeJCrze8SNFZ4kA==")
}

fn account(dialect: &str, secret: &str) -> Account {
    let space = SpaceId::from("00000000000000000000000000000001");
    let product = Product {
        id: "L4WG9V9M2M".into(),
        space: space.clone(),
        dialect: dialect.into(),
        name: "Lamp".into(),
        secret: Some(Secret::from(match dialect {
            "gizwits" => "067a83b650544d979bb3d4d147f32034",
            _ => "XoezQjzzMedF4lAr2CqCkVYK",
        })),
        auth: Auth::Secret,
        registration: Registration::Open,
        rebind: Rebind::Refuse,
        model: model(dialect),
        attributes: Map::new(),
        created_at: Timestamp(0),
    };
    let device = Device {
        id: "L4WG9V9M2M_TEST2".into(),
        space,
        product: product.id.clone(),
        node: "TEST2".into(),
        name: "TEST2".into(),
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
    };
    Account { product: Arc::new(product), device: Arc::new(device) }
}

/// Packed bits need a model to be understood; the others are understood without.
fn model(dialect: &str) -> Model {
    if dialect != "gizwits" {
        return Model::default();
    }
    let document = include_bytes!("../corpus/dialect_model/giz00");
    let document = serde_json::from_slice(document).expect("a document of the corpus");
    let found = roadstead_dialects::find(dialect).expect("in this build");
    found.import_model(&document).expect("the vendor's").expect("valid")
}
