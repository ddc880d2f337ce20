//! What every engine decides alike, as functions of the nouns: limits, merges, refusals.
//!
//! Not here: finding and keeping (the engines), binding (`ledger`). Source: the documentation of
//! `roadstead_core::port`.

use std::cmp::Ordering;
use std::time::Duration;

use roadstead_core::attempt::{Attempt, Mark, Outcome};
use roadstead_core::binding::{BindToken, Binding, BindingRole, TokenState};
use roadstead_core::device::{Device, Tags};
use roadstead_core::limit::{COUNT_MAX, PAGE_ITEMS_MAX};
use roadstead_core::port::{DeviceFilter, DevicePatch, Page, RegisterError, StoreError};
use roadstead_core::product::Registration;
use roadstead_core::session::Presence;
use roadstead_core::shadow::{Expected, Shadow};
use roadstead_core::{DeviceId, Timestamp};

/// Sign-ins kept per user; past it the one that ends first is forgotten.
pub(crate) const LOGINS_PER_USER_MAX: usize = 1000;
/// Messages kept per parked session; past it the oldest is dropped.
pub(crate) const QUEUE_PER_CLIENT_MAX: usize = 1000;
/// How long an expired bind token can still be asked for.
pub(crate) const TOKEN_KEPT: Duration = Duration::from_secs(24 * 3600);
/// Length of a trace partition, milliseconds: one day UTC.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// 9999-12-31, the last partition whose name has four digits for the year.
const DAY_MAX: i64 = 2_932_896;

/// Returns how many items a page holds.
pub(crate) fn page_items(page: &Page) -> usize {
    (page.limit as usize).min(PAGE_ITEMS_MAX)
}

/// Returns the trace partition of a date: days since 1970, from 1970 to 9999.
pub(crate) fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DAY_MS).clamp(0, DAY_MAX)
}

/// True when the whole day lies before `before`.
pub(crate) fn day_is_over(day: i64, before: Timestamp) -> bool {
    (day.saturating_add(1)).saturating_mul(DAY_MS) <= before.as_millis()
}

/// Returns the exact size of a shadow, bytes of JSON.
pub(crate) fn shadow_bytes(shadow: &Shadow) -> usize {
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, shadow).expect("a shadow is JSON");
    counter.0
}

struct Counter(usize);

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Fails when a service has another version than somebody bases a change on.
pub(crate) fn check_versions(shadow: &Shadow, expected: &[Expected]) -> Result<(), StoreError> {
    match shadow.stale(expected) {
        None => Ok(()),
        Some((service, version)) => {
            Err(StoreError::Stale(format!("{service}: the shadow has version {version}").into()))
        }
    }
}

/// Applies a patch.
pub(crate) fn patch_device(device: &mut Device, patch: DevicePatch) {
    let DevicePatch {
        name,
        secret,
        secondary_secret,
        fingerprint,
        secondary_fingerprint,
        secure,
        register_within_s,
        gateway,
        frozen,
        info,
        activated_at,
    } = patch;
    let access = &mut device.access;
    access.secondary_secret = secondary_secret.or(access.secondary_secret.take());
    access.secure = secure.unwrap_or(access.secure);
    access.register_within_s = register_within_s.unwrap_or(access.register_within_s);
    if let Some(fingerprint) = secondary_fingerprint {
        access.secondary_fingerprint = fingerprint;
    }
    if let Some(name) = name {
        device.name = name;
    }
    if let Some(secret) = secret {
        device.secret = Some(secret);
    }
    if let Some(fingerprint) = fingerprint {
        device.fingerprint = fingerprint;
    }
    if let Some(gateway) = gateway {
        device.gateway = gateway;
    }
    if let Some(frozen) = frozen {
        device.frozen = frozen;
    }
    device.info.extend(info.into_iter().flatten());
    device.info.retain(|_, value| !value.is_null());
    if let Some(activated_at) = activated_at {
        device.activated_at = activated_at;
    }
}

