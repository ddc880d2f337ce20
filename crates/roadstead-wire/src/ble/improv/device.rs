//! The device end of Improv.

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::message::{Found, Rpc, Stream, frame};
use super::{Carrier, command, error, kind, state};
use crate::airlink::{PASSWORD_MAX, SSID_MAX};
use crate::ble::{Link, LinkState, Network, Order, Porter, Refusal, Report, piece};

/// What a device says of itself beside its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Name of the firmware.
    pub firmware: String,
    /// Its version.
    pub version: String,
    /// Chip or board.
    pub hardware: String,
    /// Where the owner goes on once the device is on the network; empty when there is no page.
    pub url: String,
}

/// One connection of a device.
pub struct ImprovDevice {
    carrier: Carrier,
    size: usize,
    about: About,
    state: u8,
    /// Whether a person may be asked to confirm again after a failure.
    authorized: bool,
    /// A command whose writes are not all here (Bluetooth).
    partial: Zeroizing<Vec<u8>>,
    stream: Stream,
}

impl ImprovDevice {
    /// Serves a new connection with notifications of up to `size` bytes. Credentials are taken when
    /// `authorized`; else a person has to confirm at the device first.
    pub fn new(carrier: Carrier, size: usize, about: About, authorized: bool) -> Self {
        Self {
            carrier,
            size: piece(size),
            about,
            state: if authorized { state::READY } else { state::LOCKED },
            authorized,
            partial: Zeroizing::default(),
            stream: Stream::default(),
        }
    }

    /// Obeys a command that is whole.
    fn obey(&mut self, rpc: &Rpc, orders: &mut Vec<Order>, notes: &mut Vec<Vec<u8>>) {
        self.say(kind::ERROR, &[error::NONE], notes);
        match (rpc.command, self.carrier) {
            (command::NETWORK, _) if self.state == state::LOCKED => {
                self.say(kind::ERROR, &[error::NOT_AUTHORIZED], notes);
            }
            (command::NETWORK, _) => match network(rpc) {
                Ok(network) => {
                    self.enter(state::JOINING, notes);
                    orders.extend([Order::Network(network), Order::Connect]);
                }
                Err(_) => self.say(kind::ERROR, &[error::INVALID], notes),
            },
            (command::STATE, Carrier::Serial) => {
                self.say(kind::STATE, &[self.state], notes);
                if self.state == state::JOINED {
                    self.joined(notes);
                }
            }
            (command::INFO, _) => orders.push(Order::Open),
            (command::SCAN, _) => orders.push(Order::Scan),
            _ => self.say(kind::ERROR, &[error::UNKNOWN_COMMAND], notes),
        }
    }

    /// Answers bytes that are no command.
    fn refuse(&self, notes: &mut Vec<Vec<u8>>) {
        self.say(kind::ERROR, &[error::INVALID], notes);
    }

    fn enter(&mut self, state: u8, notes: &mut Vec<Vec<u8>>) {
        self.state = state;
        self.say(kind::STATE, &[state], notes);
    }

    fn joined(&self, notes: &mut Vec<Vec<u8>>) {
        let url = Some(self.about.url.as_bytes()).filter(|url| !url.is_empty());
        self.answer(&Rpc::of(command::NETWORK, url.as_slice()), notes);
    }

    fn answer(&self, rpc: &Rpc, notes: &mut Vec<Vec<u8>>) {
        self.say(kind::RESULT, &rpc.emit(self.carrier), notes);
    }

    fn say(&self, kind: u8, data: &[u8], notes: &mut Vec<Vec<u8>>) {
        match self.carrier {
            // The number of the characteristic goes in front of each piece.
            Carrier::Gatt => notes.extend(data.chunks(self.size - 1).map(|part| {
                let mut note = alloc::vec![kind];
                note.extend_from_slice(part);
                note
            })),
            Carrier::Serial => {
                notes.extend(frame(kind, data).chunks(self.size).map(<[u8]>::to_vec));
            }
        }
    }

