//! Both ends against each other; wrong secrets, replays, cut and altered messages; codes, forms and
//! names of strangers.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use proptest::prelude::*;

use super::form::{self, FormError};
use super::*;

const SECRET: [u8; SECRET_SIZE] = *b"sixteen bytes !!";

/// A pair that has agreed.
fn pair() -> (Phone, Device) {
    let (mut phone, mut device) = (Phone::new(SECRET, [7; 32]), Device::new(SECRET));
    let (welcome, given) = device.handle(&phone.hello(), &[9; 32]).expect("welcome");
    assert!(given.is_none());
    phone.welcome(&welcome).expect("the device of the code");
    (phone, device)
}

#[test]
fn a_phone_gives_a_network_and_sees_how_it_goes() {
    let (mut phone, mut device) = pair();
    let give = phone.give("Zuhause 客".as_bytes(), b"correct horse", b"69f978").expect("fits");
    for secret in [&b"correct horse"[..], "Zuhause".as_bytes(), b"69f978", &SECRET] {
        assert!(!give.windows(secret.len()).any(|part| part == secret), "in the clear");
    }
    let (answer, given) = device.handle(&give, &[0; 32]).expect("taken");
    let given = given.expect("a network");
    assert_eq!(given.ssid, "Zuhause 客".as_bytes());
    assert_eq!((&given.password[..], &given.token[..]), (&b"correct horse"[..], &b"69f978"[..]));
    assert_eq!(phone.state(&answer), Ok((Progress::Joining, None)));
    for (progress, reason) in [
        (Progress::Joining, Some(Reason::WrongPassword)),
        (Progress::Joining, Some(Reason::NotFound)),
        (Progress::Joining, Some(Reason::NoAddress)),
        (Progress::Joined, Some(Reason::NoCloud)),
        (Progress::Bound, None),
    ] {
        device.set(progress, reason);
        let ask = phone.ask().expect("open");
        let (answer, given) = device.handle(&ask, &[0; 32]).expect("answered");
        assert!(given.is_none());
        assert_eq!(phone.state(&answer), Ok((progress, reason)));
    }
    // After a wrong password the same session gives another.
    let again = phone.give(b"Home", b"another one", b"").expect("fits");
    let (answer, given) = device.handle(&again, &[0; 32]).expect("taken");
    assert!(given.is_some_and(|given| given.token.is_empty()));
    assert_eq!(phone.state(&answer), Ok((Progress::Joining, None)), "the reason is over");
}

#[test]
fn another_secret_is_noticed_before_anything_is_told() {
    let (mut phone, mut trap) = (Phone::new(SECRET, [7; 32]), Device::new([1; SECRET_SIZE]));
    let (welcome, _) = trap.handle(&phone.hello(), &[9; 32]).expect("welcome");
    assert_eq!(phone.welcome(&welcome), Err(PhoneError::WrongDevice));
    assert_eq!(phone.give(b"Home", b"password", b""), Err(PhoneError::BadAnswer));
    // A phone without the secret that does not care about the proof.
    let mut device = Device::new(SECRET);
    let mut thief = Phone::new([1; SECRET_SIZE], [7; 32]);
    let mut welcome = device.handle(&thief.hello(), &[9; 32]).expect("welcome").0;
    let mut own = Device::new([1; SECRET_SIZE]);
    let forged = own.handle(&thief.hello(), &[9; 32]).expect("welcome").0;
    let proof = welcome.len() - 16;
    welcome.truncate(proof);
    welcome.extend_from_slice(&forged[proof..]);
    thief.welcome(&welcome).expect("its own proof");
    let give = thief.give(b"Evil", b"password", b"").expect("sealed");
    assert_eq!(device.handle(&give, &[0; 32]).err(), Some(Refusal::NotAuthentic));
    assert_eq!(device.state(), (Progress::Waiting, None));
}

#[test]
fn what_was_heard_is_not_taken_again() {
    let (mut phone, mut device) = pair();
    let first = phone.give(b"Home", b"password", b"").expect("fits");
    let (answer, given) = device.handle(&first, &[0; 32]).expect("taken");
    assert!(given.is_some());
    // A lost answer is given again, and does nothing.
    let (again, given) = device.handle(&first, &[0; 32]).expect("the same answer");
    assert!(again == answer && given.is_none());
    let ask = phone.ask().expect("open");
    let later = device.handle(&ask, &[0; 32]).expect("answered").0;
    assert_eq!(device.handle(&first, &[0; 32]).err(), Some(Refusal::Replayed));
    // An answer to an earlier question is not one to this.
    assert_eq!(phone.state(&answer), Err(PhoneError::NotAuthentic));
    assert!(phone.state(&later).is_ok());
    // Recorded messages are of no use in another session.
    let mut restarted = Device::new(SECRET);
    assert_eq!(restarted.handle(&first, &[0; 32]).err(), Some(Refusal::UnknownSession));
    let (welcome, _) = restarted.handle(&phone.hello(), &[9; 32]).expect("the same hello");
    // The same random bytes again would be the device's fault; others give another session.
    let (other, _) = restarted.handle(&phone.hello(), &[8; 32]).expect("the same hello");
    assert_ne!(welcome, other);
    assert_eq!(phone.state(&welcome), Err(PhoneError::BadAnswer));
}

