//! One message: header, token, options, payload (RFC 7252 §3).
//!
//! ```text
//!  0               1               2               3
//! |Ver| T |  TKL  |      Code     |          Message ID           | token | options | 0xFF payload
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::{BufMut as _, Bytes};

use super::Code;

/// Largest message, bytes. RFC 7252 §4.6 asks for 1152; devices fit one Ethernet frame.
pub const MESSAGE_BYTES_MAX: usize = 1472;
/// Largest token, bytes (RFC 7252 §3).
pub const TOKEN_BYTES_MAX: usize = 8;
/// Options of one message that are read; a datagram of them alone is no message.
const OPTIONS_MAX: usize = 64;
/// Ends the options.
const PAYLOAD_MARKER: u8 = 0xFF;
/// Version, first two bits.
const VERSION: u8 = 1;

/// Option numbers (RFC 7252 §12.2, RFC 7641).
pub mod option {
    /// Host of the request.
    pub const URI_HOST: u16 = 3;
    /// Observation (RFC 7641).
    pub const OBSERVE: u16 = 6;
    /// One segment of the path.
    pub const URI_PATH: u16 = 11;
    /// Format of the payload.
    pub const CONTENT_FORMAT: u16 = 12;
    /// One argument.
    pub const URI_QUERY: u16 = 15;
    /// Wanted format.
    pub const ACCEPT: u16 = 17;
    /// Content format of JSON.
    pub const JSON: u16 = 50;
    /// Content format of plain bytes.
    pub const OCTETS: u16 = 42;
}

/// Type of a message (RFC 7252 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// CON: wants an acknowledgement.
    Confirmable,
    /// NON: wants none.
    NonConfirmable,
    /// ACK.
    Acknowledgement,
    /// RST: could not be processed.
    Reset,
}

/// Binds a response to its request.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    len: u8,
    bytes: [u8; TOKEN_BYTES_MAX],
}

impl Token {
    /// Returns a token; `None` when it is longer than [`TOKEN_BYTES_MAX`].
    pub fn new(token: &[u8]) -> Option<Self> {
        let mut bytes = [0; TOKEN_BYTES_MAX];
        bytes.get_mut(..token.len())?.copy_from_slice(token);
        Some(Self { len: token.len() as u8, bytes })
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

/// One option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opt {
    /// Number; [`option`] names some.
    pub number: u16,
    /// Value.
    pub value: Bytes,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Type.
    pub kind: Kind,
    /// Method or response code.
    pub code: Code,
    /// Message ID: binds acknowledgement and message, detects duplicates.
    pub id: u16,
    /// Binds response and request.
    pub token: Token,
    /// Options in the order of the wire.
    pub options: Vec<Opt>,
    /// Payload; empty when there is none.
    pub payload: Bytes,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It ends within a header, token or option, or has a payload marker without payload.
    #[error("the message is cut off")]
    Cut,
    /// Another version, or another protocol.
    #[error("version {0} instead of 1")]
    Version(u8),
    /// A token length of 9 to 15, or an option's length or delta of 15.
    #[error("a reserved length")]
    Reserved,
    /// An empty message with something in it.
    #[error("an empty message is not empty")]
    NotEmpty,
    /// More than [`MESSAGE_BYTES_MAX`] bytes or 64 options.
    #[error("too large")]
    TooLarge,
}

impl Message {
    /// Returns a message without token, options and payload.
    pub fn new(kind: Kind, code: Code, id: u16) -> Self {
        let (token, options, payload) = (Token::default(), Vec::new(), Bytes::new());
        Self { kind, code, id, token, options, payload }
    }

