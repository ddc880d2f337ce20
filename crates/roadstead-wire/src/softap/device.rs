//! The device's end: who may tell it a network, and what it answers.

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use super::crypt::{Entropy, Keys, SESSION_SIZE, Way, public};
use super::message::{
    HELLO, Progress, REFUSAL, Reason, Request, SEALED, VERSION, WELCOME, emit_state,
};
use super::qr::SECRET_SIZE;

/// Phones at once; the one that spoke longest ago makes room.
const SESSIONS_MAX: usize = 4;

/// What a phone gave. Does not print secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// Network name, 1 to 32 bytes.
    pub ssid: Vec<u8>,
    /// Its password; empty for an open network.
    pub password: Zeroizing<Vec<u8>>,
    /// Bind token; empty when the phone has none.
    pub token: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("ssid_len", &self.ssid.len()).finish_non_exhaustive()
    }
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// Not a message of this protocol, or of another version.
    #[error("the message is not readable")]
    BadMessage = 1,
    /// Its session is not known: the device has restarted, or too many phones came since.
    #[error("the session is not known")]
    UnknownSession = 2,
    /// It was altered, or sealed by somebody without the secret.
    #[error("the message is not authentic")]
    NotAuthentic = 3,
    /// It was heard before.
    #[error("the message was heard before")]
    Replayed = 4,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::BadMessage, Self::UnknownSession, Self::NotAuthentic, Self::Replayed];

    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadMessage => "softap.bad_message",
            Self::UnknownSession => "softap.unknown_session",
            Self::NotAuthentic => "softap.not_authentic",
            Self::Replayed => "softap.replayed",
        }
    }
}

struct Session {
    keys: Keys,
    /// Number that comes next.
    next: u32,
    /// Message and answer of the number before: a lost answer may be asked for again.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

/// The machine. One per device; it answers every message with one.
pub struct Device {
    secret: Zeroizing<[u8; SECRET_SIZE]>,
    /// The one that spoke last is last.
    sessions: Vec<Session>,
    progress: Progress,
    reason: Option<Reason>,
}

impl Device {
    /// Returns a device with the secret of its QR code.
    pub fn new(secret: [u8; SECRET_SIZE]) -> Self {
        let (sessions, secret) = (Vec::new(), Zeroizing::new(secret));
        Self { secret, sessions, progress: Progress::Waiting, reason: None }
    }

    /// Keeps how far the device is, for phones that ask.
    pub fn set(&mut self, progress: Progress, reason: Option<Reason>) {
        (self.progress, self.reason) = (progress, reason);
    }

    /// Returns what phones are told.
    pub fn state(&self) -> (Progress, Option<Reason>) {
        (self.progress, self.reason)
    }

    /// Takes a message; returns the answer, and what a phone gave. `entropy` must be fresh for
    /// each call.
    ///
    /// # Errors
    ///
    /// Why it was refused; [`Refusal`] has an answer, too ([`refusal`](Self::refusal)).
    pub fn handle(
        &mut self,
        message: &[u8],
        entropy: &Entropy,
    ) -> Result<(Vec<u8>, Option<Given>), Refusal> {
        match message.split_first() {
            Some((&HELLO, rest)) => Ok((self.welcome(rest, entropy)?, None)),
            Some((&SEALED, rest)) => self.sealed(message, rest),
            Some(_) | None => Err(Refusal::BadMessage),
        }
    }

    /// Returns the answer to a refused message.
    pub fn refusal(refusal: Refusal) -> Vec<u8> {
        [REFUSAL, refusal as u8].to_vec()
    }

    fn welcome(&mut self, rest: &[u8], entropy: &Entropy) -> Result<Vec<u8>, Refusal> {
        let phone = rest.strip_prefix(&[VERSION]).ok_or(Refusal::BadMessage)?;
        let phone: [u8; 32] = phone.try_into().map_err(|_| Refusal::BadMessage)?;
        let own = public(entropy);
        let mut session = [0; SESSION_SIZE];
        // A public key is as good a name as any.
        session.iter_mut().zip(own).for_each(|(to, from)| *to = from);
        let keys = Keys::agree(entropy, &phone, self.secret.as_slice(), (&phone, &own), session);
        let keys = keys.ok_or(Refusal::BadMessage)?;
        let mut answer = [WELCOME].to_vec();
        answer.extend_from_slice(&own);
        answer.extend_from_slice(&session);
        answer.extend_from_slice(&keys.proof());
        if self.sessions.len() >= SESSIONS_MAX {
            self.sessions.remove(0);
        }
        self.sessions.push(Session { keys, next: 0, last: None });
        Ok(answer)
    }

    fn sealed(&mut self, message: &[u8], rest: &[u8]) -> Result<(Vec<u8>, Option<Given>), Refusal> {
        let (name, rest) = rest.split_first_chunk::<SESSION_SIZE>().ok_or(Refusal::BadMessage)?;
        let (count, sealed) = rest.split_first_chunk().ok_or(Refusal::BadMessage)?;
        let count = u32::from_be_bytes(*count);
        let at = self.sessions.iter().position(|session| session.keys.session() == *name);
        let session = at.and_then(|at| self.sessions.get_mut(at));
        let session = session.ok_or(Refusal::UnknownSession)?;
        if let Some((_, answer)) = session.last.as_ref().filter(|(heard, _)| heard == message) {
            return Ok((answer.clone(), None));
        }
        let plain = session.keys.open(Way::ToDevice, count, sealed).ok_or(Refusal::NotAuthentic)?;
        if count < session.next || count == u32::MAX {
            return Err(Refusal::Replayed);
        }
        let request = Request::parse(&plain).ok_or(Refusal::BadMessage)?;
        session.next = count + 1;
        let given = match request {
            Request::Ask => None,
            Request::Give { ssid, password, token } => Some(Given { ssid, password, token }),
        };
        if given.is_some() {
            (self.progress, self.reason) = (Progress::Joining, None);
        }
        let state = emit_state(self.progress, self.reason);
        let mut answer = [SEALED].to_vec();
        answer.extend_from_slice(name);
        answer.extend_from_slice(&count.to_be_bytes());
        answer.extend_from_slice(&session.keys.seal(Way::ToPhone, count, &state));
        session.last = Some((message.to_vec(), answer.clone()));
        if let Some(at) = at {
            let session = self.sessions.remove(at);
            self.sessions.push(session);
        }
        Ok((answer, given))
    }
}
