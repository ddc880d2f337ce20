//! Messages: opaque to the platform, with or without the vendor's envelope.
//!
//! Source: Huawei §2.4, §3.1; T10.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString as _;

use bytes::Bytes;
use roadstead_core::Value;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Envelope, Uplink, channel};
use serde::Serialize;

use super::message::{checked, noted, unpack};
use super::scene::Scene;
use crate::cloud::{Heard, Message};
use crate::huawei::settings::{CustomTopics, Settings};
use crate::huawei::topic::{Leaf, Topic};

/// Longest topic of a message, bytes (§2.1).
const TOPIC_BYTES_MAX: usize = 128;
/// The product's attribute that lists its own topics: `[{"topic", "operation"}]`.
const CUSTOM_TOPICS: &str = "custom_topics";

/// Understands a message. Its body is kept as it is: a document with other keys than the
/// standard ones, or no document at all, is a raw message (§3.1).
pub(super) fn uplink(scene: &Scene<'_>, payload: &Bytes, is_packed: bool) -> Heard {
    match unpack(payload, is_packed, scene.settings.unpacked_bytes_max) {
        Ok(body) => {
            let payload = match is_packed {
                true => body.into_owned().into(),
                false => payload.clone(),
            };
            noted(Uplink::Message { channel: channel::DEFAULT.into(), payload })
        }
        Err(heard) => *heard,
    }
}

/// Understands a message on one of the product's own topics.
pub(super) fn custom(rest: &str, payload: &Bytes) -> Heard {
    let channel = format!("{}{rest}", channel::TOPIC).into();
    noted(Uplink::Message { channel, payload: payload.clone() })
}

/// Which way a device wants to use one of its own topics.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Publish,
    Subscribe,
}

/// Returns whether the product defines the topic for that use.
pub(super) fn is_allowed(
    settings: &Settings,
    attributes: &roadstead_core::Map<alloc::string::String, Value>,
    rest: &str,
    wanted: Use,
) -> bool {
    if settings.custom_topics == CustomTopics::Any {
        return true;
    }
    let listed = attributes.get(CUSTOM_TOPICS).and_then(Value::as_array);
    listed.into_iter().flatten().any(|entry| {
        let text = |key| entry.get(key).and_then(Value::as_str);
        let name = text("topic").map(|name| name.rsplit_once("/user/").map_or(name, |(_, n)| n));
        let may = match text("operation") {
            Some("PUBLISH") => wanted == Use::Publish,
            Some("SUBSCRIBE") => wanted == Use::Subscribe,
            Some("ALL") | None => true,
            Some(_) => false,
        };
        may && name == Some(rest)
    })
}

#[derive(Serialize)]
struct Standard<'a> {
    // Key order as the SDKs print it; exactly four keys, or the C SDK takes it for a raw message.
    object_device_id: Option<&'a str>,
    name: Option<&'a str>,
    id: &'a str,
    content: &'a Value,
}

/// Writes a message.
pub(super) fn downlink(
    scene: &Scene<'_>,
    to: &str,
    payload: &Bytes,
    envelope: Option<&Envelope>,
) -> Result<Message, CommandError> {
    let topic = name(scene, to)?;
    let payload = match envelope {
        None => payload.clone(),
        Some(Envelope { id, name, content }) => {
            let object_device_id = scene.is_about_child().then(|| scene.object());
            let body = Standard { object_device_id, name: name.as_deref(), id, content };
            serde_json::to_vec(&body).expect("text keys only").into()
        }
    };
    checked(Message { topic, payload, qos: 1 })
}

fn name(scene: &Scene<'_>, to: &str) -> Result<Box<str>, CommandError> {
    let unsupported = CommandError::Unsupported("only the default channel and topics of its own");
    if to == channel::DEFAULT {
        return Ok(scene.topic(Leaf::MessagesDown).to_string().into());
    }
    if let Some(rest) = to.strip_prefix(channel::TOPIC) {
        return match rest.is_empty() || rest.contains(['+', '#', '\0']) {
            false => Ok(scene.topic(Leaf::User(rest)).to_string().into()),
            true => Err(unsupported),
        };
    }
    let whole = to.strip_prefix(channel::TOPIC_NAME).ok_or(unsupported.clone())?;
    let fits = (1..=TOPIC_BYTES_MAX).contains(&whole.len()) && !whole.contains(['+', '#', '\0']);
    let is_own = match Topic::parse(whole) {
        Some(Topic::Device { device, leaf: Leaf::User(_) }) => device == scene.connection_id(),
        Some(_) => false,
        // Free topics; platform topics of other kinds begin with `$` or `/huawei/`.
        None => !whole.starts_with('$') && !whole.starts_with("/huawei/"),
    };
    if fits && is_own { Ok(whole.into()) } else { Err(unsupported) }
}
