//! Why bytes are not a packet, or a packet cannot become bytes.

use crate::mqtt::packet::Reason;

/// The stream is broken; nothing after the bad packet can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The announced size is above the limit; nothing of the body was kept.
    #[error("packet of {size_bytes} bytes, limit {max_bytes}")]
    TooLarge {
        /// Size of the whole packet.
        size_bytes: usize,
        /// The limit that was set.
        max_bytes: u32,
    },
    /// The connection did not open with CONNECT.
    #[error("first packet is type {packet_type}, not CONNECT")]
    NotConnect {
        /// Upper half of the first byte.
        packet_type: u8,
    },
    /// Neither `MQTT` 4 or 5 nor `MQIsdp` 3.
    #[error("protocol level {level} is not spoken here")]
    UnsupportedVersion {
        /// Level byte as sent.
        level: u8,
    },
    /// The protocol name is not of MQTT.
    #[error("protocol name is neither `MQTT` nor `MQIsdp`")]
    NotMqtt,
    /// An empty client identifier where the version wants one.
    #[error("client identifier is not valid")]
    ClientId,
    /// The bytes break the format.
    #[error("malformed {packet}: {detail}")]
    Malformed {
        /// Name of the packet type.
        packet: &'static str,
        /// What is wrong.
        detail: &'static str,
    },
    /// Well formed, but forbidden by the specification.
    #[error("forbidden {packet}: {detail}")]
    Forbidden {
        /// Name of the packet type.
        packet: &'static str,
        /// What is wrong.
        detail: &'static str,
    },
    /// A topic name is empty, too long or has a wildcard.
    #[error("invalid topic name")]
    TopicName,
}

impl DecodeError {
    /// Returns the name, for traces; the platform maps it to a failure code.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "packet_too_large",
            Self::NotConnect { .. } => "not_connect",
            Self::UnsupportedVersion { .. } => "unsupported_protocol_version",
            Self::NotMqtt => "not_mqtt",
            Self::ClientId => "client_identifier_not_valid",
            Self::Malformed { .. } => "malformed_packet",
            Self::Forbidden { .. } => "protocol_error",
            Self::TopicName => "topic_name_invalid",
        }
    }

    /// Returns the reason for CONNACK or DISCONNECT.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::PacketTooLarge,
            Self::UnsupportedVersion { .. } | Self::NotMqtt => Reason::UnsupportedProtocolVersion,
            Self::ClientId => Reason::ClientIdentifierNotValid,
            Self::Malformed { .. } => Reason::MalformedPacket,
            Self::NotConnect { .. } | Self::Forbidden { .. } => Reason::ProtocolError,
            Self::TopicName => Reason::TopicNameInvalid,
        }
    }
}

/// A packet that has no encoding; the buffer is as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The version does not know this packet.
    #[error("{packet} does not exist in this version")]
    NotInVersion {
        /// Name of the packet type.
        packet: &'static str,
    },
    /// A text or the whole packet is longer than its length field can say.
    #[error("{packet} is too long to encode")]
    TooLong {
        /// Name of the packet type.
        packet: &'static str,
    },
    /// QoS and packet id of a PUBLISH contradict each other, or a list is empty.
    #[error("{packet} contradicts itself")]
    Inconsistent {
        /// Name of the packet type.
        packet: &'static str,
    },
}

impl EncodeError {
    /// Returns the name, for traces; the platform maps it to a failure code.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotInVersion { .. } => "not_in_version",
            Self::TooLong { .. } => "too_long",
            Self::Inconsistent { .. } => "inconsistent",
        }
    }
}
