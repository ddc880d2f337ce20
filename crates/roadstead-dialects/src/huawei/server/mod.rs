//! The cloud half: who may log in, and what opens then.
//!
//! Order of the checks: shape of the client id, device, frozen (both by the caller), time stamp of
//! sign type 1, password under the primary and the secondary secret, keep-alive.
//!
//! Not here: digests ([`super::auth`]), what a session says ([`session`]).
//!
//! Source: Huawei §2.1, §2.2, §4; T2 to T5.

mod bootstrap;
mod channel;
mod child;
mod command;
mod event;
mod message;
mod property;
mod reply;
mod scene;
mod session;
mod shadow;
mod token;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;

use roadstead_core::device::{Device, Fingerprint};
use roadstead_core::product::{Auth, Product};
use roadstead_core::{Code, DeviceId, Map, Secret, SpaceId, Timestamp, Value};

use super::auth::{ClientId, Kind, Sign, is_stamp, lag, member_secret, mistake, password_matches};
use super::settings::Settings;
use super::{DEVICE_ID_MAX, codes, is_id};
use crate::cloud::{
    Account, Call, Claim, Cloud, Hello, HttpRequest, Refusal, Session, Tls, Vouched,
};
use scene::Role;
use session::HuaweiSession;

/// Bytes of a fresh device secret; the vendor shows 32 hexadecimal digits (§1).
const FRESH_SECRET_BYTES: usize = 16;

/// The vendor's cloud with the operator's settings.
pub(super) struct HuaweiCloud {
    settings: Arc<Settings>,
}

impl HuaweiCloud {
    /// Opens the cloud.
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }

    /// Checks the time stamp of a log-in (T2, T3).
    fn check_stamp(&self, sign: Sign, stamp: &str, now: Timestamp) -> Result<(), Refusal> {
        if sign != Sign::Sha256Checked && !self.settings.strict_time {
            return Ok(());
        }
        let window = self.settings.time_window.as_secs().div_ceil(3600);
        match lag(stamp, now) {
            Some(lag) if lag.hours <= window => Ok(()),
            Some(lag) => {
                let detail = format!("time stamp {stamp} is {} hours off", lag.hours);
                Err(Refusal::new("auth.expired", detail))
            }
            None => Err(Refusal::new("auth.expired", format!("time stamp {stamp} is no date"))),
        }
    }

    fn check_keep_alive(&self, seconds: u16) -> Result<(), Refusal> {
        let (min, max) = (self.settings.keep_alive_min, self.settings.keep_alive_max);
        let asked = u64::from(seconds);
        let too_long = !max.is_zero() && (asked == 0 || asked > max.as_secs());
        if asked < min.as_secs() || too_long {
            let (min, max) = (min.as_secs(), max.as_secs());
            let detail = format!("keep-alive {seconds} s, allowed {min} to {max} s");
            return Err(Refusal::new("auth.keep_alive", detail));
        }
        Ok(())
    }

    fn check_chain(&self, authority: Option<&Vouched>, space: &SpaceId) -> Result<(), Refusal> {
        if self.settings.verify_chain && authority.is_none_or(|found| found.space != *space) {
            let detail = "the chain ends in no known authority, or the certificate is expired";
            return Err(Refusal::new("auth.certificate_authority", detail));
        }
        Ok(())
    }

    fn admit_by_secret(
        &self,
        hello: &Hello<'_>,
        device: &Device,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let (sign, stamp, password) = proof(hello)?;
        self.check_stamp(sign, stamp, now)?;
        let mut known = secrets(device).peekable();
        if known.peek().is_none() {
            return Err(Refusal::new("auth.no_credential", "the device has no secret yet"));
        }
        if known.any(|secret| password_matches(sign, stamp, secret.expose(), password)) {
            return Ok(());
        }
        let node = device.id.as_str();
        let how = secrets(device).find_map(|s| mistake(stamp, s.expose(), node, password));
        let how = how.map_or_else(String::new, |how| format!(": {how}"));
        let detail = format!(
            "the password is not the HMAC of the device secret under the time stamp `{stamp}`{how}"
        );
        Err(Refusal::new("auth.bad_password", detail))
    }

    fn admit_by_certificate(&self, tls: &Tls, device: &Device) -> Result<(), Refusal> {
        let Tls::Certificate { sha1, sha256, authority, .. } = tls else {
            let detail = "the product asks for a client certificate and none was shown";
            return Err(Refusal::new("auth.certificate_missing", detail));
        };
        self.check_chain(authority.as_deref(), &device.space)?;
        let mut known = fingerprints(device).peekable();
        let Some(registered) = known.peek().cloned() else {
            if self.settings.learn_fingerprint {
                return Ok(());
            }
            let detail = format!("no fingerprint is registered; presented {sha256}");
            return Err(Refusal::new("auth.certificate_mismatch", detail));
        };
        if known.any(|known| known == sha1 || known == sha256) {
            return Ok(());
        }
        let detail = format!("registered {registered}, presented {sha1} ({sha256})");
        Err(Refusal::new("auth.certificate_mismatch", detail))
    }

    fn open(&self, hello: &Hello<'_>, account: &Account, random: u64) -> HuaweiSession {
        let role = match ClientId::parse(hello.client_id, hello.user).map(|id| id.kind) {
            Some(Kind::Bridge) => Role::Bridge,
            Some(Kind::Group(_)) => Role::Member,
            Some(Kind::Device | Kind::Node) | None => Role::Device,
        };
        let authority = match hello.tls {
            Tls::Certificate { authority, .. } => authority.as_deref(),
            Tls::None | Tls::Server | Tls::Psk { .. } => None,
        };
        HuaweiSession::new(self.settings.clone(), account.clone(), role, random)
            .with_authority(authority)
    }
}

