//! What the phone sends: commands, and the text of a QR code.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use roadstead_core::{Secret, Value};

use super::json::Object;
use super::record::{Record, id, sub};
use super::{DATAGRAM_BYTES_MAX, TOKEN_CHARS_MAX};

/// A command of the phone.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    /// `cmdType` 0: the token alone; the device is in the network already.
    Token {
        /// Bind token.
        token: Secret,
    },
    /// `cmdType` 1: join this network, then bind.
    Join {
        /// Network name.
        ssid: String,
        /// Network password; empty for an open network.
        password: Secret,
        /// Bind token.
        token: Secret,
    },
    /// `cmdType` 3: send the log.
    ReadLog,
    /// `cmdType` 4: send the authentication facts (voice SDK); devices stay silent.
    ReadAuth,
}

/// Why a device does not take a command. It answers with [`CommandError::record`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Not a JSON object, no `cmdType`, or one that is not served.
    #[error("not a command")]
    Malformed,
    /// `ssid`, `password` or `token` is missing.
    #[error("a field is missing")]
    MissingField,
}

impl CommandError {
    /// Returns the error record that the device answers.
    pub fn record(self) -> Record {
        let sub = match self {
            Self::Malformed => sub::BAD_COMMAND,
            Self::MissingField => sub::MISSING_FIELD,
        };
        Record { id: id::APP_COMMAND, sub }
    }
}

impl Command {
    /// Reads a datagram as a device does.
    ///
    /// # Errors
    ///
    /// [`CommandError`]; the service keeps running.
    pub fn parse(datagram: &[u8]) -> Result<Self, CommandError> {
        let cut = datagram.len().min(DATAGRAM_BYTES_MAX);
        let object = datagram.get(..cut).and_then(Object::parse).ok_or(CommandError::Malformed)?;
        match object.integer("cmdType") {
            Some(0) => Ok(Self::Token { token: token_of(&object)? }),
            Some(1) => {
                let (ssid, password) = network_of(&object)?;
                Ok(Self::Join { ssid, password, token: token_of(&object)? })
            }
            Some(3) => Ok(Self::ReadLog),
            Some(4) => Ok(Self::ReadAuth),
            _ => Err(CommandError::Malformed),
        }
    }

    /// Writes the datagram: compact, members in the order of the vendor's apps.
    pub fn emit(&self) -> Vec<u8> {
        let text = match self {
            Self::Token { token } => {
                alloc::format!(r#"{{"cmdType":0,"token":{}}}"#, quoted(token))
            }
            Self::Join { ssid, password, token } => alloc::format!(
                r#"{{"cmdType":1,"ssid":{},"password":{},"token":{}}}"#,
                Value::from(ssid.as_str()),
                quoted(password),
                quoted(token)
            ),
            Self::ReadLog => r#"{"cmdType":3}"#.to_string(),
            Self::ReadAuth => r#"{"cmdType":4}"#.to_string(),
        };
        text.into_bytes()
    }
}

/// What a QR code shown to a 3.2 device's camera holds; no datagram is exchanged then.
#[derive(Clone, PartialEq, Eq)]
pub struct QrCode {
    /// Network name.
    pub ssid: String,
    /// Network password.
    pub password: Secret,
    /// Bind token.
    pub token: Secret,
}

impl QrCode {
    /// Reads the text of a code.
    ///
    /// # Errors
    ///
    /// [`CommandError`] as for datagrams.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        let object = Object::parse(text.as_bytes()).ok_or(CommandError::Malformed)?;
        let (ssid, password) = network_of(&object)?;
        Ok(Self { ssid, password, token: token_of(&object)? })
    }

    /// Writes the text; `SSID` is in capitals in the vendor's code.
    pub fn emit(&self) -> String {
        alloc::format!(
            r#"{{"SSID":{},"password":{},"token":{}}}"#,
            Value::from(self.ssid.as_str()),
            quoted(&self.password),
            quoted(&self.token)
        )
    }
}

fn network_of(object: &Object) -> Result<(String, Secret), CommandError> {
    let ssid = object.text("ssid").ok_or(CommandError::MissingField)?;
    let password = object.text("password").ok_or(CommandError::MissingField)?;
    Ok((ssid.to_string(), Secret::from(password)))
}

fn token_of(object: &Object) -> Result<Secret, CommandError> {
    let token = object.text("token").ok_or(CommandError::MissingField)?;
    Ok(Secret::from(token.chars().take(TOKEN_CHARS_MAX).collect::<String>()))
}

/// Writes a secret as a JSON string; one that is not UTF-8 cannot enter through this API.
fn quoted(secret: &Secret) -> String {
    Value::from(secret.expose_text().unwrap_or_default()).to_string()
}
