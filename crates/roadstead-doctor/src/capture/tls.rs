//! Records of TLS and DTLS up to the end of the handshake: versions, names, alerts, nothing secret.

use super::{be16, plain};

/// What a record shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    ClientHello {
        name: String,
        /// All suites prove a pre-shared key.
        psk: bool,
    },
    ServerHello,
    /// The client sends its certificate.
    Certificate,
    /// A plain alert: level, description.
    Alert(u8, u8),
    CipherChange,
    /// Data, or a handshake message that is encrypted.
    Sealed,
    Other,
}

/// Returns true when a stream may begin with a record of TLS.
pub(super) fn is_start(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=23, 3, 0..=4, ..])
}

/// Reads one record: its meaning and its length; `None` while it is not whole. `sealed` says that
/// this side changed ciphers.
pub(super) fn record(bytes: &[u8], sealed: bool) -> Option<(Record, usize)> {
    let length = usize::from(be16(bytes, 3)?);
    let body = bytes.get(5..5 + length)?;
    let kind = match (bytes[0], body) {
        (20, _) => Record::CipherChange,
        (21, [level, description]) if !sealed => Record::Alert(*level, *description),
        (22, [1, ..]) if !sealed => client_hello(body),
        (22, [2, ..]) if !sealed => Record::ServerHello,
        (22, [11, ..]) if !sealed => Record::Certificate,
        (21..=23, _) if sealed || bytes[0] == 23 => Record::Sealed,
        _ => Record::Other,
    };
    Some((kind, 5 + length))
}

fn client_hello(body: &[u8]) -> Record {
    hello(body).unwrap_or(Record::ClientHello { name: String::new(), psk: false })
}

fn hello(body: &[u8]) -> Option<Record> {
    let mut at = 4 + 2 + 32;
    at += 1 + usize::from(*body.get(at)?);
    let count = usize::from(be16(body, at)?);
    let suites = body.get(at + 2..at + 2 + count)?;
    let real = |suite: &&[u8]| !matches!(suite, [0x00, 0xff] | [0x56, 0x00]);
    let psk = suites.chunks_exact(2).filter(real).all(is_psk);
    at += 2 + count;
    at += 1 + usize::from(*body.get(at)?);
    let name = server_name(body.get(at + 2..).unwrap_or_default()).unwrap_or_default();
    Some(Record::ClientHello { name, psk })
}

/// Returns true for suites that use a pre-shared key alone or with key agreement (IANA registry).
fn is_psk(suite: &[u8]) -> bool {
    matches!(
        suite,
        [0x00, 0x2c..=0x2e | 0x8a..=0x95 | 0xa8..=0xb9]
            | [0xc0, 0x33..=0x3b | 0x64..=0x71 | 0x8e..=0x9b | 0xa4..=0xab]
            | [0xcc, 0xab..=0xae]
    )
}

/// Reads the extension `server_name` (0).
fn server_name(mut rest: &[u8]) -> Option<String> {
    loop {
        let (kind, length) = (be16(rest, 0)?, usize::from(be16(rest, 2)?));
        let body = rest.get(4..4 + length)?;
        if kind == 0 {
            let size = usize::from(be16(body, 3)?);
            return Some(plain(body.get(5..5 + size)?, 255));
        }
        rest = rest.get(4 + length..)?;
    }
}

/// Returns the name of an alert (RFC 8446, 6; RFC 4279).
pub(super) const fn alert_name(description: u8) -> &'static str {
    match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        90 => "user_canceled",
        112 => "unrecognized_name",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        _ => "another alert",
    }
}
