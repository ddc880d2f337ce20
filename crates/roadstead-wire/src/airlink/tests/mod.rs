//! Vectors in both directions, recorded airs with losses, and properties.

mod air;
mod hostile;
mod properties;
mod vectors;

use alloc::string::String;
use alloc::vec::Vec;
use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{Credentials, Direction, Event, Frame, Hopper, Keys, Mac, Plan, Request, Scheme};

/// Reads a file of `vectors/airlink`.
fn load(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/airlink").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{path:?}: {cause}"));
    serde_json::from_str(&text).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn lengths(value: &Value) -> Vec<u16> {
    value.as_array().unwrap().iter().map(|it| it.as_u64().unwrap() as u16).collect()
}

fn mac(value: &Value) -> Mac {
    value.as_str().unwrap().parse().unwrap()
}

/// A request of nothing in particular.
fn request<'a>(ssid: &'a [u8], password: &'a [u8]) -> Request<'a> {
    Request {
        ssid,
        password,
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
    }
}

/// A receiver of all schemes, parked on a channel.
fn parked(channel: u8, keys: &Keys) -> Hopper {
    let plan = Plan { channels: [channel].into(), ..Plan::default() };
    Hopper::new(plan, &Scheme::ALL, keys, core::time::Duration::ZERO)
}

/// Everything the receiver believed, in order, with the time.
fn believed(hopper: &mut Hopper, frames: &[Frame]) -> Vec<(Option<u64>, Scheme, Credentials)> {
    let mut all = Vec::new();
    for frame in frames {
        if let Some((scheme, Event::Complete(credentials))) = hopper.hear(frame) {
            all.push((frame.at_us, scheme, *credentials));
        }
    }
    all
}

/// Turns a round into what a receiver sees of one copy without losses.
fn heard(round: &super::Round, request: &Request<'_>, rounds: u64) -> Vec<Frame> {
    let mut frames = Vec::new();
    for again in 0..rounds {
        for packet in &round.packets {
            frames.push(Frame {
                at_us: Some((packet.at + round.lasts * again as u32).as_micros() as u64),
                channel: 6,
                direction: Direction::Down,
                source: request.phone_mac,
                destination: packet.destination.mac(),
                bssid: request.bssid,
                sequence: Some(frames.len() as u16 % 4096),
                length: packet.length + 80,
                overhead: None,
            });
        }
    }
    frames
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}
