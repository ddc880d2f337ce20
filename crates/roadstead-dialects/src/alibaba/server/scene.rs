//! What a message is about: everything that reading and writing needs to know.

use roadstead_core::Timestamp;

use crate::alibaba::settings::Settings;
use crate::alibaba::topic::{Topic, Verb};
use crate::cloud::Account;

/// The device, the settings, the moment.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) account: &'a Account,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
}

impl<'a> Scene<'a> {
    /// Returns a topic of the device.
    pub(super) fn topic(&self, verb: Verb<'a>) -> Topic<'a> {
        let (product, node) = self.names();
        Topic::Device { product, node, verb }
    }

    /// Returns ProductKey and DeviceName.
    pub(super) fn names(&self) -> (&'a str, &'a str) {
        (self.account.product.id.as_str(), &self.account.device.node)
    }
}
