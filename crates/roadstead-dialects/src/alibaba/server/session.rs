//! One admitted connection: routes topics and hands each family to its file.
//!
//! Source: Alibaba §2, §8.

use alloc::string::ToString as _;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;
use roadstead_core::command::CommandError;
use roadstead_core::exchange::{Answer, Downlink, SubDevice, Uplink};
use roadstead_core::{RequestId, Timestamp};

use crate::alibaba::client::ClientId;
use crate::alibaba::settings::Settings;
use crate::alibaba::topic::{Topic, Verb, sys};
use crate::cloud::{Account, Grant, Heard, Message, Reply, Route, Session};

/// Highest QoS granted: the vendor has no QoS 2 (§2).
const QOS_MAX: u8 = 1;

/// What the client id says about a session.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traits {
    /// The platform's topics are delivered without a SUBSCRIBE (trap 4).
    pub(super) is_auto_subscribed: bool,
}

impl Traits {
    /// Reads a client id.
    pub(super) fn of(client_id: &str) -> Self {
        let id = ClientId::parse(client_id);
        Self { is_auto_subscribed: id.is_some_and(ClientId::is_auto_subscribed) }
    }
}

/// The cloud half of one connection.
pub(super) struct AlibabaSession {
    settings: Arc<Settings>,
    own: Account,
    traits: Traits,
    connection: u32,
}

impl AlibabaSession {
    /// Opens the session of `own`.
    pub(super) fn new(settings: Arc<Settings>, own: Account, traits: Traits, random: u64) -> Self {
        // Any half of the random number tells connections apart.
        let connection = random as u32;
        Self { settings, own, traits, connection }
    }

    fn is_own(&self, product: &str, node: &str) -> bool {
        product == self.own.product.id.as_str() && *node == *self.own.device.node
    }
}

impl Session for AlibabaSession {
    fn publish_route(&self, topic: &str) -> Route {
        let Some(topic) = Topic::parse(topic) else { return Route::Denied };
        let (product, node, verb) = match topic {
            Topic::Device { product, node, verb } => (product, node, verb),
            Topic::ExtRrpc { .. } => return Route::Own,
            Topic::Broadcast { .. } | Topic::Register | Topic::RegisterOpen => {
                return Route::Denied;
            }
        };
        let own = self.is_own(product, node);
        match verb {
            Verb::Custom(rest) if rest.contains(['+', '#']) => Route::Denied,
            Verb::Custom(_) if own => Route::Free,
            Verb::Sys(rest) if sys::way(rest) == sys::Way::Down => Route::Denied,
            Verb::OtaUpgrade | Verb::NtpResponse | Verb::Error | Verb::ShadowGet => Route::Denied,
            Verb::Combine(rest) if !own || rest.ends_with(sys::REPLY) => Route::Denied,
            Verb::Custom(_)
            | Verb::Sys(_)
            | Verb::OtaInform
            | Verb::OtaRequest
            | Verb::OtaProgress
            | Verb::NtpRequest
            | Verb::Combine(_)
            | Verb::ShadowUpdate => match own {
                true => Route::Own,
                false => Route::Sub(SubDevice { product: product.into(), node: node.into() }),
            },
        }
    }

    fn subscribe_grant(&self, filter: &str) -> Grant {
        let Some(topic) = Topic::parse(filter) else { return Grant::Denied };
        let platform = Grant::Platform { qos_max: QOS_MAX };
        let (product, node, verb) = match topic {
            Topic::Device { product, node, verb } => (product, node, verb),
            Topic::Broadcast { product, .. } if product == self.own.product.id.as_str() => {
                return platform;
            }
            Topic::ExtRrpc { .. } | Topic::Register | Topic::RegisterOpen => return platform,
            Topic::Broadcast { .. } => return Grant::Denied,
        };
        match (self.is_own(product, node), verb) {
            (true, Verb::Custom(_)) => Grant::Free { qos_max: QOS_MAX },
            (true, _) => platform,
            (false, Verb::Combine(_)) => Grant::Denied,
            (false, _) => Grant::Sub {
                device: SubDevice { product: product.into(), node: node.into() },
                qos_max: QOS_MAX,
            },
        }
    }

    fn is_implicit(&self) -> bool {
        self.traits.is_auto_subscribed
    }

    fn needs_subscription(&self, topic: &str) -> bool {
        let is_custom = matches!(
            Topic::parse(topic),
            None | Some(Topic::Device { verb: Verb::Custom(_), .. } | Topic::Broadcast { .. })
        );
        !self.traits.is_auto_subscribed || is_custom
    }

    fn is_ready_after(&self, filter: &str) -> bool {
        matches!(Topic::parse(filter), Some(Topic::Device { product, node, .. })
            if self.is_own(product, node))
    }

    fn uplink(
        &mut self,
        _account: &Account,
        topic: &str,
        _payload: &Bytes,
        _now: Timestamp,
        out: &mut Vec<Heard>,
    ) {
        out.push(Heard { uplink: Uplink::Ignored { what: topic.into() }, reply: None });
    }

    fn answer(
        &mut self,
        _account: &Account,
        _reply: &Reply,
        _answer: &Answer,
        _now: Timestamp,
        _out: &mut Vec<Message>,
    ) {
    }

    fn downlink(
        &mut self,
        account: &Account,
        _id: Option<RequestId>,
        _request: &Downlink,
        _now: Timestamp,
        _out: &mut Vec<Message>,
    ) -> Result<(), CommandError> {
        let _ = (self.connection, &self.settings.unknown_keys, account.device.node.to_string());
        Err(CommandError::Unsupported("not yet"))
    }

    /// Nothing to forget: the id carries the request.
    fn forget(&mut self, _id: RequestId) {}
}
