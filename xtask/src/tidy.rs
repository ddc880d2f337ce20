//! Checks that no compiler makes: module text, sizes, vendor names, failure codes, stray marks.

use std::path::{Path, PathBuf};

use roadstead_core::code;

use crate::Outcome;

/// Lines a source file may have, tests and tables excluded.
const LINES_MAX: usize = 900;
/// Where a vendor's name must not appear (ARCHITECTURE.md, invariant 5).
const NEUTRAL: [&str; 3] =
    ["crates/roadstead-core/src", "crates/roadstead-store/src", "crates/roadstead-wire/src/mqtt"];
/// Marks that do not belong into a commit. Split so that this file does not contain them.
const STRAY: [&str; 5] = [
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("HA", "CK"),
    concat!("to", "do!("),
    concat!("dbg", "!("),
];

/// Runs all checks and prints the list of unverified facts.
pub(crate) fn run(root: &Path) -> Outcome {
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "fuzz"] {
        collect(&root.join(folder), &mut files);
    }
    files.sort();
    let mut problems = Vec::new();
    let mut unverified = Vec::new();
    for file in &files {
        let name = file.strip_prefix(root).unwrap_or(file).display().to_string();
        let Ok(text) = std::fs::read_to_string(file) else {
            problems.push(format!("{name}: not readable as text"));
            continue;
        };
        check_file(&name, &text, &mut problems);
        for (n, line) in text.lines().enumerate() {
            if line.contains(concat!("UNVERIFIED", ":")) {
                unverified.push(format!("{name}:{}: {}", n + 1, line.trim()));
            }
        }
    }
    println!("{} files read, {} unverified facts in the code", files.len(), unverified.len());
    for line in &unverified {
        println!("  {line}");
    }
    match problems.is_empty() {
        true => Ok(()),
        false => Err(problems),
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn check_file(name: &str, text: &str, problems: &mut Vec<String>) {
    let has_doc = text.lines().take(5).any(|line| line.starts_with("//!"));
    if !has_doc && !text.starts_with("#![no_main]") {
        problems.push(format!("{name}: no module text (`//!`) at the top"));
    }
    let code_lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
    let is_table =
        name.ends_with("table.rs") || name.contains("/tests/") || name.ends_with("tests.rs");
    if code_lines > LINES_MAX && !is_table {
        problems.push(format!("{name}: {code_lines} lines, at most {LINES_MAX}"));
    }
    for mark in STRAY {
        if text.contains(mark) {
            problems.push(format!("{name}: contains `{mark}`"));
        }
    }
    let is_test = name.contains("/tests/") || name.contains("/suite/");
    if !is_test && NEUTRAL.iter().any(|folder| name.starts_with(folder)) {
        check_neutral(name, text, problems);
    }
    check_codes(name, text, problems);
}

/// Vendor names may stand in comments (sources), not in code.
fn check_neutral(name: &str, text: &str, problems: &mut Vec<String>) {
    for (n, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default().to_ascii_lowercase();
        for vendor in ["tencent", "alibaba", "gizwits", "huawei"] {
            if code.contains(vendor) && !name.ends_with("code/table.rs") {
                problems.push(format!("{name}:{}: names `{vendor}`", n + 1));
            }
        }
    }
}

/// Words of others that look like our codes: names in the vendors' notifications.
const FOREIGN: [&str; 8] = [
    "device.attr_alert",
    "device.attr_fault",
    "device.bind",
    "device.offline",
    "device.online",
    "device.reset",
    "device.status",
    "device.unbind",
];

/// Every text literal that looks like a failure code must be in the table.
fn check_codes(name: &str, text: &str, problems: &mut Vec<String>) {
    let families: Vec<&str> =
        code::ALL.iter().filter_map(|row| row.code.split('.').next()).collect();
    for (n, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for literal in line.split('"').skip(1).step_by(2) {
            let Some((family, rest)) = literal.split_once('.') else { continue };
            let is_word = !rest.is_empty()
                && rest.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                && !["rs", "toml", "json", "md", "sql", "db", "log", "html", "key", "pem"]
                    .contains(&rest);
            let doctor = roadstead_doctor::catalogue::entry(literal).is_some()
                || roadstead_doctor::Stage::ALL.iter().any(|stage| stage.id() == literal);
            let is_foreign = FOREIGN.contains(&literal);
            let is_known = code::info(literal).is_some() || doctor || is_foreign;
            if is_word && families.contains(&family) && !is_known {
                let known = name.contains("/tests") || name.ends_with("tests.rs");
                if !known {
                    problems
                        .push(format!("{name}:{}: `{literal}` is not in the code table", n + 1));
                }
            }
        }
    }
}
