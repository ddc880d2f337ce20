//! Frames out of a TCP stream whose lengths cannot be trusted.
//!
//! Rules, in this order:
//! 1. what comes as one segment and fits its length is a frame, without being copied;
//! 2. a frame in several segments is collected, several in one segment are taken apart;
//! 3. a module-information frame that is longer in words than in deed ends where its fields end;
//! 4. what stays short for too long, or until the peer closes, is the frame it is ([`flush`]).
//!
//! [`flush`]: Framer::flush
//!
//! Source: GizWits §1.2, transcripts lan_app (0x0014) and wrong_passcode (0x0007).

use alloc::vec::Vec;

use super::cmd;
use super::frame::{Frame, HEAD, varint};

/// Bytes a framer holds; a longer frame ends the connection.
pub const BUFFER_BYTES: usize = 8 * 1024;

/// The stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FramerError {
    /// Longer than [`BUFFER_BYTES`].
    #[error("frame is longer than the receiver holds")]
    TooLong,
    /// A length of more than four bytes.
    #[error("length has more than four bytes")]
    Length,
}

/// Collects one stream.
#[derive(Default)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Bytes at the front that were handed out.
    taken: usize,
}

impl Framer {
    /// Returns an empty framer; it allocates when a frame comes in pieces.
    pub const fn new() -> Self {
        Self { buffer: Vec::new(), taken: 0 }
    }

    /// Returns whether a frame is incomplete.
    pub fn is_partial(&self) -> bool {
        self.buffer.len() > self.taken
    }

    /// Takes the next frame out of what is held and `input`; call it again until it is `None`.
    ///
    /// # Errors
    ///
    /// The stream is lost: close the connection.
    pub fn next<'a, 'i: 'a>(
        &'a mut self,
        input: &mut &'i [u8],
    ) -> Result<Option<Frame<'a>>, FramerError> {
        if self.taken > 0 {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        if self.buffer.is_empty() {
            let Some(size) = whole(input)? else {
                self.hold(input)?;
                return Ok(None);
            };
            let (bytes, rest) = input.split_at_checked(size).unwrap_or((input, &[]));
            *input = rest;
            return Ok(parse(bytes));
        }
        self.hold(input)?;
        let Some(size) = whole(&self.buffer)? else { return Ok(None) };
        self.taken = size;
        Ok(self.buffer.get(..size).and_then(parse))
    }

    /// Hands out what is held as the frame it is: the peer has closed, or says no more.
    pub fn flush(&mut self) -> Option<Frame<'_>> {
        let (start, end) = (self.taken, self.buffer.len());
        self.taken = end;
        self.buffer.get(start..end).filter(|bytes| !bytes.is_empty()).and_then(parse)
    }

    fn hold(&mut self, input: &mut &[u8]) -> Result<(), FramerError> {
        if self.buffer.len() + input.len() > BUFFER_BYTES {
            return Err(FramerError::TooLong);
        }
        self.buffer.extend_from_slice(input);
        *input = &[];
        Ok(())
    }
}

/// Returns the size of the first frame, once it is whole.
fn whole(bytes: &[u8]) -> Result<Option<usize>, FramerError> {
    let Some(rest) = bytes.get(HEAD.len()..) else { return Ok(None) };
    let (len, taken) = match varint(rest) {
        None => return Ok(None),
        Some(None) => return Err(FramerError::Length),
        Some(Some(found)) => found,
    };
    let (start, len) = (HEAD.len() + taken, len as usize);
    if start + len > BUFFER_BYTES {
        return Err(FramerError::TooLong);
    }
    if bytes.len() >= start + len {
        return Ok(Some(start + len));
    }
    let inner = bytes.get(start..).unwrap_or_default();
    Ok(info_end(inner).map(|end| start + end))
}

/// Returns where a module-information frame ends by its own fields; GAgent 04020006 declares 32
/// bytes more than it sends.
fn info_end(inner: &[u8]) -> Option<usize> {
    let frame = Frame::inner(inner)?;
    if frame.cmd != cmd::INFO {
        return None;
    }
    let mut end = 48;
    for _ in 0..2 {
        let len = frame.body.get(end..)?.first_chunk()?;
        end += 2 + usize::from(u16::from_be_bytes(*len));
    }
    (frame.body.len() >= end).then_some(3 + end)
}

fn parse(bytes: &[u8]) -> Option<Frame<'_>> {
    let rest = bytes.get(HEAD.len()..)?;
    let (_, taken) = varint(rest)??;
    Frame::inner(rest.get(taken..)?)
}
