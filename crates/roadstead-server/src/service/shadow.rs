//! Wishes: what somebody wants of a device, kept in its shadow and sent when it is on line.
//!
//! A request with several services changes all of them or none, and only on the versions it
//! names; the store checks that in its transaction. Source: Huawei §8.5, §9.6.

use std::collections::BTreeSet;
use std::sync::Arc;

use roadstead_core::exchange::Downlink;
use roadstead_core::limit::ID_BYTES_MAX;
use roadstead_core::port::StoreError;
use roadstead_core::product::Product;
use roadstead_core::session::Epoch;
use roadstead_core::shadow::{Change, Expected, Values};
use roadstead_core::trace::{Entry, Hop};
use roadstead_core::{DeviceId, Map, SpaceId, Timestamp, Value};
use roadstead_dialects::cloud::Account;

use super::command::show;
use super::model::check_set;
use super::{Error, Platform};

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desired {
    /// True when the device is on line and the request is on its way; otherwise the device gets
    /// it when it asks for its shadow.
    pub pushed: bool,
}

/// What is wanted of one service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// The service.
    pub service: Box<str>,
    /// Property to value; `null` takes one wish back, none at all takes back all.
    pub values: Map<String, Value>,
    /// The version of the service that the wish is based on.
    pub version: Option<u64>,
}

impl Platform {
    /// Wants values of one service of a device; see [`Platform::desire_all`].
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn desire(
        self: &Arc<Self>,
        space: &SpaceId,
        device: &DeviceId,
        service: &str,
        values: Map<String, Value>,
    ) -> Result<Desired, Error> {
        let wish = Wish { service: service.into(), values, version: None };
        self.desire_all(space, device, vec![wish]).await
    }

    /// Wants values of a device: keeps them as desired and, when the device is on line, sends
    /// them. The device's report fulfils a wish.
    ///
    /// # Errors
    ///
    /// `device.unknown`, `command.model`, `api.bad_request` for a key that cannot be one,
    /// `api.conflict` when a service has another version than a wish is based on, `api.quota`
    /// when the shadow would grow too large. Nothing is changed then.
    pub async fn desire_all(
        self: &Arc<Self>,
        space: &SpaceId,
        device: &DeviceId,
        wishes: Vec<Wish>,
    ) -> Result<Desired, Error> {
        let account = self.account_in(space, device).await?;
        let now = self.clock.now();
        let (mut changes, mut expected, mut requests) = (Vec::new(), Vec::new(), Vec::new());
        let mut seen = BTreeSet::new();
        for Wish { service, values, version } in wishes {
            if !seen.insert(service.clone()) {
                return Err(Error::Invalid(format!("{service}: the service is named twice")));
            }
            values.keys().try_for_each(|key| check_key(key))?;
            let set = some(&values);
            check_set(&account.product.model, &service, &set)?;
            expected.extend(version.map(|version| Expected { service: service.clone(), version }));
            if !set.is_empty() {
                let service = service.clone();
                requests.push(Downlink::SetProperties { service, properties: set });
            }
            changes.push(match values.is_empty() {
                true => Change::ClearDesired { service: Some(service) },
                false => Change::Desire { service, values: Values { properties: values, at: now } },
            });
        }
        self.change_desired(device, expected, changes, &requests, now).await?;
        let pushed = !requests.is_empty() && self.link_of(&account).await?.is_some();
        if pushed {
            self.push_wishes(space, device, requests);
        }
        Ok(Desired { pushed })
    }

    async fn change_desired(
        &self,
        device: &DeviceId,
        expected: Vec<Expected>,
        changes: Vec<Change>,
        requests: &[Downlink],
        now: Timestamp,
    ) -> Result<(), Error> {
        let text = requests.iter().map(show).collect::<Vec<_>>().join("; ");
        let kept = self.store.change_shadow_if(device, expected, changes, None).await;
        let entry = match &kept {
            Ok(_) => Entry::new(now, Hop::Api, "desire", "ok", &text),
            Err(error) => {
                Entry::new(now, Hop::Api, "desire", error.code(), &format!("{text}: {error}"))
            }
        };
        self.note(device, entry);
        match kept {
            Err(StoreError::Stale(text)) => Err(Error::Conflict(text.into())),
            kept => Ok(kept.map(drop)?),
        }
    }

    fn push_wishes(self: &Arc<Self>, space: &SpaceId, device: &DeviceId, wishes: Vec<Downlink>) {
        let (platform, space, device) = (self.clone(), space.clone(), device.clone());
        tokio::spawn(async move {
            for wish in wishes {
                // The trace has the result, and the wish stands until the device reports.
                drop(platform.request(&space, &device, wish, None).await);
            }
        });
    }

    /// Sends what is desired of a device to one whose vendor expects that after a log-in; once per
    /// session, however often the device subscribes.
    pub(super) async fn push_desired(
        self: &Arc<Self>,
        account: &Account,
        epoch: Epoch,
    ) -> Result<(), Error> {
        let cloud = self.cloud(&account.product.dialect);
        if !cloud.is_some_and(|cloud| cloud.pushes_desired()) {
            return Ok(());
        }
        let device = &account.device.id;
        if !self.outbox.is_first_of(device, epoch) {
            return Ok(());
        }
        let shadow = self.store.shadow(device).await?;
        let services = shadow.services.into_iter().filter_map(|(service, state)| {
            let mut properties = state.desired.properties;
            properties.retain(|key, value| state.reported.properties.get(key) != Some(value));
            (!properties.is_empty()).then_some(Downlink::SetProperties { service, properties })
        });
        self.push_wishes(&account.device.space, device, services.collect());
        Ok(())
    }

    /// Forgets the shadow of a device, what it reported and what is desired.
    ///
    /// # Errors
    ///
    /// `device.unknown`.
    pub async fn forget_shadow(&self, space: &SpaceId, device: &DeviceId) -> Result<(), Error> {
        self.device_in(space, device).await?;
        let entry = Entry::new(self.clock.now(), Hop::Api, "forget_shadow", "ok", "");
        self.store.change_shadow(device, vec![Change::Forget], Some(entry)).await?;
        Ok(())
    }
}

/// Returns the values that a fresh device is to have: the defaults of its model, for vendors that
/// push what is desired.
pub(super) fn initial_wishes(product: &Product, now: Timestamp) -> Vec<Change> {
    let services = product.model.services.iter().filter_map(|service| {
        let defaults = service.properties.iter().filter(|property| property.access.write);
        let properties: Map<String, Value> = defaults
            .filter_map(|property| Some(((*property.id).to_owned(), property.initial.clone()?)))
            .collect();
        let values = Values { properties, at: now };
        let service = service.id.clone();
        (!values.properties.is_empty()).then_some(Change::Desire { service, values })
    });
    services.collect()
}

/// Returns what is wanted, without what is taken back.
fn some(values: &Map<String, Value>) -> Map<String, Value> {
    let set = values.iter().filter(|(_, value)| !value.is_null());
    set.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn check_key(key: &str) -> Result<(), Error> {
    let fits = (1..=ID_BYTES_MAX).contains(&key.len()) && !key.contains(['.', '$', '\0']);
    match fits {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "desired: a key has 1 to {ID_BYTES_MAX} bytes, none of them `.`, `$` or NUL"
        ))),
    }
}
