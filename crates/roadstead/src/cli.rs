//! The command line: names, arguments, help. What a command does is in its own file.

use clap::{Parser, Subcommand};

use crate::cmd;
use crate::failure::Result;
use crate::output::Out;

/// The self-hosted cloud that devices already speak to.
#[derive(Parser, Debug)]
#[command(
    name = "roadstead",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Exit codes: 0 done, 1 failed with a reason, 2 wrong usage; `doctor` adds 3,\n\
                  incomplete or not recognised (and 1 is a fault in the log).\n\
                  Start with `roadstead demo`, then read docs/guide/getting-started.md."
)]
pub(crate) struct Cli {
    /// Answer with one JSON document, or with JSON lines where the answer is a stream.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Every sub-command. Those without a text here have theirs at their arguments.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Demo(cmd::demo::Demo),
    Up(cmd::up::Up),
    /// Prints and checks settings.
    #[command(subcommand)]
    Config(cmd::config::Config),
    Import(cmd::import::Import),
    /// Products and their thing models.
    #[command(subcommand)]
    Product(cmd::product::Product),
    /// Certificate authorities whose devices may log in.
    #[command(subcommand)]
    Cert(cmd::cert::Cert),
    /// Rules for the topics that devices may use.
    #[command(subcommand)]
    Policy(cmd::policy::Policy),
    /// How devices with a trusted certificate register themselves.
    #[command(subcommand)]
    Template(cmd::template::Template),
    /// Devices: registered ones on a server, or a virtual one on this machine.
    #[command(subcommand)]
    Device(cmd::device::Device),
    /// Groups of devices, listed or described by a rule.
    #[command(subcommand)]
    Group(cmd::group::Group),
    /// Marks on devices, and finding devices by their marks.
    #[command(subcommand)]
    Tag(cmd::tag::Tag),
    /// Tenants that never see each other.
    #[command(subcommand)]
    Space(cmd::space::Space),
    /// Accounts of operators and phone users.
    #[command(subcommand)]
    User(cmd::user::User),
    /// Programs that a vendor's cloud let in by id and secret.
    #[command(subcommand)]
    Application(cmd::application::Application),
    /// Ties between users and devices.
    #[command(subcommand)]
    Binding(cmd::binding::Binding),
    /// Commands to devices.
    #[command(subcommand)]
    Command(cmd::command::Command),
    /// Messages to devices: opaque content, kept while they are away.
    #[command(subcommand)]
    Message(cmd::message::Message),
    /// Reported and desired state.
    #[command(subcommand)]
    Shadow(cmd::shadow::Shadow),
    /// Onboarding attempts, stage by stage.
    #[command(subcommand)]
    Attempt(cmd::attempt::Attempt),
    Trace(cmd::trace::Trace),
    Runlog(cmd::runlog::Runlog),
    Why(cmd::why::Why),
    Doctor(cmd::doctor::Doctor),
    Errors(cmd::errors::Errors),
    /// Wi-Fi credentials through the air: write and read them.
    #[command(subcommand)]
    Airlink(cmd::airlink::Airlink),
    /// Experiments on simulated physics.
    #[command(subcommand)]
    Lab(cmd::lab::Lab),
    /// Plays the phone: sign in, provision, bind, control.
    #[command(subcommand)]
    App(cmd::app::App),
}

impl Command {
    /// Runs the command to its end.
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        match self {
            Self::Demo(command) => command.run(out),
            Self::Up(command) => command.run(out),
            Self::Config(command) => command.run(out),
            Self::Import(command) => command.run(out),
            Self::Product(command) => command.run(out),
            Self::Cert(command) => command.run(out),
            Self::Policy(command) => command.run(out),
            Self::Template(command) => command.run(out),
            Self::Device(command) => command.run(out),
            Self::Group(command) => command.run(out),
            Self::Tag(command) => command.run(out),
            Self::Space(command) => command.run(out),
            Self::User(command) => command.run(out),
            Self::Application(command) => command.run(out),
            Self::Binding(command) => command.run(out),
            Self::Command(command) => command.run(out),
            Self::Message(command) => command.run(out),
            Self::Shadow(command) => command.run(out),
            Self::Attempt(command) => command.run(out),
            Self::Trace(command) => command.run(out),
            Self::Runlog(command) => command.run(out),
            Self::Why(command) => command.run(out),
            Self::Doctor(command) => command.run(out),
            Self::Errors(command) => command.run(out),
            Self::Airlink(command) => command.run(out),
            Self::Lab(command) => command.run(out),
            Self::App(command) => command.run(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
