//! Settings of a client. Defaults follow the Tencent SDK (Tencent §3.5), because its numbers are
//! the tightest of the vendors; each dialect sets its own.

use core::num::{NonZeroU8, NonZeroU16};

use crate::mqtt::packet::{Connect, Version};
use crate::mqtt::session::QueueLimits;

/// How many packet ids a client with [`Config::remember_ids`] remembers.
pub const REMEMBERED_IDS: usize = 10;

/// Settings of a client.
#[derive(Clone, Debug)]
pub struct Config {
    /// Sent at every connection.
    pub connect: Connect,
    /// Wait for CONNACK in milliseconds.
    pub connect_wait_ms: u64,
    /// Silence before PINGREQ in milliseconds; `None` is the keep-alive itself.
    pub ping_after_ms: Option<u64>,
    /// Wait for PINGRESP per try in milliseconds.
    pub ping_wait_ms: u64,
    /// How often PINGREQ is sent before the connection is given up.
    pub ping_tries: NonZeroU8,
    /// Wait for SUBACK and UNSUBACK in milliseconds.
    pub request_wait_ms: u64,
    /// SUBSCRIBE and UNSUBSCRIBE packets without answer.
    pub requests_max: usize,
    /// Unacknowledged messages, if the server does not ask for fewer.
    pub window_max: NonZeroU16,
    /// What may wait for a connection or the window.
    pub queue: QueueLimits,
    /// Messages that wait for [`Client::accept`](super::Client::accept) before reading stops.
    pub inbound_max: NonZeroU16,
    /// How many topic aliases the client sets.
    pub topic_alias_out_max: u16,
    /// Drop QoS 1 messages whose packet id is among the last [`REMEMBERED_IDS`].
    pub remember_ids: bool,
}

impl Config {
    /// Usual waits and limits around `connect`.
    pub fn new(connect: Connect) -> Self {
        Self {
            connect,
            connect_wait_ms: 5000,
            ping_after_ms: None,
            ping_wait_ms: 5000,
            ping_tries: NonZeroU8::new(2).expect("not zero"),
            request_wait_ms: 5000,
            requests_max: 10,
            window_max: NonZeroU16::new(20).expect("not zero"),
            queue: QueueLimits { messages_max: 64, size_bytes_max: 64 * 1024 },
            inbound_max: NonZeroU16::new(32).expect("not zero"),
            topic_alias_out_max: 0,
            remember_ids: false,
        }
    }

    /// Returns true when the server is asked to keep the session.
    pub(super) fn is_persistent(&self) -> bool {
        match self.connect.version {
            Version::V31 | Version::V311 => !self.connect.clean_start,
            Version::V5 => self.connect.session_expiry_s > 0,
        }
    }

    /// Returns the silence before PINGREQ; 0 is never.
    pub(super) fn ping_after_ms(&self, keep_alive_s: u16) -> u64 {
        match (keep_alive_s, self.ping_after_ms) {
            (0, _) => 0,
            (_, Some(after_ms)) => after_ms,
            (keep_alive_s, None) => u64::from(keep_alive_s) * 1000,
        }
    }
}
