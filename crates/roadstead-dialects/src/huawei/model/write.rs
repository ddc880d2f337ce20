//! From product to archive.

use alloc::borrow::ToOwned as _;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::product::{Extra, Model, Product, Service};
use roadstead_core::{Map, Value};

use super::{DEVICE_FILE, MARK, OFFLINE, SERVICE_FILE, camel, is_name_part};
use crate::capability::write_service;
use crate::{Archive, Problem};

type Object = Map<String, Value>;

/// The archive's names of descriptive fields, and the API's.
pub(super) const ATTRIBUTES: [(&str, &str); 8] = [
    ("manufacturerId", "manufacturer_id"),
    ("manufacturerName", "manufacturer_name"),
    ("model", "device_model"),
    ("protocolType", "protocol_type"),
    ("deviceType", "device_type"),
    // Additional keys: the archive form does not have them.
    ("dataFormat", "data_format"),
    ("industry", "industry"),
    ("description", "description"),
];

/// Writes a product as an archive.
///
/// # Errors
///
/// `import.bad_model` when two services of one type differ, or a name cannot be a file name.
pub fn export(product: &Product) -> Result<Archive, Problem> {
    let attributes = completed(product)?;
    super::check(&product.model)?;
    let model = &product.model;
    let offline = offline_of(&model.extra);
    let mut entry = device_entry(&attributes, model);
    apply(&mut entry, &offline);
    let mut root = Object::new();
    root.insert("devices".into(), Value::Array(Vec::from([Value::Object(entry)])));
    apply_outside(&mut root, &offline);
    let text = |key: &str| attributes.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut stem = format!("{}_{}", text("device_type"), text("manufacturer_id"));
    if !text("device_model").is_empty() {
        stem = format!("{stem}_{}", text("device_model"));
    }
    let mut files = Vec::from([(format!("{stem}/profile/{DEVICE_FILE}"), pretty(&root)?)]);
    for (kind, content) in services(model)? {
        files.push((format!("{stem}/service/{kind}/profile/{SERVICE_FILE}"), content));
    }
    Ok(Archive { name: format!("{stem}.zip"), files })
}

/// Returns the file of each service type, in the order of the model. Services that share a type
/// share its file.
fn services(model: &Model) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let mut known: BTreeMap<String, (&str, Vec<u8>)> = BTreeMap::new();
    let mut files = Vec::new();
    for service in &model.services {
        let kind = kind_of(service);
        let Rendered { service: mut entry, .. } = render_service(service);
        apply_members(service, &mut entry);
        let offline = offline_of(&service.extra);
        let part = |key: &str| offline.get(key).and_then(Value::as_object).cloned();
        apply(&mut entry, &part("service").unwrap_or_default());
        let mut root = Object::new();
        root.insert("services".into(), Value::Array(Vec::from([Value::Object(entry)])));
        apply_outside(&mut root, &part("file").unwrap_or_default());
        let content = pretty(&root)?;
        match known.get(kind) {
            None => {
                known.insert(kind.into(), (&service.id, content.clone()));
                files.push((kind.into(), content));
            }
            Some((_, same)) if *same == content => {}
            Some((other, _)) => {
                return Err(bad(format!(
                    "services `{other}` and `{}` have the service_type `{kind}` but different \
                     members; an archive has one file per service type: give one of them another \
                     service_type",
                    service.id
                )));
            }
        }
    }
    Ok(files)
}

