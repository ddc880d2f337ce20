//! The decisions of binding, as functions of what is stored.

use alloc::vec;
use alloc::vec::Vec;

use super::{BindError, BindToken, TokenState};
use crate::product::Rebind;
use crate::{DeviceId, SpaceId, Timestamp, UserId};

/// What is stored about a device and a token at the moment of a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The token, if it is known.
    pub token: Option<BindToken>,
    /// The device that the request is about.
    pub device: DeviceId,
    /// Its space.
    pub space: SpaceId,
    /// Its owner.
    pub owner: Option<UserId>,
    /// The product's policy.
    pub rebind: Rebind,
}

/// What the store does, all in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Note that the device presented the token.
    MarkReported,
    /// Note that the token has done its work.
    MarkBound,
    /// End every binding of the device (owner and guests).
    RemoveBindings,
    /// Make this user the owner.
    SetOwner(UserId),
    /// Tell the device, now or at its next log-in, that its owner gave it up.
    NotifyUnbound,
}

/// Decides what a token presented by a device does.
///
/// A device may present the same token again (firmware repeats until it is answered): that
/// succeeds without effects.
///
/// # Errors
///
/// Any [`BindError`] but `NotReported` and `NotBound`; nothing changes then, but the caller notes
/// the refusal on the token. Source: Tencent §6.1, §6.3, §6.4.
pub fn report(facts: &Facts, now: Timestamp) -> Result<Vec<Effect>, BindError> {
    let token = facts.token.as_ref().ok_or(BindError::UnknownToken)?;
    if token.space != facts.space {
        return Err(BindError::OtherSpace);
    }
    let same_device = token.device.as_ref() == Some(&facts.device);
    match token.state {
        TokenState::Bound if same_device && facts.owner == token.user => return Ok(vec![]),
        TokenState::Bound => return Err(BindError::AlreadyUsed),
        TokenState::Reported if !same_device => return Err(BindError::OtherDevice),
        TokenState::Reported | TokenState::New => {}
    }
    if now >= token.expires_at {
        return Err(BindError::Expired);
    }
    let mut effects = match token.state {
        TokenState::Reported => vec![],
        TokenState::New | TokenState::Bound => vec![Effect::MarkReported],
    };
    match &token.user {
        Some(user) if token.auto_bind => effects.extend(take(facts, user)?),
        // The app binds with a second call; a stranger's device is refused there as well as here.
        Some(user) => drop(take(facts, user)?),
        None => {}
    }
    Ok(effects)
}

/// Decides the request of `user` to bind with a token that the device has presented.
///
/// Binding twice with the same token by the same user succeeds without effects.
///
/// # Errors
///
/// Any [`BindError`] but `NotBound`; nothing changes then.
pub fn bind(facts: &Facts, user: &UserId, now: Timestamp) -> Result<Vec<Effect>, BindError> {
    let token = facts.token.as_ref().ok_or(BindError::UnknownToken)?;
    if token.space != facts.space {
        return Err(BindError::OtherSpace);
    }
    if token.user.as_ref().is_some_and(|maker| maker != user) {
        return Err(BindError::OtherAccount);
    }
    match token.state {
        TokenState::Bound
            if facts.owner.as_ref() == Some(user)
                && token.device.as_ref() == Some(&facts.device) =>
        {
            return Ok(vec![]);
        }
        TokenState::Bound => return Err(BindError::AlreadyUsed),
        TokenState::New if now >= token.expires_at => return Err(BindError::Expired),
        TokenState::New => return Err(BindError::NotReported),
        TokenState::Reported => {}
    }
    if token.device.as_ref() != Some(&facts.device) {
        return Err(BindError::OtherDevice);
    }
    if now >= token.expires_at {
        return Err(BindError::Expired);
    }
    take(facts, user)
}

/// Decides what ending the ownership of a device does.
///
/// # Errors
///
/// [`BindError::NotBound`] when `owner` is `None`.
pub fn unbind(owner: Option<&UserId>) -> Result<Vec<Effect>, BindError> {
    owner.ok_or(BindError::NotBound)?;
    Ok(vec![Effect::RemoveBindings, Effect::NotifyUnbound])
}

