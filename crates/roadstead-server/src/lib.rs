//! The Roadstead platform as a library: listeners, services and HTTP APIs on tokio.
//!
//! | folder | what it does | what it never does |
//! |---|---|---|
//! | [`config`] | typed settings, template, overrides | read a store |
//! | `listen` | accept, TLS, first packet, throttle | know a vendor |
//! | [`shell`] | drive one MQTT connection: read, handle, write, sleep until the deadline | decide |
//! | `broker` | free topics: trie, retained, parked sessions | platform topics |
//! | [`directory`] | device → live connection, epochs, take-over | talk to devices |
//! | `service` | load → decide (core) → save → tell | parse wire bytes |
//! | `north` | northbound REST (IoTDA v5 shape), IAM, signatures | touch devices directly |
//! | `app` | `/app/v1` for phones | anything operators do |
//! | `vendor` | vendor HTTP calls routed to dialects | know a vendor |

mod app;
pub mod archive;
mod broker;
pub mod clock;
pub mod config;
mod console;
pub mod directory;
pub mod listen;
pub mod metrics;
pub mod north;
mod openapi;
mod server;
pub mod service;
pub mod shell;
pub mod throttle;
pub mod tls;
pub mod vendor;

pub use openapi::openapi_json;
pub use server::{Server, StartError, StartOptions};
