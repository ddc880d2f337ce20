//! The phone half: finding modules, giving them a network, talking to them in the LAN.
//!
//! ```text
//! Search  --- 0x0003 broadcast, answers and announcements --> who is there
//! Onboard --- 0x0001 in the module's own network, then Search at home --> configured
//! Talk    --- passcode, log-in, control, status, heartbeats, log --> one module
//! ```
//! All three are machines without socket and clock. They live with what real modules do: lengths
//! that lie, connections closed after a list, empty answers to controls.
//!
//! Source: GizWits §1.6, §1.7, §6; seed §7; transcripts softap, lan_app, wrong_passcode.

mod onboard;
mod search;
mod talk;
#[cfg(test)]
mod tests;

use alloc::string::String;

use super::lan::Block;

pub use onboard::{Onboard, OnboardInput, OnboardOutput, OnboardPolicy, OnboardTask};
pub use search::{Search, SearchOutput, discover, heard};
pub use talk::{
    Hotspot, Talk, TalkError, TalkEvent, TalkInput, TalkOutput, TalkPolicy, TalkRequest,
};

/// A module that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Device id; empty before registration.
    pub did: String,
    /// MAC address, 12 hexadecimal digits, upper case.
    pub mac: String,
    /// Product key.
    pub product_key: String,
    /// It is a gateway for others.
    pub is_gateway: bool,
    /// It says that it was configured just now.
    pub is_fresh: bool,
    /// `host:port` of its API, from newer firmware.
    pub api_server: Option<String>,
}

impl Found {
    fn of(block: &Block<'_>) -> Self {
        let [.., last] = block.attributes;
        Self {
            did: text(block.did),
            mac: hex::encode_upper(block.mac),
            product_key: text(block.product_key),
            is_gateway: last & 1 == 1,
            is_fresh: false,
            api_server: block.api_server.map(text),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
