//! What an observer of a device sees: one flat record per happening, ready for a JSON line.

use roadstead_core::attempt::Stage;
use roadstead_core::{Code, Timestamp, Value};
use roadstead_dialects::device::Event;
use serde::Serialize;
use serde_json::json;

/// One happening. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentEvent {
    /// When, Unix milliseconds.
    pub time_ms: i64,
    /// What: a stage name of [`Stage`], `failed`, or the name of an application event.
    pub stage: &'static str,
    /// Stable code of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Words for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Canonical values that came with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl AgentEvent {
    /// Returns an event without code, detail and data.
    pub fn new(at: Timestamp, stage: &'static str) -> Self {
        Self { time_ms: at.as_millis(), stage, code: None, detail: None, data: None }
    }

    /// Returns the event of a reached stage.
    pub(crate) fn of_stage(at: Timestamp, stage: Stage, detail: Option<String>) -> Self {
        Self { detail, ..Self::new(at, stage.name()) }
    }

    /// Returns the event of a failure.
    pub(crate) fn of_failure(at: Timestamp, code: Code, detail: String) -> Self {
        Self { code: Some(code), detail: Some(detail), ..Self::new(at, "failed") }
    }

    /// Returns what an observer sees of an application event.
    pub(crate) fn of_application(at: Timestamp, event: &Event) -> Self {
        let with = |stage, data| Self { data, ..Self::new(at, stage) };
        match event {
            Event::Online => with("online", None),
            Event::Offline => with("offline", None),
            // The stage `bound` tells the observer.
            Event::Bound => with("owner_set", None),
            Event::Unbound => with("unbound", None),
            Event::Set { properties, .. } => {
                with("property_set", Some(Value::from(properties.clone())))
            }
            Event::Command { command, params, .. } => {
                with("command", Some(json!({"command": command, "params": params})))
            }
            Event::Shadow { reported, .. } => with("shadow", Some(Value::from(reported.clone()))),
            Event::Rejected { what, code, detail } => Self {
                code: Some(code),
                detail: Some(format!("{what}: {detail}")),
                ..Self::new(at, "rejected")
            },
            Event::Clock(date) => with("clock", Some(json!(date.to_string()))),
            Event::SubDevice { device, what, result } => {
                let id = format!("{}/{}", device.product, device.node);
                with("sub_device", Some(json!({"device": id, "what": what, "result": result})))
            }
            Event::SubDeviceChanged { device, attached } => {
                let id = format!("{}/{}", device.product, device.node);
                with("sub_device_changed", Some(json!({"device": id, "attached": attached})))
            }
            Event::SearchSubDevices { start } => {
                with("sub_device_search", Some(json!({"start": start})))
            }
        }
    }
}
