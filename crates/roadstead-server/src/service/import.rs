//! Fleet import: products and devices with the ids and secrets that are in the field already.
//!
//! Reading files is the caller's; here come rows with their line numbers. Importing the same rows
//! twice changes nothing the second time. A bad row is reported and skipped, the others go in.

use std::collections::HashMap;
use std::sync::Arc;

use roadstead_core::device::{Device, Fingerprint};
use roadstead_core::port::StoreError;
use roadstead_core::product::{Auth, Product, Rebind, Registration};
use roadstead_core::{Code, DeviceId, Map, ProductId, Secret, SpaceId, Value};
use serde::{Deserialize, Deserializer, Serialize};

use super::device::check_device;
use super::product::{check_product, import_model};
use super::{Error, Platform, model_file};

/// Devices handed to the store in one call.
const BATCH: usize = 1000;
/// Errors that are reported one by one.
const ERRORS_MAX: usize = 1000;

/// Rows of a fleet file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fleet {
    /// The products.
    pub products: Vec<FleetProduct>,
    /// The devices.
    pub devices: Vec<FleetDevice>,
}

/// One product row.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetProduct {
    /// Line in the file, from 1; 0 when unknown.
    #[serde(default)]
    pub line: u32,
    /// Name of the dialect.
    pub dialect: String,
    /// The vendor's own id.
    pub product: String,
    /// Display name.
    #[serde(default)]
    pub name: Option<String>,
    /// Product secret as the vendor shows it.
    #[serde(default, deserialize_with = "secret")]
    pub secret: Option<Secret>,
    /// How devices prove who they are.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// Whether devices may register themselves.
    #[serde(default)]
    pub dynamic_registration: Option<Registration>,
    /// The vendor's own thing-model document.
    #[serde(default)]
    pub model: Option<Value>,
}

/// One device row.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetDevice {
    /// Line in the file, from 1; 0 when unknown.
    #[serde(default)]
    pub line: u32,
    /// Name of the dialect.
    pub dialect: String,
    /// Product id.
    pub product: String,
    /// The vendor's name inside the product.
    pub device: String,
    /// Its id where the vendor assigns one.
    #[serde(default)]
    pub device_id: Option<String>,
    /// Display name.
    #[serde(default)]
    pub name: Option<String>,
    /// Secret as the vendor shows it; without one the device is pre-registered.
    #[serde(default, deserialize_with = "secret")]
    pub secret: Option<Secret>,
    /// Digest of its certificate, SHA-1 or SHA-256 in hex.
    #[serde(default)]
    pub fingerprint: Option<String>,
    /// The gateway it is attached to: its device id, or `PRODUCT/DEVICE`.
    #[serde(default)]
    pub gateway: Option<String>,
}

/// How many rows did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Were not there before.
    pub created: u64,
    /// Were there, equal.
    pub unchanged: u64,
    /// Were there, different.
    pub updated: u64,
    /// Are wrong.
    pub failed: u64,
}

/// Why a row was not imported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowError {
    /// Line in the file; 0 when unknown.
    pub line: u32,
    /// Stable code.
    pub code: Code,
    /// Which element and which rule; never a secret.
    pub message: String,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FleetReport {
    /// Products.
    pub products: Counts,
    /// Devices.
    pub devices: Counts,
    /// The first wrong rows, in order of their kind and line.
    pub errors: Vec<RowError>,
}

/// Whether a device will work without a change of its firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Works {
    /// Only the name resolution changes.
    Yes,
    /// If what `message` names holds for the firmware.
    Depends,
    /// Not as it stands.
    No,
}

/// The verdict on one device row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FleetCheck {
    /// Line in the file; 0 when unknown.
    pub line: u32,
    /// Product id.
    pub product: String,
    /// Node id.
    pub device: String,
    /// The verdict.
    pub works: Works,
    /// `ok` or a stable code.
    pub code: Code,
    /// Why, and what would have to change.
    pub message: String,
}

