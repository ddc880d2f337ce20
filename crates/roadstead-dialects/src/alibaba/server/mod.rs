//! The cloud half: who may log in, and what opens then.
//!
//! | client id says | user name | password is made of |
//! |---|---|---|
//! | nothing special | `DeviceName&ProductKey` | device secret |
//! | `securemode=-1` | `iotId` of the log-in over HTTP | that call's `iotToken` |
//! | `authType=register`, `regnwl` | `DeviceName&ProductKey` | product secret |
//! | `authType=connwl` | `DeviceName&ProductKey` | the token of `regnwl` |
//!
//! Not here: signatures ([`super::auth`]), what a session says ([`session`]).
//!
//! Source: Alibaba §2, §3, §11.1.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a JSON value or an answer of another kind is wrong alike, whichever it is"
)]

mod bind;
mod channel;
mod enrol;
mod event;
mod gateway;
pub(super) mod guide;
mod info;
mod message;
mod pending;
mod property;
mod reply;
mod scene;
mod service;
mod session;
mod shadow;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use roadstead_core::device::Device;
use roadstead_core::product::{Auth, Product};
use roadstead_core::{Code, DeviceId, Map, Secret, Timestamp, Value};
use subtle::ConstantTimeEq as _;

use super::alcs::{AccessKey, KeyPair};
use super::auth::{
    Method, local_key, login_mistake, login_source, register_source, split_user_name,
};
use super::client::{ClientId, Purpose};
use super::settings::Settings;
use super::{codes, http};
use crate::cloud::{
    Account, Call, Claim, Cloud, Hello, HttpRequest, LocalKey, Refusal, Session, Tls,
};

/// Bytes of a fresh device secret; the vendor shows 32 characters.
const FRESH_SECRET_BYTES: usize = 16;

/// The vendor's cloud with the operator's settings.
pub(super) struct AlibabaCloud {
    settings: Arc<Settings>,
}

impl AlibabaCloud {
    /// Opens the cloud.
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

/// Returns ProductKey and DeviceName that a log-in is about.
fn names<'a>(hello: &Hello<'a>) -> Option<(&'a str, &'a str)> {
    let user = hello.user?;
    split_user_name(user).or_else(|| guide::split_iot_id(user))
}

impl Cloud for AlibabaCloud {
    /// The user name decides; firmware does what it likes with the client id (trap 5).
    fn recognizes(&self, hello: &Hello<'_>) -> bool {
        names(hello).is_some()
    }

    fn identify(&self, hello: &Hello<'_>) -> Result<Claim, Refusal> {
        let Some((product, node)) = names(hello) else {
            return Err(Refusal::new(
                "auth.malformed",
                "the user name is not DeviceName&ProductKey",
            ));
        };
        match client_id(hello)?.purpose() {
            Purpose::Register | Purpose::RegisterOpen => {
                let device = DeviceId::of_node(&product.into(), node);
                Ok(Claim::Member { product: product.into(), device: device.as_str().into() })
            }
            Purpose::Session | Purpose::Guided | Purpose::Token => {
                Ok(Claim::Node { product: product.into(), node: node.into() })
            }
        }
    }

    fn psk_claim(&self, _identity: &[u8]) -> Option<Claim> {
        // The PSK suites in the firmware's hello belong to iTLS, whose keys nobody can export.
        None
    }

    fn psk_key(&self, _device: &Device) -> Option<Secret> {
        None
    }

    fn admit(&self, hello: &Hello<'_>, account: &Account, now: Timestamp) -> Result<(), Refusal> {
        if account.product.auth == Auth::Certificate {
            return admit_by_certificate(hello.tls, &account.device);
        }
        let id = client_id(hello)?;
        let password = password(hello)?;
        let mut secrets = secrets(&account.device).peekable();
        if secrets.peek().is_none() {
            return Err(Refusal::new("auth.no_credential", "the device has no secret yet"));
        }
        match id.purpose() {
            Purpose::Guided => {
                let iot_id = hello.user.unwrap_or_default();
                let life = self.settings.guider_token_life;
                let check = |secret: &Secret| {
                    guide::check_iot_token(secret.expose(), iot_id, password, life, now)
                };
                match secrets.find_map(check) {
                    Some(true) => Ok(()),
                    Some(false) => Err(Refusal::new("auth.expired", "the iotToken has expired")),
                    None => Err(bad("the iotToken is not one of this device")),
                }
            }
            Purpose::Token => {
                let (product, node) = (account.product.id.as_str(), &*account.device.node);
                let fits = |secret: &Secret| {
                    let (client, token) = guide::device_token(secret.expose(), product, node);
                    client == id.base && bool::from(token.as_bytes().ct_eq(password))
                };
                let detail = "client id and token are not those of the registration";
                secrets.any(fits).then_some(()).ok_or_else(|| bad(detail))
            }
            Purpose::Session | Purpose::Register | Purpose::RegisterOpen => {
                let method = method(id)?;
                let (product, node) = (account.product.id.as_str(), &*account.device.node);
                let source = |ext| login_source(id.base, node, product, ext, id.get("timestamp"));
                let (plain, extended) = (source(None), id.get("ext").map(|ext| source(Some(ext))));
                let fits = |secret: &Secret| {
                    let verify = |text: &str| method.verify(secret.expose(), text, password);
                    verify(&plain) || extended.as_deref().is_some_and(verify)
                };
                if secrets.any(fits) {
                    return Ok(());
                }
                let (ids, stamp) = ((id.base, hello.client_id), id.get("timestamp"));
                let mistake = self::secrets(&account.device).find_map(|secret| {
                    let names = (node, product);
                    login_mistake(secret.expose(), password, method, ids, names, stamp)
                });
                Err(bad(&mistake.unwrap_or_else(|| {
                    format!("the password is not the HMAC of `{plain}` under the device secret")
                })))
            }
        }
    }

