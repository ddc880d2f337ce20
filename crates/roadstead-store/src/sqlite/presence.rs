//! Presence of devices.
//!
//! A row is on line when its flag is set *and* it belongs to the current run of the server. So
//! marking every device as lost at start-up writes one row, however many there are; when they
//! were lost follows from the run that came after theirs.

use roadstead_core::port::{PresenceChange, StoreError};
use roadstead_core::session::{Ending, Epoch, Presence};
use roadstead_core::{DeviceId, SpaceId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::error::OrEngine;
use super::read::{count, one};
use super::word::{get, maybe, of_word, word};
use super::writer::Tx;
use super::{Sqlite, tally};
use crate::rule;

/// Columns of a presence; all NULL for a device that never had one.
pub(super) const COLUMNS: &str = "p.run, p.online, p.epoch, p.online_at, p.offline_at, p.ending, \
                                  p.peer, p.transport, p.refusal, p.refused_at";
const EPOCH_MAX: &str = "epoch_max";

impl Sqlite {
    pub(super) fn read_presence(&self, id: &DeviceId) -> Result<Presence, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM device d JOIN presence p ON p.device = d.row WHERE d.id = ?1"
        );
        let runs = self.shared.runs.read();
        let of_row = |row: &Row<'_>| of_row(row, 0, &runs);
        let found = self.shared.readers.with(|conn| one(conn, &sql, [id.as_str()], of_row))?;
        Ok(found.unwrap_or_default())
    }

    pub(super) async fn write_presence(
        &self,
        changes: Vec<PresenceChange>,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            let epoch = changes.iter().map(|change| change.presence.epoch.0).max().unwrap_or(0);
            if epoch as i64 > epoch_max(tx.conn)? {
                tx.conn
                    .prepare_cached("REPLACE INTO meta (key, value) VALUES (?1, ?2)")
                    .and_then(|mut put| put.execute(params![EPOCH_MAX, epoch as i64]))
                    .or_engine()?;
            }
            changes.into_iter().try_for_each(|change| set(tx, change))
        })
        .await
    }

    pub(super) async fn write_refusal(
        &self,
        device: DeviceId,
        code: String,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write_one(move |tx| {
            let run = current(&tx.shared.runs.read());
            let sql =
                "INSERT INTO presence (device, space, run, online, epoch, refusal, refused_at)
                       SELECT row, space, ?2, 0, 0, ?3, ?4 FROM device WHERE id = ?1
                       ON CONFLICT (device) DO UPDATE
                       SET refusal = excluded.refusal, refused_at = excluded.refused_at";
            let params = params![device.as_str(), run, code, at.0];
            let touched = tx.conn.prepare_cached(sql).and_then(|mut s| s.execute(params));
            super::access::found(touched.or_engine()?)
        })
        .await
    }

    pub(super) async fn begin_run(&self, now: Timestamp) -> Result<Epoch, StoreError> {
        self.write(move |tx| {
            let run = current(&tx.shared.runs.read()) + 1;
            let sql = "INSERT INTO run (number, started_at) VALUES (?1, ?2)";
            tx.conn.execute(sql, params![run, now.0]).or_engine()?;
            let epoch = epoch_max(tx.conn)?;
            tx.after_commit(move |shared| shared.runs.write().push(now));
            Ok(Epoch(epoch.unsigned_abs()))
        })
        .await
    }

    pub(super) fn count_of(&self, space: &SpaceId) -> Result<(u64, u64, u64), StoreError> {
        let run = current(&self.shared.runs.read());
        self.shared.readers.with(|conn| {
            let sql = "SELECT row FROM space WHERE id = ?1";
            let Some(space) = one(conn, sql, [space.as_str()], |row| get::<i64>(row, 0))? else {
                return Ok((0, 0, 0));
            };
            let all = tally::of(conn, tally::SPACE, &space)?;
            let sql = "SELECT count(*) FROM presence WHERE run = ?1 AND space = ?2 AND online = 1";
            let online = count(conn, sql, [run, space])?;
            Ok((all, online, tally::of(conn, tally::ACTIVATED, &space)?))
        })
    }
}

fn set(tx: &mut Tx<'_>, change: PresenceChange) -> Result<(), StoreError> {
    let runs = tx.shared.runs.read();
    let sql = format!(
        "SELECT d.row, d.space, d.activated_at, {COLUMNS}
         FROM device d LEFT JOIN presence p ON p.device = d.row WHERE d.id = ?1"
    );
    let found = one(tx.conn, &sql, [change.device.as_str()], |row| {
        let activated: Option<i64> = get(row, 2)?;
        let stored = of_row(row, 3, &runs)?;
        Ok((get::<i64>(row, 0)?, get::<i64>(row, 1)?, activated, stored))
    })?;
    let Some((row, space, activated, stored)) = found else { return Ok(()) };
    let Some(after) = rule::change_presence(&stored, change.presence) else { return Ok(()) };
    if let (None, Some(at)) = (activated, rule::activation(&after)) {
        tx.conn
            .prepare_cached("UPDATE device SET activated_at = ?2 WHERE row = ?1")
            .and_then(|mut update| update.execute([row, at.0]))
            .or_engine()?;
    }
    let date = |at: Option<Timestamp>| at.map(|at| at.0);
    let (refusal, refused_at) = after.refusal.unzip();
    let params = params![
        row,
        space,
        current(&runs),
        after.online,
        after.epoch.0 as i64,
        date(after.online_at),
        date(after.offline_at),
        after.ending.map(|ending| word(&ending)).transpose()?,
        after.peer,
        after.transport,
        refusal,
        date(refused_at),
    ];
    tx.conn
        .prepare_cached(
            "REPLACE INTO presence (device, space, run, online, epoch, online_at, offline_at,
             ending, peer, transport, refusal, refused_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .and_then(|mut put| put.execute(params))
        .or_engine()
        .map(drop)
}

/// Reads [`COLUMNS`] from column `n` on.
pub(super) fn of_row(row: &Row<'_>, n: usize, runs: &[Timestamp]) -> Result<Presence, StoreError> {
    let Some(run) = get::<Option<i64>>(row, n)? else { return Ok(Presence::default()) };
    let date = |n| Ok::<_, StoreError>(get::<Option<i64>>(row, n)?.map(Timestamp));
    let refusal: Option<Box<str>> = maybe(row, n + 8)?;
    let presence = Presence {
        online: get(row, n + 1)?,
        epoch: Epoch(get::<i64>(row, n + 2)?.unsigned_abs()),
        online_at: date(n + 3)?,
        offline_at: date(n + 4)?,
        ending: get::<Option<String>>(row, n + 5)?.map(of_word).transpose()?,
        peer: maybe(row, n + 6)?,
        transport: maybe(row, n + 7)?,
        refusal: refusal.zip(date(n + 9)?),
    };
    // Runs count from 1, so this is the start of the run after the row's.
    let lost_at = usize::try_from(run).ok().and_then(|run| runs.get(run)).copied();
    Ok(match lost_at {
        Some(at) if presence.online => Presence {
            online: false,
            offline_at: Some(at),
            ending: Some(Ending::ServerLost),
            ..presence
        },
        Some(_) | None => presence,
    })
}

pub(super) fn current(runs: &[Timestamp]) -> i64 {
    i64::try_from(runs.len()).unwrap_or(i64::MAX)
}

fn epoch_max(conn: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT value FROM meta WHERE key = ?1";
    Ok(one(conn, sql, [EPOCH_MAX], |row| get(row, 0))?.unwrap_or(0))
}
