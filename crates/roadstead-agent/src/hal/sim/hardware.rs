//! The hardware of a simulated device: a flash in memory, and a list of what it was told to do.

use std::collections::BTreeMap;

use roadstead_core::Secret;
use roadstead_dialects::device::{HttpCall, MqttAction, UdpAction, WifiAction};

use crate::hal::{Hal, Net, Store, StoreError, Wifi};

/// Work that the world performs.
pub(super) enum Action {
    Wifi(WifiAction),
    Udp(UdpAction),
    Http(HttpCall),
    Mqtt(MqttAction),
}

/// Flash and list.
pub(super) struct Hardware {
    flash: BTreeMap<String, Secret>,
    actions: Vec<Action>,
}

impl Hardware {
    pub(super) fn new(flash: BTreeMap<String, Secret>) -> Self {
        Self { flash, actions: Vec::new() }
    }

    pub(super) fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    pub(super) fn flash(&self) -> &BTreeMap<String, Secret> {
        &self.flash
    }
}

impl Hal for Hardware {
    fn wifi(&mut self) -> &mut dyn Wifi {
        self
    }

    fn store(&mut self) -> &mut dyn Store {
        self
    }

    fn net(&mut self) -> &mut dyn Net {
        self
    }
}

impl Wifi for Hardware {
    fn perform(&mut self, action: WifiAction) {
        self.actions.push(Action::Wifi(action));
    }
}

impl Store for Hardware {
    fn load(&mut self) -> Result<Vec<(Box<str>, Secret)>, StoreError> {
        Ok(self.flash.iter().map(|(key, value)| (key.as_str().into(), value.clone())).collect())
    }

    fn put(&mut self, key: &str, value: Option<&Secret>) -> Result<(), StoreError> {
        match value {
            Some(value) => self.flash.insert(key.into(), value.clone()),
            None => self.flash.remove(key),
        };
        Ok(())
    }
}

impl Net for Hardware {
    fn udp(&mut self, action: UdpAction) {
        self.actions.push(Action::Udp(action));
    }

    fn http(&mut self, call: HttpCall) {
        self.actions.push(Action::Http(call));
    }

    fn mqtt(&mut self, action: MqttAction) {
        self.actions.push(Action::Mqtt(action));
    }
}
