//! Devices and dynamic registration; presence is next door.

use std::sync::Arc;

use async_trait::async_trait;
use roadstead_core::device::{Device, Fingerprint};
use roadstead_core::limit::SUB_DEVICES_MAX;
use roadstead_core::port::{
    DeviceFilter, DevicePatch, DeviceStore, Listing, Page, PresenceChange, RegisterError,
    Registered, StoreError,
};
use roadstead_core::session::{Epoch, Presence};
use roadstead_core::{DeviceId, ProductId, SpaceId, Timestamp, UserId};
use rusqlite::{Connection, Row, ToSql, params};

use super::error::{OrEngine, engine};
use super::read::{count, exists, one, rows};
use super::word::{get, json, maybe, of_json, seal, text};
use super::writer::Tx;
use super::{Sqlite, presence, product};
use crate::crypt::{Place, Vault};
use crate::rule;

const COLUMNS: &str = "d.id, s.id, d.product, d.node, d.name, d.secret, d.fingerprint, d.gateway, \
                       d.frozen, d.info, d.created_at, d.activated_at";
/// Number of [`COLUMNS`].
const WIDTH: usize = 12;
/// Devices imported as one job, so that reports find room between two of them.
const IMPORT_BATCH: usize = 500;
/// What an imported device counts against the queue, bytes.
const DEVICE_BYTES: usize = 512;

#[async_trait]
impl DeviceStore for Sqlite {
    async fn device(&self, id: &DeviceId) -> Result<Option<Arc<Device>>, StoreError> {
        let found = self.shared.readers.with(|conn| find(conn, &self.shared.vault, id))?;
        Ok(found.map(Arc::new))
    }

    async fn device_by_node(
        &self,
        product: &ProductId,
        node: &str,
    ) -> Result<Option<Arc<Device>>, StoreError> {
        self.device_by_node_blocking(product, node)
    }

    fn device_by_node_blocking(
        &self,
        product: &ProductId,
        node: &str,
    ) -> Result<Option<Arc<Device>>, StoreError> {
        let vault = &self.shared.vault;
        let found = self.shared.readers.with(|conn| find_node(conn, vault, product, node))?;
        Ok(found.map(Arc::new))
    }

