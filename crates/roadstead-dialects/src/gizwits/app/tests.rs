//! The phone against the recordings of real modules, and in virtual time.

use std::vec::Vec;

use super::super::lan::{Hotspots, Message};
use super::*;
use core::time::Duration;
use roadstead_core::{Tick, Value};

fn frame(message: &Message<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.emit(&mut bytes);
    bytes
}

fn at(ms: u64) -> Tick {
    Tick::from_millis(ms)
}

fn events(out: &[TalkOutput]) -> Vec<TalkEvent> {
    let event = |output: &TalkOutput| match output {
        TalkOutput::Event(event) => Some(event.clone()),
        TalkOutput::Send(_) | TalkOutput::Close => None,
    };
    out.iter().filter_map(event).collect()
}

fn feed(talk: &mut Talk, input: TalkInput<'_>, ms: u64) -> Vec<TalkOutput> {
    let mut out = Vec::new();
    talk.handle(input, at(ms), &mut out);
    out
}

fn ready() -> Talk {
    let mut talk = Talk::new(Some("GPBRWJWQEH".into()), TalkPolicy::default(), at(0));
    feed(&mut talk, TalkInput::Connected, 0);
    feed(&mut talk, TalkInput::Data(&frame(&Message::LoginResult(0))), 0);
    talk
}

/// What a recorded module said to its phone, chunk by chunk.
fn recorded(name: &str) -> Vec<Vec<u8>> {
    let path = std::format!("{}/transcripts/gizwits/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("transcript");
    let run: Value = serde_json::from_str(&text).expect("JSON");
    let events = run["events"].as_array().expect("events").iter();
    events
        .filter(|e| e["ch"] == "tcp" && e["dir"] == "mod>phone")
        .map(|e| hex::decode(e["hex"].as_str().expect("hex")).expect("hex"))
        .collect()
}

#[test]
fn everything_a_real_module_says_is_understood() {
    let mut count = 0;
    for name in ["lan_app", "wrong_passcode", "softap", "prodtest"] {
        for bytes in recorded(name) {
            let mut talk = Talk::new(None, TalkPolicy::default(), at(0));
            let wide = bytes[4] > 0x7F;
            let command = bytes[if wide { 8 } else { 7 }];
            feed(&mut talk, TalkInput::Connected, 0);
            if command == 9 {
                let passcode = frame(&Message::Passcode(b"GPBRWJWQEH"));
                feed(&mut talk, TalkInput::Data(&passcode), 0);
            }
            let mut out = feed(&mut talk, TalkInput::Data(&bytes), 1);
            // The lie about the empty passcode ends with the connection.
            out.extend(feed(&mut talk, TalkInput::Closed, 2));
            let told = events(&out);
            let understood = match command {
                0x07 => matches!(
                    told[0],
                    TalkEvent::Passcode(_) | TalkEvent::Over(TalkError::NotBindable)
                ),
                0x09 => {
                    matches!(told[0], TalkEvent::Ready | TalkEvent::Over(TalkError::WrongPasscode))
                }
                0x0D => matches!(told[0], TalkEvent::Hotspots(_)),
                0x14 => matches!(&told[0], TalkEvent::Info(fields) if fields[0] == "000LINUX"),
                0x18 => told[0] == TalkEvent::TestDone,
                // An empty report says nothing; a heartbeat neither.
                0x16 => true,
                0x91 => bytes.len() == 8 || matches!(told[0], TalkEvent::Status(_)),
                0x94 => bytes.len() == 12 || matches!(told[0], TalkEvent::Status(_)),
                _ => false,
            };
            assert!(understood, "{name}: {} gave {told:?}", hex::encode(&bytes));
            count += 1;
        }
    }
    assert!(count > 25, "{count}");
}

#[test]
fn passcode_then_log_in_then_one_request_at_a_time() {
    let mut talk = Talk::new(None, TalkPolicy::default(), at(0));
    for request in [TalkRequest::Read, TalkRequest::Control([1, 1, 1][..].into())] {
        assert!(feed(&mut talk, TalkInput::Request(request), 0).is_empty());
    }
    let out = feed(&mut talk, TalkInput::Connected, 0);
    assert_eq!(out, [TalkOutput::Send(frame(&Message::PasscodeRequest))]);
    let out = feed(&mut talk, TalkInput::Data(&frame(&Message::Passcode(b"GPBRWJWQEH"))), 1);
    assert_eq!(out[1], TalkOutput::Send(frame(&Message::Login(b"GPBRWJWQEH"))));
    let out = feed(&mut talk, TalkInput::Data(&frame(&Message::LoginResult(0))), 2);
    let read = TalkOutput::Send(frame(&Message::ControlSn { sn: 1, p0: &[2] }));
    assert_eq!(out, [TalkOutput::Event(TalkEvent::Ready), read]);
    let answer = frame(&Message::ReportSn { sn: 1, p0: &[3, 5] });
    let out = feed(&mut talk, TalkInput::Data(&answer), 3);
    let control = TalkOutput::Send(frame(&Message::ControlSn { sn: 2, p0: &[1, 1, 1] }));
    assert_eq!(out, [TalkOutput::Event(TalkEvent::Status([3, 5].into())), control]);
    let answer = frame(&Message::ReportSn { sn: 2, p0: &[] });
    assert_eq!(events(&feed(&mut talk, TalkInput::Data(&answer), 4)), [TalkEvent::Acknowledged]);
}

#[test]
fn heartbeat_after_four_seconds_and_the_end_after_twelve() {
    let mut talk = ready();
    let mut said = Vec::new();
    while let Some(due) = talk.deadline() {
        let out = feed(&mut talk, TalkInput::Timeout, due.as_millis());
        said.push((due.as_millis(), out[0].clone()));
    }
    let beat = TalkOutput::Send(frame(&Message::Heartbeat));
    assert_eq!(said, [(4_000, beat.clone()), (8_000, beat), (12_000, TalkOutput::Close)]);
}

#[test]
fn a_silent_mcu_is_told_and_the_talk_goes_on() {
    let mut talk = ready();
    feed(&mut talk, TalkInput::Request(TalkRequest::Read), 0);
    feed(&mut talk, TalkInput::Request(TalkRequest::Info), 0);
    let out = feed(&mut talk, TalkInput::Timeout, 3_000);
    assert_eq!(events(&out), [TalkEvent::Unanswered(TalkRequest::Read)]);
    assert!(out.contains(&TalkOutput::Send(frame(&Message::InfoRequest))));
}

#[test]
fn a_guest_may_ask_for_networks() {
    let mut talk = Talk::guest(TalkPolicy::default(), at(0));
    feed(&mut talk, TalkInput::Request(TalkRequest::Hotspots), 0);
    let out = feed(&mut talk, TalkInput::Connected, 0);
    assert_eq!(out, [TalkOutput::Send(frame(&Message::HotspotsRequest))]);
    let list = frame(&Message::Hotspots(Hotspots(b"\x00\x01a\x57")));
    let out = feed(&mut talk, TalkInput::Data(&list), 1);
    let expected = Vec::from([Hotspot { ssid: "a".into(), power: 87 }]);
    assert_eq!(events(&out), [TalkEvent::Hotspots(expected)]);
    let out = feed(&mut talk, TalkInput::Closed, 2);
    assert_eq!(events(&out), [TalkEvent::Over(TalkError::Done)]);
}

#[test]
fn a_search_asks_every_second_and_tells_each_module_once() {
    let mut search = Search::new(at(0), Duration::from_secs(3));
    let (mut asked, mut told) = (0, 0);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/gizwits.json");
    let vectors: Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("vectors")).expect("JSON");
    loop {
        match search.timeout(search.deadline()) {
            Some(SearchOutput::Broadcast(bytes)) => {
                assert_eq!(hex::encode(bytes), "0000000303000003");
                asked += 1;
            }
            Some(SearchOutput::Done) => break,
            other => panic!("{other:?}"),
        }
        for vector in vectors["lan_frames"].as_array().expect("list") {
            let bytes = hex::decode(vector["hex"].as_str().expect("hex")).expect("hex");
            let news = search.datagram(&bytes);
            told += usize::from(news.is_some());
        }
    }
    assert_eq!(asked, 3);
    // One module in several forms: each form is news once per round.
    assert!(told >= 4);
}

