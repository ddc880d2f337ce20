//! What devices and phones say on the LAN: JSON in CoAP at UDP 5683.
//!
//! - [`message`]: the envelope of requests and answers.
//! - [`info`]: the description of a device that most of them carry, with or without a bind token.
//! - [`resource`]: the paths.
//!
//! Every resource takes GET with a payload, the devices' own announcements are POST (trap 11).
//! Credentials are in `softap`, control without the cloud in `alcs`.
//!
//! Source: Alibaba §5.2, §5.3, §7; Link Kit 3.0.1 and smart-living 1.6.0, transcripts v301_*,
//! l16_*.

pub mod info;
pub mod message;
pub mod resource;

pub use info::{CipherType, DeviceInfo, InfoProof, Maker, TokenInfo};
pub use message::{Answer, Ask, IdStyle, MessageError, trim};
pub use resource::Resource;

/// UDP port of devices; broadcasts go there, too.
pub const PORT: u16 = 5683;
/// Announcement of a device with a bind token that the platform has confirmed (§5.2).
pub const DEVICE_INFO_NOTIFY: &str = "/sys/device/info/notify";
/// Announcement of a device that has joined the router (§7).
pub const CONNECTAP_NOTIFY: &str = "/sys/awss/event/connectap/notify";
/// Announcement of a device in a phone's or router's setup network (§7.4).
pub const AWSS_INFO_NOTIFY: &str = "/sys/awss/device/info/notify";
/// Announcement of local control (§10).
pub const DISCOVERY_NOTIFY: &str = "/dev/core/service/dev/notify";

#[cfg(test)]
mod tests;
