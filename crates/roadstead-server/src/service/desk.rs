//! The [`Desk`]: what phones and enterprises of one vendor ask, on the services of the platform.
//!
//! Everybody here is a phone's user, whatever role the account has elsewhere: nothing that an
//! operator may do is done on behalf of a phone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roadstead_core::binding::Binding;
use roadstead_core::command::{CommandError, Outcome};
use roadstead_core::device::Device;
use roadstead_core::exchange::Downlink;
use roadstead_core::limit::PAGE_ITEMS_MAX;
use roadstead_core::port::{RecordFilter, StoreError, TraceFilter};
use roadstead_core::product::Product;
use roadstead_core::record::{Record, RecordKind};
use roadstead_core::shadow::Shadow;
use roadstead_core::trace::Entry;
use roadstead_core::user::{Role, User};
use roadstead_core::{BindingId, Code, DeviceId, ProductId, Secret, SpaceId, Timestamp, UserId};
use roadstead_dialects::cloud::{
    Account, Application, Desk, HttpRequest, HttpResponse, Note, Person, Ports, Thing, Tie,
};

use super::user::{check_name, check_password};
use super::{Caller, Error, NewUser, Platform};

/// The desk of one dialect.
pub(super) struct PlatformDesk {
    pub(super) platform: Arc<Platform>,
    dialect: &'static str,
    ports: Ports,
}

impl Platform {
    /// Answers a call of a phone or an enterprise; `None` when it is no dialect's.
    pub(crate) async fn open_call(
        self: &Arc<Self>,
        request: HttpRequest<'_>,
        ports: Ports,
    ) -> Option<HttpResponse> {
        for (dialect, cloud) in &self.clouds {
            let desk = PlatformDesk::new(self.clone(), dialect, ports);
            let answering = cloud.open(request, &desk);
            if let Some(answering) = answering {
                let response = answering.await;
                self.observer.count("open_api", response.code);
                return Some(response);
            }
        }
        None
    }
}

impl PlatformDesk {
    pub(super) fn new(platform: Arc<Platform>, dialect: &'static str, ports: Ports) -> Self {
        Self { platform, dialect, ports }
    }

    /// Returns a device of this dialect with its product.
    async fn of_dialect(&self, device: Arc<Device>) -> Result<Option<Thing>, Code> {
        let store = &self.platform.store;
        let product = store.product(&device.product).await.map_err(code)?;
        let Some(product) = product.filter(|product| *product.dialect == *self.dialect) else {
            return Ok(None);
        };
        let online = store.presence(&device.id).await.map_err(code)?.online;
        Ok(Some(Thing { account: Account { product, device }, online }))
    }
}

fn code(error: StoreError) -> Code {
    error.code()
}

fn failed(error: Error) -> Code {
    error.code()
}

fn caller(person: &Person) -> Caller {
    Caller {
        user: person.user.clone(),
        space: person.space.clone(),
        name: person.name.clone(),
        role: Role::Member,
    }
}

fn person(user: &User) -> Person {
    Person { user: user.id.clone(), space: user.space.clone(), name: user.name.clone() }
}

#[async_trait]
impl Desk for PlatformDesk {
    fn now(&self) -> Timestamp {
        self.platform.clock.now()
    }

    fn random(&self) -> [u8; 32] {
        self.platform.random.bytes()
    }

    fn ports(&self) -> Ports {
        self.ports
    }

    async fn application(&self, id: &str) -> Result<Option<Application>, Code> {
        self.platform.application_of(id).await.map_err(failed)
    }

    async fn sign_up(
        &self,
        space: &SpaceId,
        name: &str,
        password: Option<&Secret>,
    ) -> Result<Person, Code> {
        if !self.platform.config.app.sign_up {
            return Err(Error::SignUpOff.code());
        }
        let random = Secret::from(self.platform.random.id());
        let new = NewUser { name, password: password.unwrap_or(&random), role: Role::Member };
        let made = self.platform.create_user(space, new).await.map_err(failed)?;
        Ok(Person { user: made.user, space: made.space, name: made.name })
    }

    async fn sign_in(&self, name: &str, password: &Secret) -> Result<Person, Code> {
        let caller = self.platform.check_sign_in(name, password).await.map_err(failed)?;
        Ok(Person { user: caller.user, space: caller.space, name: caller.name })
    }

    async fn person(&self, space: &SpaceId, name_or_id: &str) -> Result<Option<Person>, Code> {
        match self.platform.user(space, name_or_id).await {
            Ok(user) => Ok(Some(person(&user))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error.code()),
        }
    }

    async fn grant(&self, person: &Person, life: Duration) -> Result<(Secret, Timestamp), Code> {
        self.platform.grant_token(&person.user, life).await.map_err(failed)
    }

    async fn who(&self, token: &str) -> Result<Person, Code> {
        let digest = openssl::sha::sha256(token.as_bytes());
        let store = &self.platform.store;
        let login = store.login(&digest, Timestamp(0)).await.map_err(code)?;
        let login = login.ok_or("api.unauthenticated")?;
        if login.expires_at <= self.now() {
            return Err("api.token_expired");
        }
        let user = store.user(&login.user).await.map_err(code)?;
        user.as_ref().map(person).ok_or("api.unauthenticated")
    }

