//! Onboarding attempts: marks of phone, device and platform, and the sweep of overdue ones.
//!
//! An attempt learns its device when the phone names it or when the device presents the token.
//! What happens to a device before that is remembered in [`Onboarding`] and joins the attempt
//! then. The memory is bounded and rebuilt from the store at start; losing it costs marks, never
//! a binding.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use roadstead_core::attempt::{Attempt, Mark, Outcome, Stage, Witness};
use roadstead_core::binding::{BindError, Binding};
use roadstead_core::limit::{ATTEMPT_LIFE, PAGE_ITEMS_MAX};
use roadstead_core::port::{AttemptFilter, StoreError};
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::user::Role;
use roadstead_core::{AttemptId, Code, DeviceId, SpaceId, Timestamp, UserId};
use roadstead_dialects::cloud::Refusal;

use super::recent::Recent;
use super::{Caller, Error, Platform};

/// Devices in the middle of an attempt that are remembered.
const DEVICES_MAX: usize = 10_000;
/// Time between two attempts that are kept of a device whose tokens nobody made.
const FAILED_GAP: Duration = Duration::from_secs(60);
/// Longest evidence text of a phone, bytes.
const DETAIL_BYTES_MAX: usize = 512;

/// A stage that a phone saw.
#[derive(Clone, Debug)]
pub struct PhoneMark {
    /// Which stage.
    pub stage: Stage,
    /// When, by the platform's clock; `None` is now.
    pub at: Option<Timestamp>,
    /// Evidence; never a secret.
    pub detail: Option<String>,
}

/// What is remembered of devices in the middle of an attempt.
pub(super) struct Onboarding {
    /// The running attempt of a device.
    running: Mutex<Recent<DeviceId, Running>>,
    running_count: AtomicUsize,
    /// What happened to a device before its attempt was known.
    early: Mutex<Recent<DeviceId, Mark>>,
    /// The attempt whose device was just bound and has not reported yet.
    fresh: Mutex<Recent<DeviceId, AttemptId>>,
    fresh_count: AtomicUsize,
    /// Devices with a failed attempt that was kept a short while ago.
    failed: Mutex<Recent<(DeviceId, Option<UserId>), ()>>,
}

struct Running {
    attempt: AttemptId,
    /// Whose phone named the device; `None` when the device itself proved it with the token.
    named_by: Option<UserId>,
    /// Last refusal of the device while the attempt ran.
    refusal: Option<Refusal>,
}

impl Default for Onboarding {
    fn default() -> Self {
        Self {
            running: Mutex::new(Recent::new(DEVICES_MAX, ATTEMPT_LIFE)),
            running_count: AtomicUsize::new(0),
            early: Mutex::new(Recent::new(DEVICES_MAX, ATTEMPT_LIFE)),
            fresh: Mutex::new(Recent::new(DEVICES_MAX, ATTEMPT_LIFE)),
            fresh_count: AtomicUsize::new(0),
            failed: Mutex::new(Recent::new(DEVICES_MAX, FAILED_GAP)),
        }
    }
}

impl Onboarding {
    /// Notes that the device is in this attempt, and returns whether it is. The device's own proof
    /// always counts; a phone cannot take a device out of somebody else's attempt.
    fn join(
        &self,
        device: &DeviceId,
        attempt: &AttemptId,
        named_by: Option<&UserId>,
        now: Timestamp,
    ) -> bool {
        let mut running = self.running.lock();
        if let Some(known) = running.get_mut(device, now) {
            if known.attempt == *attempt {
                return true;
            }
            if named_by.is_some() && known.named_by.as_ref() != named_by {
                return false;
            }
        }
        let (attempt, named_by) = (attempt.clone(), named_by.cloned());
        running.set(device.clone(), Running { attempt, named_by, refusal: None }, now);
        self.running_count.store(running.len(), Ordering::Release);
        true
    }

