//! Both machines, alone and against each other.

mod client;
mod hostile;
mod pair;
mod server;

use alloc::sync::Arc;
use core::num::NonZeroU16;

use crate::mqtt::packet::{Connect, Packet, PacketId, Publish, QoS, Version};

/// A CONNECT that asks for a session which outlives the connection.
fn persistent(version: Version) -> Connect {
    let mut connect = Connect::new(version, "lamp");
    connect.clean_start = false;
    connect.session_expiry_s = if version == Version::V5 { 3600 } else { 0 };
    connect
}

fn id(id: u16) -> PacketId {
    NonZeroU16::new(id).unwrap()
}

fn publish(topic: &str, qos: QoS, number: u16) -> Publish {
    let mut publish = Publish::new(topic, "x", qos);
    publish.id = NonZeroU16::new(number).filter(|_| qos != QoS::AtMostOnce);
    publish
}

fn inbound(topic: &str, qos: QoS, number: u16) -> Packet {
    Packet::Publish(publish(topic, qos, number))
}

fn text(topic: &Arc<str>) -> &str {
    topic
}
