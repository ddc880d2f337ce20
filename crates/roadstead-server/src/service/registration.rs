//! Vendor HTTP calls: dynamic registration and uploads, recognised and answered by the dialects.
//!
//! Not here: registration by devices that make their own secret ([`super::enrolment`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use roadstead_core::device::Device;
use roadstead_core::port::{DevicePatch, RegisterError};
use roadstead_core::product::{Auth, Product};
use roadstead_core::trace::{Entries, Entry, Hop};
use roadstead_core::{Code, DeviceId, Map, Secret, Timestamp};
use roadstead_dialects::cloud::{
    Account, Call, Claim, Cloud, Effect, HttpRequest, HttpResponse, Performed, Refusal,
};

use super::Platform;
use super::device::dialect_of;

/// How long the key of a registration request is remembered: as long as its time stamp can be
/// accepted with the widest sensible window. One without a time stamp may outlive it; it gets the
/// device's own secret again at most until the device connects.
pub(super) const REPLAY_LIFE: Duration = Duration::from_secs(2 * 3600);
/// Records kept of one upload.
const UPLOAD_RECORDS_MAX: usize = 200;

impl Platform {
    /// Performs a vendor HTTP call; `None` when it is no dialect's.
    pub async fn vendor_call(
        &self,
        request: &HttpRequest<'_>,
        peer: Option<SocketAddr>,
    ) -> Option<HttpResponse> {
        let found = self
            .clouds
            .iter()
            .find_map(|(dialect, cloud)| Some((*dialect, cloud, cloud.http(request)?)));
        let (dialect, cloud, call) = found?;
        let source = match peer {
            Some(peer) => format!("{} {} from {peer}", request.method, request.path),
            None => format!("{} {}", request.method, request.path),
        };
        Some(self.answer_call(dialect, cloud, call, &source, peer).await)
    }

    async fn answer_call(
        &self,
        dialect: &'static str,
        cloud: &Arc<dyn Cloud>,
        mut call: Box<dyn Call>,
        source: &str,
        peer: Option<SocketAddr>,
    ) -> HttpResponse {
        let now = self.clock.now();
        if let Some(region) = call.region() {
            let place = self.place_of_region(region);
            self.observer.count("locate", "ok");
            return call.tell(place.as_ref());
        }
        let mut claim = match call.claim() {
            Ok(claim) => claim,
            Err(response) => {
                let refusal = Refusal::new(response.code, source);
                self.refused_stranger("vendor_http", None, peer, &refusal, now);
                return response;
            }
        };
        let found = self.find_claims(dialect, cloud, call.as_mut(), &mut claim).await;
        let (product, device) = match found {
            Ok(found) => found,
            Err(code) => return unavailable(code),
        };
        let account = match (&product, &device) {
            (Some(product), Some(device)) => {
                Some(Account { product: product.clone(), device: device.clone() })
            }
            (_, _) => None,
        };
        let effect = match call.decide(product.as_ref(), device.as_ref(), now) {
            Ok(effect) => effect,
            Err(response) => {
                self.refused_call(account, claim, response.code, source, peer, now).await;
                return response;
            }
        };
        let Some(product) = product else { return unavailable("register.unknown_product") };
        let (what, performed) = match effect {
            Effect::Register { node, replay_key } => {
                let registered = self.register(cloud, &product, device, &node, &replay_key).await;
                ("register", registered)
            }
            Effect::Locate => {
                let place = account.as_ref().and_then(|account| self.place_of(&account.device));
                if let Some(account) = &account {
                    let text = match &place {
                        Some(place) => format!("{source}: {}:{}", place.host, place.port),
                        None => format!("{source}: here"),
                    };
                    let entry = Entry::new(now, Hop::Up, "locate", "ok", &text);
                    self.note(&account.device.id, entry);
                }
                ("locate", Ok(Performed::Located(place)))
            }
            Effect::Logs(records) => ("logs", self.keep_upload(account.as_ref(), records).await),
            Effect::Enrol(enrolment) => {
                ("register", self.enrol(cloud, &product, device, enrolment).await)
            }
            Effect::Learn(facts) => ("info", self.learn(account.as_ref(), source, facts).await),
            Effect::Retire => ("deregister", self.retire(cloud, account.as_ref(), source).await),
            Effect::Nothing => ("vendor_http", Ok(Performed::Kept)),
        };
        match &performed {
            Ok(Performed::Registered { device, .. }) => {
                self.observer.count(what, "ok");
                self.note(&device.id, Entry::new(now, Hop::Up, what, "ok", source));
                self.mark_registered(&device.id, now).await;
            }
            Ok(Performed::Kept | Performed::Located(_)) => {
                self.observer.count(what, "ok");
                if let Some(account) = &account
                    && what == "vendor_http"
                {
                    self.note(&account.device.id, Entry::new(now, Hop::Up, what, "ok", source));
                }
            }
            Err(code) => self.refused_call(account, claim, code, source, peer, now).await,
        }
        call.respond(&product, performed, self.random.bytes())
    }

