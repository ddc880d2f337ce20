//! HTTP listeners: plain for the APIs and vendor calls, TLS for vendor calls.
//!
//! Header names are written in title case: the C SDKs look for `Content-Length` with exactly these
//! capitals (Tencent SDK 3.1.5 and 3.2.1 `utils_httpc.c`; Huawei trap T16).

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use openssl::ssl::{Ssl, SslContext, SslVerifyMode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_openssl::SslStream;
use tower_service::Service as _;

use super::{Fronts, StartError};
use crate::listen::ServeHttp;

/// Longest TLS handshake.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);
/// Longest wait for the head of a request, also on a connection that is kept open.
const HEAD_WAIT: Duration = Duration::from_secs(60);
/// Largest head of a request, bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Connections of one listener at the same time; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 4_096;
/// Longest wait for HTTP calls under way at a stop.
const FINISH: Duration = Duration::from_secs(5);
/// Pause after the system refused to accept (out of descriptors).
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Bound HTTP listeners, not yet serving.
#[derive(Default)]
pub(super) struct Front {
    bound: Vec<(&'static str, SocketAddr, Listener)>,
}

/// One listener and what it serves.
struct Listener {
    socket: TcpListener,
    router: Router,
    https: Option<Https>,
}

/// The TLS context of an HTTPS listener.
#[derive(Clone)]
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
        self.add(name, address, router, None)
    }

    /// Binds a TLS listener, unless it is switched off.
    pub(super) fn tls(
        &mut self,
        name: &'static str,
        address: Option<SocketAddr>,
        router: Router,
        https: Https,
    ) -> Result<(), StartError> {
        self.add(name, address, router, Some(https))
    }

    fn add(
        &mut self,
        name: &'static str,
        address: Option<SocketAddr>,
        router: Router,
        https: Option<Https>,
    ) -> Result<(), StartError> {
        let Some(address) = address else { return Ok(()) };
        let (socket, bound) = bind(address)?;
        self.bound.push((name, bound, Listener { socket, router, https }));
        Ok(())
    }

    pub(super) fn addresses(&self) -> BTreeMap<String, String> {
        self.bound.iter().map(|(name, at, _)| ((*name).to_owned(), at.to_string())).collect()
    }

    /// Serves until the sender of `stopped` is gone.
    pub(super) fn serve(self, stopped: watch::Receiver<()>, on: &Handle) -> Fronts {
        let mut tasks = Fronts::new();
        for (_, _, listener) in self.bound {
            tasks.spawn_on(listener.serve(stopped.clone()), on);
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

pub(super) fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bind = || -> io::Result<(TcpListener, SocketAddr)> {
        let listener = StdListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind().map_err(|source| StartError::Bind { address, source })
}

impl Listener {
    /// Accepts until stopped, then waits for the connections that are left.
    async fn serve(self, mut stopped: watch::Receiver<()>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.socket, &places) => accepted,
                () = ended(&mut stopped) => break,
            };
            while connections.try_join_next().is_some() {}
            let (place, socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting an HTTP connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (router, https, stopped) =
                (self.router.clone(), self.https.clone(), stopped.clone());
            connections.spawn(async move {
                // Responses are small and whole: each leaves at once.
                drop(socket.set_nodelay(true));
                match https {
                    None => converse(socket, peer, router, stopped).await,
                    Some(https) => {
                        if let Ok(Some(stream)) = timeout(HANDSHAKE, shake(&https.0, socket)).await
                        {
                            converse(stream, peer, router, stopped).await;
                        }
                    }
                }
                drop(place);
            });
        }
        drop(self.socket);
        while connections.join_next().await.is_some() {}
    }
}

/// Waits for a free place, then for a connection.
pub(super) async fn accept(
    socket: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = socket.accept().await?;
    Ok((place, stream, peer))
}

/// Returns what answers the vendor calls that arrive on the port that devices share.
pub(super) fn share(router: Router) -> ServeHttp {
    Arc::new(move |stream, peer| {
        let router = router.clone();
        Box::pin(async move {
            let (_never, stopped) = watch::channel(());
            converse(stream, peer, router, stopped).await;
        })
    })
}

/// Waits until the sender is gone.
pub(super) async fn ended(stopped: &mut watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// Answers the calls of one connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    mut stopped: watch::Receiver<()>,
) {
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .max_buf_size(HEAD_BYTES_MAX)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = ended(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, %peer, "an HTTP connection ended");
    }
}

pub(super) async fn shake(context: &SslContext, socket: TcpStream) -> Option<SslStream<TcpStream>> {
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

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use http::header;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// The bytes on the wire, which an HTTP client library would hide: head and body in one write,
    /// header names in title case, a length and no chunks; the peer is known; a second request is
    /// answered on the same connection; a stop ends it.
    #[tokio::test]
    async fn firmware_can_read_the_answer() {
        let register = |ConnectInfo(peer): ConnectInfo<SocketAddr>, body: String| async move {
            assert!(peer.ip().is_loopback());
            ([(header::CONTENT_TYPE, "application/json")], format!("{{\"echo\":\"{body}\"}}"))
        };
        let mut front = Front::default();
        let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let router = Router::new().route("/register/dev", post(register));
        front.plain("vendor_http", any, router).expect("a free port");
        let address = front.addresses()["vendor_http"].clone();
        let (stop, stopped) = watch::channel(());
        let mut fronts = front.serve(stopped, &Handle::current());

        let mut socket = TcpStream::connect(address).await.expect("connect");
        for _ in 0..2 {
            let request = b"POST /register/dev HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi";
            socket.write_all(request).await.expect("write");
            let mut bytes = [0; 1024];
            let n = socket.read(&mut bytes).await.expect("read");
            let text = std::str::from_utf8(&bytes[..n]).expect("text");
            let (head, body) = text.split_once("\r\n\r\n").expect("head and body in one segment");
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains("\r\nContent-Length: 13"), "{head}");
            assert!(head.contains("\r\nContent-Type: application/json"), "{head}");
            assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
            assert_eq!(body, r#"{"echo":"hi"}"#);
        }
        drop(stop);
        assert_eq!(socket.read(&mut [0; 16]).await.expect("end"), 0);
        finish(&mut fronts).await;
    }
}
