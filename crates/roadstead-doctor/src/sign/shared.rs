//! What several SDKs print alike: socket errors of the operating system, CONNACK numbers.

use crate::input::Line;
use crate::tracker::Tracker;

/// Returns the code of a CONNACK return code of MQTT 3.1.1.
pub(super) fn connack(code: i64) -> Option<&'static str> {
    Some(match code {
        1 => "mqtt.protocol_refused",
        2 => "mqtt.client_id_rejected",
        3 => "mqtt.server_unavailable",
        4 => "mqtt.bad_credentials",
        5 => "mqtt.not_authorised",
        _ => return None,
    })
}

/// Returns the code of an errno of Linux and lwIP.
pub(super) fn errno(code: i64) -> Option<&'static str> {
    Some(match code {
        111 => "tcp.refused",
        110 | 116 => "tcp.timeout",
        101 | 113 | 118 => "tcp.unreachable",
        104 => "tcp.reset",
        _ => return None,
    })
}

/// Returns the code of the operating system's text for a failed connection.
pub(super) fn socket_text(text: &str) -> Option<&'static str> {
    const TEXTS: &[(&str, &str)] = &[
        ("onnection refused", "tcp.refused"),
        ("ECONNREFUSED", "tcp.refused"),
        ("onnection timed out", "tcp.timeout"),
        ("ETIMEDOUT", "tcp.timeout"),
        ("timed out", "tcp.timeout"),
        ("No route to host", "tcp.unreachable"),
        ("etwork is unreachable", "tcp.unreachable"),
        ("EHOSTUNREACH", "tcp.unreachable"),
        ("ENETUNREACH", "tcp.unreachable"),
        ("onnection reset", "tcp.reset"),
        ("ECONNRESET", "tcp.reset"),
    ];
    TEXTS.iter().find(|(known, _)| text.contains(known)).map(|(_, code)| *code)
}

/// No CONNACK came: throttled when more than five connects lie within a minute.
pub(super) fn connack_missing(tracker: &mut Tracker, line: &Line<'_>) {
    // What counts is the minute before the first missing answer; the retries after it are many.
    let first = !tracker.has_fault("mqtt.connack_timeout");
    let many = tracker.connects_per_minute() > CONNECTS_PER_MINUTE_MAX
        || tracker.memo.drops as usize >= CONNECTS_PER_MINUTE_MAX;
    let throttled = tracker.has_fault("cloud.throttled") || (first && many);
    tracker.attempt_fault(if throttled { "cloud.throttled" } else { "mqtt.connack_timeout" }, line);
}

/// Connects of one device within a minute that the vendors' clouds accept (S1, error 2).
const CONNECTS_PER_MINUTE_MAX: usize = 5;
