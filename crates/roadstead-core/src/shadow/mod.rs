//! The shadow: what a device reported, what is desired of it, and a version.
//!
//! Values are canonical (see [`crate::product::DataType`]). The version grows by one with each
//! change of a service. A desired value disappears when the device reports that property or when
//! the device clears it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;

use serde::{Deserialize, Serialize};

use crate::{Map, Timestamp, Value};

/// Canonical values of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Values {
    /// Property to value.
    pub properties: Map<String, Value>,
    /// When they were true (reported) or asked for (desired).
    pub at: Timestamp,
}

/// State of one service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceState {
    /// What the device said.
    #[serde(default)]
    pub reported: Values,
    /// What somebody wants and the device has not taken yet.
    #[serde(default)]
    pub desired: Values,
    /// Number of changes.
    pub version: u64,
}

/// State of one device, by service id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shadow {
    /// Service id to state.
    pub services: BTreeMap<Box<str>, ServiceState>,
}

/// One change of a shadow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Change {
    /// The device reported values; each removes its desired counterpart.
    Report {
        /// The service.
        service: Box<str>,
        /// The values.
        values: Values,
    },
    /// Somebody wants values; `null` takes a wish back.
    Desire {
        /// The service.
        service: Box<str>,
        /// The values.
        values: Values,
    },
    /// The device has taken note of everything desired.
    ClearDesired {
        /// One service, or all.
        service: Option<Box<str>>,
    },
    /// Everything is forgotten, versions included.
    Forget,
}

/// The version that somebody read and bases a change on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The service.
    pub service: Box<str>,
    /// Its version; 0 for a service without state.
    pub version: u64,
}

impl Shadow {
    /// Applies a change.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Report { service, values } => {
                let state = self.state(service);
                for (key, value) in &values.properties {
                    state.desired.properties.shift_remove(key);
                    state.reported.properties.insert(key.clone(), value.clone());
                }
                state.reported.at = values.at;
                state.version += 1;
            }
            Change::Desire { service, values } => {
                let state = self.state(service);
                for (key, value) in &values.properties {
                    if value.is_null() {
                        state.desired.properties.shift_remove(key);
                    } else {
                        state.desired.properties.insert(key.clone(), value.clone());
                    }
                }
                state.desired.at = values.at;
                state.version += 1;
            }
            Change::ClearDesired { service } => {
                for (id, state) in &mut self.services {
                    let named = service.as_ref().is_none_or(|wanted| wanted == id);
                    if named && !state.desired.properties.is_empty() {
                        state.desired.properties.clear();
                        state.version += 1;
                    }
                }
            }
            Change::Forget => self.services.clear(),
        }
    }

    /// Returns the version of a service, 0 when it has no state.
    pub fn version(&self, service: &str) -> u64 {
        self.services.get(service).map_or(0, |state| state.version)
    }

    /// Returns the first service whose version is another than expected, with that version.
    pub fn stale<'a>(&self, expected: &'a [Expected]) -> Option<(&'a str, u64)> {
        expected.iter().find_map(|Expected { service, version }| {
            let current = self.version(service);
            (current != *version).then_some((&**service, current))
        })
    }

    /// True when a desired value waits for the device.
    pub fn has_desired(&self) -> bool {
        self.services.values().any(|state| !state.desired.properties.is_empty())
    }

    fn state(&mut self, service: &str) -> &mut ServiceState {
        // Two look-ups instead of a key copy: a report for a known service allocates nothing here.
        if !self.services.contains_key(service) {
            self.services.insert(service.into(), ServiceState::default());
        }
        self.services.get_mut(service).expect("inserted above")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values(json: Value, at: i64) -> Values {
        let Value::Object(properties) = json else { panic!("object") };
        Values { properties, at: Timestamp(at) }
    }

    #[test]
    fn a_report_fulfils_a_wish() {
        let mut shadow = Shadow::default();
        let service: Box<str> = "default".into();
        shadow.apply(&Change::Desire {
            service: service.clone(),
            values: values(json!({"power": true, "level": 3}), 1),
        });
        assert!(shadow.has_desired());
        shadow.apply(&Change::Report { service, values: values(json!({"power": true}), 2) });
        let state = &shadow.services["default"];
        assert_eq!(Value::Object(state.desired.properties.clone()), json!({"level": 3}));
        assert_eq!(Value::Object(state.reported.properties.clone()), json!({"power": true}));
        assert_eq!((state.version, state.reported.at), (2, Timestamp(2)));
        shadow.apply(&Change::ClearDesired { service: None });
        assert!(!shadow.has_desired());
        assert_eq!(shadow.services["default"].version, 3);
        shadow.apply(&Change::ClearDesired { service: None });
        assert_eq!(shadow.services["default"].version, 3, "clearing nothing changes nothing");
    }

    #[test]
    fn null_takes_a_wish_back() {
        let mut shadow = Shadow::default();
        for value in [json!({"power": true}), json!({"power": null})] {
            shadow.apply(&Change::Desire { service: "s".into(), values: values(value, 1) });
        }
        assert!(!shadow.has_desired());
    }
}
