//! Pieces of LLSync: type, two bytes of length and position, payload; both repeated in each piece.

use alloc::vec::Vec;

use crate::ble::{MESSAGE_MAX, Refusal, piece};

/// Type and length field.
const HEADER: usize = 3;
/// Bits 15 and 14: where in its message a piece is.
const WHOLE: u16 = 0x0000;
const FIRST: u16 = 0x4000;
const MIDDLE: u16 = 0x8000;
const LAST: u16 = 0xC000;
const PLACE: u16 = 0xC000;
/// Bits 12..=0; bit 13 refuses a binding and means nothing here.
const LENGTH: u16 = 0x1FFF;

/// Appends the pieces of a message, each of at most `size` bytes.
pub fn split(kind: u8, payload: &[u8], size: usize, out: &mut Vec<Vec<u8>>) {
    let space = piece(size) - HEADER;
    let count = payload.len().div_ceil(space).max(1);
    for n in 0..count {
        let end = payload.len().min((n + 1) * space);
        let chunk = payload.get(n * space..end).unwrap_or_default();
        let place = match (n, count) {
            (_, 1) => WHOLE,
            (0, _) => FIRST,
            (n, count) if n + 1 == count => LAST,
            _ => MIDDLE,
        };
        let [high, low] = (place | chunk.len() as u16 & LENGTH).to_be_bytes();
        let mut bytes = alloc::vec![kind, high, low];
        bytes.extend_from_slice(chunk);
        out.push(bytes);
    }
}

/// Joins pieces to messages. One per direction and connection.
#[derive(Default)]
pub struct Joiner {
    /// Type and bytes so far of a message in pieces.
    partial: Option<(u8, Vec<u8>)>,
    /// Type, announced length and bytes so far of a message whose writes were cut without a word.
    cut: Option<(u8, usize, Vec<u8>)>,
}

impl Joiner {
    /// Takes a piece; returns the message it completes.
    ///
    /// # Errors
    /// The piece is none, or comes out of order.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Option<(u8, Vec<u8>)>, Refusal> {
        if let Some((kind, length, mut payload)) = self.cut.take() {
            payload.extend_from_slice(bytes);
            return self.measure(kind, length, payload);
        }
        let [kind, high, low, payload @ ..] = bytes else { return Err(Refusal::Malformed) };
        let field = u16::from_be_bytes([*high, *low]);
        let length = usize::from(field & LENGTH);
        if field & PLACE == WHOLE {
            self.partial = None;
            return self.measure(*kind, length, payload.to_vec());
        }
        if payload.len() != length {
            return Err(Refusal::Malformed);
        }
        if field & PLACE == FIRST {
            self.partial = Some((*kind, payload.to_vec()));
            return Ok(None);
        }
        let (first, mut whole) = self.partial.take().ok_or(Refusal::Malformed)?;
        if first != *kind {
            return Err(Refusal::Malformed);
        }
        if whole.len() + length > MESSAGE_MAX {
            return Err(Refusal::TooLong);
        }
        whole.extend_from_slice(payload);
        if field & PLACE == LAST {
            return Ok(Some((first, whole)));
        }
        self.partial = Some((first, whole));
        Ok(None)
    }

    /// Lets a message go that is as long as announced, and waits for the rest of a shorter one:
    /// some phones cut a long write in two.
    fn measure(
        &mut self,
        kind: u8,
        length: usize,
        payload: Vec<u8>,
    ) -> Result<Option<(u8, Vec<u8>)>, Refusal> {
        if length > MESSAGE_MAX {
            return Err(Refusal::TooLong);
        }
        match payload.len().cmp(&length) {
            core::cmp::Ordering::Equal => Ok(Some((kind, payload))),
            core::cmp::Ordering::Greater => Err(Refusal::Malformed),
            // Nothing at all would wait for ever on empty writes.
            core::cmp::Ordering::Less if payload.is_empty() => Err(Refusal::Malformed),
            core::cmp::Ordering::Less => {
                self.cut = Some((kind, length, payload));
                Ok(None)
            }
        }
    }
}
