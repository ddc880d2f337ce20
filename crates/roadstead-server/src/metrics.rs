//! Numbers an operator watches, in the text exposition format of Prometheus (version 0.0.4).
//!
//! Plain atomics: counting costs one relaxed addition and nothing allocates, not even a refusal
//! code (every code of [`roadstead_core::code::ALL`] has its slot). Not here: who serves the text,
//! and anything per device (that is the trace's job).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use roadstead_core::session::Ending;
use roadstead_core::{Code, code};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Returns the number.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Adds one.
    pub fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one away.
    pub fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Sets the number.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// Returns the number.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Upper bounds of [`Histogram`] buckets, microseconds.
const BOUNDS_US: [u64; 10] =
    [100, 500, 1_000, 5_000, 10_000, 25_000, 100_000, 500_000, 1_500_000, 5_000_000];

/// How long something took.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Notes one duration.
    pub fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Returns how many durations were noted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }
}

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            const TEXTS: &[&str] = &[$($text),+];
        }
    };
}

labels! {
    /// A bounded queue, with what happens when it is full.
    Queue {
        /// Orders to a connection: refused.
        Mailbox = "mailbox\",policy=\"refuse",
        /// Free messages to a connection that is behind: the newest is dropped.
        Fanout = "fanout\",policy=\"drop_newest",
        /// Messages to a client waiting for its window: the oldest telemetry makes room.
        Outbound = "outbound\",policy=\"drop_oldest",
        /// Requests waiting for a device's answer: refused.
        Requests = "requests\",policy=\"refuse",
        /// Retained messages: refused.
        Retained = "retained\",policy=\"refuse",
        /// Free messages of parked sessions: the oldest is dropped.
        Parked = "parked\",policy=\"drop_oldest",
        /// Refused sockets kept open: the oldest is closed.
        Held = "held\",policy=\"close_oldest",
        /// Connections: refused.
        Connections = "connections\",policy=\"refuse",
    }
}

labels! {
    /// What a connection came over.
    Transport {
        /// Plain TCP.
        Tcp = "tcp",
        /// TLS 1.0.
        Tls10 = "tls1.0",
        /// TLS 1.1.
        Tls11 = "tls1.1",
        /// TLS 1.2.
        Tls12 = "tls1.2",
        /// TLS 1.3.
        Tls13 = "tls1.3",
    }
}

/// All numbers of the process.
#[derive(Debug)]
pub struct Metrics {
    /// Live connections, logged in or not.
    pub connections: Gauge,
    /// Connections accepted.
    pub accepted: Counter,
    /// Accept calls that failed; the listener backs off.
    pub accept_errors: Counter,
    /// Log-ins that succeeded.
    pub logins: Counter,
    /// Accept to CONNACK of log-ins that succeeded.
    pub login_seconds: Histogram,
    /// PUBLISH packets from clients.
    pub publishes_in: Counter,
    /// PUBLISH packets to clients.
    pub publishes_out: Counter,
    /// Arrival of a QoS 1 or 2 message to its acknowledgement.
    pub ack_seconds: Histogram,
    /// Bytes of MQTT read, after decryption.
    pub bytes_in: Counter,
    /// Bytes of MQTT written, before encryption.
    pub bytes_out: Counter,
    /// Refusals that were answered late.
    pub throttled: Counter,
    /// Refused sockets kept open now.
    pub held: Gauge,
    /// Retained messages now.
    pub retained: Gauge,
    /// Sessions without their client now.
    pub parked: Gauge,
    refusals: Box<[Counter]>,
    refusals_other: Counter,
    drops: [Counter; Queue::TEXTS.len()],
    transports: [Counter; Transport::TEXTS.len()],
    endings: [Counter; ENDINGS.len()],
    services: RwLock<BTreeMap<(&'static str, Code), Counter>>,
}

const ENDINGS: [Ending; 8] = [
    Ending::Disconnected,
    Ending::Lost,
    Ending::KeepAlive,
    Ending::TakenOver,
    Ending::Protocol,
    Ending::Revoked,
    Ending::TooSlow,
    Ending::Shutdown,
];

impl Default for Metrics {
    fn default() -> Self {
        Self {
            connections: Gauge::default(),
            accepted: Counter::default(),
            accept_errors: Counter::default(),
            logins: Counter::default(),
            login_seconds: Histogram::default(),
            publishes_in: Counter::default(),
            publishes_out: Counter::default(),
            ack_seconds: Histogram::default(),
            bytes_in: Counter::default(),
            bytes_out: Counter::default(),
            throttled: Counter::default(),
            held: Gauge::default(),
            retained: Gauge::default(),
            parked: Gauge::default(),
            refusals: code::ALL.iter().map(|_| Counter::default()).collect(),
            refusals_other: Counter::default(),
            services: RwLock::default(),
            drops: Default::default(),
            transports: Default::default(),
            endings: Default::default(),
        }
    }
}

impl Metrics {
    /// Returns zeros.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a refused client.
    pub fn refused(&self, code: &str) {
        self.refusal(code).increment();
    }

