//! Products as operators manage them; their thing models come in through the dialects.

use std::sync::Arc;

use roadstead_core::limit::{MODEL_BYTES_MAX, PAGE_ITEMS_MAX};
use roadstead_core::port::{DeviceFilter, Listing, Page, StoreError, marker};
use roadstead_core::product::{Auth, Model, Product, Property, Rebind, Registration, Service};
use roadstead_core::shadow::{Change, Values};
use roadstead_core::trust::{Target, TargetKind};
use roadstead_core::{Map, ProductId, Secret, SpaceId, Timestamp, Value};
use roadstead_dialects::cloud::Account;
use roadstead_dialects::{Problem, SecretKind};

use super::device::{check_display_name, check_secret, dialect_of};
use super::{Error, Platform, model_file};
use crate::directory::Order;

/// A product to create.
#[derive(Default)]
pub struct NewProduct {
    /// Name of its dialect.
    pub dialect: String,
    /// The vendor's own id.
    pub id: String,
    /// Display name; the id when absent.
    pub name: Option<String>,
    /// Product secret as the vendor shows it.
    pub secret: Option<Secret>,
    /// How its devices prove who they are.
    pub auth: Auth,
    /// Whether unknown devices may register themselves.
    pub registration: Registration,
    /// What happens when a bound device reports another user's token.
    pub rebind: Rebind,
    /// The thing model.
    pub model: Model,
    /// Descriptive fields.
    pub attributes: Map<String, Value>,
}

/// What an update of a product changes; `None` leaves a field as it is.
#[derive(Default)]
pub struct ProductPatch {
    /// Display name.
    pub name: Option<String>,
    /// Product secret.
    pub secret: Option<Secret>,
    /// How devices prove who they are.
    pub auth: Option<Auth>,
    /// Whether unknown devices may register themselves.
    pub registration: Option<Registration>,
    /// What happens when a bound device reports another user's token.
    pub rebind: Option<Rebind>,
    /// The thing model.
    pub model: Option<Model>,
    /// Descriptive fields to merge; `null` removes one.
    pub attributes: Option<Map<String, Value>>,
}

impl Platform {
    /// Returns a product of a space.
    ///
    /// # Errors
    ///
    /// `api.not_found`.
    pub async fn product(&self, space: &SpaceId, id: &ProductId) -> Result<Arc<Product>, Error> {
        let product = self.store.product(id).await?.filter(|product| product.space == *space);
        product.ok_or(Error::NotFound("product"))
    }

