//! The phone's sockets: one of its own, and one that hears what is sent to everybody.

use std::io;
use std::net::SocketAddr;

use roadstead_core::Tick;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::AppError;

/// Longest datagram that is read.
const READ_BYTES_MAX: usize = 2048;

/// What a wait ended with.
pub(super) enum Woken {
    /// A datagram.
    Datagram(SocketAddr, Vec<u8>),
    /// The deadline.
    Timeout,
}

/// The sockets of one dialogue.
pub(super) struct Socket {
    own: UdpSocket,
    everybody: Option<UdpSocket>,
    start: Instant,
}

impl Socket {
    /// Opens the phone's socket, and one at `everybody`; the second is done without when it
    /// cannot be had.
    pub(super) async fn open(everybody: Option<SocketAddr>) -> Result<Self, AppError> {
        let any = "0.0.0.0:0";
        let failed = |cause| AppError::Socket { address: any.into(), cause };
        let own = UdpSocket::bind(any).await.map_err(failed)?;
        own.set_broadcast(true).map_err(failed)?;
        let everybody = everybody.and_then(|address| {
            let heard = shared(address);
            if let Err(error) = &heard {
                tracing::warn!(%address, %error, "announcements of devices will not be heard");
            }
            heard.ok()
        });
        Ok(Self { own, everybody, start: Instant::now() })
    }

    /// Returns the time of the dialogue.
    pub(super) fn now(&self) -> Tick {
        Tick::from_millis(self.start.elapsed().as_millis() as u64)
    }

    /// Sends; a failing socket loses the datagram, as a radio would.
    pub(super) async fn send(&self, to: SocketAddr, bytes: &[u8]) {
        if let Err(error) = self.own.send_to(bytes, to).await {
            tracing::debug!(%to, %error, "datagram lost");
        }
    }

    /// Waits for a datagram or the deadline. It may be cancelled at any time.
    pub(super) async fn next(&self, deadline: Option<Tick>) -> Woken {
        let wake = async {
            match deadline {
                Some(at) => {
                    let at = std::time::Duration::from_millis(at.as_millis());
                    tokio::time::sleep_until(self.start + at).await;
                }
                None => std::future::pending().await,
            }
        };
        let broadcast = async {
            match &self.everybody {
                Some(socket) => read(socket).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            (from, bytes) = read(&self.own) => Woken::Datagram(from, bytes),
            (from, bytes) = broadcast => Woken::Datagram(from, bytes),
            () = wake => Woken::Timeout,
        }
    }
}

async fn read(socket: &UdpSocket) -> (SocketAddr, Vec<u8>) {
    let mut buffer = vec![0; READ_BYTES_MAX];
    loop {
        // An error is an ICMP answer to one of our datagrams; the socket goes on.
        if let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            buffer.truncate(len);
            return (from, buffer);
        }
    }
}

/// Returns a socket whose address others of this machine may have, too.
fn shared(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    UdpSocket::from_std(socket.into())
}
