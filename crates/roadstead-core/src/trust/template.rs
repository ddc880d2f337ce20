//! Templates: how a device that logs in with a certificate of a trusted authority, and is not
//! known yet, is registered.
//!
//! Source: Huawei §9.2; comments of the SDK models `ProvisioningTemplateBody`, `DeviceResource`,
//! `TagRef`.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{SUBJECT_FIELDS, Subject};
use crate::{Map, SpaceId, Timestamp, Value};

/// Head of the names of parameters.
const PREFIX: &str = "iotda::certificate::";
/// Most tags of a device.
const TAGS_MAX: usize = 10;
/// Most policies that a template binds.
const POLICIES_MAX: usize = 10;

/// A template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// Stable id.
    pub id: Box<str>,
    /// Tenant.
    pub space: SpaceId,
    /// Unique in its space.
    pub name: Box<str>,
    /// Description.
    pub description: Box<str>,
    /// What it makes.
    pub body: TemplateBody,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed.
    pub updated_at: Timestamp,
}

/// What a template makes of a certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateBody {
    /// Fields that the certificate must have: `{"iotda::certificate::common_name":
    /// {"type": "String"}}`.
    pub parameters: Map<String, Value>,
    /// What is made.
    pub resources: Resources,
}

/// What is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// The device.
    pub device: DeviceResource,
    /// Policies to bind to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyResource>,
}

/// How the device is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceResource {
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<Source>,
    /// Device id; made of product and node when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<Source>,
    /// Node id.
    pub node_id: Source,
    /// Product: a fixed id or a parameter.
    pub product_id: Source,
    /// Tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<TagResource>>,
}

/// A tag to set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagResource {
    /// Name.
    pub tag_key: Source,
    /// Value.
    pub tag_value: Source,
}

/// Policies to bind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyResource {
    /// Their ids.
    #[serde(default)]
    pub policy_ids: Vec<Box<str>>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Source {
    /// A field of the certificate.
    Parameter {
        /// Its full name.
        #[serde(rename = "ref")]
        name: Box<str>,
    },
    /// A fixed text.
    Fixed(Box<str>),
}

/// A device to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Device id, where the template names one.
    pub device: Option<String>,
    /// Node id.
    pub node: String,
    /// Product.
    pub product: String,
    /// Display name.
    pub name: Option<String>,
    /// Tags.
    pub tags: Vec<(String, String)>,
    /// Ids of policies to bind.
    pub policies: Vec<Box<str>>,
}

/// Why a template cannot be used; the text names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(pub String);

impl TemplateBody {
    /// Checks that every reference is to a declared parameter and every parameter is known.
    ///
    /// # Errors
    ///
    /// Which field breaks which rule.
    pub fn check(&self) -> Result<(), TemplateError> {
        let bad = |text: String| Err(TemplateError(text));
        for (name, value) in &self.parameters {
            let field = name.strip_prefix(PREFIX).unwrap_or_default();
            if !SUBJECT_FIELDS.contains(&field) {
                return bad(format!("parameters: `{name}` is not known"));
            }
            let ty = value.get("type").and_then(Value::as_str).unwrap_or_default();
            if !ty.eq_ignore_ascii_case("string") {
                return bad(format!("parameters: the type of `{name}` is not String"));
            }
        }
        let device = &self.resources.device;
        let tags = device.tags.iter().flatten();
        let named = tags.flat_map(|tag| [("tag_key", &tag.tag_key), ("tag_value", &tag.tag_value)]);
        let sources = [("node_id", &device.node_id), ("product_id", &device.product_id)]
            .into_iter()
            .chain(device.device_name.iter().map(|source| ("device_name", source)))
            .chain(device.device_id.iter().map(|source| ("device_id", source)))
            .chain(named);
        for (field, source) in sources {
            match source {
                Source::Parameter { name } if !self.parameters.contains_key(&**name) => {
                    return bad(format!("{field}: `{name}` is not declared in parameters"));
                }
                Source::Fixed(text) if text.is_empty() => return bad(format!("{field}: empty")),
                Source::Fixed(_) if matches!(field, "node_id" | "device_id") => {
                    return bad(format!("{field}: a fixed value would make one device only"));
                }
                Source::Parameter { .. } | Source::Fixed(_) => {}
            }
        }
        if device.tags.as_ref().is_some_and(|tags| tags.len() > TAGS_MAX) {
            return bad(format!("tags: at most {TAGS_MAX}"));
        }
        let policies = self.resources.policy.as_ref().map_or(0, |policy| policy.policy_ids.len());
        match policies > POLICIES_MAX {
            true => bad(format!("policy_ids: at most {POLICIES_MAX}")),
            false => Ok(()),
        }
    }