/// Returns the patch that an import makes of a device that exists. What the import does not say
/// (no secret, no gateway, an empty name) stays; a frozen device stays frozen.
pub(crate) fn import_patch(given: &Device) -> DevicePatch {
    DevicePatch {
        name: (!given.name.is_empty()).then(|| given.name.clone()),
        secret: given.secret.clone(),
        fingerprint: given.fingerprint.clone().map(Some),
        gateway: given.gateway.clone().map(Some),
        frozen: given.frozen.then_some(true),
        info: Some(given.info.clone()),
        ..DevicePatch::default()
    }
}

/// True when an import names the same device; its identity cannot be changed.
pub(crate) fn same_identity(stored: &Device, given: &Device) -> bool {
    stored.space == given.space && stored.product == given.product && stored.node == given.node
}

/// Adds tags; a key that is there gets the new value.
pub(crate) fn bind_tags(device: &mut Device, tags: Tags, max: usize) -> Result<(), StoreError> {
    let mut bound = device.tags.clone();
    bound.extend(tags);
    if bound.len() > max.max(device.tags.len()) {
        return Err(StoreError::Limit("tags per device"));
    }
    device.tags = bound;
    Ok(())
}

/// Returns the total of a list that stops counting.
pub(crate) fn at_most(total: u64) -> u64 {
    total.min(COUNT_MAX)
}

/// True when the total of a list is exact however large it is.
pub(crate) fn counts_exactly(filter: &DeviceFilter) -> bool {
    let DeviceFilter { product, gateway, .. } = filter;
    let plain = DeviceFilter::default();
    let of_product = DeviceFilter { product: product.clone(), ..plain.clone() };
    let of_gateway = DeviceFilter { gateway: gateway.clone(), ..plain.clone() };
    *filter == plain || *filter == of_product || *filter == of_gateway
}

/// Says whether a device may register itself.
pub(crate) fn may_register(
    policy: Registration,
    stored: Option<&Device>,
) -> Result<(), RegisterError> {
    match (policy, stored) {
        (Registration::Off, _) => Err(RegisterError::Off),
        (_, Some(device)) if device.activated_at.is_some() => Err(RegisterError::Activated),
        (Registration::Preregistered, None) => Err(RegisterError::UnknownDevice),
        (Registration::Preregistered | Registration::Open, _) => Ok(()),
    }
}

/// Returns the presence after a change, `None` when a later session has won. The last refusal is
/// kept when the change names none.
pub(crate) fn change_presence(stored: &Presence, change: Presence) -> Option<Presence> {
    (change.epoch >= stored.epoch)
        .then(|| Presence { refusal: change.refusal.or_else(|| stored.refusal.clone()), ..change })
}

/// Returns when a session that began or ended activates its device.
pub(crate) fn activation(presence: &Presence) -> Option<Timestamp> {
    presence.online_at.or(presence.offline_at)
}

/// True when a token counts against its maker's limit.
pub(crate) fn token_lives(token: &BindToken, now: Timestamp) -> bool {
    token.expires_at > now && token.state != TokenState::Bound
}

/// Extends an attempt; what it knows already is not replaced.
pub(crate) fn extend_attempt(
    attempt: &mut Attempt,
    device: Option<DeviceId>,
    method: Option<Box<str>>,
    marks: Vec<Mark>,
    ending: Option<(Outcome, Timestamp)>,
) {
    attempt.device = attempt.device.take().or(device);
    attempt.method = attempt.method.take().or(method);
    for mark in marks {
        attempt.mark(mark);
    }
    if let Some((outcome, at)) = ending {
        attempt.end(outcome, at);
    }
}

/// Orders the bindings of a device: owner first, then oldest first.
pub(crate) fn by_rank(a: &Binding, b: &Binding) -> Ordering {
    let rank = |binding: &Binding| binding.role == BindingRole::Guest;
    rank(a).cmp(&rank(b)).then_with(|| by_age(a, b))
}

/// Orders bindings: oldest first.
pub(crate) fn by_age(a: &Binding, b: &Binding) -> Ordering {
    (a.created_at, &a.id).cmp(&(b.created_at, &b.id))
}
