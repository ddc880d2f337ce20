//! A virtual MCU: what sits behind a module's serial line, for demonstrations and tests.
//!
//! ```text
//! serial bytes --> Decoder --> what the module asks --> Panel (data points)
//! hand at the device --> Panel --> report --> Link --> serial bytes
//! ```
//! It answers everything a real MCU answers, shows the module's status, takes firmware, and
//! reports every change and every ten minutes.
//!
//! Source: GizWits §2, the behaviour of the vendor's generated MCU code (V03030000).

mod panel;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use md5::{Digest as _, Md5};
use roadstead_core::{Map, Tick, Value};

use super::serial::{
    Command, Decoder, DeviceInfo, Frame, Illegal, Link, LinkPolicy, Offer, Piece, Ready, Received,
    Status, Timed, encode,
};
pub use panel::{At, Field, Panel};

/// Pause between two reports without a change.
const REPORT_EVERY: Duration = Duration::from_secs(600);
/// Silence after which an MCU restarts its module (seed §7.6_3).
const MODULE_DEAD: Duration = Duration::from_secs(180);
/// Bytes of a piece that this MCU asks for.
const PIECE: u16 = 128;
/// Largest firmware of this MCU, bytes.
const FIRMWARE_MAX: u32 = 4 * 1024 * 1024;

