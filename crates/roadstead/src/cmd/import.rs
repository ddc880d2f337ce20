//! `roadstead import`: sends a fleet file in bounded batches and adds up the answers.
//!
//! Products go first, each alone (a thing model may be large); device rows follow in batches.
//! Importing the same file again changes nothing.

use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::{block_on, cell};
use crate::client::{Client, ServerArgs};
use crate::failure::{Failure, Result};
use crate::fleet::{self, Fleet, RowError};
use crate::output::{Out, Table, Tone};

/// Device rows per call.
const BATCH_ROWS_MAX: usize = 5000;
/// Bytes of device rows per call; below the server's default body limit of 2 MiB.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Errors that are kept and shown; the rest is only counted.
const ERRORS_MAX: usize = 10_000;
/// Errors or verdicts shown to a person.
const ROWS_SHOWN_MAX: usize = 20;

/// Imports products and devices with the ids and secrets they already have.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// Fleet file: .yaml or .json for both, .csv or .jsonl for device rows alone.
    fleet: PathBuf,
    /// Change nothing; say per row whether it would work unmodified, and why not.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// What became of the rows.
#[derive(Default)]
struct Tally {
    products: Counts,
    devices: Counts,
    errors: Vec<RowError>,
    errors_dropped: u64,
    /// The file as a whole was refused.
    unsent: bool,
    /// Lines with an error of the platform.
    lines: HashSet<u64>,
    /// Verdicts of the platform on device rows; only with `--check`.
    verdicts: Verdicts,
}

/// What `--check` says of the device rows.
#[derive(Default)]
struct Verdicts {
    yes: u64,
    depends: u64,
    no: u64,
    /// The rows themselves, as the platform answered.
    rows: Vec<Value>,
}

#[derive(Clone, Copy, Default, serde::Serialize)]
struct Counts {
    created: u64,
    unchanged: u64,
    updated: u64,
    failed: u64,
}

impl Import {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let tally = match fleet::open(&self.fleet)? {
            Ok(fleet) => block_on(send(fleet, &self.server, self.check))?,
            Err(error) => Tally { errors: vec![error], unsent: true, ..Tally::default() },
        };
        out.answer(&tally.to_json(self.check), |out| tally.human(out, &self.fleet, self.check))?;
        if tally.errors.is_empty() { Ok(()) } else { Err(Failure::Reported) }
    }
}

async fn send(fleet: Fleet, server: &ServerArgs, check: bool) -> Result<Tally> {
    let client = Client::connect(server).await?;
    send_to(&client, fleet, check).await
}

/// Imports a fleet that must be free of errors.
pub(super) async fn send_all(client: &Client, fleet: Fleet) -> Result<()> {
    let tally = send_to(client, fleet, false).await?;
    match tally.errors.into_iter().next() {
        None => Ok(()),
        Some(error) => {
            let message = format!("Line {} was refused: {}.", error.line, error.message);
            Err(Failure::new(&error.code, message))
        }
    }
}

async fn send_to(client: &Client, fleet: Fleet, check: bool) -> Result<Tally> {
    let mut call = Call { client, check, context: Vec::new(), tally: Tally::default() };
    let bar = progress(fleet.products.len(), fleet.devices.len());
    for product in &fleet.products {
        match product.to_json(&fleet.folder) {
            Ok(row) => call.product(row).await?,
            Err(error) => {
                call.tally.products.failed += 1;
                call.tally.refuse(error);
            }
        }
        bar.inc(1);
    }
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for row in fleet.devices {
        match row {
            Ok(row) => {
                let row = row.to_json();
                bytes += row.to_string().len() + 1;
                batch.push(row);
            }
            Err(error) => {
                call.tally.devices.failed += 1;
                call.tally.refuse(error);
            }
        }
        if batch.len() >= BATCH_ROWS_MAX || bytes >= BATCH_BYTES_MAX {
            bytes = 0;
            bar.inc(batch.len() as u64);
            call.devices(std::mem::take(&mut batch)).await?;
        }
    }
    if !batch.is_empty() {
        call.devices(batch).await?;
    }
    bar.finish_and_clear();
    call.tally.errors.sort_by_key(|error| error.line);
    Ok(call.tally)
}

