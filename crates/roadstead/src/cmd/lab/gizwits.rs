//! `roadstead lab gizwits`: how often a phone configures a module over a lossy air.

use clap::Args;
use roadstead_dialects::gizwits::lab::{Run, run};
use roadstead_dialects::gizwits::module::Policy;
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::output::Out;

/// Configures modules over SoftAP in virtual time and counts.
#[derive(Args, Debug)]
pub(crate) struct Gizwits {
    /// Share of datagrams that are lost and of joins that fail, 0 to 1.
    #[arg(long, default_value_t = 0.10)]
    loss: f64,
    /// How many runs.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: u32,
    /// First seed; the same seed repeats a run.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Least share of successes, per cent; below it the command fails.
    #[arg(long, default_value_t = 99.0)]
    at_least: f64,
    /// Timings of the firmware in the field instead of the document's.
    #[arg(long)]
    firmware: bool,
}

impl Gizwits {
    pub(super) fn run(self, out: &Out) -> Result<()> {
        if !(0.0..=1.0).contains(&self.loss) {
            return Err(Failure::Usage("`--loss` is a share from 0 to 1".to_owned()));
        }
        let policy = if self.firmware { Policy::firmware() } else { Policy::document() };
        let runs: Vec<Run> =
            (0..u64::from(self.runs)).map(|n| run(&policy, self.loss, self.seed + n)).collect();
        let mut times: Vec<u64> =
            runs.iter().filter(|run| run.failure.is_none()).map(|run| run.ms).collect();
        times.sort_unstable();
        let good = times.len();
        let share = good as f64 * 100.0 / f64::from(self.runs);
        let at = |part: usize| times.get(good.saturating_sub(1) * part / 100).copied();
        let lost: u64 = runs.iter().map(|run| u64::from(run.lost)).sum();
        let first = runs.iter().find_map(|run| run.failure);
        let document = json!({
            "runs": self.runs, "loss": self.loss, "succeeded": good, "success_percent": share,
            "time_ms": { "median": at(50), "p95": at(95), "p99": at(99), "worst": at(100) },
            "datagrams_lost": lost, "failure": first,
        });
        out.answer(&document, |_| {
            let ms = |part| at(part).unwrap_or_default();
            format!(
                "{good} of {} configured ({share:.2} %) with {:.0} % loss; {lost} datagrams lost.\n\
                 Time until the phone knew: median {} ms, 95 % {} ms, 99 % {} ms, worst {} ms.\n",
                self.runs,
                self.loss * 100.0,
                ms(50),
                ms(95),
                ms(99),
                ms(100)
            )
        })?;
        if share < self.at_least {
            let code = first.unwrap_or("attempt.never_connected");
            let text =
                format!("Only {share:.2} % succeeded, {:.2} % were asked for.", self.at_least);
            return Err(Failure::new(code, text));
        }
        Ok(())
    }
}
