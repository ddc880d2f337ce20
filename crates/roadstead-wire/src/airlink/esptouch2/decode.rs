//! The device's half of ESPTouch v2.
//!
//! A data packet tells its plane, not its group. Markers tell the group, and the planes of a group
//! stand at fixed distances, so the place of the last packet and the pace leave one group that fits.
//! Planes are votes; a group is settled when a combination passes its CRC, the message when the
//! head passes its own, every group is settled, and what is encrypted decrypts.

use alloc::boxed::Box;
use alloc::vec::Vec;

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt as _, KeyIvInit as _};

use super::super::ack::Proof;
use super::super::guide::is_plausible;
use super::super::pace::{Moment, Pace};
use super::super::receiver::{Event, Keys, Receiver};
use super::super::session::Sessions;
use super::super::talker::{PATHS, TALKERS_MAX, TalkerId};
use super::super::vote::{Chosen, Patience, Votes, choose};
use super::super::{Credentials, Frame, Mac, Reason, Scheme, crc8};
use super::layout::{Head, Kind, Segment};
use super::{BITS, BLOCK, COUNT, DATA, GROUP, GROUPS_MAX, MARKER, MARKERS, PLANES, SYNC};

/// Packets in front of the head's planes.
const HEAD_MARKS: i32 = 4;
/// Where group 0 begins.
const START: i32 = HEAD_MARKS + PLANES as i32;
/// Packets of a group.
const PERIOD: i32 = (MARKERS + PLANES) as i32;
/// How far a packet may be from where the pace puts it.
const OFF_MAX: i32 = 3;
/// Longest content: password, application data and padding to whole groups.
const CONTENT_MAX: usize = 64 + 64 + BLOCK + GROUP;

/// A receiver of ESPTouch v2.
pub struct EspTouch2 {
    key: Option<[u8; BLOCK]>,
    watches: [[Watch; PATHS]; TALKERS_MAX],
    sessions: Sessions<Session>,
    reason: Reason,
}

impl EspTouch2 {
    /// Listens with these keys.
    pub fn new(keys: &Keys) -> Self {
        Self {
            key: keys.esptouch2,
            watches: [[Watch::default(); PATHS]; TALKERS_MAX],
            sessions: Sessions::new(),
            reason: Reason::NoGuide,
        }
    }
}

/// Watches one path of one talker for sync and count in turn.
#[derive(Clone, Copy, Default)]
struct Watch {
    last: u16,
}

impl Watch {
    /// Hears a frame; returns the overhead that sync and count side by side show. Nothing else a
    /// phone sends looks like that, and what is collected under a wrong overhead passes no check.
    fn hear(&mut self, frame: &Frame) -> Option<u16> {
        let last = core::mem::replace(&mut self.last, frame.length);
        if frame.overhead.is_some_and(|it| frame.length == SYNC + it) {
            return frame.overhead;
        }
        let (sync, count) = (last.min(frame.length), last.max(frame.length));
        let overhead = sync.checked_sub(SYNC).filter(|it| is_plausible(*it))?;
        let groups = count.checked_sub(COUNT + overhead)?;
        (groups <= GROUPS_MAX as u16).then_some(overhead)
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

/// A packet by its length.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Sync,
    Count(u8),
    Marker(u8),
    Data { plane: u8, bits: u8 },
}

impl Word {
    fn of(length: u16) -> Option<Self> {
        match length {
            SYNC => Some(Self::Sync),
            COUNT.. if length <= COUNT + GROUPS_MAX as u16 => {
                Some(Self::Count((length - COUNT) as u8))
            }
            0x000..0x400 if length & DATA != 0 => {
                Some(Self::Data { plane: (length >> 7) as u8, bits: (length & BITS) as u8 })
            }
            MARKER.. if length < MARKER + GROUPS_MAX as u16 => {
                Some(Self::Marker((length - MARKER) as u8))
            }
            _ => None,
        }
    }
}

/// What is known of one sender's message.
struct Session {
    paths: [Path; PATHS],
    counts: Votes,
    head: [Votes; PLANES],
    groups: [[Votes; PLANES]; GROUPS_MAX],
    have: u16,
    patience: Patience,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            paths: Default::default(),
            counts: Votes::default(),
            head: Default::default(),
            groups: [[Votes::default(); PLANES]; GROUPS_MAX],
            have: 0,
            patience: Patience::default(),
        }
    }
}

impl Receiver for EspTouch2 {
    fn scheme(&self) -> Scheme {
        Scheme::EspTouch2
    }

