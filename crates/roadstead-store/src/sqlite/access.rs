//! Spaces, users, access keys, sign-ins.

use async_trait::async_trait;
use roadstead_core::port::{AccessStore, StoreError};
use roadstead_core::space::Space;
use roadstead_core::user::{AccessKey, Login, User};
use roadstead_core::{SpaceId, Timestamp, UserId};
use rusqlite::{Connection, Row, params};

use super::Sqlite;
use super::error::OrEngine;
use super::read::{count, exists, one, rows};
use super::word::{get, of_word, text, word};
use crate::crypt::{Place, Vault};
use crate::rule::LOGINS_PER_USER_MAX;

const SPACE: &str = "SELECT id, name, is_default, created_at FROM space";
const USER: &str = "SELECT id, space, name, role, password_hash, created_at FROM user";
const KEY: &str = "SELECT id, secret, user, created_at FROM access_key";

#[async_trait]
impl AccessStore for Sqlite {
    async fn spaces(&self) -> Result<Vec<Space>, StoreError> {
        let sql = format!("{SPACE} ORDER BY id");
        self.shared.readers.with(|conn| rows(conn, &sql, [], space_of))
    }

    async fn space(&self, id: &SpaceId) -> Result<Option<Space>, StoreError> {
        let sql = format!("{SPACE} WHERE id = ?1");
        self.shared.readers.with(|conn| one(conn, &sql, [id.as_str()], space_of))
    }

    async fn create_space(&self, space: Space) -> Result<(), StoreError> {
        self.write_one(move |tx| {
            tx.conn
                .execute(
                    "INSERT INTO space (id, name, is_default, created_at) VALUES (?1, ?2, ?3, ?4)",
                    params![space.id.as_str(), space.name, space.is_default, space.created_at.0],
                )
                .or_exists()
                .map(drop)
        })
        .await
    }

    async fn rename_space(&self, id: &SpaceId, name: &str) -> Result<(), StoreError> {
        let (id, name) = (id.clone(), name.to_owned());
        self.write_one(move |tx| {
            let sql = "UPDATE space SET name = ?2 WHERE id = ?1";
            found(tx.conn.execute(sql, params![id.as_str(), name]).or_exists()?)
        })
        .await
    }

    async fn delete_space(&self, id: &SpaceId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(move |tx| {
            let devices =
                "SELECT 1 FROM device WHERE space = (SELECT row FROM space WHERE id = ?1)";
            for (users, sql) in [
                ("products", "SELECT 1 FROM product WHERE space = ?1"),
                ("devices", devices),
                ("users", "SELECT 1 FROM user WHERE space = ?1"),
            ] {
                if exists(tx.conn, sql, id.as_str())? {
                    return Err(StoreError::InUse(users));
                }
            }
            found(tx.conn.execute("DELETE FROM space WHERE id = ?1", [id.as_str()]).or_engine()?)
        })
        .await
    }

