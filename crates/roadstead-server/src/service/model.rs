//! What the thing model says about requests to a device. A model without services says nothing:
//! every request is then sent as it is.
//!
//! Not here: what devices report. The dialect judges that while it translates.

use roadstead_core::command::CommandError;
use roadstead_core::product::{Model, Service, Violation};
use roadstead_core::{Map, Value};

/// Checks values that somebody wants to set.
pub(super) fn check_set(
    model: &Model,
    service: &str,
    values: &Map<String, Value>,
) -> Result<(), CommandError> {
    match find(model, service)? {
        None => Ok(()),
        Some(service) => service.check_set(values).map_err(unfit),
    }
}

/// Checks properties that somebody asks for.
pub(super) fn check_get(
    model: &Model,
    service: &str,
    properties: &[Box<str>],
) -> Result<(), CommandError> {
    let Some(service) = find(model, service)? else { return Ok(()) };
    match properties.iter().find(|id| service.property(id).is_none()) {
        None => Ok(()),
        Some(id) => Err(unfit(Violation::new("not in the model").inside(id))),
    }
}

/// Checks the parameters of a command.
pub(super) fn check_input(
    model: &Model,
    service: &str,
    command: &str,
    params: &Map<String, Value>,
) -> Result<(), CommandError> {
    let Some(service) = find(model, service)? else { return Ok(()) };
    let command = service
        .command(command)
        .ok_or_else(|| unfit(Violation::new("not in the model").inside(command)))?;
    command.check_input(params).map_err(unfit)
}

fn find<'a>(model: &'a Model, service: &str) -> Result<Option<&'a Service>, CommandError> {
    if model.is_empty() {
        return Ok(None);
    }
    let known = model.service(service);
    known.map(Some).ok_or_else(|| unfit(Violation::new("no such service").inside(service)))
}

fn unfit(violation: Violation) -> CommandError {
    CommandError::Model(violation.to_string().into())
}

#[cfg(test)]
mod tests {
    use roadstead_core::product::{Access, DataType, Property, Range};
    use serde_json::json;

    use super::*;

    fn model() -> Model {
        let mut service = Service::new("default");
        service.properties.push(Property {
            id: "level".into(),
            name: "".into(),
            description: "".into(),
            access: Access::READ,
            required: false,
            ty: DataType::Int {
                range: Range { min: Some(0.0), max: Some(10.0), ..Range::default() },
            },
            initial: None,
            extra: Map::new(),
        });
        Model { services: vec![service], extra: Map::new() }
    }

    #[test]
    fn requests_must_fit() {
        let Value::Object(set) = json!({"level": 3}) else { panic!("object") };
        let error = |result: Result<(), CommandError>| result.expect_err("must fail").to_string();
        assert!(error(check_set(&model(), "default", &set)).contains("level: not writable"));
        assert!(error(check_set(&model(), "other", &set)).contains("other: no such service"));
        assert!(
            error(check_get(&model(), "default", &["x".into()])).contains("x: not in the model")
        );
        assert!(error(check_input(&model(), "default", "blink", &set)).contains("blink"));
        assert_eq!(check_set(&Model::default(), "any", &set), Ok(()));
    }
}
