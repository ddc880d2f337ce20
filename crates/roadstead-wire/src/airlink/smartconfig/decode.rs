//! The device's half of smartconfig.
//!
//! A data packet tells its slot, a marker its group; the pace tells which group a slot belongs to
//! when the marker was lost. The checksum has twelve bits and there is nothing else, so every byte
//! has to be heard twice, and more often than any other reading of it.

use alloc::boxed::Box;

use super::super::guide::is_plausible;
use super::super::pace::{Moment, Pace};
use super::super::receiver::{Event, Keys, Receiver};
use super::super::session::Sessions;
use super::super::talker::{PATHS, TALKERS_MAX, TalkerId};
use super::super::vote::Votes;
use super::super::{Credentials, Frame, Mac, Reason, Scheme};
use super::message::{key, parse};
use super::{GROUP, GROUPS, MESSAGE_MAX, SLOTS, START, VALUE_MAX};

/// Packets of a whole group.
const PERIOD: i32 = SLOTS as i32 + 1;
/// How far a packet may be from where the pace puts it.
const OFF_MAX: i32 = 3;
/// How often each byte must have been heard.
const SIGHTINGS: u8 = 2;
/// Shortest message: head and checksum.
const MESSAGE_MIN: u8 = 6;

/// A receiver of smartconfig.
pub struct SmartConfig {
    key: Option<[u8; 16]>,
    watches: [[Watch; PATHS]; TALKERS_MAX],
    sessions: Sessions<Session>,
    reason: Reason,
}

impl SmartConfig {
    /// Listens with these keys.
    pub fn new(keys: &Keys) -> Self {
        Self {
            key: keys.product_secret.as_deref().map(key),
            watches: [[Watch::default(); PATHS]; TALKERS_MAX],
            sessions: Sessions::new(),
            reason: Reason::NoGuide,
        }
    }
}

/// Watches one path of one talker for the start packet: the longest there is, followed by slots.
#[derive(Clone, Copy, Default)]
struct Watch {
    last: u16,
    shown: u16,
    runs: u8,
}

impl Watch {
    /// Hears a frame; returns the overhead once it is certain enough to listen on.
    fn hear(&mut self, frame: &Frame) -> Option<u16> {
        let last = core::mem::replace(&mut self.last, frame.length);
        let overhead = match frame.overhead {
            // Any marker will do when the overhead is known.
            Some(overhead) => {
                let marker = last.checked_sub(overhead).is_some_and(|it| {
                    it == START || (GROUP + 1..GROUP + GROUPS as u16).contains(&it)
                });
                if !marker {
                    return None;
                }
                overhead
            }
            None => last.checked_sub(START).filter(|it| is_plausible(*it))?,
        };
        let first = frame.length.checked_sub(overhead)?;
        if !matches!(Word::of(first), Some(Word::Data { slot: 1, .. })) {
            return None;
        }
        self.runs = if self.shown == overhead { self.runs.saturating_add(1) } else { 1 };
        self.shown = overhead;
        (frame.overhead.is_some() || self.runs > 1).then_some(overhead)
    }
}

/// A packet by its length.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Marker(u8),
    Data { slot: u8, value: u8 },
}

impl Word {
    fn of(length: u16) -> Option<Self> {
        let (slot, value) = (length >> 7, length & 0x7F);
        match length {
            START => Some(Self::Marker(0)),
            _ if length > GROUP && length < GROUP + GROUPS as u16 => {
                Some(Self::Marker((length - GROUP) as u8))
            }
            _ if (2..=SLOTS as u16 + 1).contains(&slot) && value <= VALUE_MAX => {
                Some(Self::Data { slot: slot as u8 - 1, value: value as u8 })
            }
            _ => None,
        }
    }
}

/// One path of a sender.
#[derive(Clone, Copy, Default)]
struct Path {
    overhead: Option<u16>,
    pace: Pace,
    last: Option<(Word, Moment)>,
    /// Where the last packet stood in the round.
    place: Option<i32>,
}

/// What is known of one sender's message.
struct Session {
    paths: [Path; PATHS],
    bytes: [Votes; MESSAGE_MAX],
    have: u16,
}

impl Default for Session {
    fn default() -> Self {
        Self { paths: Default::default(), bytes: [Votes::default(); MESSAGE_MAX], have: 0 }
    }
}

impl Receiver for SmartConfig {
    fn scheme(&self) -> Scheme {
        Scheme::SmartConfig
    }

