//! UDP and TCP of the module's side in the LAN.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use roadstead_dialects::gizwits::lan::{TCP_PORT, WEB_PORT};
use roadstead_dialects::gizwits::module::ConnId;
use tokio::io::AsyncReadExt as _;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Ports;
use super::hardware::Inbound;

/// Largest datagram read, bytes; the rest is cut off.
const DATAGRAM_BYTES_MAX: usize = 2048;
/// Bytes read from a phone at once.
const READ_BYTES: usize = 4096;
/// Connections of all kinds; the module itself keeps eight phones and four browsers.
const CONNECTIONS_MAX: usize = 64;

/// What is open.
pub(super) struct Sockets {
    ip: IpAddr,
    ports: Ports,
    inbox: mpsc::Sender<Inbound>,
    udp: Option<(std::net::UdpSocket, JoinHandle<()>)>,
    listeners: Vec<(u16, JoinHandle<()>)>,
    open: BTreeMap<ConnId, Open>,
    next: ConnId,
}

struct Open {
    writer: OwnedWriteHalf,
    reader: JoinHandle<()>,
}

impl Sockets {
    pub(super) fn new(ip: IpAddr, ports: Ports, inbox: mpsc::Sender<Inbound>) -> Self {
        let (udp, listeners, open) = (None, Vec::new(), BTreeMap::new());
        Self { ip, ports, inbox, udp, listeners, open, next: 0 }
    }

    /// Listens to what the module serves; replaces what was listened to.
    pub(super) fn serve(&mut self, lan: bool, web: bool) {
        if !lan {
            self.udp.take().inspect(|(_, reader)| reader.abort());
        } else if self.udp.is_none() {
            match self.bind_udp() {
                Ok(udp) => self.udp = Some(udp),
                Err(error) => tracing::warn!(port = self.ports.udp, %error, "UDP port is not free"),
            }
        }
        for (own, port, wanted) in
            [(TCP_PORT, self.ports.tcp, lan), (WEB_PORT, self.ports.web, web)]
        {
            let at = self.listeners.iter().position(|(known, _)| *known == own);
            match (at, wanted) {
                (Some(at), false) => self.listeners.swap_remove(at).1.abort(),
                (None, true) => match self.listen(own, port) {
                    Ok(task) => self.listeners.push((own, task)),
                    Err(error) => tracing::warn!(port, %error, "TCP port is not free"),
                },
                (Some(_), true) | (None, false) => {}
            }
        }
    }

    fn bind_udp(&self) -> io::Result<(std::net::UdpSocket, JoinHandle<()>)> {
        let socket = bind(SocketAddr::new(self.ip, self.ports.udp))?;
        let own = UdpSocket::from_std(socket.try_clone()?)?;
        let inbox = self.inbox.clone();
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
            loop {
                // An error is an ICMP answer to one of our datagrams; the socket goes on.
                let Ok((len, from)) = own.recv_from(&mut buffer).await else { continue };
                let bytes = buffer.get(..len).unwrap_or_default().to_vec();
                if inbox.send(Inbound::Udp { from, bytes }).await.is_err() {
                    return;
                }
            }
        });
        Ok((socket, reader))
    }

    fn listen(&self, own: u16, port: u16) -> io::Result<JoinHandle<()>> {
        let listener = listen(SocketAddr::new(self.ip, port))?;
        let inbox = self.inbox.clone();
        Ok(tokio::spawn(async move {
            loop {
                // An error is a peer that was gone already, or too many open files.
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if inbox.send(Inbound::Accepted { port: own, stream }).await.is_err() {
                    return;
                }
            }
        }))
    }

    /// Takes a connection; `None` when there are too many.
    pub(super) fn accept(&mut self, stream: TcpStream) -> Option<ConnId> {
        if self.open.len() >= CONNECTIONS_MAX || stream.set_nodelay(true).is_err() {
            return None;
        }
        let conn = self.next;
        self.next = self.next.wrapping_add(1);
        let (mut half, writer) = stream.into_split();
        let inbox = self.inbox.clone();
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; READ_BYTES];
            loop {
                let len = half.read(&mut buffer).await.unwrap_or(0);
                let bytes = buffer.get(..len).unwrap_or_default().to_vec();
                let sent = inbox.send(Inbound::Tcp { conn, bytes }).await;
                if len == 0 || sent.is_err() {
                    return;
                }
            }
        });
        self.open.insert(conn, Open { writer, reader });
        Some(conn)
    }

    pub(super) fn is_open(&self, conn: ConnId) -> bool {
        self.open.contains_key(&conn)
    }

    /// Sends at once; a phone whose buffer is full has stopped reading and is dropped.
    pub(super) fn send(&mut self, conn: ConnId, bytes: &[u8]) {
        let Some(open) = self.open.get(&conn) else { return };
        if open.writer.try_write(bytes).ok() != Some(bytes.len()) {
            self.close(conn);
            let inbox = self.inbox.clone();
            tokio::spawn(async move {
                let _ = inbox.send(Inbound::Tcp { conn, bytes: Vec::new() }).await;
            });
        }
    }

    pub(super) fn close(&mut self, conn: ConnId) {
        if let Some(open) = self.open.remove(&conn) {
            open.reader.abort();
        }
    }

    /// Sends; a full or failing socket loses the datagram, as a radio would.
    pub(super) fn datagram(&self, to: SocketAddr, bytes: &[u8]) {
        if let Some((socket, _)) = &self.udp
            && let Err(error) = socket.send_to(bytes, to)
        {
            tracing::debug!(%to, %error, "datagram lost");
        }
    }

    /// Sends to everybody from a socket of its own.
    pub(super) fn broadcast(&self, to: SocketAddr, bytes: &[u8]) {
        let sent = bind(SocketAddr::new(self.ip, 0)).and_then(|socket| {
            socket.set_broadcast(true)?;
            socket.send_to(bytes, to)
        });
        if let Err(error) = sent {
            tracing::debug!(%to, %error, "broadcast lost");
        }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.serve(false, false);
        for open in self.open.values() {
            open.reader.abort();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the module's network stack")]
fn bind(local: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = std::net::UdpSocket::bind(local)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Lowest port that [`free_ports`] looks at, and how many it looks at: below the range that systems
/// take for outgoing connections (Linux: 32768 and above).
const SEARCHED: (u16, u16) = (20_000, 12_000);

/// Finds ports for one more module at this address: four in a row that nobody has, beginning at a
/// place of this process's own. `None` when there are none.
pub(super) fn free_ports(ip: IpAddr) -> Option<Ports> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = (std::process::id() % 1500) as u16 * 8;
    (0..SEARCHED.1 / 4).find_map(|_| {
        let step = NEXT.fetch_add(4, Ordering::Relaxed);
        let ports = Ports::around(SEARCHED.0 + own.wrapping_add(step) % SEARCHED.1);
        let at = |port| SocketAddr::new(ip, port);
        let udp = [ports.udp, ports.announce].map(|port| bind(at(port)).is_ok());
        let tcp = [ports.tcp, ports.web].map(|port| std::net::TcpListener::bind(at(port)).is_ok());
        (udp == [true; 2] && tcp == [true; 2]).then_some(ports)
    })
}

fn listen(local: SocketAddr) -> io::Result<TcpListener> {
    let socket = match local {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    // A module restarts while its phones' connections still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(local)?;
    socket.listen(16)
}
