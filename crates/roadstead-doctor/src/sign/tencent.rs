//! Signs of the IoT Explorer C SDK, 3.1 and 3.2.
//!
//! Source: Tencent §5.4 (provisioning), §6 (binding), §13 (grammar, numbers, signatures); seed S2.
//! The application's last line is always -1001 and never a cause.

use super::{Act, Hit, Sign, int, json, shared, sign, tls};
use crate::Stage as S;
use crate::input::Line;
use crate::tracker::{ABSENCE, LIKELY, SYMPTOM, Tracker};
use Act::{Boot, Call, Done, Fault, Name, Start, Strong, Weak};

const SDK: &str = "tencent-iot-explorer-c";
const V32: &str = "3.2";

#[rustfmt::skip] // a table
pub(super) static SIGNS: &[Sign] = &[
    // Recognition and start.
    sign("SDK_Ver:", &[Name(device_name), Boot, Call(version)]),
    sign("qcloud_", &[Strong(SDK)]),
    sign(".c|", &[Call(record)]),
    sign("tencentdevices.com", &[Weak(SDK)]),
    sign("service_mqtt.c|", &[Strong(V32)]),
    sign("device_bind.c|_unbind", &[Strong(V32)]),
    sign("HAL_Wifi_read_err_log", &[Boot, Strong(SDK)]),
    sign("mqtt release!", &[Call(released)]),
    // Stored identity.
    sign("Device secret decode err", &[Fault("identity.secret_undecodable")]),
    sign("load client cert file failed", &[Call(certificate_missing)]),
    sign("load client key file failed", &[Call(certificate_missing)]),
    sign("cert file: ", &[Call(certificate_build)]),
    // Credentials and router.
    sign("start softAP success", &[Start(S::ProvisionSoftap)]),
    sign("start_device_", &[Start(S::ProvisionRadio)]),
    sign("TO-DO", &[Call(stub)]),
    sign("TODO", &[Call(stub)]),
    sign("UDP server socket listening", &[Start(S::ProvisionSoftap)]),
    sign("_parse_json_token", &[Start(S::ProvisionQr)]),
    sign("bytes from <", &[Call(phone_data)]),
    sign("STA to connect SSID:", &[Call(credentials)]),
    sign("wifi_sta_connect success", &[Done(S::WifiJoin), Call(joined)]),
    sign("wifi_sta_connect failed", &[Fault("wifi.join_failed")]),
    sign("soft_ap_task running!", &[Call(|t, _| t.memo.set("task"))]),
    sign("wait wifi config result", &[Call(|t, _| t.memo.waits += 1)]),
    sign("Parsing JSON Error", &[Call(bad_json)]),
    sign("Invalid cmd JSON", &[Call(bad_request)]),
    sign("Unknown cmd:", &[Call(bad_request)]),
    sign("invlaid ssid/password/token", &[Call(missing_field)]),
    sign("invlaid token", &[Call(missing_field)]),
    sign("Wait for token data timeout", &[Fault("provision.token_missing")]),
    sign("Boarding error happen:", &[Call(boarding)]),
    // Name, transport, TLS.
    sign("getaddrinfo(", &[Call(name)]).needs("error"),
    sign("fail to connect with TCP server", &[Call(tcp_failed)]),
    sign("tcp connect failed returned ", &[Call(tls_tcp_failed)]),
    sign("Connecting to /", &[Start(S::Tcp)]),
    sign("connected with TCP server", &[Done(S::Tcp), Call(tcp_up)]),
    sign("connected with /", &[Done(S::Tcp), Done(S::Tls), Call(tcp_up)]),
    sign("Setting up the SSL/TLS structure", &[Call(|t, _| t.memo.secure = true)]),
    sign("mbedtls_ssl_handshake failed returned ", &[Call(handshake)]),
    sign("mbedtls_ssl_handshake timeout", &[Fault("tls.handshake_timeout")]),
    // Registration.
    sign("do dyn reg!", &[Start(S::Dynreg)]),
    sign("IOT_DynReg_Device(", &[Start(S::Dynreg)]),
    sign("request dev info success", &[Done(S::Dynreg)]),
    sign("dynamic register success", &[Done(S::Dynreg)]),
    sign("product key inllegal", &[Start(S::Dynreg), Fault("dynreg.product_secret_invalid")]),
    sign("recv: {", &[Call(|t, hit| t.memo.message = head(hit.line.text.get(hit.at..).unwrap_or_default()))]).needs("_parse_devinfo").anywhere(),
    sign("response err, ret:", &[Call(register_refused)]),
    sign("Get encry type fail", &[Fault("dynreg.decrypt_failed")]),
    sign("invlid encryt type", &[Fault("dynreg.decrypt_failed")]),
    sign("encryt type should be", &[Fault("dynreg.auth_type_mismatch")]),
    sign("HTTP read nothing and timeout", &[Call(http_silent)]),
    sign("Response code ", &[Call(http_status)]).needs("utils_httpc"),
    // MQTT session.
    sign("mqtt connect with id:", &[Call(connect_result)]),
    sign("MQTT Construct failed", &[Call(|t, hit| t.consequence(hit.line, "input.insufficient"))]),
    sign("connection is closed by server", &[Call(|t, _| t.memo.set("closed"))]),
    sign("MQTT Disconnect.", &[Call(lost)]),
    sign("disconnect MQTT for some reasons", &[Call(lost)]),
    sign("attempt to reconnect success", &[Call(|t, hit| t.session_up(hit.line))]),
    sign("attempt to reconnect...", &[Call(|t, hit| t.count_connect(hit.line))]),
    sign("mqtt disconnect!", &[Call(|t, _| t.memo.connected = false)]),
    // Subscriptions.
    sign("|packet_id=", &[Call(subscribed)]).needs("topicName="),
    sign("subscribe success", &[Done(S::Subscribe)]),
    sign("sub|unsub(3) success", &[Done(S::Subscribe)]),
    sign("subscribe nack", &[Fault("subscribe.refused")]),
    sign("SUBSCRIBE failed, packet_id", &[Call(|t, hit| t.evidence("subscribe.refused", hit.line))]),
    sign("subscribe wait ack timeout", &[Call(subscribe_timeout)]),
    sign("subscribe timeout, packet-id", &[Call(subscribe_timeout)]),
    sign("wait for subscribe result timeout", &[Call(subscribe_timeout)]),
    sign("Subscribe sys topic failed", &[Call(subscribe_timeout)]),
    sign("Identical topic found", &[Call(subscribe_late)]),
    sign("sub_handle is illegal", &[Call(subscribe_late)]),
    // Binding.
    sign("device bind start", &[Start(S::Bind), Call(|t, _| t.memo.set("bind"))]),
    sign("app_bind_token_reply", &[Call(bind_reply)]).anywhere(),
    sign("app_bind_token", &[Call(token_published)]).needs("publish topic seq=").anywhere(),
    sign("publish success, packet-id=", &[Call(puback)]),
    sign("publish timeout, packet-id=", &[Call(publish_timeout)]),
    sign("Client publish token timeout", &[Call(token_timeout)]),
    sign("publish token timeout", &[Call(token_timeout)]).without("Client"),
    sign("token reply code", &[Call(reply_code)]),
    sign("Device bind success!", &[Call(bind_over)]),
    sign("WIFI_MQTT_CONNECT_SUCCESS", &[Call(bind_over)]),
    sign("Device bind failed", &[Call(|t, hit| t.consequence(hit.line, "bind.not_started"))]),
    // Reports, commands, gateways.
    sign("$thing/up/property", &[Done(S::Report)]).needs("publish"),
    sign("$thing/up/event", &[Done(S::Report)]).needs("publish"),
    sign("$thing/up/raw", &[Done(S::Report)]).needs("publish"),
    sign("$log/", &[Done(S::Report)]).needs("publish"),
    sign("report_reply", &[Call(report_reply)]).anywhere(),
    sign("method\":\"control\"", &[Done(S::Command)]).anywhere(),
    sign("method\":\"action\"", &[Done(S::Command)]).anywhere(),
    sign("-203", &[Fault("report.no_reply")]).needs("eport"),
    sign("rc = -119", &[Fault("mqtt.message_too_large")]),
    sign("rc = -107", &[Fault("mqtt.too_many_subscriptions")]),
    sign("online result ", &[Call(gateway)]),
    sign("bind result ", &[Call(gateway_bind)]),
    sign("loop max count, time out", &[Fault("gateway.no_reply")]),
    // Upgrades.
    sign("to download FW from offset", &[Start(S::Ota), Call(|t, hit| t.memo.upgrade = Some(hit.line.number))]),
    sign("The firmware is valid", &[Done(S::Ota), Call(upgraded)]),
    sign("The firmware is invalid", &[Fault("ota.integrity_failed"), Call(|t, _| t.memo.upgrade = None)]),
    sign("download fail rc=", &[Call(download_failed)]),
    sign("Connection error rc = ", &[Call(download_failed)]),
    sign("OTA download start err", &[Call(|t, hit| ota_host(t, hit.line))]),
    sign("fetch firmware failed", &[Call(|t, hit| ota_host(t, hit.line))]),
    sign("key in json", &[Fault("ota.message_field_missing")]).needs("Not '"),
    sign("Report version failed", &[Fault("ota.version_report_rejected")]),
    sign("OTA failed!", &[Call(|t, hit| t.consequence(hit.line, "ota.download_failed"))]),
];

