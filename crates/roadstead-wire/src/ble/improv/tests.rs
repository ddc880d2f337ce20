//! The bytes of the publication, the button, and a serial line with a firmware's log on it.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::super::{Dialogue, Failure, Input, LinkState, Output, Policy, Provisioner, Task};
use super::*;
use crate::ble::tests::network;
use crate::ble::{Courier as _, Order, Porter as _, Report};

fn about() -> About {
    About {
        firmware: "Roadstead".into(),
        version: "0.1.0".into(),
        hardware: "lamp-board".into(),
        url: "http://10.0.0.9/".into(),
    }
}

fn device(carrier: Carrier, authorized: bool) -> Provisioner {
    Provisioner::new(Box::new(ImprovDevice::new(carrier, 100, about(), authorized)), "lamp")
}

/// Writes to a device; returns what it notifies.
fn write(device: &mut Provisioner, bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<Task>) {
    let mut tasks = Vec::new();
    device.write(bytes, &mut tasks);
    sorted(tasks)
}

fn sorted(tasks: Vec<Task>) -> (Vec<Vec<u8>>, Vec<Task>) {
    let (mut notes, mut rest) = (Vec::new(), Vec::new());
    for task in tasks {
        if let Task::Notify(bytes) = &task {
            notes.push(bytes.clone());
        } else {
            rest.push(task);
        }
    }
    (notes, rest)
}

/// The example of the publication: name and password of 12 and 16 bytes make a length of 0x1E.
fn published() -> Vec<u8> {
    let mut bytes = vec![0x01, 0x1E, 0x0C];
    bytes.extend_from_slice(b"MyWirelessAP");
    bytes.push(0x10);
    bytes.extend_from_slice(b"mysecurepassword");
    bytes
}

#[test]
fn the_published_command_is_written_and_read() {
    let mut phone = ImprovPhone::new(Carrier::Gatt, 100);
    let mut writes = Vec::new();
    phone.send(&Order::Network(network(b"MyWirelessAP", b"mysecurepassword")), &mut writes);
    phone.send(&Order::Connect, &mut writes);
    let mut wanted = published();
    wanted.push(wanted.iter().copied().fold(0, u8::wrapping_add));
    assert_eq!(writes, [wanted.clone()]);

    let mut device = device(Carrier::Gatt, true);
    // In packets of 20 bytes, as a phone without a longer MTU writes it.
    let (notes, rest) = write(&mut device, &wanted[..20]);
    assert_eq!((notes.len(), rest.len()), (0, 0), "not whole");
    let (notes, rest) = write(&mut device, &wanted[20..]);
    assert_eq!(notes, [vec![2, 0], vec![1, 3]], "no error; provisioning");
    assert_eq!(rest, [Task::Join(network(b"MyWirelessAP", b"mysecurepassword"))]);

    let mut tasks = Vec::new();
    device.linked(LinkState::Connected, None, None, &mut tasks);
    let (notes, _) = sorted(tasks);
    let url = b"http://10.0.0.9/";
    let mut result = vec![4, 1, 17, 16];
    result.extend_from_slice(url);
    result.push(result[1..].iter().copied().fold(0, u8::wrapping_add));
    assert_eq!(notes, [vec![1, 4], result], "provisioned, and where to go on");
}

#[test]
fn a_serial_packet_is_framed_as_published() {
    let mut phone = ImprovPhone::new(Carrier::Serial, 500);
    let mut writes = Vec::new();
    phone.send(&Order::Network(network(b"MyWirelessAP", b"mysecurepassword")), &mut writes);
    phone.send(&Order::Connect, &mut writes);
    let mut wanted = b"IMPROV\x01\x03\x20".to_vec();
    wanted.extend_from_slice(&published());
    wanted.push(wanted.iter().copied().fold(0, u8::wrapping_add));
    wanted.push(b'\n');
    assert_eq!(writes.concat(), wanted);
}

#[test]
fn a_log_on_the_line_and_a_damaged_packet_are_passed_over() {
    let mut phone = ImprovPhone::new(Carrier::Serial, 500);
    let mut ask = Vec::new();
    phone.send(&Order::Open, &mut ask);
    let mut line = b"[I] boot IMPIMPROVE IIMPROV\x02 wifi\r\n".to_vec();
    line.extend(ask.concat());
    let mut device = device(Carrier::Serial, true);
    let (notes, _) = write(&mut device, &line);
    let mut reports = Vec::new();
    phone.notified(&notes.concat(), &mut reports, &mut Vec::new()).unwrap();
    assert_eq!(reports, [Report::Authorized(true), Report::Info { name: b"lamp".to_vec() }]);

    // A byte was damaged: the device says so and obeys the next one.
    let mut broken = ask.concat();
    broken[9] ^= 0x40;
    let (notes, _) = write(&mut device, &broken);
    assert_eq!(notes[0][..10], *b"IMPROV\x01\x02\x01\x01", "an invalid packet");
    assert!(notes.len() > 1, "and the next one is answered");
}

#[test]
fn hostile_commands_are_answered_with_an_error_and_nothing_is_joined() {
    let sum = |mut bytes: Vec<u8>| {
        bytes.push(bytes.iter().copied().fold(0, u8::wrapping_add));
        bytes
    };
    let cases = [
        (vec![1, 0, 9], 1, "a wrong checksum"),
        (sum(vec![1, 0]), 1, "no strings"),
        (sum(vec![1, 2, 9, b'a']), 1, "a string beyond the end"),
        (sum(vec![1, 2, 0, 0]), 1, "an empty name"),
        (sum([vec![1, 35, 33], vec![b'a'; 33], vec![0]].concat()), 1, "a long name"),
        (sum([vec![1, 68, 1, b'a', 65], vec![b'p'; 65]].concat()), 1, "a long password"),
        (sum(vec![2, 0]), 2, "identify"),
        (sum(vec![9, 0]), 2, "of a later version"),
    ];
    for (bytes, number, what) in cases {
        let mut device = device(Carrier::Gatt, true);
        let (notes, rest) = write(&mut device, &bytes);
        assert_eq!(notes.last(), Some(&vec![2, number]), "{what}");
        assert!(rest.is_empty(), "{what}: {rest:?}");
    }
}

