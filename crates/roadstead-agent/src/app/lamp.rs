//! A virtual lamp: keeps the state of any thing model, obeys every request that fits it, and
//! reports. [`Lamp::sample`] is the lamp of the Tencent sample template.
//!
//! Source of the sample: Tencent §7; transcript data-template-full-plain.

use roadstead_core::product::{
    Access, Command, DEFAULT_SERVICE, DataType, EnumItem, Extra, Level, Model, Parameter, Property,
    Range, Service,
};
use roadstead_core::{Map, Value};
use roadstead_dialects::device::{Event, Request};

use super::Application;

/// Result of a request that does not fit the model.
const BAD_REQUEST: i64 = 400;

/// The lamp.
pub struct Lamp {
    model: Model,
    /// Canonical values by service id.
    state: Vec<(Box<str>, Map<String, Value>)>,
}

impl Lamp {
    /// Returns a lamp in the initial state of `model`.
    pub fn new(model: Model) -> Self {
        let state = initial(&model);
        Self { model, state }
    }

    /// Returns the lamp of the sample template, called `name`.
    pub fn sample(name: &str) -> Self {
        let mut lamp = Self::new(sample_model());
        if let Some((_, values)) = lamp.state.first_mut() {
            values.insert("name".into(), name.into());
        }
        lamp
    }

