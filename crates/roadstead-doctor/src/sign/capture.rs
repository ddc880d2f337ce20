//! Signs of captures: the lines that `capture/` writes.
//!
//! What a network shows is sure where a peer says it (a refused connection, a CONNACK, a plain
//! alert) and a symptom where it stays silent.

use super::{Act, Hit, Sign, int, shared, sign, word};
use crate::Stage as S;
use crate::tracker::{ABSENCE, LIKELY, SYMPTOM, Tracker};
use Act::{Call, Done, Fault, Name, Start, Strong};

pub(super) const SDK: &str = "capture";

#[rustfmt::skip] // a table
pub(super) static SIGNS: &[Sign] = &[
    // Address and name.
    sign("dhcp ", &[Strong(SDK), Start(S::Dhcp)]),
    sign(" requests for an address", &[Fault("dhcp.no_address")]),
    sign("refuses an address", &[Fault("dhcp.no_address")]),
    sign("got the address", &[Done(S::Dhcp), Call(|t, _| t.heal("dhcp.no_address"))]),
    sign("dns ", &[Strong(SDK), Start(S::Dns)]),
    sign(": resolved ", &[Done(S::Dns)]),
    sign(": no answer for ", &[Fault("dns.unresolved")]),
    sign("NXDOMAIN for", &[Fault("dns.unresolved")]),
    sign("SERVFAIL for", &[Fault("dns.unresolved")]),
    sign("REFUSED for", &[Fault("dns.unresolved")]),
    // Transport.
    sign("opens a connection", &[Strong(SDK), Start(S::Tcp), Call(|t, _| t.memo.certificate = true)]),
    sign("connection accepted", &[Strong(SDK), Done(S::Tcp)]),
    sign("connection refused", &[Strong(SDK), Fault("tcp.refused")]),
    sign("destination unreachable", &[Strong(SDK), Fault("tcp.unreachable")]),
    sign("no answer to", &[Strong(SDK), Fault("tcp.timeout")]).needs(" SYN"),
    sign("connection reset", &[Strong(SDK), Fault("tcp.reset")]),
    // TLS.
    sign("tls: ClientHello", &[Strong(SDK), Done(S::Tcp), Start(S::Tls), Call(hello)]),
    sign("tls: handshake done", &[Strong(SDK), Done(S::Tls)]),
    sign("tls: the server sends alert", &[Strong(SDK), Call(alert_of_server)]),
    sign("tls: the device sends alert", &[Strong(SDK), Call(alert_of_device)]),
    sign("in the handshake", &[Call(closed)]).needs("tls: "),
    sign("something that is no TLS", &[Call(no_tls)]),
    sign("tls: no answer to ClientHello", &[Fault("tls.handshake_timeout")]),
    // MQTT.
    sign("mqtt: CONNECT ", &[Strong(SDK), Done(S::Tcp), Name(client), Start(S::MqttConnack), Call(connect)]),
    sign("mqtt: CONNACK ", &[Strong(SDK), Call(connack)]),
    sign("mqtt: no CONNACK", &[Call(|t, hit| shared::connack_missing(t, hit.line))]),
    sign("mqtt: the server", &[Call(ended)]),
    sign("plain CONNECT on a port of TLS", &[Fault("tls.plain_to_tls_port")]),
    sign("mqtt: SUBACK grants", &[Done(S::Subscribe)]),
    sign("mqtt: SUBACK refuses", &[Fault("subscribe.refused")]),
    sign("mqtt: PINGRESP", &[Strong(SDK), Done(S::Online)]),
    sign("PINGREQ without PINGRESP", &[Fault("mqtt.ping_timeout")]),
    sign("mqtt: publishes ", &[Strong(SDK), Done(S::Online), Call(published)]),
    sign("mqtt: receives ", &[Strong(SDK), Done(S::Online), Call(received)]),
    // Its time is the end of the capture.
    sign("still open at the end", &[Strong(SDK)]),
    // CoAP, hotspot, LAN.
    sign("coap ", &[Strong(SDK)]),
    sign(": request /", &[Call(coap_request)]),
    sign(": answer ", &[Call(coap_answer)]).needs("coap "),
    sign("no answer to /", &[Call(coap_silence)]),
    sign("provisioning request", &[Strong(SDK), Start(S::ProvisionSoftap)]),
    sign("provisioning answer", &[Strong(SDK), Done(S::ProvisionSoftap)]),
    sign("provisioning request lacks", &[Fault("provision.request_missing_field")]),
    sign("module answers", &[Strong(SDK), Done(S::LanQuery)]),
    sign("module frame with a wrong length", &[Strong(SDK), Call(|t, hit| t.side("lan.frame_invalid", hit.line))]),
];

fn hello(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.memo.secure = true;
    tracker.memo.certificate = !hit.line.text.contains("pre-shared keys");
}

/// The number in brackets behind the alert's name.
fn number(hit: &Hit<'_>) -> i64 {
    hit.rest().split_once('(').and_then(|(_, rest)| int(rest)).unwrap_or(0)
}

/// The server refuses the handshake: the device's key, certificate or suites.
fn alert_of_server(tracker: &mut Tracker, hit: &Hit<'_>) {
    let certificate = hit.line.text.contains("after its certificate");
    let code = match (number(hit), tracker.memo.certificate) {
        (20 | 51, false) => "tls.psk_mismatch",
        (115, _) => "tls.psk_identity_unknown",
        (40 | 70 | 71, _) if !certificate => "tls.no_shared_suite",
        (40 | 42..=46 | 48 | 116, true) => "tls.client_cert_rejected",
        _ => return tracker.fault("tls.alert_received", hit.line),
    };
    let _ = tracker.suspect(code, LIKELY, hit.line);
}

