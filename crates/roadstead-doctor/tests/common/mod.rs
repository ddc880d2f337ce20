//! Samples, labels, and what it means to agree with a label.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::PathBuf;

use roadstead_doctor::{Doctor, Report, Severity, Verdict};
use serde_json::Value;

/// What is true about one sample.
#[derive(Clone, Debug)]
pub(crate) struct Label {
    pub(crate) file: String,
    pub(crate) vendor: Option<String>,
    pub(crate) healthy: Option<bool>,
    pub(crate) primary: Option<String>,
    pub(crate) acceptable: Vec<String>,
    pub(crate) ambiguous: bool,
    pub(crate) true_cause: Option<String>,
    pub(crate) also: Vec<String>,
    pub(crate) incomplete: bool,
    pub(crate) accept_healthy: bool,
    pub(crate) vendor_any: bool,
    pub(crate) weight: f64,
    pub(crate) secrets: Vec<String>,
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("samples")
}

pub(crate) fn sample(file: &str) -> Vec<u8> {
    std::fs::read(folder().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

pub(crate) fn diagnose(bytes: &[u8]) -> Report {
    let mut doctor = Doctor::new();
    doctor.begin("device.log");
    for piece in bytes.chunks(4096) {
        doctor.feed(piece);
    }
    doctor.finish()
}

pub(crate) fn labels() -> Vec<Label> {
    let text = String::from_utf8(sample("labels.json")).expect("text");
    let document: Value = serde_json::from_str(&text).expect("labels");
    let rows = document["entries"].as_array().expect("entries");
    rows.iter().map(label).collect()
}

fn label(row: &Value) -> Label {
    let text = |key: &str| row[key].as_str().map(str::to_owned);
    let list = |key: &str| -> Vec<String> {
        let items = row[key].as_array().cloned().unwrap_or_default();
        items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let yes = |key: &str| row[key].as_bool().unwrap_or(false);
    Label {
        file: text("file").expect("file"),
        vendor: text("vendor"),
        healthy: row["healthy"].as_bool(),
        primary: text("primary"),
        acceptable: list("acceptable"),
        ambiguous: yes("ambiguous"),
        true_cause: text("true_cause"),
        also: list("also"),
        incomplete: yes("incomplete"),
        accept_healthy: yes("accept_healthy"),
        vendor_any: yes("vendor_any"),
        weight: row["weight"].as_f64().unwrap_or(1.0),
        secrets: list("secrets"),
    }
}

pub(crate) fn errors(report: &Report) -> Vec<&'static str> {
    let error = |finding: &&roadstead_doctor::Finding| finding.severity == Severity::Error;
    report.findings.iter().filter(error).map(|finding| finding.code).collect()
}

pub(crate) fn codes(report: &Report) -> Vec<(&'static str, &'static str)> {
    report.findings.iter().map(|finding| (finding.severity.id(), finding.code)).collect()
}

impl Label {
    /// The first finding is the labelled one; a healthy log has no error.
    pub(crate) fn first_is_right(&self, report: &Report) -> bool {
        let errors = errors(report);
        match (&self.primary, errors.first()) {
            (None, None) => report.verdict == Verdict::Healthy || self.incomplete,
            (Some(primary), Some(first)) => {
                first == primary
                    || (self.ambiguous && self.acceptable.iter().any(|code| code == first))
            }
            (Some(_), None) => self.accept_healthy,
            (None, Some(_)) => false,
        }
    }

    /// Everything that must never differ from the label.
    pub(crate) fn problems(&self, report: &Report) -> Vec<String> {
        let mut out = Vec::new();
        let errors = errors(report);
        let vendor = report.subject().and_then(|device| device.vendor);
        if !self.vendor_any && self.healthy.is_some() && vendor != self.vendor.as_deref() {
            out.push(format!("vendor {vendor:?}, not {:?}", self.vendor));
        }
        match (self.healthy, errors.first()) {
            (Some(true), Some(_)) if self.weight > 0.0 => {
                out.push(format!("false alarm {errors:?}"))
            }
            (Some(false), Some(first)) if !self.acceptable.iter().any(|code| code == first) => {
                out.push(format!("{first} is not acceptable; {:?} is", self.acceptable));
            }
            (Some(false), None) if !self.accept_healthy && self.weight > 0.0 => {
                out.push(format!(
                    "nothing found, {:?} expected: {:?}",
                    self.primary,
                    codes(report)
                ));
            }
            _ => {}
        }
        if self.weight > 0.0
            && let Some(cause) = &self.true_cause
        {
            let listed = report
                .findings
                .iter()
                .any(|f| f.code == cause || f.alternatives.iter().any(|code| code == cause));
            if !listed {
                out.push(format!("true cause {cause} is not listed: {:?}", codes(report)));
            }
        }
        for code in &self.also {
            if !errors.contains(&code.as_str()) {
                out.push(format!("{code} is not listed: {errors:?}"));
            }
        }
        let answer = report.to_json().to_string().to_lowercase();
        for secret in &self.secrets {
            if answer.contains(&secret.to_lowercase()) {
                out.push(format!("leaks {secret}"));
            }
        }
        out
    }
}
