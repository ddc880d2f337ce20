//! `docs/errors.md`: one entry per stable code, from the table in `roadstead_core::code`.

use std::fmt::Write as _;
use std::path::Path;

use roadstead_core::code::ALL;

use crate::Outcome;

/// Writes the page, or checks that it is current.
pub(crate) fn run(root: &Path, check: bool) -> Outcome {
    let path = root.join("docs/errors.md");
    let page = page();
    if check {
        return match std::fs::read_to_string(&path) {
            Ok(text) if text == page => Ok(()),
            Ok(_) | Err(_) => Err(vec!["docs/errors.md is stale: run `cargo xtask docs`".into()]),
        };
    }
    std::fs::write(&path, page).map_err(|error| vec![format!("{}: {error}", path.display())])
}

fn page() -> String {
    let mut page = String::from(
        "# Failure codes\n\n\
         Every failure has one stable code. The northbound API shows it as `code`, the phone API \
         as `code`, the trace, `roadstead why` and the metrics under the same name. \
         `roadstead errors CODE` prints an entry.\n\n\
         This page is written by `cargo xtask docs` from `crates/roadstead-core/src/code/table.rs`.\n",
    );
    let mut family = "";
    for row in ALL {
        let head = row.code.split('.').next().unwrap_or_default();
        if head != family {
            family = head;
            let _ = write!(page, "\n## {family}\n");
        }
        let _ = write!(
            page,
            "\n### `{}`\n\n{}\n\n- Cause: {}\n- Remedy: {}\n",
            row.code, row.meaning, row.cause, row.remedy
        );
    }
    page
}
