//! MQTT 5 through `rmqtt-codec`.
//!
//! A reason that the specification does not allow in a packet is written as 0x80 (unspecified
//! error), or as success for PUBREL and PUBCOMP. Known limit: a message expiry of 0 seconds is
//! refused as malformed.

use alloc::boxed::Box;
use alloc::sync::Arc;

use bytes::BytesMut;
use core::num::NonZeroU32;
use rmqtt_codec::v5 as theirs;
use tokio_util::codec::{Decoder as _, Encoder as _};

use super::convert::{encode_error, error, qos, text, their_qos, their_text, their_user, user};
use super::{DecodeError, EncodeError, MAX_REMAINING, check};
use crate::mqtt::packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, DisconnectProperties, Opaque, Packet, PayloadFormat,
    Publish, PublishProperties, QoS, Reason, ReasonProperties, RetainHandling, SubAck, Subscribe,
    SubscribeOptions, Subscription, Unsubscribe, Version, Will,
};

/// Takes one complete frame out of `buffer`.
pub(super) fn decode(
    buffer: &mut BytesMut,
    first: u8,
    header: usize,
) -> Result<Packet, DecodeError> {
    let clean_start = if first == check::CONNECT { set_clean_start(buffer, header) } else { None };
    let mut packet = decode_any(buffer, first)?;
    if let (Packet::Connect(connect), Some(clean_start)) = (&mut packet, clean_start) {
        connect.clean_start = clean_start;
    }
    Ok(packet)
}

/// `rmqtt-codec` refuses an empty client identifier without Clean Start, which 5.0 allows
/// (section 3.1.3.1): it is shown the flag set. Returns the flag as sent.
fn set_clean_start(buffer: &mut BytesMut, header: usize) -> Option<bool> {
    // Length, `MQTT` and level come before.
    let flags = buffer.get_mut(header + 7)?;
    let clean_start = *flags & 0x02 != 0;
    *flags |= 0x02;
    Some(clean_start)
}

fn decode_any(buffer: &mut BytesMut, first: u8) -> Result<Packet, DecodeError> {
    match theirs::Codec::new(0, 0).decode(buffer) {
        Ok(Some((packet, _))) => Ok(from_theirs(packet)),
        Ok(None) => Err(check::malformed(first, "length fields disagree")),
        Err(cause) => Err(error(first, cause)),
    }
}

fn from_theirs(packet: theirs::Packet) -> Packet {
    match packet {
        theirs::Packet::Connect(connect) => Packet::Connect(Box::new(self::connect(*connect))),
        theirs::Packet::ConnectAck(ack) => Packet::ConnAck(Box::new(connack(*ack))),
        theirs::Packet::Publish(message) => Packet::Publish(publish(*message)),
        theirs::Packet::PublishAck(ack) => Packet::PubAck(first_ack(ack)),
        theirs::Packet::PublishReceived(ack) => Packet::PubRec(first_ack(ack)),
        theirs::Packet::PublishRelease(ack) => Packet::PubRel(second_ack(ack)),
        theirs::Packet::PublishComplete(ack) => Packet::PubComp(second_ack(ack)),
        theirs::Packet::Subscribe(subscribe) => Packet::Subscribe(Subscribe {
            id: subscribe.packet_id,
            filters: subscribe
                .topic_filters
                .iter()
                .map(|(filter, options)| Subscription {
                    filter: Arc::from(&**filter),
                    options: self::options(*options),
                })
                .collect(),
            subscription_id: subscribe.id,
            user: user(subscribe.user_properties),
        }),
        theirs::Packet::SubscribeAck(ack) => Packet::SubAck(SubAck {
            id: ack.packet_id,
            codes: ack.status.into_iter().map(|code| reason(code.into())).collect(),
            properties: reason_properties(ack.reason_string.map(text), ack.properties),
        }),
        theirs::Packet::Unsubscribe(unsubscribe) => Packet::Unsubscribe(Unsubscribe {
            id: unsubscribe.packet_id,
            filters: unsubscribe.topic_filters.iter().map(|filter| Arc::from(&**filter)).collect(),
            user: user(unsubscribe.user_properties),
        }),
        theirs::Packet::UnsubscribeAck(ack) => Packet::UnsubAck(SubAck {
            id: ack.packet_id,
            codes: ack.status.into_iter().map(|code| reason(code.into())).collect(),
            properties: reason_properties(ack.reason_string.map(text), ack.properties),
        }),
        theirs::Packet::PingRequest => Packet::PingReq,
        theirs::Packet::PingResponse => Packet::PingResp,
        theirs::Packet::Disconnect(packet) => Packet::Disconnect(disconnect(packet)),
        theirs::Packet::Auth(auth) => Packet::Auth(Box::new(Auth {
            reason: reason(auth.reason_code.into()),
            method: auth.auth_method.map(text),
            data: auth.auth_data.map(Opaque::new),
            reason_string: auth.reason_string.map(text),
            user: user(auth.user_properties),
        })),
    }
}