/// Returns the SDK id with its version line.
pub(super) fn sdk(tracker: &Tracker) -> &'static str {
    let newer = tracker.proved(V32)
        || tracker.version.as_deref().is_some_and(|version| version.starts_with("3.2"));
    if newer { "tencent-iot-explorer-c-3.2" } else { "tencent-iot-explorer-c-3.1" }
}

/// `LVL|date|file.c|function(line): text`.
fn record(tracker: &mut Tracker, hit: &Hit<'_>) {
    let before = hit.line.text.get(..hit.at).unwrap_or_default().as_bytes();
    let level = |at: usize| {
        let name = at.checked_sub(3).map_or(&before[..0], |from| &before[from..at]);
        matches!(name, b"ERR" | b"WRN" | b"INF" | b"DBG")
    };
    let mut bars = memchr::memchr_iter(b'|', before);
    if bars.any(level) && bars.next().is_some() {
        tracker.prove(SDK);
    }
}

fn version(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.prove(SDK);
    tracker.version = Some(hit.word().to_owned()).filter(|version| !version.is_empty());
}

fn device_name(hit: &Hit<'_>) -> Option<String> {
    let (_, name) = hit.rest().split_once("Device_Name:")?;
    Some(super::word(name).to_owned())
}

fn head(text: &str) -> String {
    text.chars().take(400).collect()
}

