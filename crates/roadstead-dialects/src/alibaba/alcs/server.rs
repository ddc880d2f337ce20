//! The device's side: who may control it, and its open sessions.
//!
//! Source: Alibaba §10 items 2, 3, 5, 6.

use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use roadstead_core::{Secret, Tick, Value};
use serde_json::json;

use super::super::crypt::BLOCK;
use super::key::{AccessKey, KeyPair, sequence, server_sign, session_key, sign};
use super::{ACCESS_KEY_LEN, cipher};

/// Open sessions; the one that was silent longest gives way.
const SESSIONS_MAX: usize = 16;
/// Key pairs beside the built-in one.
const PAIRS_MAX: usize = 8;
/// Revoked sequences.
const REVOKED_MAX: usize = 256;
/// Number of the first session (v301_alcs_session).
const FIRST_SESSION: u32 = 256;
/// Longest random number of a phone that is read, characters.
const RANDOM_LEN_MAX: usize = 64;
/// A session without heart-beat ends after this.
pub const HEARTBEAT: Duration = Duration::from_secs(120);
/// A session ends after this in any case.
const EXPIRE: Duration = Duration::from_secs(86_400);

/// Why a session is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The access key's sequence is revoked.
    #[error("the access key is revoked")]
    Revoked,
    /// No pair of the device has the access key's prefix.
    #[error("the access key is of another device")]
    Prefix,
    /// Something is missing or malformed.
    #[error("a parameter is wrong")]
    Parameter,
    /// The device has no keys at all.
    #[error("the device has no access keys")]
    NoKeys,
    /// Another version of the protocol.
    #[error("the version is not 1.0")]
    Version,
    /// The sign is wrong: the access token is.
    #[error("the sign is wrong")]
    Sign,
}

impl AuthError {
    /// Returns the vendor's number.
    pub fn number(self) -> i64 {
        match self {
            Self::Revoked => 501,
            Self::Prefix => 502,
            Self::Parameter => 503,
            Self::NoKeys => 504,
            Self::Version => 505,
            Self::Sign => 506,
        }
    }

    /// Finds the error of a device's answer.
    pub fn from_number(number: i64) -> Option<Self> {
        [Self::Revoked, Self::Prefix, Self::Parameter, Self::NoKeys, Self::Version, Self::Sign]
            .into_iter()
            .find(|error| error.number() == number)
    }
}

/// Why a request inside a session is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// No such session of this peer, or it is over.
    #[error("no such session")]
    Unknown,
    /// The payload does not decrypt.
    #[error("the payload does not decrypt")]
    Cipher,
}

/// An open session.
struct Session {
    id: u32,
    peer: SocketAddr,
    key: [u8; BLOCK],
    sequence: String,
    silent_until: Tick,
    until: Tick,
}

/// Keys and sessions of one device.
#[derive(Default)]
pub struct Server {
    factory: Option<KeyPair>,
    pairs: Vec<KeyPair>,
    revoked: BTreeSet<String>,
    sessions: VecDeque<Session>,
    opened: u32,
}

impl Server {
    /// Returns a device that knows the built-in pair, like every firmware, until it is given
    /// another.
    pub fn with_factory_key() -> Self {
        Self { factory: Some(KeyPair::factory()), ..Self::default() }
    }

    /// Whether everybody in the LAN can control the device.
    pub fn is_open_to_all(&self) -> bool {
        self.factory.is_some() && self.pairs.is_empty()
    }

    /// Takes a pair of the platform or of a local set-up. It replaces an older one of the same
    /// prefix and ends the use of the built-in pair; sessions that were opened with that are
    /// closed.
    pub fn add(&mut self, pair: KeyPair) {
        if self.pairs.is_empty() {
            self.sessions.clear();
        }
        self.pairs.retain(|known| known.prefix != pair.prefix);
        if self.pairs.len() == PAIRS_MAX {
            self.pairs.remove(0);
        }
        self.pairs.push(pair);
    }

    /// Takes the list of revoked sequences and closes their sessions.
    pub fn revoke(&mut self, sequences: impl IntoIterator<Item = String>) {
        self.revoked = sequences.into_iter().take(REVOKED_MAX).collect();
        let revoked = &self.revoked;
        self.sessions.retain(|session| !revoked.contains(&session.sequence));
    }

