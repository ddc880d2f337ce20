//! Authorities, device certificates, policies and templates: one table of whole objects, with
//! the columns that they are found by, and one of what policies are bound to.

use async_trait::async_trait;
use roadstead_core::limit::PAGE_ITEMS_MAX;
use roadstead_core::port::{Listing, Page, StoreError, TrustFilter, TrustStore};
use roadstead_core::trust::{Policy, Target, TargetKind, TrustKind, TrustObject};
use rusqlite::{Connection, Row, params};

use super::Sqlite;
use super::error::OrEngine;
use super::read::{count, one, rows};
use super::word::{get, json, of_json, of_word, text, word};

/// What a filter selects; `?1` kind, `?2` space, `?3` name, `?4` key.
const MATCHING: &str = "kind = ?1 AND (?2 IS NULL OR space = ?2) AND (?3 IS NULL OR name = ?3)
                        AND (?4 IS NULL OR key = ?4)";

#[async_trait]
impl TrustStore for Sqlite {
    async fn trust(&self, kind: TrustKind, id: &str) -> Result<Option<TrustObject>, StoreError> {
        let kind = word(&kind)?;
        let sql = "SELECT body FROM trust WHERE kind = ?1 AND id = ?2";
        self.shared.readers.with(|conn| one(conn, sql, params![kind, id], object_of))
    }

    async fn trusts(
        &self,
        kind: TrustKind,
        filter: &TrustFilter,
        page: &Page,
    ) -> Result<Listing<TrustObject>, StoreError> {
        let kind = word(&kind)?;
        let space = filter.space.as_ref().map(|space| space.as_str());
        let (name, key) = (filter.name.as_deref(), filter.key.as_deref());
        self.shared.readers.with(|conn| {
            let total = format!("SELECT count(*) FROM trust WHERE {MATCHING}");
            let total = count(conn, &total, params![kind, space, name, key])?;
            // A marker that is not there has nothing behind it: its number is NULL.
            let sql = format!(
                "SELECT body FROM trust WHERE {MATCHING}
                 AND (?5 IS NULL OR seq < (SELECT seq FROM trust WHERE kind = ?1 AND id = ?5))
                 ORDER BY seq DESC LIMIT ?6 OFFSET ?7"
            );
            let (limit, after) = (limit(page), page.after.as_deref());
            let params = params![kind, space, name, key, after, limit, page.offset];
            Ok(Listing { items: rows(conn, &sql, params, object_of)?, total })
        })
    }

