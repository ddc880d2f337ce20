//! The MCU's side of the module: handshake, heartbeats, commands of the MCU.
//!
//! ```text
//! Asking --device information--> Known --silent too long--> restart
//!   '-- ten rounds unanswered --> restart
//! ```
//! Source: GizWits §2; seed §7.6, §7.8; transcripts first_boot, mcu_silent, mcu_noack.

use alloc::format;
use core::net::IpAddr;
use core::time::Duration;

use roadstead_core::{Secret, Tick};

use super::super::serial::{
    Command, ConfigMode, Decoder, DeviceInfo, Frame, Illegal, Link, LinkPolicy, Lost, ModuleInfo,
    Received, Timed, encode, network_time,
};
use super::io::{Cx, Event, Level, Output, RestartReason};
use super::{Module, forward};

/// A repeated report within this time is a retransmission.
const REPEAT: Duration = Duration::from_millis(900);
/// The module restarts this long after the MCU asked (§2.2).
const ASKED_RESTART: Duration = Duration::from_millis(100);

/// Who asked for a command.
#[derive(Clone, Copy)]
pub(super) enum Tag {
    /// The module itself.
    Own,
    /// A phone or cloud client.
    Asker(forward::Asker),
}

/// The line.
pub(super) struct Uart {
    decoder: Option<Decoder>,
    pub(super) link: Link<Tag>,
    pub(super) info: Option<DeviceInfo>,
    rounds: u8,
    /// Last byte of sense from the MCU.
    heard: Tick,
    /// When the next heartbeat goes.
    beat: Option<Tick>,
    last_report: Option<(u8, u8, Tick)>,
}

impl Uart {
    pub(super) fn new(policy: LinkPolicy) -> Self {
        Self {
            decoder: Some(Decoder::new()),
            link: Link::new(policy),
            info: None,
            rounds: 0,
            heard: Tick::default(),
            beat: None,
            last_report: None,
        }
    }
}

impl Module {
    pub(super) fn start_uart(&mut self, cx: &Cx<'_>) {
        self.uart.heard = cx.now;
        self.ask_mcu();
    }

    fn ask_mcu(&mut self) {
        self.uart.rounds += 1;
        self.uart.link.push(Command::DeviceInfo, 0, &[], Tag::Own);
    }

    /// Sends what waits for the line.
    pub(super) fn pump(&mut self, cx: &mut Cx<'_>) {
        if let Some(bytes) = self.uart.link.poll(cx.now) {
            cx.put(Output::Serial(bytes));
        }
    }

    /// Bytes came from the MCU.
    pub(super) fn serial(&mut self, bytes: &[u8], cx: &mut Cx<'_>) {
        let Some(mut decoder) = self.uart.decoder.take() else { return };
        let mut input = bytes;
        while let Some(received) = decoder.next(&mut input) {
            match received {
                Received::Frame(frame) => self.frame(&frame, cx),
                Received::BadChecksum { cmd, sn } => self.bad_checksum(cmd, sn, cx),
            }
            if !self.is_on {
                return;
            }
            // The next command may go as soon as the last one was answered.
            self.pump(cx);
        }
        self.uart.decoder = Some(decoder);
    }

    fn bad_checksum(&mut self, cmd: u8, sn: u8, cx: &mut Cx<'_>) {
        self.log(Level::Warning, "frame of the MCU has a wrong checksum", cx);
        if Command::answered_by(cmd).is_some() {
            return; // the question is repeated
        }
        let why = if Command::of(cmd).is_some() { Illegal::Checksum } else { Illegal::Command };
        self.illegal(sn, why, cx);
    }

    /// Sends an answer: no number of its own, no retransmission.
    pub(super) fn answer(&mut self, command: Command, sn: u8, payload: &[u8], cx: &mut Cx<'_>) {
        self.reply(&Frame { cmd: command.answer(), sn, flags: 0, payload }, cx);
    }

    pub(super) fn illegal(&mut self, sn: u8, why: Illegal, cx: &mut Cx<'_>) {
        let cmd = Command::Illegal as u8;
        self.reply(&Frame { cmd, sn, flags: 0, payload: &[why as u8] }, cx);
    }

    fn reply(&mut self, frame: &Frame<'_>, cx: &mut Cx<'_>) {
        let mut wire = core::mem::take(&mut self.scratch);
        wire.clear();
        encode(frame, &mut wire);
        cx.put(Output::Serial(&wire));
        self.scratch = wire;
    }

