//! Provisioning over Bluetooth LE: what a phone and a device say to each other over two
//! characteristics until the device is on the network and has its bind token.
//!
//! ```text
//! phone: Dialogue --Order--> Courier ==writes====> Porter --Order--> Provisioner :device
//!                 <-Report-          <==notifies==        <-Report-
//! ```
//!
//! A *codec* knows one framing: its phone end is a [`Courier`], its device end a [`Porter`]. All
//! framings carry the same few [`Order`]s and [`Report`]s, so that one [`Provisioner`] serves every
//! device and one [`Dialogue`] every phone. Everything here is a pure machine: bytes, time and
//! randomness go in, bytes and events come out. GATT, advertising and bonding are the driver's.
//!
//! | folder | framing | secrecy | who gets in |
//! |---|---|---|---|
//! | [`blufi`] | Espressif's BluFi; without security also the combo subset of Tencent | DH-1024, AES-128 | anyone near |
//! | [`llsync`] | Tencent's LLSync, assisted provisioning | none | anyone near |
//!
//! Neither proves to the phone that the device is the right one: an active attacker in radio range
//! can stand between them. What binds a device to an owner is the bind token.
//!
//! Source: Airlink §8, §9, §11.

pub mod blufi;
mod dialogue;
pub mod llsync;
mod provisioner;
mod speech;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;

pub use dialogue::{Dialogue, Failure, Input, Output, Policy};
pub use provisioner::{Provisioner, Task};
pub use speech::{Answer, Link, LinkState, Network, Order, Refusal, Report, Step};

/// Bytes of a write or notification at the smallest ATT MTU, 23.
pub const PIECE_MIN: usize = 20;
/// Bytes of the longest write or notification (ATT MTU 517).
pub const PIECE_MAX: usize = 514;
/// Longest message in bytes once its pieces are joined (Airlink §9; BluFi has no limit of its own).
pub const MESSAGE_MAX: usize = 2048;
/// Longest bind token in bytes.
pub const TOKEN_MAX: usize = 256;

/// Where a framing lives in the attribute table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gatt {
    /// The 128-bit base into which the 16-bit numbers go, big-endian.
    pub base: [u8; 16],
    /// Service.
    pub service: u16,
    /// Characteristic the phone writes.
    pub write: u16,
    /// Characteristic the device notifies.
    pub notify: u16,
}

impl Gatt {
    /// Returns the whole UUID of one of the numbers, big-endian.
    pub fn uuid(&self, short: u16) -> [u8; 16] {
        let mut uuid = self.base;
        uuid[2..4].copy_from_slice(&short.to_be_bytes());
        uuid
    }
}

/// The device end of a framing.
pub trait Porter: Send {
    /// Takes a write. Orders that are whole by it are appended to `orders`, notifications the
    /// framing itself needs to `notes`.
    ///
    /// # Errors
    /// The bytes cannot be what the framing wants; the connection must be closed.
    fn write(
        &mut self,
        bytes: &[u8],
        orders: &mut Vec<Order>,
        notes: &mut Vec<Vec<u8>>,
    ) -> Result<(), Refusal>;

    /// Appends the notifications that tell a report; none when the framing has no words for it.
    fn tell(&mut self, report: &Report, notes: &mut Vec<Vec<u8>>);
}

/// The phone end of a framing.
pub trait Courier: Send {
    /// Appends the writes that carry an order; none when the framing does not need it.
    fn send(&mut self, order: &Order, writes: &mut Vec<Vec<u8>>);

    /// Returns which report an order is answered by, if the framing answers it.
    fn answer(&self, order: &Order) -> Option<Answer>;

    /// Takes a notification. Reports that are whole by it are appended to `reports`, writes the
    /// framing itself needs to `writes`.
    ///
    /// # Errors
    /// The bytes cannot be what the framing wants; the connection must be closed.
    fn notified(
        &mut self,
        bytes: &[u8],
        reports: &mut Vec<Report>,
        writes: &mut Vec<Vec<u8>>,
    ) -> Result<(), Refusal>;
}

/// Clamps the size of a write or notification to what ATT allows.
fn piece(size: usize) -> usize {
    size.clamp(PIECE_MIN, PIECE_MAX)
}
