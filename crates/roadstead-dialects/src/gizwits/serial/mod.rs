//! The serial line between the MCU and the module, as seen from either end.
//!
//! ```text
//! bytes --> Decoder --> Frame --> module or MCU --> Link --> encode --> bytes
//!           escaping              decides            one outstanding command,
//!           checksum                                 retransmission
//! ```
//!
//! Nothing here knows what a module does; [`super::module`] and [`super::mcu`] do. The line is
//! 9600 8N1 without flow control ([`BAUD`]).
//!
//! Source: GizWits §2; seed §3_5; transcripts of GAgent 04020006.

mod codec;
mod command;
mod info;
mod link;
#[cfg(test)]
mod tests;

pub use codec::{Decoder, FRAME_LEN_MAX, Frame, Received, encode};
pub use command::{Command, ConfigMode, Illegal};
pub use info::{DeviceInfo, InfoError, ModuleInfo, Offer, Piece, Ready, Status, network_time};
pub use link::{Link, LinkPolicy, Lost, QUEUE_MAX, Timed};

/// Speed of the line in bits per second; a byte takes ten bits (seed §3_5).
pub const BAUD: u32 = 9600;
