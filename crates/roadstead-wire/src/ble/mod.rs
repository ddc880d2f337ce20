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
//! | [`improv`] | Improv, also over a serial line | none | who may press the device's button |
//!
//! None of them proves to the phone that the device is the right one: an active attacker in radio range
//! can stand between them. What binds a device to an owner is the bind token.
//!
//! Source: Airlink §8, §9, §11.

pub mod blufi;
mod dialogue;
pub mod improv;
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

    /// Returns the service as a driver serves it, under the given number: that of the framing or
    /// another it is also known by.
    pub fn service(&self, service: u16) -> Service {
        let characteristic = |short: u16, role: Role| Characteristic {
            uuid: self.uuid(short),
            role,
            tag: None,
            value: Vec::new(),
        };
        Service {
            uuid: self.uuid(service),
            characteristics: alloc::vec![
                characteristic(self.write, Role::Write),
                characteristic(self.notify, Role::Notify),
            ],
            data: None,
        }
    }
}

/// A service as a driver serves it, whatever the framing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The service, big-endian.
    pub uuid: [u8; 16],
    /// Its characteristics.
    pub characteristics: Vec<Characteristic>,
    /// Service data to advertise, under a 16-bit number of the Bluetooth base.
    pub data: Option<(u16, Vec<u8>)>,
}

/// One characteristic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Characteristic {
    /// Its number, big-endian.
    pub uuid: [u8; 16],
    /// What a phone may do with it.
    pub role: Role,
    /// The first byte of the notifications that belong here, which is not sent; `None` when all do.
    pub tag: Option<u8>,
    /// Its value before the first notification.
    pub value: Vec<u8>,
}

/// What a phone may do with a characteristic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Write it, with or without response.
    Write,
    /// Read it and be notified.
    Notify,
    /// Read it.
    Read,
}

impl Service {
    /// Returns which characteristic a notification of a [`Porter`] belongs to, and its value.
    pub fn route<'a>(&self, note: &'a [u8]) -> Option<(usize, &'a [u8])> {
        let notified = |it: &Characteristic| it.role == Role::Notify;
        let at = self
            .characteristics
            .iter()
            .position(|it| notified(it) && it.tag.is_none_or(|tag| note.first() == Some(&tag)))?;
        let skip = usize::from(self.characteristics.get(at)?.tag.is_some());
        Some((at, note.get(skip..)?))
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
