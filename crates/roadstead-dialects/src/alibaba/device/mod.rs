//! The device half: a complete device of the C SDKs, without its hardware.
//!
//! ```text
//! power on -> network? --no--> own access point | setup network --switchap--> join
//!                |yes                                                           |
//!                v                                                              v
//!              join -> secret? --no--> register (HTTP | MQTT) -> address? --no--> bootstrap | guide
//!                                                                   |
//!                                       LAN port open               v
//!                            reset? <- ready <- open session <-- log in <--backoff--.
//!                               |        |                          ^               |
//!                          thing/reset  token -> reported -> announced, given away  |
//!                                        '------------- lost, redirected -----------'
//! ```
//!
//! Secret, network, token and address are stored before anything is said about them, so a power
//! cut at any moment resumes.
//!
//! Unlike the firmware: tokens cannot be guessed from the time since boot, a refused
//! `match_reply` is believed, and a better key of local control ends the use of the built-in one.
//! Not here: firmware updates, files, BLE, zero-config, scanning for networks.
//!
//! Source: Alibaba §2 to §8, §10; Link Kit 3.0.1 and smart-living 1.6.0, transcripts v301_*, l16_*.

mod config;
mod context;
mod gateway;
mod http;
mod lan;
mod life;
mod local;
mod login;
mod notifier;
mod policy;
mod question;
mod session;
mod store;
mod token;
mod values;

#[cfg(test)]
#[allow(clippy::wildcard_enum_match_arm, reason = "a test looks for one kind among many")]
mod tests;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use roadstead_core::Tick;

pub use config::{AUTH_HOST, Address, BOOTSTRAP_HOST, Config, Endpoint, Registration, Start};
use context::{Context, Memory};
use life::Life;
pub use policy::{Generation, Policy, Unconfirmed};

use super::alcs;
use crate::device::{Input, Machine, Output, Random};

/// The machine.
pub struct Device {
    memory: Memory,
    life: Life,
}

impl Device {
    /// Returns a device that is switched off.
    pub fn new(config: Config, policy: Policy) -> Self {
        let random = Random::new(config.seed);
        let memory = Memory {
            config,
            policy,
            random,
            drawn: 0,
            mark: 0,
            message: 0,
            enrollee: 0,
            clock_offset: None,
            ip: Ipv4Addr::UNSPECIFIED,
            reported: BTreeMap::new(),
            subs: Vec::new(),
            questions: question::Questions::default(),
            local: alcs::Server::with_factory_key(),
            failure: None,
        };
        Self { memory, life: Life::default() }
    }
}

impl Machine for Device {
    fn handle(&mut self, input: Input, now: Tick, out: &mut Vec<Output>) {
        let mut cx = Context { memory: &mut self.memory, now, out };
        match input {
            Input::Start { stored, clock } => self.life.start(stored, clock, &mut cx),
            Input::Timeout => self.life.timeout(&mut cx),
            Input::Wifi(event) => self.life.wifi(&event, &mut cx),
            Input::Udp(datagram) => self.life.datagram(&datagram, &mut cx),
            Input::Http { id, result } => self.life.http(id, result, &mut cx),
            Input::Mqtt(event) => self.life.mqtt(&event, &mut cx),
            Input::App(request) => self.life.request(request, &mut cx),
        }
    }

    fn deadline(&self) -> Option<(Tick, &'static str)> {
        self.life.deadline()
    }
}
