//! Fleet files: the documented example, every mistake with its line, and any row at all.

use proptest::prelude::*;
use serde_json::json;

use super::*;

const EXAMPLE: &str = "\
version: 1
products:
  - dialect: tencent              # tencent | huawei | alibaba | gizwits
    product: L4WG9V9M2M
    name: Lamp
    secret: XoezQjzzMedF4lAr2CqCkVYK
    auth: secret
    dynamic_registration: open
devices:
  - dialect: tencent
    product: L4WG9V9M2M
    device: TEST2
    device_id: ~
    secret: MLvMHde65nKPk0Lx+ZThaA==
    fingerprint: ~
    gateway: ~
  - {dialect: gizwits, product: p, device: 0123456789, secret: 0042}
";

fn reader(text: &str) -> Box<dyn std::io::BufRead + Send> {
    Box::new(std::io::Cursor::new(text.as_bytes().to_vec()))
}

fn sent(fleet: std::result::Result<Fleet, RowError>) -> Vec<Value> {
    let fleet = fleet.unwrap_or_else(|error| panic!("{error:?}"));
    fleet
        .devices
        .map(|row| match row {
            Ok(row) => row.to_json(),
            Err(error) => json!(error),
        })
        .collect()
}

fn refused(fleet: std::result::Result<Fleet, RowError>) -> RowError {
    match fleet {
        Ok(_) => panic!("accepted"),
        Err(error) => error,
    }
}

#[test]
fn the_documented_example_is_read() {
    let fleet = document::yaml(EXAMPLE).unwrap_or_else(|error| panic!("{error:?}"));
    let product = fleet.products[0].to_json(Path::new("")).expect("no model file");
    assert_eq!(
        product,
        json!({
            "line": 3, "dialect": "tencent", "product": "L4WG9V9M2M", "name": "Lamp",
            "secret": "XoezQjzzMedF4lAr2CqCkVYK", "auth": "secret",
            "dynamic_registration": "open",
        })
    );
    let devices = sent(Ok(fleet));
    assert_eq!(
        devices[0],
        json!({
            "line": 10, "dialect": "tencent", "product": "L4WG9V9M2M", "device": "TEST2",
            "secret": "MLvMHde65nKPk0Lx+ZThaA==",
        })
    );
    // Digits stay text: leading zeros belong to the name and to the secret.
    assert_eq!(devices[1]["device"], "0123456789");
    assert_eq!(devices[1]["secret"], "0042");
    assert_eq!(devices[1]["line"], 17);
}

