//! What a model from elsewhere loses as data points: services, commands, text, lists, and numbers
//! without limits. What only the other vendor's document says is dropped.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::product::{Access, DEFAULT_SERVICE, Extra, Model, Property, Service};

use super::layout::Layout;
use crate::{Adapted, Note};

/// Fits a model.
pub(in crate::gizwits) fn adapt(model: &Model) -> Adapted {
    if super::export(model).is_ok() {
        return Adapted::unchanged(model);
    }
    let mut notes = Vec::new();
    let mut note = |path: String, text: &str| notes.push(Note { path, text: text.into() });
    let mut flat = Service::new(DEFAULT_SERVICE);
    let mut taken = BTreeSet::new();
    for service in &model.services {
        if *service.id != *DEFAULT_SERVICE {
            let text = "data points have no services: the members move to the product";
            note(service.id.as_ref().into(), text);
        }
        for property in &service.properties {
            let path = format!("{}.{}", service.id, property.id);
            let access = if property.access.write { Access::READ_WRITE } else { Access::READ };
            let mut kept =
                Property { access, initial: None, extra: Extra::new(), ..property.clone() };
            if let Err(why) = Layout::of(&alone(kept.clone())) {
                note(path, &format!("left out: {why}"));
                continue;
            }
            while !taken.insert(kept.id.clone()) {
                kept.id = format!("{}_{}", service.id, kept.id).into();
            }
            if kept.id != property.id {
                let text = format!("another service has the same name: it becomes `{}`", kept.id);
                note(path, &text);
            }
            flat.properties.push(kept);
        }
        let commands = service.commands.iter().map(|command| &command.id);
        for name in commands.chain(service.events.iter().map(|event| &event.id)) {
            note(format!("{}.{name}", service.id), "left out: data points are properties only");
        }
    }
    let services = if flat.properties.is_empty() { Vec::new() } else { Vec::from([flat]) };
    Adapted { model: Model { services, extra: Extra::new() }, notes }
}

fn alone(property: Property) -> Model {
    let mut service = Service::new(DEFAULT_SERVICE);
    service.properties.push(property);
    Model { services: Vec::from([service]), extra: Extra::new() }
}
