//! Frames: RFC 6455 §5.
//!
//! ```text
//! FIN rsv(3) opcode(4) | MASK len(7) | len u16 or u64 | mask u32 | payload
//! ```

use alloc::string::String;
use alloc::vec::Vec;

/// Opcodes (RFC 6455 §5.2).
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Largest payload of a control frame, bytes.
const CONTROL_MAX: usize = 125;
/// Largest head of a frame, bytes.
const HEAD_MAX: usize = 14;

/// Who reads: the other side masks, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads masked frames, writes plain ones.
    Server,
    /// Reads plain frames, writes masked ones.
    Client,
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes; nobody here looks into them.
    Binary,
    /// To be answered with a pong of the same bytes.
    Ping(Vec<u8>),
    /// An answer to a ping.
    Pong(Vec<u8>),
    /// The other side leaves; its status code if it gave one.
    Close(Option<u16>),
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A frame breaks a rule; close with 1002.
    #[error("a frame breaks RFC 6455")]
    Protocol,
    /// A text is no UTF-8; close with 1007.
    #[error("a text is no UTF-8")]
    Utf8,
    /// A message is too long; close with 1009.
    #[error("a message is too long")]
    TooLong,
}

impl Broken {
    /// Returns the status code to close with (RFC 6455 §7.4.1).
    pub fn status(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::Utf8 => 1007,
            Self::TooLong => 1009,
        }
    }
}

/// Reads frames out of a stream. Holds at most one message and what follows it in the buffer.
#[derive(Debug)]
pub struct Reader {
    role: Role,
    limit: usize,
    buffer: Vec<u8>,
    /// The opcode of a message whose last frame is still to come, and its frames so far.
    open: Option<(u8, Vec<u8>)>,
}

/// One frame in the buffer.
struct Head {
    fin: bool,
    opcode: u8,
    mask: [u8; 4],
    start: usize,
    end: usize,
}

impl Reader {
    /// Returns a reader of messages of at most `limit` bytes.
    pub fn new(role: Role, limit: usize) -> Self {
        Self { role, limit, buffer: Vec::new(), open: None }
    }

