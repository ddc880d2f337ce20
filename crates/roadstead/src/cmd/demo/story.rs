//! What happens in a demonstration, as it is told: the live timeline for people, JSON lines for
//! programs, and which steps are done.

use std::time::Duration;

use roadstead_core::Timestamp;
use roadstead_core::attempt::Witness;
use serde_json::json;
use tokio::sync::mpsc;

use crate::failure::{Failure, Result};
use crate::output::{Clock, Out, Tone, span};

/// How long a happening waits for others that were earlier but took longer to get here.
const HOLD: Duration = Duration::from_millis(250);

/// The steps of the journey. A dialect is through when all are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The device has what it needs from the phone, or from its vendor's provisioning service.
    Provision,
    /// The platform knows the device, and the device has its own secret.
    Register,
    /// The device belongs to its user.
    Bind,
    /// The platform has the device's first report.
    Report,
    /// The device did what it was told and said so.
    Command,
}

impl Step {
    /// Every step in order.
    pub(super) const ALL: [Self; 5] =
        [Self::Provision, Self::Register, Self::Bind, Self::Report, Self::Command];

    /// Returns the name in text and JSON.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Register => "register",
            Self::Bind => "bind",
            Self::Report => "report",
            Self::Command => "command",
        }
    }
}

/// One happening.
pub(super) struct Happening {
    /// Which dialect's journey.
    pub(super) dialect: &'static str,
    /// When, by the clock of this machine.
    pub(super) at: Timestamp,
    /// What.
    pub(super) what: What,
}

/// What happened.
pub(super) enum What {
    /// Somebody saw something.
    Seen {
        /// Who.
        by: Witness,
        /// A stage of the attempt, or what else is worth telling.
        stage: String,
        /// Evidence for people.
        detail: String,
    },
    /// A step is done.
    Done(Step),
}

/// Where one dialect's actors tell what happens.
#[derive(Clone)]
pub(super) struct Teller {
    dialect: &'static str,
    to: mpsc::UnboundedSender<Happening>,
}

impl Teller {
    /// Returns a teller and the end where everything arrives.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Happening>) {
        let (to, from) = mpsc::unbounded_channel();
        (Self { dialect: "", to }, from)
    }

    /// Returns a teller for one dialect.
    pub(super) fn of(&self, dialect: &'static str) -> Self {
        Self { dialect, to: self.to.clone() }
    }

    /// Tells that somebody saw something.
    pub(super) fn seen(&self, at: Timestamp, by: Witness, stage: &str, detail: &str) {
        self.tell(at, What::Seen { by, stage: stage.to_owned(), detail: detail.to_owned() });
    }

    /// Tells that a step is done.
    pub(super) fn done(&self, step: Step) {
        self.tell(Clock::now().0, What::Done(step));
    }

    fn tell(&self, at: Timestamp, what: What) {
        // After the end nobody listens, and nobody needs to.
        let _ = self.to.send(Happening { dialect: self.dialect, at, what });
    }
}

/// Tells happenings in order of time.
pub(super) struct Story<'a> {
    out: &'a Out,
    start: Timestamp,
    many: bool,
    held: Vec<Happening>,
    done: Vec<(&'static str, Step, Duration)>,
}

impl<'a> Story<'a> {
    /// Returns a story that begins now; with `many` dialects every line names its own.
    pub(super) fn new(out: &'a Out, many: bool) -> Self {
        Self { out, start: Clock::now().0, many, held: Vec::new(), done: Vec::new() }
    }

    /// Takes a happening; [`Story::release`] tells it.
    pub(super) fn hold(&mut self, happening: Happening) {
        let after = self.held.partition_point(|held| held.at <= happening.at);
        self.held.insert(after, happening);
    }

    /// Tells what has waited long enough, or everything.
    pub(super) fn release(&mut self, everything: bool) -> Result<()> {
        let due = Clock::now().0 - if everything { Duration::ZERO } else { HOLD };
        let count = self.held.partition_point(|held| everything || held.at <= due);
        for happening in self.held.drain(..count).collect::<Vec<_>>() {
            let at = happening.at.since(self.start);
            match &happening.what {
                What::Seen { by, stage, detail } => {
                    self.seen(happening.dialect, at, *by, stage, detail)?;
                }
                What::Done(step) => self.step(happening.dialect, at, *step)?,
            }
        }
        Ok(())
    }

