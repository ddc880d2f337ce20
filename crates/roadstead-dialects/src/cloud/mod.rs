//! The cloud half of a dialect: log-in, sessions, vendor HTTP calls.
//!
//! Life of a connection, as the shell drives it:
//!
//! ```text
//! Hello --identify--> Claim --(registry)--> Account --admit--> Session
//! Session: publish_route, uplink -> Heard --(service, durable)--> answer -> Message
//!          downlink -> Message ;  later uplink Response{request}
//! ```
//!
//! Phones and enterprises: `desk`.
//!
//! Life of a vendor HTTP call: [`Cloud::http`] recognises it, [`Call::claim`] says whom it is
//! about, [`Call::decide`] checks it, the service performs, [`Call::respond`] answers.

mod desk;
mod http;
mod session;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::pin::Pin;
use core::time::Duration;

use roadstead_core::device::{Device, Fingerprint};
use roadstead_core::product::Product;
use roadstead_core::trust::Subject;
use roadstead_core::{Code, DeviceId, Map, Secret, SpaceId, Timestamp, Value};

pub use desk::{
    Application, Desk, Happening, Join, Live, News, Note, Person, Ports, QueueName, Thing, Tie,
    Turn, Watch,
};
pub use http::{Call, Effect, Enrolment, HttpRequest, HttpResponse, Performed, Place};
pub use session::{Grant, Heard, Message, Portion, Reply, Route, Session};

/// One vendor's cloud, opened with the operator's settings.
pub trait Cloud: Send + Sync {
    /// Returns true when `hello` has this vendor's shape. Never looks at a secret.
    fn recognizes(&self, hello: &Hello<'_>) -> bool;

    /// Returns who the client says it is.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when the parts of the log-in contradict each other.
    fn identify(&self, hello: &Hello<'_>) -> Result<Claim, Refusal>;

    /// Returns who a TLS-PSK identity says it is; `None` when it is not this vendor's.
    fn psk_claim(&self, identity: &[u8]) -> Option<Claim>;

    /// Returns the key of a TLS-PSK handshake; `None` when the device has no usable secret.
    fn psk_key(&self, device: &Device) -> Option<Secret>;

    /// Checks the proof of a log-in. Frozen devices are refused by the caller.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the true cause.
    fn admit(&self, hello: &Hello<'_>, account: &Account, now: Timestamp) -> Result<(), Refusal>;

    /// Returns the CONNACK return code (MQTT 3.1.1 table 3.1) the vendor's firmware expects for a
    /// refusal code.
    fn connack(&self, code: Code) -> u8;

    /// Opens the session of an admitted device. `random` seeds what must differ per connection.
    fn session(&self, account: &Account, random: u64) -> Box<dyn Session>;

    /// The same, for vendors whose log-in says what kind of session it opens.
    fn session_of(&self, hello: &Hello<'_>, account: &Account, random: u64) -> Box<dyn Session> {
        let _ = hello;
        self.session(account, random)
    }

    /// Returns the digest to store for a device that has none: the vendor takes the first
    /// certificate of an admitted device for its own.
    fn learned_fingerprint(&self, hello: &Hello<'_>, account: &Account) -> Option<Fingerprint> {
        let _ = (hello, account);
        None
    }

    /// Checks the proof of a device that its group vouches for and that may not exist yet
    /// ([`Claim::Member`]).
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the true cause.
    fn admit_member(
        &self,
        hello: &Hello<'_>,
        product: &Product,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let _ = (hello, product, now);
        Err(Refusal::new("auth.malformed", "this vendor has no registration groups"))
    }

    /// Checks the proof a gateway gave for a sub-device.
    ///
    /// # Errors
    ///
    /// A `subdevice.*` code.
    fn verify_sub_device(
        &self,
        sub: &Account,
        proof: &Map<String, Value>,
        now: Timestamp,
    ) -> Result<(), Code>;

    /// Checks what a gateway shows to get the secret of a device that will be behind it.
    ///
    /// # Errors
    ///
    /// A `register.*` or `subdevice.*` code.
    fn verify_sub_registration(
        &self,
        product: &Product,
        node: &str,
        proof: &Map<String, Value>,
    ) -> Result<(), Code> {
        let _ = (product, node, proof);
        Ok(())
    }

    /// Checks what a new device says of itself by radio; it may not be registered yet.
    ///
    /// # Errors
    ///
    /// A `subdevice.*` code.
    fn verify_enrollee(
        &self,
        product: &Product,
        device: Option<&Device>,
        node: &str,
        proof: &Map<String, Value>,
    ) -> Result<(), Code> {
        let _ = (product, device, node, proof);
        Err("command.unsupported")
    }

    /// Returns the key under which a new device reads the network's password; `None` when there is
    /// no secret to make it of.
    fn password_key(
        &self,
        product: &Product,
        device: Option<&Device>,
        proof: &Map<String, Value>,
    ) -> Option<Secret> {
        let _ = (product, device, proof);
        None
    }

    /// True when a member of a registration group that has logged in gets no credentials again.
    fn registers_once(&self) -> bool {
        false
    }

    /// True when the sub-devices of a gateway go off line with its connection. Where only the
    /// gateway's word counts, they keep the state that it reported last.
    fn subs_leave_with_gateway(&self) -> bool {
        true
    }

    /// True when devices are told that they were frozen, thawed or deleted, and gateways which
    /// devices belong behind them. Elsewhere they learn it at their next log-in.
    fn tells_standing(&self) -> bool {
        false
    }

    /// Returns how often a device may log in within a minute; `None` is as often as it likes.
    fn connects_per_minute(&self) -> Option<u32> {
        None
    }

    /// Returns what a phone opens local control of a device with; `None` where the vendor has
    /// none. `sequence` tells keys of one device apart.
    fn local_key(&self, product: &Product, device: &Device, sequence: u16) -> Option<LocalKey> {
        let _ = (product, device, sequence);
        None
    }

    /// True when `word` is what a device tells only to those who may have it: vendors without bind
    /// tokens bind by it.
    fn proves_possession(&self, device: &Device, word: &[u8]) -> bool {
        let _ = (device, word);
        false
    }

    /// True when devices expect what is desired of them as set requests after a log-in; the
    /// others ask for it.
    fn pushes_desired(&self) -> bool {
        false
    }

    /// Returns the pause between two packets to a device that reads one packet per segment and
    /// loses the second; each then leaves in a write of its own. `None` sends at once, together.
    fn pace(&self) -> Option<Duration> {
        None
    }

    /// Returns how a node id may be written as well, where the vendor's own parts disagree about
    /// capitals.
    fn other_spelling(&self, node: &str) -> Option<String> {
        let _ = node;
        None
    }

    /// Recognises a vendor HTTP call by host, path and shape.
    fn http(&self, request: &HttpRequest<'_>) -> Option<Box<dyn Call>>;

    /// Answers a call of a phone or an enterprise; `None` when it is none of this vendor's.
    fn open<'a>(
        &'a self,
        request: HttpRequest<'a>,
        desk: &'a dyn Desk,
    ) -> Option<Answering<'a, HttpResponse>> {
        let _ = (request, desk);
        None
    }

    /// Opens a live connection of a phone at this path (WebSocket, texts).
    fn live(&self, path: &str) -> Option<Box<dyn Live>> {
        let _ = path;
        None
    }

    /// Opens a connection of an enterprise that events are pushed to (lines of text).
    fn push(&self) -> Option<Box<dyn Live>> {
        None
    }

    /// Returns the name of the kind of news that queues are filtered by.
    fn kind_of(&self, news: &News) -> &'static str {
        let _ = news;
        ""
    }

    /// Returns the text of a fresh device secret as the vendor would show it, made of `random`.
    fn new_secret(&self, random: [u8; 32]) -> Secret;

    /// Returns the id of a fresh device where the vendor's cloud makes one, made of `random`;
    /// `None` where it follows from product and node.
    fn new_device_id(&self, random: [u8; 32]) -> Option<DeviceId> {
        let _ = random;
        None
    }
}

/// An answer that waits for the desk.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a phone opens local control of a device with; it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct LocalKey {
    /// Names the key.
    pub key: Box<str>,
    /// Proves it.
    pub token: Secret,
}