    /// Returns the thing model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Takes values that fit the model; returns why not.
    fn take(&mut self, service: &str, values: &Map<String, Value>) -> Result<(), String> {
        let found = self.model.service(service).ok_or_else(|| format!("no service {service}"))?;
        found.check_set(values).map_err(|violation| violation.to_string())?;
        if let Some((_, state)) = self.state.iter_mut().find(|(id, _)| **id == *service) {
            state.extend(values.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        Ok(())
    }

    fn run(
        &self,
        service: &str,
        command: &str,
        params: &Map<String, Value>,
    ) -> Result<Map<String, Value>, String> {
        let command = self.model.service(service).and_then(|service| service.command(command));
        let command = command.ok_or("no such command")?;
        command.check_input(params).map_err(|violation| violation.to_string())?;
        Ok(command.output.iter().map(|p| (p.id.to_string(), zero(&p.ty))).collect())
    }

    fn report_all(&self, out: &mut Vec<Request>) {
        for (service, properties) in &self.state {
            if !properties.is_empty() {
                let (service, properties) = (service.clone(), properties.clone());
                out.push(Request::Report { node: None, service, properties });
            }
        }
    }
}

impl Application for Lamp {
    fn handle(&mut self, event: &Event, out: &mut Vec<Request>) {
        match event {
            Event::Online => self.report_all(out),
            Event::Set { key, node: None, service, properties } => {
                let taken = self.take(service, properties);
                let report = taken.is_ok();
                let (code, status) = taken.map_or_else(|e| (BAD_REQUEST, e), |()| (0, "".into()));
                out.push(Request::Answer { key: *key, code, status, output: Map::new() });
                if report {
                    let (service, properties) = (service.clone(), properties.clone());
                    out.push(Request::Report { node: None, service, properties });
                }
            }
            Event::Command { key, node: None, service, command, params } => {
                let (code, status, output) = match self.run(service, command, params) {
                    Ok(output) => (0, "done".to_string(), output),
                    Err(error) => (BAD_REQUEST, error, Map::new()),
                };
                out.push(Request::Answer { key: *key, code, status, output });
            }
            // The lamp has no sub-devices.
            Event::Set { key, node: Some(_), .. } | Event::Command { key, node: Some(_), .. } => {
                let status = "no sub-devices".to_string();
                out.push(Request::Answer {
                    key: *key,
                    code: BAD_REQUEST,
                    status,
                    output: Map::new(),
                });
            }
            Event::Unbound => self.state = initial(&self.model),
            Event::Offline
            | Event::Bound
            | Event::Shadow { .. }
            | Event::Rejected { .. }
            | Event::Clock(_)
            | Event::SubDevice { .. }
            | Event::SubDeviceChanged { .. }
            | Event::SearchSubDevices { .. } => {}
        }
    }

    fn change(&mut self, properties: Map<String, Value>, out: &mut Vec<Request>) {
        for service in &self.model.services {
            let own = |key: &String| service.property(key).is_some();
            let values: Map<String, Value> = properties
                .iter()
                .filter(|(k, _)| own(k))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            if values.is_empty() {
                continue;
            }
            if let Some((_, state)) = self.state.iter_mut().find(|(id, _)| *id == service.id) {
                state.extend(values.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
            let service = service.id.clone();
            out.push(Request::Report { node: None, service, properties: values });
        }
    }
}

fn initial(model: &Model) -> Vec<(Box<str>, Map<String, Value>)> {
    let of = |service: &Service| {
        let value = |p: &Property| p.initial.clone().unwrap_or_else(|| zero(&p.ty));
        service.properties.iter().map(|p| (p.id.to_string(), value(p))).collect()
    };
    model.services.iter().map(|service| (service.id.clone(), of(service))).collect()
}

/// Returns the smallest value of a type.
fn zero(ty: &DataType) -> Value {
    let low = |range: &Range| range.min.unwrap_or(0.0).max(0.0);
    match ty {
        DataType::Bool { .. } => Value::Bool(false),
        DataType::Int { range } => Value::from(low(range).ceil() as i64),
        DataType::Float { range } => Value::from(low(range)),
        DataType::Enum { items } => items.first().map_or(Value::Null, |item| (*item.name).into()),
        DataType::Text { .. } => Value::from(""),
        DataType::Time => Value::from(0),
        DataType::Struct { fields } => {
            fields.iter().map(|field| (field.id.to_string(), zero(&field.ty))).collect()
        }
        DataType::Array { .. } => Value::Array(Vec::new()),
        DataType::Any => Value::Null,
    }
}

fn sample_model() -> Model {
    let int = |max: f64| DataType::Int {
        range: Range { min: Some(0.0), max: Some(max), ..Range::default() },
    };
    let color = || DataType::Enum {
        items: ["Red", "Green", "Blue"]
            .into_iter()
            .zip(0..)
            .map(|(name, code)| EnumItem {
                name: name.into(),
                code: Some(code),
                extra: Extra::new(),
            })
            .collect(),
    };
    let property = |id: &str, ty| Property {
        id: id.into(),
        name: "".into(),
        description: "".into(),
        access: Access::READ_WRITE,
        required: false,
        ty,
        initial: None,
        extra: Extra::new(),
    };
    let event = |id: &str, level, output| roadstead_core::product::Event {
        id: id.into(),
        name: "".into(),
        description: "".into(),
        level,
        output,
        extra: Extra::new(),
    };
    let mut service = Service::new(DEFAULT_SERVICE);
    service.properties = vec![
        property("power_switch", DataType::Bool { labels: None }),
        property("color", color()),
        property("brightness", int(100.0)),
        property("name", DataType::Text { length_max: Some(64) }),
    ];
    service.commands = vec![Command {
        id: "light_blink".into(),
        name: "".into(),
        description: "".into(),
        input: vec![
            Parameter::new("time", int(100.0)),
            Parameter::new("color", color()),
            Parameter::new("total_time", int(100.0)),
        ],
        output: vec![Parameter::new("err_code", DataType::Bool { labels: None })],
        extra: Extra::new(),
    }];
    service.events = vec![
        event(
            "status_report",
            Level::Info,
            vec![
                Parameter::new("status", DataType::Bool { labels: None }),
                Parameter::new("message", DataType::Text { length_max: Some(64) }),
            ],
        ),
        event(
            "low_voltage",
            Level::Alert,
            vec![Parameter::new(
                "voltage",
                DataType::Float {
                    range: Range { min: Some(0.0), max: Some(24.0), ..Range::default() },
                },
            )],
        ),
        event(
            "hardware_fault",
            Level::Fault,
            vec![
                Parameter::new("name", DataType::Text { length_max: Some(64) }),
                Parameter::new("error_code", int(2000.0)),
            ],
        ),
    ];
    Model { services: vec![service], extra: Extra::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().expect("object").clone()
    }

    fn told(lamp: &mut Lamp, event: &Event) -> Vec<Value> {
        let mut out = Vec::new();
        lamp.handle(event, &mut out);
        let plain = |request: &Request| match request {
            Request::Report { properties, .. } => json!({"report": properties}),
            Request::Answer { code, output, .. } => json!({"code": code, "output": output}),
            Request::Info(_)
            | Request::Post { .. }
            | Request::Unbind
            | Request::SubDevice { .. }
            | Request::Scanned(_)
            | Request::Reset => json!("unexpected"),
        };
        out.iter().map(plain).collect()
    }

    fn set(properties: Value) -> Event {
        let service = DEFAULT_SERVICE.into();
        Event::Set { key: 1, node: None, service, properties: map(properties) }
    }

    #[test]
    fn the_sample_obeys_and_refuses_by_its_model() {
        let mut lamp = Lamp::sample("TEST2");
        let whole =
            json!({"power_switch": false, "color": "Red", "brightness": 0, "name": "TEST2"});
        assert_eq!(told(&mut lamp, &Event::Online), [json!({"report": whole})]);
        let on = json!({"power_switch": true, "color": "Blue"});
        assert_eq!(
            told(&mut lamp, &set(on.clone())),
            [json!({"code": 0, "output": {}}), json!({"report": on})]
        );
        for bad in [json!({"power_switch": 1}), json!({"brightness": 101}), json!({"x": 1})] {
            assert_eq!(told(&mut lamp, &set(bad)), [json!({"code": 400, "output": {}})]);
        }
        let blink = |params: Value| Event::Command {
            key: 2,
            node: None,
            service: DEFAULT_SERVICE.into(),
            command: "light_blink".into(),
            params: map(params),
        };
        let good = blink(json!({"time": 5, "color": "Green", "total_time": 30}));
        assert_eq!(told(&mut lamp, &good), [json!({"code": 0, "output": {"err_code": false}})]);
        let answer = told(&mut lamp, &blink(json!({"time": 5})));
        assert_eq!(answer, [json!({"code": 400, "output": {}})]);
        let state = json!({"report": {"power_switch": true, "color": "Blue", "brightness": 0, "name": "TEST2"}});
        assert_eq!(told(&mut lamp, &Event::Online), [state]);
        told(&mut lamp, &Event::Unbound);
        let cleared =
            json!({"report": {"power_switch": false, "color": "Red", "brightness": 0, "name": ""}});
        assert_eq!(told(&mut lamp, &Event::Online), [cleared]);
    }

    #[test]
    fn a_change_at_the_device_is_reported() {
        let mut lamp = Lamp::sample("a");
        let mut out = Vec::new();
        lamp.change(map(json!({"brightness": 7, "unknown": 1})), &mut out);
        let [Request::Report { properties, .. }] = &out[..] else { panic!("one report") };
        assert_eq!(properties, &map(json!({"brightness": 7})));
    }
}
