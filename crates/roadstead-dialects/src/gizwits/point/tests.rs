//! The vectors of the data points, documents in and out, models from elsewhere, hostile bytes.

use std::boxed::Box;
use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use proptest::prelude::*;
use roadstead_core::product::{DataType, Model, Range};
use roadstead_core::{Map, Value};
use serde_json::json;

use super::layout::{Kind, Layout};
use super::{Action, P0, PackError, adapt, export, import, recognizes};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../vectors/gizwits.json")).expect("JSON")
}

/// The vendor's document around the attributes of a vector.
fn document(schema: &Value) -> Value {
    let mut attrs = schema["attrs"].clone();
    for attr in attrs.as_array_mut().expect("list") {
        attr["display_name"] = format!("shown {}", attr["name"]).into();
        attr["desc"] = "".into();
        if attr["data_type"] != "enum" {
            attr["enum"] = json!([]);
        }
    }
    json!({
        "name": "Lab", "packetVersion": "0x00000004", "protocolType": schema["protocolType"],
        "product_key": "6f3074fe43894547a4f1314bd7e3ae0b",
        "entities": [{"id": 0, "name": "entity0", "display_name": "a device", "attrs": attrs}],
        "ui": {"sections": [], "object": {"version": 4}},
    })
}

fn model(name: &str) -> Model {
    import(&document(&vectors()["datapoints"]["schemas"][name])).expect("valid")
}

fn values(model: &Model, p0: &P0<'_>) -> Result<Map<String, Value>, PackError> {
    let decoded = Layout::of(model).expect("layout").decode(model, p0)?;
    assert!(decoded.rejected.is_empty(), "{:?}", decoded.rejected);
    assert!(decoded.services.iter().all(|(service, _)| &**service == "default"));
    Ok(decoded.services.into_iter().flat_map(|(_, values)| values).collect())
}

#[test]
fn every_data_point_vector() {
    let vectors = vectors();
    for case in vectors["datapoints"]["cases"].as_array().expect("list") {
        let model = model(case["schema"].as_str().expect("name"));
        let layout = Layout::of(&model).expect("layout");
        let wire = hex::decode(case["p0"].as_str().expect("text")).expect("hex");
        let p0 = P0::parse(&wire).expect("known action");
        match case["what"].as_str().expect("text") {
            "report" | "read_reply" => {
                let given = case["values"].as_object().expect("values");
                let read = values(&model, &p0).expect("fits");
                for (key, value) in given {
                    let padded =
                        value.as_str().filter(|_| key == "plan").map(|v| format!("{v:0<8}"));
                    let expected = padded.map_or_else(|| value.clone(), Value::from);
                    assert_eq!(read[key], expected, "{case}: {key}");
                }
                let off = read.iter().filter(|(key, _)| !given.contains_key(*key));
                assert!(
                    off.map(|(_, value)| value)
                        .all(|value| *value == json!(false) || *value == 0 || p0.is_variable),
                    "{case}"
                );
            }
            "control" => {
                let given = case["values"].as_object().expect("values");
                let written = layout.control(&model, "default", given).expect("fits");
                assert_eq!(hex::encode(&written), case["p0"], "{case}");
                assert_eq!(p0.action, Action::Control);
            }
            "read" => {
                let list = case["values"].as_array().expect("list");
                let names: Vec<Box<str>> =
                    list.iter().filter_map(Value::as_str).map(Into::into).collect();
                let written = layout.read(&model, "default", &names).expect("fits");
                assert_eq!(hex::encode(&written), case["p0"], "{case}");
            }
            "transparent_to_device" => {
                assert_eq!((p0.action, p0.body), (Action::ToDevice, &b"hello"[..]))
            }
            "transparent_from_device" => {
                assert_eq!((p0.action, p0.body), (Action::FromDevice, &b"hello"[..]))
            }
            other => panic!("unknown case {other}"),
        }
    }
}

#[test]
fn a_document_comes_out_as_it_went_in() {
    let vectors = vectors();
    for (name, schema) in vectors["datapoints"]["schemas"].as_object().expect("schemas") {
        let document = document(schema);
        assert!(recognizes(&document), "{name}");
        let model = import(&document).expect("valid");
        assert_eq!(export(&model).expect("expressible"), document, "{name}");
        assert_eq!(model.services.len(), 1);
        assert_eq!(
            model.services[0].events.len(),
            model.services[0]
                .properties
                .iter()
                .filter(|p| matches!(p.extra["type"].as_str(), Some("alert" | "fault")))
                .count()
        );
    }
    let bare = json!({"entities": [{"attrs": [
        {"id": 3, "name": "a", "type": "status_readonly", "data_type": "uint8"},
        {"id": 1, "name": "b", "type": "alert", "data_type": "bool"}]}]});
    assert_eq!(export(&import(&bare).expect("valid")).expect("expressible"), bare);
    let custom = json!({"name": "raw", "packetVersion": "0x00000004", "protocolType": "custom", "entities": []});
    assert_eq!(export(&import(&custom).expect("valid")).expect("expressible"), custom);
    for other in [
        json!({}),
        json!([]),
        json!({"services": []}),
        json!({"properties": [], "profile": {"ProductId": "x"}}),
    ] {
        assert!(!recognizes(&other), "{other}");
    }
}

