//! What devices say and what the platform says to them, in canonical words.
//!
//! A dialect turns wire messages into [`Uplink`]s and [`Downlink`]s into wire messages. Every
//! uplink that the device expects an answer to gets exactly one [`Answer`], after its effect is
//! durable.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::code::Code;
use crate::message::Properties;
use crate::product::Level;
use crate::shadow::{Shadow, Values};
use crate::{Map, RequestId, Timestamp, Value};

/// Something a device said.
#[derive(Clone, Debug, PartialEq)]
pub enum Uplink {
    /// Property values.
    Report {
        /// Values by service, already canonical.
        services: Vec<(Box<str>, Values)>,
        /// Keys or values that do not fit the model: key and what is wrong. The rest is stored.
        rejected: Vec<(Box<str>, Box<str>)>,
    },
    /// Facts about the device itself: `fw_version`, `module_version`, `mac`, …
    Info(Map<String, Value>),
    /// It asks for its shadow.
    ReadShadow,
    /// It has taken note of everything desired.
    ClearDesired,
    /// It has taken note of these: property ids by service.
    ForgetDesired(Vec<(Box<str>, Vec<Box<str>>)>),
    /// Things that happened, oldest first.
    Events(Vec<Occurrence>),
    /// It answers a [`Downlink`].
    Response {
        /// The request it answers; `None` when its mark is not one of ours.
        request: Option<RequestId>,
        /// The result.
        response: Response,
    },
    /// It presents a bind token.
    BindToken {
        /// The token; a secret until it is used.
        token: TokenText,
        /// Stage times the device measured itself, in its own order.
        stages: Vec<DeviceStage>,
        /// Provisioning method it says it used, such as `SoftAP`.
        method: Option<Box<str>>,
        /// How long a token is good that nobody else has made: devices of some vendors make their
        /// own. `None` where only phones make tokens.
        own_life: Option<Duration>,
    },
    /// Its user asked it to leave its owner.
    Unbind,
    /// It was reset to what left the factory: the owner goes, and as much as it says.
    Reset(Wipe),
    /// It asks for the time.
    Time,
    /// It asks how much it should log.
    LogLevel,
    /// It asks for its remote configuration.
    Config,
    /// Opaque bytes.
    Message {
        /// The channel: `raw`, `custom`, …
        channel: Box<str>,
        /// The bytes.
        payload: Bytes,
    },
    /// Log records it uploaded, secrets already masked.
    Logs(Vec<Box<str>>),
    /// A gateway speaks of its sub-devices.
    SubDevices(SubDevices),
    /// It asks for something that its dialect answers from what it knows; `what` names it.
    Asked {
        /// Vendor's name of it.
        what: Box<str>,
    },
    /// Understood as the vendor's, of no meaning to this platform; `what` names it.
    Ignored {
        /// Vendor's name of it.
        what: Box<str>,
    },
    /// Not understood.
    Malformed {
        /// Stable code.
        code: Code,
        /// What is wrong and where; never a secret.
        detail: Box<str>,
    },
}

/// How much a reset device wants forgotten, beside its owner and guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wipe {
    /// Nothing.
    Bindings,
    /// Its shadow.
    Shadow,
    /// Its shadow and what it told about itself.
    Everything,
}

/// A bind token as text; it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(pub crate::Secret);

impl core::fmt::Debug for TokenText {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("TokenText")
    }
}

/// One event of the thing model.
#[derive(Clone, Debug, PartialEq)]
pub struct Occurrence {
    /// Service id.
    pub service: Box<str>,
    /// Event id.
    pub event: Box<str>,
    /// How bad.
    pub level: Level,
    /// When, by the device's clock, or when it arrived.
    pub at: Timestamp,
    /// Canonical parameters.
    pub params: Map<String, Value>,
}

/// A device's answer to a [`Downlink`].
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// The device's own result code; 0 is success.
    pub code: i64,
    /// The device's words.
    pub status: Box<str>,
    /// Canonical output.
    pub output: Map<String, Value>,
    /// Opaque output of an opaque request.
    pub payload: Bytes,
}