#[test]
fn an_empty_fleet_is_valid() {
    assert!(sent(document::yaml("version: 1\ndevices: []\n")).is_empty());
    assert!(sent(document::json(r#"{"version": 1, "devices": []}"#)).is_empty());
    assert!(sent(rows::csv(reader("dialect,product,device\n"))).is_empty());
    assert!(sent(Ok(rows::json_lines(reader("\n\n")))).is_empty());
}

#[test]
fn mistakes_name_their_line() {
    for (text, line, part) in [
        ("devices: []\n", 1, "version"),
        ("version: 2\n", 1, "version 2 is not known"),
        ("version: 1\ndevics: []\n", 2, "`devics`"),
        ("version: 1\ndevices:\n  - dialect: a\n    product: b\n    devise: c\n", 5, "`devise`"),
        ("version: 1\ndevices:\n  - dialect: a\n    product: b\n", 3, "`device`"),
        ("version: 1\nproducts:\n  - {dialect: a, product: b, auth: psk}\n", 3, "`psk`"),
        ("version: 1\ndevices: [\n", 2, ""),
    ] {
        let error = refused(document::yaml(text));
        assert_eq!(error.code, "import.unreadable", "{text}");
        assert!(error.message.contains(part), "{text}: {}", error.message);
        assert!(!error.message.contains(" line "), "{text}: {}", error.message);
        assert!(error.line.abs_diff(line) <= 1, "{text}: {} {}", error.line, error.message);
    }
    let text = "{\n\"version\": 1,\n\"devices\": [\n{\"dialect\": \"a\", \"product\": \"b\",\n\
                \"devise\": \"c\"}]}";
    let error = refused(document::json(text));
    assert_eq!(error.line, 5);
    assert!(error.message.contains("`devise`"), "{}", error.message);
}

#[test]
fn device_rows_stream_past_a_broken_one() {
    let csv = "product,dialect,device,secret\nP,tencent,a,\"x,\"\"y\"\nP,tencent\nP,tencent,,z\n\
               P,tencent,b,\n";
    let rows = sent(rows::csv(reader(csv)));
    assert_eq!(rows[0]["secret"], "x,\"y");
    assert_eq!(rows[1]["message"], "the row has 2 cells, the head line 4");
    assert_eq!((&rows[2]["line"], &rows[2]["message"]), (&json!(4), &json!("`device` is empty")));
    assert_eq!(rows[3], json!({"line": 5, "dialect": "tencent", "product": "P", "device": "b"}));

    let error = refused(rows::csv(reader("dialect,product,device,colour\n")));
    assert!(error.message.contains("`colour`"), "{}", error.message);
    let error = refused(rows::csv(reader("dialect,product\n")));
    assert_eq!(error.message, "the head line has no column `device`");

    let lines = "{\"dialect\":\"t\",\"product\":\"p\",\"device\":\"a\"}\n\n{\"dialect\":1}\n\
                 {\"dialect\":\"t\",\"product\":\"p\",\"device\":\"b\",\"x\":1}\n";
    let rows = sent(Ok(rows::json_lines(reader(lines))));
    assert_eq!(rows[0]["device"], "a");
    assert_eq!(rows[1]["line"], 3);
    assert_eq!(rows[2]["line"], 4);
    assert!(rows[2]["message"].as_str().expect("text").contains("`x`"));
}

#[test]
fn a_model_that_is_no_document_names_the_row() {
    let text = "version: 1\nproducts:\n  - {dialect: a, product: b, model: no-such-file.json}\n";
    let fleet = document::yaml(text).unwrap_or_else(|error| panic!("{error:?}"));
    let error = fleet.products[0].to_json(Path::new("no-such-folder")).expect_err("no file");
    assert_eq!((error.line, error.code.as_str()), (3, "import.bad_model"));
    assert!(error.message.contains("no-such-folder/no-such-file.json"), "{}", error.message);
}

/// Text as vendors use it in names and secrets, and some that only an attacker would use.
fn text() -> impl Strategy<Value = String> {
    "[ -~äß灯\u{1f4a1}]{1,24}".prop_filter("cells are trimmed", |t| t.trim() == t)
}

proptest! {
    #[test]
    fn every_form_reads_the_same_rows(
        rows in prop::collection::vec((text(), text(), text(), prop::option::of(text())), 0..8),
    ) {
        let expected: Vec<Value> = rows
            .iter()
            .map(|(dialect, product, device, secret)| {
                let mut row = json!({"dialect": dialect, "product": product, "device": device});
                if let Some(secret) = secret {
                    row["secret"] = json!(secret);
                }
                row
            })
            .collect();
        let strip = |mut rows: Vec<Value>| {
            for row in &mut rows {
                row.as_object_mut().expect("row").remove("line");
            }
            rows
        };
        let document = json!({"version": 1, "devices": expected});
        prop_assert_eq!(&strip(sent(document::json(&format!("{document:#}")))), &expected);

        let lines: String = expected.iter().map(|row| format!("{row}\n")).collect();
        prop_assert_eq!(&strip(sent(Ok(rows::json_lines(reader(&lines))))), &expected);

        let cell = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let mut csv = "dialect,product,device,secret\n".to_owned();
        let mut yaml = "version: 1\ndevices:\n".to_owned();
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        for (dialect, product, device, secret) in &rows {
            let secret_cell = secret.as_deref().map_or(String::new(), cell);
            csv += &format!("{},{},{},{secret_cell}\n", cell(dialect), cell(product), cell(device));
            let secret = secret.as_deref().map_or("~".to_owned(), quoted);
            yaml += &format!(
                "  - dialect: {}\n    product: {}\n    device: {}\n    secret: {secret}\n",
                quoted(dialect), quoted(product), quoted(device),
            );
        }
        if rows.is_empty() {
            yaml = "version: 1\ndevices: []\n".to_owned();
        }
        prop_assert_eq!(&strip(sent(rows::csv(reader(&csv)))), &expected);
        prop_assert_eq!(&strip(sent(document::yaml(&yaml))), &expected);
    }

    #[test]
    fn no_text_breaks_a_reader(text in "\\PC*|[-a-z:{}\\[\\]\",&*!|>\n ]{0,200}") {
        let count = |fleet: std::result::Result<Fleet, RowError>| {
            fleet.map_or(0, |fleet| fleet.devices.count())
        };
        count(document::yaml(&text));
        count(document::json(&text));
        count(rows::csv(reader(&text)));
        count(Ok(rows::json_lines(reader(&text))));
    }
}
