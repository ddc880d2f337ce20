//! What a device says about itself and asks about the platform: attributes, firmware version,
//! time, logs, configuration, thing model, keys of local control.
//!
//! Source: Alibaba §8, §9, §10.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Uplink};
use roadstead_core::limit::VALUE_DEPTH_MAX;
use roadstead_core::{Map, Timestamp, Value};
use serde::{Deserialize, Serialize};

use super::message::{
    answered, asked, bad_params, clip, heard, ignored, message, noted, nothing, request,
    unreadable, verdict,
};
use super::reply::{Kind, Mark};
use super::scene::Scene;
use crate::alibaba::auth::local_key;
use crate::alibaba::payload::{OK, Request, trim};
use crate::alibaba::topic::{Verb, sys};
use crate::alibaba::{codes, model};
use crate::cloud::{Heard, Message, Reply};
use crate::value::is_deeper;

/// Most attributes of one message.
const ATTRIBUTES_MAX: usize = 64;
/// Longest log line kept, bytes.
const LINE_BYTES_MAX: usize = 512;
/// Runs of letters and digits from this length on may be secrets: they are cut.
const SECRET_RUN: usize = 24;
/// Characters of such a run that are kept.
const SECRET_HEAD: usize = 4;
/// Longest time of a device that is echoed, bytes.
const TIME_BYTES_MAX: usize = 32;

/// Understands `deviceinfo/update` and `deviceinfo/delete`: a list of attributes. A deleted one is
/// told as `null`.
pub(super) fn attributes(rest: &str, request: &Request) -> Heard {
    let listed = match &request.params {
        Value::Array(list) if list.len() <= ATTRIBUTES_MAX => list.as_slice(),
        one @ Value::Object(_) => core::slice::from_ref(one),
        _ => {
            let uplink = bad_params("`params` is no list of attributes, or too long");
            return heard(uplink, Kind::Plain, rest, request);
        }
    };
    let is_deleted = rest == sys::INFO_DELETE;
    let mut info = Map::new();
    for attribute in listed {
        let Some(key) = attribute.get("attrKey").and_then(Value::as_str) else {
            return heard(bad_params("an attribute without `attrKey`"), Kind::Plain, rest, request);
        };
        let value = attribute.get("attrValue").cloned().unwrap_or_default();
        let value = if is_deleted { Value::Null } else { value };
        if !is_deeper(&value, VALUE_DEPTH_MAX) {
            info.insert(key.into(), value);
        }
    }
    heard(Uplink::Info(info), Kind::Plain, rest, request)
}

/// Understands `/ota/device/inform`: which version runs. It has no answer.
pub(super) fn version(payload: &[u8]) -> Heard {
    let body = match Request::parse(payload) {
        Ok(body) => body,
        Err(error) => return noted(unreadable(&error)),
    };
    let text = |key| body.params.get(key).and_then(Value::as_str);
    let Some(version) = text("version") else {
        return noted(bad_params("no `params.version`"));
    };
    // Versions of modules stand beside that of the whole.
    let key = match text("module") {
        None | Some("" | "default") => "fw_version".into(),
        Some(module) => format!("fw_version.{module}"),
    };
    noted(Uplink::Info(Map::from_iter([(key, Value::from(version))])))
}

/// Understands `/ota/device/progress`: only updates that nobody of ours ordered.
pub(super) fn progress(payload: &[u8]) -> Heard {
    match Request::parse(payload) {
        Ok(body) => {
            let step = body.params.get("step").and_then(Value::as_str).unwrap_or_default();
            noted(ignored(&format!("ota progress {}", clip(step, TIME_BYTES_MAX))))
        }
        Err(error) => noted(unreadable(&error)),
    }
}

/// Understands `/ota/device/request`: is there a version for it?
pub(super) fn wants_version(payload: &[u8]) -> Heard {
    match Request::parse(payload) {
        Ok(body) => heard(asked("firmware"), Kind::FirmwareOld, "", &body),
        Err(error) => noted(unreadable(&error)),
    }
}

/// Writes that there is none: firmware looks for a `url` and finds nothing (§9).
pub(super) fn no_version(scene: &Scene<'_>, mark: &Mark<'_>, answer: &Answer) -> Message {
    let (code, text) = verdict(answer);
    let body = serde_json::json!({"code": code, "data": {}, "id": mark.id, "message": text});
    message(scene.topic(Verb::OtaRequest), &body, 1)
}

#[derive(Deserialize)]
struct TimeBody {
    #[serde(default, rename = "deviceSendTime")]
    sent: Value,
}