/// A stage mark measured by the device, relative to its own clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceStage {
    /// Canonical name, see [`crate::attempt::Stage`].
    pub name: &'static str,
    /// The device's tick; only differences mean something.
    pub tick_ms: i64,
}

/// What a gateway says of its sub-devices.
#[derive(Clone, Debug, PartialEq)]
pub enum SubDevices {
    /// They are reachable.
    Online(Vec<SubDevice>),
    /// They are not.
    Offline(Vec<SubDevice>),
    /// It wants them attached; each with proof.
    Bind(Vec<SubDeviceProof>),
    /// It wants them detached.
    Unbind(Vec<SubDevice>),
    /// It asks which are attached.
    List,
    /// It wants these registered and attached: it may register what is behind it.
    Create(Vec<NewSubDevice>),
    /// It wants these deleted.
    Delete(Vec<SubDevice>),
    /// It asks for everything that is known about those attached.
    Describe,
    /// It lets a device in that has a proof of its own.
    Enter(SubDeviceProof),
    /// A device behind it wants another secret.
    ResetSecret {
        /// Which.
        device: SubDevice,
        /// What it has now, as its proof.
        old: TokenText,
        /// What it wants.
        new: TokenText,
    },
    /// Those attached to it log in, each with proof.
    Login(Vec<SubDeviceProof>),
    /// It asks for the secrets of devices that will be behind it, by their products' policy; the
    /// proof is empty where the vendor asks for none.
    Register(Vec<SubDeviceProof>),
    /// New devices that it sees by radio and that want to be let into the network.
    Found(Vec<SubDeviceProof>),
    /// It wants the key under which one of them reads the network's password.
    PasswordKey(SubDeviceProof),
}

/// A sub-device by the vendor's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubDevice {
    /// Product id; empty for a vendor that names sub-devices by device id.
    pub product: Box<str>,
    /// Node id, or the device id when `product` is empty.
    pub node: Box<str>,
}

impl SubDevice {
    /// Returns a sub-device of a vendor that names them by device id.
    pub fn of_id(id: impl Into<Box<str>>) -> Self {
        Self { product: "".into(), node: id.into() }
    }

    /// Returns the device id, if that is what names it.
    pub fn id(&self) -> Option<&str> {
        self.product.is_empty().then_some(&*self.node)
    }
}

/// A sub-device that its gateway wants registered.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSubDevice {
    /// Product and node id.
    pub device: SubDevice,
    /// Device id, where the gateway chose one.
    pub id: Option<Box<str>>,
    /// Display name; empty for none.
    pub name: Box<str>,
    /// What the gateway says about it.
    pub info: Map<String, Value>,
}

/// What a gateway is told about a sub-device.
#[derive(Clone, Debug, PartialEq)]
pub struct SubDeviceFacts {
    /// Product and node id.
    pub device: SubDevice,
    /// Device id.
    pub id: Box<str>,
    /// Display name.
    pub name: Box<str>,
    /// The gateway it is attached to.
    pub gateway: Option<Box<str>>,
    /// What it told about itself.
    pub info: Map<String, Value>,
    /// State as the APIs show it.
    pub status: crate::device::Status,
}

/// A sub-device with the signature its gateway made; the dialect checks it against the secret.
#[derive(Clone, Debug, PartialEq)]
pub struct SubDeviceProof {
    /// Which.
    pub device: SubDevice,
    /// Opaque to the core; the dialect that made it verifies it.
    pub proof: Map<String, Value>,
}

/// What the platform answers to an [`Uplink`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Done and durable.
    Done,
    /// Done for the most part; the text says what was left out.
    Partly {
        /// Stable code.
        code: Code,
        /// What was left out.
        detail: Box<str>,
    },
    /// Not done; nothing changed.
    Refused {
        /// Stable code.
        code: Code,
        /// Why, for people.
        detail: Box<str>,
    },
    /// The shadow it asked for.
    Shadow(Box<Shadow>),
    /// The time it asked for.
    Time {
        /// When the question arrived.
        received: Timestamp,
        /// When the answer leaves.
        sent: Timestamp,
    },
    /// 0 off, 1 error, 2 warning, 3 information, 4 debug.
    LogLevel(u8),
    /// Its remote configuration, if there is one.
    Config(Option<Value>),
    /// One result per sub-device asked about, in order.
    SubDevices(Vec<(SubDevice, Result<(), Code>)>),
    /// What became of the sub-devices it wanted registered, in order.
    Created(Vec<(SubDevice, Result<SubDeviceFacts, Code>)>),
    /// What is known about its sub-devices.
    Described(Vec<SubDeviceFacts>),
    /// What became of the secrets it asked for, in order.
    Registered(Vec<(SubDevice, Result<SubDeviceSecret, Code>)>),
}

