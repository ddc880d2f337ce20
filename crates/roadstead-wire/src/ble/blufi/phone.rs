//! The phone end of BluFi.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::crypt::{Cipher, GENERATOR, Group, PRIME, PRIVATE_SIZE};
use super::frame::{Assembly, Flags, Framer, Kind, Message};
use super::{STATION, TAG_BSSID, TAG_REASON, TAG_SSID, TOKEN_TAKEN};
use crate::airlink::Mac;
use crate::ble::{Answer, Courier, Link, LinkState, Order, Refusal, Report};

/// Data frames encrypted and checked, control frames as the phone likes.
const SECURITY_MODE: u8 = 0x03;

/// One connection of a phone. Does not print.
pub struct BluFiPhone {
    incoming: Assembly,
    outgoing: Framer,
    /// Key agreement, until it is done.
    agreement: Option<(Group, Zeroizing<[u8; PRIVATE_SIZE]>)>,
    cipher: Option<Cipher>,
}

impl BluFiPhone {
    /// Serves a new connection with writes of up to `size` bytes. With a private key (fresh
    /// randomness) it agrees on a cipher; without one it speaks the combo subset in the clear.
    pub fn new(size: usize, private: Option<[u8; PRIVATE_SIZE]>) -> Self {
        let agreement = private.and_then(|private| {
            let group = Group::new(&PRIME, &[GENERATOR]).ok()?;
            Some((group, Zeroizing::new(private)))
        });
        let (incoming, outgoing) = (Assembly::new(true), Framer::new(false, size));
        Self { incoming, outgoing, agreement, cipher: None }
    }

    fn say(&mut self, kind: Kind, content: &[u8], writes: &mut Vec<Vec<u8>>) {
        let secure = self.cipher.is_some();
        let flags = match kind {
            // As the vendor's app does it: the connect order has nothing to hide.
            Kind::Control(3) | Kind::Data(0) => Flags::default(),
            Kind::Control(1) => Flags { encrypt: false, check: true },
            Kind::Control(_) | Kind::Data(_) => Flags { encrypt: secure, check: secure },
        };
        self.outgoing.frames(kind, content, flags, self.cipher.as_ref(), writes);
    }

    /// Sends prime, generator and public key, their length first.
    fn negotiate(&mut self, writes: &mut Vec<Vec<u8>>) {
        let Some((group, private)) = &self.agreement else { return };
        let public = group.public(private);
        let mut parameters = alloc::vec![1];
        for field in [&PRIME[..], &[GENERATOR], &public] {
            parameters.extend_from_slice(&(field.len() as u16).to_be_bytes());
            parameters.extend_from_slice(field);
        }
        let [high, low] = (parameters.len() as u16 - 1).to_be_bytes();
        self.say(Kind::Data(0), &[0, high, low], writes);
        self.say(Kind::Data(0), &parameters, writes);
    }
}

impl Courier for BluFiPhone {
    fn send(&mut self, order: &Order, writes: &mut Vec<Vec<u8>>) {
        match order {
            Order::Open => self.negotiate(writes),
            Order::Station => self.say(Kind::Control(2), &[STATION], writes),
            Order::Network(network) => {
                if let Some(Mac(bssid)) = &network.bssid {
                    self.say(Kind::Data(1), bssid, writes);
                }
                self.say(Kind::Data(2), &network.ssid, writes);
                self.say(Kind::Data(3), &network.password, writes);
            }
            Order::Connect => self.say(Kind::Control(3), &[], writes),
            Order::Token(token) => self.say(Kind::Data(0x13), token, writes),
            Order::Status => self.say(Kind::Control(5), &[], writes),
            Order::Scan => self.say(Kind::Control(9), &[], writes),
            Order::Disconnect => self.say(Kind::Control(4), &[], writes),
            Order::Close => self.say(Kind::Control(8), &[], writes),
            // BluFi has no log.
            Order::Log => {}
        }
    }

    fn answer(&self, order: &Order) -> Option<Answer> {
        match order {
            Order::Open => self.agreement.is_some().then_some(Answer::Info),
            Order::Connect | Order::Status => Some(Answer::Link),
            Order::Token(_) => Some(Answer::Token),
            Order::Scan => Some(Answer::Networks),
            Order::Station | Order::Network(_) | Order::Log | Order::Disconnect | Order::Close => {
                None
            }
        }
    }

    fn notified(
        &mut self,
        bytes: &[u8],
        reports: &mut Vec<Report>,
        writes: &mut Vec<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let Some(message) = self.incoming.take(bytes, self.cipher.as_ref())? else {
            return Ok(());
        };
        let Message { kind, content, flags, .. } = message;
        if self.cipher.is_some() && !flags.encrypt && matches!(kind, Kind::Data(0x0F | 0x13)) {
            // Somebody in between could say anything.
            return Err(Refusal::Insecure);
        }
        match kind {
            Kind::Data(0) => {
                let (group, private) = self.agreement.take().ok_or(Refusal::Malformed)?;
                self.cipher = Some(group.agree(&private, &content)?);
                self.say(Kind::Control(1), &[SECURITY_MODE], writes);
                reports.push(Report::Info { name: Vec::new() });
            }
            Kind::Data(0x0F) => reports.push(Report::Link(state(&content)?)),
            Kind::Data(0x11) => reports.push(Report::Networks(list(&content)?)),
            Kind::Data(0x12) => {
                reports.push(Report::Error(*content.first().ok_or(Refusal::Malformed)?));
            }
            Kind::Data(0x13) => {
                reports.push(Report::Token(content.first() == Some(&TOKEN_TAKEN)));
            }
            // Acknowledgements, the version, and what later versions add.
            Kind::Control(_) | Kind::Data(_) => {}
        }
        Ok(())
    }
}

/// Reads a state report; unknown tags are skipped.
fn state(content: &[u8]) -> Result<Link, Refusal> {
    let [_mode, state, _stations, rest @ ..] = content else { return Err(Refusal::Malformed) };
    let state = match state {
        0 => LinkState::Connected,
        1 => LinkState::Failed,
        2 => LinkState::Connecting,
        3 => LinkState::NoAddress,
        _ => return Err(Refusal::Malformed),
    };
    let mut link = Link { state, ssid: Vec::new(), bssid: None, reason: None };
    let mut rest = rest;
    while let [tag, length, more @ ..] = rest {
        let (value, more) = more.split_at_checked((*length).into()).ok_or(Refusal::Malformed)?;
        match *tag {
            TAG_BSSID => link.bssid = value.try_into().ok().map(Mac),
            TAG_SSID => link.ssid = value.to_vec(),
            TAG_REASON => link.reason = value.first().copied(),
            _ => {}
        }
        rest = more;
    }
    rest.is_empty().then_some(link).ok_or(Refusal::Malformed)
}

/// Reads a list of networks.
fn list(content: &[u8]) -> Result<Vec<(Vec<u8>, i8)>, Refusal> {
    let mut networks = Vec::new();
    let mut rest = content;
    while let Some((length, more)) = rest.split_first() {
        let (entry, more) = more.split_at_checked((*length).into()).ok_or(Refusal::Malformed)?;
        let (signal, ssid) = entry.split_first().ok_or(Refusal::Malformed)?;
        networks.push((ssid.to_vec(), *signal as i8));
        rest = more;
    }
    Ok(networks)
}
