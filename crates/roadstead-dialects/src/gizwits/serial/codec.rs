//! Frames on the serial line: head, length, escaping, checksum.
//!
//! ```text
//! FF FF | len u16 | cmd u8 | sn u8 | flags u16 | payload | sum u8
//! ```
//! `len` counts from `cmd` to `sum`; `sum` is the low byte of the sum from `len` to the end of the
//! payload. Behind the head every FF is followed by a 55 that counts nowhere.
//!
//! Source: GizWits §2.1, from GAgent 04020006 and the MCU protocol 4.3.1.

use alloc::vec::Vec;

/// Largest `len` of a frame in bytes; larger announcements are noise.
pub const FRAME_LEN_MAX: usize = 4096;
/// `len` of a frame without payload.
const LEN_MIN: usize = 5;
const HEAD: u8 = 0xFF;
const STUFFING: u8 = 0x55;

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Command byte, see [`Command`](super::Command).
    pub cmd: u8,
    /// Chosen by whoever asks; the answer repeats it.
    pub sn: u8,
    /// Zero but for file transfer.
    pub flags: u16,
    /// Depends on the command.
    pub payload: &'a [u8],
}

/// Appends the wire form of a frame; a payload beyond [`FRAME_LEN_MAX`] is cut.
pub fn encode(frame: &Frame<'_>, out: &mut Vec<u8>) {
    let payload = frame.payload.get(..FRAME_LEN_MAX - LEN_MIN).unwrap_or(frame.payload);
    let len = (LEN_MIN + payload.len()) as u16;
    let mut sum = 0_u8;
    let mut put = |byte: u8, out: &mut Vec<u8>| {
        sum = sum.wrapping_add(byte);
        stuff(byte, out);
    };
    out.extend_from_slice(&[HEAD, HEAD]);
    for byte in len.to_be_bytes().into_iter().chain([frame.cmd, frame.sn]) {
        put(byte, out);
    }
    for byte in frame.flags.to_be_bytes() {
        put(byte, out);
    }
    for byte in payload {
        put(*byte, out);
    }
    stuff(sum, out);
}

fn stuff(byte: u8, out: &mut Vec<u8>) {
    out.push(byte);
    if byte == HEAD {
        out.push(STUFFING);
    }
}

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A whole frame with the right checksum.
    Frame(Frame<'a>),
    /// A whole frame with a wrong checksum; its numbers may be wrong too.
    BadChecksum {
        /// Command byte as received.
        cmd: u8,
        /// Number as received.
        sn: u8,
    },
}

/// Finds frames in a stream of bytes. Allocates once.
pub struct Decoder {
    /// From `len` on, without stuffing.
    body: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between frames.
    Noise,
    /// One FF between frames.
    HalfHead,
    /// In a frame.
    Body,
    /// In a frame, behind an FF.
    Escape,
    /// The last frame was handed out.
    Done,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Returns a decoder between frames.
    pub fn new() -> Self {
        Self { body: Vec::with_capacity(FRAME_LEN_MAX + 2), state: State::Noise }
    }

    /// Takes bytes off `input` until a frame is whole; `None` when all were taken.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Received<'_>> {
        if self.state == State::Done {
            self.state = State::Noise;
        }
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            self.state = self.step(*byte);
            if self.state == State::Done {
                return self.finish();
            }
        }
        None
    }

    fn step(&mut self, byte: u8) -> State {
        match (self.state, byte) {
            (State::Noise | State::Done, HEAD) => State::HalfHead,
            (State::Noise | State::Done, _) => State::Noise,
            (State::HalfHead | State::Escape, HEAD) => {
                self.body.clear();
                State::Body
            }
            (State::HalfHead, _) => State::Noise,
            // No length begins with FF: the head goes on.
            (State::Body, HEAD) if self.body.is_empty() => State::Body,
            (State::Body, HEAD) => State::Escape,
            (State::Escape, STUFFING) => self.push(HEAD),
            (State::Escape, _) => State::Noise,
            (State::Body, byte) => self.push(byte),
        }
    }

    fn push(&mut self, byte: u8) -> State {
        self.body.push(byte);
        let Some(len) = self.len() else { return State::Body };
        if !(LEN_MIN..=FRAME_LEN_MAX).contains(&len) {
            return State::Noise;
        }
        if self.body.len() == len + 2 { State::Done } else { State::Body }
    }

    fn len(&self) -> Option<usize> {
        let bytes = self.body.first_chunk()?;
        Some(usize::from(u16::from_be_bytes(*bytes)))
    }

    fn finish(&self) -> Option<Received<'_>> {
        let (sum, covered) = self.body.split_last()?;
        let ([_, _, cmd, sn, flags_high, flags_low], payload) = covered.split_first_chunk()?;
        let expected = covered.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        if expected != *sum {
            return Some(Received::BadChecksum { cmd: *cmd, sn: *sn });
        }
        let flags = u16::from_be_bytes([*flags_high, *flags_low]);
        Some(Received::Frame(Frame { cmd: *cmd, sn: *sn, flags, payload }))
    }
}
