//! The vectors of the local network, the lies about lengths, hostile bytes.

use std::vec::Vec;

use proptest::prelude::*;
use roadstead_core::Value;

use super::*;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../vectors/gizwits.json")).expect("JSON")
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().expect("text")).expect("hex")
}

#[test]
fn every_varint_vector() {
    let vectors = vectors();
    for vector in vectors["varint"].as_array().expect("list") {
        let wire = bytes(&vector["hex"]);
        let value = vector["value"].as_u64().expect("number") as u32;
        assert_eq!(varint(&wire), Some(Some((value, wire.len()))), "{value}");
        if (3..1 << 20).contains(&value) {
            let mut out = Vec::new();
            begin(0, value as usize - 3, &mut out);
            assert_eq!(out[4..out.len() - 3], wire, "{value}");
        }
    }
    for vector in vectors["varint_invalid"].as_array().expect("list") {
        assert!(!matches!(varint(&bytes(&vector["hex"])), Some(Some(_))), "{}", vector["why"]);
    }
}

/// Frames whose declared length is not their size, by the recordings of real devices.
fn lies(vector: &Value) -> bool {
    let wire = bytes(&vector["hex"]);
    let (len, taken) = varint(&wire[4..]).flatten().expect("length");
    wire.len() != 4 + taken + len as usize
}

#[test]
fn every_frame_vector_is_read_and_written_back() {
    let vectors = vectors();
    let mut liars = 0;
    for vector in vectors["lan_frames"].as_array().expect("list") {
        let wire = bytes(&vector["hex"]);
        let cmd = vector["cmd"].as_str().expect("cmd").trim_start_matches("0x");
        let cmd = u16::from_str_radix(cmd, 16).expect("word");
        let mut framer = Framer::new();
        let mut input = &wire[..];
        let mut out = Vec::new();
        if lies(vector) {
            liars += 1;
            // The module information ends by its fields, the refused passcode with the connection.
            let frame = match framer.next(&mut input).expect("stream") {
                Some(frame) => frame,
                None => framer.flush().expect("frame"),
            };
            assert_eq!(frame.cmd, cmd);
            assert!(!matches!(Message::of(&frame), Message::Other(_)), "{vector}");
            continue;
        }
        let frame = match vector["carrier"].as_str() {
            Some("udp") => udp(&wire).expect("frame"),
            _ => framer.next(&mut input).expect("stream").expect("frame"),
        };
        assert_eq!(frame.cmd, cmd, "{vector}");
        let message = Message::of(&frame);
        assert!(!matches!(message, Message::Other(_)), "{vector}");
        message.emit(&mut out);
        assert_eq!(hex::encode(out), hex::encode(&wire), "{vector}");
    }
    assert_eq!(liars, 2, "0x0014 and the empty 0x0007");
}

#[test]
fn invalid_frames_of_the_vectors() {
    let vectors = vectors();
    for vector in vectors["lan_frames_invalid"].as_array().expect("list") {
        let wire = bytes(&vector["hex"]);
        // The version word is not looked at, as in real modules.
        let expected = wire.first_chunk() == Some(&[0, 0, 0, 4]);
        assert_eq!(udp(&wire).is_some(), expected, "{}", vector["why"]);
    }
}

#[test]
fn fields_of_the_vectors() {
    let vectors = vectors();
    for vector in vectors["lan_frames"].as_array().expect("list") {
        let wire = bytes(&vector["hex"]);
        let Some(frame) = udp(&wire) else { continue };
        let fields = &vector["fields"];
        let text = |name: &str| fields[name].as_str().unwrap_or_default().as_bytes();
        let message = Message::of(&frame);
        if let Message::Found(block) = message {
            assert_eq!(block.did, text("did"));
            assert_eq!(hex::encode(block.mac), fields["mac"].as_str().expect("mac"));
            assert_eq!(block.product_key, text("product_key"));
            assert_eq!(block.api_server.unwrap_or_default(), text("api_server"));
            assert_eq!(block.version.unwrap_or_default(), text("version"));
        } else if let Message::Onboard { ssid, password } = message
            && fields["error"].is_null()
        {
            assert_eq!(hex::encode(ssid), fields["ssid_hex"].as_str().expect("ssid"));
            let expected = fields["password_hex"].as_str().expect("password");
            assert_eq!(hex::encode(password), expected);
        } else if let Message::Hotspots(list) = message {
            let got: Vec<_> = list.map(|h| (h.ssid.to_vec(), u64::from(h.power))).collect();
            let expected = fields["hotspots"].as_array().expect("list").iter();
            let expected: Vec<_> = expected
                .map(|h| {
                    let ssid = h["ssid"].as_str().expect("ssid").as_bytes().to_vec();
                    (ssid, h["power"].as_u64().expect("power"))
                })
                .collect();
            assert_eq!(got, expected);
        }
    }
}

