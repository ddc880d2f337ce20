//! Device access over MQTT: listeners, TLS, log-in, and the end of it all.
//!
//! ```text
//! accept -> (TLS) -> CONNECT -> Services::login -> shell::Connection
//!              '---------'-------------'--refused--> throttle: late answer, then hold
//! ```
//!
//! One deadline covers everything up to the CONNECT. Nothing here knows a vendor; whether a
//! client may come in is decided by [`Services`].

mod accept;
mod limit;
mod login;
mod refuse;
mod share;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use roadstead_core::port::{MqttStore, Store};
use roadstead_core::session::Ending;
use tokio::sync::watch;

use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::shell::{Services, Shared, policy};
use crate::throttle::Throttle;
use crate::tls::{Contexts, TlsError};
use accept::{Door, Listener, Live};
pub use share::ServeHttp;

/// Longest wait for connections to end in order.
const SHUTDOWN: Duration = Duration::from_secs(10);
/// How often expired sessions of absent clients are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// Why device access cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// An address cannot be listened on.
    #[error("listening on `{address}`")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What survived the last run cannot be read.
    #[error("reading retained messages and parked sessions")]
    Store(#[from] roadstead_core::port::StoreError),
}

/// The bound addresses; absent for listeners that are switched off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// MQTT without TLS.
    pub mqtt: Option<SocketAddr>,
    /// MQTT over TLS.
    pub mqtts: Option<SocketAddr>,
    /// MQTT over TLS for old stacks.
    pub mqtts_legacy: Option<SocketAddr>,
    /// Everything, told apart by the first byte.
    pub shared: Option<SocketAddr>,
}

/// Device access, bound but not yet serving.
pub struct Access {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    addresses: Addresses,
    contexts: Contexts,
    http: Option<ServeHttp>,
}

impl Access {
    /// Binds all listeners of the settings and loads what survived the last run. Clients may
    /// connect from now on; they are served from [`Access::serve`] on.
    ///
    /// # Errors
    ///
    /// An address is taken, a certificate unusable or the store unreadable.
    pub async fn bind(
        config: &Config,
        services: Arc<dyn Services>,
        directory: Arc<Directory>,
        store: Arc<dyn Store>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Self, AccessError> {
        let open_files = limit::raise_open_files(config.mqtt.open_files);
        tracing::info!(open_files, "limit of open files");
        let keys = services.clone();
        let contexts = Contexts::open(config, Arc::new(move |identity| keys.psk(identity)))?;
        let store: Arc<dyn MqttStore> = store;
        let broker = Broker::open(store, &config.mqtt, clock.clone(), metrics.clone()).await?;
        let throttle = Arc::new(Throttle::new(config.throttle.clone(), metrics.clone()));
        let shared = Arc::new(Shared {
            services,
            directory,
            broker,
            throttle,
            metrics,
            clock,
            policy: Arc::new(policy(&config.mqtt)),
            limits: config.mqtt.clone(),
            last_request: AtomicU64::new(0),
        });
        let addresses = Addresses::default();
        let mut access = Self { shared, listeners: Vec::new(), addresses, contexts, http: None };
        let listen = &config.listen;
        let contexts = access.contexts.clone();
        let tls = |is_legacy: bool| {
            let context = contexts.context(is_legacy).clone();
            Door::Tls { context, is_legacy }
        };
        access.addresses.mqtt = access.listen(listen.mqtt.0, Door::Plain)?;
        access.addresses.mqtts = access.listen(listen.mqtts.0, tls(false))?;
        access.addresses.mqtts_legacy = access.listen(listen.mqtts_legacy.0, tls(true))?;
        let shared = Door::Shared { context: contexts.shared().clone() };
        access.addresses.shared = access.listen(listen.shared.0, shared)?;
        Ok(access)
    }

    /// Returns where devices can connect.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Returns the TLS contexts, for other listeners that devices use.
    pub fn contexts(&self) -> &Contexts {
        &self.contexts
    }

    /// Returns who knows which free topics are subscribed.
    pub fn fanout(&self) -> Arc<dyn crate::service::Fanout> {
        self.shared.broker.clone()
    }

    /// Serves until `shutdown` completes; then stops accepting, tells every client, and waits
    /// until every session's end is durable (at most 10 s).
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) {
        let (stop, stopped) = watch::channel(false);
        let live = Arc::new(Live::default());
        let mut tasks = tokio::task::JoinSet::new();
        for listener in self.listeners {
            let http = self.http.clone();
            tasks.spawn(listener.run(self.shared.clone(), http, live.clone(), stopped.clone()));
        }
        let broker = self.shared.broker.clone();
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                broker.expire().await;
            }
        });
        shutdown.await;
        tasks.shutdown().await;
        // Clients that are not yet logged in leave at once, the others after a goodbye.
        stop.send_replace(true);
        let everybody_left = async {
            loop {
                self.shared.directory.close_all(Ending::Shutdown);
                // A client may have been entering the directory right now.
                if tokio::time::timeout(Duration::from_millis(100), live.empty()).await.is_ok() {
                    return;
                }
            }
        };
        if tokio::time::timeout(SHUTDOWN, everybody_left).await.is_err() {
            tracing::warn!(left = live.count(), "connections did not end in time");
        }
    }

    /// Says who answers vendor calls on the shared port; without, they are refused there.
    pub fn share(&mut self, http: ServeHttp) {
        self.http = Some(http);
    }

    /// Binds one listener.
    fn listen(
        &mut self,
        address: Option<SocketAddr>,
        door: Door,
    ) -> Result<Option<SocketAddr>, AccessError> {
        let Some(address) = address else { return Ok(None) };
        let error = |source| AccessError::Bind { address, source };
        let listener = Listener::bind(address, door).map_err(error)?;
        let bound = listener.address().map_err(error)?;
        self.listeners.push(listener);
        Ok(Some(bound))
    }
}
