//! Signs of the GAgent module firmware.
//!
//! Source: GizWits §2.7, §3, §7; seed S3. This firmware prints CRITICAL for good news, answers 404
//! for "no new firmware", and prints no times.

use super::{Act, Hit, Sign, int, json, shared, sign};
use crate::Stage as S;
use crate::input::Line;
use crate::tracker::{ABSENCE, CERTAIN, LIKELY, SYMPTOM, Tracker};
use Act::{Boot, Call, Done, Fault, Name, Start, Strong, Weak};

const SDK: &str = "gizwits-gagent";

#[rustfmt::skip] // a table
pub(super) static SIGNS: &[Sign] = &[
    // Recognition and start.
    sign("GAgent_", &[Strong(SDK)]),
    sign("GAgent Start...", &[Strong(SDK), Start(S::Boot)]),
    sign("GAgent get local info", &[Strong(SDK)]),
    sign("XPG-GAgent-", &[Strong(SDK)]),
    sign("MQTT_STATUS_", &[Weak(SDK)]),
    sign("GAgent Cloud", &[Strong(SDK)]),
    sign("GAgentStatus", &[Strong(SDK)]),
    sign("wifiStatus :", &[Weak(SDK)]),
    sign("onboardingBroadCastTime", &[Weak(SDK)]),
    sign("m2m server is NULL!", &[Weak(SDK), Call(no_server)]),
    sign("cloudStatus :", &[Weak(SDK)]),
    sign("uart name", &[Boot, Start(S::SerialMcu)]),
    sign("read open file fail", &[Boot]),
    sign("Product Soft Version:", &[Call(|t, hit| t.version = Some(hit.word().trim_end_matches('.').to_owned()))]),
    sign("GAgent mac :", &[Name(|hit| Some(hit.word().to_owned()))]),
    // Serial line.
    sign("ff ff 00", &[Call(frame)]),
    sign("GAgent get local info ok", &[Done(S::SerialMcu)]),
    sign("GAgent get local info fail", &[Fault("mcu.no_handshake")]),
    sign("Please restart GAgent", &[Fault("mcu.no_handshake")]),
    sign("Get ACK failed", &[Call(no_ack)]),
    sign("CheckAck Fail", &[Call(no_ack)]),
    sign("send firmware to MCU failed", &[Fault("ota.mcu_no_ack")]),
    sign("Local heartbeat time out", &[Fault("mcu.heartbeat_timeout")]),
    sign("checksum error,calc sum", &[Call(checksum)]),
    // Router, name, transport.
    sign("WIFI_STATION_CONNECTED UP", &[Done(S::WifiJoin)]),
    sign("WIFI_STATION_CONNECTED Down", &[Call(|t, hit| t.side("wifi.disconnected", hit.line))]),
    sign("AirLink", &[Start(S::ProvisionRadio)]),
    sign("Server name ", &[Done(S::Dns)]).needs("address:"),
    sign("Host name lookup failure", &[Call(|t, hit| t.attempt_fault("dns.unresolved", hit.line))]),
    sign("resean :", &[Call(|t, hit| t.attempt_fault("dns.unresolved", hit.line))]).without("Host name"),
    sign("do connect ip:", &[Start(S::Tcp), Call(|t, _| t.memo.attempt_failed = false)]),
    sign("GAgent_connect fail", &[Call(tcp_failed)]),
    sign("Cloud socket connect fail", &[Call(tcp_failed)]),
    sign("http socket connect OK", &[Done(S::Tcp)]),
    // Registration, provision.
    sign("Need to get did", &[Start(S::Dynreg)]),
    sign("Register got did", &[Done(S::Dynreg)]),
    sign("go to Provision", &[Start(S::Dispatch)]),
    sign("Sent provision", &[Start(S::Dispatch)]),
    sign("Provision OK!", &[Done(S::Dispatch)]),
    sign("response code:", &[Call(http)]).needs("cloudStatus"),
    sign("HTTP timeout...", &[Call(http_timeout)]),
    sign("Provision res fail", &[Call(|t, hit| t.consequence(hit.line, "dispatch.refused"))]),
    // MQTT session.
    sign("Req to connect m2m", &[Start(S::MqttConnack), Call(|t, _| t.memo.attempt_failed = false)]),
    sign("Mqtt_SendConnetPacket OK", &[Done(S::Tcp), Start(S::MqttConnack)]),
    sign("res connect fail with", &[Call(connack)]),
    sign("do req connect m2m OK", &[Call(up)]),
    sign("LOGIN sub topic1", &[Start(S::Subscribe)]),
    sign("GAgent Cloud Working", &[Done(S::Subscribe), Done(S::Online), Call(up)]),
    sign("GAgent Cloud Ping", &[Call(ping)]),
    sign("GAgent Cloud Pong", &[Done(S::Online), Call(|t, _| t.memo.pings = 0)]),
    sign("WIFI_CLOUD_CONNECTED Down", &[Call(|t, hit| t.drop_session(hit.line))]),
    sign("MQTT fd was closed", &[Call(|t, hit| t.drop_session(hit.line))]),
    sign("CLOUD_DATA_IN cmd", &[Done(S::Command)]),
    sign("Send date to cloud", &[Done(S::Report)]),
    // Local network.
    sign("LAN TCP heartbeat...", &[Call(idle)]),
    sign("error_code", &[Call(api_error)]).anywhere(),
    sign("detected new client", &[Start(S::LanLogin)]),
    sign("LAN login fail", &[Fault("lan.passcode_wrong")]),
    sign("LAN login success", &[Done(S::LanLogin), Call(lan_ok)]),
    sign("login success", &[Done(S::LanLogin), Call(lan_ok)]).without("LAN"),
    sign("Illegal tcp client login", &[Call(before_login)]),
    sign("cannot bind,close socket", &[Call(not_bindable)]),
    sign("over 8 channel", &[Call(|t, hit| t.side("lan.client_limit", hit.line))]),
    sign("Invalid UDP packet length", &[Call(|t, hit| t.side("lan.frame_invalid", hit.line))]),
    // Upgrades.
    sign("Start MCU OTA", &[Start(S::Ota), Call(upgrade)]),
    sign("Start WIFI OTA", &[Start(S::Ota), Call(upgrade)]),
    sign("start MCU OTA", &[Start(S::Ota), Call(upgrade)]),
    sign("start WIFI OTA", &[Start(S::Ota), Call(upgrade)]),
    sign("/dev/ota/v4.1/download", &[Call(|t, _| t.memo.set("image"))]).anywhere(),
    sign("POST /", &[Call(|t, _| t.memo.clear("image"))]).anywhere(),
    sign("Content-Length:", &[Call(image)]).anywhere(),
    sign("download firmware type", &[Call(|t, hit| t.evidence("ota.interrupted", hit.line))]),
];

