//! A session: one connection of a device. The higher epoch wins a take-over.

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Grows with every log-in of the instance; a connection with a lower epoch has lost.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Epoch(pub u64);

/// Why a connection ended. The code is part of the trace and of `why`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The device said goodbye.
    Disconnected,
    /// The device closed or reset the socket without a goodbye.
    Lost,
    /// Nothing heard for 1.5 × keep-alive.
    KeepAlive,
    /// The same device logged in again.
    TakenOver,
    /// The device broke the protocol.
    Protocol,
    /// The operator froze or deleted the device, or its secret changed.
    Revoked,
    /// The device did not take its messages fast enough.
    TooSlow,
    /// The server is stopping.
    Shutdown,
    /// A sub-device's gateway went away or reported it offline.
    Gateway,
    /// The server stopped without warning while the device was on line.
    ServerLost,
}

impl Ending {
    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Disconnected => "session.disconnected",
            Self::Lost => "session.lost",
            Self::KeepAlive => "session.keep_alive",
            Self::TakenOver => "session.taken_over",
            Self::Protocol => "session.protocol",
            Self::Revoked => "session.revoked",
            Self::TooSlow => "session.too_slow",
            Self::Shutdown => "session.shutdown",
            Self::Gateway => "session.gateway",
            Self::ServerLost => "session.server_lost",
        }
    }
}

/// What is known of a device's connection, on line or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// True while a session lives.
    pub online: bool,
    /// Epoch of the last session.
    pub epoch: Epoch,
    /// Start of the last session.
    pub online_at: Option<Timestamp>,
    /// End of the last session.
    pub offline_at: Option<Timestamp>,
    /// Why the last session ended.
    pub ending: Option<Ending>,
    /// Remote address of the last session.
    pub peer: Option<Box<str>>,
    /// Transport of the last session: `tcp`, `tls-psk`, `tls-cert`, …
    pub transport: Option<Box<str>>,
    /// Last refused log-in: code and time.
    pub refusal: Option<(Box<str>, Timestamp)>,
}
