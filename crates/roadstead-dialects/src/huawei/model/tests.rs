//! Archives: every refusal of the vendor's FAQ, and round trips file by file.

use std::prelude::v1::*;
use std::{format, vec};

use proptest::prelude::*;
use roadstead_core::product::{
    Auth, DataType, Extra, Model, Parameter, Product, Rebind, Registration, Service,
};
use roadstead_core::{Timestamp, Value};
use serde_json::json;

use super::*;
use crate::{Archive, ArchiveFile, Packed, capability};

const DEVICE: &str = r#"{
  "devices": [
    {
      "manufacturerId": "TestUtf8ManuId",
      "manufacturerName": "HZYB",
      "model": "NBIoTDevice",
      "protocolType": "CoAP",
      "deviceType": "WaterMeter",
      "omCapability": {"upgradeCapability": {"supportUpgrade": true}},
      "serviceTypeCapabilities": [
        {"serviceId": "WaterMeterBasic", "serviceType": "Water", "option": "Mandatory"},
        {"serviceId": "WaterMeterAlarm", "serviceType": "Battery"}
      ]
    }
  ],
  "version": 2
}"#;

const WATER: &str = r#"{
  "services": [
    {
      "serviceType": "Water",
      "description": "Water",
      "commands": [
        {
          "commandName": "SET_PRESSURE",
          "paras": [
            {
              "paraName": "value",
              "dataType": "int",
              "required": true,
              "min": "0",
              "max": "100",
              "step": 1,
              "maxLength": 10,
              "unit": null,
              "enumList": null
            }
          ],
          "responses": [
            {
              "responseName": "SET_RSP",
              "paras": [
                {"paraName": "result", "dataType": "string", "required": true, "maxLength": 10,
                 "enumList": ["SUCCESS", "FAILED"]}
              ]
            }
          ]
        }
      ],
      "properties": [
        {"propertyName": "waterFlow", "dataType": "int", "required": true, "min": 0, "max": 0,
         "step": 0.1, "maxLength": 0, "method": "R", "unit": "L", "enumList": []},
        {"propertyName": "at", "dataType": "dateTime", "required": false, "method": "RE"}
      ]
    }
  ]
}"#;

const BATTERY: &str = r#"{"services": [{"serviceType": "Battery", "commands": null,
  "properties": [{"propertyName": "level", "dataType": "DECIMAL", "method": "R", "x": 1}]}]}"#;

const NAME: &str = "WaterMeter_TestUtf8ManuId_NBIoTDevice.zip";

type Files = Vec<(String, Vec<u8>)>;

fn files() -> Files {
    let root = NAME.strip_suffix(".zip").expect("suffix");
    [
        ("", ""),
        ("profile/", ""),
        ("profile/devicetype-capability.json", DEVICE),
        ("service/Water/profile/servicetype-capability.json", WATER),
        ("service/Battery/profile/servicetype-capability.json", BATTERY),
    ]
    .map(|(path, text)| (format!("{root}/{path}"), text.as_bytes().to_vec()))
    .to_vec()
}

fn read(name: Option<&str>, files: &[(String, Vec<u8>)]) -> Result<Packed, crate::Problem> {
    let files: Vec<_> = files.iter().map(|(path, bytes)| ArchiveFile { path, bytes }).collect();
    import(name, &files).expect("recognised")
}

fn product(packed: Packed) -> Product {
    Product {
        id: "p1".into(),
        space: "s".into(),
        dialect: "huawei".into(),
        name: "Meter".into(),
        secret: None,
        auth: Auth::Secret,
        registration: Registration::Off,
        rebind: Rebind::Refuse,
        model: packed.model,
        attributes: packed.attributes,
        created_at: Timestamp(0),
    }
}

fn parsed(archive: &Archive) -> Vec<(String, Value)> {
    let json = |bytes: &[u8]| serde_json::from_slice(bytes).expect("JSON");
    archive.files.iter().map(|(path, bytes)| (path.clone(), json(bytes))).collect()
}

#[test]
fn an_archive_comes_out_as_it_went_in() {
    let packed = read(Some(NAME), &files()).expect("archive");
    let archive = export(&product(packed)).expect("archive");
    assert_eq!(archive.name, NAME);
    let originals = files().into_iter().filter(|(path, _)| !path.ends_with('/'));
    let originals: Vec<(String, Value)> = originals
        .map(|(path, bytes)| (path, serde_json::from_slice(&bytes).expect("JSON")))
        .collect();
    assert_eq!(parsed(&archive), originals);
}

