//! MQTT 3.1 and 3.1.1 through `rmqtt-codec`.
//!
//! Reason codes are narrowed to the return codes of 3.1.1 section 3.2.2.3. `rmqtt-codec` 0.3.1
//! writes level 4 beside the name `MQIsdp`; the byte is put right here.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::BytesMut;
use rmqtt_codec::v3::{self as theirs, ConnectAckReason, SubscribeReturnCode};
use tokio_util::codec::{Decoder as _, Encoder as _};

use super::convert::{encode_error, error, qos, text, their_qos, their_text};
use super::{DecodeError, EncodeError, MAX_REMAINING, check};
use crate::mqtt::packet::{
    Ack, ConnAck, Connect, Disconnect, Opaque, Packet, Publish, QoS, Reason, SubAck, Subscribe,
    Subscription, Unsubscribe, Version, Will,
};

/// Takes one complete frame out of `buffer`.
pub(super) fn decode(buffer: &mut BytesMut, first: u8) -> Result<Packet, DecodeError> {
    match theirs::Codec::new(0).decode(buffer) {
        Ok(Some((packet, _))) => Ok(from_theirs(packet)),
        Ok(None) => Err(check::malformed(first, "length fields disagree")),
        Err(cause) => Err(error(first, cause)),
    }
}

fn from_theirs(packet: theirs::Packet) -> Packet {
    match packet {
        theirs::Packet::Connect(connect) => Packet::Connect(Box::new(self::connect(*connect))),
        theirs::Packet::ConnectAck(ack) => {
            let mut ours = ConnAck::new(reason(ack.return_code));
            ours.session_present = ack.session_present;
            Packet::ConnAck(Box::new(ours))
        }
        theirs::Packet::Publish(publish) => Packet::Publish(Publish {
            topic: Arc::from(&*publish.topic),
            payload: publish.payload,
            id: publish.packet_id,
            qos: qos(publish.qos),
            retain: publish.retain,
            dup: publish.dup,
            properties: None,
        }),
        theirs::Packet::PublishAck { packet_id } => Packet::PubAck(ok(packet_id)),
        theirs::Packet::PublishReceived { packet_id } => Packet::PubRec(ok(packet_id)),
        theirs::Packet::PublishRelease { packet_id } => Packet::PubRel(ok(packet_id)),
        theirs::Packet::PublishComplete { packet_id } => Packet::PubComp(ok(packet_id)),
        theirs::Packet::Subscribe { packet_id, topic_filters } => Packet::Subscribe(Subscribe {
            id: packet_id,
            filters: topic_filters
                .iter()
                .map(|(filter, want)| Subscription::new(&**filter, qos(*want)))
                .collect(),
            subscription_id: None,
            user: Vec::new(),
        }),
        theirs::Packet::SubscribeAck { packet_id, status } => {
            let codes = status.into_iter().map(sub_code).collect();
            Packet::SubAck(SubAck { id: packet_id, codes, properties: None })
        }
        theirs::Packet::Unsubscribe { packet_id, topic_filters } => {
            let filters = topic_filters.iter().map(|filter| Arc::from(&**filter)).collect();
            Packet::Unsubscribe(Unsubscribe { id: packet_id, filters, user: Vec::new() })
        }
        theirs::Packet::UnsubscribeAck { packet_id } => {
            Packet::UnsubAck(SubAck { id: packet_id, codes: Vec::new(), properties: None })
        }
        theirs::Packet::PingRequest => Packet::PingReq,
        theirs::Packet::PingResponse => Packet::PingResp,
        theirs::Packet::Disconnect => Packet::Disconnect(Disconnect::new(Reason::Success)),
    }
}

fn ok(id: core::num::NonZeroU16) -> Ack {
    Ack::new(id, Reason::Success)
}

fn connect(theirs: theirs::Connect) -> Connect {
    let version = if theirs.protocol.level() == 3 { Version::V31 } else { Version::V311 };
    let will = theirs.last_will.map(|will| {
        let mut publish = Publish::new(&*will.topic, will.message, qos(will.qos));
        publish.retain = will.retain;
        Box::new(Will { publish, delay_s: 0 })
    });
    Connect {
        clean_start: theirs.clean_session,
        keep_alive_s: theirs.keep_alive,
        username: theirs.username.map(text),
        password: theirs.password.map(Opaque::new),
        will,
        ..Connect::new(version, &theirs.client_id)
    }
}

fn reason(code: ConnectAckReason) -> Reason {
    match code {
        ConnectAckReason::ConnectionAccepted => Reason::Success,
        ConnectAckReason::UnacceptableProtocolVersion => Reason::UnsupportedProtocolVersion,
        ConnectAckReason::IdentifierRejected => Reason::ClientIdentifierNotValid,
        ConnectAckReason::ServiceUnavailable => Reason::ServerUnavailable,
        ConnectAckReason::BadUserNameOrPassword => Reason::BadUserNameOrPassword,
        ConnectAckReason::NotAuthorized => Reason::NotAuthorized,
        ConnectAckReason::Reserved => Reason::UnspecifiedError,
    }
}

