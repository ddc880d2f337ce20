//! Numbered migrations: each step is applied once, in order, in a transaction of its own, and
//! remembered with its checksum in `schema_version`. Steps are never edited after a release.

use openssl::sha::sha256;
use rusqlite::{Connection, TransactionBehavior, params};

use super::OpenError;

/// One step.
#[derive(Clone, Copy)]
pub(super) struct Step {
    /// Counted from 1 without gaps.
    pub(super) number: u32,
    /// What it does, for `schema_version`.
    pub(super) name: &'static str,
    /// The statements.
    pub(super) sql: &'static str,
}

/// Steps of `registry.db`.
pub(super) const REGISTRY: &[Step] = &[
    Step {
        number: 1,
        name: "registry",
        sql: include_str!("../../migrations/sqlite/0001_registry.sql"),
    },
    Step {
        number: 2,
        name: "history",
        sql: include_str!("../../migrations/sqlite/0002_history.sql"),
    },
    Step {
        number: 3,
        name: "outbox",
        sql: include_str!("../../migrations/sqlite/0003_outbox.sql"),
    },
    Step { number: 4, name: "trust", sql: include_str!("../../migrations/sqlite/0004_trust.sql") },
    Step { number: 5, name: "fleet", sql: include_str!("../../migrations/sqlite/0005_fleet.sql") },
    Step {
        number: 6,
        name: "refused",
        sql: include_str!("../../migrations/sqlite/0006_refused.sql"),
    },
    Step {
        number: 7,
        name: "record",
        sql: include_str!("../../migrations/sqlite/0007_record.sql"),
    },
];

/// Steps of a telemetry file.
pub(super) const TELEMETRY: &[Step] = &[Step {
    number: 1,
    name: "segment",
    sql: include_str!("../../migrations/sqlite-telemetry/0001_segment.sql"),
}];

/// Failures of this module, before the path of the database is known.
pub(super) enum Failure {
    /// SQLite refused.
    Sqlite(rusqlite::Error),
    /// The schema does not fit this program.
    Schema(OpenError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// Brings a database to the last of `steps`; returns how many were applied.
pub(super) fn migrate(conn: &mut Connection, steps: &[Step]) -> Result<u32, Failure> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_version (
            number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum BLOB NOT NULL
        ) STRICT",
    )?;
    let applied = check(conn, steps)?;
    let mut count = 0;
    for step in steps.iter().filter(|step| step.number > applied) {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute_batch(step.sql)?;
        tx.execute(
            "INSERT INTO schema_version (number, name, checksum) VALUES (?1, ?2, ?3)",
            params![step.number, step.name, sha256(step.sql.as_bytes())],
        )?;
        tx.commit()?;
        count += 1;
    }
    Ok(count)
}

/// Returns the last applied step after comparing all of them.
fn check(conn: &Connection, steps: &[Step]) -> Result<u32, Failure> {
    let mut statement =
        conn.prepare("SELECT number, checksum FROM schema_version ORDER BY number")?;
    let mut rows = statement.query([])?;
    let mut last = 0;
    while let Some(row) = rows.next()? {
        let (number, checksum): (u32, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let known = steps.iter().find(|step| step.number == number);
        if known.is_some_and(|step| sha256(step.sql.as_bytes())[..] != checksum) {
            return Err(Failure::Schema(OpenError::Altered { number }));
        }
        last = last.max(number);
    }
    let known = steps.last().map_or(0, |step| step.number);
    if last > known {
        return Err(Failure::Schema(OpenError::Newer { found: last, known }));
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(result: Result<u32, Failure>) -> String {
        match result {
            Ok(count) => format!("applied {count}"),
            Err(Failure::Schema(error)) => error.to_string(),
            Err(Failure::Sqlite(error)) => format!("sqlite: {error}"),
        }
    }

    #[test]
    fn steps_are_numbered_without_gaps() {
        for steps in [REGISTRY, TELEMETRY] {
            for (n, step) in (1..).zip(steps) {
                assert_eq!(step.number, n, "{}", step.name);
            }
        }
    }

    #[test]
    fn steps_are_applied_once_and_never_changed() {
        let mut conn = Connection::open_in_memory().expect("open");
        assert_eq!(code(migrate(&mut conn, &REGISTRY[..1])), "applied 1");
        let rest = format!("applied {}", REGISTRY.len() - 1);
        assert_eq!(code(migrate(&mut conn, REGISTRY)), rest);
        assert_eq!(code(migrate(&mut conn, REGISTRY)), "applied 0");
        let newer = code(migrate(&mut conn, &REGISTRY[..1]));
        let found = format!("schema {}", REGISTRY.len());
        assert!(newer.contains(&found) && newer.contains("knows 1"), "{newer}");
        let mut altered = REGISTRY.to_vec();
        altered[0].sql = "SELECT 1";
        assert!(code(migrate(&mut conn, &altered)).starts_with("migration 1 of the database"));
    }

    #[test]
    fn a_failing_step_leaves_nothing() {
        let mut conn = Connection::open_in_memory().expect("open");
        let number = REGISTRY.last().expect("some").number + 1;
        let broken = Step { number, name: "broken", sql: "CREATE TABLE x (a); BROKEN" };
        let mut steps = REGISTRY.to_vec();
        steps.push(broken);
        assert!(code(migrate(&mut conn, &steps)).starts_with("sqlite"));
        assert_eq!(code(migrate(&mut conn, REGISTRY)), "applied 0", "steps before it stay");
        assert!(conn.prepare("SELECT * FROM x").is_err());
    }
}