/// Remembers the command of the frame that is sent: `ff ff len len cmd sn flags flags`.
fn frame(tracker: &mut Tracker, hit: &Hit<'_>) {
    let mut bytes =
        hit.line.text.get(hit.at..).unwrap_or_default().split_ascii_whitespace().skip(4);
    tracker.memo.serial = bytes.next().and_then(|byte| u8::from_str_radix(byte, 16).ok());
    let error = bytes.nth(3).and_then(|byte| u8::from_str_radix(byte, 16).ok());
    match (tracker.memo.serial, error) {
        (Some(ILLEGAL_FRAME), Some(1)) => checksum(tracker, hit),
        (Some(ILLEGAL_FRAME), Some(2)) => unknown_command(tracker, hit),
        _ => {}
    }
    if tracker.memo.serial == Some(FIRST_COMMAND) && tracker.done_at(S::SerialMcu) == 0 {
        tracker.start(S::SerialMcu, hit.line);
    }
}

/// The question for the MCU's information, first of all commands.
const FIRST_COMMAND: u8 = 0x01;
/// Commands that one side does not know; the flow survives single ones.
const UNKNOWN_MANY: u64 = 10;

fn unknown_command(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.side("mcu.unknown_command", hit.line);
    if let Some(fault) = tracker.faults.iter_mut().find(|f| f.code == "mcu.unknown_command") {
        fault.side = fault.count < UNKNOWN_MANY;
    }
}

