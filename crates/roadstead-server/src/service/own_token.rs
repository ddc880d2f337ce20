//! Attempts of devices that make their own bind tokens.
//!
//! Nobody tells the platform that such an attempt begins: the device reports a token whenever it
//! likes, and a phone finds it in the home network. So the attempt is written down when the phone
//! comes to bind, with all that was known by then. A phone that follows an attempt of its own (it
//! gave the device its network) has it there instead.

use roadstead_core::attempt::{Attempt, Mark, Outcome, Stage, Witness};
use roadstead_core::binding::{BindError, BindToken};
use roadstead_core::{AttemptId, DeviceId, Timestamp};

use super::attempt::cloud_mark;
use super::binding::is_final;
use super::{Caller, Platform};

/// Method of these attempts: phone and device met in the home network.
const METHOD: &str = "lan";

impl Platform {
    /// Notes that a user has bound a device with a token of the device's own.
    pub(super) async fn note_own_bound(
        &self,
        caller: &Caller,
        token: &BindToken,
        device: &DeviceId,
        now: Timestamp,
    ) {
        let mut marks = self.own_marks(token.created_at, device, now).await;
        marks.push(cloud_mark(Stage::Bound, now));
        match self.attempt_named_by(device, &caller.user, now) {
            Some(id) => self.extend(&id, device, None, marks, Some(Outcome::Success)).await,
            None => {
                if let Some(id) = self.write_down(caller, device, marks, Outcome::Success).await {
                    self.watch_first_report(device, id, now);
                }
            }
        }
    }

    /// Notes why a user could not bind a device with a token of the device's own. A phone that
    /// follows an attempt tries the next token, and ends the attempt itself.
    pub(super) async fn note_own_refused(
        &self,
        caller: &Caller,
        token: Option<&BindToken>,
        device: &DeviceId,
        error: BindError,
        now: Timestamp,
    ) {
        let is_known = match token {
            Some(token) => token.user.is_none() && is_final(error),
            // A token that nobody reported proves nothing about an owned device.
            None => self.is_open_to(caller, device).await.unwrap_or(false),
        };
        if !is_known
            || self.attempt_named_by(device, &caller.user, now).is_some()
            || !self.may_keep_failed(device, Some(&caller.user), now)
        {
            return;
        }
        let marks = match token {
            Some(token) => self.own_marks(token.created_at, device, now).await,
            None => vec![found(now)],
        };
        let detail = error.to_string().into();
        let ending = Outcome::Failure { code: error.code().into(), detail };
        self.write_down(caller, device, marks, ending).await;
    }

    async fn own_marks(
        &self,
        reported_at: Timestamp,
        device: &DeviceId,
        now: Timestamp,
    ) -> Vec<Mark> {
        let mut marks: Vec<Mark> = self.connected_mark(device).await.into_iter().collect();
        marks.push(cloud_mark(Stage::TokenReported, reported_at));
        marks.push(found(now));
        marks
    }

    async fn write_down(
        &self,
        caller: &Caller,
        device: &DeviceId,
        marks: Vec<Mark>,
        ending: Outcome,
    ) -> Option<AttemptId> {
        let now = self.clock.now();
        let id = AttemptId::new(self.random.id());
        let user = Some(caller.user.clone());
        let mut attempt = Attempt::new(id.clone(), caller.space.clone(), user, now);
        // The log-in may be a year old; the onboarding is not.
        let begun = marks.iter().filter(|mark| mark.stage != Stage::Connected);
        attempt.started_at = begun.map(|mark| mark.at).min().unwrap_or(now);
        attempt.device = Some(device.clone());
        attempt.method = Some(METHOD.into());
        for mark in marks {
            attempt.mark(mark);
        }
        attempt.end(ending, now);
        match self.store.create_attempt(attempt).await {
            Ok(()) => Some(id),
            Err(error) => {
                // The binding stands whatever becomes of its record.
                tracing::warn!(%error, %device, "keeping an attempt");
                None
            }
        }
    }
}

/// The phone has found the device: it knows a token of it.
fn found(now: Timestamp) -> Mark {
    Mark { stage: Stage::DeviceFound, by: Witness::Phone, at: now, detail: None }
}