/// People see what the model says, not what the wire carries.
#[test]
fn numbers_are_as_displayed() {
    let model = model("wide");
    let (_, speed) = model.property("speed").expect("there");
    let DataType::Float { range } = &speed.ty else { panic!("a fraction") };
    assert_eq!((range.min, range.max, range.step), (Some(-30.0), Some(50.0), Some(0.1)));
    let model = self::model("pet_house");
    let (_, motor) = model.property("Motor_Speed").expect("there");
    let DataType::Int { range } = &motor.ty else { panic!("whole") };
    assert_eq!((range.min, range.max), (Some(-5.0), Some(5.0)));
}

#[test]
fn an_edited_model_is_written_edited() {
    let mut model = model("pet_house");
    let motor = model.services[0].properties.iter_mut().find(|p| &*p.id == "Motor_Speed");
    let motor = motor.expect("there");
    motor.name = "fan".into();
    let range = Range { min: Some(0.0), max: Some(5.0), step: Some(1.0), unit: None };
    motor.ty = DataType::Int { range };
    let written = export(&model).expect("expressible");
    let attr = &written["entities"][0]["attrs"][5];
    assert_eq!(attr["display_name"], "fan");
    assert_eq!(attr["uint_spec"], json!({"min": 5, "max": 10, "ratio": 1, "addition": -5}));
    // The wire has not changed for the values that stayed.
    let values = json!({"Motor_Speed": 5});
    let control = Layout::of(&model).expect("layout").control(
        &model,
        "default",
        values.as_object().expect("map"),
    );
    assert_eq!(hex::encode(control.expect("fits")), "0120000000000a");
}

#[test]
fn what_is_no_schema_is_refused_by_name() {
    let good = document(&vectors()["datapoints"]["schemas"]["wide"]);
    for (at, key, value, expected) in [
        (0, "name", json!("sw1"), "sw1: the name is used twice"),
        (0, "name", json!(7), "an attribute has no name"),
        (0, "id", json!(1), "two attributes have the id 1"),
        (0, "id", json!("x"), "sw0: no id"),
        (0, "type", json!("writable"), "sw0: the type is not known"),
        (0, "data_type", json!("float"), "sw0: the data_type is not known"),
        (11, "enum", json!([]), "mode: an enum has"),
        (11, "enum", json!(["a", "a"]), "mode: an item of the enum is there twice"),
        (12, "uint_spec", json!({"min": 0, "max": 70000}), "speed: uint_spec"),
        (12, "uint_spec", json!({"ratio": 0}), "speed: uint_spec"),
        (13, "position", json!({"len": 100_000}), "plan: binary"),
        (15, "data_type", json!("uint8"), "over: alerts and faults are bool"),
    ] {
        let mut bad = good.clone();
        bad["entities"][0]["attrs"][at][key] = value;
        let problem = import(&bad).expect_err(expected);
        assert_eq!(problem.code, "import.bad_model");
        assert!(problem.message.contains(expected), "{} / {expected}", problem.message);
    }
}

#[test]
fn a_model_from_elsewhere_gets_a_layout() {
    let document = json!({"service_capabilities": [
        {"service_id": "lamp", "properties": [
            {"property_name": "on", "data_type": "boolean", "method": "RW"},
            {"property_name": "level", "data_type": "int", "min": "0", "max": "1000", "step": 10, "method": "RW"},
            {"property_name": "note", "data_type": "string", "max_length": 12, "method": "RW"},
            {"property_name": "free", "data_type": "decimal", "method": "R"},
        ], "commands": [{"command_name": "blink", "paras": []}]},
        {"service_id": "meter", "properties": [
            {"property_name": "on", "data_type": "boolean", "method": "R"},
        ]},
    ]});
    let model = crate::capability::import(&document).expect("valid");
    assert!(export(&model).is_err());
    let adapted = adapt(&model);
    let written = export(&adapted.model).expect("what was adapted is expressible");
    let names = written["entities"][0]["attrs"].as_array().expect("attrs");
    let names: Vec<_> = names.iter().map(|attr| attr["name"].as_str().expect("name")).collect();
    assert_eq!(names[0], "on");
    assert!(names.contains(&"meter_on") && names.contains(&"level") && !names.contains(&"note"));
    assert_eq!(
        written["entities"][0]["attrs"][1]["position"],
        json!({"byte_offset": 1, "bit_offset": 0, "len": 1, "unit": "byte"})
    );
    assert!(adapted.notes.iter().any(|note| note.path == "lamp.blink"));
    assert_eq!(export(&import(&written).expect("ours")).expect("again"), written);
    assert_eq!(adapt(&adapted.model).model, adapted.model);
}

