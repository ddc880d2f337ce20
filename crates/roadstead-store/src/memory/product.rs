//! Products.

use std::sync::Arc;

use async_trait::async_trait;
use roadstead_core::port::{Listing, Page, ProductStore, StoreError};
use roadstead_core::product::Product;
use roadstead_core::{ProductId, SpaceId};

use super::Memory;
use crate::rule;

#[async_trait]
impl ProductStore for Memory {
    async fn product(&self, id: &ProductId) -> Result<Option<Arc<Product>>, StoreError> {
        Ok(self.lock().products.get(id).cloned())
    }

    async fn products(
        &self,
        space: &SpaceId,
        name: Option<&str>,
        page: &Page,
    ) -> Result<Listing<Arc<Product>>, StoreError> {
        let state = self.lock();
        let matching = state.products.values().filter(|product| {
            product.space == *space && name.is_none_or(|name| &*product.name == name)
        });
        Ok(cut(matching, page, |product| product.id.as_str()))
    }

    async fn create_product(&self, product: Product) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.products.contains_key(&product.id) {
            return Err(StoreError::Exists);
        }
        if !state.spaces.contains_key(&product.space) {
            return Err(StoreError::Missing);
        }
        state.products.insert(product.id.clone(), Arc::new(product));
        Ok(())
    }

    async fn update_product(&self, product: Product) -> Result<(), StoreError> {
        let mut state = self.lock();
        let stored = state.products.get_mut(&product.id).ok_or(StoreError::Missing)?;
        *stored = Arc::new(product);
        Ok(())
    }

    async fn delete_product(&self, id: &ProductId) -> Result<(), StoreError> {
        let mut state = self.lock();
        if state.devices.values().any(|held| held.device.product == *id) {
            return Err(StoreError::InUse("devices"));
        }
        state.products.remove(id).map(drop).ok_or(StoreError::Missing)
    }
}

/// Cuts a page out of items that come in key order.
pub(super) fn cut<'a, T: Clone + 'a>(
    items: impl Iterator<Item = &'a T>,
    page: &Page,
    key: impl Fn(&T) -> &str,
) -> Listing<T> {
    let mut listing = Listing { items: Vec::new(), total: 0 };
    let mut skip = page.offset;
    for item in items {
        listing.total += 1;
        let before = page.after.as_deref().is_some_and(|after| key(item) <= after);
        if before || listing.items.len() >= rule::page_items(page) {
            continue;
        }
        match skip {
            0 => listing.items.push(item.clone()),
            _ => skip -= 1,
        }
    }
    listing
}
