//! One onboarding attempt: stage times seen by phone, device and cloud, ended by success or by
//! exactly one reason code.
//!
//! An attempt starts when a phone makes a bind token, or when an unbound device first shows up
//! without one. It ends when the device is bound and has reported, when a party fails for good,
//! or when its life is over.

use alloc::boxed::Box;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::limit::{ATTEMPT_LIFE, ATTEMPT_STAGES_MAX};
use crate::{AttemptId, DeviceId, SpaceId, Timestamp, UserId};

/// One onboarding attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Stable id.
    pub id: AttemptId,
    /// Tenant.
    pub space: SpaceId,
    /// Whose phone.
    pub user: Option<UserId>,
    /// Which device, once known.
    pub device: Option<DeviceId>,
    /// Provisioning method, once known: `softap`, `airkiss`, …
    pub method: Option<Box<str>>,
    /// Stage marks in order of arrival; at most [`ATTEMPT_STAGES_MAX`].
    pub stages: Vec<Mark>,
    /// How it ended; `None` while it runs.
    pub ending: Option<Outcome>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// The device is its owner's.
    Success,
    /// It is not.
    Failure {
        /// Stable code, see [`crate::code`].
        code: Box<str>,
        /// Evidence for people; never a secret.
        detail: Box<str>,
    },
}

/// One stage mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which stage.
    pub stage: Stage,
    /// Who saw it.
    pub by: Witness,
    /// When, by the platform's clock. Device ticks are shifted so that the tick of the token's
    /// publication falls on its arrival.
    pub at: Timestamp,
    /// Evidence for people; never a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<str>>,
}

/// Who saw a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// The phone.
    Phone,
    /// The device.
    Device,
    /// The platform.
    Cloud,
}

/// The stages, in the order of a complete journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The phone made a bind token.
    TokenCreated,
    /// The device entered provisioning mode.
    ProvisioningStarted,
    /// The phone joined the device's own network or found the device.
    DeviceFound,
    /// The phone sent network name, password and token.
    CredentialsSent,
    /// The device has them.
    CredentialsReceived,
    /// The device answered with its identity.
    DeviceReplied,
    /// The device joined the network.
    NetworkJoined,
    /// The device registered itself and has its secret.
    Registered,
    /// The device began to connect.
    Connecting,
    /// The device is logged in.
    Connected,
    /// The device published its token.
    TokenSent,
    /// The platform has the token.
    TokenReported,
    /// The device belongs to its owner.
    Bound,
    /// The device's first report after binding.
    FirstReport,
}

impl Stage {
    /// Every stage in order.
    pub const ALL: [Self; 14] = [
        Self::TokenCreated,
        Self::ProvisioningStarted,
        Self::DeviceFound,
        Self::CredentialsSent,
        Self::CredentialsReceived,
        Self::DeviceReplied,
        Self::NetworkJoined,
        Self::Registered,
        Self::Connecting,
        Self::Connected,
        Self::TokenSent,
        Self::TokenReported,
        Self::Bound,
        Self::FirstReport,
    ];

    /// Returns the stable name.
    pub fn name(self) -> &'static str {
        match self {
            Self::TokenCreated => "token_created",
            Self::ProvisioningStarted => "provisioning_started",
            Self::DeviceFound => "device_found",
            Self::CredentialsSent => "credentials_sent",
            Self::CredentialsReceived => "credentials_received",
            Self::DeviceReplied => "device_replied",
            Self::NetworkJoined => "network_joined",
            Self::Registered => "registered",
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::TokenSent => "token_sent",
            Self::TokenReported => "token_reported",
            Self::Bound => "bound",
            Self::FirstReport => "first_report",
        }
    }

    /// Returns the stage called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

impl Attempt {
    /// Returns a running attempt without marks.
    pub fn new(id: AttemptId, space: SpaceId, user: Option<UserId>, now: Timestamp) -> Self {
        Self {
            id,
            space,
            user,
            device: None,
            method: None,
            stages: Vec::new(),
            ending: None,
            started_at: now,
            ended_at: None,
        }
    }

