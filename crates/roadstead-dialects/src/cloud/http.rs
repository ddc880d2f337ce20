//! Vendor HTTP calls: dynamic registration, log upload, later OTA downloads and bootstraps.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use roadstead_core::device::Device;
use roadstead_core::product::Product;
use roadstead_core::{Code, Map, Secret, Timestamp, Value};

use super::Claim;

/// One request, whole: bodies of vendor calls are small.
#[derive(Clone, Copy)]
pub struct HttpRequest<'a> {
    /// Method, upper case.
    pub method: &'a str,
    /// `Host` header without port; empty when absent.
    pub host: &'a str,
    /// Path without query.
    pub path: &'a str,
    /// Query without `?`; empty when absent.
    pub query: &'a str,
    /// Header names in lower case, in order.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body.
    pub body: &'a [u8],
    /// Port of this server's plain MQTT listener, if it has one: where a device is sent that asks.
    pub mqtt_port: Option<u16>,
}

impl<'a> HttpRequest<'a> {
    /// Returns the first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }
}

/// One response, whole; always sent with `Content-Length`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Content type.
    pub content_type: &'static str,
    /// Body.
    pub body: Vec<u8>,
    /// What the trace says about it: `ok` or a stable code.
    pub code: Code,
}

impl HttpResponse {
    /// Returns a JSON response.
    pub fn json(status: u16, code: Code, body: String) -> Self {
        Self { status, content_type: "application/json", body: body.into_bytes(), code }
    }
}

/// A recognised call, between the steps.
pub trait Call: Send {
    /// Returns the region it asks about, for no device in particular; [`Call::tell`] answers then.
    fn region(&self) -> Option<&str> {
        None
    }

    /// Tells where a region is; `None` is here.
    fn tell(self: Box<Self>, place: Option<&Place>) -> HttpResponse {
        let _ = place;
        HttpResponse::json(404, "http.not_found", String::from("{}"))
    }

    /// Returns whom it is about; `Err` answers at once.
    ///
    /// # Errors
    ///
    /// The vendor's own error response.
    fn claim(&self) -> Result<Claim, HttpResponse>;

    /// Returns whom it is about, where only the product of the first claim tells: an encrypted
    /// call. `None` stays with the first one.
    fn second_claim(&mut self, product: Option<&Arc<Product>>) -> Option<Claim> {
        let _ = product;
        None
    }

    /// Checks it against what is registered and says what to perform.
    ///
    /// # Errors
    ///
    /// The vendor's own error response; nothing is performed.
    fn decide(
        &mut self,
        product: Option<&Arc<Product>>,
        device: Option<&Arc<Device>>,
        now: Timestamp,
    ) -> Result<Effect, HttpResponse>;

    /// Writes the response. `random` is fresh.
    fn respond(
        self: Box<Self>,
        product: &Product,
        result: Result<Performed, Code>,
        random: [u8; 16],
    ) -> HttpResponse;
}

/// What a call wants performed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Register this node dynamically, by the product's policy.
    Register {
        /// Node id.
        node: Box<str>,
        /// Identifies the request; a second one of the same key is a replay. Empty where
        /// requests cannot be told apart.
        replay_key: Box<str>,
    },
    /// Register this node with the secret that it made itself.
    Enrol(Enrolment),
    /// Keep these log records of the device, secrets already masked.
    Logs(Vec<Box<str>>),
    /// Find out where the device belongs.
    Locate,
    /// Keep these facts about the device.
    Learn(Map<String, Value>),
    /// The device gives up its registration: it loses its owner, and its secret opens nothing.
    Retire,
    /// Nothing: the answer is made of what is known.
    Nothing,
}

/// An instance that devices may be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Host name or address for MQTT.
    pub host: Box<str>,
    /// Port.
    pub port: u16,
}

/// A registration by a device that makes its own secret; whoever repeats one gets the same device
/// id again.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Node id.
    pub node: Box<str>,
    /// The secret it made.
    pub secret: Secret,
    /// Facts about it.
    pub info: Map<String, Value>,
    /// Another secret than the registered one keeps the device id; otherwise the device gets a
    /// new id and loses its owner, while its name and its tags stay.
    pub keeps_id: bool,
    /// What a phone finds the fresh device by, if the device told.
    pub call_sign: Option<Box<str>>,
}

impl core::fmt::Debug for Enrolment {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { node, info, keeps_id, call_sign: _, secret: _ } = self;
        let mut shown = f.debug_struct("Enrolment");
        shown.field("node", node).field("info", info).field("keeps_id", keeps_id);
        shown.finish_non_exhaustive()
    }
}

/// What was performed.
#[derive(Clone)]
pub enum Performed {
    /// The device is registered.
    Registered {
        /// With its secret.
        device: Arc<Device>,
        /// Fresh certificate and key in PEM, for products that authenticate by certificate.
        certificate: Option<(String, Secret)>,
    },
    /// Everything else: kept, given up, or nothing to do.
    Kept,
    /// Where the device belongs; `None` is here.
    Located(Option<Place>),
}
