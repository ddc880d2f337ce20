//! Asynchronous commands: a queue per device, one command in flight, every state and timer.
//!
//! ```text
//! PENDING --expire over--> EXPIRED            PENDING --cancel--> CANCELED
//! PENDING --its turn--> SENT                  PENDING, SENT --cannot be sent--> FAILED
//! SENT --acknowledged--> DELIVERED            SENT --waits and repeats used up--> TIMEOUT
//! SENT --connection lost--> SENT, parked (delay; the turn comes again) or TIMEOUT (immediately)
//! SENT, DELIVERED --answer--> SUCCESSFUL or FAILED
//! DELIVERED --no answer in time--> TIMEOUT
//! ```
//!
//! A pure decision: stores call it inside the transaction that keeps its outcome; the caller
//! sends. An answer may come before its acknowledgement (trap T18), and an ended command never
//! changes again. Not here: synchronous requests (the module above), transports.
//!
//! Source: Huawei §8.2, §9.5; the wait for an answer after delivery is UNVERIFIED and a setting.

use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exchange::Response;
use crate::{CommandId, DeviceId, Map, Timestamp, Value};

/// State of an asynchronous command; the names are those of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Kept, not sent.
    Pending,
    /// Was kept for too long.
    Expired,
    /// On its way, not acknowledged.
    Sent,
    /// The device has it.
    Delivered,
    /// The device did it.
    Successful,
    /// It could not be sent, or the device did not do it.
    Failed,
    /// No acknowledgement or no answer in time.
    Timeout,
    /// Taken back before it was sent.
    Canceled,
}

impl Status {
    /// Every state, in the order of a command's life.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Sent,
        Self::Delivered,
        Self::Successful,
        Self::Failed,
        Self::Timeout,
        Self::Expired,
        Self::Canceled,
    ];

    /// True while the command is in the queue; otherwise it is history.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Sent | Self::Delivered)
    }

    /// Returns the name of the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Expired => "EXPIRED",
            Self::Sent => "SENT",
            Self::Delivered => "DELIVERED",
            Self::Successful => "SUCCESSFUL",
            Self::Failed => "FAILED",
            Self::Timeout => "TIMEOUT",
            Self::Canceled => "CANCELED",
        }
    }

    /// Returns the state of a name of the API.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// When a command leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// Now; it fails when the device is away at its turn.
    Immediately,
    /// When the device can take it.
    Delay,
}

/// How long each step may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Shortest and longest wait for an acknowledgement after each sending; the command is sent
    /// again after each but the last. Unused entries are zero.
    pub ack_waits: [(Duration, Duration); 4],
    /// Sendings, 1 to 4.
    pub sends_max: u8,
    /// Wait for the answer after the acknowledgement. UNVERIFIED.
    pub answer_wait: Duration,
}

impl Policy {
    /// Over a transport that repeats by itself (MQTT over TCP): sent once.
    pub const RELIABLE: Self = Self {
        ack_waits: [
            (Duration::from_secs(20), Duration::from_secs(20)),
            (Duration::ZERO, Duration::ZERO),
            (Duration::ZERO, Duration::ZERO),
            (Duration::ZERO, Duration::ZERO),
        ],
        sends_max: 1,
        answer_wait: Duration::from_secs(180),
    };

    /// Over datagrams: repeated after 10-15, 20-30 and 40-60 s, given up after 80-180 s more.
    pub const DATAGRAM: Self = Self {
        ack_waits: [
            (Duration::from_secs(10), Duration::from_secs(15)),
            (Duration::from_secs(20), Duration::from_secs(30)),
            (Duration::from_secs(40), Duration::from_secs(60)),
            (Duration::from_secs(80), Duration::from_secs(180)),
        ],
        sends_max: 4,
        answer_wait: Duration::from_secs(180),
    };

    /// Returns the wait after sending number `send` (from 1); `jitter` picks a point between the
    /// shortest and the longest.
    pub fn ack_wait(&self, send: u8, jitter: u8) -> Duration {
        let n = usize::from(send.max(1) - 1).min(self.ack_waits.len() - 1);
        let (least, most) = self.ack_waits[n];
        least + most.saturating_sub(least) * u32::from(jitter) / u32::from(u8::MAX)
    }
}

/// One asynchronous command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// Unique per device.
    pub id: CommandId,
    /// Whose.
    pub device: DeviceId,
    /// Service id.
    pub service: Box<str>,
    /// Command id.
    pub command: Box<str>,
    /// Canonical parameters, already checked against the model.
    pub params: Map<String, Value>,
    /// When it leaves.
    pub strategy: Strategy,
    /// How long it may wait to be sent, seconds.
    pub expire_s: u32,
    /// Where it stands.
    pub status: Status,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was sent last.
    pub sent_at: Option<Timestamp>,
    /// When the device acknowledged it.
    pub delivered_at: Option<Timestamp>,
    /// When the device answered.
    pub answered_at: Option<Timestamp>,
    /// When it left the queue.
    pub ended_at: Option<Timestamp>,
    /// When something happens if nothing else does; `None` once it has ended.
    pub due_at: Option<Timestamp>,
    /// Sendings of this turn.
    pub sends: u8,
    /// The connection was lost before the acknowledgement; its turn comes again.
    #[serde(default)]
    pub is_parked: bool,
    /// What the device answered.
    pub answer: Option<Answer>,
    /// Stable code of a failure.
    pub reason: Option<Box<str>>,
}

