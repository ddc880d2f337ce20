//! Binding: tokens, owners, guests. [`roadstead_core::binding`] decides inside the store's
//! transaction; here are who may ask, the attempt that records it, and the device that is told.

use std::sync::Arc;
use std::time::Duration;

use roadstead_core::attempt::{Mark, Outcome, Stage, Witness};
use roadstead_core::binding::{BindError, BindToken, Binding, BindingRole, TokenState};
use roadstead_core::exchange::{Answer, DeviceStage, Downlink, TokenText};
use roadstead_core::port::{BindQuery, BindReport, StoreError, TokenView};
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::user::Role;
use roadstead_core::{AttemptId, BindingId, DeviceId, Secret, SpaceId, Timestamp, UserId};
use roadstead_dialects::cloud::{Account, Happening, LocalKey};
use serde::Serialize;

use super::attempt::cloud_mark;
use super::{Caller, Error, Platform};

/// Longest token text that is looked at, bytes.
const TOKEN_BYTES_MAX: usize = 128;
/// Reports of tokens of its own that a device may make within [`OWN_TOKENS_KEPT`]; real firmware
/// makes one per phone that asks, and repeats each three times.
const OWN_TOKENS_MAX: u32 = 120;
/// How long those are counted.
pub(super) const OWN_TOKENS_KEPT: Duration = Duration::from_secs(120);
/// Number of the one key of local control that is given out per device.
const LOCAL_KEY_SEQUENCE: u16 = 1;
/// Device ticks that lie further back than this say nothing.
const STAGE_AGE_MAX: Duration = Duration::from_secs(3600);

/// A bind token for a phone to hand to a device.
pub struct NewToken {
    /// 32 hex digits of 128 random bits; only its digest is kept.
    pub token: Secret,
    /// End of its life.
    pub expires_at: Timestamp,
    /// The attempt that starts with it.
    pub attempt: AttemptId,
}

/// Where a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenProgress {
    /// Made, not heard of since.
    New,
    /// A device presented it.
    Reported,
    /// It bound a device.
    Bound,
    /// Its life ended before it bound.
    Expired,
}

/// What the maker of a token sees of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenStatus {
    /// Where it is.
    pub state: TokenProgress,
    /// The device that presented it.
    pub device: Option<DeviceId>,
    /// Why it does not get on: the last refusal of the token or of its device.
    pub reason: Option<Box<str>>,
    /// The attempt it belongs to.
    pub attempt: Option<AttemptId>,
    /// End of its life.
    pub expires_at: Timestamp,
}

impl Platform {
    /// Makes a bind token and starts an attempt. With `auto_bind` the device's report completes
    /// the binding; without it the app binds with a second call.
    ///
    /// # Errors
    ///
    /// `api.quota` when the user has too many live tokens.
    pub async fn create_bind_token(
        &self,
        caller: &Caller,
        auto_bind: bool,
    ) -> Result<NewToken, Error> {
        let attempt = self.start_attempt(&caller.space, &caller.user).await?;
        let text = self.random.id();
        let now = self.clock.now();
        let expires_at = now + self.config.app.bind_token_life;
        let token = BindToken {
            digest: digest(text.as_bytes()),
            space: caller.space.clone(),
            user: Some(caller.user.clone()),
            device: None,
            state: TokenState::New,
            auto_bind,
            attempt: Some(attempt.clone()),
            refusal: None,
            created_at: now,
            expires_at,
        };
        if let Err(error) = self.store.create_token(token).await {
            let detail = "no token was made".into();
            let ending = Outcome::Failure { code: error.code().into(), detail };
            self.store
                .extend_attempt(&attempt, None, None, Vec::new(), Some((ending, now)))
                .await?;
            return Err(error.into());
        }
        Ok(NewToken { token: text.into(), expires_at, attempt })
    }

