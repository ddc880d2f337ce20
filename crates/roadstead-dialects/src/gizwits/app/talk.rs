//! One phone and one module over TCP.
//!
//! ```text
//! Connecting -> (Asking passcode) -> Logging in -> Talking
//!      '------------- refused, silent, closed ----------> Over
//! ```
//! One frame is written at a time, and the next one after the answer: real modules read one frame
//! per segment. A heartbeat goes after 4 s without the module's data; 12 s without any end it.
//!
//! Source: GizWits §1.2, §1.6; seed §7.3 to §7.5, §13.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use roadstead_core::{Code, Secret, Tick};

use super::super::lan::{Framer, Message};

/// Requests that wait for their turn.
const REQUESTS_MAX: usize = 64;

/// Timings.
#[derive(Clone, Copy, Debug)]
pub struct TalkPolicy {
    /// Heartbeat after this long without the module's data.
    pub beat: Duration,
    /// End after this long without it.
    pub dead: Duration,
    /// Longest wait for an answer; the MCU alone may take 600 ms.
    pub answer: Duration,
    /// A frame that stays short for this long is what it is.
    pub short_frame: Duration,
}

impl Default for TalkPolicy {
    fn default() -> Self {
        Self {
            beat: Duration::from_secs(4),
            dead: Duration::from_secs(12),
            answer: Duration::from_secs(3),
            short_frame: Duration::from_millis(300),
        }
    }
}

/// What the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TalkRequest {
    /// Read the status.
    Read,
    /// Send a P0 action to the MCU and wait for its acknowledgement.
    Control(Box<[u8]>),
    /// Ask for versions.
    Info,
    /// Ask for the networks the module hears; it closes afterwards.
    Hotspots,
    /// Switch the module's log on, up to a level, or off.
    Log(Option<u8>),
    /// Finish a production test.
    TestDone,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum TalkInput<'a> {
    /// The connection is up.
    Connected,
    /// It sent bytes.
    Data(&'a [u8]),
    /// It is gone.
    Closed,
    /// The user wants something.
    Request(TalkRequest),
    /// The deadline has passed.
    Timeout,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TalkOutput {
    /// Send as one segment.
    Send(Vec<u8>),
    /// Close the connection.
    Close,
    /// Tell the user.
    Event(TalkEvent),
}

/// A network the module hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hotspot {
    /// Its name.
    pub ssid: String,
    /// Strength, 0 to 100.
    pub power: u8,
}

/// What the user sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TalkEvent {
    /// The passcode, given by the module. It is stored by the app.
    Passcode(String),
    /// Logged in.
    Ready,
    /// A P0 action of the MCU: status or report.
    Status(Vec<u8>),
    /// The MCU has acknowledged a control.
    Acknowledged,
    /// Versions: module hardware and software, MCU hardware and software, product key.
    Info([String; 5]),
    /// The networks.
    Hotspots(Vec<Hotspot>),
    /// A line of the module's log.
    Log(u8, String),
    /// The module has finished its test.
    TestDone,
    /// A request got no answer: the MCU is silent.
    Unanswered(TalkRequest),
    /// It is over.
    Over(TalkError),
}

/// Why it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TalkError {
    /// The module does not give its passcode now.
    #[error("the module is not bindable now")]
    NotBindable,
    /// It has another passcode.
    #[error("the passcode is wrong")]
    WrongPasscode,
    /// Nothing came for too long.
    #[error("the module is silent")]
    Silent,
    /// It closed.
    #[error("the module closed the connection")]
    Closed,
    /// It sent what cannot be a frame.
    #[error("the module sent what is not a frame")]
    Garbage,
    /// All is done that was asked for.
    #[error("done")]
    Done,
}

