//! The compact records of the journal and of trace segments.
//!
//! ```text
//! journal row = record*
//! record      = flags (1: changes, 2: trace)
//!               [ device row, length, changes ]   flag 1
//!               [ device id, length, entry* ]     flag 2; all entries of one UTC day
//! changes     = count, ( kind, service, date, properties as JSON )*
//! entry       = date, hop, what, code, text
//! ```
//!
//! Numbers are LEB128, signed ones zigzag; text is length-prefixed UTF-8. Our own format, read
//! back only by us; a record that does not parse means a damaged file.

use roadstead_core::shadow::{Change, Values};
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{DeviceId, Timestamp};

use crate::rule;

const CHANGES: u8 = 1;
const TRACE: u8 = 2;
const REPORT: u8 = 0;
const DESIRE: u8 = 1;
const CLEAR_ALL: u8 = 2;
const CLEAR_ONE: u8 = 3;
const FORGET: u8 = 4;
/// More than the JSON around one service: braces, field names, dates, version; bytes.
const SERVICE_JSON_BYTES: usize = 200;
/// Longest JSON of one byte of text (`\u0000`), bytes.
const ESCAPE_BYTES: usize = 6;

/// Changes of one shadow, encoded.
pub(super) struct Changes {
    pub(super) body: Vec<u8>,
    /// Upper bound of what they add to the JSON of the shadow, bytes.
    pub(super) growth: usize,
}

/// Trace entries of one device and one day, encoded.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) device: DeviceId,
    pub(super) day: i64,
    pub(super) first_at: Timestamp,
    pub(super) last_at: Timestamp,
    pub(super) body: Vec<u8>,
}

/// One record of a journal row.
#[derive(Debug, PartialEq)]
pub(super) struct Record {
    pub(super) changes: Option<(i64, Vec<Change>)>,
    pub(super) trace: Option<(DeviceId, Vec<Entry>)>,
}

/// Encodes changes.
pub(super) fn encode_changes(changes: &[Change]) -> Changes {
    let mut body = Vec::with_capacity(128);
    let mut growth = 0;
    put_number(&mut body, changes.len() as u64);
    for change in changes {
        match change {
            Change::Report { service, values } => {
                growth += put_values(&mut body, REPORT, service, values);
            }
            Change::Desire { service, values } => {
                growth += put_values(&mut body, DESIRE, service, values);
            }
            Change::ClearDesired { service: None } => body.push(CLEAR_ALL),
            Change::ClearDesired { service: Some(service) } => {
                body.push(CLEAR_ONE);
                put_text(&mut body, service);
            }
            Change::Forget => body.push(FORGET),
        }
        growth += ESCAPE_BYTES;
    }
    Changes { body, growth }
}

fn put_values(body: &mut Vec<u8>, kind: u8, service: &str, values: &Values) -> usize {
    body.push(kind);
    put_text(body, service);
    put_signed(body, values.at.as_millis());
    let json = serde_json::to_vec(&values.properties).expect("a JSON object");
    put_bytes(body, &json);
    json.len() + service.len() * ESCAPE_BYTES + SERVICE_JSON_BYTES
}

/// Encodes trace entries, one part per run of entries of the same day.
pub(super) fn encode_trace(device: &DeviceId, entries: &[Entry]) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    for entry in entries {
        let day = rule::day_of(entry.at);
        if parts.last().is_none_or(|part| part.day != day) {
            let (device, body) = (device.clone(), Vec::with_capacity(64));
            parts.push(Part { device, day, first_at: entry.at, last_at: entry.at, body });
        }
        let part = parts.last_mut().expect("pushed above");
        part.first_at = part.first_at.min(entry.at);
        part.last_at = part.last_at.max(entry.at);
        put_entry(&mut part.body, entry);
    }
    parts
}

fn put_entry(body: &mut Vec<u8>, entry: &Entry) {
    put_signed(body, entry.at.as_millis());
    body.push(match entry.hop {
        Hop::Up => 0,
        Hop::Down => 1,
        Hop::Cloud => 2,
        Hop::Phone => 3,
        Hop::Api => 4,
    });
    put_text(body, &entry.what);
    put_text(body, &entry.code);
    put_text(body, &entry.text);
}

/// Appends a record to a journal row.
pub(super) fn put_record(
    body: &mut Vec<u8>,
    changes: Option<(i64, &Changes)>,
    trace: Option<&Part>,
) {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    body.push(flag(changes.is_some(), CHANGES) | flag(trace.is_some(), TRACE));
    if let Some((row, changes)) = changes {
        put_signed(body, row);
        put_bytes(body, &changes.body);
    }
    if let Some(part) = trace {
        put_text(body, part.device.as_str());
        put_bytes(body, &part.body);
    }
}

/// Decodes a journal row; `None` when it is damaged.
pub(super) fn decode_records(mut bytes: &[u8]) -> Option<Vec<Record>> {
    let bytes = &mut bytes;
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let flags = take_byte(bytes)?;
        if flags & !(CHANGES | TRACE) != 0 {
            return None;
        }
        let changes = match flags & CHANGES {
            0 => None,
            _ => Some((take_signed(bytes)?, decode_changes(take_bytes(bytes)?)?)),
        };
        let trace = match flags & TRACE {
            0 => None,
            _ => Some((DeviceId::from(take_text(bytes)?), decode_entries(take_bytes(bytes)?)?)),
        };
        records.push(Record { changes, trace });
    }
    Some(records)
}