fn released(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.memo.connected = false;
    token_open(tracker, hit.line);
}

fn certificate_build(tracker: &mut Tracker, _: &Hit<'_>) {
    tracker.memo.certificate = true;
}

fn certificate_missing(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.memo.certificate = true;
    tracker.attempt_fault("tls.client_cert_missing", hit.line);
}

fn phone_data(tracker: &mut Tracker, hit: &Hit<'_>) {
    if hit.line.text.contains("Received ") {
        tracker.memo.set("phone");
    }
}

fn credentials(tracker: &mut Tracker, hit: &Hit<'_>) {
    let qr = tracker.started_at(S::ProvisionQr) > 0;
    let radio = tracker.started_at(S::ProvisionRadio) > 0;
    let stage = match (qr, radio) {
        (true, _) => S::ProvisionQr,
        (false, true) => S::ProvisionRadio,
        (false, false) => S::ProvisionSoftap,
    };
    tracker.done(stage, hit.line);
    tracker.start(S::WifiJoin, hit.line);
}

/// A function of the sample adapter that nobody filled in (S2 §3).
fn stub(tracker: &mut Tracker, hit: &Hit<'_>) {
    let adapter = ["HAL_Wifi", "HAL_BT", "wifi_adapter", "HAL_Airkiss", "smart_config"];
    if adapter.iter().any(|part| hit.line.text.contains(part)) {
        let _ = tracker.suspect("build.hal_not_ported", LIKELY, hit.line);
    }
}

