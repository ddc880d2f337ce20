//! What the answer is to programs: the document of `doctor --json` and the page of `doctor --html`
//! keep their promises for every sample.

mod common;

use common::{diagnose, labels, sample};
use roadstead_doctor::{Lang, Report, Severity, Verdict, catalogue};
use serde_json::{Map, Value};

/// Every sample there is: seeds and recorded logs.
fn reports() -> Vec<(String, Report)> {
    let seeds = String::from_utf8(sample("seeds.txt")).expect("text");
    let blocks = seeds.split("\n= ").filter_map(|block| block.split_once('\n'));
    let seeds = blocks.map(|(head, lines)| (head.to_owned(), diagnose(lines.as_bytes())));
    let logs = labels().into_iter().map(|label| {
        let report = diagnose(&sample(&label.file));
        (label.file, report)
    });
    seeds.chain(logs).collect()
}

fn keys(object: &Map<String, Value>) -> Vec<&str> {
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

const TOP: [&str; 11] = [
    "devices",
    "files",
    "findings",
    "healthy",
    "reached",
    "schema",
    "sdk",
    "sdk_version",
    "stages",
    "vendor",
    "verdict",
];
const FINDING: [&str; 12] = [
    "alternatives",
    "boot",
    "caused",
    "code",
    "confidence",
    "count",
    "device",
    "evidence",
    "next",
    "remedy",
    "severity",
    "stage",
];
const STAGE: [&str; 8] = ["boot", "device", "end_line", "file", "line", "stage", "status", "time"];

/// Schema 1, section 8 of the diagnosis model.
#[test]
fn the_document_follows_its_schema() {
    for (name, report) in reports() {
        let document = report.to_json();
        let top = document.as_object().expect("an object");
        assert_eq!((keys(top), &top["schema"]), (TOP.to_vec(), &Value::from(1)), "{name}");
        let verdict = top["verdict"].as_str().expect("text");
        assert!(["healthy", "fault", "incomplete", "not_recognised"].contains(&verdict), "{name}");
        assert_eq!(top["healthy"], Value::from(verdict == "healthy"), "{name}");
        let findings = top["findings"].as_array().expect("a list");
        let is_error = |finding: &Value| finding["severity"] == "error";
        assert_eq!(findings.iter().any(is_error), verdict == "fault", "{name}");
        let order: Vec<bool> = findings.iter().map(is_error).collect();
        assert!(order.is_sorted_by(|a, b| a >= b), "{name}: errors first");
        findings.iter().for_each(|finding| check(&name, finding, &report));
        for stage in top["stages"].as_array().expect("a list") {
            let stage = stage.as_object().expect("an object");
            assert_eq!(keys(stage), STAGE, "{name}");
            let status = stage["status"].as_str().expect("text");
            assert!(["done", "failed", "open", "absent", "skipped"].contains(&status), "{name}");
        }
        if report.verdict == Verdict::NotRecognised {
            assert_eq!((findings.len(), findings[0]["severity"].as_str()), (1, Some("info")));
        }
    }
}

fn check(name: &str, finding: &Value, report: &Report) {
    let object = finding.as_object().expect("an object");
    assert_eq!(keys(object), FINDING, "{name}");
    let code = finding["code"].as_str().expect("text");
    assert!(catalogue::entry(code).is_some(), "{name}: {code}");
    let confidence = finding["confidence"].as_f64().expect("a number");
    assert!((0.0..=1.0).contains(&confidence), "{name}: {code}");
    for lang in ["en", "zh"] {
        assert!(!finding["remedy"][lang].as_str().expect("text").is_empty(), "{name}: {code}");
    }
    for evidence in finding["evidence"].as_array().expect("a list") {
        let file = evidence["file"].as_u64().expect("a number") as usize;
        let text = evidence["text"].as_str().expect("text");
        assert!(file < report.files.len() && text.chars().count() <= 300, "{name}: {code}");
        assert!(evidence["line"].as_u64().is_some(), "{name}: {code}");
    }
}

/// The page stands alone: it names the cause, loads nothing and runs nothing.
#[test]
fn the_page_names_the_cause_and_loads_nothing() {
    for (name, report) in reports() {
        for lang in [Lang::En, Lang::Zh] {
            let page = report.to_html(lang);
            assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
            // A log's own brackets are escaped.
            for outside in ["<script", "<link", "<img", "<iframe", "@import"] {
                assert!(!page.contains(outside), "{name}: {outside}");
            }
            let first = report.findings.first().filter(|f| f.severity == Severity::Error);
            assert!(first.is_none_or(|first| page.contains(first.code)), "{name}");
        }
    }
}
