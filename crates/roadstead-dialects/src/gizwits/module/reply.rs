//! Answers of the HTTP API, read without trust.
//!
//! Source: GizWits §3.1; seed §8, §9. The traps of §3.1 are the other side's: a real module
//! crashes where these functions refuse.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::Write as _;

/// Characters of a DID (seed §8.1).
pub(super) const DID_LEN: usize = 22;

/// Why an answer is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReplyError {
    /// Another status than success.
    #[error("status {0}")]
    Status(u16),
    /// Success without what was asked for, or cut short.
    #[error("the answer is cut short or not readable")]
    Unreadable,
    /// Error 9016: DID or passcode is not known.
    #[error("the cloud does not know this DID and passcode")]
    Unknown,
}

/// Where the M2M server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: Box<str>,
    pub(super) port: u16,
    /// Unix seconds of the server.
    pub(super) seconds: Option<i64>,
    /// Keyword of another cloud (seed §8.4_6).
    pub(super) third_party: Option<Box<str>>,
}

/// New firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// `soft_ver`, or empty for API 4.0.
    pub(super) version: Box<str>,
    /// `target_fid` of API 4.0.
    pub(super) firmware_id: Option<u32>,
    pub(super) url: Url,
}

/// An `http://` address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) host: Box<str>,
    pub(super) port: u16,
    pub(super) path: Box<str>,
}

fn text(body: &[u8]) -> Result<&str, ReplyError> {
    core::str::from_utf8(body).map_err(|_| ReplyError::Unreadable)
}

/// Returns the value of a pair; `None` when it is missing or may be cut, that is when nothing
/// stands behind it.
fn whole<'a>(body: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = body;
    loop {
        let (pair, after) = rest.split_once(['&', '\r', '\n'])?;
        if let Some(value) = pair.strip_prefix(name).and_then(|value| value.strip_prefix('=')) {
            return Some(value);
        }
        rest = after;
    }
}

/// Reads the answer to a registration: the DID.
pub(super) fn registered(status: u16, body: &[u8]) -> Result<&str, ReplyError> {
    if !matches!(status, 200 | 201) {
        return Err(refusal(status, body));
    }
    let did = text(body)?.strip_prefix("did=").ok_or(ReplyError::Unreadable)?;
    let did = did.split(['&', '\r', '\n']).next().unwrap_or_default();
    let fits = did.len() == DID_LEN && did.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then_some(did).ok_or(ReplyError::Unreadable)
}

/// Reads the answer to a provision. A port with nothing behind it is taken for cut.
pub(super) fn provisioned(status: u16, body: &[u8]) -> Result<Place, ReplyError> {
    if status != 200 {
        return Err(refusal(status, body));
    }
    let body = text(body)?;
    let host = whole(body, "host").filter(|host| is_host(host)).ok_or(ReplyError::Unreadable)?;
    let port = whole(body, "port").and_then(|port| port.parse().ok()).filter(|port| *port != 0);
    Ok(Place {
        host: host.into(),
        port: port.ok_or(ReplyError::Unreadable)?,
        seconds: whole(body, "server_ts").and_then(|seconds| seconds.parse().ok()),
        third_party: whole(body, "3rd_cloud").map(Into::into),
    })
}

/// Reads the answer to a firmware check; `None` when there is nothing new.
pub(super) fn checked(status: u16, body: &[u8]) -> Result<Option<Offer>, ReplyError> {
    if matches!(status, 400 | 404) {
        return Ok(None);
    }
    if status != 200 {
        return Err(refusal(status, body));
    }
    let body = text(body)?;
    // Unlike real modules, the end of the body ends the address.
    let ended = alloc::format!("{body}\r\n");
    let Some(url) = whole(&ended, "download_url") else { return Ok(None) };
    Ok(Some(Offer {
        version: whole(body, "soft_ver").unwrap_or_default().into(),
        firmware_id: whole(&ended, "target_fid").and_then(|id| id.parse().ok()),
        url: Url::parse(url).ok_or(ReplyError::Unreadable)?,
    }))
}

