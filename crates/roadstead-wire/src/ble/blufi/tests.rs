//! The recorded sessions, byte for byte, from both ends.

use alloc::vec::Vec;

use serde_json::Value;

use super::crypt::{Cipher, GENERATOR, Group};
use super::*;
use crate::ble::tests::{bytes, load, network};
use crate::ble::{Courier as _, Order, PIECE_MIN, Porter as _, Refusal, Report};
use zeroize::Zeroizing;

struct Session {
    vector: Value,
    size: usize,
}

fn sessions() -> Vec<Session> {
    let sizes = |vector: Value| {
        // The vendor's app leaves a byte unused.
        let size = (vector["att_mtu"].as_u64().unwrap() as usize - 4).max(PIECE_MIN);
        Session { vector, size }
    };
    load("blufi.json").into_iter().map(sizes).collect()
}

impl Session {
    fn private(&self, name: &str) -> [u8; PRIVATE_SIZE] {
        let short = bytes(&self.vector["dh"][name]);
        let mut private = [0; PRIVATE_SIZE];
        private[PRIVATE_SIZE - short.len()..].copy_from_slice(&short);
        private
    }

    fn frames(&self, step: &str) -> Vec<Vec<u8>> {
        let frames = self.vector["frames"].as_array().unwrap().iter();
        frames.filter(|it| it["step"] == step).map(|it| bytes(&it["hex"])).collect()
    }

    fn text(&self, name: &str) -> Vec<u8> {
        self.vector[name].as_str().unwrap().as_bytes().to_vec()
    }

    fn cipher(&self) -> Cipher {
        let group = Group::new(&PRIME, &[GENERATOR]).unwrap();
        let public = bytes(&self.vector["dh"]["device_public_hex"]);
        group.agree(&self.private("phone_private_hex"), &public).unwrap()
    }
}

#[test]
fn keys_are_agreed_on_as_recorded() {
    for session in sessions() {
        let dh = &session.vector["dh"];
        assert_eq!(bytes(&dh["p_hex"]), PRIME);
        let group = Group::new(&PRIME, &[GENERATOR]).unwrap();
        let phone = session.private("phone_private_hex");
        let device = session.private("device_private_hex");
        assert_eq!(group.public(&phone).to_vec(), bytes(&dh["phone_public_hex"]));
        assert_eq!(group.public(&device).to_vec(), bytes(&dh["device_public_hex"]));
        let cipher = group.agree(&device, &group.public(&phone)).unwrap();
        assert_eq!(cipher.key().to_vec(), bytes(&session.vector["aes_key_hex"]));
    }
}

#[test]
fn a_phone_writes_the_recorded_frames() {
    for session in sessions() {
        let mut phone = BluFiPhone::new(session.size, Some(session.private("phone_private_hex")));
        let device = session.private("device_private_hex");
        let mut device = BluFiDevice::new(session.size, device, true);
        let mut written = Vec::new();
        phone.send(&Order::Open, &mut written);
        assert_eq!(written, session.frames("negotiate"));
        let (mut orders, mut notes) = (Vec::new(), Vec::new());
        for frame in &written {
            device.write(frame, &mut orders, &mut notes).unwrap();
        }
        assert!(notes.iter().all(|note| note.len() <= session.size));
        written.clear();
        for note in &notes {
            phone.notified(note, &mut Vec::new(), &mut written).unwrap();
        }
        let credentials = network(&session.text("ssid_utf8"), &session.text("password_utf8"));
        let token = Zeroizing::new(session.text("custom_data_utf8"));
        let all = [
            Order::Scan,
            Order::Station,
            Order::Network(credentials.clone()),
            Order::Token(token.clone()),
            Order::Connect,
        ];
        for order in &all {
            phone.send(order, &mut written);
        }
        let steps = [
            "set-security",
            "get-wifi-list",
            "set-opmode-sta",
            "ssid",
            "password",
            "custom-data",
            "connect",
        ];
        let recorded: Vec<_> = steps.iter().flat_map(|step| session.frames(step)).collect();
        assert_eq!(written, recorded);
        for frame in &written {
            device.write(frame, &mut orders, &mut notes).unwrap();
        }
        let heard = [
            Order::Scan,
            Order::Station,
            Order::Token(token),
            Order::Network(credentials),
            Order::Connect,
        ];
        assert!(orders == heard, "{orders:?}");
    }
}