#[test]
fn credentials_every_two_seconds_until_the_module_has_them() {
    let task = OnboardTask { ssid: (*b"Office").into(), password: "office-key".into(), mac: None };
    let mut dialogue = Onboard::new(task, OnboardPolicy::default()).expect("fits");
    let (mut out, mut times) = (Vec::new(), Vec::new());
    dialogue.handle(OnboardInput::InModuleNetwork, at(0), &mut out);
    while times.len() < 5 {
        let due = dialogue.deadline().expect("tells");
        times.push(due.as_millis());
        dialogue.handle(OnboardInput::Timeout, due, &mut out);
    }
    assert_eq!(times, [2_000, 4_000, 6_000, 8_000, 10_000]);
    assert!(out.iter().all(|o| matches!(o, OnboardOutput::Tell(b) if b[7] == 1)));
    out.clear();
    dialogue.handle(OnboardInput::Datagram(&frame(&Message::OnboardAck)), at(10_100), &mut out);
    assert_eq!(out, [OnboardOutput::GoHome]);
    dialogue.handle(OnboardInput::Home, at(13_000), &mut out);
    let configured = frame(&Message::Configured { mac: &[1; 6], product_key: b"k", did: b"" });
    dialogue.handle(OnboardInput::Datagram(&configured), at(14_000), &mut out);
    assert!(matches!(out.last(), Some(OnboardOutput::Done(found)) if found.is_fresh));
    assert_eq!(dialogue.deadline(), None);
}

#[test]
fn onboarding_that_never_ends_ends() {
    for (home, code) in [(false, "attempt.device_silent"), (true, "attempt.never_connected")] {
        let task = OnboardTask { ssid: (*b"Office").into(), password: "x".into(), mac: None };
        let mut dialogue = Onboard::new(task, OnboardPolicy::default()).expect("fits");
        let mut out = Vec::new();
        dialogue.handle(OnboardInput::InModuleNetwork, at(0), &mut out);
        if home {
            dialogue.handle(OnboardInput::NetworkLost, at(1), &mut out);
            dialogue.handle(OnboardInput::Home, at(2), &mut out);
        }
        while let Some(due) = dialogue.deadline() {
            dialogue.handle(OnboardInput::Timeout, due, &mut out);
        }
        assert!(matches!(out.last(), Some(OnboardOutput::Failed(c, _)) if *c == code), "{out:?}");
    }
    let long = OnboardTask { ssid: [b'x'; 33].into(), password: "x".into(), mac: None };
    assert!(Onboard::new(long, OnboardPolicy::default()).is_err());
}
