//! Binding decisions performed: reads the facts, asks [`roadstead_core::binding`], writes the
//! effects. Generic over how an engine keeps its rows; the engine wraps each call in one
//! transaction, so a device is never half-bound.

use std::time::Duration;

use roadstead_core::binding::{
    self, BindError, BindToken, Binding, BindingRole, Effect, Facts, TokenState,
};
use roadstead_core::limit::GUESTS_PER_DEVICE_MAX;
use roadstead_core::port::{BindQuery, BindReport, StoreError, TokenView};
use roadstead_core::product::Rebind;
use roadstead_core::{BindingId, DeviceId, SpaceId, Timestamp, UserId};

use crate::rule;

/// Kind of the pending message that tells a device that its owner gave it up.
pub(crate) const UNBOUND_KIND: &str = "unbound";
/// Body of that message.
pub(crate) const UNBOUND_BODY: &str = "{}";

/// Outcome of a decision; the outer failure undoes the transaction, the inner one is kept.
pub(crate) type Decided<T> = Result<Result<T, BindError>, StoreError>;

/// The rows that binding touches, inside one transaction.
pub(crate) trait Ledger {
    /// Returns a token.
    fn token(&self, digest: &[u8; 32]) -> Result<Option<BindToken>, StoreError>;
    /// Replaces a token that exists.
    fn put_token(&mut self, token: &BindToken) -> Result<(), StoreError>;
    /// Forgets tokens whose life ended before.
    fn forget_tokens(&mut self, ended: Timestamp) -> Result<(), StoreError>;
    /// Returns space and take-over policy of a device.
    fn device(&self, id: &DeviceId) -> Result<Option<(SpaceId, Rebind)>, StoreError>;
    /// Returns the space of a user.
    fn user_space(&self, id: &UserId) -> Result<Option<SpaceId>, StoreError>;
    /// Returns the bindings of a device, owner first.
    fn bindings_of(&self, device: &DeviceId) -> Result<Vec<Binding>, StoreError>;
    /// Adds a binding or replaces the one of its id.
    fn put_binding(&mut self, binding: &Binding) -> Result<(), StoreError>;
    /// Removes a binding.
    fn remove_binding(&mut self, binding: &Binding) -> Result<(), StoreError>;
    /// Keeps the message [`UNBOUND_KIND`] for a device.
    fn notify_unbound(&mut self, device: &DeviceId) -> Result<(), StoreError>;
    /// Returns a new id.
    fn new_id(&mut self) -> Result<BindingId, StoreError>;
}

/// A device presents a token.
pub(crate) fn report(ledger: &mut impl Ledger, report: &BindReport) -> Decided<TokenView> {
    let known = ledger.token(&report.digest)?;
    let made = match (&known, report.own_life) {
        (None, Some(life)) => Some(own_token(ledger, report, life)?),
        (_, _) => None,
    };
    let facts = facts(ledger, known.or(made), &report.device)?;
    match binding::report(&facts, report.now) {
        Ok(effects) => perform(ledger, facts, &effects, report.now).map(Ok),
        Err(error) => refuse(ledger, facts.token, error),
    }
}

/// Returns a token as its device makes it; the report is the first that is heard of it.
fn own_token(
    ledger: &mut impl Ledger,
    report: &BindReport,
    life: Duration,
) -> Result<BindToken, StoreError> {
    ledger.forget_tokens(report.now - rule::TOKEN_KEPT)?;
    let (space, _) = ledger.device(&report.device)?.ok_or(StoreError::Missing)?;
    Ok(BindToken {
        digest: report.digest,
        space,
        user: None,
        device: None,
        state: TokenState::New,
        auto_bind: false,
        attempt: None,
        refusal: None,
        created_at: report.now,
        expires_at: report.now + life,
    })
}

