//! What a command prints: one JSON document, JSON lines, or text for people.
//!
//! Answers go to stdout, everything else to stderr. Colours only on a terminal and never with
//! `NO_COLOR` (no-color.org).

mod paint;
mod table;
mod when;

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::Value;

pub(crate) use paint::{Paint, Tone};
pub(crate) use table::Table;
pub(crate) use when::{Clock, parse_time, span};

use crate::failure::Result;

/// Where and how a command answers.
pub(crate) struct Out {
    json: bool,
    paint: Paint,
    clock: Clock,
}

impl Out {
    /// Returns the output of this process.
    pub(crate) fn new(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
        Self { json, paint: Paint::new(colour), clock: Clock::now() }
    }

    /// Returns true when programs read the answer.
    pub(crate) fn json(&self) -> bool {
        self.json
    }

    /// Returns the painter of this output.
    pub(crate) fn paint(&self) -> Paint {
        self.paint
    }

    /// Returns the clock that relative times count from.
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    /// Prints the document with `--json`, otherwise the text that `human` makes of it.
    pub(crate) fn answer(
        &self,
        document: &Value,
        human: impl FnOnce(&Self) -> String,
    ) -> Result<()> {
        if self.json {
            return self.write(&format!("{document:#}\n"));
        }
        let text = human(self);
        let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        self.write(&format!("{text}{end}"))
    }

    /// Prints one JSON line of a stream; nothing without `--json`.
    pub(crate) fn event(&self, line: &Value) -> Result<()> {
        if self.json { self.write(&format!("{line}\n")) } else { Ok(()) }
    }

    /// Prints text for people; nothing with `--json`.
    pub(crate) fn text(&self, text: &str) -> Result<()> {
        if self.json { Ok(()) } else { self.write(text) }
    }

    fn write(&self, text: &str) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }
}
