//! How a command fails: message, stable code, next step, exit code.
//!
//! The message says what was attempted and why it failed; the remedy names the next step. Codes
//! are those of [`roadstead_core::code`], so that `roadstead errors CODE` explains each of them.

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::{Value, json};

/// Result of a command.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Exit code of a command that failed with a reason.
const EXIT_FAILED: u8 = 1;
/// Exit code of wrong usage.
const EXIT_USAGE: u8 = 2;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It failed with a reason.
    Failed {
        /// Stable dotted code.
        code: String,
        /// What was attempted and why it failed.
        message: String,
        /// The next step.
        remedy: String,
    },
    /// The arguments do not fit together.
    Usage(String),
    /// The answer on stdout tells everything; only the exit code is left to give.
    Reported,
    /// The answer on stdout tells everything; the exit code is its verdict.
    Verdict(u8),
    /// The reader of stdout went away; nobody is left to tell.
    BrokenPipe,
}

impl Failure {
    /// Returns a failure with the remedy that the table of codes gives.
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        let remedy = roadstead_core::code::info(code).map_or("", |info| info.remedy);
        Self::with_remedy(code, message, remedy)
    }

    /// Returns a failure with its own remedy.
    pub(crate) fn with_remedy(
        code: &str,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Failed { code: code.to_owned(), message: message.into(), remedy: remedy.into() }
    }

    /// Returns the failure of reading or writing a local file.
    pub(crate) fn file(doing: &str, path: &std::path::Path, error: &io::Error) -> Self {
        Self::new("client.file", format!("{doing} `{}` failed: {error}.", path.display()))
    }

    /// Returns the stable code, empty where there is none.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Failed { code, .. } => code,
            Self::Usage(_) | Self::Reported | Self::Verdict(_) | Self::BrokenPipe => "",
        }
    }

    /// Returns what was attempted and why it failed.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Failed { message, .. } | Self::Usage(message) => message,
            Self::Reported | Self::Verdict(_) | Self::BrokenPipe => "",
        }
    }

    /// Tells the person on stderr, the program on stdout, and returns the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        match self {
            Self::Failed { code, message, remedy } => {
                if json {
                    let document = json!({ "error": self.to_json() });
                    let _ = writeln!(io::stdout(), "{document}");
                }
                let message = message.trim_end().replace('\n', "\n    ");
                let mut text = format!("error: {message}\n  code: {code}\n");
                if !remedy.is_empty() {
                    text.push_str(&format!("  next: {remedy}\n"));
                }
                let _ = io::stderr().write_all(text.as_bytes());
                ExitCode::from(EXIT_FAILED)
            }
            Self::Usage(message) => {
                let text = format!("error: {message}\n  next: See `roadstead help`.\n");
                let _ = io::stderr().write_all(text.as_bytes());
                ExitCode::from(EXIT_USAGE)
            }
            Self::Reported => ExitCode::from(EXIT_FAILED),
            Self::Verdict(code) => ExitCode::from(*code),
            Self::BrokenPipe => ExitCode::SUCCESS,
        }
    }

    /// Returns `{code, message, remedy}`.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Failed { code, message, remedy } => {
                json!({ "code": code, "message": message, "remedy": remedy })
            }
            Self::Usage(message) => json!({ "code": "client.usage", "message": message }),
            Self::Reported | Self::Verdict(_) | Self::BrokenPipe => Value::Null,
        }
    }
}

/// Returns the text of an error and of its causes; a cause that the text names already is left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(&format!(": {more}"));
        }
        cause = inner.source();
    }
    text
}

/// Writing to stdout or stderr failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::BrokenPipe;
        }
        Self::new("client.file", format!("Writing the answer failed: {error}."))
    }
}
