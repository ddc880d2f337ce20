//! Numbers of mbed TLS as SDKs print them.
//!
//! Source: Tencent §13.4, Alibaba §11.4, both read in runs. The same number stands for several
//! causes; the symptom codes then carry the ranked alternatives.

use crate::input::Line;
use crate::tracker::{SYMPTOM, Tracker};

/// How a build proves itself in TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Psk,
    Certificate,
    /// The server alone has a certificate.
    Server,
}

/// What is known about the memory of a board: a record of a foreign protocol and a buffer that is
/// too small give the same number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Board {
    Small,
    Large,
    Unknown,
}

/// Year before which no device of these SDKs was sold: a clock that says so was never set.
const FIRST_YEAR: i64 = 2015;

/// Returns true when a line is dated before any device could have written it.
pub(super) fn before_sale(line: &Line<'_>) -> bool {
    let year = line.time().filter(|stamp| stamp.dated).and_then(|stamp| stamp.text.get(..4));
    year.filter(|year| year.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|year| year.parse::<i64>().ok())
        .is_some_and(|year| year < FIRST_YEAR)
}

/// Suspects the cause behind a number of the TLS or network layer.
pub(super) fn fault(
    tracker: &mut Tracker,
    number: i64,
    proof: Proof,
    board: Board,
    line: &Line<'_>,
) {
    tracker.memo.attempt_failed = true;
    let code = match number {
        0x0052 => "dns.unresolved",
        0x0044 => "tcp.connect_failed",
        0x7280 | 0x0050 | 0x7880 => "tls.handshake_closed",
        0x7780 => "tls.alert_received",
        0x7200 => match board {
            Board::Small => "tls.buffer_too_small",
            Board::Large => "tls.not_tls_port",
            Board::Unknown => "tls.record_invalid",
        },
        0x6800 => "tls.handshake_timeout",
        0x7f00 => "tls.out_of_memory",
        0x0001 => "tls.server_cert_expired",
        0x0004 => "tls.server_cert_name_mismatch",
        0x0200 if before_sale(line) => "clock.wrong",
        0x0200 => "tls.server_cert_not_yet_valid",
        // The verify flags of a chain are a bit set; an unknown CA comes with others.
        0x2700 | 0x0008 | 0x0009..=0x003f => "tls.server_cert_untrusted",
        0x3e00 => "tls.client_cert_missing",
        _ => "tls.handshake_closed",
    };
    let symptom = matches!(
        code,
        "tls.handshake_closed"
            | "tls.alert_received"
            | "tls.not_tls_port"
            | "tls.buffer_too_small"
            | "tls.record_invalid"
            | "tcp.connect_failed"
    );
    let psk: &[&'static str] = &[
        "tls.psk_mismatch",
        "tls.psk_identity_unknown",
        "tls.no_shared_suite",
        "tls.not_tls_port",
    ];
    let server: &[&'static str] = &["tls.no_shared_suite", "tls.not_tls_port", "tls.psk_mismatch"];
    let certificate: &[&'static str] =
        &["tls.client_cert_rejected", "tls.no_shared_suite", "tls.not_tls_port"];
    if !symptom {
        return tracker.fault(code, line);
    }
    if let Some(fault) = tracker.suspect(code, SYMPTOM, line)
        && matches!(code, "tls.handshake_closed" | "tls.alert_received")
    {
        let likely = match proof {
            Proof::Psk => psk,
            Proof::Certificate => certificate,
            Proof::Server => server,
        };
        fault.alternatives = likely.to_vec();
    }
}
