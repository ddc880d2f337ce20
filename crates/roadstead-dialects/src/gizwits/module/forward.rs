//! Transparent forwarding: who asked, and what is put before the MCU's words.
//!
//! | from | to | head |
//! |---|---|---|
//! | phone | MCU | LAN head off, serial head on |
//! | cloud | MCU | topic and LAN head off, serial head on |
//! | MCU, report | every phone and the cloud | serial head off, LAN head on; topic for the cloud |
//! | MCU, answer | who asked | the same, with the asker's number |
//!
//! Source: seed §7.4, §8.7; GizWits §1.6, §4.7; transcripts lan_app, first_boot, mcu_noack.

use core::fmt::Write as _;

use super::super::lan::{begin, cmd};
use super::super::serial::Command;
use super::Module;
use super::io::{ConnId, Cx, Level, M2mAction, Output};
use super::uart::Tag;

/// Longest client id of the cloud; the vendor's have 23 characters.
pub(super) const CLIENT_ID_MAX: usize = 64;

/// Who asked the MCU.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// A phone in the LAN.
    Phone {
        conn: ConnId,
        sn: Option<u32>,
        /// The question was a read.
        reads: bool,
    },
    /// A client of the cloud.
    Cloud { client: ClientId, sn: Option<u32>, reads: bool },
}

/// A client id without memory of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ClientId {
    len: u8,
    bytes: [u8; CLIENT_ID_MAX],
}

impl ClientId {
    /// Returns `None` when it is empty, too long, or no topic level.
    pub(super) fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; CLIENT_ID_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let fits = !text.is_empty() && !text.contains(['/', '+', '#', '\0']);
        fits.then_some(Self { len: text.len() as u8, bytes })
    }

    fn text(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Whether a P0 action asks for status.
fn reads(p0: &[u8]) -> bool {
    matches!(p0.first(), Some(0x02 | 0x12))
}

impl Module {
    /// Hands a P0 action on to the MCU.
    pub(super) fn ask(&mut self, asker: Asker, p0: &[u8], cx: &mut Cx<'_>) {
        if p0.is_empty() {
            return self.log(Level::Warning, "empty action", cx);
        }
        let is_read = reads(p0);
        let asker = match asker {
            Asker::Phone { conn, sn, .. } => Asker::Phone { conn, sn, reads: is_read },
            Asker::Cloud { client, sn, .. } => Asker::Cloud { client, sn, reads: is_read },
        };
        if !self.uart.link.push(Command::Control, 0, p0, Tag::Asker(asker)) {
            self.log(Level::Error, "an action was dropped: the MCU is too slow", cx);
        }
    }

    /// The MCU has answered an action: the answer goes to whoever asked.
    pub(super) fn mcu_answered(&mut self, asker: &Asker, p0: &[u8], cx: &mut Cx<'_>) {
        let (sn, is_read) = match *asker {
            Asker::Phone { sn, reads, .. } | Asker::Cloud { sn, reads, .. } => (sn, reads),
        };
        if sn.is_none() && !is_read && !self.policy.empty_reports {
            return;
        }
        let mut frame = core::mem::take(&mut self.scratch);
        frame.clear();
        match sn {
            Some(sn) => {
                begin(cmd::REPORT_SN, 4 + p0.len(), &mut frame);
                frame.extend_from_slice(&sn.to_be_bytes());
            }
            None => begin(cmd::REPORT, p0.len(), &mut frame),
        }
        frame.extend_from_slice(p0);
        match asker {
            Asker::Phone { conn, .. } => cx.put(Output::Tcp { conn: *conn, bytes: &frame }),
            Asker::Cloud { client, sn, .. } => {
                self.publish_to(sn.map(|_| client.text()), &frame, cx);
            }
        }
        self.scratch = frame;
    }

    /// The MCU has reported: everybody hears it.
    pub(super) fn mcu_reported(&mut self, p0: &[u8], cx: &mut Cx<'_>) {
        let mut frame = core::mem::take(&mut self.scratch);
        frame.clear();
        begin(cmd::REPORT, p0.len(), &mut frame);
        frame.extend_from_slice(p0);
        self.clients.each_in(|conn| cx.put(Output::Tcp { conn, bytes: &frame }));
        self.publish_to(None, &frame, cx);
        self.scratch = frame;
    }

    fn publish_to(&mut self, client: Option<&str>, payload: &[u8], cx: &mut Cx<'_>) {
        if !self.m2m.is_running() {
            return;
        }
        let mut topic = core::mem::take(&mut self.m2m.topic);
        topic.clear();
        let did = &self.flash.did;
        // Writing to a string cannot fail.
        let _ = match client {
            Some(client) => write!(topic, "dev2app/{did}/{client}"),
            None => write!(topic, "dev2app/{did}"),
        };
        cx.put(Output::M2m(M2mAction::Publish { topic: &topic, payload }));
        self.m2m.topic = topic;
    }
}
