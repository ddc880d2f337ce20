//! The phone half: the dialogue with a device over the comm service.
//!
//! ```text
//! Asking --identity--> Following --progress--> ...        (network, token)
//!   |  '--Current_Error--> Over, Failed
//!   |  '--2 s without a message: send again, 5 times--> Following, Silent
//! Reading --log text--> Over, Log                         (log query)
//! ```
//!
//! A device may do everything right and its replies may all be lost, so silence is not yet a
//! failure: whoever drives the dialogue asks the platform about the token. Sockets, the change of
//! Wi-Fi networks and the platform are the driver's business.
//!
//! Source: Tencent §5.4, §5.5, §5.6; Tencent's iOS demo app (`ChangeWifiVC.m`); transcripts
//! softap-*, udp-*.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use roadstead_core::{Code, Secret, Tick};

pub use super::comm::QrCode;
use super::comm::{Command, Message, Progress, Protocol, RecordText, log};

/// Timings of the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Wait for a message before sending again.
    pub send_gap: Duration,
    /// Sends in total.
    pub sends_max: u8,
}

impl Default for Policy {
    fn default() -> Self {
        Self { send_gap: Duration::from_secs(2), sends_max: 5 }
    }
}

/// What the phone wants of the device.
#[derive(Clone, PartialEq, Eq)]
pub enum Task {
    /// Give it a network and a token; the phone is in the device's own network.
    SoftAp {
        /// Network name.
        ssid: String,
        /// Network password; empty for an open network.
        password: Secret,
        /// Bind token.
        token: Secret,
    },
    /// Give it a token; phone and device are in the same network.
    TokenOnly {
        /// Bind token.
        token: Secret,
    },
    /// Read its log. On the command port this ends the device's provisioning.
    ReadLog,
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// The phone is where the task needs it.
    Start,
    /// A datagram came: an answer, or a broadcast on the progress port.
    Datagram(&'a [u8]),
    /// The deadline has passed.
    Timeout,
}

/// Something to do or to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the device's command port (log port for a log query after a failure).
    Send(Vec<u8>),
    /// The device has everything; a phone in the device's network may now go home.
    Found {
        /// Product id.
        product: String,
        /// Device name.
        device: String,
        /// Generation it speaks.
        protocol: Protocol,
    },
    /// The device told an error of an earlier attempt.
    PreviousError(RecordText),
    /// How far the device is; protocol 3.0.
    Progress(Progress),
    /// No message came. The platform may know more.
    Silent,
    /// The device's log, secrets masked; empty when it has none to tell.
    Log(Vec<String>),
    /// The device refused or failed; the dialogue is over.
    Failed(DialogueError),
}

/// Why a dialogue failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialogueError {
    /// The device told an error of this attempt.
    #[error("the device reported `{text}`: {}", text.record.map_or("no number", |r| r.cause()))]
    Device {
        /// The device's words.
        text: RecordText,
    },
    /// A 3.0 device did not reach the platform, or not with its token.
    #[error("the device reported that it could not {0}")]
    Progress(&'static str),
}

impl DialogueError {
    /// Returns the stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Device { text } => text.record.map_or("attempt.device_error", |r| r.code()),
            Self::Progress(CONNECT) => "attempt.never_connected",
            Self::Progress(_) => "attempt.token_not_reported",
        }
    }
}

const CONNECT: &str = "reach the platform";
const REPORT: &str = "report its token";

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Asking { sent: u8, due: Tick },
    Following,
    Reading { sent: u8, due: Tick },
    Over,
}

/// The machine. One dialogue with one device.
pub struct Dialogue {
    policy: Policy,
    task: Task,
    state: State,
    /// The device that answered: broadcasts of others are not ours.
    found: Option<(String, String)>,
    progress: Option<Progress>,
    /// Errors of earlier attempts that were told already.
    told: Vec<RecordText>,
}

impl Dialogue {
    /// Returns a dialogue that has not begun.
    pub fn new(task: Task, policy: Policy) -> Self {
        let told = Vec::new();
        Self { policy, task, state: State::Ready, found: None, progress: None, told }
    }

