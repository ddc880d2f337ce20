//! The catalogue: every diagnosis once, with evidence, remedy in two languages, and its seed.
//!
//! Report, pages in `docs/doctor/` and the server read this table. Codes are never renamed and
//! never reused; new ones are added. Source: diagnosis model, section 5.

mod cloud;
mod device;
mod platform;
mod related;
mod session;
mod silent;

use crate::Stage;

pub use platform::{of_platform, platform_codes};
pub use related::alternatives;
pub use silent::explained_only;

/// Which view can decide a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The device's log.
    Log,
    /// The server's trace, or a text of the platform's console.
    Trace,
    /// What the phone saw.
    App,
    /// The log or the trace.
    LogOrTrace,
    /// The trace or the phone.
    TraceOrApp,
    /// Any of the three.
    Any,
}

/// What is known about one code.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The stable dotted code.
    pub code: &'static str,
    /// The stage that fails; none where the code is not about a device's way.
    pub stage: Option<Stage>,
    /// Which view can decide it.
    pub source: Source,
    /// True when the symptom has several causes that look alike.
    pub symptom: bool,
    /// True when it explains something that is no fault.
    pub info: bool,
    /// What shows it.
    pub evidence: &'static str,
    /// What it is confused with, empty where nothing is.
    pub remark: &'static str,
    /// The remedy in English.
    pub en: &'static str,
    /// The remedy in Chinese.
    pub zh: &'static str,
    /// The founding document that names the cause, empty where none does.
    pub seed: &'static str,
}

/// Returns every entry, group by group.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    device::ROWS.iter().chain(session::ROWS).chain(cloud::ROWS)
}

/// Returns the entry of a code.
pub fn entry(code: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.code == code)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_dotted_and_have_remedies() {
        let mut seen = BTreeSet::new();
        for row in all() {
            assert!(seen.insert(row.code), "{} twice", row.code);
            assert_eq!(row.code.split('.').count(), 2, "{}", row.code);
            assert!(row.en.ends_with(['.', ')', '?']) && !row.zh.is_empty(), "{}", row.code);
        }
        assert!(seen.len() >= 250);
    }

    #[test]
    fn alternatives_are_codes() {
        for row in all() {
            for other in alternatives(row.code) {
                assert!(entry(other).is_some() && *other != row.code, "{} → {other}", row.code);
            }
        }
    }
}
