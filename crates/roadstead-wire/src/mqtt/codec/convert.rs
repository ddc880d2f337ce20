//! Small conversions shared by both slow paths.

use alloc::boxed::Box;
use std::string::String;

use rmqtt_codec::error::{DecodeError as Theirs, EncodeError as TheirEncode};
use rmqtt_codec::types::QoS as TheirQoS;

use super::{DecodeError, EncodeError, check};
use crate::mqtt::packet::{QoS, UserProperties};

/// The string type of `rmqtt-codec`, which it does not export by name.
pub(super) type Text = <rmqtt_codec::v5::UserProperties as IntoIterator>::Item;

pub(super) fn qos(qos: TheirQoS) -> QoS {
    match qos {
        TheirQoS::AtMostOnce => QoS::AtMostOnce,
        TheirQoS::AtLeastOnce => QoS::AtLeastOnce,
        TheirQoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

pub(super) fn their_qos(qos: QoS) -> TheirQoS {
    match qos {
        QoS::AtMostOnce => TheirQoS::AtMostOnce,
        QoS::AtLeastOnce => TheirQoS::AtLeastOnce,
        QoS::ExactlyOnce => TheirQoS::ExactlyOnce,
    }
}

pub(super) fn text<T: AsRef<str>>(text: T) -> Box<str> {
    text.as_ref().into()
}

pub(super) fn their_text<T: From<String>>(text: &str) -> T {
    T::from(String::from(text))
}

pub(super) fn user(theirs: rmqtt_codec::v5::UserProperties) -> UserProperties {
    theirs.iter().map(|(name, value)| (text::<&str>(name), text::<&str>(value))).collect()
}

pub(super) fn their_user(user: &UserProperties) -> rmqtt_codec::v5::UserProperties {
    user.iter().map(|(name, value)| -> Text { (their_text(name), their_text(value)) }).collect()
}

pub(super) fn error(first: u8, theirs: Theirs) -> DecodeError {
    let detail = match theirs {
        Theirs::InvalidProtocol => return DecodeError::NotMqtt,
        Theirs::InvalidClientId => return DecodeError::ClientId,
        Theirs::InvalidTopicName => return DecodeError::TopicName,
        Theirs::UnsupportedProtocolLevel => "protocol level changed",
        Theirs::InvalidLength => "length fields disagree",
        Theirs::ConnectReservedFlagSet | Theirs::ConnAckReservedFlagSet => "reserved flag",
        Theirs::InvalidConnectFlags => "connect flags",
        Theirs::UnsupportedPacketType => "unknown packet type or flags",
        Theirs::PacketIdRequired => "no packet id",
        Theirs::InvalidTopicFilter => "no filter, or an empty one",
        Theirs::Utf8Error => "text is not UTF-8",
        Theirs::MalformedPacket | Theirs::MaxSizeExceeded { .. } | Theirs::Io(_) => {
            "value out of range"
        }
    };
    check::malformed(first, detail)
}

pub(super) fn encode_error(packet: &'static str, theirs: &TheirEncode) -> EncodeError {
    match theirs {
        TheirEncode::OverMaxPacketSize { .. } | TheirEncode::InvalidLength => {
            EncodeError::TooLong { packet }
        }
        TheirEncode::MalformedPacket | TheirEncode::PacketIdRequired | TheirEncode::Io(_) => {
            EncodeError::Inconsistent { packet }
        }
        TheirEncode::UnsupportedVersion => EncodeError::NotInVersion { packet },
    }
}
