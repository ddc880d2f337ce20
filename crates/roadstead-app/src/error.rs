//! Why a phone's request or an onboarding failed.

use roadstead_dialects::alibaba::app::{ControlError, ProvisionerError};
use roadstead_dialects::tencent::app::DialogueError;
use roadstead_wire::airlink::EncodeError;
use roadstead_wire::ble::Failure;
use roadstead_wire::softap::PhoneError;

use crate::module::ModuleError;

/// Every failure of this crate, each with a stable code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The platform refused; code and text are its own.
    #[error("the platform answered {status}: {message}")]
    Api {
        /// HTTP status.
        status: u16,
        /// Stable code.
        code: String,
        /// The platform's words.
        message: String,
    },
    /// The platform was not reached, or its answer is not readable.
    #[error("talking to the platform")]
    Transport(#[from] reqwest::Error),
    /// The phone's own socket failed.
    #[error("the phone's UDP socket at {address}")]
    Socket {
        /// Which.
        address: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The device said what went wrong.
    #[error(transparent)]
    Device(#[from] DialogueError),
    /// The device refused network and token.
    #[error(transparent)]
    Refused(#[from] ProvisionerError),
    /// The device is not controlled in the LAN.
    #[error(transparent)]
    Local(#[from] ControlError),
    /// The device answered a request in the LAN with a refusal.
    #[error("the device answered {number}: {words}")]
    LocalAnswer {
        /// Vendor's number.
        number: i64,
        /// Vendor's words.
        words: String,
    },
    /// The device said why its last try failed.
    #[error("the device reported `{words}`")]
    Said {
        /// Stable code.
        code: String,
        /// Its words.
        words: String,
    },
    /// A module was not configured, or is not reached in the LAN.
    #[error(transparent)]
    Module(#[from] ModuleError),
    /// The scheme cannot carry the credentials.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The sealed dialogue in the device's own access point failed.
    #[error(transparent)]
    Sealed(#[from] PhoneError),
    /// The dialogue over Bluetooth failed.
    #[error(transparent)]
    Bluetooth(#[from] Failure),
    /// The platform says that the token cannot be used any longer.
    #[error("the platform refused the device's token: {code}")]
    Token {
        /// Stable code.
        code: String,
    },
    /// The device never answered, and the platform never heard of it.
    #[error("the device did not answer, and never reached the platform")]
    Silent,
    /// The device answered, but the platform never heard of it.
    #[error("the device answered, but did not reach the platform in time")]
    NotReported,
}

impl AppError {
    /// Returns the code that API, attempts and documentation share.
    pub fn code(&self) -> &str {
        match self {
            Self::Api { code, .. } | Self::Token { code } | Self::Said { code, .. } => code,
            Self::Transport(error) if error.is_decode() => "client.answer",
            Self::Transport(_) => "client.unreachable",
            Self::Socket { .. } => "client.socket",
            Self::Device(error) => error.code(),
            Self::Refused(error) => error.code(),
            Self::Local(error) => error.code(),
            Self::LocalAnswer { .. } => "command.refused",
            Self::Module(error) => error.code(),
            Self::Encode(error) => error.code(),
            Self::Sealed(error) => error.code(),
            Self::Bluetooth(failure) => failure.code(),
            Self::Silent => "attempt.device_silent",
            Self::NotReported => "attempt.never_connected",
        }
    }
}