impl TalkError {
    /// Returns the stable code.
    pub fn code(self) -> Code {
        match self {
            Self::NotBindable => "module.not_bindable",
            Self::WrongPasscode => "module.wrong_passcode",
            Self::Silent | Self::Closed | Self::Garbage | Self::Done => "module.lan_lost",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    AskingPasscode,
    LoggingIn,
    Talking,
    Over,
}

/// The machine.
pub struct Talk {
    policy: TalkPolicy,
    phase: Phase,
    passcode: Option<Secret>,
    /// Only asks what needs no log-in.
    is_guest: bool,
    framer: Framer,
    queue: VecDeque<TalkRequest>,
    waiting: Option<(TalkRequest, u32, Tick)>,
    sn: u32,
    heard: Tick,
    beat: Tick,
}

impl Talk {
    /// Returns a talk that waits for its connection. Without a passcode it asks for it.
    pub fn new(passcode: Option<Secret>, policy: TalkPolicy, now: Tick) -> Self {
        Self {
            policy,
            phase: Phase::Connecting,
            passcode,
            is_guest: false,
            framer: Framer::new(),
            queue: VecDeque::new(),
            waiting: None,
            sn: 0,
            heard: now,
            beat: now + policy.beat,
        }
    }

    /// Returns a talk without a log-in: versions, networks, end of a test.
    pub fn guest(policy: TalkPolicy, now: Tick) -> Self {
        Self { is_guest: true, ..Self::new(None, policy, now) }
    }

    /// Feeds one input at `now`.
    pub fn handle(&mut self, input: TalkInput<'_>, now: Tick, out: &mut Vec<TalkOutput>) {
        if self.phase == Phase::Over {
            return;
        }
        match input {
            TalkInput::Connected => self.connected(now, out),
            TalkInput::Data(bytes) => self.data(bytes, now, out),
            TalkInput::Closed => self.closed(now, out),
            TalkInput::Request(request) => {
                if self.queue.len() < REQUESTS_MAX {
                    self.queue.push_back(request);
                }
            }
            TalkInput::Timeout => self.timeout(now, out),
        }
        self.next_request(now, out);
    }

    /// Returns when [`TalkInput::Timeout`] is due.
    pub fn deadline(&self) -> Option<Tick> {
        let waiting = self.waiting.as_ref().map(|(_, _, at)| *at);
        let short = self.framer.is_partial().then(|| self.heard + self.policy.short_frame);
        let beat = (self.phase == Phase::Talking && !self.is_guest).then_some(self.beat);
        let dead = (self.phase != Phase::Over).then(|| self.heard + self.policy.dead);
        [waiting, short, beat, dead].into_iter().flatten().min()
    }

    fn send(&mut self, message: &Message<'_>, now: Tick, out: &mut Vec<TalkOutput>) {
        let mut bytes = Vec::new();
        message.emit(&mut bytes);
        self.beat = now + self.policy.beat;
        out.push(TalkOutput::Send(bytes));
    }

    fn end(&mut self, error: TalkError, out: &mut Vec<TalkOutput>) {
        self.phase = Phase::Over;
        out.push(TalkOutput::Close);
        out.push(TalkOutput::Event(TalkEvent::Over(error)));
    }

    fn connected(&mut self, now: Tick, out: &mut Vec<TalkOutput>) {
        self.heard = now;
        match self.passcode.clone() {
            _ if self.is_guest => self.phase = Phase::Talking,
            Some(passcode) => self.log_in(&passcode, now, out),
            None => {
                self.phase = Phase::AskingPasscode;
                self.send(&Message::PasscodeRequest, now, out);
            }
        }
    }

    fn log_in(&mut self, passcode: &Secret, now: Tick, out: &mut Vec<TalkOutput>) {
        self.phase = Phase::LoggingIn;
        self.send(&Message::Login(passcode.expose()), now, out);
    }

    fn data(&mut self, bytes: &[u8], now: Tick, out: &mut Vec<TalkOutput>) {
        self.heard = now;
        self.beat = now + self.policy.beat;
        let mut framer = core::mem::take(&mut self.framer);
        let mut input = bytes;
        loop {
            match framer.next(&mut input) {
                Ok(Some(frame)) => self.message(&Message::of(&frame), now, out),
                Ok(None) => break,
                Err(_) => return self.end(TalkError::Garbage, out),
            }
        }
        self.framer = framer;
    }

    fn closed(&mut self, now: Tick, out: &mut Vec<TalkOutput>) {
        self.flush(now, out);
        if self.phase != Phase::Over {
            let done = self.is_guest && self.waiting.is_none() && self.queue.is_empty();
            self.end(if done { TalkError::Done } else { TalkError::Closed }, out);
        }
    }

    fn flush(&mut self, now: Tick, out: &mut Vec<TalkOutput>) {
        let mut framer = core::mem::take(&mut self.framer);
        if let Some(frame) = framer.flush() {
            self.message(&Message::of(&frame), now, out);
        }
    }

    fn timeout(&mut self, now: Tick, out: &mut Vec<TalkOutput>) {
        if self.framer.is_partial() && now >= self.heard + self.policy.short_frame {
            self.flush(now, out);
        }
        if self.phase == Phase::Over {
            return;
        }
        if now >= self.heard + self.policy.dead {
            return self.end(TalkError::Silent, out);
        }
        if let Some((request, ..)) = self.waiting.take_if(|(_, _, at)| now >= *at) {
            out.push(TalkOutput::Event(TalkEvent::Unanswered(request)));
        }
        if now >= self.beat && self.phase == Phase::Talking && !self.is_guest {
            self.send(&Message::Heartbeat, now, out);
        }
    }

    fn next_request(&mut self, now: Tick, out: &mut Vec<TalkOutput>) {
        if self.phase != Phase::Talking || self.waiting.is_some() {
            return;
        }
        let Some(request) = self.queue.pop_front() else { return };
        self.sn = self.sn.wrapping_add(1);
        let sn = self.sn;
        match &request {
            TalkRequest::Read => self.send(&Message::ControlSn { sn, p0: &[2] }, now, out),
            TalkRequest::Control(p0) => self.send(&Message::ControlSn { sn, p0 }, now, out),
            TalkRequest::Info => self.send(&Message::InfoRequest, now, out),
            TalkRequest::Hotspots => self.send(&Message::HotspotsRequest, now, out),
            TalkRequest::TestDone => self.send(&Message::TestDone, now, out),
            // Nobody answers this one.
            TalkRequest::Log(level) => {
                let (on, level) = (level.is_some(), level.unwrap_or_default());
                return self.send(&Message::LogSwitch { on, level }, now, out);
            }
        }
        self.waiting = Some((request, sn, now + self.policy.answer));
    }

    /// Takes the outstanding request when this answers it.
    fn settle(&mut self, fits: impl Fn(&TalkRequest, u32) -> bool) -> Option<TalkRequest> {
        self.waiting.take_if(|(request, sn, _)| fits(request, *sn)).map(|(request, ..)| request)
    }

    fn message(&mut self, message: &Message<'_>, now: Tick, out: &mut Vec<TalkOutput>) {
        let mut tell = |event| out.push(TalkOutput::Event(event));
        match (self.phase, *message) {
            (Phase::AskingPasscode, Message::Passcode(&[])) => {
                self.end(TalkError::NotBindable, out);
            }
            (Phase::AskingPasscode, Message::Passcode(passcode)) => {
                tell(TalkEvent::Passcode(super::text(passcode)));
                self.log_in(&Secret::new(passcode), now, out);
            }
            (Phase::LoggingIn, Message::LoginResult(0)) => {
                tell(TalkEvent::Ready);
                self.phase = Phase::Talking;
            }
            (Phase::LoggingIn, Message::LoginResult(_)) => self.end(TalkError::WrongPasscode, out),
            (_, Message::Report(p0)) if !p0.is_empty() => {
                tell(TalkEvent::Status(p0.to_vec()));
                // Some modules answer a read by a report.
                if p0.first().is_some_and(|action| matches!(action, 3 | 0x13)) {
                    self.settle(|request, _| *request == TalkRequest::Read);
                }
            }
            (_, Message::ReportSn { sn, p0 }) => {
                if !p0.is_empty() {
                    tell(TalkEvent::Status(p0.to_vec()));
                }
                if let Some(TalkRequest::Control(_)) = self.settle(|_, own| own == sn) {
                    tell(TalkEvent::Acknowledged);
                }
            }
            (_, Message::Info(info)) => {
                self.settle(|request, _| *request == TalkRequest::Info);
                let fields = [
                    &info.wifi_hardware[..],
                    &info.wifi_software,
                    &info.mcu_hardware,
                    &info.mcu_software,
                    info.product_key,
                ];
                tell(TalkEvent::Info(fields.map(super::text)));
            }
            (_, Message::Hotspots(list)) => {
                self.settle(|request, _| *request == TalkRequest::Hotspots);
                let list =
                    list.map(|h| Hotspot { ssid: super::text(h.ssid), power: h.power.min(100) });
                tell(TalkEvent::Hotspots(list.collect()));
            }
            (_, Message::LogLine { level, text }) => {
                tell(TalkEvent::Log(level, super::text(text)));
            }
            (_, Message::TestDoneAck) => {
                self.settle(|request, _| *request == TalkRequest::TestDone);
                tell(TalkEvent::TestDone);
            }
            _ => {}
        }
    }
}
