//! Checks that a pure crate, its dependencies included, is built without `std`.
//!
//! Two ways: no dependency may have its `std` feature switched on when the crate is built alone;
//! and where a bare-metal target is installed, the crate is compiled for it.

use std::path::Path;
use std::process::Command;

use crate::Outcome;

/// A target without an operating system, used when the tool-chain has it.
const TARGET: &str = "thumbv7em-none-eabi";

/// Runs the check for one package.
pub(crate) fn run(root: &Path, package: &str) -> Outcome {
    let tree = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["tree", "--locked", "-e", "normal,features", "--prefix", "none", "-p", package])
        .output()
        .map_err(|error| vec![format!("cargo tree does not start: {error}")])?;
    if !tree.status.success() {
        return Err(vec![String::from_utf8_lossy(&tree.stderr).into_owned()]);
    }
    let text = String::from_utf8_lossy(&tree.stdout);
    let mut with_std: Vec<String> = text
        .lines()
        .filter(|line| line.contains("feature \"std\""))
        .map(|line| format!("{package} pulls in {line}"))
        .collect();
    with_std.sort();
    with_std.dedup();
    if !with_std.is_empty() {
        return Err(with_std);
    }
    println!("{package}: no dependency is built with std");
    if !has_target() {
        println!("{package}: {TARGET} is not installed, not compiled for bare metal");
        return Ok(());
    }
    let status = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["check", "--locked", "--target", TARGET, "-p", package])
        .status()
        .map_err(|error| vec![format!("cargo check does not start: {error}")])?;
    match status.success() {
        true => Ok(()),
        false => Err(vec![format!("{package} does not compile for {TARGET}")]),
    }
}

fn has_target() -> bool {
    let output =
        Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| {
        let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success() && Path::new(&path).is_dir()
    })
}