fn return_code(reason: Reason) -> ConnectAckReason {
    // A wildcard, because the other forty reasons all mean "not now" to a 3.x client.
    #[expect(clippy::wildcard_enum_match_arm, reason = "narrowing to six codes")]
    match reason {
        Reason::Success => ConnectAckReason::ConnectionAccepted,
        Reason::UnsupportedProtocolVersion => ConnectAckReason::UnacceptableProtocolVersion,
        Reason::ClientIdentifierNotValid => ConnectAckReason::IdentifierRejected,
        Reason::BadUserNameOrPassword => ConnectAckReason::BadUserNameOrPassword,
        Reason::NotAuthorized | Reason::Banned | Reason::BadAuthenticationMethod => {
            ConnectAckReason::NotAuthorized
        }
        _ => ConnectAckReason::ServiceUnavailable,
    }
}

fn sub_code(code: SubscribeReturnCode) -> Reason {
    match code {
        SubscribeReturnCode::Success(granted) => qos(granted).granted(),
        SubscribeReturnCode::Failure => Reason::UnspecifiedError,
    }
}

/// Appends `packet`; on an error `buffer` may hold a part of it.
pub(super) fn encode(
    packet: &Packet,
    version: Version,
    buffer: &mut BytesMut,
) -> Result<(), EncodeError> {
    let name = packet.name();
    let theirs = to_theirs(packet, version)?;
    let start = buffer.len();
    theirs::Codec::new(0).encode(theirs, buffer).map_err(|cause| encode_error(name, &cause))?;
    if buffer.len() - start > MAX_REMAINING as usize {
        return Err(EncodeError::TooLong { packet: name });
    }
    if version == Version::V31 && matches!(packet, Packet::Connect(_)) {
        let header =
            1 + buffer[start + 1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        // Length, `MQIsdp`, then the level.
        buffer[start + header + 8] = version.level();
    }
    Ok(())
}

fn to_theirs(packet: &Packet, version: Version) -> Result<theirs::Packet, EncodeError> {
    let name = packet.name();
    Ok(match packet {
        Packet::Connect(connect) => {
            theirs::Packet::Connect(Box::new(their_connect(connect, version)))
        }
        Packet::ConnAck(ack) => theirs::Packet::ConnectAck(theirs::ConnectAck {
            return_code: return_code(ack.reason),
            session_present: ack.session_present
                && ack.reason == Reason::Success
                && version == Version::V311,
        }),
        Packet::Subscribe(subscribe) => theirs::Packet::Subscribe {
            packet_id: subscribe.id,
            topic_filters: nonempty(name, &subscribe.filters)?
                .iter()
                .map(|wanted| (their_text(&wanted.filter), their_qos(wanted.options.qos)))
                .collect(),
        },
        Packet::SubAck(ack) => theirs::Packet::SubscribeAck {
            packet_id: ack.id,
            status: ack.codes.iter().map(|code| their_sub_code(*code)).collect(),
        },
        Packet::Unsubscribe(unsubscribe) => theirs::Packet::Unsubscribe {
            packet_id: unsubscribe.id,
            topic_filters: nonempty(name, &unsubscribe.filters)?
                .iter()
                .map(|filter| their_text(filter))
                .collect(),
        },
        Packet::UnsubAck(ack) => theirs::Packet::UnsubscribeAck { packet_id: ack.id },
        Packet::Disconnect(_) => theirs::Packet::Disconnect,
        Packet::PingReq => theirs::Packet::PingRequest,
        Packet::PingResp => theirs::Packet::PingResponse,
        // Acknowledgements and PUBLISH are written by `hot`.
        Packet::Auth(_)
        | Packet::Publish(_)
        | Packet::PubAck(_)
        | Packet::PubRec(_)
        | Packet::PubRel(_)
        | Packet::PubComp(_) => return Err(EncodeError::NotInVersion { packet: name }),
    })
}

fn nonempty<'a, T>(packet: &'static str, list: &'a [T]) -> Result<&'a [T], EncodeError> {
    if list.is_empty() { Err(EncodeError::Inconsistent { packet }) } else { Ok(list) }
}

fn their_connect(connect: &Connect, version: Version) -> theirs::Connect {
    theirs::Connect {
        protocol: rmqtt_codec::types::Protocol(version.level()),
        clean_session: connect.clean_start,
        keep_alive: connect.keep_alive_s,
        last_will: connect.will.as_deref().map(|will| theirs::LastWill {
            qos: their_qos(will.publish.qos),
            retain: will.publish.retain,
            topic: their_text(&will.publish.topic),
            message: will.publish.payload.clone(),
        }),
        client_id: their_text(&connect.client_id),
        username: connect.username.as_deref().map(their_text),
        password: connect.password.as_ref().map(Opaque::to_bytes),
        cert: None,
    }
}

fn their_sub_code(code: Reason) -> SubscribeReturnCode {
    match QoS::from_byte(code.byte()) {
        Some(granted) => SubscribeReturnCode::Success(their_qos(granted)),
        None => SubscribeReturnCode::Failure,
    }
}