fn joined(tracker: &mut Tracker, _: &Hit<'_>) {
    tracker.memo.waits = 0;
    tracker.memo.set("joined");
}

fn bad_json(tracker: &mut Tracker, hit: &Hit<'_>) {
    let text = hit.line.text;
    if text.contains("_app_handle_recv_data") || text.contains("comm_service") {
        bad_request(tracker, hit);
    } else if text.contains("device_bind") {
        tracker.fault("bind.token_reply_malformed", hit.line);
    }
}

/// One bad datagram is a side issue: the service goes on. Two are an app that cannot.
fn bad_request(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.side("provision.request_invalid", hit.line);
    if let Some(fault) = tracker.faults.iter_mut().find(|f| f.code == "provision.request_invalid") {
        fault.side = fault.count < 2;
    }
}

fn missing_field(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.has_fault("provision.request_invalid") {
        return bad_request(tracker, hit);
    }
    tracker.fault("provision.request_missing_field", hit.line);
}

/// The error record of provisioning: `text (id, sub)` (Tencent §13.3).
fn boarding(tracker: &mut Tracker, hit: &Hit<'_>) {
    let numbers = hit.rest().rsplit_once('(').map_or("", |(_, numbers)| numbers);
    let Some(id) = int(numbers) else { return };
    let sub = numbers.split_once(',').and_then(|(_, sub)| int(sub)).unwrap_or(0);
    let line = hit.line;
    let code = match id {
        // The reason stands in the line above.
        2 => return tracker.evidence("provision.request_invalid", line),
        3 => "provision.stopped",
        4 | 5 => "provision.resource",
        6 | 8 => "provision.radio_start_failed",
        7 => "provision.softap_start_failed",
        9 | 10 | 12 => return router(tracker, sub, line),
        11 => "wifi.disconnected",
        13 | 14 => "provision.radio_timeout",
        16 if sub == 98 => "lan.port_in_use",
        15..=22 => "provision.softap_start_failed",
        23 if sub == -1002 => "provision.token_missing",
        23 => return token_timeout(tracker, hit),
        24 if sub == 201 => "bind.token_reply_malformed",
        24 => "bind.token_refused",
        // 1: the MQTT connection failed; the cause stands above.
        _ => return tracker.consequence(line, "mqtt.connect_failed"),
    };
    if code == "bind.token_refused" && token_refused_known(tracker) {
        return tracker.consequence(line, code);
    }
    tracker.fault(code, line);
}

fn token_refused_known(tracker: &Tracker) -> bool {
    [
        "bind.token_refused",
        "bind.token_expired",
        "bind.token_already_used",
        "bind.token_unknown",
        "bind.token_reply_malformed",
    ]
    .iter()
    .any(|code| tracker.has_fault(code))
}

/// The reason of the Wi-Fi driver (IEEE 802.11 and ESP numbers).
fn router(tracker: &mut Tracker, reason: i64, line: &Line<'_>) {
    let code = match reason {
        201 => "wifi.ap_not_found",
        2 | 15 | 202 | 204 => "wifi.auth_failed",
        _ => "wifi.join_failed",
    };
    tracker.fault(code, line);
}

fn name(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.memo.upgrade.is_some() {
        return ota_host(tracker, hit.line);
    }
    tracker.attempt_fault("dns.unresolved", hit.line);
}

fn tcp_failed(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.memo.upgrade.is_some() {
        return ota_host(tracker, hit.line);
    }
    if tracker.memo.attempt_failed && tracker.has_fault("dns.unresolved") {
        return tracker.consequence(hit.line, "tcp.connect_failed");
    }
    let known = hit
        .rest()
        .split_once("errno")
        .and_then(|(_, rest)| int(rest.trim_start_matches([':', ' '])));
    let code = known.and_then(shared::errno).or_else(|| shared::socket_text(hit.rest()));
    tracker.attempt_fault(code.unwrap_or("tcp.connect_failed"), hit.line);
}

