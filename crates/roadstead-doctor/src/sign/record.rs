//! Records of the platform and its APIs: JSON objects as people paste them, one in a line.
//!
//! States of commands and messages, notifications as the application received them, lists of
//! devices, upgrade packages and tasks. Source: Huawei §8 (states), §9 (resources), §11 (pushes),
//! §12 (upgrades); seed S4, chapters 3, 10, 11, 13, 14. What a line proves is read from its fields,
//! never from their order.

use serde_json::{Map, Value};

use super::{Hit, platform::TEXT};
use crate::tracker::{LIKELY, Tracker};

type Object = Map<String, Value>;

/// Returns the document in a line: from its first bracket to its last one.
fn document(hit: &Hit<'_>) -> Option<Value> {
    let text = hit.line.text;
    let from = text.find(['{', '['])?;
    let to = text.rfind(['}', ']'])?;
    serde_json::from_str(text.get(from..=to)?).ok()
}

/// Calls `each` with every object in a document, outer ones first.
fn walk(value: &Value, each: &mut dyn FnMut(&Object)) {
    match value {
        Value::Object(object) => {
            each(object);
            object.values().for_each(|value| walk(value, each));
        }
        Value::Array(items) => items.iter().for_each(|value| walk(value, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Calls `each` with every text in a document.
fn texts(value: &Value, each: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Object(object) => object.values().for_each(|value| texts(value, each)),
        Value::Array(items) => items.iter().for_each(|value| texts(value, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn text<'a>(object: &'a Object, key: &str) -> Option<&'a str> {
    object.get(key).and_then(Value::as_str)
}

fn list<'a>(object: &'a Object, key: &str) -> Option<Vec<&'a str>> {
    Some(object.get(key)?.as_array()?.iter().filter_map(Value::as_str).collect())
}

/// Suspects what a record proves, and with it that this is the platform's.
fn found(tracker: &mut Tracker, code: &'static str, hit: &Hit<'_>) {
    tracker.prove(TEXT);
    tracker.fault(code, hit.line);
}

/// Things remembered between records.
const SEEN_MAX: usize = 64;

/// Remembers a thing under a key; returns what was known under it.
fn remember(tracker: &mut Tracker, key: String, value: &str, line: u64) -> Option<String> {
    let seen = &mut tracker.memo.commands;
    if let Some(known) = seen.iter_mut().find(|(known, ..)| *known == key) {
        return Some(std::mem::replace(&mut known.3, value.to_owned()));
    }
    if seen.len() >= SEEN_MAX {
        seen.remove(0);
    }
    seen.push((key, line, None, value.to_owned()));
    None
}

/// The state of an asynchronous command (Huawei §8.2), in the current API and in the callback of
/// the old one.
pub(super) fn command(tracker: &mut Tracker, hit: &Hit<'_>) {
    let Some(document) = document(hit) else { return };
    let mut states = Vec::new();
    walk(&document, &mut |object| {
        if object.contains_key("command_id") || object.contains_key("commandId") {
            let result = object.get("result").and_then(Value::as_object);
            let state = text(object, "status")
                .or_else(|| text(result?, "resultCode"))
                .or_else(|| text(result?, "status"));
            states.extend(state.map(|state| (state.to_owned(), delivered(object))));
        }
    });
    for (state, is_delivered) in states {
        tracker.prove(TEXT);
        let code = match state.as_str() {
            "EXPIRED" => "command.expired",
            "TIMEOUT" if is_delivered => "command.no_response",
            "TIMEOUT" => "command.ack_timeout",
            "FAILED" | "FAIL" => "command.failed",
            "CANCELED" | "CANCELLED" => "command.cancelled",
            "PENDING" | "SENT" => "command.queued",
            _ => continue,
        };
        tracker.fault(code, hit.line);
    }
}

fn delivered(object: &Object) -> bool {
    text(object, "delivered_time").is_some_and(|time| !time.is_empty())
}

/// The state of a message for an MQTT device (Huawei §8.4).
pub(super) fn message(tracker: &mut Tracker, hit: &Hit<'_>) {
    let Some(document) = document(hit) else { return };
    let mut waits = false;
    walk(&document, &mut |object| {
        let state = object.get("message_id").and_then(|_| text(object, "status"));
        waits |= matches!(state, Some("PENDING" | "TIMEOUT"));
    });
    if waits {
        found(tracker, "command.message_pending", hit);
    }
}

/// A notification of the current API, as the application received it (Huawei §11.1).
pub(super) fn notification(tracker: &mut Tracker, hit: &Hit<'_>) {
    let Some(document) = document(hit) else { return };
    let Some(outer) = document.as_object() else { return };
    tracker.prove(TEXT);
    if let Some(id) = text(outer, "request_id").filter(|id| !id.is_empty())
        && remember(tracker, format!("push {id}"), "", hit.line.number).is_some()
    {
        tracker.fault("push.repeated", hit.line);
    }
    let body = outer.get("notify_data").and_then(|data| data.get("body"));
    let Some(body) = body.or_else(|| outer.get("body")) else { return };
    if text(outer, "resource") == Some("device.status")
        && body.get("status").and_then(Value::as_str) == Some("ABNORMAL")
    {
        tracker.fault("offline.nb_silence", hit.line);
    }
    values(tracker, body, hit);
}

/// The shadow of a device.
pub(super) fn shadow(tracker: &mut Tracker, hit: &Hit<'_>) {
    if let Some(document) = document(hit) {
        values(tracker, &document, hit);
    }
}

/// What a platform makes of reports that are no UTF-8 text: a replacement mark for characters of
/// another encoding, Base64 for bytes.
fn values(tracker: &mut Tracker, body: &Value, hit: &Hit<'_>) {
    let (mut garbled, mut encoded) = (false, false);
    texts(body, &mut |text| {
        garbled |= text.contains('\u{fffd}');
        encoded |= is_base64(text);
    });
    if garbled {
        found(tracker, "report.encoding", hit);
    }
    if encoded {
        found(tracker, "report.binary_base64", hit);
    }
}

/// Shortest text taken for Base64: fewer characters are as well a word.
const BASE64_MIN: usize = 8;

/// True for Base64 that cannot be a word or a path: padded, of whole groups, and of its alphabet.
fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    text.len() >= BASE64_MIN
        && text.len().is_multiple_of(4)
        && (1..=2).contains(&(text.len() - body.len()))
        && body.bytes().all(plain)
}

/// A notification of the old API: one per service, or one for all (S4 ch11).
pub(super) fn old_notification(tracker: &mut Tracker, hit: &Hit<'_>) {
    let Some(document) = document(hit) else { return };
    let Some(outer) = document.as_object() else { return };
    let (Some(kind), Some(device)) = (text(outer, "notifyType"), text(outer, "deviceId")) else {
        return;
    };
    match kind {
        "deviceDatasChanged" => {
            tracker.prove(TEXT);
            let known = remember(tracker, format!("batch {device}"), "", hit.line.number);
            // The same report as one push for all services and as one for each.
            let single = format!("single {device}");
            if known.is_none() && tracker.memo.commands.iter().any(|(key, ..)| *key == single) {
                tracker.fault("push.split_by_service", hit.line);
            }
        }
        "deviceDataChanged" => of_one_service(tracker, outer, device, hit),
        "deviceDeleted" => {
            let never = tracker.memo.has("timeout") && !tracker.memo.has("bound");
            if never {
                found(tracker, "api.device_expired", hit);
            }
        }
        "bindDevice" => tracker.memo.set("bound"),
        _ => {}
    }
}

fn of_one_service(tracker: &mut Tracker, outer: &Object, device: &str, hit: &Hit<'_>) {
    let service = outer.get("service").and_then(Value::as_object);
    let Some(service) = service else { return };
    tracker.prove(TEXT);
    let at = text(service, "eventTime").or_else(|| text(outer, "eventTime")).unwrap_or_default();
    let id = text(service, "serviceId").unwrap_or_default();
    let number = hit.line.number;
    let batch = format!("batch {device}");
    let twice = tracker.memo.commands.iter().any(|(key, ..)| *key == batch);
    let _ = remember(tracker, format!("single {device}"), id, number);
    if remember(tracker, format!("report {device} {at} {id}"), "", number).is_some() {
        tracker.fault("push.repeated", hit.line);
    } else if let Some(before) = remember(tracker, format!("report {device} {at}"), id, number) {
        if before != id {
            tracker.fault("push.split_by_service", hit.line);
        }
    } else if twice {
        tracker.fault("push.split_by_service", hit.line);
    }
}

/// A device that was registered through the old API lives for `timeout` seconds unless it comes
/// (S4 ch14): 0 is for ever.
pub(super) fn registered(tracker: &mut Tracker, hit: &Hit<'_>) {
    let Some(document) = document(hit) else { return };
    let Some(outer) = document.as_object() else { return };
    let limited = outer.get("timeout").and_then(Value::as_u64).is_some_and(|seconds| seconds > 0);
    if limited && (outer.contains_key("verifyCode") || outer.contains_key("nodeId")) {
        tracker.memo.set("timeout");
        if text(outer, "nodeId").or_else(|| text(outer, "verifyCode")).is_some_and(is_imei) {
            tracker.memo.set("cellular");
        }
    }
}

/// Digits of an IMEI.
const IMEI_DIGITS: usize = 15;

fn is_imei(text: &str) -> bool {
    text.len() == IMEI_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A device as the API lists it.
pub(super) fn device(tracker: &mut Tracker, hit: &Hit<'_>) {
    let Some(document) = document(hit) else { return };
    let mut codes = Vec::new();
    let mut known = Vec::new();
    walk(&document, &mut |object| {
        let ids = text(object, "device_id").zip(text(object, "gateway_id"));
        let Some((id, gateway)) = ids else { return };
        let state = text(object, "status").unwrap_or_default();
        match state {
            "ABNORMAL" => codes.push("offline.nb_silence"),
            "FROZEN" => codes.push("cloud.device_disabled"),
            _ => {}
        }
        let child = id != gateway && !gateway.is_empty();
        let product = object.get("product_id");
        if child && product.is_some_and(|id| id.is_null() || id.as_str() == Some("")) {
            codes.push("gateway.subdevice_model");
        }
        match (child, state) {
            (false, "OFFLINE") => known.push((format!("gateway off {id}"), true)),
            (true, "ONLINE") => known.push((format!("child on {gateway}"), true)),
            _ => known.push((String::new(), false)),
        }
    });
    if !known.is_empty() {
        tracker.prove(TEXT);
    }
    for (key, _) in known.into_iter().filter(|(_, matters)| *matters) {
        let other = match key.strip_prefix("gateway off ") {
            Some(id) => format!("child on {id}"),
            None => key.replacen("child on ", "gateway off ", 1),
        };
        if tracker.memo.commands.iter().any(|(known, ..)| *known == other) {
            codes.push("gateway.stale_status");
        }
        let _ = remember(tracker, key, "", hit.line.number);
    }
    codes.into_iter().for_each(|code| tracker.fault(code, hit.line));
}

/// Packages that one task may name (S4 ch13).
const PACKAGES_MAX: usize = 10;

/// An upgrade package, or the task that names several (Huawei §12.1).
pub(super) fn packages(tracker: &mut Tracker, hit: &Hit<'_>) {
    let Some(document) = document(hit) else { return };
    let mut known = Vec::new();
    let mut task = Vec::new();
    let mut foreign = false;
    walk(&document, &mut |object| {
        if let (Some(id), Some(versions)) =
            (text(object, "package_id"), list(object, "support_source_versions"))
        {
            known.push((id.to_owned(), versions.join("\n")));
        }
        if let Some(ids) = list(object, "package_ids") {
            task = ids.into_iter().map(str::to_owned).collect();
        }
        if let Some(place) = object.get("file_location") {
            foreign |= place.get("obs_location").is_none() && place.to_string().contains("://");
        }
    });
    for (id, versions) in known {
        let _ = remember(tracker, format!("package {id}"), &versions, hit.line.number);
    }
    if foreign {
        found(tracker, "ota.third_party_url", hit);
    }
    if task.len() > PACKAGES_MAX {
        found(tracker, "ota.too_many_packages", hit);
    }
    if task.len() > 1 {
        tracker.prove(TEXT);
        let quoted: String = hit.line.text.chars().take(300).collect();
        tracker.memo.token_quote = Some((hit.line.number, quoted));
        tracker.memo.message = task.join("\n");
    }
}

/// A script codec begins; whether it answers reports is known at its end.
pub(super) fn codec(tracker: &mut Tracker, hit: &Hit<'_>) {
    let text: String = hit.line.text.chars().take(300).collect();
    tracker.memo.token_quote = Some((hit.line.number, text));
    tracker.memo.set("codec");
}

/// A codec for LwM2M that never makes a `cloudRsp`: devices that wait for an answer to their
/// report get none (S4 ch10). Many wait for none, so this is a remark.
fn codec_without_answer(tracker: &mut Tracker) {
    let memo = &tracker.memo;
    let silent = memo.has("codec") && memo.has("codec report") && !memo.has("codec answer");
    let Some((number, text)) = memo.token_quote.clone().filter(|_| silent) else { return };
    let code = "report.codec_no_response";
    if let Some(fault) = tracker.suspect_quoted(code, LIKELY, number, &text) {
        fault.side = true;
    }
}

/// Decides once all packages of a task are known: their source versions must not meet, and a
/// package without any takes every version.
pub(super) fn finish(tracker: &mut Tracker) {
    codec_without_answer(tracker);
    let Some((number, quoted)) = tracker.memo.token_quote.clone() else { return };
    let mut taken: Vec<&str> = Vec::new();
    let mut packages = 0;
    let (mut all, mut twice) = (false, false);
    let task = tracker.memo.message.clone();
    let seen = tracker.memo.commands.clone();
    for id in task.lines() {
        let key = format!("package {id}");
        let Some((.., versions)) = seen.iter().find(|(known, ..)| *known == key) else { continue };
        packages += 1;
        all |= versions.is_empty();
        for version in versions.lines() {
            twice |= taken.contains(&version);
            taken.push(version);
        }
    }
    if packages > 1 && (all || twice) {
        let _ = tracker.suspect_quoted("ota.source_version_overlap", LIKELY, number, &quoted);
    }
}

/// The result of one device in an upgrade task: a time-out that names no stage of its own.
pub(super) fn upgrade(tracker: &mut Tracker, hit: &Hit<'_>) {
    let line = hit.line.text;
    let failed = line.contains("\"Fail\"") || line.contains("\"FailWaitRetry\"");
    if failed && line.to_ascii_lowercase().contains("timeout") {
        let known = super::platform::UPGRADE_TIMEOUTS.iter().any(|text| line.contains(text));
        if !known {
            found(tracker, "ota.stage_timeout", hit);
        }
    }
}

/// Numbers of the platform's errors with one cause (Huawei §9.10).
pub(super) fn number(tracker: &mut Tracker, hit: &Hit<'_>) {
    let line = hit.line.text;
    // Our own answers carry the stable code beside it; children's results use other meanings.
    if line.contains("\"remedy\"") || line.contains("sub_device") {
        return;
    }
    let digits = line.get(hit.at..).unwrap_or_default().strip_prefix("IOTDA.").unwrap_or_default();
    let code = match digits.get(..6) {
        Some("014111") => "command.no_response",
        Some("014112") => "command.not_subscribed",
        Some("014016") if !line.contains("gateway") && !line.contains("exists") => {
            "command.device_offline"
        }
        Some("014031") => "api.node_id_duplicate",
        Some("014000") if tracker.memo.has("timeout") => expired(tracker),
        Some("000004") => "api.token_expired",
        Some("001002") => "api.permission_denied",
        Some("021105") => "mqtt.message_too_large",
        _ => return,
    };
    found(tracker, code, hit);
}

/// A device that is gone after a registration with a limit.
fn expired(tracker: &Tracker) -> &'static str {
    if tracker.memo.has("cellular") {
        "nb.registration_expired"
    } else {
        "report.registration_expired"
    }
}

/// Numbers of the old API (Huawei §16).
pub(super) fn old_number(tracker: &mut Tracker, hit: &Hit<'_>) {
    let number = super::json(hit.line.text, "error_code").and_then(super::int);
    let code = match number {
        Some(100_222) => "push.callback_url_invalid",
        Some(100_002 | 1_010_005) => "api.token_expired",
        Some(100_428) => "command.device_offline",
        Some(100_403) if tracker.memo.has("timeout") => expired(tracker),
        _ => return,
    };
    found(tracker, code, hit);
}
