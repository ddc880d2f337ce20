//! The chunked transfer coding, reading side.
//!
//! Source: RFC 9112 section 7.1.

use bytes::{Buf, BytesMut};

use super::ResponseError;

/// Longest chunk size line in bytes, extensions included.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;
/// Most bytes of trailer fields, which are read and forgotten.
pub const TRAILER_BYTES_MAX: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    Size,
    Data { left: u64 },
    DataEnd,
    Trailer { read: usize },
    Done,
}

impl Chunked {
    /// Consumes framing; returns how many bytes at the front of `input` are body now, 0 when more
    /// input is needed or the body is complete.
    pub(super) fn advance(&mut self, input: &mut BytesMut) -> Result<usize, ResponseError> {
        loop {
            match *self {
                Self::Size => {
                    let Some(line) = take_line(input, CHUNK_LINE_BYTES_MAX)? else { return Ok(0) };
                    *self = match size(&line)? {
                        0 => Self::Trailer { read: 0 },
                        left => Self::Data { left },
                    };
                }
                Self::Data { left } => {
                    return Ok(usize::try_from(left).unwrap_or(usize::MAX).min(input.len()));
                }
                Self::DataEnd => {
                    let Some(line) = take_line(input, 0)? else { return Ok(0) };
                    if !line.is_empty() {
                        return Err(ResponseError::Chunk);
                    }
                    *self = Self::Size;
                }
                Self::Trailer { read } => {
                    let left = TRAILER_BYTES_MAX.saturating_sub(read);
                    let Some(line) = take_line(input, left)? else { return Ok(0) };
                    *self = match line.len() {
                        0 => Self::Done,
                        len => Self::Trailer { read: read + len + 2 },
                    };
                }
                Self::Done => return Ok(0),
            }
        }
    }

    /// Notes that `taken` body bytes left the input.
    pub(super) fn took(&mut self, taken: usize) {
        if let Self::Data { left } = *self {
            *self = match left.saturating_sub(taken as u64) {
                0 => Self::DataEnd,
                left => Self::Data { left },
            };
        }
    }
}

/// Takes a line without its end; `None` while it is incomplete.
fn take_line(input: &mut BytesMut, max: usize) -> Result<Option<BytesMut>, ResponseError> {
    let Some(at) = input.iter().take(max + 2).position(|byte| *byte == b'\n') else {
        return if input.len() >= max + 2 { Err(ResponseError::Chunk) } else { Ok(None) };
    };
    let mut line = input.split_to(at);
    input.advance(1);
    match line.last() {
        Some(b'\r') => line.truncate(at - 1),
        // A bare LF would be another line for another reader.
        Some(_) | None => return Err(ResponseError::Chunk),
    }
    Ok(Some(line))
}

/// Parses `size [; extensions]`.
fn size(line: &[u8]) -> Result<u64, ResponseError> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    // Sixteen digits would fit, but no body of ours is that long.
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(ResponseError::Chunk);
    }
    core::str::from_utf8(digits)
        .ok()
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or(ResponseError::Chunk)
}
