//! Events: the envelope, and every `$service` of the platform but the one of children.
//!
//! A message to the device carries one event: the C SDK reads three and drops the rest (T11).
//!
//! Source: Huawei §3.6; T8, T9, T11. Not offered, ignored by name: device rules, configuration,
//! tunnels, soft bus, security logs, update progress.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use roadstead_core::exchange::{Answer, Occurrence, Uplink};
use roadstead_core::limit::VALUE_DEPTH_MAX;
use roadstead_core::product::Level;
use roadstead_core::{Map, Value};
use serde::{Deserialize, Serialize};

use super::child;
use super::message::{clip, ignored, malformed, message, noted, unreadable};
use super::reply::{Kind, heard};
use super::scene::{Role, Scene};
use crate::cloud::{Heard, Message};
use crate::huawei::settings::UnknownKeys;
use crate::huawei::time::{compact, event_time};
use crate::huawei::topic::Leaf;
use crate::huawei::value::fields_to_canonical;
use crate::value::is_deeper;

/// Most events of one message.
const EVENTS_MAX: usize = 64;
/// Longest text of a log record that is kept, bytes.
const LOG_BYTES_MAX: usize = 400;
/// How long a device is told to keep logging.
const LOG_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Longest file name that is answered, bytes.
const FILE_NAME_BYTES_MAX: usize = 128;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    services: Vec<Event<'a>>,
}

/// One event of a device.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    service_id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) event_type: Cow<'a, str>,
    #[serde(default)]
    event_time: Option<Value>,
    /// The Python SDK sends an empty one.
    #[serde(borrow, default)]
    event_id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) paras: Option<Map<String, Value>>,
}

impl Event<'_> {
    pub(super) fn id(&self) -> &str {
        self.event_id.as_deref().unwrap_or_default()
    }

    pub(super) fn para(&self, key: &str) -> Option<&Value> {
        self.paras.as_ref()?.get(key)
    }

    fn text(&self, key: &str) -> &str {
        self.para(key).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn name(&self) -> String {
        format!("{} {}", self.service_id, self.event_type)
    }
}

/// Understands `events/up`.
pub(super) fn uplink(scene: &Scene<'_>, payload: &[u8], out: &mut Vec<Heard>) {
    let events = match serde_json::from_slice::<Body<'_>>(payload) {
        Ok(body) => body.services,
        Err(error) => return out.push(unreadable(&error)),
    };
    if events.is_empty() || events.len() > EVENTS_MAX {
        return out.push(noted(malformed("payload.malformed", "no event, or more than 64")));
    }
    for event in events {
        match &*event.service_id {
            // At the provisioning service there is nobody yet to be told more than this.
            service if scene.role == Role::Member && !matches!(service, "$log" | "$sdk_info") => {
                out.push(ignored(&event.name()));
            }
            "$sub_device_manager" => child::uplink(scene, event, out),
            "$time_sync" => out.push(time_sync(&event)),
            "$log" => out.push(log(&event)),
            "$sdk_info" => out.push(info(event)),
            "$ota" if event.event_type == "version_report" => out.push(info(event)),
            "$file_manager" => out.push(file(scene, &event)),
            service if service.starts_with('$') => out.push(ignored(&event.name())),
            // What a gateway found after `start_scan`; in no thing model.
            "sub_device_discovery" => out.push(noted(found(scene, event))),
            _ => occurred(scene, event, out),
        }
    }
}

fn time_sync(event: &Event<'_>) -> Heard {
    if event.event_type != "time_sync_request" {
        return ignored(&event.name());
    }
    // T9: a number, or the Python SDK's text of one.
    let sent = match event.para("device_send_time") {
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) if text.parse::<i64>().is_ok() => text.clone(),
        Some(_) | None => String::new(),
    };
    heard(Uplink::Time, Kind::Time, &[event.id(), &sent])
}