fn tls_tcp_failed(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.memo.upgrade.is_some() {
        return ota_host(tracker, hit.line);
    }
    let errno = hit.rest().split_once("errno:").and_then(|(_, rest)| int(rest));
    match (hit.hex(), errno.and_then(shared::errno)) {
        (Some(0x0052), _) => tracker.attempt_fault("dns.unresolved", hit.line),
        (_, Some(code)) => tracker.attempt_fault(code, hit.line),
        (_, None) => tracker.attempt_fault("tcp.connect_failed", hit.line),
    }
}

fn tcp_up(tracker: &mut Tracker, _: &Hit<'_>) {
    tracker.memo.attempt_failed = false;
    tracker.memo.clear("closed");
}

fn handshake(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::Tls, hit.line);
    tracker.done(S::Tcp, hit.line);
    let registering = tracker.started_at(S::Dynreg) > tracker.done_at(S::Dynreg);
    let proof = match (registering, tracker.memo.certificate) {
        (true, _) => tls::Proof::Server,
        (false, true) => tls::Proof::Certificate,
        (false, false) => tls::Proof::Psk,
    };
    tls::fault(tracker, hit.hex().unwrap_or(0), proof, tls::Board::Large, hit.line);
}

/// Result codes of the registration service (Tencent §4.1); the message wins over the number.
fn register_refused(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::Dynreg, hit.line);
    let number = hit.int().unwrap_or(-1);
    let message = json(&tracker.memo.message, "message").unwrap_or_default().to_lowercase();
    let by_text = [
        ("signature", "dynreg.signature_rejected"),
        ("closed", "dynreg.disabled"),
        ("not open", "dynreg.disabled"),
        ("disable", "dynreg.disabled"),
        ("activ", "dynreg.already_active"),
        ("timestamp", "dynreg.time_window"),
        ("product not", "dynreg.product_unknown"),
        ("device not", "dynreg.device_unknown"),
    ];
    let by_number = match number {
        1004 => Some("dynreg.product_unknown"),
        1005 => Some("dynreg.disabled"),
        1006 => Some("dynreg.device_unknown"),
        1007 => Some("dynreg.signature_rejected"),
        1008 => Some("dynreg.time_window"),
        1021 => Some("dynreg.already_active"),
        _ => None,
    };
    let text = by_text.iter().find(|(part, _)| message.contains(part)).map(|(_, code)| *code);
    match text.or(by_number) {
        Some(code) => {
            let _ = tracker.suspect(code, LIKELY, hit.line);
        }
        None if number < 0 && http_known(tracker) => {
            tracker.consequence(hit.line, "http.response_invalid")
        }
        None if number < 0 => tracker.fault("http.response_invalid", hit.line),
        None => tracker.fault("dynreg.refused", hit.line),
    }
}

fn http_known(tracker: &Tracker) -> bool {
    tracker.faults.iter().any(|fault| fault.code.starts_with("http.") && !fault.healed)
}

/// Suspects a fault of HTTP at the stage that uses it now.
fn http(tracker: &mut Tracker, code: &'static str, line: &Line<'_>) {
    let stage = if tracker.memo.upgrade.is_some() { S::Ota } else { S::Dynreg };
    if let Some(fault) = tracker.suspect(code, LIKELY, line) {
        fault.stage = Some(stage);
        // The same answers have a code of their own where only the link to a firmware gives them.
        match (stage, code) {
            (S::Ota, "http.forbidden") => {
                fault.alternatives = vec!["ota.url_forbidden", "ota.finished_url_closed"];
            }
            (S::Ota, "http.not_found") => fault.alternatives = vec!["ota.url_not_found"],
            _ => {}
        }
    }
}

fn http_silent(tracker: &mut Tracker, hit: &Hit<'_>) {
    let wanted = tracker.memo.upgrade.is_some()
        || tracker.started_at(S::Dynreg) > tracker.done_at(S::Dynreg);
    if wanted {
        http(tracker, "http.no_response", hit.line);
    }
}

