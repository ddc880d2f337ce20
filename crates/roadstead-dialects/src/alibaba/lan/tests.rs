//! Every datagram of the recordings, read and written back.

use std::collections::BTreeMap;
use std::string::{String, ToString as _};
use std::vec::Vec;

use roadstead_core::Value;
use roadstead_wire::coap::{Code, Kind, Message, option};

use super::{Answer, Ask, DeviceInfo, IdStyle, Resource};

const NAMES: (&str, &str) = ("a1RsKq9ZxTb", "lamp-0001");

/// Returns the datagrams of all recordings: file, direction, bytes.
fn recorded() -> Vec<(String, String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/transcripts/alibaba");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).expect("transcripts") {
        let path = entry.expect("entry").path();
        let name = path.file_stem().expect("name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).expect("text");
        let Ok(Value::Array(exchanges)) = serde_json::from_str(&text) else { continue };
        for exchange in exchanges {
            let Some(hex) = exchange.get("datagram_hex").and_then(Value::as_str) else { continue };
            let direction = exchange["direction"].as_str().expect("direction").to_string();
            all.push((name.clone(), direction, hex::decode(hex).expect("hex")));
        }
    }
    all
}

#[test]
fn every_recorded_datagram_is_read_and_written_back() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, direction, bytes) in recorded() {
        let message = Message::parse(&bytes).expect(&name);
        assert_eq!(message.emit_unsorted(), bytes, "{name}: the same bytes");
        if message.payload.is_empty()
            || message.option(super::super::alcs::SESSION_OPTION).is_some()
        {
            continue;
        }
        if message.code.is_request() {
            let ask = Ask::parse(&message.payload).expect(&name);
            match direction.as_str() {
                // Trap 11: what a device offers is read with GET, what it announces is POST.
                "device->phone" => {
                    assert_eq!((message.kind, message.code), (Kind::NonConfirmable, Code::POST));
                    *counts.entry("announcement").or_default() += 1;
                }
                _ => {
                    let path = message.path();
                    assert!(Resource::parse(&path, NAMES.0, NAMES.1).is_some(), "{path}");
                    *counts.entry("request").or_default() += 1;
                }
            }
            if let Some(info) = DeviceInfo::from_value(&ask.params) {
                assert_eq!(info.to_value().to_string(), ask.params.to_string(), "{name}");
                *counts.entry("info").or_default() += 1;
            }
        } else {
            let answer = Answer::parse(&message.payload).expect(&name);
            let text = core::str::from_utf8(super::trim(&message.payload)).expect("text");
            let styles = [IdStyle::Digits, IdStyle::Quoted];
            assert!(styles.iter().any(|style| answer.emit(*style) == text), "{name}: {text}");
            if let Some(info) = DeviceInfo::from_value(&answer.data) {
                assert_eq!(info.to_value().to_string(), answer.data.to_string(), "{name}");
                *counts.entry("answer with info").or_default() += 1;
            }
        }
    }
    for what in ["announcement", "request", "info", "answer with info"] {
        assert!(counts.get(what).is_some_and(|n| *n > 4), "{what}: {counts:?}");
    }
}

#[test]
fn trap_11_post_is_refused_by_real_devices() {
    let refusals = recorded().into_iter().filter(|(name, ..)| name == "v301_alcs_session");
    let refusals = refusals.filter_map(|(_, _, bytes)| Message::parse(&bytes).ok());
    let refusals = refusals.filter(|message| message.code == Code::METHOD_NOT_ALLOWED);
    assert_eq!(refusals.count(), 3);
}

#[test]
fn trap_12_real_answers_have_wrapped_options() {
    let answers = recorded().into_iter().filter_map(|(_, _, bytes)| Message::parse(&bytes).ok());
    let wrapped = answers.filter(|message| {
        let numbers: Vec<u16> = message.options.iter().map(|option| option.number).collect();
        numbers.contains(&option::OBSERVE) && !numbers.is_sorted()
    });
    assert!(wrapped.count() >= 2);
}
