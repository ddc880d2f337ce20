//! The device end of LLSync.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::message::{Joiner, split};
use super::{MTU_SETTABLE, STATION, VERSION, order, report};
use crate::airlink::{PASSWORD_MAX, SSID_MAX};
use crate::ble::{
    Link, LinkState, Network, Order, Porter, Refusal, Report, Step, TOKEN_MAX, piece,
};

/// Longest device name in bytes.
const NAME_MAX: usize = 48;

/// One connection of a device.
pub struct LlSyncDevice {
    size: usize,
    joiner: Joiner,
}

impl LlSyncDevice {
    /// Serves a new connection with notifications of up to `size` bytes.
    pub fn new(size: usize) -> Self {
        Self { size: piece(size), joiner: Joiner::default() }
    }

    fn say(&self, kind: u8, payload: &[u8], notes: &mut Vec<Vec<u8>>) {
        split(kind, payload, self.size, notes);
    }

    fn info(&self, name: &[u8]) -> Vec<u8> {
        let name = name.get(..NAME_MAX).unwrap_or(name);
        let mut info = alloc::vec![VERSION];
        info.extend_from_slice(&(self.size as u16 | MTU_SETTABLE).to_be_bytes());
        info.push(name.len() as u8);
        info.extend_from_slice(name);
        info
    }
}

impl Porter for LlSyncDevice {
    fn write(
        &mut self,
        bytes: &[u8],
        orders: &mut Vec<Order>,
        notes: &mut Vec<Vec<u8>>,
    ) -> Result<(), Refusal> {
        match bytes {
            [order::INFO] => orders.push(Order::Open),
            [order::MODE, STATION] => orders.push(Order::Station),
            [order::MODE, _] => self.say(report::MODE, &[1], notes),
            [order::CONNECT] => orders.push(Order::Connect),
            [order::LOG] => orders.push(Order::Log),
            _ => match self.joiner.take(bytes)? {
                Some((order::NETWORK, payload)) => orders.push(Order::Network(network(payload)?)),
                Some((order::TOKEN, token)) if token.len() <= TOKEN_MAX => {
                    orders.push(Order::Token(Zeroizing::new(token)));
                }
                Some((order::TOKEN, _)) => return Err(Refusal::TooLong),
                // What a later version adds.
                Some(_) | None => {}
            },
        }
        Ok(())
    }

    fn tell(&mut self, report: &Report, notes: &mut Vec<Vec<u8>>) {
        match report {
            Report::Info { name } => self.say(report::INFO, &self.info(name), notes),
            Report::Step(step, done) => {
                let kind = match step {
                    Step::Station => report::MODE,
                    Step::Network => report::NETWORK,
                };
                self.say(kind, &[u8::from(!done)], notes);
            }
            Report::Link(Link { state, ssid, .. }) => {
                let other = u8::from(*state != LinkState::Connected);
                let mut payload = alloc::vec![STATION, other, 0, ssid.len() as u8];
                payload.extend_from_slice(ssid);
                self.say(report::CONNECT, &payload, notes);
            }
            Report::Token(taken) => self.say(report::TOKEN, &[u8::from(!taken)], notes),
            Report::Log(log) => {
                let log = log.get(..super::super::MESSAGE_MAX).unwrap_or(log);
                self.say(report::LOG, log, notes);
            }
            // LLSync has no words for these.
            Report::Networks(_) | Report::Error(_) | Report::Authorized(_) => {}
        }
    }
}

/// Reads `[n][ssid][n][password]`.
fn network(payload: Vec<u8>) -> Result<Network, Refusal> {
    let payload = Zeroizing::new(payload);
    let (ssid, rest) = field(&payload).ok_or(Refusal::Malformed)?;
    let (password, rest) = field(rest).ok_or(Refusal::Malformed)?;
    if !rest.is_empty() {
        return Err(Refusal::Malformed);
    }
    if ssid.is_empty() || ssid.len() > SSID_MAX || password.len() > PASSWORD_MAX {
        return Err(Refusal::Network);
    }
    let password = Zeroizing::new(password.to_vec());
    Ok(Network { ssid: ssid.to_vec(), password, bssid: None })
}

/// Splits off a field with a byte of length before it.
pub(super) fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked((*length).into())
}
