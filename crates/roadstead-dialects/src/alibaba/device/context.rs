//! What every part of the device machine works with during one input.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::net::Ipv4Addr;

use bytes::Bytes;
use roadstead_core::attempt::Stage;
use roadstead_core::exchange::SubDevice;
use roadstead_core::{Code, Map, Secret, Tick, Value};

use super::super::alcs;
use super::super::auth::Method;
use super::super::lan::{CipherType, DeviceInfo, TokenInfo};
use super::super::softap::Failure;
use super::super::topic::{Topic, Verb};
use super::config::Config;
use super::policy::{Generation, Policy};
use super::question::Questions;
use crate::device::{Event, MqttAction, Output, Random};

/// The parts of the device that outlive every phase.
pub(super) struct Memory {
    /// The firmware image.
    pub(super) config: Config,
    /// Timings and rules.
    pub(super) policy: Policy,
    /// Differing numbers.
    pub(super) random: Random,
    /// Random numbers drawn for secrets so far.
    pub(super) drawn: u64,
    /// Last mark of a publication.
    pub(super) mark: u32,
    /// Last id of a request about the thing model.
    pub(super) message: u64,
    /// Next id of a request about provisioning and binding; starts anew with each boot, as in
    /// the SDKs.
    pub(super) enrollee: u64,
    /// Wall clock minus tick, milliseconds; `None` while the date is not known.
    pub(super) clock_offset: Option<i64>,
    /// Address in the network.
    pub(super) ip: Ipv4Addr,
    /// What was reported last, in the vendor's coding.
    pub(super) reported: BTreeMap<String, Value>,
    /// As a gateway: those that were attached, with their secrets.
    pub(super) subs: Vec<(SubDevice, Secret)>,
    /// Requests that wait for the application.
    pub(super) questions: Questions,
    /// Keys and sessions of local control.
    pub(super) local: alcs::Server,
    /// Why the last onboarding failed, and at what; for the next phone that asks.
    pub(super) failure: Option<(Failure, String)>,
}

/// Memory, time and the list of work.
pub(super) struct Context<'a> {
    /// What outlives the phase.
    pub(super) memory: &'a mut Memory,
    /// Now.
    pub(super) now: Tick,
    /// Work so far.
    pub(super) out: &'a mut Vec<Output>,
}

impl Context<'_> {
    /// Returns the timings and rules.
    pub(super) fn policy(&self) -> &Policy {
        &self.memory.policy
    }

    /// Returns ProductKey and DeviceName.
    pub(super) fn names(&self) -> (&str, &str) {
        (&self.memory.config.product, &self.memory.config.device)
    }

    /// Marks a stage.
    pub(super) fn stage(&mut self, stage: Stage, detail: impl Into<Option<String>>) {
        self.out.push(Output::Stage { stage, detail: detail.into() });
    }

    /// Tells the application.
    pub(super) fn tell(&mut self, event: Event) {
        self.out.push(Output::App(event));
    }

    /// Says what went wrong.
    pub(super) fn failed(&mut self, code: Code, detail: impl Into<String>) {
        self.out.push(Output::Failed { code, detail: detail.into() });
    }

    /// Says what went wrong and keeps it for the next phone that asks.
    pub(super) fn failed_at(&mut self, failure: Failure, what: impl Into<String>) {
        let what = what.into();
        self.failed(failure.code(), failure.words(&what));
        self.memory.failure = Some((failure, what));
    }

    /// Returns 16 bytes that nobody can guess who does not know the device's secrets: the real
    /// SDK's are seeded with the time since boot (§5).
    pub(super) fn secret_bytes(&mut self) -> [u8; 16] {
        self.memory.drawn += 1;
        let config = &self.memory.config;
        let nobody = Secret::from("");
        let secret = config.secret.as_ref().or(config.product_secret.as_ref()).unwrap_or(&nobody);
        let source = format!(
            "{}/{}/{}/{}/{:?}",
            self.memory.random.bits(),
            self.memory.drawn,
            self.now.as_millis(),
            config.device,
            self.memory.clock_offset,
        );
        let code = Method::Sha256.code(secret.expose(), source.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(code.get(..16).unwrap_or(&[0; 16]));
        bytes
    }

    /// Returns the device's description.
    pub(super) fn info(&self, token: Option<TokenInfo>) -> DeviceInfo {
        let config = &self.memory.config;
        let living = self.memory.policy.generation == Generation::Living16;
        let cipher = match config.product_secret.is_some() {
            true => CipherType::Product,
            false => CipherType::Device,
        };
        DeviceInfo {
            product: config.product.clone(),
            device: config.device.clone(),
            mac: config.mac.clone(),
            ip: self.memory.ip,
            cipher,
            firmware: living.then(|| config.firmware.clone()),
            token,
            proof: None,
        }
    }

    /// Returns the id of the next request about the thing model.
    pub(super) fn next_message(&mut self) -> String {
        self.memory.message += 1;
        self.memory.message.to_string()
    }

    /// Returns the id of the next request about provisioning and binding.
    pub(super) fn next_enrollee(&mut self) -> u64 {
        let id = self.memory.enrollee;
        self.memory.enrollee += 1;
        id
    }

    /// Returns one of the device's topics.
    pub(super) fn topic(&self, verb: Verb<'_>) -> Box<str> {
        let (product, node) = self.names();
        Topic::Device { product, node, verb }.to_string().into()
    }

    /// Publishes text.
    pub(super) fn publish_text(&mut self, topic: Box<str>, text: impl Into<Bytes>, qos: u8) {
        self.memory.mark = self.memory.mark.wrapping_add(1);
        let (payload, mark) = (text.into(), self.memory.mark);
        self.out.push(Output::Mqtt(MqttAction::Publish { topic, payload, qos, mark }));
    }

    /// Publishes a request `{id, version, params, method}` below `/sys/{pk}/{dn}/`.
    pub(super) fn ask(&mut self, rest: &str, id: &str, params: Value, qos: u8) {
        let mut body = Map::new();
        body.insert("id".into(), id.into());
        body.insert("version".into(), "1.0".into());
        body.insert("params".into(), params);
        body.insert("method".into(), rest.replace('/', ".").into());
        let topic = self.topic(Verb::Sys(rest));
        self.publish_text(topic, Value::Object(body).to_string(), qos);
    }
}
