//! One admitted connection, in canonical words.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Downlink, SubDevice, Uplink};
use roadstead_core::{RequestId, Timestamp};

use super::Account;

/// The cloud half of one connection. Small: one lives per idle connection, so pending tables are
/// allocated on use.
///
/// `account` is the device a message is about: the connection's own, or a sub-device that
/// [`Session::publish_route`] named and the registry confirmed.
pub trait Session: Send {
    /// Says where a message of the device belongs.
    fn publish_route(&self, topic: &str) -> Route;

    /// Divides a message routed [`Route::Mixed`] into one portion per device, in order. What
    /// cannot be divided is one portion of the connection's own device.
    fn split(&self, topic: &str, payload: &Bytes, out: &mut Vec<Portion>) {
        out.push(Portion { device: None, topic: topic.into(), payload: payload.clone() });
    }

    /// Says whether the device may subscribe `filter`.
    fn subscribe_grant(&self, filter: &str) -> Grant;

    /// True when this vendor delivers its platform topics without a SUBSCRIBE.
    fn is_implicit(&self) -> bool {
        false
    }

    /// True when `topic` reaches the device only if it has subscribed it. Vendors with implicit
    /// platform topics override this for topics that customers define.
    fn needs_subscription(&self, topic: &str) -> bool {
        let _ = topic;
        !self.is_implicit()
    }

    /// True when a subscription of `filter` means that the device can now take what waited for
    /// it while it was away.
    fn is_ready_after(&self, filter: &str) -> bool;

    /// Called once, when the client was let in: what the log-in itself said, and messages that the
    /// client waits for. Answers to the former go nowhere.
    fn begin(
        &mut self,
        account: &Account,
        now: Timestamp,
        heard: &mut Vec<Heard>,
        messages: &mut Vec<Message>,
    ) {
        let _ = (account, now, heard, messages);
    }

    /// Understands one message routed [`Route::Own`] or [`Route::Sub`]. Never fails: what is not
    /// understood is an [`Uplink::Malformed`].
    fn uplink(
        &mut self,
        account: &Account,
        topic: &str,
        payload: &Bytes,
        now: Timestamp,
        out: &mut Vec<Heard>,
    );

    /// Writes the platform's answer.
    fn answer(
        &mut self,
        account: &Account,
        reply: &Reply,
        answer: &Answer,
        now: Timestamp,
        out: &mut Vec<Message>,
    );

    /// Writes a request of the platform. `id` comes back in [`Uplink::Response`] when the device
    /// answers; it is `None` for requests nobody waits for.
    ///
    /// # Errors
    ///
    /// `Unsupported`, `TooLarge` or `Busy`; nothing was written then.
    fn downlink(
        &mut self,
        account: &Account,
        id: Option<RequestId>,
        request: &Downlink,
        now: Timestamp,
        out: &mut Vec<Message>,
    ) -> Result<(), CommandError>;

    /// Forgets a request nobody waits for any longer.
    fn forget(&mut self, id: RequestId);
}

/// Where a message belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the platform, about the connection's own device.
    Own,
    /// To the platform, about a sub-device.
    Sub(SubDevice),
    /// To the platform, about devices that only its content names: see [`Session::split`].
    Mixed,
    /// To whoever subscribed the topic.
    Free,
    /// Nowhere.
    Denied,
}

/// The part of a message that is about one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    /// The sub-device; `None` for the connection's own.
    pub device: Option<SubDevice>,
    /// Topic to understand it by.
    pub topic: Box<str>,
    /// Payload.
    pub payload: Bytes,
}

/// Whether a filter may be subscribed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The platform's own topic of this device.
    Platform {
        /// Highest QoS granted.
        qos_max: u8,
    },
    /// The platform's topic of a sub-device; the registry must confirm the gateway.
    Sub {
        /// Which.
        device: SubDevice,
        /// Highest QoS granted.
        qos_max: u8,
    },
    /// A free topic.
    Free {
        /// Highest QoS granted.
        qos_max: u8,
    },
    /// Not allowed.
    Denied,
}

/// Something understood, and where its answer goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// What the device said.
    pub uplink: Uplink,
    /// How to answer it; `None` when the vendor has no answer for it.
    pub reply: Option<Reply>,
}

/// What a session needs to answer an uplink; opaque to everybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The dialect's own number of the reply kind.
    pub kind: u8,
    /// The device's correlation text, echoed unchanged.
    pub token: Box<str>,
}

/// A message to the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Topic name.
    pub topic: Box<str>,
    /// Payload.
    pub payload: Bytes,
    /// 0 or 1; lowered to what the device subscribed with.
    pub qos: u8,
}
