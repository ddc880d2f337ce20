//! `roadstead errors`: what a stable code means. Works without a server: the table is built in.

use clap::Args;
use roadstead_core::code::{ALL, Info, info};
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
    json!({
        "code": row.code, "meaning": row.meaning, "cause": row.cause, "remedy": row.remedy,
    })
}

fn explain(out: &Out, row: &Info) -> String {
    let title = |text| out.paint().tone(Tone::Dim, text);
    format!(
        "{}\n{}  {}\n{}    {}\n{}   {}\n",
        out.paint().tone(Tone::Strong, row.code),
        title("meaning"),
        row.meaning,
        title("cause"),
        row.cause,
        title("remedy"),
        row.remedy,
    )
}
