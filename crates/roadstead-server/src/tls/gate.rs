//! The socket below TLS. During the handshake it keeps what OpenSSL wants to send until it is
//! asked to flush, so that the alert of a refused client can leave late; afterwards it is the
//! bare socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Most bytes kept; above it the gate pushes back, as a full socket would.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// A socket that can keep its output.
pub(crate) struct Gate {
    /// Absent once taken out.
    socket: Option<TcpStream>,
    /// Present while the gate is shut.
    kept: Option<Vec<u8>>,
}

impl Gate {
    /// Returns a shut gate.
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket: Some(socket), kept: Some(Vec::new()) }
    }

    /// Writes what was kept.
    pub(super) fn poll_flush_kept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (Some(socket), Some(kept)) = (&mut self.socket, &mut self.kept) else {
            return Poll::Ready(Ok(()));
        };
        while !kept.is_empty() {
            let n = ready!(Pin::new(&mut *socket).poll_write(cx, kept))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            kept.drain(..n);
        }
        Poll::Ready(Ok(()))
    }

    /// Opens the gate; what was kept must have been flushed.
    pub(super) fn open(&mut self) {
        self.kept = None;
    }

    /// Takes the socket out, with what was kept.
    pub(crate) fn take(&mut self) -> Option<(TcpStream, Vec<u8>)> {
        Some((self.socket.take()?, self.kept.take().unwrap_or_default()))
    }

    fn socket(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.socket.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Gate {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().socket()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Gate {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        match &mut gate.kept {
            Some(kept) if kept.len() + bytes.len() <= KEPT_BYTES_MAX => {
                kept.extend_from_slice(bytes);
                Poll::Ready(Ok(bytes.len()))
            }
            Some(_) => {
                ready!(gate.poll_flush_kept(cx))?;
                gate.socket()?.poll_write(cx, bytes)
            }
            None => gate.socket()?.poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().socket()?.poll_shutdown(cx)
    }
}
