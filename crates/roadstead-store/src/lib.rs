//! Storage engines behind the ports of `roadstead-core`.
//!
//! | engine | for |
//! |---|---|
//! | [`Memory`] | fast tests and the demonstration; nothing survives the process |
//! | [`Sqlite`] | the embedded default; acknowledged means durable |
//!
//! Both fill [`roadstead_core::port::Store`] and run the same conformance suite (`suite`).
//! What engines must decide alike lives once, in `rule` and `ledger`, as functions of the nouns;
//! an engine only keeps and finds. No engine knows a vendor, a wire format or a caller.

mod crypt;
mod ledger;
mod memory;
mod outbox;
mod random;
mod rule;
pub mod sqlite;

#[cfg(any(test, feature = "suite"))]
pub mod suite;

pub use memory::Memory;
pub use random::Random;
pub use sqlite::Sqlite;
