//! Why a device is off line, refused, silent or without an owner: cause, evidence, remedy.
//!
//! The verdict names the first of these that is true, because each hides the later ones: frozen,
//! refused since it was seen last, never seen (registered or not), off line, silent, unbound,
//! failing, well. Meaning and remedy come from the table of codes, the diagnosis from the doctor's catalogue.

use roadstead_core::attempt::{Attempt, Outcome};
use roadstead_core::code::info;
use roadstead_core::device::Device;
use roadstead_core::port::{AttemptFilter, StoreError};
use roadstead_core::session::Presence;
use roadstead_core::trace::Entry;
use roadstead_core::{DeviceId, SpaceId, Timestamp};
use roadstead_doctor::catalogue::{Entry as Diagnosis, of_platform};
use serde::Serialize;

use super::trace::in_order;
use super::{Error, Platform, Stranger};

/// Hops looked at.
const TRACE_READ: u32 = 200;
/// Hops shown as evidence.
const TRACE_SHOWN: usize = 8;

/// The state a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// An operator froze it.
    Frozen,
    /// Its last log-in was refused.
    Refused,
    /// Nothing was ever heard of it.
    NeverSeen,
    /// It registered itself but never logged in.
    NeverConnected,
    /// Its last session ended.
    Offline,
    /// On line, but it never reported.
    Silent,
    /// On line and reporting, but nobody's.
    Unbound,
    /// On line, reporting, bound; but the last exchange of some kind failed.
    Failing,
    /// On line, reporting, bound.
    Well,
}

/// Why a device is as it is.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The device.
    pub device: DeviceId,
    /// Its state.
    pub state: State,
    /// Stable code of the cause; `ok` when all is well.
    pub code: Box<str>,
    /// What the code means.
    pub meaning: &'static str,
    /// The usual cause.
    pub cause: &'static str,
    /// What the verdict rests on, newest last.
    pub evidence: Vec<Evidence>,
    /// What to do about it.
    pub remedy: &'static str,
    /// The same cause in the doctor's catalogue, where a device's log shows it too.
    #[serde(skip)]
    pub diagnosis: Option<&'static Diagnosis>,
}

/// One thing that a verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Evidence {
    /// What is known of the connection.
    Presence {
        /// As kept.
        presence: Presence,
    },
    /// A hop.
    Trace {
        /// As kept.
        entry: Entry,
    },
    /// A stranger that claimed this device's name or product.
    Stranger {
        /// As kept in memory.
        stranger: Stranger,
    },
    /// The last onboarding attempt.
    Attempt {
        /// As kept.
        attempt: Attempt,
    },
    /// A fact of the registry.
    Registry {
        /// Which.
        text: &'static str,
    },
}

/// What is looked at.
struct Case {
    device: std::sync::Arc<Device>,
    presence: Presence,
    trace: Vec<Entry>,
    attempt: Option<Attempt>,
    strangers: Vec<Stranger>,
    bound: bool,
    reported: bool,
}

impl Platform {
    /// Says why a device is as it is. A device that does not exist has a verdict when a stranger
    /// came with exactly its name.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn why(&self, space: &SpaceId, id: &DeviceId) -> Result<Verdict, Error> {
        let device = match self.device_in(space, id).await {
            Err(Error::UnknownDevice(name)) => {
                let found = self.why_unknown(space, id).await?;
                return found.ok_or(Error::UnknownDevice(name));
            }
            found => found?,
        };
        self.flush_notes().await;
        let filter = AttemptFilter { device: Some(id.clone()), ..AttemptFilter::default() };
        let shadow = self.store.shadow(id).await?;
        let case = Case {
            presence: self.store.presence(id).await?,
            trace: in_order(self.store.trace(id, None, None, TRACE_READ).await?),
            attempt: self.store.attempts(space, &filter, 1).await?.pop(),
            strangers: self.strangers_like(device.product.as_str(), &device.node),
            bound: !self.store.bindings_of_device(id).await?.is_empty(),
            reported: shadow.services.values().any(|state| !state.reported.properties.is_empty()),
            device,
        };
        Ok(judge(case))
    }

    /// Strangers of another space's product stay hidden.
    async fn why_unknown(
        &self,
        space: &SpaceId,
        id: &DeviceId,
    ) -> Result<Option<Verdict>, StoreError> {
        let mut evidence = Vec::new();
        let mut code = None;
        for stranger in self.strangers_called(id) {
            if let Some(product) = &stranger.product {
                let product = self.store.product(&(&**product).into()).await?;
                if product.is_some_and(|product| product.space != *space) {
                    continue;
                }
            }
            // The newest one comes first.
            code.get_or_insert(stranger.code);
            evidence.push(Evidence::Stranger { stranger });
        }
        let Some(code) = code else { return Ok(None) };
        evidence.reverse();
        let registry = Evidence::Registry { text: "no device of the space has this name" };
        evidence.insert(0, registry);
        Ok(Some(verdict(id.clone(), State::Refused, code.into(), evidence)))
    }
}

fn judge(case: Case) -> Verdict {
    let (state, code) = cause(&case);
    let id = case.device.id.clone();
    let evidence = evidence(case, state, &code);
    verdict(id, state, code, evidence)
}

