//! Both ends against each other: every framing, every size, losses of patience, hostile bytes.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;
use zeroize::Zeroizing;

use super::blufi::{BluFiDevice, BluFiPhone};
use super::improv::{About, Carrier, ImprovDevice, ImprovPhone};
use super::llsync::{LlSyncDevice, LlSyncPhone};
use super::*;

/// Reads a file of `vectors/ble`.
pub(super) fn load(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/ble").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{path:?}: {cause}"));
    let value: Value = serde_json::from_str(&text).unwrap();
    value["vectors"].as_array().unwrap().clone()
}

/// Reads hexadecimal digits; a leading zero may be missing.
pub(super) fn bytes(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    let zero = if text.len() % 2 == 1 { "0" } else { "" };
    hex::decode([zero, text].concat()).unwrap()
}

pub(super) fn network(ssid: &[u8], password: &[u8]) -> Network {
    let password = Zeroizing::new(password.to_vec());
    Network { ssid: ssid.to_vec(), password, bssid: None }
}

/// The framings under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    BluFi,
    Combo,
    LlSync,
    Improv,
    Serial,
}

const FRAMINGS: [Framing; 5] =
    [Framing::BluFi, Framing::Combo, Framing::LlSync, Framing::Improv, Framing::Serial];

impl Framing {
    fn ends(self, size: usize) -> (Box<dyn Courier>, Box<dyn Porter>) {
        match self {
            Self::BluFi => (
                Box::new(BluFiPhone::new(size, Some([0x11; 32]))),
                Box::new(BluFiDevice::new(size, [0x22; 32], true)),
            ),
            Self::Combo => (
                Box::new(BluFiPhone::new(size, None)),
                Box::new(BluFiDevice::new(size, [0x22; 32], false)),
            ),
            Self::LlSync => (Box::new(LlSyncPhone::new(size)), Box::new(LlSyncDevice::new(size))),
            Self::Improv => Self::improv(Carrier::Gatt, size),
            Self::Serial => Self::improv(Carrier::Serial, size),
        }
    }

    fn improv(carrier: Carrier, size: usize) -> (Box<dyn Courier>, Box<dyn Porter>) {
        let device = ImprovDevice::new(carrier, size, About::default(), true);
        (Box::new(ImprovPhone::new(carrier, size)), Box::new(device))
    }

    /// Says whether it carries a bind token.
    fn has_token(self) -> bool {
        match self {
            Self::BluFi | Self::Combo | Self::LlSync => true,
            Self::Improv | Self::Serial => false,
        }
    }
}

/// A phone and a device on a perfect link.
struct Pair {
    dialogue: Dialogue,
    provisioner: Provisioner,
    now: Duration,
    /// What the phone and the device did, in order.
    phone: Vec<Output>,
    device: Vec<Task>,
    /// What comes of joining, one after the other.
    joins: VecDeque<(LinkState, Option<u8>)>,
    /// Longest write or notification.
    longest: usize,
}