/// A phone and a device over either carrier, in virtual time.
struct Pair {
    dialogue: Dialogue,
    device: Provisioner,
    now: Duration,
    said: Vec<Output>,
    joins: usize,
}

impl Pair {
    fn new(carrier: Carrier) -> Self {
        let courier = Box::new(ImprovPhone::new(carrier, 40));
        let network = network(b"home", b"password");
        Self {
            dialogue: Dialogue::new(courier, Policy::default(), network, b"token".to_vec()),
            device: device(carrier, false),
            now: Duration::ZERO,
            said: Vec::new(),
            joins: 0,
        }
    }

    fn phone(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.dialogue.handle(input, self.now, &mut out);
        for output in out {
            if let Output::Write(bytes) = &output {
                let mut tasks = Vec::new();
                self.device.write(bytes, &mut tasks);
                self.device(tasks);
            } else {
                self.said.push(output);
            }
        }
    }

    fn device(&mut self, tasks: Vec<Task>) {
        let (notes, rest) = sorted(tasks);
        notes.iter().for_each(|note| self.phone(Input::Notified(note)));
        for task in rest {
            if let Task::Join(_) = task {
                self.joins += 1;
                let mut tasks = Vec::new();
                self.device.linked(LinkState::Connected, None, None, &mut tasks);
                self.device(tasks);
            }
        }
    }
}

#[test]
fn nobody_gets_in_before_the_button_is_pressed() {
    for carrier in [Carrier::Gatt, Carrier::Serial] {
        let mut pair = Pair::new(carrier);
        pair.phone(Input::Start);
        assert_eq!(pair.joins, 0, "{carrier:?}");
        assert_eq!(pair.said.iter().filter(|it| **it == Output::Confirm).count(), 1);

        // A person finds the button after a minute and a half.
        pair.now += Duration::from_secs(90);
        pair.phone(Input::Timeout);
        assert!(!pair.said.iter().any(|it| matches!(it, Output::Failed(_))), "{carrier:?}");
        let mut tasks = Vec::new();
        pair.device.authorized(true, &mut tasks);
        pair.device(tasks);
        assert_eq!(pair.joins, 1, "{carrier:?}");
        assert_eq!(pair.said.last(), Some(&Output::Done), "{carrier:?}");
    }
}

#[test]
fn a_button_nobody_presses_is_the_reason() {
    for carrier in [Carrier::Gatt, Carrier::Serial] {
        let mut pair = Pair::new(carrier);
        pair.phone(Input::Start);
        pair.now = pair.dialogue.deadline().expect("it waits");
        assert_eq!(pair.now, Policy::default().confirm, "{carrier:?}");
        pair.phone(Input::Timeout);
        assert_eq!(pair.said.last(), Some(&Output::Failed(Failure::NotConfirmed)));
        assert_eq!(pair.joins, 0);
    }
}

#[test]
fn networks_are_told_strongest_first_as_far_as_they_fit() {
    let networks: Vec<(Vec<u8>, i8)> =
        (0..40).map(|n| (alloc::format!("net-{n:028}").into_bytes(), -90 + n)).collect();
    for (carrier, count) in [(Carrier::Gatt, 6), (Carrier::Serial, 40)] {
        let mut device = ImprovDevice::new(carrier, 20, about(), true);
        let mut notes = Vec::new();
        device.tell(&Report::Networks(networks.clone()), &mut notes);
        let mut phone = ImprovPhone::new(carrier, 20);
        let mut reports = Vec::new();
        for note in &notes {
            phone.notified(note, &mut reports, &mut Vec::new()).unwrap();
        }
        let [Report::Networks(heard)] = reports.as_slice() else { panic!("{reports:?}") };
        let mut sorted = networks.clone();
        sorted.reverse();
        assert_eq!(heard[..], sorted[..count], "{carrier:?}");
    }
}

#[test]
fn a_device_of_the_first_version_has_no_name() {
    let mut phone = ImprovPhone::new(Carrier::Gatt, 100);
    phone.send(&Order::Open, &mut Vec::new());
    let mut reports = Vec::new();
    phone.notified(&[2, 2], &mut reports, &mut Vec::new()).unwrap();
    assert_eq!(reports, [Report::Info { name: Vec::new() }]);
}

#[test]
fn notifications_find_their_characteristic() {
    let service = service(false);
    let uuid = |at: usize| service.characteristics[at].uuid;
    assert_eq!(hex::encode(service.uuid), "00467768622822724663277478268000");
    let (at, value) = service.route(&[4, 1, 2, 3]).expect("a result");
    assert_eq!((hex::encode(uuid(at)).ends_with("8004"), value), (true, &[1, 2, 3][..]));
    let (at, value) = service.route(&[1, 2]).expect("a state");
    assert_eq!((hex::encode(uuid(at)).ends_with("8001"), value), (true, &[2][..]));
    assert_eq!(service.route(&[9, 1]), None);
    assert_eq!(service.data, Some((0x4677, vec![1, 6, 0, 0, 0, 0])));
}