/// The device refuses the handshake: the server's certificate or answer.
fn alert_of_device(tracker: &mut Tracker, hit: &Hit<'_>) {
    let code = match (number(hit), tracker.memo.certificate) {
        (45, _) => "tls.server_cert_expired",
        (42 | 43 | 46 | 48, _) => "tls.server_cert_untrusted",
        (20 | 51, false) => "tls.psk_mismatch",
        (40 | 70 | 71, _) => "tls.no_shared_suite",
        _ => "tls.handshake_closed",
    };
    let sure = if code == "tls.handshake_closed" { SYMPTOM } else { LIKELY };
    let _ = tracker.suspect(code, sure, hit.line);
}

fn closed(tracker: &mut Tracker, hit: &Hit<'_>) {
    let likely: &[&'static str] = match tracker.memo.certificate {
        true => &["tls.no_shared_suite", "tls.client_cert_rejected", "tls.server_cert_untrusted"],
        false => &["tls.psk_mismatch", "tls.psk_identity_unknown", "tls.no_shared_suite"],
    };
    if let Some(fault) = tracker.suspect("tls.handshake_closed", SYMPTOM, hit.line) {
        fault.alternatives = likely.to_vec();
    }
}

/// The capture shows what the device cannot see: the port speaks another protocol.
fn no_tls(tracker: &mut Tracker, hit: &Hit<'_>) {
    let _ = tracker.suspect("tls.not_tls_port", LIKELY, hit.line);
}

fn connect(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.count_connect(hit.line);
}

/// Several devices may share one address.
fn client(hit: &Hit<'_>) -> Option<String> {
    Some(word(hit.rest().trim_start().strip_prefix("client ")?).to_owned())
}

fn connack(tracker: &mut Tracker, hit: &Hit<'_>) {
    match hit.int() {
        Some(0) => tracker.session_up(hit.line),
        Some(code) => {
            let code = shared::connack(code).unwrap_or("mqtt.connack_unknown_code");
            tracker.attempt_fault(code, hit.line);
        }
        None => {}
    }
}

fn ended(tracker: &mut Tracker, hit: &Hit<'_>) {
    if hit.line.text.ends_with("after CONNECT") {
        tracker.fault("mqtt.closed_before_connack", hit.line);
    } else {
        tracker.drop_session(hit.line);
    }
}

/// The token of the binding leaves (Alibaba §6, Tencent §6).
fn published(tracker: &mut Tracker, hit: &Hit<'_>) {
    let text = hit.line.text;
    let token = text.contains("method=app_bind_token") || text.contains("/awss/enrollee/match");
    if token {
        tracker.start(S::TokenReport, hit.line);
        tracker.memo.token_quote = Some((hit.line.number, text.to_owned()));
        tracker.memo.token_ms = hit.line.time().map(|stamp| stamp.ms);
        tracker.memo.token_replied = false;
    } else {
        tracker.done(S::Report, hit.line);
    }
}

fn received(tracker: &mut Tracker, hit: &Hit<'_>) {
    let text = hit.line.text;
    let code = text.split_once(" code=").and_then(|(_, rest)| int(rest));
    if text.contains("app_bind_token_reply") || text.contains("/match_reply") {
        tracker.memo.token_replied = true;
        match code {
            None | Some(0 | 200) => tracker.done(S::TokenReply, hit.line),
            Some(_) => tracker.fault("bind.token_refused", hit.line),
        }
    } else if text.contains("_reply") && code.is_some_and(|code| !matches!(code, 0 | 200)) {
        let _ = tracker.suspect("report.rejected", LIKELY, hit.line);
    } else {
        tracker.done(S::Command, hit.line);
    }
}

fn is_registration(text: &str) -> bool {
    text.ends_with("/rd") || text.contains("/rd/")
}

fn coap_request(tracker: &mut Tracker, hit: &Hit<'_>) {
    if is_registration(hit.line.text) {
        tracker.start(S::Lwm2mRegister, hit.line);
    }
}

fn coap_answer(tracker: &mut Tracker, hit: &Hit<'_>) {
    let refused = hit.rest().starts_with(['4', '5']);
    match (is_registration(hit.line.text), refused) {
        (true, true) => tracker.fault("lwm2m.register_refused", hit.line),
        (true, false) => tracker.done(S::Lwm2mRegister, hit.line),
        (false, _) => {}
    }
}

fn coap_silence(tracker: &mut Tracker, hit: &Hit<'_>) {
    if is_registration(hit.line.text) {
        tracker.fault("lwm2m.register_timeout", hit.line);
    }
}

/// The reply to a token is late after this, milliseconds.
const REPLY_LATE_MS: i64 = 10_000;

/// Decides by absence.
pub(super) fn finish(tracker: &mut Tracker) {
    let memo = &tracker.memo;
    let late = match (memo.token_ms, tracker.last_ms) {
        (Some(sent), Some(last)) => last - sent > REPLY_LATE_MS,
        _ => false,
    };
    if late
        && !memo.token_replied
        && let Some((number, text)) = memo.token_quote.clone()
    {
        let _ = tracker.suspect_quoted("bind.token_not_acknowledged", ABSENCE, number, &text);
    }
}
