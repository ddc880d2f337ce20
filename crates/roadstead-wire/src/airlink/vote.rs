//! Readings of one unit of a message, and how often each was seen.
//!
//! A unit guarded by few bits is not believed at first sight: a lost marker or a foreign frame
//! gives wrong readings that a short check lets pass now and then. Up to three readings are kept,
//! best first; a newcomer takes the place of the weakest that was seen once.

/// Readings kept per unit.
const KEPT: usize = 3;

/// Up to three readings with their counts, best first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Votes {
    /// Reading and count; a count of 0 is a free place.
    seen: [(u8, u8); KEPT],
}

impl Votes {
    /// Adds a reading; says whether that may change a decision: a new reading, a new best, the
    /// second sighting of one, or a lead that is now clear or no longer so.
    pub(super) fn add(&mut self, value: u8) -> bool {
        let known = self.seen.iter().position(|(other, count)| *count > 0 && *other == value);
        let Some(place) = known else {
            return self.add_new(value);
        };
        let led = self.leads();
        self.seen[place].1 = self.seen[place].1.saturating_add(1);
        let second = self.seen[place].1 == 2;
        let rises = place > 0 && self.seen[place].1 > self.seen[place - 1].1;
        if rises {
            self.seen.swap(place, place - 1);
        }
        second || rises || led != self.leads()
    }

    /// Adds a reading that was not heard before, if there is a place for it.
    fn add_new(&mut self, value: u8) -> bool {
        let weak = self.seen.iter().position(|(_, count)| *count == 0);
        let place = weak.or((self.seen[KEPT - 1].1 == 1).then_some(KEPT - 1));
        if let Some(place) = place {
            self.seen[place] = (value, 1);
        }
        place.is_some()
    }

    /// Returns the readings worth a try, best first: the best, and others seen at least a third
    /// as often.
    pub(super) fn readings(&self) -> impl Iterator<Item = (u8, u8)> + Clone + '_ {
        let floor = self.seen[0].1 / 3;
        self.seen.iter().copied().filter(move |(_, count)| *count > floor)
    }

    /// Returns the best reading and its count.
    pub(super) fn best(&self) -> Option<(u8, u8)> {
        (self.seen[0].1 > 0).then_some(self.seen[0])
    }

    /// Says whether nothing was read yet.
    pub(super) fn is_empty(&self) -> bool {
        self.seen[0].1 == 0
    }

    /// Says whether no second reading was ever heard.
    pub(super) fn is_unanimous(&self) -> bool {
        self.seen[1].1 == 0
    }

    /// Says whether the best reading was heard more often than twice the next.
    pub(super) fn leads(&self) -> bool {
        self.seen[0].1 > 2 * self.seen[1].1
    }

    /// Halves the counts: what was believed did not pass a check.
    pub(super) fn doubt(&mut self) {
        for (_, count) in &mut self.seen {
            *count /= 2;
        }
    }
}

/// When a decision is tried: whenever a vote may have changed it, and once in a while without: a tie
/// ends, or a rival falls below a third of the best, by votes that look like nothing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience(u8);

/// Words between two tries that nothing calls for.
const PATIENCE: u8 = 64;

impl Patience {
    /// Hears of a word; says whether to try.
    pub(super) fn ends(&mut self, changed: bool) -> bool {
        self.0 = if changed || self.0 >= PATIENCE { 0 } else { self.0 + 1 };
        self.0 == 0
    }
}

/// Most units that one check covers.
pub(super) const UNITS_MAX: usize = 8;
/// Most combinations that are tried for one check.
const COMBINATIONS_MAX: usize = 256;

/// A choice of one reading per unit that passes a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The readings; only as many as there are units mean something.
    pub(super) values: [u8; UNITS_MAX],
    /// How often the least seen of them was seen.
    pub(super) sightings: u8,
    /// Whether no other combination passes.
    pub(super) sole: bool,
}

/// What trying the combinations of readings gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// A unit was not read yet.
    Incomplete,
    /// No combination passes the check.
    Conflict,
    /// The combination that passes, the strongest if there are several.
    One(Choice),
    /// Several pass that were seen equally often: not decided.
    Several,
}

/// Tries the combinations of readings of `units` against `check`, at most
/// [`COMBINATIONS_MAX`], strongest readings first. At most [`UNITS_MAX`] units.
pub(super) fn choose(units: &[Votes], mut check: impl FnMut(&[u8]) -> bool) -> Chosen {
    let count = units.len().min(UNITS_MAX);
    let units = &units[..count];
    if units.iter().any(Votes::is_empty) {
        return Chosen::Incomplete;
    }
    let mut places = [0; UNITS_MAX];
    let mut values = [0; UNITS_MAX];
    let mut readings = [0; UNITS_MAX];
    for (at, unit) in units.iter().enumerate() {
        values[at] = unit.seen[0].0;
        readings[at] = unit.readings().count();
    }
    let mut best: Option<([u8; UNITS_MAX], (u8, u32))> = None;
    let (mut tie, mut passes) = (false, 0);
    for _ in 0..COMBINATIONS_MAX {
        if check(&values[..count]) {
            passes += 1;
            let strength = strength(units, &places);
            match &best {
                Some((_, other)) if *other > strength => {}
                Some((_, other)) if *other == strength => tie = true,
                _ => {
                    best = Some((values, strength));
                    tie = false;
                }
            }
        }
        // The next combination: an odometer whose digits are the places of each unit.
        let Some(digit) = (0..count).find(|at| places[*at] + 1 < readings[*at]) else {
            break;
        };
        for at in 0..digit {
            places[at] = 0;
            values[at] = units[at].seen[0].0;
        }
        places[digit] += 1;
        values[digit] = units[digit].seen[places[digit]].0;
    }
    match best {
        None => Chosen::Conflict,
        Some(_) if tie => Chosen::Several,
        Some((values, (sightings, _))) => {
            Chosen::One(Choice { values, sightings, sole: passes == 1 })
        }
    }
}

/// Returns how often the weakest reading of a combination was seen, and all together.
fn strength(units: &[Votes], places: &[usize; UNITS_MAX]) -> (u8, u32) {
    let seen = places.iter().zip(units).map(|(place, unit)| unit.seen[*place].1);
    (seen.clone().min().unwrap_or(0), seen.map(u32::from).sum())
}