    fn seen(
        &self,
        dialect: &str,
        at: Duration,
        by: Witness,
        stage: &str,
        detail: &str,
    ) -> Result<()> {
        self.out.event(&json!({
            "event": "seen", "dialect": dialect, "at_ms": millis(at), "by": by,
            "what": stage, "detail": detail,
        }))?;
        let paint = self.out.paint();
        let (who, tone) = match by {
            Witness::Phone => ("phone ", Tone::Name),
            Witness::Device => ("device", Tone::Warn),
            Witness::Cloud => ("cloud ", Tone::Strong),
        };
        let dialect = if self.many { format!("{dialect:8}  ") } else { String::new() };
        let stage = format!("{:22}", stage.replace('_', " "));
        let detail = paint.tone(Tone::Dim, detail);
        let who = paint.tone(tone, who);
        let line = format!("{}  {dialect}{who}  {stage}{detail}", clock(at));
        self.out.text(&format!("{}\n", line.trim_end()))
    }

    fn step(&mut self, dialect: &'static str, at: Duration, step: Step) -> Result<()> {
        self.done.push((dialect, step, at));
        self.out.event(&json!({
            "event": "step", "dialect": dialect, "stage": step.name(), "ok": true,
            "at_ms": millis(at),
        }))?;
        let label = format!("✓ {dialect}: {}", step.name());
        let label = self.out.paint().tone(Tone::Good, &label);
        self.out.text(&format!("{}  {label}\n", clock(at)))
    }

    /// Tells why a dialect did not get through.
    pub(super) fn failed(&self, dialect: &str, failure: &Failure) -> Result<()> {
        let at = Clock::now().0.since(self.start);
        let stage = self.missing(dialect).map_or("end", Step::name);
        self.out.event(&json!({
            "event": "step", "dialect": dialect, "stage": stage, "ok": false,
            "at_ms": millis(at), "error": failure.to_json(),
        }))?;
        let label = format!("✗ {dialect}: {stage}");
        let label = self.out.paint().tone(Tone::Bad, &label);
        let (message, code) = (failure.message(), failure.code());
        self.out.text(&format!("{}  {label}  {message} ({code})\n", clock(at)))
    }

    /// Returns the first step that is not done.
    pub(super) fn missing(&self, dialect: &str) -> Option<Step> {
        let done = |step: &Step| self.done.iter().any(|(d, s, _)| *d == dialect && s == step);
        Step::ALL.into_iter().find(|step| !done(step))
    }

    /// Returns one line per dialect: each step with its time since the step before.
    pub(super) fn summary(&self, dialect: &str) -> String {
        let mut before = Duration::ZERO;
        let mut parts = Vec::new();
        for step in Step::ALL {
            let found = self.done.iter().find(|(d, s, _)| *d == dialect && *s == step);
            let Some((_, _, at)) = found else {
                parts.push(self.out.paint().tone(Tone::Bad, &format!("✗ {}", step.name())));
                continue;
            };
            let took = span(at.saturating_sub(before));
            before = before.max(*at);
            let mark = self.out.paint().tone(Tone::Good, "✓");
            parts.push(format!(
                "{mark} {} {}",
                step.name(),
                self.out.paint().tone(Tone::Dim, &took)
            ));
        }
        format!("{dialect:8}  {}", parts.join("   "))
    }
}

/// Returns seconds since the start, aligned.
fn clock(at: Duration) -> String {
    format!("{:7.3} s", at.as_secs_f64())
}

fn millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_is_through_when_every_step_is_done() {
        let out = Out::new(true);
        let mut story = Story::new(&out, false);
        assert_eq!(story.missing("x"), Some(Step::Provision));
        for step in Step::ALL {
            story.done.push(("x", step, Duration::from_millis(10)));
        }
        assert_eq!(story.missing("x"), None);
        assert_eq!(story.missing("y"), Some(Step::Provision));
        assert!(story.summary("x").contains("✓ command") && story.summary("y").contains("✗ bind"));
    }
}