/// `rmqtt-codec` checked the byte against the packet's own list, which ours includes.
fn reason(byte: u8) -> Reason {
    Reason::from_byte(byte).unwrap_or(Reason::UnspecifiedError)
}

fn reason_properties(
    reason_string: Option<Box<str>>,
    user: theirs::UserProperties,
) -> Option<Box<ReasonProperties>> {
    let properties = ReasonProperties { reason_string, user: self::user(user) };
    (properties != ReasonProperties::default()).then(|| Box::new(properties))
}

fn first_ack(ack: theirs::PublishAck) -> Ack {
    let properties = reason_properties(ack.reason_string.map(text), ack.properties);
    Ack { id: ack.packet_id, reason: reason(ack.reason_code.into()), properties }
}

fn second_ack(ack: theirs::PublishAck2) -> Ack {
    let properties = reason_properties(ack.reason_string.map(text), ack.properties);
    Ack { id: ack.packet_id, reason: reason(ack.reason_code.into()), properties }
}

fn publish(theirs: rmqtt_codec::types::Publish) -> Publish {
    let properties = theirs.properties.map(|theirs| PublishProperties {
        payload_format: format(theirs.is_utf8_payload),
        message_expiry_s: theirs.message_expiry_interval,
        topic_alias: theirs.topic_alias,
        response_topic: theirs.response_topic.map(text),
        correlation_data: theirs.correlation_data,
        subscription_ids: theirs.subscription_ids,
        content_type: theirs.content_type.map(text),
        user: user(theirs.user_properties),
    });
    Publish {
        topic: Arc::from(&*theirs.topic),
        payload: theirs.payload,
        id: theirs.packet_id,
        qos: qos(theirs.qos),
        retain: theirs.retain,
        dup: theirs.dup,
        properties: properties.filter(|properties| !properties.is_empty()).map(Box::new),
    }
}

fn format(is_utf8: bool) -> PayloadFormat {
    if is_utf8 { PayloadFormat::Utf8 } else { PayloadFormat::Bytes }
}

fn connect(theirs: theirs::Connect) -> Connect {
    Connect {
        clean_start: theirs.clean_start,
        keep_alive_s: theirs.keep_alive,
        username: theirs.username.map(text),
        password: theirs.password.map(Opaque::new),
        will: theirs.last_will.map(|will| Box::new(self::will(will))),
        session_expiry_s: theirs.session_expiry_interval_secs,
        receive_max: theirs.receive_max,
        max_packet_size: theirs.max_packet_size,
        topic_alias_max: theirs.topic_alias_max,
        request_problem_info: theirs.request_problem_info,
        request_response_info: theirs.request_response_info,
        auth_method: theirs.auth_method.map(text),
        auth_data: theirs.auth_data.map(Opaque::new),
        user: user(theirs.user_properties),
        ..Connect::new(Version::V5, &theirs.client_id)
    }
}

fn will(theirs: theirs::LastWill) -> Will {
    let properties = PublishProperties {
        payload_format: format(theirs.is_utf8_payload == Some(true)),
        message_expiry_s: theirs.message_expiry_interval,
        response_topic: theirs.response_topic.map(text),
        correlation_data: theirs.correlation_data,
        content_type: theirs.content_type.map(text),
        user: user(theirs.user_properties),
        ..PublishProperties::default()
    };
    let mut publish = Publish::new(&*theirs.topic, theirs.message, qos(theirs.qos));
    publish.retain = theirs.retain;
    publish.properties = (!properties.is_empty()).then(|| Box::new(properties));
    Will { publish, delay_s: theirs.will_delay_interval_sec.unwrap_or(0) }
}

