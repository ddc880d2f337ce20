//! The phone library: the phone API of the platform, the dialogue with a device over real UDP,
//! and both together as one onboarding.
//!
//! - [`api::Client`]: `/app/v1`, names as in the API reference.
//! - [`provision()`]: token, dialogue, polling, binding; every stage the phone sees is reported to
//!   the platform, so that a failed attempt has one reason.
//! - [`provision_by_qr`]: the same by a device's QR code, sealed, for every dialect.
//! - [`read_log`]: a device's own log after a failure.
//! - [`alibaba`]: the same for devices of that vendor, which speak CoAP: provisioning, discovery,
//!   binding by a token of their own, control without the platform.
//!
//! Schemes through the air go over a simulated one ([`roadstead_dialects::air`]); real radios and the
//! change of Wi-Fi networks are the phone's operating system's business.

mod air;
pub mod alibaba;
pub mod api;
mod dialogue;
mod error;
mod journal;
pub mod module;
mod provision;
mod qr;

#[cfg(test)]
mod tests;

pub use air::Air;
pub use dialogue::read_log;
pub use error::AppError;
pub use provision::{Event, Method, Options, Provisioned, provision};
pub use qr::{QrOptions, provision_by_qr};