#[test]
fn a_stream_is_put_together_and_taken_apart() {
    let mut stream = Vec::new();
    let report = [0x55; 300];
    Message::Heartbeat.emit(&mut stream);
    Message::Report(&report).emit(&mut stream);
    Message::LoginResult(0).emit(&mut stream);
    for cut in [1, 2, 3, 7, 100, stream.len()] {
        let (mut framer, mut found) = (Framer::new(), Vec::new());
        for piece in stream.chunks(cut) {
            let mut input = piece;
            while let Some(frame) = framer.next(&mut input).expect("stream") {
                found.push((frame.cmd, frame.body.len()));
            }
        }
        let expected = [(cmd::HEARTBEAT, 0), (cmd::REPORT, 300), (cmd::LOGIN_RESULT, 1)];
        assert_eq!(found, expected, "pieces of {cut}");
        assert!(!framer.is_partial());
    }
}

#[test]
fn the_lie_of_module_information_does_not_eat_the_next_frame() {
    let vectors = vectors();
    let list = vectors["lan_frames"].as_array().expect("list");
    let liar = list.iter().find(|v| v["cmd"] == "0x0014" && lies(v)).expect("recorded");
    let mut stream = bytes(&liar["hex"]);
    let (mut framer, mut found) = (Framer::new(), Vec::new());
    for piece in [core::mem::take(&mut stream), bytes(&"0000000303000016".into())] {
        let mut input = &piece[..];
        while let Some(frame) = framer.next(&mut input).expect("stream") {
            found.push(frame.cmd);
        }
    }
    assert_eq!(found, [cmd::INFO, cmd::HEARTBEAT_ACK]);
}

#[test]
fn a_wrongly_coded_length_of_credentials_is_forgiven() {
    // 70 bytes each: only the inner lengths are right.
    let mut body = Vec::new();
    for _ in 0..2 {
        body.extend_from_slice(&70_u16.to_be_bytes());
        body.extend_from_slice(&[b'x'; 70]);
    }
    let wire = [&HEAD[..], &[0xFF, 0x01], &[0, 0, 1], &body].concat();
    let frame = udp(&wire).expect("forgiven");
    assert!(matches!(Message::of(&frame), Message::Onboard { ssid, .. } if ssid.len() == 70));
    let wire = [&HEAD[..], &[0xFF, 0x01], &[0, 0, 0x90], &body].concat();
    assert_eq!(udp(&wire), None, "only for credentials");
}

#[test]
fn lengths_that_cannot_be_end_the_stream() {
    for hostile in ["00000003ffffffff01", "00000003ffffff7f000001"] {
        let wire = bytes(&hostile.into());
        let mut framer = Framer::new();
        assert!(framer.next(&mut &wire[..]).is_err(), "{hostile}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        stream in proptest::collection::vec(any::<u8>(), 0..600), cut in 1_usize..50,
    ) {
        if let Some(frame) = udp(&stream) {
            let mut out = Vec::new();
            Message::of(&frame).emit(&mut out);
        }
        let mut framer = Framer::new();
        'all: for piece in stream.chunks(cut) {
            let mut input = piece;
            loop {
                match framer.next(&mut input) {
                    Ok(Some(frame)) => drop(Message::of(&frame)),
                    Ok(None) => break,
                    Err(_) => break 'all,
                }
            }
        }
        let _ = framer.flush().map(|frame| frame.cmd);
    }

    #[test]
    fn what_is_emitted_is_read(
        ssid in proptest::collection::vec(any::<u8>(), 0..100),
        password in proptest::collection::vec(any::<u8>(), 0..100), sn: u32,
    ) {
        for message in [
            Message::Onboard { ssid: &ssid, password: &password },
            Message::ControlSn { sn, p0: &ssid },
            Message::Report(&password),
            Message::Passcode(&ssid),
        ] {
            let mut out = Vec::new();
            message.emit(&mut out);
            prop_assert_eq!(Message::of(&udp(&out).expect("frame")), message);
        }
    }
}