    async fn devices(
        &self,
        space: &SpaceId,
        filter: &DeviceFilter,
        page: &Page,
    ) -> Result<Listing<(Arc<Device>, Presence)>, StoreError> {
        let mut condition = String::from("d.space = (SELECT row FROM space WHERE id = ?1)");
        let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(space.as_str().to_owned())];
        let DeviceFilter { product, node, gateway, name, user } = filter;
        for (column, value) in [
            ("d.product = ", product.as_ref().map(ProductId::as_str)),
            ("d.node = ", node.as_deref()),
            ("d.gateway = ", gateway.as_ref().map(DeviceId::as_str)),
            ("d.name = ", name.as_deref()),
            (
                "d.id IN (SELECT device FROM binding WHERE user = ",
                user.as_ref().map(UserId::as_str),
            ),
        ] {
            let Some(value) = value else { continue };
            values.push(Box::new(value.to_owned()));
            let close = if column.contains('(') { ")" } else { "" };
            condition.push_str(&format!(" AND {column}?{}{close}", values.len()));
        }
        let total = format!("SELECT count(*) FROM device d WHERE {condition}");
        let n = values.len();
        let sql = format!(
            "SELECT {COLUMNS}, {} FROM device d JOIN space s ON s.row = d.space
             LEFT JOIN presence p ON p.device = d.row
             WHERE {condition} AND d.id > ?{} ORDER BY d.id LIMIT ?{} OFFSET ?{}",
            presence::COLUMNS,
            n + 1,
            n + 2,
            n + 3,
        );
        let runs = self.shared.runs.read();
        let vault = &self.shared.vault;
        self.shared.readers.with(|conn| {
            let refs =
                |values: &[Box<dyn ToSql>]| count(conn, &total, rusqlite::params_from_iter(values));
            let total = refs(&values)?;
            values.push(Box::new(page.after.as_deref().unwrap_or("").to_owned()));
            values.push(Box::new(rule::page_items(page) as i64));
            values.push(Box::new(page.offset));
            let items = rows(conn, &sql, rusqlite::params_from_iter(&values), |row| {
                Ok((Arc::new(of_row(row, vault)?), presence::of_row(row, WIDTH, &runs)?))
            })?;
            Ok(Listing { items, total })
        })
    }

    async fn create_device(&self, device: Device) -> Result<(), StoreError> {
        self.write(move |tx| create(tx, &device)).await
    }

    async fn import_devices(
        &self,
        devices: Vec<Device>,
    ) -> Result<Vec<Result<bool, StoreError>>, StoreError> {
        let mut results: Vec<_> = devices.iter().map(|_| Err(StoreError::Missing)).collect();
        // Gateways first: a file may name a sub-device before its gateway.
        let mut order: Vec<_> = devices.into_iter().enumerate().collect();
        order.sort_by_key(|(_, device)| device.gateway.is_some());
        while !order.is_empty() {
            let rest = order.split_off(IMPORT_BATCH.min(order.len()));
            let batch = std::mem::replace(&mut order, rest);
            let bytes = batch.len() * DEVICE_BYTES;
            let done = self.submit(bytes, true, move |tx| {
                batch.into_iter().map(|(n, device)| Ok((n, import(tx, &device)?))).collect()
            });
            let done: Vec<(usize, Result<bool, StoreError>)> = done.await?;
            done.into_iter().for_each(|(n, result)| results[n] = result);
        }
        Ok(results)
    }

    async fn update_device(
        &self,
        id: &DeviceId,
        patch: DevicePatch,
    ) -> Result<Arc<Device>, StoreError> {
        let id = id.clone();
        self.write(move |tx| update(tx, &id, patch)).await
    }

    async fn delete_device(&self, id: &DeviceId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(move |tx| {
            let sql = "SELECT row FROM device WHERE id = ?1";
            let row: i64 =
                one(tx.conn, sql, [id.as_str()], |row| get(row, 0))?.ok_or(StoreError::Missing)?;
            for sql in [
                "DELETE FROM shadow WHERE device = ?1",
                "DELETE FROM presence WHERE device = ?1",
                "DELETE FROM pending WHERE device = ?1",
                "DELETE FROM outbox WHERE device = ?1",
                "DELETE FROM device WHERE row = ?1",
            ] {
                tx.conn.execute(sql, [row]).or_engine()?;
            }
            for sql in [
                "DELETE FROM binding WHERE device = ?1",
                "UPDATE device SET gateway = NULL WHERE gateway = ?1",
            ] {
                tx.conn.execute(sql, [id.as_str()]).or_engine()?;
            }
            tx.gone(&id);
            Ok(())
        })
        .await
    }

    async fn register_device(&self, candidate: Device) -> Result<Registered, RegisterError> {
        // The refusal travels inside: only a failure of the store undoes the job.
        self.write(move |tx| match register(tx, candidate) {
            Err(RegisterError::Store(error)) => Err(error),
            decided => Ok(decided),
        })
        .await?
    }

    async fn presence(&self, id: &DeviceId) -> Result<Presence, StoreError> {
        self.read_presence(id)
    }

    async fn set_presence(&self, changes: Vec<PresenceChange>) -> Result<(), StoreError> {
        self.write_presence(changes).await
    }

    async fn note_refusal(
        &self,
        device: &DeviceId,
        code: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write_refusal(device.clone(), code.to_owned(), at).await
    }

    async fn recover_presence(&self, now: Timestamp) -> Result<Epoch, StoreError> {
        self.begin_run(now).await
    }

    async fn count_devices(&self, space: &SpaceId) -> Result<(u64, u64, u64), StoreError> {
        self.count_of(space)
    }
}

fn find(conn: &Connection, vault: &Vault, id: &DeviceId) -> Result<Option<Device>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM device d JOIN space s ON s.row = d.space WHERE d.id = ?1");
    one(conn, &sql, [id.as_str()], |row| of_row(row, vault))
}

fn find_node(
    conn: &Connection,
    vault: &Vault,
    product: &ProductId,
    node: &str,
) -> Result<Option<Device>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM device d JOIN space s ON s.row = d.space
         WHERE d.product = ?1 AND d.node = ?2"
    );
    one(conn, &sql, [product.as_str(), node], |row| of_row(row, vault))
}

fn create(tx: &mut Tx<'_>, device: &Device) -> Result<(), StoreError> {
    let conn = tx.conn;
    let node = "SELECT 1 FROM device WHERE product = ?1 AND node = ?2";
    let node = conn
        .prepare_cached(node)
        .and_then(|mut s| s.exists([device.product.as_str(), &device.node]))
        .or_engine()?;
    if node || exists(conn, "SELECT 1 FROM device WHERE id = ?1", device.id.as_str())? {
        return Err(StoreError::Exists);
    }
    if !exists(conn, "SELECT 1 FROM product WHERE id = ?1", device.product.as_str())? {
        return Err(StoreError::Missing);
    }
    if let Some(gateway) = &device.gateway {
        check_gateway(conn, gateway)?;
    }
    let secret = seal(&tx.shared.vault, place(&device.id), device.secret.as_ref())?;
    let params = params![
        device.id.as_str(),
        device.space.as_str(),
        device.product.as_str(),
        device.node,
        device.name,
        secret,
        device.fingerprint.as_ref().map(Fingerprint::as_bytes),
        device.gateway.as_ref().map(DeviceId::as_str),
        device.frozen,
        json(&device.info)?,
        device.created_at.0,
        device.activated_at.map(|at| at.0),
    ];
    let created = conn
        .prepare_cached(
            "INSERT INTO device (id, space, product, node, name, secret, fingerprint, gateway,
             frozen, info, created_at, activated_at)
             SELECT ?1, row, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12 FROM space WHERE id = ?2",
        )
        .and_then(|mut insert| insert.execute(params));
    super::access::found(created.or_exists()?)
}

