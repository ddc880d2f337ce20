//! Bounded load on a running platform of one's own, for the figures in `docs/ops/capacity.md`.
//!
//! ```text
//! load login   --address HOST:PORT [--psk] …     log-ins per second and server CPU for each
//! load command --http URL --address HOST:PORT …  synchronous commands on a schedule
//! load idle    --address HOST:PORT [--psk] …     memory per connection; a storm of log-ins
//! load tokens  --address HOST:PORT …             bind tokens of a fleet, until each is answered
//! load module  --count N                         controls in the LAN of a module, no platform
//! load fleet   --count N [--tokens]              a fleet file for `roadstead import`
//! ```
//!
//! Every run is bounded in count and time and prints one JSON object. With `--pid` the server's
//! CPU time is read from `/proc` (Linux).
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]
#![expect(clippy::wildcard_enum_match_arm, reason = "any other packet is a failure of the run")]

mod command;
mod cpu;
mod device;
mod idle;
mod login;
mod module;
mod tokens;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Bounded load on a running platform.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Log-ins per second and server CPU for each
    Login(login::Options),
    /// Synchronous commands on a schedule
    Command(command::Options),
    /// Memory per idle connection, and time to CONNACK of a crowd
    Idle(idle::Options),
    /// Bind tokens of a fleet that comes out of provisioning at the same time
    Tokens(tokens::Options),
    /// Controls in the LAN: phone, module, virtual MCU and back; needs no platform
    Module(module::Options),
    /// Writes a fleet file of N devices to standard output
    Fleet {
        /// Devices
        #[arg(long, default_value_t = 1000)]
        count: usize,
        /// Those of `load tokens`
        #[arg(long)]
        tokens: bool,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = match cli.task {
        Task::Login(options) => runtime.block_on(login::run(options)),
        Task::Command(options) => runtime.block_on(command::run(options)),
        Task::Idle(options) => runtime.block_on(idle::run(options)),
        Task::Tokens(options) => runtime.block_on(tokens::run(options)),
        Task::Module(options) => runtime.block_on(module::run(options)),
        Task::Fleet { count, tokens: true } => Ok(tokens::fleet(count)),
        Task::Fleet { count, tokens: false } => Ok(device::fleet(count)),
    };
    match result {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
