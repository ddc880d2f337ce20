//! Wrappers of log collectors and the device key that a prefix gives.
//!
//! Containers write JSON objects, terminal programs and multiplexers put a tag in front, syslog a
//! host. The rest of a prefix (level, tag, time) stays: signs are found anywhere in a line.

use std::borrow::Cow;

use memchr::{memchr_iter, memchr2};
use serde_json::Value;

/// Longest device key, bytes.
const KEY_MAX: usize = 48;

/// Returns the text inside a collector's JSON line, and the device key in front of the line.
pub(crate) fn unwrap(line: &str) -> (Cow<'_, str>, String) {
    if line.starts_with("{\"")
        && let Some((text, key)) = container(line)
    {
        let inner = key_of(head(&text));
        return (Cow::Owned(text), if inner.is_empty() { key } else { inner });
    }
    (Cow::Borrowed(line), key_of(head(line)))
}

/// Bytes at the start of a line that can hold a prefix.
const PREFIX_BYTES: usize = 128;

fn head(line: &str) -> &str {
    let mut end = line.len().min(PREFIX_BYTES);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}

/// Reads one JSON line of a collector; `None` when it is some other JSON.
fn container(line: &str) -> Option<(String, String)> {
    let Ok(Value::Object(object)) = serde_json::from_str::<Value>(line) else { return None };
    // Records of an API have a message of their own.
    if ["message_id", "error_code", "remedy"].iter().any(|key| object.contains_key(*key)) {
        return None;
    }
    let text = |names: &[&str]| names.iter().find_map(|name| object.get(*name)?.as_str());
    let body = text(&["log", "message", "MESSAGE", "msg", "line", "@message"])?;
    let by = text(&["container_name", "host", "hostname", "_HOSTNAME", "device", "tag"]);
    Some((body.trim_end_matches(['\r', '\n']).to_owned(), by.unwrap_or_default().to_owned()))
}

/// Returns the tag, host or container in front of a line.
fn key_of(line: &str) -> String {
    let mut rest = skip_time(line);
    let found = loop {
        match bracket(rest) {
            Some((tag, _)) if is_tag(tag) => break Some(tag),
            // A level or a time in brackets may stand before the tag.
            Some((_, after)) if after.starts_with([' ', '[']) && after.len() > 1 => {
                rest = after.trim_start();
                if !rest.starts_with('[') {
                    break None;
                }
            }
            Some(_) | None => {
                break piped(rest).or_else(|| syslog_host(line)).or_else(|| port(rest));
            }
        }
    };
    found.filter(|key| key.len() <= KEY_MAX).unwrap_or_default().to_owned()
}

fn bracket(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('[')?.split_once(']')
}

/// Returns true for `COM7`, `ttyUSB0`, `dev-1`, `lamp_2`; false for levels, times, source lines.
fn is_tag(tag: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./@".contains(c);
    let named = tag.bytes().any(|byte| byte.is_ascii_alphabetic());
    let numbered = tag.bytes().any(|byte| byte.is_ascii_digit());
    let hexadecimal = tag.starts_with("0x");
    let vendor = tag.starts_with("LK-");
    let known = ["dev", "COM", "tty", "lamp", "node", "board"];
    let says = numbered || known.iter().any(|head| tag.starts_with(head));
    tag.len() >= 2 && tag.chars().all(plain) && named && says && !hexadecimal && !vendor
}

/// `name  | text`, as container tools print.
fn piped(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let bar = memchr_iter(b'|', bytes).find(|at| bytes.get(at + 1) == Some(&b' '))?;
    let name = &text[..bar];
    let tag = name.trim_end();
    let plain = tag.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    (tag.len() < name.len() && plain && tag.bytes().any(|b| b.is_ascii_alphabetic())).then_some(tag)
}

