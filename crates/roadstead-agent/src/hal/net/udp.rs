//! The device's UDP sockets, by the dialect's port numbers.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use roadstead_dialects::device::Datagram;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Inbound;

/// Largest datagram read, bytes; the rest is cut off.
const DATAGRAM_BYTES_MAX: usize = 2048;

/// The open sockets.
pub(super) struct Sockets {
    open: BTreeMap<u16, Open>,
    inbox: mpsc::Sender<Inbound>,
}

struct Open {
    local: SocketAddr,
    /// Closed for the device. The socket stays until it stops: a reader ends later than a device
    /// may listen again.
    is_closed: bool,
    /// For sending: tokio's half refuses until the reactor has seen the socket once.
    socket: std::net::UdpSocket,
    reader: JoinHandle<()>,
    /// Hears what is sent to everybody.
    everybody: Option<JoinHandle<()>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.reader.abort();
        if let Some(everybody) = &self.everybody {
            everybody.abort();
        }
    }
}

impl Sockets {
    pub(super) fn new(inbox: mpsc::Sender<Inbound>) -> Self {
        Self { open: BTreeMap::new(), inbox }
    }

    /// Listens at `local` under the dialect's number `port`, and with `broadcast` to what is sent
    /// to everybody there.
    pub(super) fn bind(
        &mut self,
        port: u16,
        local: SocketAddr,
        broadcast: Option<Ipv4Addr>,
    ) -> io::Result<()> {
        if let Some(open) = self.open.get_mut(&port).filter(|open| open.local == local) {
            open.is_closed = false;
            return Ok(());
        }
        self.open.remove(&port);
        let socket = bind(local)?;
        let own = UdpSocket::from_std(socket.try_clone()?)?;
        let reader = tokio::spawn(read(port, own, self.inbox.clone()));
        // A socket of one address does not hear broadcasts; one of all addresses does.
        let everybody = broadcast.filter(|_| !local.ip().is_unspecified()).and_then(|ip| {
            let heard = shared(SocketAddr::from((ip, local.port())));
            heard.inspect_err(|error| tracing::debug!(%error, "broadcasts are not heard")).ok()
        });
        let everybody = everybody.map(|own| tokio::spawn(read(port, own, self.inbox.clone())));
        self.open.insert(port, Open { local, is_closed: false, socket, reader, everybody });
        Ok(())
    }

    pub(super) fn close(&mut self, port: u16) {
        if let Some(open) = self.open.get_mut(&port) {
            open.is_closed = true;
        }
    }

    pub(super) fn is_open(&self, port: u16) -> bool {
        self.open(port).is_some()
    }

    fn open(&self, port: u16) -> Option<&Open> {
        self.open.get(&port).filter(|open| !open.is_closed)
    }

    /// Sends; a full or failing socket loses the datagram, as a radio would.
    pub(super) fn send(&self, port: u16, to: SocketAddr, bytes: &Bytes) {
        if let Some(open) = self.open(port)
            && let Err(error) = open.socket.send_to(bytes, to)
        {
            tracing::debug!(%to, %error, "datagram lost");
        }
    }

    /// Sends to everybody: from the open socket of this number, so that answers arrive, or from
    /// one of its own.
    pub(super) fn broadcast(&self, port: u16, from: Ipv4Addr, to: SocketAddr, bytes: &Bytes) {
        let send = |socket: &std::net::UdpSocket| {
            socket.set_broadcast(true)?;
            socket.send_to(bytes, to)
        };
        let sent = match self.open(port) {
            Some(open) => send(&open.socket),
            None => bind(SocketAddr::from((from, 0))).and_then(|socket| send(&socket)),
        };
        if let Err(error) = sent {
            tracing::debug!(%to, %error, "broadcast lost");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the device's network stack")]
pub(crate) fn bind(local: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind(local)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Returns a socket whose address others of this machine may have, too.
fn shared(local: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    UdpSocket::from_std(socket.into())
}

async fn read(port: u16, socket: UdpSocket, inbox: mpsc::Sender<Inbound>) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // An error is an ICMP answer to one of our datagrams; the socket goes on.
        let Ok((len, from)) = socket.recv_from(&mut buffer).await else { continue };
        let bytes = Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default());
        if inbox.send(Inbound::Udp(Datagram { port, from, bytes })).await.is_err() {
            return;
        }
    }
}