    /// Returns where a token of the caller is.
    ///
    /// # Errors
    ///
    /// `bind.unknown_token`, `bind.other_account`.
    pub async fn bind_token(&self, caller: &Caller, token: &str) -> Result<TokenStatus, Error> {
        let view = self.store.token(&digest_text(token)?).await?;
        let token = view.ok_or(BindError::UnknownToken)?.token;
        if token.user.as_ref().is_some_and(|maker| *maker != caller.user) {
            return Err(BindError::OtherAccount.into());
        }
        let now = self.clock.now();
        let state = match token.state {
            TokenState::Bound => TokenProgress::Bound,
            TokenState::New | TokenState::Reported if now >= token.expires_at => {
                TokenProgress::Expired
            }
            TokenState::New => TokenProgress::New,
            TokenState::Reported => TokenProgress::Reported,
        };
        let mut reason = token.refusal.clone();
        if reason.is_none()
            && state != TokenProgress::Bound
            && let Some(id) = &token.attempt
            && let Some(attempt) = self.store.attempt(id).await?
        {
            reason = match &attempt.ending {
                Some(Outcome::Failure { code, .. }) => Some(code.clone()),
                Some(Outcome::Success) => None,
                None => self.refusal_during(&attempt, now).map(Into::into),
            };
        }
        if reason.is_none() && state == TokenProgress::Expired {
            reason = Some(BindError::Expired.code().into());
        }
        let BindToken { device, attempt, expires_at, .. } = token;
        Ok(TokenStatus { state, device, reason, attempt, expires_at })
    }

    /// Binds with a token that a device has presented; with `device` (product and node) only that
    /// device, and for vendors without tokens by what the device itself told the phone
    /// ([`Cloud::proves_possession`](roadstead_dialects::cloud::Cloud::proves_possession)). Doing it
    /// twice is no error.
    ///
    /// # Errors
    ///
    /// `bind.*`, `device.unknown`.
    pub async fn bind(
        &self,
        caller: &Caller,
        token: &str,
        device: Option<(&str, &str)>,
    ) -> Result<Binding, Error> {
        let now = self.clock.now();
        let device = match device {
            None => None,
            Some((product, node)) => {
                let found = self.store.device_by_node(&product.into(), node).await?;
                let found = found.filter(|device| device.space == caller.space);
                let found = found.ok_or_else(|| Error::UnknownDevice(node.into()))?;
                let account = self.account_in(&caller.space, &found.id).await?;
                let cloud = self.cloud(&account.product.dialect);
                let word = token.as_bytes();
                if cloud.is_some_and(|cloud| cloud.proves_possession(&account.device, word)) {
                    let user = caller.user.clone();
                    return self.hand_to(&caller.space, user, &found.id, Hop::Phone, now).await;
                }
                Some(found.id.clone())
            }
        };
        let digest = digest_text(token)?;
        let query = BindQuery { digest, device: device.clone(), user: caller.user.clone(), now };
        match self.store.bind_token(query).await? {
            Ok(view) => {
                let token = view.token.clone();
                let is_own = token.user.is_none() && view.newly_bound;
                let binding = self.told_bound(view, Hop::Phone, now).await?;
                if is_own {
                    self.note_own_bound(caller, &token, &binding.device, now).await;
                }
                Ok(binding)
            }
            Err(error) => {
                let known = self.store.token(&digest).await?.map(|view| view.token);
                let error = match (&device, error) {
                    (Some(id), BindError::UnknownToken) if self.is_elsewhere(id).await? => {
                        BindError::OtherRegion
                    }
                    (_, error) => error,
                };
                self.told_refused(caller, known, device, error, now).await;
                Err(error.into())
            }
        }
    }

    async fn told_bound(
        &self,
        view: TokenView,
        hop: Hop,
        now: Timestamp,
    ) -> Result<Binding, Error> {
        let TokenView { token, binding, newly_bound } = view;
        let binding = binding.ok_or(BindError::NotBound)?;
        self.observer.count("bind", "ok");
        self.note(&binding.device, Entry::new(now, hop, "bind", "ok", binding.user.as_str()));
        if newly_bound {
            self.forget_unbound(&binding.device).await;
            self.spread_of(&binding.device, Happening::Bound(binding.user.clone())).await;
        }
        if let Some(attempt) = &token.attempt
            && token.state == TokenState::Bound
        {
            let marks = vec![cloud_mark(Stage::Bound, now)];
            let ending = Some(Outcome::Success);
            self.extend(attempt, &binding.device, None, marks, ending).await;
        }
        Ok(binding)
    }

