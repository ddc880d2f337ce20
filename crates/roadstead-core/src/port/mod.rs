//! What storage engines fill. One trait per aggregate, in domain operations.
//!
//! The contract of every method that writes: it returns `Ok` only when the effect is durable
//! (promise 1 of the design). Calls made one after the other by one task for one device take
//! effect in that order. Reads see every write that was acknowledged before they began.

mod access;
mod binding;
mod device;
mod group;
mod history;
mod mqtt;
mod outbox;
mod product;
mod record;
mod shadow;
mod tag;
mod trust;

use crate::code::StoreFailure;

pub use access::AccessStore;
pub use binding::{BindQuery, BindReport, BindingStore, TokenView};
pub use device::{
    DeviceFilter, DevicePatch, DeviceStore, PresenceChange, RegisterError, Registered, marker,
    read_marker,
};
pub use group::{GroupFilter, GroupPatch, GroupStore};
pub use history::{AttemptFilter, AttemptStore, Found, TraceFilter, TraceStore};
pub use mqtt::MqttStore;
pub use outbox::{CommandFilter, CommandStore, MessageStore, Stepped};
pub use product::ProductStore;
pub use record::{RecordFilter, RecordStore};
pub use shadow::{PendingStore, ShadowStore};
pub use tag::TagStore;
pub use trust::{TrustFilter, TrustStore};

/// Everything one engine offers.
pub trait Store:
    AccessStore
    + AttemptStore
    + BindingStore
    + CommandStore
    + DeviceStore
    + GroupStore
    + MessageStore
    + MqttStore
    + PendingStore
    + ProductStore
    + RecordStore
    + ShadowStore
    + TagStore
    + TraceStore
    + TrustStore
{
}

impl<T> Store for T where
    T: AccessStore
        + AttemptStore
        + BindingStore
        + CommandStore
        + DeviceStore
        + GroupStore
        + MessageStore
        + MqttStore
        + PendingStore
        + ProductStore
        + RecordStore
        + ShadowStore
        + TagStore
        + TraceStore
        + TrustStore
{
}

/// Why a store call failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The engine failed: disk full, database lost, … Nothing was changed.
    #[error("the store failed")]
    Engine(#[from] StoreFailure),
    /// The write queue is full.
    #[error("the store's queue is full")]
    Busy,
    /// An object of this key exists already.
    #[error("it exists already")]
    Exists,
    /// There is no such object.
    #[error("it does not exist")]
    Missing,
    /// The object is still in use.
    #[error("it is still in use by {0}")]
    InUse(&'static str),
    /// Somebody else changed it meanwhile; the text names what and its version.
    #[error("{0}")]
    Stale(alloc::boxed::Box<str>),
    /// Answering takes more work than one call may cost.
    #[error("the search looks at too many devices")]
    TooBroad,
    /// A marker that no list has given.
    #[error("the marker is not one of this list")]
    Marker,
    /// A limit of [`crate::limit`] is reached.
    #[error("the limit of {0} is reached")]
    Limit(&'static str),
}

impl StoreError {
    /// Returns the stable code.
    pub fn code(&self) -> crate::Code {
        match self {
            Self::Engine(_) => "internal.store",
            Self::Busy => "internal.overload",
            Self::Exists | Self::InUse(_) | Self::Stale(_) => "api.conflict",
            Self::Missing => "api.not_found",
            Self::TooBroad => "search.too_broad",
            Self::Marker => "api.bad_request",
            Self::Limit(_) => "api.quota",
        }
    }
}

/// One page of a list, ordered by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Start after this key.
    pub after: Option<alloc::boxed::Box<str>>,
    /// Skip this many more.
    pub offset: u32,
    /// Return at most this many; capped at [`crate::limit::PAGE_ITEMS_MAX`].
    pub limit: u32,
}

/// The items of a page and the count of all items that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    /// In key order.
    pub items: alloc::vec::Vec<T>,
    /// All that match the filter; at least as many where the port says so.
    pub total: u64,
}