    /// Takes in what was received.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole message; `None` until more is received.
    ///
    /// # Errors
    ///
    /// [`Broken`]; nothing more can be read then.
    pub fn read(&mut self) -> Result<Option<Message>, Broken> {
        while let Some(head) = self.head()? {
            let mut payload = self.buffer[head.start..head.end].to_vec();
            self.buffer.drain(..head.end);
            payload.iter_mut().zip(head.mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            if let Some(message) = self.take(head.fin, head.opcode, payload)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn head(&self) -> Result<Option<Head>, Broken> {
        let [first, second, rest @ ..] = &self.buffer[..] else { return Ok(None) };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0F);
        let is_masked = second & 0x80 != 0;
        if first & 0x70 != 0 || is_masked != (self.role == Role::Server) {
            return Err(Broken::Protocol);
        }
        let short = usize::from(second & 0x7F);
        let (len, mut start) = match short {
            126 => match rest.first_chunk::<2>() {
                Some(len) => (u64::from(u16::from_be_bytes(*len)), 4),
                None => return Ok(None),
            },
            127 => match rest.first_chunk::<8>() {
                Some(len) => (u64::from_be_bytes(*len), 10),
                None => return Ok(None),
            },
            short => (short as u64, 2),
        };
        if opcode >= CLOSE && (short > CONTROL_MAX || !fin) {
            return Err(Broken::Protocol);
        }
        let len = usize::try_from(len).ok().filter(|len| *len <= self.limit);
        let len = len.ok_or(Broken::TooLong)?;
        let mut mask = [0; 4];
        if is_masked {
            let Some(key) = self.buffer.get(start..start + 4) else { return Ok(None) };
            mask.copy_from_slice(key);
            start += 4;
        }
        debug_assert!(start <= HEAD_MAX);
        let end = start + len;
        Ok((self.buffer.len() >= end).then_some(Head { fin, opcode, mask, start, end }))
    }

    fn take(&mut self, fin: bool, opcode: u8, payload: Vec<u8>) -> Result<Option<Message>, Broken> {
        let (kind, bytes) = match (opcode, self.open.take()) {
            (PING, open) => {
                self.open = open;
                return Ok(Some(Message::Ping(payload)));
            }
            (PONG, open) => {
                self.open = open;
                return Ok(Some(Message::Pong(payload)));
            }
            (CLOSE, _) if payload.len() == 1 => return Err(Broken::Protocol),
            (CLOSE, _) => {
                let status = payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                return Ok(Some(Message::Close(status)));
            }
            (TEXT | BINARY, None) => (opcode, payload),
            (CONTINUATION, Some((kind, mut bytes))) => {
                bytes.extend_from_slice(&payload);
                (kind, bytes)
            }
            (_, _) => return Err(Broken::Protocol),
        };
        if bytes.len() > self.limit {
            return Err(Broken::TooLong);
        }
        if !fin {
            self.open = Some((kind, bytes));
            return Ok(None);
        }
        match kind {
            TEXT => String::from_utf8(bytes).map(|text| Some(Message::Text(text))),
            _ => Ok(Some(Message::Binary)),
        }
        .map_err(|_| Broken::Utf8)
    }
}

/// Appends a message to `out`, in one frame; a client gives a fresh `mask`.
pub fn write(message: &Message, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let code;
    let (opcode, payload): (u8, &[u8]) = match message {
        Message::Text(text) => (TEXT, text.as_bytes()),
        Message::Binary => (BINARY, &[]),
        Message::Ping(bytes) => (PING, cut(bytes)),
        Message::Pong(bytes) => (PONG, cut(bytes)),
        Message::Close(None) => (CLOSE, &[]),
        Message::Close(Some(status)) => {
            code = status.to_be_bytes();
            (CLOSE, &code)
        }
    };
    out.push(0x80 | opcode);
    let flag = if mask.is_some() { 0x80 } else { 0 };
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ ..=125), _) => out.push(flag | len),
        (_, Ok(len)) => {
            out.push(flag | 126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        (_, Err(_)) => {
            out.push(flag | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| out.extend_from_slice(mask)).unwrap_or_default();
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

fn cut(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(CONTROL_MAX)]
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec;

    use proptest::prelude::*;

    use super::*;

    fn read(role: Role, bytes: &[u8]) -> Result<Vec<Message>, Broken> {
        let mut reader = Reader::new(role, 1000);
        let mut read = Vec::new();
        for byte in bytes {
            reader.feed(&[*byte]);
            read.extend(reader.read()?);
        }
        Ok(read)
    }

    fn text(text: &str) -> Message {
        Message::Text(text.into())
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let hello = text("Hello");
        let plain = [0x81, 5, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        let divided = [0x01, 3, 0x48, 0x65, 0x6c, 0x80, 2, 0x6c, 0x6f];
        let ping = [0x89, 5, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        assert_eq!(read(Role::Client, &plain), Ok(vec![hello.clone()]));
        assert_eq!(read(Role::Server, &masked), Ok(vec![hello.clone()]));
        assert_eq!(read(Role::Client, &divided), Ok(vec![hello.clone()]));
        assert_eq!(read(Role::Client, &ping), Ok(vec![Message::Ping(b"Hello".to_vec())]));
        let mut out = Vec::new();
        write(&hello, None, &mut out);
        assert_eq!(out, plain);
        out.clear();
        write(&hello, Some([0x37, 0xfa, 0x21, 0x3d]), &mut out);
        assert_eq!(out, masked);
        // A ping between two frames of one message.
        let between = [&divided[..5], &ping, &divided[5..]].concat();
        assert_eq!(read(Role::Client, &between), Ok(vec![Message::Ping(b"Hello".to_vec()), hello]));
    }

    #[test]
    fn broken_rules_end_the_connection() {
        for (bytes, broken) in [
            (&[0x81, 1, 0x61][..], Broken::Protocol),      // not masked
            (&[0xC1, 0x80, 0, 0, 0, 0], Broken::Protocol), // reserved bit
            (&[0x83, 0x80, 0, 0, 0, 0], Broken::Protocol), // unknown opcode
            (&[0x80, 0x80, 0, 0, 0, 0], Broken::Protocol), // continues nothing
            (&[0x09, 0x80, 0, 0, 0, 0], Broken::Protocol), // a ping in parts
            (&[0x88, 0x81, 0, 0, 0, 0, 3], Broken::Protocol), // half a status
            (&[0x81, 0x81, 0, 0, 0, 0, 0xFF], Broken::Utf8),
            (&[0x81, 0xFE, 0x03, 0xE9, 0, 0, 0, 0], Broken::TooLong),
            (&[0x81, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], Broken::TooLong),
        ] {
            assert_eq!(read(Role::Server, bytes), Err(broken), "{bytes:02x?}");
        }
        let part = [&[0x01, 0xFE, 0x02, 0x58, 0, 0, 0, 0][..], &[b'a'; 600]].concat();
        let more = [&part[..], &[0x80, 0xFE, 0x02, 0x58, 0, 0, 0, 0], &[b'a'; 600]].concat();
        assert_eq!(read(Role::Server, &more), Err(Broken::TooLong), "in parts");
        assert_eq!(Broken::Utf8.status(), 1007);
    }

    proptest! {
        #[test]
        fn messages_survive(content in ".{0,400}", mask: [u8; 4], status: u16) {
            for message in [
                text(&content), Message::Ping(content.bytes().take(125).collect()),
                Message::Close(Some(status)), Message::Close(None),
            ] {
                let mut out = Vec::new();
                write(&message, Some(mask), &mut out);
                let read = read(Role::Server, &out);
                prop_assert!(content.len() > 1000 || read == Ok(vec![message]), "{}", format!("{read:?}"));
            }
        }

        #[test]
        fn hostile_bytes_are_read_or_not(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut reader = Reader::new(Role::Server, 64);
            reader.feed(&bytes);
            while let Ok(Some(message)) = reader.read() {
                if let Message::Text(text) = message {
                    prop_assert!(text.len() <= 64);
                }
            }
        }
    }
}
