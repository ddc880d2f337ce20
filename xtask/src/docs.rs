//! `docs/errors.md`: one entry per stable code, from the table in `roadstead_core::code`; and the
//! pages of the doctor.

use std::fmt::Write as _;
use std::path::Path;

use roadstead_core::code::ALL;

use crate::Outcome;

/// Writes the page, or checks that it is current.
pub(crate) fn run(root: &Path, check: bool) -> Outcome {
    let mut pages = crate::doctor::pages(root)?;
    pages.push(("docs/errors.md".to_owned(), page()));
    let problems: Vec<String> = pages.iter().filter_map(|page| put(root, page, check)).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Writes or checks one page and returns what is wrong.
fn put(root: &Path, (name, page): &(String, String), check: bool) -> Option<String> {
    let path = root.join(name);
    if check {
        let same = std::fs::read_to_string(&path).is_ok_and(|text| text == *page);
        return (!same).then(|| format!("{name} is stale: run `cargo xtask docs`"));
    }
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.and_then(|()| std::fs::write(&path, page)).err().map(|error| format!("{name}: {error}"))
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
