//! Devices and dynamic registration; presence is next door.

use std::sync::Arc;

use async_trait::async_trait;
use roadstead_core::device::{Access, Device, Fingerprint};
use roadstead_core::limit::{GATEWAY_DEPTH_MAX, SUB_DEVICES_MAX};
use roadstead_core::port::{
    DeviceFilter, DevicePatch, DeviceStore, Listing, Page, PresenceChange, RegisterError,
    Registered, StoreError,
};
use roadstead_core::session::{Epoch, Presence};
use roadstead_core::{DeviceId, ProductId, Secret, SpaceId, Timestamp};
use rusqlite::{Connection, Row, params};

use super::error::{OrEngine, engine};
use super::read::{count, exists, one, rows};
use super::word::{get, json, maybe, of_json, seal, text};
use super::writer::Tx;
use super::{Sqlite, product, tally};
use crate::crypt::{Place, Vault};
use crate::rule;

/// Columns of a device joined with its space.
pub(super) const COLUMNS: &str = "d.id, s.id, d.product, d.node, d.name, d.secret, d.fingerprint, \
                                  d.gateway, d.frozen, d.info, d.created_at, d.activated_at, \
                                  d.row, d.secondary_secret, d.secondary_fingerprint, d.secure, \
                                  d.register_within_s, d.tags";
/// Number of [`COLUMNS`].
pub(super) const WIDTH: usize = 18;
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
        self.list_devices(space, filter, page)
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
        self.write(move |tx| delete(tx, &id)).await
    }

    async fn delete_unregistered(
        &self,
        now: Timestamp,
        max: usize,
    ) -> Result<Vec<Arc<Device>>, StoreError> {
        self.write(move |tx| {
            let sql = format!(
                "SELECT {COLUMNS} FROM device d JOIN space s ON s.row = d.space
                 WHERE d.register_by <= ?1 AND d.activated_at IS NULL
                 AND NOT EXISTS (SELECT 1 FROM device sub WHERE sub.gateway = d.id)
                 ORDER BY d.register_by LIMIT ?2"
            );
            let overdue = rows(tx.conn, &sql, params![now.0, max as i64], |row| {
                of_row(row, &tx.shared.vault).map(Arc::new)
            })?;
            overdue.iter().try_for_each(|device| delete(tx, &device.id))?;
            Ok(overdue)
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

pub(super) fn find(
    conn: &Connection,
    vault: &Vault,
    id: &DeviceId,
) -> Result<Option<Device>, StoreError> {
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
        check_gateway(conn, &device.id, gateway)?;
    }
    let vault = &tx.shared.vault;
    let secret = seal(vault, place(&device.id), device.secret.as_ref())?;
    let access = &device.access;
    let second = seal(vault, second_place(&device.id), access.secondary_secret.as_ref())?;
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
        second,
        access.secondary_fingerprint.as_ref().map(Fingerprint::as_bytes),
        access.secure,
        access.register_within_s,
        device.register_by().map(|at| at.0),
    ];
    let created = conn
        .prepare_cached(
            "INSERT INTO device (id, space, product, node, name, secret, fingerprint, gateway,
             frozen, info, created_at, activated_at, secondary_secret, secondary_fingerprint,
             secure, register_within_s, register_by)
             SELECT ?1, row, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17
             FROM space WHERE id = ?2",
        )
        .and_then(|mut insert| insert.execute(params));
    super::access::found(created.or_exists()?)?;
    match device.tags.is_empty() {
        true => Ok(()),
        false => super::tag::put(tx, &device.id, &device.tags),
    }
}

/// Deletes a device with everything that is its own.
fn delete(tx: &mut Tx<'_>, id: &DeviceId) -> Result<(), StoreError> {
    let sql = "SELECT row FROM device WHERE id = ?1";
    let row: i64 =
        one(tx.conn, sql, [id.as_str()], |row| get(row, 0))?.ok_or(StoreError::Missing)?;
    if exists(tx.conn, "SELECT 1 FROM device WHERE gateway = ?1", id.as_str())? {
        return Err(StoreError::InUse("sub-devices"));
    }
    for sql in [
        "DELETE FROM shadow WHERE device = ?1",
        "DELETE FROM presence WHERE device = ?1",
        "DELETE FROM pending WHERE device = ?1",
        "DELETE FROM outbox WHERE device = ?1",
        "DELETE FROM tag WHERE device = ?1",
        "DELETE FROM member WHERE device = ?1",
        "DELETE FROM device WHERE row = ?1",
    ] {
        tx.conn.prepare_cached(sql).and_then(|mut s| s.execute([row])).or_engine()?;
    }
    for sql in ["DELETE FROM binding WHERE device = ?1", "DELETE FROM record WHERE device = ?1"] {
        tx.conn.prepare_cached(sql).and_then(|mut s| s.execute([id.as_str()])).or_engine()?;
    }
    tx.gone(id);
    Ok(())
}