fn verdict(device: DeviceId, state: State, code: Box<str>, evidence: Vec<Evidence>) -> Verdict {
    let known = info(&code);
    Verdict {
        device,
        state,
        meaning: known.map_or("The device is on line, reports, and has an owner.", |i| i.meaning),
        cause: known.map_or("", |info| info.cause),
        remedy: known.map_or("Nothing.", |info| info.remedy),
        diagnosis: of_platform(&code),
        evidence,
        code,
    }
}

fn cause(case: &Case) -> (State, Box<str>) {
    let Case { device, presence, .. } = case;
    if device.frozen {
        return (State::Frozen, "auth.frozen".into());
    }
    if let Some((code, at)) = &presence.refusal
        && !presence.online
        && seen(presence).is_none_or(|seen| *at >= seen)
    {
        return (State::Refused, code.clone());
    }
    if device.activated_at.is_none() && seen(presence).is_none() {
        return never_seen(case);
    }
    if !presence.online {
        let code = presence.ending.map_or("device.not_online", |ending| ending.code());
        return (State::Offline, code.into());
    }
    if !case.reported {
        // A refused topic or a malformed payload says more than silence does.
        let code = trouble(case).unwrap_or_else(|| "device.silent".into());
        return (State::Silent, code);
    }
    if !case.bound {
        let code = failure(case).or_else(|| trouble(case));
        return (State::Unbound, code.unwrap_or_else(|| "device.unbound".into()));
    }
    match trouble(case) {
        Some(code) => (State::Failing, code),
        None => (State::Well, "ok".into()),
    }
}

/// Kinds of failures that an established session survives.
const SURVIVED: &[&str] =
    &["mqtt.", "payload.", "model.", "policy.", "bind.", "command.", "message.", "subdevice."];

/// The newest failure that nothing of its kind succeeded after: a refused topic, a malformed
/// payload, a command without an answer say more than silence does.
fn trouble(case: &Case) -> Option<Box<str>> {
    let mut over: Vec<&str> = Vec::new();
    for entry in case.trace.iter().rev() {
        let known = over.contains(&&*entry.what);
        if !known && SURVIVED.iter().any(|kind| entry.code.starts_with(kind)) {
            return Some(entry.code.clone());
        }
        if !known && &*entry.code == "ok" {
            over.push(&entry.what);
        }
    }
    None
}

/// A device that never logged in: registered, turned away as a stranger, or not heard of at all.
fn never_seen(case: &Case) -> (State, Box<str>) {
    let registered =
        case.trace.iter().any(|entry| &*entry.what == "register" && &*entry.code == "ok");
    if registered {
        let code = failure(case).unwrap_or_else(|| "device.never_connected".into());
        return (State::NeverConnected, code);
    }
    // What it was refused before it could log in: a registration, a handshake.
    let turned_away = |entry: &&Entry| {
        ["register.", "auth.", "tls."].iter().any(|kind| entry.code.starts_with(kind))
    };
    if let Some(entry) = case.trace.iter().rev().find(turned_away) {
        return (State::Refused, entry.code.clone());
    }
    let node = &*case.device.node;
    let same = |stranger: &&Stranger| {
        stranger.node.as_deref().is_some_and(|claimed| claimed.eq_ignore_ascii_case(node))
    };
    if let Some(stranger) = case.strangers.iter().find(same) {
        return (State::Refused, stranger.code.into());
    }
    match failure(case) {
        Some(code) => (State::NeverSeen, code),
        None if case.device.secret.is_none() && case.device.fingerprint.is_none() => {
            (State::NeverSeen, "auth.no_credential".into())
        }
        None => (State::NeverSeen, "device.never_connected".into()),
    }
}

/// When the device was let in or seen leaving last.
fn seen(presence: &Presence) -> Option<Timestamp> {
    presence.online_at.max(presence.offline_at)
}

fn failure(case: &Case) -> Option<Box<str>> {
    match &case.attempt.as_ref()?.ending {
        Some(Outcome::Failure { code, .. }) => Some(code.clone()),
        Some(Outcome::Success) | None => None,
    }
}

fn evidence(case: Case, state: State, code: &str) -> Vec<Evidence> {
    let mut evidence = Vec::new();
    if case.device.frozen {
        evidence.push(Evidence::Registry { text: "the device is frozen" });
    }
    if case.device.secret.is_none() && case.device.fingerprint.is_none() {
        evidence.push(Evidence::Registry { text: "the device has no secret and no certificate" });
    }
    evidence.push(Evidence::Presence { presence: case.presence });
    if matches!(state, State::NeverSeen | State::Refused | State::NeverConnected) {
        let strangers = case.strangers.into_iter();
        evidence.extend(strangers.map(|stranger| Evidence::Stranger { stranger }));
    }
    evidence.extend(case.attempt.map(|attempt| Evidence::Attempt { attempt }));
    // The hops of the cause itself, and the last ones whatever they say.
    let last = case.trace.len().saturating_sub(TRACE_SHOWN);
    let mut told: Vec<&Entry> =
        case.trace[..last].iter().rev().filter(|entry| *entry.code == *code).take(2).collect();
    told.reverse();
    let hops = told.into_iter().chain(&case.trace[last..]);
    evidence.extend(hops.map(|entry| Evidence::Trace { entry: entry.clone() }));
    evidence
}
