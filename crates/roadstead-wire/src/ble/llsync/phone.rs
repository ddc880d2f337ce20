//! The phone end of LLSync.

use alloc::vec::Vec;

use super::device::field;
use super::message::{Joiner, split};
use super::{STATION, order, report};
use crate::ble::{Answer, Courier, Link, LinkState, Order, Refusal, Report, Step, piece};

/// One connection of a phone.
pub struct LlSyncPhone {
    size: usize,
    joiner: Joiner,
}

impl LlSyncPhone {
    /// Serves a new connection with writes of up to `size` bytes.
    pub fn new(size: usize) -> Self {
        Self { size: piece(size), joiner: Joiner::default() }
    }
}

impl Courier for LlSyncPhone {
    fn send(&mut self, order: &Order, writes: &mut Vec<Vec<u8>>) {
        match order {
            Order::Open => writes.push(alloc::vec![order::INFO]),
            Order::Station => writes.push(alloc::vec![order::MODE, STATION]),
            Order::Network(network) => {
                let mut payload = alloc::vec![network.ssid.len() as u8];
                payload.extend_from_slice(&network.ssid);
                payload.push(network.password.len() as u8);
                payload.extend_from_slice(&network.password);
                split(order::NETWORK, &payload, self.size, writes);
            }
            Order::Connect => writes.push(alloc::vec![order::CONNECT]),
            Order::Token(token) => split(order::TOKEN, token, self.size, writes),
            Order::Log => writes.push(alloc::vec![order::LOG]),
            // LLSync has no words for these.
            Order::Status | Order::Scan | Order::Disconnect | Order::Close => {}
        }
    }

    fn answer(&self, order: &Order) -> Option<Answer> {
        match order {
            Order::Open => Some(Answer::Info),
            Order::Station => Some(Answer::Step(Step::Station)),
            Order::Network(_) => Some(Answer::Step(Step::Network)),
            Order::Connect => Some(Answer::Link),
            Order::Token(_) => Some(Answer::Token),
            Order::Log => Some(Answer::Log),
            Order::Status | Order::Scan | Order::Disconnect | Order::Close => None,
        }
    }

    fn notified(
        &mut self,
        bytes: &[u8],
        reports: &mut Vec<Report>,
        _writes: &mut Vec<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let Some((kind, payload)) = self.joiner.take(bytes)? else { return Ok(()) };
        let done = || payload.first().map(|result| *result == 0).ok_or(Refusal::Malformed);
        match kind {
            report::INFO => {
                let rest = payload.get(3..).ok_or(Refusal::Malformed)?;
                let (name, _) = field(rest).ok_or(Refusal::Malformed)?;
                reports.push(Report::Info { name: name.to_vec() });
            }
            report::MODE => reports.push(Report::Step(Step::Station, done()?)),
            report::NETWORK => reports.push(Report::Step(Step::Network, done()?)),
            report::CONNECT => reports.push(Report::Link(link(&payload)?)),
            report::TOKEN => reports.push(Report::Token(done()?)),
            report::LOG => reports.push(Report::Log(payload)),
            // What a later version adds.
            _ => {}
        }
        Ok(())
    }
}

/// Reads `[mode][state][0][n][ssid]`.
fn link(payload: &[u8]) -> Result<Link, Refusal> {
    let [_mode, state, _reserved, rest @ ..] = payload else { return Err(Refusal::Malformed) };
    let (ssid, _) = field(rest).ok_or(Refusal::Malformed)?;
    let state = if *state == 0 { LinkState::Connected } else { LinkState::Failed };
    Ok(Link { state, ssid: ssid.to_vec(), bssid: None, reason: None })
}