    async fn told_refused(
        &self,
        caller: &Caller,
        token: Option<BindToken>,
        device: Option<DeviceId>,
        error: BindError,
        now: Timestamp,
    ) {
        self.observer.count("bind", error.code());
        let reported = token.as_ref().and_then(|token| token.device.clone());
        let named = device;
        if let Some(device) = reported.or(named.clone()) {
            let user = caller.user.as_str();
            self.note(&device, Entry::new(now, Hop::Phone, "bind", error.code(), user));
        }
        if let Some(device) = token.as_ref().map_or(named.as_ref(), |token| token.device.as_ref()) {
            self.note_own_refused(caller, token.as_ref(), device, error, now).await;
        }
        // Asking too early is no ending, and a stranger cannot end somebody's attempt.
        let own = token.filter(|token| token.user.as_ref() == Some(&caller.user));
        if let Some(BindToken { attempt: Some(attempt), device, .. }) = own
            && is_final(error)
        {
            let ending = Some((failure(error), now));
            let ended = self.store.extend_attempt(&attempt, device, None, Vec::new(), ending).await;
            if let Err(error) = ended {
                tracing::warn!(%error, %attempt, "ending an attempt");
            }
        }
    }

    /// A device presents a token. The hand-over to the store is the first thing that happens.
    pub(super) async fn report_token(
        &self,
        account: &Account,
        source: &str,
        token: &TokenText,
        stages: &[DeviceStage],
        method: Option<Box<str>>,
        own_life: Option<Duration>,
    ) -> Answer {
        let now = self.clock.now();
        let device = account.device.id.clone();
        if own_life.is_some() && self.makes_too_many_tokens(&device, now) {
            self.note(&device, Entry::new(now, Hop::Up, "bind_token", "api.quota", source));
            let detail = format!("at most {OWN_TOKENS_MAX} tokens in two minutes").into();
            return Answer::Refused { code: "api.quota", detail };
        }
        let digest = digest(token.0.expose());
        let report = BindReport { digest, device: device.clone(), now, own_life };
        let reported = self.store.report_token(report).await;
        let code = match &reported {
            Ok(Ok(_)) => "ok",
            Ok(Err(error)) => error.code(),
            Err(error) => error.code(),
        };
        self.observer.count("bind_token", code);
        self.note(&device, Entry::new(now, Hop::Up, "bind_token", code, source));
        let mut marks = device_marks(stages, now);
        match reported {
            Ok(Ok(view)) => {
                marks.extend(self.connected_mark(&device).await);
                marks.push(cloud_mark(Stage::TokenReported, now));
                self.keep_report(&device, view, marks, method, now).await;
                Answer::Done
            }
            Ok(Err(error)) => {
                marks.extend(self.connected_mark(&device).await);
                self.keep_refusal(account, digest, error, marks, method).await;
                Answer::Refused { code: error.code(), detail: error.to_string().into() }
            }
            Err(error) => {
                tracing::warn!(%error, %device, "keeping the report of a bind token");
                Answer::Refused { code: error.code(), detail: "try again".into() }
            }
        }
    }

    /// Counts the tokens that a device reports; each would be kept for a day.
    fn makes_too_many_tokens(&self, device: &DeviceId, now: Timestamp) -> bool {
        let mut counts = self.own_tokens.lock();
        match counts.get_mut(device, now) {
            Some(count) => {
                *count += 1;
                *count > OWN_TOKENS_MAX
            }
            None => {
                counts.set(device.clone(), 1, now);
                false
            }
        }
    }

    /// The log-in of a device that now speaks is its last one.
    pub(super) async fn connected_mark(&self, device: &DeviceId) -> Option<Mark> {
        let presence = self.store.presence(device).await.ok()?;
        Some(cloud_mark(Stage::Connected, presence.online_at?))
    }

