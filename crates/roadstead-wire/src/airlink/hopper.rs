//! All schemes on one air: which channel to listen on, and every receiver at once.
//!
//! ```text
//! Hopping --a whole guide code--> Staying --locked--> Locked --complete--> (reset by the caller)
//!    ^                               |                   |
//!    '------ stay is over -----------+--- nothing new for a while
//! ```
//!
//! Source: Airlink §1.3 and §1.4.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::airkiss::AirKiss;
use super::esptouch::EspTouch;
use super::esptouch2::EspTouch2;
use super::simpleconfig::SimpleConfig;
use super::smartconfig::SmartConfig;
use super::talker::{Heard, Talkers};
use super::{Event, Frame, Keys, Reason, Receiver, Scheme};

/// How a receiver moves over the channels.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Channels in the order of visits.
    pub channels: Vec<u8>,
    /// Time on each while nothing is heard.
    pub dwell: Duration,
    /// Time on a channel where somebody sounds like a sender.
    pub stay: Duration,
    /// Time without progress after which a lock is given up.
    pub give_up: Duration,
}

impl Default for Plan {
    /// Returns channels 1, 6 and 11 first, then the others of 1..=13; 100 ms each, 400 ms where a
    /// guide code was heard, 3 s without progress (Airlink §1.3).
    fn default() -> Self {
        Self {
            channels: alloc::vec![1, 6, 11, 2, 7, 12, 3, 8, 13, 4, 9, 5, 10],
            dwell: Duration::from_millis(100),
            stay: Duration::from_millis(400),
            give_up: Duration::from_secs(3),
        }
    }
}

/// Several receivers and the channel they listen on. Time is the clock of the caller; frames
/// without a time do not hold a channel.
pub struct Hopper {
    plan: Plan,
    receivers: Vec<Box<dyn Receiver>>,
    talkers: Talkers,
    at: usize,
    until: Duration,
    locked: Option<u8>,
}

impl Hopper {
    /// Listens for these schemes, from the first channel of the plan.
    pub fn new(plan: Plan, schemes: &[Scheme], keys: &Keys, now: Duration) -> Self {
        let receiver = |scheme: &Scheme| -> Box<dyn Receiver> {
            match scheme {
                Scheme::AirKiss => Box::new(AirKiss::new(keys)),
                Scheme::EspTouch => Box::new(EspTouch::new(keys)),
                Scheme::EspTouch2 => Box::new(EspTouch2::new(keys)),
                Scheme::SimpleConfig => Box::new(SimpleConfig::new(keys)),
                Scheme::SmartConfig => Box::new(SmartConfig::new(keys)),
            }
        };
        Self {
            until: now + plan.dwell,
            plan,
            receivers: schemes.iter().map(receiver).collect(),
            talkers: Talkers::new(),
            at: 0,
            locked: None,
        }
    }

    /// Returns the channel to listen on.
    pub fn channel(&self) -> u8 {
        self.locked.or(self.plan.channels.get(self.at).copied()).unwrap_or(1)
    }

    /// Returns when [`Hopper::tick`] wants to be called.
    pub fn deadline(&self) -> Duration {
        self.until
    }

    /// Moves on when the time on this channel is over; says whether the channel changed.
    pub fn tick(&mut self, now: Duration) -> bool {
        if now < self.until {
            return false;
        }
        let before = self.channel();
        self.locked = None;
        self.at = (self.at + 1) % self.plan.channels.len().max(1);
        self.until = now + self.plan.dwell;
        self.channel() != before
    }

    /// Hears a frame; returns the most telling of what the receivers say about it, and which
    /// scheme says it.
    pub fn hear(&mut self, frame: &Frame) -> Option<(Scheme, Event)> {
        if !frame.destination.is_group() || frame.source.is_group() {
            return None;
        }
        let talker = match self.talkers.hear(frame) {
            Heard::Known(talker) => talker,
            Heard::New(talker) => {
                self.receivers.iter_mut().for_each(|receiver| receiver.forget(talker));
                talker
            }
            Heard::Again => return None,
        };
        let mut said: Option<(Scheme, Event)> = None;
        for receiver in &mut self.receivers {
            let Some(event) = receiver.hear(frame, talker) else {
                continue;
            };
            if said.as_ref().is_none_or(|(_, other)| rank(&event) > rank(other)) {
                said = Some((receiver.scheme(), event));
            }
        }
        if let (Some((_, event)), Some(at_us)) = (&said, frame.at_us) {
            self.hold(event, Duration::from_micros(at_us), frame.channel);
        }
        said
    }

    /// Returns why there are no credentials: what the receiver that came furthest says.
    pub fn reason(&self) -> Reason {
        self.receivers.iter().map(|it| it.reason()).max().unwrap_or(Reason::NoGuide)
    }

    /// Stays on a channel because of what was heard there.
    fn hold(&mut self, event: &Event, now: Duration, channel: u8) {
        match event {
            Event::Stay => self.until = self.until.max(now + self.plan.stay),
            Event::Locked { .. } => {
                self.locked = Some(channel);
                self.until = self.until.max(now + self.plan.give_up);
            }
            Event::Progress { .. } if self.locked.is_some() => {
                self.until = self.until.max(now + self.plan.give_up);
            }
            Event::Progress { .. } | Event::Complete(_) | Event::Rejected(_) => {}
        }
    }
}

fn rank(event: &Event) -> u8 {
    match event {
        Event::Stay => 0,
        Event::Progress { .. } => 1,
        Event::Locked { .. } => 2,
        Event::Rejected(_) => 3,
        Event::Complete(_) => 4,
    }
}
