//! The device's side: takes a phone's orders whatever the framing, and tells it how they went.

use alloc::boxed::Box;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::{Link, LinkState, Network, Order, Porter, Refusal, Report, Step};
use crate::airlink::Mac;

/// What the device has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Notify the phone of these bytes.
    Notify(Vec<u8>),
    /// Join this network, then say how it went ([`Provisioner::linked`]).
    Join(Network),
    /// Keep this token; once the platform knows it, say so ([`Provisioner::token_told`]).
    Token(Zeroizing<Vec<u8>>),
    /// Look around, then say what is there ([`Provisioner::heard`]).
    Scan,
    /// Leave the network.
    Leave,
    /// Close the connection: the phone is through, or what it sent is of no use.
    Close(Option<Refusal>),
}

/// Reason told when a phone says "connect" without a network: no access point (Espressif's 201).
const NO_NETWORK: u8 = 201;

/// One connection with a phone.
pub struct Provisioner {
    porter: Box<dyn Porter>,
    name: Vec<u8>,
    network: Option<Network>,
    link: Link,
    log: Vec<u8>,
    closed: bool,
}

impl Provisioner {
    /// Serves a phone that just connected, for a device of this name.
    pub fn new(porter: Box<dyn Porter>, name: &str) -> Self {
        let link = Link { state: LinkState::Failed, ssid: Vec::new(), bssid: None, reason: None };
        let name = name.as_bytes().to_vec();
        Self { porter, name, network: None, link, log: Vec::new(), closed: false }
    }

    /// Takes a write of the phone; nothing is heard after a refusal.
    pub fn write(&mut self, bytes: &[u8], out: &mut Vec<Task>) {
        if self.closed {
            return;
        }
        let (mut orders, mut notes) = (Vec::new(), Vec::new());
        let result = self.porter.write(bytes, &mut orders, &mut notes);
        out.extend(notes.into_iter().map(Task::Notify));
        for order in orders {
            self.obey(order, out);
        }
        if let Err(refusal) = result {
            self.closed = true;
            out.push(Task::Close(Some(refusal)));
        }
    }

    /// The device has joined its network, has failed to, or is at it.
    pub fn linked(
        &mut self,
        state: LinkState,
        bssid: Option<Mac>,
        reason: Option<u8>,
        out: &mut Vec<Task>,
    ) {
        self.link.state = state;
        (self.link.bssid, self.link.reason) = (bssid, reason);
        self.tell(&Report::Link(self.link.clone()), out);
    }

    /// The platform knows the token, or refused it.
    pub fn token_told(&mut self, taken: bool, out: &mut Vec<Task>) {
        self.tell(&Report::Token(taken), out);
    }

    /// What the device hears: name and signal in dBm of each network.
    pub fn heard(&mut self, networks: Vec<(Vec<u8>, i8)>, out: &mut Vec<Task>) {
        self.tell(&Report::Networks(networks), out);
    }

    /// A person has confirmed at the device, or that has run out; of use to framings that ask.
    pub fn authorized(&mut self, authorized: bool, out: &mut Vec<Task>) {
        self.tell(&Report::Authorized(authorized), out);
    }

    /// Replaces the log a phone may ask for; no secret may be in it.
    pub fn set_log(&mut self, log: &str) {
        self.log = log.as_bytes().to_vec();
    }

    fn obey(&mut self, order: Order, out: &mut Vec<Task>) {
        match order {
            Order::Open => self.tell(&Report::Info { name: self.name.clone() }, out),
            Order::Station => self.tell(&Report::Step(Step::Station, true), out),
            Order::Network(network) => {
                self.network = Some(network);
                self.tell(&Report::Step(Step::Network, true), out);
            }
            Order::Connect => match self.network.clone() {
                Some(network) => {
                    self.link.ssid.clone_from(&network.ssid);
                    self.link.state = LinkState::Connecting;
                    out.push(Task::Join(network));
                }
                None => self.linked(LinkState::Failed, None, Some(NO_NETWORK), out),
            },
            Order::Token(token) => out.push(Task::Token(token)),
            Order::Status => self.tell(&Report::Link(self.link.clone()), out),
            Order::Scan => out.push(Task::Scan),
            Order::Log => self.tell(&Report::Log(self.log.clone()), out),
            Order::Disconnect => out.push(Task::Leave),
            Order::Close => {
                self.closed = true;
                out.push(Task::Close(None));
            }
        }
    }

    fn tell(&mut self, report: &Report, out: &mut Vec<Task>) {
        let mut notes = Vec::new();
        self.porter.tell(report, &mut notes);
        out.extend(notes.into_iter().map(Task::Notify));
    }
}
