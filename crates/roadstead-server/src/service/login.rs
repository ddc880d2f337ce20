//! Log-in, log-out and refusals.
//!
//! ```text
//! hello --recognise--> claim --load--> account --frozen? admit--> epoch, presence, session
//!    '------ no dialect, unknown, refused: true cause into trace, presence, strangers ------'
//! ```
//!
//! A storm of refusals writes at most once per device and [`REFUSAL_GAP`]; the rest is counted and
//! the next entry says how many there were.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use roadstead_core::port::{PresenceChange, StoreError};
use roadstead_core::session::{Ending, Epoch, Presence};
use roadstead_core::trace::{Entries, Entry, Hop};
use roadstead_core::{Code, Timestamp};
use roadstead_dialects::cloud::{Account, Claim, Cloud, Happening, Hello, Refusal};

use super::authority::without_strangers;
use super::child::BRIDGE;
use super::{Platform, Stranger};
use crate::shell::{Login, Peer};

/// Time between two written refusals of one device.
const REFUSAL_GAP: Duration = Duration::from_secs(1);
/// How long after a refusal the same client may repeat its log-in in MQTT 3.1 without being
/// counted again: one library does so by itself (Huawei T5).
pub(super) const RETRY_LIFE: Duration = Duration::from_secs(5);
/// The minute of vendors that count log-ins per minute.
pub(super) const CONNECTS_KEPT: Duration = Duration::from_secs(60);
/// The protocol level of MQTT 3.1.
const LEVEL_31: u8 = 3;
/// How long the refusals of a device are counted.
pub(super) const REFUSALS_KEPT: Duration = Duration::from_secs(600);
/// CONNACK return code for a client of no known dialect (MQTT 3.1.1 table 3.1: the data in the
/// user name or password is malformed).
const CONNACK_MALFORMED: u8 = 4;
/// CONNACK return code while the store fails (MQTT 3.1.1 table 3.1: server unavailable).
const CONNACK_UNAVAILABLE: u8 = 3;

/// Refusals of one device.
pub(super) struct Refusals {
    /// When one was written last.
    written_at: Timestamp,
    /// Those since then.
    unwritten: u64,
}

/// An admitted client.
struct Admitted<'a> {
    cloud: &'a Arc<dyn Cloud>,
    account: Account,
    /// It only asks for its credentials.
    is_member: bool,
}

/// A refused claim: by which dialect, about whom if the device exists, and why.
struct Refused<'a> {
    cloud: Option<&'a Arc<dyn Cloud>>,
    claim: Option<Claim>,
    account: Option<Account>,
    refusal: Refusal,
}

impl Platform {
    pub(super) async fn log_in(
        &self,
        hello: Hello<'_>,
        peer: &Peer,
    ) -> Result<Login, (Refusal, u8)> {
        let now = self.clock.now();
        match self.recognize(&hello, now).await {
            Ok(admitted) => self.open_session(admitted, &hello, peer, now).await,
            Err(refused) => {
                let is_retry = self.is_retry(&hello, now);
                Err(self.refuse(refused, is_retry, peer, now).await)
            }
        }
    }

