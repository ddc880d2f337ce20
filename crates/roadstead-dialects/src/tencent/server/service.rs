//! The service topics: binding and unbinding; everything later SDKs added is ignored by name.
//!
//! A device takes *any* message with a `code` on these topics for the answer to its bind token,
//! so other such answers wait until that one is written (§6.1).
//!
//! Source: Tencent §6; transcripts `*-bind-*.json`, `v3-mqtt-unbind-plain.json`.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::vec::Vec;

use roadstead_core::attempt::Stage;
use roadstead_core::exchange::{Answer, DeviceStage, TokenText, Uplink};
use roadstead_core::{Map, Secret, Value};
use serde::{Deserialize, Serialize};

use super::message::{
    CodeReply, TOKEN_BYTES_MAX, heard, ignored, malformed, message, noted, unreadable, verdict,
};
use super::reply::Kind;
use super::session::Scene;
use super::token;
use crate::cloud::{Heard, Message};
use crate::tencent::topic::Topic;

/// Longest bind token, bytes; devices keep 32 characters (§5.3).
const BIND_TOKEN_BYTES_MAX: usize = 64;
/// Longest name of a provisioning method, bytes.
const METHOD_BYTES_MAX: usize = 32;

/// The marks of `pairTime`, in the order of the journey, and what they mean here.
const STAGES: [(&str, Stage); 7] = [
    ("start", Stage::ProvisioningStarted),
    ("getSSID", Stage::CredentialsReceived),
    ("wifiConnected", Stage::NetworkJoined),
    // The phone found the device and gave it the token; the device replies at once (§5.3).
    ("getToken", Stage::DeviceReplied),
    ("mqttStart", Stage::Connecting),
    ("mqttConnected", Stage::Connected),
    ("tokenPublish", Stage::TokenSent),
];

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default, rename = "clientToken")]
    token: Cow<'a, str>,
    params: Option<Value>,
    #[serde(rename = "deviceName")]
    node: Option<Value>,
    #[serde(rename = "productId")]
    product: Option<Value>,
}

/// Understands one message of `$thing/up/service`.
pub(super) fn uplink(scene: &Scene<'_>, payload: &[u8]) -> Heard {
    let body: Body<'_> = match serde_json::from_slice(payload) {
        Ok(body) => body,
        Err(error) => return noted(unreadable(&error)),
    };
    if body.token.len() > TOKEN_BYTES_MAX {
        return noted(malformed("payload.malformed", "the clientToken is too long"));
    }
    match &*body.method {
        "app_bind_token" => heard(bind(body.params.as_ref()), Kind::Bind, &body.token),
        "unbind_device_request" => {
            let names = [
                (&body.product, scene.account.product.id.as_str()),
                (&body.node, &*scene.account.device.node),
            ];
            let other = |(said, own): &(&Option<Value>, &str)| {
                said.as_ref().is_some_and(|said| said.as_str() != Some(own))
            };
            let uplink = match names.iter().any(other) {
                true => malformed("payload.malformed", "names another device"),
                false => Uplink::Unbind,
            };
            heard(uplink, Kind::Unbind, &body.token)
        }
        other => ignored(other),
    }
}

fn bind(params: Option<&Value>) -> Uplink {
    let Some(params) = params.and_then(Value::as_object) else {
        return malformed("payload.malformed", "no `params`");
    };
    let token = match params.get("token").and_then(Value::as_str) {
        Some(token) if (1..=BIND_TOKEN_BYTES_MAX).contains(&token.len()) => token,
        Some(_) => return malformed("payload.malformed", "the bind token has a wrong length"),
        None => return malformed("payload.malformed", "no bind token"),
    };
    let times = params.get("pairTime").and_then(Value::as_object);
    let method = times.and_then(|times| times.get("type")?.as_str());
    Uplink::BindToken {
        token: TokenText(Secret::from(token)),
        stages: times.map(stages).unwrap_or_default(),
        method: method.filter(|m| m.len() <= METHOD_BYTES_MAX).map(Box::from),
        own_life: None,
    }
}

/// Reads the device's ticks. They are the low 32 bits of a millisecond counter, printed signed or
/// unsigned, so they are straightened against the last one; 0 means that the stage was not seen.
fn stages(times: &Map<alloc::string::String, Value>) -> Vec<DeviceStage> {
    let tick = |name: &str| times.get(name).and_then(tick_of).filter(|&tick| tick != 0);
    let seen = || STAGES.iter().filter_map(|(name, stage)| Some((tick(name)?, *stage)));
    let Some((last, _)) = seen().next_back() else { return Vec::new() };
    let straight = |(tick, stage): (i64, Stage)| {
        // Truncation is the point: the counter is taken modulo 2^32.
        let before = (last as i32).wrapping_sub(tick as i32);
        DeviceStage { name: stage.name(), tick_ms: last.saturating_sub(i64::from(before)) }
    };
    seen().map(straight).collect()
}

fn tick_of(value: &Value) -> Option<i64> {
    match value {
        Value::Number(n) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Writes `app_bind_token_reply` or `unbind_device_reply`.
pub(super) fn reply(topic: Topic<'_>, method: &str, token: &str, answer: &Answer) -> Message {
    let (code, status) = verdict(answer);
    message(topic, &CodeReply { method, token, code, status }, 1)
}

#[derive(Serialize)]
struct Unbind<'a> {
    method: &'static str,
    #[serde(rename = "clientToken")]
    token: &'a str,
    timestamp: i64,
}

/// Writes `unbind_device`: the device erases what is its owner's. It never answers (§6.5).
pub(super) fn unbind(scene: &Scene<'_>) -> Message {
    let token = token::encode(scene.connection, None, None, scene.now);
    let timestamp = scene.now.as_secs();
    let body = Unbind { method: "unbind_device", token: &token, timestamp };
    message(scene.down_service(), &body, 1)
}