    fn hear(&mut self, frame: &Frame, talker: TalkerId) -> Option<Event> {
        let path = talker.path();
        let mut said = None;
        if let Some(overhead) = self.watches[talker.place()][path].hear(frame) {
            let session = self.sessions.open(talker);
            let known = session.paths[path].overhead;
            // Start is the longest packet: with slot 8 taken for it, the overhead comes out too low,
            // and what was collected under it is wrong.
            if known.is_none_or(|known| known < overhead) {
                if known.is_some() {
                    *session = Session::default();
                }
                session.paths[path].overhead = Some(overhead);
                said = Some(Event::locked(Scheme::SmartConfig, frame));
                self.reason = self.reason.max(Reason::LockedNoData);
            }
        }
        let Some(session) = self.sessions.of(talker) else {
            return said;
        };
        let overhead = session.paths[path].overhead;
        let word = overhead.and_then(|it| frame.length.checked_sub(it)).and_then(Word::of);
        let Some(word) = word else {
            return said;
        };
        if !session.hear(path, word, Moment::of(frame)) {
            return said;
        }
        match session.read(self.key, frame.bssid) {
            Ok(Some(credentials)) => Some(Event::Complete(credentials)),
            Ok(None) => said.or_else(|| session.progress()),
            Err(reason) => {
                self.reason = reason;
                said
            }
        }
    }

    fn forget(&mut self, talker: TalkerId) {
        self.watches[talker.place()] = [Watch::default(); PATHS];
        self.sessions.close(talker);
    }

    fn reason(&self) -> Reason {
        self.reason
    }
}

impl Session {
    /// Places a packet and votes; says whether a decision may have changed.
    fn hear(&mut self, path: usize, word: Word, moment: Moment) -> bool {
        let total = self.total();
        let known = &mut self.paths[path];
        if let (Some((Word::Data { slot: last, .. }, then)), Word::Data { slot, .. }) =
            (known.last, word)
            && (1..=2).contains(&(i32::from(slot) - i32::from(last)))
        {
            known.pace.learn(then, moment, i32::from(slot) - i32::from(last));
        }
        let steps = known.last.and_then(|(_, then)| known.pace.words(then, moment));
        let expected = known.place.zip(steps).map(|(place, steps)| place + steps);
        let (place, changed) = match word {
            Word::Marker(group) => (Some(PERIOD * i32::from(group)), false),
            Word::Data { slot, value } => {
                let place = known.group_of(slot, expected, total);
                let at =
                    place.map(|place| (place / PERIOD) as usize * SLOTS + usize::from(slot) - 1);
                let votes = at.and_then(|at| self.bytes.get_mut(at));
                (place, votes.is_some_and(|votes| votes.add(value)))
            }
        };
        if steps.is_none_or(|steps| steps > 0) {
            let known = &mut self.paths[path];
            known.place = place;
            known.last = Some((word, moment));
        }
        changed
    }

    /// Returns the length of the message, as far as the votes tell.
    fn total(&self) -> Option<u8> {
        let (total, count) = self.bytes[0].best()?;
        (count >= SIGHTINGS && total >= MESSAGE_MIN).then_some(total)
    }

    /// Reports how many bytes were heard twice.
    fn progress(&mut self) -> Option<Event> {
        let need = usize::from(self.total()?);
        let certain = |votes: &&Votes| votes.best().is_some_and(|(_, count)| count >= SIGHTINGS);
        let have = self.bytes.iter().take(need).filter(certain).count() as u16;
        if have <= self.have {
            return None;
        }
        self.have = have;
        Some(Event::Progress { have, need: Some(need as u16) })
    }

    /// Tries to read the message.
    fn read(
        &mut self,
        key: Option<[u8; 16]>,
        heard: Mac,
    ) -> Result<Option<Box<Credentials>>, Reason> {
        let Some(total) = self.total() else {
            return Ok(None);
        };
        let total = usize::from(total);
        let mut message = [0; u8::MAX as usize];
        for (byte, votes) in message.iter_mut().zip(&self.bytes).take(total) {
            match votes.best() {
                Some((value, count)) if count >= SIGHTINGS && votes.leads() => *byte = value,
                _ => return Ok(None),
            }
        }
        let message = message.get(..total).filter(|_| total <= MESSAGE_MAX);
        match parse(message.ok_or(Reason::ChecksumConflict)?, key) {
            Ok(mut credentials) => {
                credentials.bssid = heard.known();
                Ok(Some(Box::new(credentials)))
            }
            Err(reason) => {
                if reason == Reason::ChecksumConflict {
                    self.bytes.iter_mut().for_each(Votes::doubt);
                }
                Err(reason)
            }
        }
    }
}

impl Path {
    /// Returns where a slot stands: in the group whose place fits the pace, or without a pace in
    /// the current group while slots rise.
    fn group_of(&self, slot: u8, expected: Option<i32>, total: Option<u8>) -> Option<i32> {
        let slot = i32::from(slot);
        let Some(expected) = expected else {
            let place = self.place?;
            return (slot > place % PERIOD).then_some(place - place % PERIOD + slot);
        };
        let round = total.map_or(i32::MAX, |total| {
            let total = i32::from(total);
            total + (total + SLOTS as i32 - 1) / SLOTS as i32
        });
        let expected = expected.rem_euclid(round);
        let group = (expected - slot + PERIOD / 2).div_euclid(PERIOD);
        let place = PERIOD * group + slot;
        (group >= 0 && (place - expected).abs() <= OFF_MAX).then_some(place)
    }
}