/// Fails unless one more device fits behind a gateway.
fn check_gateway(conn: &Connection, gateway: &DeviceId) -> Result<(), StoreError> {
    if !exists(conn, "SELECT 1 FROM device WHERE id = ?1", gateway.as_str())? {
        return Err(StoreError::Missing);
    }
    let sql = "SELECT count(*) FROM device WHERE gateway = ?1";
    match count(conn, sql, [gateway.as_str()])? >= SUB_DEVICES_MAX as u64 {
        true => Err(StoreError::Limit("sub-devices per gateway")),
        false => Ok(()),
    }
}

/// Imports one device. The outer failure is the engine's and undoes the batch.
fn import(tx: &mut Tx<'_>, given: &Device) -> Result<Result<bool, StoreError>, StoreError> {
    let result = match find(tx.conn, &tx.shared.vault, &given.id)? {
        None => create(tx, given).map(|()| true),
        Some(stored) if !rule::same_identity(&stored, given) => Err(StoreError::Exists),
        Some(_) => update(tx, &given.id, rule::import_patch(given)).map(|_| false),
    };
    match result {
        Err(StoreError::Engine(failure)) => Err(StoreError::Engine(failure)),
        result => Ok(result),
    }
}

fn update(tx: &mut Tx<'_>, id: &DeviceId, patch: DevicePatch) -> Result<Arc<Device>, StoreError> {
    let mut device = find(tx.conn, &tx.shared.vault, id)?.ok_or(StoreError::Missing)?;
    if let Some(Some(gateway)) =
        patch.gateway.as_ref().filter(|gateway| **gateway != device.gateway)
    {
        check_gateway(tx.conn, gateway)?;
    }
    rule::patch_device(&mut device, patch);
    let params = params![
        device.id.as_str(),
        device.name,
        seal(&tx.shared.vault, place(&device.id), device.secret.as_ref())?,
        device.fingerprint.as_ref().map(Fingerprint::as_bytes),
        device.gateway.as_ref().map(DeviceId::as_str),
        device.frozen,
        json(&device.info)?,
        device.activated_at.map(|at| at.0),
    ];
    tx.conn
        .prepare_cached(
            "UPDATE device SET name = ?2, secret = ?3, fingerprint = ?4, gateway = ?5,
             frozen = ?6, info = ?7, activated_at = ?8 WHERE id = ?1",
        )
        .and_then(|mut update| update.execute(params))
        .or_engine()?;
    Ok(Arc::new(device))
}

fn register(tx: &mut Tx<'_>, candidate: Device) -> Result<Registered, RegisterError> {
    let vault = &tx.shared.vault;
    let product = product::find(tx.conn, vault, &candidate.product)?.ok_or(StoreError::Missing)?;
    let stored = find_node(tx.conn, vault, &candidate.product, &candidate.node)?;
    rule::may_register(product.registration, stored.as_ref())?;
    let Some(stored) = stored else {
        create(tx, &candidate)?;
        return Ok(Registered { device: Arc::new(candidate), created: true });
    };
    if stored.secret.is_some() {
        return Ok(Registered { device: Arc::new(stored), created: false });
    }
    let patch = DevicePatch { secret: candidate.secret, ..DevicePatch::default() };
    Ok(Registered { device: update(tx, &stored.id, patch)?, created: false })
}

fn place(id: &DeviceId) -> Place<'_> {
    Place { table: "device", row: id.as_str(), column: "secret" }
}

fn of_row(row: &Row<'_>, vault: &Vault) -> Result<Device, StoreError> {
    let id: DeviceId = text(row, 0)?;
    let sealed = row.get_ref(5).or_engine()?.as_blob_or_null();
    let sealed = sealed.map_err(|error| engine("reading", &error))?;
    let secret = sealed.map(|sealed| vault.open(place(&id), sealed)).transpose()?;
    let info = row.get_ref(9).or_engine()?.as_str();
    Ok(Device {
        space: text(row, 1)?,
        product: text(row, 2)?,
        node: text(row, 3)?,
        name: text(row, 4)?,
        secret,
        fingerprint: get::<Option<Vec<u8>>>(row, 6)?.map(fingerprint).transpose()?,
        gateway: maybe(row, 7)?,
        frozen: get(row, 8)?,
        info: of_json(info.map_err(|error| engine("reading", &error))?)?,
        created_at: Timestamp(get(row, 10)?),
        activated_at: get::<Option<i64>>(row, 11)?.map(Timestamp),
        id,
    })
}

fn fingerprint(bytes: Vec<u8>) -> Result<Fingerprint, StoreError> {
    let sha1 = <[u8; 20]>::try_from(&bytes[..]).map(Fingerprint::Sha1);
    sha1.or_else(|_| <[u8; 32]>::try_from(&bytes[..]).map(Fingerprint::Sha256))
        .map_err(|_| engine("reading", &"a fingerprint of a wrong size"))
}
