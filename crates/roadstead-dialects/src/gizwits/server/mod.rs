//! The cloud half: who may log in, and what opens then.
//!
//! A module logs in with its DID as client id and as user name, and with its passcode. There is
//! no signature: who knows the passcode is the module.
//!
//! Not here: HTTP calls ([`super::http`]), what a session says ([`session`]).
//!
//! Source: GizWits §3.3, §3.8.

mod message;
mod session;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::time::Duration;

use roadstead_core::device::Device;
use roadstead_core::{Code, DeviceId, Map, Secret, Timestamp, Value};

use super::settings::Settings;
use super::{DID_LEN, codes, http, is_did, open};
use crate::cloud::{
    Account, Answering, Call, Claim, Cloud, Desk, Hello, HttpRequest, HttpResponse, Live, News,
    Refusal, Session,
};

/// Characters of a fresh passcode (seed §8.1).
const PASSCODE_FRESH: usize = 10;
/// What ids and passcodes are made of.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The vendor's cloud with the operator's settings.
pub(super) struct GizwitsCloud {
    settings: Arc<Settings>,
}

impl GizwitsCloud {
    /// Opens the cloud.
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings: Arc::new(settings) }
    }
}

impl Cloud for GizwitsCloud {
    fn recognizes(&self, hello: &Hello<'_>) -> bool {
        is_did(hello.client_id) && hello.user.is_some_and(is_did)
    }

    fn identify(&self, hello: &Hello<'_>) -> Result<Claim, Refusal> {
        if hello.user != Some(hello.client_id) {
            let detail = "client id and user name are not the same DID";
            return Err(Refusal::new("auth.identity_mismatch", detail));
        }
        Ok(Claim::Device(DeviceId::new(hello.client_id)))
    }

    fn psk_claim(&self, _identity: &[u8]) -> Option<Claim> {
        None
    }

    fn psk_key(&self, _device: &Device) -> Option<Secret> {
        None
    }

    fn admit(&self, hello: &Hello<'_>, account: &Account, _now: Timestamp) -> Result<(), Refusal> {
        let Some(password) = hello.password else {
            return Err(Refusal::new("auth.bad_password", "no password"));
        };
        let Device { secret, access, .. } = &*account.device;
        let mut known = secret.iter().chain(&access.secondary_secret).peekable();
        if known.peek().is_none() {
            let detail = "no passcode is registered: the module has to register";
            return Err(Refusal::new("auth.no_credential", detail));
        }
        if known.any(|secret| secret.matches(password)) {
            return Ok(());
        }
        Err(Refusal::new("auth.bad_password", "the password is not the passcode of the DID"))
    }

    fn connack(&self, code: Code) -> u8 {
        codes::connack(code)
    }

    fn session(&self, account: &Account, random: u64) -> Box<dyn Session> {
        Box::new(session::GizwitsSession::new(account.clone(), random))
    }

    fn other_spelling(&self, node: &str) -> Option<String> {
        let (upper, lower) = (node.to_ascii_uppercase(), node.to_ascii_lowercase());
        [upper, lower].into_iter().find(|other| other != node)
    }

    fn pace(&self) -> Option<Duration> {
        Some(self.settings.packet_gap)
    }

    /// The passcode: a module gives it to phones in its network while it is bindable (§1.6).
    fn proves_possession(&self, device: &Device, word: &[u8]) -> bool {
        device.secret.as_ref().is_some_and(|secret| secret.matches(word))
    }

    fn verify_sub_device(
        &self,
        _sub: &Account,
        _proof: &Map<String, Value>,
        _now: Timestamp,
    ) -> Result<(), Code> {
        // Gateways of this vendor register their sub-devices by themselves (GizWits §2.2).
        Err("subdevice.bad_signature")
    }

    fn http(&self, request: &HttpRequest<'_>) -> Option<Box<dyn Call>> {
        http::recognize(request, &self.settings)
    }

    fn open<'a>(
        &'a self,
        request: HttpRequest<'a>,
        desk: &'a dyn Desk,
    ) -> Option<Answering<'a, HttpResponse>> {
        open::answer(request, desk, &self.settings)
    }

    fn live(&self, path: &str) -> Option<Box<dyn Live>> {
        open::live(path)
    }

    fn push(&self) -> Option<Box<dyn Live>> {
        Some(open::push())
    }

    fn kind_of(&self, news: &News) -> &'static str {
        open::kind_of(news)
    }

    fn new_secret(&self, random: [u8; 32]) -> Secret {
        Secret::from(letters(&random[..PASSCODE_FRESH]))
    }

    fn new_device_id(&self, random: [u8; 32]) -> Option<DeviceId> {
        Some(DeviceId::new(letters(&random[..DID_LEN])))
    }
}

/// Makes letters and digits of random bytes.
fn letters(random: &[u8]) -> String {
    random.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect()
}