fn connack(theirs: theirs::ConnectAck) -> ConnAck {
    ConnAck {
        session_present: theirs.session_present,
        session_expiry_s: theirs.session_expiry_interval_secs,
        receive_max: Some(theirs.receive_max).filter(|max| max.get() != u16::MAX),
        max_qos: qos(theirs.max_qos),
        retain_available: theirs.retain_available,
        max_packet_size: theirs.max_packet_size.and_then(NonZeroU32::new),
        assigned_client_id: theirs.assigned_client_id.map(text),
        topic_alias_max: theirs.topic_alias_max,
        reason_string: theirs.reason_string.map(text),
        wildcard_available: theirs.wildcard_subscription_available,
        subscription_ids_available: theirs.subscription_identifiers_available,
        shared_available: theirs.shared_subscription_available,
        server_keep_alive_s: theirs.server_keepalive_sec,
        response_info: theirs.response_info.map(text),
        server_reference: theirs.server_reference.map(text),
        auth_method: theirs.auth_method.map(text),
        auth_data: theirs.auth_data.map(Opaque::new),
        user: user(theirs.user_properties),
        ..ConnAck::new(reason(theirs.reason_code.into()))
    }
}

fn disconnect(theirs: theirs::Disconnect) -> Disconnect {
    let properties = DisconnectProperties {
        session_expiry_s: theirs.session_expiry_interval_secs,
        server_reference: theirs.server_reference.map(text),
        reason_string: theirs.reason_string.map(text),
        user: user(theirs.user_properties),
    };
    let properties = (properties != DisconnectProperties::default()).then(|| Box::new(properties));
    Disconnect { reason: reason(theirs.reason_code.into()), properties }
}

fn options(theirs: theirs::SubscriptionOptions) -> SubscribeOptions {
    SubscribeOptions {
        qos: qos(theirs.qos),
        no_local: theirs.no_local,
        retain_as_published: theirs.retain_as_published,
        retain_handling: match theirs.retain_handling {
            theirs::RetainHandling::AtSubscribe => RetainHandling::Always,
            theirs::RetainHandling::AtSubscribeNew => RetainHandling::IfNew,
            theirs::RetainHandling::NoAtSubscribe => RetainHandling::Never,
        },
    }
}

/// Appends `packet`; on an error `buffer` may hold a part of it.
pub(super) fn encode(packet: &Packet, buffer: &mut BytesMut) -> Result<(), EncodeError> {
    let name = packet.name();
    let theirs = to_theirs(packet)?;
    let mut codec = theirs::Codec::new(0, MAX_REMAINING);
    codec.encode(theirs, buffer).map_err(|cause| encode_error(name, &cause))
}

