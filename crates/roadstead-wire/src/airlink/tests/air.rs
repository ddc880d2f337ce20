//! Recorded airs: two captures from the field, and 21 simulated ones with losses and foreign
//! traffic (Airlink §13).

use core::time::Duration;

use super::super::air::{Air, Dice, Weather, noise};
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
            // A receiver that counts must be no slower than one that only collects, but for the
            // rounds it takes to see for itself what the frames have over their payload.
            if took.is_none_or(|took| took > 2.0 * reference) {
                failed.push((name, with_overhead, took));
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

/// What a phone of the laboratory sends: an SSID of 12 and a password of 8 bytes.
fn lab_request(scheme: Scheme) -> Request<'static> {
    let mut request = request(b"TP-LINK_2F3A", b"12345678");
    match scheme {
        Scheme::SmartConfig => request.key = Some(b"a1ProductSecretA1"),
        Scheme::AirKiss | Scheme::EspTouch | Scheme::EspTouch2 | Scheme::SimpleConfig => {}
    }
    request
}

/// Runs one simulated air: how long it took, and that nothing wrong was believed.
fn run(scheme: Scheme, weather: Weather, seed: u64) -> Option<Duration> {
    play_out(scheme, &lab_request(scheme), weather, seed)
}

/// The same for any request of that SSID and password.
fn play_out(
    scheme: Scheme,
    request: &Request<'_>,
    weather: Weather,
    seed: u64,
) -> Option<Duration> {
    let round = scheme.encode(request).unwrap();
    let mut hopper = parked(weather.channel, &vectors::keys_of(scheme, request));
    let air = Air::new(&round, weather, request.phone_mac, request.bssid, seed);
    for frame in air.filter(|frame| frame.channel == weather.channel) {
        let at = Duration::from_micros(frame.at_us.unwrap());
        if at > round.time_out {
            return None;
        }
        if let Some((by, Event::Complete(found))) = hopper.hear(&frame) {
            assert_eq!(by, scheme, "seed {seed}");
            assert_eq!(found.ssid_text(), "TP-LINK_2F3A", "{scheme} seed {seed}");
            assert_eq!(found.password_text(), "12345678", "{scheme} seed {seed}");
            return Some(at);
        }
    }
    None
}

#[test]
fn simulated_airs_decode_in_time() {
    for scheme in Scheme::ALL {
        for (loss, uplink) in [(0.0, true), (0.05, false), (0.2, true), (0.4, true), (0.4, false)] {
            let weather = Weather { loss, uplink, ..Weather::default() };
            for seed in 0..4 {
                assert!(run(scheme, weather, seed).is_some(), "{scheme} {loss} {uplink} {seed}");
            }
        }
    }
}

/// The reference of Airlink §13: seconds of the median of 25 seeds at 0, 5, 20 and 40 % loss, first
/// with both copies, then with the downlink alone.
const REFERENCE: [(Scheme, usize, [f64; 4], [f64; 4]); 5] = [
    (Scheme::AirKiss, 0, [1.6, 1.8, 2.6, 11.2], [1.8, 2.1, 3.8, 24.6]),
    (Scheme::EspTouch, 0, [2.8, 2.8, 4.1, 8.7], [3.4, 4.1, 8.5, 15.5]),
    (Scheme::EspTouch2, 0, [0.8, 0.8, 1.7, 3.9], [1.2, 1.7, 3.7, 5.8]),
    // With a key, a random IV and 38 bytes of the application.
    (Scheme::EspTouch2, 38, [2.8, 4.9, 7.6, 12.1], [5.0, 8.1, 13.4, 23.1]),
    (Scheme::SimpleConfig, 0, [0.2, 0.2, 0.5, 0.7], [0.2, 0.5, 0.8, 1.4]),
];

/// No slower than the reference at any loss, within its rounding; and each of the 25 is found.
#[test]
fn medians_are_no_worse_than_the_reference() {
    for (scheme, extra, both, down) in REFERENCE {
        for (uplink, limits) in [(true, both), (false, down)] {
            for (loss, limit) in [0.0, 0.05, 0.2, 0.4].into_iter().zip(limits) {
                let weather = Weather { loss, uplink, ..Weather::default() };
                let request = Request {
                    extra: &[0xA5; 64][..extra],
                    key: (extra > 0).then_some(b"Wechatiothardwav"),
                    ..lab_request(scheme)
                };
                let mut times: Vec<f64> = (0..25)
                    .filter_map(|seed| play_out(scheme, &request, weather, seed))
                    .map(|time| time.as_secs_f64())
                    .collect();
                let case = alloc::format!("{scheme}+{extra} at {loss}, uplink {uplink}");
                assert_eq!(times.len(), 25, "{case}");
                times.sort_by(f64::total_cmp);
                assert!(times[12] < limit + 0.05, "{case}: {} s, {limit} s", times[12]);
            }
        }
    }
}

#[test]
fn noise_is_never_believed() {
    let mut dice = Dice::new(7);
    let keys = Keys {
        airkiss: Some([1; 16]),
        esptouch2: Some([2; 16]),
        pin: None,
        product_secret: Some(b"secret".to_vec()),
    };
    let mut hopper = parked(6, &keys);
    for n in 0..1_000_000 {
        let frame = noise(&mut dice, n * 200, 6);
        let said = hopper.hear(&frame);
        assert!(!matches!(said, Some((_, Event::Complete(_)))), "{said:?}");
    }
}