/// Returns a bar on stderr, hidden unless a person watches.
fn progress(products: usize, devices: Option<usize>) -> ProgressBar {
    let hidden = !std::io::stderr().is_terminal();
    let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let length = devices.map(|devices| (products + devices) as u64);
    let bar = ProgressBar::with_draw_target(length, target);
    let form = match length {
        Some(_) => "{bar:40} {human_pos}/{human_len} rows, {per_sec}, {eta} left",
        None => "{spinner} {human_pos} rows, {per_sec}",
    };
    match ProgressStyle::with_template(form) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The import calls of one file.
struct Call<'a> {
    client: &'a Client,
    check: bool,
    /// The products, without their models. A check changes nothing, so that every batch of
    /// devices has to bring the products it belongs to.
    context: Vec<Value>,
    tally: Tally,
}

impl Call<'_> {
    async fn product(&mut self, row: Value) -> Result<()> {
        if self.check {
            let mut bare = row.clone();
            bare.as_object_mut().map(|row| row.remove("model"));
            self.context.push(bare);
        }
        let answer = self.send(&[row], &[]).await?;
        self.tally.products.add(&answer["products"]);
        self.tally.note(&answer);
        Ok(())
    }

    async fn devices(&mut self, rows: Vec<Value>) -> Result<()> {
        let answer = self.send(&self.context, &rows).await?;
        self.tally.devices.add(&answer["devices"]);
        self.tally.note(&answer);
        Ok(())
    }

    async fn send(&self, products: &[Value], devices: &[Value]) -> Result<Value> {
        let query: &[(&str, &str)] = if self.check { &[("check", "true")] } else { &[] };
        let body = json!({ "version": 1, "products": products, "devices": devices });
        self.client.post("/import", query, &body).await
    }
}

impl Counts {
    fn add(&mut self, answer: &Value) {
        let count = |name: &str| answer[name].as_u64().unwrap_or(0);
        self.created += count("created");
        self.unchanged += count("unchanged");
        self.updated += count("updated");
        self.failed += count("failed");
    }
}

impl Verdicts {
    fn add(&mut self, rows: Vec<Value>) {
        for row in &rows {
            match row["works"].as_str() {
                Some("yes") => self.yes += 1,
                Some("depends") => self.depends += 1,
                _ => self.no += 1,
            }
        }
        self.rows.extend(rows);
    }

    /// Counts them and shows the rows that need attention.
    fn human(&self, out: &Out, file: &Path) -> String {
        let mut text = format!(
            "Devices: {} will work unmodified, {} under a condition, {} will not.\n",
            self.yes, self.depends, self.no
        );
        let odd = || self.rows.iter().filter(|row| row["works"] != "yes");
        for row in odd().take(ROWS_SHOWN_MAX) {
            let works = if row["works"] == "no" { Tone::Bad } else { Tone::Warn };
            let place = format!("{}:{}", file.display(), cell(&row["line"]));
            let name = format!("{}/{}", cell(&row["product"]), cell(&row["device"]));
            let message = match row["code"].as_str() {
                None | Some("ok") => cell(&row["message"]),
                Some(code) => format!("{} ({code})", cell(&row["message"])),
            };
            let place = out.paint().tone(works, &place);
            text.push_str(&format!("{place}: {name}: {message}\n"));
        }
        let more = odd().count().saturating_sub(ROWS_SHOWN_MAX);
        if more > 0 {
            text.push_str(&format!("… and {more} more; `--json` shows them.\n"));
        }
        text
    }
}

