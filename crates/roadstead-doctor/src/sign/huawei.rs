//! Signs of the IoTDA device SDKs: C, Python, Tiny (MQTT and LwM2M), Java.
//!
//! Source: Huawei §2.3 (numbers), §4 (bootstrap), §6 (LwM2M), §19 (rules of seed S4). In the Tiny
//! SDK `recode` counts CONNACK codes from 3, so 4 there is not CONNACK 4.

use super::{Act, Hit, Sign, alibaba::prefer, int, shared, sign, tls, word};
use crate::Stage as S;
use crate::input::Line;
use crate::tracker::{ABSENCE, EARLY_END, LIKELY, SYMPTOM, Tracker};
use Act::{Boot, Call, Done, Fault, Start, Strong, Weak};

const C: &str = "huawei-c";
const PYTHON: &str = "huawei-python";
const TINY: &str = "huawei-tiny";
const JAVA: &str = "huawei-java";
const STACK: &str = "java";
const TOPIC: &str = "huawei";

#[rustfmt::skip] // a table
pub(super) static SIGNS: &[Sign] = &[
    // Recognition and start.
    sign("MqttBase_", &[Strong(C)]),
    sign("iota_datatrans", &[Strong(C)]),
    sign("DataTrans:", &[Strong(C)]),
    sign("auth mode: _", &[Weak(C), Call(user)]),
    sign("$oc/devices/", &[Weak(TOPIC)]),
    sign("mqtt_connection.py[", &[Strong(PYTHON)]),
    sign("iot_device_sdk_python", &[Strong(PYTHON)]),
    sign("linkmain:V", &[Strong(TINY), Boot, Call(|t, hit| t.version = Some(hit.word().to_owned()))]),
    sign("oc_mqtt_connect:", &[Strong(TINY)]),
    sign("hub_step:", &[Strong(TINY)]),
    sign("IOT_LINK:DO", &[Strong(TINY), Call(feature)]),
    sign("mbedtls_ssl_handshake", &[Call(handshake)]),
    sign("[lwm2m_init", &[Strong(TINY), Boot]),
    sign("lwm2m_step:", &[Strong(TINY)]),
    sign("registration_step:", &[Strong(TINY)]),
    sign("com.huaweicloud.sdk.iot", &[Strong(JAVA)]),
    sign("MqttBase_setConnOptsByClientCreate() ", &[Boot, Call(certificate)]),
    // Build and start (S4 ch4).
    sign("cannot open shared object file", &[Call(library)]),
    sign("please implement mqtt by yourself", &[Strong(TINY), Fault("build.mqtt_not_ported")]),
    sign("please implement this function by yourself", &[Strong(TINY), Fault("build.tcpip_not_ported")]),
    sign("UnsupportedClassVersionError", &[Weak(STACK), Call(java_runtime)]),
    sign("mvn: command not found", &[Weak(STACK), Fault("build.runtime_missing")]),
    sign("'mvn' is not recognized", &[Weak(STACK), Fault("build.runtime_missing")]),
    sign("iot-device-sdk-java", &[Weak(JAVA)]),
    sign("ca file is NOT accessible", &[Fault("tls.ca_file_missing")]),
    sign("cert file or key file is NOT accessible", &[Fault("tls.client_cert_missing")]),
    sign("can not be NULL", &[Call(missing)]),
    // C.
    sign("server_address = ", &[Call(address)]),
    sign("serverAddrUrl ", &[Call(address), Start(S::Tcp)]),
    sign("OnConnectFailure() error", &[Call(c_failure)]),
    sign("MqttBase_OnConnectSuccess", &[Call(up)]),
    sign("OnConnectionLost", &[Call(|t, hit| t.drop_session(hit.line))]),
    sign("MqttBase_subscribe(), topic", &[Start(S::Subscribe)]),
    sign("OnSubscribeSuccess", &[Done(S::Subscribe)]),
    sign("OnSubscribeFailure", &[Fault("subscribe.failed")]),
    sign("messageId -12", &[Call(buffer_full)]),
    sign("result -12", &[Call(buffer_full)]),
    sign("IOTA_Bootstrap()", &[Start(S::Dispatch)]),
    sign("/sys/bootstrap/up", &[Start(S::Dispatch)]),
    sign("/sys/bootstrap/down, payload", &[Done(S::Dispatch)]),
    sign("bootstrap address=", &[Done(S::Dispatch)]),
    // Python.
    sign("try to connect to ", &[Start(S::Tcp), Call(attempt)]),
    sign("connect success. address", &[Call(up)]),
    sign("connected with result code", &[Call(result_text)]).without("disconnected"),
    sign("connect failed with result code", &[Call(result_text)]),
    sign("connect with result code", &[Call(result_text)]),
    sign("mqtt connection lost", &[Call(|t, hit| t.drop_session(hit.line))]),
    sign("disconnected with result code", &[Call(|t, hit| t.consequence(hit.line, "mqtt.connect_failed"))]),
    sign("Connection refused", &[Call(socket)]),
    sign("onnection timed out", &[Call(socket)]),
    sign("No route to host", &[Call(socket)]),
    sign("etwork is unreachable", &[Call(socket)]),
    sign("gaierror", &[Call(socket)]),
    sign("Name or service not known", &[Call(socket)]),
    sign("failure in name resolution", &[Call(socket)]),
    sign("getaddrinfo failed", &[Call(socket)]),
    sign("CERTIFICATE_VERIFY_FAILED", &[Call(verify)]),
    sign("WRONG_VERSION_NUMBER", &[Fault("tls.not_tls_port")]),
    sign("KEY_VALUES_MISMATCH", &[Fault("tls.client_key_mismatch")]),
    sign("key values mismatch", &[Fault("tls.client_key_mismatch")]),
    // Tiny.
    sign("oc_mqtt_connect:server:", &[Start(S::Tcp), Call(tiny_server)]),
    sign("oc_mqtt_connect:recode:", &[Call(tiny_connect)]),
    sign("oc_mqtt_connect:rcode:", &[Call(tiny_connect)]),
    sign("oc_mqtt_connect:retcode:", &[Call(tiny_connect)]),
    sign("subscribe:retcode:", &[Call(tiny_subscribe)]),
    sign("subscribe:rcode:", &[Call(tiny_subscribe)]),
    sign("subscribe:recode:", &[Call(tiny_subscribe)]),
    sign("subscribe:topic:", &[Start(S::Subscribe), Call(|t, hit| t.memo.topic = hit.line.text.to_owned())]),
    sign("PAHO_EXIT_NOW", &[Call(loop_exit)]),
    // Tiny over LwM2M.
    sign("STATE_REGISTERING", &[Start(S::Lwm2mRegister)]),
    sign("Registration successful", &[Done(S::Lwm2mRegister), Call(registered)]),
    sign("STATE_READY", &[Done(S::Lwm2mRegister), Call(registered)]),
    sign("Registration attempt failed", &[Fault("lwm2m.register_refused")]),
    sign("Parsed: ver", &[Call(coap_answer)]),
    sign("[transaction_send:", &[Call(transaction)]),
    sign("handshake succeed", &[Done(S::Tls)]),
    sign("/19/0/0", &[Done(S::Report)]).needs("dm_handleRequest"),
    sign("/19/1/0", &[Done(S::Command)]),
    sign("report rc=", &[Call(report_failed)]),
    sign("report ret:", &[Call(report_failed)]),
    // Upgrades: the texts of the HTTP library of the Python SDK.
    sign("upgrade_progress_report", &[Call(|t, _| t.memo.set("upgraded"))]).anywhere(),
    sign("403 Client Error: Forbidden for url", &[Call(link_closed)]),
    sign("404 Client Error: Not Found for url", &[Start(S::Ota), Fault("ota.url_not_found")]),
    // Java.
    sign("PKIX path building failed", &[Strong(STACK), Fault("tls.server_cert_untrusted")]),
    sign("Too many publishes in progress", &[Strong(STACK), Fault("mqtt.too_many_inflight")]),
    // Traffic.
    sign("/sys/properties/report", &[Done(S::Report)]),
    sign("/sys/messages/up", &[Done(S::Report)]),
    sign("/sys/commands/request_id=", &[Call(command)]).anywhere(),
    sign("/sys/commands/response/request_id=", &[Call(response)]).anywhere(),
];

