//! The shared port: what a client speaks is told by its first byte, in the clear and inside TLS.
//!
//! | first byte | protocol |
//! |---|---|
//! | 0x16 | TLS; what is inside is told by its first byte again |
//! | 0x10 | MQTT: a CONNECT |
//! | an upper-case letter | HTTP: a method |
//!
//! Firmware of one vendor speaks MQTT, MQTT inside TLS, HTTP and HTTPS to the same port number,
//! depending on how it was built (Alibaba traps 8 to 10).

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf as _, BytesMut};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::shell::Socket;

/// Serves the HTTP of one connection to its end.
pub type ServeHttp =
    Arc<dyn Fn(Box<dyn Stream>, SocketAddr) -> BoxFuture<'static, ()> + Send + Sync>;

/// A byte stream of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What a first byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Tls,
    Http,
    /// MQTT, and everything else: its reader says what is wrong.
    Mqtt,
}

impl Spoken {
    pub(super) fn of(first: u8) -> Self {
        match first {
            0x16 => Self::Tls,
            b'A'..=b'Z' => Self::Http,
            _ => Self::Mqtt,
        }
    }
}

/// Waits for the first byte and leaves it there; `None` when the client closes before.
pub(super) async fn peek(socket: &TcpStream) -> Option<Spoken> {
    let mut first = [0];
    match socket.peek(&mut first).await {
        Ok(1) => Some(Spoken::of(first[0])),
        Ok(_) | Err(_) => None,
    }
}

/// A stream some of which was read already.
pub(super) struct Rewound {
    pub(super) read: BytesMut,
    pub(super) socket: Socket,
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.socket).poll_read(cx, buffer);
        }
        let n = self.read.len().min(buffer.remaining());
        buffer.put_slice(&self.read[..n]);
        self.read.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
