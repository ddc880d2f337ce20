//! Vendor-neutral wire formats and session machines, sans-IO.
//!
//! Nothing here owns a socket, a clock, a thread or a random number: bytes, `now` and first
//! packet ids are inputs, packets and events are outputs. The crate does not know the domain
//! (`roadstead-core`) and no vendor; dialects translate between the two.
//!
//! - [`airlink`]: Wi-Fi credentials through the air, sender and receiver of five schemes.
//! - [`ble`]: provisioning over Bluetooth LE, phone and device of two framings.
//! - [`coap`]: RFC 7252 as LAN devices speak it: messages and the exchange machine.
//! - [`mqtt`]: MQTT 3.1, 3.1.1 and 5: packets, bytes (feature `codec`), topics, tries, sessions
//!   of both roles.
//! - [`http`]: the HTTP/1.1 client codec of the device half.
//! - [`softap`]: provisioning in a device's own access point by a QR code, and what a page there
//!   needs.
//! - [`ws`]: WebSocket frames and handshake key, both roles.
#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "codec"))]
extern crate std;

pub mod airlink;
pub mod ble;
pub mod coap;
pub mod http;
pub mod mqtt;
pub mod softap;
pub mod ws;