/// What the build of Tiny brings along: `IOT_LINK:DO <name> LOAD-IMPLEMENT RET:0`.
fn feature(tracker: &mut Tracker, hit: &Hit<'_>) {
    let name = hit.rest().trim_start();
    for (known, flag) in [("TCP/IP", "has tcpip"), ("DTLS", "has dtls")] {
        if name.starts_with(known) && hit.line.text.trim_end().ends_with("RET:0") {
            tracker.memo.set(flag);
        }
    }
}

/// The network needs what the build did not bring along (S4 ch4, Tiny 8).
fn feature_missing(tracker: &Tracker) -> bool {
    let memo = &tracker.memo;
    let secure = memo.port == Some(TLS_PORT);
    // Ports without the network layer of the SDK say nothing about either.
    memo.has("has tcpip") && secure && !memo.has("has dtls")
}

/// A port without TLS and a buffer that is too small print the same number.
fn handshake(tracker: &mut Tracker, hit: &Hit<'_>) {
    let number = hit.rest().split_once("-0x").and_then(|(_, rest)| super::hex(rest));
    if let Some(number) = number {
        tls::fault(tracker, number, tls::Proof::Server, tls::Board::Unknown, hit.line);
    }
}

fn report_failed(tracker: &mut Tracker, hit: &Hit<'_>) {
    match hit.int() {
        Some(0) => tracker.heal("report.failed"),
        Some(_) => tracker.fault("report.failed", hit.line),
        None => {}
    }
}

