//! Messages between module and platform that are not about data points.
//!
//! ```text
//! 00 00 00 03 | cmd u16 | body          (no length, no flag)
//! ```
//!
//! Source: GizWits §3.6.

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use crate::gizwits::lan::HEAD;

/// The module asks how many clients are on line.
const CLIENTS_REQUEST: u16 = 0x020F;
/// How many are.
const CLIENTS: u16 = 0x0210;

/// A message of the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FromModule {
    /// How many clients are on line?
    Clients,
    /// Not known; its name.
    Other(Box<str>),
}

impl FromModule {
    /// Reads a message; `None` for what is none.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let rest = payload.strip_prefix(&HEAD)?;
        let (cmd, _) = rest.split_first_chunk()?;
        Some(match u16::from_be_bytes(*cmd) {
            CLIENTS_REQUEST => Self::Clients,
            other => Self::Other(format!("server request {other:#06x}").into()),
        })
    }
}

/// Writes how many clients are on line.
pub(super) fn clients(count: u16) -> Vec<u8> {
    [&HEAD[..], &CLIENTS.to_be_bytes(), &count.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../../vectors/gizwits.json")).expect("JSON");
        for vector in vectors["server_messages"].as_array().expect("list") {
            let wire = hex::decode(vector["hex"].as_str().expect("text")).expect("hex");
            if let Some(count) = vector["online_clients"].as_u64() {
                assert_eq!(clients(count as u16), wire);
            }
            let is_request = vector["cmd"] == "0x020f";
            let parsed = FromModule::parse(&wire).expect("a message");
            assert_eq!(parsed == FromModule::Clients, is_request, "{vector}");
        }
        for bad in [&b""[..], b"\0\0\0\x03", b"\0\0\0\x03\x02", b"\0\0\0\x04\x02\x0f"] {
            assert_eq!(FromModule::parse(bad), None);
        }
    }
}