    async fn keep_report(
        &self,
        device: &DeviceId,
        view: TokenView,
        mut marks: Vec<Mark>,
        method: Option<Box<str>>,
        now: Timestamp,
    ) {
        let TokenView { token, binding, newly_bound } = view;
        let bound = token.state == TokenState::Bound;
        if newly_bound && let Some(binding) = &binding {
            self.observer.count("bind", "ok");
            let user = binding.user.as_str();
            self.note(device, Entry::new(now, Hop::Cloud, "bind", "ok", user));
            self.forget_unbound(device).await;
            self.spread_of(device, Happening::Bound(binding.user.clone())).await;
        }
        if let Some(attempt) = &token.attempt {
            if bound {
                marks.push(cloud_mark(Stage::Bound, now));
            }
            let ending = bound.then_some(Outcome::Success);
            self.extend(attempt, device, method, marks, ending).await;
        }
    }

    async fn keep_refusal(
        &self,
        account: &Account,
        digest: [u8; 32],
        error: BindError,
        marks: Vec<Mark>,
        method: Option<Box<str>>,
    ) {
        let device = &account.device.id;
        let known = match self.store.token(&digest).await {
            Ok(known) => known.map(|view| view.token),
            Err(error) => return tracing::warn!(%error, %device, "reading a bind token"),
        };
        let own = known.and_then(|token| {
            // Another device or space cannot end the attempt of the one that came first.
            let foreign = matches!(error, BindError::OtherDevice | BindError::OtherSpace)
                || token.device.as_ref().is_some_and(|first| first != device);
            token.attempt.filter(|_| !foreign)
        });
        match own {
            Some(attempt) => {
                self.extend(&attempt, device, method, marks, Some(failure(error))).await;
            }
            None => {
                let space = &account.device.space;
                self.record_failed_attempt(space, device, marks, error).await;
            }
        }
    }

