//! One golden file: its form, running it, comparing or rewriting it.
//!
//! ```text
//! # a remark; `# server` starts a platform for this session
//! $ roadstead errors bind.expired
//! what stdout gets
//! | what stderr gets
//! = 0
//! ```
//!
//! `[ID]` in a command is the first id that the command before it printed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::normal::normalise;
use crate::server::Server;

/// Runs every command of `file` in a fresh folder with a copy of `fixtures`.
pub(crate) fn run(file: &Path, fixtures: &Path) {
    let expected = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{file:?}: {e}"));
    let folder = Folder::new(&file.file_stem().expect("name").to_string_lossy());
    for entry in std::fs::read_dir(fixtures).expect("fixtures") {
        let entry = entry.expect("entry");
        std::fs::copy(entry.path(), folder.0.join(entry.file_name())).expect("copy");
    }
    let lines = || expected.lines().filter(|line| line.starts_with(['#', '$']));
    let server = lines().any(|line| line == "# server").then(|| Server::start(&folder.0));
    let (mut actual, mut id) = (String::new(), String::new());
    for line in lines() {
        actual.push_str(line);
        actual.push('\n');
        if let Some(command) = line.strip_prefix("$ roadstead") {
            actual.push_str(&perform(&command.replace("[ID]", &id), &folder.0, &mut id));
            actual.push('\n');
        }
    }
    drop(server);
    let actual = format!("{}\n", actual.trim_end());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, actual).expect("rewriting");
        return;
    }
    let first = actual.lines().zip(expected.lines()).position(|(a, b)| a != b);
    let line = first.map_or("the end".to_owned(), |n| format!("line {}", n + 1));
    assert!(
        actual == expected,
        "{} differs at {line}; `UPDATE=1` rewrites it. Now it is:\n{actual}",
        file.display()
    );
}

/// Runs one command and returns its output in the form of the file.
fn perform(command: &str, folder: &Path, id: &mut String) -> String {
    let output = roadstead(folder).args(words(command)).output().expect("roadstead");
    let text = String::from_utf8_lossy(&output.stdout);
    let is_id = |word: &&str| word.len() >= 24 && word.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(found) = text.split(|c: char| !c.is_ascii_alphanumeric()).find(is_id) {
        *id = found.to_owned();
    }
    let stdout = normalise(&String::from_utf8_lossy(&output.stdout), folder);
    let stderr = normalise(&String::from_utf8_lossy(&output.stderr), folder);
    let stderr: String =
        stderr.lines().map(|line| format!("{}\n", format!("| {line}").trim_end())).collect();
    assert!(!stderr.contains("panicked at"), "`roadstead{command}` panicked:\n{stderr}");
    let code = output.status.code().map_or("killed".to_owned(), |code| code.to_string());
    format!("{stdout}{stderr}= {code}\n")
}

/// Returns the program with an environment that holds nothing of the developer's.
pub(crate) fn roadstead(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roadstead"));
    let ours = std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("ROADSTEAD")));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.current_dir(folder).env("ROADSTEAD_DATA_DIR", "data").env("NO_COLOR", "1");
    command.env("ROADSTEAD_PASSWORD", "correct horse").stdin(std::process::Stdio::null());
    command
}

/// Splits a command line at blanks; single quotes keep a word together.
fn words(command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut word, mut quoted, mut started) = (String::new(), false, false);
    for c in command.chars() {
        match c {
            '\'' => (quoted, started) = (!quoted, true),
            ' ' if !quoted => {
                if started {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            c => {
                word.push(c);
                started = true;
            }
        }
    }
    if started {
        words.push(word);
    }
    words
}

/// A folder of one session, removed at its end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Makes an empty folder.
    pub(crate) fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("folder");
        Self(path)
    }

    /// Returns where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