/// The secret of a device that a gateway may use for it; it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct SubDeviceSecret {
    /// Device id.
    pub id: Box<str>,
    /// Secret as the vendor shows it.
    pub secret: crate::Secret,
}

impl core::fmt::Debug for SubDeviceSecret {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SubDeviceSecret({})", self.id)
    }
}

/// Where a message to a device goes, in the words that every dialect understands or refuses.
pub mod channel {
    /// The topic on which this vendor's devices expect messages of the platform.
    pub const DEFAULT: &str = "default";
    /// Before the end of a topic of the product's own: `topic/alarm`. The vendor's prefix that
    /// names the device is the dialect's to add.
    pub const TOPIC: &str = "topic/";
    /// Before a whole topic name: `topic_name/a/b`.
    pub const TOPIC_NAME: &str = "topic_name/";
}

/// What the sender of a message said about it. A vendor whose messages are documents writes it
/// around `content`; the others send the payload alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    /// Id of the message, unique per device.
    pub id: Box<str>,
    /// Name that the application gave it.
    pub name: Option<Box<str>>,
    /// The content as the application gave it: text, or a JSON object.
    pub content: Value,
}

/// Something the platform says to a device.
#[derive(Clone, Debug, PartialEq)]
pub enum Downlink {
    /// Set properties of one service.
    SetProperties {
        /// Service id.
        service: Box<str>,
        /// Canonical values, already checked against the model.
        properties: Map<String, Value>,
    },
    /// Ask for properties of one service; empty means all.
    GetProperties {
        /// Service id.
        service: Box<str>,
        /// Property ids.
        properties: Vec<Box<str>>,
    },
    /// Do something.
    Command {
        /// Service id.
        service: Box<str>,
        /// Command id.
        command: Box<str>,
        /// Canonical parameters, already checked against the model.
        params: Map<String, Value>,
    },
    /// Opaque bytes.
    Message {
        /// Where to: a name of [`channel`], a vendor's own (`raw`, `custom`, `broadcast`, …), or
        /// one of the two prefixes there with a topic behind it.
        channel: Box<str>,
        /// The bytes.
        payload: Bytes,
        /// What the sender said about it, for vendors that write it around the content.
        envelope: Option<Box<Envelope>>,
        /// What goes beside the payload to devices of MQTT 5; the others do not get it.
        properties: Option<Box<Properties>>,
    },
    /// Opaque bytes that want opaque bytes back (RRPC).
    Call(Bytes),
    /// The owner gave it up: erase what is the owner's.
    Unbound,
    /// It belongs to another instance now: ask where to connect, and connect there.
    Moved,
    /// How much it should log from now on.
    LogLevel(u8),
    /// New remote configuration.
    Config(Value),
    /// To a gateway: these were attached or detached. To a connection that lets devices in: these
    /// may no longer be connected.
    SubDevicesChanged {
        /// Attached or detached.
        attached: bool,
        /// Which.
        devices: Vec<SubDevice>,
        /// What is known about them, in the same order; for vendors that tell the gateway.
        facts: Vec<SubDeviceFacts>,
    },
    /// It was frozen, thawed or deleted; what ends its connection follows.
    Standing(Standing),
    /// To a gateway: these were frozen, thawed or deleted.
    SubDevicesStanding {
        /// What became of them.
        standing: Standing,
        /// Which.
        devices: Vec<SubDevice>,
    },
    /// To a gateway: these belong behind it; it attaches them and logs them in.
    InviteSubDevices(Vec<SubDevice>),
    /// To a device that saw a new one: let it into the network.
    Admit(SubDevice),
    /// To a gateway: start or stop looking for sub-devices.
    SearchSubDevices {
        /// Start or stop.
        start: bool,
    },
}

