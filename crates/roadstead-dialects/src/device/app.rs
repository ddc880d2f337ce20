//! The alphabet between a machine and the application that runs on the device.
//!
//! Values are canonical: booleans are booleans, enums are names, numbers as displayed. Without a
//! thing model the machine passes the vendor's own coding through.

use alloc::boxed::Box;
use alloc::string::String;

use roadstead_core::exchange::SubDevice;
use roadstead_core::product::Level;
use roadstead_core::{Code, Map, Secret, Timestamp, Value};

/// Whom something is about: the device itself (`None`) or a sub-device of it.
pub type Node = Option<SubDevice>;

/// Names a question of the platform until it is answered.
pub type RequestKey = u64;

/// What the application wants.
pub enum Request {
    /// Report property values.
    Report {
        /// Whose.
        node: Node,
        /// Service id; vendors without services know only the default one.
        service: Box<str>,
        /// Canonical values.
        properties: Map<String, Value>,
    },
    /// Report facts about the device itself.
    Info(Map<String, Value>),
    /// Tell that something happened.
    Post {
        /// Whose.
        node: Node,
        /// Service id.
        service: Box<str>,
        /// Event id.
        event: Box<str>,
        /// How bad.
        level: Level,
        /// Canonical parameters.
        params: Map<String, Value>,
    },
    /// Answer an [`Event::Set`] or [`Event::Command`].
    Answer {
        /// Of the question.
        key: RequestKey,
        /// 0 is success.
        code: i64,
        /// Words for people.
        status: String,
        /// Canonical output of a command.
        output: Map<String, Value>,
    },
    /// The user at the device gives it up.
    Unbind,
    /// As a gateway: say this of a sub-device.
    SubDevice {
        /// Which.
        device: SubDevice,
        /// What.
        action: SubDeviceAction,
    },
    /// The camera read this QR code.
    Scanned(String),
    /// Erase what is the owner's and start provisioning.
    Reset,
}

/// What a gateway can say of a sub-device.
#[derive(Clone, PartialEq, Eq)]
pub enum SubDeviceAction {
    /// Attach it; the proof is made with its secret.
    Bind {
        /// Device secret as the vendor shows it.
        secret: Secret,
    },
    /// Detach it.
    Unbind,
    /// It is reachable.
    Online,
    /// It is not.
    Offline,
}

/// What the application must know.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Logged in, subscribed and ready for reports.
    Online,
    /// No longer.
    Offline,
    /// The device has a new owner.
    Bound,
    /// The device has no owner any longer: erase what is the owner's.
    Unbound,
    /// Set these properties, then answer, then report.
    Set {
        /// For the answer.
        key: RequestKey,
        /// Whose.
        node: Node,
        /// Service id; vendors without services know only the default one.
        service: Box<str>,
        /// Canonical values.
        properties: Map<String, Value>,
    },
    /// Do this, then answer.
    Command {
        /// For the answer.
        key: RequestKey,
        /// Whose.
        node: Node,
        /// Service id.
        service: Box<str>,
        /// Command id.
        command: Box<str>,
        /// Canonical parameters.
        params: Map<String, Value>,
    },
    /// The platform keeps this state for the device.
    Shadow {
        /// Service id.
        service: Box<str>,
        /// Reported, canonical.
        reported: Map<String, Value>,
    },
    /// A report, event or request was not taken.
    Rejected {
        /// Vendor's name of what it was.
        what: Box<str>,
        /// Stable code: `command.timeout` when no answer came.
        code: Code,
        /// The platform's words.
        detail: String,
    },
    /// The date.
    Clock(Timestamp),
    /// The platform's answer about a sub-device, or its word about one; 0 is success.
    SubDevice {
        /// Which.
        device: SubDevice,
        /// Vendor's name of the request.
        what: Box<str>,
        /// Vendor's result.
        result: i64,
    },
    /// The platform attached or detached a sub-device.
    SubDeviceChanged {
        /// Which.
        device: SubDevice,
        /// Attached or detached.
        attached: bool,
    },
    /// Start or stop looking for sub-devices.
    SearchSubDevices {
        /// Start or stop.
        start: bool,
    },
}