/// Understands `/ext/ntp/…/request`.
pub(super) fn time(payload: &[u8]) -> Heard {
    match serde_json::from_slice::<TimeBody>(trim(payload)) {
        Ok(TimeBody { sent }) => {
            let sent = match &sent {
                Value::String(text) => clip(text, TIME_BYTES_MAX).into(),
                Value::Number(n) => n.to_string(),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
            };
            let reply = Reply { kind: Kind::Time as u8, token: sent.into() };
            Heard { uplink: Uplink::Time, reply: Some(reply) }
        }
        Err(error) => noted(unreadable(&error)),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimeReply<'a> {
    device_send_time: &'a str,
    server_recv_time: String,
    server_send_time: String,
}

/// Writes the time: three texts of milliseconds.
pub(super) fn time_reply(scene: &Scene<'_>, sent: &str, answer: &Answer) -> Option<Message> {
    let Answer::Time { received, sent: left } = answer else { return None };
    let text = |at: Timestamp| at.as_millis().to_string();
    let body = TimeReply {
        device_send_time: sent,
        server_recv_time: text(*received),
        server_send_time: text(*left),
    };
    Some(message(scene.topic(Verb::NtpResponse), &body, 0))
}

/// Understands `log/post`: the records of LinkSDK 4 and the lines of the C SDKs.
pub(super) fn logs(rest: &str, request: &Request) -> Heard {
    let lines: Vec<Box<str>> = match &request.params {
        Value::Array(records) => records.iter().map(record).collect(),
        Value::Object(params) => {
            let contents = params.get("contents").and_then(Value::as_array);
            contents.into_iter().flatten().filter_map(Value::as_str).map(masked).collect()
        }
        _ => Vec::new(),
    };
    heard(Uplink::Logs(lines), Kind::Plain, rest, request)
}

fn record(record: &Value) -> Box<str> {
    let keys = ["utcTime", "logLevel", "module", "code", "traceContext", "logContent"];
    let texts = keys.iter().filter_map(|key| match record.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    });
    masked(&texts.collect::<Vec<_>>().join(" "))
}

/// Cuts what may be a secret: tokens, passwords and keys are long runs of letters and digits.
fn masked(line: &str) -> Box<str> {
    let mut text = String::with_capacity(line.len());
    for part in line.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let run = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        match run.len() {
            SECRET_RUN.. => {
                text.push_str(&run[..SECRET_HEAD]);
                text.push('…');
                text.push_str(&part[run.len()..]);
            }
            _ => text.push_str(part),
        }
    }
    clip(&text, LINE_BYTES_MAX).into()
}

/// Writes how much to log (the form is UNVERIFIED: LinkSDK 4 reads `content.mode`).
pub(super) fn log_level(level: u8) -> Value {
    serde_json::json!({"getType": "content", "content": {"mode": u8::from(level > 0)}})
}

/// Writes the remote configuration it asked for.
pub(super) fn config_reply(scene: &Scene<'_>, mark: &Mark<'_>, answer: &Answer) -> Message {
    match answer {
        Answer::Config(Some(config)) => answered(scene, mark, verdict(answer), config),
        Answer::Config(None) => {
            let none = (codes::NO_CONFIG, "there is no configuration");
            answered(scene, mark, none, &nothing())
        }
        _ => answered(scene, mark, verdict(answer), &nothing()),
    }
}

/// Writes a new remote configuration: a description of a file.
pub(super) fn config_push(
    scene: &Scene<'_>,
    id: &str,
    config: &Value,
) -> Result<Message, CommandError> {
    if config.get("url").and_then(Value::as_str).is_none() {
        return Err(CommandError::Unsupported(
            "a configuration is {configId, configSize, sign, signMethod, url, getType}",
        ));
    }
    request(scene, sys::CONFIG_PUSH, id, config)
}

/// Writes the keys of local control.
pub(super) fn local_key_reply(scene: &Scene<'_>, mark: &Mark<'_>) -> Message {
    let (product, node) = scene.names();
    let data = match &scene.account.device.secret {
        Some(secret) => {
            let (prefix, secret) = local_key(secret.expose(), product, node);
            serde_json::json!({
                "prefix": prefix,
                "deviceSecret": secret,
                "productKey": product,
                "deviceName": node,
            })
        }
        None => nothing(),
    };
    answered(scene, mark, (OK, "success"), &data)
}

/// Writes the thing model.
pub(super) fn model_reply(scene: &Scene<'_>, mark: &Mark<'_>) -> Message {
    match model::export(&scene.account.product.model) {
        Ok(document) => answered(scene, mark, (OK, "success"), &document),
        Err(problem) => {
            let code = codes::reply("model.violation");
            answered(scene, mark, (code, &problem.message), &nothing())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_are_cut_from_logs() {
        assert_eq!(
            &*masked("report token:FAA9AFE560F1F9C872394400326F4022, rc 0"),
            "report token:FAA9…, rc 0"
        );
        assert_eq!(&*masked("time=1795222746203^rtt=0"), "time=1795222746203^rtt=0");
        assert_eq!(masked(&"ä".repeat(400)).len(), 512);
    }
}