impl Pair {
    fn new(framing: Framing, size: usize, network: Network, token: &[u8]) -> Self {
        let (courier, porter) = framing.ends(size);
        let mut provisioner = Provisioner::new(porter, "lamp");
        provisioner.set_log("wifi: started");
        Self {
            dialogue: Dialogue::new(courier, Policy::default(), network, token.to_vec()),
            provisioner,
            now: Duration::ZERO,
            phone: Vec::new(),
            device: Vec::new(),
            joins: VecDeque::from([(LinkState::Connected, None)]),
            longest: 0,
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        let mut out = Vec::new();
        self.dialogue.handle(input, self.now, &mut out);
        self.phone_did(out);
    }

    /// Carries everything to and fro, in order, until both are silent.
    fn phone_did(&mut self, out: Vec<Output>) {
        let mut writes = self.sort(out);
        while let Some(bytes) = writes.pop_front() {
            self.longest = self.longest.max(bytes.len());
            let mut tasks = Vec::new();
            self.provisioner.write(&bytes, &mut tasks);
            for note in self.work(tasks) {
                self.longest = self.longest.max(note.len());
                let mut out = Vec::new();
                self.dialogue.handle(Input::Notified(&note), self.now, &mut out);
                writes.extend(self.sort(out));
            }
        }
    }

    fn sort(&mut self, out: Vec<Output>) -> VecDeque<Vec<u8>> {
        let mut writes = VecDeque::new();
        for output in out {
            match output {
                Output::Write(bytes) => writes.push_back(bytes),
                known @ (Output::Answered(_)
                | Output::Confirm
                | Output::Joining
                | Output::Joined(_)
                | Output::Done
                | Output::Failed(_)) => self.phone.push(known),
            }
        }
        writes
    }

    /// Does what the device has to do; returns what it notifies.
    fn work(&mut self, tasks: Vec<Task>) -> Vec<Vec<u8>> {
        let mut notes = Vec::new();
        let mut tasks = VecDeque::from(tasks);
        while let Some(task) = tasks.pop_front() {
            let mut more = Vec::new();
            match &task {
                Task::Notify(bytes) => {
                    notes.push(bytes.clone());
                    continue;
                }
                Task::Join(_) => {
                    if let Some((state, reason)) = self.joins.pop_front() {
                        self.provisioner.linked(state, None, reason, &mut more);
                    }
                }
                Task::Token(_) => self.provisioner.token_told(true, &mut more),
                Task::Scan | Task::Leave | Task::Close(_) => {}
            }
            self.device.push(task);
            tasks.extend(more);
        }
        notes
    }

    fn failure(&self) -> Option<&Failure> {
        self.phone.iter().find_map(|output| match output {
            Output::Failed(failure) => Some(failure),
            Output::Write(_)
            | Output::Answered(_)
            | Output::Confirm
            | Output::Joining
            | Output::Joined(_)
            | Output::Done => None,
        })
    }
}

proptest! {
    // The key agreement of an unoptimised build takes a tenth of a second.
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the credentials and the size of a write, the device gets exactly them.
    #[test]
    fn both_ends_agree(
        at in 0..FRAMINGS.len(),
        size in 0_usize..600,
        ssid in prop::collection::vec(any::<u8>(), 1..=32),
        password in prop::collection::vec(any::<u8>(), 0..=64),
        token in prop::collection::vec(any::<u8>(), 1..=TOKEN_MAX),
    ) {
        let mut pair = Pair::new(FRAMINGS[at], size, network(&ssid, &password), &token);
        pair.feed(Input::Start);
        prop_assert_eq!(pair.failure(), None);
        prop_assert_eq!(pair.phone.last(), Some(&Output::Done));
        prop_assert!(pair.device.contains(&Task::Join(network(&ssid, &password))));
        let told = pair.device.contains(&Task::Token(Zeroizing::new(token)));
        prop_assert_eq!(told, FRAMINGS[at].has_token());
        prop_assert!(pair.longest <= size.clamp(PIECE_MIN, PIECE_MAX));
    }

    /// Any bytes at any moment: no panic, and no credentials out of nowhere.
    #[test]
    fn a_device_survives_anything(
        at in 0..FRAMINGS.len(),
        writes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
    ) {
        let (_, porter) = FRAMINGS[at].ends(PIECE_MIN);
        let mut provisioner = Provisioner::new(porter, "lamp");
        let mut tasks = Vec::new();
        for write in &writes {
            provisioner.write(write, &mut tasks);
        }
        let joins = tasks.iter().filter(|task| matches!(task, Task::Join(_))).count();
        if FRAMINGS[at] == Framing::BluFi {
            prop_assert_eq!(joins, 0, "nothing random is encrypted");
        }
    }

    /// The same for the phone.
    #[test]
    fn a_phone_survives_anything(
        at in 0..FRAMINGS.len(),
        notes in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
    ) {
        let (courier, _) = FRAMINGS[at].ends(PIECE_MIN);
        let network = network(b"home", b"password");
        let mut dialogue = Dialogue::new(courier, Policy::default(), network, vec![1]);
        let mut out = Vec::new();
        dialogue.handle(Input::Start, Duration::ZERO, &mut out);
        for note in &notes {
            dialogue.handle(Input::Notified(note), Duration::ZERO, &mut out);
        }
        let failures = out.iter().filter(|it| matches!(it, Output::Failed(_))).count();
        prop_assert!(failures <= 1);
    }
}

#[test]
fn a_wrong_password_can_be_mended_on_the_same_connection() {
    for framing in FRAMINGS {
        let mut pair = Pair::new(framing, 20, network(b"home", b"wrong"), b"token");
        pair.joins.push_front((LinkState::Failed, Some(15)));
        pair.feed(Input::Start);
        // LLSync and Improv have no number for it.
        let reason = match framing {
            Framing::BluFi | Framing::Combo => Some(15),
            Framing::LlSync | Framing::Improv | Framing::Serial => None,
        };
        let failure = pair.failure().expect("not joined").clone();
        assert_eq!(failure, Failure::NotJoined(reason), "{framing:?}");
        assert_eq!(failure.code(), "attempt.network_not_joined");
        let mut out = Vec::new();
        pair.dialogue.again(network(b"home", b"right"), pair.now, &mut out);
        pair.phone_did(out);
        assert_eq!(pair.phone.last(), Some(&Output::Done), "{framing:?}");
        assert!(pair.device.contains(&Task::Join(network(b"home", b"right"))));
    }
}

#[test]
fn silence_ends_the_dialogue_with_the_order_that_was_not_answered() {
    for (framing, order) in
        [(Framing::BluFi, "open"), (Framing::Combo, "connect"), (Framing::LlSync, "open")]
    {
        let (courier, _) = framing.ends(20);
        let network = network(b"home", b"password");
        let mut dialogue = Dialogue::new(courier, Policy::default(), network, vec![1]);
        let mut out = Vec::new();
        dialogue.handle(Input::Start, Duration::ZERO, &mut out);
        let due = dialogue.deadline().expect("waits");
        out.clear();
        dialogue.handle(Input::Timeout, due - Duration::from_millis(1), &mut out);
        assert_eq!(out, [], "too early");
        dialogue.handle(Input::Timeout, due, &mut out);
        let expected = match order {
            "connect" => Failure::NotJoined(None),
            order => Failure::Silent(order),
        };
        assert_eq!(out, [Output::Failed(expected)], "{framing:?}");
        assert_eq!(dialogue.deadline(), None);
    }
}

#[test]
fn credentials_in_the_clear_are_refused_where_encryption_is_demanded() {
    let (_, porter) = Framing::BluFi.ends(20);
    let mut device = Provisioner::new(porter, "lamp");
    let mut phone = BluFiPhone::new(20, None);
    let mut writes = Vec::new();
    phone.send(&Order::Network(network(b"home", b"password")), &mut writes);
    let mut tasks = Vec::new();
    device.write(&writes[0], &mut tasks);
    assert_eq!(tasks.last(), Some(&Task::Close(Some(Refusal::Insecure))));
    tasks.clear();
    device.write(&writes[1], &mut tasks);
    assert_eq!(tasks, [], "closed");
}

#[test]
fn a_plain_answer_on_an_encrypted_connection_is_not_believed() {
    let mut pair = Pair::new(Framing::BluFi, 20, network(b"home", b"password"), b"token");
    pair.joins.clear();
    pair.feed(Input::Start);
    assert!(pair.device.iter().any(|task| matches!(task, Task::Join(_))));
    // The device's key took ten frames of the smallest size: number 10 is next.
    let mut sequence = 0;
    while pair.failure().is_none() {
        pair.feed(Input::Notified(&[0x3D, 0x04, sequence, 3, 1, 0, 0]));
        sequence += 1;
        assert!(sequence < 20, "nothing was refused");
    }
    assert!(matches!(pair.failure(), Some(Failure::Unusable(_))));
    assert!(!pair.phone.iter().any(|output| matches!(output, Output::Joined(_))));
}

#[test]
fn secrets_are_not_printed() {
    let network = network(b"home", b"open sesame");
    let token = Zeroizing::new(b"open sesame".to_vec());
    let said = [
        std::format!("{network:?}"),
        std::format!("{:?}", Order::Network(network.clone())),
        std::format!("{:?}", Order::Token(token)),
        std::format!("{:?}", Task::Join(network)),
    ];
    let printed: String = said.concat();
    assert!(!printed.contains("sesame"), "{printed}");
}
