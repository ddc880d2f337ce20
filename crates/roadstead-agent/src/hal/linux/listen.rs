//! Listening for credentials: a radio, or a recording of one, and the receivers of `wire`.
//!
//! Blocking: a program gives it a thread. [`Replay`] is the fake of a radio, and the way recorded
//! airs are read.

use std::collections::VecDeque;
use std::time::Duration;

use roadstead_wire::airlink::{Credentials, Event, Frame, Hopper, Keys, Mac, Plan, Reason, Scheme};

/// A radio that overhears frames.
pub trait Sniffer {
    /// Goes to a channel.
    ///
    /// # Errors
    /// The radio does not go there.
    fn tune(&mut self, channel: u8) -> Result<(), SnifferError>;

    /// Waits for a frame, until `until` on the radio's clock.
    ///
    /// # Errors
    /// The radio is gone.
    fn hear(&mut self, until: Duration) -> Result<Heard, SnifferError>;

    /// Returns the radio's clock, that of [`Frame::at_us`].
    fn now(&self) -> Duration;
}

/// What a radio heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A data frame for a group.
    Frame(Frame),
    /// Something that carries no credentials.
    Other,
    /// Nothing until the time was over.
    Nothing,
    /// Nothing, and nothing will come: a recording is at its end.
    End,
}

/// Why a radio does not overhear frames.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnifferError {
    /// There is no such interface.
    #[error("there is no interface `{interface}`")]
    NoInterface {
        /// Its name.
        interface: String,
    },
    /// The interface shows Ethernet frames, or none.
    #[error("interface `{interface}` is not in monitor mode: it shows {shows}")]
    NotMonitor {
        /// Its name.
        interface: String,
        /// What it shows instead.
        shows: String,
    },
    /// The interface is down.
    #[error("interface `{interface}` is down")]
    Down {
        /// Its name.
        interface: String,
    },
    /// The process may not do that.
    #[error("{what} is not permitted; it needs {needs}")]
    Denied {
        /// What was tried.
        what: &'static str,
        /// The capability it needs.
        needs: &'static str,
    },
    /// The radio does not go to a channel.
    #[error("`{interface}` does not go to channel {channel}")]
    Channel {
        /// Its name.
        interface: String,
        /// The channel.
        channel: u8,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The system failed otherwise.
    #[error("{what}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

impl SnifferError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoInterface { .. } => "monitor.no_interface",
            Self::NotMonitor { .. } => "monitor.not_in_monitor_mode",
            Self::Down { .. } => "monitor.down",
            Self::Denied { .. } => "monitor.denied",
            Self::Channel { .. } => "monitor.channel",
            Self::Failed { .. } => "monitor.failed",
        }
    }
}

/// What happened while listening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listened {
    /// The radio went to a channel.
    Channel(u8),
    /// A sender was recognised.
    Locked {
        /// The scheme it speaks.
        scheme: Scheme,
        /// The channel.
        channel: u8,
        /// The access point.
        bssid: Mac,
        /// The phone.
        source: Mac,
    },
    /// More of a message is known.
    Progress {
        /// The scheme.
        scheme: Scheme,
        /// Units known.
        have: u16,
        /// Units in all, once that is known.
        need: Option<u16>,
    },
}

/// Somebody's credentials.
#[derive(Clone, Debug)]
pub struct Found {
    /// The scheme they came by.
    pub scheme: Scheme,
    /// What was told.
    pub credentials: Box<Credentials>,
    /// The frame that made them whole.
    pub frame: Frame,
}

/// How listening ended without credentials: after how many frames, and why as far as can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Data frames for a group that were heard.
    pub frames: u64,
    /// What the receiver that came furthest says.
    pub reason: Reason,
}

/// Listens until somebody's credentials are whole, the recording is at its end, or `wait` is over;
/// tells `tell` what happens meanwhile. `Ok(Err(_))` is the end without credentials.
///
/// # Errors
/// The radio fails.
pub fn listen(
    sniffer: &mut dyn Sniffer,
    plan: Plan,
    schemes: &[Scheme],
    keys: &Keys,
    wait: Option<Duration>,
    tell: &mut dyn FnMut(Listened),
) -> Result<Result<Found, Missed>, SnifferError> {
    let mut hopper = Hopper::new(plan, schemes, keys, sniffer.now());
    let end = wait.map(|wait| sniffer.now() + wait);
    let mut frames = 0;
    go(sniffer, hopper.channel(), tell)?;
    loop {
        let now = sniffer.now();
        if end.is_some_and(|end| now >= end) {
            return Ok(Err(Missed { frames, reason: hopper.reason() }));
        }
        if hopper.tick(now) {
            go(sniffer, hopper.channel(), tell)?;
        }
        let until = end.map_or(hopper.deadline(), |end| end.min(hopper.deadline()));
        let frame = match sniffer.hear(until)? {
            Heard::Frame(frame) => frame,
            Heard::Other | Heard::Nothing => continue,
            Heard::End => return Ok(Err(Missed { frames, reason: hopper.reason() })),
        };
        frames += 1;
        match hopper.hear(&frame) {
            Some((scheme, Event::Complete(credentials))) => {
                return Ok(Ok(Found { scheme, credentials, frame }));
            }
            Some((_, Event::Locked { scheme, channel, bssid, source })) => {
                tell(Listened::Locked { scheme, channel, bssid, source });
            }
            Some((scheme, Event::Progress { have, need })) => {
                tell(Listened::Progress { scheme, have, need });
            }
            Some((_, Event::Stay | Event::Rejected(_))) | None => {}
        }
    }
}

