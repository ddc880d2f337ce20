//! What holds for every request, frame and datagram.

use alloc::vec;

use proptest::prelude::*;

use super::super::air::{Dice, noise};
use super::super::{EncodeError, ack};
use super::*;

/// A key that fits the scheme, or none where the scheme goes without.
fn key(scheme: Scheme, dice: &mut Dice) -> Option<Vec<u8>> {
    let some = dice.chance(0.5);
    let digits = |count: usize, dice: &mut Dice| -> Vec<u8> {
        (0..count).map(|_| b'0' + dice.below(10) as u8).collect()
    };
    match scheme {
        Scheme::AirKiss | Scheme::EspTouch2 if some => Some(digits(16, dice)),
        Scheme::SimpleConfig if some => Some(digits(8, dice)),
        Scheme::SmartConfig => Some(digits(20, dice)),
        Scheme::AirKiss | Scheme::EspTouch | Scheme::EspTouch2 | Scheme::SimpleConfig => None,
    }
}

proptest! {
    /// What a scheme agrees to carry, a receiver of all schemes reads back, exactly.
    #[test]
    fn what_is_encoded_is_read_back(
        at in 0..Scheme::ALL.len(),
        ssid in "[^\\p{Cc}]{1,10}|[ -~]{1,32}",
        password in "[^\\p{Cc}]{0,16}|[ -~]{8,63}|[0-9a-f]{64}",
        extra in prop::collection::vec(any::<u8>(), 0..=64),
        seed in any::<u64>(),
    ) {
        let scheme = Scheme::ALL[at];
        let mut dice = Dice::new(seed);
        let key = key(scheme, &mut dice);
        let mut request = request(ssid.as_bytes(), password.as_bytes());
        request.key = key.as_deref();
        request.multicast = dice.chance(0.5);
        request.zero_iv = dice.chance(0.5);
        request.port_mark = dice.below(4) as u8;
        request.random.fill_with(|| dice.bits() as u8);
        if scheme == Scheme::EspTouch2 {
            request.extra = &extra;
        }
        let round = match scheme.encode(&request) {
            Ok(round) => round,
            Err(EncodeError::TooLong { size, limit, .. }) => {
                prop_assert!(size > limit);
                return Ok(());
            }
            Err(other) => panic!("{other}"),
        };
        let mut hopper = parked(6, &vectors::keys_of(scheme, &request));
        let found = believed(&mut hopper, &heard(&round, &request, 4));
        // Without the key whole blocks may be ciphertext: AirKiss says so instead of guessing.
        prop_assert!(!found.is_empty(), "{scheme}: {:?}", hopper.reason());
        for (_, by, credentials) in found {
            prop_assert_eq!(by, scheme);
            prop_assert_eq!(&credentials.ssid, request.ssid);
            prop_assert_eq!(&credentials.password, request.password);
            prop_assert_eq!(&credentials.extra, request.extra);
        }
    }

    /// Any request is carried or refused with a reason.
    #[test]
    fn any_request_is_answered(
        ssid in prop::collection::vec(any::<u8>(), 0..40),
        password in prop::collection::vec(any::<u8>(), 0..80),
        extra in prop::collection::vec(any::<u8>(), 0..80),
        key in prop::option::of(prop::collection::vec(any::<u8>(), 0..80)),
    ) {
        for scheme in Scheme::ALL {
            let mut request = request(&ssid, &password);
            request.extra = &extra;
            request.key = key.as_deref();
            match scheme.encode(&request) {
                Ok(round) => prop_assert!(!round.packets.is_empty()),
                Err(error) => prop_assert!(error.code().starts_with("airlink.")),
            }
        }
    }

    /// Any bytes of a captured frame are read or refused.
    #[test]
    fn any_header_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..60), length in any::<u16>()) {
        if let Some(frame) = Frame::parse(&bytes, length, true, 1, None) {
            prop_assert!(frame.destination.is_group());
        }
    }

    /// Frames in any order and of any length are survived by all receivers, with and without
    /// times and numbers.
    #[test]
    fn any_frames_are_survived(seed in any::<u64>(), timed in any::<bool>(), numbered in any::<bool>()) {
        let mut dice = Dice::new(seed);
        let keys = Keys { product_secret: Some(vec![1]), ..Keys::default() };
        let mut hopper = parked(6, &keys);
        for _ in 0..300 {
            let at = dice.below(1_000_000);
            let mut frame = noise(&mut dice, at, 6);
            frame.at_us = frame.at_us.filter(|_| timed);
            frame.sequence = frame.sequence.filter(|_| numbered);
            if dice.chance(0.3) {
                frame.length = dice.bits() as u16;
            }
            if let Some((scheme, Event::Complete(found))) = hopper.hear(&frame) {
                panic!("{scheme} believed {found:?}");
            }
        }
    }

    /// Any datagram is an acknowledgement or not.
    #[test]
    fn any_acknowledgement_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        for scheme in [Scheme::AirKiss, Scheme::EspTouch, Scheme::EspTouch2, Scheme::SimpleConfig] {
            let round = scheme.encode(&request(b"home", b"password")).unwrap();
            let _ = round.ack.read(&bytes);
            let mac = Mac([2, 3, 4, 5, 6, 7]);
            let ack = round.ack.proof.ack(mac, [10, 0, 0, 9], "lamp").unwrap();
            prop_assert_eq!(Some(ack.port), round.ack.port);
            let read = round.ack.read(&ack.datagram);
            prop_assert_eq!(read.and_then(|it: ack::Acknowledged| it.mac), Some(mac));
        }
    }
}

/// A device with a key reads what a phone without it sent, and the other way round says why not.
#[test]
fn a_wrong_key_is_named_and_nothing_is_believed() {
    let mut request = request(b"TP-LINK_2F3A", b"correct horse battery");
    for (scheme, right, wrong) in [
        (Scheme::AirKiss, &b"Wechatiothardwav"[..], Keys::default()),
        (
            Scheme::EspTouch2,
            b"Wechatiothardwav",
            Keys { esptouch2: Some([9; 16]), ..Keys::default() },
        ),
        (Scheme::SimpleConfig, b"12345678", Keys::default()),
        (
            Scheme::SmartConfig,
            b"a1ProductSecretA1",
            Keys { product_secret: Some(b"another".to_vec()), ..Keys::default() },
        ),
    ] {
        request.key = Some(right);
        let round = scheme.encode(&request).unwrap();
        let mut hopper = parked(6, &wrong);
        assert!(believed(&mut hopper, &heard(&round, &request, 4)).is_empty(), "{scheme}");
        assert_eq!(hopper.reason(), super::super::Reason::DecryptFailed, "{scheme}");
    }
}
