//! The rules of names, lengths and numbers that hold for every model of a product of this vendor,
//! however it came in.
//!
//! Source: Huawei §7.1 and §15 (northbound SDK `ServiceCapability` and below).

use alloc::format;
use alloc::string::String;

use roadstead_core::product::{Model, Parameter, Service};

use crate::Problem;
use crate::capability;

/// Most services of a model.
const SERVICES_MAX: usize = 500;
/// Most properties, commands or events of a service.
const MEMBERS_MAX: usize = 500;
/// Largest model, bytes of `service_capabilities`.
const MODEL_BYTES_MAX: usize = 500 * 1024;
/// Longest name of a service, property or command, characters.
const NAME_MAX: usize = 64;
/// Longest name of a parameter or event, characters.
const PARAMETER_MAX: usize = 32;
/// Longest unit, characters.
const UNIT_MAX: usize = 16;
/// Punctuation that names may have.
const PUNCTUATION: &str = "_?'#().,&%@!-";

/// Checks a model.
///
/// # Errors
///
/// `import.bad_model`, naming the element and the rule.
pub fn check(model: &Model) -> Result<(), Problem> {
    rules(model).map_err(|text| Problem::new("import.bad_model", text))
}

fn rules(model: &Model) -> Result<(), String> {
    most("services", model.services.len(), SERVICES_MAX)?;
    for service in &model.services {
        name("service_id", &service.id, NAME_MAX, "$")?;
        members(service).map_err(|text| format!("{}.{text}", service.id))?;
    }
    let size = serde_json::to_vec(&capability::write_model(model)).map_or(0, |json| json.len());
    match size <= MODEL_BYTES_MAX {
        true => Ok(()),
        false => Err(format!("the model has {size} bytes, at most {MODEL_BYTES_MAX} are allowed")),
    }
}

fn members(service: &Service) -> Result<(), String> {
    if let Some(kind) = service.extra.get("service_type").and_then(|kind| kind.as_str()) {
        name("service_type", kind, NAME_MAX, "$")?;
    }
    if let Some(option) = service.extra.get("option").and_then(|option| option.as_str())
        && !["Master", "Mandatory", "Optional"].contains(&option)
    {
        return Err(format!("option: `{option}` is not Master, Mandatory or Optional"));
    }
    most("properties", service.properties.len(), MEMBERS_MAX)?;
    most("commands", service.commands.len(), MEMBERS_MAX)?;
    most("events", service.events.len(), MEMBERS_MAX)?;
    for property in &service.properties {
        name("property_name", &property.id, NAME_MAX, "")?;
        if property.id.contains('.') {
            return Err(format!("property_name: `{}` has `.`", property.id));
        }
        unit(&property.ty).map_err(|text| format!("{}.{text}", property.id))?;
    }
    for command in &service.commands {
        name("command_name", &command.id, NAME_MAX, "")?;
        parameters(&command.input).map_err(|text| format!("{}.{text}", command.id))?;
        parameters(&command.output).map_err(|text| format!("{}.{text}", command.id))?;
    }
    for event in &service.events {
        name("event_type", &event.id, PARAMETER_MAX, "")?;
        parameters(&event.output).map_err(|text| format!("{}.{text}", event.id))?;
    }
    Ok(())
}

fn parameters(list: &[Parameter]) -> Result<(), String> {
    for parameter in list {
        name("para_name", &parameter.id, PARAMETER_MAX, "")?;
        unit(&parameter.ty).map_err(|text| format!("{}.{text}", parameter.id))?;
    }
    Ok(())
}

fn unit(ty: &roadstead_core::product::DataType) -> Result<(), String> {
    use roadstead_core::product::DataType;

    let unit = match ty {
        DataType::Int { range } | DataType::Float { range } => range.unit.as_deref(),
        DataType::Bool { .. }
        | DataType::Enum { .. }
        | DataType::Text { .. }
        | DataType::Time
        | DataType::Struct { .. }
        | DataType::Array { .. }
        | DataType::Any => None,
    };
    match unit.map_or(0, |unit| unit.chars().count()) {
        n if n > UNIT_MAX => Err(format!("unit: at most {UNIT_MAX} characters")),
        _ => Ok(()),
    }
}

