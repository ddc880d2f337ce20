//! What every part of the device machine works with during one input.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::SocketAddr;

use bytes::Bytes;
use roadstead_core::attempt::Stage;
use roadstead_core::{Code, Secret, Tick, Value};

use super::super::comm::log::LogQueue;
use super::super::comm::{COMMAND_PORT, Message, Record, RecordQueue};
use super::super::topic::{Topic, Verb};
use super::config::Config;
use super::policy::Policy;
use super::store;
use crate::device::{Event, MqttAction, Node, Output, Random, RequestKey, UdpAction};

/// The parts of the device that outlive every phase.
pub(super) struct Memory {
    /// The firmware image.
    pub(super) config: Config,
    /// Timings and rules.
    pub(super) policy: Policy,
    /// Differing numbers.
    pub(super) random: Random,
    /// The running log.
    pub(super) log: LogQueue,
    /// Errors that wait for a phone.
    pub(super) records: RecordQueue,
    /// Last mark of a publication.
    pub(super) mark: u32,
    /// Last key of a question to the application; never reused within one boot.
    pub(super) key: RequestKey,
    /// Last number of a client token; starts anew with each boot, as in the SDKs.
    pub(super) token: u64,
    /// Wall clock minus tick, milliseconds; `None` while the date is not known.
    pub(super) clock_offset: Option<i64>,
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

    /// Returns the date in milliseconds, 0 while it is not known.
    pub(super) fn date_ms(&self) -> i64 {
        self.memory.clock_offset.map_or(0, |offset| offset + self.now.as_millis() as i64)
    }

    /// Adds a line to the running log.
    pub(super) fn log(&mut self, function: &str, message: &str) {
        self.memory.log.push(self.now, function, 0, message);
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
        let detail = detail.into();
        self.log("failed", &format!("{code}: {detail}"));
        self.out.push(Output::Failed { code, detail });
    }

    /// Keeps an error for the next phone that asks.
    pub(super) fn record(&mut self, record: Record) {
        self.memory.records.push(record);
        self.store_records();
    }

    fn store_records(&mut self) {
        let value =
            (!self.memory.records.is_empty()).then(|| Secret::new(self.memory.records.store()));
        self.out.push(store::set(store::ERRORS, value));
    }

    /// Sends every waiting record to a phone, one datagram each, and forgets them.
    pub(super) fn flush_records(&mut self, to: SocketAddr) {
        if self.memory.records.is_empty() {
            return;
        }
        let records: Vec<(bool, Record)> = self.memory.records.drain().collect();
        for (previous, record) in records {
            let message = Message::Record { previous, text: record.into() };
            self.send(COMMAND_PORT, to, message.emit(self.memory.policy.protocol));
        }
        self.store_records();
    }

    /// Sends a datagram.
    pub(super) fn send(&mut self, port: u16, to: SocketAddr, bytes: impl Into<Bytes>) {
        self.out.push(Output::Udp(UdpAction::Send { port, to, bytes: bytes.into() }));
    }

    /// Returns a topic of the device or of a sub-device.
    pub(super) fn topic(&self, verb: Verb<'_>, node: &Node) -> Box<str> {
        let (product, node) = match node {
            Some(sub) => (&sub.product, &sub.node),
            None => (&self.memory.config.product, &self.memory.config.device),
        };
        Topic { verb, product, node }.to_string().into()
    }

    /// Publishes JSON; returns the mark that comes back for QoS 1.
    pub(super) fn publish(&mut self, verb: Verb<'_>, node: &Node, body: &Value, qos: u8) -> u32 {
        self.memory.mark = self.memory.mark.wrapping_add(1);
        let topic = self.topic(verb, node);
        let payload = body.to_string().into();
        let mark = self.memory.mark;
        self.out.push(Output::Mqtt(MqttAction::Publish { topic, payload, qos, mark }));
        mark
    }

    /// Subscribes; returns the filter that comes back.
    pub(super) fn subscribe(&mut self, verb: Verb<'_>, node: &Node, qos: u8) -> Box<str> {
        let filter = self.topic(verb, node);
        self.out.push(Output::Mqtt(MqttAction::Subscribe { filter: filter.clone(), qos }));
        filter
    }
}
