//! What a device needs of its hardware: a radio, a flash, a network stack.
//!
//! Every call returns at once; results come back to the [`Runner`](crate::Runner) as inputs, by
//! the way of the platform (an interrupt queue, a channel). Two rules make a `Hal` correct:
//! - [`Store::put`] returns when the value is durable;
//! - after [`MqttAction::Disconnect`] or a new [`MqttAction::Connect`] no event of the former
//!   connection is delivered.

#[cfg(feature = "net")]
pub mod linux;
#[cfg(feature = "net")]
pub mod net;
pub mod sim;

use roadstead_core::Secret;
use roadstead_dialects::device::{HttpCall, MqttAction, UdpAction, WifiAction};

/// The hardware of one device.
pub trait Hal {
    /// Returns the radio.
    fn wifi(&mut self) -> &mut dyn Wifi;

    /// Returns the flash.
    fn store(&mut self) -> &mut dyn Store;

    /// Returns the network stack.
    fn net(&mut self) -> &mut dyn Net;
}

/// The radio.
pub trait Wifi {
    /// Does it; the result comes as a `WifiEvent`.
    fn perform(&mut self, action: WifiAction);
}

/// The flash: a few small named values.
pub trait Store {
    /// Returns everything stored.
    ///
    /// # Errors
    ///
    /// The flash cannot be read.
    fn load(&mut self) -> Result<Vec<(Box<str>, Secret)>, StoreError>;

    /// Keeps or (`None`) erases a value; durable on return, old or new after a power cut.
    ///
    /// # Errors
    ///
    /// The value is not kept.
    fn put(&mut self, key: &str, value: Option<&Secret>) -> Result<(), StoreError>;
}

/// The network stack.
pub trait Net {
    /// Does it; datagrams come as inputs.
    fn udp(&mut self, action: UdpAction);

    /// Starts an exchange; its end comes as an input.
    fn http(&mut self, call: HttpCall);

    /// Does it; the connection's events come as inputs.
    fn mqtt(&mut self, action: MqttAction);
}

/// The flash failed.
#[derive(Debug, thiserror::Error)]
#[error("the device's storage failed at `{key}`")]
pub struct StoreError {
    /// Which value, or where.
    pub key: String,
    /// Why.
    #[source]
    pub cause: std::io::Error,
}

impl StoreError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        "internal.store"
    }
}
