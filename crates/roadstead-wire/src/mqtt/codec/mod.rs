//! Bytes to packets and back, for all three versions.
//!
//! The rare packets go through the crate `rmqtt-codec`; PUBLISH without properties, the plain
//! acknowledgements and the pings are read and written here (`hot`), because they are nearly all
//! of the traffic and need no intermediate form. A test compares both ways byte by byte. What
//! `rmqtt-codec` lets pass and the specification forbids is refused here, so that a decoded
//! packet is a legal packet.
//!
//! A [`Decoder`] is 8 bytes. It keeps no bytes: the caller owns the buffer and may drop it
//! whenever it is empty. The size limit is checked as soon as the length field is there, before
//! anything of the body has to be buffered.
//!
//! Limits: [`MAX_PACKET_BYTES`], or less by [`Decoder::new`]; text of 65 535 bytes.
//!
//! Source: MQTT 5.0 chapters 1.5, 2 and 3; MQTT 3.1.1 chapters 1.5, 2 and 3; MQTT 3.1 section 3.

mod check;
mod convert;
mod error;
mod hot;
mod v3;
mod v5;

#[cfg(test)]
mod tests;

use bytes::BytesMut;

pub use error::{DecodeError, EncodeError};

use super::packet::{Packet, Version, var_len};

/// Biggest packet that the length field can announce, fixed header included, in bytes.
pub const MAX_PACKET_BYTES: u32 = 5 + MAX_REMAINING;
/// Biggest value of the length field.
const MAX_REMAINING: u32 = 268_435_455;

/// Reads packets of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    max_bytes: u32,
    version: Option<Version>,
}

impl Decoder {
    /// The server's decoder: expects CONNECT first and takes the version from it.
    pub fn new(max_bytes: u32) -> Self {
        Self { max_bytes, version: None }
    }

    /// The client's decoder: the version is known, the first packet is CONNACK.
    pub fn with_version(version: Version, max_bytes: u32) -> Self {
        Self { max_bytes, version: Some(version) }
    }

    /// Returns the version once CONNECT was read.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// Sets the limit for packets to come, for example after the login.
    pub fn set_max_bytes(&mut self, max_bytes: u32) {
        self.max_bytes = max_bytes;
    }

    /// Takes the first packet out of `buffer`; `None` while it is incomplete.
    ///
    /// # Errors
    ///
    /// The stream is unusable after any error: answer with [`DecodeError::reason`] and close.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        let Some(frame) = self.frame(buffer)? else { return Ok(None) };
        if buffer.len() < frame.total {
            return Ok(None);
        }
        let version = match self.version {
            Some(version) => version,
            None => check::version(buffer.get(frame.header..frame.total).unwrap_or_default())?,
        };
        let packet = read(buffer, frame, version)?;
        self.version = Some(version);
        Ok(Some(packet))
    }

    /// Returns how many more bytes the packet at the front of `buffer` needs; a hint for how much
    /// to reserve, never above the limit.
    pub fn missing(&self, buffer: &BytesMut) -> usize {
        match self.frame(buffer) {
            Ok(Some(frame)) => frame.total.saturating_sub(buffer.len()),
            Ok(None) => 2_usize.saturating_sub(buffer.len()).max(1),
            Err(_) => 0,
        }
    }

    /// Reads the fixed header. Source: MQTT 5.0 section 2.1.
    fn frame(&self, buffer: &BytesMut) -> Result<Option<Frame>, DecodeError> {
        let Some((&first, rest)) = buffer.split_first() else { return Ok(None) };
        if self.version.is_none() && first != check::CONNECT {
            return Err(DecodeError::NotConnect { packet_type: first >> 4 });
        }
        let mut remaining = 0_usize;
        for (n, &byte) in rest.iter().take(4).enumerate() {
            remaining |= usize::from(byte & 0x7f) << (7 * n);
            if byte & 0x80 == 0 {
                let header = n + 2;
                let total = header + remaining;
                if total > self.max_bytes as usize {
                    let max_bytes = self.max_bytes;
                    return Err(DecodeError::TooLarge { size_bytes: total, max_bytes });
                }
                return Ok(Some(Frame { first, header, total }));
            }
        }
        match rest.len() {
            0..4 => Ok(None),
            _ => Err(DecodeError::Malformed {
                packet: check::name(first),
                detail: "length field of more than 4 bytes",
            }),
        }
    }
}

/// Where the packet at the front of a buffer ends.
#[derive(Clone, Copy)]
struct Frame {
    first: u8,
    header: usize,
    total: usize,
}

fn read(buffer: &mut BytesMut, frame: Frame, version: Version) -> Result<Packet, DecodeError> {
    let body = buffer.get(frame.header..frame.total).unwrap_or_default();
    check::frame(frame.first, body, version)?;
    if let Some(shape) = hot::recognize(frame.first, body, version) {
        return hot::read(buffer, frame, shape);
    }
    let mut packet = match version {
        Version::V31 | Version::V311 => v3::decode(buffer, frame.first)?,
        Version::V5 => v5::decode(buffer, frame.first, frame.header)?,
    };
    if let (Packet::ConnAck(ack), Version::V31) = (&mut packet, version) {
        // The byte is reserved in 3.1.
        ack.session_present = false;
    }
    check::packet(&packet, frame)?;
    Ok(packet)
}

/// Appends the bytes of `packet` to `buffer`.
///
/// # Errors
///
/// The packet has no encoding; `buffer` is unchanged then.
pub fn encode(packet: &Packet, version: Version, buffer: &mut BytesMut) -> Result<(), EncodeError> {
    let start = buffer.len();
    let result = match hot::write(packet, version, buffer) {
        Some(result) => result,
        None => match version {
            Version::V31 | Version::V311 => v3::encode(packet, version, buffer),
            Version::V5 => v5::encode(packet, buffer),
        },
    };
    if result.is_err() {
        buffer.truncate(start);
    }
    result
}
