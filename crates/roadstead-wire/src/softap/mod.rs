//! Provisioning in a device's own access point, this project's own way: a QR code with a secret
//! of the device, an agreed key, sealed credentials, progress and reasons.
//!
//! ```text
//! phone                                               device
//!   |-- hello: public key ------------------------------>|
//!   |<- welcome: public key, session, proof of the secret|   both: X25519, HKDF-SHA256
//!   |-- sealed 0: network, password, token ------------->|   ChaCha20-Poly1305
//!   |<- sealed 0: state ---------------------------------|
//!   |-- sealed 1..: state? ----------------------------->|   until bound, or failed with a reason
//! ```
//! Whoever has not read the QR code can neither read nor alter anything, nor pose as one of the
//! two; recordings stay closed even to those who read the code later. What it does not protect
//! against is in `docs/guide/softap.md`.
//!
//! - [`Qr`]: what the code says. [`Phone`] and [`Device`]: the two ends, one datagram or HTTP body
//!   per message.
//! - [`form`]: what a page in the access point sends. [`dns`]: every name is the device's address.
//!
//! Not here: sockets, pages, the QR picture. No vendor's format.
//!
//! Source: RFC 7748 (X25519), RFC 5869 (HKDF), RFC 8439 (ChaCha20-Poly1305); the shape is that of
//! Espressif's protocomm security 1 with a long secret, an authenticated cipher and counters.

mod crypt;
mod device;
pub mod dns;
pub mod form;
mod message;
mod phone;
mod qr;
#[cfg(test)]
mod tests;

pub use crypt::Entropy;
pub use device::{Device, Given, Refusal};
pub use message::{Progress, Reason};
pub use phone::{Phone, PhoneError};
pub use qr::{Qr, QrError, SECRET_SIZE};

/// Longest network name, bytes (IEEE 802.11).
pub const SSID_MAX: usize = 32;
/// Longest password, bytes: a raw PSK as 64 hexadecimal digits.
pub const PASSWORD_MAX: usize = 64;
/// Longest bind token, bytes.
pub const TOKEN_MAX: usize = 64;
/// Longest message of either side, bytes.
pub const MESSAGE_MAX: usize = 256;