/// Keeps one record: time, kind, text.
fn log(event: &Event<'_>) -> Heard {
    if event.event_type != "log_report" {
        return ignored(&event.name());
    }
    let content = match event.para("content") {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let record = format!("{} {} {content}", event.text("timestamp"), event.text("type"));
    noted(Uplink::Logs(Vec::from([clip(&record, LOG_BYTES_MAX).into()])))
}

/// Keeps facts: versions, SDK. Empty texts say nothing (Python SDK).
fn info(event: Event<'_>) -> Heard {
    let says = |value: &Value| value.as_str() != Some("") && !value.is_null();
    let paras = event.paras.unwrap_or_default().into_iter();
    let known = paras.filter(|(_, value)| says(value) && !is_deeper(value, VALUE_DEPTH_MAX));
    noted(Uplink::Info(known.collect()))
}

/// Answers where a file goes, if the operator has a place for files.
fn file(scene: &Scene<'_>, event: &Event<'_>) -> Heard {
    let kind @ ("get_upload_url" | "get_download_url") = &*event.event_type else {
        return ignored(&event.name());
    };
    let name = event.text("file_name");
    let fits = (1..=FILE_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/\\?#%\"".contains(&byte))
        && !matches!(name, "." | "..");
    if scene.settings.file_url.is_empty() {
        let detail = "no place for files is set (`dialect.huawei.file_url`)";
        return noted(malformed("command.unsupported", detail));
    }
    if !fits {
        return noted(malformed("payload.malformed", "`file_name` is no plain name"));
    }
    let Heard { reply, .. } = heard(Uplink::Time, Kind::FileUrl, &[event.id(), kind, name]);
    Heard { reply, ..ignored(&event.name()) }
}

fn found(scene: &Scene<'_>, event: Event<'_>) -> Uplink {
    let params = event.paras.unwrap_or_default();
    if params.values().any(|value| is_deeper(value, VALUE_DEPTH_MAX)) {
        return malformed("payload.malformed", "nested deeper than the limit");
    }
    Uplink::Events(Vec::from([Occurrence {
        service: event.service_id.into(),
        event: event.event_type.into(),
        level: Level::Info,
        at: event_time(event.event_time.as_ref(), scene.now),
        params,
    }]))
}

/// Keeps an event of the thing model.
fn occurred(scene: &Scene<'_>, event: Event<'_>, out: &mut Vec<Heard>) {
    let model = &scene.account.product.model;
    let policy = scene.settings.unknown_keys;
    let at = event_time(event.event_time.as_ref(), scene.now);
    let declared =
        model.service(&event.service_id).and_then(|service| service.event(&event.event_type));
    let params = event.paras.unwrap_or_default();
    let is_deep = params.values().any(|value| is_deeper(value, VALUE_DEPTH_MAX));
    let name = format!("{}/{}", event.service_id, event.event_type);
    let (level, params, wrong) = match declared {
        _ if is_deep => {
            let why = format!("{name}: nested deeper than the limit");
            return out.push(noted(malformed("payload.malformed", why)));
        }
        Some(declared) => {
            let (fitted, wrong) = fields_to_canonical(&declared.output, params);
            (declared.level, fitted, wrong)
        }
        None if model.is_empty() || policy == UnknownKeys::Accept => (Level::Info, params, None),
        None => {
            let why = format!("{name}: not in the model");
            return out.push(noted(malformed("model.violation", why)));
        }
    };
    if let Some(wrong) = wrong {
        let why = format!("{name}.{wrong}");
        out.push(noted(malformed("model.violation", why)));
        if policy == UnknownKeys::Reject {
            return;
        }
    }
    let (service, event) = (event.service_id.into(), event.event_type.into());
    out.push(noted(Uplink::Events(Vec::from([Occurrence { service, event, level, at, params }]))));
}

#[derive(Serialize)]
struct Down<'a, T> {
    object_device_id: &'a str,
    services: [DownEvent<'a, T>; 1],
}

#[derive(Serialize)]
struct DownEvent<'a, T> {
    service_id: &'a str,
    event_type: &'a str,
    event_time: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    event_id: &'a str,
    paras: T,
}

/// Writes one event to the device.
pub(super) fn event<T: Serialize>(
    scene: &Scene<'_>,
    (service_id, event_type): (&str, &str),
    event_id: &str,
    paras: T,
) -> Message {
    let body = Down {
        object_device_id: scene.object(),
        services: [DownEvent {
            service_id,
            event_type,
            event_time: compact(scene.now),
            event_id,
            paras,
        }],
    };
    message(&scene.topic(Leaf::EventsDown), &body)
}

#[derive(Serialize)]
struct TimeParas {
    #[serde(skip_serializing_if = "Option::is_none")]
    device_send_time: Option<i64>,
    server_recv_time: i64,
    server_send_time: i64,
}

/// Writes `time_sync_response`: bare numbers, the C SDK searches for a key followed by digits.
pub(super) fn time(scene: &Scene<'_>, id: &str, sent: &str, answer: &Answer) -> Option<Message> {
    let Answer::Time { received, sent: left } = answer else { return None };
    let paras = TimeParas {
        device_send_time: sent.parse().ok(),
        server_recv_time: received.as_millis(),
        server_send_time: left.as_millis(),
    };
    Some(event(scene, ("$time_sync", "time_sync_response"), id, paras))
}

#[derive(Serialize)]
struct FileParas<'a> {
    url: String,
    bucket_name: &'static str,
    object_name: String,
    expire: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    file_name: &'a str,
}

/// Writes `get_upload_url_response` or `get_download_url_response`.
pub(super) fn file_url(scene: &Scene<'_>, id: &str, asked: &str, name: &str) -> Message {
    let object_name = format!("{}/{name}", scene.object());
    let base = scene.settings.file_url.trim_end_matches('/');
    let paras = FileParas {
        url: format!("{base}/{object_name}"),
        bucket_name: "",
        object_name,
        expire: scene.settings.file_url_life.as_secs(),
        file_name: name,
    };
    let kind = match asked {
        "get_upload_url" => "get_upload_url_response",
        _ => "get_download_url_response",
    };
    event(scene, ("$file_manager", kind), id, paras)
}

#[derive(Serialize)]
struct LogParas {
    switch: &'static str,
    end_time: String,
}

/// Writes `log_config`.
pub(super) fn log_level(scene: &Scene<'_>, level: u8) -> Message {
    let switch = if level == 0 { "off" } else { "on" };
    let paras = LogParas { switch, end_time: compact(scene.now + LOG_LIFE) };
    event(scene, ("$log", "log_config"), "", paras)
}

/// Returns whom a message is about, if it says so: `object_device_id`, not empty (T8).
pub(super) fn object_of(payload: &[u8]) -> Option<Box<str>> {
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow, default)]
        object_device_id: Option<Cow<'a, str>>,
    }
    let object = serde_json::from_slice::<Object<'_>>(payload).ok()?.object_device_id?;
    (!object.is_empty()).then(|| object.into())
}
