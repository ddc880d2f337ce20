//! Dynamic registration over HTTP: one secret per product in the firmware, device secrets handed
//! out.
//!
//! The `random` of Link Kit is a constant, so a recorded request proves nothing: the secret is
//! given out until the device has been on line, and never afterwards (§3.3 a).

use alloc::boxed::Box;
use alloc::sync::Arc;

use roadstead_core::device::Device;
use roadstead_core::product::{Product, Registration};
use roadstead_core::{Code, Secret, Timestamp};
use serde::Serialize;

use super::form::Form;
use super::{accepted, refused};
use crate::alibaba::auth::{Method, register_source};
use crate::alibaba::{is_device_name, is_product_key};
use crate::cloud::{Call, Claim, Effect, HttpRequest, HttpResponse, Performed};

/// One registration call.
pub(super) struct Register(Option<Request>);

struct Request {
    product: Box<str>,
    node: Box<str>,
    random: Box<str>,
    method: Method,
    sign: Box<str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Given<'a> {
    device_name: &'a str,
    device_secret: &'a str,
    product_key: &'a str,
}

impl Register {
    /// Reads the call.
    pub(super) fn new(request: &HttpRequest<'_>) -> Self {
        let form = Form::parse(request.body);
        let read = || {
            let method = match form.get("signMethod").or(form.get("signmethod")) {
                None => Method::default(),
                Some(name) => Method::parse(name)?,
            };
            Some(Request {
                product: form.get("productKey").filter(|name| is_product_key(name))?.into(),
                node: form.get("deviceName").filter(|name| is_device_name(name))?.into(),
                random: form.get("random")?.into(),
                method,
                sign: form.get("sign")?.into(),
            })
        };
        Self(read())
    }
}

impl Call for Register {
    fn claim(&self) -> Result<Claim, HttpResponse> {
        match &self.0 {
            Some(Request { product, node, .. }) => {
                Ok(Claim::Node { product: product.clone(), node: node.clone() })
            }
            None => Err(refused("register.bad_request")),
        }
    }

    fn decide(
        &mut self,
        product: Option<&Arc<Product>>,
        device: Option<&Arc<Device>>,
        _now: Timestamp,
    ) -> Result<Effect, HttpResponse> {
        let request = self.0.as_ref().ok_or_else(|| refused("register.bad_request"))?;
        check(request, product, device).map_err(refused)?;
        Ok(Effect::Register { node: request.node.clone(), replay_key: "".into() })
    }

    fn respond(
        self: Box<Self>,
        product: &Product,
        result: Result<Performed, Code>,
        _random: [u8; 16],
    ) -> HttpResponse {
        let device = match result {
            Ok(Performed::Registered { device, .. }) => device,
            Ok(Performed::Kept | Performed::Located(_)) => return refused("internal.store"),
            Err(code) => return refused(code),
        };
        match device.secret.as_ref().and_then(Secret::expose_text) {
            Some(device_secret) => accepted(Given {
                device_name: &device.node,
                device_secret,
                product_key: product.id.as_str(),
            }),
            None => refused("internal.store"),
        }
    }
}

/// Decides. The signature comes first: without the product secret nobody learns which names
/// exist.
fn check(
    request: &Request,
    product: Option<&Arc<Product>>,
    device: Option<&Arc<Device>>,
) -> Result<(), Code> {
    let product = product.ok_or("register.unknown_product")?;
    let secret = product.secret.as_ref().ok_or("register.off")?;
    let source = register_source(&request.node, &request.product, &request.random);
    if !request.method.verify(secret.expose(), &source, request.sign.as_bytes()) {
        return Err("register.bad_signature");
    }
    match (product.registration, device) {
        (Registration::Off, _) => Err("register.off"),
        (_, Some(device)) if device.activated_at.is_some() => Err("register.activated"),
        (Registration::Preregistered, None) => Err("register.unknown_device"),
        (Registration::Preregistered, Some(_)) | (Registration::Open, _) => Ok(()),
    }
}