fn http_status(tracker: &mut Tracker, hit: &Hit<'_>) {
    match hit.int() {
        Some(403) => http(tracker, "http.forbidden", hit.line),
        Some(404) => http(tracker, "http.not_found", hit.line),
        Some(400..) => http(tracker, "http.status_error", hit.line),
        Some(_) | None => {}
    }
}

/// `mqtt connect with id: <connId> failed: <rc>`; an empty id means that CONNECT was never sent.
fn connect_result(tracker: &mut Tracker, hit: &Hit<'_>) {
    let rest = hit.rest();
    let line = hit.line;
    tracker.count_connect(line);
    if rest.ends_with("success") || rest.contains(" success") {
        let newer = line.text.contains("IOT_MQTT_Construct(13");
        if newer {
            tracker.prove(V32);
        }
        return tracker.session_up(line);
    }
    let Some((id, number)) = rest.split_once("failed:") else { return };
    let number = int(number).unwrap_or(-1001);
    if id.trim().is_empty() {
        if !tracker.memo.attempt_failed {
            let secret = tracker.has_fault("identity.secret_undecodable");
            if !secret {
                let _ = tracker.suspect("mqtt.connect_failed", SYMPTOM, line);
            }
        }
        return tracker.consequence(line, "mqtt.connect_failed");
    }
    tracker.start(S::MqttConnack, line);
    tracker.done(S::Tcp, line);
    match number {
        -111 => shared::connack_missing(tracker, line),
        -112 => tracker.fault("mqtt.connack_unknown_code", line),
        -117..=-113 => {
            if let Some(code) = shared::connack(-number - 112) {
                tracker.fault(code, line);
            }
        }
        -606..=-604 | -608 | -708 | -706 => tracker.fault("mqtt.closed_before_connack", line),
        _ if !tracker.memo.attempt_failed => tracker.fault("mqtt.connect_failed", line),
        _ => tracker.consequence(line, "mqtt.connect_failed"),
    }
}

fn lost(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.drop_session(hit.line);
}

fn subscribed(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::Subscribe, hit.line);
    if tracker.name.is_none()
        && let Some((_, topic)) = hit.line.text.split_once("topicName=")
    {
        let topic = topic.split('|').next().unwrap_or_default();
        let mut parts = topic.rsplit('/');
        if let (Some(device), Some(product)) = (parts.next(), parts.next()) {
            tracker.name = Some(format!("{product}/{device}"));
        }
    }
}

fn subscribe_timeout(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.has_fault("subscribe.refused") {
        return tracker.consequence(hit.line, "subscribe.timeout");
    }
    tracker.memo.timeouts += 1;
    tracker.fault("subscribe.timeout", hit.line);
}

fn subscribe_late(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.memo.timeouts > 0 && tracker.has_fault("subscribe.timeout") {
        tracker.retract("subscribe.timeout");
        let _ = tracker.suspect("subscribe.late", LIKELY, hit.line);
    }
}

fn token_published(tracker: &mut Tracker, hit: &Hit<'_>) {
    let Some((_, id)) = hit.line.text.split_once("publish topic seq=") else { return };
    tracker.start(S::TokenReport, hit.line);
    tracker.memo.token_id = int(id);
    tracker.memo.token_quote = Some((hit.line.number, head(hit.line.text)));
    tracker.memo.token_ms = hit.line.time().map(|stamp| stamp.ms);
    tracker.memo.token_acked = false;
    tracker.memo.token_replied = false;
}

fn puback(tracker: &mut Tracker, hit: &Hit<'_>) {
    if hit.int().is_some() && hit.int() == tracker.memo.token_id {
        tracker.memo.token_acked = true;
        tracker.done(S::TokenReport, hit.line);
        tracker.start(S::TokenReply, hit.line);
        tracker.heal("bind.token_publish_unacked");
    }
}

fn publish_timeout(tracker: &mut Tracker, hit: &Hit<'_>) {
    let id = hit.int();
    if id.is_some() && id == tracker.memo.token_id {
        let _ = tracker.suspect("bind.token_publish_unacked", LIKELY, hit.line);
    } else {
        tracker.fault("mqtt.puback_timeout", hit.line);
    }
}

