//! The accept loop of one listener.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use openssl::ssl::SslContext;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};

use super::login;
use super::share::ServeHttp;
use crate::metrics::Queue;
use crate::shell::{Peer, Shared, Socket};

/// Connections the kernel holds before they are accepted: a storm of reconnects must fit.
const BACKLOG: u32 = 4096;
/// First wait after a failed accept (mostly: no file descriptor left); doubled each time.
const BACK_OFF_FIRST: Duration = Duration::from_millis(10);
/// Longest wait after a failed accept.
const BACK_OFF_MAX: Duration = Duration::from_secs(1);

/// One bound listener.
pub(super) struct Listener {
    listener: TcpListener,
    door: Door,
}

/// What a listener expects.
#[derive(Clone)]
pub(super) enum Door {
    /// MQTT.
    Plain,
    /// MQTT inside TLS.
    Tls { context: SslContext, is_legacy: bool },
    /// Whatever the first byte says.
    Shared { context: SslContext },
}

impl Listener {
    pub(super) fn bind(address: SocketAddr, door: Door) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(Self { listener: socket.listen(BACKLOG)?, door })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Accepts until it is aborted.
    pub(super) async fn run(
        self,
        shared: Arc<Shared>,
        http: Option<ServeHttp>,
        live: Arc<Live>,
        stopped: watch::Receiver<bool>,
    ) {
        let mut back_off = BACK_OFF_FIRST;
        loop {
            match self.listener.accept().await {
                Ok((socket, address)) => {
                    back_off = BACK_OFF_FIRST;
                    self.welcome((socket, address), &shared, http.as_ref(), &live, &stopped);
                }
                Err(error) => {
                    shared.metrics.accept_errors.increment();
                    if is_of_one_client(&error) {
                        continue;
                    }
                    tracing::warn!(%error, ?back_off, "accepting connections failed");
                    tokio::time::sleep(back_off).await;
                    back_off = (back_off * 2).min(BACK_OFF_MAX);
                }
            }
        }
    }

    fn welcome(
        &self,
        (socket, address): (TcpStream, SocketAddr),
        shared: &Arc<Shared>,
        http: Option<&ServeHttp>,
        live: &Arc<Live>,
        stopped: &watch::Receiver<bool>,
    ) {
        shared.metrics.accepted.increment();
        let Some(guard) = live.enter(shared) else {
            shared.metrics.dropped(Queue::Connections, 1);
            return;
        };
        // Fails only for a socket that is gone already; reading tells.
        let _ = socket.set_nodelay(true);
        let transport = match &self.door {
            Door::Plain | Door::Shared { .. } => "tcp",
            Door::Tls { is_legacy: false, .. } => "tls",
            Door::Tls { is_legacy: true, .. } => "tls-legacy",
        };
        let arrival = login::Arrival {
            shared: shared.clone(),
            socket: Socket::Plain(socket),
            door: self.door.clone(),
            http: http.cloned(),
            peer: Peer { address, transport },
        };
        tokio::spawn(login::serve(arrival, stopped.clone(), guard));
    }
}

/// True for errors that say something about the connection, not about the listener.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

/// The number of live connections.
#[derive(Default)]
pub(super) struct Live {
    count: AtomicUsize,
    changed: Notify,
}

impl Live {
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Enters a connection, if there is room.
    pub(super) fn enter(self: &Arc<Self>, shared: &Arc<Shared>) -> Option<Guard> {
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        let guard = Guard { live: self.clone(), shared: shared.clone() };
        shared.metrics.connections.increment();
        (before < shared.limits.connections_max).then_some(guard)
    }

    /// Waits until nobody is left.
    pub(super) async fn empty(&self) {
        loop {
            let changed = self.changed.notified();
            if self.count() == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// One live connection.
pub(super) struct Guard {
    live: Arc<Live>,
    shared: Arc<Shared>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.metrics.connections.decrement();
        if self.live.count.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.live.changed.notify_waiters();
        }
    }
}