/// Returns the secrets that a device may use.
fn secrets(device: &Device) -> impl Iterator<Item = &Secret> {
    device.secret.iter().chain(&device.access.secondary_secret)
}

/// Returns the fingerprints that a device may show.
fn fingerprints(device: &Device) -> impl Iterator<Item = &Fingerprint> {
    device.fingerprint.iter().chain(&device.access.secondary_fingerprint)
}

/// Returns sign type, time stamp and password of a log-in by secret.
fn proof<'a>(hello: &Hello<'a>) -> Result<(Sign, &'a str, &'a [u8]), Refusal> {
    let id = ClientId::parse(hello.client_id, hello.user);
    match (id.and_then(|id| id.proof), hello.password) {
        (Some((sign, stamp)), Some(password)) => Ok((sign, stamp, password)),
        (Some(_), None) => Err(Refusal::new("auth.bad_password", "no password")),
        (None, _) => Err(Refusal::new("auth.malformed", "the client id has no sign type")),
    }
}

impl Cloud for HuaweiCloud {
    fn recognizes(&self, hello: &Hello<'_>) -> bool {
        ClientId::parse(hello.client_id, hello.user).is_some_and(|id| is_id(id.name, DEVICE_ID_MAX))
    }

    fn identify(&self, hello: &Hello<'_>) -> Result<Claim, Refusal> {
        let Some(id) = ClientId::parse(hello.client_id, hello.user) else {
            let detail = "the client id is not {device_id}_0_{sign type}_{time stamp}";
            return Err(Refusal::new("auth.malformed", detail));
        };
        if let Some(user) = hello.user
            && user != id.name
        {
            let detail = format!("client id of {}, user name {user}", id.name);
            return Err(Refusal::new("auth.identity_mismatch", detail));
        }
        match id.kind {
            Kind::Device | Kind::Bridge => Ok(Claim::Device(DeviceId::new(id.name))),
            Kind::Group(scope) => match self.settings.groups.get(scope) {
                Some(product) => {
                    Ok(Claim::Member { product: product.clone(), device: id.name.into() })
                }
                None => {
                    let detail = format!("no registration group has the scope id `{scope}`");
                    Err(Refusal::new("auth.unknown_product", detail))
                }
            },
            Kind::Node => {
                let detail = "log-in by node id (kind 2) is not offered; use the device id";
                Err(Refusal::new("auth.malformed", detail))
            }
        }
    }

    fn psk_claim(&self, _identity: &[u8]) -> Option<Claim> {
        // MQTT devices of this vendor have no TLS-PSK.
        None
    }

    fn psk_key(&self, _device: &Device) -> Option<Secret> {
        None
    }

