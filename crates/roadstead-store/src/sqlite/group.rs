//! Groups and their members.

use async_trait::async_trait;
use roadstead_core::group::Group;
use roadstead_core::port::{
    GroupFilter, GroupPatch, GroupStore, Listing, Page, StoreError, read_marker,
};
use roadstead_core::{DeviceId, GroupId, SpaceId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::error::OrEngine;
use super::read::{count, exists, one, rows};
use super::word::{get, maybe, of_word, text, word};
use super::writer::Tx;
use super::{Sqlite, tally};
use crate::rule;

const GROUP: &str = "SELECT g.id, g.space, g.name, g.description, g.parent, g.kind, g.rule, \
                     g.created_at, g.changed_at, g.row FROM device_group g";

#[async_trait]
impl GroupStore for Sqlite {
    async fn create_group(&self, group: Group, max: u64, depth: usize) -> Result<(), StoreError> {
        self.write(move |tx| create(tx, &group, max, depth)).await
    }

    async fn group(&self, space: &SpaceId, id: &GroupId) -> Result<Option<Group>, StoreError> {
        self.shared.readers.with(|conn| find(conn, space, id))
    }

    async fn groups(
        &self,
        space: &SpaceId,
        filter: &GroupFilter,
        page: &Page,
    ) -> Result<Listing<Group>, StoreError> {
        let before = read_marker(page)?.map_or(i64::MAX, |number| number as i64);
        let GroupFilter { name, kind, changed_from } = filter;
        let kind = kind.as_ref().map(word).transpose()?;
        let matching = "g.space = ?1 AND (?2 IS NULL OR instr(g.name, ?2) > 0)
                        AND (?3 IS NULL OR g.kind = ?3) AND g.changed_at >= ?4";
        let from = changed_from.map_or(i64::MIN, |at| at.0);
        let limit = rule::page_items(page) as i64;
        self.shared.readers.with(|conn| {
            let sql = format!("SELECT count(*) FROM device_group g WHERE {matching}");
            let total = count(conn, &sql, params![space.as_str(), name, kind, from])?;
            let sql = format!(
                "{GROUP} WHERE {matching} AND g.row < ?5 ORDER BY g.row DESC LIMIT ?6 OFFSET ?7"
            );
            let params = params![space.as_str(), name, kind, from, before, limit, page.offset];
            Ok(Listing { items: rows(conn, &sql, params, of_row)?, total })
        })
    }

    async fn update_group(
        &self,
        space: &SpaceId,
        id: &GroupId,
        patch: GroupPatch,
        now: Timestamp,
    ) -> Result<Group, StoreError> {
        let (space, id) = (space.clone(), id.clone());
        self.write(move |tx| {
            let mut group = find(tx.conn, &space, &id)?.ok_or(StoreError::Missing)?;
            if let Some(name) = patch.name.filter(|name| *name != group.name) {
                free_name(tx.conn, &space, &name)?;
                group.name = name;
            }
            group.description = patch.description.unwrap_or(group.description);
            group.changed_at = now;
            let sql = "UPDATE device_group SET name = ?2, description = ?3, changed_at = ?4
                       WHERE id = ?1";
            let params = params![id.as_str(), group.name, group.description, now.0];
            tx.conn.execute(sql, params).or_engine()?;
            Ok(group)
        })
        .await
    }

    async fn delete_group(&self, space: &SpaceId, id: &GroupId) -> Result<(), StoreError> {
        let (space, id) = (space.clone(), id.clone());
        self.write(move |tx| {
            let group = find(tx.conn, &space, &id)?.ok_or(StoreError::Missing)?;
            if exists(tx.conn, "SELECT 1 FROM device_group WHERE parent = ?1", id.as_str())? {
                return Err(StoreError::InUse("sub-groups"));
            }
            for sql in [
                "DELETE FROM member WHERE device_group = ?1",
                "DELETE FROM device_group WHERE row = ?1",
            ] {
                tx.conn.execute(sql, [group.number as i64]).or_engine()?;
            }
            Ok(())
        })
        .await
    }

    async fn add_member(
        &self,
        space: &SpaceId,
        id: &GroupId,
        device: &DeviceId,
        max: u64,
    ) -> Result<bool, StoreError> {
        let (space, id, device) = (space.clone(), id.clone(), device.clone());
        self.write(move |tx| {
            let (group, device) = both(tx, &space, &id, &device)?;
            let sql = "SELECT count(*) FROM member WHERE device_group = ?1 AND device = ?2";
            if count(tx.conn, sql, [group, device])? > 0 {
                return Ok(false);
            }
            if tally::of(tx.conn, tally::GROUP, &group)? >= max {
                return Err(StoreError::Limit("devices per group"));
            }
            let sql = "INSERT INTO member (device_group, device) VALUES (?1, ?2)";
            tx.conn.execute(sql, [group, device]).or_engine()?;
            Ok(true)
        })
        .await
    }

    async fn remove_member(
        &self,
        space: &SpaceId,
        id: &GroupId,
        device: &DeviceId,
    ) -> Result<bool, StoreError> {
        let (space, id, device) = (space.clone(), id.clone(), device.clone());
        self.write(move |tx| {
            let (group, device) = both(tx, &space, &id, &device)?;
            let sql = "DELETE FROM member WHERE device_group = ?1 AND device = ?2";
            Ok(tx.conn.execute(sql, [group, device]).or_engine()? > 0)
        })
        .await
    }

    async fn groups_of(&self, device: &DeviceId) -> Result<Vec<Group>, StoreError> {
        let sql = format!(
            "{GROUP} JOIN member m ON m.device_group = g.row JOIN device d ON d.row = m.device
             WHERE d.id = ?1 ORDER BY g.row DESC"
        );
        self.shared.readers.with(|conn| rows(conn, &sql, [device.as_str()], of_row))
    }

    async fn dynamic_groups(&self, space: &SpaceId) -> Result<Vec<Group>, StoreError> {
        let sql = format!("{GROUP} WHERE g.space = ?1 AND g.rule IS NOT NULL ORDER BY g.row DESC");
        self.shared.readers.with(|conn| rows(conn, &sql, [space.as_str()], of_row))
    }
}

fn create(tx: &mut Tx<'_>, group: &Group, max: u64, depth: usize) -> Result<(), StoreError> {
    let (conn, space) = (tx.conn, &group.space);
    if !exists(conn, "SELECT 1 FROM space WHERE id = ?1", space.as_str())? {
        return Err(StoreError::Missing);
    }
    if exists(conn, "SELECT 1 FROM device_group WHERE id = ?1", group.id.as_str())? {
        return Err(StoreError::Exists);
    }
    free_name(conn, space, &group.name)?;
    let sql = "SELECT count(*) FROM device_group WHERE space = ?1";
    if count(conn, sql, [space.as_str()])? >= max {
        return Err(StoreError::Limit("groups per space"));
    }
    let (mut level, mut above) = (1, group.parent.clone());
    while let Some(id) = above {
        level += 1;
        if level > depth {
            return Err(StoreError::Limit("levels of groups"));
        }
        above = find(conn, space, &id)?.ok_or(StoreError::Missing)?.parent;
    }
    let sql = "INSERT INTO device_group (id, space, name, description, parent, kind, rule,
               created_at, changed_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let params = params![
        group.id.as_str(),
        space.as_str(),
        group.name,
        group.description,
        group.parent.as_ref().map(GroupId::as_str),
        word(&group.kind)?,
        group.rule,
        group.created_at.0,
        group.changed_at.0,
    ];
    conn.execute(sql, params).or_exists().map(drop)
}

fn find(conn: &Connection, space: &SpaceId, id: &GroupId) -> Result<Option<Group>, StoreError> {
    let sql = format!("{GROUP} WHERE g.id = ?1 AND g.space = ?2");
    one(conn, &sql, [id.as_str(), space.as_str()], of_row)
}

fn free_name(conn: &Connection, space: &SpaceId, name: &str) -> Result<(), StoreError> {
    let sql = "SELECT count(*) FROM device_group WHERE space = ?1 AND name = ?2";
    match count(conn, sql, [space.as_str(), name])? {
        0 => Ok(()),
        _ => Err(StoreError::Exists),
    }
}

/// Returns the rows of a group and of a device of the same space.
fn both(
    tx: &Tx<'_>,
    space: &SpaceId,
    id: &GroupId,
    device: &DeviceId,
) -> Result<(i64, i64), StoreError> {
    let group = find(tx.conn, space, id)?.ok_or(StoreError::Missing)?;
    let sql = "SELECT d.row FROM device d JOIN space s ON s.row = d.space
               WHERE d.id = ?1 AND s.id = ?2";
    let device = one(tx.conn, sql, [device.as_str(), space.as_str()], |row| get::<i64>(row, 0))?;
    Ok((group.number as i64, device.ok_or(StoreError::Missing)?))
}

fn of_row(row: &Row<'_>) -> Result<Group, StoreError> {
    Ok(Group {
        id: text(row, 0)?,
        space: text(row, 1)?,
        name: text(row, 2)?,
        description: text(row, 3)?,
        parent: maybe(row, 4)?,
        kind: of_word(get(row, 5)?)?,
        rule: maybe(row, 6)?,
        created_at: Timestamp(get(row, 7)?),
        changed_at: Timestamp(get(row, 8)?),
        number: get::<i64>(row, 9)?.unsigned_abs(),
    })
}
