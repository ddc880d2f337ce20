//! The time service, and the guard against firmware that asks for the time without end.
//!
//! SDK 3.1 builds with log upload and time service recurse: the upload asks for the time, waiting
//! for the time triggers the upload. They must stay at log level 0 (Tencent §11, run).
//!
//! Source: Tencent §8, §11.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use roadstead_core::Timestamp;
use roadstead_core::exchange::Uplink;
use serde::{Deserialize, Serialize};

use super::message::{heard, ignored, message, noted, unreadable};
use super::reply::Kind;
use crate::cloud::{Heard, Message};
use crate::tencent::topic::Topic;

/// More time requests than this within one second are the recursion; a sane device asks once,
/// three times at worst.
const TIME_REQUESTS_PER_SECOND_MAX: u8 = 5;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, rename = "type")]
    ty: Cow<'a, str>,
    #[serde(borrow, default)]
    resource: Vec<Cow<'a, str>>,
}

/// Understands one message of `$sys/operation`.
pub(super) fn uplink(payload: &[u8]) -> Heard {
    match serde_json::from_slice::<Body<'_>>(payload) {
        Ok(body) if body.ty == "get" && body.resource.iter().any(|name| name == "time") => {
            heard(Uplink::Time, Kind::Time, "")
        }
        Ok(body) => ignored(&body.ty),
        Err(error) => noted(unreadable(&error)),
    }
}

#[derive(Serialize)]
struct TimeReply {
    #[serde(rename = "type")]
    ty: &'static str,
    time: i64,
    ntptime1: i64,
    ntptime2: i64,
}

/// Writes the time. `time` is mandatory for the SDK, the other two make it exact.
pub(super) fn reply(topic: Topic<'_>, received: Timestamp, sent: Timestamp) -> Message {
    let body = TimeReply {
        ty: "get",
        time: sent.as_secs(),
        ntptime1: received.as_millis(),
        ntptime2: sent.as_millis(),
    };
    message(topic, &body, 0)
}

/// Counts time requests of one connection.
#[derive(Default)]
pub(super) struct TimeGuard {
    second: i64,
    requests: u8,
    state: Recursion,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Recursion {
    #[default]
    No,
    Found,
    Told,
}

impl TimeGuard {
    /// Counts one request.
    pub(super) fn count(&mut self, now: Timestamp) {
        if self.second != now.as_secs() {
            (self.second, self.requests) = (now.as_secs(), 0);
        }
        self.requests = self.requests.saturating_add(1);
        if self.requests > TIME_REQUESTS_PER_SECOND_MAX && self.state == Recursion::No {
            self.state = Recursion::Found;
        }
    }

    /// True once, when the device must be told to stop logging.
    pub(super) fn take_alarm(&mut self) -> bool {
        let alarm = self.state == Recursion::Found;
        if alarm {
            self.state = Recursion::Told;
        }
        alarm
    }

    /// True for a device that must stay at log level 0.
    pub(super) fn is_silenced(&self) -> bool {
        self.state != Recursion::No
    }
}
