//! Real packet sockets: the loopback interface, and a virtual one that carries radiotap frames.
//!
//! They need the rights the driver needs; without them a test says so and ends.
#![allow(unsafe_code, reason = "a virtual interface is made with ioctl(2)")]

use std::fs::File;
use std::io::Write as _;

use roadstead_wire::airlink::air::{Air, Weather};
use roadstead_wire::airlink::{Direction, Keys, Mac, Plan, Request, Scheme};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

use super::super::listen::{Found, listen};
use super::*;

/// Says why a test does nothing here, when the process may not do what it needs.
fn may(needed: CapabilitySet) -> bool {
    let may = capabilities(None).is_ok_and(|sets| sets.effective.contains(needed));
    if !may {
        println!("skipped: this process has not {needed:?}");
    }
    may
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let error = Monitor::open("no-such-radio0").map(drop).expect_err("there is none");
    assert_eq!(error.code(), "monitor.no_interface");
    assert!(error.to_string().contains("no-such-radio0"));
}

#[test]
fn an_interface_that_shows_something_else_is_refused() {
    let error = Monitor::open("lo").map(drop).expect_err("the loopback is no radio");
    assert_eq!(error.code(), "monitor.not_in_monitor_mode");
}

/// A virtual interface whose frames this process writes, gone with the file.
struct Virtual {
    file: File,
    name: String,
}

const TUNSETIFF: libc::c_ulong = 0x4004_54CA;
const TUNSETLINK: libc::c_ulong = 0x4004_54CD;
const IFF_TUN: i16 = 1;

impl Virtual {
    /// Makes one whose name no other process has.
    fn new(letter: char, kind: u16) -> Option<Self> {
        let name = format!("rs{letter}{}", std::process::id());
        let name = name.as_str();
        if !may(CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW) {
            return None;
        }
        let Ok(file) = File::options().read(true).write(true).open("/dev/net/tun") else {
            println!("skipped: there is no /dev/net/tun");
            return None;
        };
        // SAFETY: all zero is a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = IFF_TUN;
        let fd = file.as_raw_fd();
        // SAFETY: the descriptor is open and the request outlives the calls.
        let made = unsafe {
            libc::ioctl(fd, TUNSETIFF, &raw const request) == 0
                && libc::ioctl(fd, TUNSETLINK, libc::c_ulong::from(kind)) == 0
        };
        if !made {
            println!("skipped: no virtual interface: {}", io::Error::last_os_error());
            return None;
        }
        Some(Self { file, name: name.to_owned() })
    }

    fn set_up(&self) {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket =
            socket(AddressFamily::Inet, SockType::Datagram, flags, None).expect("a socket");
        // SAFETY: all zero is a valid `ifreq`.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(self.name.bytes()) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
        // SAFETY: the descriptor is open and the request outlives the call.
        let done =
            unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
        assert_eq!(done, 0, "{}", io::Error::last_os_error());
    }

    /// Lets a frame be received: four bytes of the driver before it, flags and protocol.
    fn receive(&mut self, packet: &[u8]) {
        let bytes = [&[0, 0, 0x88, 0xB5], packet].concat();
        self.file.write_all(&bytes).expect("the interface is up");
    }
}

/// The bytes of a frame behind a radiotap header with flags and channel.
fn packet(frame: &Frame, bad: bool) -> Vec<u8> {
    let flags = if bad { 0x50 } else { 0x10 };
    let mut bytes = vec![0, 0, 14, 0, 0x0A, 0, 0, 0, flags, 0];
    let frequency = radiotap::frequency(frame.channel).expect("a channel");
    bytes.extend_from_slice(&frequency.to_le_bytes());
    bytes.extend_from_slice(&[0xA0, 0]);
    let head = bytes.len();
    let up = frame.direction == Direction::Up;
    bytes.extend_from_slice(if up { &[0x08, 0x41, 0, 0] } else { &[0x08, 0x42, 0, 0] });
    let addresses = match frame.direction {
        Direction::Up => [frame.bssid, frame.source, frame.destination],
        Direction::Down => [frame.destination, frame.bssid, frame.source],
    };
    addresses.iter().for_each(|mac| bytes.extend_from_slice(&mac.0));
    bytes.extend_from_slice(&(frame.sequence.unwrap_or(0) << 4).to_le_bytes());
    bytes.resize(head + usize::from(frame.length), 0xEE);
    bytes
}

fn round() -> Vec<Frame> {
    let request = Request {
        ssid: "客厅 2.4G".as_bytes(),
        password: b"correct horse",
        bssid: Mac([2, 0, 0, 0, 0, 1]),
        phone_ip: [192, 168, 1, 100],
        phone_mac: Mac([2, 0, 0, 0, 0, 2]),
        key: None,
        extra: &[],
        omit_ssid: false,
        port_mark: 0,
        zero_iv: false,
        multicast: false,
        random: [7; 20],
    };
    let round = Scheme::SimpleConfig.encode(&request).expect("it fits");
    let weather = Weather { loss: 0.05, ..Weather::default() };
    Air::new(&round, weather, request.phone_mac, request.bssid, 3).take(1_000).collect()
}

#[test]
fn frames_of_a_monitor_interface_are_decoded() {
    let Some(mut radio) = Virtual::new('a', RADIOTAP) else { return };
    let down = Monitor::open(&radio.name).map(drop).expect_err("it is down");
    assert_eq!(down.code(), "monitor.down");
    radio.set_up();
    let mut monitor = Monitor::open(&radio.name).expect("a monitor interface");
    for frame in round() {
        // A damaged copy with another length goes before each.
        radio.receive(&packet(&Frame { length: frame.length + 1, ..frame }, true));
        radio.receive(&packet(&frame, false));
    }
    let plan = Plan { channels: vec![6], ..Plan::default() };
    let wait = Some(Duration::from_secs(20));
    let mut told = Vec::new();
    let end =
        listen(&mut monitor, plan, &Scheme::ALL, &Keys::default(), wait, &mut |it| told.push(it));
    let Found { scheme, credentials: found, frame } = end.expect("a radio").expect("credentials");
    assert_eq!((scheme, frame.channel), (Scheme::SimpleConfig, 6));
    assert_eq!(
        (found.ssid_text().as_str(), found.password_text().as_str()),
        ("客厅 2.4G", "correct horse")
    );
    assert!(!told.is_empty());

    drop(radio);
    let gone = std::iter::repeat_with(|| monitor.hear(monitor.now()))
        .take(10_000)
        .find_map(Result::err)
        .expect("the interface is gone");
    assert!(["monitor.down", "monitor.no_interface"].contains(&gone.code()), "{gone}");
}

#[test]
fn a_missing_right_is_named() {
    let Some(radio) = Virtual::new('b', RADIOTAP) else { return };
    radio.set_up();
    // Rights are a thread's own.
    let error = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut sets = capabilities(None).expect("rights");
            sets.effective.remove(CapabilitySet::NET_RAW);
            set_capabilities(None, sets).expect("fewer rights");
            Monitor::open(&radio.name).map(drop).expect_err("not permitted")
        });
        thread.join().expect("no panic")
    });
    assert_eq!(error.code(), "monitor.denied");
    assert!(error.to_string().contains("CAP_NET_RAW"), "{error}");
}