#[test]
fn the_phone_that_spoke_longest_ago_makes_room() {
    let mut device = Device::new(SECRET);
    let mut phones: Vec<Phone> = (1..=5).map(|n| Phone::new(SECRET, [n; 32])).collect();
    for (n, phone) in phones.iter_mut().enumerate() {
        let entropy = [100 + n as u8; 32];
        let welcome = device.handle(&phone.hello(), &entropy).expect("welcome").0;
        phone.welcome(&welcome).expect("agreed");
    }
    let told: Vec<bool> = phones
        .iter_mut()
        .map(|phone| device.handle(&phone.ask().expect("open"), &[0; 32]).is_ok())
        .collect();
    assert_eq!(told, [false, true, true, true, true]);
}

#[test]
fn keys_with_a_known_result_are_refused() {
    let mut device = Device::new(SECRET);
    for low in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let hello: Vec<u8> = [1, 1].into_iter().chain(low).collect();
        assert_eq!(device.handle(&hello, &[9; 32]).err(), Some(Refusal::BadMessage));
    }
}

#[test]
fn refusals_and_limits_are_told() {
    let (mut phone, mut device) = pair();
    for refusal in Refusal::ALL {
        assert_eq!(phone.state(&Device::refusal(refusal)), Err(PhoneError::Refused(refusal)));
        assert_eq!(PhoneError::Refused(refusal).code(), refusal.code());
    }
    for (ssid, password, token) in
        [(&b""[..], 0, 0), (&[b'x'; 33], 0, 0), (b"x", 65, 0), (b"x", 0, 65)]
    {
        let give = phone.give(ssid, &[b'x'; 65][..password], &[b'x'; 65][..token]);
        assert_eq!(give, Err(PhoneError::TooLong));
    }
    let most = phone.give(&[b'x'; 32], &[b'x'; 64], &[b'x'; 64]).expect("fits");
    assert!(most.len() <= MESSAGE_MAX);
    assert!(device.handle(&most, &[0; 32]).expect("taken").1.is_some());
}

fn qr() -> Qr {
    let at = "192.168.4.1:80".parse().expect("address");
    Qr { secret: SECRET.into(), at, ap: "灯 & co".into(), name: "lamp-1".into() }
}

#[test]
fn a_code_says_what_was_written_and_hides_its_secret() {
    let text = qr().text();
    assert_eq!(Qr::parse(&text), Ok(qr()));
    assert!(text.is_ascii() && text.len() < 200, "{}", *text);
    assert!(!alloc::format!("{:?}", qr()).contains("7369"), "the secret");
    let without = |part: &str| text.replace(part, "x=");
    for (text, error) in [
        (without("k="), QrError::Secret),
        (text.replace("k=73", "k=7"), QrError::Secret),
        (text.replace("v=1", "v=2"), QrError::Version),
        (without("at="), QrError::Address),
        (text.replace("softap", "easyconnect"), QrError::Strange),
        ("WIFI:T:WPA;S:x;P:y;;".to_string(), QrError::Strange),
        (text.to_string() + &"&y=".repeat(200), QrError::TooLong),
    ] {
        assert_eq!(Qr::parse(&text), Err(error), "{text}");
    }
}

#[test]
fn forms_keep_the_rules_of_networks() {
    let read = |text: &str| form::parse(text.as_bytes());
    let given = read("ssid=Caf%C3%A9+%26+Bar&password=p%40ssword&token=abc").expect("form");
    assert_eq!(given.ssid, "Café & Bar".as_bytes());
    assert_eq!((&given.password[..], &given.token[..]), (&b"p@ssword"[..], &b"abc"[..]));
    assert_eq!(read("ssid=00ff&hex=1").expect("bytes").ssid, [0, 255]);
    assert!(read(&alloc::format!("ssid=x&password={}", "a".repeat(64))).is_ok(), "a raw key");
    for (text, error) in [
        ("", FormError::NoName),
        ("ssid=", FormError::NoName),
        ("ssid=zz&hex=1", FormError::NotHex),
        ("ssid=%4", FormError::Unreadable),
        ("ssid=%zz", FormError::Unreadable),
        ("ssid=x&password=seven77", FormError::Password),
        ("ssid=x&token=a%20b", FormError::Token),
        (&alloc::format!("ssid={}", "x".repeat(33)), FormError::NameTooLong),
        (&alloc::format!("ssid={}", "%E5%AE%A2".repeat(11)), FormError::NameTooLong),
        (&alloc::format!("ssid=x&password={}", "z".repeat(64)), FormError::Password),
        (&alloc::format!("ssid=x&token={}", "z".repeat(65)), FormError::Token),
        (&"x".repeat(form::FORM_MAX + 1), FormError::Unreadable),
    ] {
        assert_eq!(read(text), Err(error), "{text}");
    }
    assert_eq!(form::parse(&[0xFF]), Err(FormError::Unreadable));
}