/// The link lives 24 h, and ends when the result was reported (S4 ch13).
fn link_closed(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::Ota, hit.line);
    let after = tracker.memo.has("upgraded");
    tracker.fault(if after { "ota.finished_url_closed" } else { "ota.url_forbidden" }, hit.line);
}

/// Returns vendor and SDK.
pub(super) fn name(tracker: &Tracker) -> (Option<&'static str>, Option<&'static str>) {
    let vendor = Some("huawei");
    let strong = |sdk| tracker.proved(sdk);
    for sdk in [C, PYTHON, TINY, JAVA] {
        if strong(sdk) {
            return (vendor, Some(sdk));
        }
    }
    if tracker.weak.values().any(|sdk| [C, TOPIC].contains(sdk)) {
        return (vendor, Some(C));
    }
    (None, Some(JAVA))
}

fn user(tracker: &mut Tracker, hit: &Hit<'_>) {
    if let Some((_, name)) = hit.line.text.split_once("username: ") {
        tracker.name = Some(word(name).to_owned());
    }
}

fn certificate(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.memo.certificate = hit.rest().starts_with("cert");
}

fn library(tracker: &mut Tracker, hit: &Hit<'_>) {
    let ours = ["ssl", "crypto", "paho", "boundscheck", "HW_MQTT"];
    if ours.iter().any(|part| hit.line.text.contains(part)) {
        tracker.prove(C);
        tracker.fault("build.library_missing", hit.line);
    }
}

fn java_runtime(tracker: &mut Tracker, hit: &Hit<'_>) {
    if hit.line.text.contains("com/huaweicloud/sdk/iot") {
        tracker.prove(JAVA);
    }
    tracker.fault("build.runtime_missing", hit.line);
}

