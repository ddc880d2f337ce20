//! The device's half of AirKiss.
//!
//! Every word tells what kind it is, but only the index word tells where it stands. From there the
//! receiver counts on: the pace says how many words were lost, the kind of the next word confirms
//! it. Readings of each byte are votes; a sequence is settled when a combination of them passes its
//! seven bits, the message when all sequences were seen twice and the SSID passes its CRC.

use alloc::boxed::Box;
use alloc::vec::Vec;

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};

use super::super::ack::Proof;
use super::super::guide::{Code, Watch};
use super::super::pace::{Moment, Pace};
use super::super::receiver::{Event, Keys, Receiver};
use super::super::session::Sessions;
use super::super::talker::{PATHS, TALKERS_MAX, TalkerId};
use super::super::vote::{Chosen, Patience, Votes, choose};
use super::super::{Credentials, Frame, Mac, Reason, SSID_MAX, Scheme, crc8};
use super::{BLOCK, CIPHER_MAX, MAGIC_ZERO, MESSAGE_MAX, SEQUENCE, crc7};

/// The guide code.
const CODE: Code = Code { lowest: 1, rises: true };
/// Most sequences of a message.
const SEQUENCES: usize = MESSAGE_MAX.div_ceil(SEQUENCE);
/// Words of a sequence with its header.
const WORDS: i32 = SEQUENCE as i32 + 2;
/// How often each byte must have been read before it is believed.
const SIGHTINGS: u8 = 2;
/// How often the bytes must have been read on average before one reading of a byte is enough, if
/// nothing else passes the check of its sequence: some access points swallow one word of many.
const LONG: usize = 8;

/// A receiver of AirKiss.
pub struct AirKiss {
    key: Option<[u8; BLOCK]>,
    watches: [[Watch; PATHS]; TALKERS_MAX],
    sessions: Sessions<Session>,
    reason: Reason,
}

impl AirKiss {
    /// Listens with these keys.
    pub fn new(keys: &Keys) -> Self {
        Self {
            key: keys.airkiss,
            watches: [[Watch::default(); PATHS]; TALKERS_MAX],
            sessions: Sessions::new(),
            reason: Reason::NoGuide,
        }
    }
}

/// Words kept until a place for them is known: a whole sequence.
const KEPT: usize = SEQUENCE + 1;

/// One path of a sender.
#[derive(Clone, Copy, Default)]
struct Path {
    overhead: Option<u16>,
    pace: Pace,
    /// The last word and when.
    last: Option<(u16, Moment)>,
    /// Where the last word stood, counted from the first header; the prefix is -4..=-1.
    place: Option<i32>,
    /// Data words whose place was not known when they were heard, newest first, and how many words
    /// ago that was.
    kept: [Option<(u8, i32)>; KEPT],
}

impl Path {
    /// Ages the kept words; forgets them when the count is lost.
    fn age(&mut self, steps: Option<i32>) {
        for kept in &mut self.kept {
            *kept = match (*kept, steps) {
                (Some((byte, ago)), Some(steps @ 1..)) => Some((byte, ago + steps)),
                (kept, Some(_)) => kept,
                (_, None) => None,
            };
        }
    }

    /// Keeps a data word.
    fn keep(&mut self, byte: u8) {
        self.kept.rotate_right(1);
        self.kept[0] = Some((byte, 0));
    }
}

/// What is known of one sender's message.
struct Session {
    paths: [Path; PATHS],
    magic: [Votes; 4],
    prefix: [Votes; 4],
    crcs: [Votes; SEQUENCES],
    bytes: [Votes; SEQUENCES * SEQUENCE],
    have: u16,
    patience: Patience,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            paths: Default::default(),
            magic: Default::default(),
            prefix: Default::default(),
            crcs: [Votes::default(); SEQUENCES],
            bytes: [Votes::default(); SEQUENCES * SEQUENCE],
            have: 0,
            patience: Patience::default(),
        }
    }
}

