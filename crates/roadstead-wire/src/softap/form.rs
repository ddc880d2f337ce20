//! What a page in the access point sends: `application/x-www-form-urlencoded`, and the rules of
//! network names and passwords.

use alloc::string::String;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::{Given, PASSWORD_MAX, SSID_MAX, TOKEN_MAX};

/// Longest form, bytes: every byte of the longest fields percent-encoded, and their names.
pub const FORM_MAX: usize = 3 * (2 * SSID_MAX + PASSWORD_MAX + TOKEN_MAX) + 64;
/// Shortest WPA passphrase, characters (IEEE 802.11i).
const PASSPHRASE_MIN: usize = 8;
/// Longest WPA passphrase, characters; 64 is a key in hexadecimal digits.
const PASSPHRASE_MAX: usize = 63;

/// Why a form was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FormError {
    /// Not a form, or too long for one.
    #[error("the form is not readable")]
    Unreadable,
    /// No network name.
    #[error("the network name is missing")]
    NoName,
    /// More than 32 bytes.
    #[error("a network name has at most 32 bytes")]
    NameTooLong,
    /// Said to be hexadecimal and is not.
    #[error("the network name is not hexadecimal")]
    NotHex,
    /// Neither empty, nor 8 to 63 bytes, nor 64 hexadecimal digits.
    #[error("a password has 8 to 63 characters, or 64 hexadecimal digits")]
    Password,
    /// More than 64 bytes, or not printable.
    #[error("the bind token is not one")]
    Token,
}

/// Reads a form with the fields `ssid` (or, with `hex=1`, its bytes in hexadecimal), `password`
/// and `token`.
///
/// # Errors
///
/// Which rule is broken.
pub fn parse(form: &[u8]) -> Result<Given, FormError> {
    let text = core::str::from_utf8(form).ok().filter(|text| text.len() <= FORM_MAX);
    let text = text.ok_or(FormError::Unreadable)?;
    let field = |name: &str| match text.split('&').find_map(|pair| {
        let (known, value) = pair.split_once('=')?;
        (known == name).then_some(value)
    }) {
        None => Ok(Vec::new()),
        Some(value) => decode(value).ok_or(FormError::Unreadable),
    };
    let mut ssid = field("ssid")?;
    if field("hex")? == b"1" {
        ssid = hex::decode(ssid).map_err(|_| FormError::NotHex)?;
    }
    if ssid.is_empty() {
        return Err(FormError::NoName);
    }
    if ssid.len() > SSID_MAX {
        return Err(FormError::NameTooLong);
    }
    let password = Zeroizing::new(field("password")?);
    let is_key = password.len() == PASSWORD_MAX && password.iter().all(u8::is_ascii_hexdigit);
    let fits = (PASSPHRASE_MIN..=PASSPHRASE_MAX).contains(&password.len());
    if !(password.is_empty() || fits || is_key) {
        return Err(FormError::Password);
    }
    let token = Zeroizing::new(field("token")?);
    if token.len() > TOKEN_MAX || !token.iter().all(u8::is_ascii_graphic) {
        return Err(FormError::Token);
    }
    Ok(Given { ssid, password, token })
}

/// Decodes percent-encoding; `None` when it is broken.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).ok()?
            }
            byte => byte,
        });
    }
    Some(out)
}

/// Percent-encodes everything but letters, digits, `-`, `.`, `_` and `~` (RFC 3986 §2.3).
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte));
            }
            byte => {
                out.push('%');
                for digit in [byte >> 4, byte & 15] {
                    let digit = char::from_digit(digit.into(), 16).unwrap_or('0');
                    out.push(digit.to_ascii_uppercase());
                }
            }
        }
    }
    out
}
