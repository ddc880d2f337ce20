//! Devices of the home network and their bind tokens: by asking, and by listening.
//!
//! ```text
//! Start -> ask everybody (and one address) -> every 1.5 s again -> 60 s over: Ended
//!            '--answer with token----> Found        '--announcement with token--> Found
//!            '--answer without token-> Unconfirmed  '--announcement without-----> Joined
//! ```
//!
//! A device that has no confirmed token keeps silent, so it is asked again and again (§5.3). Each
//! token is told once; an announcement that was taken is acknowledged, so that the next phone gets
//! another token.
//!
//! Source: Alibaba §5.2, §5.3; transcripts v301_ok, v301_ackbind.

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use roadstead_core::{Map, Secret, Tick};
use roadstead_wire::coap::{self, Endpoint, Exchange, Message, Query, Reply, Style, option};
use serde_json::json;

use super::super::crypt::short_sha256;
use super::super::lan::{
    Answer, Ask, CONNECTAP_NOTIFY, DEVICE_INFO_NOTIFY, DeviceInfo, IdStyle, PORT, Resource,
};
use super::{Input, earliest, hasty};

/// Tokens remembered as told; the oldest is forgotten.
const TOLD_MAX: usize = 64;

/// Timings of the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinderPolicy {
    /// Pause between two questions.
    pub gap: Duration,
    /// How long devices are looked for.
    pub life: Duration,
    /// Where everybody in the network is asked; `None` asks nobody but one address.
    pub everybody: Option<SocketAddr>,
}

impl Default for FinderPolicy {
    fn default() -> Self {
        Self {
            gap: Duration::from_millis(1500),
            life: Duration::from_secs(60),
            everybody: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::BROADCAST), PORT)),
        }
    }
}

/// Something to do or to know.
#[derive(Clone, Debug, PartialEq)]
pub enum FinderOutput {
    /// Send this; the receiver may be a broadcast address.
    Send {
        /// Receiver.
        to: SocketAddr,
        /// Datagram.
        bytes: bytes::Bytes,
    },
    /// A device with a token that the platform has confirmed: it can be bound now.
    Found {
        /// Its address.
        from: SocketAddr,
        /// Its description.
        info: DeviceInfo,
    },
    /// A device that answers, but has no confirmed token: it does not reach the platform.
    Unconfirmed {
        /// Its address.
        from: SocketAddr,
        /// Its description.
        info: DeviceInfo,
    },
    /// A device that has joined the network just now.
    Joined {
        /// Its address.
        from: SocketAddr,
        /// Its description.
        info: DeviceInfo,
    },
    /// The time is over.
    Ended,
}

/// The machine.
pub struct Finder {
    policy: FinderPolicy,
    endpoint: Endpoint,
    /// The only device wanted: product and device.
    wanted: Option<(Box<str>, Box<str>)>,
    /// Its address, when it is known.
    device: Option<SocketAddr>,
    asked: Vec<coap::Key>,
    told: Vec<Secret>,
    until: Option<Tick>,
    next: Option<Tick>,
    seed: u64,
    count: u64,
}

impl Finder {
    /// Returns a phone that looks for any device.
    pub fn new(policy: FinderPolicy, seed: u64) -> Self {
        Self {
            policy,
            endpoint: Endpoint::new(hasty(), seed),
            wanted: None,
            device: None,
            asked: Vec::new(),
            told: Vec::new(),
            until: None,
            next: None,
            seed,
            count: 0,
        }
    }

    /// Looks for this device alone.
    #[must_use]
    pub fn for_device(self, product: &str, device: &str) -> Self {
        Self { wanted: Some((product.into(), device.into())), ..self }
    }

    /// Asks this address, too.
    #[must_use]
    pub fn at(self, device: SocketAddr) -> Self {
        Self { device: Some(device), ..self }
    }

    /// Feeds one input at `now`.
    pub fn handle(&mut self, input: Input<'_>, now: Tick, out: &mut Vec<FinderOutput>) {
        let mut effects = Vec::new();
        match input {
            Input::Start => {
                self.until = Some(now + self.policy.life);
                self.ask(now, &mut effects);
            }
            Input::Datagram { from, bytes } => {
                self.endpoint.receive(from, bytes, now.as_millis(), &mut effects);
            }
            Input::Timeout => {
                self.endpoint.timeout(now.as_millis(), &mut effects);
                if self.until.is_some_and(|until| now >= until) {
                    (self.until, self.next) = (None, None);
                    for key in self.asked.drain(..) {
                        self.endpoint.cancel(key);
                    }
                    out.push(FinderOutput::Ended);
                } else if self.next.is_some_and(|next| now >= next) {
                    self.ask(now, &mut effects);
                }
            }
        }
        self.perform(effects, now, out);
    }