    /// Returns whom a call is about; the product may tell more.
    async fn find_claims(
        &self,
        dialect: &str,
        cloud: &Arc<dyn Cloud>,
        call: &mut dyn Call,
        claim: &mut Claim,
    ) -> Result<(Option<Arc<Product>>, Option<Arc<Device>>), Code> {
        let (product, device) = self.find_claim(dialect, cloud, claim).await?;
        let Some(second) = call.second_claim(product.as_ref()) else {
            return Ok((product, device));
        };
        *claim = second;
        let (other, device) = self.find_claim(dialect, cloud, claim).await?;
        Ok((other.or(product), device))
    }

    async fn find_claim(
        &self,
        dialect: &str,
        cloud: &Arc<dyn Cloud>,
        claim: &Claim,
    ) -> Result<(Option<Arc<Product>>, Option<Arc<Device>>), Code> {
        let (product, device) = match claim {
            Claim::Node { product, node } => {
                let id = (&**product).into();
                let product = self.store.product(&id).await.map_err(|error| error.code())?;
                let mut device = self.store.device_by_node(&id, node).await;
                if let (Ok(None), Some(other)) = (&device, cloud.other_spelling(node)) {
                    device = self.store.device_by_node(&id, &other).await;
                }
                (product, device.map_err(|error| error.code())?)
            }
            Claim::Member { product, device } => {
                let product = self.store.product(&(&**product).into()).await;
                let device = self.store.device(&(&**device).into()).await;
                (product.map_err(|error| error.code())?, device.map_err(|error| error.code())?)
            }
            Claim::Device(id) => {
                let device = self.store.device(id).await.map_err(|error| error.code())?;
                let product = match &device {
                    Some(device) => self.store.product(&device.product).await,
                    None => Ok(None),
                };
                (product.map_err(|error| error.code())?, device)
            }
        };
        let product = product.filter(|product| &*product.dialect == dialect);
        let device = device.filter(|_| product.is_some());
        Ok((product, device))
    }

    async fn refused_call(
        &self,
        account: Option<Account>,
        claim: Claim,
        code: Code,
        source: &str,
        peer: Option<SocketAddr>,
        now: Timestamp,
    ) {
        let meaning = roadstead_core::code::info(code).map_or("refused", |info| info.meaning);
        let refusal = Refusal::new(code, meaning);
        let what = if code.starts_with("register.") { "register" } else { "vendor_http" };
        match account {
            Some(account) => {
                self.refused_device(&account, what, &refusal, source, now).await;
            }
            None => {
                let refusal = Refusal::new(code, format!("{source}: {meaning}"));
                self.refused_stranger(what, Some(claim), peer, &refusal, now);
            }
        }
    }

