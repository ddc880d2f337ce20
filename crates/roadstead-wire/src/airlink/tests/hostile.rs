//! Bad air: two phones at once, rounds that end in the middle, crowds, credentials at their limits,
//! acknowledgements of others. A receiver answers with what was sent, a reason, or silence.

use alloc::format;
use alloc::vec;

use super::super::air::{Air, Weather};
use super::super::{EncodeError, PASSWORD_MAX, Reason, Round, SSID_MAX, ack};
use super::*;

const SECRET: &[u8] = b"a1ProductSecretA1";

/// A request with the key that the scheme cannot do without.
fn keyed<'a>(scheme: Scheme, ssid: &'a [u8], password: &'a [u8]) -> Request<'a> {
    let key = (scheme == Scheme::SmartConfig).then_some(SECRET);
    Request { key, ..request(ssid, password) }
}

fn keys() -> Keys {
    Keys { product_secret: Some(SECRET.to_vec()), ..Keys::default() }
}

fn sent_by(request: &Request<'_>, credentials: &Credentials) -> bool {
    credentials.ssid == request.ssid && credentials.password == request.password
}

/// Two airs in one, in order of time.
fn mixed(one: Vec<Frame>, two: Vec<Frame>) -> Vec<Frame> {
    let mut all = [one, two].concat();
    all.sort_by_key(|frame| frame.at_us);
    all
}

/// Two phones with different credentials, each pair of schemes, at 0 and 30 % loss: everything
/// believed is what the phone that speaks this scheme has sent, and both are heard in the end.
#[test]
fn two_phones_at_once_are_kept_apart() {
    for (at, first) in Scheme::ALL.into_iter().enumerate() {
        for second in Scheme::ALL.into_iter().skip(at) {
            for (loss, count) in [(0.0, 3_000), (0.3, 8_000)] {
                let one = keyed(first, b"TP-LINK_2F3A", b"12345678");
                let mut two = keyed(second, b"TP-LINK_2F3B", b"87654321");
                two.phone_mac = Mac([2, 0, 0, 0, 0, 3]);
                two.random = [9; 20];
                let weather = Weather { loss, ..Weather::default() };
                let hear = |scheme: Scheme, request: &Request<'_>, seed| -> Vec<Frame> {
                    let round = scheme.encode(request).unwrap();
                    let air = Air::new(&round, weather, request.phone_mac, request.bssid, seed);
                    air.filter(|frame| frame.channel == weather.channel).take(count).collect()
                };
                let frames = mixed(hear(first, &one, 1), hear(second, &two, 2));
                let found = believed(&mut parked(weather.channel, &keys()), &frames);
                let pair = format!("{first} and {second} at {loss}");
                for (_, by, credentials) in &found {
                    let right = by == &first && sent_by(&one, credentials)
                        || by == &second && sent_by(&two, credentials);
                    assert!(right, "{pair}: {credentials:?}");
                }
                assert!(found.iter().any(|(_, _, it)| sent_by(&one, it)), "{pair}: not the first");
                assert!(found.iter().any(|(_, _, it)| sent_by(&two, it)), "{pair}: not the second");
            }
        }
    }
}

/// One phone that is told another password in the middle: what is believed was sent as a whole.
#[test]
fn a_sender_that_changes_its_mind_is_never_mixed_up() {
    for scheme in Scheme::ALL {
        let one = keyed(scheme, b"TP-LINK_2F3A", b"12345678");
        let two = keyed(scheme, b"TP-LINK_2F3A", b"12346578");
        for cut in [40, 111, 260, 401] {
            let mut frames = heard(&scheme.encode(&one).unwrap(), &one, 1);
            frames.truncate(cut);
            let from = frames.last().and_then(|frame| frame.at_us).unwrap_or(0) + 20_000;
            for mut frame in heard(&scheme.encode(&two).unwrap(), &two, 8) {
                frame.at_us = frame.at_us.map(|us| us + from);
                frame.sequence = Some((frame.sequence.unwrap() + cut as u16) % 4096);
                frames.push(frame);
            }
            for (_, by, credentials) in believed(&mut parked(6, &keys()), &frames) {
                assert_eq!(by, scheme);
                let right = sent_by(&one, &credentials) || sent_by(&two, &credentials);
                assert!(right, "{scheme} cut at {cut}: {credentials:?}");
            }
        }
    }
}