impl FleetReport {
    fn fail(&mut self, line: u32, error: &Error) {
        if self.errors.len() < ERRORS_MAX {
            let message = match std::error::Error::source(error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            };
            self.errors.push(RowError { line, code: row_code(error), message });
        }
    }
}

impl Platform {
    /// Imports rows into a space.
    ///
    /// # Errors
    ///
    /// Only when the store fails as a whole; wrong rows are in the report.
    pub async fn import(
        self: &Arc<Self>,
        space: &SpaceId,
        fleet: Fleet,
    ) -> Result<FleetReport, Error> {
        let mut report = FleetReport::default();
        for row in fleet.products {
            let line = row.line;
            match self.import_product(space, row).await {
                Ok(Change::Created) => report.products.created += 1,
                Ok(Change::Unchanged) => report.products.unchanged += 1,
                Ok(Change::Updated) => report.products.updated += 1,
                Err(error) => {
                    report.products.failed += 1;
                    report.fail(line, &error);
                }
            }
        }
        let mut rows = fleet.devices;
        // A file may name a sub-device before its gateway.
        rows.sort_by_key(|row| row.gateway.is_some());
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let batch: Vec<FleetDevice> = rows.by_ref().take(BATCH).collect();
            self.import_batch(space, batch, &mut report).await?;
        }
        self.observer
            .count("import", if report.errors.is_empty() { "ok" } else { "import.bad_row" });
        Ok(report)
    }

    /// Says of every device row whether it will work unmodified; changes nothing.
    ///
    /// # Errors
    ///
    /// Only when the store fails.
    pub async fn check_fleet(
        &self,
        space: &SpaceId,
        fleet: &Fleet,
    ) -> Result<(FleetReport, Vec<FleetCheck>), Error> {
        let mut report = FleetReport::default();
        let mut products: HashMap<&str, Arc<Product>> = HashMap::new();
        for row in &fleet.products {
            match self.read_product(space, row).await {
                Ok((product, _)) => drop(products.insert(&row.product, Arc::new(product))),
                Err(error) => {
                    report.products.failed += 1;
                    report.fail(row.line, &error);
                }
            }
        }
        let mut checks = Vec::with_capacity(fleet.devices.len());
        for row in &fleet.devices {
            let product = match products.get(&*row.product) {
                Some(product) => Ok(product.clone()),
                None => self.product_for(space, row).await,
            };
            let read = product.and_then(|p| Ok((read_device(space, row, &p, self)?, p)));
            let (works, code, message) = match read {
                Ok((device, product)) => verdict(&product, &device),
                Err(error) => {
                    report.devices.failed += 1;
                    report.fail(row.line, &error);
                    (Works::No, row_code(&error), error.to_string())
                }
            };
            let (product, device) = (row.product.clone(), row.device.clone());
            checks.push(FleetCheck { line: row.line, product, device, works, code, message });
        }
        Ok((report, checks))
    }

    async fn import_product(
        self: &Arc<Self>,
        space: &SpaceId,
        row: FleetProduct,
    ) -> Result<Change, Error> {
        let (product, before) = self.read_product(space, &row).await?;
        let Some(before) = before else {
            self.store.create_product(product).await?;
            return Ok(Change::Created);
        };
        if same_product(&before, &product) {
            return Ok(Change::Unchanged);
        }
        self.store.update_product(product.clone()).await?;
        self.reload_devices(Arc::new(product));
        Ok(Change::Updated)
    }

    /// Returns the product as it will be, and as it was. What the row does not say stays.
    async fn read_product(
        &self,
        space: &SpaceId,
        row: &FleetProduct,
    ) -> Result<(Product, Option<Arc<Product>>), Error> {
        let before = self.store.product(&row.product.as_str().into()).await?;
        if let Some(before) = &before
            && (before.space != *space || *before.dialect != row.dialect)
        {
            let text = "the product exists in another space or dialect";
            return Err(Error::Conflict(text.into()));
        }
        let mut product = match &before {
            Some(before) => Product::clone(before),
            None => Product {
                id: ProductId::new(row.product.as_str()),
                space: space.clone(),
                dialect: row.dialect.as_str().into(),
                name: row.product.as_str().into(),
                secret: None,
                auth: Auth::default(),
                registration: Registration::default(),
                rebind: Rebind::default(),
                model: roadstead_core::product::Model::default(),
                attributes: Map::new(),
                created_at: self.clock.now(),
            },
        };
        if let Some(name) = &row.name {
            product.name = name.as_str().into();
        }
        product.secret = row.secret.clone().or(product.secret);
        product.auth = row.auth.unwrap_or(product.auth);
        product.registration = row.dynamic_registration.unwrap_or(product.registration);
        if let Some(model) = &row.model {
            product.model = import_model(&row.dialect, model)?;
            if let Ok(file) = model_file::read_document(model) {
                product.attributes.extend(file.packed.attributes);
            }
        }
        check_product(&product)?;
        Ok((product, before))
    }

    async fn product_for(&self, space: &SpaceId, row: &FleetDevice) -> Result<Arc<Product>, Error> {
        let product = self.store.product(&row.product.as_str().into()).await?;
        let product = product.filter(|p| p.space == *space && *p.dialect == row.dialect);
        product.ok_or_else(|| {
            let text = format!("no {} product `{}` in the space", row.dialect, row.product);
            Error::Rule(roadstead_dialects::Problem::new("import.bad_row", text))
        })
    }

    async fn import_batch(
        &self,
        space: &SpaceId,
        rows: Vec<FleetDevice>,
        report: &mut FleetReport,
    ) -> Result<(), Error> {
        let mut lines = Vec::with_capacity(rows.len());
        let mut devices: Vec<Device> = Vec::with_capacity(rows.len());
        for row in &rows {
            let product = self.product_for(space, row).await;
            match product.and_then(|product| read_device(space, row, &product, self)) {
                Ok(device) => {
                    let before = self.store.device_by_node(&device.product, &device.node).await?;
                    if before.as_ref().is_some_and(|before| covers(before, &device)) {
                        report.devices.unchanged += 1;
                        continue;
                    }
                    // Where the vendor's row names no id, the one that is stored stays.
                    let id = before.as_ref().filter(|_| row.device_id.is_none());
                    let id = id.map_or(device.id.clone(), |before| before.id.clone());
                    let revoked = before.is_some_and(|before| credential_changes(&before, &device));
                    lines.push((row.line, id.clone(), revoked));
                    devices.push(Device { id, ..device });
                }
                Err(error) => {
                    report.devices.failed += 1;
                    report.fail(row.line, &error);
                }
            }
        }
        let results = self.store.import_devices(devices).await?;
        for ((line, device, revoked), result) in lines.into_iter().zip(results) {
            match result {
                Ok(true) => report.devices.created += 1,
                Ok(false) => {
                    report.devices.updated += 1;
                    if revoked {
                        self.revoke(&device);
                    }
                }
                Err(error) => {
                    report.devices.failed += 1;
                    report.fail(line, &conflict(error));
                }
            }
        }
        Ok(())
    }
}

