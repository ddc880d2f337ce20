//! `roadstead errors`: what a stable code means. Works without a server: the tables are built in.
//!
//! Codes of the platform come first; a code of the doctor's catalogue is explained as well, and the
//! platform's name the diagnosis that a device's log gives.

use clap::Args;
use roadstead_core::code::{ALL, Info, info};
use roadstead_doctor::catalogue::{self, Entry, of_platform};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::output::{Out, Table, Tone};

/// Explains the stable codes of failures.
#[derive(Args, Debug)]
pub(crate) struct Errors {
    /// A code such as `bind.expired`, or the head of one such as `bind`; all when missing.
    code: Option<String>,
}

impl Errors {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let Some(code) = self.code else {
            return list(out, &ALL.iter().collect::<Vec<_>>());
        };
        if let Some(row) = info(&code) {
            return out.answer(&document(row), |out| explain(out, row));
        }
        if let Some(entry) = catalogue::entry(&code) {
            return out.answer(&diagnosis(entry), |out| explain_diagnosis(out, entry));
        }
        let head = format!("{}.", code.trim_end_matches('.'));
        let family: Vec<&Info> = ALL.iter().filter(|row| row.code.starts_with(&head)).collect();
        if family.is_empty() {
            return Err(Failure::with_remedy(
                "api.not_found",
                format!("There is no code `{code}`."),
                "List all codes with `roadstead errors`.",
            ));
        }
        list(out, &family)
    }
}

fn list(out: &Out, rows: &[&Info]) -> Result<()> {
    let documents = rows.iter().map(|row| document(row)).collect::<Vec<_>>();
    out.answer(&json!({ "errors": documents }), |out| {
        let mut table = Table::new(&["CODE", "MEANING"]);
        for row in rows {
            table.row([row.code.to_owned(), row.meaning.to_owned()]);
        }
        table.render(out.paint(), "There are no codes.")
    })
}

fn document(row: &Info) -> Value {
    let mut document = json!({
        "code": row.code, "meaning": row.meaning, "cause": row.cause, "remedy": row.remedy,
    });
    if let Some(entry) = of_platform(row.code) {
        document["diagnosis"] = diagnosis(entry);
    }
    document
}

/// The same fields as the platform's API gives.
fn diagnosis(entry: &Entry) -> Value {
    json!({
        "code": entry.code, "evidence": entry.evidence,
        "remedy": entry.en, "remedy_zh": entry.zh,
    })
}

fn explain_diagnosis(out: &Out, entry: &Entry) -> String {
    let title = |text| out.paint().tone(Tone::Dim, text);
    format!(
        "{}\n{}  {}\n{}    {}\n{}    {}\n",
        out.paint().tone(Tone::Strong, entry.code),
        title("evidence"),
        entry.evidence,
        title("remedy"),
        entry.en,
        title("处理"),
        entry.zh,
    )
}

fn explain(out: &Out, row: &Info) -> String {
    let title = |text| out.paint().tone(Tone::Dim, text);
    let known = of_platform(row.code).map_or_else(String::new, |entry| {
        format!("{} {}: {}\n", title("in a log"), entry.code, entry.en)
    });
    format!(
        "{}\n{}  {}\n{}    {}\n{}   {}\n{known}",
        out.paint().tone(Tone::Strong, row.code),
        title("meaning"),
        row.meaning,
        title("cause"),
        row.cause,
        title("remedy"),
        row.remedy,
    )
}
