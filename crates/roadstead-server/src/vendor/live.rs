//! Live connections of phones and enterprises on a socket: WebSocket, or one text a line.
//!
//! One task a connection: what arrives is performed in order, news are written between. A client
//! that is silent for too long, or takes nothing, is closed.

use std::time::Duration;

use roadstead_wire::ws;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use crate::service::{LiveConnection, Said};

/// Largest text of a client, bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Bytes read at once.
const READ_BYTES: usize = 4096;
/// A client that takes nothing for this long is closed.
const WRITE_STALL: Duration = Duration::from_secs(30);
/// Status of a close that is not the client's fault (RFC 6455 §7.4.1).
const CLOSE_NORMAL: u16 = 1000;

/// How texts lie on the socket.
pub(crate) enum Framing {
    /// WebSocket, server side.
    Socket(ws::Reader),
    /// One text a line.
    Lines(Vec<u8>),
}

/// Something that arrived.
enum Arrived {
    Text(String),
    /// To be sent back as it is.
    Pong(ws::Message),
    /// The client leaves.
    Left,
}

impl Framing {
    /// Returns the framing of a WebSocket.
    pub(crate) fn socket() -> Self {
        Self::Socket(ws::Reader::new(ws::Role::Server, TEXT_BYTES_MAX))
    }

    /// Returns the framing of lines.
    pub(crate) fn lines() -> Self {
        Self::Lines(Vec::new())
    }

    fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::Socket(reader) => reader.feed(bytes),
            Self::Lines(buffer) => buffer.extend_from_slice(bytes),
        }
    }

    /// Returns what has arrived whole; the status to close with when nothing more can be read.
    fn next(&mut self) -> Result<Option<Arrived>, u16> {
        match self {
            Self::Socket(reader) => loop {
                return match reader.read().map_err(ws::Broken::status)? {
                    None => Ok(None),
                    Some(ws::Message::Text(text)) => Ok(Some(Arrived::Text(text))),
                    Some(ws::Message::Ping(bytes)) => {
                        Ok(Some(Arrived::Pong(ws::Message::Pong(bytes))))
                    }
                    Some(ws::Message::Close(_)) => Ok(Some(Arrived::Left)),
                    // Its dialect speaks texts alone.
                    Some(ws::Message::Binary) => Err(1003),
                    Some(ws::Message::Pong(_)) => continue,
                };
            },
            Self::Lines(buffer) => loop {
                let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else {
                    return if buffer.len() > TEXT_BYTES_MAX { Err(1009) } else { Ok(None) };
                };
                let line: Vec<u8> = buffer.drain(..=end).collect();
                let text = std::str::from_utf8(&line).map_err(|_| 1007_u16)?.trim();
                if !text.is_empty() {
                    return Ok(Some(Arrived::Text(text.to_owned())));
                }
            },
        }
    }

    fn write(&self, text: String, out: &mut Vec<u8>) {
        match self {
            Self::Socket(_) => ws::write(&ws::Message::Text(text), None, out),
            Self::Lines(_) => {
                out.extend_from_slice(text.as_bytes());
                out.push(b'\n');
            }
        }
    }

    fn close(&self, status: u16, out: &mut Vec<u8>) {
        if matches!(self, Self::Socket(_)) {
            ws::write(&ws::Message::Close(Some(status)), None, out);
        }
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    mut live: LiveConnection,
    mut framing: Framing,
    mut io: impl AsyncRead + AsyncWrite + Unpin,
) {
    let mut bytes = vec![0; READ_BYTES];
    let mut heard_at = Instant::now();
    loop {
        let silent_at = heard_at + live.silence_max();
        let mut out = Vec::new();
        let close = tokio::select! {
            read = io.read(&mut bytes) => {
                let Ok(count @ 1..) = read else { return };
                heard_at = Instant::now();
                framing.feed(&bytes[..count]);
                take(&mut live, &mut framing, &mut out).await
            }
            heard = live.next() => match heard {
                Some(heard) => {
                    let said = live.tell(heard).await;
                    say(said, &framing, &mut out)
                }
                // It did not take its news in time.
                None => Some(1008),
            },
            () = tokio::time::sleep_until(silent_at) => Some(CLOSE_NORMAL),
        };
        if let Some(status) = close {
            framing.close(status, &mut out);
        }
        if !out.is_empty() && !matches!(timeout(WRITE_STALL, io.write_all(&out)).await, Ok(Ok(())))
        {
            return;
        }
        // TLS keeps what it has encrypted until it is told to send.
        if !out.is_empty() && !matches!(timeout(WRITE_STALL, io.flush()).await, Ok(Ok(()))) {
            return;
        }
        if close.is_some() {
            let _ = timeout(WRITE_STALL, io.shutdown()).await;
            return;
        }
    }
}

/// Performs what has arrived whole; returns a status to close with.
async fn take(live: &mut LiveConnection, framing: &mut Framing, out: &mut Vec<u8>) -> Option<u16> {
    loop {
        match framing.next() {
            Err(status) => return Some(status),
            Ok(None) => return None,
            Ok(Some(Arrived::Left)) => return Some(CLOSE_NORMAL),
            Ok(Some(Arrived::Pong(pong))) => ws::write(&pong, None, out),
            Ok(Some(Arrived::Text(text))) => {
                let said = live.hear(&text).await;
                if let Some(status) = say(said, framing, out) {
                    return Some(status);
                }
            }
        }
    }
}

fn say(said: Said, framing: &Framing, out: &mut Vec<u8>) -> Option<u16> {
    said.texts.into_iter().for_each(|text| framing.write(text, out));
    said.close.then_some(CLOSE_NORMAL)
}
