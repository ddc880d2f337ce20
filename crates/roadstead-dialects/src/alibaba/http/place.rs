//! Where to connect: bootstrap, by device or region, and the guided log-in of firmware 2.x.
//!
//! A device that an operator moved to another region is told that region's address (§4).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;

use roadstead_core::device::Device;
use roadstead_core::product::{Product, Registration};
use roadstead_core::{Code, Timestamp};
use serde::Serialize;

use super::form::Form;
use super::{accepted, refused};
use crate::alibaba::auth::{Method, source};
use crate::alibaba::server::guide;
use crate::alibaba::settings::Settings;
use crate::alibaba::{is_device_name, is_product_key};
use crate::cloud::{Call, Claim, Effect, HttpRequest, HttpResponse, Performed, Place};

/// The vendor's regions by number (§1, order of the living SDK).
const REGIONS: [&str; 6] =
    ["cn-shanghai", "ap-southeast-1", "ap-northeast-1", "us-east-1", "eu-central-1", "us-west-1"];

#[derive(Serialize)]
struct Resources<'a> {
    resources: Mqtt<'a>,
}

#[derive(Serialize)]
struct Mqtt<'a> {
    mqtt: Address<'a>,
}

#[derive(Clone, Copy, Serialize)]
struct Address<'a> {
    host: &'a str,
    port: u16,
}

/// Where a caller is sent that stays here: as the operator says, or where it called.
struct Here {
    host: Box<str>,
    port: u16,
}

impl Here {
    fn new(request: &HttpRequest<'_>, settings: &Settings) -> Self {
        let host = match settings.mqtt_host.as_str() {
            "" => request.host,
            host => host,
        };
        Self { host: host.into(), port: settings.mqtt_port }
    }

    fn address<'a>(&'a self, place: Option<&'a Place>) -> Address<'a> {
        match place {
            Some(place) => Address { host: &place.host, port: place.port },
            None => Address { host: &self.host, port: self.port },
        }
    }
}

/// Names of a call, if they can be some.
fn names(form: &Form<'_>) -> Option<(Box<str>, Box<str>)> {
    let product = form.get("productKey").filter(|name| is_product_key(name))?;
    let node = form.get("deviceName").filter(|name| is_device_name(name))?;
    Some((product.into(), node.into()))
}

fn claim(names: Option<&(Box<str>, Box<str>)>) -> Result<Claim, HttpResponse> {
    match names {
        Some((product, node)) => Ok(Claim::Node { product: product.clone(), node: node.clone() }),
        None => Err(refused("register.bad_request")),
    }
}

/// `POST /auth/bootstrap`. Nobody signs it, so it tells nothing but an address.
pub(super) struct Bootstrap {
    here: Here,
    names: Option<(Box<str>, Box<str>)>,
}

impl Bootstrap {
    /// Reads the call.
    pub(super) fn new(request: &HttpRequest<'_>, settings: Arc<Settings>) -> Self {
        let form = Form::parse(request.body);
        Self { here: Here::new(request, &settings), names: names(&form) }
    }
}

impl Call for Bootstrap {
    fn claim(&self) -> Result<Claim, HttpResponse> {
        claim(self.names.as_ref())
    }

    fn decide(
        &mut self,
        product: Option<&Arc<Product>>,
        device: Option<&Arc<Device>>,
        _now: Timestamp,
    ) -> Result<Effect, HttpResponse> {
        match (product, device) {
            (None, _) => Err(refused("auth.unknown_product")),
            // It may register once it knows where.
            (Some(product), None) if product.registration != Registration::Open => {
                Err(refused("auth.unknown_device"))
            }
            (Some(_), _) => Ok(Effect::Locate),
        }
    }

    fn respond(
        self: Box<Self>,
        _product: &Product,
        result: Result<Performed, Code>,
        _random: [u8; 16],
    ) -> HttpResponse {
        match result {
            Ok(Performed::Located(place)) => {
                let mqtt = self.here.address(place.as_ref());
                accepted(Resources { resources: Mqtt { mqtt } })
            }
            Ok(Performed::Registered { .. } | Performed::Kept) => refused("internal.store"),
            Err(code) => refused(code),
        }
    }
}

/// `GET /auth/bootstrap/regionId/{n}`.
pub(super) struct Region {
    here: Here,
    region: Box<str>,
}

