//! Bindings and bind tokens.

use async_trait::async_trait;
use roadstead_core::binding::{BindError, BindToken, Binding};
use roadstead_core::limit::BIND_TOKENS_PER_USER_MAX;
use roadstead_core::port::{
    BindQuery, BindReport, BindingStore, Listing, Page, StoreError, TokenView,
};
use roadstead_core::product::Rebind;
use roadstead_core::{BindingId, DeviceId, SpaceId, Timestamp, UserId};
use rusqlite::{Connection, Row, params};

use super::Sqlite;
use super::access::{found, require_user};
use super::error::{OrEngine, engine};
use super::read::{count, one, rows};
use super::shadow;
use super::word::{get, maybe, of_word, text, word};
use crate::ledger::{self, Ledger};
use crate::random::Random;
use crate::rule;

const BINDING: &str = "SELECT id, space, user, device, role, created_at FROM binding";

#[async_trait]
impl BindingStore for Sqlite {
    async fn create_token(&self, token: BindToken) -> Result<(), StoreError> {
        self.write(move |tx| {
            let now = token.created_at;
            let rows = Rows { conn: tx.conn, random: &tx.shared.random };
            forget_tokens(tx.conn, now - rule::TOKEN_KEPT)?;
            if rows.token(&token.digest)?.is_some() {
                return Err(StoreError::Exists);
            }
            if let Some(user) = &token.user {
                require_user(tx.conn, user)?;
                let sql = "SELECT count(*) FROM bind_token
                           WHERE user = ?1 AND expires_at > ?2 AND state <> 'bound'";
                if count(tx.conn, sql, params![user.as_str(), now.0])?
                    >= BIND_TOKENS_PER_USER_MAX as u64
                {
                    return Err(StoreError::Limit("bind tokens per user"));
                }
            }
            put_token(tx.conn, &token, "INSERT")
        })
        .await
    }

    async fn token(&self, digest: &[u8; 32]) -> Result<Option<TokenView>, StoreError> {
        self.shared.readers.with(|conn| {
            let rows = Rows { conn, random: &self.shared.random };
            // One snapshot for token and binding: a poll never sees half a decision.
            conn.execute_batch("BEGIN").or_engine()?;
            let view = rows
                .token(digest)
                .and_then(|token| token.map(|t| ledger::view(&rows, t, false)).transpose());
            conn.execute_batch("COMMIT").or_engine()?;
            view
        })
    }

    async fn report_token(
        &self,
        report: BindReport,
    ) -> Result<Result<TokenView, BindError>, StoreError> {
        self.write(move |tx| {
            ledger::report(&mut Rows { conn: tx.conn, random: &tx.shared.random }, &report)
        })
        .await
    }

    async fn bind_token(
        &self,
        query: BindQuery,
    ) -> Result<Result<TokenView, BindError>, StoreError> {
        self.write(move |tx| {
            ledger::bind(&mut Rows { conn: tx.conn, random: &tx.shared.random }, &query)
        })
        .await
    }

    async fn unbind(
        &self,
        device: &DeviceId,
    ) -> Result<Result<Vec<Binding>, BindError>, StoreError> {
        let device = device.clone();
        self.write(move |tx| {
            ledger::unbind(&mut Rows { conn: tx.conn, random: &tx.shared.random }, &device)
        })
        .await
    }

    async fn share(
        &self,
        device: &DeviceId,
        user: &UserId,
        now: Timestamp,
    ) -> Result<Result<Binding, BindError>, StoreError> {
        let (device, user) = (device.clone(), user.clone());
        self.write(move |tx| {
            let rows = &mut Rows { conn: tx.conn, random: &tx.shared.random };
            ledger::share(rows, &device, &user, now)
        })
        .await
    }

    async fn transfer(
        &self,
        device: &DeviceId,
        to: &UserId,
        now: Timestamp,
    ) -> Result<Result<Binding, BindError>, StoreError> {
        let (device, to) = (device.clone(), to.clone());
        self.write(move |tx| {
            let rows = &mut Rows { conn: tx.conn, random: &tx.shared.random };
            ledger::transfer(rows, &device, &to, now)
        })
        .await
    }

    async fn unshare(&self, id: &BindingId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write_one(move |tx| {
            let sql = "DELETE FROM binding WHERE id = ?1 AND role = 'guest'";
            found(tx.conn.execute(sql, [id.as_str()]).or_engine()?)
        })
        .await
    }

    async fn binding(&self, id: &BindingId) -> Result<Option<Binding>, StoreError> {
        let sql = format!("{BINDING} WHERE id = ?1");
        self.shared.readers.with(|conn| one(conn, &sql, [id.as_str()], binding_of))
    }

    async fn bindings_of_user(&self, user: &UserId) -> Result<Vec<Binding>, StoreError> {
        let sql = format!("{BINDING} WHERE user = ?1 ORDER BY created_at, id");
        self.shared.readers.with(|conn| rows(conn, &sql, [user.as_str()], binding_of))
    }

    async fn bindings_of_device(&self, device: &DeviceId) -> Result<Vec<Binding>, StoreError> {
        self.shared
            .readers
            .with(|conn| Rows { conn, random: &self.shared.random }.bindings_of(device))
    }

