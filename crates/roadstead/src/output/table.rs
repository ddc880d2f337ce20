//! Aligned columns for people. Not for programs: those read `--json`.

use super::paint::{Paint, Tone, columns};

/// Space between two columns.
const GAP: usize = 2;
/// Longest cell; the rest is cut with an ellipsis.
const CELL_COLUMNS_MAX: usize = 60;

/// Rows under a head.
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns a table without rows.
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with one cell per column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| shorten(&cell)).collect());
    }

    /// Returns the text, or `empty` when there is no row.
    pub(crate) fn render(&self, paint: Paint, empty: &str) -> String {
        if self.rows.is_empty() {
            return format!("{empty}\n");
        }
        let width = |n: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(n)).map(|cell| columns(cell));
            cells.chain([self.head[n].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let head: Vec<String> = self.head.iter().map(|text| paint.tone(Tone::Dim, text)).collect();
        std::iter::once(&head).chain(&self.rows).map(|row| line(row, &widths)).collect()
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in row.iter().zip(widths) {
        text.push_str(cell);
        text.push_str(&" ".repeat(width.saturating_sub(columns(cell)) + GAP));
    }
    format!("{}\n", text.trim_end())
}

/// Cuts a long cell. Painted cells are short by construction and left alone.
fn shorten(cell: &str) -> String {
    let cell = cell.replace(['\n', '\r', '\t'], " ");
    if columns(&cell) <= CELL_COLUMNS_MAX || cell.contains('\x1b') {
        return cell;
    }
    let mut kept = String::new();
    for c in cell.chars() {
        if columns(&kept) + 2 > CELL_COLUMNS_MAX {
            break;
        }
        kept.push(c);
    }
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_with_wide_characters() {
        let mut table = Table::new(&["DEVICE", "NAME"]);
        table.row(["lamp".into(), "台灯".into()]);
        table.row(["a-long-name".into(), "x".into()]);
        let text = table.render(Paint::new(false), "none");
        assert_eq!(text, "DEVICE       NAME\nlamp         台灯\na-long-name  x\n");
        assert_eq!(Table::new(&["A"]).render(Paint::new(false), "No rows."), "No rows.\n");
    }

    #[test]
    fn long_and_broken_cells_stay_on_their_line() {
        let cell = shorten(&"x\n".repeat(100));
        assert!(columns(&cell) <= CELL_COLUMNS_MAX && !cell.contains('\n'), "{cell}");
    }
}
