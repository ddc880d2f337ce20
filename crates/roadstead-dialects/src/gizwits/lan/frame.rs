//! The frame of the local network, which is also the payload on MQTT.
//!
//! ```text
//! 00 00 00 03 | varint len | flag u8 | cmd u16 | payload
//! ```
//! `len` counts from the flag to the end.
//!
//! Source: GizWits §1.2.

use alloc::vec::Vec;

/// The version word.
pub const HEAD: [u8; 4] = [0, 0, 0, 3];
/// Largest length the varint can name.
pub const LEN_MAX: u32 = 268_435_455;
/// Flag and command.
const FIXED: usize = 3;

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// 0 from apps; newer devices send 1 on reports. Without meaning.
    pub flag: u8,
    /// Command word.
    pub cmd: u16,
    /// Depends on the command.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads what is behind the length.
    pub fn inner(bytes: &'a [u8]) -> Option<Self> {
        let ([flag, high, low], body) = bytes.split_first_chunk()?;
        Some(Self { flag: *flag, cmd: u16::from_be_bytes([*high, *low]), body })
    }

    /// Appends the wire form.
    pub fn emit(&self, out: &mut Vec<u8>) {
        begin(self.cmd, self.body.len(), out);
        out.extend_from_slice(self.body);
    }
}

/// Appends the head of a frame whose body of `len` bytes follows; allocates nothing of its own.
pub fn begin(cmd: u16, len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&HEAD);
    put_varint((FIXED + len) as u32, out);
    out.push(0);
    out.extend_from_slice(&cmd.to_be_bytes());
}

/// Turns a body that was written to `out[start..]` into a frame.
pub fn finish(cmd: u16, start: usize, out: &mut Vec<u8>) {
    let len = out.len().saturating_sub(start);
    begin(cmd, len, out);
    // The head was appended behind the body; it belongs before it.
    if let Some(tail) = out.get_mut(start..) {
        tail.rotate_left(len);
    }
}

fn put_varint(mut value: u32, out: &mut Vec<u8>) {
    loop {
        let more = value > 0x7F;
        out.push((value & 0x7F) as u8 | if more { 0x80 } else { 0 });
        value >>= 7;
        if !more {
            return;
        }
    }
}

/// Reads a varint: its value and the bytes it takes. `None` when it is not whole;
/// `Some(None)` when a fourth byte wants a fifth.
pub fn varint(bytes: &[u8]) -> Option<Option<(u32, usize)>> {
    let mut value = 0;
    for (n, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * n);
        if byte & 0x80 == 0 {
            return Some(Some((value, n + 1)));
        }
    }
    (bytes.len() >= 4).then_some(None)
}

/// Reads a datagram. Real modules drop one whose length does not fit; the version word is not
/// looked at by either side. A credential frame of 128 bytes and more may carry a length that the
/// vendor's own app coded wrongly: it is taken when its inner lengths fit.
pub fn udp(bytes: &[u8]) -> Option<Frame<'_>> {
    let rest = bytes.get(HEAD.len()..)?;
    if let Some(Some((len, taken))) = varint(rest) {
        let inner = rest.get(taken..)?;
        if inner.len() == len as usize {
            return Frame::inner(inner);
        }
    }
    (1..=4).find_map(|taken| {
        let frame = Frame::inner(rest.get(taken..)?)?;
        let fits = frame.cmd == super::cmd::ONBOARD && credentials_fit(frame.body);
        (fits && bytes.len() > 128).then_some(frame)
    })
}

fn credentials_fit(body: &[u8]) -> bool {
    let skip = |bytes: &[u8]| -> Option<usize> {
        let len = usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
        bytes.len().checked_sub(2 + len)
    };
    let first = skip(body);
    first.is_some_and(|left| skip(&body[body.len() - left..]) == Some(0))
}
