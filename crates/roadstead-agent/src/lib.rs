//! The device library: runs a dialect's device half on hardware, real or simulated.
//!
//! ```text
//! Application <-> Runner <-> Machine (roadstead-dialects)
//!                   |
//!                  Hal: Wifi, Store, Net
//!                   |
//!        hal::sim (memory, virtual time) | hal::net (sockets, feature `net`)
//! ```
//!
//! - [`runner::Runner`] is the driver: no clock, no socket. A firmware calls it from its own loop
//!   with its own [`hal::Hal`].
//! - [`agent::Agent`] (feature `net`) is that loop on tokio.
//! - [`app::Application`] is what the device does; [`app::Lamp`] is one that obeys any thing model.

#[cfg(feature = "net")]
pub mod agent;
pub mod app;
pub mod event;
pub mod hal;
#[cfg(feature = "net")]
pub mod module;
#[cfg(feature = "net")]
pub mod portal;
pub mod runner;

pub use event::AgentEvent;
pub use runner::Runner;
