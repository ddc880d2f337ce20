//! The end of a client that is not let in: a late answer, then a socket that stays open unread
//! until the client closes it (see [`crate::throttle`]).

use std::sync::Arc;
use std::time::Duration;

use roadstead_dialects::cloud::Refusal;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use crate::shell::{Peer, Shared, Socket, discard};
use crate::throttle::Verdict;

/// Longest wait for a refused client to take its answer.
const ANSWER: Duration = Duration::from_secs(5);

/// A client that is not let in.
pub(super) struct Refused {
    pub(super) shared: Arc<Shared>,
    pub(super) socket: Socket,
    pub(super) peer: Peer,
    /// What it claimed to be, if it got that far.
    pub(super) identity: Option<Box<[u8]>>,
    /// CONNACK or TLS alert; empty when there is nothing to say.
    pub(super) answer: Vec<u8>,
    /// Why.
    pub(super) refusal: Refusal,
}

impl Refused {
    /// Answers late, then keeps the socket open for a while.
    pub(super) async fn serve(self) {
        let Self { shared, mut socket, peer, identity, answer, refusal } = self;
        let (throttle, now) = (&shared.throttle, shared.clock.tick());
        // A device is known by its id: some sign every log-in with another client id.
        let known = refusal.device.as_deref().map(str::as_bytes).or(identity.as_deref());
        let verdict = match refusal.is_retry {
            true => Verdict { delay: Duration::ZERO, is_first_delay: false },
            false => throttle.refused(peer.address.ip(), known, now),
        };
        if verdict.is_first_delay {
            let detail = format!("refused again and again, answered late now: {refusal}");
            let device = refusal.device.clone();
            let throttled = Refusal { device, ..Refusal::new("auth.throttled", detail) };
            shared.services.stranger(&peer, identity.as_deref(), throttled).await;
        }
        let place = throttle.hold();
        if !verdict.delay.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(verdict.delay) => {}
                // The client has gone, or newer ones need the place.
                () = discard(&mut socket) => return,
                () = place.evicted() => return,
            }
        }
        if !answer.is_empty() {
            let written = async {
                socket.write_all(&answer).await?;
                socket.flush().await
            };
            match timeout(ANSWER, written).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
        drop((answer, identity));
        let Some(mut socket) = socket.into_bare() else { return };
        tokio::select! {
            () = tokio::time::sleep(throttle.hold_time()) => {}
            () = discard(&mut socket) => {}
            () = place.evicted() => {}
        }
    }
}