impl Uplink {
    /// Returns the name used in trace and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Report { .. } => "report",
            Self::Info(_) => "info",
            Self::ReadShadow => "read_shadow",
            Self::ClearDesired | Self::ForgetDesired(_) => "clear_desired",
            Self::Events(_) => "event",
            Self::Response { .. } => "response",
            Self::BindToken { .. } => "bind_token",
            Self::Unbind => "unbind",
            Self::Reset(_) => "reset",
            Self::Time => "time",
            Self::LogLevel => "log_level",
            Self::Config => "config",
            Self::Message { .. } => "message",
            Self::Logs(_) => "logs",
            Self::SubDevices(SubDevices::Online(_)) => "sub_online",
            Self::SubDevices(SubDevices::Offline(_)) => "sub_offline",
            Self::SubDevices(SubDevices::Bind(_)) => "sub_bind",
            Self::SubDevices(SubDevices::Unbind(_)) => "sub_unbind",
            Self::SubDevices(SubDevices::List) => "sub_list",
            Self::SubDevices(SubDevices::Create(_)) => "sub_create",
            Self::SubDevices(SubDevices::Delete(_)) => "sub_delete",
            Self::SubDevices(SubDevices::Describe) => "sub_describe",
            Self::SubDevices(SubDevices::Enter(_)) => "sub_enter",
            Self::SubDevices(SubDevices::ResetSecret { .. }) => "sub_reset_secret",
            Self::SubDevices(SubDevices::Found(_)) => "sub_found",
            Self::SubDevices(SubDevices::PasswordKey(_)) => "password_key",
            Self::SubDevices(SubDevices::Login(_)) => "sub_login",
            Self::SubDevices(SubDevices::Register(_)) => "sub_register",
            Self::Asked { .. } => "asked",
            Self::Ignored { .. } => "ignored",
            Self::Malformed { .. } => "malformed",
        }
    }
}

/// What an operator made of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may not log in any more.
    Frozen,
    /// It may again.
    Thawed,
    /// It is no device here any more.
    Deleted,
}

impl Downlink {
    /// Returns opaque bytes for a channel, without an envelope.
    pub fn message(channel: &str, payload: Bytes) -> Self {
        Self::Message { channel: channel.into(), payload, envelope: None, properties: None }
    }

    /// Returns the name used in trace and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::SetProperties { .. } => "set_properties",
            Self::GetProperties { .. } => "get_properties",
            Self::Command { .. } => "command",
            Self::Message { .. } => "message",
            Self::Call(_) => "call",
            Self::Unbound => "unbound",
            Self::Moved => "moved",
            Self::LogLevel(_) => "log_level",
            Self::Config(_) => "config",
            Self::SubDevicesChanged { .. } => "sub_changed",
            Self::Standing(Standing::Frozen) => "frozen",
            Self::Standing(Standing::Thawed) => "thawed",
            Self::Standing(Standing::Deleted) => "deleted",
            Self::SubDevicesStanding { .. } => "sub_standing",
            Self::InviteSubDevices(_) => "sub_invite",
            Self::Admit(_) => "admit",
            Self::SearchSubDevices { .. } => "sub_search",
        }
    }

    /// Returns how long the device gets by default, `None` when it never answers.
    pub fn deadline(&self) -> Option<Duration> {
        match self {
            Self::SetProperties { .. }
            | Self::GetProperties { .. }
            | Self::Command { .. }
            | Self::Call(_) => Some(crate::limit::COMMAND_DEADLINE),
            Self::Message { .. }
            | Self::Unbound
            | Self::Moved
            | Self::LogLevel(_)
            | Self::Config(_)
            | Self::SubDevicesChanged { .. }
            | Self::Standing(_)
            | Self::SubDevicesStanding { .. }
            | Self::InviteSubDevices(_)
            | Self::Admit(_)
            | Self::SearchSubDevices { .. } => None,
        }
    }
}