    /// Feeds one input at `now`.
    pub fn handle(&mut self, input: Input<'_>, now: Tick, out: &mut Vec<Output>) {
        match (self.state, input) {
            (State::Ready, Input::Start) => {
                out.push(self.send());
                self.state = self.waiting(1, now);
            }
            (State::Asking { sent, due } | State::Reading { sent, due }, Input::Timeout)
                if now >= due =>
            {
                self.again(sent, now, out);
            }
            (State::Asking { .. } | State::Following, Input::Datagram(bytes)) => {
                if let Ok(message) = Message::parse(bytes) {
                    self.message(message, out);
                }
            }
            (State::Reading { .. }, Input::Datagram(bytes)) => {
                // A device that has errors to tell sends them first; they are no log.
                if Message::parse(bytes).is_err() {
                    out.push(Output::Log(log::lines(bytes)));
                    self.state = State::Over;
                }
            }
            // A duplicate start, an early wake-up, or a datagram after the end.
            (
                State::Ready
                | State::Asking { .. }
                | State::Following
                | State::Reading { .. }
                | State::Over,
                Input::Start | Input::Timeout | Input::Datagram(_),
            ) => {}
        }
    }

    /// Returns when [`Input::Timeout`] is due, and why.
    pub fn deadline(&self) -> Option<(Tick, &'static str)> {
        match self.state {
            State::Asking { due, .. } => Some((due, "answer of the device")),
            State::Reading { due, .. } => Some((due, "log of the device")),
            State::Ready | State::Following | State::Over => None,
        }
    }

    fn send(&self) -> Output {
        let command = match &self.task {
            Task::SoftAp { ssid, password, token } => Command::Join {
                ssid: ssid.clone(),
                password: password.clone(),
                token: token.clone(),
            },
            Task::TokenOnly { token } => Command::Token { token: token.clone() },
            Task::ReadLog => Command::ReadLog,
        };
        Output::Send(command.emit())
    }

    fn waiting(&self, sent: u8, now: Tick) -> State {
        let due = now + self.policy.send_gap;
        match self.task {
            Task::ReadLog => State::Reading { sent, due },
            Task::SoftAp { .. } | Task::TokenOnly { .. } => State::Asking { sent, due },
        }
    }

    fn again(&mut self, sent: u8, now: Tick, out: &mut Vec<Output>) {
        if sent < self.policy.sends_max {
            out.push(self.send());
            self.state = self.waiting(sent + 1, now);
            return;
        }
        match self.task {
            Task::ReadLog => {
                out.push(Output::Log(Vec::new()));
                self.state = State::Over;
            }
            Task::SoftAp { .. } | Task::TokenOnly { .. } => {
                out.push(Output::Silent);
                self.state = State::Following;
            }
        }
    }

    fn message(&mut self, message: Message, out: &mut Vec<Output>) {
        match message {
            Message::Identity { product, device, protocol } => {
                if self.found.is_none() {
                    self.found = Some((product.clone(), device.clone()));
                    self.state = State::Following;
                    out.push(Output::Found { product, device, protocol });
                }
            }
            Message::Record { previous: true, text } => {
                if !self.told.contains(&text) {
                    self.told.push(text.clone());
                    out.push(Output::PreviousError(text));
                }
            }
            Message::Record { previous: false, text } => {
                self.state = State::Over;
                out.push(Output::Failed(DialogueError::Device { text }));
            }
            Message::Progress { product, device, state } => {
                let is_ours = self.found.as_ref().is_none_or(|f| *f == (product, device));
                if is_ours {
                    self.follow(state, out);
                }
            }
            Message::AuthInfo { .. } => {}
        }
    }

    /// Takes a progress broadcast; copies are dropped.
    fn follow(&mut self, progress: Progress, out: &mut Vec<Output>) {
        if self.progress == Some(progress) {
            return;
        }
        self.progress = Some(progress);
        self.state = State::Following;
        out.push(Output::Progress(progress));
        let failed = match progress {
            Progress::ConnectFailed => CONNECT,
            Progress::ReportFailed => REPORT,
            Progress::Joining | Progress::Connecting | Progress::Reporting | Progress::Reported => {
                return;
            }
        };
        self.state = State::Over;
        out.push(Output::Failed(DialogueError::Progress(failed)));
    }
}

#[cfg(test)]
mod tests;
