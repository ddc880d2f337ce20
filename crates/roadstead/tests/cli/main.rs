//! Golden sessions of the command line: every `golden/*.txt` is a list of commands with their
//! exact output and exit code. `UPDATE=1 cargo test -p roadstead --test cli` rewrites them.

mod journey;
mod module;
mod normal;
mod server;
mod session;
mod via;

use std::path::PathBuf;

/// Runs one golden file in a folder of its own.
fn golden(name: &str) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    session::run(&root.join(format!("{name}.txt")), &root.join("files"));
}

#[test]
fn help() {
    golden("help");
}

#[test]
fn usage_errors() {
    golden("usage");
}

#[test]
fn credentials_are_heard_in_captures() {
    golden("airlink");
}

#[test]
fn codes_are_explained() {
    golden("errors");
}

#[test]
fn settings_are_checked() {
    golden("config");
}

#[test]
fn fleet_files_are_refused_with_lines() {
    golden("fleet");
}

#[test]
fn a_server_that_does_not_answer() {
    golden("unreachable");
}

#[test]
fn nouns_against_a_running_server() {
    golden("nouns");
}

#[test]
fn products_as_files() {
    golden("product_files");
}

#[test]
fn messages_commands_and_their_history() {
    golden("downlink");
}

#[test]
fn groups_tags_and_gateways_against_a_running_server() {
    golden("fleet_nouns");
}

#[test]
fn policies_templates_and_certificates_against_a_running_server() {
    golden("trust");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    use std::process::{Command, Stdio};

    // The reading end is closed before the program starts, so its first write fails.
    let (reader, writer) = std::io::pipe().expect("pipe");
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_roadstead"))
        .arg("errors")
        .stdout(Stdio::from(writer))
        .output()
        .expect("roadstead");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn every_golden_file_is_run() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests");
    let source = std::fs::read_to_string(root.join("cli/main.rs")).expect("source");
    for entry in std::fs::read_dir(root.join("golden")).expect("golden") {
        let path = entry.expect("entry").path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let name = path.file_stem().expect("name").to_string_lossy().into_owned();
            assert!(source.contains(&format!("golden(\"{name}\")")), "{name} is never run");
        }
    }
}
