//! Device access as a whole: the real Tencent dialect, real bytes, a fake platform.
//!
//! Over memory pipes in virtual time where time matters, over loopback sockets where TLS or the
//! kernel matters. Nothing sleeps: every wait is for an event.
#![allow(clippy::wildcard_enum_match_arm, reason = "tests name what they expect")]

mod client;
mod down;
mod fake;
mod free;
mod refusal;
mod session;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use openssl::ssl::SslContext;
use roadstead_core::session::Epoch;
use roadstead_store::Memory;
use tokio::sync::watch;

use super::accept::{Door, Live};
use super::login::{Arrival, serve};
use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Directory;
use crate::metrics::Metrics;
use crate::shell::{Peer, Shared, Socket, policy};
use crate::throttle::Throttle;
use client::Client;
use fake::Fake;

const PRODUCT: &str = "L4WG9V9M2M";
const NODE: &str = "TEST2";
const CLIENT: &str = "L4WG9V9M2MTEST2";
const SECRET: &str = "MLvMHde65nKPk0Lx+ZThaA==";
/// Recorded from the vendor's SDK (Tencent §3.4, vector 1).
const USER: &str = "L4WG9V9M2MTEST2;21010406;5B1N0;92233720368547758";
const PASSWORD: &str = "f8bd3bc698a7f0500252c0dde84650c99162ba65;hmacsha1";

const UP: &str = "$thing/up/property/L4WG9V9M2M/TEST2";
const DOWN: &str = "$thing/down/property/L4WG9V9M2M/TEST2";
const FREE: &str = "L4WG9V9M2M/TEST2/data";

/// Everything but listeners.
struct World {
    fake: Arc<Fake>,
    shared: Arc<Shared>,
    live: Arc<Live>,
    stop: watch::Sender<bool>,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        change(&mut config);
        let metrics = Arc::new(Metrics::new());
        let (clock, directory) = (Clock::system(), Arc::new(Directory::new(Epoch(0))));
        let fake = Arc::new(Fake::new(directory.clone()));
        let store = Arc::new(Memory::new());
        let broker = Broker::open(store, &config.mqtt, clock.clone(), metrics.clone());
        let shared = Shared {
            services: fake.clone(),
            directory,
            broker: broker.await.expect("an empty store"),
            throttle: Arc::new(Throttle::new(config.throttle.clone(), metrics.clone())),
            metrics,
            clock,
            policy: Arc::new(policy(&config.mqtt)),
            limits: config.mqtt.clone(),
            last_request: 0.into(),
        };
        let (stop, _) = watch::channel(false);
        Self { fake, shared: Arc::new(shared), live: Arc::default(), stop }
    }

    /// Opens a socket in memory that holds up to `bytes` each way.
    fn open(&self, bytes: usize) -> Client {
        self.open_from([192, 0, 2, 1], bytes)
    }

    fn open_from(&self, source: [u8; 4], bytes: usize) -> Client {
        let (ours, theirs) = tokio::io::duplex(bytes);
        self.serve(Socket::Memory(theirs), None, SocketAddr::from((source, 40_000)));
        Client::new(ours)
    }

    fn serve(&self, socket: Socket, context: Option<SslContext>, address: SocketAddr) {
        let guard = self.live.enter(&self.shared).expect("room");
        let peer = Peer { address, transport: if context.is_some() { "tls" } else { "tcp" } };
        let door = match context {
            Some(context) => Door::Tls { context, is_legacy: false },
            None => Door::Plain,
        };
        let arrival = Arrival { shared: self.shared.clone(), socket, door, http: None, peer };
        tokio::spawn(serve(arrival, self.stop.subscribe(), guard));
    }

    /// Opens a socket and logs the lamp in.
    async fn lamp(&self) -> Client {
        let mut lamp = self.open(64 * 1024);
        lamp.log_in().await;
        lamp
    }

    /// Waits until no connection is left.
    async fn empty(&self) {
        self.live.empty().await;
    }
}
