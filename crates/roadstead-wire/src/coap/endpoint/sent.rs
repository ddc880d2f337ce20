//! What the machine remembers: messages under way, open queries, heard datagrams.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::Key;
use crate::coap::Token;

/// A confirmable message that is not acknowledged yet.
pub(super) struct Sent {
    pub(super) to: SocketAddr,
    pub(super) id: u16,
    /// Of the query; `None` for a response.
    pub(super) key: Option<Key>,
    pub(super) bytes: Bytes,
    pub(super) repeats: u8,
    /// Current wait, milliseconds.
    pub(super) wait: u64,
    pub(super) due: u64,
}

/// A query that waits for its response.
pub(super) struct Asked {
    pub(super) key: Key,
    /// Who may answer; `None` for everybody.
    pub(super) host: Option<IpAddr>,
    pub(super) id: u16,
    pub(super) token: Token,
    pub(super) until: u64,
    pub(super) many: bool,
    pub(super) is_answered: bool,
}

/// A datagram that was heard, and what was said to it.
pub(super) struct Seen {
    pub(super) peer: SocketAddr,
    pub(super) id: u16,
    pub(super) print: u64,
    pub(super) until: u64,
    pub(super) answers: Vec<Bytes>,
}

/// Tells datagrams apart; not a protection against somebody who wants two to be alike (FNV-1a).
pub(super) fn fingerprint(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3);
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, step)
}

/// Tokens, ids and jitter (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
