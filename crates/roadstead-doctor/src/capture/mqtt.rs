//! Packets of MQTT 3.1 and 3.1.1 as a capture shows them: who logs in, the answer, topics.
//!
//! It prints no password and no payload; of a payload it names the method and the code.

use super::{be16, plain};
use crate::sign::json;

/// Longest packet that is looked at, bytes; of longer ones the head is.
pub(super) const LOOK_BYTES: usize = 4096;

/// What a packet shows, in words; `None` for those that show nothing.
pub(super) enum Said {
    Connect(String),
    Connack(u8),
    Suback { refused: bool },
    Publish(String),
    Ping,
    Pong,
    Disconnect,
    Other,
}

/// Returns true when a client's stream may begin with CONNECT.
pub(super) fn is_connect(bytes: &[u8]) -> bool {
    let name = bytes.windows(6).take(8);
    bytes.first() == Some(&0x10)
        && name.into_iter().any(|w| w == b"\0\x04MQTT" || w == b"\0\x06MQIs")
}

/// Returns the lengths of head and body of the packet at the start of a stream; `None` while the
/// head is not whole, `Err` when it is none.
pub(super) fn frame(bytes: &[u8]) -> Option<Result<(usize, usize), ()>> {
    let mut length = 0_usize;
    for at in 1..=4 {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        if byte & 0x80 == 0 {
            return Some(Ok((at + 1, length)));
        }
    }
    Some(Err(()))
}

/// Reads a packet; the body may be cut to [`LOOK_BYTES`].
pub(super) fn say(first: u8, body: &[u8]) -> Said {
    match first >> 4 {
        1 => Said::Connect(connect(body).unwrap_or_default()),
        2 => body.get(1).map_or(Said::Other, |code| Said::Connack(*code)),
        3 => publish(first, body).map_or(Said::Other, Said::Publish),
        9 => Said::Suback { refused: body.iter().skip(2).any(|code| *code >= 0x80) },
        12 => Said::Ping,
        13 => Said::Pong,
        14 => Said::Disconnect,
        _ => Said::Other,
    }
}

fn text(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let length = usize::from(be16(bytes, at)?);
    Some((bytes.get(at + 2..at + 2 + length)?, at + 2 + length))
}

fn connect(body: &[u8]) -> Option<String> {
    let (_, at) = text(body, 0)?;
    let (level, flags) = (*body.get(at)?, *body.get(at + 1)?);
    let alive = be16(body, at + 2)?;
    let (id, mut at) = text(body, at + 4)?;
    // Some client ids carry a token or a signature after a bar.
    let id = id.split(|byte| *byte == b'|').next().unwrap_or_default();
    let mut said = format!("client {} level {level} keep-alive {alive}", plain(id, 64));
    if flags & 0x04 != 0 {
        at = text(body, at)?.1;
        at = text(body, at)?.1;
    }
    if flags & 0x80 != 0 {
        let user = text(body, at)?.0;
        said.push_str(&format!(" user {}", plain(user, 48)));
    }
    said.push_str(if flags & 0x40 != 0 { " with a password" } else { " without a password" });
    Some(said)
}

fn publish(first: u8, body: &[u8]) -> Option<String> {
    let (topic, at) = text(body, 0)?;
    let at = at + if first & 0x06 == 0 { 0 } else { 2 };
    let mut said = plain(topic, 120);
    let Ok(payload) = std::str::from_utf8(body.get(at..).unwrap_or_default()) else {
        return Some(said);
    };
    for key in ["method", "code"] {
        if let Some(value) = json(payload, key).filter(|value| !value.is_empty()) {
            said.push_str(&format!(" {key}={}", plain(value.as_bytes(), 40)));
        }
    }
    Some(said)
}