fn missing(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.has_fault("tls.ca_file_missing") || tracker.has_fault("tls.client_cert_missing") {
        return tracker.consequence(hit.line, "identity.missing");
    }
    tracker.fault("identity.missing", hit.line);
}

fn address(tracker: &mut Tracker, hit: &Hit<'_>) {
    let url = hit.rest().trim();
    tracker.memo.secure = url.starts_with("ssl") || url.starts_with("mqtts");
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split([',', ' ']).next().unwrap_or_default();
    let (name, port) = host.rsplit_once(':').unwrap_or((host, ""));
    tracker.memo.host = name.to_owned();
    tracker.memo.port = int(port);
}

fn attempt(tracker: &mut Tracker, hit: &Hit<'_>) {
    address(tracker, hit);
    tracker.memo.attempt_failed = false;
    tracker.count_connect(hit.line);
    if tracker.boots == 0 {
        tracker.boot(hit.line);
    }
}

fn up(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.session_up(hit.line);
}

/// `code n, message m` of the asynchronous client.
fn c_failure(tracker: &mut Tracker, hit: &Hit<'_>) {
    let text = hit.rest();
    let line = hit.line;
    let Some(code) = text.split_once("code ").and_then(|(_, rest)| int(rest)) else { return };
    if let Some(code) = shared::connack(code) {
        tracker.start(S::MqttConnack, line);
        tracker.done(S::Tcp, line);
        return tracker.attempt_fault(code, line);
    }
    if text.contains("connect failure") {
        return no_connection(tracker, line);
    }
    match text {
        text if text.contains("(null)") || text.contains("NULL") => {
            tracker.attempt_fault("dns.unresolved", line);
        }
        text if text.contains("completion failure") => {
            tracker.done(S::Tcp, line);
            tracker.start(S::MqttConnack, line);
            let plain = !tracker.memo.secure && tracker.memo.port == Some(TLS_PORT);
            tracker.attempt_fault(
                if plain { "tls.plain_to_tls_port" } else { "mqtt.closed_before_connack" },
                line,
            );
        }
        text if text.contains("timeout") || text.contains("timed out") => {
            tracker.done(S::Tcp, line);
            shared::connack_missing(tracker, line);
        }
        _ => tracker.attempt_fault("mqtt.connect_failed", line),
    }
}

/// The client does not tell TCP from TLS.
fn no_connection(tracker: &mut Tracker, line: &Line<'_>) {
    let secure = tracker.memo.secure;
    let mutual = tracker.memo.certificate;
    tracker.attempt_fault(if secure { "tls.connect_failed" } else { "tcp.connect_failed" }, line);
    ports(tracker);
    if mutual
        && let Some(fault) = tracker.faults.iter_mut().find(|f| f.code == "tls.connect_failed")
    {
        prefer(&mut fault.alternatives, "tls.client_cert_rejected");
        prefer(&mut fault.alternatives, "tls.client_key_mismatch");
    }
}

/// The port of MQTT over TLS.
const TLS_PORT: i64 = 8883;
/// Ports of the platform (Huawei §2.1).
const PORTS: &[i64] = &[80, 443, 1883, 8883, 5683, 5684];

/// Refines a failed connection by what was dialled.
fn ports(tracker: &mut Tracker) {
    let unusual = tracker.memo.port.is_some_and(|port| !PORTS.contains(&port));
    let literal = tracker.memo.host.parse::<std::net::IpAddr>().is_ok();
    if unusual && tracker.memo.host.ends_with(".myhuaweicloud.com") {
        return tracker.rename("tcp.connect_failed", "tcp.wrong_port");
    }
    let Some(fault) = tracker.faults.iter_mut().find(|f| f.code == "tcp.connect_failed") else {
        return;
    };
    if !literal && !fault.alternatives.contains(&"dns.unresolved") {
        fault.alternatives.push("dns.unresolved");
    }
    if unusual {
        prefer(&mut fault.alternatives, "tcp.wrong_port");
    }
}

