//! One call: its application, its user, its fields, its signature.
//!
//! Source: GizWits §6.1, §6.5.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;

use md5::{Digest as _, Md5};
use roadstead_core::binding::BindingRole;
use roadstead_core::product::Product;
use roadstead_core::{DeviceId, Map, Secret, Timestamp, Value};

use super::fault::{Fault, fault, form};
use crate::cloud::{Application, Desk, HttpRequest, Person, Thing};
use crate::gizwits::http::Form;
use crate::gizwits::settings::Settings;

/// How far a signed call's clock may be off, seconds (GizWits §6.1).
const SKEW_MAX_S: i64 = 300;

/// One call and whom it may ask.
pub(super) struct Ask<'a> {
    pub(super) http: HttpRequest<'a>,
    pub(super) desk: &'a dyn Desk,
    pub(super) settings: &'a Settings,
    pub(super) query: Form,
}

/// An answer: status and body.
pub(super) type Answer = Result<(u16, Value), Fault>;

impl<'a> Ask<'a> {
    /// Returns the application that calls.
    pub(super) async fn application(&self) -> Result<Application, Fault> {
        let id = self.http.header("x-gizwits-application-id").ok_or(fault(9003))?;
        let found = self.desk.application(id).await?;
        found.filter(|application| application.product.is_none()).ok_or(fault(9003))
    }

    /// Returns application and user.
    pub(super) async fn person(&self) -> Result<(Application, Person), Fault> {
        let application = self.application().await?;
        let token = self.http.header("x-gizwits-user-token").ok_or(fault(9004))?;
        let person = self.desk.who(token).await?;
        match person.space == application.space {
            true => Ok((application, person)),
            false => Err(fault(9004)),
        }
    }

    /// Returns a device that the user is bound to, and what the user is to it.
    pub(super) async fn own(
        &self,
        person: &Person,
        did: &str,
    ) -> Result<(Thing, BindingRole), Fault> {
        let thing = self.desk.thing(&person.space, did).await?.ok_or(fault(9014))?;
        match self.desk.role(person, &thing.account.device.id).await? {
            Some(role) => Ok((thing, role)),
            None => Err(fault(9017)),
        }
    }

    /// Checks the signature of a call under the secret of a product.
    pub(super) fn check_signature(&self, product: &Product) -> Result<(), Fault> {
        let stamp = self.http.header("x-gizwits-timestamp").ok_or(fault(9043))?;
        let at: i64 = stamp.parse().map_err(|_| fault(9043))?;
        let now = self.desk.now().as_millis().div_euclid(1000);
        if at.abs_diff(now) > SKEW_MAX_S.unsigned_abs() {
            let detail = format!("the clocks are {} s apart", at.abs_diff(now));
            return Err(Fault { number: 9043, detail: Some(detail) });
        }
        let given = self.http.header("x-gizwits-signature").ok_or(fault(9044))?;
        let Some(secret) = product.secret.as_ref().and_then(Secret::expose_text) else {
            let detail = "the product has no secret here".to_string();
            return Err(Fault { number: 9044, detail: Some(detail) });
        };
        match signature(&[secret, stamp]).matches(given.as_bytes()) {
            true => Ok(()),
            false => Err(fault(9044)),
        }
    }

    /// Returns the product of a signed call after checking the signature.
    pub(super) async fn signed_product(
        &self,
        person: &Person,
        key: &str,
    ) -> Result<Arc<Product>, Fault> {
        let product = self.desk.product(&person.space, key).await?.ok_or(fault(9002))?;
        self.check_signature(&product)?;
        Ok(product)
    }

    /// Reads the body.
    pub(super) fn body(&self) -> Result<Map<String, Value>, Fault> {
        if self.http.body.is_empty() {
            return Ok(Map::new());
        }
        match serde_json::from_slice(self.http.body) {
            Ok(Value::Object(body)) => Ok(body),
            Ok(_) | Err(_) => Err(form("the body is no JSON object")),
        }
    }

    /// Returns a number of the query.
    pub(super) fn number(&self, name: &str, default: u64, max: u64) -> Result<u64, Fault> {
        match self.query.get(name).map(str::parse) {
            None => Ok(default),
            Some(Ok(number)) if number <= max => Ok(number),
            Some(_) => Err(form(&format!("{name}: a number up to {max}"))),
        }
    }
}

/// Returns what an application or a call is signed with: MD5 of the parts, lower-case hex.
pub(super) fn signature(parts: &[&str]) -> Secret {
    let mut digest = Md5::new();
    parts.iter().for_each(|part| digest.update(part.as_bytes()));
    Secret::from(hex::encode(digest.finalize()))
}

/// Returns a text field; empty ones are none.
pub(super) fn text<'b>(body: &'b Map<String, Value>, key: &str) -> Option<&'b str> {
    body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// Returns a text field that must be there.
pub(super) fn needed<'b>(body: &'b Map<String, Value>, key: &str) -> Result<&'b str, Fault> {
    text(body, key).ok_or_else(|| form(&format!("{key}: missing")))
}

/// Returns Unix seconds.
pub(super) fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1000)
}

/// Returns a date as the open API writes it.
pub(super) fn date(at: Timestamp) -> Value {
    Value::from(at.to_string())
}

/// Returns the id under which is kept how a user calls a device.
pub(super) fn alias_id(person: &Person, device: &DeviceId) -> Box<str> {
    format!("{}/{device}", person.user).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signatures_of_the_vectors() {
        let file: Value =
            serde_json::from_str(include_str!("../../../vectors/gizwits.json")).expect("JSON");
        let vectors = file["signatures"].as_array().expect("list");
        assert_eq!(vectors.len(), 2);
        for vector in vectors {
            let part = |key: &str| vector[key].as_str().unwrap_or_default();
            let parts = match part("kind") {
                "bind" => [part("product_secret"), part("timestamp")],
                _ => [part("appid"), part("appsecret")],
            };
            assert!(signature(&parts).matches(part("signature").as_bytes()), "{vector}");
        }
    }
}
