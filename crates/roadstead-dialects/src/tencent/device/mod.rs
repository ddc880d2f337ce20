//! The device half: a complete device of the C SDKs, without its hardware.
//!
//! ```text
//! power on -> provisioned? --no--> SoftAP | on network | camera   (Listener)
//!                |yes                 | network, token
//!                v                    v
//!              join  <----------------'
//!                v
//!        secret? --no--> register (HTTP) --> settle
//!                v                             |
//!             log in <-------------------------'
//!                v
//!        token? --yes--> bind (Binder) -> close, pause -> log in
//!                |no
//!                v
//!             operate (Session) --unbound--> provisioning
//! ```
//!
//! Every failure of an attempt leaves an error record for the next phone and starts provisioning
//! again. Secret, network, token and records are stored before anything is said about them, so a
//! power cut at any moment resumes.
//!
//! Unlike the firmware: success of a binding needs the platform's word
//! ([`ReplyRule`]), the running log never holds secrets, and the join time in `pairTime` is true.
//! Not here: OTA, files, remote configuration, shadow, log upload, BLE.
//!
//! Source: Tencent §3 to §8, §12; SDK 3.1.5 and 3.2.1, transcripts softap-*, v3-*, udp-*.

mod beacon;
mod bind;
mod config;
mod context;
mod gateway;
mod life;
mod listener;
mod login;
mod policy;
mod register;
mod session;
mod setup;
mod store;
mod values;

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use roadstead_core::Tick;

pub use config::{Config, Endpoint, Method, Proof, Registrar, Start, Variant};
use context::{Context, Memory};
use life::Life;
pub use policy::{AfterBind, Channel, Policy, ReplyRule};
pub use setup::build;

use super::comm::{RecordQueue, log::LogQueue};
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
            log: LogQueue::default(),
            records: RecordQueue::default(),
            mark: 0,
            key: 0,
            token: 0,
            clock_offset: None,
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