/// The reason text or number of the Python client.
fn result_text(tracker: &mut Tracker, hit: &Hit<'_>) {
    let text = hit.rest().trim_start_matches([':', ' ']);
    let lower = text.to_lowercase();
    let known = [
        ("bad user", "mqtt.bad_credentials"),
        ("not authori", "mqtt.not_authorised"),
        ("identifier", "mqtt.client_id_rejected"),
        ("unavailable", "mqtt.server_unavailable"),
        ("protocol", "mqtt.protocol_refused"),
    ];
    let by_text = known.iter().find(|(part, _)| lower.contains(part)).map(|(_, code)| *code);
    match by_text.or_else(|| int(text).and_then(shared::connack)) {
        Some(code) => {
            tracker.start(S::MqttConnack, hit.line);
            tracker.done(S::Tcp, hit.line);
            tracker.attempt_fault(code, hit.line);
        }
        None if lower.starts_with("success") || text.starts_with('0') => {}
        None if !tracker.memo.attempt_failed => {
            tracker.attempt_fault("mqtt.connect_failed", hit.line)
        }
        None => tracker.consequence(hit.line, "mqtt.connect_failed"),
    }
}

fn socket(tracker: &mut Tracker, hit: &Hit<'_>) {
    let text = hit.line.text;
    let name = ["gaierror", "Name or service", "name resolution", "getaddrinfo failed"];
    if name.iter().any(|part| text.contains(part)) {
        return tracker.attempt_fault("dns.unresolved", hit.line);
    }
    if let Some(code) = shared::socket_text(text) {
        tracker.attempt_fault(code, hit.line);
    }
}

fn verify(tracker: &mut Tracker, hit: &Hit<'_>) {
    let text = hit.line.text;
    let code = match text {
        text if text.contains("expired") => "tls.server_cert_expired",
        text if text.contains("not yet valid") && tls::before_sale(hit.line) => "clock.wrong",
        text if text.contains("not yet valid") => "tls.server_cert_not_yet_valid",
        text if text.contains("mismatch") => "tls.server_cert_name_mismatch",
        _ => "tls.server_cert_untrusted",
    };
    tracker.attempt_fault(code, hit.line);
}

fn tiny_server(tracker: &mut Tracker, hit: &Hit<'_>) {
    let rest = hit.rest();
    tracker.memo.host = word(rest).to_owned();
    tracker.memo.port = rest.split_once("port:").and_then(|(_, port)| int(port));
    tracker.memo.attempt_failed = false;
    tracker.count_connect(hit.line);
}

/// 0 success, 2 network, 3…7 CONNACK 1…5, 8 subscribe (Huawei §2.3).
fn tiny_connect(tracker: &mut Tracker, hit: &Hit<'_>) {
    let line = hit.line;
    match hit.int() {
        Some(0) => tracker.session_up(line),
        Some(2) if feature_missing(tracker) => {
            let _ = tracker.suspect("build.feature_disabled", LIKELY, line);
        }
        Some(2) => {
            tracker.attempt_fault("tcp.connect_failed", line);
            ports(tracker);
        }
        Some(code @ 3..=7) => {
            tracker.start(S::MqttConnack, line);
            tracker.done(S::Tcp, line);
            if let Some(code) = shared::connack(code - 2) {
                tracker.attempt_fault(code, line);
            }
        }
        Some(8) => tracker.fault("subscribe.failed", line),
        Some(_) => tracker.attempt_fault("mqtt.connect_failed", line),
        None => {}
    }
}

fn tiny_subscribe(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.memo.topic.clear();
    match hit.int() {
        Some(0) => tracker.done(S::Subscribe, hit.line),
        Some(_) => tracker.fault("subscribe.failed", hit.line),
        None => {}
    }
}

