//! Products, served from memory.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::RwLock;
use roadstead_core::port::{Listing, Page, ProductStore, StoreError};
use roadstead_core::product::Product;
use roadstead_core::{ProductId, SpaceId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::Sqlite;
use super::error::OrEngine;
use super::read::{count, exists, one, rows};
use super::word::{get, json, of_json, of_word, seal, text, word};
use super::writer::Tx;
use crate::crypt::{Place, Vault};
use crate::rule;

/// Products kept in memory; past it all are forgotten and read again.
const CACHED_MAX: usize = 1024;
const COLUMNS: &str = "id, space, dialect, name, secret, auth, registration, rebind, model, \
                       attributes, created_at";

/// Products in memory. A reader may only add what no commit has overtaken.
#[derive(Default)]
pub(super) struct Products {
    inner: RwLock<Cached>,
}

#[derive(Default)]
struct Cached {
    products: HashMap<ProductId, Arc<Product>>,
    /// Commits that changed a product.
    commits: u64,
}

impl Products {
    fn get(&self, id: &ProductId) -> (Option<Arc<Product>>, u64) {
        let inner = self.inner.read();
        (inner.products.get(id).cloned(), inner.commits)
    }

    fn add(&self, product: Arc<Product>, commits: u64) {
        let mut inner = self.inner.write();
        if inner.commits == commits {
            if inner.products.len() >= CACHED_MAX {
                inner.products.clear();
            }
            inner.products.insert(product.id.clone(), product);
        }
    }

    fn changed(&self, id: &ProductId) {
        let mut inner = self.inner.write();
        inner.commits += 1;
        inner.products.remove(id);
    }
}

#[async_trait]
impl ProductStore for Sqlite {
    async fn product(&self, id: &ProductId) -> Result<Option<Arc<Product>>, StoreError> {
        let (cached, commits) = self.shared.products.get(id);
        if cached.is_some() {
            return Ok(cached);
        }
        let found = self.shared.readers.with(|conn| find(conn, &self.shared.vault, id))?;
        let found = found.map(Arc::new);
        if let Some(product) = &found {
            self.shared.products.add(product.clone(), commits);
        }
        Ok(found)
    }

    async fn products(
        &self,
        space: &SpaceId,
        name: Option<&str>,
        page: &Page,
    ) -> Result<Listing<Arc<Product>>, StoreError> {
        let filter = "space = ?1 AND (?2 IS NULL OR name = ?2)";
        self.shared.readers.with(|conn| {
            let sql = format!("SELECT count(*) FROM product WHERE {filter}");
            let total = count(conn, &sql, params![space.as_str(), name])?;
            let sql = format!(
                "SELECT {COLUMNS} FROM product
                 WHERE {filter} AND id > ?3 ORDER BY id LIMIT ?4 OFFSET ?5"
            );
            let after = page.after.as_deref().unwrap_or("");
            let limit = rule::page_items(page) as i64;
            let params = params![space.as_str(), name, after, limit, page.offset];
            let of_row = |row: &Row<'_>| of_row(row, &self.shared.vault).map(Arc::new);
            Ok(Listing { items: rows(conn, &sql, params, of_row)?, total })
        })
    }

    async fn create_product(&self, product: Product) -> Result<(), StoreError> {
        self.write(move |tx| {
            let known = "SELECT 1 FROM product WHERE id = ?1";
            if exists(tx.conn, known, product.id.as_str())? {
                return Err(StoreError::Exists);
            }
            let space = "SELECT 1 FROM space WHERE id = ?1";
            if !exists(tx.conn, space, product.space.as_str())? {
                return Err(StoreError::Missing);
            }
            put(tx, &product, "INSERT")
        })
        .await
    }

    async fn update_product(&self, product: Product) -> Result<(), StoreError> {
        self.write(move |tx| {
            let known = "SELECT 1 FROM product WHERE id = ?1";
            match exists(tx.conn, known, product.id.as_str())? {
                true => put(tx, &product, "REPLACE"),
                false => Err(StoreError::Missing),
            }
        })
        .await
    }

    async fn delete_product(&self, id: &ProductId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(move |tx| {
            let used = "SELECT 1 FROM device WHERE product = ?1";
            if exists(tx.conn, used, id.as_str())? {
                return Err(StoreError::InUse("devices"));
            }
            let deleted = tx.conn.execute("DELETE FROM product WHERE id = ?1", [id.as_str()]);
            if deleted.or_engine()? == 0 {
                return Err(StoreError::Missing);
            }
            tx.after_commit(move |shared| shared.products.changed(&id));
            Ok(())
        })
        .await
    }
}

/// Returns a product as a transaction sees it.
pub(super) fn find(
    conn: &Connection,
    vault: &Vault,
    id: &ProductId,
) -> Result<Option<Product>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM product WHERE id = ?1");
    one(conn, &sql, [id.as_str()], |row| of_row(row, vault))
}

fn place(id: &ProductId) -> Place<'_> {
    Place { table: "product", row: id.as_str(), column: "secret" }
}

fn put(tx: &mut Tx<'_>, product: &Product, verb: &str) -> Result<(), StoreError> {
    let secret = seal(&tx.shared.vault, place(&product.id), product.secret.as_ref())?;
    let sql = format!(
        "{verb} INTO product ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
    );
    tx.conn
        .execute(
            &sql,
            params![
                product.id.as_str(),
                product.space.as_str(),
                product.dialect,
                product.name,
                secret,
                word(&product.auth)?,
                word(&product.registration)?,
                word(&product.rebind)?,
                json(&product.model)?,
                json(&product.attributes)?,
                product.created_at.0,
            ],
        )
        .or_exists()?;
    let id = product.id.clone();
    tx.after_commit(move |shared| shared.products.changed(&id));
    Ok(())
}

fn of_row(row: &Row<'_>, vault: &Vault) -> Result<Product, StoreError> {
    let id: ProductId = text(row, 0)?;
    let sealed: Option<Vec<u8>> = get(row, 4)?;
    Ok(Product {
        space: text(row, 1)?,
        dialect: text(row, 2)?,
        name: text(row, 3)?,
        secret: sealed.map(|sealed| vault.open(place(&id), &sealed)).transpose()?,
        auth: of_word(get(row, 5)?)?,
        registration: of_word(get(row, 6)?)?,
        rebind: of_word(get(row, 7)?)?,
        model: of_json(&get::<String>(row, 8)?)?,
        attributes: of_json(&get::<String>(row, 9)?)?,
        created_at: Timestamp(get(row, 10)?),
        id,
    })
}