#[test]
fn an_archive_means_what_it_says() {
    let packed = read(None, &files()).expect("archive");
    assert_eq!(packed.attributes["manufacturer_id"], "TestUtf8ManuId");
    assert_eq!(packed.attributes["device_model"], "NBIoTDevice");
    assert_eq!(packed.attributes["device_type"], "WaterMeter");
    let services = capability::write_model(&packed.model);
    let json = serde_json::to_value(&services).expect("JSON");
    assert_eq!(json[0]["service_id"], "WaterMeterBasic");
    assert_eq!(json[0]["service_type"], "Water");
    assert_eq!(json[0]["option"], "Mandatory");
    let flow = json!({"property_name": "waterFlow", "data_type": "int", "required": true,
        "min": "0", "max": "0", "step": 0.1, "unit": "L", "method": "R"});
    assert_eq!(json[0]["properties"][0], flow);
    assert_eq!(json[1]["properties"][0]["data_type"], "decimal");
    assert_eq!(json[0]["commands"][0]["responses"][0]["paras"][0]["enum_list"][1], "FAILED");
}

#[test]
fn what_was_edited_comes_out_edited() {
    let mut packed = read(None, &files()).expect("archive");
    let mut services = capability::write_model(&packed.model);
    services[0].properties[0].fields.max = Some("7".into());
    services[1].description = Some("Cell".into());
    let mut model = capability::read_model(&services).expect("model");
    capability::merge_extra(&mut model, &packed.model);
    packed.model = model;
    let archive = parsed(&export(&product(packed)).expect("archive"));
    let flow = &archive[1].1["services"][0]["properties"][0];
    assert_eq!((&flow["max"], &flow["maxLength"]), (&json!("7"), &json!(0)));
    assert_eq!(archive[2].1["services"][0]["description"], "Cell");
    assert_eq!(archive[2].1["services"][0]["commands"], Value::Null);
}

#[test]
fn every_fault_of_an_archive_is_named() {
    let change = |from: &str, to: &str| {
        let mut files = files();
        let hit = files
            .iter_mut()
            .find(|(_, bytes)| std::str::from_utf8(bytes).expect("text").contains(from));
        let (_, bytes) = hit.expect(from);
        *bytes = std::str::from_utf8(bytes).expect("text").replacen(from, to, 1).into_bytes();
        files
    };
    let add = |path: &str| {
        let mut files = files();
        files.push((path.into(), Vec::new()));
        files
    };
    let without = |end: &str| files().into_iter().filter(|(p, _)| !p.ends_with(end)).collect();
    let cases: Vec<(&str, Files, &str, &str)> = vec![
        // (a) of the FAQ: names.
        (
            "Meter_TestUtf8ManuId_NBIoTDevice.zip",
            files(),
            "import.bad_name",
            "must be deviceType_manufacturerId_model.zip, here \
             `WaterMeter_TestUtf8ManuId_NBIoTDevice.zip`: the name says `Meter`, \
             `WaterMeter_TestUtf8ManuId_NBIoTDevice/profile/devicetype-capability.json` line 8: \
             `deviceType` is `WaterMeter`",
        ),
        ("model.rar", files(), "import.bad_name", "must end with `.zip`"),
        (
            NAME,
            change("\"TestUtf8ManuId\"", "\"a/b\""),
            "import.bad_model",
            "line 4: `manufacturerId`: `a/b` cannot be part of a file name",
        ),
        // (b): broken JSON, lists that are none, other files.
        (
            NAME,
            change("\"serviceId\": \"WaterMeterBasic\",", "\"serviceId\" \"W\","),
            "import.bad_model",
            "/profile/devicetype-capability.json` line 11: the JSON is wrong: expected `:`",
        ),
        (
            NAME,
            change("\"commands\": [", "\"commands\": {}, \"c\": ["),
            "import.bad_model",
            "/service/Water/profile/servicetype-capability.json` line 6: the value of `commands` \
             is not an array `[…]`",
        ),
        (
            NAME,
            change("\"properties\": [\n", "\"properties\": 1, \"p\": [\n"),
            "import.bad_model",
            "line 33: the value of `properties` is not an array",
        ),
        (
            NAME,
            change("\"paras\": [\n", "\"paras\": 1, \"p\": [\n"),
            "import.bad_model",
            "line 9: the value of `paras` is not an array",
        ),
        (NAME, add("__MACOSX/._x"), "import.foreign_file", "`__MACOSX/._x`: a hidden file"),
        (
            NAME,
            add("WaterMeter_TestUtf8ManuId_NBIoTDevice/profile/.DS_Store"),
            "import.foreign_file",
            "hidden file that the packing program added",
        ),
        (NAME, add("readme.txt"), "import.foreign_file", "a file that does not belong to a model"),
        (
            NAME,
            add("WaterMeter_TestUtf8ManuId_NBIoTDevice/profile/devicetype-capability.json"),
            "import.foreign_file",
            "is in the archive twice",
        ),
        // (d): a codec.
        (NAME, add("codec/WaterMeter.jar"), "import.has_codec", "then the codec"),
        (NAME, add("package-info.json"), "import.has_codec", "`package-info.json`"),
        // What holds the files together.
        (
            NAME,
            without("Battery/profile/servicetype-capability.json"),
            "import.bad_model",
            "line 12: serviceType `Battery` has no file `service/Battery/profile",
        ),
        (
            NAME,
            change(
                ",\n        {\"serviceId\": \"WaterMeterAlarm\", \"serviceType\": \"Battery\"}",
                "",
            ),
            "import.foreign_file",
            "lists no serviceType `Battery`",
        ),
        (
            NAME,
            change("\"WaterMeterAlarm\"", "\"WaterMeterBasic\""),
            "import.bad_model",
            "line 12: the serviceId `WaterMeterBasic` is there twice",
        ),
        (
            NAME,
            change(
                "\"serviceType\": \"Water\",\n      \"desc",
                "\"serviceType\": \"Wat\",\n \"desc",
            ),
            "import.bad_model",
            "line 4: serviceType is `Wat`, the folder is called `Water`",
        ),
        (
            NAME,
            change("\"protocolType\": \"CoAP\",", ""),
            "import.bad_model",
            "line 3: `protocolType` is missing",
        ),
        (
            NAME,
            change("\"manufacturerId\": \"TestUtf8ManuId\"", "\"manufacturerId\": 5"),
            "import.bad_model",
            "line 4: `manufacturerId` is not a text",
        ),
        // The members.
        (
            NAME,
            change("\"dataType\": \"int\",\n", "\"dataType\": \"int8\",\n"),
            "import.bad_model",
            "line 12: value.data_type: `int8` is not known",
        ),
        (
            NAME,
            change("\"method\": \"R\", \"unit\"", "\"method\": \"RX\", \"unit\""),
            "import.bad_model",
            "line 35: method: `RX` has letters other than R, W, E",
        ),
        (
            NAME,
            change("\"propertyName\": \"at\", ", ""),
            "import.bad_model",
            "line 36: missing field `property_name`",
        ),
        (
            NAME,
            change("\"propertyName\": \"at\"", "\"propertyName\": \"a b\""),
            "import.bad_model",
            "WaterMeterBasic.property_name: `a b` has ` `",
        ),
    ];
    for (n, (name, files, code, text)) in cases.into_iter().enumerate() {
        let problem = read(Some(name), &files).expect_err(text);
        assert_eq!(problem.code, code, "case {n}: {}", problem.message);
        assert!(problem.message.contains(text), "case {n}: {:?} has {text:?}", problem.message);
    }
}

