//! The guide code of AirKiss and ESPTouch v1: four lengths in a row, again and again, that tell a
//! receiver "here I am" and what the frames have over the UDP payload.

use super::pace::{Moment, Pace};
use super::{Event, Frame};

/// Words of a guide code.
const WORDS: usize = 4;
/// Most a frame has over its UDP payload: header, cipher, FCS and what a driver may add.
const OVERHEAD_MAX: u16 = 140;
/// Least: the shortest header, no cipher, no FCS.
const OVERHEAD_MIN: u16 = 60;

/// Says whether frames can have this much over their UDP payload; nothing at all stands for lists
/// of payload lengths.
pub(super) fn is_plausible(overhead: u16) -> bool {
    overhead == 0 || (OVERHEAD_MIN..=OVERHEAD_MAX).contains(&overhead)
}

/// Whether the lengths of a guide code rise or fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    /// Lowest UDP payload length of the four.
    pub(super) lowest: u16,
    /// Whether they rise.
    pub(super) rises: bool,
}

impl Code {
    /// Returns the place of a length in the code, 0..=3.
    pub(super) fn place(self, length: u16) -> Option<i32> {
        let above = i32::from(length) - i32::from(self.lowest);
        (0..WORDS as i32).contains(&above).then_some(if self.rises { above } else { 3 - above })
    }
}

/// Watches one path of one talker for the code.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    lengths: [u16; WORDS],
    moments: [Moment; WORDS],
    /// Overhead that the last whole code showed, and how often.
    shown: u16,
    runs: u8,
}

/// Whole codes that must be seen when the overhead cannot be computed.
const RUNS: u8 = 2;

impl Watch {
    /// Hears a frame; returns the overhead once it is certain enough to listen on.
    pub(super) fn hear(&mut self, code: Code, frame: &Frame) -> Option<u16> {
        self.lengths.rotate_left(1);
        self.moments.rotate_left(1);
        self.lengths[WORDS - 1] = frame.length;
        self.moments[WORDS - 1] = Moment::of(frame);
        let least = *self.lengths.iter().min()?;
        let overhead = least.checked_sub(code.lowest).filter(|it| is_plausible(*it))?;
        let place = |at: usize| code.place(self.lengths[at] - overhead);
        let first = place(0)?;
        let whole = (1..WORDS).all(|at| place(at) == Some((first + at as i32) % 4));
        if !whole {
            return None;
        }
        self.runs = if self.shown == overhead { self.runs.saturating_add(1) } else { 1 };
        self.shown = overhead;
        (frame.overhead == Some(overhead) || self.runs >= RUNS).then_some(overhead)
    }

    /// Returns what to say while not certain: whoever shows one whole code is worth staying for.
    pub(super) fn event(&self) -> Option<Event> {
        (self.runs > 0).then_some(Event::Stay)
    }

    /// Teaches `pace` the words of the code just seen.
    pub(super) fn teach(&self, pace: &mut Pace) {
        for pair in self.moments.windows(2) {
            if let [earlier, later] = *pair {
                pace.learn(earlier, later, 1);
            }
        }
    }
}
