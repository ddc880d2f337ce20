//! What a model from elsewhere loses, or says differently, as a model of this vendor.
//!
//! Names are made to fit the rules. What the JSON form cannot say travels in additional fields
//! of the platform's own and is not lost here, but the vendor's own cloud would not know it: that
//! is noted, not changed.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

use roadstead_core::product::{DataType, Level, Model, Parameter};

use super::check::allowed;
use crate::{Adapted, Note};

/// Longest unit, characters (Huawei §7.1).
const UNIT_MAX: usize = 16;

/// Fits a model.
pub fn adapt(model: &Model) -> Adapted {
    let mut adapted = Adapted::unchanged(model);
    let mut notes = Notes(alloc::vec::Vec::new());
    let mut ids = BTreeSet::new();
    for service in &mut adapted.model.services {
        let path = (*service.id).to_owned();
        notes.rename(&mut service.id, &path, false, &mut ids);
        let mut names = BTreeSet::new();
        for property in &mut service.properties {
            let path = format!("{path}.{}", property.id);
            notes.rename(&mut property.id, &path, false, &mut names);
            notes.ty(&mut property.ty, &path);
        }
        names.clear();
        for command in &mut service.commands {
            let path = format!("{path}.{}", command.id);
            notes.rename(&mut command.id, &path, false, &mut names);
            notes.parameters(&mut command.input, &path);
            notes.parameters(&mut command.output, &path);
        }
        names.clear();
        for event in &mut service.events {
            let path = format!("{path}.{}", event.id);
            notes.rename(&mut event.id, &path, true, &mut names);
            notes.parameters(&mut event.output, &path);
            if event.level != Level::Info {
                notes.add(&path, "the level of an event travels in the additional field `level`");
            }
        }
    }
    adapted.notes = notes.0;
    adapted
}

struct Notes(alloc::vec::Vec<Note>);

impl Notes {
    fn add(&mut self, path: &str, text: impl Into<String>) {
        self.0.push(Note { path: path.into(), text: text.into() });
    }

    /// Makes a name fit the rules and differ from those in `taken`.
    fn rename(
        &mut self,
        id: &mut Box<str>,
        path: &str,
        is_short: bool,
        taken: &mut BTreeSet<String>,
    ) {
        let base = allowed(id, is_short);
        let mut name = base.clone();
        let mut n = 2;
        while taken.contains(&name) {
            let room = base.chars().count().min(if is_short { 28 } else { 60 });
            name = format!("{}_{n}", base.chars().take(room).collect::<String>());
            n += 1;
        }
        if name != **id {
            self.add(path, format!("the name breaks a rule and becomes `{name}`"));
            *id = name.as_str().into();
        }
        taken.insert(name);
    }

    fn parameters(&mut self, list: &mut [Parameter], path: &str) {
        let mut names = BTreeSet::new();
        for parameter in list {
            let path = format!("{path}.{}", parameter.id);
            self.rename(&mut parameter.id, &path, true, &mut names);
            self.ty(&mut parameter.ty, &path);
        }
    }

    fn ty(&mut self, ty: &mut DataType, path: &str) {
        match ty {
            DataType::Int { range } | DataType::Float { range } => {
                let unit = range.unit.as_deref().unwrap_or_default();
                if unit.chars().count() > UNIT_MAX {
                    let cut: String = unit.chars().take(UNIT_MAX).collect();
                    self.add(path, format!("the unit `{unit}` is cut to `{cut}`"));
                    range.unit = Some(cut.as_str().into());
                }
            }
            DataType::Bool { labels: Some(_) } => {
                self.add(path, "the names of false and true travel in `type_detail`");
            }
            DataType::Enum { items } if items.iter().any(|item| item.code.is_some()) => {
                self.add(path, "the numbers behind the names of an enum travel in `type_detail`");
            }
            DataType::Struct { .. } => {
                self.add(path, "a structure is a `jsonObject`; its fields travel in `type_detail`");
            }
            DataType::Array { item, .. } if !matches!(**item, DataType::Text { .. }) => {
                self.add(path, "a list is a `jsonObject`; its items travel in `type_detail`");
            }
            DataType::Bool { .. }
            | DataType::Enum { .. }
            | DataType::Text { .. }
            | DataType::Time
            | DataType::Array { .. }
            | DataType::Any => {}
        }
    }
}
