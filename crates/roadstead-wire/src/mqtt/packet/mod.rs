//! Typed control packets, one set for MQTT 3.1, 3.1.1 and 5.
//!
//! What a version lacks is `None`, empty or the default in a decoded packet and is left out (or
//! narrowed, for reason codes) when it is encoded. Packets move cheaply: [`Packet`] stays within
//! 80 bytes, rare parts are boxed, topics and payloads are reference counted.
//!
//! Not here: bytes (`codec`), the meaning of a sequence of packets ([`session`](super::session)).
//!
//! Source: MQTT 5.0 chapter 3; MQTT 3.1.1 chapter 3; MQTT 3.1 section 3.

mod connect;
mod publish;
mod reason;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::{NonZeroU16, NonZeroU32};

pub use connect::{Auth, ConnAck, Connect, Opaque, Will};
#[cfg(feature = "codec")]
pub(crate) use publish::var_len;
pub use publish::{PayloadFormat, Publish, PublishProperties};
pub use reason::Reason;

/// Identifies a packet that wants an answer; zero does not exist on the wire.
pub type PacketId = NonZeroU16;

/// User properties of MQTT 5, in order; a name may repeat.
pub type UserProperties = Vec<(Box<str>, Box<str>)>;

/// The spoken version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// MQTT 3.1: protocol name `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1: protocol name `MQTT`, level 4.
    V311,
    /// MQTT 5.0: protocol name `MQTT`, level 5.
    V5,
}

impl Version {
    /// Returns the protocol level byte of CONNECT.
    pub fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}

/// Quality of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QoS {
    /// Delivered at most once: no acknowledgement.
    #[default]
    AtMostOnce,
    /// Delivered at least once: PUBACK.
    AtLeastOnce,
    /// Delivered exactly once: PUBREC, PUBREL, PUBCOMP.
    ExactlyOnce,
}

impl QoS {
    /// Returns the QoS of a wire value, `None` for 3 and above.
    pub fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// Returns the wire value.
    pub fn byte(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }

    /// Returns the SUBACK code that grants this QoS.
    pub fn granted(self) -> Reason {
        match self {
            Self::AtMostOnce => Reason::Success,
            Self::AtLeastOnce => Reason::GrantedQoS1,
            Self::ExactlyOnce => Reason::GrantedQoS2,
        }
    }
}

/// One control packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// The client opens a session.
    Connect(Box<Connect>),
    /// The server answers CONNECT.
    ConnAck(Box<ConnAck>),
    /// A message.
    Publish(Publish),
    /// Answers a QoS 1 PUBLISH.
    PubAck(Ack),
    /// Answers a QoS 2 PUBLISH: received.
    PubRec(Ack),
    /// Answers PUBREC: released.
    PubRel(Ack),
    /// Answers PUBREL: complete.
    PubComp(Ack),
    /// The client asks for messages.
    Subscribe(Subscribe),
    /// Answers SUBSCRIBE, one code per filter.
    SubAck(SubAck),
    /// The client gives filters back.
    Unsubscribe(Unsubscribe),
    /// Answers UNSUBSCRIBE; 3.x carries no codes.
    UnsubAck(SubAck),
    /// The client says that it lives.
    PingReq,
    /// Answers PINGREQ.
    PingResp,
    /// The sender is about to close; in 3.x the client only.
    Disconnect(Disconnect),
    /// A step of the extended authentication, MQTT 5 only.
    Auth(Box<Auth>),
}

impl Packet {
    /// Returns the specification's name of the packet.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Connect(_) => "CONNECT",
            Self::ConnAck(_) => "CONNACK",
            Self::Publish(_) => "PUBLISH",
            Self::PubAck(_) => "PUBACK",
            Self::PubRec(_) => "PUBREC",
            Self::PubRel(_) => "PUBREL",
            Self::PubComp(_) => "PUBCOMP",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::SubAck(_) => "SUBACK",
            Self::Unsubscribe(_) => "UNSUBSCRIBE",
            Self::UnsubAck(_) => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect(_) => "DISCONNECT",
            Self::Auth(_) => "AUTH",
        }
    }
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Of the PUBLISH.
    pub id: PacketId,
    /// Always success in 3.x.
    pub reason: Reason,
    /// MQTT 5; `None` when there are none.
    pub properties: Option<Box<ReasonProperties>>,
}

impl Ack {
    /// Acknowledges without properties.
    pub fn new(id: PacketId, reason: Reason) -> Self {
        Self { id, reason, properties: None }
    }
}

/// Properties that may accompany a reason code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReasonProperties {
    /// For humans and logs.
    pub reason_string: Option<Box<str>>,
    /// In wire order.
    pub user: UserProperties,
}

/// SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// To be repeated in SUBACK.
    pub id: PacketId,
    /// At least one.
    pub filters: Vec<Subscription>,
    /// Sent back with each message that these filters match; MQTT 5.
    pub subscription_id: Option<NonZeroU32>,
    /// MQTT 5.
    pub user: UserProperties,
}

/// One requested subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// As sent; not yet validated by [`topic::Filter`](super::topic::Filter).
    pub filter: Arc<str>,
    /// What the subscriber wants.
    pub options: SubscribeOptions,
}

impl Subscription {
    /// Subscribes `filter` with `qos` and the options of 3.x.
    pub fn new(filter: impl Into<Arc<str>>, qos: QoS) -> Self {
        let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
        Self { filter: filter.into(), options }
    }
}

/// Options of one subscription; 3.x knows the QoS alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The highest QoS of delivered messages.
    pub qos: QoS,
    /// Do not send messages back to the connection that published them.
    pub no_local: bool,
    /// Keep the RETAIN flag of forwarded messages.
    pub retain_as_published: bool,
    /// Whether retained messages are sent on subscribing.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent to a subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// At every SUBSCRIBE; the only behaviour of 3.x.
    #[default]
    Always,
    /// Only when the subscription did not exist.
    IfNew,
    /// Never.
    Never,
}

/// SUBACK and UNSUBACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck {
    /// Of the request.
    pub id: PacketId,
    /// One per filter, in order; empty in an UNSUBACK of 3.x.
    pub codes: Vec<Reason>,
    /// MQTT 5; `None` when there are none.
    pub properties: Option<Box<ReasonProperties>>,
}

/// UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe {
    /// To be repeated in UNSUBACK.
    pub id: PacketId,
    /// At least one.
    pub filters: Vec<Arc<str>>,
    /// MQTT 5.
    pub user: UserProperties,
}

/// DISCONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// Success in 3.x.
    pub reason: Reason,
    /// MQTT 5; `None` when there are none.
    pub properties: Option<Box<DisconnectProperties>>,
}

impl Disconnect {
    /// Disconnects without properties.
    pub fn new(reason: Reason) -> Self {
        Self { reason, properties: None }
    }
}

/// Properties of DISCONNECT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisconnectProperties {
    /// Replaces the session expiry of CONNECT.
    pub session_expiry_s: Option<u32>,
    /// Where to connect instead.
    pub server_reference: Option<Box<str>>,
    /// For humans and logs.
    pub reason_string: Option<Box<str>>,
    /// In wire order.
    pub user: UserProperties,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_cheap_to_move() {
        assert!(size_of::<Publish>() <= 72, "{}", size_of::<Publish>());
        assert!(size_of::<Packet>() <= 80, "{}", size_of::<Packet>());
    }
}