    async fn register(
        &self,
        cloud: &Arc<dyn Cloud>,
        product: &Arc<Product>,
        known: Option<Arc<Device>>,
        node: &str,
        replay_key: &str,
    ) -> Result<Performed, Code> {
        let now = self.clock.now();
        let dialect = dialect_of(product).map_err(|error| error.code())?;
        dialect.check_ids(product.id.as_str(), Some(node)).map_err(|_| "register.bad_request")?;
        let key: Box<str> = format!("{}/{replay_key}", product.id).into();
        let is_told_apart = !replay_key.is_empty();
        if is_told_apart && self.replays.lock().set(key.clone(), (), now).is_some() {
            return Err("register.replayed");
        }
        let candidate = self.candidate(cloud, product, known, node, now);
        let registered = match self.store.register_device(candidate).await {
            Ok(registered) => registered,
            Err(error) => {
                if matches!(error, RegisterError::Store(_)) {
                    // Nothing was given out: the same request may come again.
                    self.replays.lock().remove(&key, now);
                    tracing::warn!(%error, product = %product.id, "registering a device");
                }
                return Err(error.code());
            }
        };
        let device = registered.device;
        if product.auth != Auth::Certificate {
            return Ok(Performed::Registered { device, certificate: None });
        }
        let (device, certificate) = self.certify(&device).await?;
        Ok(Performed::Registered { device, certificate: Some(certificate) })
    }

    pub(super) fn candidate(
        &self,
        cloud: &Arc<dyn Cloud>,
        product: &Product,
        known: Option<Arc<Device>>,
        node: &str,
        now: Timestamp,
    ) -> Device {
        let secret = match product.auth {
            Auth::Secret => Some(cloud.new_secret(self.random.bytes())),
            Auth::Certificate => None,
        };
        match known {
            Some(device) => {
                Device { secret: device.secret.clone().or(secret), ..Device::clone(&device) }
            }
            None => Device {
                id: DeviceId::of_node(&product.id, node),
                space: product.space.clone(),
                product: product.id.clone(),
                node: node.into(),
                name: node.into(),
                secret,
                fingerprint: None,
                gateway: None,
                frozen: false,
                info: Map::new(),
                created_at: now,
                activated_at: None,
                access: roadstead_core::device::Access::default(),
                tags: roadstead_core::device::Tags::new(),
                number: 0,
            },
        }
    }

    /// Makes a certificate for a device and keeps its digest. Until the device connects, a later
    /// registration replaces it.
    async fn certify(&self, device: &Device) -> Result<(Arc<Device>, (String, Secret)), Code> {
        let (issuer, name) = (self.issuer.clone(), format!("{}{}", device.product, device.node));
        let issued = tokio::task::spawn_blocking(move || issuer.issue(&name)).await;
        let issued = match issued {
            Ok(Ok(issued)) => issued,
            Ok(Err(error)) => {
                tracing::warn!(%error, device = %device.id, "registering a device");
                return Err(error.code());
            }
            Err(error) => {
                tracing::error!(%error, device = %device.id, "issuing a certificate");
                return Err("internal.certificate");
            }
        };
        let patch =
            DevicePatch { fingerprint: Some(Some(issued.sha256)), ..DevicePatch::default() };
        let device = self.store.update_device(&device.id, patch).await;
        let device = device.map_err(|error| error.code())?;
        Ok((device, (issued.certificate_pem, issued.key_pem)))
    }

    async fn keep_upload(
        &self,
        account: Option<&Account>,
        records: Vec<Box<str>>,
    ) -> Result<Performed, Code> {
        let account = account.ok_or("device.unknown")?;
        let now = self.clock.now();
        let entries = records
            .iter()
            .take(UPLOAD_RECORDS_MAX)
            .map(|record| Entry::new(now, Hop::Up, "logs", "ok", record))
            .collect();
        let device = account.device.id.clone();
        let kept = self.store.append_trace(vec![Entries { device, entries }]).await;
        kept.map(|()| Performed::Kept).map_err(|error| error.code())
    }
}

/// Answers while the registry cannot be read; vendors define nothing for that.
fn unavailable(code: Code) -> HttpResponse {
    let body = serde_json::json!({ "error_code": code, "error_msg": "try again" });
    HttpResponse::json(503, code, body.to_string())
}
