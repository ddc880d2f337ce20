//! What a model from elsewhere loses, or says differently, as a data template.
//!
//! A template has no services, no type for "any JSON", no longest list and one answer per action.
//! What only the other vendor's document says is dropped.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::product::{
    Access, Command, DEFAULT_SERVICE, DataType, Event, Extra, Model, Parameter, Property, Service,
};

use crate::{Adapted, Note};

/// Fits a model.
pub(in crate::tencent) fn adapt(model: &Model) -> Adapted {
    let mut notes = Notes(Vec::new());
    let mut flat = Service::new(DEFAULT_SERVICE);
    let [mut properties, mut commands, mut events] = [const { BTreeSet::new() }; 3];
    let named = model.services.iter().filter(|service| &*service.id != DEFAULT_SERVICE);
    for service in named {
        notes.add(&service.id, "a template has no services: the members move to the product");
    }
    for service in &model.services {
        for property in &service.properties {
            let path = format!("{}.{}", service.id, property.id);
            if let Some(mut property) = notes.property(property, &path) {
                notes.rename(&mut property.id, service, &path, &mut properties);
                flat.properties.push(property);
            }
        }
        for command in &service.commands {
            let path = format!("{}.{}", service.id, command.id);
            let mut command = notes.command(command, &path);
            notes.rename(&mut command.id, service, &path, &mut commands);
            flat.commands.push(command);
        }
        for event in &service.events {
            let path = format!("{}.{}", service.id, event.id);
            let output = notes.parameters(&event.output, &path);
            let mut event = Event { output, extra: Extra::new(), ..event.clone() };
            notes.rename(&mut event.id, service, &path, &mut events);
            flat.events.push(event);
        }
    }
    let is_empty = flat.properties.is_empty() && flat.commands.is_empty() && flat.events.is_empty();
    let services = if is_empty { Vec::new() } else { Vec::from([flat]) };
    Adapted { model: Model { services, extra: Extra::new() }, notes: notes.0 }
}

struct Notes(Vec<Note>);

impl Notes {
    fn add(&mut self, path: &str, text: impl Into<String>) {
        self.0.push(Note { path: path.into(), text: text.into() });
    }

    /// Gives a member whose name another service used the name of its service as well.
    fn rename(
        &mut self,
        id: &mut Box<str>,
        service: &Service,
        path: &str,
        taken: &mut BTreeSet<Box<str>>,
    ) {
        if taken.contains(id) {
            let mut name = format!("{}_{id}", service.id);
            while taken.contains(name.as_str()) {
                name.push('_');
            }
            self.add(path, format!("another service has the same name: it becomes `{name}`"));
            *id = name.into();
        }
        taken.insert(id.clone());
    }

    fn property(&mut self, property: &Property, path: &str) -> Option<Property> {
        let ty = self.ty(&property.ty, path)?;
        let is_number = matches!(ty, DataType::Int { .. } | DataType::Float { .. });
        let initial = property.initial.clone();
        if initial.is_some() && !is_number {
            self.add(path, "a template has initial values of numbers only: it is dropped");
        }
        // A template knows `r`, `w` and `rw`; what is reported can be read.
        let access = match property.access {
            Access { write: false, .. } => Access::READ,
            Access { read: false, report: false, .. } => property.access,
            Access { .. } => Access::READ_WRITE,
        };
        Some(Property {
            access,
            ty,
            initial: initial.filter(|_| is_number),
            extra: Extra::new(),
            ..property.clone()
        })
    }

    fn command(&mut self, command: &Command, path: &str) -> Command {
        if command.extra.contains_key("responses") {
            self.add(path, "an action has one answer: all but the first are dropped");
        }
        Command {
            input: self.parameters(&command.input, path),
            output: self.parameters(&command.output, path),
            extra: Extra::new(),
            ..command.clone()
        }
    }

    fn parameters(&mut self, list: &[Parameter], path: &str) -> Vec<Parameter> {
        let fitted = list.iter().filter_map(|parameter| {
            let path = format!("{path}.{}", parameter.id);
            let ty = self.ty(&parameter.ty, &path)?;
            Some(Parameter { ty, extra: Extra::new(), ..parameter.clone() })
        });
        fitted.collect()
    }