    /// Lists the bindings of the caller, oldest first.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn bindings(&self, caller: &Caller) -> Result<Vec<Binding>, Error> {
        Ok(self.store.bindings_of_user(&caller.user).await?)
    }

    /// Returns a binding that the caller may see: its own, one of a device that it owns, or any
    /// of the space for operators.
    ///
    /// # Errors
    ///
    /// `api.not_found`.
    pub async fn binding(&self, caller: &Caller, id: &BindingId) -> Result<Binding, Error> {
        let binding = self.store.binding(id).await?;
        let binding = binding.filter(|binding| binding.space == caller.space);
        let binding = binding.ok_or(Error::NotFound("binding"))?;
        let sees = caller.role > Role::Member
            || binding.user == caller.user
            || self.owner(&binding.device).await?.is_some_and(|owner| owner.user == caller.user);
        if sees { Ok(binding) } else { Err(Error::NotFound("binding")) }
    }

    /// Lists the bindings of a device, owner first, to its owner and to operators.
    ///
    /// # Errors
    ///
    /// `bind.not_bound`.
    pub async fn bindings_of_device(
        &self,
        caller: &Caller,
        device: &DeviceId,
    ) -> Result<Vec<Binding>, Error> {
        self.check_manages(caller, device).await?;
        Ok(self.store.bindings_of_device(device).await?)
    }

    /// Checks that the caller may control a device: bound to it, or an operator of its space.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `bind.not_bound`.
    pub async fn check_access(&self, caller: &Caller, device: &DeviceId) -> Result<(), Error> {
        self.device_in(&caller.space, device).await?;
        if caller.role >= Role::Operator {
            return Ok(());
        }
        let bindings = self.store.bindings_of_device(device).await?;
        match bindings.iter().any(|binding| binding.user == caller.user) {
            true => Ok(()),
            false => Err(BindError::NotBound.into()),
        }
    }

    /// Returns what opens local control of a device, to those who may control it.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `bind.not_bound`, `api.not_found` where the vendor has none.
    pub async fn local_key(&self, caller: &Caller, device: &DeviceId) -> Result<LocalKey, Error> {
        self.check_access(caller, device).await?;
        let account = self.account_in(&caller.space, device).await?;
        let cloud = self.cloud(&account.product.dialect);
        let key = cloud.and_then(|cloud| {
            cloud.local_key(&account.product, &account.device, LOCAL_KEY_SEQUENCE)
        });
        self.note(device, Entry::new(self.clock.now(), Hop::Phone, "local_key", "ok", ""));
        key.ok_or(Error::NotFound("key of local control"))
    }

    /// Ends a binding: the owner's ends the ownership with all guests; a guest's ends that one.
    /// The owner may end its guests' bindings, a guest its own, an operator every one.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `bind.not_bound`.
    pub async fn end_binding(
        self: &Arc<Self>,
        caller: &Caller,
        id: &BindingId,
    ) -> Result<Vec<Binding>, Error> {
        let binding = self.binding(caller, id).await?;
        if binding.user != caller.user {
            self.check_manages(caller, &binding.device).await?;
        }
        match binding.role {
            BindingRole::Owner => self.unbind_device(&binding.device, Hop::Phone).await,
            BindingRole::Guest => {
                self.store.unshare(id).await?;
                self.note_binding(&binding.device, Hop::Phone, "unshare", &binding.user);
                self.spread_of(&binding.device, Happening::Unbound(binding.user.clone())).await;
                Ok(vec![binding])
            }
        }
    }

    /// Ends the ownership of a device, by its owner or by an operator; returns what ended.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `bind.not_bound`.
    pub async fn unbind(
        self: &Arc<Self>,
        caller: &Caller,
        device: &DeviceId,
    ) -> Result<Vec<Binding>, Error> {
        self.check_manages(caller, device).await?;
        let hop = if caller.role >= Role::Operator { Hop::Api } else { Hop::Phone };
        self.unbind_device(device, hop).await
    }

    async fn unbind_device(
        self: &Arc<Self>,
        device: &DeviceId,
        hop: Hop,
    ) -> Result<Vec<Binding>, Error> {
        let ended = self.store.unbind(device).await?;
        let code = ended.as_ref().map_or_else(|error| error.code(), |_| "ok");
        self.observer.count("unbind", code);
        self.note(device, Entry::new(self.clock.now(), hop, "unbind", code, ""));
        let ended = ended?;
        self.tell_ended(device, &ended).await;
        self.deliver_waiting(device);
        Ok(ended)
    }

    /// The device's own user asked it to leave its owner. The hand-over to the store is the first
    /// thing that happens. The device knows already: what waits for it says nothing new.
    pub(super) async fn unbind_by_device(&self, device: &DeviceId, source: &str) -> Answer {
        let ended = self.store.unbind(device).await;
        let code = match &ended {
            Ok(Ok(_)) => "ok",
            Ok(Err(error)) => error.code(),
            Err(error) => error.code(),
        };
        self.observer.count("unbind", code);
        self.note(device, Entry::new(self.clock.now(), Hop::Up, "unbind", code, source));
        match ended {
            Ok(Ok(ended)) => {
                self.tell_ended(device, &ended).await;
                self.forget_unbound(device).await;
                Answer::Done
            }
            Ok(Err(error)) => {
                Answer::Refused { code: error.code(), detail: error.to_string().into() }
            }
            Err(error) => Answer::Refused { code: error.code(), detail: "try again".into() },
        }
    }

    async fn tell_ended(&self, device: &DeviceId, ended: &[Binding]) {
        for binding in ended {
            self.spread_of(device, Happening::Unbound(binding.user.clone())).await;
        }
    }

    /// A new owner begins: what the device was to be told about the old one says nothing now.
    async fn forget_unbound(&self, device: &DeviceId) {
        for (sequence, request) in self.waiting(device).await {
            if request == Downlink::Unbound
                && let Err(error) = self.store.pop_pending(device, sequence).await
            {
                tracing::warn!(%error, %device, "forgetting a message that says nothing new");
            }
        }
    }

    /// Makes another user of the space (by id or name) a guest of a device that the caller owns.
    ///
    /// # Errors
    ///
    /// `bind.not_bound`, `api.not_found`, `api.quota`.
    pub async fn share(
        &self,
        caller: &Caller,
        device: &DeviceId,
        with: &str,
    ) -> Result<Binding, Error> {
        self.check_manages(caller, device).await?;
        let guest = self.user(&caller.space, with).await?;
        let binding = self.store.share(device, &guest.id, self.clock.now()).await??;
        self.note_binding(device, Hop::Phone, "share", &guest.id);
        self.spread_of(device, Happening::Bound(guest.id)).await;
        Ok(binding)
    }

    /// Makes another user of the space (by id or name) the owner; guests stay.
    ///
    /// # Errors
    ///
    /// `bind.not_bound`, `api.not_found`.
    pub async fn transfer(
        &self,
        caller: &Caller,
        device: &DeviceId,
        to: &str,
    ) -> Result<Binding, Error> {
        self.check_manages(caller, device).await?;
        let owner = self.user(&caller.space, to).await?;
        let binding = self.store.transfer(device, &owner.id, self.clock.now()).await??;
        self.note_binding(device, Hop::Phone, "transfer", &owner.id);
        self.spread_of(device, Happening::Bound(owner.id)).await;
        Ok(binding)
    }

    /// Gives a device to a user of the space (by id or name), for operators: the way for devices
    /// that cannot report a token. The operator vouches for the device as its own report would, so
    /// the same rules decide. A bound device is handed over.
    ///
    /// # Errors
    ///
    /// `api.forbidden`, `api.not_found`, `device.unknown`, `bind.*`.
    pub async fn give(
        &self,
        caller: &Caller,
        device: &DeviceId,
        to: &str,
    ) -> Result<Binding, Error> {
        if caller.role < Role::Operator {
            return Err(Error::Forbidden);
        }
        match self.transfer(caller, device, to).await {
            Err(Error::Bind(BindError::NotBound)) => {}
            handed => return handed,
        }
        let owner = self.user(&caller.space, to).await?;
        self.hand_to(&caller.space, owner.id, device, Hop::Api, self.clock.now()).await
    }

    /// Binds a device to a user by a token that exists for this moment only.
    async fn hand_to(
        &self,
        space: &SpaceId,
        user: UserId,
        device: &DeviceId,
        hop: Hop,
        now: Timestamp,
    ) -> Result<Binding, Error> {
        let digest = digest(self.random.id().as_bytes());
        let token = BindToken {
            digest,
            space: space.clone(),
            user: Some(user),
            device: None,
            state: TokenState::New,
            auto_bind: true,
            attempt: None,
            refusal: None,
            created_at: now,
            expires_at: now + self.config.app.bind_token_life,
        };
        self.store.create_token(token).await?;
        let report = BindReport { digest, device: device.clone(), now, own_life: None };
        let view = self.store.report_token(report).await??;
        self.told_bound(view, hop, now).await
    }

    /// Makes a phone's user who has proved to hold a device its owner: the proof stands for the
    /// device's own report of a token, so the same rules decide, and the same attempt records it.
    /// Who is bound already stays so.
    pub(super) async fn claim(&self, caller: &Caller, device: &DeviceId) -> Result<Binding, Error> {
        self.device_in(&caller.space, device).await?;
        let bindings = self.store.bindings_of_device(device).await?;
        if let Some(own) = bindings.into_iter().find(|binding| binding.user == caller.user) {
            return Ok(own);
        }
        let made = self.create_bind_token(caller, true).await?;
        let (digest, now) = (digest(made.token.expose()), self.clock.now());
        let report = BindReport { digest, device: device.clone(), now, own_life: None };
        match self.store.report_token(report).await? {
            Ok(view) => self.told_bound(view, Hop::Phone, now).await,
            Err(error) => {
                let known = self.store.token(&digest).await?.map(|view| view.token);
                self.told_refused(caller, known, Some(device.clone()), error, now).await;
                let ending = Some((failure(error), now));
                self.store.extend_attempt(&made.attempt, None, None, Vec::new(), ending).await?;
                Err(error.into())
            }
        }
    }

    /// Makes a phone's user a guest of a device; the owner wants it.
    pub(super) async fn admit_guest(
        &self,
        caller: &Caller,
        device: &DeviceId,
    ) -> Result<Binding, Error> {
        self.device_in(&caller.space, device).await?;
        let binding = self.store.share(device, &caller.user, self.clock.now()).await??;
        self.note_binding(device, Hop::Phone, "share", &caller.user);
        self.spread_of(device, Happening::Bound(caller.user.clone())).await;
        Ok(binding)
    }

    /// Lists all bindings of a space by id, for operators.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn bindings_in(
        &self,
        space: &SpaceId,
        page: &roadstead_core::port::Page,
    ) -> Result<roadstead_core::port::Listing<Binding>, Error> {
        Ok(self.store.bindings(space, page).await?)
    }

    async fn owner(&self, device: &DeviceId) -> Result<Option<Binding>, StoreError> {
        let bindings = self.store.bindings_of_device(device).await?;
        Ok(bindings.into_iter().find(|binding| binding.role == BindingRole::Owner))
    }

    /// Checks that the caller owns the device or is an operator of its space.
    async fn check_manages(&self, caller: &Caller, device: &DeviceId) -> Result<(), Error> {
        self.device_in(&caller.space, device).await?;
        if caller.role >= Role::Operator {
            return Ok(());
        }
        match self.owner(device).await? {
            Some(owner) if owner.user == caller.user => Ok(()),
            Some(_) | None => Err(BindError::NotBound.into()),
        }
    }

    fn note_binding(&self, device: &DeviceId, hop: Hop, what: &str, user: &UserId) {
        self.note(device, Entry::new(self.clock.now(), hop, what, "ok", user.as_str()));
    }
}

