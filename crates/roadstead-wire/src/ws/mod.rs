//! WebSocket (RFC 6455): the key of the handshake, frames in and out, both roles. Texts alone: a
//! binary message is read and told as such.
//!
//! Not here: the HTTP request around the handshake, sockets, extensions, time-outs.

mod frame;

use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

pub use frame::{Broken, Message, Reader, Role, write};

/// What the server adds to the client's key (RFC 6455 §1.3).
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Returns `Sec-WebSocket-Accept` for the client's `Sec-WebSocket-Key`; `None` for what is no key
/// of 16 bytes.
pub fn accept(key: &str) -> Option<String> {
    let nonce = STANDARD.decode(key).ok()?;
    let digest = Sha1::new().chain_update(key).chain_update(MAGIC).finalize();
    (nonce.len() == 16).then(|| STANDARD.encode(digest))
}

#[cfg(test)]
mod tests {
    use super::accept;

    #[test]
    fn the_handshake_of_the_rfc() {
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(accept(key).as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(accept("dGhlIHNhbXBsZQ=="), None);
        assert_eq!(accept("?"), None);
    }
}
