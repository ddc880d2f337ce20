//! Round trips, arbitrary bytes, the hot path against `rmqtt-codec`, and what must be refused.

use alloc::vec::Vec;

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::{DecodeError, Decoder, encode, v3, v5};
use crate::mqtt::packet::{Packet, Publish, QoS, Version};
use crate::mqtt::sample;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
const MAX: u32 = 1 << 20;

fn any_packet() -> impl Strategy<Value = (Version, Packet)> {
    prop::sample::select(&VERSIONS[..])
        .prop_flat_map(|version| sample::packet(version).prop_map(move |packet| (version, packet)))
}

fn bytes(packet: &Packet, version: Version) -> BytesMut {
    let mut buffer = BytesMut::new();
    encode(packet, version, &mut buffer).expect("a legal packet");
    buffer
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn packets_survive_the_wire((version, packet) in any_packet()) {
        let mut buffer = bytes(&packet, version);
        let size = buffer.len();
        if let Packet::Publish(publish) = &packet {
            prop_assert_eq!(publish.encoded_len(version), size);
        }
        buffer.put_u8(0xC0);
        let decoded = Decoder::with_version(version, MAX).decode(&mut buffer);
        prop_assert_eq!(decoded.unwrap(), Some(packet));
        prop_assert_eq!(&buffer[..], &[0xC0][..]);
    }

    /// Cutting a stream anywhere changes nothing.
    #[test]
    fn packets_survive_fragments(
        version in prop::sample::select(&VERSIONS[..]),
        seed in prop::collection::vec(any::<u16>(), 1..40),
        packets in prop::collection::vec(sample::publish(Version::V311), 1..5),
    ) {
        let packets: Vec<_> = packets.into_iter().map(Packet::Publish).collect();
        let mut stream = BytesMut::new();
        for packet in &packets {
            encode(packet, version, &mut stream).unwrap();
        }
        let (mut decoder, mut buffer) = (Decoder::with_version(version, MAX), BytesMut::new());
        let (mut got, mut cuts) = (Vec::new(), seed.iter().cycle());
        while !stream.is_empty() {
            let at = usize::from(*cuts.next().unwrap()) % 97 + 1;
            buffer.unsplit(BytesMut::from(&stream.split_to(at.min(stream.len()))[..]));
            while let Some(packet) = decoder.decode(&mut buffer).unwrap() {
                got.push(packet);
            }
            prop_assert!(decoder.missing(&buffer) > 0);
        }
        prop_assert_eq!(got, packets);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        version in prop::option::of(prop::sample::select(&VERSIONS[..])),
        first in prop::sample::select(&[
            0x10_u8, 0x20, 0x30, 0x32, 0x34, 0x3D, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xA2, 0xB0,
            0xC0, 0xD0, 0xE0, 0xF0, 0x00, 0x81,
        ][..]),
        body in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..6, Just(0x26)], 0..60),
        whole in any::<bool>(),
    ) {
        let mut decoder = match version {
            Some(version) => Decoder::with_version(version, 64),
            None => Decoder::new(64),
        };
        let mut buffer = BytesMut::new();
        if whole {
            buffer.put_slice(&[first, body.len() as u8]);
        }
        buffer.put_slice(&body);
        while let Ok(Some(packet)) = decoder.decode(&mut buffer) {
            let version = decoder.version().unwrap();
            let mut again = BytesMut::new();
            encode(&packet, version, &mut again).expect("a decoded packet can be encoded");
        }
    }

    /// A valid packet with one byte changed is read or refused, and what is read is stable: written
    /// and read again it is written the same. (Not *equal* at once: the reserved return codes of a
    /// 3.x CONNACK are read as one reason, and written as "server unavailable".)
    #[test]
    fn flipped_bytes_never_panic((version, packet) in any_packet(), at in any::<usize>(), to in any::<u8>()) {
        let mut buffer = bytes(&packet, version);
        let at = at % buffer.len();
        buffer[at] = to;
        if let Ok(Some(packet)) = Decoder::with_version(version, MAX).decode(&mut buffer) {
            let first = bytes(&packet, version);
            let second = Decoder::with_version(version, MAX).decode(&mut first.clone());
            prop_assert_eq!(bytes(&second.unwrap().unwrap(), version), first);
        }
    }

    /// The hot path writes and reads what `rmqtt-codec` writes and reads.
    #[test]
    fn hot_path_agrees_with_rmqtt(publish in sample::publish(Version::V311)) {
        let packet = Packet::Publish(publish);
        let mut oracle = BytesMut::new();
        v5::encode(&packet, &mut oracle).unwrap();
        let mut hot = bytes(&packet, Version::V5);
        prop_assert_eq!(&hot, &oracle);
        prop_assert_eq!(v5::decode(&mut oracle, hot[0], 2).unwrap(), packet.clone());
        prop_assert_eq!(
            Decoder::with_version(Version::V5, MAX).decode(&mut hot).unwrap(), Some(packet.clone())
        );
        let mut legacy = bytes(&packet, Version::V311);
        let first = legacy[0];
        prop_assert_eq!(v3::decode(&mut legacy, first).unwrap(), packet);
    }
}

