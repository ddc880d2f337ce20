//! Cuts a stream of bytes into numbered lines in constant memory.
//!
//! A byte order mark selects UTF-8 or UTF-16; everything else is taken as bytes, because signs are
//! ASCII and so match in any ASCII-compatible encoding. Line numbers count line feeds.

use encoding_rs::{Decoder, UTF_16BE, UTF_16LE};
use memchr::{memchr, memchr3};

use crate::limit::{BINARY_PROBE_BYTES, LINE_BYTES_MAX};

/// How a file writes its characters, as far as the first bytes and the lines show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 or ASCII.
    Utf8,
    /// UTF-16, little end first.
    Utf16Le,
    /// UTF-16, big end first.
    Utf16Be,
    /// At least one line was no UTF-8 and read as GB18030.
    Gb18030,
    /// Not text.
    Binary,
    /// A capture of packets, pcap or pcapng.
    Capture,
}

impl Encoding {
    /// Returns the name shown in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
            Self::Gb18030 => "gb18030",
            Self::Binary => "binary",
            Self::Capture => "capture",
        }
    }
}

/// Cuts one file. Feed bytes in any pieces; call [`Splitter::finish`] at the end.
pub struct Splitter {
    encoding: Encoding,
    decoder: Option<Decoder>,
    head: Vec<u8>,
    started: bool,
    carry: Vec<u8>,
    number: u64,
    open: bool,
    bytes: u64,
    seen_text: bool,
    odd: usize,
    probed: usize,
}

impl Default for Splitter {
    fn default() -> Self {
        Self {
            encoding: Encoding::Utf8,
            decoder: None,
            head: Vec::new(),
            started: false,
            carry: Vec::new(),
            number: 1,
            open: false,
            bytes: 0,
            seen_text: false,
            odd: 0,
            probed: 0,
        }
    }
}

impl Splitter {
    /// Takes the next bytes and gives complete lines to `sink` with their numbers, from 1.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(u64, &[u8])) {
        self.bytes += bytes.len() as u64;
        if self.started {
            return self.decoded(bytes, sink);
        }
        // A byte order mark has three bytes at most.
        self.head.extend_from_slice(bytes);
        if self.head.len() >= 3 {
            self.start(sink);
        }
    }

    /// Ends the file: the last line may have no line feed.
    pub fn finish(&mut self, sink: &mut dyn FnMut(u64, &[u8])) {
        if !self.started {
            self.start(sink);
        }
        if let Some(mut decoder) = self.decoder.take() {
            let mut text = String::with_capacity(64);
            let _ = decoder.decode_to_string(&[], &mut text, true);
            self.cut(text.as_bytes(), sink);
        }
        if !self.carry.is_empty() {
            let line = std::mem::take(&mut self.carry);
            sink(self.number, &line);
        }
    }

    /// Returns how many bytes came in.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the number of lines so far; an unfinished last line counts.
    pub const fn lines(&self) -> u64 {
        self.number - 1 + self.open as u64
    }

    /// Returns the encoding that the byte order mark names.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Returns true when nothing but white space came in.
    pub const fn is_blank(&self) -> bool {
        !self.seen_text
    }

    /// Returns true when non-text bytes dominate at the start of the file.
    pub const fn looks_binary(&self) -> bool {
        self.odd * 10 > self.probed
    }

    fn start(&mut self, sink: &mut dyn FnMut(u64, &[u8])) {
        self.started = true;
        let head = std::mem::take(&mut self.head);
        let (encoding, skip) = match head.as_slice() {
            [0xef, 0xbb, 0xbf, ..] => (Encoding::Utf8, 3),
            [0xff, 0xfe, ..] => (Encoding::Utf16Le, 2),
            [0xfe, 0xff, ..] => (Encoding::Utf16Be, 2),
            _ => (Encoding::Utf8, 0),
        };
        self.encoding = encoding;
        self.decoder = match encoding {
            Encoding::Utf16Le => Some(UTF_16LE.new_decoder_without_bom_handling()),
            Encoding::Utf16Be => Some(UTF_16BE.new_decoder_without_bom_handling()),
            Encoding::Utf8 | Encoding::Gb18030 | Encoding::Binary | Encoding::Capture => None,
        };
        self.decoded(&head[skip..], sink);
    }

    fn decoded(&mut self, bytes: &[u8], sink: &mut dyn FnMut(u64, &[u8])) {
        self.probe(bytes);
        let Some(mut decoder) = self.decoder.take() else {
            return self.cut(bytes, sink);
        };
        let mut rest = bytes;
        loop {
            let mut text = String::with_capacity(8 * 1024);
            let (result, read, _) = decoder.decode_to_string(rest, &mut text, false);
            rest = &rest[read..];
            self.cut(text.as_bytes(), sink);
            if matches!(result, encoding_rs::CoderResult::InputEmpty) {
                break;
            }
        }
        self.decoder = Some(decoder);
    }

    /// Counts bytes that no text has: control characters other than those of terminals.
    fn probe(&mut self, bytes: &[u8]) {
        if !self.seen_text {
            let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
            self.seen_text = bytes.iter().any(|byte| !blank(byte));
        }
        if self.probed < BINARY_PROBE_BYTES && self.decoder.is_none() {
            let piece = &bytes[..bytes.len().min(BINARY_PROBE_BYTES - self.probed)];
            let odd = |byte: &&u8| matches!(**byte, 1..=6 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f);
            self.odd += piece.iter().filter(odd).count();
            let high = piece.iter().filter(|byte| **byte >= 0x80).count();
            // Compressed data has half its bytes above ASCII and is no UTF-8.
            if high * 3 > piece.len() && std::str::from_utf8(piece).is_err() {
                self.odd += high / 8;
            }
            self.probed += piece.len();
        }
    }

    fn cut(&mut self, bytes: &[u8], sink: &mut dyn FnMut(u64, &[u8])) {
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let line = &rest[..end];
            if self.carry.is_empty() {
                pieces(self.number, line, sink);
            } else {
                self.carry.extend_from_slice(line);
                let whole = std::mem::take(&mut self.carry);
                pieces(self.number, &whole, sink);
                self.carry = whole;
                self.carry.clear();
            }
            self.number += 1;
            self.open = false;
            rest = &rest[end + 1..];
        }
        if rest.is_empty() {
            return;
        }
        self.open = true;
        self.carry.extend_from_slice(rest);
        while self.carry.len() > LINE_BYTES_MAX {
            sink(self.number, &self.carry[..LINE_BYTES_MAX]);
            // An overlap keeps a sign whole that lies across the cut.
            self.carry.drain(..LINE_BYTES_MAX - OVERLAP);
        }
    }
}

