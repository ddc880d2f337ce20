//! Vectors of real firmware, and the round-trip property.

use std::string::ToString;
use std::vec;

use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).expect("hex")
}

#[test]
fn a_notify_of_a_device_reads_and_writes_back() {
    // Alibaba Link Kit 3.0.1: POST NON /sys/device/info/notify, Content-Format 50.
    let bytes =
        hex("5402000104030201 b3737973 06646576696365 04696e666f 066e6f74696679 1132 ff7b7d");
    let message = Message::parse(&bytes).expect("message");
    assert_eq!(message.kind, Kind::NonConfirmable);
    assert_eq!((message.code, message.id), (Code::POST, 1));
    assert_eq!(message.token.as_bytes(), [4, 3, 2, 1]);
    assert_eq!(message.path(), "/sys/device/info/notify");
    assert_eq!(message.option(option::CONTENT_FORMAT), Some(&[50][..]));
    assert_eq!(&*message.payload, b"{}");
    assert_eq!(message.emit(), bytes);
}

#[test]
fn trap_12_descending_options_wrap() {
    // Alibaba Link Kit 3.0.1 answers with Uri-Path 11 before Observe 6: a delta of 65531.
    let bytes = hex("4445 000a 01020304 b3646576 04636f7265 0773657276696365 03646576 e0feee ff31");
    let message = Message::parse(&bytes).expect("message");
    let numbers: Vec<u16> = message.options.iter().map(|option| option.number).collect();
    assert_eq!(numbers, [11, 11, 11, 11, 6]);
    assert_eq!(message.path(), "/dev/core/service/dev");
    assert_eq!(message.emit_unsorted(), bytes);
    let sorted = Message::parse(&message.emit()).expect("sorted");
    assert_eq!(sorted.path(), message.path());
    assert_eq!(sorted.options.first().map(|option| option.number), Some(6));
}

#[test]
fn what_is_no_message_is_named() {
    let error = |text: &str| Message::parse(&hex(text)).expect_err(text);
    for cut in ["", "40", "400100", "440100010102", "40010001b3", "40010001d0", "40010001e001"] {
        assert_eq!(error(cut), ParseError::Cut, "{cut}");
    }
    assert_eq!(error("40010001ff"), ParseError::Cut);
    assert_eq!(error("80010001"), ParseError::Version(2));
    assert_eq!(error("4901000100"), ParseError::Reserved);
    assert_eq!(error("40010001f000"), ParseError::Reserved);
    assert_eq!(error("400100010f00"), ParseError::Reserved);
    assert_eq!(error("41000001aa"), ParseError::NotEmpty);
    assert_eq!(Message::parse(&vec![0x40; 2000]), Err(ParseError::TooLarge));
    let many = [hex("40010001"), vec![0x10; 65]].concat();
    assert_eq!(Message::parse(&many), Err(ParseError::TooLarge));
    assert_eq!(Message::id_of(&hex("40010001f0")), Some((Kind::Confirmable, 1)));
    assert_eq!(Message::id_of(b"GET / "), Some((Kind::Confirmable, 0x5420)));
    assert_eq!(Message::id_of(b"\x16\x03\x01\x00"), None);
}

#[test]
fn codes_print_as_the_rfc_writes_them() {
    let texts: Vec<_> = [Code::EMPTY, Code::GET, Code::CONTENT, Code::METHOD_NOT_ALLOWED]
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(texts, ["0.00", "0.01", "2.05", "4.05"]);
}

fn any_message() -> impl Strategy<Value = Message> {
    let kind = prop_oneof![
        Just(Kind::Confirmable),
        Just(Kind::NonConfirmable),
        Just(Kind::Acknowledgement),
        Just(Kind::Reset)
    ];
    let option = (any::<u16>(), prop::collection::vec(any::<u8>(), 0..300));
    (
        kind,
        1_u8..=255,
        any::<u16>(),
        prop::collection::vec(any::<u8>(), 0..=8),
        prop::collection::vec(option, 0..4),
        prop::collection::vec(any::<u8>(), 0..64),
    )
        .prop_map(|(kind, code, id, token, options, payload)| Message {
            kind,
            code: Code(code),
            id,
            token: Token::new(&token).expect("length"),
            options: options
                .into_iter()
                .map(|(number, value)| Opt { number, value: value.into() })
                .collect(),
            payload: payload.into(),
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read(message in any_message()) {
        prop_assert_eq!(Message::parse(&message.emit_unsorted()), Ok(message.clone()));
        let mut sorted = message;
        sorted.options.sort_by_key(|option| option.number);
        prop_assert_eq!(Message::parse(&sorted.emit()), Ok(sorted));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert_eq!(Message::parse(&message.emit_unsorted()), Ok(message));
        }
    }
}
