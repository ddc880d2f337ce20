//! Deregistration: a module that was reset, or got another product, gives its DID up.
//!
//! Source: GizWits §3.1 row 6, §7.8, §7.9; transcript reset_pk.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use roadstead_core::device::Device;
use roadstead_core::product::Product;
use roadstead_core::{Code, DeviceId, Secret, Timestamp};

use super::form::Form;
use super::{is_encrypted, reply};
use crate::cloud::{Call, Claim, Effect, HttpRequest, HttpResponse, Performed};
use crate::gizwits::{is_did, is_passcode};

struct Deregister {
    request: Option<(DeviceId, Secret)>,
}

/// Reads `DELETE /dev/devices`.
pub(super) fn plain(http: &HttpRequest<'_>) -> Box<dyn Call> {
    let form = Form::parse(http.body);
    let did = form.get("did").filter(|did| is_did(did));
    let passcode = form.get("passcode").filter(|text| is_passcode(text));
    let request = did.zip(passcode).map(|(did, code)| (DeviceId::new(did), Secret::from(code)));
    Box::new(Deregister { request })
}

impl Call for Deregister {
    fn claim(&self) -> Result<Claim, HttpResponse> {
        match &self.request {
            Some((did, _)) => Ok(Claim::Device(did.clone())),
            None => Err(reply::refuse("register.bad_request")),
        }
    }

    fn decide(
        &mut self,
        _product: Option<&Arc<Product>>,
        device: Option<&Arc<Device>>,
        _now: Timestamp,
    ) -> Result<Effect, HttpResponse> {
        let Some((device, (_, passcode))) = device.zip(self.request.as_ref()) else {
            return Err(reply::refuse("auth.unknown_device"));
        };
        if is_encrypted(device) {
            return Err(reply::refuse("register.bad_signature"));
        }
        if device.secret.as_ref() != Some(passcode) {
            return Err(reply::refuse("auth.bad_password"));
        }
        Ok(Effect::Retire)
    }

    fn respond(
        self: Box<Self>,
        _product: &Product,
        result: Result<Performed, Code>,
        _random: [u8; 16],
    ) -> HttpResponse {
        match result {
            Ok(_) => reply::form(200, String::new()),
            Err(code) => reply::refuse(code),
        }
    }
}
