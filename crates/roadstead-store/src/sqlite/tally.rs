//! Counts that triggers keep, so that a list of a million devices names its total at once.

use roadstead_core::port::StoreError;
use rusqlite::{Connection, ToSql, params};

use super::read::one;
use super::word::get;

/// Devices of a space, by `space.row`.
pub(super) const SPACE: i64 = 0;
/// Devices of a product in a space, by `space.row/product`.
pub(super) const PRODUCT: i64 = 1;
/// Sub-devices of a gateway, by its id.
pub(super) const GATEWAY: i64 = 2;
/// Activated devices of a space, by `space.row`.
pub(super) const ACTIVATED: i64 = 3;
/// Members of a group, by `device_group.row`.
pub(super) const GROUP: i64 = 4;

/// Returns a count; what was never counted is 0.
pub(super) fn of(conn: &Connection, kind: i64, key: &dyn ToSql) -> Result<u64, StoreError> {
    let sql = "SELECT n FROM tally WHERE kind = ?1 AND key = ?2";
    let found = one(conn, sql, params![kind, key], |row| get::<i64>(row, 0))?;
    Ok(found.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}
