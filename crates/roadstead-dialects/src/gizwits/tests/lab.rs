//! A registry in memory that performs what HTTP calls want, as the server does.

use std::boxed::Box;
use std::string::String;
use std::sync::Arc;
use std::vec::Vec;

use roadstead_core::device::Device;
use roadstead_core::product::Product;
use roadstead_core::{DeviceId, Timestamp, Value};

use super::login::{device, product};
use crate::Dialect as _;
use crate::cloud::{Claim, Cloud, Effect, HttpRequest, HttpResponse, Performed, Place};
use crate::gizwits::Gizwits;

/// The platform, as far as HTTP calls see it.
pub(super) struct Lab {
    pub(super) cloud: Box<dyn Cloud>,
    pub(super) products: Vec<Arc<Product>>,
    pub(super) devices: Vec<Arc<Device>>,
    /// Ids to give out first.
    pub(super) ids: Vec<String>,
    pub(super) now: Timestamp,
    /// Where devices belong.
    pub(super) place: Option<Place>,
    random: u8,
}

impl Lab {
    pub(super) fn new(settings: &Value, products: Vec<Product>) -> Self {
        let cloud = Gizwits.cloud(settings).expect("settings");
        let products = products.into_iter().map(Arc::new).collect();
        let now = Timestamp(1_795_221_215_000);
        Self { cloud, products, devices: Vec::new(), ids: Vec::new(), now, place: None, random: 0 }
    }

    /// With one open product.
    pub(super) fn open() -> Self {
        Self::new(&Value::Null, Vec::from([product(roadstead_core::product::Model::default())]))
    }

    pub(super) fn device(&self, id: &str) -> Option<&Arc<Device>> {
        self.devices.iter().find(|device| device.id.as_str() == id)
    }

    fn find(&self, claim: &Claim) -> (Option<Arc<Product>>, Option<Arc<Device>>) {
        let product = |id: &str| self.products.iter().find(|p| p.id.as_str() == id).cloned();
        match claim {
            Claim::Node { product: key, node } => {
                let is_node = |name: &str| {
                    let found = self.devices.iter();
                    found
                        .clone()
                        .find(|d| d.product.as_str() == &**key && &*d.node == name)
                        .cloned()
                };
                let other = || self.cloud.other_spelling(node).and_then(|other| is_node(&other));
                (product(key), is_node(node).or_else(other))
            }
            Claim::Device(id) => {
                let device = self.device(id.as_str()).cloned();
                (device.as_ref().and_then(|device| product(device.product.as_str())), device)
            }
            Claim::Member { .. } => (None, None),
        }
    }

    /// Calls; `None` when it is not the vendor's.
    pub(super) fn call(
        &mut self,
        method: &str,
        path: &str,
        host: &str,
        body: &str,
    ) -> Option<HttpResponse> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let body = body.as_bytes();
        let request =
            HttpRequest { method, host, path, query, headers: &[], body, mqtt_port: Some(1883) };
        let mut call = self.cloud.http(&request)?;
        let claim = match call.claim() {
            Ok(claim) => claim,
            Err(response) => return Some(response),
        };
        let (mut product, mut device) = self.find(&claim);
        if let Some(second) = call.second_claim(product.as_ref()) {
            let (other, found) = self.find(&second);
            (product, device) = (other.or(product), found);
        }
        let effect = match call.decide(product.as_ref(), device.as_ref(), self.now) {
            Ok(effect) => effect,
            Err(response) => return Some(response),
        };
        let product = product.expect("an effect without a product");
        let performed = self.perform(&product, device, effect);
        Some(call.respond(&product, Ok(performed), [0; 16]))
    }

    /// Sends a recorded request.
    pub(super) fn raw(&mut self, text: &str) -> Option<HttpResponse> {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let mut lines = head.split("\r\n");
        let mut line = lines.next().expect("a line").split(' ');
        let (method, path) = (line.next().expect("method"), line.next().expect("path"));
        let host = lines.find_map(|line| line.strip_prefix("Host:")).unwrap_or("").trim();
        self.call(method, path, host, body)
    }

    fn perform(
        &mut self,
        product: &Arc<Product>,
        known: Option<Arc<Device>>,
        effect: Effect,
    ) -> Performed {
        match effect {
            Effect::Enrol(enrolment) => {
                let is_same =
                    known.as_ref().is_some_and(|d| d.secret.as_ref() == Some(&enrolment.secret));
                let kept = known.as_ref().filter(|_| is_same || enrolment.keeps_id);
                let activated_at = kept.and_then(|device| device.activated_at);
                let id = kept.map_or_else(|| self.fresh(), |device| device.id.clone());
                self.devices.retain(|d| Some(&d.id) != known.as_ref().map(|known| &known.id));
                let device = Arc::new(Device {
                    id,
                    product: product.id.clone(),
                    node: enrolment.node,
                    secret: Some(enrolment.secret),
                    info: enrolment.info,
                    activated_at,
                    ..device(None)
                });
                self.devices.push(device.clone());
                Performed::Registered { device, certificate: None }
            }
            Effect::Retire => {
                let id = &known.expect("a device").id;
                self.change(id, |device| device.secret = Some("00000000".into()));
                Performed::Kept
            }
            Effect::Learn(facts) => {
                let id = &known.expect("a device").id;
                self.change(id, |device| device.info.extend(facts));
                Performed::Kept
            }
            Effect::Nothing => Performed::Kept,
            Effect::Locate => Performed::Located(self.place.clone()),
            Effect::Register { .. } | Effect::Logs(_) => panic!("not of this vendor"),
        }
    }

    pub(super) fn change(&mut self, id: &DeviceId, change: impl FnOnce(&mut Device)) {
        let device = self.devices.iter_mut().find(|device| device.id == *id).expect("known");
        change(Arc::make_mut(device));
    }

    fn fresh(&mut self) -> DeviceId {
        self.random += 1;
        match self.ids.is_empty() {
            true => self.cloud.new_device_id([self.random; 32]).expect("this vendor makes ids"),
            false => DeviceId::new(self.ids.remove(0)),
        }
    }
}

/// Returns status and text of an answer.
pub(super) fn shown(response: Option<HttpResponse>) -> (u16, String) {
    let response = response.expect("a call of this vendor");
    (response.status, String::from_utf8(response.body).expect("text"))
}