enum Change {
    Created,
    Unchanged,
    Updated,
}

fn read_device(
    space: &SpaceId,
    row: &FleetDevice,
    product: &Product,
    platform: &Platform,
) -> Result<Device, Error> {
    let bad_row =
        |text: String| Error::Rule(roadstead_dialects::Problem::new("import.bad_row", text));
    if *product.dialect != row.dialect {
        return Err(bad_row(format!(
            "product `{}` is of dialect `{}`",
            product.id, product.dialect
        )));
    }
    let dialect = super::device::dialect_of(product)?;
    check_device(dialect, &product.id, &row.device, row.device_id.as_deref(), row.secret.as_ref())?;
    let fingerprint = match &row.fingerprint {
        None => None,
        Some(text) => Some(Fingerprint::parse(text).ok_or_else(|| {
            bad_row("`fingerprint` has 40 (SHA-1) or 64 (SHA-256) hex digits".into())
        })?),
    };
    let gateway = row.gateway.as_deref().map(|gateway| match gateway.split_once('/') {
        Some((product, node)) => DeviceId::of_node(&product.into(), node),
        None => DeviceId::new(gateway),
    });
    Ok(Device {
        id: match &row.device_id {
            Some(id) => DeviceId::new(id.as_str()),
            None => DeviceId::of_node(&product.id, &row.device),
        },
        space: space.clone(),
        product: product.id.clone(),
        node: row.device.as_str().into(),
        name: row.name.as_deref().unwrap_or("").into(),
        secret: row.secret.clone(),
        fingerprint,
        gateway,
        frozen: false,
        info: Map::new(),
        created_at: platform.clock.now(),
        activated_at: None,
        access: roadstead_core::device::Access::default(),
        tags: roadstead_core::device::Tags::new(),
        number: 0,
    })
}

