//! The vectors of the serial line, hostile bytes, and the link in virtual time.

use std::format;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;
use roadstead_core::{Tick, Timestamp, Value};

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../vectors/gizwits.json")).expect("JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("text")).expect("hex")
}

fn number(value: &Value) -> u8 {
    let text = value.as_str().expect("text").trim_start_matches("0x");
    u8::from_str_radix(text, 16).expect("a byte")
}

/// Everything a stream holds: command, number, payload; a broken frame without payload.
fn decode(stream: &[u8]) -> Vec<(u8, u8, Option<Vec<u8>>)> {
    let mut decoder = Decoder::new();
    let (mut found, mut input) = (Vec::new(), stream);
    while let Some(received) = decoder.next(&mut input) {
        found.push(match received {
            Received::Frame(frame) => (frame.cmd, frame.sn, Some(frame.payload.to_vec())),
            Received::BadChecksum { cmd, sn } => (cmd, sn, None),
        });
    }
    found
}

#[test]
fn every_frame_vector_is_read_and_written_back() {
    let vectors = vectors();
    let frames = vectors["uart_frames"].as_array().expect("frames");
    assert!(frames.len() >= 47);
    for (n, vector) in frames.iter().enumerate() {
        let wire = bytes(&vector["hex"]);
        let payload = bytes(&vector["payload"]);
        let sn = vector["sn"].as_u64().expect("sn") as u8;
        let flags = vector["flags"].as_u64().expect("flags") as u16;
        let cmd = number(&vector["cmd"]);
        let expected = Frame { cmd, sn, flags, payload: &payload };
        let (mut decoder, mut input) = (Decoder::new(), &wire[..]);
        assert_eq!(decoder.next(&mut input), Some(Received::Frame(expected)), "vector {n}");
        let mut out = Vec::new();
        encode(&expected, &mut out);
        assert_eq!(out, wire, "vector {n}");
        let known = Command::of(cmd).or(Command::answered_by(cmd));
        assert!(known.is_some(), "vector {n}: command {cmd:#x}");
    }
}

#[test]
fn streams_with_noise_cost_only_what_is_broken() {
    let vectors = vectors();
    for (n, vector) in vectors["uart_streams"].as_array().expect("streams").iter().enumerate() {
        let whole: Vec<_> =
            decode(&bytes(&vector["hex"])).into_iter().filter(|f| f.2.is_some()).collect();
        let expected = vector["frames"].as_array().expect("frames");
        assert_eq!(whole.len(), expected.len(), "stream {n}");
        for (got, frame) in whole.iter().zip(expected) {
            let sn = frame["sn"].as_u64().expect("sn") as u8;
            assert_eq!((got.0, got.1), (number(&frame["cmd"]), sn), "stream {n}");
        }
    }
}

#[test]
fn device_information_of_every_generation() {
    let vectors = vectors();
    let frames = vectors["uart_frames"].as_array().expect("frames");
    let infos = frames.iter().filter(|vector| number(&vector["cmd"]) == 0x02);
    let mut sizes = Vec::new();
    for vector in infos {
        let payload = bytes(&vector["payload"]);
        sizes.push(payload.len());
        let info = DeviceInfo::parse(&payload).expect("readable");
        assert_eq!(&info.serial_protocol, b"00000004");
        assert_eq!(&*info.product_key, "6f3074fe43894547a4f1314bd7e3ae0b");
        let mut out = Vec::new();
        info.emit(&mut out);
        let same = out == payload || (payload.len() == 66 && out.starts_with(&payload));
        assert!(same, "{} bytes", payload.len());
        for len in 0..66 {
            assert!(DeviceInfo::parse(&payload[..len]).is_err(), "cut at {len}");
        }
    }
    sizes.sort_unstable();
    assert_eq!(sizes[..2], [66, 74]);
    assert!(sizes.last().is_some_and(|size| *size >= 108));
}

#[test]
fn status_words() {
    for (word, flags, signal) in [
        (0x071a_u16, "station binding router", 7),
        (0x073a, "station binding router cloud", 7),
        (0x0f3a, "station binding router cloud app", 7),
        (0x070f, "soft_ap station onboarding binding", 7),
        (0x173a, "station binding router cloud test", 7),
    ] {
        let status = Status::of(word);
        assert_eq!(status.word(), word);
        let named = [
            (status.soft_ap, "soft_ap"),
            (status.station, "station"),
            (status.onboarding, "onboarding"),
            (status.binding, "binding"),
            (status.router, "router"),
            (status.cloud, "cloud"),
            (status.app, "app"),
            (status.test, "test"),
        ];
        let set: Vec<&str> = named.into_iter().filter(|(on, _)| *on).map(|(_, n)| n).collect();
        assert_eq!((set.join(" "), status.signal), (String::from(flags), signal), "{word:04x}");
    }
    assert_eq!(Status::of(0xE0C0).word(), 0, "bits without a meaning");
}