impl Region {
    /// Reads the call; numbers beyond the vendor's list are names of their own (§4).
    pub(super) fn new(request: &HttpRequest<'_>, region: &str, settings: Arc<Settings>) -> Self {
        let known = region.parse::<usize>().ok().and_then(|n| REGIONS.get(n).copied());
        let region = known.unwrap_or(region).into();
        Self { here: Here::new(request, &settings), region }
    }
}

impl Call for Region {
    fn region(&self) -> Option<&str> {
        Some(&self.region)
    }

    fn tell(self: Box<Self>, place: Option<&Place>) -> HttpResponse {
        let mqtt = self.here.address(place);
        accepted(Resources { resources: Mqtt { mqtt } })
    }

    fn claim(&self) -> Result<Claim, HttpResponse> {
        Err(refused("register.bad_request"))
    }

    fn decide(
        &mut self,
        _product: Option<&Arc<Product>>,
        _device: Option<&Arc<Device>>,
        _now: Timestamp,
    ) -> Result<Effect, HttpResponse> {
        Ok(Effect::Locate)
    }

    fn respond(
        self: Box<Self>,
        _product: &Product,
        _result: Result<Performed, Code>,
        _random: [u8; 16],
    ) -> HttpResponse {
        refused("register.bad_request")
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    iot_id: &'a str,
    iot_token: &'a str,
    resources: Mqtt<'a>,
}

/// `POST /auth/devicename`: the log-in over HTTP that gives `iotId` and `iotToken`.
pub(super) struct Guided {
    here: Here,
    names: Option<(Box<str>, Box<str>)>,
    signed: Option<Signed>,
    given: Option<(String, String)>,
}

struct Signed {
    method: Method,
    source: String,
    sign: Box<str>,
}

impl Guided {
    /// Reads the call. The signature covers the client id, the names and the time, as far as they
    /// are there (§3.2).
    pub(super) fn new(request: &HttpRequest<'_>, settings: Arc<Settings>) -> Self {
        let form = Form::parse(request.body);
        let signed = || {
            let method = match form.get("signmethod").or(form.get("signMethod")) {
                None => Method::default(),
                Some(name) => Method::parse(name)?,
            };
            let keys = ["clientId", "deviceName", "productKey", "timestamp"];
            let fields = keys.into_iter().filter_map(|key| Some((key, form.get(key)?)));
            Some(Signed { method, source: source(fields), sign: form.get("sign")?.into() })
        };
        let (here, names) = (Here::new(request, &settings), names(&form));
        Self { here, names, signed: signed(), given: None }
    }
}

impl Call for Guided {
    fn claim(&self) -> Result<Claim, HttpResponse> {
        match &self.signed {
            Some(_) => claim(self.names.as_ref()),
            None => Err(refused("register.bad_request")),
        }
    }

    fn decide(
        &mut self,
        product: Option<&Arc<Product>>,
        device: Option<&Arc<Device>>,
        now: Timestamp,
    ) -> Result<Effect, HttpResponse> {
        let product = product.ok_or_else(|| refused("auth.unknown_product"))?;
        let device = device.ok_or_else(|| refused("auth.unknown_device"))?;
        if device.frozen {
            return Err(refused("auth.frozen"));
        }
        let signed = self.signed.as_ref().ok_or_else(|| refused("register.bad_request"))?;
        let secrets = device.secret.iter().chain(&device.access.secondary_secret);
        let verify = |secret: &&roadstead_core::Secret| {
            signed.method.verify(secret.expose(), &signed.source, signed.sign.as_bytes())
        };
        let secret = secrets.into_iter().find(verify);
        let secret = secret.ok_or_else(|| refused("auth.bad_password"))?;
        let id = guide::iot_id(product.id.as_str(), &device.node);
        let token = guide::iot_token(secret.expose(), &id, now);
        self.given = Some((id, token));
        Ok(Effect::Locate)
    }

    fn respond(
        self: Box<Self>,
        _product: &Product,
        result: Result<Performed, Code>,
        _random: [u8; 16],
    ) -> HttpResponse {
        match (result, &self.given) {
            (Ok(Performed::Located(place)), Some((iot_id, iot_token))) => {
                let mqtt = self.here.address(place.as_ref());
                accepted(Token { iot_id, iot_token, resources: Mqtt { mqtt } })
            }
            (Ok(_), _) => refused("internal.store"),
            (Err(code), _) => refused(code),
        }
    }
}
