//! The device half of a dialect: a machine that turns inputs of radio, network and application
//! into work for them.
//!
//! ```text
//!            Input                                  Output
//! radio  --- WifiEvent ------>              ---- WifiAction ---> radio
//! LAN    --- Datagram ------->   Machine    ---- UdpAction ----> LAN
//! cloud  --- MqttEvent, HTTP->              ---- MqttAction, Http> cloud
//! app    --- Request -------->              ---- Event --------> application
//! clock  --- Timeout -------->              ---- Store, Stage -> flash, observer
//! ```
//!
//! The caller performs outputs in order, brings their results back as inputs, and feeds
//! [`Input::Timeout`] once [`Machine::deadline`] has passed. The machine has no socket, no clock
//! and no entropy of its own; a seed is an argument of its constructor.
//!
//! It knows no vendor: every dialect's device half speaks this alphabet, so that one driver, one
//! simulator and one application serve them all.

mod app;
mod link;
mod random;
mod setup;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::attempt::Stage;
use roadstead_core::{Code, Secret, Tick, Timestamp};

pub use app::{Event, Node, Request, RequestKey, SubDeviceAction};
pub use link::{
    Datagram, Ear, Fault, FaultKind, Heard, HttpCall, HttpReply, Login, MqttAction, MqttEvent, Tls,
    UdpAction, WifiAction, WifiEvent,
};
pub use random::Random;
pub use setup::{Setup, TlsMode};

/// A device's firmware without its hardware.
pub trait Machine: Send {
    /// Feeds one input at `now`; the work it causes is appended to `out`, in order.
    fn handle(&mut self, input: Input, now: Tick, out: &mut Vec<Output>);

    /// Returns when [`Input::Timeout`] is due, and why.
    fn deadline(&self) -> Option<(Tick, &'static str)>;
}

/// Something that happened.
pub enum Input {
    /// Power on. Comes first, and once.
    Start {
        /// Everything an earlier run stored.
        stored: Vec<(Box<str>, Secret)>,
        /// The date, when the hardware keeps it.
        clock: Option<Timestamp>,
    },
    /// The deadline has passed.
    Timeout,
    /// The radio.
    Wifi(WifiEvent),
    /// A datagram on a bound port.
    Udp(Datagram),
    /// The end of an [`HttpCall`].
    Http {
        /// Of the call.
        id: u32,
        /// The answer, or why there is none.
        result: Result<HttpReply, Fault>,
    },
    /// The MQTT connection.
    Mqtt(MqttEvent),
    /// The application.
    App(Request),
}

/// Something to do.
pub enum Output {
    /// By the radio.
    Wifi(WifiAction),
    /// On the LAN.
    Udp(UdpAction),
    /// One HTTP exchange; [`Input::Http`] ends it.
    Http(HttpCall),
    /// On the MQTT connection.
    Mqtt(MqttAction),
    /// Keep this durably before doing anything that comes later in the list; `None` erases.
    Store {
        /// Name of the value.
        key: &'static str,
        /// The value; some are secrets, so all are treated as such.
        value: Option<Secret>,
    },
    /// A stage of an onboarding attempt is reached.
    Stage {
        /// Which.
        stage: Stage,
        /// Evidence for people; never a secret.
        detail: Option<String>,
    },
    /// The onboarding attempt, or a log-in outside of one, has failed.
    Failed {
        /// Stable code.
        code: Code,
        /// Evidence for people; never a secret.
        detail: String,
    },
    /// Tell the application.
    App(Event),
}

/// Returns the earlier of two deadlines.
pub fn earliest(
    a: Option<(Tick, &'static str)>,
    b: Option<(Tick, &'static str)>,
) -> Option<(Tick, &'static str)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.0 < a.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}