    /// Lists the products of a space by id, optionally by exact name.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn products(
        &self,
        space: &SpaceId,
        name: Option<&str>,
        page: &Page,
    ) -> Result<Listing<Arc<Product>>, Error> {
        Ok(self.store.products(space, name, page).await?)
    }

    /// Creates a product.
    ///
    /// # Errors
    ///
    /// `api.conflict` when the id is taken in any space, `import.*` for a broken vendor rule.
    pub async fn create_product(
        &self,
        space: &SpaceId,
        new: NewProduct,
    ) -> Result<Arc<Product>, Error> {
        let NewProduct { dialect, id, name, secret, auth, registration, rebind, .. } = new;
        let product = Product {
            id: ProductId::new(id.as_str()),
            space: space.clone(),
            dialect: dialect.into(),
            name: name.unwrap_or(id).into(),
            secret,
            auth,
            registration,
            rebind,
            model: new.model,
            attributes: new.attributes,
            created_at: self.clock.now(),
        };
        check_product(&product)?;
        let _gate = self.product_gate.lock().await;
        self.check_among(&product, true).await?;
        match self.store.create_product(product.clone()).await {
            Ok(()) => Ok(Arc::new(product)),
            Err(StoreError::Exists) => {
                Err(Error::Conflict(format!("product `{}` exists already", product.id)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a product; live connections of its devices use the change from now on.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `import.*` for a broken vendor rule.
    pub async fn update_product(
        self: &Arc<Self>,
        space: &SpaceId,
        id: &ProductId,
        patch: ProductPatch,
    ) -> Result<Arc<Product>, Error> {
        let mut product = Product::clone(&*self.product(space, id).await?);
        let ProductPatch { name, secret, auth, registration, rebind, model, attributes } = patch;
        product.name = name.map_or(product.name, Into::into);
        product.secret = secret.or(product.secret);
        product.auth = auth.unwrap_or(product.auth);
        product.registration = registration.unwrap_or(product.registration);
        product.rebind = rebind.unwrap_or(product.rebind);
        product.model = model.unwrap_or(product.model);
        for (key, value) in attributes.into_iter().flatten() {
            if value.is_null() {
                product.attributes.shift_remove(&key);
            } else {
                product.attributes.insert(key, value);
            }
        }
        check_product(&product)?;
        let _gate = self.product_gate.lock().await;
        self.check_among(&product, false).await?;
        self.store.update_product(product.clone()).await?;
        let product = Arc::new(product);
        self.reload_devices(product.clone());
        Ok(product)
    }

    /// Deletes a product without devices.
    ///
    /// # Errors
    ///
    /// `api.not_found`, `api.conflict` while it has devices.
    pub async fn delete_product(&self, space: &SpaceId, id: &ProductId) -> Result<(), Error> {
        self.product(space, id).await?;
        self.store.delete_product(id).await?;
        let target = Target { kind: TargetKind::Product, id: id.as_str().into() };
        Ok(self.forget_target(&target).await?)
    }

    /// Tells every live connection of the product's devices, in the background.
    pub(super) fn reload_devices(self: &Arc<Self>, product: Arc<Product>) {
        let platform = self.clone();
        tokio::spawn(async move {
            let filter =
                DeviceFilter { product: Some(product.id.clone()), ..DeviceFilter::default() };
            let limit = u32::try_from(PAGE_ITEMS_MAX).unwrap_or(u32::MAX);
            let mut page = Page { limit, ..Page::default() };
            loop {
                let listed = platform.store.devices(&product.space, &filter, &page).await;
                let items = match listed {
                    Ok(listing) => listing.items,
                    Err(error) => return tracing::warn!(%error, "listing devices to reload"),
                };
                let Some((last, _)) = items.last() else { return };
                page.after = Some(marker(last.number).into());
                for (device, _) in items {
                    if let Some(link) = platform.directory.find(&device.id) {
                        let account = Account { product: product.clone(), device };
                        drop(link.send(Order::Reload(account)));
                    }
                }
            }
        });
    }
}

/// Imports a thing-model document for a product of `dialect`: in that dialect's format as it is,
/// in any other as far as meaning allows.
///
/// # Errors
///
/// `import.bad_model` naming the element, or that nobody recognises the document.
pub fn import_model(dialect: &str, document: &Value) -> Result<Model, Problem> {
    let own = roadstead_dialects::find(dialect);
    if let Some((own, model)) = own.and_then(|own| Some((own, own.import_model(document)?))) {
        let model = model?;
        own.check_model(&model)?;
        return Ok(model);
    }
    let file = model_file::read_document(document)?;
    match own {
        Some(own) => model_file::fit(&file, own).map(|adapted| adapted.model),
        None => Ok(file.packed.model),
    }
}

/// Checks a product against the vendor's rules and the limits.
pub(super) fn check_product(product: &Product) -> Result<(), Error> {
    let dialect = dialect_of(product)?;
    dialect.check_ids(product.id.as_str(), None)?;
    check_display_name(&product.name)?;
    check_attributes(&product.attributes)?;
    dialect.check_model(&product.model)?;
    if let Some(secret) = &product.secret {
        check_secret(dialect, SecretKind::Product, secret)?;
    }
    let size = serde_json::to_vec(&product.model).map_or(usize::MAX, |json| json.len());
    if size > MODEL_BYTES_MAX {
        let text = format!("the model has {size} bytes, at most {MODEL_BYTES_MAX} are kept");
        return Err(Problem::new("import.bad_model", text).into());
    }
    Ok(())
}

/// Longest descriptive fields, characters (Huawei §7.1).
const ATTRIBUTES: [(&str, usize); 7] = [
    ("device_type", 32),
    ("protocol_type", 16),
    ("manufacturer_name", 32),
    ("industry", 64),
    ("description", 128),
    ("manufacturer_id", 50),
    ("device_model", 50),
];
/// Encodings of reports.
const DATA_FORMATS: [&str; 2] = ["json", "binary"];

fn check_attributes(attributes: &Map<String, Value>) -> Result<(), Error> {
    let text = |key: &str| attributes.get(key).and_then(Value::as_str);
    for (key, max) in ATTRIBUTES {
        if text(key).is_some_and(|text| text.chars().count() > max) {
            return Err(Error::Invalid(format!("{key}: at most {max} characters")));
        }
    }
    match text("data_format") {
        Some(format) if !format.is_empty() && !DATA_FORMATS.contains(&format) => {
            Err(Error::Invalid(format!("data_format: `{format}` is neither json nor binary")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Manufacturer id and model, where a product has both: no two products of a space share them.
fn make_of(attributes: &Map<String, Value>) -> Option<(&str, &str)> {
    let text =
        |key: &str| attributes.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    Some((text("manufacturer_id")?, text("device_model")?))
}

impl Platform {
    /// Checks what holds among the products of a space. Called under the gate of products, so
    /// that two creations do not pass each other.
    async fn check_among(&self, product: &Product, is_new: bool) -> Result<(), Error> {
        let limit = u32::try_from(PAGE_ITEMS_MAX).unwrap_or(u32::MAX);
        let mut page = Page { limit, ..Page::default() };
        let make = make_of(&product.attributes);
        loop {
            let listing = self.store.products(&product.space, None, &page).await?;
            let max = self.config.quota.products;
            if is_new && listing.total >= max {
                let text = format!("the space has {max} products, the most it may have");
                return Err(Error::Quota(text));
            }
            let same = |other: &&Arc<Product>| {
                other.id != product.id && make.is_some() && make_of(&other.attributes) == make
            };
            if let Some(other) = listing.items.iter().find(same) {
                let text =
                    format!("manufacturer id and model exist already: product `{}`", other.id);
                return Err(Problem::new("import.model_exists", text).into());
            }
            match listing.items.last() {
                Some(last) if make.is_some() => page.after = Some(last.id.as_str().into()),
                Some(_) | None => return Ok(()),
            }
        }
    }

    /// Returns what is desired of a new device of a product, by service: the initial values of
    /// its model, where the dialect's vendor means them so.
    pub(super) fn initial_state(product: &Product, at: Timestamp) -> Vec<Change> {
        let dialect = roadstead_dialects::find(&product.dialect);
        if !dialect.is_some_and(|dialect| dialect.desires_initial_values()) {
            return Vec::new();
        }
        let desire = |service: &Service| {
            let of = |p: &Property| Some(((*p.id).to_owned(), p.initial.clone()?));
            let properties: Map<String, Value> = service.properties.iter().filter_map(of).collect();
            let values = Values { properties, at };
            (!values.properties.is_empty())
                .then(|| Change::Desire { service: service.id.clone(), values })
        };
        product.model.services.iter().filter_map(desire).collect()
    }
}
