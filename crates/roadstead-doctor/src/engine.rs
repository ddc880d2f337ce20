//! The engine: bytes in, report out, in one pass and constant memory.
//!
//! Each line goes once through one automaton over all signs; only lines with a hit are decoded and
//! unwrapped. Hits go to the tracker of their family for the line's device. Families that the log
//! does not prove are dropped at the end.

use std::borrow::Cow;

use encoding_rs::GB18030;

use crate::automaton::{Automaton, Scan};
use crate::capture::{self, Event};
use crate::input::{Encoding, Line, Splitter, is_payload, strip, unwrap};
use crate::limit::{DEVICES_MAX, FILES_MAX};
use crate::mask::Masker;
use crate::report::{FileNote, Report};
use crate::sign::{Family, Hit, Sign};
use crate::tracker::Tracker;
use crate::verdict;

/// One device of one file: a tracker per family that had a hit.
pub(crate) struct Slot {
    pub(crate) file: usize,
    pub(crate) key: String,
    /// Another device behind the same key spoke last; its lines go there.
    turn: Option<usize>,
    trackers: [Option<Box<Tracker>>; Family::ALL.len()],
}

impl Slot {
    /// Returns what each family knows about the device, in the order of [`Family::ALL`].
    pub(crate) fn into_trackers(self) -> impl Iterator<Item = (Family, Tracker)> {
        let known = Family::ALL.into_iter().zip(self.trackers);
        known.filter_map(|(family, tracker)| Some((family, *tracker?)))
    }
}

/// Bytes that tell a capture from a log.
const HEAD_BYTES: usize = 4;
/// Bytes of a capture taken at once, so that its events stay few.
const CAPTURE_PIECE_BYTES: usize = 64 * 1024;
/// A wrapped line is at most this many pieces.
const WRAP_PIECES_MAX: u8 = 8;
/// Columns at which terminals wrap.
const WRAP_COLUMNS: usize = 80;

/// The diagnosis of one or more logs.
pub struct Doctor {
    files: Vec<FileNote>,
    source: Source,
    state: State,
}

/// What the file of the moment is, as far as its first bytes show.
enum Source {
    None,
    /// Too few bytes yet.
    Head(Vec<u8>),
    Text(Splitter),
    Capture(Box<capture::Reader>),
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
    scan: Scan,
}

impl Default for Doctor {
    fn default() -> Self {
        Self::new()
    }
}

impl Doctor {
    /// Makes a doctor that has read nothing.
    pub fn new() -> Self {
        Self { files: Vec::new(), source: Source::None, state: State::default() }
    }

    /// Begins a file; `name` is what the report calls it.
    pub fn begin(&mut self, name: &str) {
        self.end();
        self.state.file = self.files.len().min(FILES_MAX);
        self.state.current = usize::MAX;
        self.state.matched = false;
        self.state.chinese = false;
        self.source = Source::Head(Vec::new());
        if self.files.len() <= FILES_MAX {
            self.files.push(FileNote::new(name));
        }
    }

    /// Reads the next bytes of the file, in pieces of any size.
    pub fn feed(&mut self, bytes: &[u8]) {
        if matches!(self.source, Source::None) {
            self.begin("-");
        }
        if let Source::Head(head) = &mut self.source {
            head.extend_from_slice(bytes);
            if head.len() < HEAD_BYTES {
                return;
            }
            let head = std::mem::take(head);
            self.start(&head);
        } else {
            self.read(bytes);
        }
    }

    /// The first bytes decide between a log and a capture.
    fn start(&mut self, head: &[u8]) {
        self.source = match capture::is_capture(head) {
            true => Source::Capture(Box::new(capture::Reader::new())),
            false => Source::Text(Splitter::default()),
        };
        self.read(head);
    }

    fn read(&mut self, bytes: &[u8]) {
        let state = &mut self.state;
        match &mut self.source {
            Source::Text(splitter) => {
                splitter.feed(bytes, &mut |number, line| state.line(number, line));
            }
            Source::Capture(reader) => {
                let mut events = Vec::new();
                for piece in bytes.chunks(CAPTURE_PIECE_BYTES) {
                    reader.feed(piece, &mut events);
                    events.drain(..).for_each(|event| state.event(&event));
                }
            }
            Source::None | Source::Head(_) => {}
        }
    }

