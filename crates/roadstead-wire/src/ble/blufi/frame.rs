//! Frames of BluFi: number, length, checksum, fragments, encryption.
//!
//! Source: Airlink §8.2.

use alloc::vec::Vec;

use super::crypt::{Cipher, crc16};
use crate::ble::{MESSAGE_MAX, Refusal, piece};

/// Type, frame control, number, length.
const HEADER: usize = 4;
const CHECKSUM: usize = 2;
/// Bytes that tell how much of a fragmented message is still to come.
const REMAINING: usize = 2;
/// Frame control bits.
const ENCRYPTED: u8 = 0x01;
const CHECKED: u8 = 0x02;
const FROM_DEVICE: u8 = 0x04;
const ACK_WANTED: u8 = 0x08;
const FRAGMENT: u8 = 0x10;

/// What a frame is: control or data, and the subtype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A control frame of this subtype.
    Control(u8),
    /// A data frame of this subtype.
    Data(u8),
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Control(subtype) => subtype << 2,
            Self::Data(subtype) => subtype << 2 | 1,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        match byte & 0b11 {
            0 => Some(Self::Control(byte >> 2)),
            1 => Some(Self::Data(byte >> 2)),
            _ => None,
        }
    }
}

/// How frames are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Encrypted, once a key is agreed on.
    pub encrypt: bool,
    /// With a checksum.
    pub check: bool,
}

impl Flags {
    /// Reads the nibble of a security mode.
    pub(super) fn of_mode(nibble: u8) -> Self {
        Self { check: nibble & 1 != 0, encrypt: nibble & 2 != 0 }
    }
}

/// Splits messages into frames. One per direction and connection.
pub struct Framer {
    from_device: bool,
    limit: usize,
    sequence: u8,
}

impl Framer {
    /// Starts with number 0; frames are at most `size` bytes long (20..=514).
    pub fn new(from_device: bool, size: usize) -> Self {
        // The length field counts to 255.
        Self { from_device, limit: piece(size).min(HEADER + 255), sequence: 0 }
    }

    /// Appends the frames of a message. Without a cipher nothing is encrypted.
    pub(super) fn frames(
        &mut self,
        kind: Kind,
        content: &[u8],
        flags: Flags,
        cipher: Option<&Cipher>,
        out: &mut Vec<Vec<u8>>,
    ) {
        let cipher = cipher.filter(|_| flags.encrypt);
        let space = self.limit - HEADER - if flags.check { CHECKSUM } else { 0 };
        let mut rest = content;
        while rest.len() > space {
            let (chunk, later) = rest.split_at(space - REMAINING);
            let mut data = (rest.len() as u16).to_le_bytes().to_vec();
            data.extend_from_slice(chunk);
            out.push(self.frame(kind, data, FRAGMENT, flags.check, cipher));
            rest = later;
        }
        out.push(self.frame(kind, rest.to_vec(), 0, flags.check, cipher));
    }

    fn frame(
        &mut self,
        kind: Kind,
        mut data: Vec<u8>,
        control: u8,
        check: bool,
        cipher: Option<&Cipher>,
    ) -> Vec<u8> {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let length = data.len() as u8;
        let crc = crc16(&[&[sequence, length], &data]);
        if let Some(cipher) = cipher {
            cipher.encrypt(sequence, &mut data);
        }
        let control = control
            | if cipher.is_some() { ENCRYPTED } else { 0 }
            | if check { CHECKED } else { 0 }
            | if self.from_device { FROM_DEVICE } else { 0 };
        let mut frame = alloc::vec![kind.byte(), control, sequence, length];
        frame.append(&mut data);
        if check {
            frame.extend_from_slice(&crc.to_le_bytes());
        }
        frame
    }
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// How its last frame was protected.
    pub flags: Flags,
    /// Number of the frame to acknowledge, when the sender wants that.
    pub ack: Option<u8>,
    /// Content.
    pub content: Vec<u8>,
}

/// Joins frames to messages. One per direction and connection.
pub struct Assembly {
    from_device: bool,
    sequence: u8,
    /// Kind, bytes in all and bytes so far of a fragmented message.
    partial: Option<(Kind, usize, Vec<u8>)>,
}

impl Assembly {
    /// Expects number 0 first.
    pub fn new(from_device: bool) -> Self {
        Self { from_device, sequence: 0, partial: None }
    }

    /// Takes a frame; returns the message it completes.
    ///
    /// # Errors
    /// The frame is none, came out of order, or its protection fails. The connection is of no use
    /// after that.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        cipher: Option<&Cipher>,
    ) -> Result<Option<Message>, Refusal> {
        let [kind, control, sequence, length, rest @ ..] = bytes else {
            return Err(Refusal::Malformed);
        };
        let kind = Kind::of(*kind).ok_or(Refusal::Malformed)?;
        let has = |bit: u8| control & bit != 0;
        if has(FROM_DEVICE) != self.from_device {
            return Err(Refusal::Malformed);
        }
        if *sequence != self.sequence {
            return Err(Refusal::Sequence { want: self.sequence, got: *sequence });
        }
        self.sequence = sequence.wrapping_add(1);
        let (data, checksum) =
            rest.split_at_checked(usize::from(*length)).ok_or(Refusal::Malformed)?;
        let mut data = data.to_vec();
        if has(ENCRYPTED) {
            cipher.ok_or(Refusal::NoKey)?.decrypt(*sequence, &mut data);
        }
        match checksum {
            [] if !has(CHECKED) => {}
            [low, high] if has(CHECKED) => {
                if crc16(&[&[*sequence, *length], &data]) != u16::from_le_bytes([*low, *high]) {
                    return Err(Refusal::Checksum);
                }
            }
            _ => return Err(Refusal::Malformed),
        }
        let flags = Flags { encrypt: has(ENCRYPTED), check: has(CHECKED) };
        let ack = has(ACK_WANTED).then_some(*sequence);
        let content = self.join(kind, data, has(FRAGMENT))?;
        Ok(content.map(|content| Message { kind, flags, ack, content }))
    }

    fn join(
        &mut self,
        kind: Kind,
        data: Vec<u8>,
        fragment: bool,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        if !fragment {
            let Some((first, total, mut content)) = self.partial.take() else {
                return Ok(Some(data));
            };
            content.extend_from_slice(&data);
            let fits = first == kind && content.len() == total;
            return fits.then_some(Some(content)).ok_or(Refusal::Malformed);
        }
        let [low, high, chunk @ ..] = &*data else { return Err(Refusal::Malformed) };
        let remaining = usize::from(u16::from_le_bytes([*low, *high]));
        let (first, total, content) =
            self.partial.get_or_insert_with(|| (kind, remaining, Vec::new()));
        if *total > MESSAGE_MAX {
            return Err(Refusal::TooLong);
        }
        if *first != kind || content.len() + remaining != *total || chunk.len() >= remaining {
            return Err(Refusal::Malformed);
        }
        content.extend_from_slice(chunk);
        Ok(None)
    }
}
