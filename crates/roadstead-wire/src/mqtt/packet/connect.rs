//! CONNECT, CONNACK and AUTH.
//!
//! Source: MQTT 5.0 sections 3.1, 3.2 and 3.15.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;

use super::{Publish, QoS, Reason, UserProperties, Version};

/// CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// Decides about the format of every later packet.
    pub version: Version,
    /// Start without old state; in 3.x also: keep no state afterwards.
    pub clean_start: bool,
    /// Longest silence of the client in seconds; 0 switches the check off.
    pub keep_alive_s: u16,
    /// May be empty: the server then assigns one.
    pub client_id: Box<str>,
    /// Often an identity, never a secret.
    pub username: Option<Box<str>>,
    /// Never printed.
    pub password: Option<Opaque>,
    /// To be published when the connection ends without DISCONNECT.
    pub will: Option<Box<Will>>,
    /// Life of the session after the connection in seconds, `u32::MAX` for ever; MQTT 5.
    pub session_expiry_s: u32,
    /// How many unacknowledged QoS 1 and 2 messages the client takes; MQTT 5.
    pub receive_max: Option<NonZeroU16>,
    /// Biggest packet that the client takes in bytes; MQTT 5.
    pub max_packet_size: Option<NonZeroU32>,
    /// Highest topic alias that the client takes; MQTT 5.
    pub topic_alias_max: u16,
    /// The client may be told reason strings; MQTT 5.
    pub request_problem_info: bool,
    /// The client asks for response information; MQTT 5.
    pub request_response_info: bool,
    /// Name of the extended authentication; MQTT 5.
    pub auth_method: Option<Box<str>>,
    /// First step of the extended authentication; MQTT 5.
    pub auth_data: Option<Opaque>,
    /// MQTT 5.
    pub user: UserProperties,
}

impl Connect {
    /// A clean session without credentials.
    pub fn new(version: Version, client_id: &str) -> Self {
        Self {
            version,
            clean_start: true,
            keep_alive_s: 60,
            client_id: client_id.into(),
            username: None,
            password: None,
            will: None,
            session_expiry_s: 0,
            receive_max: None,
            max_packet_size: None,
            topic_alias_max: 0,
            request_problem_info: true,
            request_response_info: false,
            auth_method: None,
            auth_data: None,
            user: Vec::new(),
        }
    }
}

/// The will of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Topic, payload, QoS, retain and properties; the packet id is unset.
    pub publish: Publish,
    /// Wait after the end of the connection in seconds; MQTT 5.
    pub delay_s: u32,
}

/// CONNACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck {
    /// The server continues a stored session; always false in 3.1.
    pub session_present: bool,
    /// Success, or why the connection was refused.
    pub reason: Reason,
    /// Replaces the requested session expiry.
    pub session_expiry_s: Option<u32>,
    /// How many unacknowledged messages the server takes; `None` is 65535.
    pub receive_max: Option<NonZeroU16>,
    /// Highest QoS that the server takes.
    pub max_qos: QoS,
    /// The server takes retained messages.
    pub retain_available: bool,
    /// Biggest packet that the server takes in bytes.
    pub max_packet_size: Option<NonZeroU32>,
    /// The identifier of a client that sent none.
    pub assigned_client_id: Option<Box<str>>,
    /// Highest topic alias that the server takes.
    pub topic_alias_max: u16,
    /// For humans and logs.
    pub reason_string: Option<Box<str>>,
    /// The server takes wildcards.
    pub wildcard_available: bool,
    /// The server takes subscription identifiers.
    pub subscription_ids_available: bool,
    /// The server takes `$share` filters.
    pub shared_available: bool,
    /// Replaces the keep-alive of CONNECT, in seconds.
    pub server_keep_alive_s: Option<u16>,
    /// Prefix for response topics.
    pub response_info: Option<Box<str>>,
    /// Where to connect instead.
    pub server_reference: Option<Box<str>>,
    /// Name of the extended authentication.
    pub auth_method: Option<Box<str>>,
    /// Last step of the extended authentication.
    pub auth_data: Option<Opaque>,
    /// MQTT 5.
    pub user: UserProperties,
}

impl ConnAck {
    /// An answer without properties.
    pub fn new(reason: Reason) -> Self {
        Self {
            session_present: false,
            reason,
            session_expiry_s: None,
            receive_max: None,
            max_qos: QoS::ExactlyOnce,
            retain_available: true,
            max_packet_size: None,
            assigned_client_id: None,
            topic_alias_max: 0,
            reason_string: None,
            wildcard_available: true,
            subscription_ids_available: true,
            shared_available: true,
            server_keep_alive_s: None,
            response_info: None,
            server_reference: None,
            auth_method: None,
            auth_data: None,
            user: Vec::new(),
        }
    }
}

/// AUTH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Success, continue, or re-authenticate.
    pub reason: Reason,
    /// Name of the method.
    pub method: Option<Box<str>>,
    /// Data of this step.
    pub data: Option<Opaque>,
    /// For humans and logs.
    pub reason_string: Option<Box<str>>,
    /// In wire order.
    pub user: UserProperties,
}

/// Secret bytes of the wire: they can be read but never print.
#[derive(Clone, PartialEq, Eq)]
pub struct Opaque(Bytes);

impl Opaque {
    /// Wraps secret bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// Returns the secret bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Returns the secret bytes, shared.
    #[cfg(feature = "codec")]
    pub(crate) fn to_bytes(&self) -> Bytes {
        self.0.clone()
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opaque(..)")
    }
}
