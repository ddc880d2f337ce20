//! Generators of legal packets for the property tests.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::{NonZeroU16, NonZeroU32};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, DisconnectProperties, Opaque, Packet, PayloadFormat,
    Publish, PublishProperties, QoS, Reason, ReasonProperties, RetainHandling, SubAck, Subscribe,
    SubscribeOptions, Subscription, Unsubscribe, UserProperties, Version, Will,
};

fn text() -> impl Strategy<Value = Box<str>> {
    "[a-zé中 /]{1,12}".prop_map(String::into_boxed_str)
}

fn topic() -> impl Strategy<Value = String> {
    "[$a-cé/]{1,16}"
}

fn payload() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn secret() -> impl Strategy<Value = Opaque> {
    vec(any::<u8>(), 0..20).prop_map(Opaque::new)
}

fn user(v5: bool) -> impl Strategy<Value = UserProperties> {
    vec((text(), text()), if v5 { 0..3 } else { 0..1 })
}

fn only<T: Clone + core::fmt::Debug + 'static>(
    v5: bool,
    value: impl Strategy<Value = T> + 'static,
    otherwise: T,
) -> BoxedStrategy<T> {
    if v5 { value.boxed() } else { Just(otherwise).boxed() }
}

fn id() -> impl Strategy<Value = NonZeroU16> {
    (1..=u16::MAX).prop_map(|id| NonZeroU16::new(id).unwrap())
}

fn number() -> impl Strategy<Value = NonZeroU32> {
    (1..=268_435_455_u32).prop_map(|id| NonZeroU32::new(id).unwrap())
}

pub(crate) fn qos() -> impl Strategy<Value = QoS> {
    (0..3_u8).prop_map(|qos| QoS::from_byte(qos).unwrap())
}

fn reason(allowed: &'static [Reason]) -> impl Strategy<Value = Reason> {
    prop::sample::select(allowed)
}

fn reason_properties(v5: bool) -> BoxedStrategy<Option<Box<ReasonProperties>>> {
    let some = (of(text()), user(true)).prop_map(|(reason_string, user)| {
        let properties = ReasonProperties { reason_string, user };
        (properties != ReasonProperties::default()).then(|| Box::new(properties))
    });
    only(v5, some, None)
}

fn properties(v5: bool, will: bool) -> BoxedStrategy<Option<Box<PublishProperties>>> {
    let ids = if will { 0..1 } else { 0..3_usize };
    let alias = if will { Just(None).boxed() } else { of(id()).boxed() };
    let some = (
        any::<bool>(),
        of(number()),
        alias,
        of(text()),
        of(payload()),
        vec(number(), ids),
        of(text()),
        user(true),
    )
        .prop_map(|(utf8, expiry, alias, response, correlation, ids, kind, user)| {
            let properties = PublishProperties {
                payload_format: if utf8 { PayloadFormat::Utf8 } else { PayloadFormat::Bytes },
                message_expiry_s: expiry,
                topic_alias: alias,
                response_topic: response,
                correlation_data: correlation,
                subscription_ids: ids,
                content_type: kind,
                user,
            };
            (!properties.is_empty()).then(|| Box::new(properties))
        });
    only(v5, prop_oneof![Just(None), some], None)
}

pub(crate) fn publish(version: Version) -> impl Strategy<Value = Publish> {
    (
        topic(),
        payload(),
        id(),
        qos(),
        any::<bool>(),
        any::<bool>(),
        properties(version == Version::V5, false),
    )
        .prop_map(|(topic, payload, id, qos, retain, dup, properties)| Publish {
            topic: topic.into(),
            payload,
            id: (qos != QoS::AtMostOnce).then_some(id),
            qos,
            retain,
            dup: dup && qos != QoS::AtMostOnce,
            properties,
        })
}

fn will(v5: bool) -> impl Strategy<Value = Will> {
    (topic(), payload(), qos(), any::<bool>(), properties(v5, true), only(v5, any::<u32>(), 0))
        .prop_map(|(topic, payload, qos, retain, properties, delay_s)| {
            let mut publish = Publish::new(topic, payload, qos);
            publish.retain = retain;
            publish.properties = properties;
            Will { publish, delay_s }
        })
}

