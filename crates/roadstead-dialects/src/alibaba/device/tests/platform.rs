//! The product's own cloud half as the world's cloud: log-in, session, tokens by the core's
//! decisions, one device's shadow.

use roadstead_core::binding::{self, BindError, BindToken, Facts, TokenState};
use roadstead_core::exchange::{Answer, Downlink, SubDevice, SubDeviceProof, SubDevices, Uplink};
use roadstead_core::product::Rebind;
use roadstead_core::{RequestId, UserId};

use super::*;
use crate::Dialect as _;
use crate::alibaba::Alibaba;
use crate::alibaba::tests::{account, lamp};
use crate::cloud::{Account, Claim, Cloud, Grant, Heard, Hello, Message, Route, Session, Tls};
use crate::device::Login;

/// Beginning of the world.
const DATE: i64 = 1_795_221_300_000;

/// One platform with one registered device.
pub(super) struct Platform {
    pub(super) account: Account,
    cloud: std::boxed::Box<dyn Cloud>,
    session: Option<std::boxed::Box<dyn Session>>,
    /// Registered sub-devices; which are attached and which are on line.
    pub(super) subs: Vec<(Account, bool, bool)>,
    /// Values that sub-devices reported.
    pub(super) sub_reported: Vec<(SubDevice, Map<String, Value>)>,
    subscribed: Vec<String>,
    tokens: BTreeMap<String, BindToken>,
    pub(super) owner: Option<UserId>,
    rebind: Rebind,
    /// The device belongs to another instance; every log-in is told so.
    pub(super) is_moved: bool,
    /// Everything that was heard, by name.
    pub(super) heard: Vec<String>,
    /// Answers of the device to requests.
    pub(super) responses: Vec<(RequestId, i64)>,
    pub(super) reported: Map<String, Value>,
}

impl Platform {
    pub(super) fn new(rebind: Rebind) -> Self {
        Self {
            account: account(PRODUCT, NODE, lamp()),
            cloud: Alibaba.cloud(&Value::Null).expect("default settings"),
            session: None,
            subs: Vec::new(),
            sub_reported: Vec::new(),
            subscribed: Vec::new(),
            tokens: BTreeMap::new(),
            owner: None,
            rebind,
            is_moved: false,
            heard: Vec::new(),
            responses: Vec::new(),
            reported: Map::new(),
        }
    }

    /// A phone asks for a token of the platform's.
    pub(super) fn create(&mut self, token: &str, user: &str, now: Tick) {
        let made = BindToken {
            digest: [0; 32],
            space: "s".into(),
            user: Some(user.into()),
            device: None,
            state: TokenState::New,
            auto_bind: false,
            attempt: None,
            refusal: None,
            created_at: date(now),
            expires_at: date(now) + Duration::from_secs(600),
        };
        self.tokens.insert(token.to_string(), made);
    }

    /// How far a token is.
    pub(super) fn state(&self, token: &str) -> Option<TokenState> {
        self.tokens.get(token).map(|token| token.state)
    }

    fn facts(&self, token: &str) -> Facts {
        Facts {
            token: self.tokens.get(token).cloned(),
            device: self.account.device.id.clone(),
            space: "s".into(),
            owner: self.owner.clone(),
            rebind: self.rebind,
        }
    }

    /// A user binds with a token.
    pub(super) fn bind(&mut self, token: &str, user: &str, now: Tick) -> Result<(), BindError> {
        let effects = binding::bind(&self.facts(token), &user.into(), date(now))?;
        self.perform(token, effects);
        Ok(())
    }

    /// The device presents a token; one that nobody has made is its own.
    fn report(
        &mut self,
        token: &str,
        own_life: Option<Duration>,
        now: Tick,
    ) -> Result<(), BindError> {
        if let Some(life) = own_life.filter(|_| !self.tokens.contains_key(token)) {
            self.create(token, "", now);
            if let Some(made) = self.tokens.get_mut(token) {
                made.user = None;
                made.expires_at = date(now) + life;
            }
        }
        let effects = binding::report(&self.facts(token), date(now))?;
        self.perform(token, effects);
        Ok(())
    }