    fn admit_member(
        &self,
        hello: &Hello<'_>,
        product: &Product,
        _now: Timestamp,
    ) -> Result<(), Refusal> {
        let id = client_id(hello)?;
        let Some(secret) = &product.secret else {
            return Err(Refusal::new("register.off", "the product has no secret"));
        };
        let Some((key, node)) = names(hello) else {
            return Err(Refusal::new(
                "auth.malformed",
                "the user name is not DeviceName&ProductKey",
            ));
        };
        let random = id.get("random").unwrap_or_default();
        let source = register_source(node, key, random);
        if !method(id)?.verify(secret.expose(), &source, password(hello)?) {
            let detail = "the password is not the HMAC of the names under the product secret";
            return Err(Refusal::new("register.bad_signature", detail));
        }
        Ok(())
    }

    fn connack(&self, code: Code) -> u8 {
        codes::connack(code)
    }

    fn session(&self, account: &Account, random: u64) -> Box<dyn Session> {
        let (settings, own) = (self.settings.clone(), account.clone());
        Box::new(session::AlibabaSession::new(settings, own, None, random))
    }

    fn session_of(&self, hello: &Hello<'_>, account: &Account, random: u64) -> Box<dyn Session> {
        let (settings, own) = (self.settings.clone(), account.clone());
        Box::new(session::AlibabaSession::new(settings, own, Some(hello.client_id), random))
    }

    fn verify_sub_device(
        &self,
        sub: &Account,
        proof: &Map<String, Value>,
        _now: Timestamp,
    ) -> Result<(), Code> {
        let names = (sub.product.id.as_str(), &*sub.device.node);
        gateway::verify(names, secrets(&sub.device), proof)
    }

    fn verify_sub_registration(
        &self,
        product: &Product,
        node: &str,
        proof: &Map<String, Value>,
    ) -> Result<(), Code> {
        gateway::verify_registration((product.id.as_str(), node), product.secret.as_ref(), proof)
    }

    fn verify_enrollee(
        &self,
        product: &Product,
        device: Option<&Device>,
        node: &str,
        proof: &Map<String, Value>,
    ) -> Result<(), Code> {
        let own = device.into_iter().flat_map(secrets);
        let known = product.secret.iter().chain(own);
        enrol::verify(known, node, product.id.as_str(), proof)
    }

    fn password_key(
        &self,
        product: &Product,
        device: Option<&Device>,
        proof: &Map<String, Value>,
    ) -> Option<Secret> {
        let own = device.and_then(|device| device.secret.as_ref());
        enrol::password_key(product.secret.as_ref(), own, proof)
    }

    /// The device got prefix and secret of its own on `thing/lan/prefix/get`; a phone gets what is
    /// derived from them, so a withdrawn phone never had the secret.
    fn local_key(&self, product: &Product, device: &Device, sequence: u16) -> Option<LocalKey> {
        let secret = device.secret.as_ref()?;
        let (prefix, secret) = local_key(secret.expose(), product.id.as_str(), &device.node);
        let AccessKey { key, token } =
            KeyPair::new(&prefix, secret.as_str().into())?.access_key(sequence);
        Some(LocalKey { key, token })
    }

    /// `thing/disable` and its siblings, `topo/change`, `topo/add/notify` (§8).
    fn tells_standing(&self) -> bool {
        true
    }

    fn connects_per_minute(&self) -> Option<u32> {
        Some(self.settings.connects_per_minute).filter(|&most| most > 0)
    }

    /// The secret is given out until it was used (§3.3).
    fn registers_once(&self) -> bool {
        true
    }

    fn http(&self, request: &HttpRequest<'_>) -> Option<Box<dyn Call>> {
        http::recognize(request, &self.settings)
    }

    fn new_secret(&self, random: [u8; 32]) -> Secret {
        Secret::from(hex::encode(&random[..FRESH_SECRET_BYTES]))
    }
}

fn client_id<'a>(hello: &Hello<'a>) -> Result<ClientId<'a>, Refusal> {
    ClientId::parse(hello.client_id).ok_or_else(|| {
        let detail = "the client id is not {id}|key=value,…|";
        Refusal::new("auth.malformed", detail)
    })
}

fn password<'a>(hello: &Hello<'a>) -> Result<&'a [u8], Refusal> {
    hello.password.ok_or_else(|| bad("no password"))
}

fn method(id: ClientId<'_>) -> Result<Method, Refusal> {
    match id.get("signmethod") {
        None => Ok(Method::default()),
        Some(name) => Method::parse(name).ok_or_else(|| {
            Refusal::new("auth.malformed", format!("signmethod `{name}` is not known"))
        }),
    }
}

/// Returns the secrets that a device may use.
fn secrets(device: &Device) -> impl Iterator<Item = &Secret> {
    device.secret.iter().chain(&device.access.secondary_secret)
}

fn bad(detail: &str) -> Refusal {
    Refusal::new("auth.bad_password", detail)
}

/// The fingerprint decides.
fn admit_by_certificate(tls: &Tls, device: &Device) -> Result<(), Refusal> {
    let Tls::Certificate { sha1, sha256, .. } = tls else {
        let detail = "the product asks for a client certificate and none was shown";
        return Err(Refusal::new("auth.certificate_missing", detail));
    };
    let known = device.fingerprint.iter().chain(&device.access.secondary_fingerprint);
    if known.into_iter().any(|known| known == sha1 || known == sha256) {
        return Ok(());
    }
    let detail = format!("presented {sha1} ({sha256})");
    Err(Refusal::new("auth.certificate_mismatch", detail))
}
