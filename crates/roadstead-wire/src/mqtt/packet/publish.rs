//! PUBLISH and its properties.
//!
//! Source: MQTT 5.0 section 3.3.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;

use super::{PacketId, QoS, UserProperties, Version};

/// A message on the wire.
///
/// A decoded payload shares the read buffer it came from: copy it before keeping it for long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Valid topic name; empty only in MQTT 5 together with a topic alias.
    pub topic: Arc<str>,
    /// Application bytes.
    pub payload: Bytes,
    /// Present exactly when `qos` is above 0 on the wire.
    pub id: Option<PacketId>,
    /// Delivery guarantee.
    pub qos: QoS,
    /// Replace (or, when empty, clear) the retained message of the topic.
    pub retain: bool,
    /// A repetition of an earlier attempt.
    pub dup: bool,
    /// MQTT 5; `None` when there are none.
    pub properties: Option<Box<PublishProperties>>,
}

impl Publish {
    /// A message without flags or properties.
    pub fn new(topic: impl Into<Arc<str>>, payload: impl Into<Bytes>, qos: QoS) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            id: None,
            qos,
            retain: false,
            dup: false,
            properties: None,
        }
    }

    /// Returns the size of the encoded packet in bytes, fixed header included.
    pub fn encoded_len(&self, version: Version) -> usize {
        let id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let properties = match (version, &self.properties) {
            (Version::V31 | Version::V311, _) => 0,
            (Version::V5, None) => 1,
            (Version::V5, Some(properties)) => {
                let len = properties.encoded_len();
                var_len(len) + len
            }
        };
        let remaining = 2 + self.topic.len() + id + properties + self.payload.len();
        1 + var_len(remaining) + remaining
    }
}

/// Properties of PUBLISH.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishProperties {
    /// Whether the payload is declared as text.
    pub payload_format: PayloadFormat,
    /// Life left in seconds.
    pub message_expiry_s: Option<NonZeroU32>,
    /// Stands for the topic on this connection.
    pub topic_alias: Option<NonZeroU16>,
    /// Where an answer is expected.
    pub response_topic: Option<Box<str>>,
    /// To be repeated in the answer.
    pub correlation_data: Option<Bytes>,
    /// Identifiers of the matching subscriptions; server to client only.
    pub subscription_ids: Vec<NonZeroU32>,
    /// Kind of the payload, for example a MIME type.
    pub content_type: Option<Box<str>>,
    /// In wire order.
    pub user: UserProperties,
}

impl PublishProperties {
    /// Returns true when nothing would be written.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the size of the encoded properties in bytes, without their length field.
    fn encoded_len(&self) -> usize {
        let text = |value: &Option<Box<str>>| value.as_ref().map_or(0, |text| 3 + text.len());
        let format = if self.payload_format == PayloadFormat::Utf8 { 2 } else { 0 };
        let expiry = if self.message_expiry_s.is_some() { 5 } else { 0 };
        let alias = if self.topic_alias.is_some() { 3 } else { 0 };
        let correlation = self.correlation_data.as_ref().map_or(0, |data| 3 + data.len());
        let ids: usize =
            self.subscription_ids.iter().map(|id| 1 + var_len(id.get() as usize)).sum();
        let user: usize = self.user.iter().map(|(name, value)| 5 + name.len() + value.len()).sum();
        let texts = text(&self.response_topic) + text(&self.content_type);
        format + expiry + alias + correlation + ids + user + texts
    }
}

/// The payload format indicator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadFormat {
    /// Unspecified bytes.
    #[default]
    Bytes,
    /// The sender says that it is UTF-8 text; nobody has checked it.
    Utf8,
}

/// Returns the size of a variable byte integer. Source: MQTT 5.0 section 1.5.5.
pub(crate) fn var_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}
