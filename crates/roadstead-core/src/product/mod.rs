//! A product: what all devices of one kind share.

mod model;
mod ty;

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::{Map, ProductId, Secret, SpaceId, Timestamp};

pub use model::{
    Access, Command, DEFAULT_SERVICE, Event, Extra, Level, Model, Parameter, Property, Service,
    Violation,
};
pub use ty::{DataType, EnumItem, Range};

/// One kind of device.
#[derive(Clone)]
pub struct Product {
    /// The vendor's own id.
    pub id: ProductId,
    /// Tenant.
    pub space: SpaceId,
    /// Name of the dialect its devices speak; a row of `dialects::ALL`.
    pub dialect: Box<str>,
    /// Display name.
    pub name: Box<str>,
    /// Product secret as the vendor shows it, where the vendor has one.
    pub secret: Option<Secret>,
    /// How its devices prove who they are.
    pub auth: Auth,
    /// Whether unknown devices may register themselves.
    pub registration: Registration,
    /// What happens when a bound device reports another user's token.
    pub rebind: Rebind,
    /// The thing model.
    pub model: Model,
    /// Descriptive fields of the northbound API that the platform itself does not interpret
    /// (manufacturer name, device type, industry, description, …).
    pub attributes: Map<alloc::string::String, crate::Value>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// How devices of a product prove who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// A secret per device.
    #[default]
    Secret,
    /// A client certificate per device, compared by fingerprint.
    Certificate,
}

/// Dynamic registration: one product secret in the firmware, device secrets handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Nobody may register.
    #[default]
    Off,
    /// Only devices that exist and have never connected.
    Preregistered,
    /// Unknown devices are created.
    Open,
}

/// What happens when somebody else presents a bind token for a device that has an owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rebind {
    /// The owner must unbind first.
    #[default]
    Refuse,
    /// The new user becomes the owner: whoever can put the device into provisioning mode holds it.
    Transfer,
}
