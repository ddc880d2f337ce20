//! The canonical domain of Roadstead.
//!
//! One folder per noun. The crate decides; it never performs: no clock, no socket, no store, no
//! wire format, no vendor. `now`, randomness and keys are arguments. The traits in [`port`]
//! (feature `port`) are what storage engines fill; they are the only `async` here.
//!
//! | noun | meaning |
//! |---|---|
//! | [`space`] | tenant; everything lives in exactly one |
//! | [`product`] | dialect, vendor id and secret, policies, thing model |
//! | [`device`] | identity, credential, state, gateway parent |
//! | [`session`] | one connection of a device; epoch decides who wins |
//! | [`group`] | a named set of devices, listed or described by a rule |
//! | [`search`] | a condition on devices, read from its text |
//! | [`shadow`] | reported, desired, version |
//! | [`exchange`] | what devices say and what the platform says to them |
//! | [`command`] | a synchronous request with a deadline; an asynchronous one with a queue |
//! | [`message`] | opaque content for a device, kept while it is away |
//! | [`record`] | what the sides for phones keep beside all that |
//! | [`user`], [`binding`] | who owns which device; bind tokens |
//! | [`attempt`] | one onboarding attempt with stage times and one ending |
//! | [`trace`] | every hop of one device |
//! | [`code`] | every stable failure code with cause and remedy |
//! | [`limit`] | every limit, by name |
#![no_std]

extern crate alloc;

pub mod attempt;
pub mod binding;
pub mod code;
pub mod command;
pub mod device;
pub mod exchange;
pub mod group;
pub mod id;
pub mod limit;
pub mod message;
pub mod mqtt;
#[cfg(feature = "port")]
pub mod port;
pub mod product;
pub mod record;
pub mod search;
pub mod secret;
pub mod session;
pub mod shadow;
pub mod space;
pub mod time;
pub mod trace;
pub mod trust;
pub mod user;

pub use code::Code;
pub use id::{
    AttemptId, BindingId, CommandId, DeviceId, GroupId, MessageId, ProductId, RequestId, SpaceId,
    UserId,
};
pub use secret::Secret;
pub use serde_json::{Map, Value};
pub use time::{Tick, Timestamp};
