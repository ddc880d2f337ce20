//! The sides of a vendor's cloud that phones and enterprises call, and the desk where they ask.
//!
//! A dialect understands requests and writes answers; everything else it asks of a [`Desk`], which
//! the server implements on the same services as its own phone API. The desk knows one vendor's
//! devices only: it is made for a dialect, and what belongs to others is not there.
//!
//! ```text
//! HTTP call --Cloud::open--> asks the Desk --> HttpResponse
//! socket    --Cloud::live--> Live: hear(text), happened(News) --> Turn: say, watch, close
//! push line --Cloud::push--> the same, with a queue per product and key behind it
//! ```
//!
//! Futures here do nothing but await the desk: no clock, no socket, no task.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_core::binding::{Binding, BindingRole};
use roadstead_core::command::{CommandError, Outcome};
use roadstead_core::exchange::{Downlink, Occurrence};
use roadstead_core::product::Product;
use roadstead_core::record::RecordKind;
use roadstead_core::shadow::Shadow;
use roadstead_core::trace::Entry;
use roadstead_core::{
    BindingId, Code, DeviceId, Map, ProductId, Secret, SpaceId, Timestamp, UserId, Value,
};

use super::Account;

/// Where this server listens; what a client is told to connect to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Plain MQTT.
    pub mqtt: Option<u16>,
    /// MQTT over TLS.
    pub mqtts: Option<u16>,
    /// Plain HTTP of the vendors; WebSocket as well.
    pub http: Option<u16>,
    /// HTTPS of the vendors; WebSocket as well.
    pub https: Option<u16>,
}

/// What may call: a phone application, or an enterprise that receives events.
#[derive(Clone)]
pub struct Application {
    /// Its id, as the vendor calls it.
    pub id: Box<str>,
    /// Its tenant.
    pub space: SpaceId,
    /// What proves it.
    pub secret: Secret,
    /// The one product whose events it receives; `None` for a phone application.
    pub product: Option<ProductId>,
}

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user.
    pub user: UserId,
    /// The user's tenant.
    pub space: SpaceId,
    /// Sign-in name.
    pub name: Box<str>,
}

/// A device and whether it is on line.
#[derive(Clone)]
pub struct Thing {
    /// Device and product.
    pub account: Account,
    /// True while it is connected.
    pub online: bool,
}

/// A device and what somebody is to it.
#[derive(Clone)]
pub struct Tie {
    /// The device.
    pub thing: Thing,
    /// The binding.
    pub binding: Binding,
}

/// What the platform does for phones and enterprises. Failures are stable codes.
#[async_trait]
pub trait Desk: Send + Sync {
    /// Returns the time.
    fn now(&self) -> Timestamp;

    /// Returns fresh random bytes.
    fn random(&self) -> [u8; 32];

    /// Returns where the server listens.
    fn ports(&self) -> Ports;

    /// Returns an application.
    async fn application(&self, id: &str) -> Result<Option<Application>, Code>;

    /// Creates a user; without a password nobody can sign in by name, only by a granted token.
    async fn sign_up(
        &self,
        space: &SpaceId,
        name: &str,
        password: Option<&Secret>,
    ) -> Result<Person, Code>;

    /// Checks name and password; failures are counted and slowed.
    async fn sign_in(&self, name: &str, password: &Secret) -> Result<Person, Code>;

    /// Returns a user of a space by sign-in name or id.
    async fn person(&self, space: &SpaceId, name_or_id: &str) -> Result<Option<Person>, Code>;

    /// Makes a bearer token that lives for `life`.
    async fn grant(&self, person: &Person, life: Duration) -> Result<(Secret, Timestamp), Code>;

    /// Returns whose token it is: `api.unauthenticated` for an unknown one,
    /// `api.token_expired` for one that was good.
    async fn who(&self, token: &str) -> Result<Person, Code>;

    /// Gives a user another name, another password, or both; `user.exists` when the name is
    /// taken. Another password ends all sign-ins.
    async fn change_person(
        &self,
        person: &Person,
        name: Option<&str>,
        password: Option<&Secret>,
    ) -> Result<(), Code>;

    /// Returns what is kept under that id.
    async fn note(&self, kind: RecordKind, id: &str) -> Result<Option<Note>, Code>;

    /// Keeps something in place of what was kept under that id.
    async fn keep(&self, space: &SpaceId, note: Note) -> Result<(), Code>;

    /// Lists what is kept of a user, of a device, or of both, at most a thousand.
    async fn notes(
        &self,
        kind: RecordKind,
        user: Option<&UserId>,
        device: Option<&DeviceId>,
    ) -> Result<Vec<Note>, Code>;

    /// Forgets what is kept.
    async fn forget(&self, kind: RecordKind, id: &str) -> Result<(), Code>;

    /// Returns a product of a space.
    async fn product(&self, space: &SpaceId, id: &str) -> Result<Option<Arc<Product>>, Code>;

    /// Returns a device of a space by its id.
    async fn thing(&self, space: &SpaceId, id: &str) -> Result<Option<Thing>, Code>;

