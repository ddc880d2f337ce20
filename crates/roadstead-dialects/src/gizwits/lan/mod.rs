//! Phone and module on the local network: UDP discovery, TCP session, the frames of both.
//!
//! ```text
//! datagram --> udp()      --> Frame --> Message
//! stream   --> Framer     --> Frame --> Message      Message::emit --> bytes
//! ```
//! Both ends live here because both must live with the same lies about lengths: real modules
//! declare 119 bytes and send 87, or 15 and send 5; real apps split a long length wrongly.
//!
//! Source: GizWits §1; transcripts lan_app, softap, wrong_passcode.

mod frame;
mod framer;
mod message;
#[cfg(test)]
mod tests;

pub use frame::{Frame, HEAD, LEN_MAX, begin, finish, udp, varint};
pub use framer::{BUFFER_BYTES, Framer};
pub use message::{Block, Hotspot, Hotspots, Message, VersionInfo};

/// UDP port of the module: onboarding and discovery.
pub const UDP_PORT: u16 = 12414;
/// UDP port to which the module announces itself.
pub const ANNOUNCE_PORT: u16 = 2415;
/// TCP port of the module.
pub const TCP_PORT: u16 = 12416;
/// TCP port of the configuration page, only while its own access point is open.
pub const WEB_PORT: u16 = 80;
/// Longest network name and password on any carrier, bytes (seed §6.3_5).
pub const CREDENTIAL_MAX: usize = 32;
/// Name of the module's own network before the last four digits of the MAC address.
pub const SOFTAP_PREFIX: &str = "XPG-GAgent-";
/// Password of the module's own network.
pub const SOFTAP_PASSWORD: &str = "123456789";
/// Address of the module in its own network.
pub const SOFTAP_IP: core::net::Ipv4Addr = core::net::Ipv4Addr::new(10, 10, 100, 254);

/// Command words.
pub mod cmd {
    #![allow(missing_docs, reason = "names of the table in GizWits §1.3")]
    pub const ONBOARD: u16 = 0x01;
    pub const ONBOARD_ACK: u16 = 0x02;
    pub const DISCOVER: u16 = 0x03;
    pub const FOUND: u16 = 0x04;
    pub const ANNOUNCE: u16 = 0x05;
    pub const PASSCODE_REQUEST: u16 = 0x06;
    pub const PASSCODE: u16 = 0x07;
    pub const LOGIN: u16 = 0x08;
    pub const LOGIN_RESULT: u16 = 0x09;
    pub const VERSION_REQUEST: u16 = 0x0A;
    pub const VERSION: u16 = 0x0B;
    pub const HOTSPOTS_REQUEST: u16 = 0x0C;
    pub const HOTSPOTS: u16 = 0x0D;
    pub const LOG_SWITCH: u16 = 0x10;
    pub const LOG_LINE: u16 = 0x12;
    pub const INFO_REQUEST: u16 = 0x13;
    pub const INFO: u16 = 0x14;
    pub const HEARTBEAT: u16 = 0x15;
    pub const HEARTBEAT_ACK: u16 = 0x16;
    pub const TEST_DONE: u16 = 0x17;
    pub const TEST_DONE_ACK: u16 = 0x18;
    pub const CONFIGURED: u16 = 0x19;
    pub const CONTROL: u16 = 0x90;
    pub const REPORT: u16 = 0x91;
    pub const CONTROL_SN: u16 = 0x93;
    pub const REPORT_SN: u16 = 0x94;
}
