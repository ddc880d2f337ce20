//! Announcements and discovery on UDP.
//!
//! ```text
//! Armed --network--> Announcing (30 x 1 s) --> Done
//! ```
//! After a configuration each announcement has a second datagram that says so.
//!
//! Source: seed §6.1_3, §6.2_8, §7.1; GizWits §1.3, §1.4; transcript softap.

use core::net::SocketAddr;

use roadstead_core::Tick;

use super::super::lan::{Block, Message, udp};
use super::Module;
use super::io::{Cx, Level, Output};

/// The announcements of one start.
#[derive(Default)]
pub(super) struct Announcer {
    left: u8,
    is_fresh: bool,
    due: Option<Tick>,
}

impl Announcer {
    /// Gets ready; announcements begin with the network.
    pub(super) fn arm(&mut self, is_fresh: bool, count: u8) {
        *self = Self { left: count, is_fresh, due: None };
    }

    /// There is a network.
    pub(super) fn start(&mut self, now: Tick) {
        if self.left > 0 && self.due.is_none() {
            self.due = Some(now);
        }
    }

    pub(super) fn deadline(&self) -> Option<Tick> {
        self.due
    }
}

impl Module {
    pub(super) fn announce_timeout(&mut self, cx: &mut Cx<'_>) {
        if self.announcer.due.is_none_or(|at| cx.now < at) {
            return;
        }
        if self.mode.address().is_none() {
            self.announcer.due = None;
            return;
        }
        self.broadcast(false, cx);
        // "Configured" is true only with the router.
        if self.announcer.is_fresh && self.mode.is_joined() {
            self.broadcast(true, cx);
        }
        self.announcer.left = self.announcer.left.saturating_sub(1);
        self.announcer.due = (self.announcer.left > 0).then(|| cx.now + self.policy.announce_every);
        let is_over = self.announcer.left == 0;
        if is_over && self.mode.is_joined() && core::mem::take(&mut self.flash.is_fresh) {
            self.save(cx);
        }
    }

    fn broadcast(&mut self, is_fresh: bool, cx: &mut Cx<'_>) {
        let mut bytes = core::mem::take(&mut self.scratch);
        bytes.clear();
        if is_fresh {
            let mac = &self.config.mac;
            let product_key = self.flash.product_key.as_bytes();
            let did = self.flash.did.as_bytes();
            Message::Configured { mac, product_key, did }.emit(&mut bytes);
        } else {
            self.with_block(|block| Message::Announce(block).emit(&mut bytes));
        }
        cx.put(Output::Broadcast(&bytes));
        self.scratch = bytes;
    }

    fn with_block(&self, emit: impl FnOnce(Block<'_>)) {
        let texts = self.policy.discovery_texts;
        let api = alloc::format!("{}:{}", self.config.api_host, self.config.api_port);
        emit(Block {
            did: self.flash.did.as_bytes(),
            mac: &self.config.mac,
            firmware: self.flash.firmware.as_bytes(),
            product_key: self.flash.product_key.as_bytes(),
            attributes: self.uart.info.as_ref().map_or([0; 8], |info| info.attributes),
            api_server: texts.then_some(api.as_bytes()),
            version: texts.then_some(b"4.0.8"),
        });
    }

    pub(super) fn datagram(&mut self, from: SocketAddr, bytes: &[u8], cx: &mut Cx<'_>) {
        let Some(frame) = udp(bytes) else { return };
        let mut answer = core::mem::take(&mut self.scratch);
        answer.clear();
        let message = Message::of(&frame);
        if message == Message::Discover {
            self.with_block(|block| Message::Found(block).emit(&mut answer));
            cx.put(Output::Udp { to: from, bytes: &answer });
        }
        self.scratch = answer;
        if let Message::Onboard { ssid, password } = message {
            self.onboard(from, ssid, password, cx);
        }
    }

    /// Network and password from a phone in the own access point.
    fn onboard(&mut self, from: SocketAddr, ssid: &[u8], password: &[u8], cx: &mut Cx<'_>) {
        // The acknowledgement may have been lost: it is said again until the restart.
        let again = self.restart.is_some()
            && self.flash.network.as_ref().is_some_and(|(known, _)| **known == *ssid);
        if !self.mode.takes_credentials() && !again {
            return self.log(Level::Warning, "credentials outside of configuration", cx);
        }
        let kept = again || self.keep_network(ssid, password, "softap", cx);
        if kept || self.policy.acknowledges_refused {
            let mut answer = core::mem::take(&mut self.scratch);
            answer.clear();
            Message::OnboardAck.emit(&mut answer);
            cx.put(Output::Udp { to: from, bytes: &answer });
            self.scratch = answer;
        }
        if kept && !again {
            self.leave_configuration(cx);
        }
    }
}
