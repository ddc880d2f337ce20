//! One sample per cause of the founding documents: `samples/seeds.txt`, blocks of
//! `= code | where it stands` and the lines that show it.

mod common;

use common::{codes, diagnose, errors, labels, sample};
use roadstead_doctor::{Verdict, catalogue};

#[test]
fn every_seed_sample_shows_its_cause() {
    let text = String::from_utf8(sample("seeds.txt")).expect("text");
    let mut wrong = Vec::new();
    let mut count = 0;
    for block in text.split("\n= ").map(|block| block.trim_start_matches("= ")) {
        let (head, lines) = block.split_once('\n').expect("a head line");
        let (code, source) = head.split_once(" | ").expect("code | source");
        let report = diagnose(lines.as_bytes());
        count += 1;
        let right = match code {
            "healthy" => report.verdict == Verdict::Healthy,
            code => {
                let entry = catalogue::entry(code).unwrap_or_else(|| panic!("{code} is no code"));
                // What the flow survives is at most a warning, what is no fault a remark.
                let mild =
                    if entry.info || code.starts_with("input.") { "info" } else { "warning" };
                let told = codes(&report) == [(mild, code)];
                errors(&report).first() == Some(&code) || told
            }
        };
        if !right {
            wrong.push(format!("{code} ({source}): {:?} {:?}", report.verdict, codes(&report)));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n"));
}

/// Every cause of the founding documents has a sample, unless no file can show it.
#[test]
fn every_seed_cause_has_a_sample() {
    let seeds = String::from_utf8(sample("seeds.txt")).expect("text");
    let captures = include_str!("captures.rs");
    let labelled = labels();
    let mut missing = Vec::new();
    for entry in catalogue::all().filter(|entry| !entry.seed.is_empty()) {
        let code = entry.code;
        let shown = seeds.lines().any(|line| line.starts_with(&format!("= {code} | ")))
            || labelled.iter().any(|label| label.primary.as_deref() == Some(code))
            || captures.contains(&format!("Some(\"{code}\")"));
        match catalogue::explained_only(code) {
            None if !shown => missing.push(code),
            Some(why) => assert!(!shown, "{code} is shown, and yet: {why}"),
            None => {}
        }
    }
    assert!(missing.is_empty(), "without a sample: {missing:?}");
}
