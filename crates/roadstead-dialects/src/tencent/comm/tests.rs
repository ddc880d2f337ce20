//! Vectors, recorded datagrams and properties of the comm service codec.

use std::collections::BTreeMap;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;
use roadstead_core::{Secret, Tick, Value};

use super::*;

const TOKEN: &str = "69f978dfbb48ec40cadb6d9af470d0f6";

fn vectors() -> BTreeMap<String, Value> {
    let all: Value =
        serde_json::from_str(include_str!("../../../vectors/tencent.json")).expect("vectors");
    let udp = all["udp"].as_array().expect("list").clone();
    udp.into_iter().map(|v| (v["name"].as_str().expect("name").to_string(), v)).collect()
}

#[test]
fn every_vector_is_written_and_read_back() {
    let vectors = vectors();
    let text = |name: &str| vectors[name]["text"].as_str().expect("text").as_bytes().to_vec();
    let token = Secret::from(TOKEN);
    let softap = Command::Join {
        ssid: "lab-home".into(),
        password: "lab-pass-1".into(),
        token: token.clone(),
    };
    for (name, command) in [
        ("token_only", Command::Token { token }),
        ("softap", softap),
        ("log_query", Command::ReadLog),
    ] {
        assert_eq!(command.emit(), text(name), "{name}");
        assert!(Command::parse(&text(name)).is_ok_and(|parsed| parsed == command), "{name}");
    }
    for (name, protocol) in [("device_reply_2.0", Protocol::V2), ("device_reply_3.0", Protocol::V3)]
    {
        let identity =
            Message::Identity { product: "L4WG9V9M2M".into(), device: "TEST2".into(), protocol };
        assert_eq!(identity.emit(protocol), text(name), "{name}");
        assert_eq!(Message::parse(&text(name)), Ok(identity), "{name}");
    }
    for (name, error) in [
        ("bad_json_reply", CommandError::Malformed),
        ("missing_field_reply", CommandError::MissingField),
    ] {
        let record = Message::Record { previous: false, text: error.record().into() };
        assert_eq!(record.emit(Protocol::V2), text(name), "{name}");
        assert_eq!(Message::parse(&text(name)), Ok(record), "{name}");
    }
    let announcement = Announcement::new(8, 10, [192, 168, 1, 23].into());
    let hex = vectors["local_ip_broadcast_3.0"]["hex"].as_str().expect("hex");
    assert_eq!(hex::encode(announcement.emit()), hex);
    assert_eq!(Announcement::parse(&hex::decode(hex).expect("hex")), Some(announcement));
    assert_eq!(vectors.len(), 8, "a new vector needs a line here");
}

#[test]
fn recorded_bad_messages_get_the_recorded_answers() {
    let run: Value =
        serde_json::from_str(include_str!("../../../transcripts/tencent/udp-bad-messages.json"))
            .expect("transcript");
    let datagrams: Vec<(&str, &str)> = run["exchanges"]
        .as_array()
        .expect("list")
        .iter()
        .filter_map(|x| Some((x["dir"].as_str()?, x["payload"].as_str()?)))
        .collect();
    let mut answered = 0;
    for (n, (dir, payload)) in datagrams.iter().enumerate() {
        if *dir != "app->dev" {
            continue;
        }
        let answer = datagrams.get(n + 1).filter(|(dir, _)| *dir == "dev->app");
        match (Command::parse(payload.as_bytes()), answer) {
            (Err(error), Some((_, expected))) => {
                let record = Message::Record { previous: false, text: error.record().into() };
                assert_eq!(record.emit(Protocol::V2), expected.as_bytes(), "{payload}");
                answered += 1;
            }
            (Ok(command), None) => assert!(command == Command::ReadAuth, "{payload}"),
            (_, answer) => panic!("{payload}: recorded {answer:?}"),
        }
    }
    assert_eq!(answered, 5);
}

