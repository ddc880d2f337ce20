//! State of free MQTT topics that must survive a restart: retained messages, parked sessions.
//!
//! Platform topics never come here; dialects own them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::Timestamp;

/// A retained message of a free topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retained {
    /// Topic name.
    pub topic: Box<str>,
    /// Payload; never empty (an empty one deletes).
    pub payload: Bytes,
    /// 0, 1 or 2.
    pub qos: u8,
}

/// A persistent session while its client is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Client identifier.
    pub client: Box<str>,
    /// Filters with granted QoS.
    pub filters: Vec<(Box<str>, u8)>,
    /// Next packet identifier, so that ids are not repeated after a reconnect.
    pub next_packet_id: u16,
    /// When the session ends if the client stays away.
    pub expires_at: Timestamp,
}

/// A message waiting for a parked session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Client identifier.
    pub client: Box<str>,
    /// Topic name.
    pub topic: Box<str>,
    /// Payload.
    pub payload: Bytes,
    /// 1 or 2.
    pub qos: u8,
}
