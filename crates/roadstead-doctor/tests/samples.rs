//! Every sample against its expectation: logs of real SDK runs with the cause that was injected.

mod common;

use common::{Label, diagnose, labels, sample};
use roadstead_doctor::{Severity, Verdict};

/// Causes named first, acceptable ones, false alarms, leaks: the acceptance of the diagnosis model.
#[test]
fn every_sample_is_diagnosed_as_labelled() {
    let mut wrong = Vec::new();
    let (mut right, mut counted) = (0.0, 0.0);
    for label in labels() {
        let report = diagnose(&sample(&label.file));
        let problems = label.problems(&report);
        let first = label.first_is_right(&report);
        counted += label.weight;
        right += if first { label.weight } else { 0.0 };
        if !first && label.weight > 0.0 {
            eprintln!("first: {} got {:?}", label.file, common::codes(&report));
        }
        wrong.extend(problems.into_iter().map(|problem| format!("{}: {problem}", label.file)));
    }
    assert!(wrong.is_empty(), "{} problems\n{}", wrong.len(), wrong.join("\n"));
    assert!(right / counted >= 0.98, "{right} of {counted} first findings");
}

#[test]
fn evidence_lines_exist_and_show_the_cause() {
    for label in labels().into_iter().filter(|label| label.healthy == Some(false)) {
        let bytes = sample(&label.file);
        let count = bytes.split(|byte| *byte == b'\n').count() as u64;
        let report = diagnose(&bytes);
        if report.verdict != Verdict::Fault {
            continue;
        }
        for finding in report.findings.iter().filter(|f| f.severity == Severity::Error) {
            assert!(!finding.evidence.is_empty(), "{}: {}", label.file, finding.code);
            for evidence in &finding.evidence {
                assert!((1..=count).contains(&evidence.line), "{}: {}", label.file, evidence.line);
            }
        }
    }
}

#[test]
fn labels_cover_every_sample() {
    let known: Vec<String> = labels().into_iter().map(|label: Label| label.file).collect();
    for vendor in ["alibaba", "gizwits", "huawei", "tencent"] {
        for entry in std::fs::read_dir(common::folder().join(vendor)).expect(vendor) {
            let name = entry.expect("entry").file_name().to_string_lossy().into_owned();
            assert!(known.contains(&format!("{vendor}/{name}")), "{vendor}/{name} has no label");
        }
    }
}
