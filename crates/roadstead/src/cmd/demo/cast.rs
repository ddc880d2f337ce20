//! The dialects of the demonstration: one row and one folder with fleet file and thing model each.

use std::net::SocketAddr;

use serde_json::{Map, Value, json};

/// One dialect's product and device.
pub(super) struct Cast {
    /// Name of the dialect.
    pub(super) dialect: &'static str,
    /// Product id in the fleet file.
    pub(super) product: &'static str,
    /// Product secret in the fleet file; a module's firmware does not use it.
    pub(super) product_secret: &'static str,
    /// The vendor's name of the device; a module's is a MAC address of this process.
    pub(super) device: &'static str,
    /// How the device comes by its place and its owner.
    pub(super) way: Way,
    /// Name and text of the files to import; the first one is the fleet file.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// What the phone tells the device, and what the device reports by itself afterwards.
    pub(super) properties: fn(round: u64) -> Map<String, Value>,
}

/// How a device comes by its place and its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A phone sends it the network by AirKiss over the simulated air, then the bind token; it
    /// registers itself.
    Phone,
    /// A phone gives it network and token in the device's own network; the two speak CoAP, and it
    /// registers itself.
    Coap,
    /// Its vendor's firmware knows no bind token: the provisioning service registers it and sends
    /// it to the platform, and the operator gives it to its owner.
    Service {
        /// Scope id of its registration group.
        scope: &'static str,
    },
    /// A communication module: the phone gives it the network over its own access point, it
    /// registers itself, and the phone binds it with its passcode. The phone controls it in the
    /// LAN as well, without the platform.
    Module,
}

/// Every dialect of the demonstration, alphabetical.
pub(super) static ALL: &[Cast] = &[
    Cast {
        dialect: "alibaba",
        product: "a1DemoLamp1",
        product_secret: "DemoLampSecret01",
        device: "lamp-1",
        way: Way::Coap,
        files: &[
            ("alibaba.yaml", include_str!("alibaba/fleet.yaml")),
            ("alibaba-lamp.json", include_str!("alibaba/lamp.json")),
        ],
        properties: lamp,
    },
    Cast {
        dialect: "gizwits",
        product: "de30000000000000000000000000d0e1",
        product_secret: "0123456789abcdef0123456789abcdef",
        device: "",
        way: Way::Module,
        files: &[
            ("gizwits.yaml", include_str!("gizwits/fleet.yaml")),
            ("gizwits-pet-house.json", include_str!("gizwits/pet-house.json")),
        ],
        properties: pet_house,
    },
    Cast {
        dialect: "huawei",
        product: "demo_lamp",
        product_secret: "RGVtb0dyb3VwU2VjcmV0MDAwMDAwMDAwMDAwMDAwMDAwMQ==",
        device: "lamp-1",
        way: Way::Service { scope: "demo_scope" },
        files: &[
            ("huawei.yaml", include_str!("huawei/fleet.yaml")),
            ("huawei-lamp.json", include_str!("huawei/lamp.json")),
        ],
        properties: lamp,
    },
    Cast {
        dialect: "tencent",
        product: "DEMOLAMP01",
        product_secret: "DemoProductSecret0000001",
        device: "lamp-1",
        way: Way::Phone,
        files: &[
            ("tencent.yaml", include_str!("tencent/fleet.yaml")),
            ("lamp.json", include_str!("tencent/lamp.json")),
        ],
        properties: lamp,
    },
];

impl Cast {
    /// Returns the operator's settings of the dialect; devices log in at `mqtts`, modules at the
    /// near end of the cable.
    pub(super) fn settings(&self, mqtts: &str, cable: SocketAddr) -> Option<toml::Table> {
        let scope = match self.way {
            Way::Phone | Way::Coap => return None,
            Way::Service { scope } => scope,
            Way::Module => {
                let host = ("m2m_host".to_owned(), toml::Value::from(cable.ip().to_string()));
                let port = ("m2m_port".to_owned(), toml::Value::from(i64::from(cable.port())));
                return Some(toml::Table::from_iter([host, port]));
            }
        };
        let group = (scope.to_owned(), toml::Value::from(self.product));
        let groups = toml::Table::from_iter([group]);
        let address = ("address".to_owned(), toml::Value::from(mqtts));
        Some(toml::Table::from_iter([address, ("groups".to_owned(), groups.into())]))
    }
}

/// A lamp that gets brighter round by round.
fn lamp(round: u64) -> Map<String, Value> {
    let mut properties = Map::new();
    properties.insert("power_switch".to_owned(), json!(true));
    properties.insert("brightness".to_owned(), json!(round * 10 % 101));
    properties
}

/// A pet house whose light gets redder round by round.
fn pet_house(round: u64) -> Map<String, Value> {
    let mut properties = Map::new();
    properties.insert("LED_OnOff".to_owned(), json!(true));
    properties.insert("LED_R".to_owned(), json!(round * 10 % 255));
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_plays() {
        let dialects: Vec<_> = roadstead_dialects::ALL.iter().map(|d| d.id()).collect();
        assert_eq!(ALL.iter().map(|cast| cast.dialect).collect::<Vec<_>>(), dialects);
        for cast in ALL {
            let (_, fleet) = cast.files[0];
            assert!(fleet.contains(cast.product) && fleet.contains(cast.product_secret));
            assert!(!(cast.properties)(3).is_empty());
        }
    }
}