    /// Returns how many clients were refused with `code`.
    pub fn refusals(&self, code: &str) -> u64 {
        self.refusal(code).value()
    }

    /// Counts what a full queue cost.
    pub fn dropped(&self, queue: Queue, n: u64) {
        self.drops[queue as usize].add(n);
    }

    /// Returns what a full queue has cost so far.
    pub fn drops(&self, queue: Queue) -> u64 {
        self.drops[queue as usize].value()
    }

    /// Counts a transport that is ready for MQTT.
    pub fn transport(&self, transport: Transport) {
        self.transports[transport as usize].increment();
    }

    /// Counts the end of a session.
    pub fn ended(&self, ending: Ending) {
        if let Some(at) = ENDINGS.iter().position(|known| *known == ending) {
            self.endings[at].increment();
        }
    }

    /// Counts the end of a piece of work: its name, and `ok` or a stable code. Names and codes are
    /// constants of the program, so the table is bounded.
    pub fn service(&self, what: &'static str, code: Code) {
        if let Some(counter) = self.services.read().get(&(what, code)) {
            counter.increment();
            return;
        }
        self.services.write().entry((what, code)).or_default().increment();
    }

    fn refusal(&self, code: &str) -> &Counter {
        let at = code::ALL.binary_search_by(|info| info.code.cmp(code));
        at.ok().and_then(|at| self.refusals.get(at)).unwrap_or(&self.refusals_other)
    }

    /// Writes everything.
    pub fn render(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        let gauges = [
            ("connections", "Live connections.", &self.connections),
            ("held_sockets", "Refused sockets kept open.", &self.held),
            ("retained_messages", "Retained messages of free topics.", &self.retained),
            ("parked_sessions", "Persistent sessions without their client.", &self.parked),
        ];
        for (name, help, gauge) in gauges {
            head(&mut text, name, help, "gauge");
            line(&mut text, name, "", gauge.value());
        }
        let counters = [
            ("accepted_total", "Connections accepted.", &self.accepted),
            ("accept_errors_total", "Accept calls that failed.", &self.accept_errors),
            ("logins_total", "Log-ins that succeeded.", &self.logins),
            ("publishes_in_total", "Messages from clients.", &self.publishes_in),
            ("publishes_out_total", "Messages to clients.", &self.publishes_out),
            ("bytes_in_total", "Bytes of MQTT read.", &self.bytes_in),
            ("bytes_out_total", "Bytes of MQTT written.", &self.bytes_out),
            ("throttled_total", "Refusals answered late.", &self.throttled),
        ];
        for (name, help, counter) in counters {
            head(&mut text, name, help, "counter");
            line(&mut text, name, "", counter.value());
        }
        self.render_labelled(&mut text);
        histogram(&mut text, "login_seconds", "Accept to CONNACK.", &self.login_seconds);
        histogram(&mut text, "ack_seconds", "Message to acknowledgement.", &self.ack_seconds);
        text
    }

