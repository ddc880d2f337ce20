//! The platform's own trace as evidence: `roadstead trace DEVICE --json`, whole or followed.
//!
//! The platform knows what a device cannot: which of several refusals it was. Its stable codes are
//! translated to those of the catalogue; together with a device's log they replace the symptom
//! (diagnosis model, 6.2).

use super::{Act, Hit, Sign, json, sign};
use crate::Stage as S;
use crate::tracker::Tracker;
use Act::{Call, Fault, Strong};

const SDK: &str = "roadstead-trace";

#[rustfmt::skip] // a table
pub(super) static SIGNS: &[Sign] = &[
    sign("\"hop\":", &[Strong(SDK)]).anywhere(),
    sign("\"what\":", &[Call(what)]).anywhere(),
    sign("\"ok\"", &[Call(ok)]).needs("\"code\"").anywhere(),
    sign("\"auth.bad_password\"", &[Fault("mqtt.bad_credentials")]).anywhere(),
    sign("\"auth.psk_mismatch\"", &[Fault("tls.psk_mismatch")]).anywhere(),
    sign("\"auth.unknown_device\"", &[Call(unknown)]).anywhere(),
    sign("\"auth.unknown_product\"", &[Call(unknown)]).anywhere(),
    sign("\"auth.identity_mismatch\"", &[Fault("mqtt.client_id_rejected")]).anywhere(),
    sign("\"auth.malformed\"", &[Fault("mqtt.client_id_rejected")]).anywhere(),
    sign("\"auth.certificate_mismatch\"", &[Fault("tls.fingerprint_mismatch")]).anywhere(),
    sign("\"auth.certificate_missing\"", &[Fault("tls.client_cert_rejected")]).anywhere(),
    sign("\"auth.expired\"", &[Fault("clock.wrong")]).anywhere(),
    sign("\"auth.frozen\"", &[Fault("cloud.device_disabled")]).anywhere(),
    sign("\"auth.throttled\"", &[Fault("cloud.throttled")]).anywhere(),
    sign("\"bind.already_used\"", &[Fault("bind.token_already_used")]).anywhere(),
    sign("\"bind.expired\"", &[Fault("bind.token_expired")]).anywhere(),
    sign("\"bind.unknown_token\"", &[Fault("bind.token_unknown")]).anywhere(),
    sign("\"bind.not_reported\"", &[Fault("bind.token_unknown")]).anywhere(),
    sign("\"command.offline\"", &[Fault("command.device_offline")]).anywhere(),
    sign("\"command.timeout\"", &[Fault("command.no_response")]).anywhere(),
    sign("\"command.not_listening\"", &[Fault("command.not_subscribed")]).anywhere(),
    sign("\"model.violation\"", &[Fault("report.model_mismatch")]).anywhere(),
    sign("\"mqtt.denied_topic\"", &[Fault("report.topic_not_allowed")]).anywhere(),
    sign("\"payload.malformed\"", &[Fault("codec.decode_failed")]).anywhere(),
    sign("\"register.activated\"", &[Fault("dynreg.already_active")]).anywhere(),
    sign("\"register.bad_signature\"", &[Fault("dynreg.signature_rejected")]).anywhere(),
    sign("\"register.off\"", &[Fault("dynreg.disabled")]).anywhere(),
    sign("\"register.timestamp\"", &[Fault("dynreg.time_window")]).anywhere(),
    sign("\"register.unknown_device\"", &[Fault("dynreg.device_unknown")]).anywhere(),
    sign("\"register.unknown_product\"", &[Fault("dynreg.product_unknown")]).anywhere(),
    sign("\"session.disconnected\"", &[Fault("offline.device_disconnect")]).anywhere(),
    sign("\"session.keep_alive\"", &[Fault("mqtt.keepalive_expired")]).anywhere(),
    sign("\"session.lost\"", &[Fault("offline.peer_closed")]).anywhere(),
    sign("\"session.taken_over\"", &[Fault("mqtt.duplicate_client")]).anywhere(),
    sign("\"session.revoked\"", &[Fault("offline.server_closed")]).anywhere(),
    sign("\"subdevice.bad_signature\"", &[Fault("gateway.bind_signature")]).anywhere(),
    sign("\"subdevice.bound_elsewhere\"", &[Fault("gateway.bound_elsewhere")]).anywhere(),
    sign("\"subdevice.unknown\"", &[Fault("gateway.subdevice_unknown")]).anywhere(),
    sign("\"subdevice.not_attached\"", &[Fault("gateway.subdevice_not_bound")]).anywhere(),
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

/// An unknown identity: in the handshake where a PSK carries it, else in CONNECT.
fn unknown(tracker: &mut Tracker, hit: &Hit<'_>) {
    let handshake = tracker.memo.topic.contains("tls") || hit.line.text.contains("psk");
    tracker.fault(
        if handshake { "tls.psk_identity_unknown" } else { "mqtt.client_id_rejected" },
        hit.line,
    );
}
