//! What `rmqtt-codec` 0.3.1 lets pass and the specification forbids.
//!
//! Before decoding: protocol name and level, bodies that must be empty, reserved bits. After:
//! texts with U+0000, trailing bytes, contradicting CONNECT flags.

use super::{DecodeError, Frame};
use crate::mqtt::packet::{Connect, Packet, Reason, Version, Will};
use crate::mqtt::topic;

pub(super) const CONNECT: u8 = 0x10;
const NAMES: [&str; 16] = [
    "reserved",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];

/// Returns the packet name of a first byte.
pub(super) fn name(first: u8) -> &'static str {
    NAMES.get(usize::from(first >> 4)).copied().unwrap_or("reserved")
}

/// Reads the version out of a CONNECT body. Source: MQTT 5.0 section 3.1.2.1.
pub(super) fn version(body: &[u8]) -> Result<Version, DecodeError> {
    let (name, rest) = match body {
        [0, 4, b'M', b'Q', b'T', b'T', rest @ ..] => ("MQTT", rest),
        [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', rest @ ..] => ("MQIsdp", rest),
        _ => return Err(DecodeError::NotMqtt),
    };
    match (name, rest.first()) {
        ("MQIsdp", Some(3)) => Ok(Version::V31),
        ("MQTT", Some(4)) => Ok(Version::V311),
        ("MQTT", Some(5)) => Ok(Version::V5),
        (_, Some(&level)) => Err(DecodeError::UnsupportedVersion { level }),
        (_, None) => Err(malformed(CONNECT, "no protocol level")),
    }
}

/// Looks at the bytes before they are decoded.
pub(super) fn frame(first: u8, body: &[u8], version: Version) -> Result<(), DecodeError> {
    let legacy = version != Version::V5;
    match first {
        // PINGREQ, PINGRESP, and DISCONNECT of 3.x.
        0xC0 | 0xD0 if !body.is_empty() => Err(malformed(first, "body is not empty")),
        0xE0 if legacy && !body.is_empty() => Err(malformed(first, "body is not empty")),
        0xF0 if legacy => Err(malformed(first, "unknown packet type")),
        0x82 if legacy => subscribe_bits(body),
        0x20 if legacy && body.len() != 2 => Err(malformed(first, "wrong length")),
        CONNECT => connect_flags(body, version),
        0x36 | 0x37 | 0x3E | 0x3F => Err(malformed(first, "QoS 3")),
        // MQTT-3.3.1-2
        0x38 | 0x39 => Err(malformed(first, "DUP with QoS 0")),
        // A reserved type, or wrong flags: `rmqtt-codec` matches whole bytes.
        _ => Ok(()),
    }
}

/// The options byte of SUBSCRIBE in 3.x is a QoS alone [MQTT-3-8.3-4].
fn subscribe_bits(body: &[u8]) -> Result<(), DecodeError> {
    let mut rest = body.get(2..).unwrap_or_default();
    while let [high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        match tail.get(length) {
            Some(0..=2) => rest = tail.get(length + 1..).unwrap_or_default(),
            Some(_) => return Err(malformed(0x82, "reserved bits of the options")),
            None => return Err(malformed(0x82, "filter without options")),
        }
    }
    Ok(())
}

/// Will bits without a will, reserved bit, password without user name.
fn connect_flags(body: &[u8], version: Version) -> Result<(), DecodeError> {
    let at = if version == Version::V31 { 9 } else { 7 };
    let Some(&flags) = body.get(at) else { return Err(malformed(CONNECT, "no flags")) };
    let (will, will_bits) = (flags & 0x04 != 0, flags & 0x38);
    if flags & 1 != 0 {
        return Err(malformed(CONNECT, "reserved flag"));
    }
    if will_bits & 0x18 == 0x18 || (!will && will_bits != 0) {
        return Err(malformed(CONNECT, "will flags"));
    }
    // MQTT-3.1.2-22; 5.0 allows a password alone.
    if version != Version::V5 && flags & 0xC0 == 0x40 {
        return Err(malformed(CONNECT, "password without user name"));
    }
    Ok(())
}

/// Looks at a decoded packet of the slow path.
pub(super) fn packet(packet: &Packet, frame: Frame) -> Result<(), DecodeError> {
    let length = frame.total - frame.header;
    match packet {
        Packet::Connect(connect) => self::connect(connect, length),
        Packet::Publish(publish) => {
            let properties = publish.properties.as_deref();
            let aliased = properties.is_some_and(|properties| properties.topic_alias.is_some());
            if !publish.topic.is_empty() {
                topic::check_name(&publish.topic).map_err(|_| DecodeError::TopicName)?;
            } else if !aliased {
                return Err(forbidden(frame.first, "neither topic nor alias"));
            }
            let texts = properties.into_iter().flat_map(|properties| {
                [properties.response_topic.as_deref(), properties.content_type.as_deref()]
            });
            no_nul(frame.first, texts.flatten())?;
            no_nul(frame.first, pairs(properties.map(|properties| properties.user.as_slice())))
        }
        Packet::Subscribe(subscribe) => {
            no_nul(frame.first, subscribe.filters.iter().map(|filter| &*filter.filter))?;
            no_nul(frame.first, pairs(Some(&subscribe.user)))
        }
        Packet::Unsubscribe(unsubscribe) => {
            no_nul(frame.first, unsubscribe.filters.iter().map(|filter| &**filter))
        }
        // MQTT-3.2.2-6
        Packet::ConnAck(ack) if ack.session_present && ack.reason != Reason::Success => {
            Err(forbidden(frame.first, "session present in a refusal"))
        }
        Packet::ConnAck(_)
        | Packet::PubAck(_)
        | Packet::PubRec(_)
        | Packet::PubRel(_)
        | Packet::PubComp(_)
        | Packet::SubAck(_)
        | Packet::UnsubAck(_)
        | Packet::PingReq
        | Packet::PingResp
        | Packet::Disconnect(_)
        | Packet::Auth(_) => Ok(()),
    }
}

fn connect(connect: &Connect, length: usize) -> Result<(), DecodeError> {
    let texts = [Some(&*connect.client_id), connect.username.as_deref()];
    no_nul(CONNECT, texts.into_iter().flatten())?;
    if let Some(will) = &connect.will {
        topic::check_name(&will.publish.topic).map_err(|_| DecodeError::TopicName)?;
    }
    if connect.version != Version::V5 && length != legacy_len(connect) {
        return Err(malformed(CONNECT, "trailing bytes"));
    }
    Ok(())
}

/// Returns the length of a CONNECT body of 3.x.
fn legacy_len(connect: &Connect) -> usize {
    let text = |text: &Option<alloc::boxed::Box<str>>| text.as_ref().map_or(0, |t| 2 + t.len());
    let will = |will: &Will| 4 + will.publish.topic.len() + will.publish.payload.len();
    let name = if connect.version == Version::V31 { 8 } else { 6 };
    name + 4
        + 2
        + connect.client_id.len()
        + connect.will.as_deref().map_or(0, will)
        + text(&connect.username)
        + connect.password.as_ref().map_or(0, |secret| 2 + secret.expose().len())
}

fn pairs(
    user: Option<&[(alloc::boxed::Box<str>, alloc::boxed::Box<str>)]>,
) -> impl Iterator<Item = &str> {
    user.unwrap_or_default().iter().flat_map(|(name, value)| [&**name, &**value])
}

/// MQTT-1.5.4-2: no text holds U+0000.
fn no_nul<'a>(first: u8, texts: impl Iterator<Item = &'a str>) -> Result<(), DecodeError> {
    for text in texts {
        if text.as_bytes().contains(&0) {
            return Err(malformed(first, "U+0000 in a text"));
        }
    }
    Ok(())
}

pub(super) fn malformed(first: u8, detail: &'static str) -> DecodeError {
    DecodeError::Malformed { packet: name(first), detail }
}

pub(super) fn forbidden(first: u8, detail: &'static str) -> DecodeError {
    DecodeError::Forbidden { packet: name(first), detail }
}
