//! The cloud half: who may log in, and what opens then.
//!
//! Not here: signatures ([`super::auth`]), what a session says ([`session`]), HTTP calls
//! ([`super::http`]).
//!
//! Source: Tencent §2, §3, §12.

mod action;
mod channel;
mod event;
mod gateway;
mod log;
mod message;
mod ota;
mod property;
mod reply;
mod service;
mod session;
mod sys;
mod token;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use base64::Engine as _;
use roadstead_core::device::Device;
use roadstead_core::product::Auth;
use roadstead_core::{Code, Map, Secret, Timestamp, Value};

use super::auth::{BASE64, UserName, device_key, mistake, password_matches, split_client_id};
use super::settings::Settings;
use super::{codes, http};
use crate::cloud::{Account, Call, Claim, Cloud, Hello, HttpRequest, Refusal, Session, Tls};

/// Bytes of a fresh device secret; the vendor issues 16 (Tencent §1.1).
const FRESH_KEY_BYTES: usize = 16;

/// The vendor's cloud with the operator's settings.
pub(super) struct TencentCloud {
    settings: Arc<Settings>,
}

impl TencentCloud {
    /// Opens the cloud.
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }

    fn admit_by_secret(
        &self,
        hello: &Hello<'_>,
        device: &Device,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let secret = device
            .secret
            .as_ref()
            .ok_or_else(|| Refusal::new("auth.no_credential", "the device has no secret yet"))?;
        // The handshake proved the key; a password beside it says nothing (§3.2).
        if let Tls::Psk { identity } = hello.tls {
            return same_identity(identity, hello.client_id);
        }
        let Some(user) = hello.user else {
            return Err(Refusal::new("auth.malformed", "no user name"));
        };
        let Some(password) = hello.password else {
            return Err(Refusal::new("auth.bad_password", "no password, and no TLS-PSK"));
        };
        let key = device_key(secret).ok_or_else(|| {
            Refusal::new("auth.no_credential", "the registered secret is not base64")
        })?;
        if !password_matches(&key, user, password) {
            let how = mistake(secret, &key, user, hello.client_id, password);
            let how = how.map_or_else(String::new, |how| format!(": {how}"));
            let detail = format!(
                "the password is not the HMAC of the user name `{user}` under the device secret{how}"
            );
            return Err(Refusal::new("auth.bad_password", detail));
        }
        match UserName::parse(user) {
            Some(name) if self.settings.check_expiry && name.is_expired(now.as_secs()) => {
                let detail = format!("expiry {} is before {}", name.expiry, now.as_secs());
                Err(Refusal::new("auth.expired", detail))
            }
            Some(_) => Ok(()),
            None => Err(Refusal::new("auth.malformed", "the user name has not four fields")),
        }
    }
}

impl Cloud for TencentCloud {
    fn recognizes(&self, hello: &Hello<'_>) -> bool {
        if split_client_id(hello.client_id).is_none() {
            return false;
        }
        match (hello.user.map(UserName::parse), hello.tls) {
            (Some(Some(name)), _) => split_client_id(name.client_id).is_some(),
            (Some(None), _) => false,
            // TLS-PSK firmware may leave the user name out; the identity has the same shape.
            (None, Tls::Psk { identity }) => self.psk_claim(identity).is_some(),
            (None, Tls::None | Tls::Server | Tls::Certificate { .. }) => false,
        }
    }

    fn identify(&self, hello: &Hello<'_>) -> Result<Claim, Refusal> {
        let Some((product, node)) = split_client_id(hello.client_id) else {
            let detail = "the client id is not a ProductId of 10 characters and a DeviceName";
            return Err(Refusal::new("auth.malformed", detail));
        };
        if let Some(name) = hello.user.and_then(UserName::parse)
            && name.client_id != hello.client_id
        {
            let detail = format!("client id {}, user name {}", hello.client_id, name.client_id);
            return Err(Refusal::new("auth.identity_mismatch", detail));
        }
        if let Tls::Psk { identity } = hello.tls {
            same_identity(identity, hello.client_id)?;
        }
        Ok(Claim::Node { product: product.into(), node: node.into() })
    }

    fn psk_claim(&self, identity: &[u8]) -> Option<Claim> {
        let (product, node) = split_client_id(core::str::from_utf8(identity).ok()?)?;
        Some(Claim::Node { product: product.into(), node: node.into() })
    }

    fn psk_key(&self, device: &Device) -> Option<Secret> {
        device.secret.as_ref().and_then(device_key)
    }

    fn admit(&self, hello: &Hello<'_>, account: &Account, now: Timestamp) -> Result<(), Refusal> {
        match account.product.auth {
            Auth::Secret => self.admit_by_secret(hello, &account.device, now),
            Auth::Certificate => admit_by_certificate(hello.tls, &account.device),
        }
    }

    fn connack(&self, code: Code) -> u8 {
        codes::connack(code)
    }

    fn session(&self, account: &Account, random: u64) -> Box<dyn Session> {
        Box::new(session::TencentSession::new(self.settings.clone(), account.clone(), random))
    }

    fn verify_sub_device(
        &self,
        sub: &Account,
        proof: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), Code> {
        gateway::verify(sub, proof, self.settings.sub_device_window, now)
    }

    fn http(&self, request: &HttpRequest<'_>) -> Option<Box<dyn Call>> {
        http::recognize(request, &self.settings)
    }

    fn new_secret(&self, random: [u8; 32]) -> Secret {
        Secret::from(BASE64.encode(&random[..FRESH_KEY_BYTES]))
    }
}

fn same_identity(identity: &[u8], client_id: &str) -> Result<(), Refusal> {
    if identity == client_id.as_bytes() {
        return Ok(());
    }
    let identity = String::from_utf8_lossy(identity);
    let detail = format!("TLS identity {identity}, client id {client_id}");
    Err(Refusal::new("auth.identity_mismatch", detail))
}

/// The fingerprint decides; the common name is not relied upon (§2.2).
fn admit_by_certificate(tls: &Tls, device: &Device) -> Result<(), Refusal> {
    let Tls::Certificate { sha1, sha256, .. } = tls else {
        let detail = "the product asks for a client certificate and none was shown";
        return Err(Refusal::new("auth.certificate_missing", detail));
    };
    match &device.fingerprint {
        Some(registered) if registered == sha1 || registered == sha256 => Ok(()),
        Some(registered) => {
            let detail = format!("registered {registered}, presented {sha1} ({sha256})");
            Err(Refusal::new("auth.certificate_mismatch", detail))
        }
        None => {
            let detail = format!("no fingerprint is registered; presented {sha256}");
            Err(Refusal::new("auth.certificate_mismatch", detail))
        }
    }
}
