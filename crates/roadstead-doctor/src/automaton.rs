//! One walk over a line finds every sign of every family, every announcement of a secret and the
//! beginning of a payload.
//!
//! It does not judge: whether a sign counts in its line is the engine's question.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use aho_corasick::automaton::Automaton as _;
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, MatchKind};

use crate::input::PAYLOAD_MARKS;
use crate::mask::MARKS;
use crate::sign::{Family, Sign};

/// A sign of some family stands in the line.
const SIGN: u8 = 1;
/// The line may hold a secret.
const SECRET: u8 = 2;
/// A payload begins in the line.
const PAYLOAD: u8 = 4;

/// A text that was found: which one, and where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    needle: usize,
    /// Index of its first byte.
    pub(crate) start: usize,
    /// Index after it.
    pub(crate) end: usize,
}

/// What one line holds. Kept from line to line for its capacity.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    kinds: u8,
    /// Where the first payload begins; the length of the line when none does.
    pub(crate) payload: usize,
    /// Signs in the order in which they end.
    pub(crate) signs: Vec<Found>,
}

impl Scan {
    /// Returns true when a line holds more than the beginning of a payload.
    pub(crate) const fn matters(&self) -> bool {
        self.kinds & (SIGN | SECRET) != 0
    }

    /// Returns true when a line announces a secret.
    pub(crate) const fn secret(&self) -> bool {
        self.kinds & SECRET != 0
    }
}

/// What one text means to each family.
type Meanings = Vec<(Family, &'static Sign)>;

/// The automaton over all texts.
pub(crate) struct Automaton {
    search: DFA,
    lengths: Vec<usize>,
    kinds: Vec<u8>,
    signs: Vec<Meanings>,
}

impl Automaton {
    /// Returns the automaton; it is built once.
    pub(crate) fn get() -> &'static Self {
        static BUILT: LazyLock<Automaton> = LazyLock::new(Automaton::build);
        &BUILT
    }

    fn build() -> Self {
        let mut rows: BTreeMap<&'static str, (u8, Meanings)> = BTreeMap::new();
        for family in Family::ALL {
            for sign in family.signs() {
                let row = rows.entry(sign.needle).or_default();
                row.0 |= SIGN;
                row.1.push((family, sign));
            }
        }
        MARKS.iter().for_each(|mark| rows.entry(mark).or_default().0 |= SECRET);
        PAYLOAD_MARKS.iter().for_each(|mark| rows.entry(mark).or_default().0 |= PAYLOAD);
        let search = DFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(rows.keys())
            .expect("a few hundred short needles fit any automaton");
        Self {
            search,
            lengths: rows.keys().map(|needle| needle.len()).collect(),
            kinds: rows.values().map(|(kinds, _)| *kinds).collect(),
            signs: rows.into_values().map(|(_, signs)| signs).collect(),
        }
    }

    /// Returns the meanings of a found text.
    pub(crate) fn signs(&self, found: Found) -> &[(Family, &'static Sign)] {
        &self.signs[found.needle]
    }

    /// Walks over a line.
    pub(crate) fn scan(&self, line: &[u8], scan: &mut Scan) {
        scan.kinds = 0;
        scan.payload = line.len();
        scan.signs.clear();
        let Ok(mut state) = self.search.start_state(Anchored::No) else { return };
        for (at, byte) in line.iter().enumerate() {
            state = self.search.next_state(Anchored::No, state, *byte);
            // Without a prefilter the special states are the dead one and the matches.
            if self.search.is_special(state) {
                self.take(state, at + 1, scan);
            }
        }
    }

    fn take(&self, state: aho_corasick::automaton::StateID, end: usize, scan: &mut Scan) {
        if !self.search.is_match(state) {
            return;
        }
        for n in 0..self.search.match_len(state) {
            let needle = self.search.match_pattern(state, n).as_usize();
            let start = end - self.lengths[needle];
            let kinds = self.kinds[needle];
            scan.kinds |= kinds;
            if kinds & PAYLOAD != 0 {
                scan.payload = scan.payload.min(start);
            }
            if kinds & SIGN != 0 {
                scan.signs.push(Found { needle, start, end });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_found_where_it_stands() {
        let automaton = Automaton::get();
        let mut scan = Scan::default();
        for family in Family::ALL {
            for sign in family.signs() {
                let line = format!("xx {} xx", sign.needle);
                automaton.scan(line.as_bytes(), &mut scan);
                let whole = |found: &Found| line[found.start..found.end] == *sign.needle;
                let found = scan.signs.iter().copied().find(whole).expect(sign.needle);
                assert!(automaton.signs(found).iter().any(|(owner, _)| *owner == family));
            }
        }
        automaton.scan(b"a {\"password\":1}", &mut scan);
        assert_eq!((scan.secret(), scan.matters(), scan.payload), (true, true, 2));
        automaton.scan(b"plain text", &mut scan);
        assert_eq!((scan.secret(), scan.matters(), scan.payload), (false, false, 10));
    }
}
