//! The OpenAPI 3.1 document of everything on `listen.http`, generated from the handlers.
//!
//! It is committed as `openapi/roadstead.json` and compared in a test, so that a change of the API
//! is a change of that file. It is also the rule book of authorization, see
//! [`crate::north::guard`].

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use crate::north::guard::{APP, NORTH};

/// Name of the second way to prove a northbound call.
const SIGNATURE: &str = "signature";

/// What each group of operations is about, in the order of the documentation.
const TAGS: &[(&str, &str)] = &[
    ("iam", "Sign in and find the project id, as SDKs do first."),
    ("certificates", "Authorities of device makers and the device certificates they signed."),
    ("device-policies", "What devices may publish and subscribe."),
    ("products", "What all devices of one kind share: dialect, secrets, thing model."),
    ("provisioning-templates", "How devices with certificates register themselves."),
    ("devices", "Identity, credential and state of each device."),
    ("properties", "Synchronous set and get of properties."),
    ("commands", "Synchronous commands, and asynchronous ones with their queue and history."),
    ("messages", "Opaque content for devices, kept while they are away."),
    ("shadow", "What was reported and what is desired."),
    ("diagnosis", "Trace, connection, and why a device is as it is."),
    ("attempts", "Onboarding attempts seen by phone, device and cloud."),
    ("bindings", "Who owns which device."),
    ("users", "People of a space and their access keys."),
    ("groups", "Named sets of devices, listed or described by a rule."),
    ("spaces", "Tenants; v5 calls them resource spaces."),
    ("tags", "Marks on devices."),
    ("import", "Products and devices that exist in the field."),
    ("reference", "Dialects and failure codes of this server."),
    ("app", "The phone's API."),
    ("probes", "Health, metrics and this document."),
];

/// Returns the document as committed: pretty, deterministic, ending with a line break.
pub fn openapi_json() -> String {
    let (_, document) = crate::north::documented().split_for_parts();
    let mut text = serde_json::to_string_pretty(&finish(document)).unwrap_or_default();
    text.push('\n');
    text
}

/// Completes the generated document: title, security schemes, and the signature as the second
/// way to prove each northbound call.
pub(crate) fn finish(document: OpenApi) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    document["info"] = json!({
        "title": "Roadstead",
        "version": env!("CARGO_PKG_VERSION"),
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        "description": "Northbound API in the shape of IoTDA v5 (/v5, /v3), phone API (/app/v1) \
            and probes. The scope of a security requirement is the least role of the caller: \
            member, viewer, operator or admin.",
    });
    let used: Vec<String> = operations(&mut document)
        .filter_map(|operation| operation["tags"][0].as_str().map(Into::into))
        .collect();
    let known = TAGS.iter().filter(|(tag, _)| used.iter().any(|name| name == tag));
    document["tags"] =
        known.map(|(name, text)| json!({"name": name, "description": text})).collect();
    document["components"]["securitySchemes"] = json!({
        NORTH: {
            "type": "apiKey", "in": "header", "name": "X-Auth-Token",
            "description": "Token of POST /v3/auth/tokens.",
        },
        SIGNATURE: {
            "type": "apiKey", "in": "header", "name": "Authorization",
            "description": "SDK-HMAC-SHA256 or V11-HMAC-SHA256 signature with an access key.",
        },
        APP: {
            "type": "http", "scheme": "bearer",
            "description": "Token of POST /app/v1/sessions.",
        },
    });
    for operation in operations(&mut document) {
        let Some(Value::Array(ways)) = operation.get_mut("security") else { continue };
        let role = ways.iter().find_map(|way| way.get(NORTH)).cloned();
        ways.extend(role.map(|role| json!({SIGNATURE: role})));
    }
    document
}

/// Returns every operation.
fn operations(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let items = paths.filter_map(|(_, item)| item.as_object_mut());
    items.flatten().filter_map(|(_, operation)| operation.as_object_mut())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../openapi/roadstead.json");

    #[test]
    fn the_committed_document_is_current() {
        let text = openapi_json();
        assert_eq!(text, openapi_json(), "deterministic");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(COMMITTED, &text).expect("written");
        }
        let committed = std::fs::read_to_string(COMMITTED).expect("openapi/roadstead.json");
        assert!(committed == text, "the API changed: run `UPDATE=1 cargo test openapi`, commit");
    }

    #[test]
    fn every_operation_says_who_may_call_it_and_what_it_does() {
        let mut document: Value = serde_json::from_str(&openapi_json()).expect("JSON");
        assert_eq!(document["openapi"], "3.1.0");
        let mut ids = std::collections::BTreeSet::new();
        for operation in operations(&mut document) {
            let id = operation["operationId"].as_str().expect("id").to_owned();
            assert!(operation["security"].is_array(), "{id} has no `security`");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{id}");
            let tag = operation["tags"][0].as_str().expect("tag");
            assert!(TAGS.iter().any(|(known, _)| *known == tag), "{id}: {tag}");
            assert!(ids.insert(id.clone()), "{id} is there twice");
        }
        assert!(ids.len() > 60, "{}", ids.len());
    }

    #[test]
    fn every_reference_resolves() {
        let document: Value = serde_json::from_str(&openapi_json()).expect("JSON");
        let mut open = vec![&document];
        while let Some(value) = open.pop() {
            match value {
                Value::Object(object) => {
                    if let Some(Value::String(target)) = object.get("$ref") {
                        let pointer = target.strip_prefix('#').expect("local");
                        assert!(document.pointer(pointer).is_some(), "{target}");
                    }
                    open.extend(object.values());
                }
                Value::Array(items) => open.extend(items),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
            }
        }
    }
}
