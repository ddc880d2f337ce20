//! Commands and results of Improv, and the stream of a serial line.

use alloc::vec::Vec;

use zeroize::Zeroize as _;

use super::Carrier;
use crate::ble::Refusal;

/// Command or result, length, data; over Bluetooth a checksum at the end.
const HEADER: usize = 2;
/// Longest data of a command or result.
pub(super) const DATA_MAX: usize = 255;

/// A command or a result. Its data may hold a password and is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Rpc {
    /// The command, in a result the one it answers.
    pub command: u8,
    /// Its data, up to 255 bytes.
    pub data: Vec<u8>,
}

impl core::fmt::Debug for Rpc {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Rpc({:#04x}, {} bytes)", self.command, self.data.len())
    }
}

impl Drop for Rpc {
    fn drop(&mut self) {
        self.data.zeroize();
    }
}

impl Rpc {
    /// Makes one of strings; those that no longer fit are left out.
    pub fn of(command: u8, strings: &[&[u8]]) -> Self {
        let mut data = Vec::new();
        for string in strings {
            let string = string.get(..DATA_MAX).unwrap_or(string);
            if data.len() + 1 + string.len() > DATA_MAX {
                break;
            }
            data.push(string.len() as u8);
            data.extend_from_slice(string);
        }
        Self { command, data }
    }

    /// Writes it.
    pub fn emit(&self, carrier: Carrier) -> Vec<u8> {
        let data = self.data.get(..DATA_MAX).unwrap_or(&self.data);
        let mut bytes = alloc::vec![self.command, data.len() as u8];
        bytes.extend_from_slice(data);
        if carrier == Carrier::Gatt {
            bytes.push(checksum(&bytes));
        }
        bytes
    }

    /// Returns how many bytes it has in all, once its first two are there.
    pub(super) fn length(bytes: &[u8], carrier: Carrier) -> Option<usize> {
        let end = usize::from(carrier == Carrier::Gatt);
        bytes.get(1).map(|data| HEADER + usize::from(*data) + end)
    }

    /// Reads one that is whole.
    ///
    /// # Errors
    /// Its length or its checksum does not fit.
    pub fn parse(bytes: &[u8], carrier: Carrier) -> Result<Self, Refusal> {
        if Self::length(bytes, carrier) != Some(bytes.len()) {
            return Err(Refusal::Malformed);
        }
        let body = match (carrier, bytes.split_last()) {
            (Carrier::Gatt, Some((sum, body))) if *sum == checksum(body) => body,
            (Carrier::Gatt, _) => return Err(Refusal::Checksum),
            (Carrier::Serial, _) => bytes,
        };
        let data = body.get(HEADER..).unwrap_or_default().to_vec();
        Ok(Self { command: body.first().copied().unwrap_or_default(), data })
    }

    /// Reads its data as strings.
    ///
    /// # Errors
    /// A string reaches beyond the end.
    pub fn strings(&self) -> Result<Vec<&[u8]>, Refusal> {
        let (mut strings, mut rest) = (Vec::new(), self.data.as_slice());
        while let Some((length, more)) = rest.split_first() {
            let (string, more) =
                more.split_at_checked(usize::from(*length)).ok_or(Refusal::Malformed)?;
            strings.push(string);
            rest = more;
        }
        Ok(strings)
    }
}

fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().copied().fold(0, u8::wrapping_add)
}

/// What every packet of a serial line begins with, and the version of the protocol.
const MAGIC: [u8; 7] = *b"IMPROV\x01";
/// Kind and length follow.
const SERIAL_HEADER: usize = MAGIC.len() + 2;

/// Frames a packet for a serial line; a line feed ends it, for terminals.
pub(super) fn frame(kind: u8, data: &[u8]) -> Vec<u8> {
    let data = data.get(..DATA_MAX).unwrap_or(data);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[kind, data.len() as u8]);
    bytes.extend_from_slice(data);
    bytes.push(checksum(&bytes));
    bytes.push(b'\n');
    bytes
}

/// Finds packets in what comes over a serial line, and passes over everything else. Holds one
/// packet at most.
#[derive(Default)]
pub struct Stream {
    bytes: Vec<u8>,
}

/// A packet of a serial line.
pub(super) enum Found {
    /// Kind and data.
    Packet(u8, Vec<u8>),
    /// Its checksum does not fit.
    Broken,
}

impl Stream {
    /// Takes a byte; returns the packet it ends.
    pub(super) fn take(&mut self, byte: u8) -> Option<Found> {
        self.bytes.push(byte);
        let at = self.bytes.len() - 1;
        if MAGIC.get(at).is_some_and(|wanted| *wanted != byte) {
            // No letter of the magic comes twice, so only its first can begin anew here.
            self.bytes.clear();
            if byte == MAGIC[0] {
                self.bytes.push(byte);
            }
            return None;
        }
        let length = usize::from(*self.bytes.get(SERIAL_HEADER - 1)?);
        if at < SERIAL_HEADER + length {
            return None;
        }
        let mut packet = core::mem::take(&mut self.bytes);
        let sum = packet.pop()?;
        let found = match checksum(&packet) == sum {
            true => Found::Packet(packet[MAGIC.len()], packet[SERIAL_HEADER..].to_vec()),
            false => Found::Broken,
        };
        packet.zeroize();
        Some(found)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}