    /// Returns the running attempt of a device; costs one atomic read when there is none at all.
    fn running(&self, device: &DeviceId, now: Timestamp) -> Option<AttemptId> {
        if self.running_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.running.lock().get_mut(device, now).map(|running| running.attempt.clone())
    }

    fn leave(&self, device: &DeviceId, now: Timestamp) -> Option<Running> {
        let mut running = self.running.lock();
        let left = running.remove(device, now);
        self.running_count.store(running.len(), Ordering::Release);
        left
    }

    fn watch_first_report(&self, device: DeviceId, attempt: AttemptId, now: Timestamp) {
        let mut fresh = self.fresh.lock();
        fresh.set(device, attempt, now);
        self.fresh_count.store(fresh.len(), Ordering::Release);
    }

    /// Returns the attempt that waits for this device's first report, once; costs one atomic read
    /// when none waits.
    pub(super) fn take_first_report(&self, device: &DeviceId, now: Timestamp) -> Option<AttemptId> {
        if self.fresh_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut fresh = self.fresh.lock();
        let attempt = fresh.remove(device, now);
        self.fresh_count.store(fresh.len(), Ordering::Release);
        attempt
    }
}

impl Platform {
    /// Returns an attempt that the caller may see: its own, or any of the space for operators.
    ///
    /// # Errors
    ///
    /// `api.not_found` also for an attempt of somebody else.
    pub async fn attempt(&self, caller: &Caller, id: &AttemptId) -> Result<Attempt, Error> {
        let attempt = self.store.attempt(id).await?;
        attempt.filter(|attempt| sees(caller, attempt)).ok_or(Error::NotFound("attempt"))
    }

