//! `roadstead`: the platform, its operator's tools, a virtual device and a virtual phone in one
//! binary. One file per sub-command in `cmd`; this file only starts the right one.
//!
//! Exit codes: 0 done, 1 failed with a reason, 2 wrong usage. Answers go to stdout, logs to
//! stderr.

mod cli;
mod client;
mod cmd;
mod failure;
mod firmware;
mod fleet;
mod log;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    log::start();
    let out = output::Out::new(cli.json);
    match cli.command.run(&out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(cli.json),
    }
}