/// Returns the descriptive fields with those that the archive must have.
fn completed(product: &Product) -> Result<Object, Problem> {
    let mut attributes = product.attributes.clone();
    let text = |attributes: &Object, key: &str| {
        attributes.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if text(&attributes, "manufacturer_id").is_empty() {
        // The rule asks for an English id; the name is one in most products.
        let name = text(&attributes, "manufacturer_name");
        let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let id: String = name.chars().filter(|&c| is_id(c)).collect();
        let id = if id.is_empty() { product.id.as_str().to_owned() } else { id };
        attributes.insert("manufacturer_id".into(), id.into());
    }
    for (field, fallback) in [
        ("manufacturer_name", text(&attributes, "manufacturer_id")),
        ("device_type", (*product.name).to_owned()),
        ("protocol_type", "MQTT".to_owned()),
    ] {
        if text(&attributes, field).is_empty() {
            attributes.insert(field.into(), fallback.into());
        }
    }
    for field in ["device_type", "manufacturer_id", "device_model"] {
        let value = text(&attributes, field);
        if !is_name_part(&value) {
            return Err(bad(format!("{field}: `{value}` cannot be part of a file name")));
        }
    }
    Ok(attributes)
}

/// Writes the product's entry of the device file.
pub(super) fn device_entry(attributes: &Object, model: &Model) -> Object {
    let mut entry = Object::new();
    for (key, field) in ATTRIBUTES {
        if let Some(text) = attributes.get(field).and_then(Value::as_str)
            && !text.is_empty()
        {
            entry.insert(key.into(), text.into());
        }
    }
    let listed = model.services.iter().map(|service| {
        let mut listed = render_service(service).listed;
        let offline = offline_of(&service.extra);
        if let Some(Value::Object(differences)) = offline.get("listed") {
            apply(&mut listed, differences);
        }
        Value::Object(listed)
    });
    entry.insert("serviceTypeCapabilities".into(), listed.collect());
    entry
}

/// A service without what only an archive said of it.
pub(super) struct Rendered {
    /// Its entry in the device file.
    pub(super) listed: Object,
    /// Its entry in the file of its type.
    pub(super) service: Object,
}

/// Writes a service.
pub(super) fn render_service(service: &Service) -> Rendered {
    let capability = write_service(service);
    let mut listed = Object::new();
    listed.insert("serviceId".into(), (&*service.id).into());
    listed.insert("serviceType".into(), kind_of(service).into());
    listed.insert("option".into(), capability.option.as_deref().unwrap_or("Optional").into());
    if let Some(title) = &capability.title {
        listed.insert("title".into(), title.as_str().into());
    }
    let mut entry = Object::new();
    entry.insert("serviceType".into(), kind_of(service).into());
    entry.insert("description".into(), capability.description.as_deref().unwrap_or("").into());
    entry.insert("commands".into(), renamed(serde_json::to_value(&capability.commands)));
    entry.insert("properties".into(), renamed(serde_json::to_value(&capability.properties)));
    if !capability.events.is_empty() {
        entry.insert("events".into(), renamed(serde_json::to_value(&capability.events)));
    }
    Rendered { listed, service: entry }
}

/// Gives every element the archive's field names.
fn renamed(value: Result<Value, serde_json::Error>) -> Value {
    fn rename(value: Value) -> Value {
        match value {
            Value::Object(object) => {
                let fields = object.into_iter().map(|(key, value)| {
                    // The detail of a type, and an initial value, have names of their own.
                    let inner = match key.as_str() {
                        "type_detail" | "default_value" => value,
                        _ => rename(value),
                    };
                    (camel(&key).to_owned(), inner)
                });
                Value::Object(fields.collect())
            }
            Value::Array(items) => items.into_iter().map(rename).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
        }
    }
    rename(value.unwrap_or_default())
}

fn kind_of(service: &Service) -> &str {
    service.extra.get("service_type").and_then(Value::as_str).unwrap_or(&service.id)
}

fn apply_members(service: &Service, entry: &mut Object) {
    let mut change = |key: &str, extras: Vec<&Extra>| {
        let Some(Value::Array(items)) = entry.get_mut(key) else { return };
        for (item, extra) in items.iter_mut().zip(extras) {
            if let Value::Object(item) = item {
                apply(item, &offline_of(extra));
            }
        }
    };
    change("properties", service.properties.iter().map(|p| &p.extra).collect());
    change("commands", service.commands.iter().map(|c| &c.extra).collect());
    change("events", service.events.iter().map(|e| &e.extra).collect());
}

fn offline_of(extra: &Extra) -> Object {
    extra.get(OFFLINE).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Writes what an archive said where we would still write what we would have written then; what
/// was edited since stays as it is now.
fn apply(rendered: &mut Object, offline: &Object) {
    for (key, pair) in offline.iter().filter(|(key, _)| !key.starts_with('/')) {
        let side = |n: usize| pair.get(n)?.as_array().map(|side| side.first());
        let (Some(theirs), Some(ours)) = (side(0), side(1)) else { continue };
        let key = key.strip_prefix(MARK).unwrap_or(key);
        if rendered.get(key) != ours {
            continue;
        }
        match theirs {
            Some(value) => drop(rendered.insert(key.into(), value.clone())),
            None => drop(rendered.shift_remove(key)),
        }
    }
}

fn apply_outside(root: &mut Object, offline: &Object) {
    for (key, pair) in offline {
        if let (Some(key), Some(value)) = (key.strip_prefix('/'), pair.pointer("/0/0")) {
            root.insert(key.into(), value.clone());
        }
    }
}

fn pretty(root: &Object) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec_pretty(root).map_err(|error| bad(format!("writing JSON: {error}")))
}

fn bad(text: String) -> Problem {
    Problem::new("import.bad_model", text)
}
