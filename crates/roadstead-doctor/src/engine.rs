//! The engine: bytes in, report out, in one pass and constant memory.
//!
//! Each line goes once through one automaton over all signs; only lines with a hit are decoded and
//! unwrapped. Hits go to the tracker of their family for the line's device. Families that the log
//! does not prove are dropped at the end.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Match, MatchKind};
use encoding_rs::GB18030;

use crate::input::{Encoding, Line, PAYLOAD_MARKS, Splitter, is_payload, strip, unwrap};
use crate::limit::{DEVICES_MAX, FILES_MAX};
use crate::mask::{MARKS, Masker};
use crate::report::{FileNote, Report};
use crate::sign::{Family, Hit, Sign};
use crate::tracker::Tracker;
use crate::verdict;

/// Where a hit goes.
enum Target {
    Sign(Family, &'static Sign),
    Secret,
    /// A payload begins here.
    Payload,
}

struct Automaton {
    search: AhoCorasick,
    targets: Vec<Vec<Target>>,
}

impl Automaton {
    /// Returns true when a line holds more than the beginning of a payload.
    fn matters(&self, hits: &[Match]) -> bool {
        let alone = |target: &Target| matches!(target, Target::Payload);
        hits.iter().any(|hit| !self.targets[hit.pattern().as_usize()].iter().all(alone))
    }

    /// Returns where the payload begins.
    fn payload(&self, hits: &[Match]) -> Option<usize> {
        let mark = |target: &Target| matches!(target, Target::Payload);
        let begins = |hit: &&Match| self.targets[hit.pattern().as_usize()].iter().any(mark);
        hits.iter().filter(begins).map(Match::start).min()
    }
}

static AUTOMATON: LazyLock<Automaton> = LazyLock::new(|| {
    let mut index: BTreeMap<&'static str, usize> = BTreeMap::new();
    let mut needles: Vec<&'static str> = Vec::new();
    let mut targets: Vec<Vec<Target>> = Vec::new();
    let mut add = |needle: &'static str, target| {
        let at = *index.entry(needle).or_insert_with(|| {
            needles.push(needle);
            targets.push(Vec::new());
            needles.len() - 1
        });
        targets[at].push(target);
    };
    for family in Family::ALL {
        for sign in family.signs() {
            add(sign.needle, Target::Sign(family, sign));
        }
    }
    for mark in MARKS {
        add(mark, Target::Secret);
    }
    for mark in PAYLOAD_MARKS {
        add(mark, Target::Payload);
    }
    let search = AhoCorasick::builder()
        .match_kind(MatchKind::Standard)
        .kind(Some(AhoCorasickKind::DFA))
        .build(&needles)
        .expect("a few hundred short needles fit any automaton");
    Automaton { search, targets }
});

/// One device of one file: a tracker per family that had a hit.
pub(crate) struct Slot {
    pub(crate) file: usize,
    pub(crate) key: String,
    pub(crate) trackers: BTreeMap<Family, Tracker>,
}

/// A wrapped line is at most this many pieces.
const WRAP_PIECES_MAX: u8 = 8;
/// Columns at which terminals wrap.
const WRAP_COLUMNS: usize = 80;

/// The diagnosis of one or more logs.
pub struct Doctor {
    files: Vec<FileNote>,
    splitter: Option<Splitter>,
    state: State,
}

#[derive(Default)]
struct State {
    file: usize,
    slots: Vec<Slot>,
    current: usize,
    masker: Masker,
    chinese: bool,
    matched: bool,
    wrapped: Vec<u8>,
    wrapped_number: u64,
    wrapped_pieces: u8,
    fresh: Vec<(usize, Family, &'static str)>,
    /// Hits of the current line; kept for its capacity.
    hits: Vec<Match>,
}

impl Default for Doctor {
    fn default() -> Self {
        Self::new()
    }
}

impl Doctor {
    /// Makes a doctor that has read nothing.
    pub fn new() -> Self {
        Self { files: Vec::new(), splitter: None, state: State::default() }
    }

    /// Begins a file; `name` is what the report calls it.
    pub fn begin(&mut self, name: &str) {
        self.end();
        self.state.file = self.files.len().min(FILES_MAX);
        self.state.current = usize::MAX;
        self.state.matched = false;
        self.state.chinese = false;
        self.splitter = Some(Splitter::default());
        if self.files.len() <= FILES_MAX {
            self.files.push(FileNote::new(name));
        }
    }

    /// Reads the next bytes of the file, in pieces of any size.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.splitter.is_none() {
            self.begin("-");
        }
        let state = &mut self.state;
        if let Some(splitter) = &mut self.splitter {
            splitter.feed(bytes, &mut |number, line| state.line(number, line));
        }
    }

    /// Ends the file.
    pub fn end(&mut self) {
        let Some(mut splitter) = self.splitter.take() else { return };
        let state = &mut self.state;
        splitter.finish(&mut |number, line| state.line(number, line));
        state.flush_wrapped();
        let Some(note) = self.files.last_mut() else { return };
        note.bytes = splitter.bytes();
        note.lines = splitter.lines();
        note.blank = splitter.is_blank();
        note.encoding = match splitter.encoding() {
            Encoding::Utf8 if state.chinese => Encoding::Gb18030,
            Encoding::Utf8 if splitter.looks_binary() && !state.matched => Encoding::Binary,
            known @ (Encoding::Utf8
            | Encoding::Utf16Le
            | Encoding::Utf16Be
            | Encoding::Gb18030
            | Encoding::Binary) => known,
        };
    }

    /// Returns the codes of causes that became certain since the last call, each with its line:
    /// explicit ones of a recognised SDK. A later success may still overcome them.
    pub fn news(&mut self) -> Vec<(&'static str, u64)> {
        let fresh = std::mem::take(&mut self.state.fresh);
        let mut known = Vec::new();
        for (slot, family, code) in fresh {
            let tracker = self.state.slots.get(slot).and_then(|slot| slot.trackers.get(&family));
            let Some(tracker) = tracker else { continue };
            let Some(fault) = tracker.faults.iter().find(|fault| fault.code == code) else {
                continue;
            };
            match tracker.recognised() {
                true if !fault.side => known.push((code, fault.first)),
                true => {}
                false => self.state.fresh.push((slot, family, code)),
            }
        }
        known
    }

    /// Ends the reading and judges.
    pub fn finish(mut self) -> Report {
        self.end();
        verdict::judge(self.files, self.state.slots, &self.state.masker)
    }
}

