//! What a server allows its clients, and the CONNACK that says so.

use core::num::{NonZeroU16, NonZeroU32};

use crate::mqtt::packet::{ConnAck, Connect, QoS, Reason, Version};
use crate::mqtt::session::QueueLimits;

/// Limits and abilities of the server; shared by all sessions of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Ceiling of the keep-alive in seconds, told to MQTT 5 clients. A 3.x client cannot be told:
    /// its own value is honoured.
    pub keep_alive_max_s: Option<NonZeroU16>,
    /// Longest silence of a client without keep-alive in milliseconds; `None` is unlimited.
    pub idle_max_ms: Option<NonZeroU32>,
    /// Unacknowledged QoS 1 and 2 messages of an MQTT 5 client, and unreleased QoS 2 messages of
    /// any client.
    pub receive_max: NonZeroU16,
    /// Messages that wait for the shell before reading stops.
    pub inbound_max: NonZeroU16,
    /// Their topics and payloads in bytes.
    pub inbound_bytes_max: usize,
    /// Biggest packet in bytes, announced in MQTT 5; the decoder enforces it.
    pub max_packet_size: Option<NonZeroU32>,
    /// Highest topic alias of the client.
    pub topic_alias_max: u16,
    /// How many topic aliases the server sets.
    pub topic_alias_out_max: u16,
    /// Unacknowledged messages to the client, if it does not ask for fewer.
    pub window_max: NonZeroU16,
    /// What may wait for the client.
    pub queue: QueueLimits,
    /// Filters of one client.
    pub subscriptions_max: usize,
    /// SUBSCRIBE and UNSUBSCRIBE packets that wait for the shell.
    pub requests_max: usize,
    /// Ceiling of the session expiry in seconds; 3.x sessions without clean start get it.
    pub session_expiry_max_s: u32,
    /// Highest QoS of publications.
    pub max_qos: QoS,
    /// Retained messages are taken.
    pub retain_available: bool,
    /// Filters may have wildcards.
    pub wildcard_available: bool,
    /// `$share` filters are taken.
    pub shared_available: bool,
    /// Subscription identifiers are taken.
    pub subscription_ids_available: bool,
}

impl Default for Policy {
    fn default() -> Self {
        const SMALL: NonZeroU16 = NonZeroU16::new(32).expect("not zero");
        Self {
            keep_alive_max_s: None,
            idle_max_ms: None,
            receive_max: NonZeroU16::new(128).expect("not zero"),
            inbound_max: NonZeroU16::new(64).expect("not zero"),
            inbound_bytes_max: 1 << 20,
            max_packet_size: None,
            topic_alias_max: 16,
            topic_alias_out_max: 16,
            window_max: SMALL,
            queue: QueueLimits { messages_max: 256, size_bytes_max: 1 << 20 },
            subscriptions_max: 128,
            requests_max: 16,
            session_expiry_max_s: 7 * 24 * 3600,
            max_qos: QoS::ExactlyOnce,
            retain_available: true,
            wildcard_available: true,
            shared_available: true,
            subscription_ids_available: true,
        }
    }
}

impl Policy {
    /// Returns the Server Keep Alive, if it differs from what the client asked for.
    fn server_keep_alive_s(&self, connect: &Connect) -> Option<u16> {
        let max = self.keep_alive_max_s?.get();
        let wanted = connect.keep_alive_s;
        (connect.version == Version::V5 && (wanted == 0 || wanted > max)).then_some(max)
    }

    /// Returns after which silence the client is given up; 0 is never.
    pub(super) fn silence_ms(&self, connect: &Connect) -> u64 {
        match self.server_keep_alive_s(connect).unwrap_or(connect.keep_alive_s) {
            0 => self.idle_max_ms.map_or(0, |idle| u64::from(idle.get())),
            // One and a half intervals [MQTT-3.1.2-22].
            keep_alive_s => u64::from(keep_alive_s) * 1500,
        }
    }

    pub(super) fn connack(&self, connect: &Connect, session_expiry_s: u32) -> ConnAck {
        let asked = connect.session_expiry_s;
        ConnAck {
            session_expiry_s: (asked != session_expiry_s).then_some(session_expiry_s),
            receive_max: Some(self.receive_max).filter(|max| max.get() != u16::MAX),
            max_qos: self.max_qos,
            retain_available: self.retain_available,
            max_packet_size: self.max_packet_size,
            topic_alias_max: self.topic_alias_max,
            wildcard_available: self.wildcard_available,
            subscription_ids_available: self.subscription_ids_available,
            shared_available: self.shared_available,
            server_keep_alive_s: self.server_keep_alive_s(connect),
            ..ConnAck::new(Reason::Success)
        }
    }
}
