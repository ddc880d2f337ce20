//! Who speaks on the air: a small table of sources, shared by all receivers, so that a frame is
//! looked up once however many schemes listen.
//!
//! The same datagram is heard on several *paths*: up and down, and once more for each further
//! network of the same box. Each path has its own lengths, delays and sequence numbers, but all
//! carry the same message.

use super::{Direction, Frame, Mac};

/// Talkers remembered. Only those that broadcast count, and the least recently heard gives way: a
/// sender, heard a hundred times a second, stays.
pub(super) const TALKERS_MAX: usize = 24;
/// Paths kept apart per talker: two networks, up and down.
pub(super) const PATHS: usize = 4;

/// A talker and the path a frame came on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TalkerId {
    place: u8,
    path: u8,
}

impl TalkerId {
    /// Returns the talker's place in a table.
    pub(super) fn place(self) -> usize {
        self.place.into()
    }

    /// Returns the path, below [`PATHS`].
    pub(super) fn path(self) -> usize {
        self.path.into()
    }
}

/// One path of a talker.
#[derive(Clone, Copy, Debug)]
struct Path {
    bssid: Mac,
    direction: Direction,
    /// Last sequence number; [`NONE`] before the first.
    last: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Talker {
    source: Mac,
    paths: [Option<Path>; PATHS],
    /// Value of the clock when last heard; 0 is a free place.
    heard: u64,
}

/// No sequence number.
const NONE: u16 = 4096;

/// The table.
#[derive(Debug)]
pub(super) struct Talkers {
    places: [Talker; TALKERS_MAX],
    /// Where the last frame was found: bursts come from one talker.
    recent: usize,
    clock: u64,
}

/// What the table says of a frame.
pub(super) enum Heard {
    /// From a talker that is known.
    Known(TalkerId),
    /// From a talker that took this place; whoever had it before is forgotten.
    New(TalkerId),
    /// A retransmission of the frame before, or on a path too many.
    Again,
}

impl Talkers {
    /// Nobody was heard.
    pub(super) fn new() -> Self {
        Self { places: [Talker::default(); TALKERS_MAX], recent: 0, clock: 0 }
    }

    /// Looks a frame up.
    pub(super) fn hear(&mut self, frame: &Frame) -> Heard {
        self.clock += 1;
        let is = |talker: &Talker| talker.heard > 0 && talker.source == frame.source;
        let known = match is(&self.places[self.recent]) {
            true => Some(self.recent),
            false => self.places.iter().position(is),
        };
        let place = known.unwrap_or_else(|| self.oldest());
        self.recent = place;
        let talker = &mut self.places[place];
        if known.is_none() {
            *talker = Talker { source: frame.source, ..Talker::default() };
        }
        talker.heard = self.clock;
        let Some(path) = talker.path(frame) else {
            return Heard::Again;
        };
        let id = TalkerId { place: place as u8, path: path as u8 };
        if known.is_some() { Heard::Known(id) } else { Heard::New(id) }
    }

    fn oldest(&self) -> usize {
        let heard = self.places.iter().enumerate().min_by_key(|(_, talker)| talker.heard);
        heard.map_or(0, |(place, _)| place)
    }
}

impl Talker {
    /// Returns the path of a frame, unless it repeats the last one on it.
    fn path(&mut self, frame: &Frame) -> Option<usize> {
        let is = |path: &Option<Path>| match path {
            Some(path) => path.bssid == frame.bssid && path.direction == frame.direction,
            None => true,
        };
        let at = self.paths.iter().position(is)?;
        let path = self.paths[at].get_or_insert(Path {
            bssid: frame.bssid,
            direction: frame.direction,
            last: NONE,
        });
        match frame.sequence {
            Some(sequence) if core::mem::replace(&mut path.last, sequence) == sequence => None,
            _ => Some(at),
        }
    }
}