fn to_theirs(packet: &Packet) -> Result<theirs::Packet, EncodeError> {
    let empty = EncodeError::Inconsistent { packet: packet.name() };
    Ok(match packet {
        Packet::Connect(connect) => theirs::Packet::Connect(Box::new(their_connect(connect))),
        Packet::ConnAck(ack) => theirs::Packet::ConnectAck(Box::new(their_connack(ack))),
        Packet::Publish(publish) => theirs::Packet::Publish(Box::new(their_publish(publish))),
        Packet::PubAck(ack) => theirs::Packet::PublishAck(their_first_ack(ack)),
        Packet::PubRec(ack) => theirs::Packet::PublishReceived(their_first_ack(ack)),
        Packet::PubRel(ack) => theirs::Packet::PublishRelease(their_second_ack(ack)),
        Packet::PubComp(ack) => theirs::Packet::PublishComplete(their_second_ack(ack)),
        Packet::Subscribe(subscribe) if subscribe.filters.is_empty() => return Err(empty),
        Packet::Subscribe(subscribe) => theirs::Packet::Subscribe(their_subscribe(subscribe)),
        Packet::SubAck(ack) => theirs::Packet::SubscribeAck(theirs::SubscribeAck {
            packet_id: ack.id,
            properties: ack.properties.as_deref().map(|p| their_user(&p.user)).unwrap_or_default(),
            reason_string: reason_string(ack.properties.as_deref()).map(their_text),
            status: ack
                .codes
                .iter()
                .map(|code| narrow(*code, theirs::SubscribeAckReason::UnspecifiedError))
                .collect(),
        }),
        Packet::Unsubscribe(unsubscribe) if unsubscribe.filters.is_empty() => return Err(empty),
        Packet::Unsubscribe(unsubscribe) => theirs::Packet::Unsubscribe(theirs::Unsubscribe {
            packet_id: unsubscribe.id,
            user_properties: their_user(&unsubscribe.user),
            topic_filters: unsubscribe.filters.iter().map(|filter| their_text(filter)).collect(),
        }),
        Packet::UnsubAck(ack) => theirs::Packet::UnsubscribeAck(theirs::UnsubscribeAck {
            packet_id: ack.id,
            properties: ack.properties.as_deref().map(|p| their_user(&p.user)).unwrap_or_default(),
            reason_string: reason_string(ack.properties.as_deref()).map(their_text),
            status: ack
                .codes
                .iter()
                .map(|code| narrow(*code, theirs::UnsubscribeAckReason::UnspecifiedError))
                .collect(),
        }),
        Packet::PingReq => theirs::Packet::PingRequest,
        Packet::PingResp => theirs::Packet::PingResponse,
        Packet::Disconnect(disconnect) => theirs::Packet::Disconnect(their_disconnect(disconnect)),
        Packet::Auth(auth) => theirs::Packet::Auth(theirs::Auth {
            reason_code: narrow(auth.reason, theirs::AuthReasonCode::Success),
            auth_method: auth.method.as_deref().map(their_text),
            auth_data: auth.data.as_ref().map(Opaque::to_bytes),
            reason_string: auth.reason_string.as_deref().map(their_text),
            user_properties: their_user(&auth.user),
        }),
    })
}

fn narrow<T: TryFrom<u8>>(reason: Reason, otherwise: T) -> T {
    T::try_from(reason.byte()).unwrap_or(otherwise)
}

fn reason_string(properties: Option<&ReasonProperties>) -> Option<&str> {
    properties.and_then(|properties| properties.reason_string.as_deref())
}

fn their_first_ack(ack: &Ack) -> theirs::PublishAck {
    theirs::PublishAck {
        packet_id: ack.id,
        reason_code: narrow(ack.reason, theirs::PublishAckReason::UnspecifiedError),
        properties: ack.properties.as_deref().map(|p| their_user(&p.user)).unwrap_or_default(),
        reason_string: reason_string(ack.properties.as_deref()).map(their_text),
    }
}

fn their_second_ack(ack: &Ack) -> theirs::PublishAck2 {
    theirs::PublishAck2 {
        packet_id: ack.id,
        reason_code: narrow(ack.reason, theirs::PublishAck2Reason::Success),
        properties: ack.properties.as_deref().map(|p| their_user(&p.user)).unwrap_or_default(),
        reason_string: reason_string(ack.properties.as_deref()).map(their_text),
    }
}

fn their_publish(publish: &Publish) -> rmqtt_codec::types::Publish {
    rmqtt_codec::types::Publish {
        dup: publish.dup,
        retain: publish.retain,
        qos: their_qos(publish.qos),
        topic: their_text(&publish.topic),
        packet_id: publish.id,
        payload: publish.payload.clone(),
        properties: publish.properties.as_deref().map(|properties| theirs::PublishProperties {
            topic_alias: properties.topic_alias,
            correlation_data: properties.correlation_data.clone(),
            message_expiry_interval: properties.message_expiry_s,
            content_type: properties.content_type.as_deref().map(their_text),
            user_properties: their_user(&properties.user),
            is_utf8_payload: properties.payload_format == PayloadFormat::Utf8,
            response_topic: properties.response_topic.as_deref().map(their_text),
            subscription_ids: properties.subscription_ids.clone(),
        }),
    }
}

fn their_connect(connect: &Connect) -> theirs::Connect {
    theirs::Connect {
        clean_start: connect.clean_start,
        keep_alive: connect.keep_alive_s,
        session_expiry_interval_secs: connect.session_expiry_s,
        auth_method: connect.auth_method.as_deref().map(their_text),
        auth_data: connect.auth_data.as_ref().map(Opaque::to_bytes),
        request_problem_info: connect.request_problem_info,
        request_response_info: connect.request_response_info,
        receive_max: connect.receive_max,
        topic_alias_max: connect.topic_alias_max,
        user_properties: their_user(&connect.user),
        max_packet_size: connect.max_packet_size,
        last_will: connect.will.as_deref().map(their_will),
        client_id: their_text(&connect.client_id),
        username: connect.username.as_deref().map(their_text),
        password: connect.password.as_ref().map(Opaque::to_bytes),
        cert: None,
    }
}