/// Something that happened to the MCU.
pub enum Input<'a> {
    /// Power on.
    Start,
    /// The deadline has passed.
    Timeout,
    /// Bytes from the module.
    Serial(&'a [u8]),
    /// A hand at the device.
    Hand(Hand<'a>),
}

/// What a person can do at the device.
pub enum Hand<'a> {
    /// Turn knobs: values by name.
    Change(&'a Map<String, Value>),
    /// Press the key for SoftAP.
    SoftAp,
    /// Press the key for AirLink.
    AirLink,
    /// Clear the configuration.
    Reset,
    /// Start the production test.
    Test,
    /// Let a phone bind.
    Bindable,
    /// Ask for the date.
    Time,
    /// Restart the module.
    Restart,
}

/// Something the MCU does.
pub enum Output<'a> {
    /// Bytes for the module.
    Serial(&'a [u8]),
    /// The module is in this state.
    Status(Status),
    /// A phone or the cloud has set these values.
    Set(&'a Map<String, Value>),
    /// Data that is no data point came (P0 action 5).
    Raw(&'a [u8]),
    /// New firmware is complete; the MCU reports it after the module's restart. Its last eight
    /// bytes are the new version when they are letters and digits.
    Firmware(&'a [u8]),
    /// The date, as the module tells it.
    Time(&'a [u8]),
    /// The module has been silent for too long: cut its power.
    ModuleDead,
}

/// The machine.
pub struct Mcu {
    info: DeviceInfo,
    panel: Panel,
    decoder: Option<Decoder>,
    link: Link<()>,
    heard: Tick,
    report: Option<Tick>,
    file: Option<File>,
    wire: Vec<u8>,
    answer: Vec<u8>,
}

struct File {
    size: usize,
    md5: Box<[u8]>,
    bytes: Vec<u8>,
}

impl Mcu {
    /// Returns an MCU of a product.
    pub fn new(product_key: &str, panel: Panel) -> Self {
        let info = DeviceInfo {
            serial_protocol: *b"00000004",
            p0_protocol: *b"00000004",
            hardware: *b"00000001",
            software: *b"00000002",
            product_key: product_key.into(),
            bindable_s: 0,
            attributes: [0; 8],
            product_secret: None,
            extra: "".into(),
        };
        Self::with_info(info, panel)
    }

    /// Returns an MCU that says this of itself.
    pub fn with_info(info: DeviceInfo, panel: Panel) -> Self {
        Self {
            info,
            panel,
            decoder: Some(Decoder::new()),
            link: Link::new(LinkPolicy::default()),
            heard: Tick::ZERO,
            report: None,
            file: None,
            wire: Vec::with_capacity(1024),
            answer: Vec::with_capacity(1024),
        }
    }

    /// Returns the data points.
    pub fn panel(&self) -> &Panel {
        &self.panel
    }

    /// Returns what it says of itself.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Feeds one input at `now`.
    pub fn handle(&mut self, input: Input<'_>, now: Tick, out: &mut dyn FnMut(Output<'_>)) {
        match input {
            Input::Start => {
                self.heard = now;
                self.report = None;
            }
            Input::Serial(bytes) => self.serial(bytes, now, out),
            Input::Hand(hand) => self.hand(hand),
            Input::Timeout => self.timeout(now, out),
        }
        if let Some(bytes) = self.link.poll(now) {
            out(Output::Serial(bytes));
        }
    }

    /// Returns when [`Input::Timeout`] is due.
    pub fn deadline(&self) -> Option<Tick> {
        let dead = Some(self.heard + MODULE_DEAD);
        [dead, self.report, self.link.deadline()].into_iter().flatten().min()
    }

    fn timeout(&mut self, now: Tick, out: &mut dyn FnMut(Output<'_>)) {
        if let Timed::Repeat(bytes) = self.link.timeout(now) {
            out(Output::Serial(bytes));
        }
        if now.since(self.heard) >= MODULE_DEAD {
            self.heard = now;
            out(Output::ModuleDead);
        }
        if self.report.is_some_and(|at| now >= at) {
            self.push_report(now);
        }
    }

    fn hand(&mut self, hand: Hand<'_>) {
        let (command, payload): (_, &[u8]) = match hand {
            Hand::Change(values) => {
                if self.panel.change(values, true) {
                    self.report = Some(Tick::ZERO);
                }
                return;
            }
            Hand::SoftAp => (Command::Configure, &[1]),
            Hand::AirLink => (Command::Configure, &[2]),
            Hand::Reset => (Command::Reset, &[]),
            Hand::Test => (Command::Test, &[]),
            Hand::Bindable => (Command::Bindable, &[]),
            Hand::Time => (Command::NetworkTime, &[]),
            Hand::Restart => (Command::RestartModule, &[]),
        };
        self.link.push(command, 0, payload, ());
    }

    fn push_report(&mut self, now: Tick) {
        self.answer.clear();
        self.answer.push(0x04);
        self.answer.extend_from_slice(self.panel.status());
        self.link.push_latest(Command::Report, &self.answer, ());
        self.report = Some(now + REPORT_EVERY);
    }

    fn serial(&mut self, bytes: &[u8], now: Tick, out: &mut dyn FnMut(Output<'_>)) {
        let Some(mut decoder) = self.decoder.take() else { return };
        let mut input = bytes;
        while let Some(received) = decoder.next(&mut input) {
            if let Received::Frame(frame) = received {
                self.heard = now;
                self.frame(&frame, now, out);
            }
            if let Some(bytes) = self.link.poll(now) {
                out(Output::Serial(bytes));
            }
        }
        self.decoder = Some(decoder);
    }

    fn frame(&mut self, frame: &Frame<'_>, now: Tick, out: &mut dyn FnMut(Output<'_>)) {
        if let Some(command) = Command::answered_by(frame.cmd) {
            if self.link.answer(command, frame.sn).is_some() && command == Command::NetworkTime {
                out(Output::Time(frame.payload));
            }
            return;
        }
        let Some(command) = Command::of(frame.cmd) else { return };
        let mut answer = core::mem::take(&mut self.answer);
        answer.clear();
        match command {
            Command::DeviceInfo => {
                self.info.emit(&mut answer);
                // A module that asks has started: it wants to know how things stand.
                self.report = Some(now + Duration::from_secs(1));
            }
            Command::Control => self.control(frame.payload, &mut answer, now, out),
            Command::Status => {
                if let Some(word) = frame.payload.first_chunk() {
                    out(Output::Status(Status::of(u16::from_be_bytes(*word))));
                }
            }
            Command::FileOffer => self.offered(frame.payload),
            Command::FilePiece => self.piece(frame.payload, out),
            Command::SenderCancels => self.file = None,
            Command::Illegal => answer.extend_from_slice(frame.payload),
            Command::Heartbeat | Command::RestartMcu | Command::ModuleTransaction => {}
            Command::Report
            | Command::Configure
            | Command::Reset
            | Command::Test
            | Command::Bindable
            | Command::NetworkTime
            | Command::FileReady
            | Command::ModuleInfo
            | Command::McuTransaction
            | Command::ReceiverCancels
            | Command::RestartModule => {
                answer.push(Illegal::Command as u8);
                self.say(Command::Illegal as u8, frame.sn, &answer, out);
                self.answer = answer;
                return;
            }
        }
        self.say(command.answer(), frame.sn, &answer, out);
        self.answer = answer;
    }

    fn say(&mut self, cmd: u8, sn: u8, payload: &[u8], out: &mut dyn FnMut(Output<'_>)) {
        self.wire.clear();
        encode(&Frame { cmd, sn, flags: 0, payload }, &mut self.wire);
        out(Output::Serial(&self.wire));
    }

    fn control(
        &mut self,
        p0: &[u8],
        answer: &mut Vec<u8>,
        now: Tick,
        out: &mut dyn FnMut(Output<'_>),
    ) {
        match p0.split_first() {
            Some((0x01, body)) => {
                let set = self.panel.control(body);
                if !set.is_empty() {
                    out(Output::Set(&set));
                    self.report = Some(now);
                }
            }
            Some((0x02, _)) => {
                answer.push(0x03);
                answer.extend_from_slice(self.panel.status());
            }
            Some((0x05, body)) => out(Output::Raw(body)),
            Some(_) | None => {}
        }
    }

    fn offered(&mut self, payload: &[u8]) {
        let Some(offer) = Offer::parse(payload).filter(|offer| offer.size <= FIRMWARE_MAX) else {
            return;
        };
        let mut ready = Vec::new();
        Ready { md5: offer.md5, piece: PIECE }.emit(&mut ready);
        self.link.push(Command::FileReady, 0, &ready, ());
        let size = offer.size as usize;
        self.file = Some(File { size, md5: offer.md5.into(), bytes: Vec::with_capacity(size) });
    }

    fn piece(&mut self, payload: &[u8], out: &mut dyn FnMut(Output<'_>)) {
        let (Some(file), Some(piece)) = (&mut self.file, Piece::parse(payload)) else { return };
        let at = usize::from(piece.number.saturating_sub(1)) * usize::from(PIECE);
        // A repeated piece brings nothing new.
        if at == file.bytes.len() {
            file.bytes.extend_from_slice(piece.data);
        }
        if file.bytes.len() < file.size {
            return;
        }
        let sum = hex::encode(Md5::digest(&file.bytes));
        if let Some(file) = self.file.take_if(|file| file.md5.eq_ignore_ascii_case(sum.as_bytes()))
        {
            // A virtual image ends with the version that runs then.
            if let Some(version) = file.bytes.last_chunk().filter(|v| is_version(v)) {
                self.info.software = *version;
            }
            out(Output::Firmware(&file.bytes));
            self.link.push(Command::RestartModule, 0, &[], ());
        }
    }

    /// Sets the software version that the next handshake tells.
    pub fn set_software(&mut self, version: [u8; 8]) {
        self.info.software = version;
    }
}

/// Whether eight bytes can be a version (seed §2.2).
fn is_version(bytes: &[u8; 8]) -> bool {
    bytes.iter().all(u8::is_ascii_alphanumeric)
}
