//! The cloud of a journey: the dialect's server half behind one M2M connection, its registry in
//! memory, and what the business side sees of the module.

use std::boxed::Box;
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

use bytes::Bytes;
use roadstead_core::exchange::{Answer, Downlink, Uplink};
use roadstead_core::{Map, RequestId, Timestamp, Value};

use super::super::lab::Lab;
use crate::cloud::{Account, Claim, Grant, Hello, Message, Route, Session, Tls};

/// An open M2M connection.
struct Open {
    conn: u64,
    account: Account,
    session: Box<dyn Session>,
    is_ready: bool,
}

/// The cloud.
pub(super) struct M2m {
    pub(super) lab: Lab,
    open: Option<Open>,
    requests: u64,
    /// The one request nobody has answered.
    pending: Option<RequestId>,
    /// Reported values by DID.
    shadows: BTreeMap<String, Map<String, Value>>,
    /// The last value of every event by DID.
    events: BTreeMap<String, Map<String, Value>>,
    /// Requests the module has answered with success.
    pub(super) answered: u32,
    /// Things that must not happen.
    pub(super) wrong: Vec<String>,
}

impl M2m {
    pub(super) fn new(lab: Lab) -> Self {
        Self {
            lab,
            open: None,
            requests: 0,
            pending: None,
            shadows: BTreeMap::new(),
            events: BTreeMap::new(),
            answered: 0,
            wrong: Vec::new(),
        }
    }

    /// Returns the DID of the module that is logged in and has subscribed.
    pub(super) fn online(&self) -> Option<&str> {
        let open = self.open.as_ref().filter(|open| open.is_ready)?;
        Some(open.account.device.id.as_str())
    }

    /// Returns what is known of a device's data points.
    pub(super) fn shadow(&self, did: &str) -> Map<String, Value> {
        self.shadows.get(did).cloned().unwrap_or_default()
    }

    /// Returns the last value of each event of a device.
    pub(super) fn events(&self, did: &str) -> Map<String, Value> {
        self.events.get(did).cloned().unwrap_or_default()
    }

    /// A module logs in; returns the CONNACK code. It takes over from an older connection.
    pub(super) fn connect(&mut self, conn: u64, did: &str, passcode: &[u8], random: u64) -> u8 {
        let tls = Tls::None;
        let (client_id, password) = (did, Some(passcode));
        let hello =
            Hello { level: 3, client_id, user: Some(did), password, keep_alive_s: 120, tls: &tls };
        assert!(self.lab.cloud.recognizes(&hello), "a module's log-in");
        let claim = match self.lab.cloud.identify(&hello) {
            Ok(claim) => claim,
            Err(refusal) => return self.lab.cloud.connack(refusal.code),
        };
        let Claim::Device(id) = claim else { panic!("a module is named by its DID") };
        let Some(device) = self.lab.device(id.as_str()).cloned() else {
            return self.lab.cloud.connack("auth.unknown_device");
        };
        let product = self.lab.products.iter().find(|p| p.id == device.product).cloned();
        let account = Account { product: product.expect("of a product"), device };
        if let Err(refusal) = self.lab.cloud.admit(&hello, &account, self.lab.now) {
            return self.lab.cloud.connack(refusal.code);
        }
        let session = self.lab.cloud.session(&account, random);
        self.open = Some(Open { conn, account, session, is_ready: false });
        self.pending = None;
        0
    }

    /// A connection is gone.
    pub(super) fn closed(&mut self, conn: u64) {
        self.open.take_if(|open| open.conn == conn);
    }

    /// Whether a filter is granted at QoS 0; `None` when the connection is not the module's.
    pub(super) fn subscribe(&mut self, conn: u64, filter: &str) -> Option<bool> {
        let open = self.open.as_mut().filter(|open| open.conn == conn)?;
        let is_granted = open.session.subscribe_grant(filter) == Grant::Platform { qos_max: 0 };
        open.is_ready |= is_granted && open.session.is_ready_after(filter);
        if !is_granted {
            self.wrong.push(std::format!("`{filter}` is not granted"));
        }
        Some(is_granted)
    }

    /// The module publishes; returns what it is answered.
    #[expect(clippy::wildcard_enum_match_arm, reason = "what is left is said by other vendors")]
    pub(super) fn publish(&mut self, conn: u64, topic: &str, payload: &[u8]) -> Vec<Message> {
        let now = self.lab.now;
        let Some(open) = self.open.as_mut().filter(|open| open.conn == conn) else {
            return Vec::new();
        };
        if open.session.publish_route(topic) != Route::Own {
            self.wrong.push(std::format!("published on `{topic}`"));
            return Vec::new();
        }
        let (mut heard, mut out) = (Vec::new(), Vec::new());
        open.session.uplink(
            &open.account,
            topic,
            &Bytes::copy_from_slice(payload),
            now,
            &mut heard,
        );
        let did = String::from(open.account.device.id.as_str());
        for one in heard {
            if let Some(reply) = &one.reply {
                open.session.answer(&open.account, reply, &Answer::Done, now, &mut out);
            }
            match one.uplink {
                Uplink::Report { services, rejected } => {
                    let shadow = self.shadows.entry(did.clone()).or_default();
                    shadow.extend(services.into_iter().flat_map(|(_, values)| values.properties));
                    let rejected = rejected.into_iter();
                    self.wrong.extend(rejected.map(|(key, why)| std::format!("{key}: {why}")));
                }
                Uplink::Events(events) => {
                    let known = self.events.entry(did.clone()).or_default();
                    let value =
                        |e: &roadstead_core::exchange::Occurrence| e.params["value"].clone();
                    known.extend(events.iter().map(|e| (String::from(&*e.event), value(e))));
                }
                Uplink::Response { request, response } => {
                    if request.is_some() && request == self.pending {
                        self.pending = None;
                        self.answered += u32::from(response.code == 0);
                    }
                }
                Uplink::Info(facts) => {
                    let id = open.account.device.id.clone();
                    self.lab.change(&id, |device| device.info.extend(facts));
                }
                Uplink::Ignored { .. } => {}
                other => self.wrong.push(std::format!("{other:?}")),
            }
        }
        out
    }

    /// Asks the module for something; `None` when it is away.
    pub(super) fn ask(&mut self, request: &Downlink) -> Option<(u64, Vec<Message>)> {
        let now: Timestamp = self.lab.now;
        let open = self.open.as_mut().filter(|open| open.is_ready)?;
        if let Some(old) = self.pending.take() {
            open.session.forget(old);
        }
        self.requests += 1;
        let (id, mut out) = (RequestId(self.requests), Vec::new());
        open.session
            .downlink(&open.account, Some(id), request, now, &mut out)
            .expect("what the model allows");
        self.pending = Some(id);
        Some((open.conn, out))
    }
}
