//! The simulated air between a phone and a device that are processes of one machine: what would
//! be a radio frame is a datagram on loopback.
//!
//! A phone *sends* through a simulated access point (`wire::airlink::air`), losses included, and
//! passes on what a receiver would hear of it; or it connects over simulated Bluetooth, where
//! nothing is lost, as the link layer repeats. A device listens at [`PORT`] of its own address.
//!
//! Each datagram is a JSON object: a sniffed frame
//! `{"t_us", "channel", "up", "src", "dst", "bssid", "seq", "length"}`, or one of
//! `{"gatt": "connect", "size"}`, `{"gatt": "write" | "notify", "hex"}`, `{"gatt": "disconnect"}`.
//! No vendor's format.

#[cfg(all(test, feature = "device"))]
pub(crate) mod lossy;

use alloc::string::ToString;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use roadstead_core::Value;
use roadstead_wire::airlink::{Direction, Frame, Mac, Scheme};
use serde_json::json;

/// UDP port of a simulated radio, unless it is told another one.
pub const PORT: u16 = 17_070;
/// Bytes of the longest datagram.
pub const DATAGRAM_MAX: usize = 2048;

/// How credentials reach a device through the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// In the lengths or addresses of frames that it overhears.
    Sniffed(Scheme),
    /// Over Bluetooth: BluFi with security.
    BluFi,
    /// Over Bluetooth: the subset of BluFi without security.
    Combo,
    /// Over Bluetooth: LLSync.
    LlSync,
}

impl Bearer {
    /// Returns the name used on the command line and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sniffed(scheme) => scheme.name(),
            Self::BluFi => "blufi",
            Self::Combo => "combo",
            Self::LlSync => "llsync",
        }
    }
}

impl fmt::Display for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such way through the air")]
pub struct UnknownBearer;

impl FromStr for Bearer {
    type Err = UnknownBearer;

    fn from_str(text: &str) -> Result<Self, UnknownBearer> {
        match text {
            "blufi" => Ok(Self::BluFi),
            "combo" => Ok(Self::Combo),
            "llsync" => Ok(Self::LlSync),
            text => text.parse().map(Self::Sniffed).map_err(|_| UnknownBearer),
        }
    }
}

/// One datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A frame that a receiver on its channel hears; its time is the sender's.
    Frame(Frame),
    /// A phone connects and can write this many bytes at once.
    Connect {
        /// ATT MTU less 3.
        size: usize,
    },
    /// The phone writes.
    Write(Vec<u8>),
    /// The device notifies.
    Notify(Vec<u8>),
    /// Either side closes the connection.
    Disconnect,
}

impl Said {
    /// Writes the datagram.
    pub fn emit(&self) -> Vec<u8> {
        let value = match self {
            Self::Frame(frame) => json!({
                "t_us": frame.at_us,
                "channel": frame.channel,
                "up": frame.direction == Direction::Up,
                "src": frame.source.to_string(),
                "dst": frame.destination.to_string(),
                "bssid": frame.bssid.to_string(),
                "seq": frame.sequence,
                "length": frame.length,
            }),
            Self::Connect { size } => json!({ "gatt": "connect", "size": size }),
            Self::Write(bytes) => json!({ "gatt": "write", "hex": hex::encode(bytes) }),
            Self::Notify(bytes) => json!({ "gatt": "notify", "hex": hex::encode(bytes) }),
            Self::Disconnect => json!({ "gatt": "disconnect" }),
        };
        value.to_string().into_bytes()
    }

    /// Reads a datagram; `None` for anything else.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let content = || hex::decode(value["hex"].as_str()?).ok();
        match value["gatt"].as_str() {
            None => frame(&value).map(Self::Frame),
            Some("connect") => {
                Some(Self::Connect { size: usize::try_from(value["size"].as_u64()?).ok()? })
            }
            Some("write") => content().map(Self::Write),
            Some("notify") => content().map(Self::Notify),
            Some("disconnect") => Some(Self::Disconnect),
            Some(_) => None,
        }
    }
}

fn frame(value: &Value) -> Option<Frame> {
    let mac = |key: &str| value[key].as_str()?.parse::<Mac>().ok();
    let number = &value["seq"];
    let sequence = match number.as_u64().map(u16::try_from) {
        None if number.is_null() => None,
        Some(Ok(number @ 0..4096)) => Some(number),
        _ => return None,
    };
    Some(Frame {
        at_us: value["t_us"].as_u64(),
        channel: u8::try_from(value["channel"].as_u64()?).ok()?,
        direction: if value["up"].as_bool()? { Direction::Up } else { Direction::Down },
        source: mac("src")?,
        destination: mac("dst")?,
        bssid: mac("bssid")?,
        sequence,
        length: u16::try_from(value["length"].as_u64()?).ok()?,
        overhead: None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_said_is_heard(
            at_us in any::<Option<u32>>(), channel: u8, up: bool, source: [u8; 6],
            destination: [u8; 6], sequence in prop::option::of(0_u16..4096), length: u16,
        ) {
            let frame = Frame {
                at_us: at_us.map(u64::from),
                channel,
                direction: if up { Direction::Up } else { Direction::Down },
                source: Mac(source),
                destination: Mac(destination),
                bssid: Mac([1; 6]),
                sequence,
                length,
                overhead: None,
            };
            let said = Said::Frame(frame);
            prop_assert_eq!(Said::parse(&said.emit()), Some(said));
        }

        #[test]
        fn bluetooth_is_heard_and_garbage_is_not(bytes: Vec<u8>, size in 0_usize..600) {
            prop_assert_eq!(Said::parse(&bytes), None);
            for said in [
                Said::Connect { size },
                Said::Write(bytes.clone()),
                Said::Notify(bytes),
                Said::Disconnect,
            ] {
                prop_assert_eq!(Said::parse(&said.emit()), Some(said));
            }
        }
    }

    #[test]
    fn bearers_have_names() {
        let others = [Bearer::BluFi, Bearer::Combo, Bearer::LlSync];
        for bearer in Scheme::ALL.map(Bearer::Sniffed).into_iter().chain(others) {
            assert_eq!(bearer.name().parse(), Ok(bearer));
        }
        assert_eq!("softap".parse::<Bearer>(), Err(UnknownBearer));
    }
}