/// Returns the digest that a token is kept by.
fn digest(token: &[u8]) -> [u8; 32] {
    openssl::sha::sha256(token)
}

fn digest_text(token: &str) -> Result<[u8; 32], Error> {
    match token.len() <= TOKEN_BYTES_MAX {
        true => Ok(digest(token.as_bytes())),
        false => Err(BindError::UnknownToken.into()),
    }
}

fn failure(error: BindError) -> Outcome {
    Outcome::Failure { code: error.code().into(), detail: error.to_string().into() }
}

/// True when asking again with the same token cannot succeed.
pub(super) fn is_final(error: BindError) -> bool {
    matches!(
        error,
        BindError::Expired
            | BindError::AlreadyUsed
            | BindError::OtherDevice
            | BindError::BoundToOther
            | BindError::OtherRegion
    )
}

/// Returns the device's own marks on the platform's clock: the tick of the token's publication
/// (or else the latest tick) falls on its arrival. Ticks of 32 bits may have wrapped in between.
fn device_marks(stages: &[DeviceStage], arrival: Timestamp) -> Vec<Mark> {
    const WRAP_MS: i64 = 1 << 32;
    let sent = stages.iter().find(|stage| stage.name == Stage::TokenSent.name());
    let Some(anchor) = sent.or_else(|| stages.last()).map(|stage| stage.tick_ms) else {
        return Vec::new();
    };
    let age_max = i64::try_from(STAGE_AGE_MAX.as_millis()).unwrap_or(i64::MAX);
    stages
        .iter()
        .filter_map(|device| {
            let stage = Stage::parse(device.name)?;
            let age = match anchor.checked_sub(device.tick_ms)? {
                wrapped if (-WRAP_MS..0).contains(&wrapped) => wrapped + WRAP_MS,
                age => age,
            };
            if !(0..=age_max).contains(&age) {
                return None;
            }
            let at = Timestamp(arrival.0.saturating_sub(age));
            Some(Mark { stage, by: Witness::Device, at, detail: None })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &'static str, tick_ms: i64) -> DeviceStage {
        DeviceStage { name, tick_ms }
    }

    #[test]
    fn device_ticks_fall_on_the_platforms_clock() {
        let ticks = [("connecting", 5_000), ("token_sent", 7_500), ("network_joined", 1_000)];
        let stages: Vec<_> = ticks.iter().map(|&(name, at)| stage(name, at)).collect();
        let at: Vec<_> =
            device_marks(&stages, Timestamp(1_000_000)).iter().map(|mark| mark.at.0).collect();
        assert_eq!(at, [997_500, 1_000_000, 993_500]);
    }

    #[test]
    fn wrapped_ticks_are_unwrapped_and_nonsense_is_left_out() {
        let stages = [
            stage("connecting", (1 << 32) - 100),
            stage("token_sent", 50),
            stage("network_joined", 1_000_000),
            stage("no_such_stage", 10),
            stage("connected", i64::MIN),
        ];
        let marks = device_marks(&stages, Timestamp(10_000));
        let shown: Vec<_> = marks.iter().map(|mark| (mark.stage, mark.at.0)).collect();
        assert_eq!(shown, [(Stage::Connecting, 9_850), (Stage::TokenSent, 10_000)]);
        assert_eq!(device_marks(&[], Timestamp(0)), []);
    }
}
