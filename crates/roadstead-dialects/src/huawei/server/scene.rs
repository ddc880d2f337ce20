//! What a message is about: everything that reading and writing needs to know.

use roadstead_core::{Timestamp, Value};

use crate::cloud::Account;
use crate::huawei::settings::Settings;
use crate::huawei::topic::{Leaf, Topic};

/// What a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A device, or a gateway.
    Device,
    /// A bridge: its devices have topics of their own.
    Bridge,
    /// A device at the provisioning service, member of a registration group.
    Member,
}

/// One message and its surroundings.
pub(super) struct Scene<'a> {
    /// The device of the connection.
    pub(super) own: &'a Account,
    /// The device the message is about: its own, a child, or one behind the bridge.
    pub(super) account: &'a Account,
    pub(super) role: Role,
    pub(super) settings: &'a Settings,
    pub(super) connection: u64,
    pub(super) now: Timestamp,
}

impl<'a> Scene<'a> {
    /// Returns a topic on which the device is spoken to.
    pub(super) fn topic(&self, leaf: Leaf<'a>) -> Topic<'a> {
        match self.role {
            Role::Bridge if self.is_about_child() => {
                Topic::Bridged { bridge: self.connection_id(), device: self.object(), leaf }
            }
            Role::Device | Role::Bridge | Role::Member => {
                Topic::Device { device: self.connection_id(), leaf }
            }
        }
    }

    /// Returns `object_device_id`.
    pub(super) fn object(&self) -> &'a str {
        self.account.device.id.as_str()
    }

    /// Returns the device id of the connection.
    pub(super) fn connection_id(&self) -> &'a str {
        self.own.device.id.as_str()
    }

    /// True when the message is about another device than the connection's own.
    pub(super) fn is_about_child(&self) -> bool {
        self.account.device.id != self.own.device.id
    }

    /// True for a product whose devices send bytes that a codec reads.
    pub(super) fn is_binary(&self) -> bool {
        let format = self.account.product.attributes.get("data_format").and_then(Value::as_str);
        format.is_some_and(|format| format.eq_ignore_ascii_case("binary"))
    }
}
