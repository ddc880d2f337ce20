//! One sample per cause of the founding documents: `samples/seeds.txt`, blocks of
//! `= code | where it stands` and the lines that show it.

mod common;

use common::{codes, diagnose, errors, sample};
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
                assert!(catalogue::entry(code).is_some(), "{code} is no code");
                // What the flow survives is at most a warning.
                let warned = codes(&report) == [("warning", code)];
                errors(&report).first() == Some(&code) || warned
            }
        };
        if !right {
            wrong.push(format!("{code} ({source}): {:?} {:?}", report.verdict, codes(&report)));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}\n{}", wrong.len(), wrong.join("\n"));
}