    /// Lists attempts, newest first; members see only their own.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn attempts(
        &self,
        caller: &Caller,
        mut filter: AttemptFilter,
        limit: u32,
    ) -> Result<Vec<Attempt>, Error> {
        if caller.role == Role::Member {
            filter.user = Some(caller.user.clone());
        }
        Ok(self.store.attempts(&caller.space, &filter, limit).await?)
    }

    /// Notes stages that the caller's phone saw, and the device if the phone knows it by now.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `device.unknown`, `api.bad_request`.
    pub async fn mark_attempt(
        &self,
        caller: &Caller,
        id: &AttemptId,
        marks: Vec<PhoneMark>,
        device: Option<(&str, &str)>,
        method: Option<&str>,
    ) -> Result<Attempt, Error> {
        let attempt = self.own_attempt(caller, id).await?;
        let now = self.clock.now();
        let device = match device {
            None => None,
            Some((product, node)) => {
                let found = self.store.device_by_node(&product.into(), node).await?;
                match found.filter(|device| device.space == caller.space) {
                    Some(device) if self.is_open_to(caller, &device.id).await? => {
                        let named_by = Some(&caller.user);
                        let joined = self.onboarding.join(&device.id, id, named_by, now);
                        joined.then(|| device.id.clone())
                    }
                    Some(_) | None => None,
                }
            }
        };
        if method.is_some_and(|method| method.is_empty() || method.len() > 32) {
            return Err(Error::Invalid("`method` has 1 to 32 bytes".into()));
        }
        let mut marks = marks
            .into_iter()
            .map(|mark| phone_mark(&attempt, mark, now))
            .collect::<Result<Vec<Mark>, Error>>()?;
        if let Some(device) = &device {
            marks.extend(self.onboarding.early.lock().remove(device, now));
        }
        let method = method.map(Into::into);
        Ok(self.store.extend_attempt(id, device, method, marks, None).await?)
    }

    /// Ends an attempt that the phone gave up.
    ///
    /// # Errors
    ///
    /// `api.bad_request` when the code is none that a phone may give; `api.not_found`.
    pub async fn fail_attempt(
        &self,
        caller: &Caller,
        id: &AttemptId,
        code: &str,
        detail: &str,
    ) -> Result<Attempt, Error> {
        let known = roadstead_core::code::info(code)
            .filter(|info| info.code.starts_with("attempt.") || info.code.starts_with("bind."))
            .ok_or_else(|| Error::Invalid(format!("`{code}` is no code of an attempt")))?;
        check_detail(detail)?;
        self.own_attempt(caller, id).await?;
        let ending = Outcome::Failure { code: known.code.into(), detail: detail.into() };
        let ended = Some((ending, self.clock.now()));
        let attempt = self.store.extend_attempt(id, None, None, Vec::new(), ended).await?;
        self.tell_ending(&attempt, Hop::Phone);
        Ok(attempt)
    }

    /// Ends an attempt of the caller with a binding that was made without its token.
    ///
    /// # Errors
    ///
    /// `api.not_found`.
    pub async fn complete_attempt(
        &self,
        caller: &Caller,
        id: &AttemptId,
        binding: &Binding,
    ) -> Result<(), Error> {
        self.own_attempt(caller, id).await?;
        let marks = vec![cloud_mark(Stage::Bound, self.clock.now())];
        self.extend(id, &binding.device, None, marks, Some(Outcome::Success)).await;
        Ok(())
    }

    /// True when what happens to the device is the caller's business: it has no owner, or the
    /// caller is one of its users.
    pub(super) async fn is_open_to(
        &self,
        caller: &Caller,
        device: &DeviceId,
    ) -> Result<bool, StoreError> {
        let bindings = self.store.bindings_of_device(device).await?;
        Ok(bindings.is_empty() || bindings.iter().any(|binding| binding.user == caller.user))
    }

    async fn own_attempt(&self, caller: &Caller, id: &AttemptId) -> Result<Attempt, Error> {
        let attempt = self.store.attempt(id).await?;
        let own = |attempt: &Attempt| {
            attempt.space == caller.space && attempt.user.as_ref() == Some(&caller.user)
        };
        attempt.filter(own).ok_or(Error::NotFound("attempt"))
    }

    /// Stores a new attempt that starts with the phone's token.
    pub(super) async fn start_attempt(
        &self,
        space: &SpaceId,
        user: &UserId,
    ) -> Result<AttemptId, StoreError> {
        let now = self.clock.now();
        let id = AttemptId::new(self.random.id());
        let mut attempt = Attempt::new(id.clone(), space.clone(), Some(user.clone()), now);
        attempt.mark(cloud_mark(Stage::TokenCreated, now));
        self.store.create_attempt(attempt).await?;
        Ok(id)
    }

    /// Stores an attempt that ended before anything else was known of it: a device came with a
    /// token that nobody made, or that another device had presented.
    pub(super) async fn record_failed_attempt(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        mut marks: Vec<Mark>,
        error: BindError,
    ) {
        let now = self.clock.now();
        if !self.may_keep_failed(device, None, now) {
            return;
        }
        marks.extend(self.onboarding.early.lock().remove(device, now));
        marks.sort_by_key(|mark| mark.at);
        let id = AttemptId::new(self.random.id());
        let mut attempt = Attempt::new(id, space.clone(), None, now);
        attempt.started_at = marks.first().map_or(now, |mark| mark.at.min(now));
        attempt.device = Some(device.clone());
        for mark in marks {
            attempt.mark(mark);
        }
        let detail = error.to_string().into();
        attempt.end(Outcome::Failure { code: error.code().into(), detail }, now);
        if let Err(error) = self.store.create_attempt(attempt).await {
            tracing::warn!(%error, %device, "keeping a failed attempt");
        }
    }

    /// True when a failed attempt of the device, or of a user with it, is kept now: firmware
    /// repeats itself, and a hostile party would do so for ever.
    pub(super) fn may_keep_failed(
        &self,
        device: &DeviceId,
        user: Option<&UserId>,
        now: Timestamp,
    ) -> bool {
        let key = (device.clone(), user.cloned());
        let mut failed = self.onboarding.failed.lock();
        if failed.get_mut(&key, now).is_some() {
            return false;
        }
        failed.set(key, (), now);
        true
    }

    /// Returns the running attempt of a device that this user's phone named.
    pub(super) fn attempt_named_by(
        &self,
        device: &DeviceId,
        user: &UserId,
        now: Timestamp,
    ) -> Option<AttemptId> {
        let mut running = self.onboarding.running.lock();
        let running = running.get_mut(device, now)?;
        (running.named_by.as_ref() == Some(user)).then(|| running.attempt.clone())
    }

    /// The next report of the device is the first one after its binding.
    pub(super) fn watch_first_report(&self, device: &DeviceId, id: AttemptId, now: Timestamp) {
        self.onboarding.watch_first_report(device.clone(), id, now);
    }

    /// Adds marks of a device to its attempt, with what was remembered of it before.
    pub(super) async fn extend(
        &self,
        id: &AttemptId,
        device: &DeviceId,
        method: Option<Box<str>>,
        mut marks: Vec<Mark>,
        ending: Option<Outcome>,
    ) {
        let now = self.clock.now();
        marks.extend(self.onboarding.early.lock().remove(device, now));
        let over = ending.is_some();
        let bound = ending == Some(Outcome::Success);
        let ending = ending.map(|ending| (ending, now));
        let extended =
            self.store.extend_attempt(id, Some(device.clone()), method, marks, ending).await;
        if let Err(error) = extended {
            // The binding stands whatever becomes of its record.
            tracing::warn!(%error, attempt = %id, "extending an attempt");
        }
        match over {
            true => drop(self.onboarding.leave(device, now)),
            false => drop(self.onboarding.join(device, id, None, now)),
        }
        if bound {
            self.onboarding.watch_first_report(device.clone(), id.clone(), now);
        }
    }

    /// Marks the first report after a binding.
    pub(super) async fn mark_first_report(&self, attempt: &AttemptId, at: Timestamp) {
        let marks = vec![cloud_mark(Stage::FirstReport, at)];
        if let Err(error) = self.store.extend_attempt(attempt, None, None, marks, None).await {
            tracing::warn!(%error, %attempt, "marking a first report");
        }
    }

    /// Marks a log-in on the running attempt of the device, if there is one.
    pub(super) async fn mark_connected(&self, device: &DeviceId, at: Timestamp) {
        if let Some(attempt) = self.onboarding.running(device, at) {
            let marks = vec![cloud_mark(Stage::Connected, at)];
            if let Err(error) = self.store.extend_attempt(&attempt, None, None, marks, None).await {
                tracing::warn!(%error, %attempt, "marking a log-in");
            }
        }
    }

    /// Marks a registration on the running attempt of the device, or remembers it for later.
    pub(super) async fn mark_registered(&self, device: &DeviceId, at: Timestamp) {
        let mark = cloud_mark(Stage::Registered, at);
        let Some(attempt) = self.onboarding.running(device, at) else {
            self.onboarding.early.lock().set(device.clone(), mark, at);
            return;
        };
        if let Err(error) = self.store.extend_attempt(&attempt, None, None, vec![mark], None).await
        {
            tracing::warn!(%error, %attempt, "marking a registration");
        }
    }

    /// Notes a refusal on the running attempt. A frozen device ends it; after any other refusal
    /// the device may still come through, so the attempt fails with it only when its life is over.
    pub(super) async fn mark_refused(&self, device: &DeviceId, refusal: &Refusal, at: Timestamp) {
        let Some(attempt) = self.onboarding.running(device, at) else { return };
        if refusal.code == "auth.frozen" {
            return self.extend(&attempt, device, None, Vec::new(), Some(failure(refusal))).await;
        }
        if let Some(running) = self.onboarding.running.lock().get_mut(device, at) {
            running.refusal = Some(refusal.clone());
        }
        let detail = Some(format!("refused: {}", refusal.code).into());
        let mark = Mark { detail, ..cloud_mark(Stage::Connecting, at) };
        if let Err(error) = self.store.extend_attempt(&attempt, None, None, vec![mark], None).await
        {
            tracing::warn!(%error, %attempt, "marking a refused log-in");
        }
    }

    /// Returns why the device of a running attempt was refused last.
    pub(super) fn refusal_during(&self, attempt: &Attempt, now: Timestamp) -> Option<Code> {
        let mut running = self.onboarding.running.lock();
        let running = running.get_mut(attempt.device.as_ref()?, now)?;
        let refusal = running.refusal.as_ref().filter(|_| running.attempt == attempt.id)?;
        Some(refusal.code)
    }

    /// Ends attempts whose life is over; those whose device was refused end with that code.
    pub(super) async fn sweep_attempts(&self) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let over = {
            let mut running = self.onboarding.running.lock();
            let over = running.take_expired(now);
            self.onboarding.running_count.store(running.len(), Ordering::Release);
            over
        };
        for (device, running) in over {
            let Some(refusal) = running.refusal else { continue };
            let ending = Some((failure(&refusal), now));
            let id = &running.attempt;
            let ended = self.store.extend_attempt(id, None, None, Vec::new(), ending).await?;
            tracing::debug!(attempt = %ended.id, %device, "an attempt ended with a refusal");
            self.tell_ending(&ended, Hop::Cloud);
        }
        let ended = self.store.end_overdue_attempts(now).await?;
        for attempt in &ended {
            self.tell_ending(attempt, Hop::Cloud);
        }
        Ok(ended.len())
    }

    fn tell_ending(&self, attempt: &Attempt, hop: Hop) {
        let (code, detail) = match &attempt.ending {
            None => return,
            Some(Outcome::Success) => ("ok", ""),
            Some(Outcome::Failure { code, detail }) => (&**code, &**detail),
        };
        let known = roadstead_core::code::info(code).map_or("ok", |info| info.code);
        self.observer.count("attempt", known);
        if let Some(device) = &attempt.device {
            let at = attempt.ended_at.unwrap_or_else(|| self.clock.now());
            self.note(device, Entry::new(at, hop, "attempt", code, detail));
        }
    }

    /// Fills the memory from the store after a start.
    pub(super) async fn recall_attempts(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        for space in self.store.spaces().await? {
            let open = AttemptFilter { open: true, ..AttemptFilter::default() };
            let limit = u32::try_from(PAGE_ITEMS_MAX).unwrap_or(u32::MAX);
            for attempt in self.store.attempts(&space.id, &open, limit).await? {
                if let Some(device) = attempt.device {
                    self.onboarding.join(&device, &attempt.id, attempt.user.as_ref(), now);
                }
            }
        }
        Ok(())
    }
}

