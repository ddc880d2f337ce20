//! Round trips, refusals, and a property test over random models.

use std::prelude::v1::*;
use std::vec;

use proptest::prelude::*;
use roadstead_core::product::{
    Access, DataType, EnumItem, Extra, Model, Parameter, Property, Service,
};
use serde_json::json;

use super::*;

fn parse(json: Value) -> Vec<ServiceCapability> {
    serde_json::from_value(json).expect("v5 services")
}

/// The model of the recorded SDK call, with each data type once.
fn sample() -> Value {
    json!([{
        "service_id": "temperature", "service_type": "meter", "option": "Master",
        "properties": [
            {"property_name": "t", "data_type": "decimal", "required": true, "min": "1",
             "max": "100", "step": 0.1, "unit": "centigrade", "method": "R"},
            {"property_name": "n", "data_type": "long", "required": false, "min": "-5",
             "method": "RWE", "default_value": 3},
            {"property_name": "mode", "data_type": "enum", "required": false,
             "enum_list": ["slow", "fast"], "method": "RW"},
            {"property_name": "i", "data_type": "int", "required": false, "max": "0100",
             "step": 1, "method": "RW"},
            {"property_name": "d", "data_type": "decimal", "required": false, "min": "0.00",
             "max": "", "method": "RW"},
            {"property_name": "word", "data_type": "string", "required": false,
             "enum_list": ["a", "b"], "max_length": 8, "method": "RW"},
            {"property_name": "on", "data_type": "boolean", "required": false, "method": "W"},
            {"property_name": "at", "data_type": "DateTime", "required": false, "method": "E",
             "default_value": "20261121T003818Z", "min": "0", "max_length": 16},
            {"property_name": "any", "data_type": "jsonObject", "required": false, "method": "RE"},
            {"property_name": "tags", "data_type": "string list", "required": false,
             "max_length": 4, "method": "RE"},
            {"property_name": "text", "data_type": "string", "required": false, "max_length": 10,
             "unit": "u", "description": "d", "method": "RW"}],
        "commands": [{"command_name": "ON_OFF",
            "paras": [{"para_name": "value", "data_type": "string", "required": false,
                       "max_length": 10, "description": "what"}],
            "responses": [
                {"response_name": "ACK", "paras": [
                    {"para_name": "result", "data_type": "int", "required": false}]},
                {"response_name": "NAK", "paras": []}]}],
        "events": [{"event_type": "alarm", "paras": [
            {"para_name": "code", "data_type": "int", "required": false}], "level": "fault"}]}])
}

#[test]
fn a_v5_model_comes_out_as_it_went_in() {
    let model = read_model(&parse(sample())).expect("model");
    assert_eq!(serde_json::to_value(write_model(&model)).expect("JSON"), sample());
    let meter = model.service("temperature").expect("service");
    assert!(meter.property("t").is_some_and(|p| p.ty.check(&json!(50.5)).is_ok()));
    assert!(meter.property("t").is_some_and(|p| p.ty.check(&json!(101)).is_err()));
    assert!(meter.check_set(&json!({"n": 7}).as_object().cloned().expect("object")).is_ok());
    assert!(meter.check_set(&json!({"t": 7}).as_object().cloned().expect("object")).is_err());
}

#[test]
fn what_breaks_a_rule_is_named() {
    let service = |rest: Value| {
        let mut service = json!({"service_id": "s"});
        for (key, value) in rest.as_object().expect("object") {
            service[key] = value.clone();
        }
        json!([service])
    };
    let property = |name: &str, rest: Value| {
        let mut p = json!({"property_name": name, "data_type": "int", "method": "R"});
        for (key, value) in rest.as_object().expect("object") {
            p[key] = value.clone();
        }
        service(json!({"properties": [p]}))
    };
    for (services, expected) in [
        (json!([{"service_id": ""}]), "service_id: between 1 and 128 bytes"),
        (json!([{"service_id": "s"}, {"service_id": "s"}]), "service_id: `s` is there twice"),
        (property("a.b", json!({})), "s.a.b.property_name: `.`, `$` and NUL are not allowed"),
        (property("p", json!({"data_type": "int8"})), "s.p.data_type: `int8` is not known"),
        (property("p", json!({"min": "x"})), "s.p.min: `x` is not a number"),
        (property("p", json!({"min": "inf"})), "s.p.min: `inf` is not a number"),
        (property("p", json!({"min": 5, "max": 1})), "s.p.min: above max"),
        (property("p", json!({"method": "RX"})), "s.p.method: `RX` has letters other than R, W, E"),
        (property("p", json!({"method": ""})), "s.p.method: empty"),
        (property("p", json!({"method": "RWR"})), "s.p.method: `RWR` has a letter twice"),
        (
            property("p", json!({"default_value": "a"})),
            "s.p.default_value: expected a whole number, got \"a\"",
        ),
        (
            property("p", json!({"default_value": 2_147_483_648_i64})),
            "s.p.default_value: 2147483648 is above the maximum",
        ),
        (
            property("p", json!({"data_type": "DateTime", "default_value": "20260230T000000Z"})),
            "s.p.default_value: `20260230T000000Z` is not a date such as 20261121T003818Z",
        ),
        (property("p", json!({"data_type": "enum"})), "s.p.enum_list: missing"),
        (
            service(json!({"events": [{"event_type": "e", "level": "loud"}]})),
            "s.e.level: `loud` is not info, alert or fault",
        ),
        (
            service(json!({"commands": [{"command_name": "c", "paras": [
                {"para_name": "p", "data_type": "int"}, {"para_name": "p", "data_type": "int"}
            ]}]})),
            "s.c.para_name: `p` is there twice",
        ),
    ] {
        let problem = read_model(&parse(services)).expect_err(expected);
        assert_eq!((problem.code, &*problem.message), ("import.bad_model", expected));
    }
}

