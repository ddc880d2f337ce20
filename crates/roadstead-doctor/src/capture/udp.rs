//! Datagrams: names, CoAP, the provisioning service of a device's hotspot, discovery on the LAN.

use std::collections::BTreeMap;

use super::packet::{Datagram, Peer};
use super::{Notes, be16, dns, plain};
use crate::limit::FLOWS_MAX;
use crate::sign::json;

/// Unanswered questions of one kind that are reported.
const ASKED: u32 = 2;
/// Port of the provisioning service (Tencent §5).
const PROVISION: u16 = 8266;
/// Port of discovery and onboarding of the module (GizWits §4).
const MODULE: u16 = 12414;

/// A question that waits for its answer.
struct Question {
    number: u64,
    ms: i64,
    key: String,
    text: String,
    count: u32,
}

/// Datagrams that wait for an answer.
#[derive(Default)]
pub(super) struct Datagrams {
    /// Names asked for: address of the device and name.
    names: BTreeMap<(String, String), Question>,
    /// CoAP requests: device, server, message id.
    requests: BTreeMap<(Peer, Peer, u16), Question>,
}

impl Datagrams {
    /// Takes one datagram.
    pub(super) fn datagram(&mut self, datagram: &Datagram<'_>, notes: &mut Notes<'_>) {
        let (from, to) = (datagram.from, datagram.to);
        match (from.1, to.1) {
            (53, _) | (_, 53) => self.name(datagram, notes),
            (5683, _) | (_, 5683) => self.coap(datagram, notes),
            (PROVISION, _) | (_, PROVISION) => provision(datagram, notes),
            (MODULE, _) | (_, MODULE) => module(datagram, notes),
            _ => {}
        }
    }

    fn name(&mut self, datagram: &Datagram<'_>, notes: &mut Notes<'_>) {
        let Some(message) = dns::parse(datagram.payload) else { return };
        let device = if message.response { datagram.to.0 } else { datagram.from.0 };
        let key = device.to_string();
        let place = (key.clone(), message.name.clone());
        if !message.response {
            if self.names.len() >= FLOWS_MAX && !self.names.contains_key(&place) {
                return;
            }
            let text = format!("dns {key}: no answer for {}", message.name);
            let question = Question { number: notes.number, ms: notes.ms, key, text, count: 0 };
            self.names.entry(place).or_insert(question).count += 1;
            return;
        }
        self.names.remove(&place);
        if message.code != 0 {
            let code = dns::code_name(message.code);
            notes.add(&key, &format!("dns {key}: {code} for {}", message.name));
        } else if message.answers > 0 {
            notes.add(&key, &format!("dns {key}: resolved {}", message.name));
        }
    }

    /// CoAP (RFC 7252): requests of a device and the class of the answer.
    fn coap(&mut self, datagram: &Datagram<'_>, notes: &mut Notes<'_>) {
        let bytes = datagram.payload;
        let (Some(first), Some(code), Some(id)) = (bytes.first(), bytes.get(1), be16(bytes, 2))
        else {
            return;
        };
        if first >> 6 != 1 {
            return;
        }
        let (class, detail) = (code >> 5, code & 0x1f);
        if class == 0 && detail != 0 {
            let path = path(bytes).unwrap_or_default();
            let key = datagram.from.0.to_string();
            let place = (datagram.from, datagram.to, id);
            let head = format!("coap {key} to {}: ", datagram.to.0);
            if !self.requests.contains_key(&place) {
                if self.requests.len() >= FLOWS_MAX {
                    return;
                }
                notes.add(&key, &format!("{head}request /{path}"));
            }
            let text = format!("{head}no answer to /{path}");
            let question = Question { number: notes.number, ms: notes.ms, key, text, count: 0 };
            self.requests.entry(place).or_insert(question).count += 1;
            return;
        }
        let place = (datagram.to, datagram.from, id);
        let Some(question) = self.requests.remove(&place) else { return };
        if class >= 2 {
            let (_, path) = question.text.rsplit_once(" /").unwrap_or_default();
            let text = format!("coap {}: answer {class}.{detail:02} to /{path}", question.key);
            notes.add(&question.key, &text);
        }
    }

    /// The capture ends: what was asked again and again stays unanswered.
    pub(super) fn finish(&mut self, notes: &mut Notes<'_>) {
        let open = self.names.values().chain(self.requests.values());
        for question in open.filter(|question| question.count >= ASKED) {
            notes.add_at(question.number, question.ms, &question.key, &question.text);
        }
    }
}

/// Returns the path of a CoAP request: options 11.
fn path(bytes: &[u8]) -> Option<String> {
    let mut rest = bytes.get(4 + usize::from(bytes.first()? & 0xf)..)?;
    let (mut option, mut parts) = (0_u16, Vec::new());
    while let Some((head, after)) = rest.split_first().filter(|(head, _)| **head != 0xff) {
        rest = after;
        let mut wide = |nibble: u8| -> Option<u16> {
            match nibble {
                13 => {
                    let byte = *rest.first()?;
                    rest = &rest[1..];
                    Some(13 + u16::from(byte))
                }
                14 => {
                    let pair = be16(rest, 0)?;
                    rest = &rest[2..];
                    pair.checked_add(269)
                }
                15 => None,
                small => Some(u16::from(small)),
            }
        };
        option = option.checked_add(wide(head >> 4)?)?;
        let length = usize::from(wide(head & 0xf)?);
        let value = rest.get(..length)?;
        rest = &rest[length..];
        if option == 11 {
            parts.push(plain(value, 40));
        }
    }
    Some(parts.join("/"))
}

/// Messages between phone and device on the device's hotspot: JSON with `cmdType`.
fn provision(datagram: &Datagram<'_>, notes: &mut Notes<'_>) {
    let Ok(text) = std::str::from_utf8(datagram.payload) else { return };
    let Some(kind) = json(text, "cmdType") else { return };
    let device = if datagram.to.1 == PROVISION { datagram.to.0 } else { datagram.from.0 };
    let key = device.to_string();
    let kind = plain(kind.as_bytes(), 8);
    if datagram.to.1 != PROVISION {
        let reply = json(text, "deviceReply").unwrap_or_default();
        let reply = plain(reply.as_bytes(), 40);
        return notes.add(&key, &format!("udp {key}: provisioning answer {kind} {reply}"));
    }
    let missing: Vec<&str> = match kind.as_str() {
        "1" => {
            ["ssid", "password", "token"].into_iter().filter(|k| json(text, k).is_none()).collect()
        }
        "0" => ["token"].into_iter().filter(|k| json(text, k).is_none()).collect(),
        _ => Vec::new(),
    };
    notes.add(&key, &format!("udp {key}: provisioning request {kind}"));
    if !missing.is_empty() {
        let missing = missing.join(", ");
        notes.add(&key, &format!("udp {key}: provisioning request lacks {missing}"));
    }
}

/// Frames of the module on the LAN: `00 00 00 03`, length, flag, command.
fn module(datagram: &Datagram<'_>, notes: &mut Notes<'_>) {
    let [0, 0, 0, 3, length, rest @ ..] = datagram.payload else { return };
    let (Some(command), true) = (be16(rest, 1), usize::from(*length) == rest.len()) else {
        let key = datagram.from.0.to_string();
        return notes.add(&key, &format!("udp {key}: module frame with a wrong length"));
    };
    let key = match datagram.from.1 == MODULE {
        true => datagram.from.0,
        false => datagram.to.0,
    };
    if matches!(command, 2 | 4) {
        notes.add(&key.to_string(), &format!("udp {key}: module answers {command:#06x}"));
    }
}
