//! The platform's own words as evidence: `roadstead trace DEVICE --json`, whole or followed, its run
//! log, `why`, off-line analysis, and the errors of its APIs.
//!
//! The platform knows what a device cannot: which of several refusals it was. Its stable codes are
//! translated to those of the catalogue; together with a device's log they replace the symptom
//! (diagnosis model, 6.2).

use super::{Act, Hit, Sign, json, sign};
use crate::Stage as S;
use crate::catalogue;
use crate::tracker::Tracker;
use Act::{Call, Strong, Weak};

const SDK: &str = "roadstead-trace";

#[rustfmt::skip] // a table
pub(super) static SIGNS: &[Sign] = &[
    sign("\"hop\":", &[Strong(SDK)]).anywhere(),
    sign("\"offline_time\":", &[Strong(SDK)]).anywhere(),
    sign("\"remedy\":", &[Weak(SDK)]).anywhere(),
    sign("\"meaning\":", &[Weak(SDK)]).anywhere(),
    sign("\"error_msg\":", &[Weak(SDK)]).anywhere(),
    sign("\"message\":", &[Weak(SDK)]).needs("\"remedy\"").anywhere(),
    sign("\"what\":", &[Call(what)]).anywhere(),
    sign("\"ok\"", &[Call(ok)]).needs("\"code\"").anywhere(),
    sign("\"code\":", &[Call(refused)]).anywhere(),
];

fn what(tracker: &mut Tracker, hit: &Hit<'_>) {
    tracker.memo.topic = json(hit.line.text, "what").unwrap_or_default().to_owned();
}

fn ok(tracker: &mut Tracker, hit: &Hit<'_>) {
    let stage = match tracker.memo.topic.as_str() {
        "login" => S::MqttConnack,
        "register" => S::Dynreg,
        "subscribe" => S::Subscribe,
        "report" => S::Report,
        "bind" => S::Bind,
        "command" => S::Command,
        _ => return,
    };
    tracker.done(stage, hit.line);
}

/// A code of the platform that is not `ok`, by the table in the catalogue; where one code stands
/// for several causes, the text of the same line decides.
fn refused(tracker: &mut Tracker, hit: &Hit<'_>) {
    let rest = hit.rest();
    let code = rest.trim_start().trim_start_matches('"').split('"').next().unwrap_or_default();
    // What belongs to this code: up to the next one.
    let own = rest.split("\"code\":").next().unwrap_or_default();
    let cause = match code {
        "auth.unknown_device" | "auth.unknown_product" => return unknown(tracker, hit),
        "tls.handshake" if SUITES.iter().any(|text| own.contains(text)) => "tls.no_shared_suite",
        "import.bad_model" if hit.line.text.contains("is not an array") => {
            "product.model_not_array"
        }
        "session.taken_over" if hit.line.text.contains("\"offline_time\"") => "offline.kicked",
        code => match catalogue::of_platform(code) {
            Some(entry) => entry.code,
            None => return,
        },
    };
    tracker.fault(cause, hit.line);
}

/// Reasons of the TLS library for offers without a common suite.
const SUITES: &[&str] = &["no shared cipher", "no suitable signature", "unsupported protocol"];

/// An unknown identity: in the handshake where a PSK carries it, else in CONNECT.
fn unknown(tracker: &mut Tracker, hit: &Hit<'_>) {
    let handshake = tracker.memo.topic.contains("tls") || hit.line.text.contains("psk");
    tracker.fault(
        if handshake { "tls.psk_identity_unknown" } else { "mqtt.client_id_rejected" },
        hit.line,
    );
}