    fn admit(&self, hello: &Hello<'_>, account: &Account, now: Timestamp) -> Result<(), Refusal> {
        match account.product.auth {
            Auth::Secret => self.admit_by_secret(hello, &account.device, now)?,
            Auth::Certificate => self.admit_by_certificate(hello.tls, &account.device)?,
        }
        self.check_keep_alive(hello.keep_alive_s)
    }

    fn admit_member(
        &self,
        hello: &Hello<'_>,
        product: &Product,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let id = ClientId::parse(hello.client_id, hello.user)
            .ok_or_else(|| Refusal::new("auth.malformed", "no client id of a group"))?;
        if id.proof.is_none() {
            let Tls::Certificate { authority, .. } = hello.tls else {
                let detail = "the client id names a group and no certificate was shown";
                return Err(Refusal::new("auth.certificate_missing", detail));
            };
            // A group's certificates have no registered fingerprint: the chain is the proof.
            if authority.as_ref().is_none_or(|found| found.space != product.space) {
                let detail = "the chain ends in no known authority";
                return Err(Refusal::new("auth.certificate_authority", detail));
            }
            return self.check_keep_alive(hello.keep_alive_s);
        }
        let (sign, stamp, password) = proof(hello)?;
        self.check_stamp(sign, stamp, now)?;
        let secret = product.secret.as_ref().and_then(|group| member_secret(id.name, group));
        let Some(secret) = secret else {
            let detail = "the product of the group has no group secret in base64";
            return Err(Refusal::new("auth.no_credential", detail));
        };
        if !password_matches(sign, stamp, secret.expose(), password) {
            let detail = "the password was not made with the group secret";
            return Err(Refusal::new("auth.bad_password", detail));
        }
        self.check_keep_alive(hello.keep_alive_s)
    }

    fn connack(&self, code: Code) -> u8 {
        codes::connack(code)
    }

    fn session(&self, account: &Account, random: u64) -> Box<dyn Session> {
        let role = Role::Device;
        Box::new(HuaweiSession::new(self.settings.clone(), account.clone(), role, random))
    }

    fn session_of(&self, hello: &Hello<'_>, account: &Account, random: u64) -> Box<dyn Session> {
        Box::new(self.open(hello, account, random))
    }

    fn learned_fingerprint(&self, hello: &Hello<'_>, account: &Account) -> Option<Fingerprint> {
        let device = &account.device;
        let is_bare = fingerprints(device).next().is_none();
        let learns = is_bare && account.product.auth == Auth::Certificate;
        match hello.tls {
            Tls::Certificate { sha256, .. } if learns && self.settings.learn_fingerprint => {
                Some(sha256.clone())
            }
            Tls::None | Tls::Server | Tls::Psk { .. } | Tls::Certificate { .. } => None,
        }
    }

    /// Checks the log-in of a device behind a bridge.
    fn verify_sub_device(
        &self,
        sub: &Account,
        proof: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), Code> {
        let text = |key| proof.get(key).and_then(Value::as_str);
        let (Some(stamp), Some(password)) = (text("timestamp"), text("password")) else {
            return Err("payload.malformed");
        };
        let sign = proof.get("sign_type").and_then(Value::as_i64).and_then(Sign::of_number);
        let sign = sign.filter(|_| is_stamp(stamp)).ok_or("subdevice.sign_method")?;
        self.check_stamp(sign, stamp, now).map_err(|_| "subdevice.expired")?;
        let fits =
            |secret: &Secret| password_matches(sign, stamp, secret.expose(), password.as_bytes());
        match secrets(&sub.device).any(fits) {
            true => Ok(()),
            false => Err("subdevice.bad_signature"),
        }
    }

    /// What is desired is sent after a log-in (§3.4).
    fn pushes_desired(&self) -> bool {
        true
    }

    /// The state of children is what their gateway said last (§8.1).
    fn subs_leave_with_gateway(&self) -> bool {
        false
    }

    fn http(&self, _request: &HttpRequest<'_>) -> Option<Box<dyn Call>> {
        // Device HTTP (§5) is not offered.
        None
    }

    fn new_secret(&self, random: [u8; 32]) -> Secret {
        Secret::from(hex::encode(&random[..FRESH_SECRET_BYTES]))
    }
}