fn take(facts: &Facts, user: &UserId) -> Result<Vec<Effect>, BindError> {
    match (&facts.owner, facts.rebind) {
        (Some(owner), _) if owner == user => Ok(vec![Effect::MarkBound]),
        (None, _) => Ok(vec![Effect::MarkBound, Effect::SetOwner(user.clone())]),
        (Some(_), Rebind::Transfer) => {
            Ok(vec![Effect::MarkBound, Effect::RemoveBindings, Effect::SetOwner(user.clone())])
        }
        (Some(_), Rebind::Refuse) => Err(BindError::BoundToOther),
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;

    fn token(state: TokenState, user: &str) -> BindToken {
        BindToken {
            digest: [7; 32],
            space: "s".into(),
            user: Some(user.into()),
            device: (state != TokenState::New).then(|| "lamp".into()),
            state,
            auto_bind: true,
            attempt: None,
            refusal: None,
            created_at: Timestamp(0),
            expires_at: Timestamp(600),
        }
    }

    fn facts(token: Option<BindToken>, owner: Option<&str>, rebind: Rebind) -> Facts {
        Facts {
            token,
            device: "lamp".into(),
            space: "s".into(),
            owner: owner.map(UserId::from),
            rebind,
        }
    }

    fn show(result: Result<Vec<Effect>, BindError>) -> String {
        result.map_or_else(|e| e.code().into(), |effects| format!("{effects:?}"))
    }

    #[test]
    fn every_report_has_a_case() {
        use Rebind::{Refuse, Transfer};
        use TokenState::{Bound, New, Reported};
        let two_step = BindToken { auto_bind: false, ..token(New, "ann") };
        let elsewhere = BindToken { device: Some("fan".into()), ..token(Reported, "ann") };
        let stranger = BindToken { space: "t".into(), ..token(New, "ann") };
        let cases = [
            (None, None, Refuse, 1, "bind.unknown_token"),
            (Some(stranger), None, Refuse, 1, "bind.other_space"),
            (
                Some(token(New, "ann")),
                None,
                Refuse,
                599,
                "[MarkReported, MarkBound, SetOwner(\"ann\")]",
            ),
            (Some(token(New, "ann")), None, Refuse, 600, "bind.expired"),
            (Some(token(New, "ann")), Some("ann"), Refuse, 1, "[MarkReported, MarkBound]"),
            (Some(token(New, "ann")), Some("bob"), Refuse, 1, "bind.bound_to_other"),
            (
                Some(token(New, "ann")),
                Some("bob"),
                Transfer,
                1,
                "[MarkReported, MarkBound, RemoveBindings, SetOwner(\"ann\")]",
            ),
            (Some(two_step.clone()), None, Refuse, 1, "[MarkReported]"),
            (Some(two_step), Some("bob"), Refuse, 1, "bind.bound_to_other"),
            (Some(elsewhere), None, Refuse, 1, "bind.other_device"),
            (Some(token(Bound, "ann")), Some("ann"), Refuse, 9999, "[]"),
            (Some(token(Bound, "ann")), None, Refuse, 1, "bind.already_used"),
        ];
        for (n, (token, owner, rebind, now, expected)) in cases.into_iter().enumerate() {
            let got = show(report(&facts(token, owner, rebind), Timestamp(now)));
            assert_eq!(got, expected, "case {n}");
        }
    }

    #[test]
    fn every_bind_has_a_case() {
        use TokenState::{Bound, New, Reported};
        let cases = [
            (None, None, "ann", 1, "bind.unknown_token"),
            (Some(token(New, "ann")), None, "ann", 1, "bind.not_reported"),
            (Some(token(New, "ann")), None, "ann", 600, "bind.expired"),
            (Some(token(Reported, "ann")), None, "ann", 1, "[MarkBound, SetOwner(\"ann\")]"),
            (Some(token(Reported, "ann")), None, "bob", 1, "bind.other_account"),
            (Some(token(Reported, "ann")), Some("bob"), "ann", 1, "bind.bound_to_other"),
            (Some(token(Reported, "ann")), None, "ann", 600, "bind.expired"),
            (Some(token(Bound, "ann")), Some("ann"), "ann", 9999, "[]"),
            (Some(token(Bound, "ann")), None, "ann", 1, "bind.already_used"),
        ];
        for (n, (token, owner, user, now, expected)) in cases.into_iter().enumerate() {
            let facts = facts(token, owner, Rebind::Refuse);
            let got = show(bind(&facts, &user.into(), Timestamp(now)));
            assert_eq!(got, expected, "case {n}");
        }
    }

    #[test]
    fn unbinding_tells_the_device() {
        assert_eq!(show(unbind(None)), "bind.not_bound");
        let ann = UserId::from("ann");
        assert_eq!(show(unbind(Some(&ann))), "[RemoveBindings, NotifyUnbound]");
    }
}
