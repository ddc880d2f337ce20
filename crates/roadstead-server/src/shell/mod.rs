//! Drives one MQTT connection: bytes ⇄ session machine ⇄ dialect session ⇄ services.
//!
//! The shell owns the socket and the time; every decision is somebody else's: the protocol's
//! (`roadstead_wire::mqtt`), the vendor's ([`roadstead_dialects::cloud`]) or the platform's
//! ([`Services`]).
//!
//! ```text
//! socket -> connection -> session::server --Message--> inbound -> dialect -> Services::uplink
//!    ^          ^               |                         '--done, in order--> PUBACK + answer
//!    '----------'<---- packets -'<---- outbound <---- mailbox <---- Directory, Broker
//! ```
//!
//! Memory: an idle connection is one task without a read or write buffer. Reading borrows a
//! buffer of the thread; tables are made when used and freed when the connection is idle again.

mod connection;
mod inbound;
mod mailbox;
mod outbound;
mod pace;
mod services;
mod shared;
mod socket;
mod subscribe;
mod work;

pub use services::{Login, Peer, Services};

pub(crate) use connection::{Connection, Start, discard};
pub(crate) use mailbox::Mailbox;
pub(crate) use shared::{Shared, policy};
pub(crate) use socket::Socket;
