//! Whom the platform trusts, and with what: certificate authorities of device makers, the device
//! certificates that were seen, policies over topics, and templates for devices that register
//! themselves with a certificate.
//!
//! Decides only. Certificates are texts and digests here; reading and verifying them is the
//! shell's.
//!
//! Source: Huawei §9.2 (rows CA certificates, policies, provisioning templates, device
//! certificates), §9.9; the northbound SDK's model comments.

mod policy;
mod template;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::{DeviceId, SpaceId, Timestamp};

pub use policy::{Action, Effect, Policy, PolicyError, Statement, Target, TargetKind, Verdict};
pub use template::{Plan, Template, TemplateBody, TemplateError};

/// A certificate authority whose devices may log in once it is verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Stable id.
    pub id: Box<str>,
    /// Tenant.
    pub space: SpaceId,
    /// Common name of the subject.
    pub common_name: Box<str>,
    /// Organisation of the subject; empty when it names none.
    pub owner: Box<str>,
    /// The certificate, PEM.
    pub pem: Box<str>,
    /// SHA-256 of its DER form, hex.
    pub digest: Box<str>,
    /// Whoever uploaded it has proved to hold its key.
    pub verified: bool,
    /// What the proof must carry as its common name.
    pub verify_code: Box<str>,
    /// Unknown devices with its certificates register themselves, by `template`.
    pub provision: bool,
    /// Id of the template.
    pub template: Option<Box<str>>,
    /// Begin of its life.
    pub effective_at: Timestamp,
    /// End of its life.
    pub expires_at: Timestamp,
    /// When it was uploaded.
    pub created_at: Timestamp,
}

/// A device certificate that a verified authority signed and a device has logged in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceCertificate {
    /// Stable id.
    pub id: Box<str>,
    /// Tenant.
    pub space: SpaceId,
    /// Common name of the subject; empty when it has none.
    pub common_name: Box<str>,
    /// SHA-256 of its DER form, hex.
    pub digest: Box<str>,
    /// The certificate, PEM.
    pub pem: Box<str>,
    /// Id of the authority.
    pub authority: Box<str>,
    /// An inactive certificate lets nobody in.
    pub active: bool,
    /// Devices that logged in with it, oldest first; at most [`CERTIFICATE_DEVICES_MAX`].
    pub devices: Vec<DeviceId>,
    /// End of its life.
    pub expires_at: Timestamp,
    /// When it was seen first.
    pub created_at: Timestamp,
}

/// Devices of one certificate that are remembered; usually there is one.
pub const CERTIFICATE_DEVICES_MAX: usize = 100;

/// Which kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustKind {
    /// [`Authority`].
    Authority,
    /// [`DeviceCertificate`].
    Certificate,
    /// [`Policy`].
    Policy,
    /// [`Template`].
    Template,
}

/// One object of any kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TrustObject {
    /// An authority.
    Authority(Authority),
    /// A device certificate.
    Certificate(DeviceCertificate),
    /// A policy.
    Policy(Policy),
    /// A template.
    Template(Template),
}

impl TrustObject {
    /// Returns its kind.
    pub fn kind(&self) -> TrustKind {
        match self {
            Self::Authority(_) => TrustKind::Authority,
            Self::Certificate(_) => TrustKind::Certificate,
            Self::Policy(_) => TrustKind::Policy,
            Self::Template(_) => TrustKind::Template,
        }
    }

    /// Returns its id, unique in its kind.
    pub fn id(&self) -> &str {
        match self {
            Self::Authority(object) => &object.id,
            Self::Certificate(object) => &object.id,
            Self::Policy(object) => &object.id,
            Self::Template(object) => &object.id,
        }
    }

    /// Returns its tenant.
    pub fn space(&self) -> &SpaceId {
        match self {
            Self::Authority(object) => &object.space,
            Self::Certificate(object) => &object.space,
            Self::Policy(object) => &object.space,
            Self::Template(object) => &object.space,
        }
    }

    /// Returns what no other object of its kind in its space may share: the digest of a
    /// certificate, the name of the others.
    pub fn key(&self) -> &str {
        match self {
            Self::Authority(object) => &object.digest,
            Self::Certificate(object) => &object.digest,
            Self::Policy(object) => &object.name,
            Self::Template(object) => &object.name,
        }
    }

    /// Returns the name that lists are searched by.
    pub fn name(&self) -> &str {
        match self {
            Self::Authority(object) => &object.common_name,
            Self::Certificate(object) => &object.common_name,
            Self::Policy(object) => &object.name,
            Self::Template(object) => &object.name,
        }
    }
}

macro_rules! conversions {
    ($($variant:ident($type:ty)),+) => {
        $(
            impl From<$type> for TrustObject {
                fn from(object: $type) -> Self {
                    Self::$variant(object)
                }
            }

            impl Trusted for $type {
                const KIND: TrustKind = TrustKind::$variant;

                fn from_object(object: TrustObject) -> Option<Self> {
                    match object {
                        TrustObject::$variant(object) => Some(object),
                        _ => None,
                    }
                }
            }
        )+
    };
}

/// A type that is kept as a [`TrustObject`].
pub trait Trusted: Into<TrustObject> {
    /// Its kind.
    const KIND: TrustKind;

    /// Returns the object if it is of this type.
    fn from_object(object: TrustObject) -> Option<Self>;
}

conversions! {
    Authority(Authority), Certificate(DeviceCertificate), Policy(Policy), Template(Template)
}

/// Fields of a certificate's subject that templates may use, by the names of the API.
pub const SUBJECT_FIELDS: [&str; 7] = [
    "country",
    "organization",
    "organizational_unit",
    "distinguished_name_qualifier",
    "state_name",
    "common_name",
    "serial_number",
];

/// Values of [`SUBJECT_FIELDS`] in one certificate.
pub type Subject = alloc::collections::BTreeMap<String, String>;
