//! Every stable failure code, once: what it means, why it happens, what to do.
//!
//! API bodies, trace, metrics, attempts, the command line and the documentation page
//! `docs/errors.md` (written by `cargo xtask docs`) all read [`ALL`].

mod table;

use alloc::sync::Arc;

pub use table::ALL;

/// A stable dotted code, such as `bind.expired`. It never changes its meaning.
pub type Code = &'static str;

/// What a code means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// The code.
    pub code: Code,
    /// What happened, one sentence.
    pub meaning: &'static str,
    /// The usual cause.
    pub cause: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

/// Returns the entry of a code.
pub fn info(code: &str) -> Option<&'static Info> {
    ALL.binary_search_by(|info| info.code.cmp(code)).ok().map(|n| &ALL[n])
}

/// A failure of the store. The text is for the operator's log, never for a device or a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreFailure(pub Arc<str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_complete() {
        for pair in ALL.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} before {}", pair[0].code, pair[1].code);
        }
        for row in ALL {
            let full = |text: &str| text.ends_with('.') && !text.trim().is_empty();
            assert!(full(row.meaning) && full(row.cause) && full(row.remedy), "{}", row.code);
            assert!(row.code.split('.').count() == 2, "{}", row.code);
            assert_eq!(info(row.code), Some(row));
        }
        assert_eq!(info("no.such"), None);
    }
}