    fn hear(&mut self, frame: &Frame, talker: TalkerId) -> Option<Event> {
        let path = talker.path();
        let mut said = None;
        if let Some(overhead) = self.watches[talker.place()][path].hear(frame) {
            let known = &mut self.sessions.open(talker).paths[path];
            if known.overhead != Some(overhead) {
                *known = Path { overhead: Some(overhead), ..Path::default() };
                said = Some(Event::locked(Scheme::EspTouch2, frame));
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
        let changed = session.hear(path, word, Moment::of(frame));
        if !session.patience.ends(changed) {
            return said;
        }
        match session.read(self.key.as_ref(), frame.bssid) {
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
        let known = &mut self.paths[path];
        let steps = known.last.and_then(|(last, then)| known.steps(last, then, word, moment));
        let expected = known.place.zip(steps).map(|(place, steps)| place + steps);
        let known = self.paths[path];
        let (place, changed) = match word {
            // Sync stands at 0 and 2, count at 1 and 3.
            Word::Sync => (Some(nearest(expected, &[0, 2])), false),
            Word::Count(groups) => (Some(nearest(expected, &[1, 3])), self.counts.add(groups)),
            Word::Marker(group) => {
                let first = START + PERIOD * i32::from(group);
                (Some(nearest(expected, &[first, first + 1, first + 2])), false)
            }
            Word::Data { plane, bits } => self.data(known, plane, bits, expected),
        };
        if steps.is_none_or(|steps| steps > 0) {
            let known = &mut self.paths[path];
            known.place = place;
            known.last = Some((word, moment));
        }
        changed
    }

    /// Finds the group of a plane and votes.
    fn data(
        &mut self,
        from: Path,
        plane: u8,
        bits: u8,
        expected: Option<i32>,
    ) -> (Option<i32>, bool) {
        let expected = match (expected, from.last) {
            (Some(expected), _) => self.fold(expected),
            // The number of lost packets is unknown, but planes rise within a group.
            (None, Some((Word::Data { plane: last, .. }, _))) => match from.place {
                Some(place) if plane > last => place + i32::from(plane - last),
                _ => return (None, false),
            },
            (None, _) => match from.place {
                Some(place) => place + 1 + i32::from(plane),
                None => return (None, false),
            },
        };
        let plane = i32::from(plane);
        // The head's planes stand where those of a group -1 would.
        let in_group = |group: i32| START + PERIOD * group + MARKERS as i32 + plane;
        let group = (expected - in_group(0) + PERIOD / 2).div_euclid(PERIOD);
        let place = in_group(group);
        if (expected - place).abs() > OFF_MAX {
            return (None, false);
        }
        let planes = match usize::try_from(group) {
            Ok(group) => self.groups.get_mut(group),
            Err(_) if group == -1 => Some(&mut self.head),
            Err(_) => None,
        };
        match planes {
            Some(planes) => (Some(place), planes[plane as usize].add(bits)),
            None => (None, false),
        }
    }

    /// Takes a place beyond the end of the round back to its beginning.
    fn fold(&self, place: i32) -> i32 {
        match self.counts.best() {
            Some((groups, 2..)) => place.rem_euclid(START + PERIOD * i32::from(groups)),
            _ => place,
        }
    }

    /// Reads the six bytes of a group, and whether they are certain.
    fn group(planes: &[Votes; PLANES], seven: bool) -> Option<([u8; GROUP], bool)> {
        let bytes = |it: &[u8]| -> [u8; GROUP] {
            let planes = if seven { PLANES - 1 } else { PLANES };
            core::array::from_fn(|byte| {
                (0..planes)
                    .fold(0, |sum, plane| sum | (it[plane] >> (GROUP - 1 - byte) & 1) << plane)
            })
        };
        let fits = |it: &[u8]| {
            let bytes = bytes(it);
            match seven {
                true => crc8(&bytes) & BITS as u8 == it[PLANES - 1],
                false => crc8(&bytes[..GROUP - 1]) == bytes[GROUP - 1],
            }
        };
        match choose(planes, fits) {
            Chosen::One(choice) => {
                // Six bits let one wrong reading in 64 pass: then it must be the only one, or the
                // right one heard again.
                let sole = if seven { planes.iter().all(Votes::is_unanimous) } else { choice.sole };
                Some((bytes(&choice.values), choice.sightings > 1 || sole))
            }
            Chosen::Incomplete | Chosen::Conflict | Chosen::Several => None,
        }
    }

    /// Reads the head.
    fn head(&self) -> Option<(Head, bool)> {
        let (bytes, certain) = Self::group(&self.head, false)?;
        let head = Head::parse(bytes.first_chunk().copied()?)?;
        let (groups, _) = self.counts.best()?;
        (head.groups() == usize::from(groups)).then_some((head, certain))
    }

    /// Reports how many groups are settled.
    fn progress(&mut self) -> Option<Event> {
        let (head, _) = self.head()?;
        let groups =
            head.segments().into_iter().flat_map(|it| core::iter::repeat_n(it, it.groups()));
        let settled = groups.zip(&self.groups);
        let have = settled.filter(|(it, planes)| Self::group(planes, !it.eight).is_some()).count();
        if have as u16 <= self.have {
            return None;
        }
        self.have = have as u16;
        Some(Event::Progress { have: have as u16, need: Some(head.groups() as u16) })
    }

    /// Tries to read the message.
    fn read(
        &self,
        key: Option<&[u8; BLOCK]>,
        heard: Mac,
    ) -> Result<Option<Box<Credentials>>, Reason> {
        let Some((head, certain)) = self.head() else {
            return Ok(None);
        };
        if !certain {
            return Ok(None);
        }
        // Nothing is allocated before the whole is certain.
        let mut groups = self.groups.iter();
        if !head.segments().into_iter().all(|segment| is_certain(segment, &mut groups)) {
            return Ok(None);
        }
        let mut groups = self.groups.iter();
        let (mut content, mut iv, mut ssid) = (Vec::new(), Vec::new(), Vec::new());
        for segment in head.segments() {
            let into = match segment.kind {
                Kind::Content => &mut content,
                Kind::Iv => &mut iv,
                Kind::Ssid => &mut ssid,
            };
            if !read_segment(segment, &mut groups, into) {
                return Ok(None);
            }
        }
        if head.security > 0 && !content.is_empty() {
            let key = key.ok_or(Reason::DecryptFailed)?;
            let mut start = [0; BLOCK];
            let known = iv.len().min(BLOCK);
            start[..known].copy_from_slice(&iv[..known]);
            content = cbc::Decryptor::<aes::Aes128>::new(key.into(), &start.into())
                .decrypt_padded_vec::<Pkcs7>(&content)
                .map_err(|_| Reason::DecryptFailed)?;
        }
        if content.len() != head.password.bytes + head.extra.bytes {
            return Err(Reason::DecryptFailed);
        }
        let extra = content.split_off(head.password.bytes);
        Ok(Some(Box::new(Credentials {
            ssid,
            password: content,
            bssid: heard.known(),
            phone_ip: None,
            extra,
            ack: Proof::EspTouch2 { mark: head.mark },
        })))
    }
}

/// Says whether all groups of a segment are certain.
fn is_certain<'a>(
    segment: Segment,
    groups: &mut impl Iterator<Item = &'a [Votes; PLANES]>,
) -> bool {
    let certain = groups
        .take(segment.groups())
        .filter(|planes| matches!(Session::group(planes, !segment.eight), Some((_, true))));
    certain.count() == segment.groups()
}

/// Reads the groups of a segment; says whether all are certain.
fn read_segment<'a>(
    segment: Segment,
    groups: &mut impl Iterator<Item = &'a [Votes; PLANES]>,
    into: &mut Vec<u8>,
) -> bool {
    let end = into.len() + segment.bytes;
    into.reserve(CONTENT_MAX);
    for planes in groups.take(segment.groups()) {
        let Some((bytes, true)) = Session::group(planes, !segment.eight) else {
            return false;
        };
        into.extend_from_slice(&bytes[..segment.per_group()]);
    }
    into.truncate(end);
    into.len() == end
}

/// Returns the place nearest to where the packet was expected, the first if nothing was.
fn nearest(expected: Option<i32>, places: &[i32]) -> i32 {
    let distance = |place: &&i32| expected.map_or(0, |expected| (expected - **place).abs());
    places.iter().min_by_key(distance).copied().unwrap_or(0)
}

impl Path {
    /// Returns how many packets lie between two, and learns the pace where their kinds tell it.
    fn steps(&mut self, last: Word, then: Moment, word: Word, now: Moment) -> Option<i32> {
        if let (Word::Data { plane: last, .. }, Word::Data { plane, .. }) = (last, word)
            && (1..=2).contains(&(i32::from(plane) - i32::from(last)))
        {
            self.pace.learn(then, now, i32::from(plane) - i32::from(last));
        }
        self.pace.words(then, now)
    }
}