/// A sender that stops in the middle of its round and begins anew: the part that never comes is
/// never guessed.
#[test]
fn truncated_rounds_give_a_reason_and_nothing_else() {
    for scheme in Scheme::ALL {
        let request = keyed(scheme, b"TP-LINK_2F3A", b"12345678");
        let whole = scheme.encode(&request).unwrap();
        let mut silent = 0;
        for part in 1..16 {
            let kept = whole.packets.len() * part / 16;
            let packets = whole.packets[..kept].to_vec();
            let lasts = packets.last().map(|packet| packet.at * 2).unwrap_or_default();
            let round = Round { packets, lasts, ..whole.clone() };
            let mut hopper = parked(6, &keys());
            let found = believed(&mut hopper, &heard(&round, &request, 4));
            for (_, by, credentials) in &found {
                assert!(*by == scheme && sent_by(&request, credentials), "{scheme} {part}");
            }
            if found.is_empty() {
                silent += 1;
                let reason = hopper.reason();
                assert!(reason <= Reason::ChecksumConflict, "{scheme} {part}: {reason:?}");
            }
        }
        // AirKiss and ESPTouch repeat the message within their round, the others do not.
        assert!(silent > 0, "{scheme}: something was always whole");
    }
}

/// Five thousand foreign frames a second around a sender: found in time, nothing else believed.
#[test]
fn a_crowd_of_5000_frames_a_second_is_no_obstacle() {
    for scheme in Scheme::ALL {
        let request = keyed(scheme, b"TP-LINK_2F3A", b"12345678");
        let round = scheme.encode(&request).unwrap();
        let per_second = round.packets.len() as f64 / round.lasts.as_secs_f64();
        let weather = Weather { loss: 0.05, foreign: 5_000.0 / per_second, ..Weather::default() };
        let mut hopper = parked(weather.channel, &keys());
        let (mut frames, mut took) = (0_u32, None);
        for frame in Air::new(&round, weather, request.phone_mac, request.bssid, 5) {
            let at = core::time::Duration::from_micros(frame.at_us.unwrap());
            if took.is_some() || at > round.time_out {
                break;
            }
            frames += 1;
            if let Some((by, Event::Complete(found))) = hopper.hear(&frame) {
                assert!(by == scheme && sent_by(&request, &found), "{by}: {found:?}");
                took = Some(at);
            }
        }
        let took = took.unwrap_or_else(|| panic!("{scheme}: {:?}", hopper.reason()));
        let rate = f64::from(frames) / took.as_secs_f64();
        assert!(rate > 4_500.0, "{scheme}: only {rate} frames a second");
    }
}