    fn render_labelled(&self, text: &mut String) {
        head(text, "refused_total", "Clients refused, by cause.", "counter");
        for (info, counter) in code::ALL.iter().zip(&self.refusals) {
            // Most codes never refuse anybody; absent and zero mean the same.
            if counter.value() > 0 {
                line(text, "refused_total", &format!("code=\"{}\"", info.code), counter.value());
            }
        }
        line(text, "refused_total", "code=\"other\"", self.refusals_other.value());
        head(text, "dropped_total", "Lost to full queues, by queue and policy.", "counter");
        for (label, counter) in Queue::TEXTS.iter().zip(&self.drops) {
            line(text, "dropped_total", &format!("queue=\"{label}\""), counter.value());
        }
        head(text, "transports_total", "Transports ready for MQTT, by version.", "counter");
        for (label, counter) in Transport::TEXTS.iter().zip(&self.transports) {
            line(text, "transports_total", &format!("version=\"{label}\""), counter.value());
        }
        head(text, "endings_total", "Sessions ended, by cause.", "counter");
        for (ending, counter) in ENDINGS.iter().zip(&self.endings) {
            line(text, "endings_total", &format!("code=\"{}\"", ending.code()), counter.value());
        }
        head(text, "services_total", "Work done, by kind and result.", "counter");
        for ((what, code), counter) in &*self.services.read() {
            let labels = format!("what=\"{what}\",code=\"{code}\"");
            line(text, "services_total", &labels, counter.value());
        }
    }
}

fn head(text: &mut String, name: &str, help: &str, kind: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP roadstead_{name} {help}\n# TYPE roadstead_{name} {kind}");
}

fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    let _ = match labels {
        "" => writeln!(text, "roadstead_{name} {value}"),
        _ => writeln!(text, "roadstead_{name}{{{labels}}} {value}"),
    };
}

fn histogram(text: &mut String, name: &str, help: &str, histogram: &Histogram) {
    head(text, name, help, "histogram");
    let mut sum = 0;
    let bounds = BOUNDS_US.iter().map(|us| Some(*us)).chain([None]);
    for (bucket, bound) in histogram.buckets.iter().zip(bounds) {
        sum += bucket.load(Ordering::Relaxed);
        let bound = bound.map_or("+Inf".to_owned(), |us| format!("{}", us as f64 / 1e6));
        line(text, &format!("{name}_bucket"), &format!("le=\"{bound}\""), sum);
    }
    let seconds = histogram.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
    let _ = writeln!(text, "roadstead_{name}_sum {seconds}");
    line(text, &format!("{name}_count"), "", sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.connections.increment();
        metrics.refused("auth.bad_password");
        metrics.refused("no.such_code");
        metrics.dropped(Queue::Held, 3);
        metrics.transport(Transport::Tls12);
        metrics.ended(Ending::KeepAlive);
        metrics.ack_seconds.observe(Duration::from_millis(7));
        let text = metrics.render();
        for wanted in [
            "roadstead_connections 1",
            "roadstead_refused_total{code=\"auth.bad_password\"} 1",
            "roadstead_refused_total{code=\"other\"} 1",
            "roadstead_dropped_total{queue=\"held\",policy=\"close_oldest\"} 3",
            "roadstead_transports_total{version=\"tls1.2\"} 1",
            "roadstead_endings_total{code=\"session.keep_alive\"} 1",
            "roadstead_ack_seconds_bucket{le=\"0.005\"} 0",
            "roadstead_ack_seconds_bucket{le=\"0.01\"} 1",
            "roadstead_ack_seconds_bucket{le=\"+Inf\"} 1",
            "roadstead_ack_seconds_sum 0.007",
        ] {
            assert!(text.lines().any(|line| line == wanted), "{wanted} in\n{text}");
        }
        assert_eq!((metrics.refusals("auth.bad_password"), metrics.drops(Queue::Held)), (1, 3));
    }

    #[test]
    fn every_line_is_a_comment_or_a_sample() {
        for line in Metrics::new().render().lines() {
            let sample = line.rsplit_once(' ').is_some_and(|(_, n)| n.parse::<f64>().is_ok());
            assert!(line.starts_with("# ") || sample, "{line}");
        }
    }
}