    /// Returns when [`Input::Timeout`] is due, and why.
    pub fn deadline(&self) -> Option<(Tick, &'static str)> {
        let coap = self.endpoint.deadline().map(|at| (Tick::from_millis(at), "CoAP"));
        let next = self.next.map(|at| (at, "next question"));
        let until = self.until.map(|at| (at, "end of the search"));
        earliest(coap, earliest(next, until))
    }

    fn ask(&mut self, now: Tick, effects: &mut Vec<coap::Output>) {
        // Phones that began together must not ask together for ever: one question waits at a time.
        let share = short_sha256(&[&self.seed.to_be_bytes(), &self.count.to_be_bytes()])[0];
        self.next = Some(now + self.policy.gap + self.policy.gap * u32::from(share) / 1024);
        // Answers of the round before last are late.
        while self.asked.len() > 2 {
            self.endpoint.cancel(self.asked.remove(0));
        }
        self.count += 1;
        let id = self.count.to_string();
        let life_ms = self.policy.gap.as_millis() as u64 * 2;
        let names = self.wanted.as_ref().map(|(product, device)| (&**product, &**device));
        let body = Ask::new(id, "device.info.get", json!({})).emit();
        let query = |path: &str, many| {
            let query = Query::new(false, coap::Code::GET, path, body.clone());
            let query = query.with_option(option::CONTENT_FORMAT, vec![option::JSON as u8]);
            Query { life_ms, many, ..query }
        };
        if let Some(to) = self.policy.everybody {
            let query = query(&Resource::DeviceInfo.path(None), true);
            self.asked.push(self.endpoint.query(to, query, now.as_millis(), effects));
        }
        if let Some(to) = self.device {
            let query = query(&Resource::DeviceInfo.path(names), false);
            self.asked.push(self.endpoint.query(to, query, now.as_millis(), effects));
        }
    }

    fn perform(&mut self, effects: Vec<coap::Output>, now: Tick, out: &mut Vec<FinderOutput>) {
        for effect in effects {
            match effect {
                coap::Output::Send { to, bytes } => out.push(FinderOutput::Send { to, bytes }),
                coap::Output::Response { from, message, .. } => self.answered(from, &message, out),
                coap::Output::Request { exchange, message } => {
                    self.announced(&exchange, &message, now, out);
                }
                // It is asked again anyway.
                coap::Output::Failed { .. } => {}
            }
        }
    }

    fn answered(&mut self, from: SocketAddr, message: &Message, out: &mut Vec<FinderOutput>) {
        let Ok(answer) = Answer::parse(&message.payload) else { return };
        let Some(info) = DeviceInfo::from_value(&answer.data).filter(|i| self.is_wanted(i)) else {
            return;
        };
        match info.token.is_some() {
            true => drop(self.found(from, info, out)),
            false => out.push(FinderOutput::Unconfirmed { from, info }),
        }
    }

    fn announced(
        &mut self,
        exchange: &Exchange,
        message: &Message,
        now: Tick,
        out: &mut Vec<FinderOutput>,
    ) {
        // Questions of other phones arrive here, too; a phone offers nothing.
        if message.code != coap::Code::POST {
            return;
        }
        let Ok(ask) = Ask::parse(&message.payload) else { return };
        let info = DeviceInfo::from_value(&ask.params).filter(|info| self.is_wanted(info));
        let (Some(info), from) = (info, exchange.peer) else { return };
        let is_new = match message.path().as_str() {
            DEVICE_INFO_NOTIFY if info.token.is_some() => self.found(from, info, out),
            CONNECTAP_NOTIFY => {
                out.push(FinderOutput::Joined { from, info });
                true
            }
            _ => false,
        };
        if is_new {
            let answer = Answer::ok(&ask.id, Map::new()).emit(IdStyle::Quoted);
            let reply = Reply::new(coap::Code::CONTENT, answer).with_style(Style::Acknowledged);
            let reply = reply.with_option(option::CONTENT_FORMAT, vec![option::JSON as u8]);
            let mut effects = Vec::new();
            self.endpoint.respond(exchange, reply, now.as_millis(), &mut effects);
            self.perform(effects, now, out);
        }
    }

    /// Tells a device with its token, once per token.
    fn found(&mut self, from: SocketAddr, info: DeviceInfo, out: &mut Vec<FinderOutput>) -> bool {
        let Some(token) = info.token.as_ref().map(|token| token.token.clone()) else {
            return false;
        };
        if self.told.contains(&token) {
            return false;
        }
        if self.told.len() == TOLD_MAX {
            self.told.remove(0);
        }
        self.told.push(token);
        out.push(FinderOutput::Found { from, info });
        true
    }

    fn is_wanted(&self, info: &DeviceInfo) -> bool {
        self.wanted
            .as_ref()
            .is_none_or(|(product, device)| *info.product == **product && *info.device == **device)
    }
}