    async fn bindings(&self, space: &SpaceId, page: &Page) -> Result<Listing<Binding>, StoreError> {
        self.shared.readers.with(|conn| {
            let sql = "SELECT count(*) FROM binding WHERE space = ?1";
            let total = count(conn, sql, [space.as_str()])?;
            let sql =
                format!("{BINDING} WHERE space = ?1 AND id > ?2 ORDER BY id LIMIT ?3 OFFSET ?4");
            let after = page.after.as_deref().unwrap_or("");
            let limit = rule::page_items(page) as i64;
            let params = params![space.as_str(), after, limit, page.offset];
            Ok(Listing { items: rows(conn, &sql, params, binding_of)?, total })
        })
    }
}

/// The rows of a transaction as the decisions see them.
struct Rows<'a> {
    conn: &'a Connection,
    random: &'a Random,
}

impl Ledger for Rows<'_> {
    fn token(&self, digest: &[u8; 32]) -> Result<Option<BindToken>, StoreError> {
        let sql = "SELECT space, user, device, state, auto_bind, attempt, refusal, created_at, \
                   expires_at FROM bind_token WHERE digest = ?1";
        one(self.conn, sql, [&digest[..]], |row| {
            Ok(BindToken {
                digest: *digest,
                space: text(row, 0)?,
                user: maybe(row, 1)?,
                device: maybe(row, 2)?,
                state: of_word(get(row, 3)?)?,
                auto_bind: get(row, 4)?,
                attempt: maybe(row, 5)?,
                refusal: maybe(row, 6)?,
                created_at: Timestamp(get(row, 7)?),
                expires_at: Timestamp(get(row, 8)?),
            })
        })
    }

    fn put_token(&mut self, token: &BindToken) -> Result<(), StoreError> {
        put_token(self.conn, token, "REPLACE")
    }

    fn forget_tokens(&mut self, ended: Timestamp) -> Result<(), StoreError> {
        forget_tokens(self.conn, ended)
    }

    fn device(&self, id: &DeviceId) -> Result<Option<(SpaceId, Rebind)>, StoreError> {
        let sql = "SELECT s.id, p.rebind FROM device d JOIN space s ON s.row = d.space
                   LEFT JOIN product p ON p.id = d.product WHERE d.id = ?1";
        one(self.conn, sql, [id.as_str()], |row| {
            let rebind = get::<Option<String>>(row, 1)?.map(of_word).transpose()?;
            Ok((text(row, 0)?, rebind.unwrap_or_default()))
        })
    }

    fn user_space(&self, id: &UserId) -> Result<Option<SpaceId>, StoreError> {
        let sql = "SELECT space FROM user WHERE id = ?1";
        one(self.conn, sql, [id.as_str()], |row| text(row, 0))
    }

    fn bindings_of(&self, device: &DeviceId) -> Result<Vec<Binding>, StoreError> {
        let sql = format!("{BINDING} WHERE device = ?1 ORDER BY role <> 'owner', created_at, id");
        rows(self.conn, &sql, [device.as_str()], binding_of)
    }

    fn put_binding(&mut self, binding: &Binding) -> Result<(), StoreError> {
        let sql = "INSERT INTO binding (id, space, user, device, role, created_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT (id) DO UPDATE SET role = excluded.role";
        let params = params![
            binding.id.as_str(),
            binding.space.as_str(),
            binding.user.as_str(),
            binding.device.as_str(),
            word(&binding.role)?,
            binding.created_at.0
        ];
        self.conn.prepare_cached(sql).and_then(|mut s| s.execute(params)).or_engine().map(drop)
    }

    fn remove_binding(&mut self, binding: &Binding) -> Result<(), StoreError> {
        let sql = "DELETE FROM binding WHERE id = ?1";
        let id = binding.id.as_str();
        self.conn.prepare_cached(sql).and_then(|mut s| s.execute([id])).or_engine().map(drop)
    }

    fn notify_unbound(&mut self, device: &DeviceId) -> Result<(), StoreError> {
        let (kind, body) = (ledger::UNBOUND_KIND, ledger::UNBOUND_BODY);
        shadow::push_pending(self.conn, device, kind, body, None)
    }

    fn new_id(&mut self) -> Result<BindingId, StoreError> {
        self.random.binding_id()
    }
}

fn forget_tokens(conn: &Connection, ended: Timestamp) -> Result<(), StoreError> {
    let sql = "DELETE FROM bind_token WHERE expires_at <= ?1";
    conn.prepare_cached(sql).and_then(|mut s| s.execute([ended.0])).or_engine().map(drop)
}

fn put_token(conn: &Connection, token: &BindToken, verb: &str) -> Result<(), StoreError> {
    let sql = format!(
        "{verb} INTO bind_token (digest, space, user, device, state, auto_bind, attempt, refusal,
         created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
    );
    let params = params![
        &token.digest[..],
        token.space.as_str(),
        token.user.as_ref().map(UserId::as_str),
        token.device.as_ref().map(DeviceId::as_str),
        word(&token.state)?,
        token.auto_bind,
        token.attempt.as_ref().map(|attempt| attempt.as_str()),
        token.refusal,
        token.created_at.0,
        token.expires_at.0,
    ];
    let put = conn.prepare_cached(&sql).and_then(|mut statement| statement.execute(params));
    put.map(drop).map_err(|error| engine("storing a bind token", &error))
}

fn binding_of(row: &Row<'_>) -> Result<Binding, StoreError> {
    Ok(Binding {
        id: text(row, 0)?,
        space: text(row, 1)?,
        user: text(row, 2)?,
        device: text(row, 3)?,
        role: of_word(get(row, 4)?)?,
        created_at: Timestamp(get(row, 5)?),
    })
}
