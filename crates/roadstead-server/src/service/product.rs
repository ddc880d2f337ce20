//! Products as operators manage them; their thing models come in through the dialects.

use std::sync::Arc;

use roadstead_core::limit::{MODEL_BYTES_MAX, PAGE_ITEMS_MAX};
use roadstead_core::port::{DeviceFilter, Listing, Page, StoreError};
use roadstead_core::product::{Auth, Model, Product, Rebind, Registration};
use roadstead_core::{Map, ProductId, Secret, SpaceId, Value};
use roadstead_dialects::cloud::Account;
use roadstead_dialects::{ALL, Problem, SecretKind};

use super::device::{check_display_name, check_secret, dialect_of};
use super::{Error, Platform};
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
        Ok(self.store.delete_product(id).await?)
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
                page.after = Some(last.id.as_str().into());
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

/// Imports a thing-model document: in the format of its own dialect, or of any other that
/// recognises it.
///
/// # Errors
///
/// `import.bad_model` naming the element, or that nobody recognises the document.
pub fn import_model(dialect: &str, document: &Value) -> Result<Model, Problem> {
    let own = roadstead_dialects::find(dialect);
    let others = ALL.iter().copied().filter(|other| other.id() != dialect);
    own.into_iter().chain(others).find_map(|d| d.import_model(document)).unwrap_or_else(|| {
        let text = "the document is in the thing-model format of no known dialect";
        Err(Problem::new("import.bad_model", text))
    })
}

/// Checks a product against the vendor's rules and the limits.
pub(super) fn check_product(product: &Product) -> Result<(), Error> {
    let dialect = dialect_of(product)?;
    dialect.check_ids(product.id.as_str(), None)?;
    check_display_name(&product.name)?;
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
