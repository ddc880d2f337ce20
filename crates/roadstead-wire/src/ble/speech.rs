//! What phones and devices say, whatever the framing.

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

use crate::airlink::Mac;

/// What a phone tells or asks a device. Its `Debug` is the name alone.
#[derive(Clone, PartialEq, Eq)]
pub enum Order {
    /// Begin: who are you, and, where the framing can, let us agree on a key.
    Open,
    /// Be a station; any other mode is refused.
    Station,
    /// Name and password of the network to join, and its access point if that is known.
    Network(Network),
    /// Join the network told before.
    Connect,
    /// Your bind token.
    Token(Zeroizing<Vec<u8>>),
    /// How is your link?
    Status,
    /// Which networks do you hear?
    Scan,
    /// Tell your log.
    Log,
    /// Leave the network.
    Disconnect,
    /// The phone is through.
    Close,
}

impl Order {
    /// Returns its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Station => "station",
            Self::Network(_) => "network",
            Self::Connect => "connect",
            Self::Token(_) => "token",
            Self::Status => "status",
            Self::Scan => "scan",
            Self::Log => "log",
            Self::Disconnect => "disconnect",
            Self::Close => "close",
        }
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A network to join. Does not print its password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Name, 1..=32 bytes.
    pub ssid: Vec<u8>,
    /// Password, up to 64 bytes; empty for an open network.
    pub password: Zeroizing<Vec<u8>>,
    /// Access point, if the phone told.
    pub bssid: Option<Mac>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Network({})", alloc::string::String::from_utf8_lossy(&self.ssid))
    }
}

/// What a device tells a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Who it is; empty where the framing has no name.
    Info {
        /// Name of the device, up to 48 bytes.
        name: Vec<u8>,
    },
    /// It did, or refused to do, a step.
    Step(Step, bool),
    /// Its link to the network.
    Link(Link),
    /// Whether the token was taken and the device is bound or on its way.
    Token(bool),
    /// Networks it hears: name and signal in dBm.
    Networks(Vec<(Vec<u8>, i8)>),
    /// Its log.
    Log(Vec<u8>),
    /// Whether it takes credentials, or a person has to confirm at the device first.
    Authorized(bool),
    /// It could not read what the phone sent; the number is the framing's.
    Error(u8),
}

/// A step of LLSync that is answered on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// [`Order::Station`].
    Station,
    /// [`Order::Network`].
    Network,
}

/// Which report answers an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// [`Report::Info`].
    Info,
    /// [`Report::Step`].
    Step(Step),
    /// [`Report::Link`] with a final state.
    Link,
    /// [`Report::Token`].
    Token,
    /// [`Report::Log`].
    Log,
    /// [`Report::Networks`].
    Networks,
}

/// A device's link to its network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// How it stands.
    pub state: LinkState,
    /// The network; may be empty when there is none.
    pub ssid: Vec<u8>,
    /// The access point, if known.
    pub bssid: Option<Mac>,
    /// Reason of a failure, in the numbers of 802.11 and of Espressif above 200.
    pub reason: Option<u8>,
}

/// How a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Joined, with an address.
    Connected,
    /// Not joined.
    Failed,
    /// About to join.
    Connecting,
    /// Joined, without an address yet.
    NoAddress,
}

/// Why bytes were refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// A frame is cut short, or its fields contradict each other.
    #[error("the frame is malformed")]
    Malformed,
    /// A frame is missing or came twice.
    #[error("a frame is missing: number {got} instead of {want}")]
    Sequence {
        /// Number that was due.
        want: u8,
        /// Number that came.
        got: u8,
    },
    /// The checksum does not fit.
    #[error("the checksum does not fit")]
    Checksum,
    /// Encrypted before a key was agreed on.
    #[error("encrypted, but no key is agreed on")]
    NoKey,
    /// The parameters of the key agreement are unusable.
    #[error("the parameters of the key agreement are unusable")]
    Agreement,
    /// Credentials in the clear, where this end insists on encryption.
    #[error("credentials must be encrypted")]
    Insecure,
    /// The message is longer than the limit.
    #[error("the message is too long")]
    TooLong,
    /// A network name or password of an impossible length.
    #[error("network name or password has an impossible length")]
    Network,
}

impl Refusal {
    /// Returns the stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed | Self::TooLong | Self::Network => "ble.malformed",
            Self::Sequence { .. } => "ble.sequence",
            Self::Checksum => "ble.checksum",
            Self::NoKey | Self::Agreement => "ble.no_key",
            Self::Insecure => "ble.insecure",
        }
    }
}