/// A user binds with a token.
pub(crate) fn bind(ledger: &mut impl Ledger, query: &BindQuery) -> Decided<TokenView> {
    let user_space = ledger.user_space(&query.user)?.ok_or(StoreError::Missing)?;
    let Some(token) = ledger.token(&query.digest)? else {
        return Ok(Err(BindError::UnknownToken));
    };
    // Users, products and devices of two spaces never see each other, whoever made the token.
    if token.space != user_space {
        return Ok(Err(BindError::OtherSpace));
    }
    let stranger = token.user.as_ref().is_some_and(|maker| *maker != query.user);
    let device = query.device.clone().or_else(|| token.device.clone());
    let facts = match device {
        Some(device) => facts(ledger, Some(token), &device)?,
        // Nobody reported it: the decision ends before it looks at a device.
        None => Facts {
            space: token.space.clone(),
            token: Some(token),
            device: DeviceId::new(""),
            owner: None,
            rebind: Rebind::Refuse,
        },
    };
    match binding::bind(&facts, &query.user, query.now) {
        Ok(effects) => perform(ledger, facts, &effects, query.now).map(Ok),
        Err(error) if stranger => Ok(Err(error)),
        Err(error) => refuse(ledger, facts.token, error),
    }
}

/// The ownership of a device ends.
pub(crate) fn unbind(ledger: &mut impl Ledger, device: &DeviceId) -> Decided<Vec<Binding>> {
    ledger.device(device)?.ok_or(StoreError::Missing)?;
    let bindings = ledger.bindings_of(device)?;
    let effects = match binding::unbind(owner(&bindings).map(|owner| &owner.user)) {
        Ok(effects) => effects,
        Err(error) => return Ok(Err(error)),
    };
    for effect in &effects {
        apply(ledger, device, effect, Timestamp(0))?;
    }
    Ok(Ok(bindings))
}

/// A user becomes a guest.
pub(crate) fn share(
    ledger: &mut impl Ledger,
    device: &DeviceId,
    user: &UserId,
    now: Timestamp,
) -> Decided<Binding> {
    let bindings = match bindings_to_extend(ledger, device, user)? {
        Ok(bindings) => bindings,
        Err(error) => return Ok(Err(error)),
    };
    if let Some(existing) = bindings.iter().find(|binding| binding.user == *user) {
        return Ok(Ok(existing.clone()));
    }
    if bindings.len() > GUESTS_PER_DEVICE_MAX {
        return Err(StoreError::Limit("guests per device"));
    }
    add(ledger, device, user, BindingRole::Guest, now).map(Ok)
}

/// A user becomes the owner; a guest keeps its binding's id and date.
pub(crate) fn transfer(
    ledger: &mut impl Ledger,
    device: &DeviceId,
    to: &UserId,
    now: Timestamp,
) -> Decided<Binding> {
    let bindings = match bindings_to_extend(ledger, device, to)? {
        Ok(bindings) => bindings,
        Err(error) => return Ok(Err(error)),
    };
    let existing = bindings.iter().find(|binding| binding.user == *to);
    if let Some(owner) = existing.filter(|binding| binding.role == BindingRole::Owner) {
        return Ok(Ok(owner.clone()));
    }
    if let Some(owner) = owner(&bindings) {
        ledger.remove_binding(owner)?;
    }
    match existing {
        Some(guest) => {
            let promoted = Binding { role: BindingRole::Owner, ..guest.clone() };
            ledger.put_binding(&promoted)?;
            Ok(Ok(promoted))
        }
        None => add(ledger, device, to, BindingRole::Owner, now).map(Ok),
    }
}

/// Returns a token with the owner's binding.
pub(crate) fn view(
    ledger: &impl Ledger,
    token: BindToken,
    newly_bound: bool,
) -> Result<TokenView, StoreError> {
    let binding = match &token.device {
        Some(device) => owner(&ledger.bindings_of(device)?).cloned(),
        None => None,
    };
    Ok(TokenView { token, binding, newly_bound })
}

