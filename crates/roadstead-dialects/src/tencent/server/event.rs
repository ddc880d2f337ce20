//! Events: one (`event_post`) or several (`events_post`) of them.
//!
//! Source: Tencent §7. `event_reply` is the only reply name the SDK takes for both.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::exchange::{Answer, Occurrence, Uplink};
use roadstead_core::limit::VALUE_DEPTH_MAX;
use roadstead_core::product::{DEFAULT_SERVICE, Level, Violation};
use roadstead_core::{Map, Value};
use serde::{Deserialize, Serialize};

use super::message::{
    TOKEN_BYTES_MAX, address, device_time, heard, ignored, malformed, message, noted, unreadable,
    verdict,
};
use super::reply::Kind;
use super::session::Scene;
use crate::cloud::{Heard, Message};
use crate::tencent::codes;
use crate::tencent::settings::UnknownKeys;
use crate::tencent::topic::Topic;
use crate::tencent::value::fields_to_canonical;
use crate::value::is_deeper;

/// Most events of one `events_post`; the SDK's buffer holds about ten.
const EVENTS_MAX: usize = 64;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default, rename = "clientToken")]
    token: Cow<'a, str>,
    #[serde(borrow, default)]
    events: Vec<Posted<'a>>,
    #[serde(borrow, flatten)]
    single: Option<Posted<'a>>,
}

#[derive(Deserialize)]
struct Posted<'a> {
    #[serde(borrow, rename = "eventId")]
    id: Cow<'a, str>,
    #[serde(borrow, default, rename = "type")]
    level: Cow<'a, str>,
    timestamp: Option<Value>,
    params: Option<Map<String, Value>>,
}

/// Understands one message of `$thing/up/event`.
pub(super) fn uplink(scene: &Scene<'_>, payload: &[u8], out: &mut Vec<Heard>) {
    let body: Body<'_> = match serde_json::from_slice(payload) {
        Ok(body) => body,
        Err(error) => return out.push(refused(payload, &error)),
    };
    if body.token.len() > TOKEN_BYTES_MAX {
        return out.push(noted(malformed("payload.malformed", "the clientToken is too long")));
    }
    let posted = match (&*body.method, body.single) {
        ("event_post", Some(single)) => Vec::from([single]),
        ("events_post", _) if body.events.len() <= EVENTS_MAX => body.events,
        ("events_post", _) => {
            let much = format!("{} events are too many", body.events.len());
            let uplink = malformed("payload.malformed", much);
            return out.push(heard(uplink, Kind::Event, &body.token));
        }
        ("event_post", None) => {
            let uplink = malformed("payload.malformed", "no `eventId`");
            return out.push(heard(uplink, Kind::Event, &body.token));
        }
        (other, _) => return out.push(ignored(other)),
    };
    understood(scene, posted, &body.token, out);
}

fn refused(payload: &[u8], error: &serde_json::Error) -> Heard {
    match address(payload) {
        Some(address) if !matches!(&*address.method, "event_post" | "events_post") => {
            ignored(&address.method)
        }
        Some(address) if address.token.len() <= TOKEN_BYTES_MAX => {
            heard(unreadable(error), Kind::Event, &address.token)
        }
        _ => noted(unreadable(error)),
    }
}

/// Keeps what fits; what does not fit is said once, and in the code of the reply.
fn understood(scene: &Scene<'_>, posted: Vec<Posted<'_>>, token: &str, out: &mut Vec<Heard>) {
    let mut events = Vec::with_capacity(posted.len());
    let mut wrong: Option<Violation> = None;
    for event in posted {
        let (occurrence, violation) = occurrence(scene, event);
        events.extend(occurrence);
        wrong = wrong.or(violation);
    }
    let policy = scene.settings.unknown_keys;
    match wrong {
        None => out.push(heard(Uplink::Events(events), Kind::Event, token)),
        Some(wrong) if events.is_empty() || policy == UnknownKeys::Reject => {
            out.push(heard(malformed("model.violation", wrong.to_string()), Kind::Event, token));
        }
        Some(wrong) => {
            out.push(heard(Uplink::Events(events), Kind::EventPartly, token));
            out.push(noted(malformed("model.violation", wrong.to_string())));
        }
    }
}

fn occurrence(scene: &Scene<'_>, posted: Posted<'_>) -> (Option<Occurrence>, Option<Violation>) {
    let model = &scene.account.product.model;
    let known =
        model.services.iter().find_map(|service| Some((&*service.id, service.event(&posted.id)?)));
    let at = device_time(posted.timestamp.as_ref(), scene.now);
    let params = posted.params.unwrap_or_default();
    let level = match &*posted.level {
        "info" => Some(Level::Info),
        "alert" => Some(Level::Alert),
        "fault" | "fatal" => Some(Level::Fault),
        _ => None,
    };
    let accepts = model.is_empty() || scene.settings.unknown_keys == UnknownKeys::Accept;
    let (service, declared, params, wrong) = match known {
        Some((service, event)) => {
            let (params, wrong) = match accepts {
                true => accepted(event, params),
                false => fields_to_canonical(&event.output, params),
            };
            (service, event.level, params, wrong.map(|wrong| wrong.inside(&posted.id)))
        }
        None if accepts && !params.values().any(|value| is_deeper(value, VALUE_DEPTH_MAX)) => {
            let service = model.services.first().map_or(DEFAULT_SERVICE, |service| &*service.id);
            (service, Level::Info, params, None)
        }
        None => return (None, Some(Violation::new("not in the model").inside(&posted.id))),
    };
    let occurrence = Occurrence {
        service: service.into(),
        event: posted.id.into(),
        level: level.unwrap_or(declared),
        at,
        params,
    };
    (Some(occurrence), wrong)
}

/// Keeps parameters that the model does not have.
fn accepted(
    event: &roadstead_core::product::Event,
    params: Map<String, Value>,
) -> (Map<String, Value>, Option<Violation>) {
    let is_known = |key: &str| event.output.iter().any(|field| *field.id == *key);
    let (known, unknown): (Map<_, _>, Map<String, Value>) =
        params.into_iter().partition(|(key, _)| is_known(key));
    let (mut canonical, wrong) = fields_to_canonical(&event.output, known);
    canonical.extend(unknown.into_iter().filter(|(_, value)| !is_deeper(value, VALUE_DEPTH_MAX)));
    (canonical, wrong)
}

#[derive(Serialize)]
struct EventReply<'a> {
    method: &'static str,
    #[serde(rename = "clientToken", skip_serializing_if = "str::is_empty")]
    token: &'a str,
    version: &'static str,
    code: i32,
    status: &'a str,
    data: Map<String, Value>,
}

/// Writes `event_reply`.
pub(super) fn reply(topic: Topic<'_>, kind: Kind, token: &str, answer: &Answer) -> Message {
    let (code, status) = match (verdict(answer), kind) {
        ((0, _), Kind::EventPartly) => {
            (codes::reply("model.violation"), "some events do not fit the model")
        }
        (verdict, _) => verdict,
    };
    let method = "event_reply";
    let body = EventReply { method, token, version: "1.0", code, status, data: Map::new() };
    message(topic, &body, 0)
}