    fn frame(&mut self, frame: &Frame<'_>, cx: &mut Cx<'_>) {
        self.uart.heard = cx.now;
        if !self.policy.mcu_beat_always && self.uart.info.is_some() {
            self.uart.beat = Some(cx.now + self.policy.mcu_beat);
        }
        if let Some(command) = Command::answered_by(frame.cmd) {
            if let Some(tag) = self.uart.link.answer(command, frame.sn) {
                self.answered(command, tag, frame, cx);
            }
            return;
        }
        match Command::of(frame.cmd) {
            Some(command) => self.asked(command, frame, cx),
            None if self.policy.names_unknown => {
                self.log(Level::Warning, "command of the MCU is not known", cx);
                self.illegal(frame.sn, Illegal::Command, cx);
            }
            None => {}
        }
    }

    fn answered(&mut self, command: Command, tag: Tag, frame: &Frame<'_>, cx: &mut Cx<'_>) {
        match (command, tag) {
            (Command::DeviceInfo, _) => self.introduced(frame.payload, cx),
            (Command::Control, Tag::Asker(asker)) => self.mcu_answered(&asker, frame.payload, cx),
            (Command::FileOffer | Command::FilePiece, _) => self.file_acked(command, cx),
            _ => {}
        }
    }

    /// The MCU wants something.
    fn asked(&mut self, command: Command, frame: &Frame<'_>, cx: &mut Cx<'_>) {
        let sn = frame.sn;
        match command {
            Command::Report => {
                self.answer(command, sn, &[], cx);
                if self.is_new(frame, cx) {
                    self.mcu_reported(frame.payload, cx);
                }
            }
            Command::Configure => match ConfigMode::parse(frame.payload) {
                None => self.illegal(sn, Illegal::Other, cx),
                Some(mode) => {
                    self.answer(command, sn, &[], cx);
                    self.configure(mode, cx);
                }
            },
            Command::Reset => {
                self.answer(command, sn, &[], cx);
                self.begin_reset(cx);
            }
            Command::Test => {
                self.answer(command, sn, &[], cx);
                self.begin_test(cx);
            }
            Command::Bindable => {
                self.answer(command, sn, &[], cx);
                self.open_window(cx);
            }
            Command::NetworkTime => self.tell_time(sn, cx),
            Command::ModuleInfo => self.tell_module(sn, cx),
            Command::RestartModule => {
                self.answer(command, sn, &[], cx);
                self.restart = Some((cx.now + ASKED_RESTART, RestartReason::Asked));
            }
            Command::FileReady => self.file_ready(frame, cx),
            Command::ReceiverCancels => {
                self.answer(command, sn, &[], cx);
                self.file_refused(cx);
            }
            Command::FileOffer => self.bulk_offered(frame, cx),
            Command::FilePiece => self.bulk_piece(frame, cx),
            Command::SenderCancels => {
                self.answer(command, sn, &[], cx);
                self.bulk = None;
            }
            Command::McuTransaction => self.transaction(frame, cx),
            // The MCU's own "illegal frame" comes as the answer of 0x11.
            Command::Illegal => {}
            Command::DeviceInfo
            | Command::Control
            | Command::Heartbeat
            | Command::Status
            | Command::RestartMcu
            | Command::ModuleTransaction => self.illegal(sn, Illegal::Command, cx),
        }
    }

    fn is_new(&mut self, frame: &Frame<'_>, cx: &Cx<'_>) -> bool {
        let sum = frame.payload.iter().fold(0_u8, |sum, byte| sum.rotate_left(1) ^ byte);
        let last = self.uart.last_report.replace((frame.sn, sum, cx.now));
        last.is_none_or(|(sn, old, at)| (sn, old) != (frame.sn, sum) || cx.now.since(at) > REPEAT)
    }

    /// The MCU has said who it is.
    fn introduced(&mut self, payload: &[u8], cx: &mut Cx<'_>) {
        let info = match DeviceInfo::parse(payload) {
            Ok(info) => info,
            Err(error) => {
                self.log(Level::Error, &format!("device information: {error}"), cx);
                return self.next_round(cx);
            }
        };
        cx.event(Event::McuReady(&info.product_key));
        let is_first = self.uart.info.is_none();
        self.take_product_key(&info.product_key, cx);
        self.uart.info = Some(info);
        self.uart.beat = Some(cx.now + self.policy.mcu_beat);
        if is_first {
            self.open_window(cx);
            self.begin_mode(cx);
        }
    }

