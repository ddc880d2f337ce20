//! HTTP listeners: plain for the APIs and vendor calls, TLS for vendor calls.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::serve::{IncomingStream, Listener, ListenerExt as _};
use openssl::ssl::{Ssl, SslContext, SslVerifyMode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_openssl::SslStream;

use super::{Fronts, StartError};

/// Longest TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes, and finished ones waiting to be served, at the same time.
const HANDSHAKES_MAX: usize = 256;
/// Longest wait for HTTP calls under way at a stop.
const FINISH: Duration = Duration::from_secs(5);
/// Pause after the system refused to accept (out of descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bound HTTP listeners, not yet serving.
#[derive(Default)]
pub(super) struct Front {
    bound: Vec<(&'static str, SocketAddr, Kind)>,
}

enum Kind {
    Plain(TcpListener, Router),
    Tls(TcpListener, Router, Https),
}

/// The TLS context of an HTTPS listener.
pub(super) struct Https(SslContext);

impl Https {
    pub(super) fn new(context: SslContext) -> Self {
        Self(context)
    }
}

impl Front {
    /// Binds a plain listener, unless it is switched off.
    pub(super) fn plain(
        &mut self,
        name: &'static str,
        address: Option<SocketAddr>,
        router: Router,
    ) -> Result<(), StartError> {
        let Some(address) = address else { return Ok(()) };
        let (listener, bound) = bind(address)?;
        self.bound.push((name, bound, Kind::Plain(listener, router)));
        Ok(())
    }

    /// Binds a TLS listener, unless it is switched off.
    pub(super) fn tls(
        &mut self,
        name: &'static str,
        address: Option<SocketAddr>,
        router: Router,
        https: Https,
    ) -> Result<(), StartError> {
        let Some(address) = address else { return Ok(()) };
        let (listener, bound) = bind(address)?;
        self.bound.push((name, bound, Kind::Tls(listener, router, https)));
        Ok(())
    }

    pub(super) fn addresses(&self) -> BTreeMap<String, String> {
        self.bound.iter().map(|(name, at, _)| ((*name).to_owned(), at.to_string())).collect()
    }

    /// Serves until the sender of `stopped` is gone.
    pub(super) fn serve(self, stopped: watch::Receiver<()>) -> Fronts {
        let mut tasks = Fronts::new();
        for (_, _, kind) in self.bound {
            let mut stopped = stopped.clone();
            let stop = async move { while stopped.changed().await.is_ok() {} };
            match kind {
                Kind::Plain(listener, router) => {
                    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
                    let service = router.into_make_service_with_connect_info::<SocketAddr>();
                    tasks.spawn(async move {
                        let served = axum::serve(listener, service).with_graceful_shutdown(stop);
                        if let Err(error) = served.await {
                            tracing::error!(%error, "an HTTP listener ended");
                        }
                    });
                }
                Kind::Tls(listener, router, https) => {
                    let listener = TlsListener::start(listener, https.0);
                    let router = router.layer(axum::middleware::map_request(same_peer));
                    let service = router.into_make_service_with_connect_info::<TlsPeer>();
                    tasks.spawn(async move {
                        let served = axum::serve(listener, service).with_graceful_shutdown(stop);
                        if let Err(error) = served.await {
                            tracing::error!(%error, "an HTTPS listener ended");
                        }
                    });
                }
            }
        }
        tasks
    }
}

/// Waits for calls under way, then ends what is left.
pub(super) async fn finish(fronts: &mut Fronts) {
    let all = async { while fronts.join_next().await.is_some() {} };
    if timeout(FINISH, all).await.is_err() {
        tracing::warn!("HTTP calls did not end in time");
        fronts.shutdown().await;
    }
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bind = || -> io::Result<(TcpListener, SocketAddr)> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind().map_err(|source| StartError::Bind { address, source })
}

/// Accepts and shakes hands in tasks of its own, so that a slow client delays nobody.
struct TlsListener {
    ready: mpsc::Receiver<(SslStream<TcpStream>, SocketAddr)>,
    local: Option<SocketAddr>,
}

impl TlsListener {
    fn start(listener: TcpListener, context: SslContext) -> Self {
        let local = listener.local_addr().ok();
        let (sender, ready) = mpsc::channel(HANDSHAKES_MAX);
        tokio::spawn(async move {
            while let Ok(place) = sender.clone().reserve_owned().await {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    // Nobody serves any more: give the address back.
                    () = sender.closed() => return,
                };
                let (socket, peer) = match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "accepting an HTTPS connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                };
                let context = context.clone();
                tokio::spawn(async move {
                    if let Ok(Some(stream)) = timeout(HANDSHAKE, shake(&context, socket)).await {
                        place.send((stream, peer));
                    }
                });
            }
        });
        Self { ready, local }
    }
}

async fn shake(context: &SslContext, socket: TcpStream) -> Option<SslStream<TcpStream>> {
    socket.set_nodelay(true).ok()?;
    let mut ssl = Ssl::new(context).ok()?;
    // Firmware that is asked for a certificate and has none gives up (mbed TLS of the C SDK 3.1.5
    // ends with 0x3e80); vendor calls prove themselves by signature.
    ssl.set_verify(SslVerifyMode::NONE);
    let mut stream = SslStream::new(ssl, socket).ok()?;
    match Pin::new(&mut stream).accept().await {
        Ok(()) => Some(stream),
        Err(error) => {
            tracing::debug!(%error, "HTTPS handshake");
            None
        }
    }
}

impl Listener for TlsListener {
    type Io = SslStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // The accepting task lives as long as this receiver.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.local.ok_or_else(|| io::Error::other("the listener has no address"))
    }
}

/// The remote address of an HTTPS connection.
#[derive(Clone)]
struct TlsPeer(SocketAddr);

impl Connected<IncomingStream<'_, TlsListener>> for TlsPeer {
    fn connect_info(stream: IncomingStream<'_, TlsListener>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Puts the remote address where handlers of plain listeners find it.
async fn same_peer(mut request: Request) -> Request {
    if let Some(ConnectInfo(TlsPeer(peer))) = request.extensions().get().cloned() {
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    request
}
