//! What the thing model says about requests and reports. A model without services says nothing:
//! everything is then accepted as it is.
//!
//! Dialects translate coding (0/1 to booleans, numbers to enum names) and set aside what they
//! cannot translate; whether a translated value is *allowed* is decided here, once, for all of
//! them. The check costs one look-up and one comparison per property.

use roadstead_core::command::CommandError;
use roadstead_core::exchange::Occurrence;
use roadstead_core::product::{Model, Service, Violation};
use roadstead_core::shadow::Values;
use roadstead_core::{Map, Value};

/// What was left out of a report: key and what is wrong.
pub(super) type Rejected = Vec<(Box<str>, Box<str>)>;

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

/// Removes the values of a report that the model does not allow and notes them.
pub(super) fn sift_report(
    model: &Model,
    services: &mut Vec<(Box<str>, Values)>,
    rejected: &mut Rejected,
) {
    if model.is_empty() {
        return;
    }
    services.retain_mut(|(id, values)| {
        let Some(service) = model.service(id) else {
            rejected.push((id.clone(), "no such service in the model".into()));
            return false;
        };
        values.properties.retain(|key, value| match check_reported(service, key, value) {
            Ok(()) => true,
            Err(violation) => {
                rejected.push((key.as_str().into(), violation.to_string().into()));
                false
            }
        });
        !values.properties.is_empty()
    });
}

fn check_reported(service: &Service, key: &str, value: &Value) -> Result<(), Violation> {
    match service.property(key) {
        Some(property) => property.ty.check(value),
        None => Err(Violation::new("not in the model")),
    }
}

/// Checks an event.
pub(super) fn check_event(model: &Model, event: &Occurrence) -> Result<(), Violation> {
    if model.is_empty() {
        return Ok(());
    }
    let known = model.service(&event.service).and_then(|service| service.event(&event.event));
    let known = known.ok_or_else(|| Violation::new("not in the model").inside(&event.event))?;
    for (key, value) in &event.params {
        let Some(parameter) = known.output.iter().find(|p| *p.id == **key) else {
            return Err(Violation::new("not in the model").inside(key).inside(&event.event));
        };
        parameter.ty.check(value).map_err(|v| v.inside(key).inside(&event.event))?;
    }
    Ok(())
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
    use roadstead_core::Timestamp;
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

    fn report(json: Value) -> Vec<(Box<str>, Values)> {
        let Value::Object(properties) = json else { panic!("object") };
        vec![("default".into(), Values { properties, at: Timestamp(1) })]
    }

    #[test]
    fn a_report_loses_what_the_model_forbids_and_keeps_the_rest() {
        let mut rejected = Rejected::new();
        let mut services = report(json!({"level": 3, "power": true}));
        sift_report(&model(), &mut services, &mut rejected);
        assert_eq!(Value::Object(services[0].1.properties.clone()), json!({"level": 3}));
        assert_eq!(&*rejected[0].0, "power");

        let mut services = report(json!({"level": 11}));
        sift_report(&model(), &mut services, &mut rejected);
        assert!(services.is_empty() && rejected.len() == 2);

        let mut services = report(json!({"anything": [1]}));
        sift_report(&Model::default(), &mut services, &mut rejected);
        assert_eq!(services.len(), 1, "an empty model accepts everything");
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
