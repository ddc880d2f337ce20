//! What is inside the seals, and the frames around them.
//!
//! | frame | bytes |
//! |---|---|
//! | hello | 1, version 1, public key 32 |
//! | welcome | 2, public key 32, session 8, proof 16 |
//! | sealed | 3, session 8, count 4, cipher text and tag |
//! | refusal | 4, reason 1 |
//!
//! Inside, the phone says 1 with network, password and token, each behind its length of one byte,
//! or 2 for "how is it going?"; the device says progress and reason, one byte each.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::{PASSWORD_MAX, SSID_MAX, TOKEN_MAX};

pub(super) const HELLO: u8 = 1;
pub(super) const WELCOME: u8 = 2;
pub(super) const SEALED: u8 = 3;
pub(super) const REFUSAL: u8 = 4;
/// Version of the protocol.
pub(super) const VERSION: u8 = 1;

const GIVE: u8 = 1;
const ASK: u8 = 2;

/// How far a device has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Progress {
    /// It waits for a network.
    Waiting = 0,
    /// It joins the network.
    Joining = 1,
    /// It has an address in the network.
    Joined = 2,
    /// It is logged in at the platform.
    Online = 3,
    /// It has an owner.
    Bound = 4,
}

/// Why a device did not come on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The password is wrong.
    WrongPassword = 1,
    /// No network of that name answers.
    NotFound = 2,
    /// The network gave no address.
    NoAddress = 3,
    /// The network is joined, the platform is not reached or refuses the device.
    NoCloud = 4,
    /// The platform refuses the bind token.
    TokenRefused = 5,
    /// Something else.
    Other = 255,
}

impl Progress {
    /// All of them, in order.
    pub const ALL: [Self; 5] =
        [Self::Waiting, Self::Joining, Self::Joined, Self::Online, Self::Bound];

    /// Returns the word used in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Joining => "joining",
            Self::Joined => "joined",
            Self::Online => "online",
            Self::Bound => "bound",
        }
    }
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::WrongPassword,
        Self::NotFound,
        Self::NoAddress,
        Self::NoCloud,
        Self::TokenRefused,
        Self::Other,
    ];

    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::WrongPassword => "attempt.wifi_password",
            Self::NotFound => "attempt.wifi_not_found",
            Self::NoAddress => "attempt.wifi_no_address",
            Self::NoCloud => "attempt.never_connected",
            Self::TokenRefused => "attempt.token_not_reported",
            Self::Other => "attempt.device_error",
        }
    }
}

/// What a phone says.
pub(super) enum Request {
    Give { ssid: Vec<u8>, password: Zeroizing<Vec<u8>>, token: Zeroizing<Vec<u8>> },
    Ask,
}

impl Request {
    pub(super) fn emit(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::new());
        match self {
            Self::Ask => out.push(ASK),
            Self::Give { ssid, password, token } => {
                // No reallocation leaves a copy behind.
                out.reserve_exact(4 + ssid.len() + password.len() + token.len());
                out.push(GIVE);
                for field in [&ssid[..], &password[..], &token[..]] {
                    out.push(field.len() as u8);
                    out.extend_from_slice(field);
                }
            }
        }
        out
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (first, rest) = bytes.split_first()?;
        match (*first, rest) {
            (ASK, []) => Some(Self::Ask),
            (GIVE, rest) => {
                let (ssid, rest) = field(rest, SSID_MAX)?;
                let (password, rest) = field(rest, PASSWORD_MAX)?;
                let (token, rest) = field(rest, TOKEN_MAX)?;
                (rest.is_empty() && !ssid.is_empty()).then(|| Self::Give {
                    ssid: ssid.to_vec(),
                    password: Zeroizing::new(password.to_vec()),
                    token: Zeroizing::new(token.to_vec()),
                })
            }
            _ => None,
        }
    }
}

fn field(bytes: &[u8], max: usize) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    let len = usize::from(*len);
    if len > max { None } else { rest.split_at_checked(len) }
}

/// Writes a device's state.
pub(super) fn emit_state(progress: Progress, reason: Option<Reason>) -> [u8; 2] {
    [progress as u8, reason.map_or(0, |reason| reason as u8)]
}

/// Reads a device's state; a reason of a later version is [`Reason::Other`].
pub(super) fn parse_state(bytes: &[u8]) -> Option<(Progress, Option<Reason>)> {
    let [progress, reason] = bytes else { return None };
    let progress = Progress::ALL.into_iter().find(|known| *known as u8 == *progress)?;
    let known = Reason::ALL.into_iter().find(|known| *known as u8 == *reason);
    Some((progress, (*reason != 0).then(|| known.unwrap_or(Reason::Other))))
}
