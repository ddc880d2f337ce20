//! The provisioning service, seen by the device: ask, be told, keep it, go there.
//!
//! ```text
//! stored? --yes--> log in there
//!    '--no--> log in at the service -> subscribe and ask -> told -> store -> log in there
//!                    ^                     | 10 s without an answer
//!                    '----- pause ---------'
//! ```
//!
//! Source: Huawei §4; T14, T15; behaviour of the Python SDK.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use roadstead_core::attempt::Stage;
use roadstead_core::{Secret, Tick};
use serde::{Deserialize, Serialize};

use super::{Device, LOGIN_WAIT, Phase};
use crate::device::{Login, MqttAction, Output, Tls};
use crate::huawei::auth::{self, Sign};
use crate::huawei::topic::{Leaf, Topic};

/// Keys of what the service said, in the flash.
const SERVER: &str = "server";
const SECRET: &str = "secret";
/// Longest wait for the answer (T15, Python SDK).
pub(super) const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// What the service said.
pub(super) struct Given {
    host: Box<str>,
    port: u16,
    secret: Option<Secret>,
}

#[derive(Serialize)]
struct Question<'a> {
    #[serde(rename = "baseStrategyKeyword")]
    keyword: &'a str,
}

#[derive(Deserialize)]
struct Reply {
    address: String,
    #[serde(rename = "deviceSecret")]
    secret: Option<String>,
}

impl Given {
    /// Returns what an earlier run kept.
    pub(super) fn of_store(stored: &[(Box<str>, Secret)]) -> Option<Self> {
        let find =
            |key: &str| stored.iter().find(|(name, _)| **name == *key).map(|(_, value)| value);
        let (host, port) = split(find(SERVER)?.expose_text()?)?;
        Some(Self { host, port, secret: find(SECRET).cloned() })
    }
}

/// Splits an address at its colon, as firmware does.
fn split(address: &str) -> Option<(Box<str>, u16)> {
    let (host, port) = address.split_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    (!host.is_empty()).then(|| (host.into(), port))
}

impl Device {
    /// Returns where to log in and with which secret.
    pub(super) fn platform(&self) -> (Box<str>, u16, Option<&Secret>) {
        let own = self.config.secret.as_ref();
        match &self.given {
            Some(given) => (given.host.clone(), given.port, given.secret.as_ref().or(own)),
            None => (self.config.host.clone(), self.config.port, own),
        }
    }

    /// Logs in at the service; `None` when it has nothing to show there.
    pub(super) fn bootstrap_login(&self, now: Tick) -> Option<Login> {
        let bootstrap = self.config.bootstrap.as_ref()?;
        let (sign, stamp) = (self.sign(), self.stamp(now));
        let id = &*self.config.device_id;
        let has_certificate = matches!(bootstrap.tls, Tls::Certificate { .. });
        let secret = match (&bootstrap.scope, &bootstrap.group_secret) {
            _ if has_certificate => None,
            (Some(_), Some(group)) => Some(auth::member_secret(id, group)?),
            (Some(_), None) | (None, _) => Some(self.config.secret.clone()?),
        };
        let client_id = match &bootstrap.scope {
            Some(scope) if has_certificate => auth::member_client_id(id, scope, None),
            Some(scope) => auth::member_client_id(id, scope, Some((sign, &stamp))),
            None => auth::client_id(id, sign, &stamp),
        };
        let (host, port, tls) = (&bootstrap.host, bootstrap.port, &bootstrap.tls);
        let password = secret.map(|secret| auth::password(sign, &stamp, secret.expose()));
        Some(self.login((host, port, tls), client_id.into(), password))
    }

    pub(super) fn login(
        &self,
        (host, port, tls): (&str, u16, &Tls),
        client_id: Box<str>,
        password: Option<String>,
    ) -> Login {
        Login {
            host: host.into(),
            port,
            tls: tls.clone(),
            server_name: host.into(),
            client_id,
            user: Some(self.config.device_id.clone()),
            password: password.map(Secret::from),
            keep_alive: self.config.keep_alive,
            wait: LOGIN_WAIT,
        }
    }

    pub(super) fn sign(&self) -> Sign {
        match self.config.is_time_checked {
            true => Sign::Sha256Checked,
            false => Sign::Sha256,
        }
    }

    /// Asks the service; it is there.
    pub(super) fn ask(&mut self, now: Tick, out: &mut Vec<Output>) {
        let filter = self.topic(Leaf::BootstrapDown);
        out.push(Output::Mqtt(MqttAction::Subscribe { filter, qos: 1 }));
        let keyword = self.config.bootstrap.as_ref().and_then(|b| b.keyword.as_deref());
        let payload = keyword.map_or_else(Bytes::new, |keyword| {
            Bytes::from(serde_json::to_vec(&Question { keyword }).expect("text keys only"))
        });
        self.publish_bytes(Leaf::BootstrapUp, payload, out);
        self.phase = Phase::Asking { due: now + ANSWER_WAIT };
    }

    /// Keeps what the service said and goes there.
    pub(super) fn told(&mut self, payload: &Bytes, now: Tick, out: &mut Vec<Output>) {
        let reply = serde_json::from_slice::<Reply>(payload);
        let found = reply.ok().and_then(|reply| Some((split(&reply.address)?, reply)));
        let Some(((host, port), reply)) = found else {
            let detail = String::from("the provisioning service named no `host:port`");
            out.push(Output::Failed { code: "register.off", detail });
            return self.retry(now, out);
        };
        let secret = reply.secret.map(Secret::from);
        let kept = Secret::from(reply.address);
        out.push(Output::Store { key: SECRET, value: secret.clone() });
        out.push(Output::Store { key: SERVER, value: Some(kept) });
        let detail = format!("{host}:{port}");
        self.given = Some(Given { host, port, secret });
        out.push(Output::Stage { stage: Stage::Registered, detail: Some(detail) });
        out.push(Output::Mqtt(MqttAction::Disconnect));
        self.failures = 0;
        self.log_in(now, out);
    }

    /// Forgets a stored answer that does not let the device in, when it may.
    pub(super) fn doubt(&mut self, out: &mut Vec<Output>) {
        let patience = self.config.bootstrap.as_ref().map_or(0, |bootstrap| bootstrap.patience);
        if patience != 0 && self.failures >= patience && self.given.take().is_some() {
            self.failures = 0;
            for key in [SERVER, SECRET] {
                out.push(Output::Store { key, value: None });
            }
        }
    }

    /// Returns a whole topic of this device.
    pub(super) fn topic(&self, leaf: Leaf<'_>) -> Box<str> {
        Topic::Device { device: &self.config.device_id, leaf }.to_string().into()
    }
}