    /// Returns a device of a space by its name in a product.
    async fn thing_at(
        &self,
        space: &SpaceId,
        product: &ProductId,
        node: &str,
    ) -> Result<Option<Thing>, Code>;

    /// Returns the devices that registered of late with that call sign.
    async fn things_called(&self, space: &SpaceId, sign: &str) -> Result<Vec<Thing>, Code>;

    /// Lists somebody's devices, oldest binding first.
    async fn ties(&self, person: &Person) -> Result<Vec<Tie>, Code>;

    /// Lists who is bound to a device, owner first.
    async fn bindings(&self, device: &DeviceId) -> Result<Vec<Binding>, Code>;

    /// Returns what somebody is to a device.
    async fn role(&self, person: &Person, device: &DeviceId) -> Result<Option<BindingRole>, Code> {
        let bindings = self.bindings(device).await?;
        let own = bindings.iter().find(|binding| binding.user == person.user);
        Ok(own.map(|binding| binding.role))
    }

    /// Makes somebody who has proved to hold the device its owner, by the rules of a bind token
    /// that the device reports; repeating it changes nothing. `bind.bound_to_other` when it has
    /// an owner whom the product protects.
    async fn claim(&self, person: &Person, device: &DeviceId) -> Result<Binding, Code>;

    /// Makes somebody a guest of a device that has an owner. The caller has checked that the
    /// owner wants it.
    async fn admit_guest(&self, person: &Person, device: &DeviceId) -> Result<Binding, Code>;

    /// Ends a binding on somebody's behalf: one's own, or a guest's by the owner.
    async fn end(&self, person: &Person, binding: &BindingId) -> Result<(), Code>;

    /// Returns what a device reported.
    async fn shadow(&self, device: &DeviceId) -> Result<Shadow, Code>;

    /// Sends a request to a device and waits for the result.
    async fn request(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        request: Downlink,
    ) -> Result<Outcome, CommandError>;

    /// Searches the trace of a device, newest first, between two dates (both exclusive).
    async fn trace(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        whats: &'static [&'static str],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Entry>, Code>;
}

/// Something kept on somebody's behalf; see [`roadstead_core::record`].
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// What it is.
    pub kind: RecordKind,
    /// Its id.
    pub id: Box<str>,
    /// The user with whom it ends.
    pub user: Option<UserId>,
    /// The device with which it ends.
    pub device: Option<DeviceId>,
    /// The content.
    pub body: Map<String, Value>,
    /// When it was first kept; the desk sets it for a new one.
    pub since: Timestamp,
}

/// Something that happened to a device.
#[derive(Clone)]
pub struct News {
    /// When.
    pub at: Timestamp,
    /// The device and its product.
    pub account: Account,
    /// What.
    pub what: Happening,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// It logged in; `again` when it was on line already.
    Online {
        /// It had not left.
        again: bool,
    },
    /// It left.
    Offline,
    /// It reported values, by service.
    Report(Vec<(Box<str>, Map<String, Value>)>),
    /// Something of the thing model began or ended.
    Event(Occurrence),
    /// It sent bytes that the platform does not look into.
    Message {
        /// The dialect's own name of the kind.
        channel: Box<str>,
        /// The bytes.
        payload: Bytes,
    },
    /// Somebody was bound to it.
    Bound(UserId),
    /// Somebody is no longer bound to it.
    Unbound(UserId),
}

/// What a live connection wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watch {
    /// Everything about a device.
    Device(DeviceId),
    /// Bindings of a user.
    User(UserId),
}

/// A queue of news of a product; connections that join the same one share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName {
    /// The product.
    pub product: ProductId,
    /// Tells queues of one product apart; each gets everything.
    pub key: Box<str>,
}

/// A queue that a connection joins.
#[derive(Clone)]
pub struct Join {
    /// Which.
    pub queue: QueueName,
    /// The kinds of news that it is to keep, as the dialect names them.
    pub kinds: Vec<Box<str>>,
    /// How much may be on its way without an acknowledgement.
    pub window: u16,
}

/// What a live connection does after a message or news.
#[derive(Default)]
pub struct Turn {
    /// Texts to send, in order.
    pub say: Vec<String>,
    /// Replaces what is watched.
    pub watch: Option<Vec<Watch>>,
    /// Queues to join.
    pub join: Vec<Join>,
    /// Queues to leave.
    pub leave: Vec<QueueName>,
    /// Deliveries that the client has confirmed.
    pub acks: Vec<u64>,
    /// The user whose connections are counted, once it is known.
    pub user: Option<UserId>,
    /// End the connection after what is to be said.
    pub close: bool,
}

/// A connection that stays open: one client, in the vendor's language.
#[async_trait]
pub trait Live: Send {
    /// Understands a message of the client. Never fails: the client is told what is wrong.
    async fn hear(&mut self, desk: &dyn Desk, text: &str, turn: &mut Turn);

    /// Tells the client what happened; `delivery` is the number of a queued one, which is told
    /// even when it says nothing to the client.
    async fn happened(
        &mut self,
        desk: &dyn Desk,
        news: &News,
        delivery: Option<u64>,
        turn: &mut Turn,
    );

    /// Returns how long the client may be silent.
    fn silence_max(&self) -> Duration;
}
