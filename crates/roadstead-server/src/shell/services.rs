//! What a connection asks of the platform. Implemented by `service::Platform`, and by fakes in
//! the tests of the shell.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use roadstead_core::exchange::{Answer, Downlink, SubDevice, Uplink};
use roadstead_core::session::{Ending, Epoch};
use roadstead_core::trace::Entry;
use roadstead_core::trust::Action;
use roadstead_core::{Code, DeviceId, Secret};
use roadstead_dialects::cloud::{Account, Cloud, Hello, Refusal, Session, Vouched};

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Remote address.
    pub address: SocketAddr,
    /// `tcp`, `tls`, `tls-psk`, `tls-cert`; the legacy listener adds `-legacy`.
    pub transport: &'static str,
}

/// An admitted connection.
pub struct Login {
    /// Who it is.
    pub account: Account,
    /// The cloud half of its dialect.
    pub cloud: Arc<dyn Cloud>,
    /// Its session.
    pub session: Box<dyn Session>,
    /// Its epoch.
    pub epoch: Epoch,
}

/// What a connection asks of the platform.
#[async_trait]
pub trait Services: Send + Sync + 'static {
    /// Returns the key of a TLS-PSK identity. Called inside the handshake: bounded, synchronous.
    fn psk(&self, identity: &[u8]) -> Option<Secret>;

    /// Returns what a registered, verified authority says of a client's certificate. `chain` is
    /// what the client sent, DER, its own first. Called once per handshake with a certificate.
    fn vouch(&self, chain: &[Vec<u8>]) -> Option<Box<Vouched>> {
        let _ = chain;
        None
    }

    /// Whether the policies of a device let it publish or subscribe. Called for every message:
    /// free while nothing is bound.
    fn permits(&self, account: &Account, action: Action, topic: &str) -> bool {
        let _ = (account, action, topic);
        true
    }

    /// Recognises, identifies and admits a client. On success presence and trace are durable and
    /// an epoch is given; on refusal the cause is in trace, presence and metrics.
    ///
    /// # Errors
    ///
    /// [`Refusal`] together with the CONNACK return code (MQTT 3.1.1 table 3.1) of the vendor.
    async fn login(&self, hello: Hello<'_>, peer: &Peer) -> Result<Login, (Refusal, u8)>;

    /// Notes a client that never got as far as [`Services::login`]: a broken TLS handshake (with
    /// the PSK identity it offered, if any) or a first packet that is not a CONNECT.
    async fn stranger(&self, peer: &Peer, psk_identity: Option<&[u8]>, refusal: Refusal);

    /// Performs what a device said and returns the answer when the effect is durable. The future
    /// does its ordered part (hand-over to the store) in its first poll, so polling futures once
    /// in order of arrival keeps per-device order while their effects are pipelined. `topic` and
    /// `size` are for the trace.
    fn uplink(
        self: Arc<Self>,
        account: Account,
        epoch: Epoch,
        topic: &str,
        size: usize,
        uplink: Uplink,
    ) -> BoxFuture<'static, Answer>;

    /// Returns the account of a sub-device, if it is attached to this gateway.
    async fn sub_account(&self, gateway: &Account, device: &SubDevice) -> Result<Account, Code>;

    /// The device can take messages now: it logged in, or subscribed. Returns what waited for it:
    /// sequence number and request.
    async fn pending(self: Arc<Self>, account: &Account, epoch: Epoch) -> Vec<(u64, Downlink)>;

    /// Notes that a waiting request was delivered.
    async fn delivered(&self, device: &DeviceId, sequence: u64);

    /// Notes a hop in the trace of a device without waiting for it to be durable.
    fn trace(&self, device: &DeviceId, entry: Entry);

    /// Notes the end of a connection; presence is durable afterwards.
    async fn logout(&self, account: &Account, epoch: Epoch, ending: Ending);
}