    /// Reads a datagram.
    ///
    /// # Errors
    ///
    /// [`ParseError`]; nothing can be said about the sender's intention then, except by
    /// [`Self::id_of`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(ParseError::TooLarge);
        }
        let &[first, code, high, low, ref rest @ ..] = bytes else { return Err(ParseError::Cut) };
        if first >> 6 != VERSION {
            return Err(ParseError::Version(first >> 6));
        }
        let token_len = usize::from(first & 0x0F);
        if token_len > TOKEN_BYTES_MAX {
            return Err(ParseError::Reserved);
        }
        let (token, rest) = rest.split_at_checked(token_len).ok_or(ParseError::Cut)?;
        let code = Code(code);
        if code == Code::EMPTY && !(token.is_empty() && rest.is_empty()) {
            return Err(ParseError::NotEmpty);
        }
        let (options, payload) = parse_options(rest)?;
        Ok(Self {
            kind: kind_of(first),
            code,
            id: u16::from_be_bytes([high, low]),
            token: Token::new(token).ok_or(ParseError::Reserved)?,
            options,
            payload: Bytes::copy_from_slice(payload),
        })
    }

    /// Returns type and id of a datagram that has at least a header, for a reset.
    pub fn id_of(bytes: &[u8]) -> Option<(Kind, u16)> {
        let &[first, _, high, low, ..] = bytes else { return None };
        (first >> 6 == VERSION).then(|| (kind_of(first), u16::from_be_bytes([high, low])))
    }

    /// Writes the message with its options in ascending order, as RFC 7252 §3.1 wants them.
    pub fn emit(&self) -> Vec<u8> {
        let mut sorted: Vec<&Opt> = self.options.iter().collect();
        sorted.sort_by_key(|option| option.number);
        self.write(&sorted)
    }

    /// Writes the message with its options as they stand; a descending number wraps modulo 65536,
    /// as some firmware has it (Alibaba trap 12).
    pub fn emit_unsorted(&self) -> Vec<u8> {
        self.write(&self.options.iter().collect::<Vec<_>>())
    }

    fn write(&self, options: &[&Opt]) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.payload.len());
        let kind = match self.kind {
            Kind::Confirmable => 0,
            Kind::NonConfirmable => 1,
            Kind::Acknowledgement => 2,
            Kind::Reset => 3,
        };
        out.put_u8(VERSION << 6 | kind << 4 | self.token.len);
        out.put_u8(self.code.0);
        out.put_u16(self.id);
        out.put_slice(self.token.as_bytes());
        let mut last = 0_u16;
        for option in options {
            let delta = option.number.wrapping_sub(last);
            let len = option.value.len().min(usize::from(u16::MAX)) as u16;
            out.put_u8(nibble(delta) << 4 | nibble(len));
            extend(delta, &mut out);
            extend(len, &mut out);
            out.put_slice(option.value.get(..usize::from(len)).unwrap_or_default());
            last = option.number;
        }
        if !self.payload.is_empty() {
            out.put_u8(PAYLOAD_MARKER);
            out.put_slice(&self.payload);
        }
        out
    }

    /// Adds an option.
    #[must_use]
    pub fn with_option(mut self, number: u16, value: impl Into<Bytes>) -> Self {
        self.options.push(Opt { number, value: value.into() });
        self
    }

    /// Adds a path such as `/sys/device/info/get`.
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        self.options.extend(path_options(path));
        self
    }

    /// Returns the path with a leading `/`; bytes that are no UTF-8 are replaced.
    pub fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.options.iter().filter(|option| option.number == option::URI_PATH) {
            path.push('/');
            path.push_str(&String::from_utf8_lossy(&segment.value));
        }
        if path.is_empty() {
            path.push('/');
        }
        path
    }

    /// Returns the first option of this number.
    pub fn option(&self, number: u16) -> Option<&[u8]> {
        self.options.iter().find(|option| option.number == number).map(|option| &*option.value)
    }
}

/// Returns the options of a path.
pub(super) fn path_options(path: &str) -> impl Iterator<Item = Opt> + '_ {
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.map(|segment| Opt {
        number: option::URI_PATH,
        value: Bytes::copy_from_slice(segment.as_bytes()),
    })
}

fn kind_of(first: u8) -> Kind {
    match first >> 4 & 3 {
        0 => Kind::Confirmable,
        1 => Kind::NonConfirmable,
        2 => Kind::Acknowledgement,
        _ => Kind::Reset,
    }
}

fn parse_options(mut rest: &[u8]) -> Result<(Vec<Opt>, &[u8]), ParseError> {
    let mut options = Vec::new();
    let mut number = 0_u16;
    loop {
        let Some((&first, after)) = rest.split_first() else { return Ok((options, &[])) };
        if first == PAYLOAD_MARKER {
            return if after.is_empty() { Err(ParseError::Cut) } else { Ok((options, after)) };
        }
        if options.len() == OPTIONS_MAX {
            return Err(ParseError::TooLarge);
        }
        let (delta, after) = extended(first >> 4, after)?;
        let (len, after) = extended(first & 0x0F, after)?;
        let (value, after) = after.split_at_checked(len as usize).ok_or(ParseError::Cut)?;
        // The sum may pass 65535: it wraps (Alibaba trap 12).
        number = number.wrapping_add(delta as u16);
        options.push(Opt { number, value: Bytes::copy_from_slice(value) });
        rest = after;
    }
}

/// Reads the rest of a delta or length.
fn extended(nibble: u8, rest: &[u8]) -> Result<(u32, &[u8]), ParseError> {
    match (nibble, rest) {
        (0..=12, _) => Ok((u32::from(nibble), rest)),
        (13, &[byte, ref rest @ ..]) => Ok((u32::from(byte) + 13, rest)),
        (14, &[high, low, ref rest @ ..]) => {
            Ok((u32::from(u16::from_be_bytes([high, low])) + 269, rest))
        }
        (13 | 14, _) => Err(ParseError::Cut),
        _ => Err(ParseError::Reserved),
    }
}

fn nibble(value: u16) -> u8 {
    match value {
        0..=12 => value as u8,
        13..=268 => 13,
        269.. => 14,
    }
}

fn extend(value: u16, out: &mut Vec<u8>) {
    match value {
        0..=12 => {}
        13..=268 => out.put_u8((value - 13) as u8),
        269.. => out.put_u16(value - 269),
    }
}

#[cfg(test)]
mod tests;