/// What a device answered to a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The device's own code; 0 is success.
    pub code: i64,
    /// The device's words.
    pub status: Box<str>,
    /// Canonical output.
    pub output: Map<String, Value>,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self { code: response.code, status: response.status, output: response.output }
    }
}

/// Something that happened to a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// It is the first of its queue, and the device can take it; `jitter` spreads repetitions.
    Turn {
        /// Random.
        jitter: u8,
    },
    /// The device acknowledged it.
    Acked,
    /// The device answered.
    Answered(Answer),
    /// It cannot be sent, now or ever; a stable code.
    Unsendable(Box<str>),
    /// The connection ended before the acknowledgement.
    Lost,
    /// Whoever created it takes it back.
    Cancel,
    /// `due_at` may have come.
    Timeout {
        /// Random.
        jitter: u8,
    },
}

/// What follows from an [`Input`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nothing changed: too early, too late, or told already.
    Nothing,
    /// It changed; there is nothing to send.
    Changed,
    /// Send it, for the first time or again.
    Send,
}

impl Command {
    /// Returns how long it may wait, as a duration.
    pub fn expire(&self) -> Duration {
        Duration::from_secs(self.expire_s.into())
    }

    /// True from its sending to its end, unless it is parked: no other command may leave.
    pub fn is_in_flight(&self) -> bool {
        match self.status {
            Status::Sent => !self.is_parked,
            Status::Delivered => true,
            Status::Pending
            | Status::Expired
            | Status::Successful
            | Status::Failed
            | Status::Timeout
            | Status::Canceled => false,
        }
    }

    /// Feeds one input at `now`.
    pub fn handle(&mut self, input: Input, now: Timestamp, policy: &Policy) -> Output {
        use Status::{Delivered, Failed, Pending, Sent, Successful};

        match (self.status, input) {
            (Pending, Input::Turn { .. } | Input::Timeout { .. }) if self.is_expired(now) => {
                self.end(Status::Expired, Some("command.expired"), now)
            }
            (Pending, Input::Turn { jitter }) => self.send(1, jitter, now, policy),
            (Sent, Input::Turn { jitter }) if self.is_parked => self.send(1, jitter, now, policy),
            (Pending, Input::Cancel) => self.end(Status::Canceled, None, now),
            (Pending | Sent, Input::Unsendable(code)) => self.end(Failed, Some(&code), now),
            (Sent, Input::Acked) => {
                self.status = Delivered;
                self.is_parked = false;
                self.delivered_at = Some(now);
                self.due_at = Some(now + policy.answer_wait);
                Output::Changed
            }
            (Sent | Delivered, Input::Answered(answer)) => {
                let done = answer.code == 0;
                self.answer = Some(answer);
                self.answered_at = Some(now);
                // The answer proves the delivery (T18).
                self.delivered_at.get_or_insert(now);
                match done {
                    true => self.end(Successful, None, now),
                    false => self.end(Failed, Some("command.refused"), now),
                }
            }
            (Sent, Input::Lost) if !self.is_parked => self.lose(now),
            (Sent, Input::Timeout { jitter }) if self.is_due(now) => {
                match !self.is_parked && self.sends < policy.sends_max {
                    true => self.send(self.sends + 1, jitter, now, policy),
                    false => self.end(Status::Timeout, Some("command.no_ack"), now),
                }
            }
            (Delivered, Input::Timeout { .. }) if self.is_due(now) => {
                self.end(Status::Timeout, Some("command.no_answer"), now)
            }
            _ => Output::Nothing,
        }
    }

    fn send(&mut self, number: u8, jitter: u8, now: Timestamp, policy: &Policy) -> Output {
        self.status = Status::Sent;
        self.is_parked = false;
        self.sends = number;
        self.sent_at = Some(now);
        self.due_at = Some(now + policy.ack_wait(number, jitter));
        Output::Send
    }

    fn lose(&mut self, now: Timestamp) -> Output {
        let last = self.created_at + self.expire();
        match self.strategy {
            Strategy::Delay if now < last => {
                self.is_parked = true;
                self.due_at = Some(last);
                Output::Changed
            }
            Strategy::Delay | Strategy::Immediately => {
                self.end(Status::Timeout, Some("command.lost"), now)
            }
        }
    }

    fn end(&mut self, status: Status, reason: Option<&str>, now: Timestamp) -> Output {
        self.status = status;
        self.is_parked = false;
        self.reason = reason.map(Into::into);
        self.ended_at = Some(now);
        self.due_at = None;
        Output::Changed
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.created_at + self.expire()
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.due_at.is_some_and(|due| now >= due)
    }
}

/// Gives the turn to the oldest command that may leave, expiring those before it; `queue` holds a
/// device's open commands, oldest first. Returns the place of the one to send.
pub fn turn(queue: &mut [Command], now: Timestamp, jitter: u8, policy: &Policy) -> Option<usize> {
    if queue.iter().any(Command::is_in_flight) {
        return None;
    }
    (0..queue.len()).find(|&n| queue[n].handle(Input::Turn { jitter }, now, policy) == Output::Send)
}

#[cfg(test)]
mod tests;
