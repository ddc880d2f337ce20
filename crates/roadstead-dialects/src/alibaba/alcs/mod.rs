//! Local control: a phone sets and reads properties of a device in the LAN, without the cloud.
//!
//! ```text
//! phone                         device
//!   |-- GET core/service/auth ---->|   accessKey, random, sign     (Server::auth)
//!   |<-- session id, random, sign -|   both derive the session key
//!   |-- GET thing/service/... ---->|   encrypted, session id in option 71
//!   |-- GET heartBeat ------------>|   at least every 120 s
//! ```
//!
//! - [`cipher`]: the payload's encryption (trap 13).
//! - [`key`]: access keys and what is derived from them.
//! - [`server`]: the device's sessions.
//! - [`client`]: the phone's session.
//!
//! The pair built into every firmware opens a device to everybody in the LAN until the platform
//! gives it a better one; see [`key::FACTORY`].
//!
//! Source: Alibaba §10; Link Kit 3.0.1, transcript v301_alcs_session, vectors alcs-*.

pub mod cipher;
pub mod client;
pub mod key;
pub mod server;

pub use client::{Client, ClientError};
pub use key::{ACCESS_KEY_LEN, AccessKey, FACTORY, KeyPair};
pub use server::{AuthError, Server, SessionError};

/// CoAP option that carries the session id, big-endian without leading zeros.
pub const SESSION_OPTION: u16 = 71;

/// Writes a session id as the option's value.
pub fn session_to_option(id: u32) -> alloc::vec::Vec<u8> {
    let bytes = id.to_be_bytes();
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default().to_vec()
}

/// Reads the option's value; `None` when it is longer than four bytes.
pub fn session_from_option(value: &[u8]) -> Option<u32> {
    let fits = value.len() <= 4;
    fits.then(|| value.iter().fold(0, |id, byte| id << 8 | u32::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_have_no_leading_zeros() {
        // v301_alcs_session: 256 is 0100.
        assert_eq!(session_to_option(256), [1, 0]);
        for id in [0, 1, 255, 256, 0x0102_0304, u32::MAX] {
            assert_eq!(session_from_option(&session_to_option(id)), Some(id));
        }
        assert_eq!(session_from_option(&[0; 5]), None);
    }
}