fn go(
    sniffer: &mut dyn Sniffer,
    channel: u8,
    tell: &mut dyn FnMut(Listened),
) -> Result<(), SnifferError> {
    sniffer.tune(channel)?;
    tell(Listened::Channel(channel));
    Ok(())
}

/// A recorded air in place of a radio: hears what was sent on the channel it is on, in the time of
/// the recording. Frames without a channel are heard on every one.
pub struct Replay {
    frames: VecDeque<Frame>,
    channel: u8,
    now: Duration,
}

impl Replay {
    /// Plays frames in their order.
    pub fn new(frames: impl IntoIterator<Item = Frame>) -> Self {
        let frames: VecDeque<Frame> = frames.into_iter().collect();
        let start = frames.iter().find_map(|frame| frame.at_us).unwrap_or(0);
        Self { frames, channel: 0, now: Duration::from_micros(start) }
    }
}

impl Sniffer for Replay {
    fn tune(&mut self, channel: u8) -> Result<(), SnifferError> {
        self.channel = channel;
        Ok(())
    }

    fn hear(&mut self, until: Duration) -> Result<Heard, SnifferError> {
        let Some(next) = self.frames.front() else { return Ok(Heard::End) };
        let at = next.at_us.map_or(self.now, Duration::from_micros);
        if at > until && until > self.now {
            self.now = until;
            return Ok(Heard::Nothing);
        }
        // A recording may have swapped frames: its clock does not go back.
        self.now = self.now.max(at);
        let frame = self.frames.pop_front();
        let here = |frame: &Frame| frame.channel == 0 || frame.channel == self.channel;
        Ok(frame.filter(here).map_or(Heard::Other, Heard::Frame))
    }

    fn now(&self) -> Duration {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use roadstead_wire::airlink::Request;
    use roadstead_wire::airlink::air::{Air, Weather};

    use super::*;

    fn air(channel: u8, seconds: u64) -> Vec<Frame> {
        let request = Request {
            ssid: b"TP-LINK_2F3A",
            password: b"12345678",
            bssid: Mac([2, 0, 0, 0, 0, 1]),
            phone_ip: [192, 168, 1, 100],
            phone_mac: Mac([2, 0, 0, 0, 0, 2]),
            key: None,
            extra: &[],
            omit_ssid: false,
            port_mark: 0,
            zero_iv: false,
            multicast: false,
            random: [7; 20],
        };
        let round = Scheme::AirKiss.encode(&request).expect("it fits");
        let weather = Weather { loss: 0.2, channel, ..Weather::default() };
        Air::new(&round, weather, request.phone_mac, request.bssid, 3)
            .take_while(|frame| frame.at_us.is_some_and(|at| at < seconds * 1_000_000))
            .collect()
    }

    #[test]
    fn the_channel_is_found_and_kept_until_the_message_is_whole() {
        for channel in [1, 7, 13] {
            let mut told = Vec::new();
            let mut replay = Replay::new(air(channel, 30));
            let found = listen(
                &mut replay,
                Plan::default(),
                &Scheme::ALL,
                &Keys::default(),
                None,
                &mut |what| told.push(what),
            );
            let Found { scheme, credentials, frame } =
                found.expect("a radio").expect("credentials");
            assert_eq!((scheme, frame.channel), (Scheme::AirKiss, channel));
            assert_eq!(credentials.ssid_text(), "TP-LINK_2F3A");
            let locked = |it: &Listened| matches!(it, Listened::Locked { channel: at, .. } if *at == channel);
            let at = told.iter().position(locked).expect("a lock");
            let left = told[at..].iter().any(|it| matches!(it, Listened::Channel(_)));
            assert!(!left, "channel {channel} was left after the lock: {told:?}");
        }
    }

    #[test]
    fn an_end_without_credentials_has_its_reason() {
        let mut replay = Replay::new(air(6, 1));
        let end = listen(
            &mut replay,
            Plan { channels: vec![6], ..Plan::default() },
            &[Scheme::AirKiss],
            &Keys::default(),
            None,
            &mut |_| {},
        );
        let missed = end.expect("a radio").expect_err("too short");
        assert_eq!(missed.reason, Reason::LockedNoData);
        assert!(missed.frames > 100);
    }

    #[test]
    fn the_wait_is_over_on_the_clock_of_the_radio() {
        let mut replay = Replay::new(air(6, 30));
        let start = replay.now();
        let end = listen(
            &mut replay,
            Plan { channels: vec![1, 11], ..Plan::default() },
            &Scheme::ALL,
            &Keys::default(),
            Some(Duration::from_secs(5)),
            &mut |_| {},
        );
        assert_eq!(end.expect("a radio").expect_err("elsewhere").reason, Reason::NoGuide);
        assert_eq!(replay.now() - start, Duration::from_secs(5));
    }
}