/// Returns a mark of the platform.
pub(super) fn cloud_mark(stage: Stage, at: Timestamp) -> Mark {
    Mark { stage, by: Witness::Cloud, at, detail: None }
}

fn phone_mark(attempt: &Attempt, mark: PhoneMark, now: Timestamp) -> Result<Mark, Error> {
    if let Some(detail) = &mark.detail {
        check_detail(detail)?;
    }
    // A phone's clock may be wrong: its marks lie inside the attempt.
    let at = mark.at.unwrap_or(now).clamp(attempt.started_at, now.max(attempt.started_at));
    let detail = mark.detail.map(Into::into);
    Ok(Mark { stage: mark.stage, by: Witness::Phone, at, detail })
}

fn check_detail(detail: &str) -> Result<(), Error> {
    match detail.len() <= DETAIL_BYTES_MAX {
        true => Ok(()),
        false => Err(Error::Invalid(format!("`detail` has at most {DETAIL_BYTES_MAX} bytes"))),
    }
}

fn failure(refusal: &Refusal) -> Outcome {
    Outcome::Failure { code: refusal.code.into(), detail: refusal.detail.clone() }
}

fn sees(caller: &Caller, attempt: &Attempt) -> bool {
    attempt.space == caller.space
        && (caller.role > Role::Member || attempt.user.as_ref() == Some(&caller.user))
}
