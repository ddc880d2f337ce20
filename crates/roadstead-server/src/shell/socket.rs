//! The byte stream of a connection, whatever it runs over.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::tls::Gate;

/// A byte stream.
pub(crate) enum Socket {
    /// TCP.
    Plain(TcpStream),
    /// TLS; boxed, because most of it lives elsewhere anyway.
    Tls(Box<SslStream<Gate>>),
    /// For tests in virtual time.
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

impl Socket {
    /// Gives up what is above TCP, to keep a refused socket open cheaply.
    pub(crate) fn into_bare(self) -> Option<Self> {
        match self {
            Self::Tls(mut stream) => stream.get_mut().take().map(|(socket, _)| Self::Plain(socket)),
            Self::Plain(_) => Some(self),
            #[cfg(test)]
            Self::Memory(_) => Some(self),
        }
    }
}

macro_rules! each {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Socket::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Socket::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
            #[cfg(test)]
            Socket::Memory(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => stream.poll_shutdown(cx))
    }
}