fn most(what: &str, count: usize, max: usize) -> Result<(), String> {
    match count <= max {
        true => Ok(()),
        false => Err(format!("{what}: {count} are more than {max}")),
    }
}

fn name(field: &str, text: &str, max: usize, more: &str) -> Result<(), String> {
    let length = text.chars().count();
    if !(1..=max).contains(&length) {
        return Err(format!("{field}: `{text}` has {length} characters, 1 to {max} are allowed"));
    }
    match text.chars().find(|&c| !(is_word(c) || PUNCTUATION.contains(c) || more.contains(c))) {
        None => Ok(()),
        Some(c) => Err(format!(
            "{field}: `{text}` has `{}`; letters, digits, Chinese and {PUNCTUATION}{more} are \
             allowed",
            c.escape_debug()
        )),
    }
}

/// Letters, digits and Chinese.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || ('\u{3400}'..='\u{9fff}').contains(&c)
}

/// Returns the name with what the rules forbid replaced by `_`, and cut.
pub(super) fn allowed(text: &str, is_parameter: bool) -> String {
    let max = if is_parameter { PARAMETER_MAX } else { NAME_MAX };
    // A `.` is allowed in names of the list above, but not in those of properties.
    let fits = |c: char| is_word(c) || (PUNCTUATION.contains(c) && c != '.');
    let replaced: String = text.chars().take(max).map(|c| if fits(c) { c } else { '_' }).collect();
    if replaced.is_empty() { "_".into() } else { replaced }
}

#[cfg(test)]
mod tests {
    use std::prelude::v1::*;

    use roadstead_core::product::{Command, DataType, Event, Extra, Level, Range};

    use super::*;

    fn model(change: impl FnOnce(&mut Service)) -> Model {
        let mut service = Service::new("Battery");
        change(&mut service);
        Model { services: Vec::from([service]), extra: Extra::new() }
    }

    fn command(id: &str, input: Vec<Parameter>) -> Command {
        Command {
            id: id.into(),
            name: "".into(),
            description: "".into(),
            input,
            output: Vec::new(),
            extra: Extra::new(),
        }
    }

    #[test]
    fn every_rule_is_named() {
        let long = "x".repeat(65);
        let unit = DataType::Int {
            range: Range { unit: Some("x".repeat(17).into()), ..Range::default() },
        };
        let event = |id: &str| Event {
            id: id.into(),
            name: "".into(),
            description: "".into(),
            level: Level::Info,
            output: Vec::new(),
            extra: Extra::new(),
        };
        for (model, expected) in [
            (model(|_| {}), ""),
            (model(|s| s.id = "电池$_?'#().,&%@!-".into()), ""),
            (model(|s| s.id = "a b".into()), "service_id: `a b` has ` `"),
            (model(|s| s.id = long.as_str().into()), "has 65 characters, 1 to 64 are allowed"),
            (
                model(|s| drop(s.extra.insert("option".into(), "Maybe".into()))),
                "Battery.option: `Maybe` is not Master",
            ),
            (model(|s| s.commands.push(command("a$", Vec::new()))), "command_name: `a$` has `$`"),
            (
                model(|s| {
                    s.commands.push(command("C", Vec::from([Parameter::new("p", unit.clone())])));
                }),
                "Battery.C.p.unit: at most 16 characters",
            ),
            (model(|s| s.events.push(event(&"x".repeat(33)))), "event_type"),
            (
                model(|s| s.commands = std::vec![command("C", Vec::new()); 501]),
                "Battery.commands: 501 are more than 500",
            ),
            (
                model(|s| s.description = "x".repeat(MODEL_BYTES_MAX).into()),
                "at most 512000 are allowed",
            ),
        ] {
            let got = check(&model).err().map_or_else(String::new, |problem| problem.message);
            assert_eq!(got.is_empty(), expected.is_empty(), "{got}");
            assert!(got.contains(expected), "{got:?} has {expected:?}");
        }
    }
}
