//! The dialects of the demonstration: one row and one folder with fleet file and thing model each.

use serde_json::{Map, Value, json};

/// One dialect's product and device.
pub(super) struct Cast {
    /// Name of the dialect.
    pub(super) dialect: &'static str,
    /// Product id in the fleet file.
    pub(super) product: &'static str,
    /// Product secret in the fleet file.
    pub(super) product_secret: &'static str,
    /// The vendor's name of the device.
    pub(super) device: &'static str,
    /// Name and text of the files to import; the first one is the fleet file.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// What the phone tells the device, and what the device reports by itself afterwards.
    pub(super) properties: fn(round: u64) -> Map<String, Value>,
}

/// Every dialect of the demonstration, alphabetical.
pub(super) static ALL: &[Cast] = &[Cast {
    dialect: "tencent",
    product: "DEMOLAMP01",
    product_secret: "DemoProductSecret0000001",
    device: "lamp-1",
    files: &[
        ("tencent.yaml", include_str!("tencent/fleet.yaml")),
        ("lamp.json", include_str!("tencent/lamp.json")),
    ],
    properties: lamp,
}];

/// A lamp that gets brighter round by round.
fn lamp(round: u64) -> Map<String, Value> {
    let mut properties = Map::new();
    properties.insert("power_switch".to_owned(), json!(true));
    properties.insert("brightness".to_owned(), json!(round * 10 % 101));
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_plays() {
        // Its devices are registered by the API and know no phone.
        let plays = |id: &&str| *id != "huawei";
        let dialects: Vec<_> =
            roadstead_dialects::ALL.iter().map(|d| d.id()).filter(plays).collect();
        assert_eq!(ALL.iter().map(|cast| cast.dialect).collect::<Vec<_>>(), dialects);
        for cast in ALL {
            let (_, fleet) = cast.files[0];
            assert!(fleet.contains(cast.product) && fleet.contains(cast.product_secret));
            assert!(!(cast.properties)(3).is_empty());
        }
    }
}