fn loop_exit(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.has_fault("subscribe.failed") {
        return tracker.consequence(hit.line, "mqtt.no_auto_reconnect");
    }
    tracker.memo.connected = false;
    tracker.fault("mqtt.no_auto_reconnect", hit.line);
}

fn buffer_full(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.memo.drops > 0 {
        return tracker.consequence(hit.line, "mqtt.publish_buffer_full");
    }
    tracker.fault("mqtt.publish_buffer_full", hit.line);
}

fn registered(tracker: &mut Tracker, _: &Hit<'_>) {
    tracker.memo.sends = 0;
    tracker.memo.connected = true;
    tracker.heal("lwm2m.register_timeout");
}

fn coap_answer(tracker: &mut Tracker, hit: &Hit<'_>) {
    let registering = tracker.started_at(S::Lwm2mRegister) > tracker.done_at(S::Lwm2mRegister);
    let Some((_, code)) = hit.rest().split_once("code ") else { return };
    if registering && code.starts_with("4.") {
        let _ = tracker.suspect("lwm2m.register_refused", LIKELY, hit.line);
    }
}

/// Sends of the registration without an answer that count as silence.
const SENDS_UNANSWERED: u32 = 2;

fn transaction(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.done_at(S::Lwm2mRegister) > 0 || tracker.started_at(S::Lwm2mRegister) == 0 {
        return;
    }
    tracker.memo.sends += 1;
    if tracker.memo.sends >= SENDS_UNANSWERED && !tracker.has_fault("lwm2m.register_refused") {
        let _ = tracker.suspect("lwm2m.register_timeout", LIKELY, hit.line);
    }
}

/// Commands remembered while they wait for their answers.
const COMMANDS_MAX: usize = 16;

fn request_id<'a>(hit: &Hit<'a>) -> &'a str {
    let id = hit.rest();
    id.split([',', ' ', '"', '\'', '?', ')', '}']).next().unwrap_or_default()
}

fn command(tracker: &mut Tracker, hit: &Hit<'_>) {
    if hit.line.text.contains("subscribe") {
        return;
    }
    tracker.start(S::Command, hit.line);
    let id = request_id(hit).to_owned();
    let open = &mut tracker.memo.commands;
    if open.iter().any(|(known, ..)| *known == id) {
        return;
    }
    if open.len() >= COMMANDS_MAX {
        open.remove(0);
    }
    let ms = hit.line.time().map(|stamp| stamp.ms);
    open.push((id, hit.line.number, ms, hit.line.text.chars().take(300).collect()));
}

fn response(tracker: &mut Tracker, hit: &Hit<'_>) {
    let id = request_id(hit);
    tracker.done(S::Command, hit.line);
    let open = &mut tracker.memo.commands;
    if let Some(at) = open.iter().position(|(known, ..)| known == id) {
        open.remove(at);
    } else if !open.is_empty() && !id.is_empty() {
        open.clear();
        let _ = tracker.suspect("command.request_id_mismatch", LIKELY, hit.line);
    }
}

/// A synchronous command is answered within this time, milliseconds (Huawei §3.5).
const COMMAND_MS: i64 = 20_000;

/// Decides by absence.
pub(super) fn finish(tracker: &mut Tracker) {
    if let Some((_, number, sent, text)) = tracker.memo.commands.first().cloned() {
        let late =
            matches!((sent, tracker.last_ms), (Some(sent), Some(last)) if last - sent > COMMAND_MS);
        let confidence = if late { ABSENCE } else { EARLY_END };
        let _ = tracker.suspect_quoted("command.no_response", confidence, number, &text);
    }
    let stalled = tracker.memo.topic.contains("oc_mqtt_subscribe:topic:");
    if stalled && tracker.memo.port == Some(TLS_PORT) {
        let text = tracker.memo.topic.clone();
        let at = tracker.started_at(S::Subscribe);
        let _ = tracker.suspect_quoted("subscribe.loop_stalled", SYMPTOM, at, &text);
    }
}
