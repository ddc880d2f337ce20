//! Opaque channels: raw bytes, broadcasts, topics of the product's own.
//!
//! Source: Alibaba §8.

use alloc::string::ToString as _;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Uplink, channel};

use super::message::checked;
use super::scene::Scene;
use crate::alibaba::topic::{Topic, Verb, sys};
use crate::cloud::Message;

/// Name of the channel of raw bytes.
const RAW: &str = "raw";
/// Name of the channel of broadcasts to all devices of a product.
const BROADCAST: &str = "broadcast";
/// The rest of a broadcast's topic.
const BROADCAST_REST: &str = "all";
/// Level of topics that customers define.
const USER: &str = "user/";
/// The vendor's default topic for the platform's messages.
const DEFAULT: &str = "user/get";

/// Takes raw bytes.
pub(super) fn raw(payload: &Bytes) -> Uplink {
    Uplink::Message { channel: RAW.into(), payload: payload.clone() }
}

/// Takes a message that a gateway relays for a sub-device.
pub(super) fn custom(rest: &str, payload: &Bytes) -> Uplink {
    Uplink::Message { channel: rest.into(), payload: payload.clone() }
}

/// Writes an opaque message.
pub(super) fn send(scene: &Scene<'_>, to: &str, payload: &Bytes) -> Result<Message, CommandError> {
    let unsupported = CommandError::Unsupported(
        "only the channels default, raw, broadcast, and topics of the device's own",
    );
    let rest;
    let topic = match to {
        RAW => scene.topic(Verb::Sys(sys::DOWN_RAW)),
        BROADCAST => Topic::Broadcast { product: scene.names().0, rest: BROADCAST_REST },
        channel::DEFAULT => scene.topic(Verb::Custom(DEFAULT)),
        _ => {
            if let Some(tail) = to.strip_prefix(channel::TOPIC) {
                rest = alloc::format!("{USER}{tail}");
                if tail.is_empty() {
                    return Err(unsupported);
                }
                scene.topic(Verb::Custom(&rest))
            } else {
                let name = to.strip_prefix(channel::TOPIC_NAME).ok_or(unsupported.clone())?;
                match Topic::parse(name) {
                    Some(topic @ Topic::Device { verb: Verb::Custom(_), .. })
                        if topic.names() == Some(scene.names()) =>
                    {
                        topic
                    }
                    _ => return Err(unsupported),
                }
            }
        }
    };
    let topic = topic.to_string();
    if topic.contains(['+', '#', '\0']) {
        return Err(unsupported);
    }
    checked(Message { topic: topic.into(), payload: payload.clone(), qos: 1 })
}