/// `COM7: text`, `ttyUSB0> text`.
fn port(text: &str) -> Option<&str> {
    if !text.starts_with(['C', 't', '/', 'd']) {
        return None;
    }
    let end = memchr2(b':', b'>', text.as_bytes())?;
    let tag = &text[..end];
    let is_port = ["COM", "tty", "/dev/tty", "dev", "device"].iter().any(|head| {
        tag.strip_prefix(head).is_some_and(|rest| {
            !rest.is_empty()
                && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && rest.bytes().any(|b| b.is_ascii_digit())
        })
    });
    (is_port && text[end + 1..].starts_with(' ')).then_some(tag)
}

/// Levels that a logger prints where others print the host.
const LEVELS: &[&str] = &[
    "trace", "debug", "dbg", "info", "inf", "notice", "warn", "warning", "wrn", "error", "err",
    "fatal", "critical",
];

/// `Mon dd hh:mm:ss host tag[pid]: ` and the same with an ISO time.
fn syslog_host(line: &str) -> Option<&str> {
    let line = line.strip_prefix('<').and_then(|l| l.split_once('>')).map_or(line, |(_, l)| l);
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let first = words.next()?;
    if first.len() == 3 && first.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        words.next()?;
        words.next().filter(|time| time.matches(':').count() == 2)?;
    } else {
        let iso = first.starts_with(|c: char| c.is_ascii_digit())
            && first.contains('T')
            && first.matches(':').count() >= 2;
        iso.then_some(())?;
    }
    let host = words.next()?;
    let tag = words.next()?;
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let level = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(host));
    (plain && tag.ends_with(':') && !level).then_some(host)
}

/// Skips a time that a terminal program puts first.
fn skip_time(line: &str) -> &str {
    let inner = line.trim_start();
    let end = inner
        .find(|c: char| {
            !(c.is_ascii_digit()
                || matches!(c, ':' | '.' | ',' | '-' | 'T' | 'Z' | '+' | '/' | ' '))
        })
        .unwrap_or(0);
    if end >= 8 && inner[..end].contains(':') { &inner[end..] } else { inner }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_prefixes() {
        for (line, key) in [
            ("[COM7] ERR|2026-11-21 00:37:59|f.c|g(1): x", "COM7"),
            ("2026-11-21T00:34:13.752 DEBUG MqttBase: begin", ""),
            ("DBG|2026-11-21T00:39:18|f.c|g(1): cert file: x", ""),
            ("2026-11-21T00:34:13.752 gw01 app[1]: begin", "gw01"),
            ("2026-11-21 00:37:59.123 [dev-2] x", "dev-2"),
            ("[00:37:59.123] [ttyUSB0] x", "ttyUSB0"),
            ("lamp-1  | [inf] f(1): x", "lamp-1"),
            ("Nov 21 00:34:19 gw01 app[12]: x", "gw01"),
            ("2026-11-21T00:34:19+00:00 gw02 app[12]: x", "gw02"),
            ("COM3: text", "COM3"),
            ("[inf] f(1): x", ""),
            ("[DEBUG][4220655362][hub_step] hub_step:enter", ""),
            ("[1795221785][lwm2m_init:98] Entering", ""),
            ("[1795222756.444][LK-0313] x", ""),
            ("[2019-04-24-14:37:26][018912]<D> x", ""),
            ("ERR|2026-11-21 00:37:59|f.c|g(1): x", ""),
            ("2026-11-21 00:33:45.424 INFO MqttBase: x", ""),
            ("I (12345) app: x", ""),
        ] {
            assert_eq!(unwrap(line).1, key, "{line}");
        }
    }

    #[test]
    fn containers_are_opened() {
        let (text, key) =
            unwrap(r#"{"log":"[inf] f(1): \"x\"\n","stream":"stdout","time":"t","tag":"a"}"#);
        assert_eq!((text.as_ref(), key.as_str()), ("[inf] f(1): \"x\"", "a"));
        for other in [r#"{"cmdType":1}"#, r#"{"message_id":"m","message":"hi"}"#] {
            assert_eq!(unwrap(other).0, other);
        }
    }
}
