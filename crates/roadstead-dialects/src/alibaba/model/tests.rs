//! Documents go in and come out equal; edited ones come out edited.

use std::string::ToString as _;

use proptest::prelude::*;
use roadstead_core::Value;
use roadstead_core::product::{
    Access, DEFAULT_SERVICE, DataType, EnumItem, Extra, Level, Model, Parameter, Property, Service,
};
use serde_json::json;

use super::{adapt, export, import, recognizes};

fn lamp() -> Value {
    let text = include_str!("../../../vectors/alibaba-tsl-lamp.json");
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn a_document_comes_out_equal() {
    let document = lamp();
    assert!(recognizes(&document));
    let model = import(&document).expect("imports");
    assert_eq!(export(&model).expect("exports"), document);
    let service = model.service(DEFAULT_SERVICE).expect("the lists at the top");
    assert_eq!(service.properties.len(), 9);
    assert!(service.event("post").is_none() && service.command("set").is_none());
    assert_eq!(service.event("Error").expect("there").level, Level::Fault);
    let custom = service.command("Custom").expect("there");
    assert_eq!(custom.extra["callType"], "async");
    assert_eq!(custom.output.len(), 1);
    let block = model.service("power").expect("a block");
    assert_eq!((&*block.name, block.properties.len()), ("Power supply", 1));
}

#[test]
fn an_edited_model_comes_out_edited() {
    let mut model = import(&lamp()).expect("imports");
    let service = &mut model.services[0];
    service.properties[0].name = "Main light".into();
    let DataType::Int { range } = &mut service.properties[1].ty else { panic!("an int") };
    range.max = Some(50.0);
    service.properties.remove(2);
    let document = export(&model).expect("exports");
    let property = &document["properties"][0];
    assert_eq!(property["name"], "Main light");
    assert_eq!(property["dataType"], lamp()["properties"][0]["dataType"]);
    assert_eq!(document["properties"][1]["dataType"]["specs"]["max"], "50");
    assert_eq!(import(&document).expect("imports").services[0].properties.len(), 8);
}

#[test]
fn what_is_no_tsl_is_refused_with_its_place() {
    for (document, message) in [
        (json!({"properties": [{"identifier": "x"}]}), "x: has no `dataType` object"),
        (
            json!({"properties": [{"name": "x"}, {"identifier": "y"}]}),
            "properties[0]: has no `identifier`",
        ),
        (json!({"properties": {"identifier": "x"}}), "properties: is not a list"),
        (
            json!({"properties": [{"identifier": "x", "dataType": {"type": "quark"}}]}),
            "x: type `quark` is not known",
        ),
        (
            json!({"properties": [{"identifier": "x", "dataType": {"type": "enum", "specs": {"a": "b"}}}]}),
            "x: a key of an enum is no number",
        ),
        (
            json!({"events": [{"identifier": "e", "type": "x"}]}),
            "e: `type` is not `info`, `alert` or `error`",
        ),
        (
            json!({"properties": [
                {"identifier": "x", "dataType": {"type": "int"}},
                {"identifier": "x", "dataType": {"type": "int"}}]}),
            "properties: `x` occurs twice",
        ),
        (json!({"functionBlocks": [{}]}), "functionBlocks[0]: has no `functionBlockId`"),
    ] {
        let problem = import(&document).expect_err("refused");
        assert_eq!((problem.code, problem.message.as_str()), ("import.bad_model", message));
    }
    for other in [
        json!([]),
        json!({}),
        json!({"services": [{"service_id": "x"}]}),
        json!({"properties": [{"id": "x", "define": {}}]}),
    ] {
        assert!(!recognizes(&other), "{other}");
    }
}

#[test]
fn a_model_from_elsewhere_is_fitted() {
    let uncoded = EnumItem { name: "eco".into(), code: None, extra: Extra::new() };
    let property = |id: &str, ty| Property {
        id: id.into(),
        name: "".into(),
        description: "".into(),
        access: Access::READ,
        required: false,
        ty,
        initial: None,
        extra: Extra::from_iter([("vendor".into(), json!(1))]),
    };
    let mut service = Service::new("meter");
    service.properties.push(property("mode", DataType::Enum { items: [uncoded].into() }));
    service.properties.push(property("any", DataType::Any));
    let model = Model { services: [service].into(), extra: Extra::new() };
    assert!(export(&model).is_err());
    let adapted = adapt(&model);
    let notes: std::vec::Vec<_> = adapted.notes.iter().map(|note| note.path.to_string()).collect();
    assert_eq!(notes, ["meter.mode", "meter.any"]);
    let document = export(&adapted.model).expect("exports");
    let mode = &document["functionBlocks"][0]["properties"][0]["dataType"];
    assert_eq!(*mode, json!({"type": "enum", "specs": {"0": "eco"}}));
    let same = import(&document).expect("imports");
    assert_eq!(export(&same).expect("exports"), document);
}

fn any_type() -> impl Strategy<Value = DataType> {
    let leaf = prop_oneof![
        Just(DataType::Bool { labels: Some(("off".into(), "on".into())) }),
        Just(DataType::Int {
            range: roadstead_core::product::Range {
                min: Some(0.0),
                max: Some(9.0),
                ..Default::default()
            }
        }),
        Just(DataType::Text { length_max: Some(64) }),
        Just(DataType::Time),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|ty| DataType::Array { item: ty.into(), items_max: Some(4) }),
            inner.prop_map(|ty| {
                let field = Parameter { required: false, ..Parameter::new("f", ty) };
                DataType::Struct { fields: [field].into() }
            }),
        ]
    })
}

proptest! {
    #[test]
    fn models_come_back(ty in any_type(), id in "[a-zA-Z][a-zA-Z0-9_]{0,8}") {
        let mut service = Service::new(DEFAULT_SERVICE);
        service.properties.push(Property {
            id: id.as_str().into(),
            name: "n".into(),
            description: "".into(),
            access: Access::READ_WRITE,
            required: true,
            ty,
            initial: None,
            extra: Extra::new(),
        });
        let model = Model { services: [service].into(), extra: Extra::new() };
        let document = export(&model).expect("exports");
        let back = import(&document).expect("imports");
        prop_assert_eq!(export(&back).expect("exports"), document);
        prop_assert_eq!(&back.services[0].properties[0].ty, &model.services[0].properties[0].ty);
    }

    #[test]
    fn arbitrary_documents_never_panic(text in "\\{\"properties\":\\[\\{\"identifier\":\"x\",\"dataType\":\\{\"type\":\"(int|enum|array|struct|bool)\",\"specs\":[a-z0-9\":,\\[\\]{}]{0,40}\\}\\}\\]\\}") {
        if let Ok(document) = serde_json::from_str::<Value>(&text)
            && let Ok(model) = import(&document)
        {
            prop_assert_eq!(export(&model).expect("exports"), document);
        }
    }
}
