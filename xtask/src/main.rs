//! Development tasks.
//!
//! ```text
//! cargo xtask tidy              checks that no compiler makes
//! cargo xtask docs [--check]    writes docs/errors.md and docs/doctor/ from their tables
//! cargo xtask openapi [--check] writes openapi/roadstead.json from the handlers
//! cargo xtask no-std CRATE      checks that a pure crate and its dependencies need no std
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod docs;
mod doctor;
mod no_std;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Result of a task: what is wrong, a line each.
type Outcome = Result<(), Vec<String>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let root = root();
    let outcome = match args[..] {
        ["tidy"] => tidy::run(&root),
        ["docs"] => docs::run(&root, false),
        ["docs", "--check"] => docs::run(&root, true),
        ["openapi"] => openapi(&root, false),
        ["openapi", "--check"] => openapi(&root, true),
        ["no-std", package] => no_std::run(&root, package),
        _ => {
            eprintln!(
                "usage: cargo xtask tidy | docs [--check] | openapi [--check] | no-std CRATE"
            );
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            eprintln!("{} problem(s)", problems.len());
            ExitCode::FAILURE
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// The document is written by a test of the server, which fails when the committed one is stale.
fn openapi(root: &Path, check: bool) -> Outcome {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(root).args(["test", "--quiet", "-p", "roadstead-server", "openapi"]);
    if !check {
        command.env("UPDATE", "1");
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(vec!["openapi/roadstead.json is stale: run `cargo xtask openapi`".to_owned()]),
        Err(error) => Err(vec![format!("cargo does not start: {error}")]),
    }
}