    /// Returns the type as a template has it; `None` when it has none.
    fn ty(&mut self, ty: &DataType, path: &str) -> Option<DataType> {
        Some(match ty {
            DataType::Any => {
                self.add(path, "a template has no type for any JSON value: it is dropped");
                return None;
            }
            DataType::Array { item, items_max } => {
                if items_max.is_some() {
                    self.add(path, "a template has no longest list: the limit is dropped");
                }
                DataType::Array { item: Box::new(self.ty(item, path)?), items_max: None }
            }
            DataType::Struct { fields } => {
                DataType::Struct { fields: self.parameters(fields, path) }
            }
            DataType::Enum { items } => {
                let coded = items.iter().filter(|item| item.code.is_some()).count();
                let mut items = items.clone();
                if coded > 0 && coded < items.len() {
                    self.add(path, "some names of the enum have no number: all lose theirs");
                    items.iter_mut().for_each(|item| item.code = None);
                }
                items.iter_mut().for_each(|item| item.extra = Extra::new());
                DataType::Enum { items }
            }
            DataType::Bool { .. }
            | DataType::Int { .. }
            | DataType::Float { .. }
            | DataType::Text { .. }
            | DataType::Time => ty.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::prelude::v1::*;
    use std::vec;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::capability;

    fn model(services: serde_json::Value) -> Model {
        capability::import(&json!({"service_capabilities": services})).expect("model")
    }

    fn notes(adapted: &Adapted) -> Vec<String> {
        adapted.notes.iter().map(|note| format!("{}: {}", note.path, note.text)).collect()
    }

    #[test]
    fn a_model_of_services_becomes_a_template() {
        let adapted = adapt(&model(json!([
            {"service_id": "Lamp", "service_type": "Lamp", "properties": [
                {"property_name": "on", "data_type": "boolean", "method": "RW"},
                {"property_name": "level", "data_type": "int", "min": "0", "max": "9",
                 "unit": "%", "method": "RWE", "default_value": 5},
                {"property_name": "any", "data_type": "jsonObject", "method": "R"},
                {"property_name": "tags", "data_type": "string list", "max_length": 3,
                 "method": "R"}],
             "commands": [{"command_name": "BLINK", "paras": [
                {"para_name": "what", "data_type": "jsonObject"},
                {"para_name": "n", "data_type": "int", "required": true}], "responses": [
                {"response_name": "A"}, {"response_name": "B"}]}]},
            {"service_id": "Fan", "properties": [
                {"property_name": "on", "data_type": "boolean", "method": "RW",
                 "default_value": true}]}])));
        assert_eq!(
            notes(&adapted),
            [
                "Lamp: a template has no services: the members move to the product",
                "Fan: a template has no services: the members move to the product",
                "Lamp.any: a template has no type for any JSON value: it is dropped",
                "Lamp.tags: a template has no longest list: the limit is dropped",
                "Lamp.BLINK: an action has one answer: all but the first are dropped",
                "Lamp.BLINK.what: a template has no type for any JSON value: it is dropped",
                "Fan.on: a template has initial values of numbers only: it is dropped",
                "Fan.on: another service has the same name: it becomes `Fan_on`",
            ]
        );
        let template = super::super::export(&adapted.model).expect("template");
        let expected = json!({
            "properties": [
                {"id": "on", "mode": "rw", "define": {"type": "bool"}},
                {"id": "level", "mode": "rw", "define": {
                    "type": "int", "min": "0", "max": "9", "start": "5", "unit": "%"}},
                {"id": "tags", "mode": "r", "define": {
                    "type": "array", "arrayInfo": {"type": "string"}}},
                {"id": "Fan_on", "mode": "rw", "define": {"type": "bool"}}],
            "actions": [{"id": "BLINK", "input": [{"id": "n", "define": {
                "type": "int", "min": "-2147483648", "max": "2147483647"}}]}],
        });
        assert_eq!(template, expected);
        assert!(super::super::recognizes(&template));
    }

    #[test]
    fn an_empty_model_stays_empty() {
        assert_eq!(adapt(&Model::default()), Adapted::unchanged(&Model::default()));
    }

    proptest! {
        #[test]
        fn what_is_fitted_exports_and_reads_back(
            names in proptest::collection::vec(("[ab]{1,2}", "[ab]{1,2}", 0usize..8), 1..6),
        ) {
            let types = ["int", "long", "decimal", "string", "DateTime", "jsonObject", "boolean",
                "string list"];
            let mut services: Vec<serde_json::Value> = vec![];
            for (service, property, ty) in names {
                let known = services.iter().position(|s| s["service_id"] == *service);
                let n = known.unwrap_or_else(|| {
                    services.push(json!({"service_id": service, "properties": []}));
                    services.len() - 1
                });
                let list = services[n]["properties"].as_array_mut().expect("list");
                if list.iter().all(|p| p["property_name"] != *property) {
                    list.push(json!({"property_name": property, "data_type": types[ty],
                        "method": "RW"}));
                }
            }
            let adapted = adapt(&model(services.into()));
            let template = super::super::export(&adapted.model).expect("exports");
            if !adapted.model.is_empty() {
                let back = super::super::import(&template).expect("reads");
                prop_assert_eq!(back, adapted.model);
            }
        }
    }
}