    async fn change_person(
        &self,
        person: &Person,
        name: Option<&str>,
        password: Option<&Secret>,
    ) -> Result<(), Code> {
        let platform = &self.platform;
        let user = platform.store.user(&person.user).await.map_err(code)?;
        let mut user = user.ok_or("api.unauthenticated")?;
        if let Some(name) = name {
            check_name(name).map_err(failed)?;
            user.name = name.into();
        }
        if let Some(password) = password {
            check_password(password).map_err(failed)?;
            let hashed = platform.passwords.hash(password, platform.random.bytes()).await;
            user.password_hash = hashed.map_err(|busy| Error::from(busy).code())?;
        }
        match platform.store.update_user(user).await {
            Err(StoreError::Exists) => Err("user.exists"),
            done => done.map_err(code),
        }
    }

    async fn note(&self, kind: RecordKind, id: &str) -> Result<Option<Note>, Code> {
        let record = self.platform.store.record(kind, id).await.map_err(code)?;
        Ok(record.and_then(note))
    }

    async fn keep(&self, space: &SpaceId, note: Note) -> Result<(), Code> {
        let Note { kind, id, user, device, body, since } = note;
        let text = serde_json::to_string(&body).map_err(|_| "internal.store")?;
        let (space, body) = (space.clone(), text.into());
        let record = Record { kind, id, space, user, device, body, created_at: since };
        self.platform.store.put_record(record).await.map_err(code)
    }

    async fn notes(
        &self,
        kind: RecordKind,
        user: Option<&UserId>,
        device: Option<&DeviceId>,
    ) -> Result<Vec<Note>, Code> {
        let (user, device) = (user.cloned(), device.cloned());
        let filter = RecordFilter { space: None, user, device };
        let found = self.platform.store.records(kind, &filter, None).await.map_err(code)?;
        Ok(found.into_iter().filter_map(note).collect())
    }

    async fn forget(&self, kind: RecordKind, id: &str) -> Result<(), Code> {
        self.platform.store.delete_record(kind, id).await.map_err(code)
    }

    async fn product(&self, space: &SpaceId, id: &str) -> Result<Option<Arc<Product>>, Code> {
        let product = self.platform.store.product(&id.into()).await.map_err(code)?;
        Ok(product.filter(|product| product.space == *space && *product.dialect == *self.dialect))
    }

    async fn thing(&self, space: &SpaceId, id: &str) -> Result<Option<Thing>, Code> {
        let device = self.platform.store.device(&id.into()).await.map_err(code)?;
        match device.filter(|device| device.space == *space) {
            Some(device) => self.of_dialect(device).await,
            None => Ok(None),
        }
    }

    async fn thing_at(
        &self,
        space: &SpaceId,
        product: &ProductId,
        node: &str,
    ) -> Result<Option<Thing>, Code> {
        let store = &self.platform.store;
        let mut device = store.device_by_node(product, node).await.map_err(code)?;
        if device.is_none()
            && let Some(cloud) = self.platform.cloud(self.dialect)
            && let Some(other) = cloud.other_spelling(node)
        {
            device = store.device_by_node(product, &other).await.map_err(code)?;
        }
        match device.filter(|device| device.space == *space) {
            Some(device) => self.of_dialect(device).await,
            None => Ok(None),
        }
    }

    async fn things_called(&self, space: &SpaceId, sign: &str) -> Result<Vec<Thing>, Code> {
        let now = self.now();
        let called = self.platform.call_signs.lock().get_mut(sign, now).cloned();
        let mut things = Vec::new();
        for id in called.unwrap_or_default() {
            things.extend(self.thing(space, id.as_str()).await?);
        }
        Ok(things)
    }

    async fn ties(&self, person: &Person) -> Result<Vec<Tie>, Code> {
        let bindings = self.platform.store.bindings_of_user(&person.user).await.map_err(code)?;
        let mut ties = Vec::new();
        for binding in bindings {
            if let Some(thing) = self.thing(&person.space, binding.device.as_str()).await? {
                ties.push(Tie { thing, binding });
            }
        }
        Ok(ties)
    }

    async fn bindings(&self, device: &DeviceId) -> Result<Vec<Binding>, Code> {
        self.platform.store.bindings_of_device(device).await.map_err(code)
    }

    async fn claim(&self, person: &Person, device: &DeviceId) -> Result<Binding, Code> {
        self.platform.claim(&caller(person), device).await.map_err(failed)
    }

    async fn admit_guest(&self, person: &Person, device: &DeviceId) -> Result<Binding, Code> {
        self.platform.admit_guest(&caller(person), device).await.map_err(failed)
    }

    async fn end(&self, person: &Person, binding: &BindingId) -> Result<(), Code> {
        self.platform.end_binding(&caller(person), binding).await.map(drop).map_err(failed)
    }

    async fn shadow(&self, device: &DeviceId) -> Result<Shadow, Code> {
        self.platform.store.shadow(device).await.map_err(code)
    }

    async fn request(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        request: Downlink,
    ) -> Result<Outcome, CommandError> {
        self.platform.request(space, device, request, None).await
    }

    async fn trace(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        whats: &'static [&'static str],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Entry>, Code> {
        let filter = TraceFilter {
            device: Some(device.clone()),
            whats,
            since: Some(since),
            until: Some(until),
            ..TraceFilter::new(space.clone())
        };
        let limit = u32::try_from(PAGE_ITEMS_MAX).unwrap_or(u32::MAX);
        let found = self.platform.run_log(&filter, limit).await.map_err(failed)?;
        Ok(found.hops.into_iter().map(|(_, entry)| entry).collect())
    }
}

fn note(record: Record) -> Option<Note> {
    let Record { kind, id, user, device, body, created_at, .. } = record;
    let body = serde_json::from_slice(body.expose()).ok()?;
    Some(Note { kind, id, user, device, body, since: created_at })
}
