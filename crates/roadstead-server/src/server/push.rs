//! The listener of enterprises that events are pushed to: TLS, one text a line.

use std::net::SocketAddr;
use std::sync::Arc;

use openssl::ssl::SslContext;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::http::{ACCEPT_PAUSE, HANDSHAKE, accept, ended, shake};
use super::{StartError, http};
use crate::service::Platform;
use crate::vendor::{Framing, KnownPorts, serve};

/// Connections at the same time; further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 1024;

/// A bound listener, not yet serving.
pub(super) struct PushFront {
    socket: TcpListener,
    pub(super) address: SocketAddr,
    context: SslContext,
    platform: Arc<Platform>,
    ports: KnownPorts,
}

impl PushFront {
    /// Binds the listener, unless it is switched off.
    pub(super) fn bind(
        address: Option<SocketAddr>,
        context: SslContext,
        platform: &Arc<Platform>,
        ports: &KnownPorts,
    ) -> Result<Option<Self>, StartError> {
        let Some(address) = address else { return Ok(None) };
        let (socket, address) = http::bind(address)?;
        let (platform, ports) = (platform.clone(), ports.clone());
        Ok(Some(Self { socket, address, context, platform, ports }))
    }

    /// Accepts until stopped; connections end then.
    pub(super) async fn serve(self, mut stopped: watch::Receiver<()>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = accept(&self.socket, &places) => accepted,
                () = ended(&mut stopped) => break,
            };
            while connections.try_join_next().is_some() {}
            let (place, socket, _) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting a push connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (context, platform) = (self.context.clone(), self.platform.clone());
            let ports = self.ports.get();
            connections.spawn(async move {
                drop(socket.set_nodelay(true));
                if let Ok(Some(stream)) = timeout(HANDSHAKE, shake(&context, socket)).await
                    && let Some(live) = platform.push(ports)
                {
                    serve(live, Framing::lines(), stream).await;
                }
                drop(place);
            });
        }
        connections.shutdown().await;
    }
}