/// Decodes entries; `None` when they are damaged.
pub(super) fn decode_entries(mut bytes: &[u8]) -> Option<Vec<Entry>> {
    let bytes = &mut bytes;
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let at = Timestamp(take_signed(bytes)?);
        let hop = match take_byte(bytes)? {
            0 => Hop::Up,
            1 => Hop::Down,
            2 => Hop::Cloud,
            3 => Hop::Phone,
            4 => Hop::Api,
            _ => return None,
        };
        let what = take_text(bytes)?.into();
        let code = take_text(bytes)?.into();
        let text = take_text(bytes)?.into();
        entries.push(Entry { at, hop, what, code, text });
    }
    Some(entries)
}

fn decode_changes(mut bytes: &[u8]) -> Option<Vec<Change>> {
    let bytes = &mut bytes;
    let count = take_number(bytes)?;
    let mut changes = Vec::new();
    for _ in 0..count {
        changes.push(match take_byte(bytes)? {
            REPORT => {
                let (service, values) = take_values(bytes)?;
                Change::Report { service, values }
            }
            DESIRE => {
                let (service, values) = take_values(bytes)?;
                Change::Desire { service, values }
            }
            CLEAR_ALL => Change::ClearDesired { service: None },
            CLEAR_ONE => Change::ClearDesired { service: Some(take_text(bytes)?.into()) },
            FORGET => Change::Forget,
            _ => return None,
        });
    }
    bytes.is_empty().then_some(changes)
}

fn take_values(bytes: &mut &[u8]) -> Option<(Box<str>, Values)> {
    let service = take_text(bytes)?.into();
    let at = Timestamp(take_signed(bytes)?);
    let properties = serde_json::from_slice(take_bytes(bytes)?).ok()?;
    Some((service, Values { properties, at }))
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, ((number << 1) ^ (number >> 63)) as u64);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn take_byte(bytes: &mut &[u8]) -> Option<u8> {
    let (first, rest) = bytes.split_first()?;
    *bytes = rest;
    Some(*first)
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(bytes)?;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take_signed(bytes: &mut &[u8]) -> Option<i64> {
    let number = take_number(bytes)?;
    Some((number >> 1) as i64 ^ -((number & 1) as i64))
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    core::str::from_utf8(take_bytes(bytes)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use roadstead_core::Map;
    use roadstead_core::shadow::Shadow;
    use serde_json::json;

    use super::*;
    use crate::rule::shadow_bytes;

    fn change() -> impl Strategy<Value = Change> {
        let values = (vec((".{0,6}", any::<i32>()), 0..4), any::<i64>()).prop_map(|(map, at)| {
            let properties: Map<_, _> =
                map.into_iter().map(|(key, value)| (key, json!({"v": value}))).collect();
            Values { properties, at: Timestamp(at) }
        });
        (0..5u8, ".{0,5}", values).prop_map(|(kind, service, values)| {
            let service: Box<str> = service.into();
            match kind {
                0 => Change::Report { service, values },
                1 => Change::Desire { service, values },
                2 => Change::ClearDesired { service: None },
                3 => Change::Forget,
                _ => Change::ClearDesired { service: Some(service) },
            }
        })
    }

    fn entry() -> impl Strategy<Value = Entry> {
        let hop = prop_oneof![
            Just(Hop::Up),
            Just(Hop::Down),
            Just(Hop::Cloud),
            Just(Hop::Phone),
            Just(Hop::Api)
        ];
        (any::<i64>(), hop, ".{0,9}", ".{0,9}", ".{0,40}").prop_map(
            |(at, hop, what, code, text)| {
                let (what, code, text) = (what.into(), code.into(), text.into());
                Entry { at: Timestamp(at), hop, what, code, text }
            },
        )
    }

    proptest! {
        #[test]
        fn records_round_trip(
            rows in vec((any::<i64>(), vec(change(), 0..4), proptest::option::of(entry())), 0..5),
        ) {
            let (mut body, mut expected) = (Vec::new(), Vec::new());
            for (row, changes, entry) in rows {
                let parts = encode_trace(&"lamp".into(), entry.as_slice());
                put_record(&mut body, Some((row, &encode_changes(&changes))), parts.first());
                let trace = entry.map(|entry| ("lamp".into(), vec![entry]));
                expected.push(Record { changes: Some((row, changes)), trace });
            }
            prop_assert_eq!(decode_records(&body), Some(expected));
        }

        #[test]
        fn days_do_not_mix(entries in vec(entry(), 0..9)) {
            let parts = encode_trace(&"lamp".into(), &entries);
            let mut back = Vec::new();
            for part in parts {
                let entries = decode_entries(&part.body).expect("whole");
                for entry in &entries {
                    prop_assert_eq!(rule::day_of(entry.at), part.day);
                    prop_assert!((part.first_at..=part.last_at).contains(&entry.at));
                }
                back.extend(entries);
            }
            prop_assert_eq!(back, entries);
        }

        #[test]
        fn damage_never_panics(bytes in vec(any::<u8>(), 0..200)) {
            let _ = decode_records(&bytes);
            let _ = decode_entries(&bytes);
            let _ = decode_changes(&bytes);
        }

        #[test]
        fn growth_is_an_upper_bound(changes in vec(change(), 0..6)) {
            let mut shadow = Shadow::default();
            let mut bound = shadow_bytes(&shadow);
            for change in changes {
                shadow.apply(&change);
                bound += encode_changes(&[change]).growth;
                prop_assert!(shadow_bytes(&shadow) <= bound);
            }
        }
    }
}
