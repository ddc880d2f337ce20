//! The phone end of Improv.

use alloc::vec::Vec;

use super::message::{Found, Rpc, Stream, frame};
use super::{Carrier, command, error, kind, state};
use crate::ble::{
    Answer, Courier, Link, LinkState, MESSAGE_MAX, Network, Order, Refusal, Report, piece,
};

/// One connection of a phone.
pub struct ImprovPhone {
    carrier: Carrier,
    size: usize,
    network: Option<Network>,
    /// Whether a person has to confirm at the device first.
    locked: bool,
    /// Whether the network waits for that.
    held: bool,
    /// Whether the device was asked who it is.
    asked: bool,
    /// Networks told so far (serial).
    networks: Vec<(Vec<u8>, i8)>,
    /// A result whose notifications are not all here (Bluetooth).
    partial: Vec<u8>,
    stream: Stream,
}

impl ImprovPhone {
    /// Serves a new connection with writes of up to `size` bytes.
    pub fn new(carrier: Carrier, size: usize) -> Self {
        Self {
            carrier,
            size: piece(size),
            network: None,
            locked: false,
            held: false,
            asked: false,
            networks: Vec::new(),
            partial: Vec::new(),
            stream: Stream::default(),
        }
    }

    fn write(&self, rpc: &Rpc, writes: &mut Vec<Vec<u8>>) {
        let bytes = rpc.emit(self.carrier);
        let bytes = match self.carrier {
            Carrier::Gatt => bytes,
            Carrier::Serial => frame(kind::COMMAND, &bytes),
        };
        writes.extend(bytes.chunks(self.size).map(<[u8]>::to_vec));
    }

    fn connect(&mut self, writes: &mut Vec<Vec<u8>>) {
        self.held = self.locked;
        let Some(network) = self.network.as_ref().filter(|_| !self.locked) else { return };
        self.write(&Rpc::of(command::NETWORK, &[&network.ssid, &network.password]), writes);
    }

    /// Takes a packet that is whole.
    fn hear(
        &mut self,
        kind: u8,
        data: &[u8],
        reports: &mut Vec<Report>,
        writes: &mut Vec<Vec<u8>>,
    ) -> Result<(), Refusal> {
        match (kind, data) {
            (kind::STATE, [state::LOCKED]) => {
                self.locked = true;
                reports.push(Report::Authorized(false));
            }
            (kind::STATE, [state::READY]) => {
                self.locked = false;
                reports.push(Report::Authorized(true));
                if self.held {
                    self.connect(writes);
                }
            }
            (kind::STATE, [state::JOINING]) => reports.push(link(LinkState::Connecting)),
            (kind::STATE, [state::JOINED]) => reports.push(link(LinkState::Connected)),
            (kind::ERROR, [error::NONE]) => {}
            (kind::ERROR, [error::NOT_JOINED]) => reports.push(link(LinkState::Failed)),
            (kind::ERROR, [error::NOT_AUTHORIZED]) => {
                (self.locked, self.held) = (true, true);
                reports.push(Report::Authorized(false));
            }
            // Before version 2.1 there was no such question: it goes on without a name.
            (kind::ERROR, [error::UNKNOWN_COMMAND]) if self.asked => {
                self.asked = false;
                reports.push(Report::Info { name: Vec::new() });
            }
            (kind::ERROR, [number]) => reports.push(Report::Error(*number)),
            (kind::RESULT, _) => {
                reports.extend(self.result(&Rpc::parse(data, self.carrier)?)?);
            }
            (kind::STATE | kind::ERROR, [] | [_, _, ..]) => return Err(Refusal::Malformed),
            // What a later version adds, or what the firmware says to others.
            _ => {}
        }
        Ok(())
    }

    fn result(&mut self, rpc: &Rpc) -> Result<Option<Report>, Refusal> {
        let strings = rpc.strings()?;
        Ok(match rpc.command {
            command::NETWORK => Some(link(LinkState::Connected)),
            command::INFO => {
                self.asked = false;
                Some(Report::Info { name: strings.get(3).copied().unwrap_or_default().to_vec() })
            }
            command::SCAN => {
                for row in strings.chunks_exact(3) {
                    let signal = core::str::from_utf8(row[1]).ok().and_then(|it| it.parse().ok());
                    self.networks.push((row[0].to_vec(), signal.unwrap_or(i8::MIN)));
                }
                let more = self.carrier == Carrier::Serial && !strings.is_empty();
                if more && self.networks.len() * 3 > MESSAGE_MAX {
                    return Err(Refusal::TooLong);
                }
                (!more).then(|| Report::Networks(core::mem::take(&mut self.networks)))
            }
            _ => None,
        })
    }

    /// Takes a piece of a characteristic; results come in several.
    fn piece(
        &mut self,
        bytes: &[u8],
        reports: &mut Vec<Report>,
        writes: &mut Vec<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let (kind, data) = bytes.split_first().ok_or(Refusal::Malformed)?;
        if *kind != kind::RESULT {
            return self.hear(*kind, data, reports, writes);
        }
        self.partial.extend_from_slice(data);
        match Rpc::length(&self.partial, self.carrier) {
            Some(length) if self.partial.len() >= length => {
                let whole = core::mem::take(&mut self.partial);
                self.hear(kind::RESULT, &whole, reports, writes)
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Courier for ImprovPhone {
    fn send(&mut self, order: &Order, writes: &mut Vec<Vec<u8>>) {
        match order {
            Order::Open => {
                self.asked = true;
                if self.carrier == Carrier::Serial {
                    self.write(&Rpc::of(command::STATE, &[]), writes);
                }
                self.write(&Rpc::of(command::INFO, &[]), writes);
            }
            Order::Network(network) => self.network = Some(network.clone()),
            Order::Connect => self.connect(writes),
            Order::Scan => self.write(&Rpc::of(command::SCAN, &[]), writes),
            Order::Status if self.carrier == Carrier::Serial => {
                self.write(&Rpc::of(command::STATE, &[]), writes);
            }
            // Improv has no words for these; a phone reads the state as a characteristic.
            Order::Status
            | Order::Station
            | Order::Token(_)
            | Order::Log
            | Order::Disconnect
            | Order::Close => {}
        }
    }

    fn answer(&self, order: &Order) -> Option<Answer> {
        match order {
            Order::Open => Some(Answer::Info),
            Order::Connect => Some(Answer::Link),
            Order::Scan => Some(Answer::Networks),
            Order::Network(_)
            | Order::Status
            | Order::Station
            | Order::Token(_)
            | Order::Log
            | Order::Disconnect
            | Order::Close => None,
        }
    }

    fn notified(
        &mut self,
        bytes: &[u8],
        reports: &mut Vec<Report>,
        writes: &mut Vec<Vec<u8>>,
    ) -> Result<(), Refusal> {
        if self.carrier == Carrier::Gatt {
            return self.piece(bytes, reports, writes);
        }
        for byte in bytes {
            match self.stream.take(*byte) {
                Some(Found::Packet(kind, data)) => self.hear(kind, &data, reports, writes)?,
                // A line that carries a firmware's log loses a byte now and then.
                Some(Found::Broken) | None => {}
            }
        }
        Ok(())
    }
}

fn link(state: LinkState) -> Report {
    Report::Link(Link { state, ssid: Vec::new(), bssid: None, reason: None })
}
