//! Texts of the platform's console and API, as people paste them into a log.
//!
//! Source: seed S4: table 13-1 (upgrade failures), chapters 2, 3, 9 to 14. The texts are the
//! platform's own and name one cause each; records are read in `record`, tools in `tool`.

use super::{Act, Hit, Sign, record, sign, tool};
use crate::tracker::{SYMPTOM, Tracker};
use Act::{Call, Fault, Strong};

pub(super) const TEXT: &str = "platform";

#[rustfmt::skip] // a table
pub(super) static SIGNS: &[Sign] = &[
    sign("Device Abnormal is not online", &[Strong(TEXT), Fault("ota.device_offline")]).anywhere(),
    sign("Task Conflict", &[Strong(TEXT), Fault("ota.task_conflict")]).anywhere(),
    sign("Waiting for the device online timeout", &[Strong(TEXT), Fault("ota.wait_online_timeout")]).anywhere(),
    sign("Waiting for report cellId timeout", &[Strong(TEXT), Fault("ota.wait_cellid_timeout")]).anywhere(),
    sign("Waiting for report device firmware version timeout", &[Strong(TEXT), Fault("ota.wait_version_timeout")]).anywhere(),
    sign("Wait for the device to report upgrade result timeout", &[Strong(TEXT), Fault("ota.wait_result_timeout")]).anywhere(),
    sign("Updating timeout and query device version for check timeout", &[Strong(TEXT), Fault("ota.result_and_version_timeout")]).anywhere(),
    sign("Waiting for device downloaded package timeout", &[Strong(TEXT), Fault("ota.download_timeout")]).anywhere(),
    sign("Integrity check failure for new downloaded package", &[Strong(TEXT), Fault("ota.integrity_failed")]).anywhere(),
    sign("Unsupported package type", &[Strong(TEXT), Fault("ota.package_type_unsupported")]).anywhere(),
    sign("Not enough storage for the new firmware package", &[Strong(TEXT), Fault("ota.no_space")]).anywhere(),
    sign("Out of memory during downloading process", &[Strong(TEXT), Fault("ota.out_of_memory")]).anywhere(),
    sign("Connection lost during downloading process", &[Strong(TEXT), Fault("ota.download_connection_lost")]).anywhere(),
    sign("Invalid URI", &[Call(invalid_uri)]).anywhere(),
    sign("Firmware update failed", &[Strong(TEXT), Fault("ota.install_failed")]).anywhere(),
    sign("The current version is the same as the target version", &[Strong(TEXT), Fault("ota.same_version")]).anywhere(),
    sign("Operation not allowed. The user does not have the permission", &[Strong(TEXT), Fault("api.permission_denied")]).anywhere(),
    sign("Missing request header 'X-Auth-Token'", &[Strong(TEXT), Fault("api.auth_header_missing")]).anywhere(),
    sign("Security Administrator", &[Strong(TEXT), Fault("api.permission_denied")]).anywhere(),
    sign("Incorrect IAM authentication information", &[Strong(TEXT), Fault("api.token_expired")]).needs("oken").anywhere(),
    sign("nodeId repeat", &[Strong(TEXT), Fault("api.node_id_duplicate")]).anywhere(),
    sign("nodeId重复", &[Strong(TEXT), Fault("api.node_id_duplicate")]).anywhere(),
    sign("设备被占用", &[Strong(TEXT), Fault("api.node_id_duplicate")]).anywhere(),
    sign("回调地址不合法", &[Strong(TEXT), Fault("push.callback_url_invalid")]).anywhere(),
    sign("文件输入格式有误", &[Strong(TEXT), Call(model_format)]).anywhere(),
    sign("设备型号已存在", &[Strong(TEXT), Fault("product.model_duplicate")]).anywhere(),
    // Answers and records of the API.
    sign("IOTDA.0", &[Call(record::number)]).anywhere(),
    sign("\"error_code\"", &[Call(record::old_number)]).needs("\"error_desc\"").anywhere(),
    sign("\"command_id\"", &[Call(record::command)]).anywhere(),
    sign("\"commandId\"", &[Call(record::command)]).anywhere(),
    sign("\"message_id\"", &[Call(record::message)]).anywhere(),
    sign("\"notify_data\"", &[Call(record::notification)]).anywhere(),
    sign("\"notifyType\"", &[Call(record::old_notification)]).without("allback").anywhere(),
    sign("\"reported\"", &[Call(record::shadow)]).anywhere(),
    sign("\"gateway_id\"", &[Call(record::device)]).without("\"notify_data\"").anywhere(),
    sign("\"timeout\"", &[Call(record::registered)]).anywhere(),
    sign("\"support_source_versions\"", &[Call(record::packages)]).anywhere(),
    sign("\"package_ids\"", &[Call(record::packages)]).anywhere(),
    sign("\"file_location\"", &[Call(record::packages)]).without("\"support_source_versions\"").anywhere(),
    sign("wareUpgrade\"", &[Call(record::upgrade)]).anywhere(),
    // A script codec, as the application keeps it.
    sign("function decode(", &[Strong(TEXT), Call(record::codec)]).anywhere(),
    sign("deviceReq", &[Call(|t, _| t.memo.set("codec report"))]).anywhere(),
    sign("cloudRsp", &[Call(|t, _| t.memo.set("codec answer"))]).anywhere(),
    // Subscriptions, and the tools that test them.
    sign("\"callback", &[Call(tool::subscription)]).anywhere(),
    sign("\"protocolType\"", &[Call(tool::protocol)]).anywhere(),
    sign("\"protocol_type\"", &[Call(tool::protocol)]).anywhere(),
    sign("telnet ", &[Call(tool::telnet)]),
    sign("Trying ", &[Call(tool::trying)]),
    sign("Unable to connect to remote host", &[Call(tool::closed)]),
    sign("Could not open connection to the host", &[Call(tool::closed)]),
    sign("Address: ", &[Call(tool::resolved)]),
    sign(" has address ", &[Call(tool::resolved)]),
    sign("s_client ", &[Call(tool::s_client)]),
    sign("verify error:num=", &[Call(tool::verified)]),
    sign("Verify return code: ", &[Call(tool::verified)]),
    sign("subject=", &[Call(tool::subject)]),
    sign("depth=0 ", &[Call(tool::subject)]),
    sign("HTTP/1.1\" ", &[Call(tool::served)]).anywhere(),
    sign("HTTP/1.0\" ", &[Call(tool::served)]).anywhere(),
    sign("curl: (", &[Call(tool::client)]),
    sign("Max retries exceeded with url", &[Call(tool::client)]).anywhere(),
    sign("HttpHostConnectException", &[Call(tool::client)]),
    sign("-noout -modulus", &[Call(tool::modulus)]),
    sign("(stdin)= ", &[Call(tool::sum)]),
    sign("Frequency: ", &[Call(tool::phone)]).needs("SSID: "),
];

