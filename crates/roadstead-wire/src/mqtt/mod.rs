//! MQTT 3.1, 3.1.1 and 5.0 for both roles.
//!
//! ```text
//! bytes <-codec-> packet <-session::server-> shell -> trie (subscriptions), retained
//!                        <-session::client-> device library
//! ```
//!
//! - [`packet`]: typed packets, the same for all versions.
//! - `codec` (feature `codec`): bytes to packets and back.
//! - [`topic`]: topic names and filters, their limits and matching.
//! - [`trie`], [`retained`]: who gets a message, and what a new subscriber gets.
//! - [`session`]: the machines behind one connection, server and client.
//!
//! It is not a broker: who may publish, what is stored and who is connected belongs to the
//! shell.
//!
//! Source: OASIS MQTT 3.1.1 (2014), OASIS MQTT 5.0 (2019), IBM/Eurotech MQTT 3.1 (2010).

#[cfg(feature = "codec")]
pub mod codec;
pub mod packet;
pub mod retained;
pub mod session;
pub mod topic;
pub mod trie;

#[cfg(test)]
mod sample;
