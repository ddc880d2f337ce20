//! The device's half of ESPTouch v1.
//!
//! Halves are joined by their neighbour: the word before an index word carries the high halves, the
//! word behind it the low ones. Where the index word itself was lost, the order of the bytes tells:
//! it is the same in every repetition, so the receiver learns which index follows which. A byte is
//! settled when high and low halves agree with its CRC.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::super::ack::Proof;
use super::super::guide::{Code, Watch};
use super::super::pace::{Moment, Pace};
use super::super::receiver::{Event, Keys, Receiver};
use super::super::session::Sessions;
use super::super::talker::{PATHS, TALKERS_MAX, TalkerId};
use super::super::vote::{Chosen, Patience, Votes, choose};
use super::super::{Credentials, Frame, Mac, PASSWORD_MAX, Reason, SSID_MAX, Scheme, crc8};
use super::{EXTRA, HEAD, INDEX, TAIL, check, order};

/// The guide code.
const CODE: Code = Code { lowest: 512, rises: false };
/// Indices there are.
const INDICES: usize = 128;
/// Longest message, the BSSID not counted.
const TOTAL_MAX: usize = HEAD + PASSWORD_MAX + SSID_MAX;
/// Words of a byte.
const WORDS: i32 = 3;
/// How far ahead of the last index word the order is followed, in bytes.
const AHEAD_MAX: i32 = 8;
/// No index.
const NONE: u8 = 0xFF;

/// A receiver of ESPTouch v1.
pub struct EspTouch {
    watches: [[Watch; PATHS]; TALKERS_MAX],
    sessions: Sessions<Session>,
    reason: Reason,
}

impl EspTouch {
    /// Listens; the scheme has no keys.
    pub fn new(_: &Keys) -> Self {
        Self {
            watches: [[Watch::default(); PATHS]; TALKERS_MAX],
            sessions: Sessions::new(),
            reason: Reason::NoGuide,
        }
    }
}

/// One path of a sender.
#[derive(Clone, Copy, Default)]
struct Path {
    overhead: Option<u16>,
    pace: Pace,
    /// The last word and when.
    last: Option<(u16, Moment)>,
    /// The last index word, and how many words ago it was.
    index: Option<(u8, i32)>,
}

/// What is known of one sender's message.
struct Session {
    paths: [Path; PATHS],
    highs: [Votes; INDICES],
    lows: [Votes; INDICES],
    /// Which index follows which; [`NONE`] while unknown.
    next: [u8; INDICES],
    have: u16,
    patience: Patience,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            paths: Default::default(),
            highs: [Votes::default(); INDICES],
            lows: [Votes::default(); INDICES],
            next: [NONE; INDICES],
            have: 0,
            patience: Patience::default(),
        }
    }
}

impl Receiver for EspTouch {
    fn scheme(&self) -> Scheme {
        Scheme::EspTouch
    }