impl Tally {
    /// Takes the errors and verdicts of one answer.
    fn note(&mut self, answer: &Value) {
        if let Some(Value::Array(rows)) = answer.get("checks") {
            self.verdicts.add(rows.clone());
        }
        for error in answer["errors"].as_array().into_iter().flatten() {
            let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
            let line = error["line"].as_u64().unwrap_or(0);
            let error = RowError { line, code: text("code"), message: text("message") };
            // A wrong product comes back with every batch that brings it along.
            if !self.lines.insert(error.line) {
                continue;
            }
            self.refuse(error);
        }
    }

    fn refuse(&mut self, error: RowError) {
        match self.errors.len() < ERRORS_MAX {
            true => self.errors.push(error),
            false => self.errors_dropped += 1,
        }
    }

    fn to_json(&self, check: bool) -> Value {
        let mut document = json!({
            "products": self.products, "devices": self.devices, "errors": self.errors,
        });
        if check {
            document["checks"] = json!(self.verdicts.rows);
        }
        if self.errors_dropped > 0 {
            document["errors_dropped"] = self.errors_dropped.into();
        }
        document
    }

    fn counts(&self, out: &Out) -> String {
        let mut table = Table::new(&["ROWS", "CREATED", "UNCHANGED", "UPDATED", "FAILED"]);
        for (noun, counts) in [("products", self.products), ("devices", self.devices)] {
            let Counts { created, unchanged, updated, failed } = counts;
            let counts = [created, unchanged, updated, failed].map(|n| n.to_string());
            table.row([noun.to_owned()].into_iter().chain(counts));
        }
        table.render(out.paint(), "")
    }

    fn human(&self, out: &Out, file: &Path, check: bool) -> String {
        let mut text = match (self.unsent, check) {
            (true, _) => String::new(),
            (false, true) => self.verdicts.human(out, file),
            (false, false) => self.counts(out),
        };
        // With `--check` a bad device row is among the verdicts already.
        let rows = self.verdicts.rows.iter().filter_map(|row| row["line"].as_u64());
        let judged: HashSet<u64> = rows.collect();
        let told = |error: &&RowError| judged.contains(&error.line);
        let errors: Vec<&RowError> = self.errors.iter().filter(|error| !told(error)).collect();
        for error in errors.iter().take(ROWS_SHOWN_MAX) {
            let place = format!("{}:{}", file.display(), error.line);
            text.push_str(&format!(
                "{}: {} ({})\n",
                out.paint().tone(Tone::Bad, &place),
                error.message,
                error.code
            ));
        }
        let more = errors.len().saturating_sub(ROWS_SHOWN_MAX) as u64 + self.errors_dropped;
        if more > 0 {
            text.push_str(&format!("… and {more} more; `--json` shows them.\n"));
        }
        let next = match (self.errors.is_empty(), check) {
            _ if self.unsent => "Nothing was sent. Correct the file and import it again.",
            (true, true) => "Import it without `--check`.",
            (true, false) => "Let the vendor's host names resolve to this server.",
            (false, _) => {
                "Correct these lines and import the file again; what is in stays unchanged."
            }
        };
        text.push_str(&format!("{next}\n"));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_add_up() {
        let mut counts = Counts::default();
        counts.add(&json!({"created": 2, "failed": 1}));
        counts.add(&json!({"created": 1, "unchanged": 4, "updated": 3}));
        assert_eq!(json!(counts), json!({"created": 3, "unchanged": 4, "updated": 3, "failed": 1}));
    }

    #[test]
    fn kept_errors_are_bounded() {
        let mut tally = Tally::default();
        let error = RowError { line: 1, code: "import.bad_row".into(), message: "x".into() };
        for _ in 0..ERRORS_MAX + 5 {
            tally.refuse(error.clone());
        }
        let document = tally.to_json(false);
        assert_eq!(document["errors"].as_array().map(Vec::len), Some(ERRORS_MAX));
        assert_eq!(document["errors_dropped"], 5);
    }
}