    /// Finds the dialect and the account. Shapes of two dialects may overlap: the first whose
    /// claim names a product of that dialect decides.
    async fn recognize<'a>(
        &'a self,
        hello: &Hello<'_>,
        now: Timestamp,
    ) -> Result<Admitted<'a>, Refused<'a>> {
        let mut first: Option<Refused<'a>> = None;
        for (dialect, cloud) in &self.clouds {
            if !cloud.recognizes(hello) {
                continue;
            }
            let refused =
                |claim, account, refusal| Refused { cloud: Some(cloud), claim, account, refusal };
            let claim = match cloud.identify(hello) {
                Ok(claim) => claim,
                Err(refusal) => {
                    first.get_or_insert(refused(None, None, refusal));
                    continue;
                }
            };
            let member = match &claim {
                Claim::Member { product, device } => Some((&**product, &**device)),
                Claim::Node { .. } | Claim::Device(_) => None,
            };
            let mut loaded = match member {
                Some(member) => self.load_member((dialect, cloud), hello, member, now).await,
                None => self.load_claim(dialect, &claim).await,
            };
            let is_member = member.is_some();
            if !is_member
                && loaded.as_ref().is_err_and(|refusal| refusal.code == "auth.unknown_device")
                && let Some(made) = self.self_register(dialect, hello, &claim).await
            {
                loaded = made;
            }
            let account = match loaded {
                Ok(account) => account,
                Err(refusal) => {
                    let decisive = refusal.code != "auth.unknown_product";
                    let refused = refused(Some(claim), None, refusal);
                    if decisive {
                        return Err(refused);
                    }
                    first.get_or_insert(refused);
                    continue;
                }
            };
            if account.device.frozen {
                let refusal = Refusal::new("auth.frozen", "an operator froze the device");
                return Err(refused(Some(claim), Some(account), refusal));
            }
            if account.device.register_by().is_some_and(|by| by <= now) {
                let refusal = unknown_device(account.device.id.as_str());
                return Err(refused(Some(claim), None, refusal));
            }
            if is_member {
                return Ok(Admitted { cloud, account, is_member });
            }
            let stripped = without_strangers(hello.tls, &account.device.space);
            let hello = Hello { tls: stripped.as_ref().unwrap_or(hello.tls), ..*hello };
            let proven = match cloud.admit(&hello, &account, now) {
                Ok(()) => self.note_certificate(&hello, &account).await,
                Err(refusal) => Err(refusal),
            };
            let admitted = match proven {
                Ok(()) => self.learn_certificate(cloud, &hello, account, now).await,
                Err(refusal) => Err((account, refusal)),
            };
            return match admitted {
                Ok(account) => Ok(Admitted { cloud, account, is_member }),
                Err((account, refusal)) => Err(refused(Some(claim), Some(account), refusal)),
            };
        }
        Err(first.unwrap_or_else(|| {
            let detail = format!(
                "client id of {} bytes, {} user name",
                hello.client_id.len(),
                if hello.user.is_some() { "with" } else { "without" }
            );
            let refusal = Refusal::new("auth.malformed", detail);
            Refused { cloud: None, claim: None, account: None, refusal }
        }))
    }

    /// Returns what a claim is about.
    async fn load_claim(&self, dialect: &str, claim: &Claim) -> Result<Account, Refusal> {
        let failed = |error: StoreError| Refusal::new(error.code(), "reading the registry");
        let (device, product) = match claim {
            Claim::Node { product, node } => {
                let id = (&**product).into();
                let loaded = self.store.product(&id).await.map_err(failed)?;
                let product =
                    loaded.filter(|product| &*product.dialect == dialect).ok_or_else(|| {
                        Refusal::new("auth.unknown_product", format!("product `{id}`"))
                    })?;
                let device = self.store.device_by_node(&id, node).await.map_err(failed)?;
                (device.ok_or_else(|| unknown_device(node))?, product)
            }
            Claim::Member { device, .. } => {
                return Err(unknown_device(device));
            }
            Claim::Device(id) => {
                let device = self.store.device(id).await.map_err(failed)?;
                let device = device.ok_or_else(|| unknown_device(id.as_str()))?;
                let product = self.store.product(&device.product).await.map_err(failed)?;
                let product = product
                    .filter(|product| &*product.dialect == dialect)
                    .ok_or_else(|| unknown_device(id.as_str()))?;
                (device, product)
            }
        };
        Ok(Account { product, device })
    }

    async fn open_session(
        &self,
        admitted: Admitted<'_>,
        hello: &Hello<'_>,
        peer: &Peer,
        now: Timestamp,
    ) -> Result<Login, (Refusal, u8)> {
        let Admitted { cloud, account, is_member } = admitted;
        if let Some(refusal) = self.too_often(cloud, &account, now) {
            let source = format!("{} {}", peer.address, peer.transport);
            self.refused_device(&account, "login", &refusal, &source, now).await;
            return Err((refusal, CONNACK_UNAVAILABLE));
        }
        let epoch = self.directory.next_epoch();
        if is_member {
            return Ok(self.open_provisioning(cloud, account, hello, epoch, (peer, now)));
        }
        let device = &account.device.id;
        let again = self.directory.find(device).is_some();
        let address = peer.address.to_string();
        let presence = Presence {
            online: true,
            epoch,
            online_at: Some(now),
            peer: Some(address.as_str().into()),
            transport: Some(peer.transport.into()),
            ..Presence::default()
        };
        let text = format!("{address} {}", peer.transport);
        let entry = Entry::new(now, Hop::Up, "login", "ok", &text);
        let change = PresenceChange { device: device.clone(), presence };
        let entries = Entries { device: device.clone(), entries: vec![entry] };
        let (presence, trace) = tokio::join!(
            self.store.set_presence(vec![change]),
            self.store.append_trace(vec![entries])
        );
        if let Err(error) = presence.and(trace) {
            tracing::warn!(%error, %device, "noting a log-in");
            self.observer.count("login", error.code());
            return Err((Refusal::new(error.code(), "noting the log-in"), CONNACK_UNAVAILABLE));
        }
        self.mark_connected(device, now).await;
        self.spread(&account, || Happening::Online { again });
        self.observer.count("login", "ok");
        let random = u64::from_le_bytes(self.random.bytes());
        let session = cloud.session_of(hello, &account, random);
        Ok(Login { account, cloud: cloud.clone(), session, epoch })
    }

    /// Counts log-ins for vendors that allow a number of them per minute.
    fn too_often(
        &self,
        cloud: &Arc<dyn Cloud>,
        account: &Account,
        now: Timestamp,
    ) -> Option<Refusal> {
        let most = cloud.connects_per_minute()? as usize;
        let device = &account.device.id;
        let mut connects = self.connects.lock();
        let mut times = connects.remove(device, now).unwrap_or_default();
        times.retain(|&at| now < at + CONNECTS_KEPT);
        let refusal = (times.len() >= most).then(|| {
            let detail = format!("more than {most} log-ins within a minute; nothing is answered");
            Refusal { is_silent: true, ..Refusal::new("auth.connect_rate", detail) }
        });
        if refusal.is_none() {
            times.push(now);
        }
        connects.set(device.clone(), times, now);
        refusal
    }

    /// Opens the session of a group's member: it is handed its credentials and is not on line.
    fn open_provisioning(
        &self,
        cloud: &Arc<dyn Cloud>,
        account: Account,
        hello: &Hello<'_>,
        epoch: Epoch,
        (peer, now): (&Peer, Timestamp),
    ) -> Login {
        let text = format!("{} {}", peer.address, peer.transport);
        self.note(&account.device.id, Entry::new(now, Hop::Up, "provision", "ok", &text));
        self.observer.count("provision", "ok");
        self.admissions.enter(epoch);
        let random = u64::from_le_bytes(self.random.bytes());
        let session = cloud.session_of(hello, &account, random);
        Login { account, cloud: cloud.clone(), session, epoch }
    }

    /// True when a refused log-in is the repetition in MQTT 3.1 of one that was refused just now.
    fn is_retry(&self, hello: &Hello<'_>, now: Timestamp) -> bool {
        let mut retries = self.retries.lock();
        let client: Box<str> = hello.client_id.into();
        match hello.level {
            LEVEL_31 => retries.remove(&client, now).is_some(),
            _ => {
                retries.set(client, (), now);
                false
            }
        }
    }

    async fn refuse(
        &self,
        refused: Refused<'_>,
        is_retry: bool,
        peer: &Peer,
        now: Timestamp,
    ) -> (Refusal, u8) {
        let Refused { cloud, claim, account, mut refusal } = refused;
        refusal.is_retry = is_retry;
        refusal.device = account.as_ref().map(|account| account.device.id.as_str().into());
        let connack = match (cloud, refusal.code.starts_with("internal.")) {
            (_, true) => CONNACK_UNAVAILABLE,
            (Some(cloud), false) => cloud.connack(refusal.code),
            (None, false) => CONNACK_MALFORMED,
        };
        match &account {
            _ if is_retry => {}
            Some(account) => {
                let source = format!("{} {}", peer.address, peer.transport);
                self.refused_device(account, "login", &refusal, &source, now).await;
            }
            None => self.refused_stranger("login", claim, Some(peer.address), &refusal, now),
        }
        (refusal, connack)
    }

    /// Records that a known device was refused; see the module text for the bound.
    pub(super) async fn refused_device(
        &self,
        account: &Account,
        what: &'static str,
        refusal: &Refusal,
        source: &str,
        now: Timestamp,
    ) {
        let device = &account.device.id;
        self.observer.count(what, refusal.code);
        let unwritten = {
            let mut refused = self.refused.lock();
            if let Some(known) = refused.get_mut(device, now)
                && now < known.written_at + REFUSAL_GAP
            {
                known.unwritten += 1;
                return;
            }
            let fresh = Refusals { written_at: now, unwritten: 0 };
            refused.set(device.clone(), fresh, now).map_or(0, |before| before.unwritten)
        };
        let more = match unwritten {
            0 => String::new(),
            n => format!("; {n} more before this one were not written"),
        };
        let text = format!("{source}: {}{more}", refusal.detail);
        self.note(device, Entry::new(now, Hop::Up, what, refusal.code, &text));
        self.note_refusal(device, refusal.code, now);
        self.mark_refused(device, refusal, now).await;
    }

    /// Records that a client was refused that is none of our devices.
    pub(super) fn refused_stranger(
        &self,
        what: &'static str,
        claim: Option<Claim>,
        peer: Option<SocketAddr>,
        refusal: &Refusal,
        at: Timestamp,
    ) {
        self.observer.count(what, refusal.code);
        let (product, node) = match claim {
            Some(Claim::Node { product, node }) => (Some(product), Some(node)),
            Some(Claim::Device(id)) => (None, Some(id.as_str().into())),
            Some(Claim::Member { product, device }) => (Some(product), Some(device)),
            None => (None, None),
        };
        let (code, detail) = (refusal.code, refusal.detail.clone());
        self.strangers.push(Stranger { at, peer, product, node, code, detail });
    }

    /// Notes a client that never got as far as a log-in.
    pub(super) async fn refused_early(
        &self,
        peer: &Peer,
        psk_identity: Option<&[u8]>,
        refusal: &Refusal,
    ) {
        let now = self.clock.now();
        if let Some(device) = &refusal.device {
            // The cause is noted already; this says what became of it.
            let text = format!("{} {}: {}", peer.address, peer.transport, refusal.detail);
            let entry = Entry::new(now, Hop::Up, "login", refusal.code, &text);
            return self.note(&(&**device).into(), entry);
        }
        let claimed = psk_identity.and_then(|identity| {
            self.clouds
                .iter()
                .find_map(|(dialect, cloud)| Some((*dialect, cloud.psk_claim(identity)?)))
        });
        if let Some((dialect, claim)) = &claimed
            && let Ok(account) = self.load_claim(dialect, claim).await
        {
            let source = format!("{} {}", peer.address, peer.transport);
            return self.refused_device(&account, "handshake", refusal, &source, now).await;
        }
        let claim = claimed.map(|(_, claim)| claim);
        self.refused_stranger("handshake", claim, Some(peer.address), refusal, now);
    }

    pub(super) async fn log_out(&self, account: &Account, epoch: Epoch, ending: Ending) {
        let now = self.clock.now();
        let device = &account.device.id;
        if self.admissions.leave(epoch) {
            return self.note(device, Entry::new(now, Hop::Up, "provision_end", "ok", ""));
        }
        self.outbox.leave(device, epoch);
        let mut changes = Vec::new();
        match self.store.presence(device).await {
            // A newer session has taken over: its presence stands.
            Ok(presence) if presence.epoch > epoch => {}
            Ok(presence) => {
                self.spread(account, || Happening::Offline);
                changes.push(PresenceChange {
                    device: device.clone(),
                    presence: ended(presence, epoch, ending, now),
                });
            }
            Err(error) => tracing::warn!(%error, %device, "reading the presence of a device"),
        }
        let subs = self.leave_gateway(device, epoch, now).await;
        let cloud = self.cloud(&account.product.dialect);
        let all_leave = cloud.is_none_or(|cloud| cloud.subs_leave_with_gateway());
        let leaves = |change: &PresenceChange| {
            all_leave || change.presence.transport.as_deref() == Some(BRIDGE)
        };
        changes.extend(subs.into_iter().filter(leaves));
        let entry = Entry::new(now, Hop::Up, "logout", ending_code(ending), "");
        self.note(device, entry);
        for change in changes.iter().filter(|change| change.device != *device) {
            let code = Ending::Gateway.code();
            self.note(&change.device, Entry::new(now, Hop::Up, "logout", code, device.as_str()));
        }
        if let Err(error) = self.store.set_presence(changes).await {
            tracing::warn!(%error, %device, "noting the end of a session");
        }
        self.observer.count("logout", ending.code());
    }
}

/// Returns the presence after the end of a session.
pub(super) fn ended(before: Presence, epoch: Epoch, ending: Ending, now: Timestamp) -> Presence {
    Presence { online: false, epoch, offline_at: Some(now), ending: Some(ending), ..before }
}

/// A goodbye is not a failure; every other ending is shown by its code.
fn ending_code(ending: Ending) -> Code {
    match ending {
        Ending::Disconnected => "ok",
        Ending::Lost
        | Ending::KeepAlive
        | Ending::TakenOver
        | Ending::Protocol
        | Ending::Revoked
        | Ending::TooSlow
        | Ending::Shutdown
        | Ending::Gateway
        | Ending::ServerLost => ending.code(),
    }
}

fn unknown_device(name: &str) -> Refusal {
    Refusal::new("auth.unknown_device", format!("device `{name}`"))
}