    /// Returns the device that a certificate becomes.
    ///
    /// # Errors
    ///
    /// The certificate lacks a declared parameter.
    pub fn plan(&self, subject: &Subject) -> Result<Plan, TemplateError> {
        let value = |name: &str| {
            let field = name.strip_prefix(PREFIX).unwrap_or(name);
            subject.get(field).filter(|value| !value.is_empty())
        };
        if let Some(missing) = self.parameters.keys().find(|name| value(name).is_none()) {
            return Err(TemplateError(format!("the certificate has no `{missing}`")));
        }
        let resolve = |source: &Source| match source {
            Source::Fixed(text) => (**text).to_owned(),
            Source::Parameter { name } => value(name).cloned().unwrap_or_default(),
        };
        let device = &self.resources.device;
        let tags = device.tags.iter().flatten();
        Ok(Plan {
            device: device.device_id.as_ref().map(resolve),
            node: resolve(&device.node_id),
            product: resolve(&device.product_id),
            name: device.device_name.as_ref().map(resolve),
            tags: tags.map(|tag| (resolve(&tag.tag_key), resolve(&tag.tag_value))).collect(),
            policies: self.resources.policy.as_ref().map_or(Vec::new(), |p| p.policy_ids.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body() -> Value {
        json!({
            "parameters": {
                "iotda::certificate::common_name": {"type": "String"},
                "iotda::certificate::country": {"type": "String"}},
            "resources": {
                "device": {
                    "node_id": {"ref": "iotda::certificate::common_name"},
                    "device_name": {"ref": "iotda::certificate::country"},
                    "product_id": "p1",
                    "tags": [{"tag_key": "land",
                              "tag_value": {"ref": "iotda::certificate::country"}}]},
                "policy": {"policy_ids": ["a", "b"]}}})
    }

    fn read(json: Value) -> TemplateBody {
        serde_json::from_value(json).expect("template")
    }

    #[test]
    fn a_certificate_becomes_a_device() {
        let template = read(body());
        assert_eq!(template.check(), Ok(()));
        assert_eq!(serde_json::to_value(&template).expect("JSON"), body());
        let subject: Subject = [("common_name", "lamp1"), ("country", "CN")]
            .map(|(key, value)| (key.into(), value.into()))
            .into();
        let plan = template.plan(&subject).expect("plan");
        let expected = Plan {
            device: None,
            node: "lamp1".into(),
            product: "p1".into(),
            name: Some("CN".into()),
            tags: [("land".into(), "CN".into())].into(),
            policies: ["a".into(), "b".into()].into(),
        };
        assert_eq!(plan, expected);
        let error = template.plan(&Subject::new()).expect_err("no subject");
        assert!(error.0.starts_with("the certificate has no `iotda::certificate::"));
    }

    #[test]
    fn what_breaks_a_rule_is_named() {
        let set = |pointer: &str, value: Value| {
            let mut json = body();
            *json.pointer_mut(pointer).expect(pointer) = value;
            read(json).check().expect_err(pointer).0
        };
        let node = "/resources/device/node_id";
        assert_eq!(set(node, "x".into()), "node_id: a fixed value would make one device only");
        assert!(set(node, json!({"ref": "iotda::certificate::organization"})).contains("declared"));
        assert!(set("/parameters", json!({"iotda::x": {"type": "String"}})).contains("not known"));
        assert!(
            set("/parameters/iotda::certificate::country/type", "int".into()).contains("String")
        );
        assert_eq!(set("/resources/device/product_id", "".into()), "product_id: empty");
        let many = alloc::vec!["x"; 11];
        assert_eq!(set("/resources/policy/policy_ids", many.into()), "policy_ids: at most 10");
    }
}
