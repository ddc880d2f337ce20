//! What BlueZ reads and calls: service, characteristics, advertisement.

use std::collections::HashMap;
use std::sync::Arc;

use roadstead_wire::ble::{Characteristic, Service};
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};
use zbus::{fdo, interface};

use super::{Shared, flags};

/// Bytes of a name that fit into an advertisement beside the rest.
const NAME_MAX: usize = 26;

/// Writes a number as BlueZ does.
pub(super) fn uuid(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// The service.
pub(super) struct GattService {
    uuid: String,
}

impl GattService {
    pub(super) fn new(bytes: &[u8; 16]) -> Self {
        Self { uuid: uuid(bytes) }
    }
}

#[interface(name = "org.bluez.GattService1")]
impl GattService {
    #[zbus(property, name = "UUID")]
    fn uuid(&self) -> &str {
        &self.uuid
    }

    #[zbus(property)]
    fn primary(&self) -> bool {
        true
    }
}

/// One characteristic.
pub(super) struct Attribute {
    uuid: String,
    service: String,
    flags: Vec<&'static str>,
    value: Vec<u8>,
    notifying: bool,
    shared: Arc<Shared>,
}

impl Attribute {
    pub(super) fn new(it: &Characteristic, service: String, shared: Arc<Shared>) -> Self {
        Self {
            uuid: uuid(&it.uuid),
            service,
            flags: flags(it.role),
            value: it.value.clone(),
            notifying: false,
            shared,
        }
    }

    /// Sets what is read next, and notified.
    pub(super) fn set(&mut self, value: &[u8]) {
        self.value = value.to_vec();
    }

    /// Says whether the phone has subscribed.
    pub(super) fn is_notifying(&self) -> bool {
        self.notifying
    }
}

#[interface(name = "org.bluez.GattCharacteristic1")]
impl Attribute {
    #[zbus(property, name = "UUID")]
    fn uuid(&self) -> &str {
        &self.uuid
    }

    #[zbus(property)]
    fn service(&self) -> OwnedObjectPath {
        OwnedObjectPath::try_from(self.service.as_str()).unwrap_or_default()
    }

    #[zbus(property)]
    fn flags(&self) -> &[&'static str] {
        &self.flags
    }

    #[zbus(property)]
    fn value(&self) -> &[u8] {
        &self.value
    }

    #[zbus(property)]
    fn notifying(&self) -> bool {
        self.notifying
    }

    fn read_value(&self, options: HashMap<String, OwnedValue>) -> fdo::Result<Vec<u8>> {
        let offset = options.get("offset").and_then(|it| u16::try_from(it).ok()).unwrap_or(0);
        let rest = self.value.get(usize::from(offset)..);
        rest.map(<[u8]>::to_vec).ok_or_else(|| fdo::Error::InvalidArgs("offset".into()))
    }

    fn write_value(&self, value: Vec<u8>, options: HashMap<String, OwnedValue>) -> fdo::Result<()> {
        if !self.flags.contains(&"write") {
            return Err(fdo::Error::NotSupported("read only".into()));
        }
        let device = options.get("device").and_then(|it| it.try_clone().ok());
        let device = device.and_then(|it| OwnedObjectPath::try_from(it).ok());
        let mtu = options.get("mtu").and_then(|it| u16::try_from(it).ok());
        self.shared.write(device, mtu, value)
    }

    fn start_notify(&mut self) {
        self.notifying = true;
    }

    fn stop_notify(&mut self) {
        self.notifying = false;
    }
}

/// The advertisement.
pub(super) struct Advertisement {
    service: String,
    name: String,
    data: Option<(u16, Vec<u8>)>,
}

impl Advertisement {
    pub(super) fn new(service: &Service, name: &str) -> Self {
        let end = (0..=name.len().min(NAME_MAX)).rev().find(|at| name.is_char_boundary(*at));
        let name = name.get(..end.unwrap_or(0)).unwrap_or_default().to_owned();
        Self { service: uuid(&service.uuid), name, data: service.data.clone() }
    }
}

#[interface(name = "org.bluez.LEAdvertisement1")]
impl Advertisement {
    fn release(&self) {
        tracing::debug!("BlueZ has ended the advertisement");
    }

    #[zbus(property, name = "Type")]
    fn kind(&self) -> &str {
        "peripheral"
    }

    #[zbus(property, name = "ServiceUUIDs")]
    fn service_uuids(&self) -> Vec<&str> {
        vec![&self.service]
    }

    #[zbus(property)]
    fn local_name(&self) -> &str {
        &self.name
    }

    #[zbus(property)]
    fn service_data(&self) -> HashMap<String, Value<'_>> {
        let row = |(short, bytes): &(u16, Vec<u8>)| {
            (format!("0000{short:04x}-0000-1000-8000-00805f9b34fb"), Value::from(bytes.clone()))
        };
        self.data.iter().map(row).collect()
    }
}
