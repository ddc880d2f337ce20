//! Causes that no file a user has can show: they are explained on their pages, and no rule names
//! them.
//!
//! All are about the console's graphical codec editor: it keeps the definition to itself and says
//! the same words, that deploying failed, for each (seed S4, chapter 12).

/// Code and why nothing shows it, sorted.
#[rustfmt::skip] // a table
static ROWS: &[(&str, &str)] = &[
    ("codec.default_not_hex", "the editor keeps the definition; all its failures read alike"),
    ("codec.deploy_network", "the console says only that deploying failed; that the download works is seen by trying"),
    ("codec.message_id_duplicate", "the editor keeps the definition; all its failures read alike"),
    ("codec.message_id_not_int", "the editor keeps the definition; all its failures read alike"),
    ("codec.offline_check", "the vendor's checker names the fault itself, in a table that comes with it"),
    ("codec.reserved_name", "the editor keeps the definition; all its failures read alike"),
];

/// Returns why no rule can name a code; none where one does.
pub fn explained_only(code: &str) -> Option<&'static str> {
    let at = ROWS.binary_search_by(|(known, _)| (*known).cmp(code)).ok()?;
    Some(ROWS[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::entry;

    #[test]
    fn rows_are_sorted_and_name_codes() {
        for pair in ROWS.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} before {}", pair[0].0, pair[1].0);
        }
        for (code, why) in ROWS {
            assert!(entry(code).is_some() && !why.is_empty(), "{code}");
            assert_eq!(explained_only(code), Some(*why));
        }
        assert_eq!(explained_only("codec.decode_failed"), None);
    }
}
