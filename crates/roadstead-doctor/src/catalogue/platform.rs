//! What the platform's own stable codes are to the doctor: the same diagnosis, seen from the other
//! end.
//!
//! The platform's `why`, its reasons and its command `errors` give the evidence and the remedy of
//! the diagnosis found here, and the trace is read with it: one text for one cause, wherever it
//! shows. Codes about the platform itself (settings, users, imports) have none.

use super::{Entry, entry};

/// Platform code and diagnosis, sorted.
#[rustfmt::skip] // a table
static ROWS: &[(&str, &str)] = &[
    ("api.forbidden", "api.permission_denied"),
    ("api.unauthenticated", "api.token_expired"),
    ("attempt.credentials_not_readable", "provision.request_invalid"),
    ("attempt.device_silent", "provision.no_credentials"),
    ("attempt.network_not_joined", "wifi.join_failed"),
    ("attempt.never_connected", "mqtt.connect_failed"),
    ("attempt.not_confirmed", "lan.notify_not_heard"),
    ("attempt.password_needs_secret", "provision.password_undecryptable"),
    ("attempt.token_not_reported", "bind.token_not_reported"),
    ("auth.bad_password", "mqtt.bad_credentials"),
    ("auth.certificate_authority", "tls.client_cert_rejected"),
    ("auth.certificate_inactive", "tls.client_cert_rejected"),
    ("auth.certificate_mismatch", "tls.fingerprint_mismatch"),
    ("auth.certificate_missing", "tls.client_cert_rejected"),
    ("auth.expired", "clock.wrong"),
    ("auth.frozen", "cloud.device_disabled"),
    ("auth.identity_mismatch", "mqtt.client_id_rejected"),
    ("auth.malformed", "mqtt.client_id_rejected"),
    ("auth.no_credential", "identity.missing"),
    ("auth.psk_mismatch", "tls.psk_mismatch"),
    ("auth.throttled", "cloud.throttled"),
    ("auth.unknown_device", "mqtt.client_id_rejected"),
    ("auth.unknown_product", "mqtt.client_id_rejected"),
    ("bind.already_used", "bind.token_already_used"),
    ("bind.bound_to_other", "bind.token_refused"),
    ("bind.expired", "bind.token_expired"),
    ("bind.not_reported", "bind.token_unknown"),
    ("bind.other_account", "bind.token_refused"),
    ("bind.other_device", "bind.token_refused"),
    ("bind.other_region", "bind.token_refused"),
    ("bind.other_space", "bind.token_refused"),
    ("bind.unknown_token", "bind.token_unknown"),
    ("command.expired", "command.expired"),
    ("command.no_ack", "command.ack_timeout"),
    ("command.no_answer", "command.no_response"),
    ("command.not_listening", "command.not_subscribed"),
    ("command.offline", "command.device_offline"),
    ("command.refused", "command.failed"),
    ("command.timeout", "command.no_response"),
    ("command.unsupported", "command.protocol_unsupported"),
    ("device.exists", "api.node_id_duplicate"),
    ("device.silent", "report.not_arrived"),
    ("device.unbound", "bind.not_started"),
    ("import.bad_model", "product.model_json_invalid"),
    ("import.bad_name", "product.model_name_invalid"),
    ("import.foreign_file", "product.model_extra_files"),
    ("import.has_codec", "product.model_plugin_inside"),
    ("import.model_exists", "product.model_duplicate"),
    ("import.not_archive", "product.model_not_zip"),
    ("local.silent", "lan.query_not_received"),
    ("message.timeout", "command.message_pending"),
    ("model.violation", "report.model_mismatch"),
    ("mqtt.denied_topic", "report.topic_not_allowed"),
    ("mqtt.too_large", "mqtt.message_too_large"),
    ("payload.malformed", "codec.decode_failed"),
    ("policy.denied", "report.topic_not_allowed"),
    ("register.activated", "dynreg.already_active"),
    ("register.bad_request", "dynreg.refused"),
    ("register.bad_signature", "dynreg.signature_rejected"),
    ("register.off", "dynreg.disabled"),
    ("register.replayed", "dynreg.time_window"),
    ("register.template", "dynreg.refused"),
    ("register.timestamp", "dynreg.time_window"),
    ("register.unknown_device", "dynreg.device_unknown"),
    ("register.unknown_product", "dynreg.product_unknown"),
    ("session.disconnected", "offline.device_disconnect"),
    ("session.keep_alive", "mqtt.keepalive_expired"),
    ("session.lost", "offline.peer_closed"),
    ("session.protocol", "offline.server_closed"),
    ("session.revoked", "offline.server_closed"),
    ("session.server_lost", "offline.server_closed"),
    ("session.shutdown", "offline.server_closed"),
    ("session.taken_over", "mqtt.duplicate_client"),
    ("session.too_slow", "offline.server_closed"),
    ("station.no_address", "dhcp.no_address"),
    ("station.not_found", "wifi.ap_not_found"),
    ("station.not_joined", "wifi.join_failed"),
    ("station.wrong_password", "wifi.auth_failed"),
    ("subdevice.bad_signature", "gateway.bind_signature"),
    ("subdevice.bound_elsewhere", "gateway.bound_elsewhere"),
    ("subdevice.expired", "gateway.bind_signature"),
    ("subdevice.not_attached", "gateway.subdevice_not_bound"),
    ("subdevice.sign_method", "gateway.bind_signature"),
    ("subdevice.unknown", "gateway.subdevice_unknown"),
    ("subdevice.unknown_product", "gateway.subdevice_model"),
    ("tls.handshake", "tls.handshake_closed"),
];

/// Returns the diagnosis behind a stable code of the platform; none for codes about the platform
/// itself.
pub fn of_platform(code: &str) -> Option<&'static Entry> {
    let at = ROWS.binary_search_by(|(known, _)| (*known).cmp(code)).ok()?;
    entry(ROWS[at].1)
}

/// Returns the platform's codes that have a diagnosis.
pub fn platform_codes() -> impl Iterator<Item = &'static str> {
    ROWS.iter().map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_name_diagnoses() {
        for pair in ROWS.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} before {}", pair[0].0, pair[1].0);
        }
        for (code, diagnosis) in ROWS {
            assert_eq!(of_platform(code).map(|e| e.code), Some(*diagnosis), "{code}");
        }
        assert!(of_platform("user.exists").is_none());
    }
}
