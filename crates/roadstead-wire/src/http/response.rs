//! Reading a response.
//!
//! ```text
//! Head --1xx--> Head
//!   '-- otherwise --> Body (length | chunked | until close) --> Done
//! ```
//!
//! Source: RFC 9112 sections 4, 6 and 7; RFC 9110 section 15.2 (1xx).

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::{Buf, Bytes, BytesMut};

use super::chunked::Chunked;

/// Biggest response head in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most header fields.
pub const HEADERS_MAX: usize = 64;

/// Why a response cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// Not HTTP/1, or broken header fields.
    #[error("response head is not HTTP/1")]
    Head,
    /// Above [`HEAD_BYTES_MAX`] or [`HEADERS_MAX`].
    #[error("response head is too large")]
    HeadTooLarge,
    /// Length fields are broken or contradict each other.
    #[error("response length is ambiguous")]
    Length,
    /// A transfer coding other than `chunked`.
    #[error("transfer coding is not supported")]
    Coding,
    /// Broken chunk framing.
    #[error("chunked body is broken")]
    Chunk,
    /// Above the body limit.
    #[error("response body is too large")]
    BodyTooLarge,
    /// The connection ended inside the response.
    #[error("connection ended inside the response")]
    Truncated,
}

impl ResponseError {
    /// Returns the name, for traces; the platform maps it to a failure code.
    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "response_head",
            Self::HeadTooLarge => "response_head_too_large",
            Self::Length => "response_length",
            Self::Coding => "response_coding",
            Self::Chunk => "response_chunk",
            Self::BodyTooLarge => "response_body_too_large",
            Self::Truncated => "response_truncated",
        }
    }
}

/// Status and header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// 200 to 999; 1xx responses are skipped.
    pub status: u16,
    /// In wire order.
    pub headers: Vec<(Box<str>, Box<[u8]>)>,
    /// Body length in bytes, where it was announced.
    pub length: Option<u64>,
}

impl Head {
    /// Returns the first header `name`, when it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| core::str::from_utf8(value).ok())
    }
}

/// A part of the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Comes first, once.
    Head(Head),
    /// The next piece of the body, never empty.
    Body(Bytes),
    /// Comes last, once; bytes behind it are left in the buffer.
    Done {
        /// The connection may be used for another request.
        keep_alive: bool,
    },
}

#[derive(Debug)]
enum State {
    Head,
    Length { left: u64 },
    Chunked(Chunked),
    UntilClose,
    Done,
    Failed(ResponseError),
}

/// Reads one response.
#[derive(Debug)]
pub struct Response {
    state: State,
    /// The request was HEAD: there is no body.
    to_head: bool,
    keep_alive: bool,
    body_left: u64,
}

impl Response {
    /// Reads the response to a request; `to_head` when its method was HEAD.
    pub fn new(to_head: bool, body_bytes_max: u64) -> Self {
        Self { state: State::Head, to_head, keep_alive: false, body_left: body_bytes_max }
    }