#[test]
fn firmware_and_model_that_differ_are_told_apart() {
    let (fixed, variable) = (model("wide"), model("wide_var"));
    for (model, hex, expected) in [
        (&fixed, "04250102030102000000011170", "a status of 12 bytes, by the model it has 13"),
        (&fixed, "14800001", "the payload is not of the form"),
        (&variable, "0425010203010200000001117001", "the payload is not of the form"),
        (&variable, "14", "a status of 0 bytes"),
        (&variable, "14800001ff", "a status of 4 bytes, by the model it has 3"),
    ] {
        let wire = hex::decode(hex).expect("hex");
        let p0 = P0::parse(&wire).expect("action");
        let error = values(model, &p0).expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    // Enum item 7 of 5 and a speed above the limit: the rest is taken.
    let wire = hex::decode("04390003ff0102000000000000ff").expect("hex");
    let p0 = P0::parse(&wire).expect("action");
    let decoded = Layout::of(&fixed).expect("layout").decode(&fixed, &p0).expect("length fits");
    let rejected: Vec<&str> = decoded.rejected.iter().map(|(key, _)| &**key).collect();
    assert_eq!(rejected, ["mode", "speed"]);
    assert_eq!(decoded.signals, [(Kind::Alert, "default".into(), "over".into(), true)]);
}

#[test]
fn what_cannot_be_set_is_refused() {
    let model = model("wide");
    let layout = Layout::of(&model).expect("layout");
    for bad in [
        json!({"power": 1}),
        json!({"nobody": 1}),
        json!({"mode": "f"}),
        json!({"mode": 5}),
        json!({"speed": 50.1}),
        json!({"speed": "warm"}),
        json!({"plan": "0102030405"}),
        json!({"plan": "0g"}),
        json!({"sw0": 2}),
        json!({"over": true}),
    ] {
        let map = bad.as_object().expect("map");
        assert!(layout.control(&model, "default", map).is_err(), "{bad}");
    }
    for (good, wire) in [
        (json!({"sw0": 1}), "0100010001000000000000"),
        (json!({"mode": 2, "sw10": 1}), "010c001400000000000000"),
        (json!({"plan": [255]}), "01200000000000ff000000"),
        (json!({"speed": "50"}), "0110000000032000000000"),
    ] {
        let written = layout.control(&model, "default", good.as_object().expect("map"));
        assert_eq!(hex::encode(written.expect("fits")), wire, "{good}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_payloads_are_refused_or_fit(bytes in prop::collection::vec(any::<u8>(), 0..64), name in 0..3_usize) {
        let model = model(["pet_house", "wide", "wide_var"][name]);
        if let Some(p0) = P0::parse(&bytes)
            && let Ok(decoded) = Layout::of(&model).expect("layout").decode(&model, &p0)
        {
            for (service, values) in &decoded.services {
                for (key, value) in values {
                    let property = model.service(service).and_then(|s| s.property(key)).expect("of the model");
                    prop_assert!(property.ty.check(value).is_ok(), "{key} {value}");
                }
            }
        }
    }

    /// What is set is what the device reports afterwards.
    #[test]
    fn control_and_report_agree(on in any::<bool>(), speed in 0..=800_u32, mode in 0..5_usize, plan in prop::collection::vec(any::<u8>(), 4), bits in any::<u16>()) {
        let mut given = Map::new();
        for n in 0..11 {
            given.insert(format!("sw{n}"), (bits >> n & 1 == 1).into());
        }
        given.insert("sw0".into(), on.into());
        given.insert("mode".into(), ["a", "b", "c", "d", "e"][mode].into());
        given.insert("speed".into(), ((f64::from(speed) - 300.0) / 10.0).into());
        given.insert("plan".into(), hex::encode(plan).into());
        for name in ["wide", "wide_var"] {
            let model = model(name);
            let layout = Layout::of(&model).expect("layout");
            let control = layout.control(&model, "default", &given).expect("fits");
            let status = if name == "wide" {
                // The writable part of a control is that of the status; the rest is off.
                [&[4], &control[3..], &[0; 5]].concat()
            } else {
                [&[0x14], &control[1..]].concat()
            };
            let read = values(&model, &P0::parse(&status).expect("action")).expect("fits");
            for (key, value) in &given {
                prop_assert_eq!(&read[key], value, "{} {}", name, key);
            }
        }
    }

    #[test]
    fn hostile_documents_do_not_panic(id in any::<u64>(), len in any::<u64>(), ratio in any::<f64>(), min in any::<f64>(), max in any::<i64>(), ty in "uint8|uint16|uint32|binary|bool|enum|x", kind in "alert|fault|status_writable|y") {
        let document = json!({"protocolType": "standard", "packetVersion": "4", "entities": [{"attrs": [
            {"id": id, "name": "a", "type": kind, "data_type": ty, "enum": ["q"], "position": {"len": len},
             "uint_spec": {"min": min, "max": max, "ratio": ratio, "addition": min}}]}]});
        if let Ok(model) = import(&document) {
            prop_assert_eq!(export(&model).expect("expressible"), document);
        }
    }
}
