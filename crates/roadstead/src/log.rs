//! Logs: to stderr, filtered by `ROADSTEAD_LOG` (default: warnings).

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Environment variable of the filter, such as `info` or `roadstead_server=debug`.
const FILTER: &str = "ROADSTEAD_LOG";

/// Starts logging for this process.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
