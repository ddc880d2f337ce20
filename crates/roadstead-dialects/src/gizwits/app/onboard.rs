//! Giving a module its network over its own access point.
//!
//! ```text
//! Telling --0x0002, or the access point is gone--> Waiting --announcement or answer--> Done
//!   0x0001 every 2 s                                 0x0003 every second
//! ```
//! The host changes networks: to the module's before the start, home when told so. A phone that has
//! told the network through the air begins at home.
//!
//! Source: GizWits §1.7; seed §6.1_3, §6.2; transcript softap.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use roadstead_core::{Code, Secret, Tick};

use super::super::lan::{CREDENTIAL_MAX, Message, udp};
use super::Found;
use super::search::{discover, heard};

/// What to give.
pub struct OnboardTask {
    /// Network name, 1 to 32 bytes.
    pub ssid: Box<[u8]>,
    /// Its password, at most 32 bytes.
    pub password: Secret,
    /// The module that is meant, 12 hexadecimal digits; `None` takes the first that is configured.
    pub mac: Option<String>,
}

/// Timings.
#[derive(Clone, Copy, Debug)]
pub struct OnboardPolicy {
    /// Pause between two tellings.
    pub tell_every: Duration,
    /// Pause between two questions at home.
    pub ask_every: Duration,
    /// Longest telling.
    pub tell_for: Duration,
    /// Longest wait at home.
    pub wait_for: Duration,
}

impl Default for OnboardPolicy {
    fn default() -> Self {
        Self {
            tell_every: Duration::from_secs(2),
            ask_every: Duration::from_secs(1),
            tell_for: Duration::from_secs(60),
            wait_for: Duration::from_secs(60),
        }
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum OnboardInput<'a> {
    /// The phone is in the module's network.
    InModuleNetwork,
    /// The module's network is gone.
    NetworkLost,
    /// The phone is home.
    Home,
    /// A datagram.
    Datagram(&'a [u8]),
    /// The deadline has passed.
    Timeout,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnboardOutput {
    /// Send to the module, UDP 12414 of 10.10.100.254.
    Tell(Vec<u8>),
    /// Leave the module's network for the one that was given.
    GoHome,
    /// Send to everybody on UDP 12414.
    Broadcast(Vec<u8>),
    /// It is in the network.
    Done(Found),
    /// It is not; the stable code and words.
    Failed(Code, String),
}

enum State {
    Idle,
    Telling { next: Tick, until: Tick },
    GoingHome { until: Tick },
    Waiting { next: Tick, until: Tick },
    Over,
}

/// The machine.
pub struct Onboard {
    task: OnboardTask,
    policy: OnboardPolicy,
    state: State,
    was_acknowledged: bool,
}

impl Onboard {
    /// Returns a dialogue that has not begun.
    ///
    /// # Errors
    ///
    /// Name or password do not fit.
    pub fn new(task: OnboardTask, policy: OnboardPolicy) -> Result<Self, Code> {
        let fits = (1..=CREDENTIAL_MAX).contains(&task.ssid.len())
            && task.password.expose().len() <= CREDENTIAL_MAX;
        match fits {
            true => Ok(Self { task, policy, state: State::Idle, was_acknowledged: false }),
            false => Err("module.bad_credentials"),
        }
    }

    /// Returns whether the module has confirmed the network.
    pub fn was_acknowledged(&self) -> bool {
        self.was_acknowledged
    }

    /// Feeds one input at `now`.
    pub fn handle(&mut self, input: OnboardInput<'_>, now: Tick, out: &mut Vec<OnboardOutput>) {
        match (&mut self.state, input) {
            (State::Idle, OnboardInput::InModuleNetwork) => {
                self.state = State::Telling { next: now, until: now + self.policy.tell_for };
                self.tell(now, out);
            }
            (State::Telling { .. }, OnboardInput::NetworkLost) => self.go_home(now, out),
            (State::Telling { .. }, OnboardInput::Datagram(bytes)) => {
                let acknowledged =
                    udp(bytes).is_some_and(|frame| Message::of(&frame) == Message::OnboardAck);
                if acknowledged {
                    self.was_acknowledged = true;
                    self.go_home(now, out);
                }
            }
            (State::Telling { .. }, OnboardInput::Timeout) => self.tell(now, out),
            // From the start: the network was told through the air.
            (State::Idle | State::GoingHome { .. } | State::Telling { .. }, OnboardInput::Home) => {
                self.state = State::Waiting { next: now, until: now + self.policy.wait_for };
                self.ask(now, out);
            }
            (State::Waiting { .. }, OnboardInput::Datagram(bytes)) => self.listen(bytes, out),
            (State::Waiting { .. }, OnboardInput::Timeout) => self.ask(now, out),
            (State::GoingHome { until }, OnboardInput::Timeout) if now >= *until => {
                self.fail("attempt.never_connected", "the phone did not get home", out);
            }
            // Early, late or repeated.
            (
                State::Idle
                | State::Telling { .. }
                | State::GoingHome { .. }
                | State::Waiting { .. }
                | State::Over,
                OnboardInput::InModuleNetwork
                | OnboardInput::NetworkLost
                | OnboardInput::Home
                | OnboardInput::Datagram(_)
                | OnboardInput::Timeout,
            ) => {}
        }
    }

    /// Returns when [`OnboardInput::Timeout`] is due.
    pub fn deadline(&self) -> Option<Tick> {
        match self.state {
            State::Telling { next, until } | State::Waiting { next, until } => {
                Some(next.min(until))
            }
            State::GoingHome { until } => Some(until),
            State::Idle | State::Over => None,
        }
    }

    fn tell(&mut self, now: Tick, out: &mut Vec<OnboardOutput>) {
        let State::Telling { next, until } = &mut self.state else { return };
        if now >= *until {
            return self.fail("attempt.device_silent", "the module never answered", out);
        }
        if now >= *next {
            *next = now + self.policy.tell_every;
            let mut bytes = Vec::new();
            let (ssid, password) = (&*self.task.ssid, self.task.password.expose());
            Message::Onboard { ssid, password }.emit(&mut bytes);
            out.push(OnboardOutput::Tell(bytes));
        }
    }

    fn go_home(&mut self, now: Tick, out: &mut Vec<OnboardOutput>) {
        self.state = State::GoingHome { until: now + self.policy.wait_for };
        out.push(OnboardOutput::GoHome);
    }

    fn ask(&mut self, now: Tick, out: &mut Vec<OnboardOutput>) {
        let State::Waiting { next, until } = &mut self.state else { return };
        if now >= *until {
            let why = "the module did not appear in the network: is the password right?";
            return self.fail("attempt.never_connected", why, out);
        }
        if now >= *next {
            *next = now + self.policy.ask_every;
            out.push(OnboardOutput::Broadcast(discover()));
        }
    }

    fn listen(&mut self, bytes: &[u8], out: &mut Vec<OnboardOutput>) {
        let Some(found) = heard(bytes) else { return };
        // Without a MAC only the word "configured" tells which one is meant.
        let is_meant = match &self.task.mac {
            Some(mac) => mac.eq_ignore_ascii_case(&found.mac),
            None => found.is_fresh,
        };
        if is_meant {
            self.state = State::Over;
            out.push(OnboardOutput::Done(found));
        }
    }

    fn fail(&mut self, code: Code, why: &str, out: &mut Vec<OnboardOutput>) {
        self.state = State::Over;
        out.push(OnboardOutput::Failed(code, why.into()));
    }
}