    /// Takes a request of `auth`; `random` is the device's own, fresh and printable.
    ///
    /// # Errors
    ///
    /// The vendor's reason; no session is opened then.
    pub fn auth(
        &mut self,
        peer: SocketAddr,
        version: &str,
        params: &Value,
        random: &str,
        now: Tick,
    ) -> Result<Value, AuthError> {
        let text = |key: &str| params.get(key).and_then(Value::as_str).unwrap_or_default();
        if version != "1.0" {
            return Err(AuthError::Version);
        }
        let (access_key, phone, claimed) = (text("accessKey"), text("randomKey"), text("sign"));
        let sequence = sequence(access_key).ok_or(AuthError::Parameter)?;
        if phone.is_empty() || phone.len() > RANDOM_LEN_MAX || claimed.is_empty() {
            return Err(AuthError::Parameter);
        }
        let pair = self.pair(access_key)?;
        if self.revoked.contains(sequence) {
            return Err(AuthError::Revoked);
        }
        let token = pair.token(access_key);
        if !Secret::from(sign(&token, &[phone.as_bytes()])).matches(claimed.as_bytes()) {
            return Err(AuthError::Sign);
        }
        let id = FIRST_SESSION + self.opened % 0xFF00;
        self.opened = self.opened.wrapping_add(1);
        if self.sessions.len() == SESSIONS_MAX {
            self.sessions.pop_front();
        }
        self.sessions.push_back(Session {
            id,
            peer,
            key: session_key(&token, phone, random),
            sequence: sequence.to_string(),
            silent_until: now + HEARTBEAT,
            until: now + EXPIRE,
        });
        let sign = server_sign(&token, random);
        let expire = EXPIRE.as_secs();
        Ok(json!({"sign": sign, "randomKey": random, "sessionId": id, "expire": expire}))
    }

    /// Chooses one of the access keys that a phone holds (`auth/select`): the first whose prefix
    /// the device knows.
    ///
    /// # Errors
    ///
    /// The vendor's reason.
    pub fn select(&self, params: &Value) -> Result<Value, AuthError> {
        let offered = params.get("accessKeys").and_then(Value::as_array);
        let offered = offered.ok_or(AuthError::Parameter)?;
        let keys = offered.iter().filter_map(Value::as_str);
        let known = keys.filter(|key| key.len() == ACCESS_KEY_LEN);
        let mut reason = AuthError::Parameter;
        for key in known {
            match self.pair(key) {
                Ok(_) => return Ok(json!({ "accessKey": key })),
                Err(error) => reason = error,
            }
        }
        Err(reason)
    }

    /// Decrypts what a peer says inside a session; any word of it keeps the session alive.
    ///
    /// # Errors
    ///
    /// [`SessionError`].
    pub fn open(
        &mut self,
        peer: SocketAddr,
        id: u32,
        sealed: &[u8],
        now: Tick,
    ) -> Result<Vec<u8>, SessionError> {
        self.expire(now);
        let session = self.sessions.iter_mut().find(|s| s.id == id && s.peer == peer);
        let session = session.ok_or(SessionError::Unknown)?;
        let plain = cipher::open(&session.key, sealed).ok_or(SessionError::Cipher)?;
        session.silent_until = now + HEARTBEAT;
        Ok(plain)
    }

    /// Encrypts for a session.
    ///
    /// # Errors
    ///
    /// [`SessionError::Unknown`].
    pub fn seal(&self, peer: SocketAddr, id: u32, plain: &[u8]) -> Result<Vec<u8>, SessionError> {
        let session = self.sessions.iter().find(|s| s.id == id && s.peer == peer);
        session.map(|s| cipher::seal(&s.key, plain)).ok_or(SessionError::Unknown)
    }

    /// Returns how many sessions are open.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn expire(&mut self, now: Tick) {
        self.sessions.retain(|session| now < session.silent_until && now < session.until);
    }

    fn pair(&self, access_key: &str) -> Result<&KeyPair, AuthError> {
        let factory = self.factory.as_ref().filter(|_| self.pairs.is_empty());
        let mut all = self.pairs.iter().chain(factory).peekable();
        if all.peek().is_none() {
            return Err(AuthError::NoKeys);
        }
        all.find(|pair| access_key.starts_with(&*pair.prefix)).ok_or(AuthError::Prefix)
    }
}

/// Returns the sequences of `thing/lan/blacklist/update`: a list of texts, or one text with commas.
pub fn blacklist(params: &Value) -> Vec<String> {
    let list = params.get("blacklist").unwrap_or(params);
    match list {
        Value::Array(items) => {
            items.iter().filter_map(Value::as_str).map(ToString::to_string).collect()
        }
        Value::String(text) => {
            text.split(',').map(str::trim).filter(|s| !s.is_empty()).map(Into::into).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// Returns the parameters of an `auth` request.
pub(super) fn auth_params((product, device): (&str, &str), key: &AccessKey, random: &str) -> Value {
    json!({
        "prodKey": product, "deviceName": device, "encrypt": "payload", "randomKey": random,
        "sign": sign(&key.token, &[random.as_bytes()]), "accessKey": &*key.key,
    })
}