/// Credentials at their limits, each in every scheme that can carry them; one that cannot says so.
#[test]
fn credentials_at_their_limits_are_carried_whole_or_refused() {
    let utf8 = "客厅 Größe 5G ✓".as_bytes();
    let widest = "网".repeat(10) + "ab";
    assert_eq!(widest.len(), SSID_MAX);
    let raw: [u8; SSID_MAX] = core::array::from_fn(|at| (at * 8 + 7) as u8);
    let psk = [b'f'; PASSWORD_MAX];
    // Text, as IEEE 802.11 has it: a receiver tells a wrong key by what is none.
    let longest = [b'~'; PASSWORD_MAX - 1];
    let passwords: [&[u8]; 5] = [b"", b"12345678", &psk, "пароль-密码".as_bytes(), &longest];
    for scheme in Scheme::ALL {
        let mut carried = 0;
        for ssid in [b"a".as_slice(), utf8, widest.as_bytes(), &raw] {
            for password in passwords {
                let request = keyed(scheme, ssid, password);
                let case = format!("{scheme}: {} and {} bytes", ssid.len(), password.len());
                match scheme.encode(&request) {
                    Ok(round) => {
                        let mut hopper = parked(6, &keys());
                        let found = believed(&mut hopper, &heard(&round, &request, 5));
                        assert!(!found.is_empty(), "{case}: {:?}", hopper.reason());
                        assert!(found.iter().all(|(_, _, it)| sent_by(&request, it)), "{case}");
                        carried += 1;
                    }
                    Err(EncodeError::TooLong { size, limit, .. }) => {
                        assert!(size > limit, "{case}")
                    }
                    Err(other) => panic!("{case}: {other}"),
                }
            }
        }
        let least = match scheme {
            Scheme::AirKiss | Scheme::EspTouch | Scheme::EspTouch2 => 20,
            // A long password with a long name does not fit (Airlink §5.1, §6.1).
            Scheme::SimpleConfig | Scheme::SmartConfig => 12,
        };
        assert!(carried >= least, "{scheme}: {carried}");
    }
}

/// What is too long is refused with a code by every scheme, before anything is sent.
#[test]
fn too_much_for_a_sender_is_refused() {
    let long = vec![b'x'; 65_536];
    for scheme in Scheme::ALL {
        let fits = keyed(scheme, b"home", b"12345678");
        let cases = [
            (Request { ssid: b"", ..fits }, "airlink.bad_ssid"),
            (Request { ssid: &long[..SSID_MAX + 1], ..fits }, "airlink.bad_ssid"),
            (Request { ssid: &long, ..fits }, "airlink.bad_ssid"),
            (Request { password: &long[..PASSWORD_MAX + 1], ..fits }, "airlink.bad_password"),
            (Request { password: &long, ..fits }, "airlink.bad_password"),
            (Request { extra: &long[..65], ..fits }, "airlink.too_long"),
        ];
        for (n, (request, code)) in cases.into_iter().enumerate() {
            let error = scheme.encode(&request).expect_err("it is too much");
            assert_eq!(error.code(), code, "{scheme} case {n}: {error}");
        }
    }
}

/// An acknowledgement that is not the one waited for is not taken; one that anybody could have sent
/// says no more than an address.
#[test]
fn foreign_acknowledgements_are_not_taken() {
    let mac = Mac([2, 3, 4, 5, 6, 7]);
    let waited = |scheme: Scheme| scheme.encode(&request(b"home", b"password")).unwrap().ack;
    let other = [
        (Scheme::AirKiss, ack::Proof::AirKiss { random: 8 }),
        (Scheme::EspTouch, ack::Proof::EspTouch { total: 20 }),
        (Scheme::SimpleConfig, ack::Proof::AirKiss { random: 7 }),
    ];
    for (scheme, proof) in other {
        let expected = waited(scheme);
        assert_ne!(expected.proof, proof, "{scheme}");
        let datagram = proof.ack(mac, [10, 0, 0, 9], "lamp").unwrap().datagram;
        assert_eq!(expected.read(&datagram), None, "{scheme}");
    }
    for scheme in [Scheme::AirKiss, Scheme::EspTouch, Scheme::EspTouch2, Scheme::SimpleConfig] {
        let expected = waited(scheme);
        let own = expected.proof.ack(mac, [10, 0, 0, 9], "lamp").unwrap();
        // The port of another scheme or another mark is not even listened on.
        assert_eq!(Some(own.port), expected.port);
        for cut in 0..own.datagram.len() {
            let short = expected.read(&own.datagram[..cut]);
            // AirKiss devices may leave their address away; the name is padding.
            let allowed = matches!((scheme, cut), (Scheme::AirKiss, 1))
                || matches!((scheme, cut), (Scheme::SimpleConfig, 13..));
            assert!(short.is_none() || allowed, "{scheme} cut at {cut}: {short:?}");
        }
        let said = expected.read(&own.datagram).unwrap();
        assert_eq!(said.mac, Some(mac), "{scheme}");
    }
}