    /// Ends the file.
    pub fn end(&mut self) {
        if let Source::Head(head) = &mut self.source {
            let head = std::mem::take(head);
            self.start(&head);
        }
        let state = &mut self.state;
        let note = self.files.last_mut();
        match std::mem::replace(&mut self.source, Source::None) {
            Source::None | Source::Head(_) => {}
            Source::Text(mut splitter) => {
                splitter.finish(&mut |number, line| state.line(number, line));
                state.flush_wrapped();
                let Some(note) = note else { return };
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
                    | Encoding::Binary
                    | Encoding::Capture) => known,
                };
            }
            Source::Capture(mut reader) => {
                let mut events = Vec::new();
                reader.finish(&mut events);
                events.iter().for_each(|event| state.event(event));
                let Some(note) = note else { return };
                (note.bytes, note.lines) = reader.counts();
                note.blank = false;
                note.encoding = Encoding::Capture;
            }
        }
    }

    /// Returns the codes of causes that became certain since the last call, each with its line:
    /// explicit ones of a recognised SDK. A later success may still overcome them.
    pub fn news(&mut self) -> Vec<(&'static str, u64)> {
        let fresh = std::mem::take(&mut self.state.fresh);
        let mut known = Vec::new();
        for (slot, family, code) in fresh {
            let tracker =
                self.state.slots.get(slot).and_then(|slot| slot.trackers[family as usize].as_ref());
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
        let automaton = Automaton::get();
        let follows = self.masker.wants_next();
        let mut scan = std::mem::take(&mut self.scan);
        automaton.scan(line, &mut scan);
        if follows || scan.matters() {
            let decoded = self.decode(line);
            if follows {
                self.masker.learn_next(&decoded);
            }
            let (text, key) = unwrap(&decoded);
            if !matches!((&decoded, &text), (Cow::Borrowed(_), Cow::Borrowed(_))) {
                // Decoding or unwrapping moved the text: search it again.
                automaton.scan(text.as_bytes(), &mut scan);
            }
            let payload = if is_payload(&text) { 0 } else { scan.payload };
            let line = Line::with_payload(number, &text, &key, payload);
            self.apply_all(&line, &scan, |family| family != Family::Capture);
        }
        self.scan = scan;
    }

    /// Takes an event of a capture; only the signs of captures count in it.
    fn event(&mut self, event: &Event) {
        let mut scan = std::mem::take(&mut self.scan);
        Automaton::get().scan(event.text.as_bytes(), &mut scan);
        let line = Line::with_payload(event.number, &event.text, &event.key, event.text.len());
        self.apply_all(&line, &scan, |family| family == Family::Capture);
        self.scan = scan;
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

    fn apply_all(&mut self, line: &Line<'_>, scan: &Scan, wanted: impl Fn(Family) -> bool) {
        let mut slot = None;
        for found in &scan.signs {
            for (family, sign) in Automaton::get().signs(*found) {
                if wanted(*family) && sign.holds(line, found.start) {
                    let hit = Hit { line, at: found.start, end: found.end };
                    let mut at = *slot.get_or_insert_with(|| self.slot(line.key));
                    if let Some(name) = sign.name(&hit) {
                        at = self.named(at, *family, line.key, &name);
                        slot = Some(at);
                    }
                    self.apply(at, *family, sign, &hit);
                }
            }
        }
        if scan.secret() {
            self.masker.learn(line.text);
        }
    }

    fn apply(&mut self, slot: usize, family: Family, sign: &'static Sign, hit: &Hit<'_>) {
        self.matched = true;
        let known = &mut self.slots[slot].trackers[family as usize];
        let tracker = known.get_or_insert_with(|| Box::new(Tracker::new()));
        let before = tracker.faults.len();
        tracker.apply(sign, hit);
        for fault in tracker.faults.iter().skip(before) {
            self.fresh.push((slot, family, fault.code));
        }
    }

    /// Returns the slot of a device key in the current file.
    fn slot(&mut self, key: &str) -> usize {
        // Most logs have no key, and comparing nothing with nothing costs a trap in some C libraries.
        let equal = |known: &str| known.len() == key.len() && (key.is_empty() || known == key);
        let same = |slot: &Slot| slot.file == self.file && equal(&slot.key);
        if let Some(known) = self.slots.get(self.current).filter(|slot| same(slot)) {
            return known.turn.unwrap_or(self.current);
        }
        self.current = match self.slots.iter().position(same) {
            Some(known) => known,
            None if self.slots.len() >= DEVICES_MAX => self.slots.len() - 1,
            None => {
                self.open(key);
                self.slots.len() - 1
            }
        };
        self.slots[self.current].turn.unwrap_or(self.current)
    }

    fn open(&mut self, key: &str) {
        let key = key.to_owned();
        self.slots.push(Slot { file: self.file, key, turn: None, trackers: Default::default() });
    }

    /// A device names itself. Where the one that spoke so far has another name, its lines end here
    /// and those of the named one begin or go on.
    fn named(&mut self, slot: usize, family: Family, key: &str, name: &str) -> usize {
        let is = |slot: &Slot, other: bool| {
            let tracker = slot.trackers[family as usize].as_ref();
            tracker.is_some_and(|t| t.name.is_some() && t.is_other(name) == other)
        };
        if !is(&self.slots[slot], true) {
            return slot;
        }
        let same = |slot: &Slot| slot.file == self.file && slot.key == key && is(slot, false);
        let known = self.slots.iter().position(same);
        let first = self.current;
        let turn = match known {
            Some(known) => known,
            None if self.slots.len() >= DEVICES_MAX => return slot,
            None => {
                self.open(key);
                self.slots.len() - 1
            }
        };
        self.slots[first].turn = Some(turn);
        turn
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
