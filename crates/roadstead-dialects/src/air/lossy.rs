//! For tests: what a device hears of a phone through a lossy air, in memory and virtual time.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use roadstead_core::Secret;
use roadstead_wire::airlink::air::{Air, Weather};
use roadstead_wire::airlink::{Event, Hopper, Mac, Plan, Request, Scheme};
use roadstead_wire::ble::blufi::{BluFiDevice, BluFiPhone, PRIVATE_SIZE};
use roadstead_wire::ble::llsync::{LlSyncDevice, LlSyncPhone};
use roadstead_wire::ble::{
    Courier, Dialogue, Input, LinkState, Network, Output, Policy, Porter, Provisioner, Task,
};
use zeroize::Zeroizing;

use super::Bearer;
use crate::device::{Ear, Heard};

/// Bytes of a Bluetooth write.
const WRITE_SIZE: usize = 20;

/// Returns what is heard and when; the parts that a bearer does not carry are missing.
///
/// # Panics
///
/// When nothing is heard within five minutes.
pub(crate) fn hear(
    ear: &Ear,
    (ssid, password, token): (&str, &str, &str),
    loss: f64,
    seed: u64,
) -> (Heard, Duration) {
    match ear.bearer {
        Bearer::Sniffed(scheme) => sniff(scheme, ear, (ssid, password, token), loss, seed),
        Bearer::BluFi | Bearer::Combo | Bearer::LlSync => {
            (converse(ear.bearer, (ssid, password, token)), Duration::from_secs(1))
        }
    }
}

fn sniff(
    scheme: Scheme,
    ear: &Ear,
    (ssid, password, token): (&str, &str, &str),
    loss: f64,
    seed: u64,
) -> (Heard, Duration) {
    let (phone, bssid) = (Mac([2, 0, 0, 0, 0, 7]), Mac([2, 0, 0, 0, 0, 1]));
    let carries_token = scheme == Scheme::EspTouch2;
    let request = Request {
        ssid: ssid.as_bytes(),
        password: password.as_bytes(),
        bssid,
        phone_ip: [192, 168, 1, 7],
        phone_mac: phone,
        key: ear.key.as_ref().map(Secret::expose),
        extra: if carries_token { token.as_bytes() } else { &[] },
        omit_ssid: false,
        port_mark: 0,
        zero_iv: false,
        multicast: false,
        random: [seed as u8; 20],
    };
    let round = scheme.encode(&request).expect("fits");
    let weather = Weather { loss, ..Weather::default() };
    let mut hopper = Hopper::new(Plan::default(), &[scheme], &ear.keys(), Duration::ZERO);
    for frame in Air::new(&round, weather, phone, bssid, seed) {
        let now = Duration::from_micros(frame.at_us.unwrap_or_default());
        assert!(now < Duration::from_secs(300), "{scheme} {loss} {seed}: nothing was heard");
        while hopper.deadline() <= now {
            hopper.tick(hopper.deadline());
        }
        if frame.channel != hopper.channel() {
            continue;
        }
        if let Some((_, Event::Complete(found))) = hopper.hear(&frame) {
            let network = Some((found.ssid_text(), Secret::new(found.password.clone())));
            let token = (!found.extra.is_empty()).then(|| Secret::new(found.extra.clone()));
            return (Heard { network, token }, now);
        }
    }
    unreachable!("an air has no end")
}

fn converse(bearer: Bearer, (ssid, password, token): (&str, &str, &str)) -> Heard {
    let (porter, courier): (Box<dyn Porter>, Box<dyn Courier>) = match bearer {
        Bearer::LlSync => {
            (Box::new(LlSyncDevice::new(WRITE_SIZE)), Box::new(LlSyncPhone::new(WRITE_SIZE)))
        }
        Bearer::BluFi | Bearer::Combo | Bearer::Sniffed(_) => {
            let is_secure = bearer == Bearer::BluFi;
            let private = is_secure.then_some([5; PRIVATE_SIZE]);
            let device = BluFiDevice::new(WRITE_SIZE, [3; PRIVATE_SIZE], is_secure);
            (Box::new(device), Box::new(BluFiPhone::new(WRITE_SIZE, private)))
        }
    };
    let mut device = Provisioner::new(porter, "lamp");
    let password = Zeroizing::new(password.as_bytes().to_vec());
    let network = Network { ssid: ssid.as_bytes().to_vec(), password, bssid: None };
    let mut phone = Dialogue::new(courier, Policy::default(), network, token.as_bytes().to_vec());
    let (mut heard, mut out) = (Heard { network: None, token: None }, Vec::new());
    phone.handle(Input::Start, Duration::ZERO, &mut out);
    while !out.is_empty() {
        let mut tasks = Vec::new();
        for output in core::mem::take(&mut out) {
            match output {
                Output::Write(bytes) => device.write(&bytes, &mut tasks),
                Output::Done => return heard,
                Output::Failed(failure) => panic!("{bearer}: {failure}"),
                Output::Answered(_) | Output::Confirm | Output::Joining | Output::Joined(_) => {}
            }
        }
        let mut notes = Vec::new();
        while !tasks.is_empty() {
            for task in core::mem::take(&mut tasks) {
                match task {
                    Task::Notify(bytes) => notes.push(bytes),
                    Task::Join(network) => {
                        let ssid = alloc::string::String::from_utf8_lossy(&network.ssid);
                        let password = Secret::new(network.password.to_vec());
                        heard.network = Some((ssid.into_owned(), password));
                        device.linked(LinkState::Connected, None, None, &mut tasks);
                    }
                    Task::Token(token) => {
                        heard.token = Some(Secret::new(token.to_vec()));
                        device.token_told(true, &mut tasks);
                    }
                    Task::Scan | Task::Leave | Task::Close(_) => {}
                }
            }
        }
        for note in notes {
            phone.handle(Input::Notified(&note), Duration::ZERO, &mut out);
        }
    }
    panic!("{bearer}: the dialogue stopped")
}