#[test]
fn network_time_is_local_and_unix() {
    let mut out = Vec::new();
    network_time(Some(Timestamp(1_795_221_233_000)), 8 * 60, &mut out);
    assert_eq!(hex::encode(&out), "07ea0b150821356b00e6f1");
    out.clear();
    network_time(None, 8 * 60, &mut out);
    assert_eq!(hex::encode(&out), "07b201010800000000000000"[..22]);
}

#[test]
fn the_link_repeats_twice_with_the_same_number() {
    let mut link = Link::new(LinkPolicy::default());
    assert!(link.push(Command::Control, 0, &[2], 'a'));
    let first = link.poll(Tick::ZERO).expect("sent").to_vec();
    let mut sent = Vec::from([(0, first.clone())]);
    let lost = loop {
        let due = link.deadline().expect("waits");
        match link.timeout(due) {
            Timed::Early => panic!("the deadline is the time"),
            Timed::Repeat(bytes) => sent.push((due.as_millis(), bytes.to_vec())),
            Timed::Lost(lost) => break (due.as_millis(), lost),
        }
    };
    assert_eq!(sent.iter().map(|s| s.0).collect::<Vec<_>>(), [0, 200, 400]);
    assert!(sent.iter().all(|s| s.1 == first));
    assert_eq!(lost, (600, Lost { command: Command::Control, tag: 'a' }));
}

#[test]
fn one_command_at_a_time_and_the_answer_finds_its_question() {
    let mut link = Link::new(LinkPolicy::default());
    assert!(link.push(Command::Control, 0, &[1], 'a') && link.push(Command::Control, 0, &[2], 'b'));
    assert!(link.poll(Tick::ZERO).is_some() && link.poll(Tick::ZERO).is_none());
    assert_eq!(link.answer(Command::Control, 1), None, "another number");
    assert_eq!(link.answer(Command::Heartbeat, 0), None, "another command");
    assert_eq!(link.answer(Command::Control, 0), Some('a'));
    assert_eq!(link.answer(Command::Control, 0), None, "twice");
    assert!(link.poll(Tick::ZERO).is_some());
    assert_eq!(link.answer(Command::Control, 1), Some('b'));
}

#[test]
fn the_queue_is_bounded_and_status_is_collected() {
    let mut link = Link::new(LinkPolicy::default());
    for n in 0..QUEUE_MAX {
        assert!(link.push(Command::Control, 0, &[n as u8], ()));
    }
    assert!(!link.push(Command::Control, 0, &[0], ()));
    let mut link = Link::new(LinkPolicy::default());
    for word in [1, 2, 3] {
        assert!(link.push_latest(Command::Status, &[0, word], ()));
    }
    assert_eq!(link.queued(), 1);
    let wire = link.poll(Tick::ZERO).expect("sent").to_vec();
    assert_eq!(decode(&wire)[0].2.as_deref(), Some(&[0, 3][..]));
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(
        cmd: u8, sn: u8, flags: u16, payload in proptest::collection::vec(any::<u8>(), 0..600),
        noise in proptest::collection::vec(0_u8..0xFF, 0..20), cut in 1_usize..7,
    ) {
        let frame = Frame { cmd, sn, flags, payload: &payload };
        let mut wire = noise;
        encode(&frame, &mut wire);
        let mut decoder = Decoder::new();
        let mut found = Vec::new();
        for piece in wire.chunks(cut) {
            let mut input = piece;
            while let Some(Received::Frame(frame)) = decoder.next(&mut input) {
                found.push((frame.cmd, frame.sn, frame.flags, frame.payload.to_vec()));
            }
        }
        prop_assert_eq!(found, [(cmd, sn, flags, payload.clone())]);
    }

    #[test]
    fn random_bytes_never_panic(stream in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for (cmd, _, payload) in decode(&stream) {
            let payload = payload.unwrap_or_default();
            let _ = (Command::of(cmd), ConfigMode::parse(&payload), DeviceInfo::parse(&payload));
            let _ = (Offer::parse(&payload), Ready::parse(&payload), Piece::parse(&payload));
        }
    }
}

#[test]
fn a_good_frame_after_any_broken_one_is_found() {
    let mut good = Vec::new();
    encode(&Frame { cmd: 5, sn: 77, flags: 0, payload: &[4, 0xFF, 0x55] }, &mut good);
    for len in 0..good.len() {
        let stream = [&good[..len], &good[..]].concat();
        let found = decode(&stream);
        assert!(
            found.iter().any(|(cmd, sn, p)| (*cmd, *sn) == (5, 77) && p.is_some()),
            "{}",
            format!("cut at {len}")
        );
    }
}
