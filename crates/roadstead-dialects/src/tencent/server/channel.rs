//! Opaque channels (raw, broadcast, custom, RRPC) and the remote configuration.
//!
//! Source: Tencent §7 (raw), §8; `transcripts/tencent/raw-data-plain.json`.

use alloc::borrow::Cow;
use alloc::string::{String, ToString as _};

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Response, Uplink, channel};
use roadstead_core::{Map, RequestId, Value};
use serde::{Deserialize, Serialize};

use super::message::{PACKET_BYTES_MAX, checked, heard, ignored, message, noted, unreadable};
use super::reply::Kind;
use super::session::Scene;
use super::token;
use crate::cloud::{Heard, Message};
use crate::tencent::topic::{Thing, Topic, Verb};

/// Name of the channel of `$thing/…/raw`.
const RAW: &str = "raw";
/// Name of the channel of `$broadcast/rxd`.
const BROADCAST: &str = "broadcast";
/// Name of the channel of `P/D/control`, the vendor's default topic for the platform's messages.
const CUSTOM: &str = "custom";
/// `result` of a configuration reply: there is none (§8).
const CONFIG_NONE: u16 = 1002;

/// Takes a raw message.
pub(super) fn raw(payload: &Bytes) -> Heard {
    noted(Uplink::Message { channel: RAW.into(), payload: payload.clone() })
}

/// Takes a custom message that a gateway relays for a sub-device.
pub(super) fn custom(rest: &str, payload: &Bytes) -> Heard {
    noted(Uplink::Message { channel: rest.into(), payload: payload.clone() })
}

/// Takes the answer of an RRPC call.
pub(super) fn rrpc(scene: &Scene<'_>, process: &str, payload: &Bytes) -> Heard {
    let response =
        Response { code: 0, status: "".into(), output: Map::new(), payload: payload.clone() };
    let request = token::decode(scene.connection, process).map(|(id, _)| id);
    noted(Uplink::Response { request, response })
}

/// Writes an opaque message.
pub(super) fn send(scene: &Scene<'_>, to: &str, payload: &Bytes) -> Result<Message, CommandError> {
    let verb = match to {
        RAW => Verb::ThingDown(Thing::Raw),
        BROADCAST => Verb::BroadcastDown,
        CUSTOM | channel::DEFAULT => Verb::Custom("control"),
        _ => Verb::Custom(own_topic(scene, to).ok_or(CommandError::Unsupported(
            "only the channels raw, broadcast, custom, and topics of the device's own",
        ))?),
    };
    let topic = scene.topic(verb).to_string().into();
    checked(Message { topic, payload: payload.clone(), qos: 1 }, PACKET_BYTES_MAX)
}

/// Returns what stands behind product and device name in a topic of the device's own.
fn own_topic<'a>(scene: &Scene<'_>, to: &'a str) -> Option<&'a str> {
    let rest = match to.strip_prefix(channel::TOPIC_NAME) {
        None => to.strip_prefix(channel::TOPIC)?,
        Some(name) => {
            let Topic { verb: Verb::Custom(rest), product, node } = Topic::parse(name)? else {
                return None;
            };
            let device = &scene.account.device;
            (product == device.product.as_str() && node == &*device.node).then_some(rest)?
        }
    };
    (!rest.is_empty() && !rest.contains(['+', '#', '\0'])).then_some(rest)
}

/// Writes an RRPC call; the process id carries the request.
pub(super) fn call(
    scene: &Scene<'_>,
    id: Option<RequestId>,
    payload: &Bytes,
) -> Result<Message, CommandError> {
    let process: String = token::encode(scene.connection, id, None, scene.now);
    let topic = scene.topic(Verb::RrpcDown("+")).with(Verb::RrpcDown(&process)).to_string().into();
    checked(Message { topic, payload: payload.clone(), qos: 0 }, PACKET_BYTES_MAX)
}

#[derive(Deserialize)]
struct ConfigBody<'a> {
    #[serde(borrow, rename = "type")]
    ty: Cow<'a, str>,
}

/// Understands one message of `$config/operation`.
pub(super) fn config(payload: &[u8]) -> Heard {
    match serde_json::from_slice::<ConfigBody<'_>>(payload) {
        Ok(body) if body.ty == "get" => heard(Uplink::Config, Kind::Config, ""),
        Ok(body) => ignored(&body.ty),
        Err(error) => noted(unreadable(&error)),
    }
}

#[derive(Serialize)]
struct ConfigReply<'a> {
    #[serde(rename = "type")]
    ty: &'static str,
    result: u16,
    payload: &'a Value,
}

/// Writes the configuration a device asked for.
pub(super) fn config_reply(topic: Topic<'_>, answer: &Answer) -> Message {
    let none = Value::Object(Map::new());
    let (result, payload) =
        if let Answer::Config(Some(config)) = answer { (0, config) } else { (CONFIG_NONE, &none) };
    message(topic, &ConfigReply { ty: "reply", result, payload }, 1)
}

/// Writes a new configuration.
pub(super) fn config_push(scene: &Scene<'_>, config: &Value) -> Result<Message, CommandError> {
    let body = ConfigReply { ty: "push", result: 0, payload: config };
    checked(message(scene.topic(Verb::ConfigDown), &body, 1), PACKET_BYTES_MAX)
}