fn owner(bindings: &[Binding]) -> Option<&Binding> {
    bindings.first().filter(|binding| binding.role == BindingRole::Owner)
}

fn facts(
    ledger: &impl Ledger,
    token: Option<BindToken>,
    device: &DeviceId,
) -> Result<Facts, StoreError> {
    let (space, rebind) = ledger.device(device)?.ok_or(StoreError::Missing)?;
    let owner = owner(&ledger.bindings_of(device)?).map(|owner| owner.user.clone());
    Ok(Facts { token, device: device.clone(), space, owner, rebind })
}

/// Notes a refusal on its token.
fn refuse<T>(ledger: &mut impl Ledger, token: Option<BindToken>, error: BindError) -> Decided<T> {
    if let Some(token) = token.filter(|token| token.refusal.as_deref() != Some(error.code())) {
        ledger.put_token(&BindToken { refusal: Some(error.code().into()), ..token })?;
    }
    Ok(Err(error))
}

fn perform(
    ledger: &mut impl Ledger,
    facts: Facts,
    effects: &[Effect],
    now: Timestamp,
) -> Result<TokenView, StoreError> {
    let mut newly_bound = false;
    let mut token = facts.token.expect("decided on a token");
    let before = token.clone();
    token.refusal = None;
    for effect in effects {
        match effect {
            Effect::MarkReported => {
                token.state = TokenState::Reported;
                token.device = Some(facts.device.clone());
            }
            Effect::MarkBound => {
                token.state = TokenState::Bound;
                token.device = Some(facts.device.clone());
            }
            Effect::SetOwner(user) => {
                newly_bound |= facts.owner.as_ref() != Some(user);
                apply(ledger, &facts.device, effect, now)?;
            }
            Effect::RemoveBindings | Effect::NotifyUnbound => {
                apply(ledger, &facts.device, effect, now)?;
            }
        }
    }
    if token != before {
        ledger.put_token(&token)?;
    }
    view(ledger, token, newly_bound)
}

/// Performs an effect on the device; effects on a token are the caller's.
fn apply(
    ledger: &mut impl Ledger,
    device: &DeviceId,
    effect: &Effect,
    now: Timestamp,
) -> Result<(), StoreError> {
    match effect {
        Effect::MarkReported | Effect::MarkBound => Ok(()),
        Effect::RemoveBindings => {
            let bindings = ledger.bindings_of(device)?;
            bindings.iter().try_for_each(|binding| ledger.remove_binding(binding))
        }
        Effect::SetOwner(user) => add(ledger, device, user, BindingRole::Owner, now).map(drop),
        Effect::NotifyUnbound => ledger.notify_unbound(device),
    }
}

fn add(
    ledger: &mut impl Ledger,
    device: &DeviceId,
    user: &UserId,
    role: BindingRole,
    now: Timestamp,
) -> Result<Binding, StoreError> {
    let (space, _) = ledger.device(device)?.ok_or(StoreError::Missing)?;
    let id = ledger.new_id()?;
    let (user, device) = (user.clone(), device.clone());
    let binding = Binding { id, space, user, device, role, created_at: now };
    ledger.put_binding(&binding)?;
    Ok(binding)
}

/// Returns the bindings of a bound device that `user` may join.
fn bindings_to_extend(
    ledger: &impl Ledger,
    device: &DeviceId,
    user: &UserId,
) -> Decided<Vec<Binding>> {
    let (space, _) = ledger.device(device)?.ok_or(StoreError::Missing)?;
    let bindings = ledger.bindings_of(device)?;
    if owner(&bindings).is_none() {
        return Ok(Err(BindError::NotBound));
    }
    match ledger.user_space(user)? {
        None => Err(StoreError::Missing),
        Some(of_user) if of_user != space => Ok(Err(BindError::OtherSpace)),
        Some(_) => Ok(Ok(bindings)),
    }
}
