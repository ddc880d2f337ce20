//! The platform's own trace as evidence: `roadstead trace DEVICE --json`, whole or followed.
//!
//! The platform knows what a device cannot: which of several refusals it was. Its stable codes are
//! translated to those of the catalogue; together with a device's log they replace the symptom
//! (diagnosis model, 6.2).

use super::{Act, Hit, Sign, json, sign};
use crate::Stage as S;
use crate::catalogue;
use crate::tracker::Tracker;
use Act::{Call, Strong};

const SDK: &str = "roadstead-trace";

#[rustfmt::skip] // a table
pub(super) static SIGNS: &[Sign] = &[
    sign("\"hop\":", &[Strong(SDK)]).anywhere(),
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

/// A code of the platform that is not `ok`, by the table in the catalogue.
fn refused(tracker: &mut Tracker, hit: &Hit<'_>) {
    let code =
        hit.rest().trim_start().trim_start_matches('"').split('"').next().unwrap_or_default();
    match code {
        "auth.unknown_device" | "auth.unknown_product" => unknown(tracker, hit),
        code => {
            if let Some(entry) = catalogue::of_platform(code) {
                tracker.fault(entry.code, hit.line);
            }
        }
    }
}

/// An unknown identity: in the handshake where a PSK carries it, else in CONNECT.
fn unknown(tracker: &mut Tracker, hit: &Hit<'_>) {
    let handshake = tracker.memo.topic.contains("tls") || hit.line.text.contains("psk");
    tracker.fault(
        if handshake { "tls.psk_identity_unknown" } else { "mqtt.client_id_rejected" },
        hit.line,
    );
}
