//! The frequent packets, read and written without an intermediate form: PUBLISH without
//! properties, acknowledgements without properties, pings.
//!
//! The payload of a read PUBLISH is a slice of the caller's buffer, the topic one allocation.

use alloc::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{DecodeError, EncodeError, Frame, MAX_REMAINING, check, var_len};
use crate::mqtt::packet::{Ack, Packet, PacketId, Publish, QoS, Reason, Version};
use crate::mqtt::topic;

/// Which frequent packet a frame is.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    Publish { topic_len: usize, id: Option<PacketId>, payload_at: usize },
    Ack { id: PacketId, reason: Reason },
    Empty,
}

/// Recognizes a frequent and well-formed packet; everything else takes the slow path, which
/// also finds the error.
pub(super) fn recognize(first: u8, body: &[u8], version: Version) -> Option<Shape> {
    match first {
        0x30..=0x35 | 0x3A..=0x3D => publish(first, body, version),
        0x40 | 0x50 | 0x62 | 0x70 => ack(body, version),
        0xC0 | 0xD0 if body.is_empty() => Some(Shape::Empty),
        _ => None,
    }
}

fn publish(first: u8, body: &[u8], version: Version) -> Option<Shape> {
    let topic_len = usize::from(u16::from_be_bytes(*body.first_chunk()?));
    let mut at = 2 + topic_len;
    let id = match first & 0x06 {
        0 => None,
        _ => {
            let id = u16::from_be_bytes(*body.get(at..)?.first_chunk()?);
            at += 2;
            Some(PacketId::new(id)?)
        }
    };
    if version == Version::V5 {
        // No properties.
        if *body.get(at)? != 0 {
            return None;
        }
        at += 1;
    }
    // A topic alias, or an error.
    if topic_len == 0 || at > body.len() {
        return None;
    }
    Some(Shape::Publish { topic_len, id, payload_at: at })
}

fn ack(body: &[u8], version: Version) -> Option<Shape> {
    let id = PacketId::new(u16::from_be_bytes(*body.first_chunk()?))?;
    match (body.get(2..)?, version) {
        ([], _) => Some(Shape::Ack { id, reason: Reason::Success }),
        ([0] | [0, 0], Version::V5) => Some(Shape::Ack { id, reason: Reason::Success }),
        _ => None,
    }
}

/// Takes the frame out of `buffer` and builds the packet.
pub(super) fn read(
    buffer: &mut BytesMut,
    frame: Frame,
    shape: Shape,
) -> Result<Packet, DecodeError> {
    let packet = match shape {
        Shape::Empty if frame.first == 0xC0 => Packet::PingReq,
        Shape::Empty => Packet::PingResp,
        Shape::Ack { id, reason } => {
            let ack = Ack::new(id, reason);
            match frame.first {
                0x40 => Packet::PubAck(ack),
                0x50 => Packet::PubRec(ack),
                0x62 => Packet::PubRel(ack),
                _ => Packet::PubComp(ack),
            }
        }
        Shape::Publish { topic_len, id, payload_at } => {
            let mut body = buffer.split_to(frame.total);
            body.advance(frame.header);
            let topic = core::str::from_utf8(&body[2..2 + topic_len])
                .map_err(|_| check::malformed(frame.first, "text is not UTF-8"))?;
            topic::check_name(topic).map_err(|_| DecodeError::TopicName)?;
            let topic = Arc::from(topic);
            body.advance(payload_at);
            // An empty slice would keep the whole buffer alive.
            let payload = if body.is_empty() { Bytes::new() } else { body.freeze() };
            return Ok(Packet::Publish(Publish {
                topic,
                payload,
                id,
                qos: QoS::from_byte(frame.first >> 1 & 3).unwrap_or_default(),
                retain: frame.first & 1 != 0,
                dup: frame.first & 8 != 0,
                properties: None,
            }));
        }
    };
    buffer.advance(frame.total);
    Ok(packet)
}

/// Writes a frequent packet; `None` when the slow path has to.
pub(super) fn write(
    packet: &Packet,
    version: Version,
    buffer: &mut BytesMut,
) -> Option<Result<(), EncodeError>> {
    let (first, ack) = match packet {
        Packet::Publish(publish) => return write_publish(publish, version, buffer),
        Packet::PubAck(ack) => (0x40, ack),
        Packet::PubRec(ack) => (0x50, ack),
        Packet::PubRel(ack) => (0x62, ack),
        Packet::PubComp(ack) => (0x70, ack),
        Packet::PingReq => return Some(write_empty(0xC0, buffer)),
        Packet::PingResp => return Some(write_empty(0xD0, buffer)),
        Packet::Connect(_)
        | Packet::ConnAck(_)
        | Packet::Subscribe(_)
        | Packet::SubAck(_)
        | Packet::Unsubscribe(_)
        | Packet::UnsubAck(_)
        | Packet::Disconnect(_)
        | Packet::Auth(_) => return None,
    };
    match (version, ack.reason, &ack.properties) {
        (Version::V31 | Version::V311, _, _) | (Version::V5, Reason::Success, None) => {
            buffer.put_slice(&[first, 2]);
            buffer.put_u16(ack.id.get());
        }
        (Version::V5, reason, None) => {
            buffer.put_slice(&[first, 3]);
            buffer.put_u16(ack.id.get());
            buffer.put_u8(reason.byte());
        }
        (Version::V5, _, Some(_)) => return None,
    }
    Some(Ok(()))
}

fn write_empty(first: u8, buffer: &mut BytesMut) -> Result<(), EncodeError> {
    buffer.put_slice(&[first, 0]);
    Ok(())
}

fn write_publish(
    publish: &Publish,
    version: Version,
    buffer: &mut BytesMut,
) -> Option<Result<(), EncodeError>> {
    let name = "PUBLISH";
    if (publish.qos == QoS::AtMostOnce) != publish.id.is_none() {
        return Some(Err(EncodeError::Inconsistent { packet: name }));
    }
    let total = publish.encoded_len(version);
    let Ok(topic_len) = u16::try_from(publish.topic.len()) else {
        return Some(Err(EncodeError::TooLong { packet: name }));
    };
    if total > MAX_REMAINING as usize {
        return Some(Err(EncodeError::TooLong { packet: name }));
    }
    let v5 = version == Version::V5;
    if v5 && publish.properties.is_some() {
        return None;
    }
    buffer.reserve(total);
    let flags = u8::from(publish.dup) << 3 | publish.qos.byte() << 1 | u8::from(publish.retain);
    buffer.put_u8(0x30 | flags);
    let id_len = if publish.id.is_some() { 2 } else { 0 };
    let remaining = 2 + publish.topic.len() + id_len + usize::from(v5) + publish.payload.len();
    put_var(remaining, buffer);
    buffer.put_u16(topic_len);
    buffer.put_slice(publish.topic.as_bytes());
    if let Some(id) = publish.id {
        buffer.put_u16(id.get());
    }
    if v5 {
        buffer.put_u8(0);
    }
    buffer.put_slice(&publish.payload);
    debug_assert_eq!(var_len(remaining) + 1 + remaining, total, "sizes agree");
    Some(Ok(()))
}

/// Writes a variable byte integer of at most 4 bytes.
fn put_var(mut value: usize, buffer: &mut BytesMut) {
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return buffer.put_u8(low);
        }
        buffer.put_u8(low | 0x80);
    }
}
