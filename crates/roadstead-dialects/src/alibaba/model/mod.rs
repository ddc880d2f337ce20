//! The TSL document: import to the canonical thing model and export without loss.
//!
//! What the canonical form does not hold stays in `extra`. A type whose original writing still
//! means the same is written as it was, so an untouched element comes out equal and an edited one
//! comes out edited. The event `post` and the services `set` and `get`, which the vendor's console
//! adds to every document, are kept as they are and are no elements of the model.
//!
//! | in the document | here |
//! |---|---|
//! | the lists at the top | the default service |
//! | `functionBlocks` | one service each; names on the wire have `block:` before them |
//!
//! Source: Alibaba §8; the vendor's public TSL schema.

mod adapt;
mod element;
#[cfg(test)]
mod tests;
mod ty;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::product::{DEFAULT_SERVICE, Extra, Model, Service};
use roadstead_core::{Map, Value};

use crate::Problem;

pub(super) use adapt::adapt;

type Object = Map<String, Value>;

/// The three lists of a document or block.
const LISTS: [&str; 3] = ["properties", "events", "services"];
/// Key of the blocks beside the default one.
const BLOCKS: &str = "functionBlocks";
/// Keys of a block's id and name.
const BLOCK_ID: &str = "functionBlockId";
const BLOCK_NAME: &str = "functionBlockName";
/// Key in a service's `extra` of the elements the console added: list, place, element.
const BUILT_IN: &str = "$builtIn";
/// Methods of those elements.
const BUILT_IN_METHODS: [&str; 3] =
    ["thing.event.property.post", "thing.service.property.set", "thing.service.property.get"];

/// Recognises a TSL document by content.
pub(super) fn recognizes(document: &Value) -> bool {
    let Some(object) = document.as_object() else { return false };
    let has_profile = object.get("profile").is_some_and(|p| p.get("productKey").is_some());
    let blocks = object.get(BLOCKS).and_then(Value::as_array).into_iter().flatten();
    let lists = core::iter::once(document)
        .chain(blocks)
        .flat_map(|block| LISTS.iter().filter_map(|key| block.get(*key)?.as_array()));
    let mut items = lists.flatten();
    has_profile || items.any(|item| item.get("identifier").is_some_and(Value::is_string))
}

/// Reads a TSL document.
pub(super) fn import(document: &Value) -> Result<Model, Problem> {
    let object = document.as_object().ok_or_else(|| bad("the document", "is not an object"))?;
    let mut services = Vec::new();
    let top = element::read_service(object, DEFAULT_SERVICE)?;
    if !element::is_empty(&top) {
        services.push(top);
    }
    for (n, block) in list(object, BLOCKS)?.iter().enumerate() {
        let at = format!("{BLOCKS}[{n}]");
        let block = block.as_object().ok_or_else(|| bad(&at, "is not an object"))?;
        let id = block.get(BLOCK_ID).and_then(Value::as_str).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| bad(&at, "has no `functionBlockId`"))?;
        let is_known = services.iter().any(|service: &Service| &*service.id == id);
        if is_known || id == DEFAULT_SERVICE {
            return Err(bad(id, "the block occurs twice"));
        }
        if block.contains_key(BUILT_IN) {
            return Err(bad(id, "`$builtIn` is a name of ours"));
        }
        let mut service = element::read_service(block, id)?;
        service.name = text(block, BLOCK_NAME).into();
        let written = write_block(&service)?;
        for (key, value) in block {
            if written.get(key) != Some(value) {
                service.extra.insert(key.clone(), value.clone());
            }
        }
        services.push(service);
    }
    let mut model = Model { services, extra: Extra::new() };
    let rendered = render(&model)?;
    for (key, value) in object {
        if rendered.get(key) != Some(value) {
            model.extra.insert(key.clone(), value.clone());
        }
    }
    Ok(model)
}

/// Writes a TSL document.
pub(super) fn export(model: &Model) -> Result<Value, Problem> {
    Ok(Value::Object(merge(render(model)?, &model.extra)))
}

fn render(model: &Model) -> Result<Object, Problem> {
    let mut object = Object::new();
    let mut blocks = Vec::new();
    for service in &model.services {
        match &*service.id {
            DEFAULT_SERVICE => element::write_service(service, &mut object)?,
            _ => {
                let mut block = merge(write_block(service)?, &service.extra);
                block.shift_remove(BUILT_IN);
                blocks.push(Value::Object(block));
            }
        }
    }
    if !blocks.is_empty() {
        object.insert(BLOCKS.into(), Value::Array(blocks));
    }
    Ok(object)
}

fn write_block(service: &Service) -> Result<Object, Problem> {
    let mut object = Object::new();
    object.insert(BLOCK_ID.into(), Value::from(&*service.id));
    if !service.name.is_empty() {
        object.insert(BLOCK_NAME.into(), Value::from(&*service.name));
    }
    element::write_service(service, &mut object)?;
    Ok(object)
}

/// Adds what only the original says. What both say is ours: it may have been edited.
fn merge(mut rendered: Object, extra: &Extra) -> Object {
    for (key, value) in extra {
        if !rendered.contains_key(key) {
            rendered.insert(key.clone(), value.clone());
        }
    }
    rendered
}

/// Returns a list; an absent one is empty.
fn list<'a>(object: &'a Object, key: &str) -> Result<&'a [Value], Problem> {
    match object.get(key) {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(bad(key, "is not a list")),
    }
}

fn text<'a>(object: &'a Object, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn bad(what: &str, rule: &str) -> Problem {
    Problem::new("import.bad_model", format!("{what}: {rule}"))
}

fn inside(id: &str, problem: Problem) -> Problem {
    Problem::new(problem.code, format!("{id}: {}", problem.message))
}
