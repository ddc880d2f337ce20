//! How fast a sender talks, so that lost words leave a gap of known size.
//!
//! While the guide code runs, the receiver knows how many words lie between two frames; it learns
//! from that the time per word and the step of the sequence number. Later it turns the same two
//! measures into a number of words. Time is trusted to half a word: the downlink copy is delayed by
//! some milliseconds that vary. The sequence number bounds it: an access point that sends other
//! group frames in between skips numbers, but never goes back.
//!
//! Source: Airlink §2.7 and §6.2.

use core::num::NonZeroU64;

use super::Frame;

/// Samples that make the first estimate.
const FIRST: usize = 7;
/// Samples after which the estimate hardly moves.
const SETTLED: i64 = 64;
/// Part of a word by which a time may be off, in percent.
const TOLERANCE: i64 = 45;
/// Longest gap in words that is bridged; beyond it clocks drift apart.
pub(super) const BRIDGED_MAX: i32 = 64;
/// Longest gap in words that is bridged by sequence numbers alone.
const UNTIMED_MAX: i32 = 2;
/// Sequence numbers wrap here.
const SEQUENCES: i32 = 4096;

/// When and under which number a frame was heard. Sixteen bytes: receivers keep hundreds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Microseconds and one, so that zero is free for "not told".
    at: Option<NonZeroU64>,
    /// Sequence number, or [`UNNUMBERED`].
    number: u16,
}

/// No sequence number was told.
const UNNUMBERED: u16 = u16::MAX;

impl Default for Moment {
    /// Returns a moment of which nothing is known.
    fn default() -> Self {
        Self { at: None, number: UNNUMBERED }
    }
}

impl Moment {
    /// Returns the moment of a frame.
    pub(super) fn of(frame: &Frame) -> Self {
        let at = frame.at_us.and_then(|us| NonZeroU64::new(us.saturating_add(1)));
        let number = frame.sequence.filter(|number| i32::from(*number) < SEQUENCES);
        Self { at, number: number.unwrap_or(UNNUMBERED) }
    }

    /// Returns the time since `earlier`, negative when the order was swapped.
    fn time_since(self, earlier: Self) -> Option<i64> {
        let (now, then) = (self.at?.get(), earlier.at?.get());
        Some(i64::try_from(now).ok()? - i64::try_from(then).ok()?)
    }

    /// Returns how far the sequence number went on, negative when it went back.
    fn numbers_since(self, earlier: Self) -> Option<i32> {
        if self.number == UNNUMBERED || earlier.number == UNNUMBERED {
            return None;
        }
        let gap = (i32::from(self.number) - i32::from(earlier.number)).rem_euclid(SEQUENCES);
        Some(if gap >= SEQUENCES / 2 { gap - SEQUENCES } else { gap })
    }
}

/// The pace of one path of one sender.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Time per word; 0 while unknown.
    spacing_us: i64,
    samples: i64,
    first: [u32; FIRST],
    /// How often a single word moved the sequence number by 1, 2, 3.
    steps: [u8; 3],
}

impl Pace {
    /// Learns from two frames that lie `words` apart, 1..=3.
    pub(super) fn learn(&mut self, earlier: Moment, later: Moment, words: i32) {
        if words == 1
            && let Some(gap @ 1..=3) = later.numbers_since(earlier)
            && let Some(count) = self.steps.get_mut(gap as usize - 1)
        {
            *count = count.saturating_add(1);
        }
        let Some(time) = later.time_since(earlier).filter(|time| *time > 0) else {
            return;
        };
        let sample = time / i64::from(words.max(1));
        if self.spacing_us == 0 {
            self.first[self.samples as usize % FIRST] = sample.min(u32::MAX.into()) as u32;
            self.samples += 1;
            if self.samples == FIRST as i64 {
                let mut sorted = self.first;
                sorted.sort_unstable();
                self.spacing_us = sorted[FIRST / 2].into();
            }
        } else if (sample - self.spacing_us).abs() * 2 < self.spacing_us {
            self.samples = (self.samples + 1).min(SETTLED);
            self.spacing_us += (sample - self.spacing_us) / self.samples;
        }
    }

    /// Returns how many words after `earlier` a frame lies; `None` if that cannot be told.
    pub(super) fn words(&self, earlier: Moment, later: Moment) -> Option<i32> {
        let numbers = later.numbers_since(earlier);
        let by_time = match (later.time_since(earlier), self.spacing_us) {
            (Some(time), spacing @ 1..) => Some((time, spacing)),
            _ => None,
        };
        let Some((time, spacing)) = by_time else {
            // Numbers alone are sure only of short gaps: in a long one some were skipped.
            let step = self.step();
            let words = numbers.filter(|gap| *gap > 0 && gap % step == 0).map(|gap| gap / step);
            return words.filter(|words| *words <= UNTIMED_MAX);
        };
        let words = (time + spacing.signum() * spacing / 2).div_euclid(spacing);
        let off = (time - words * spacing).abs() * 100;
        if off > spacing * TOLERANCE || words == 0 || words.abs() > i64::from(BRIDGED_MAX) {
            return None;
        }
        let words = words as i32;
        // More words than numbers, or another order: one of the two measures lies.
        match numbers {
            Some(gap) if words > gap || (words > 0) != (gap > 0) => None,
            _ => Some(words),
        }
    }

    fn step(&self) -> i32 {
        let most = self.steps.iter().enumerate().max_by_key(|(at, n)| (**n, usize::MAX - at));
        most.filter(|(_, n)| **n > 0).map_or(1, |(at, _)| at as i32 + 1)
    }
}
