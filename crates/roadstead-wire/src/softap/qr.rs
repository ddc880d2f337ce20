//! What the QR code of a device says.
//!
//! `roadstead:softap?v=1&k=<32 hex digits>&at=<IP:PORT>&ap=<network>&n=<name>`, values
//! percent-encoded; unknown names are passed over.

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::net::SocketAddr;

use zeroize::Zeroizing;

use super::SSID_MAX;
use super::form::{decode, encode};

/// Bytes of a device's secret. Nobody can guess it, so that answers which depend on it tell
/// nothing.
pub const SECRET_SIZE: usize = 16;
/// Longest text, bytes.
const TEXT_MAX: usize = 512;
/// Longest name, bytes.
const NAME_MAX: usize = 64;
/// What it begins with.
const SCHEME: &str = "roadstead:softap?";

/// The contents. Does not print the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Qr {
    /// The device's secret.
    pub secret: Zeroizing<[u8; SECRET_SIZE]>,
    /// Where the device is reached in its own access point.
    pub at: SocketAddr,
    /// Name of its access point.
    pub ap: String,
    /// Name of the device, for people.
    pub name: String,
}

impl fmt::Debug for Qr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, ap, name, .. } = self;
        f.debug_struct("Qr").field("at", at).field("ap", ap).field("name", name).finish()
    }
}

/// Why a text is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QrError {
    /// Another kind of code.
    #[error("the code is not one of a device's own access point")]
    Strange,
    /// A later version.
    #[error("the code is of a later version")]
    Version,
    /// No secret, or one that could be guessed.
    #[error("the code has no secret of 32 hexadecimal digits")]
    Secret,
    /// No address.
    #[error("the code has no address of the device")]
    Address,
    /// Too long.
    #[error("the code is too long")]
    TooLong,
}

impl QrError {
    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        "softap.bad_qr"
    }
}

impl Qr {
    /// Reads the text of a code.
    ///
    /// # Errors
    ///
    /// Which part is missing.
    pub fn parse(text: &str) -> Result<Self, QrError> {
        if text.len() > TEXT_MAX {
            return Err(QrError::TooLong);
        }
        let query = text.trim().strip_prefix(SCHEME).ok_or(QrError::Strange)?;
        let field = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
        };
        if field("v") != Some("1") {
            return Err(QrError::Version);
        }
        let mut secret = Zeroizing::new([0; SECRET_SIZE]);
        let digits = field("k").ok_or(QrError::Secret)?;
        hex::decode_to_slice(digits, secret.as_mut_slice()).map_err(|_| QrError::Secret)?;
        let at = field("at").and_then(|at| String::from_utf8(decode(at)?).ok()?.parse().ok());
        let words = |name: &str, max: usize| {
            let bytes = field(name).map_or(Some(alloc::vec::Vec::new()), decode);
            bytes.filter(|bytes| bytes.len() <= max).and_then(|b| String::from_utf8(b).ok())
        };
        Ok(Self {
            secret,
            at: at.ok_or(QrError::Address)?,
            ap: words("ap", SSID_MAX).ok_or(QrError::TooLong)?,
            name: words("n", NAME_MAX).ok_or(QrError::TooLong)?,
        })
    }

    /// Writes the text; it holds the secret.
    pub fn text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(hex::encode(self.secret.as_slice()));
        let (at, ap, name) =
            (encode(&format!("{}", self.at)), encode(&self.ap), encode(&self.name));
        Zeroizing::new(format!("{SCHEME}v=1&k={}&at={at}&ap={ap}&n={name}", *secret))
    }
}
