//! Objects of trust as all kinds of them are managed: in a space, within a quota, newest first.

use roadstead_core::SpaceId;
use roadstead_core::port::{Listing, Page, StoreError, TrustFilter};
use roadstead_core::trust::{TrustObject, Trusted};

use super::{Error, Platform};

impl Platform {
    /// Returns an object of a space.
    ///
    /// # Errors
    ///
    /// `api.not_found`.
    pub async fn trusted<T: Trusted>(&self, space: &SpaceId, id: &str) -> Result<T, Error> {
        let object = self.store.trust(T::KIND, id).await?;
        let object = object.filter(|object| object.space() == space).and_then(T::from_object);
        object.ok_or(Error::NotFound(what::<T>()))
    }

    /// Lists objects of a space, newest first, optionally by exact name or key.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn trusted_list<T: Trusted>(
        &self,
        filter: &TrustFilter,
        page: &Page,
    ) -> Result<Listing<T>, Error> {
        let Listing { items, total } = self.store.trusts(T::KIND, filter, page).await?;
        Ok(Listing { items: items.into_iter().filter_map(T::from_object).collect(), total })
    }

    /// Keeps a new object unless its kind has reached `max` in the space.
    pub(super) async fn keep_trust<T: Trusted>(&self, object: T, max: u64) -> Result<(), Error> {
        let object: TrustObject = object.into();
        let _gate = self.trust_gate.lock().await;
        let filter = TrustFilter { space: Some(object.space().clone()), ..TrustFilter::default() };
        let page = Page { limit: 1, ..Page::default() };
        if self.store.trusts(T::KIND, &filter, &page).await?.total >= max {
            let text = format!("the space has {max} of kind {}, the most it may", what::<T>());
            return Err(Error::Quota(text));
        }
        let key = object.key().to_owned();
        self.store.create_trust(object).await.map_err(|error| taken::<T>(error, &key))
    }

    /// Replaces an object.
    pub(super) async fn replace_trust<T: Trusted>(&self, object: T) -> Result<(), Error> {
        let object: TrustObject = object.into();
        let key = object.key().to_owned();
        self.store.update_trust(object).await.map_err(|error| taken::<T>(error, &key))
    }
}

fn taken<T: Trusted>(error: StoreError, key: &str) -> Error {
    if error == StoreError::Exists {
        return Error::Conflict(format!("{} `{key}` exists already", what::<T>()));
    }
    error.into()
}

/// Returns what people call the kind.
fn what<T: Trusted>() -> &'static str {
    use roadstead_core::trust::TrustKind;

    match T::KIND {
        TrustKind::Authority => "certificate authority",
        TrustKind::Certificate => "device certificate",
        TrustKind::Policy => "device policy",
        TrustKind::Template => "provisioning template",
    }
}

#[cfg(test)]
impl Platform {
    /// Reads everything anew, as a start does.
    pub(crate) async fn recall_for_test(&self) {
        self.recall_authorities().await.expect("authorities");
        self.recall_policies().await.expect("policies");
    }
}