#[test]
fn archives_of_others_are_not_ours() {
    let files = [ArchiveFile { path: "a/b.json", bytes: b"{}" }];
    assert!(import(None, &files).is_none());
}

#[test]
fn the_short_name_and_a_missing_folder_are_fine() {
    let root = "WaterMeter_TestUtf8ManuId_NBIoTDevice/";
    let bare: Vec<_> = files()
        .into_iter()
        .filter_map(|(path, bytes)| Some((path.strip_prefix(root)?.to_owned(), bytes)))
        .filter(|(path, _)| !path.is_empty())
        .collect();
    read(Some("WaterMeter_TestUtf8ManuId.zip"), &bare).expect("archive");
    let mut with_mark = bare;
    with_mark[1].1.splice(0..0, *b"\xef\xbb\xbf");
    read(Some("folder/WaterMeter_TestUtf8ManuId.zip"), &with_mark).expect("archive");
}

#[test]
fn services_of_one_type_share_a_file() {
    let mut packed = read(None, &files()).expect("archive");
    let mut twin = packed.model.services[0].clone();
    twin.id = "Twin".into();
    packed.model.services.push(twin);
    let archive = export(&product(packed.clone())).expect("archive");
    assert_eq!(archive.files.len(), 3);
    packed.model.services[2].properties.pop();
    let problem = export(&product(packed)).expect_err("two contents");
    assert!(problem.message.contains("`WaterMeterBasic` and `Twin` have the service_type `Water`"));
}