/// The notice that a frame was illegal, with the reason (GizWits §2.3).
const ILLEGAL_FRAME: u8 = 0x11;
/// The module's heartbeat.
const HEARTBEAT: u8 = 0x07;
/// Pieces of a firmware on their way to the MCU.
const FIRMWARE: [u8; 2] = [0x19, 0x1b];
/// Lost answers to heartbeats that count as a failure.
const HEARTBEATS_LOST: u32 = 3;

/// Three sends without an acknowledgement.
fn no_ack(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.done_at(S::SerialMcu) == 0 {
        tracker.memo.waits += 1;
        // The handshake tries ten rounds; one is not yet a verdict.
        if let Some(fault) = tracker.suspect("mcu.no_handshake", CERTAIN, hit.line) {
            fault.stage = Some(S::SerialMcu);
        }
        return;
    }
    if tracker.memo.serial == Some(HEARTBEAT) {
        tracker.memo.timeouts += 1;
        if tracker.memo.timeouts < HEARTBEATS_LOST {
            return;
        }
    }
    let code = match tracker.memo.serial {
        Some(command) if FIRMWARE.contains(&command) => "ota.mcu_no_ack",
        _ => "mcu.no_ack",
    };
    tracker.fault(code, hit.line);
}

/// Broken frames that are more than noise.
const CHECKSUMS_MANY: u64 = 10;

fn checksum(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.side("mcu.checksum_error", hit.line);
    if let Some(fault) = tracker.faults.iter_mut().find(|f| f.code == "mcu.checksum_error") {
        fault.side = fault.count < CHECKSUMS_MANY;
    }
}

/// A phone sent nothing for 12 to 14 s; the module closes it, and the phone comes back.
fn idle(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.side("lan.idle_timeout", hit.line);
}

/// The number in the body of a refused HTTP request (GizWits §6.6).
fn api_error(tracker: &mut Tracker, hit: &Hit<'_>) {
    let code = match json(hit.line.text, "error_code").and_then(int) {
        Some(9001) => "dynreg.already_registered",
        Some(9002) => "dynreg.product_unknown",
        Some(9016) => "dispatch.identity_invalid",
        _ => return,
    };
    let symptom = if code.starts_with("dynreg") { "dynreg.refused" } else { "dispatch.refused" };
    tracker.retract(symptom);
    tracker.fault(code, hit.line);
}

/// The provision answered, but without the address of the M2M server.
fn no_server(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.done_at(S::Dispatch) > 0 {
        let _ = tracker.suspect("dispatch.wrong_address", LIKELY, hit.line);
    }
}

fn tcp_failed(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.start(S::Tcp, hit.line);
    tracker.attempt_fault("tcp.connect_failed", hit.line);
}

/// `http read ret:n cloudStatus : s,response code: c`; 3 registers, 5 provisions, 6 and 7 upgrade.
fn http(tracker: &mut Tracker, hit: &Hit<'_>) {
    let status = hit.line.text.split_once("cloudStatus :").and_then(|(_, rest)| int(rest));
    let line = hit.line;
    match (status, hit.int()) {
        (Some(3), Some(200..=299)) => tracker.done(S::Dynreg, line),
        (Some(5), Some(200..=299)) => tracker.done(S::Dispatch, line),
        (Some(3), Some(400..)) => refused(tracker, "dynreg.refused", line),
        (Some(5), Some(400..)) => refused(tracker, "dispatch.refused", line),
        (Some(status @ (3 | 5)), Some(..=-1)) => silent(tracker, status, line),
        _ => {}
    }
}