    /// Takes the next part out of `input`; `None` when more bytes are needed or all is done.
    ///
    /// # Errors
    ///
    /// The response is unusable from here on; close the connection.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Event>, ResponseError> {
        let result = self.step(input);
        if let Err(error) = result {
            self.state = State::Failed(error);
        }
        result
    }

    /// The connection has ended and everything was read; finishes a body that lasts until then.
    ///
    /// # Errors
    ///
    /// The response was not complete.
    pub fn closed(&mut self) -> Result<Option<Event>, ResponseError> {
        match self.state {
            State::UntilClose => {
                self.state = State::Done;
                Ok(Some(Event::Done { keep_alive: false }))
            }
            State::Done => Ok(None),
            State::Failed(error) => Err(error),
            State::Head | State::Length { .. } | State::Chunked(_) => {
                self.state = State::Failed(ResponseError::Truncated);
                Err(ResponseError::Truncated)
            }
        }
    }

    fn step(&mut self, input: &mut BytesMut) -> Result<Option<Event>, ResponseError> {
        let ready = match &mut self.state {
            State::Head => return self.head(input),
            State::Done => return Ok(None),
            State::Failed(error) => return Err(*error),
            State::UntilClose => input.len(),
            State::Length { left: 0 } => return Ok(Some(self.done())),
            State::Length { left } => usize::try_from(*left).unwrap_or(usize::MAX).min(input.len()),
            State::Chunked(chunked) => match chunked.advance(input)? {
                0 if *chunked == Chunked::Done => return Ok(Some(self.done())),
                ready => ready,
            },
        };
        if ready == 0 {
            return Ok(None);
        }
        let taken = ready as u64;
        self.body_left = self.body_left.checked_sub(taken).ok_or(ResponseError::BodyTooLarge)?;
        match &mut self.state {
            State::Length { left } => *left -= taken,
            State::Chunked(chunked) => chunked.took(ready),
            State::Head | State::UntilClose | State::Done | State::Failed(_) => {}
        }
        Ok(Some(Event::Body(input.split_to(ready).freeze())))
    }

    fn done(&mut self) -> Event {
        self.state = State::Done;
        Event::Done { keep_alive: self.keep_alive }
    }

    fn head(&mut self, input: &mut BytesMut) -> Result<Option<Event>, ResponseError> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut parsed = httparse::Response::new(&mut fields);
            let window = input.get(..HEAD_BYTES_MAX).unwrap_or(input);
            let size = match parsed.parse(window) {
                Ok(httparse::Status::Complete(size)) => size,
                Ok(httparse::Status::Partial) if input.len() >= HEAD_BYTES_MAX => {
                    return Err(ResponseError::HeadTooLarge);
                }
                Ok(httparse::Status::Partial) => return Ok(None),
                Err(httparse::Error::TooManyHeaders) => return Err(ResponseError::HeadTooLarge),
                Err(_) => return Err(ResponseError::Head),
            };
            let status = parsed.code.ok_or(ResponseError::Head)?;
            if (100..200).contains(&status) {
                // 101 answers an Upgrade, which is never asked for.
                if status == 101 {
                    return Err(ResponseError::Head);
                }
                input.advance(size);
                continue;
            }
            let framing = Framing::read(parsed.headers)?;
            let http_1_1 = parsed.version == Some(1);
            let headers = parsed.headers.iter();
            let headers = headers.map(|field| (field.name.into(), field.value.into())).collect();
            input.advance(size);
            let empty = self.to_head || matches!(status, 204 | 304);
            self.state = match (empty, framing.chunked, framing.length) {
                (true, _, _) => State::Length { left: 0 },
                (false, true, _) => State::Chunked(Chunked::Size),
                (false, false, Some(left)) => State::Length { left },
                (false, false, None) => State::UntilClose,
            };
            if !empty && framing.length.is_some_and(|length| length > self.body_left) {
                return Err(ResponseError::BodyTooLarge);
            }
            let delimited = !matches!(self.state, State::UntilClose);
            self.keep_alive = delimited
                && match http_1_1 {
                    true => !framing.close,
                    false => framing.keep_alive,
                };
            return Ok(Some(Event::Head(Head { status, headers, length: framing.length })));
        }
    }
}

/// The header fields that delimit the body.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Framing {
    fn read(headers: &[httparse::Header<'_>]) -> Result<Self, ResponseError> {
        let mut framing = Self::default();
        for field in headers {
            let value = core::str::from_utf8(field.value).unwrap_or_default().trim();
            if field.name.eq_ignore_ascii_case("content-length") {
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                let length = value.parse().ok().filter(|_| digits).ok_or(ResponseError::Length)?;
                if framing.length.is_some_and(|known| known != length) {
                    return Err(ResponseError::Length);
                }
                framing.length = Some(length);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                if framing.chunked || !value.eq_ignore_ascii_case("chunked") {
                    return Err(ResponseError::Coding);
                }
                framing.chunked = true;
            } else if field.name.eq_ignore_ascii_case("connection") {
                let has = |option: &str| {
                    value.split(',').any(|part: &str| part.trim().eq_ignore_ascii_case(option))
                };
                framing.close |= has("close");
                framing.keep_alive |= has("keep-alive");
            }
        }
        // RFC 9112 section 6.3: both together is an attack or a broken server.
        if framing.chunked && framing.length.is_some() {
            return Err(ResponseError::Length);
        }
        Ok(framing)
    }
}