    /// Tells the networks heard, the strongest first: one result over Bluetooth, one for each and an
    /// empty one over a serial line. Whether they are open is not known here.
    fn networks(&self, networks: &[(Vec<u8>, i8)], notes: &mut Vec<Vec<u8>>) {
        let mut sorted: Vec<_> = networks.iter().collect();
        sorted.sort_by_key(|(_, signal)| core::cmp::Reverse(*signal));
        let mut strings: Vec<Vec<u8>> = Vec::new();
        for (ssid, signal) in sorted {
            let mut row = [ssid.clone(), alloc::format!("{signal}").into_bytes(), Vec::new()];
            match self.carrier {
                Carrier::Gatt => {
                    row[2] = b"WPA2".to_vec();
                    let length = |strings: &[Vec<u8>]| -> usize {
                        strings.iter().map(|string| string.len() + 1).sum()
                    };
                    if length(&strings) + length(&row) > super::message::DATA_MAX {
                        break;
                    }
                    strings.extend(row);
                }
                Carrier::Serial => {
                    row[2] = b"YES".to_vec();
                    let row: Vec<&[u8]> = row.iter().map(Vec::as_slice).collect();
                    self.answer(&Rpc::of(command::SCAN, &row), notes);
                }
            }
        }
        let strings: Vec<&[u8]> = strings.iter().map(Vec::as_slice).collect();
        self.answer(&Rpc::of(command::SCAN, &strings), notes);
    }
}

impl Porter for ImprovDevice {
    fn write(
        &mut self,
        bytes: &[u8],
        orders: &mut Vec<Order>,
        notes: &mut Vec<Vec<u8>>,
    ) -> Result<(), Refusal> {
        for byte in bytes {
            let whole = match self.carrier {
                Carrier::Gatt => {
                    self.partial.push(*byte);
                    let whole = Rpc::length(&self.partial, self.carrier)
                        .is_some_and(|length| self.partial.len() >= length);
                    whole.then(|| core::mem::take(&mut self.partial))
                }
                Carrier::Serial => match self.stream.take(*byte) {
                    Some(Found::Packet(kind::COMMAND, data)) => Some(Zeroizing::new(data)),
                    Some(Found::Broken) => {
                        self.refuse(notes);
                        None
                    }
                    Some(Found::Packet(..)) | None => None,
                },
            };
            let Some(whole) = whole else { continue };
            match Rpc::parse(&whole, self.carrier) {
                Ok(rpc) => self.obey(&rpc, orders, notes),
                Err(_) => self.refuse(notes),
            }
        }
        Ok(())
    }

    fn tell(&mut self, report: &Report, notes: &mut Vec<Vec<u8>>) {
        match report {
            Report::Info { name } => {
                let About { firmware, version, hardware, .. } = &self.about;
                let strings =
                    [firmware.as_bytes(), version.as_bytes(), hardware.as_bytes(), name.as_slice()];
                self.answer(&Rpc::of(command::INFO, &strings), notes);
            }
            Report::Link(Link { state: link, .. }) => match link {
                LinkState::Connected => {
                    self.enter(state::JOINED, notes);
                    self.joined(notes);
                }
                LinkState::Failed => {
                    self.say(kind::ERROR, &[error::NOT_JOINED], notes);
                    let next = if self.authorized { state::READY } else { state::LOCKED };
                    self.enter(next, notes);
                }
                LinkState::Connecting | LinkState::NoAddress => {}
            },
            Report::Networks(networks) => self.networks(networks, notes),
            Report::Authorized(authorized) => {
                self.authorized = *authorized;
                match (self.state, authorized) {
                    (state::LOCKED, true) => self.enter(state::READY, notes),
                    (state::READY, false) => self.enter(state::LOCKED, notes),
                    _ => {}
                }
            }
            Report::Error(_) => self.say(kind::ERROR, &[error::OTHER], notes),
            // Improv has no words for these.
            Report::Step(..) | Report::Token(_) | Report::Log(_) => {}
        }
    }
}

/// Reads name and password.
fn network(rpc: &Rpc) -> Result<Network, Refusal> {
    let strings = rpc.strings()?;
    let [ssid, password] = *strings.as_slice() else { return Err(Refusal::Malformed) };
    if ssid.is_empty() || ssid.len() > SSID_MAX || password.len() > PASSWORD_MAX {
        return Err(Refusal::Network);
    }
    let password = Zeroizing::new(password.to_vec());
    Ok(Network { ssid: ssid.to_vec(), password, bssid: None })
}
