//! Registration: a module that has no DID shows product, MAC address and the passcode it made, and
//! gets a DID. Who repeats it gets the same one.
//!
//! Source: GizWits §3.1 rows 1 and 9; seed §8.2.

use alloc::boxed::Box;
use alloc::format;
use alloc::sync::Arc;

use roadstead_core::device::Device;
use roadstead_core::product::{Product, Registration};
use roadstead_core::{Code, Map, Secret, Timestamp};

use super::form::Form;
use super::{ENCRYPTED, REGISTRATION, cipher, is_encrypted, reply};
use crate::cloud::{Call, Claim, Effect, Enrolment, HttpRequest, HttpResponse, Performed};
use crate::gizwits::settings::{NewPasscode, Settings};
use crate::gizwits::{KEY_LEN, MAC_LEN, is_hex, is_passcode};

/// Digits of a code that a phone finds a fresh module by.
const RANDOM_CODE_LEN: usize = 32;

/// One registration.
struct Register {
    settings: Arc<Settings>,
    product: Box<str>,
    /// Known after decryption in an encrypted call, whose MAC address only `decide` learns.
    request: Option<Request>,
    /// The encrypted form.
    data: Option<Box<str>>,
}

struct Request {
    mac: Box<str>,
    passcode: Secret,
    is_gateway: bool,
    /// The code that a phone computes of network and product (GizWits §1.7; how the module
    /// sends it is UNVERIFIED, this field is the platform's own).
    call_sign: Option<Box<str>>,
}

impl Request {
    fn read(form: &Form) -> Option<Self> {
        let mac = form.get("mac").filter(|mac| is_hex(mac, MAC_LEN))?;
        let passcode = form.get("passcode").filter(|text| is_passcode(text))?;
        let is_gateway = form.get("type") == Some("center_control")
            || form.get("extra").is_some_and(|extra| {
                extra
                    .chars()
                    .last()
                    .and_then(|digit| digit.to_digit(16))
                    .is_some_and(|n| n & 1 == 1)
            });
        let call_sign = form.get("random_code").filter(|code| is_hex(code, RANDOM_CODE_LEN));
        let call_sign = call_sign.map(|code| code.to_ascii_lowercase().into());
        Some(Self { mac: mac.into(), passcode: passcode.into(), is_gateway, call_sign })
    }
}

/// Reads `POST /dev/devices`.
pub(super) fn plain(http: &HttpRequest<'_>, settings: &Arc<Settings>) -> Box<dyn Call> {
    let form = Form::parse(http.body);
    let product = form.get("product_key").filter(|key| is_hex(key, KEY_LEN)).unwrap_or_default();
    Box::new(Register {
        settings: settings.clone(),
        product: product.into(),
        request: Request::read(&form),
        data: None,
    })
}

/// Reads `POST /dev/{product_key}/device`.
pub(super) fn encrypted(
    http: &HttpRequest<'_>,
    product: &str,
    settings: &Arc<Settings>,
) -> Box<dyn Call> {
    let data = Form::parse(http.body).get("data").map(Box::from);
    Box::new(Register {
        settings: settings.clone(),
        product: product.into(),
        request: None,
        data: Some(data.unwrap_or_default()),
    })
}

impl Call for Register {
    fn claim(&self) -> Result<Claim, HttpResponse> {
        let mac = match (&self.request, &self.data) {
            (Some(request), None) if !self.product.is_empty() => request.mac.clone(),
            // Only the product's secret tells which device it is.
            (_, Some(_)) => "".into(),
            (_, None) => return Err(reply::refuse("register.bad_request")),
        };
        Ok(Claim::Node { product: self.product.clone(), node: mac })
    }

    fn second_claim(&mut self, product: Option<&Arc<Product>>) -> Option<Claim> {
        let data = self.data.as_ref()?;
        let text = cipher::open(product?.secret.as_ref()?, data)?;
        let request = Request::read(&Form::parse(text.as_bytes()))?;
        let node = request.mac.clone();
        self.request = Some(request);
        Some(Claim::Node { product: self.product.clone(), node })
    }

    fn decide(
        &mut self,
        product: Option<&Arc<Product>>,
        device: Option<&Arc<Device>>,
        _now: Timestamp,
    ) -> Result<Effect, HttpResponse> {
        let Some(product) = product else {
            return Err(reply::refuse("register.unknown_product"));
        };
        let is_sealed = self.data.is_some();
        if is_sealed && product.secret.is_none() {
            return Err(reply::no_encryption());
        }
        let Some(request) = &self.request else {
            return Err(reply::refuse("register.bad_request"));
        };
        if !is_sealed && device.is_some_and(|device| is_encrypted(device)) {
            return Err(reply::refuse("register.bad_signature"));
        }
        self.policy(product, device, request).map_err(reply::refuse)?;
        let mut info = Map::new();
        info.insert("mac".into(), (&*request.mac).into());
        info.insert(REGISTRATION.into(), if is_sealed { ENCRYPTED } else { "plain" }.into());
        if request.is_gateway {
            info.insert("is_gateway".into(), true.into());
        }
        Ok(Effect::Enrol(Enrolment {
            node: device.map_or_else(|| request.mac.clone(), |device| device.node.clone()),
            secret: request.passcode.clone(),
            info,
            call_sign: request.call_sign.clone(),
            keeps_id: is_sealed && device.is_some_and(|device| is_encrypted(device)),
        }))
    }

    fn respond(
        self: Box<Self>,
        product: &Product,
        result: Result<Performed, Code>,
        _random: [u8; 16],
    ) -> HttpResponse {
        let device = match result {
            Ok(Performed::Registered { device, .. }) => device,
            Ok(Performed::Kept | Performed::Located(_)) => return reply::refuse("internal.store"),
            Err(code) => return reply::refuse(code),
        };
        let text = format!("did={}", device.id);
        match (&self.data, &product.secret) {
            (None, _) => reply::form(201, text),
            (Some(_), secret) => {
                let sealed = secret.as_ref().and_then(|secret| cipher::seal(secret, &text));
                sealed
                    .map_or_else(|| reply::refuse("internal.store"), |data| reply::form(201, data))
            }
        }
    }
}

impl Register {
    /// Whoever shows the registered passcode gets the DID again under every policy.
    fn policy(
        &self,
        product: &Product,
        device: Option<&Arc<Device>>,
        request: &Request,
    ) -> Result<(), Code> {
        let registered = device.and_then(|device| device.secret.as_ref());
        if device.is_some_and(|device| device.frozen) {
            return Err("auth.frozen");
        }
        if registered == Some(&request.passcode) {
            return Ok(());
        }
        match (product.registration, device) {
            (Registration::Off, _) => Err("register.off"),
            (Registration::Preregistered, None) => Err("register.unknown_device"),
            (_, Some(device))
                if self.settings.new_passcode == NewPasscode::Refuse
                    && device.activated_at.is_some() =>
            {
                Err("register.activated")
            }
            (Registration::Preregistered | Registration::Open, _) => Ok(()),
        }
    }
}