/// The CONNECT of a GizWits module: MQTT 3.1, flags 0xC2, keep-alive 120, 74 bytes (GizWits §5).
#[test]
fn a_module_connects_with_mqtt_3_1() {
    let mut body = Vec::from(&b"\x00\x06MQIsdp\x03\xC2\x00\x78"[..]);
    for text in ["abcdefghij0123456789AB", "abcdefghij0123456789AB", "0123456789"] {
        body.put_u16(text.len() as u16);
        body.extend_from_slice(text.as_bytes());
    }
    let mut buffer = BytesMut::new();
    buffer.put_slice(&[0x10, body.len() as u8]);
    buffer.put_slice(&body);
    assert_eq!(buffer.len(), 74);
    let sent = buffer.clone();
    let mut decoder = Decoder::new(MAX);
    let Some(Packet::Connect(connect)) = decoder.decode(&mut buffer).unwrap() else {
        panic!("not CONNECT")
    };
    assert_eq!(connect.version, Version::V31);
    assert_eq!(decoder.version(), Some(Version::V31));
    assert!(connect.clean_start);
    assert_eq!(connect.keep_alive_s, 120);
    assert_eq!(connect.username.as_deref(), Some("abcdefghij0123456789AB"));
    assert_eq!(connect.password.as_ref().unwrap().expose(), b"0123456789");
    assert!(!std::format!("{connect:?}").contains("0123456789\""));
    assert_eq!(bytes(&Packet::Connect(connect), Version::V31), sent, "level 3 is written");
}

