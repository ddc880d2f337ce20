//! Documents come out as they went in; models survive the vendor's form.
#![allow(clippy::wildcard_enum_match_arm, reason = "tests name what they expect")]

use std::string::ToString as _;
use std::vec;

use proptest::collection::{btree_map, btree_set, vec as list};
use proptest::option::of;
use proptest::prelude::*;
use roadstead_core::product::{DataType, EnumItem, Range};
use serde_json::json;

use super::*;

const DOCUMENTS: [(&str, &str); 3] = [
    ("lamp", include_str!("../../../vectors/tencent-model-lamp.json")),
    ("meter", include_str!("../../../vectors/tencent-model-meter.json")),
    ("odd", include_str!("../../../vectors/tencent-model-odd.json")),
];

fn document(name: &str) -> Value {
    let (_, text) = DOCUMENTS.iter().find(|row| row.0 == name).expect("a document");
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn documents_come_out_equal() {
    for (name, _) in DOCUMENTS {
        let document = document(name);
        assert!(recognizes(&document), "{name}");
        let model = import(&document).expect(name);
        assert_eq!(export(&model).expect(name), document, "{name}");
        // The store keeps models as JSON: nothing may be lost there either.
        let stored = serde_json::to_string(&model).expect(name);
        let model: Model = serde_json::from_str(&stored).expect(name);
        assert_eq!(export(&model).expect(name), document, "{name}, stored");
    }
}

#[test]
fn the_lamp_means_what_it_says() {
    let model = import(&document("lamp")).expect("lamp");
    let service = model.service(DEFAULT_SERVICE).expect("one service");
    let ids: Vec<_> = service.properties.iter().map(|p| &*p.id).collect();
    assert_eq!(ids, ["power_switch", "brightness", "color", "color_temp", "name", "position"]);
    let brightness = service.property("brightness").expect("brightness");
    let range = Range { min: Some(0.0), max: Some(100.0), step: Some(1.0), unit: Some("%".into()) };
    assert_eq!(brightness.ty, DataType::Int { range });
    assert_eq!(brightness.initial, Some(json!(1)));
    assert_eq!(service.property("position").expect("position").access, Access::READ);
    let DataType::Enum { items } = &service.property("color").expect("color").ty else {
        panic!("an enum");
    };
    let items: Vec<_> = items.iter().map(|item| (&*item.name, item.code)).collect();
    assert_eq!(items, [("Red", Some(0)), ("Green", Some(1)), ("Blue", Some(2))]);
    let levels: Vec<_> = service.events.iter().map(|event| event.level).collect();
    assert_eq!(levels, [Level::Info, Level::Alert, Level::Fault]);
    let blink = service.command("light_blink").expect("light_blink");
    assert_eq!((blink.input.len(), blink.output.len()), (3, 1));
    assert!(blink.input.iter().all(|input| input.required));
}

#[test]
fn an_edit_shows_in_the_export_and_nothing_else_changes() {
    let mut model = import(&document("odd")).expect("odd");
    let DataType::Int { range } = &mut model.services[0].properties[0].ty else { panic!("int") };
    range.max = Some(50.0);
    model.services[0].properties[1].description = "new".into();
    model.services[0].events[1].level = Level::Info;
    let mut expected = document("odd");
    // The edited type is written in the usual form; what we do not interpret stays.
    expected["properties"][0]["define"] =
        json!({"type": "int", "min": "0", "max": "50", "step": "1", "start": "5"});
    expected["properties"][1]["desc"] = json!("new");
    expected["events"][1]["type"] = json!("info");
    assert_eq!(export(&model).expect("odd"), expected);
}

#[test]
fn what_is_no_template_is_not_recognised_or_says_where_it_is_wrong() {
    for foreign in [
        json!({"services": [{"service_id": "a", "properties": []}]}),
        json!({"schema": "x", "profile": {"productKey": "a"}, "properties": [{"identifier": "a", "dataType": {}}]}),
        json!([]),
        json!(null),
        json!({"properties": 1}),
    ] {
        assert!(!recognizes(&foreign), "{foreign}");
    }
    for (bad, message) in [
        (json!({"properties": {}}), "properties: is not a list"),
        (json!({"properties": [{"define": {"type": "int"}}]}), "properties[0]: has no `id`"),
        (json!({"properties": [{"id": "a"}]}), "a: has no `define` object"),
        (
            json!({"properties": [{"id": "a", "define": {"type": "blob"}}]}),
            "a: type `blob` is not known",
        ),
        (
            json!({"properties": [{"id": "a", "mode": "x", "define": {"type": "int"}}]}),
            "a: `mode` is not `r`, `w` or `rw`",
        ),
        (
            json!({"events": [{"id": "e", "params": [{"id": "p", "define": {"type": "array"}}]}]}),
            "e: p: an array needs an `arrayInfo` object",
        ),
        (json!({"actions": [{"id": "a"}, {"id": "a"}]}), "actions: `a` occurs twice"),
    ] {
        let problem = import(&bad).expect_err(message);
        assert_eq!((problem.code, problem.message.as_str()), ("import.bad_model", message));
    }
}

#[test]
fn what_the_template_cannot_say_is_refused() {
    let property = |ty| Property {
        id: "a".into(),
        name: "".into(),
        description: "".into(),
        access: Access::READ,
        required: false,
        ty,
        initial: None,
        extra: Extra::new(),
    };
    let with = |properties| Model {
        services: vec![Service { properties, ..Service::new("s") }],
        extra: Extra::new(),
    };
    let long = DataType::Array { item: DataType::Time.into(), items_max: Some(3) };
    for ty in [DataType::Any, long] {
        assert!(export(&with(vec![property(ty)])).is_err());
    }
    let twice = vec![property(DataType::Time), property(DataType::Time)];
    let problem = export(&with(twice)).expect_err("twice");
    assert_eq!(problem.to_string(), "properties: `a` occurs twice");
}

fn id() -> impl Strategy<Value = Box<str>> {
    "[a-z][a-z0-9_]{0,7}".prop_map(Into::into)
}

fn range() -> impl Strategy<Value = Range> {
    let number = || of((-2000i32..2000).prop_map(|n| f64::from(n) / 4.0));
    (number(), number(), number(), of("[a-z%]{1,4}")).prop_map(|(min, max, step, unit)| Range {
        min,
        max,
        step,
        unit: unit.map(Into::into),
    })
}

fn scalar() -> impl Strategy<Value = DataType> {
    let named = |name: &str, code| EnumItem { name: name.into(), code, extra: Extra::new() };
    let coded = (btree_set("[a-z]{1,6}", 0..5), -3i64..10).prop_map(move |(names, from)| {
        let items = names.iter().zip(from..).map(|(name, code)| named(name, Some(code)));
        DataType::Enum { items: items.collect() }
    });
    let texts = btree_map("[a-z]{1,6}", of("[A-Z]{1,6}"), 1..5).prop_map(move |pairs| {
        let item = |(name, label): (&String, &Option<String>)| {
            let mut item = named(name, None);
            if let Some(label) = label {
                item.extra.insert("label".into(), label.as_str().into());
            }
            item
        };
        DataType::Enum { items: pairs.iter().map(item).collect() }
    });
    let label = || "[a-z]{0,4}".prop_map(Box::<str>::from);
    prop_oneof![
        of((label(), label())).prop_map(|labels| DataType::Bool { labels }),
        range().prop_map(|range| DataType::Int { range }),
        range().prop_map(|range| DataType::Float { range }),
        coded,
        texts,
        of(0u32..5000).prop_map(|length_max| DataType::Text { length_max }),
        Just(DataType::Time),
    ]
}

fn data_type() -> impl Strategy<Value = DataType> {
    scalar().prop_recursive(2, 12, 4, |inner| {
        prop_oneof![
            parameters_of(inner.clone()).prop_map(|fields| DataType::Struct { fields }),
            inner.prop_map(|item| DataType::Array { item: item.into(), items_max: None }),
        ]
    })
}

fn parameters_of(
    ty: impl Strategy<Value = DataType> + Clone,
) -> impl Strategy<Value = Vec<Parameter>> {
    btree_map(id(), (ty, any::<bool>(), "[a-z]{0,5}"), 0..4).prop_map(|fields| {
        let field = |(id, (ty, required, name)): (Box<str>, (DataType, bool, String))| Parameter {
            name: name.into(),
            required,
            ..Parameter::new(&id, ty)
        };
        fields.into_iter().map(field).collect()
    })
}

fn property() -> impl Strategy<Value = Property> {
    let access = prop_oneof![
        Just(Access::READ),
        Just(Access::READ_WRITE),
        Just(Access { read: false, write: true, report: false }),
    ];
    (id(), "\\PC{0,8}", "\\PC{0,8}", access, any::<bool>(), data_type(), of(-99i32..99)).prop_map(
        |(id, name, description, access, required, ty, start)| {
            let initial = match &ty {
                DataType::Int { .. } => start.map(Value::from),
                DataType::Float { .. } => start.map(|n| Value::from(f64::from(n) / 8.0)),
                _ => None,
            };
            let (name, description) = (name.into(), description.into());
            Property { id, name, description, access, required, ty, initial, extra: Extra::new() }
        },
    )
}

fn model() -> impl Strategy<Value = Model> {
    let level = prop_oneof![Just(Level::Info), Just(Level::Alert), Just(Level::Fault)];
    let events = btree_map(id(), (level, parameters_of(data_type().boxed())), 0..3);
    let pair = || parameters_of(data_type().boxed());
    let actions = btree_map(id(), (pair(), pair()), 0..3);
    (list(property(), 1..4), events, actions).prop_map(|(mut properties, events, actions)| {
        properties.sort_by(|a, b| a.id.cmp(&b.id));
        properties.dedup_by(|a, b| a.id == b.id);
        let mut service = Service { properties, ..Service::new(DEFAULT_SERVICE) };
        service.events = events
            .into_iter()
            .map(|(id, (level, output))| Event {
                id,
                name: "".into(),
                description: "".into(),
                level,
                output,
                extra: Extra::new(),
            })
            .collect();
        service.commands = actions
            .into_iter()
            .map(|(id, (input, output))| Command {
                id,
                name: "".into(),
                description: "".into(),
                input,
                output,
                extra: Extra::new(),
            })
            .collect();
        Model { services: vec![service], extra: Extra::new() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn models_survive_the_vendors_form(model in model()) {
        let document = export(&model).expect("expressible");
        prop_assert!(recognizes(&document));
        prop_assert_eq!(import(&document).expect("own writing"), model);
    }

    #[test]
    fn arbitrary_documents_never_panic(text in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
        let document = serde_json::from_str(&text).unwrap_or(Value::String(text));
        let _ = (recognizes(&document), import(&document));
    }
}