/// What a client said before it was let in.
#[derive(Clone, Copy)]
pub struct Hello<'a> {
    /// MQTT protocol level: 3, 4 or 5.
    pub level: u8,
    /// Client identifier.
    pub client_id: &'a str,
    /// User name, exactly as received.
    pub user: Option<&'a str>,
    /// Password.
    pub password: Option<&'a [u8]>,
    /// Keep-alive the client asked for, seconds; 0 for none.
    pub keep_alive_s: u16,
    /// What TLS proved.
    pub tls: &'a Tls,
}

/// What the transport proved about the peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Plain TCP.
    #[default]
    None,
    /// TLS with our certificate only.
    Server,
    /// TLS-PSK; the key was right.
    Psk {
        /// Identity as sent.
        identity: Box<[u8]>,
    },
    /// Mutual TLS; the peer holds the key of this certificate.
    Certificate {
        /// SHA-1 of the DER form.
        sha1: Fingerprint,
        /// SHA-256 of the DER form.
        sha256: Fingerprint,
        /// Common name of the subject, if any.
        common_name: Option<Box<str>>,
        /// What a registered, verified authority says of it; `None` when nobody vouches.
        authority: Option<Box<Vouched>>,
    },
}

/// A certificate that a registered, verified authority signed, within its time and not withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Id of the authority.
    pub authority: Box<str>,
    /// The authority's space; nobody is let into another one by it.
    pub space: SpaceId,
    /// Fields of the subject that templates may use.
    pub subject: Subject,
    /// The certificate, PEM.
    pub pem: Box<str>,
    /// End of its life.
    pub expires_at: Timestamp,
}

/// Who a client says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A node of a product.
    Node {
        /// Product id.
        product: Box<str>,
        /// Node id.
        node: Box<str>,
    },
    /// A device id.
    Device(DeviceId),
    /// A member of a registration group: a device id of a product, registered at its first
    /// contact by the product's policy. Its session hands out credentials and is no presence.
    Member {
        /// Product id.
        product: Box<str>,
        /// Device id, and node id of a device that does not exist yet.
        device: Box<str>,
    },
}

/// A product and one device of it, as registered when the session began. Cheap to clone.
#[derive(Clone)]
pub struct Account {
    /// The product.
    pub product: Arc<Product>,
    /// The device.
    pub device: Arc<Device>,
}

/// Why a log-in was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// Stable `auth.*` code.
    pub code: Code,
    /// Evidence for people; never a secret.
    pub detail: Box<str>,
    /// The client repeats by itself what was refused a moment ago: it is not counted again.
    pub is_retry: bool,
    /// Nothing is answered: that is how the vendor's own cloud refuses so.
    pub is_silent: bool,
    /// Id of the device that was meant, if there is such a one: what the throttle knows it by.
    pub device: Option<Box<str>>,
}

impl Refusal {
    /// Returns a refusal.
    pub fn new(code: Code, detail: impl Into<Box<str>>) -> Self {
        Self { code, detail: detail.into(), is_retry: false, is_silent: false, device: None }
    }
}