    fn perform(&mut self, token: &str, effects: Vec<binding::Effect>) {
        for effect in effects {
            match effect {
                binding::Effect::MarkReported => {
                    if let Some(made) = self.tokens.get_mut(token) {
                        made.state = TokenState::Reported;
                        made.device = Some(self.account.device.id.clone());
                    }
                }
                binding::Effect::MarkBound => {
                    if let Some(made) = self.tokens.get_mut(token) {
                        made.state = TokenState::Bound;
                    }
                }
                binding::Effect::RemoveBindings => self.owner = None,
                binding::Effect::SetOwner(user) => self.owner = Some(user),
                binding::Effect::NotifyUnbound => {}
            }
        }
    }

    /// Takes a log-in; returns the CONNACK and what follows it.
    pub(super) fn connect(&mut self, login: &Login, now: Tick) -> (u8, Vec<Message>) {
        let tls = Tls::None;
        let hello = Hello {
            level: 4,
            client_id: &login.client_id,
            user: login.user.as_deref(),
            password: login.password.as_ref().map(Secret::expose),
            keep_alive_s: login.keep_alive.as_secs() as u16,
            tls: &tls,
        };
        assert!(self.cloud.recognizes(&hello), "{}", login.client_id);
        let admitted = self.cloud.identify(&hello).and_then(|claim| {
            let expected = Claim::Node { product: PRODUCT.into(), node: NODE.into() };
            assert_eq!(claim, expected);
            self.cloud.admit(&hello, &self.account, date(now))
        });
        if let Err(refusal) = admitted {
            return (self.cloud.connack(refusal.code), Vec::new());
        }
        let mut session = self.cloud.session_of(&hello, &self.account, 7);
        let (mut heard, mut messages) = (Vec::new(), Vec::new());
        session.begin(&self.account, date(now), &mut heard, &mut messages);
        self.subscribed.clear();
        for Heard { uplink, .. } in heard {
            // Answers to what a log-in says go nowhere.
            let _ = self.take(uplink, now);
        }
        self.session = Some(session);
        if self.is_moved {
            messages.extend(self.ask(1, &Downlink::Moved, now));
        }
        (0, messages)
    }

    /// Takes a subscription; returns the granted QoS.
    pub(super) fn subscribe(&mut self, filter: &str) -> Option<u8> {
        let session = self.session.as_ref()?;
        match session.subscribe_grant(filter) {
            Grant::Platform { qos_max } | Grant::Free { qos_max } => {
                self.subscribed.push(filter.to_string());
                Some(qos_max)
            }
            Grant::Sub { device, qos_max } if self.sub(&device).is_some() => {
                self.subscribed.push(filter.to_string());
                Some(qos_max)
            }
            Grant::Sub { .. } | Grant::Denied => None,
        }
    }

    /// Takes a message; returns what the device gets back.
    pub(super) fn publish(&mut self, topic: &str, payload: &Bytes, now: Tick) -> Vec<Message> {
        let Some(mut session) = self.session.take() else { return Vec::new() };
        let (account, sub) = match session.publish_route(topic) {
            Route::Own => (self.account.clone(), None),
            Route::Sub(device) => {
                (self.sub(&device).expect("a known sub-device").0.clone(), Some(device))
            }
            other => panic!("{topic}: {other:?}"),
        };
        let mut heard = Vec::new();
        session.uplink(&account, topic, payload, date(now), &mut heard);
        assert!(!heard.is_empty(), "{topic}");
        let mut messages = Vec::new();
        for Heard { uplink, reply } in heard {
            let answer = match &sub {
                Some(device) => self.take_of_sub(device, uplink),
                None => self.take(uplink, now),
            };
            if let Some(reply) = reply {
                session.answer(&account, &reply, &answer, date(now), &mut messages);
            }
        }
        let subscribed = &self.subscribed;
        messages.retain(|message| {
            let is_heard = |filter: &String| matches(filter, &message.topic);
            !session.needs_subscription(&message.topic) || subscribed.iter().any(is_heard)
        });
        self.session = Some(session);
        messages
    }

    /// Sends a request.
    pub(super) fn ask(&mut self, id: u64, request: &Downlink, now: Tick) -> Vec<Message> {
        let mut messages = Vec::new();
        let session = self.session.as_mut().expect("the device is on line");
        let id = Some(RequestId(id));
        session
            .downlink(&self.account, id, request, date(now), &mut messages)
            .expect("a request of this vendor's");
        messages
    }

