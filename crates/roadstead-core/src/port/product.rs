//! Products.

use alloc::boxed::Box;
use alloc::sync::Arc;

use async_trait::async_trait;

use super::{Listing, Page, StoreError};
use crate::product::Product;
use crate::{ProductId, SpaceId};

/// Products. Ids are unique in the instance: devices name them without a space.
#[async_trait]
pub trait ProductStore: Send + Sync {
    /// Returns a product; hot path, served from memory.
    async fn product(&self, id: &ProductId) -> Result<Option<Arc<Product>>, StoreError>;

    /// Lists the products of a space, optionally by exact name.
    async fn products(
        &self,
        space: &SpaceId,
        name: Option<&str>,
        page: &Page,
    ) -> Result<Listing<Arc<Product>>, StoreError>;

    /// Creates a product. `Exists` when the id is taken.
    async fn create_product(&self, product: Product) -> Result<(), StoreError>;

    /// Replaces a product. `Missing` when it does not exist.
    async fn update_product(&self, product: Product) -> Result<(), StoreError>;

    /// Deletes a product; `InUse` when it has devices.
    async fn delete_product(&self, id: &ProductId) -> Result<(), StoreError>;
}