#[test]
fn a_foreign_model_is_made_to_fit_and_the_rest_is_noted() {
    let mut service = Service::new("default");
    let coded = json!({"type": "enum", "items": [{"name": "Red", "code": 0}]});
    let types = [
        ("a b", serde_json::from_value(coded).expect("type")),
        ("a.b", DataType::Bool { labels: Some(("off".into(), "on".into())) }),
        ("pos", DataType::Struct { fields: vec![Parameter::new("x", DataType::Time)] }),
    ];
    for (id, ty) in types {
        service.properties.push(roadstead_core::product::Property {
            id: id.into(),
            name: "".into(),
            description: "".into(),
            access: roadstead_core::product::Access::READ,
            required: false,
            ty,
            initial: None,
            extra: Extra::new(),
        });
    }
    let adapted = adapt(&Model { services: vec![service], extra: Extra::new() });
    check(&adapted.model).expect("fits");
    let notes: Vec<_> =
        adapted.notes.iter().map(|note| format!("{}: {}", note.path, note.text)).collect();
    let expected = [
        "default.a b: the name breaks a rule and becomes `a_b`",
        "default.a b: the numbers behind the names of an enum travel in `type_detail`",
        "default.a.b: the name breaks a rule and becomes `a_b_2`",
        "default.a.b: the names of false and true travel in `type_detail`",
        "default.pos: a structure is a `jsonObject`; its fields travel in `type_detail`",
    ];
    assert_eq!(notes, expected);
}

/// Properties as the API writes them. A length of 0 is missing: archives write 0 for "no limit".
fn property() -> impl Strategy<Value = Value> {
    let ty = prop_oneof![
        ("int|long|decimal", proptest::option::of("-?[0-9]{1,3}(\\.0)?"))
            .prop_map(|(ty, min)| json!({"data_type": ty, "min": min, "step": 2, "unit": "m"})),
        proptest::option::of(1u32..50)
            .prop_map(|max| json!({"data_type": "string", "max_length": max})),
        Just(json!({"data_type": "DateTime", "default_value": "20260101T000000Z"})),
        Just(json!({"data_type": "boolean", "default_value": false})),
        Just(json!({"data_type": "enum", "enum_list": ["a", "b"]})),
        Just(json!({"data_type": "string list", "max_length": 3})),
        Just(json!({"data_type": "jsonObject", "default_value": {"data_type": 1}})),
    ];
    (ty, "RWE|RW|RE|WE|E|W|R", any::<bool>(), "[a-z]{0,5}").prop_map(
        |(mut property, method, required, description)| {
            property["method"] = method.into();
            property["required"] = required.into();
            property["description"] = description.into();
            let object = property.as_object_mut().expect("object");
            object.retain(|_, value| !value.is_null() && value != "");
            property
        },
    )
}

proptest! {
    #[test]
    fn models_survive_the_archive(
        properties in proptest::collection::vec(property(), 0..4),
        option in proptest::option::of("Master|Mandatory|Optional"),
    ) {
        let named = properties.into_iter().enumerate().map(|(n, mut property)| {
            property["property_name"] = format!("p{n}").into();
            property
        });
        let mut service = json!({"service_id": "S", "service_type": "T", "events": [],
            "properties": named.collect::<Vec<_>>(),
            "commands": [{"command_name": "C", "paras": [], "responses": [
                {"response_name": "R", "paras": []}]}]});
        if let Some(option) = option {
            service["option"] = option.into();
        }
        let document = json!({"service_capabilities": [service]});
        let model = capability::import(&document).expect("model");
        let made = product(Packed { model, ..Packed::default() });
        let archive = export(&made).expect("archive");
        let packed = read(Some(&archive.name), &archive.files).expect("archive");
        let mut back = capability::export(&packed.model);
        if document["service_capabilities"][0].get("option").is_none() {
            back["service_capabilities"][0].as_object_mut().expect("object").shift_remove("option");
        }
        prop_assert_eq!(back, document);
        let again = export(&product(packed)).expect("archive");
        prop_assert_eq!(parsed(&again), parsed(&archive));
    }

    #[test]
    fn no_content_is_too_strange(text in "[\\[\\]{}:,\"a-z1 ]{0,60}", n in 2usize..5) {
        let mut files = files();
        files[n].1 = text.into_bytes();
        // Refused or read; never a panic.
        drop(read(Some(NAME), &files));
    }

    #[test]
    fn no_value_is_too_strange(n in 0usize..3, at in 0usize..40, value in "null|1|\"x\"|\\[\\]|\\{\\}|true") {
        let mut files = files();
        let mut json: Value = serde_json::from_slice(&files[2 + n].1).expect("JSON");
        let value: Value = serde_json::from_str(&value).expect("JSON");
        replace_nth(&mut json, &mut { at }, &value);
        files[2 + n].1 = json.to_string().into_bytes();
        if let Ok(packed) = read(Some(NAME), &files) {
            export(&product(packed)).expect("what imports exports");
        }
    }
}

/// Replaces the `n`th value of a document, depth first.
fn replace_nth(json: &mut Value, n: &mut usize, value: &Value) -> bool {
    if *n == 0 {
        *json = value.clone();
        return true;
    }
    *n -= 1;
    match json {
        Value::Array(items) => items.iter_mut().any(|item| replace_nth(item, n, value)),
        Value::Object(fields) => fields.values_mut().any(|item| replace_nth(item, n, value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