/// Time-outs of an upgrade that name their stage (table 13-1).
pub(super) const UPGRADE_TIMEOUTS: &[&str] = &[
    "Waiting for the device online timeout",
    "Waiting for report cellId timeout",
    "Waiting for report device firmware version timeout",
    "Wait for the device to report upgrade result timeout",
    "Updating timeout and query device version for check timeout",
    "Waiting for device downloaded package timeout",
];

/// Two words that others use as well: here they stand alone, in a cell or between quotes.
fn invalid_uri(tracker: &mut Tracker, hit: &Hit<'_>) {
    let edge = |text: char| matches!(text, '"' | '|' | '\t' | ',' | ':' | ' ');
    let before = hit.line.text.get(..hit.at).unwrap_or_default();
    let after = hit.rest().trim_start_matches('.');
    let quoted = before.ends_with(['"', '|', '\t']) && after.starts_with(['"', '|', '\t']);
    let alone = before.trim_matches(edge).is_empty() && after.trim_matches(edge).is_empty();
    if quoted || alone || hit.line.text.contains("ackage") {
        tracker.prove(TEXT);
        tracker.fault("ota.invalid_url", hit.line);
    }
}

/// One text of the console for three causes (S4 ch9).
fn model_format(tracker: &mut Tracker, hit: &Hit<'_>) {
    if let Some(fault) = tracker.suspect("product.model_json_invalid", SYMPTOM, hit.line) {
        fault.alternatives = vec!["product.model_not_array", "product.model_extra_files"];
    }
}