impl Receiver for AirKiss {
    fn scheme(&self) -> Scheme {
        Scheme::AirKiss
    }

    fn hear(&mut self, frame: &Frame, talker: TalkerId) -> Option<Event> {
        let path = talker.path();
        let watch = &mut self.watches[talker.place()][path];
        let mut said = None;
        if let Some(overhead) = watch.hear(CODE, frame) {
            let known = &mut self.sessions.open(talker).paths[path];
            if known.overhead != Some(overhead) {
                *known = Path { overhead: Some(overhead), ..Path::default() };
                said = Some(Event::locked(Scheme::AirKiss, frame));
                self.reason = self.reason.max(Reason::LockedNoData);
            }
            watch.teach(&mut known.pace);
        }
        let said = said.or_else(|| watch.event());
        let Some(session) = self.sessions.of(talker) else {
            return said;
        };
        let word = session.paths[path].overhead.and_then(|it| frame.length.checked_sub(it));
        let Some(word @ 1..0x200) = word else {
            return said;
        };
        let changed = session.hear(path, word, Moment::of(frame));
        if !session.patience.ends(changed) {
            return said;
        }
        match session.read(self.key.as_ref(), frame.bssid) {
            Read::Nothing => said.or_else(|| session.progress()),
            Read::Conflict(reason) => {
                self.reason = reason;
                said
            }
            Read::Message(credentials) => Some(Event::Complete(credentials)),
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

/// What the votes amount to.
enum Read {
    Nothing,
    Conflict(Reason),
    Message(Box<Credentials>),
}

impl Session {
    /// Places a word and votes; says whether a decision may have changed.
    fn hear(&mut self, path: usize, word: u16, moment: Moment) -> bool {
        let known = &mut self.paths[path];
        let steps = known.last.and_then(|(_, last)| known.pace.words(last, moment));
        known.age(steps);
        let known = self.paths[path];
        let before = known.last.filter(|_| steps == Some(1)).map(|(word, _)| word);
        let expected = known.place.zip(steps).map(|(place, steps)| place + steps);
        let (place, mut changed) = match word {
            0x100.. => self.data(word, before, expected),
            0x80.. => self.header(word, before, expected),
            0x40.. => {
                let at = usize::from(word >> 4) - 4;
                (Some(at as i32 - 4), self.prefix[at].add((word & 0xF) as u8))
            }
            _ => (None, self.magic(word, before)),
        };
        // A frame that was overtaken is placed, but does not set the clock back.
        if steps.is_some_and(|steps| steps < 0) {
            return changed;
        }
        match place {
            Some(place) => changed |= self.recall(path, place),
            None if word >= 0x100 => self.paths[path].keep(word as u8),
            None => {}
        }
        let known = &mut self.paths[path];
        known.place = place;
        known.last = Some((word, moment));
        changed
    }

    /// Votes for the words that were kept, now that the place of the newest word is known.
    fn recall(&mut self, path: usize, place: i32) -> bool {
        let mut changed = false;
        for kept in core::mem::take(&mut self.paths[path].kept) {
            let Some((byte, ago)) = kept else {
                continue;
            };
            if let Some(votes) = byte_at(place - ago).and_then(|at| self.bytes.get_mut(at)) {
                changed |= votes.add(byte);
            }
        }
        changed
    }

    /// A magic word. The first kind looks like a guide word: it counts only in front of the second
    /// kind.
    fn magic(&mut self, word: u16, before: Option<u16>) -> bool {
        let at = usize::from(word >> 4);
        if at == 0 {
            return false;
        }
        let mut changed = self.magic[at].add((word & 0xF) as u8);
        if at == 1
            && let Some(first @ 0..0x10) = before
        {
            changed |= self.magic[0].add(if first == MAGIC_ZERO { 0 } else { first as u8 });
        }
        changed
    }

    /// A header word: the check, or the index.
    fn header(
        &mut self,
        word: u16,
        before: Option<u16>,
        expected: Option<i32>,
    ) -> (Option<i32>, bool) {
        let bits = (word & 0x7F) as u8;
        // Behind another header word it is the index, and that one was the check.
        if let Some(check @ 0x80..0x100) = before {
            let Some(votes) = self.crcs.get_mut(usize::from(bits)) else {
                return (None, false);
            };
            return (Some(i32::from(bits) * WORDS + 1), votes.add((check & 0x7F) as u8));
        }
        let expected = self.fold(expected, |place| place >= 0 && place % WORDS < 2);
        match expected.or_else(|| self.recognise(bits)) {
            Some(place) if place % WORDS == 0 => {
                let changed = self.crcs.get_mut((place / WORDS) as usize).map(|it| it.add(bits));
                (changed.map(|_| place), changed.unwrap_or(false))
            }
            Some(place) if place % WORDS == 1 && place / WORDS == i32::from(bits) => {
                (Some(place), false)
            }
            _ => (None, false),
        }
    }

    /// Returns the place of a header word that stands alone: once the checks of all sequences are
    /// known, its value tells which of them it is, or that it is none of them and so an index.
    fn recognise(&self, bits: u8) -> Option<i32> {
        let count = self.total()?.div_ceil(SEQUENCE);
        let mut places = 0..;
        let mut found = None;
        for votes in &self.crcs[..count] {
            let place = places.next()?;
            let (crc, SIGHTINGS..) = votes.best()? else {
                return None;
            };
            if crc == bits && found.replace(place * WORDS).is_some() {
                return None;
            }
        }
        match (found, usize::from(bits) < count) {
            (Some(place), false) => Some(place),
            (None, true) => Some(i32::from(bits) * WORDS + 1),
            _ => None,
        }
    }

    /// A data word.
    fn data(
        &mut self,
        word: u16,
        before: Option<u16>,
        expected: Option<i32>,
    ) -> (Option<i32>, bool) {
        // Behind a header word: that one was the index, even if nothing said so then.
        let place = match before {
            Some(index @ 0x80..0x100) => Some(i32::from(index & 0x7F) * WORDS + 2),
            _ => self.fold(expected, |place| byte_at(place).is_some()),
        };
        match place.and_then(byte_at).and_then(|at| self.bytes.get_mut(at)) {
            Some(votes) => (place, votes.add(word as u8)),
            None => (None, false),
        }
    }

    /// Takes a place beyond the end of the message back to the next repetition, which begins with
    /// the prefix, or with other senders at once; `fits` says whether the word may stand there.
    fn fold(&self, place: Option<i32>, fits: impl Fn(i32) -> bool) -> Option<i32> {
        let place = place?;
        let end = match self.total() {
            Some(total) => (total + 2 * total.div_ceil(SEQUENCE)) as i32,
            None => i32::MAX,
        };
        if place < end {
            return Some(place).filter(|place| fits(*place));
        }
        let (with_prefix, without) = ((place - end) % (end + 4) - 4, (place - end) % end);
        [with_prefix, without].into_iter().find(|place| fits(*place))
    }

    /// Returns the length of the message, as far as the votes tell.
    fn total(&self) -> Option<usize> {
        let (high, low) = (self.magic[0].best()?.0, self.magic[1].best()?.0);
        Some(usize::from(high << 4 | low)).filter(|total| *total <= MESSAGE_MAX)
    }

    /// Reports how many bytes have been read once.
    fn progress(&mut self) -> Option<Event> {
        let need = self.total()?;
        let have = self.bytes.iter().take(need).filter(|votes| !votes.is_empty()).count() as u16;
        if have <= self.have {
            return None;
        }
        self.have = have;
        Some(Event::Progress { have, need: Some(need as u16) })
    }

    /// Tries to read the message.
    fn read(&self, key: Option<&[u8; BLOCK]>, bssid: Mac) -> Read {
        let Some(total) = self.total() else {
            return Read::Nothing;
        };
        if self.bytes.iter().take(total).any(Votes::is_empty) {
            return Read::Nothing;
        }
        let Some((total, ssid_crc, length)) = self.lengths() else {
            return Read::Nothing;
        };
        let heard = self.bytes[..total].iter().filter_map(Votes::best);
        let heard: usize = heard.map(|(_, count)| usize::from(count)).sum();
        let mut message = [0; MESSAGE_MAX];
        for index in 0..total.div_ceil(SEQUENCE) {
            let from = index * SEQUENCE;
            let to = total.min(from + SEQUENCE);
            let mut units = [Votes::default(); SEQUENCE + 1];
            units[0] = self.crcs[index];
            units[1..=to - from].copy_from_slice(&self.bytes[from..to]);
            match choose(&units[..=to - from], |it| it[0] == crc7(index as u8, &it[1..])) {
                Chosen::One(choice)
                    if choice.sightings >= SIGHTINGS || (choice.sole && heard >= total * LONG) =>
                {
                    message[from..to].copy_from_slice(&choice.values[1..=to - from]);
                }
                Chosen::One(_) | Chosen::Incomplete | Chosen::Several => return Read::Nothing,
                Chosen::Conflict => return Read::Conflict(Reason::ChecksumConflict),
            }
        }
        let (password, rest) = message[..total].split_at(length);
        let (random, ssid) = (rest[0], &rest[1..]);
        if crc8(ssid) != ssid_crc {
            return Read::Conflict(Reason::ChecksumConflict);
        }
        let Some(password) = open(password, key) else {
            return Read::Conflict(Reason::DecryptFailed);
        };
        Read::Message(Box::new(Credentials {
            ssid: ssid.to_vec(),
            password,
            bssid: bssid.known(),
            phone_ip: None,
            extra: Vec::new(),
            ack: Proof::AirKiss { random },
        }))
    }

    /// Returns message length, CRC of the SSID and password length, once they agree and were seen
    /// twice.
    fn lengths(&self) -> Option<(usize, u8, usize)> {
        let mut magic = [0; 4];
        for (value, votes) in magic.iter_mut().zip(&self.magic) {
            *value = votes.best().filter(|(_, count)| *count >= SIGHTINGS)?.0;
        }
        let total = usize::from(magic[0] << 4 | magic[1]);
        let fits = |it: &[u8]| crc8(&[it[0] << 4 | it[1]]) == it[2] << 4 | it[3];
        let Chosen::One(prefix) = choose(&self.prefix, fits) else {
            return None;
        };
        let length = usize::from(prefix.values[0] << 4 | prefix.values[1]);
        let ssid = total.checked_sub(length + 1)?;
        (length <= CIPHER_MAX && (1..=SSID_MAX).contains(&ssid)).then_some((
            total,
            magic[2] << 4 | magic[3],
            length,
        ))
    }
}

/// Returns which byte of the message stands at a place, if it is the place of a byte.
fn byte_at(place: i32) -> Option<usize> {
    let (index, word) = (usize::try_from(place).ok()? / WORDS as usize, place % WORDS - 2);
    usize::try_from(word).ok().map(|word| index * SEQUENCE + word)
}

/// Decrypts a password, if there is a key and it looks encrypted. Without a key, or when the length
/// is not whole blocks, it is taken as it is; whole blocks that are no text are taken for encrypted.
fn open(password: &[u8], key: Option<&[u8; BLOCK]>) -> Option<Vec<u8>> {
    let blocks = !password.is_empty() && password.len().is_multiple_of(BLOCK);
    let Some(key) = key.filter(|_| blocks) else {
        return (!blocks || is_text(password)).then(|| password.to_vec());
    };
    let plain = cbc::Decryptor::<aes::Aes128>::new(key.into(), key.into())
        .decrypt_padded_vec::<Pkcs7>(password)
        .ok()
        .filter(|plain| is_text(plain));
    // A phone that has no key for this product sends the password plain.
    plain.or_else(|| is_text(password).then(|| password.to_vec()))
}

fn is_text(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_ok_and(|text| !text.chars().any(char::is_control))
}