    async fn create_user(&self, user: User) -> Result<(), StoreError> {
        self.write(move |tx| {
            if exists(tx.conn, "SELECT 1 FROM user WHERE id = ?1", user.id.as_str())?
                || exists(tx.conn, "SELECT 1 FROM user WHERE name = ?1", &user.name)?
            {
                return Err(StoreError::Exists);
            }
            if !exists(tx.conn, "SELECT 1 FROM space WHERE id = ?1", user.space.as_str())? {
                return Err(StoreError::Missing);
            }
            let hash = tx.shared.vault.seal(password(user.id.as_str()), &user.password_hash)?;
            tx.conn
                .execute(
                    "INSERT INTO user (id, space, name, role, password_hash, created_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![
                        user.id.as_str(),
                        user.space.as_str(),
                        user.name,
                        word(&user.role)?,
                        hash,
                        user.created_at.0
                    ],
                )
                .or_exists()
                .map(drop)
        })
        .await
    }

    async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        let sql = format!("{USER} WHERE id = ?1");
        let of_row = |row: &Row<'_>| user_of(row, &self.shared.vault);
        self.shared.readers.with(|conn| one(conn, &sql, [id.as_str()], of_row))
    }

    async fn user_by_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        let sql = format!("{USER} WHERE name = ?1");
        let of_row = |row: &Row<'_>| user_of(row, &self.shared.vault);
        self.shared.readers.with(|conn| one(conn, &sql, [name], of_row))
    }

    async fn users(&self, space: &SpaceId) -> Result<Vec<User>, StoreError> {
        let sql = format!("{USER} WHERE space = ?1 ORDER BY name");
        let of_row = |row: &Row<'_>| user_of(row, &self.shared.vault);
        self.shared.readers.with(|conn| rows(conn, &sql, [space.as_str()], of_row))
    }

    async fn update_user(&self, user: User) -> Result<(), StoreError> {
        self.write(move |tx| {
            let vault = &tx.shared.vault;
            let sql = format!("{USER} WHERE id = ?1");
            let before = one(tx.conn, &sql, [user.id.as_str()], |row| user_of(row, vault))?;
            if before.is_some_and(|before| before.password_hash != user.password_hash) {
                let sql = "DELETE FROM login WHERE user = ?1";
                tx.conn.execute(sql, [user.id.as_str()]).or_engine()?;
            }
            let hash = vault.seal(password(user.id.as_str()), &user.password_hash)?;
            let sql = "UPDATE user SET role = ?2, password_hash = ?3, name = ?4 WHERE id = ?1";
            let params = params![user.id.as_str(), word(&user.role)?, hash, user.name];
            found(tx.conn.execute(sql, params).or_exists()?)
        })
        .await
    }

    async fn delete_user(&self, id: &UserId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(move |tx| {
            require_user(tx.conn, &id)?;
            let owns = "SELECT 1 FROM binding WHERE user = ?1 AND role = 'owner'";
            if exists(tx.conn, owns, id.as_str())? {
                return Err(StoreError::InUse("devices"));
            }
            for sql in [
                "DELETE FROM binding WHERE user = ?1",
                "DELETE FROM access_key WHERE user = ?1",
                "DELETE FROM login WHERE user = ?1",
                "DELETE FROM record WHERE user = ?1",
                "DELETE FROM bind_token WHERE user = ?1 AND state <> 'bound'",
                "DELETE FROM user WHERE id = ?1",
            ] {
                tx.conn.execute(sql, [id.as_str()]).or_engine()?;
            }
            Ok(())
        })
        .await
    }

    async fn create_access_key(&self, key: AccessKey) -> Result<(), StoreError> {
        self.write(move |tx| {
            if exists(tx.conn, "SELECT 1 FROM access_key WHERE id = ?1", &key.id)? {
                return Err(StoreError::Exists);
            }
            require_user(tx.conn, &key.user)?;
            let secret = tx.shared.vault.seal(key_secret(&key.id), &key.secret)?;
            tx.conn
                .execute(
                    "INSERT INTO access_key (id, secret, user, created_at)
                     VALUES (?1, ?2, ?3, ?4)",
                    params![key.id, secret, key.user.as_str(), key.created_at.0],
                )
                .or_exists()
                .map(drop)
        })
        .await
    }

    async fn access_key(&self, id: &str) -> Result<Option<AccessKey>, StoreError> {
        let sql = format!("{KEY} WHERE id = ?1");
        let of_row = |row: &Row<'_>| key_of(row, &self.shared.vault);
        self.shared.readers.with(|conn| one(conn, &sql, [id], of_row))
    }

    async fn access_keys(&self, user: &UserId) -> Result<Vec<AccessKey>, StoreError> {
        let sql = format!("{KEY} WHERE user = ?1 ORDER BY id");
        let of_row = |row: &Row<'_>| key_of(row, &self.shared.vault);
        self.shared.readers.with(|conn| rows(conn, &sql, [user.as_str()], of_row))
    }

    async fn delete_access_key(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write_one(move |tx| {
            found(tx.conn.execute("DELETE FROM access_key WHERE id = ?1", [id]).or_engine()?)
        })
        .await
    }

    async fn create_login(&self, login: Login) -> Result<(), StoreError> {
        self.write(move |tx| {
            let digest = &login.digest[..];
            let known = "SELECT 1 FROM login WHERE digest = ?1";
            let known = tx.conn.prepare_cached(known).and_then(|mut s| s.exists([digest]));
            if known.or_engine()? {
                return Err(StoreError::Exists);
            }
            require_user(tx.conn, &login.user)?;
            let user = login.user.as_str();
            let sql = "SELECT count(*) FROM login WHERE user = ?1";
            if count(tx.conn, sql, [user])? >= LOGINS_PER_USER_MAX as u64 {
                let sql = "DELETE FROM login WHERE digest = (
                    SELECT digest FROM login WHERE user = ?1 ORDER BY expires_at, digest LIMIT 1)";
                tx.conn.execute(sql, [user]).or_engine()?;
            }
            let sql = "INSERT INTO login (digest, user, expires_at) VALUES (?1, ?2, ?3)";
            let params = params![digest, user, login.expires_at.0];
            tx.conn.execute(sql, params).or_exists().map(drop)
        })
        .await
    }

    async fn login(&self, digest: &[u8; 32], now: Timestamp) -> Result<Option<Login>, StoreError> {
        let sql = "SELECT user, expires_at FROM login WHERE digest = ?1 AND expires_at > ?2";
        self.shared.readers.with(|conn| {
            one(conn, sql, params![&digest[..], now.0], |row| {
                let expires_at = Timestamp(get(row, 1)?);
                Ok(Login { digest: *digest, user: text(row, 0)?, expires_at })
            })
        })
    }

    async fn delete_login(&self, digest: &[u8; 32]) -> Result<(), StoreError> {
        let digest = *digest;
        self.write_one(move |tx| {
            let sql = "DELETE FROM login WHERE digest = ?1";
            tx.conn.execute(sql, [&digest[..]]).or_engine().map(drop)
        })
        .await
    }
}