fn token_timeout(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.memo.token_replied || token_refused_known(tracker) {
        return tracker.consequence(hit.line, "bind.token_not_acknowledged");
    }
    if subscription_failed(tracker) {
        return tracker.consequence(hit.line, "subscribe.timeout");
    }
    let code = if tracker.memo.token_acked || tracker.done_at(S::TokenReport) > 0 {
        "bind.token_not_acknowledged"
    } else {
        "bind.token_publish_unacked"
    };
    let _ = tracker.suspect(code, LIKELY, hit.line);
}

fn subscription_failed(tracker: &Tracker) -> bool {
    tracker.has_fault("subscribe.refused") || tracker.has_fault("subscribe.timeout")
}

/// The reply to the token report; 2.0 devices print success whatever it says.
fn bind_reply(tracker: &mut Tracker, hit: &Hit<'_>) {
    let text = hit.line.text;
    let code = json(text, "code").and_then(int);
    if code.is_none() {
        return;
    }
    tracker.memo.token_replied = true;
    if code == Some(0) {
        tracker.done(S::TokenReply, hit.line);
        tracker.done(S::Bind, hit.line);
        return;
    }
    refused(tracker, json(text, "status").unwrap_or_default(), hit.line);
}

fn reply_code(tracker: &mut Tracker, hit: &Hit<'_>) {
    let number = int(hit.rest().trim_start_matches([' ', '=', ':']));
    match number {
        Some(0) => {
            tracker.memo.token_replied = true;
            tracker.done(S::TokenReply, hit.line);
        }
        Some(_) if token_refused_known(tracker) => {
            tracker.consequence(hit.line, "bind.token_refused")
        }
        Some(_) => refused(tracker, "", hit.line),
        None => {}
    }
}

fn refused(tracker: &mut Tracker, status: &str, line: &Line<'_>) {
    tracker.memo.token_replied = true;
    let status = status.to_lowercase();
    let code = match status.as_str() {
        text if text.contains("expire") => "bind.token_expired",
        text if text.contains("used") || text.contains("already") => "bind.token_already_used",
        text if text.contains("not exist") || text.contains("unknown") => "bind.token_unknown",
        _ => "bind.token_refused",
    };
    let _ =
        tracker.suspect(code, if code == "bind.token_refused" { SYMPTOM } else { LIKELY }, line);
}

/// The device prints success: only a reply with code 0 makes it true.
fn bind_over(tracker: &mut Tracker, hit: &Hit<'_>) {
    token_open(tracker, hit.line);
}

/// The binding phase ends: a token that was published must have been answered.
fn token_open(tracker: &mut Tracker, line: &Line<'_>) {
    let memo = &tracker.memo;
    if memo.token_replied || token_refused_known(tracker) {
        return;
    }
    let Some((number, text)) = memo.token_quote.clone() else { return };
    let code = match (memo.token_acked, tracker.has_fault("bind.token_publish_unacked")) {
        (true, _) => "bind.token_not_acknowledged",
        (false, false) => "bind.token_publish_unacked",
        (false, true) => return,
    };
    if subscription_failed(tracker) {
        return;
    }
    tracker.memo.token_replied = true;
    let _ = tracker.suspect_quoted(code, LIKELY, number, &text);
    tracker.evidence(code, line);
}

fn report_reply(tracker: &mut Tracker, hit: &Hit<'_>) {
    match json(hit.line.text, "code").and_then(int) {
        Some(0) => tracker.done(S::Report, hit.line),
        Some(_) => {
            let _ = tracker.suspect("report.rejected", LIKELY, hit.line);
        }
        None => {}
    }
}

fn gateway(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::Gateway, hit.line);
    match hit.int() {
        Some(0) => tracker.done(S::Gateway, hit.line),
        Some(number) => gateway_refused(tracker, number, hit.line),
        None => {}
    }
}

fn gateway_bind(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::Gateway, hit.line);
    if let Some(number) = hit.int().filter(|number| !matches!(number, 0 | -809)) {
        gateway_refused(tracker, number, hit.line);
    }
}

