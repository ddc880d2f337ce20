//! Data points against the vectors; firmware in pieces.

use std::vec::Vec;

use roadstead_core::{Tick, Value};
use serde_json::json;

use super::super::serial::{Command, Frame, Offer, Piece, encode};
use super::{Input, Mcu, Output, Panel};

#[expect(clippy::wildcard_enum_match_arm, reason = "numbers are what is left")]
#[test]
fn controls_of_the_vectors_set_what_they_say() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../vectors/gizwits.json")).expect("JSON");
    let cases = vectors["datapoints"]["cases"].as_array().expect("cases");
    let mine = cases.iter().filter(|c| c["schema"] == "pet_house" && c["what"] == "control");
    let (mut count, colors) = (0, ["Customize", "Yellow", "Purple", "Pink"]);
    for case in mine {
        let mut panel = Panel::pet_house();
        let p0 = hex::decode(case["p0"].as_str().expect("p0")).expect("hex");
        let set = panel.control(&p0[1..]);
        for (name, value) in case["values"].as_object().expect("values") {
            let wire = match value {
                Value::Bool(on) => u64::from(*on),
                Value::String(color) => {
                    colors.iter().position(|c| c == color).expect("enum") as u64
                }
                // y = x - 5 in this schema.
                value if name == "Motor_Speed" => (value.as_i64().expect("number") + 5) as u64,
                other => other.as_u64().expect("number"),
            };
            assert_eq!(set.get(name), Some(&json!(wire)), "{case}");
            assert_eq!(panel.values().get(name), Some(&json!(wire)), "{case}");
        }
        assert_eq!(set.len(), case["values"].as_object().expect("values").len(), "{case}");
        count += 1;
    }
    assert!(count >= 5);
}

#[test]
fn a_control_of_the_wrong_size_sets_nothing() {
    let mut panel = Panel::pet_house();
    let before = panel.clone();
    for len in (0..20).filter(|len| *len != 6) {
        assert!(panel.control(&[0xFF; 20][..len]).is_empty(), "{len} bytes");
    }
    assert_eq!(panel, before);
}

#[test]
fn firmware_in_pieces_with_repetitions() {
    let image: Vec<u8> = (0..1000_u32).map(|n| n as u8).collect();
    let md5 = "cbecbdb0fdd5cec1e242493b6008cc79";
    let mut mcu = Mcu::new("6f3074fe43894547a4f1314bd7e3ae0b", Panel::pet_house());
    let (mut got, mut asked, mut now) = (Vec::new(), Vec::new(), Tick::ZERO);
    let mut feed = |cmd: Command, payload: &[u8]| {
        let mut wire = Vec::new();
        encode(&Frame { cmd: cmd as u8, sn: 1, flags: 0, payload }, &mut wire);
        now = now + core::time::Duration::from_secs(1);
        mcu.handle(Input::Serial(&wire), now, &mut |output| match output {
            Output::Firmware(bytes) => got = bytes.to_vec(),
            Output::Serial(bytes) => asked.push(bytes[4]),
            Output::Status(_)
            | Output::Set(_)
            | Output::Raw(_)
            | Output::Time(_)
            | Output::ModuleDead => {}
        });
    };
    let mut payload = Vec::new();
    let own = hex::encode(<md5::Md5 as md5::Digest>::digest(&image));
    assert_eq!(own, md5);
    Offer { size: 1000, md5: md5.as_bytes() }.emit(&mut payload);
    feed(Command::FileOffer, &payload);
    for (n, data) in image.chunks(128).enumerate() {
        payload.clear();
        Piece { number: n as u16 + 1, count: 8, data }.emit(&mut payload);
        feed(Command::FilePiece, &payload);
        feed(Command::FilePiece, &payload);
    }
    assert_eq!(got, image);
    assert!(asked.contains(&(Command::FileReady as u8)));
}