fn refused(tracker: &mut Tracker, code: &'static str, line: &Line<'_>) {
    // The body above may have said more.
    let told = ["dynreg.already_registered", "dynreg.product_unknown", "dispatch.identity_invalid"];
    if let Some(told) = told.into_iter().find(|told| tracker.has_fault(told)) {
        return tracker.evidence(told, line);
    }
    tracker.done(S::Tcp, line);
    tracker.heal("http.no_response");
    tracker.fault(code, line);
}

fn http_timeout(tracker: &mut Tracker, _: &Hit<'_>) {
    tracker.memo.set("timeout");
}

fn silent(tracker: &mut Tracker, status: i64, line: &Line<'_>) {
    let before = ["dynreg.refused", "dispatch.refused", "tcp.connect_failed", "dns.unresolved"];
    if before.iter().any(|code| tracker.has_fault(code)) || !tracker.memo.has("timeout") {
        return tracker.consequence(line, "http.no_response");
    }
    tracker.done(S::Tcp, line);
    if let Some(fault) = tracker.suspect("http.no_response", CERTAIN, line) {
        fault.stage = Some(if status == 3 { S::Dynreg } else { S::Dispatch });
    }
}

fn connack(tracker: &mut Tracker, hit: &Hit<'_>) {
    if let Some(code) = hit.int().and_then(shared::connack) {
        tracker.attempt_fault(code, hit.line);
    }
}

fn up(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.session_up(hit.line);
}

/// Pings without an answer that end a session (GizWits §3.7).
const PINGS_LOST: u32 = 3;

fn ping(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.memo.pings += 1;
    if tracker.memo.pings > PINGS_LOST {
        tracker.fault("mqtt.ping_timeout", hit.line);
    }
}

fn lan_ok(tracker: &mut Tracker, _: &Hit<'_>) {
    tracker.heal("lan.passcode_wrong");
    tracker.heal("lan.command_before_login");
}

fn before_login(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.has_fault("lan.passcode_wrong") {
        return tracker.consequence(hit.line, "lan.command_before_login");
    }
    tracker.fault("lan.command_before_login", hit.line);
}

fn not_bindable(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.has_fault("lan.passcode_wrong") || tracker.has_fault("lan.command_before_login") {
        return tracker.consequence(hit.line, "lan.not_bindable");
    }
    tracker.fault("lan.not_bindable", hit.line);
}

fn upgrade(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.memo.upgrade = Some(hit.line.number);
    tracker.memo.token_quote = Some((hit.line.number, hit.line.text.to_owned()));
}

/// Images below about this size crash the module with its own head of 600 bytes (GizWits §3.1).
const IMAGE_BYTES_MIN: i64 = 400;

/// The size in the answer to the download: the module stops at less than it expects.
fn image(tracker: &mut Tracker, hit: &Hit<'_>) {
    if tracker.memo.has("image") && hit.int().is_some_and(|size| size < IMAGE_BYTES_MIN) {
        let _ = tracker.suspect("ota.image_invalid", LIKELY, hit.line);
    }
}

/// Lines that a download prints before the crash of an image that is too small (GizWits §3.1).
const CRASH_LINES: u64 = 30;

/// Decides by absence.
pub(super) fn finish(tracker: &mut Tracker) {
    if tracker.has_fault("ota.image_invalid") {
        return tracker.retract("ota.interrupted");
    }
    let Some(began) = tracker.memo.upgrade else { return };
    if tracker.last_line.saturating_sub(began) < CRASH_LINES
        && let Some((number, text)) = tracker.memo.token_quote.clone()
    {
        let _ = tracker.suspect_quoted("ota.interrupted", SYMPTOM.max(ABSENCE), number, &text);
    } else {
        tracker.heal("ota.interrupted");
    }
}