#[test]
fn null_lists_are_empty() {
    let services = parse(json!([{"service_id": "s", "commands": null, "properties": null}]));
    assert_eq!(read_model(&services).expect("model").services[0], Service::new("s"));
}

#[test]
fn a_vendors_own_fields_survive_an_update() {
    let mut stored = read_model(&parse(sample())).expect("model");
    let service = &mut stored.services[0];
    service.extra.insert("vendor".into(), json!(1));
    service.properties[0].extra.insert("vendor".into(), json!(2));
    service.commands[0].input[0].extra.insert("vendor".into(), json!(3));
    let mut updated = read_model(&write_model(&stored)).expect("model");
    assert_ne!(updated, stored);
    merge_extra(&mut updated, &stored);
    assert_eq!(updated, stored);
}

/// Types as dialects make them, nested to three levels.
fn data_type() -> impl Strategy<Value = DataType> {
    let number = -1000i32..1000;
    let range = (number, 0..1000i32).prop_map(|(min, span)| roadstead_core::product::Range {
        min: Some(min.into()),
        max: Some((min + span).into()),
        step: Some(0.5),
        unit: Some("°C".into()),
    });
    let leaf = prop_oneof![
        Just(DataType::Any),
        Just(DataType::Time),
        proptest::option::of(("[a-z]{1,4}", "[a-z]{1,4}")).prop_map(|labels| DataType::Bool {
            labels: labels.map(|(no, yes)| (no.into(), yes.into()))
        }),
        range.clone().prop_map(|range| DataType::Int { range }),
        range.prop_map(|range| DataType::Float { range }),
        proptest::option::of(1..1000u32).prop_map(|length_max| DataType::Text { length_max }),
        proptest::collection::btree_map("[a-z]{1,6}", proptest::option::of(0..9i64), 1..4)
            .prop_map(|items| DataType::Enum {
                items: items
                    .into_iter()
                    .map(|(name, code)| EnumItem { name: name.into(), code, extra: Extra::new() })
                    .collect()
            }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::btree_map("[a-z]{1,4}", inner.clone(), 0..3).prop_map(|fields| {
                DataType::Struct {
                    fields: fields.into_iter().map(|(id, ty)| Parameter::new(&id, ty)).collect(),
                }
            }),
            (inner, proptest::option::of(1..9u32)).prop_map(|(item, items_max)| {
                DataType::Array { item: Box::new(item), items_max }
            }),
        ]
    })
}

proptest! {
    #[test]
    fn every_type_survives_v5(ty in data_type(), read: bool, write: bool) {
        let access = Access { read, write, report: true };
        let property = Property {
            id: "p".into(), name: "P".into(), description: "".into(), access, required: true,
            ty, initial: None, extra: Extra::new(),
        };
        let model = Model {
            services: vec![Service { properties: vec![property], ..Service::new("s") }],
            extra: Extra::new(),
        };
        let text = serde_json::to_string(&write_model(&model)).expect("JSON");
        let back = read_model(&parse(serde_json::from_str(&text).expect("JSON"))).expect("model");
        let (was, is) = (&model.services[0].properties[0], &back.services[0].properties[0]);
        prop_assert_eq!(&is.ty, &was.ty);
        prop_assert_eq!((&is.name, is.access, is.required), (&was.name, was.access, was.required));
    }
}

#[test]
fn what_is_exported_imports_equal() {
    for service in [
        json!({"service_id": "s"}),
        json!({"service_id": "s", "service_type": "s", "properties": [
            {"property_name": "p", "data_type": "int", "max": "", "method": "R"},
            {"property_name": "q", "data_type": "decimal", "min": "1e3", "method": "R"}]}),
    ] {
        let model = import(&json!({"service_capabilities": [service]})).expect("model");
        assert_eq!(import(&export(&model)), Ok(model));
    }
}
