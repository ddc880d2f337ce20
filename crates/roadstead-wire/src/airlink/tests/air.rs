//! Recorded airs: two captures from the field, and 21 simulated ones with losses and foreign
//! traffic (Airlink §13).

use super::super::airkiss;
use super::*;

/// Reads one lossy air: its frames, keys and channel.
fn air(name: &str, with_overhead: bool) -> (Value, Vec<Frame>, Keys) {
    let file = load(&alloc::format!("lossy/{name}.json"));
    let macs: Vec<Mac> = file["macs"].as_array().unwrap().iter().map(mac).collect();
    let frames = file["air"].as_array().unwrap().iter().map(|row| {
        let at = |column: usize| row[column].as_f64().unwrap();
        let mac = |column: usize| macs[at(column) as usize];
        let direction = if at(2) as u8 == 1 { Direction::Up } else { Direction::Down };
        let which = if direction == Direction::Up { "uplink" } else { "downlink" };
        Frame {
            at_us: Some((at(0) * 1000.0) as u64),
            channel: at(1) as u8,
            direction,
            source: mac(3),
            destination: mac(4),
            bssid: mac(5),
            sequence: Some(at(6) as u16),
            length: at(8) as u16,
            overhead: with_overhead.then(|| file["overhead"][which].as_u64().unwrap() as u16),
        }
    });
    let frames: Vec<_> = frames.collect();
    let expected = &file["expected"];
    let keys = Keys {
        airkiss: expected["aes_key_utf8"].as_str().and_then(|it| airkiss::pad_key(it.as_bytes())),
        esptouch2: expected["aes_key_hex"]
            .as_str()
            .map(|it| hex::decode(it).unwrap().try_into().unwrap()),
        ..Keys::default()
    };
    (file, frames, keys)
}

/// Plays an air to a receiver parked on the channel: the time it took, everything believed checked.
fn play(name: &str, with_overhead: bool) -> Option<f64> {
    let (file, frames, keys) = air(name, with_overhead);
    let channel = file["ap_channel"].as_u64().unwrap() as u8;
    let on: Vec<Frame> = frames.into_iter().filter(|frame| frame.channel == channel).collect();
    let found = believed(&mut parked(channel, &keys), &on);
    let expected = &file["expected"];
    for (_, _, credentials) in &found {
        assert_eq!(credentials.ssid_text(), text(&expected["ssid_utf8"]), "{name}");
        assert_eq!(credentials.password_text(), text(&expected["password_utf8"]), "{name}");
        if let Some(extra) = expected["reserved_hex"].as_str() {
            assert_eq!(hex::encode(&credentials.extra), extra, "{name}");
        }
        if let Some(ip) = expected["phone_ip"].as_array() {
            let heard = credentials.phone_ip.unwrap().map(u64::from);
            assert!(ip.iter().zip(heard).all(|(a, b)| a.as_u64() == Some(b)), "{name}");
        }
    }
    found.first().and_then(|(at, ..)| *at).map(|at| at as f64 / 1000.0)
}

const AIRS: [&str; 21] = [
    "airkiss-loss05",
    "airkiss-loss20",
    "airkiss-loss40",
    "airkiss-aes-downlink-loss05",
    "airkiss-aes-downlink-loss20",
    "airkiss-aes-downlink-loss40",
    "esptouch1-loss05",
    "esptouch1-loss20",
    "esptouch1-loss40",
    "esptouch1-mcast-downlink-loss05",
    "esptouch1-mcast-downlink-loss20",
    "esptouch1-mcast-downlink-loss40",
    "esptouch2-loss05",
    "esptouch2-loss20",
    "esptouch2-loss40",
    "esptouch2-sec2-reserved-loss05",
    "esptouch2-sec2-reserved-loss20",
    "esptouch2-sec2-reserved-loss40",
    "rtk-loss05",
    "rtk-loss20",
    "rtk-loss40",
];

#[test]
fn every_lossy_air_decodes_and_nothing_else_is_ever_believed() {
    let mut failed = Vec::new();
    for name in AIRS {
        let reference =
            load(&alloc::format!("lossy/{name}.json"))["reference_complete_ms"].as_f64().unwrap();
        for with_overhead in [true, false] {
            let took = play(name, with_overhead);
            std::eprintln!("{name:34} {with_overhead:5} {took:?} reference {reference}");
            if took.is_none() {
                failed.push((name, with_overhead));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}

/// Captures published with airkissOpen: no times, only the order and the sequence numbers.
#[test]
fn captures_from_the_field_decode() {
    for vector in load("airkiss_real_captures.json")["vectors"].as_array().unwrap() {
        let macs: Vec<Mac> = vector["macs"].as_array().unwrap().iter().map(mac).collect();
        let frames: Vec<Frame> = vector["frames"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|row| {
                let at = |column: usize| row[column].as_u64().unwrap();
                let mut header = [0; 24];
                header[0] = at(0) as u8;
                header[1] = at(1) as u8;
                for (place, column) in [(4, 2), (10, 3), (16, 4)] {
                    header[place..place + 6].copy_from_slice(&macs[at(column) as usize].0);
                }
                let sequence = (at(5) << 4 | at(6)) as u16;
                header[22..24].copy_from_slice(&sequence.to_le_bytes());
                Frame::parse(&header, at(7) as u16, true, 6, None)
            })
            .collect();
        let mut hopper = parked(6, &Keys::default());
        let found = believed(&mut hopper, &frames);
        assert!(!found.is_empty(), "{}: {:?}", vector["id"], hopper.reason());
        for (_, scheme, credentials) in found {
            assert_eq!(scheme, Scheme::AirKiss);
            assert_eq!(credentials.ssid_text(), text(&vector["expected"]["ssid_utf8"]));
            assert_eq!(credentials.password_text(), text(&vector["expected"]["password_utf8"]));
        }
    }
}
