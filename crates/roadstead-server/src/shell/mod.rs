//! Drives one MQTT connection: bytes ⇄ session machine ⇄ dialect session ⇄ services.
//!
//! The shell owns the socket and the time; every decision is somebody else's: the protocol's
//! (`roadstead_wire::mqtt`), the vendor's ([`roadstead_dialects::cloud`]) or the platform's
//! ([`Services`]).

mod services;

pub use services::{Login, Peer, Services};
