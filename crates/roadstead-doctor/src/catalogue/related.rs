//! What else a symptom can be, the likelier first.
//!
//! Source: diagnosis model, sections 5 (marks "symptom code") and 6.3.

/// Returns the causes that look like `code`, ranked; empty when the code has one meaning.
pub fn alternatives(code: &str) -> &'static [&'static str] {
    match code {
        "provision.radio_timeout" => &["provision.band_5ghz", "provision.radio_start_failed"],
        "provision.task_race" => &["bind.not_started"],
        "bind.not_started" => &["provision.task_race", "build.hal_not_ported"],
        "provision.request_missing_field" => &["provision.request_invalid"],
        "wifi.join_failed" => &["wifi.ap_not_found", "wifi.auth_failed", "dhcp.no_address"],
        "tcp.connect_failed" => {
            &["tcp.refused", "tcp.timeout", "tcp.unreachable", "tcp.wrong_port"]
        }
        "tls.handshake_closed" | "tls.alert_received" => {
            &["tls.no_shared_suite", "tls.client_cert_rejected", "tls.not_tls_port"]
        }
        "tls.connect_failed" => &[
            "tls.server_cert_untrusted",
            "tls.not_tls_port",
            "tls.server_cert_expired",
            "tls.client_key_mismatch",
            "tls.client_cert_rejected",
            "tls.handshake_closed",
            "tcp.refused",
        ],
        "tls.record_invalid" => &["tls.not_tls_port", "tls.buffer_too_small"],
        "tls.not_tls_port" => &["tls.buffer_too_small", "tls.record_invalid"],
        "tls.buffer_too_small" => &["tls.not_tls_port", "tls.record_invalid"],
        "dynreg.refused" => &[
            "dynreg.signature_rejected",
            "dynreg.product_unknown",
            "dynreg.device_unknown",
            "dynreg.disabled",
            "dynreg.already_registered",
        ],
        "dynreg.disabled" => {
            &["dynreg.signature_rejected", "dynreg.refused", "dynreg.product_unknown"]
        }
        "dispatch.refused" => &["dispatch.identity_invalid", "dispatch.device_unknown"],
        "dispatch.device_unknown" => &["dispatch.refused", "region.wrong_host"],
        "mqtt.connect_failed" => &[
            "mqtt.bad_credentials",
            "mqtt.closed_before_connack",
            "mqtt.not_authorised",
            "mqtt.connack_timeout",
        ],
        "mqtt.bad_credentials" => &["tls.fingerprint_mismatch", "clock.wrong"],
        "mqtt.client_id_rejected" => &["mqtt.bad_credentials"],
        "mqtt.not_authorised" => &["cloud.device_disabled"],
        "mqtt.connack_timeout" => &["cloud.throttled"],
        "cloud.throttled" => &["mqtt.connack_timeout", "mqtt.duplicate_client"],
        "mqtt.closed_before_connack" => &["tls.plain_to_tls_port", "mqtt.client_id_rejected"],
        "mqtt.reconnect_loop" => {
            &["mqtt.duplicate_client", "mqtt.keepalive_expired", "mqtt.connection_lost"]
        }
        "mqtt.connection_lost" => &["mqtt.duplicate_client", "mqtt.keepalive_expired"],
        "subscribe.failed" => &["subscribe.refused", "subscribe.timeout"],
        "subscribe.timeout" => &["subscribe.late"],
        "bind.token_refused" => {
            &["bind.token_expired", "bind.token_already_used", "bind.token_unknown"]
        }
        "bind.token_not_acknowledged" => &["subscribe.refused", "bind.token_reply_unmatched"],
        "bind.no_token_available" => &["bind.token_not_acknowledged", "lan.coap_register_failed"],
        "report.failed" => &["lwm2m.register_timeout", "tcp.connect_failed"],
        "gateway.subdevice_refused" => {
            &["gateway.subdevice_not_bound", "gateway.subdevice_unknown"]
        }
        "lwm2m.register_timeout" => &["nb.platform_unreachable", "lwm2m.register_refused"],
        "command.no_response" => &["command.request_id_mismatch", "input.ends_mid_stage"],
        "ota.download_failed" => &["ota.download_connection_lost", "ota.server_unreachable"],
        "ota.interrupted" => &["ota.image_invalid", "input.ends_mid_stage"],
        "ota.integrity_failed" => &["ota.image_invalid"],
        _ => &[],
    }
}
