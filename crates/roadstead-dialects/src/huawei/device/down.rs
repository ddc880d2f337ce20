//! What the platform says.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use roadstead_core::exchange::SubDevice;
use roadstead_core::{Map, Tick, Timestamp, Value};
use serde_json::json;

use super::Device;
use crate::device::{Event, Node, Output};
use crate::huawei::topic::{Leaf, Topic};
use crate::huawei::value::to_canonical;

impl Device {
    /// Understands a message; what is not understood is left alone, as the SDKs do.
    pub(super) fn hear(&mut self, topic: &str, payload: &Bytes, now: Tick, out: &mut Vec<Output>) {
        let Some(Topic::Device { device, leaf }) = Topic::parse(topic) else { return };
        if *device != *self.config.device_id {
            return;
        }
        let Ok(body) = serde_json::from_slice::<Value>(payload) else { return };
        let node = self.node_of(&body);
        // Topics that this device does not read are in the last arm on purpose.
        if let Leaf::Command(rid) = leaf {
            self.command(rid, node, &body, out);
        } else if let Leaf::Set(rid) = leaf {
            self.set(rid, &node, &body, out);
        } else if let Leaf::Get(rid) = leaf {
            self.get(rid, &body, out);
        } else if let Leaf::ShadowResponse(_) = leaf {
            self.shadow(&body, out);
        } else if leaf == Leaf::EventsDown {
            for event in body["services"].as_array().into_iter().flatten() {
                self.platform_event(event, now, out);
            }
        }
    }

    /// Returns whom a request is about.
    fn node_of(&self, body: &Value) -> Node {
        let object = body["object_device_id"].as_str().filter(|id| !id.is_empty())?;
        (*object != *self.config.device_id).then(|| SubDevice::of_id(object))
    }

    fn command(&mut self, rid: &str, node: Node, body: &Value, out: &mut Vec<Output>) {
        let text = |key: &str| Box::<str>::from(body[key].as_str().unwrap_or_default());
        let (service, command) = (text("service_id"), text("command_name"));
        let declared = self.service(&service).and_then(|service| service.command(&command));
        let given = body["paras"].as_object().cloned().unwrap_or_default();
        let canonical = |(key, value): (String, Value)| {
            let input = declared.and_then(|c| c.input.iter().find(|input| *input.id == *key));
            let value = match input {
                Some(input) => to_canonical(&input.ty, value.clone()).unwrap_or(value),
                None => value,
            };
            (key, value)
        };
        let params = given.into_iter().map(canonical).collect();
        let key = self.remember(rid, true);
        out.push(Output::App(Event::Command { key, node, service, command, params }));
    }

    fn set(&mut self, rid: &str, node: &Node, body: &Value, out: &mut Vec<Output>) {
        for part in body["services"].as_array().into_iter().flatten() {
            let service: Box<str> = part["service_id"].as_str().unwrap_or_default().into();
            let properties = self.canonical(&service, &part["properties"]);
            let key = self.remember(rid, false);
            let node = node.clone();
            out.push(Output::App(Event::Set { key, node, service, properties }));
        }
    }

    /// Answers with what was reported last.
    fn get(&mut self, rid: &str, body: &Value, out: &mut Vec<Output>) {
        let wanted = body["service_id"].as_str().unwrap_or_default();
        let known = self.reported.iter().filter(|(id, _)| wanted.is_empty() || ***id == *wanted);
        let services: Vec<Value> = known
            .map(|(id, values)| json!({"service_id": &**id, "properties": self.wire(id, values)}))
            .collect();
        self.publish(Leaf::GetResponse(rid), &json!({ "services": services }), out);
    }

    fn shadow(&self, body: &Value, out: &mut Vec<Output>) {
        for part in body["shadow"].as_array().into_iter().flatten() {
            let service: Box<str> = part["service_id"].as_str().unwrap_or_default().into();
            let reported = self.canonical(&service, &part["reported"]["properties"]);
            out.push(Output::App(Event::Shadow { service, reported }));
        }
    }

    fn canonical(&self, service: &str, properties: &Value) -> Map<String, Value> {
        let service = self.service(service);
        let convert = |(key, value): (&String, &Value)| {
            let property = service.and_then(|service| service.property(key));
            let value = match property {
                Some(property) => {
                    to_canonical(&property.ty, value.clone()).unwrap_or_else(|_| value.clone())
                }
                None => value.clone(),
            };
            (key.clone(), value)
        };
        properties.as_object().into_iter().flatten().map(convert).collect()
    }

    fn platform_event(&mut self, event: &Value, now: Tick, out: &mut Vec<Output>) {
        let paras = &event["paras"];
        match event["event_type"].as_str().unwrap_or_default() {
            "time_sync_response" => {
                let number = |key: &str| paras[key].as_i64();
                if let (Some(sent), Some(received), Some(left)) = (
                    number("device_send_time"),
                    number("server_recv_time"),
                    number("server_send_time"),
                ) {
                    let way = (now.as_millis() as i64).saturating_sub(sent);
                    let date = Timestamp((received + left + way) / 2);
                    self.clock = Some((now, date));
                    out.push(Output::App(Event::Clock(date)));
                }
            }
            what @ ("add_sub_device_response"
            | "delete_sub_device_response"
            | "sub_device_update_status_response") => results(what, paras, out),
            "add_sub_device_notify" => changed(paras, true, out),
            "delete_sub_device_notify" => changed(paras, false, out),
            "start_scan" => out.push(Output::App(Event::SearchSubDevices { start: true })),
            _ => {}
        }
    }
}

fn results(what: &str, paras: &Value, out: &mut Vec<Output>) {
    for (list, result) in [("successful_devices", 0), ("failed_devices", -1)] {
        for entry in paras[list].as_array().into_iter().flatten() {
            let Some(device) = named(entry) else { continue };
            let what = what.into();
            out.push(Output::App(Event::SubDevice { device, what, result }));
        }
    }
}

fn changed(paras: &Value, attached: bool, out: &mut Vec<Output>) {
    for entry in paras["devices"].as_array().into_iter().flatten() {
        let Some(device) = named(entry) else { continue };
        out.push(Output::App(Event::SubDeviceChanged { device, attached }));
    }
}

/// Returns the child of an entry: by product and node id where both are there.
fn named(entry: &Value) -> Option<SubDevice> {
    if let (Some(product), Some(node)) = (entry["product_id"].as_str(), entry["node_id"].as_str()) {
        return Some(SubDevice { product: product.into(), node: node.into() });
    }
    let id = entry.as_str().or(entry["device_id"].as_str())?;
    Some(SubDevice::of_id(id))
}