    /// Another product key makes another device (seed §7.8).
    fn take_product_key(&mut self, product_key: &str, cx: &mut Cx<'_>) {
        let is_same = *self.flash.product_key == *product_key;
        if is_same && self.flash.passcode.is_some() {
            return;
        }
        if !is_same {
            let did = core::mem::take(&mut self.flash.did);
            if let (false, Some(passcode)) = (did.is_empty(), self.flash.passcode.take()) {
                self.log(Level::Info, "product key changed: registering as another device", cx);
                self.flash.former = Some((did, passcode));
            }
            if !self.flash.product_key.is_empty() {
                self.flash.passcode = None;
            }
            self.flash.firmware_id = 0;
            self.flash.firmware = "".into();
            self.flash.product_key = product_key.into();
        }
        if self.flash.passcode.is_none() {
            self.flash.passcode = Some(self.make_passcode());
        }
        self.save(cx);
    }

    /// Makes a passcode of ten letters and digits (seed §8.1).
    pub(super) fn make_passcode(&mut self) -> Secret {
        use sha2::{Digest as _, Sha256};
        const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        self.entropy = Sha256::digest([&self.entropy[..], b"passcode"].concat()).into();
        let text: alloc::vec::Vec<u8> =
            self.entropy.iter().take(10).map(|byte| ALPHABET[usize::from(byte % 32)]).collect();
        self.entropy = Sha256::digest([&self.entropy[..], b"next"].concat()).into();
        Secret::new(text)
    }

    fn next_round(&mut self, cx: &mut Cx<'_>) {
        if self.uart.rounds >= self.policy.handshake_rounds {
            return self.restart_now(RestartReason::McuSilent, cx);
        }
        self.ask_mcu();
    }

    pub(super) fn uart_timeout(&mut self, cx: &mut Cx<'_>) {
        match self.uart.link.timeout(cx.now) {
            Timed::Early => {}
            Timed::Repeat(bytes) => cx.put(Output::Serial(bytes)),
            Timed::Lost(lost) => self.unanswered(lost, cx),
        }
        if !self.is_on || self.uart.info.is_none() {
            return;
        }
        if cx.now.since(self.uart.heard) >= self.policy.mcu_dead {
            return self.restart_now(RestartReason::McuSilent, cx);
        }
        if self.uart.beat.is_some_and(|at| cx.now >= at) {
            self.uart.beat = Some(cx.now + self.policy.mcu_beat);
            self.uart.link.push_latest(Command::Heartbeat, &[], Tag::Own);
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "every other command is lost alike")]
    fn unanswered(&mut self, lost: Lost<Tag>, cx: &mut Cx<'_>) {
        match lost.command {
            Command::DeviceInfo => self.next_round(cx),
            Command::FileOffer | Command::FilePiece => self.file_lost(cx),
            command => {
                self.log(Level::Warning, &format!("the MCU did not answer {command:?}"), cx);
            }
        }
    }

    pub(super) fn uart_deadline(&self) -> Option<(Tick, &'static str)> {
        let known = self.uart.info.is_some();
        let dead = known.then(|| self.uart.heard + self.policy.mcu_dead);
        let own = [(self.uart.beat, "heartbeat of the MCU"), (dead, "silence of the MCU")];
        let link = (self.uart.link.deadline(), "answer of the MCU");
        own.into_iter().chain([link]).filter_map(|(at, why)| Some((at?, why))).min_by_key(|d| d.0)
    }

    fn tell_time(&mut self, sn: u8, cx: &mut Cx<'_>) {
        let zone = self.uart.info.as_ref().map_or(8 * 60, DeviceInfo::zone_minutes);
        let mut payload = alloc::vec::Vec::with_capacity(11);
        network_time(self.date(cx.now), zone, &mut payload);
        self.answer(Command::NetworkTime, sn, &payload, cx);
    }

    fn tell_module(&mut self, sn: u8, cx: &mut Cx<'_>) {
        let Some(info) = &self.uart.info else { return };
        let ip = match self.mode.address() {
            Some(IpAddr::V4(ip)) => format!("{ip}"),
            Some(IpAddr::V6(_)) | None => alloc::string::String::new(),
        };
        let module = ModuleInfo {
            serial_protocol: &info.serial_protocol,
            hardware: &self.config.hardware,
            software: &self.config.software,
            mac: self.config.mac,
            ip: &ip,
            attributes: &info.attributes,
        };
        let mut payload = alloc::vec::Vec::with_capacity(65);
        module.emit(&mut payload);
        self.answer(Command::ModuleInfo, sn, &payload, cx);
    }
}

#[cfg(test)]
impl Module {
    /// Returns when the MCU was last heard.
    pub(super) fn uart_heard(&self) -> Tick {
        self.uart.heard
    }
}