/// Says whether a device will work with its firmware as it is. What a vendor's transport needs
/// beyond that is on the protocol page of its dialect.
fn verdict(product: &Product, device: &Device) -> (Works, Code, String) {
    let no = |code: Code, text: &str| (Works::No, code, text.to_owned());
    match (product.auth, &device.secret, product.registration) {
        (Auth::Certificate, _, Registration::Off) if device.fingerprint.is_none() => {
            no("auth.certificate_mismatch", "give the fingerprint of its certificate")
        }
        (Auth::Certificate, _, _) => (
            Works::Depends,
            "ok",
            "the firmware checks the server's certificate: it must trust the CA of this server"
                .to_owned(),
        ),
        (Auth::Secret, Some(_), _) => (Works::Yes, "ok", "its secret is known".to_owned()),
        (Auth::Secret, None, Registration::Off) => no(
            "auth.no_credential",
            "it has no secret and dynamic registration is off: import the secret or switch it on",
        ),
        (Auth::Secret, None, _) if product.secret.is_none() => no(
            "register.bad_signature",
            "it has no secret and must register, but the product secret is missing",
        ),
        (Auth::Secret, None, Registration::Preregistered | Registration::Open) => (
            Works::Depends,
            "ok",
            "it registers itself: over plain HTTP as it is; over HTTPS its firmware must trust \
             the CA of this server"
                .to_owned(),
        ),
    }
}

/// True when an import of `given` would change nothing.
fn covers(stored: &Device, given: &Device) -> bool {
    stored.space == given.space
        && (given.name.is_empty() || stored.name == given.name)
        && !credential_changes(stored, given)
        && given.gateway.as_ref().is_none_or(|gateway| stored.gateway.as_ref() == Some(gateway))
}

fn credential_changes(stored: &Device, given: &Device) -> bool {
    let secret = given.secret.as_ref().is_some_and(|secret| stored.secret.as_ref() != Some(secret));
    let fingerprint = given
        .fingerprint
        .as_ref()
        .is_some_and(|digest| stored.fingerprint.as_ref() != Some(digest));
    secret || fingerprint
}

fn same_product(a: &Product, b: &Product) -> bool {
    a.name == b.name
        && a.secret == b.secret
        && a.auth == b.auth
        && a.registration == b.registration
        && a.model == b.model
        && a.attributes == b.attributes
}

fn conflict(error: StoreError) -> Error {
    if error == StoreError::Exists {
        let text = "the device exists in another product or space, or with another id";
        return Error::Conflict(text.into());
    }
    if error == StoreError::Missing {
        let text = "its gateway is no device of the platform; import that, too".to_owned();
        return Error::Rule(roadstead_dialects::Problem::new("import.bad_row", text));
    }
    error.into()
}

/// Rows have their own words for what is wrong with them.
fn row_code(error: &Error) -> Code {
    match error.code() {
        "api.conflict" => "import.conflict",
        "api.bad_request" => "import.bad_row",
        code => code,
    }
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Secret::from))
}