impl State {
    /// Takes one physical line; lines that a terminal wrapped are joined first.
    fn line(&mut self, number: u64, raw: &[u8]) {
        let line = strip(raw);
        if !self.wrapped.is_empty() {
            if self.wrapped_pieces < WRAP_PIECES_MAX && !is_record_start(&line) {
                self.wrapped.extend_from_slice(&line);
                self.wrapped_pieces += 1;
                if !is_full(raw, &line) {
                    self.flush_wrapped();
                }
                return;
            }
            self.flush_wrapped();
        }
        if is_full(raw, &line) {
            self.wrapped.extend_from_slice(&line);
            self.wrapped_number = number;
            self.wrapped_pieces = 1;
            return;
        }
        self.logical(number, &line);
    }

    fn flush_wrapped(&mut self) {
        if !self.wrapped.is_empty() {
            let line = std::mem::take(&mut self.wrapped);
            self.logical(self.wrapped_number, &line);
        }
    }

    fn logical(&mut self, number: u64, line: &[u8]) {
        let automaton = &*AUTOMATON;
        let follows = self.masker.wants_next();
        let mut hits = std::mem::take(&mut self.hits);
        hits.clear();
        hits.extend(automaton.search.find_overlapping_iter(line));
        if follows || automaton.matters(&hits) {
            let decoded = self.decode(line);
            if follows {
                self.masker.learn_next(&decoded);
            }
            let (text, key) = unwrap(&decoded);
            if !matches!((&decoded, &text), (Cow::Borrowed(_), Cow::Borrowed(_))) {
                // Decoding or unwrapping moved the text: search it again.
                hits.clear();
                hits.extend(automaton.search.find_overlapping_iter(text.as_bytes()));
            }
            let payload = match is_payload(&text) {
                true => 0,
                false => automaton.payload(&hits).unwrap_or(text.len()),
            };
            self.apply_all(&Line::with_payload(number, &text, &key, payload), automaton, &hits);
        }
        self.hits = hits;
    }

    fn decode<'a>(&mut self, line: &'a [u8]) -> Cow<'a, str> {
        match std::str::from_utf8(line) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                let (text, bad) = GB18030.decode_without_bom_handling(line);
                self.chinese |= !bad;
                text
            }
        }
    }

    fn apply_all(&mut self, line: &Line<'_>, automaton: &'static Automaton, hits: &[Match]) {
        let mut secret = false;
        for found in hits {
            for target in &automaton.targets[found.pattern().as_usize()] {
                match target {
                    Target::Payload => {}
                    Target::Secret => secret = true,
                    Target::Sign(family, sign) => {
                        if sign.holds(line, found.start()) {
                            let hit = Hit { line, at: found.start(), end: found.end() };
                            self.apply(*family, sign, &hit);
                        }
                    }
                }
            }
        }
        if secret {
            self.masker.learn(line.text);
        }
    }

    fn apply(&mut self, family: Family, sign: &'static Sign, hit: &Hit<'_>) {
        self.matched = true;
        let slot = self.slot(hit.line.key);
        let tracker = self.slots[slot].trackers.entry(family).or_insert_with(Tracker::new);
        let before = tracker.faults.len();
        tracker.apply(sign, hit);
        for fault in tracker.faults.iter().skip(before) {
            self.fresh.push((slot, family, fault.code));
        }
    }

    /// Returns the slot of a device key in the current file.
    fn slot(&mut self, key: &str) -> usize {
        let same = |slot: &Slot| slot.file == self.file && slot.key == key;
        if self.slots.get(self.current).is_some_and(same) {
            return self.current;
        }
        self.current = match self.slots.iter().position(same) {
            Some(known) => known,
            None if self.slots.len() >= DEVICES_MAX => self.slots.len() - 1,
            None => {
                let key = key.to_owned();
                self.slots.push(Slot { file: self.file, key, trackers: BTreeMap::new() });
                self.slots.len() - 1
            }
        };
        self.current
    }
}

/// Returns true when a terminal may have cut the line: with or without its colours it is as wide.
fn is_full(raw: &[u8], line: &[u8]) -> bool {
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    raw.len() == WRAP_COLUMNS || line.len() == WRAP_COLUMNS
}

/// Returns true when a line begins a record of any logger, so that it continues nothing.
fn is_record_start(line: &[u8]) -> bool {
    const HEADS: &[&[u8]] = &[
        b"[", b"ERR|", b"WRN|", b"INF|", b"DBG|", b"ERROR", b"WARN", b"INFO", b"DEBUG", b"CRIT",
        b"{", b"}", b"<", b">", b"AT+", b"+",
    ];
    let dated = line.len() >= 10 && line[..4].iter().all(u8::is_ascii_digit) && line[4] == b'-';
    line.is_empty() || dated || HEADS.iter().any(|head| line.starts_with(head))
}