/// Returns what an error answer means.
fn refusal(status: u16, body: &[u8]) -> ReplyError {
    let digits = b"9016";
    let code = body.windows(12).position(|part| part == b"\"error_code\"");
    let named = code.and_then(|at| body.get(at + 12..)).is_some_and(|rest| {
        let rest = rest.trim_ascii_start();
        let rest = rest.strip_prefix(b":").unwrap_or(rest).trim_ascii_start();
        let number = rest.split(|byte| !byte.is_ascii_digit()).next();
        number == Some(digits.as_slice())
    });
    if named { ReplyError::Unknown } else { ReplyError::Status(status) }
}

impl Url {
    /// Reads an address; other schemes than `http` are refused.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port != 0)?),
            None => (authority, 80),
        };
        let path = if path.starts_with('/') { path.into() } else { alloc::format!("/{path}") };
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
        (is_host(host) && plain).then(|| Self { host: host.into(), port, path: path.into() })
    }
}

fn is_host(host: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !host.is_empty() && host.len() <= 253 && host.bytes().all(fits)
}

/// Writes a value of a form; what is not a letter or digit is coded.
pub(super) fn form(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROVISION: &str =
        "host=m2m.gizwits.com&port=1883&server_ts=1795221644&log_host=&log_port=&";

    #[test]
    fn every_truncation_of_a_provision_is_refused_or_whole() {
        let full = provisioned(200, PROVISION.as_bytes()).expect("whole");
        assert_eq!((&*full.host, full.port), ("m2m.gizwits.com", 1883));
        assert_eq!(full.seconds, Some(1_795_221_644));
        let end_of_port = PROVISION.find("&server_ts").expect("port") + 1;
        for len in 0..PROVISION.len() {
            let got = provisioned(200, &PROVISION.as_bytes()[..len]);
            if len < end_of_port {
                assert_eq!(got, Err(ReplyError::Unreadable), "cut at {len}");
            } else {
                let got = got.expect("host and port are whole");
                assert_eq!((&got.host, got.port), (&full.host, full.port), "cut at {len}");
                assert!(got.seconds.is_none() || got.seconds == full.seconds, "cut at {len}");
            }
        }
    }

    #[test]
    fn hostile_provisions_are_refused() {
        for body in [
            "host=&port=1883&",
            "host=a b&port=1883&",
            "port=1883&",
            "host=a&port=0&",
            "host=a&port=70000&",
            "host=a&port=x&",
        ] {
            assert_eq!(provisioned(200, body.as_bytes()), Err(ReplyError::Unreadable), "{body}");
        }
        assert_eq!(provisioned(500, b""), Err(ReplyError::Status(500)));
    }

    #[test]
    fn refusals_are_told_apart() {
        let body = br#"{"error_message":"did or passcode invalid!","error_code":9016}"#;
        assert_eq!(provisioned(400, body), Err(ReplyError::Unknown));
        assert_eq!(provisioned(400, br#"{"error_code": 90160}"#), Err(ReplyError::Status(400)));
    }

    #[test]
    fn registrations() {
        assert_eq!(registered(201, b"did=GzwDemo0123456789ABCDE"), Ok("GzwDemo0123456789ABCDE"));
        for body in ["", "did=", "did=short", "did=GzwDemo0123456789ABCDEF", "id=x"] {
            assert_eq!(registered(201, body.as_bytes()), Err(ReplyError::Unreadable), "{body}");
        }
        assert_eq!(registered(404, b""), Err(ReplyError::Status(404)));
    }

    #[test]
    fn firmware_answers() {
        let body =
            "soft_ver=00000003&download_url=http://fw.gizwits.com/dev/ota/v4.1/download/9?x=1\r\n";
        let offer = checked(200, body.as_bytes()).expect("readable").expect("new");
        assert_eq!(&*offer.version, "00000003");
        assert_eq!(&*offer.url.path, "/dev/ota/v4.1/download/9?x=1");
        assert_eq!((&*offer.url.host, offer.url.port), ("fw.gizwits.com", 80));
        let old = "target_fid=8&download_url=http://fw:8080/f&";
        let offer = checked(200, old.as_bytes()).expect("readable").expect("new");
        assert_eq!((offer.firmware_id, offer.url.port), (Some(8), 8080));
        assert_eq!(checked(404, b"{}"), Ok(None));
        assert_eq!(checked(200, b"download_url=ftp://x/\r\n"), Err(ReplyError::Unreadable));
        assert_eq!(checked(503, b""), Err(ReplyError::Status(503)));
    }
}