#[test]
fn commands_are_read_as_the_device_reads_them() {
    let open = Command::Join { ssid: "a".into(), password: "".into(), token: "t".into() };
    for (text, expected) in [
        (r#"{"CMDTYPE":1,"SSID":"a","Password":"","TOKEN":"t"}"#, Ok(open.clone())),
        ("{\"cmdType\":1.0,\"ssid\":\"a\",\"password\":\"\",\"token\":\"t\"}\r\n\0x", Ok(open)),
        (r#"{"cmdType":6}"#, Err(CommandError::Malformed)),
        (r#"{"cmdType":"1"}"#, Err(CommandError::Malformed)),
        (r#"[{"cmdType":3}]"#, Err(CommandError::Malformed)),
        (r#"{"cmdType":1,"ssid":"a","token":"t"}"#, Err(CommandError::MissingField)),
    ] {
        assert!(Command::parse(text.as_bytes()) == expected, "{text}");
    }
    let long = alloc::format!(r#"{{"cmdType":0,"token":"{}"}}"#, "a".repeat(40));
    let kept = Command::Token { token: "a".repeat(32).into() };
    assert!(Command::parse(long.as_bytes()) == Ok(kept), "32 characters are kept");
    let over = alloc::format!(r#"{{"cmdType":0,"token":"{}"}}"#, "a".repeat(1023));
    assert!(Command::parse(over.as_bytes()) == Err(CommandError::Malformed), "cut datagram");
}

#[test]
fn the_qr_code_of_the_vendor_reads_back() {
    let code = QrCode { ssid: "lab".into(), password: "p\"w".into(), token: TOKEN.into() };
    let text = code.emit();
    assert_eq!(text, alloc::format!(r#"{{"SSID":"lab","password":"p\"w","token":"{TOKEN}"}}"#));
    assert!(QrCode::parse(&text) == Ok(code));
}

#[test]
fn every_record_of_the_table_has_words_a_code_and_a_cause() {
    for id in 0..=24 {
        let record = Record { id, sub: -1001 };
        let text = RecordText::from(record);
        assert_eq!(RecordText::parse(&text.to_string()), text);
        assert!(roadstead_core::code::info(record.code()).is_some(), "{id}: {}", record.code());
        assert!(id == 0 || !record.cause().contains("not in the vendor's table"), "{id}");
    }
    assert_eq!(
        RecordText::from(Record { id: 10, sub: 2 }).to_string(),
        "WIFI connect error! (10, 2)"
    );
    let free = RecordText::parse("something else (x, 2)");
    assert_eq!((free.record, free.words.as_str()), (None, "something else (x, 2)"));
    let long = RecordText { record: None, words: "é".repeat(40) };
    assert_eq!(long.to_string().len(), 62, "63 bytes at most, on a character");
}

#[test]
fn the_stored_queue_comes_back_as_previous() {
    let mut queue = RecordQueue::default();
    for sub in 0..20 {
        queue.push(Record { id: 12, sub });
    }
    let stored = queue.store();
    assert_eq!(stored.get(..8), Some(&[0xEF, 0xBE, 0x0D, 0xF0, 16, 0, 0, 0][..]));
    let mut loaded = RecordQueue::load(&stored);
    assert_eq!(loaded.drain().next(), Some((true, Record { id: 12, sub: 4 })));
    for broken in [&[][..], &[0xEF, 0xBE, 0x0D, 0xF0, 17, 0, 0, 0], &[8, 0, 0, 0, 1, 0, 0, 0]] {
        assert!(RecordQueue::load(broken).is_empty(), "{broken:?}");
    }
}

#[test]
fn the_log_keeps_ten_lines_and_hides_secrets() {
    let mut log = log::LogQueue::default();
    assert_eq!(log.text(), None);
    for n in 0..12 {
        log.push(Tick::from_millis(n), "join", 1, &"x".repeat(200));
    }
    let text = log.text().expect("lines");
    assert_eq!(text.len(), log::LINES_MAX * log::LINE_BYTES_MAX);
    assert!(text.starts_with("2|join(1): x"));
    let sdk = "12|_app_handle_recv_data(188): SSID:home|PSW:a b|c|TOKEN:69f978df\r\n\
               13|HAL_Wifi_StaConnect(33): STA to connect SSID:home PASSWORD:p w CHANNEL:0\r\n";
    assert_eq!(
        log::lines(sdk.as_bytes()),
        [
            "12|_app_handle_recv_data(188): SSID:home|PSW:***|TOKEN:***",
            "13|HAL_Wifi_StaConnect(33): STA to connect SSID:home PASSWORD:*** CHANNEL:0",
        ]
    );
}

proptest! {
    #[test]
    fn commands_round_trip(
        ssid in "[^\\x00]{0,32}", password in "[^\\x00]{0,64}", token in "[^\\x00]{0,32}",
    ) {
        let command =
            Command::Join { ssid, password: password.into(), token: token.into() };
        prop_assume!(command.emit().len() <= DATAGRAM_BYTES_MAX);
        prop_assert!(Command::parse(&command.emit()) == Ok(command));
    }

    #[test]
    fn messages_round_trip(product in "[A-Z0-9]{10}", device in "[^\\x00]{1,48}", state in 0usize..6) {
        let state = Progress::ALL[state];
        let message = Message::Progress { product, device, state };
        prop_assert_eq!(Message::parse(&message.emit(Protocol::V3)), Ok(message));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        let _ = Command::parse(&bytes);
        let _ = Message::parse(&bytes);
        let _ = Announcement::parse(&bytes);
        let _ = RecordQueue::load(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = QrCode::parse(&text);
        let _ = RecordText::parse(&text).to_string();
        let _ = log::lines(&bytes);
    }
}
