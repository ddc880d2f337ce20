//! Provisioning: a module asks at every start, and every hour for the time, where to log in.
//!
//! ```text
//! host=H&port=N&server_ts=T&log_host=&log_port=&[3rd_cloud=C&product_uuid=U CRLF]
//! ```
//!
//! Every value is followed by `&`: without it 04020006 crashes.
//!
//! Source: GizWits §3.1 rule 3, rows 2 and 10; seed §8.4.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use roadstead_core::device::Device;
use roadstead_core::product::Product;
use roadstead_core::{Code, DeviceId, Timestamp};

use super::form::Form;
use super::{cipher, is_encrypted, reply};
use crate::cloud::{Call, Claim, Effect, HttpRequest, HttpResponse, Performed, Place};
use crate::gizwits::is_did;
use crate::gizwits::settings::{Settings, is_plain};

/// Where the vendor's own modules log in.
const VENDOR_HOST: &str = "m2m.gizwits.com";

/// Their port.
const VENDOR_PORT: u16 = 1883;

struct Provision {
    settings: Arc<Settings>,
    /// Name by which the module called.
    host: Box<str>,
    /// Port of this server, where the settings name none.
    port: u16,
    did: Box<str>,
    /// Product and encrypted DID.
    sealed: Option<(Box<str>, Box<str>)>,
    now: Timestamp,
}

/// Reads `GET /dev/devices/{did}`.
pub(super) fn plain(http: &HttpRequest<'_>, did: &str, settings: &Arc<Settings>) -> Box<dyn Call> {
    Box::new(Provision::new(http, did, None, settings))
}

/// Reads `GET /dev/{product_key}/device?did=…`.
pub(super) fn encrypted(
    http: &HttpRequest<'_>,
    product: &str,
    settings: &Arc<Settings>,
) -> Box<dyn Call> {
    let query = Form::parse(http.query.as_bytes());
    let data = query.get("did").unwrap_or_default().into();
    Box::new(Provision::new(http, "", Some((product.into(), data)), settings))
}

impl Provision {
    fn new(
        http: &HttpRequest<'_>,
        did: &str,
        sealed: Option<(Box<str>, Box<str>)>,
        settings: &Arc<Settings>,
    ) -> Self {
        let port = match settings.m2m_port {
            0 => http.mqtt_port.unwrap_or(VENDOR_PORT),
            port => port,
        };
        let (settings, host) = (settings.clone(), http.host.into());
        Self { settings, host, port, did: did.into(), sealed, now: Timestamp(0) }
    }

    /// Writes the answer; `place` is where the device belongs, if that is not here.
    fn write(&self, product: &Product, place: Option<&Place>) -> String {
        let Settings { m2m_host, third_party, .. } = &*self.settings;
        let host = match (&**m2m_host, &*self.host) {
            ("", "") => VENDOR_HOST,
            // What the module called is what it can resolve; it must not break the form.
            ("", host) if is_plain(host) => host,
            ("", _) => VENDOR_HOST,
            (host, _) => host,
        };
        let (host, port) = match place {
            Some(place) if is_plain(&place.host) => (&*place.host, place.port),
            Some(_) | None => (host, self.port),
        };
        let now = self.now.as_secs();
        let mut body = format!("host={host}&port={port}&server_ts={now}&log_host=&log_port=&");
        if let Some(third) = third_party.get(product.id.as_str()) {
            body += &format!("3rd_cloud={}&product_uuid={}\r\n", third.cloud, third.product_uuid);
        }
        body
    }
}

impl Call for Provision {
    fn claim(&self) -> Result<Claim, HttpResponse> {
        match &self.sealed {
            Some((product, _)) => Ok(Claim::Node { product: product.clone(), node: "".into() }),
            None if is_did(&self.did) => Ok(Claim::Device(DeviceId::new(&*self.did))),
            None => Err(reply::refuse("auth.unknown_device")),
        }
    }

    fn second_claim(&mut self, product: Option<&Arc<Product>>) -> Option<Claim> {
        let (_, data) = self.sealed.as_ref()?;
        let did = cipher::open(product?.secret.as_ref()?, data).filter(|did| is_did(did))?;
        Some(Claim::Device(DeviceId::new(did)))
    }

    fn decide(
        &mut self,
        product: Option<&Arc<Product>>,
        device: Option<&Arc<Device>>,
        now: Timestamp,
    ) -> Result<Effect, HttpResponse> {
        let known = product.zip(device).filter(|(product, device)| device.product == product.id);
        if let Some((key, _)) = &self.sealed {
            match product {
                None => return Err(reply::refuse("auth.unknown_product")),
                Some(product) if *product.id.as_str() != **key => {
                    return Err(reply::refuse("auth.unknown_device"));
                }
                Some(product) if product.secret.is_none() => return Err(reply::no_encryption()),
                Some(_) => {}
            }
        }
        let Some((_, device)) = known else {
            return Err(reply::refuse("auth.unknown_device"));
        };
        if device.frozen {
            return Err(reply::refuse("auth.frozen"));
        }
        if self.sealed.is_none() && is_encrypted(device) {
            return Err(reply::refuse("register.bad_signature"));
        }
        self.now = now;
        Ok(Effect::Locate)
    }

    fn respond(
        self: Box<Self>,
        product: &Product,
        result: Result<Performed, Code>,
        _random: [u8; 16],
    ) -> HttpResponse {
        let answer = match result {
            Ok(Performed::Located(place)) => self.write(product, place.as_ref()),
            Ok(Performed::Kept | Performed::Registered { .. }) => self.write(product, None),
            Err(code) => return reply::refuse(code),
        };
        if self.sealed.is_none() {
            return reply::form(200, answer);
        }
        let sealed = product.secret.as_ref().and_then(|key| cipher::seal(key, &answer));
        sealed.map_or_else(|| reply::refuse("internal.store"), |data| reply::form(200, data))
    }
}
