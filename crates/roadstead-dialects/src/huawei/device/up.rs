//! What the device says.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::exchange::SubDevice;
use roadstead_core::product::Service;
use roadstead_core::{Map, Tick, Value};
use serde_json::json;

use super::Device;
use crate::device::{Event, Output, Request, RequestKey, SubDeviceAction};
use crate::huawei::time::compact;
use crate::huawei::topic::Leaf;
use crate::huawei::value::{fields_to_wire, to_wire};

/// Returns the device id of a child.
pub(super) fn child_id(device: &SubDevice) -> Box<str> {
    match device.id() {
        Some(id) => id.into(),
        None => format!("{}_{}", device.product, device.node).into(),
    }
}

impl Device {
    /// Does what the application wants.
    pub(super) fn request(&mut self, request: Request, now: Tick, out: &mut Vec<Output>) {
        match request {
            Request::Report { node, service, properties } => {
                let (wire, gzip) = (self.wire(&service, &properties), self.config.is_packed);
                let services = json!([{"service_id": &*service, "properties": wire}]);
                match node {
                    None => {
                        self.reported.entry(service).or_default().extend(properties);
                        let body = json!({ "services": services });
                        self.publish(Leaf::Report { gzip }, &body, out);
                    }
                    Some(child) => {
                        let id = child_id(&child);
                        let devices = json!([{"device_id": &*id, "services": services}]);
                        let body = json!({ "devices": devices });
                        self.publish(Leaf::GatewayReport { gzip }, &body, out);
                    }
                }
            }
            Request::Info(info) => {
                self.event(None, "$sdk_info", "sdk_info_report", info.into(), now, out);
            }
            Request::Post { node, service, event, level: _, params } => {
                let object = node.as_ref().map(child_id);
                let declared = self.service(&service).and_then(|service| service.event(&event));
                let params = match declared {
                    Some(declared) => fields_to_wire(&declared.output, &params),
                    None => params,
                };
                self.event(object.as_deref(), &service, &event, params.into(), now, out);
            }
            Request::Answer { key, code, status, output } => {
                self.respond(key, code, &status, &output, out);
            }
            Request::SubDevice { device, action } => self.child(&device, action, now, out),
            Request::Unbind | Request::Scanned(_) | Request::Reset => {
                let detail = String::from("this vendor's devices know no owner");
                let (what, code) = ("request".into(), "command.unsupported");
                out.push(Output::App(Event::Rejected { what, code, detail }));
            }
        }
    }

    /// Says what a fresh connection says: that it is there, what it wants to know.
    pub(super) fn greet(&mut self, now: Tick, out: &mut Vec<Output>) {
        let ms = self.date(now).map_or(now.as_millis() as i64, |date| date.as_millis());
        let log = json!({
            "timestamp": format!("{ms}"), "type": "DEVICE_STATUS", "content": "login success"
        });
        self.event(None, "$log", "log_report", log, now, out);
        let sent = json!({"device_send_time": now.as_millis()});
        self.event(None, "$time_sync", "time_sync_request", sent, now, out);
        self.publish(Leaf::ShadowGet("shadow"), &json!({}), out);
    }

    pub(super) fn event(
        &mut self,
        object: Option<&str>,
        service: &str,
        kind: &str,
        paras: Value,
        now: Tick,
        out: &mut Vec<Output>,
    ) {
        let mut event = json!({"service_id": service, "event_type": kind, "paras": paras});
        if let (Some(date), Some(event)) = (self.date(now), event.as_object_mut()) {
            event.insert("event_time".into(), compact(date).into());
        }
        let body = match object {
            Some(id) => json!({"object_device_id": id, "services": [event]}),
            None => json!({"services": [event]}),
        };
        self.publish(Leaf::EventsUp, &body, out);
    }

    fn child(
        &mut self,
        device: &SubDevice,
        action: SubDeviceAction,
        now: Tick,
        out: &mut Vec<Output>,
    ) {
        let id = child_id(device);
        let (kind, paras) = match action {
            // The platform makes the secret of a child; the gateway's connection is its proof.
            SubDeviceAction::Bind { .. } => (
                "add_sub_device_request",
                json!({"devices": [{"product_id": &*device.product, "node_id": &*device.node}]}),
            ),
            SubDeviceAction::Unbind => ("delete_sub_device_request", json!({"devices": [&*id]})),
            SubDeviceAction::Online => status(&id, "ONLINE"),
            SubDeviceAction::Offline => status(&id, "OFFLINE"),
        };
        self.event(None, "$sub_device_manager", kind, paras, now, out);
    }

    fn respond(
        &mut self,
        key: RequestKey,
        code: i64,
        status: &str,
        output: &Map<String, Value>,
        out: &mut Vec<Output>,
    ) {
        let Some(at) = self.pending.iter().position(|pending| pending.key == key) else { return };
        let answered = self.pending.remove(at);
        // The other services of the same request: it is answered when the last one is, or one fails.
        if code == 0 && self.pending.iter().any(|other| other.rid == answered.rid) {
            return;
        }
        self.pending.retain(|other| other.rid != answered.rid);
        if answered.is_command {
            let body = json!({"result_code": code, "response_name": status, "paras": output});
            self.publish(Leaf::CommandResponse(&answered.rid), &body, out);
        } else {
            let body = json!({"result_code": code, "result_desc": status});
            self.publish(Leaf::SetResponse(&answered.rid), &body, out);
        }
    }

    pub(super) fn service(&self, id: &str) -> Option<&Service> {
        self.config.model.as_ref().and_then(|model| model.service(id))
    }

    /// Returns the vendor's form of properties.
    pub(super) fn wire(&self, service: &str, values: &Map<String, Value>) -> Map<String, Value> {
        let service = self.service(service);
        let wire = |(key, value): (&String, &Value)| {
            let property = service.and_then(|service| service.property(key));
            let value = property.map_or_else(|| value.clone(), |p| to_wire(&p.ty, value));
            (key.clone(), value)
        };
        values.iter().map(wire).collect()
    }
}

fn status(id: &str, status: &str) -> (&'static str, Value) {
    let paras = json!({"device_statuses": [{"device_id": id, "status": status}]});
    ("sub_device_update_status", paras)
}