    async fn create_trust(&self, object: TrustObject) -> Result<(), StoreError> {
        self.write_one(move |tx| {
            tx.conn
                .execute(
                    "INSERT INTO trust (kind, id, space, key, name, body)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![
                        word(&object.kind())?,
                        object.id(),
                        object.space().as_str(),
                        object.key(),
                        object.name(),
                        json(&object)?
                    ],
                )
                .or_exists()
                .map(drop)
        })
        .await
    }

    async fn update_trust(&self, object: TrustObject) -> Result<(), StoreError> {
        self.write_one(move |tx| {
            let sql = "UPDATE trust SET key = ?3, name = ?4, body = ?5 WHERE kind = ?1 AND id = ?2";
            let kind = word(&object.kind())?;
            let params = params![kind, object.id(), object.key(), object.name(), json(&object)?];
            found(tx.conn.execute(sql, params).or_exists()?)
        })
        .await
    }

    async fn delete_trust(&self, kind: TrustKind, id: &str) -> Result<(), StoreError> {
        let (word, id) = (word(&kind)?, id.to_owned());
        self.write(move |tx| {
            let sql = "DELETE FROM trust WHERE kind = ?1 AND id = ?2";
            found(tx.conn.execute(sql, params![word, id]).or_engine()?)?;
            if kind == TrustKind::Policy {
                let sql = "DELETE FROM policy_target WHERE policy = ?1";
                tx.conn.execute(sql, [id]).or_engine()?;
            }
            Ok(())
        })
        .await
    }

    async fn bind_policy(&self, policy: &str, targets: Vec<Target>) -> Result<(), StoreError> {
        let policy = policy.to_owned();
        self.write(move |tx| {
            let exists = "SELECT 1 FROM trust WHERE kind = 'policy' AND id = ?1";
            if !super::read::exists(tx.conn, exists, &policy)? {
                return Err(StoreError::Missing);
            }
            let sql = "INSERT OR IGNORE INTO policy_target (policy, kind, target)
                       VALUES (?1, ?2, ?3)";
            each(tx.conn, sql, &policy, &targets)
        })
        .await
    }

    async fn unbind_policy(&self, policy: &str, targets: Vec<Target>) -> Result<(), StoreError> {
        let policy = policy.to_owned();
        self.write(move |tx| {
            let sql = "DELETE FROM policy_target WHERE policy = ?1 AND kind = ?2 AND target = ?3";
            each(tx.conn, sql, &policy, &targets)
        })
        .await
    }

    async fn forget_target(&self, target: &Target) -> Result<(), StoreError> {
        let target = target.clone();
        self.write_one(move |tx| {
            let sql = "DELETE FROM policy_target WHERE kind = ?1 AND target = ?2";
            tx.conn.execute(sql, params![word(&target.kind)?, target.id]).or_engine().map(drop)
        })
        .await
    }

    async fn policy_targets(
        &self,
        policy: &str,
        kind: Option<TargetKind>,
        page: &Page,
    ) -> Result<Listing<Target>, StoreError> {
        let kind = kind.map(|kind| word(&kind)).transpose()?;
        self.shared.readers.with(|conn| {
            let matching = "policy = ?1 AND (?2 IS NULL OR kind = ?2)";
            let total = format!("SELECT count(*) FROM policy_target WHERE {matching}");
            let total = count(conn, &total, params![policy, kind])?;
            let sql = format!(
                "SELECT kind, target FROM policy_target WHERE {matching}
                 AND (?3 IS NULL OR (rank, target) > (
                     SELECT rank, target FROM policy_target
                     WHERE {matching} AND target = ?3 ORDER BY rank LIMIT 1))
                 ORDER BY rank, target LIMIT ?4 OFFSET ?5"
            );
            let params = params![policy, kind, page.after.as_deref(), limit(page), page.offset];
            let items = rows(conn, &sql, params, |row| {
                Ok(Target { kind: of_word(get(row, 0)?)?, id: text(row, 1)? })
            })?;
            Ok(Listing { items, total })
        })
    }

    async fn policies_of(&self, targets: &[Target]) -> Result<Vec<Policy>, StoreError> {
        self.shared.readers.with(|conn| {
            let mut policies: Vec<(i64, Policy)> = Vec::new();
            for target in targets {
                let sql = "SELECT trust.seq, trust.body FROM policy_target
                           JOIN trust ON trust.kind = 'policy' AND trust.id = policy_target.policy
                           WHERE policy_target.kind = ?1 AND policy_target.target = ?2";
                let params = params![word(&target.kind)?, target.id];
                for (seq, object) in
                    rows(conn, sql, params, |row| Ok((get::<i64>(row, 0)?, body(row, 1)?)))?
                {
                    if let TrustObject::Policy(policy) = object
                        && policies.iter().all(|(known, _)| *known != seq)
                    {
                        policies.push((seq, policy));
                    }
                }
            }
            policies.sort_by_key(|(seq, _)| *seq);
            Ok(policies.into_iter().map(|(_, policy)| policy).collect())
        })
    }

    async fn has_policies(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM policy_target)";
        self.shared.readers.with(|conn| Ok(count(conn, sql, [])? > 0))
    }
}

fn each(conn: &Connection, sql: &str, policy: &str, targets: &[Target]) -> Result<(), StoreError> {
    let mut statement = conn.prepare_cached(sql).or_engine()?;
    for target in targets {
        statement.execute(params![policy, word(&target.kind)?, target.id]).or_engine()?;
    }
    Ok(())
}

fn limit(page: &Page) -> u32 {
    page.limit.min(u32::try_from(PAGE_ITEMS_MAX).unwrap_or(u32::MAX))
}

fn found(changed: usize) -> Result<(), StoreError> {
    if changed == 0 { Err(StoreError::Missing) } else { Ok(()) }
}

fn object_of(row: &Row<'_>) -> Result<TrustObject, StoreError> {
    body(row, 0)
}

fn body(row: &Row<'_>, n: usize) -> Result<TrustObject, StoreError> {
    of_json(row.get_ref(n).and_then(|value| Ok(value.as_str()?)).or_engine()?)
}
