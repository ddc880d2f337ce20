//! Network, token and region for a device in its own network, and why its last try failed.
//!
//! ```text
//! Start -> Asking --200--> Accepted
//!            |  '--(-3), the other generation possible--> Asking again
//!            |  '--other number--> Refused
//!            '--silence--> Silent          (it may have everything: the platform knows)
//! ```
//!
//! Source: Alibaba §7.3, trap 14; transcripts l16_softap_*.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use roadstead_core::{Code, Secret, Tick};
use roadstead_wire::coap::{self, Endpoint, Query, option};
use serde_json::json;

use super::super::lan::message::OK;
use super::super::lan::{Answer, Ask, DeviceInfo, Resource};
use super::super::softap::{ErrorReport, Security, Switch, SwitchError};
use super::{Input, hasty};

/// How long an answer is waited for, milliseconds: devices acknowledge first and send it once.
const ANSWER_LIFE_MS: u64 = 1500;
/// Questions without an answer.
const TRIES_MAX: u8 = 8;
/// Longest password that old firmware reads in security 2.0, bytes (trap 14).
const V2_PASSWORD_MAX: usize = 16;

/// What the phone knows to encrypt with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets {
    /// The product's secret; every firmware reads passwords encrypted with it.
    pub product: Option<Secret>,
    /// Fresh random bytes.
    pub random: [u8; 16],
}

/// Something to do or to know.
#[derive(Clone, Debug, PartialEq)]
pub enum ProvisionerOutput {
    /// Send this to the device.
    Send {
        /// Receiver.
        to: SocketAddr,
        /// Datagram.
        bytes: bytes::Bytes,
    },
    /// The device has everything and goes to the home network.
    Accepted(DeviceInfo),
    /// Why the last try failed; nothing failed when the number is 0.
    Cause(ErrorReport),
    /// The device does not answer. It may have heard everything.
    Silent,
    /// The device refused.
    Failed(ProvisionerError),
}

/// Why a device was not provisioned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvisionerError {
    /// The device refused the request.
    #[error("the device refused the network: {0}")]
    Refused(SwitchError),
    /// It refused with a number that is not documented.
    #[error("the device answered {number}: {words}")]
    Unknown {
        /// Vendor's number.
        number: i64,
        /// Vendor's words.
        words: String,
    },
    /// Its answer is not readable.
    #[error("the device's answer is not readable")]
    Unreadable,
    /// Old firmware would read 16 bytes of the password only, and without the product's secret
    /// there is no other way (trap 14).
    #[error("a password of more than 16 characters needs the product's secret")]
    NeedsSecret,
}

impl ProvisionerError {
    /// Returns the stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Refused(error) => error.code(),
            Self::Unknown { .. } | Self::Unreadable => "attempt.device_error",
            Self::NeedsSecret => "attempt.password_needs_secret",
        }
    }
}

enum Task {
    Switch { switch: Switch, security: Security, left: Vec<Security> },
    Cause,
}

/// The machine. One request to one device.
pub struct Provisioner {
    endpoint: Endpoint,
    device: SocketAddr,
    random: [u8; 16],
    task: Task,
    asked: Option<coap::Key>,
    tries: u8,
    count: u64,
}

impl Provisioner {
    /// Returns a phone that gives `switch` to the device at this address.
    ///
    /// # Errors
    ///
    /// [`ProvisionerError::NeedsSecret`].
    pub fn new(
        device: SocketAddr,
        switch: Switch,
        secrets: &Secrets,
        seed: u64,
    ) -> Result<Self, ProvisionerError> {
        let legacy = secrets.product.clone().map(Security::Legacy);
        let fits = switch.network.password.expose().len() <= V2_PASSWORD_MAX;
        let v2 = fits.then(|| Security::v2(&secrets.random));
        // The last one is tried first.
        let mut left: Vec<Security> = v2.into_iter().chain(legacy).collect();
        let security = left.pop().ok_or(ProvisionerError::NeedsSecret)?;
        let task = Task::Switch { switch, security, left };
        Ok(Self::with(device, secrets.random, task, seed))
    }

    /// Returns a phone that asks the device at this address why its last try failed.
    pub fn cause(device: SocketAddr, seed: u64) -> Self {
        Self::with(device, [0; 16], Task::Cause, seed)
    }