#[test]
fn every_name_is_the_devices_address() {
    let address = Ipv4Addr::new(192, 168, 4, 1);
    let mut question = Vec::from(*b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00");
    question.extend_from_slice(b"\x07captive\x05apple\x03com\x00\x00\x01\x00\x01");
    let answer = dns::answer(&question, address).expect("answer");
    assert_eq!(answer[..4], [0x12, 0x34, 0x85, 0]);
    assert_eq!(answer[4..12], [0, 1, 0, 1, 0, 0, 0, 0]);
    assert_eq!(answer[12..question.len()], question[12..]);
    let expected = b"\xC0\x0C\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\xC0\xA8\x04\x01";
    assert_eq!(answer[question.len()..], expected[..]);
    // IPv6 addresses exist not, and that is no error: the phone takes the other one.
    let kind = question.len() - 3;
    question[kind] = 28;
    let none = dns::answer(&question, address).expect("answer");
    assert_eq!((none[3], none[7], none.len()), (0, 0, question.len()));
    question[2] = 0x81;
    assert_eq!(dns::answer(&question, address), None, "an answer is not answered");
    question[2] = 0x29;
    assert_eq!(dns::answer(&question, address).expect("answer")[3], 4, "not implemented");
    assert_eq!(dns::answer(&question[..11], address), None);
}

proptest! {
    #[test]
    fn an_altered_or_cut_message_does_nothing(at in 0_usize..200, bit in 0_u8..8, cut: bool) {
        let (mut phone, mut device) = pair();
        let give = phone.give(b"Home", b"correct horse", b"token").expect("fits");
        let at = at % give.len();
        let mut bad = give.clone();
        if cut { bad.truncate(at) } else { bad[at] ^= 1 << bit }
        prop_assert!(device.handle(&bad, &[3; 32]).is_err());
        prop_assert_eq!(device.state(), (Progress::Waiting, None));
        // The true one is still taken.
        let (answer, given) = device.handle(&give, &[3; 32]).expect("taken");
        prop_assert!(given.is_some());
        let mut altered = answer.clone();
        let at = at % answer.len();
        if cut { altered.truncate(at) } else { altered[at] ^= 1 << bit }
        prop_assert!(phone.state(&altered).is_err());
        prop_assert!(phone.state(&answer).is_ok());
    }

    #[test]
    fn an_altered_welcome_is_no_welcome(at in 0_usize..57, bit in 0_u8..8) {
        let (mut phone, mut device) = (Phone::new(SECRET, [7; 32]), Device::new(SECRET));
        let mut welcome = device.handle(&phone.hello(), &[9; 32]).expect("welcome").0;
        welcome[at] ^= 1 << bit;
        // X25519 passes over the highest bit of a key; the keys differ by it nevertheless.
        prop_assert!(phone.welcome(&welcome).is_err());
    }

    #[test]
    fn strangers_never_panic(bytes: Vec<u8>, text: String) {
        let (mut phone, mut device) = pair();
        let _ = (device.handle(&bytes, &[1; 32]), phone.welcome(&bytes), phone.state(&bytes));
        let _ = (form::parse(&bytes), dns::answer(&bytes, Ipv4Addr::LOCALHOST), Qr::parse(&text));
        for kind in 1..=4 {
            let framed: Vec<u8> = [kind, 1].into_iter().chain(bytes.iter().copied()).collect();
            let _ = (device.handle(&framed, &[1; 32]), phone.state(&framed));
        }
        let _ = Qr::parse(&alloc::format!("roadstead:softap?v=1&{text}"));
    }

    #[test]
    fn codes_and_forms_are_read_as_written(
        secret: [u8; SECRET_SIZE], ap in "\\PC{0,8}", name in "\\PC{0,16}", port: u16,
        ssid in "\\PC{1,8}", password in "[ -~]{8,63}",
    ) {
        let at = (Ipv4Addr::LOCALHOST, port).into();
        let qr = Qr { secret: secret.into(), at, ap, name };
        prop_assert_eq!(Qr::parse(&qr.text()), Ok(qr));
        let text = alloc::format!(
            "ssid={}&password={}", form::encode(&ssid), form::encode(&password)
        );
        let given = form::parse(text.as_bytes()).expect("form");
        prop_assert_eq!(given.ssid, ssid.as_bytes());
        prop_assert_eq!(&given.password[..], password.as_bytes());
    }
}
