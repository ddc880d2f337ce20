//! What a model from elsewhere loses, or says differently, as a TSL.
//!
//! A TSL has no type for "any JSON" and wants a number per item of an enum. What only the other
//! vendor's document says is dropped.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::product::{
    Command, DataType, EnumItem, Event, Extra, Model, Parameter, Property, Service,
};

use crate::{Adapted, Note};

/// Fits a model.
pub(in crate::alibaba) fn adapt(model: &Model) -> Adapted {
    let mut notes = Notes(Vec::new());
    let services = model.services.iter().map(|service| notes.service(service)).collect();
    Adapted { model: Model { services, extra: Extra::new() }, notes: notes.0 }
}

struct Notes(Vec<Note>);

impl Notes {
    fn add(&mut self, path: &str, text: impl Into<String>) {
        self.0.push(Note { path: path.into(), text: text.into() });
    }

    fn service(&mut self, service: &Service) -> Service {
        let path = |id: &str| format!("{}.{id}", service.id);
        let mut fitted = Service {
            name: service.name.clone(),
            description: service.description.clone(),
            ..Service::new(&service.id)
        };
        for property in &service.properties {
            match self.ty(&property.ty, &path(&property.id)) {
                Some(ty) => {
                    let (id, extra) = (property.id.clone(), Extra::new());
                    fitted.properties.push(Property { id, ty, extra, ..property.clone() });
                }
                None => self.add(&path(&property.id), "a TSL has no type for any value: left out"),
            }
        }
        for command in &service.commands {
            let at = path(&command.id);
            let (input, output) =
                (self.parameters(&command.input, &at), self.parameters(&command.output, &at));
            let (id, extra) = (command.id.clone(), Extra::new());
            fitted.commands.push(Command { id, input, output, extra, ..command.clone() });
        }
        for event in &service.events {
            let output = self.parameters(&event.output, &path(&event.id));
            let (id, extra) = (event.id.clone(), Extra::new());
            fitted.events.push(Event { id, output, extra, ..event.clone() });
        }
        fitted
    }

    fn parameters(&mut self, list: &[Parameter], path: &str) -> Vec<Parameter> {
        let mut fitted = Vec::with_capacity(list.len());
        for parameter in list {
            let path = format!("{path}.{}", parameter.id);
            match self.ty(&parameter.ty, &path) {
                Some(ty) => {
                    let (id, extra) = (parameter.id.clone(), Extra::new());
                    fitted.push(Parameter { id, ty, extra, ..parameter.clone() });
                }
                None => self.add(&path, "a TSL has no type for any value: left out"),
            }
        }
        fitted
    }

    fn ty(&mut self, ty: &DataType, path: &str) -> Option<DataType> {
        Some(match ty {
            DataType::Any => return None,
            DataType::Enum { items } => DataType::Enum { items: self.items(items, path) },
            DataType::Struct { fields } => {
                DataType::Struct { fields: self.parameters(fields, path) }
            }
            DataType::Array { item, items_max } => {
                let item = Box::new(self.ty(item, path)?);
                DataType::Array { item, items_max: *items_max }
            }
            DataType::Bool { .. }
            | DataType::Int { .. }
            | DataType::Float { .. }
            | DataType::Text { .. }
            | DataType::Time => ty.clone(),
        })
    }

    fn items(&mut self, items: &[EnumItem], path: &str) -> Vec<EnumItem> {
        let is_coded = items.iter().all(|item| item.code.is_some());
        if !is_coded {
            self.add(path, "the items of the enum get the numbers 0, 1, 2, …");
        }
        let item = |(n, item): (usize, &EnumItem)| {
            let code = if is_coded { item.code } else { i64::try_from(n).ok() };
            EnumItem { name: item.name.clone(), code, extra: Extra::new() }
        };
        items.iter().enumerate().map(item).collect()
    }
}