fn their_will(will: &Will) -> theirs::LastWill {
    let properties = will.publish.properties.as_deref();
    theirs::LastWill {
        qos: their_qos(will.publish.qos),
        retain: will.publish.retain,
        topic: their_text(&will.publish.topic),
        message: will.publish.payload.clone(),
        will_delay_interval_sec: (will.delay_s != 0).then_some(will.delay_s),
        correlation_data: properties.and_then(|p| p.correlation_data.clone()),
        message_expiry_interval: properties.and_then(|p| p.message_expiry_s),
        content_type: properties.and_then(|p| p.content_type.as_deref()).map(their_text),
        user_properties: properties.map(|p| their_user(&p.user)).unwrap_or_default(),
        is_utf8_payload: properties
            .filter(|p| p.payload_format == PayloadFormat::Utf8)
            .map(|_| true),
        response_topic: properties.and_then(|p| p.response_topic.as_deref()).map(their_text),
    }
}

fn their_connack(ack: &ConnAck) -> theirs::ConnectAck {
    theirs::ConnectAck {
        session_present: ack.session_present && ack.reason == Reason::Success,
        reason_code: narrow(ack.reason, theirs::ConnectAckReason::UnspecifiedError),
        session_expiry_interval_secs: ack.session_expiry_s,
        receive_max: ack.receive_max.unwrap_or(core::num::NonZeroU16::MAX),
        // Only 0 and 1 may be written; 2 is the absent property.
        max_qos: their_qos(ack.max_qos.min(QoS::ExactlyOnce)),
        max_packet_size: ack.max_packet_size.map(NonZeroU32::get),
        assigned_client_id: ack.assigned_client_id.as_deref().map(their_text),
        topic_alias_max: ack.topic_alias_max,
        retain_available: ack.retain_available,
        wildcard_subscription_available: ack.wildcard_available,
        subscription_identifiers_available: ack.subscription_ids_available,
        shared_subscription_available: ack.shared_available,
        server_keepalive_sec: ack.server_keep_alive_s,
        response_info: ack.response_info.as_deref().map(their_text),
        server_reference: ack.server_reference.as_deref().map(their_text),
        auth_method: ack.auth_method.as_deref().map(their_text),
        auth_data: ack.auth_data.as_ref().map(Opaque::to_bytes),
        reason_string: ack.reason_string.as_deref().map(their_text),
        user_properties: their_user(&ack.user),
    }
}

fn their_subscribe(subscribe: &Subscribe) -> theirs::Subscribe {
    theirs::Subscribe {
        packet_id: subscribe.id,
        id: subscribe.subscription_id,
        user_properties: their_user(&subscribe.user),
        topic_filters: subscribe
            .filters
            .iter()
            .map(|wanted| (their_text(&wanted.filter), their_options(wanted.options)))
            .collect(),
    }
}

fn their_options(options: SubscribeOptions) -> theirs::SubscriptionOptions {
    theirs::SubscriptionOptions {
        qos: their_qos(options.qos),
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: match options.retain_handling {
            RetainHandling::Always => theirs::RetainHandling::AtSubscribe,
            RetainHandling::IfNew => theirs::RetainHandling::AtSubscribeNew,
            RetainHandling::Never => theirs::RetainHandling::NoAtSubscribe,
        },
    }
}

fn their_disconnect(disconnect: &Disconnect) -> theirs::Disconnect {
    let properties = disconnect.properties.as_deref();
    theirs::Disconnect {
        reason_code: narrow(disconnect.reason, theirs::DisconnectReasonCode::UnspecifiedError),
        session_expiry_interval_secs: properties.and_then(|p| p.session_expiry_s),
        server_reference: properties.and_then(|p| p.server_reference.as_deref()).map(their_text),
        reason_string: properties.and_then(|p| p.reason_string.as_deref()).map(their_text),
        user_properties: properties.map(|p| their_user(&p.user)).unwrap_or_default(),
    }
}