fn gateway_refused(tracker: &mut Tracker, number: i64, line: &Line<'_>) {
    let code = match number {
        -802 => "gateway.subdevice_unknown",
        -803 | -805 => "gateway.bind_signature",
        -806 => "gateway.bound_elsewhere",
        _ => "gateway.subdevice_refused",
    };
    tracker.fault(code, line);
}

fn upgraded(tracker: &mut Tracker, _: &Hit<'_>) {
    tracker.memo.upgrade = None;
    for code in [
        "ota.download_connection_lost",
        "ota.integrity_failed",
        "ota.server_unreachable",
        "http.not_found",
        "http.forbidden",
        "http.no_response",
    ] {
        tracker.heal(code);
    }
}

fn ota_host(tracker: &mut Tracker, line: &Line<'_>) {
    if http_known(tracker) {
        return tracker.consequence(line, "ota.server_unreachable");
    }
    let _ = tracker.suspect("ota.server_unreachable", LIKELY, line);
}

fn download_failed(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.memo.upgrade.is_none() {
        return;
    }
    match hit.int() {
        Some(-608..=-604 | -709..=-705) => tracker.fault("ota.download_connection_lost", hit.line),
        Some(_) if tracker.faults.iter().any(|f| f.stage == Some(S::Ota) && !f.healed) => {
            tracker.consequence(hit.line, "ota.download_failed");
        }
        Some(_) | None => tracker.fault("ota.download_failed", hit.line),
    }
}

/// Phone waits of the firmware, seconds printed once each (Tencent §13.5, rule 10).
const PHONE_WAIT: u32 = 290;
/// Waits after the join that show that no bind task runs.
const RACE_WAITS: u32 = 5;
/// The reply to a token is late after this, milliseconds.
const REPLY_LATE_MS: i64 = 10_000;

/// A provisioned device that is connected reports its token before this, milliseconds.
const TOKEN_LATE_MS: i64 = 60_000;

/// Decides by absence.
pub(super) fn finish(tracker: &mut Tracker) {
    let memo = &tracker.memo;
    let line = tracker.last_line;
    if memo.has("joined") && !memo.has("bind") && memo.waits >= RACE_WAITS {
        let code = if memo.has("task") { "bind.not_started" } else { "provision.task_race" };
        let at = tracker.done_at(S::WifiJoin);
        let text = "wifi_sta_connect success, then only `wait wifi config result...`";
        let _ = tracker.suspect_quoted(code, SYMPTOM, if at > 0 { at } else { line }, text);
        return;
    }
    let waiting = tracker.started_at(S::ProvisionSoftap);
    if waiting > 0
        && !memo.has("phone")
        && tracker.done_at(S::ProvisionSoftap) == 0
        && memo.waits >= PHONE_WAIT
    {
        let text = "the hotspot is up, and no message of a phone follows";
        let _ = tracker.suspect_quoted("provision.no_credentials", ABSENCE, waiting, text);
    }
    let radio = tracker.started_at(S::ProvisionRadio);
    let answered = tracker.faults.iter().any(|f| f.code.starts_with("provision."));
    if radio > 0
        && tracker.done_at(S::ProvisionRadio) == 0
        && waiting == 0
        && tracker.memo.waits >= PHONE_WAIT
        && !answered
    {
        let text = "provisioning starts, and the driver says nothing until the end";
        if let Some(fault) = tracker.suspect_quoted("build.hal_not_ported", SYMPTOM, radio, text) {
            fault.alternatives = vec!["provision.radio_timeout", "provision.radio_start_failed"];
        }
    }
    tracker.token_missing(TOKEN_LATE_MS);
    let late = match (tracker.memo.token_ms, tracker.last_ms) {
        (Some(sent), Some(last)) => last - sent > REPLY_LATE_MS,
        _ => false,
    };
    if late {
        let number = tracker.last_line;
        token_open(tracker, &Line::new(number, "", ""));
        tracker
            .faults
            .iter_mut()
            .for_each(|fault| fault.quotes.retain(|quote| !quote.text.is_empty()));
    }
}
