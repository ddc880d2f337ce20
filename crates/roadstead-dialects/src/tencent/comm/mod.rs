//! The comm service: UDP datagrams of JSON between phone and device while a device is provisioned.
//!
//! Bytes to typed messages and back, for both ends and for both generations (protocol 2.0 and
//! 3.0). Not here: when something is sent (device half: `device`, phone half: `app`).
//!
//! | message | direction | `cmdType` |
//! |---|---|---|
//! | [`Command::Token`] | phone to device | 0 |
//! | [`Command::Join`] | phone to device | 1 |
//! | [`Message::Identity`], [`Message::Record`] | device to phone | 2 |
//! | [`Command::ReadLog`] | phone to device | 3 |
//! | [`Command::ReadAuth`], [`Message::AuthInfo`] | both | 4, 5 |
//! | (number 6 is reserved and refused) | | 6 |
//! | [`Message::Progress`] | device to everybody | 7 |
//!
//! Beside them: the answer to `cmdType` 3 is plain text ([`log`]), and protocol 3.0 announces the
//! device's address in 11 bytes ([`Announcement`]).
//!
//! Source: Tencent §5.1 to §5.6, §13.3; `qcloud_wifi_config_comm_service.c` of SDK 3.1.5 and 3.2.1.

mod announcement;
mod command;
mod json;
pub mod log;
mod message;
mod record;

pub use announcement::Announcement;
pub use command::{Command, CommandError, QrCode};
pub use message::{Message, MessageError, Progress};
pub use record::{Record, RecordQueue, RecordText, id, sub};

/// Where the device listens for commands.
pub const COMMAND_PORT: u16 = 8266;
/// Where the device serves its log after a failure.
pub const LOG_PORT: u16 = 9876;
/// Where the phone hears addresses of protocol 3.0.
pub const ADDRESS_PORT: u16 = 18266;
/// Where the phone hears progress of protocol 3.0.
pub const PROGRESS_PORT: u16 = 8266;
/// Longest datagram a device reads, bytes; the rest is cut off.
pub const DATAGRAM_BYTES_MAX: usize = 1023;
/// Characters of a token that a device keeps.
pub const TOKEN_CHARS_MAX: usize = 32;

/// Generation of the comm service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `2.0`, SDK 3.1.
    V2,
    /// `3.0`, SDK 3.2; also every unknown higher number.
    V3,
}

impl Protocol {
    /// Returns the text of `protoVersion`.
    pub fn text(self) -> &'static str {
        match self {
            Self::V2 => "2.0",
            Self::V3 => "3.0",
        }
    }

    /// Reads `protoVersion`; `None` when it is no version.
    pub fn parse(text: &str) -> Option<Self> {
        let major: u32 = text.split('.').next()?.parse().ok()?;
        match major {
            0 => None,
            1 | 2 => Some(Self::V2),
            _ => Some(Self::V3),
        }
    }
}

#[cfg(test)]
mod tests;