/// `Missing` when a statement touched nothing.
pub(super) fn found(touched: usize) -> Result<(), StoreError> {
    (touched > 0).then_some(()).ok_or(StoreError::Missing)
}

/// Fails with `Missing` unless the user exists.
pub(super) fn require_user(conn: &Connection, id: &UserId) -> Result<(), StoreError> {
    let known = exists(conn, "SELECT 1 FROM user WHERE id = ?1", id.as_str())?;
    known.then_some(()).ok_or(StoreError::Missing)
}

fn password(row: &str) -> Place<'_> {
    Place { table: "user", row, column: "password_hash" }
}

fn key_secret(row: &str) -> Place<'_> {
    Place { table: "access_key", row, column: "secret" }
}

fn space_of(row: &Row<'_>) -> Result<Space, StoreError> {
    let created_at = Timestamp(get(row, 3)?);
    Ok(Space { id: text(row, 0)?, name: text(row, 1)?, is_default: get(row, 2)?, created_at })
}

fn user_of(row: &Row<'_>, vault: &Vault) -> Result<User, StoreError> {
    let id: UserId = text(row, 0)?;
    Ok(User {
        space: text(row, 1)?,
        name: text(row, 2)?,
        role: of_word(get(row, 3)?)?,
        password_hash: vault.open(password(id.as_str()), &get::<Vec<u8>>(row, 4)?)?,
        created_at: Timestamp(get(row, 5)?),
        id,
    })
}

fn key_of(row: &Row<'_>, vault: &Vault) -> Result<AccessKey, StoreError> {
    let id: Box<str> = text(row, 0)?;
    Ok(AccessKey {
        secret: vault.open(key_secret(&id), &get::<Vec<u8>>(row, 1)?)?,
        user: text(row, 2)?,
        created_at: Timestamp(get(row, 3)?),
        id,
    })
}
