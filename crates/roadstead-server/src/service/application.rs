//! Applications that may call on behalf of users or receive the events of a product: an id and a
//! secret that the vendor's cloud once gave out, entered here by an operator.

use roadstead_core::limit::{ID_BYTES_MAX, NAME_BYTES_MAX};
use roadstead_core::port::RecordFilter;
use roadstead_core::record::{Record, RecordKind};
use roadstead_core::{ProductId, Secret, SpaceId, Timestamp, Value};
use roadstead_dialects::cloud::Application;
use serde::{Deserialize, Serialize};

use super::{Error, Platform};

/// Longest secret, bytes.
const SECRET_BYTES_MAX: usize = 256;

/// An application to register.
pub struct NewApplication {
    /// Its id, unique in the instance; a fresh one is made when it is absent.
    pub id: Option<String>,
    /// Its secret; a fresh one is made when it is absent.
    pub secret: Option<Secret>,
    /// Display name.
    pub name: String,
    /// The one product whose events it receives; `None` for a phone application.
    pub product: Option<String>,
}

/// A registered application.
pub struct ApplicationView {
    /// Id, secret, product.
    pub application: Application,
    /// Display name.
    pub name: String,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// The body of its record.
#[derive(Serialize, Deserialize)]
struct Body {
    name: String,
    secret: String,
    product: Option<String>,
}

impl Platform {
    /// Registers an application.
    ///
    /// # Errors
    ///
    /// `api.conflict` when the id is taken, `api.not_found` for an unknown product,
    /// `api.bad_request`.
    pub async fn create_application(
        &self,
        space: &SpaceId,
        new: NewApplication,
    ) -> Result<ApplicationView, Error> {
        let id = new.id.unwrap_or_else(|| self.random.id());
        if !(1..=ID_BYTES_MAX).contains(&id.len()) || !id.bytes().all(|b| b.is_ascii_graphic()) {
            let rule = format!("id: 1 to {ID_BYTES_MAX} printable characters");
            return Err(Error::Invalid(rule));
        }
        let secret = new.secret.unwrap_or_else(|| self.random.id().into());
        let secret = secret.expose_text().filter(|s| (8..=SECRET_BYTES_MAX).contains(&s.len()));
        let Some(secret) = secret else {
            return Err(Error::Invalid(format!("secret: 8 to {SECRET_BYTES_MAX} bytes")));
        };
        if new.name.len() > NAME_BYTES_MAX || new.name.chars().any(char::is_control) {
            let rule = format!("name: at most {NAME_BYTES_MAX} bytes, no control characters");
            return Err(Error::Invalid(rule));
        }
        if let Some(product) = &new.product {
            self.product(space, &product.as_str().into()).await?;
        }
        let _gate = self.trust_gate.lock().await;
        if self.store.record(RecordKind::Application, &id).await?.is_some() {
            return Err(Error::Conflict(format!("application `{id}` exists already")));
        }
        let body = Body { name: new.name, secret: secret.to_owned(), product: new.product };
        let text = serde_json::to_string(&body).map_err(|e| Error::Invalid(e.to_string()))?;
        let record = Record {
            kind: RecordKind::Application,
            id: id.into(),
            space: space.clone(),
            user: None,
            device: None,
            body: text.into(),
            created_at: self.clock.now(),
        };
        self.store.put_record(record.clone()).await?;
        read(&record).ok_or(Error::NotFound("application"))
    }

    /// Lists the applications of a space by id.
    ///
    /// # Errors
    ///
    /// Only those of the store.
    pub async fn applications(&self, space: &SpaceId) -> Result<Vec<ApplicationView>, Error> {
        let filter = RecordFilter { space: Some(space.clone()), ..RecordFilter::default() };
        let found = self.store.records(RecordKind::Application, &filter, None).await?;
        Ok(found.iter().filter_map(read).collect())
    }

    /// Forgets an application: it opens nothing from then on.
    ///
    /// # Errors
    ///
    /// `api.not_found`.
    pub async fn delete_application(&self, space: &SpaceId, id: &str) -> Result<(), Error> {
        let found = self.store.record(RecordKind::Application, id).await?;
        found.filter(|found| found.space == *space).ok_or(Error::NotFound("application"))?;
        Ok(self.store.delete_record(RecordKind::Application, id).await?)
    }

    pub(super) async fn application_of(&self, id: &str) -> Result<Option<Application>, Error> {
        let found = self.store.record(RecordKind::Application, id).await?;
        Ok(found.as_ref().and_then(read).map(|view| view.application))
    }
}

fn read(record: &Record) -> Option<ApplicationView> {
    let body: Value = serde_json::from_slice(record.body.expose()).ok()?;
    let Body { name, secret, product } = serde_json::from_value(body).ok()?;
    let application = Application {
        id: record.id.clone(),
        space: record.space.clone(),
        secret: secret.into(),
        product: product.map(|id| ProductId::new(id.as_str())),
    };
    Some(ApplicationView { application, name, created_at: record.created_at })
}
