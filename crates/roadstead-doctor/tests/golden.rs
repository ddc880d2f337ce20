//! The whole answer for each sample, as text in both languages and as JSON: `golden/`.
//!
//! `UPDATE=1 cargo nextest run -p roadstead-doctor golden` writes them anew; read the difference.

mod common;

use std::path::PathBuf;

use common::{diagnose, labels, sample};
use roadstead_doctor::{Lang, Report};

fn place(file: &str) -> PathBuf {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{stem}.txt"))
}

fn answer(report: &Report) -> String {
    let text = |lang| report.to_text(lang, &|_, text| text.to_owned());
    let mut out = format!("{}\n== zh\n{}\n== json\n", text(Lang::En), text(Lang::Zh));
    // One finding, one stage, one device a line: differences stay small.
    for (key, value) in report.to_json().as_object().expect("an object") {
        match value.as_array() {
            Some(items) => items.iter().for_each(|item| out.push_str(&format!("{key} {item}\n"))),
            None => out.push_str(&format!("{key} {value}\n")),
        }
    }
    out
}

#[test]
fn golden_answers() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    for label in labels() {
        let report = diagnose(&sample(&label.file));
        let (path, answer) = (place(&label.file), answer(&report));
        if update {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
            std::fs::write(&path, &answer).expect("written");
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&answer) {
            wrong.push(path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "{} differ; UPDATE=1 writes them\n{}", wrong.len(), wrong.join("\n"));
}

/// With identities hidden, neither the names of devices nor addresses are left.
#[test]
fn hidden_identities_are_in_no_answer() {
    let mut wrong = Vec::new();
    for label in labels() {
        let mut report = diagnose(&sample(&label.file));
        let names: Vec<String> = report
            .devices
            .iter()
            .flat_map(|device| device.key.split('/').map(str::to_owned).collect::<Vec<_>>())
            .filter(|name| name.len() >= 4)
            .collect();
        report.redact_ids();
        let answer = answer(&report);
        for name in names {
            if answer.contains(&name) {
                wrong.push(format!("{}: {name}", label.file));
            }
        }
        let digits = |word: &str| word.parse::<std::net::Ipv4Addr>().is_ok();
        if let Some(found) =
            answer.split(|c: char| !c.is_ascii_digit() && c != '.').find(|w| digits(w))
        {
            wrong.push(format!("{}: {found}", label.file));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