/// Bytes that two pieces of an over-long line share.
const OVERLAP: usize = 256;

/// Gives a line in pieces of at most [`LINE_BYTES_MAX`].
fn pieces(number: u64, line: &[u8], sink: &mut dyn FnMut(u64, &[u8])) {
    let mut rest = line;
    while rest.len() > LINE_BYTES_MAX {
        sink(number, &rest[..LINE_BYTES_MAX]);
        rest = &rest[LINE_BYTES_MAX - OVERLAP..];
    }
    sink(number, rest);
}

/// Returns true when a line needs cleaning before it can be matched.
pub(super) fn is_dirty(line: &[u8]) -> bool {
    memchr3(0x1b, 0, b'\r', line).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[&[u8]]) -> (Vec<(u64, String)>, Splitter) {
        let mut splitter = Splitter::default();
        let mut out = Vec::new();
        let mut sink = |number: u64, line: &[u8]| {
            out.push((number, String::from_utf8_lossy(line).into_owned()));
        };
        for chunk in chunks {
            splitter.feed(chunk, &mut sink);
        }
        splitter.finish(&mut sink);
        (out, splitter)
    }

    #[test]
    fn numbers_survive_any_cut() {
        let whole = b"one\ntwo\r\n\nfour";
        let expected = lines(&[whole]).0;
        assert_eq!(expected.len(), 4);
        for at in 0..whole.len() {
            assert_eq!(lines(&[&whole[..at], &whole[at..]]).0, expected, "cut at {at}");
        }
        assert_eq!(lines(&[whole]).1.lines(), 4);
        assert_eq!(lines(&[b"a\nb\n"]).1.lines(), 2);
    }

    #[test]
    fn utf16_reads_by_its_mark() {
        let mut le = vec![0xff, 0xfe];
        "a中\nb".encode_utf16().for_each(|unit| le.extend(unit.to_le_bytes()));
        let (out, splitter) = lines(&[&le[..5], &le[5..]]);
        assert_eq!(out, [(1, "a中".to_owned()), (2, "b".to_owned())]);
        assert_eq!(splitter.encoding(), Encoding::Utf16Le);
    }

    #[test]
    fn one_endless_line_comes_in_pieces() {
        let long = vec![b'x'; 3 * LINE_BYTES_MAX];
        let (out, splitter) = lines(&[&long[..100], &long[100..]]);
        assert!(out.len() >= 3 && out.iter().all(|(n, l)| *n == 1 && l.len() <= LINE_BYTES_MAX));
        assert_eq!(splitter.lines(), 1);
    }

    #[test]
    fn blank_and_binary_are_told() {
        assert!(lines(&[b" \r\n\t\n"]).1.is_blank());
        assert!(!lines(&[b"x"]).1.is_blank());
        let noise: Vec<u8> =
            (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert!(lines(&[&noise]).1.looks_binary());
        assert!(!lines(&["纯文本日志\n".repeat(50).as_bytes()]).1.looks_binary());
    }
}