pub(crate) fn connect(version: Version) -> impl Strategy<Value = Connect> {
    let v5 = version == Version::V5;
    let base = (text(), any::<bool>(), any::<u16>(), of(text()), of(secret()), of(will(v5)));
    let more = (
        only(v5, any::<u32>(), 0),
        only(v5, of(id()), None),
        only(v5, of(number()), None),
        only(v5, any::<u16>(), 0),
        only(v5, any::<bool>(), true),
        only(v5, any::<bool>(), false),
        only(v5, of((text(), secret())), None),
        user(v5),
    );
    (base, more).prop_map(move |(base, more)| {
        let (client_id, clean_start, keep_alive_s, username, password, will) = base;
        let (expiry, receive_max, max_packet_size, alias_max, problem, response, auth, user) = more;
        let (auth_method, auth_data) = auth.unzip();
        Connect {
            clean_start,
            keep_alive_s,
            password: password.filter(|_| v5 || username.is_some()),
            username,
            will: will.map(Box::new),
            session_expiry_s: expiry,
            receive_max,
            max_packet_size,
            topic_alias_max: alias_max,
            request_problem_info: problem,
            request_response_info: response,
            auth_method,
            auth_data,
            user,
            ..Connect::new(version, &client_id)
        }
    })
}

fn connack(version: Version) -> BoxedStrategy<ConnAck> {
    const LEGACY: &[Reason] = &[
        Reason::Success,
        Reason::UnsupportedProtocolVersion,
        Reason::ClientIdentifierNotValid,
        Reason::ServerUnavailable,
        Reason::BadUserNameOrPassword,
        Reason::NotAuthorized,
    ];
    let base = (reason(LEGACY), any::<bool>()).prop_map(move |(reason, present)| ConnAck {
        session_present: present && reason == Reason::Success && version != Version::V31,
        ..ConnAck::new(reason)
    });
    if version != Version::V5 {
        return base.boxed();
    }
    let numbers = (of(any::<u32>()), of(1..u16::MAX), of(number()), any::<u16>(), of(any::<u16>()));
    let texts = (of(text()), of(text()), of(text()), of(text()), of((text(), secret())));
    let flags = (qos(), any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (base, numbers, texts, flags, user(true))
        .prop_map(|(base, numbers, texts, flags, user)| {
            let (auth_method, auth_data) = texts.4.unzip();
            ConnAck {
                session_expiry_s: numbers.0,
                receive_max: numbers.1.and_then(NonZeroU16::new),
                max_qos: flags.0,
                retain_available: flags.1,
                max_packet_size: numbers.2,
                assigned_client_id: texts.0,
                topic_alias_max: numbers.3,
                reason_string: texts.1,
                wildcard_available: flags.2,
                subscription_ids_available: flags.3,
                shared_available: flags.4,
                server_keep_alive_s: numbers.4,
                response_info: texts.2,
                server_reference: texts.3,
                auth_method,
                auth_data,
                user,
                ..base
            }
        })
        .boxed()
}

fn ack(v5: bool, allowed: &'static [Reason]) -> impl Strategy<Value = Ack> {
    let reasons = only(v5, reason(allowed), Reason::Success);
    (id(), reasons, reason_properties(v5)).prop_map(|(id, reason, properties)| Ack {
        id,
        reason,
        properties,
    })
}

fn subscribe(v5: bool) -> impl Strategy<Value = Subscribe> {
    let handling = prop::sample::select(
        &[RetainHandling::Always, RetainHandling::IfNew, RetainHandling::Never][..],
    );
    let options = (qos(), any::<bool>(), any::<bool>(), handling).prop_map(move |got| {
        let (qos, no_local, retain_as_published, retain_handling) = got;
        match v5 {
            true => SubscribeOptions { qos, no_local, retain_as_published, retain_handling },
            false => SubscribeOptions { qos, ..SubscribeOptions::default() },
        }
    });
    let filter = (topic(), options)
        .prop_map(|(filter, options)| Subscription { filter: filter.into(), options });
    (id(), vec(filter, 1..4), only(v5, of(number()), None), user(v5)).prop_map(
        |(id, filters, subscription_id, user)| Subscribe { id, filters, subscription_id, user },
    )
}

fn suback(v5: bool, allowed: &'static [Reason], empty: bool) -> impl Strategy<Value = SubAck> {
    let codes = vec(reason(allowed), if empty { 0..1 } else { 1..5 });
    (id(), codes, reason_properties(v5)).prop_map(|(id, codes, properties)| SubAck {
        id,
        codes,
        properties,
    })
}

fn unsubscribe(v5: bool) -> impl Strategy<Value = Unsubscribe> {
    let filter = topic().prop_map(Into::into);
    (id(), vec(filter, 1..4), user(v5)).prop_map(|(id, filters, user)| Unsubscribe {
        id,
        filters,
        user,
    })
}

fn disconnect(v5: bool) -> BoxedStrategy<Disconnect> {
    const REASONS: &[Reason] =
        &[Reason::Success, Reason::DisconnectWithWill, Reason::KeepAliveTimeout];
    let some = (reason(REASONS), of(any::<u32>()), of(text()), of(text()), user(true)).prop_map(
        |(reason, session_expiry_s, server_reference, reason_string, user)| {
            let properties =
                DisconnectProperties { session_expiry_s, server_reference, reason_string, user };
            let properties =
                (properties != DisconnectProperties::default()).then(|| Box::new(properties));
            Disconnect { reason, properties }
        },
    );
    only(v5, some, Disconnect::new(Reason::Success))
}

fn auth() -> impl Strategy<Value = Auth> {
    const REASONS: &[Reason] =
        &[Reason::Success, Reason::ContinueAuthentication, Reason::ReAuthenticate];
    (reason(REASONS), of(text()), of(secret()), of(text()), user(true)).prop_map(
        |(reason, method, data, reason_string, user)| Auth {
            reason,
            method,
            data,
            reason_string,
            user,
        },
    )
}

/// Every packet that `version` knows.
pub(crate) fn packet(version: Version) -> BoxedStrategy<Packet> {
    const FIRST: &[Reason] =
        &[Reason::Success, Reason::NoMatchingSubscribers, Reason::QuotaExceeded];
    const SECOND: &[Reason] = &[Reason::Success, Reason::PacketIdNotFound];
    const SUB: &[Reason] =
        &[Reason::Success, Reason::GrantedQoS1, Reason::GrantedQoS2, Reason::UnspecifiedError];
    const UNSUB: &[Reason] = &[Reason::Success, Reason::NoSubscriptionExisted];
    let v5 = version == Version::V5;
    let common: Vec<BoxedStrategy<Packet>> = alloc::vec![
        connect(version).prop_map(|connect| Packet::Connect(Box::new(connect))).boxed(),
        connack(version).prop_map(|ack| Packet::ConnAck(Box::new(ack))).boxed(),
        publish(version).prop_map(Packet::Publish).boxed(),
        ack(v5, FIRST).prop_map(Packet::PubAck).boxed(),
        ack(v5, FIRST).prop_map(Packet::PubRec).boxed(),
        ack(v5, SECOND).prop_map(Packet::PubRel).boxed(),
        ack(v5, SECOND).prop_map(Packet::PubComp).boxed(),
        subscribe(v5).prop_map(Packet::Subscribe).boxed(),
        suback(v5, SUB, false).prop_map(Packet::SubAck).boxed(),
        unsubscribe(v5).prop_map(Packet::Unsubscribe).boxed(),
        suback(v5, UNSUB, !v5).prop_map(Packet::UnsubAck).boxed(),
        Just(Packet::PingReq).boxed(),
        Just(Packet::PingResp).boxed(),
        disconnect(v5).prop_map(Packet::Disconnect).boxed(),
    ];
    let all = proptest::strategy::Union::new(common);
    match v5 {
        true => prop_oneof![14 => all, 1 => auth().prop_map(|a| Packet::Auth(Box::new(a)))].boxed(),
        false => all.boxed(),
    }
}