    fn with(device: SocketAddr, random: [u8; 16], task: Task, seed: u64) -> Self {
        let endpoint = Endpoint::new(hasty(), seed);
        Self { endpoint, device, random, task, asked: None, tries: 0, count: 0 }
    }

    /// Feeds one input at `now`.
    pub fn handle(&mut self, input: Input<'_>, now: Tick, out: &mut Vec<ProvisionerOutput>) {
        let mut effects = Vec::new();
        match input {
            Input::Start => self.ask(now, &mut effects),
            Input::Datagram { from, bytes } => {
                self.endpoint.receive(from, bytes, now.as_millis(), &mut effects);
            }
            Input::Timeout => self.endpoint.timeout(now.as_millis(), &mut effects),
        }
        self.perform(effects, now, out);
    }

    /// Returns when [`Input::Timeout`] is due, and why.
    pub fn deadline(&self) -> Option<(Tick, &'static str)> {
        self.endpoint.deadline().map(|at| (Tick::from_millis(at), "answer of the device"))
    }

    fn ask(&mut self, now: Tick, effects: &mut Vec<coap::Output>) {
        self.count += 1;
        let id = alloc::format!("{}", self.count);
        let (resource, ask) = match &self.task {
            Task::Switch { switch, security, .. } => {
                let params = switch.to_params(security, &self.random);
                (Resource::SoftApSwitch, Ask::new(id, "awss.device.softap.switchap", params))
            }
            Task::Cause => {
                let ask = Ask::new(id, "awss.device.errcode.get", json!({}));
                // Older versions make the device start anew (§7.3).
                (Resource::ErrorCode, Ask { version: "2.0".into(), ..ask })
            }
        };
        let query = Query {
            life_ms: ANSWER_LIFE_MS,
            ..Query::new(true, coap::Code::GET, &resource.path(None), ask.emit())
        };
        let query = query.with_option(option::CONTENT_FORMAT, vec![option::JSON as u8]);
        self.asked = Some(self.endpoint.query(self.device, query, now.as_millis(), effects));
    }

    fn perform(&mut self, effects: Vec<coap::Output>, now: Tick, out: &mut Vec<ProvisionerOutput>) {
        for effect in effects {
            match effect {
                coap::Output::Send { to, bytes } => {
                    out.push(ProvisionerOutput::Send { to, bytes });
                }
                coap::Output::Response { key, message, .. } if self.asked == Some(key) => {
                    self.asked = None;
                    self.answered(&message.payload, now, out);
                }
                coap::Output::Failed { key, .. } if self.asked == Some(key) => {
                    self.asked = None;
                    self.silent(now, out);
                }
                coap::Output::Request { .. }
                | coap::Output::Response { .. }
                | coap::Output::Failed { .. } => {}
            }
        }
    }

    fn silent(&mut self, now: Tick, out: &mut Vec<ProvisionerOutput>) {
        self.tries += 1;
        if self.tries >= TRIES_MAX {
            return out.push(ProvisionerOutput::Silent);
        }
        let mut effects = Vec::new();
        self.ask(now, &mut effects);
        self.perform(effects, now, out);
    }

    fn answered(&mut self, payload: &[u8], now: Tick, out: &mut Vec<ProvisionerOutput>) {
        let unreadable = ProvisionerOutput::Failed(ProvisionerError::Unreadable);
        let Ok(answer) = Answer::parse(payload) else { return out.push(unreadable) };
        match &mut self.task {
            Task::Cause => out.push(
                ErrorReport::from_value(&answer.data).map_or(unreadable, ProvisionerOutput::Cause),
            ),
            Task::Switch { .. } if answer.code == OK => {
                let info = DeviceInfo::from_value(&answer.data);
                out.push(info.map_or(unreadable, ProvisionerOutput::Accepted));
            }
            Task::Switch { left, security, .. } => {
                let words = String::from(answer.data.as_str().unwrap_or_default());
                let known = SwitchError::from_answer(answer.code, &words);
                // An encryption that this firmware does not know looks like a wrong secret.
                if known == Some(SwitchError::PasswordContent)
                    && let Some(other) = left.pop()
                {
                    *security = other;
                    let mut effects = Vec::new();
                    self.ask(now, &mut effects);
                    return self.perform(effects, now, out);
                }
                let number = answer.code;
                out.push(ProvisionerOutput::Failed(known.map_or(
                    ProvisionerError::Unknown { number, words },
                    ProvisionerError::Refused,
                )));
            }
        }
    }
}