#[test]
fn broken_streams_are_refused() {
    let cases: [(Option<Version>, &[u8], &str); 24] = [
        (None, b"\x30\x03\x00\x01a", "not_connect"),
        (None, b"GET / HTTP/1.1\r\n", "not_connect"),
        (None, b"\x10\x0c\x00\x04MQTT\x06\x02\x00\x3c\x00\x00", "unsupported_protocol_version"),
        (None, b"\x10\x0c\x00\x04MQTX\x04\x02\x00\x3c\x00\x00", "not_mqtt"),
        (None, b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00", "client_identifier_not_valid"),
        (None, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x00x", "malformed_packet"),
        (None, b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x3c\x00\x00", "malformed_packet"),
        (None, b"\x10\x0c\x00\x04MQTT\x04\x22\x00\x3c\x00\x00", "malformed_packet"),
        (None, b"\x10\x0f\x00\x04MQTT\x04\x42\x00\x3c\x00\x00\x00\x01p", "malformed_packet"),
        (Some(Version::V311), b"\x30\xff\xff\xff\xff\x01", "malformed_packet"),
        (Some(Version::V311), b"\x30\xff\xff\x7f", "packet_too_large"),
        (Some(Version::V311), b"\x36\x05\x00\x01a\x00\x01", "malformed_packet"),
        (Some(Version::V311), b"\x38\x03\x00\x01a", "malformed_packet"),
        (Some(Version::V311), b"\x30\x03\x00\x01+", "topic_name_invalid"),
        (Some(Version::V311), b"\x30\x02\x00\x00", "topic_name_invalid"),
        (Some(Version::V311), b"\x30\x03\x00\x01\xff", "malformed_packet"),
        (Some(Version::V311), b"\x32\x05\x00\x01a\x00\x00", "malformed_packet"),
        (Some(Version::V311), b"\x82\x06\x00\x01\x00\x01a\x04", "malformed_packet"),
        (Some(Version::V311), b"\x82\x02\x00\x01", "malformed_packet"),
        (Some(Version::V311), b"\xc0\x01\x00", "malformed_packet"),
        (Some(Version::V311), b"\xf0\x00", "malformed_packet"),
        (Some(Version::V311), b"\x60\x02\x00\x01", "malformed_packet"),
        (Some(Version::V311), b"\x20\x02\x01\x05", "protocol_error"),
        (Some(Version::V5), b"\x30\x03\x00\x00\x00", "protocol_error"),
    ];
    for (n, (version, bytes, expected)) in cases.into_iter().enumerate() {
        let max = if expected.ends_with("large") { 1000 } else { MAX };
        let mut decoder = match version {
            Some(version) => Decoder::with_version(version, max),
            None => Decoder::new(max),
        };
        let got = decoder.decode(&mut BytesMut::from(bytes));
        assert_eq!(got.map_err(|error| error.name()).unwrap_err(), expected, "case {n}");
    }
}

#[test]
fn size_is_refused_before_the_body_is_there() {
    let mut decoder = Decoder::with_version(Version::V5, 10);
    let exactly = decoder.decode(&mut BytesMut::from(&b"\x30\x08"[..]));
    assert_eq!(exactly, Ok(None));
    let above = decoder.decode(&mut BytesMut::from(&b"\x30\x09"[..]));
    assert_eq!(above, Err(DecodeError::TooLarge { size_bytes: 11, max_bytes: 10 }));
}

#[test]
fn payload_is_a_slice_of_the_read_buffer() {
    let packet = Packet::Publish(Publish::new("t", "0123456789", QoS::AtMostOnce));
    let mut buffer = bytes(&packet, Version::V311);
    let range = buffer.as_ptr_range();
    let Some(Packet::Publish(publish)) =
        Decoder::with_version(Version::V311, MAX).decode(&mut buffer).unwrap()
    else {
        panic!("not PUBLISH")
    };
    assert!(range.contains(&publish.payload.as_ptr()));
}

#[test]
fn a_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 8);
}

#[test]
fn contradictions_are_not_encoded_and_leave_the_buffer() {
    let mut publish = Publish::new("t", "", QoS::AtLeastOnce);
    let mut buffer = BytesMut::from(&b"kept"[..]);
    let error = encode(&Packet::Publish(publish.clone()), Version::V311, &mut buffer).unwrap_err();
    assert_eq!(error.name(), "inconsistent");
    publish.qos = QoS::AtMostOnce;
    publish.topic = "x".repeat(65_536).into();
    let error = encode(&Packet::Publish(publish), Version::V5, &mut buffer).unwrap_err();
    assert_eq!(error.name(), "too_long");
    let auth = sample_auth();
    let error = encode(&auth, Version::V311, &mut buffer).unwrap_err();
    assert_eq!(error.name(), "not_in_version");
    assert_eq!(&buffer[..], b"kept");
}

fn sample_auth() -> Packet {
    use crate::mqtt::packet::{Auth, Reason};
    Packet::Auth(alloc::boxed::Box::new(Auth {
        reason: Reason::Success,
        method: None,
        data: None,
        reason_string: None,
        user: Vec::new(),
    }))
}

/// MQTT 5.0 section 3.1.3.1: the server assigns an identifier, whatever Clean Start says; 3.1.1
/// refuses.
#[test]
fn an_empty_client_id_needs_no_clean_start_in_mqtt_5() {
    let mut buffer = BytesMut::from(&b"\x10\x0d\x00\x04MQTT\x05\x00\x00\x3c\x00\x00\x00"[..]);
    let Ok(Some(Packet::Connect(connect))) = Decoder::new(MAX).decode(&mut buffer) else {
        panic!("refused")
    };
    assert!(connect.client_id.is_empty() && !connect.clean_start);
}