    /// Sends a request about a sub-device.
    pub(super) fn ask_sub(&mut self, device: &SubDevice, request: &Downlink) -> Vec<Message> {
        let account = self.sub(device).expect("a known sub-device").0.clone();
        let mut messages = Vec::new();
        let session = self.session.as_mut().expect("the gateway is on line");
        let id = Some(RequestId(77));
        session.downlink(&account, id, request, date(Tick::ZERO), &mut messages).expect("sent");
        messages
    }

    fn sub(&mut self, device: &SubDevice) -> Option<&mut (Account, bool, bool)> {
        self.subs.iter_mut().find(|(account, ..)| {
            account.product.id.as_str() == &*device.product && account.device.node == device.node
        })
    }

    fn take_of_sub(&mut self, device: &SubDevice, uplink: Uplink) -> Answer {
        let is_online = self.sub(device).is_some_and(|(_, _, online)| *online);
        match uplink {
            _ if !is_online => {
                return Answer::Refused { code: "subdevice.not_attached", detail: "".into() };
            }
            Uplink::Report { services, .. } => {
                let values = services.into_iter().flat_map(|(_, values)| values.properties);
                self.sub_reported.push((device.clone(), values.collect()));
            }
            Uplink::Response { request, response } => {
                self.responses.extend(request.map(|id| (id, response.code)));
            }
            _ => {}
        }
        Answer::Done
    }

    fn take_subs(&mut self, said: SubDevices) -> Answer {
        let mut results = Vec::new();
        let mut prove = |this: &mut Self, proof: SubDeviceProof, is_login: bool| {
            let Some((account, attached, online)) = this.sub(&proof.device) else {
                return results.push((proof.device, Err("subdevice.unknown")));
            };
            let verified = Alibaba
                .cloud(&Value::Null)
                .expect("default settings")
                .verify_sub_device(account, &proof.proof, date(Tick::ZERO));
            match (is_login, verified.is_ok()) {
                (true, is_right) => *online = is_right && *attached,
                (false, is_right) => *attached |= is_right,
            }
            results.push((proof.device, verified));
        };
        match said {
            SubDevices::Bind(proofs) => proofs.into_iter().for_each(|p| prove(self, p, false)),
            SubDevices::Login(proofs) => proofs.into_iter().for_each(|p| prove(self, p, true)),
            SubDevices::Offline(devices) | SubDevices::Unbind(devices) => {
                for device in devices {
                    self.sub(&device).expect("known").2 = false;
                    results.push((device, Ok(())));
                }
            }
            other => panic!("{other:?}"),
        }
        Answer::SubDevices(results)
    }

    fn take(&mut self, uplink: Uplink, now: Tick) -> Answer {
        self.heard.push(uplink.name().to_string());
        let refused = |error: BindError| Answer::Refused {
            code: error.code(),
            detail: error.to_string().into(),
        };
        match uplink {
            Uplink::BindToken { token, own_life, .. } => {
                let text = token.0.expose_text().expect("text").to_string();
                self.report(&text, own_life, now).map_or_else(refused, |()| Answer::Done)
            }
            Uplink::Reset(_) => {
                self.owner = None;
                Answer::Done
            }
            Uplink::Report { services, rejected } => {
                assert!(rejected.is_empty(), "{rejected:?}");
                for (_, values) in services {
                    self.reported.extend(values.properties);
                }
                Answer::Done
            }
            Uplink::Response { request, response } => {
                self.responses.extend(request.map(|id| (id, response.code)));
                Answer::Done
            }
            Uplink::SubDevices(said) => self.take_subs(said),
            Uplink::Time => Answer::Time { received: date(now), sent: date(now) },
            Uplink::Malformed { code, detail } => panic!("{code}: {detail}"),
            _ => Answer::Done,
        }
    }
}

/// MQTT filter matching, as far as the device's filters need it.
fn matches(filter: &str, topic: &str) -> bool {
    let (filter, topic): (Vec<_>, Vec<_>) =
        (filter.split('/').collect(), topic.split('/').collect());
    filter.len() == topic.len()
        && filter.iter().zip(&topic).all(|(wanted, level)| *wanted == "+" || wanted == level)
}

fn date(now: Tick) -> Timestamp {
    Timestamp(DATE + now.as_millis() as i64)
}