    /// Adds a mark. The first mark of a stage by a witness counts; marks after the end or past
    /// the limit are dropped. Returns whether it was added.
    pub fn mark(&mut self, mark: Mark) -> bool {
        let known = self.stages.iter().any(|m| m.stage == mark.stage && m.by == mark.by);
        let late = self.ending.is_some() && mark.stage != Stage::FirstReport;
        if known || late || self.stages.len() >= ATTEMPT_STAGES_MAX {
            return false;
        }
        self.stages.push(mark);
        true
    }

    /// Ends the attempt; the first ending counts. Returns whether it was this one.
    pub fn end(&mut self, ending: Outcome, now: Timestamp) -> bool {
        if self.ending.is_some() {
            return false;
        }
        self.ending = Some(ending);
        self.ended_at = Some(now);
        true
    }

    /// Returns the ending of an attempt whose life is over: the code says how far it came.
    pub fn overdue(&self, now: Timestamp) -> Option<Outcome> {
        if self.ending.is_some() || now < self.started_at + ATTEMPT_LIFE {
            return None;
        }
        let furthest = self.furthest();
        let code = match furthest {
            None
            | Some(
                Stage::TokenCreated
                | Stage::ProvisioningStarted
                | Stage::DeviceFound
                | Stage::CredentialsSent,
            ) => "attempt.device_silent",
            Some(Stage::CredentialsReceived | Stage::DeviceReplied) => "attempt.network_not_joined",
            Some(Stage::NetworkJoined | Stage::Registered | Stage::Connecting) => {
                "attempt.never_connected"
            }
            Some(Stage::Connected | Stage::TokenSent) => "attempt.token_not_reported",
            Some(Stage::TokenReported) => "attempt.not_confirmed",
            Some(Stage::Bound | Stage::FirstReport) => return Some(Outcome::Success),
        };
        let reached = furthest.map_or("nothing", Stage::name);
        let detail = alloc::format!("last stage seen: {reached}");
        Some(Outcome::Failure { code: code.into(), detail: detail.into() })
    }

    /// Returns the furthest stage anybody saw.
    pub fn furthest(&self) -> Option<Stage> {
        self.stages.iter().map(|mark| mark.stage).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(stages: &[Stage]) -> Attempt {
        let mut attempt = Attempt::new("a".into(), "s".into(), None, Timestamp(0));
        for &stage in stages {
            attempt.mark(Mark { stage, by: Witness::Cloud, at: Timestamp(1), detail: None });
        }
        attempt
    }

    #[test]
    fn an_overdue_attempt_says_how_far_it_came() {
        let end = Timestamp(0) + ATTEMPT_LIFE;
        for (stages, expected) in [
            (&[][..], "attempt.device_silent"),
            (&[Stage::TokenCreated, Stage::CredentialsSent], "attempt.device_silent"),
            (&[Stage::DeviceReplied], "attempt.network_not_joined"),
            (&[Stage::Registered], "attempt.never_connected"),
            (&[Stage::Connected], "attempt.token_not_reported"),
            (&[Stage::TokenReported], "attempt.not_confirmed"),
        ] {
            let attempt = attempt(stages);
            assert_eq!(attempt.overdue(end - core::time::Duration::from_millis(1)), None);
            let Some(Outcome::Failure { code, .. }) = attempt.overdue(end) else {
                panic!("{expected}");
            };
            assert_eq!(&*code, expected);
        }
        assert_eq!(attempt(&[Stage::Bound]).overdue(end), Some(Outcome::Success));
    }

    #[test]
    fn marks_and_endings_count_once() {
        let mut a = attempt(&[Stage::Connected]);
        let again =
            Mark { stage: Stage::Connected, by: Witness::Cloud, at: Timestamp(5), detail: None };
        assert!(!a.mark(again.clone()));
        assert!(a.mark(Mark { by: Witness::Device, ..again }));
        assert!(a.end(Outcome::Success, Timestamp(9)));
        assert!(!a.end(Outcome::Success, Timestamp(10)));
        assert_eq!(a.ended_at, Some(Timestamp(9)));
        for n in 0..Stage::ALL.len() {
            let stage = Stage::ALL[n];
            assert_eq!(Stage::parse(stage.name()), Some(stage));
        }
    }
}