    fn hear(&mut self, frame: &Frame, talker: TalkerId) -> Option<Event> {
        let path = talker.path();
        let watch = &mut self.watches[talker.place()][path];
        let mut said = None;
        if let Some(overhead) = watch.hear(CODE, frame) {
            let known = &mut self.sessions.open(talker).paths[path];
            if known.overhead != Some(overhead) {
                *known = Path { overhead: Some(overhead), ..Path::default() };
                said = Some(Event::locked(Scheme::EspTouch, frame));
                self.reason = self.reason.max(Reason::LockedNoData);
            }
            watch.teach(&mut known.pace);
        }
        let said = said.or_else(|| watch.event());
        let Some(session) = self.sessions.of(talker) else {
            return said;
        };
        let overhead = session.paths[path].overhead;
        let word = overhead.and_then(|it| frame.length.checked_sub(it + EXTRA));
        let Some(word) = word.filter(|word| *word < INDEX + INDICES as u16) else {
            return said;
        };
        let changed = session.hear(path, word, Moment::of(frame));
        if !session.patience.ends(changed) {
            return said;
        }
        match session.read(frame.bssid) {
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
    /// Places a word and votes; says whether a decision may have changed.
    fn hear(&mut self, path: usize, word: u16, moment: Moment) -> bool {
        let known = self.paths[path];
        let steps = known.last.and_then(|(_, last)| known.pace.words(last, moment));
        let index = known.index.zip(steps).map(|((index, ago), steps)| (index, ago + steps));
        let (changed, index) = match word.checked_sub(INDEX) {
            Some(this) => {
                let before = known.last.filter(|_| steps == Some(1)).map(|(word, _)| word);
                self.index(this as u8, before, index)
            }
            None => self.half(word as u8, index),
        };
        if steps.is_none_or(|steps| steps > 0) {
            let known = &mut self.paths[path];
            known.index = index;
            known.last = Some((word, moment));
        }
        changed
    }

    /// An index word: the word before it belongs to it, and it follows the last one.
    fn index(
        &mut self,
        this: u8,
        before: Option<u16>,
        last: Option<(u8, i32)>,
    ) -> (bool, Option<(u8, i32)>) {
        if let Some((last, WORDS)) = last {
            self.next[usize::from(last)] = this;
        }
        let changed = match before {
            Some(half @ 0..INDEX) => self.highs[usize::from(this)].add(half as u8),
            _ => false,
        };
        (changed, Some((this, 0)))
    }

    /// Two halves, `ago` words behind the index word of a byte.
    fn half(&mut self, half: u8, index: Option<(u8, i32)>) -> (bool, Option<(u8, i32)>) {
        let Some((from, ago @ 0..)) = index else {
            return (false, None);
        };
        let (bytes, word) = ((ago + 1) / WORDS, (ago + 1) % WORDS);
        let mut at = from;
        for _ in 0..bytes.min(AHEAD_MAX) {
            at = self.next.get(usize::from(at)).copied().unwrap_or(NONE);
        }
        let known = bytes <= AHEAD_MAX && at != NONE;
        match word {
            0 if known => (self.highs[usize::from(at)].add(half), index),
            2 if known => (self.lows[usize::from(at)].add(half), index),
            // An index word should stand here: the count is wrong.
            1 => (false, None),
            _ => (false, index),
        }
    }

    /// Reads a byte, and whether it is certain: both halves heard twice, or nothing else passes.
    fn byte(&self, index: usize) -> Option<(u8, bool)> {
        let units = [self.highs[index], self.lows[index]];
        let join = |it: &[u8]| (it[0] << 4 | it[1] & 0x0F, it[0] & 0xF0 | it[1] >> 4);
        let fits = |it: &[u8]| {
            let (byte, crc) = join(it);
            crc == check(byte, index as u8)
        };
        match choose(&units, fits) {
            Chosen::One(choice) => {
                Some((join(&choice.values).0, choice.sightings > 1 || choice.sole))
            }
            Chosen::Incomplete | Chosen::Conflict | Chosen::Several => None,
        }
    }

    /// Reports how many bytes are settled.
    fn progress(&mut self) -> Option<Event> {
        let (total, _) = self.byte(0)?;
        let need = usize::from(total);
        let have = (0..need.min(TOTAL_MAX)).filter(|at| self.byte(*at).is_some()).count() as u16;
        if have <= self.have {
            return None;
        }
        self.have = have;
        Some(Event::Progress { have, need: Some(need as u16) })
    }

    /// Tries to read the message.
    fn read(&mut self, heard: Mac) -> Result<Option<Box<Credentials>>, Reason> {
        let Some((total, _)) = self.byte(0) else {
            return Ok(None);
        };
        let total = usize::from(total);
        if !(HEAD + 1..=TOTAL_MAX).contains(&total) {
            return Err(Reason::ChecksumConflict);
        }
        self.expect_order(total);
        let mut message = [0; TOTAL_MAX + TAIL];
        let mut certain = true;
        for (index, byte) in message.iter_mut().enumerate().take(total) {
            let Some((value, sure)) = self.byte(index) else {
                return Ok(None);
            };
            *byte = value;
            certain &= sure;
        }
        let message_xor = message[..total].iter().fold(0, |xor, byte| xor ^ byte);
        let length = usize::from(message[1]);
        // The XOR byte is the XOR of all the others: with it the sum is zero.
        if message_xor != 0 || total < HEAD + length + 1 {
            return Err(Reason::ChecksumConflict);
        }
        let (password, ssid) = message[HEAD..total].split_at(length);
        if ssid.len() > SSID_MAX || password.len() > PASSWORD_MAX || crc8(ssid) != message[2] {
            return Err(Reason::ChecksumConflict);
        }
        let bssid = self.bssid(total).filter(|bssid| crc8(&bssid.0) == message[3]);
        // The phone may be on the 5 GHz side of the same box: then only its own BSSID fits.
        if !certain || (crc8(&heard.0) != message[3] && bssid.is_none()) {
            return Ok(None);
        }
        Ok(Some(Box::new(Credentials {
            ssid: ssid.to_vec(),
            password: password.to_vec(),
            bssid: bssid.or(heard.known()),
            phone_ip: message[5..HEAD].try_into().ok(),
            extra: Vec::new(),
            ack: Proof::EspTouch { total: message[0] },
        })))
    }

    fn bssid(&self, total: usize) -> Option<Mac> {
        let mut mac = [0; TAIL];
        for (at, byte) in mac.iter_mut().enumerate() {
            *byte = self.byte(total + at)?.0;
        }
        Some(Mac(mac))
    }

    /// Assumes the vendor's order where nothing else was heard; other senders' order is learnt.
    fn expect_order(&mut self, total: usize) {
        let mut order = order(total);
        let Some(first) = order.next() else {
            return;
        };
        let mut last = first;
        for index in order.chain([first]) {
            let next = &mut self.next[usize::from(last)];
            if *next == NONE {
                *next = index;
            }
            last = index;
        }
    }
}