/// Fails unless one more device fits behind a gateway.
fn check_gateway(
    conn: &Connection,
    device: &DeviceId,
    gateway: &DeviceId,
) -> Result<(), StoreError> {
    let above = |id: &str| {
        let sql = "SELECT gateway FROM device WHERE id = ?1";
        one(conn, sql, [id], |row| maybe::<DeviceId>(row, 0))
    };
    let mut level = 1;
    let mut next = above(gateway.as_str())?.ok_or(StoreError::Missing)?;
    while let Some(id) = next.filter(|_| level <= GATEWAY_DEPTH_MAX) {
        level += 1;
        next = above(id.as_str())?.flatten();
    }
    let sql = "WITH RECURSIVE below (id, level) AS (
                   VALUES (?1, 0)
                   UNION ALL
                   SELECT d.id, level + 1 FROM below JOIN device d ON d.gateway = below.id
                   WHERE level <= ?2
               )
               SELECT max(level) FROM below";
    let below = count(conn, sql, params![device.as_str(), GATEWAY_DEPTH_MAX as i64])?;
    if gateway == device || level + below as usize > GATEWAY_DEPTH_MAX {
        return Err(StoreError::Limit("levels of gateways"));
    }
    match tally::of(conn, tally::GATEWAY, &gateway.as_str())? >= SUB_DEVICES_MAX as u64 {
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
        check_gateway(tx.conn, id, gateway)?;
    }
    rule::patch_device(&mut device, patch);
    let (vault, access) = (&tx.shared.vault, &device.access);
    let params = params![
        device.id.as_str(),
        device.name,
        seal(vault, place(&device.id), device.secret.as_ref())?,
        device.fingerprint.as_ref().map(Fingerprint::as_bytes),
        device.gateway.as_ref().map(DeviceId::as_str),
        device.frozen,
        json(&device.info)?,
        device.activated_at.map(|at| at.0),
        seal(vault, second_place(&device.id), access.secondary_secret.as_ref())?,
        access.secondary_fingerprint.as_ref().map(Fingerprint::as_bytes),
        access.secure,
        access.register_within_s,
        device.register_by().map(|at| at.0),
    ];
    tx.conn
        .prepare_cached(
            "UPDATE device SET name = ?2, secret = ?3, fingerprint = ?4, gateway = ?5,
             frozen = ?6, info = ?7, activated_at = ?8, secondary_secret = ?9,
             secondary_fingerprint = ?10, secure = ?11, register_within_s = ?12, register_by = ?13
             WHERE id = ?1",
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

fn second_place(id: &DeviceId) -> Place<'_> {
    Place { table: "device", row: id.as_str(), column: "secondary_secret" }
}

/// Reads [`COLUMNS`].
pub(super) fn of_row(row: &Row<'_>, vault: &Vault) -> Result<Device, StoreError> {
    let id: DeviceId = text(row, 0)?;
    let info = row.get_ref(9).or_engine()?.as_str();
    let digest = |n| get::<Option<Vec<u8>>>(row, n)?.map(fingerprint).transpose();
    let tags = row.get_ref(17).or_engine()?.as_str_or_null();
    let tags = tags.map_err(|error| engine("reading", &error))?;
    Ok(Device {
        space: text(row, 1)?,
        product: text(row, 2)?,
        node: text(row, 3)?,
        name: text(row, 4)?,
        secret: unseal(row, 5, vault, place(&id))?,
        fingerprint: digest(6)?,
        gateway: maybe(row, 7)?,
        frozen: get(row, 8)?,
        info: of_json(info.map_err(|error| engine("reading", &error))?)?,
        created_at: Timestamp(get(row, 10)?),
        activated_at: get::<Option<i64>>(row, 11)?.map(Timestamp),
        access: Access {
            secondary_secret: unseal(row, 13, vault, second_place(&id))?,
            secondary_fingerprint: digest(14)?,
            secure: get(row, 15)?,
            register_within_s: get(row, 16)?,
        },
        tags: tags.map(of_json).transpose()?.unwrap_or_default(),
        number: get::<i64>(row, 12)?.unsigned_abs(),
        id,
    })
}

fn unseal(
    row: &Row<'_>,
    n: usize,
    vault: &Vault,
    place: Place<'_>,
) -> Result<Option<Secret>, StoreError> {
    let sealed = row.get_ref(n).or_engine()?.as_blob_or_null();
    let sealed = sealed.map_err(|error| engine("reading", &error))?;
    sealed.map(|sealed| vault.open(place, sealed)).transpose()
}

fn fingerprint(bytes: Vec<u8>) -> Result<Fingerprint, StoreError> {
    let sha1 = <[u8; 20]>::try_from(&bytes[..]).map(Fingerprint::Sha1);
    sha1.or_else(|_| <[u8; 32]>::try_from(&bytes[..]).map(Fingerprint::Sha256))
        .map_err(|_| engine("reading", &"a fingerprint of a wrong size"))
}