#[test]
fn device_frames_are_the_recorded_ones() {
    for session in sessions() {
        let cipher = session.cipher();
        let mut framer = Framer::new(true, 255);
        let mut assembly = Assembly::new(true);
        for recorded in session.vector["device_frames"].as_array().unwrap() {
            let (hex, plain) = (bytes(&recorded["hex"]), bytes(&recorded["plain_data_hex"]));
            let message = assembly.take(&hex, Some(&cipher)).unwrap().unwrap();
            assert_eq!(message.content, plain, "{}", recorded["name"]);
            let mut frames = Vec::new();
            framer.frames(message.kind, &plain, message.flags, Some(&cipher), &mut frames);
            assert_eq!(frames, [hex], "{}", recorded["name"]);
        }
    }
}

#[test]
fn an_acknowledgement_is_given_when_wanted() {
    let mut device = BluFiDevice::new(20, [1; 32], false);
    let (mut orders, mut notes) = (Vec::new(), Vec::new());
    device.write(&[0x08, 0x08, 0, 1, 1], &mut orders, &mut notes).unwrap();
    assert!(orders == [Order::Station]);
    assert_eq!(notes, [[0, 4, 0, 1, 0]]);
}

#[test]
fn broken_frames_are_refused() {
    let session = &sessions()[0];
    let cipher = session.cipher();
    let take = |bytes: &[u8], key| Assembly::new(false).take(bytes, key).err();
    let whole = [0x09, 0x00, 0x00, 0x02, b'a', b'b'];
    assert_eq!(take(&whole, None), None);
    assert_eq!(take(&whole[..5], None), Some(Refusal::Malformed), "short");
    assert_eq!(take(&[0x0B, 0, 0, 0], None), Some(Refusal::Malformed), "no such type");
    assert_eq!(take(&[0x09, 4, 0, 0], None), Some(Refusal::Malformed), "wrong direction");
    assert_eq!(take(&[0x09, 1, 0, 0], None), Some(Refusal::NoKey));
    assert_eq!(take(&[0x09, 2, 0, 0, 1, 2], Some(&cipher)), Some(Refusal::Checksum));
    let twice = Refusal::Sequence { want: 0, got: 1 };
    assert_eq!(take(&[0x09, 0, 1, 0], None), Some(twice));
    assert_eq!(take(&[0x09, 0x10, 0, 3, 0xFF, 0x7F, 1], None), Some(Refusal::TooLong));
    assert_eq!(take(&[0x09, 0x10, 0, 3, 1, 0, 1], None), Some(Refusal::Malformed), "no rest");
}

#[test]
fn reports_are_read_as_they_were_told() {
    use crate::airlink::Mac;
    use crate::ble::{Link, LinkState};
    let states =
        [LinkState::Connected, LinkState::Failed, LinkState::Connecting, LinkState::NoAddress];
    let links = states.map(|state| Link {
        state,
        ssid: b"home".to_vec(),
        bssid: Some(Mac([1, 2, 3, 4, 5, 6])),
        reason: Some(201),
    });
    let mut told: Vec<_> = links.into_iter().map(Report::Link).collect();
    told.push(Report::Networks([(b"a".to_vec(), -40), (b"bb".to_vec(), -90)].to_vec()));
    told.push(Report::Error(6));
    told.push(Report::Token(false));
    let (mut device, mut phone) = (BluFiDevice::new(20, [1; 32], false), BluFiPhone::new(20, None));
    let (mut notes, mut heard) = (Vec::new(), Vec::new());
    told.iter().for_each(|report| device.tell(report, &mut notes));
    for note in &notes {
        phone.notified(note, &mut heard, &mut Vec::new()).unwrap();
    }
    assert_eq!(heard, told);
}
