//! Settings: one TOML file, `ROADSTEAD_*` environment, `--set section.key=value`; later wins.
//!
//! Sections are named like modules. Durations are texts with a unit (`"30s"`, `"10ms"`), unknown
//! keys are errors with a nearest-name hint. `roadstead config template` prints [`TEMPLATE`].

mod duration;
mod load;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use load::{ConfigError, TEMPLATE, load};

/// All settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Folder of everything the platform keeps.
    pub data_dir: PathBuf,
    /// Addresses to listen on.
    pub listen: Listen,
    /// MQTT limits.
    pub mqtt: Mqtt,
    /// TLS certificates.
    pub tls: Tls,
    /// How refused clients are slowed down.
    pub throttle: Throttle,
    /// Where this instance is among others.
    pub region: Region,
    /// Storage.
    pub store: Store,
    /// What waits for devices.
    pub downlink: Downlink,
    /// Northbound API.
    pub north: North,
    /// Phone API.
    pub app: App,
    /// How many objects there may be.
    pub quota: Quota,
    /// Settings of each dialect, by name.
    pub dialect: toml::Table,
}

/// Addresses to listen on; port 0 means any free one. An empty text switches a listener off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// MQTT without TLS.
    pub mqtt: Address,
    /// MQTT over TLS: PSK, server certificate and mutual TLS on one port.
    pub mqtts: Address,
    /// MQTT over TLS for old stacks (TLS 1.0, static RSA); off unless set.
    pub mqtts_legacy: Address,
    /// Everything on one port, told apart by the first byte: TLS (old stacks too), MQTT, vendor
    /// HTTP, and both of them inside TLS; off unless set.
    pub shared: Address,
    /// Northbound and phone API, console.
    pub http: Address,
    /// Vendor HTTP calls.
    pub vendor_http: Address,
    /// Vendor HTTPS calls.
    pub vendor_https: Address,
    /// Events pushed to enterprises over TLS, one JSON object a line; off unless set.
    pub push: Address,
}

/// An address or nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Address(pub Option<SocketAddr>);

/// MQTT limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mqtt {
    /// Connections at the same time.
    pub connections_max: usize,
    /// Time from accept to a complete CONNECT, TLS handshake included.
    #[serde(with = "duration")]
    pub first_packet: Duration,
    /// Largest packet, bytes.
    pub packet_bytes_max: usize,
    /// Silence allowed to a client that asks for keep-alive 0.
    #[serde(with = "duration")]
    pub keep_alive_ceiling: Duration,
    /// Messages of one client waiting for the platform at the same time; reading stops there.
    pub inbound_max: u16,
    /// Messages to one client waiting for its acknowledgement.
    pub outbound_window: u16,
    /// Messages to one client waiting for the window.
    pub outbound_queue: usize,
    /// Bytes to one client waiting for the window or the socket.
    pub outbound_bytes: usize,
    /// A client that takes nothing for this long while bytes wait is closed.
    #[serde(with = "duration")]
    pub write_stall: Duration,
    /// Subscriptions of one client.
    pub subscriptions_max: usize,
    /// Longest life of a persistent session without its client.
    #[serde(with = "duration")]
    pub session_expiry_max: Duration,
    /// Retained messages of free topics.
    pub retained_max: usize,
    /// Bytes of retained messages.
    pub retained_bytes_max: usize,
    /// Limit of open files to raise to, as far as the system allows.
    pub open_files: u64,
}

/// TLS certificates. Without files a self-signed certificate is made in the data folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Private key, PEM.
    pub key: Option<PathBuf>,
    /// Names in the self-signed certificate.
    pub names: Vec<String>,
}

/// How refused clients are slowed down. A right secret is never slowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// Refusals of one device or source that are answered at once.
    pub free: u32,
    /// First delay of an answer after that; doubled with each refusal.
    #[serde(with = "duration")]
    pub delay_first: Duration,
    /// Longest delay of an answer; below every vendor's CONNACK time-out.
    #[serde(with = "duration")]
    pub delay_max: Duration,
    /// How long a refused socket is kept open after its answer.
    #[serde(with = "duration")]
    pub hold: Duration,
    /// Refused sockets kept open at the same time; beyond it the oldest is closed.
    pub held_max: usize,
    /// A refusal is forgotten after this.
    #[serde(with = "duration")]
    pub memory: Duration,
    /// Devices and sources remembered.
    pub entries_max: usize,
}

/// Where this instance is, and the others that devices may be moved to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Region {
    /// Name of this instance's region.
    pub name: String,
    /// `host:port` for MQTT of each region's instance, by name.
    pub peers: BTreeMap<String, String>,
}

/// Storage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// `sqlite` or `memory`.
    pub engine: Engine,
    /// File of the key that encrypts secrets; relative to the data folder.
    pub key_file: PathBuf,
    /// Days of trace kept.
    pub trace_days: u32,
}

/// Storage engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Files in the data folder.
    #[default]
    Sqlite,
    /// Nothing survives a restart.
    Memory,
}

/// What waits for devices: asynchronous commands and messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Downlink {
    /// How long a device gets to answer an asynchronous command that it acknowledged.
    #[serde(with = "duration")]
    pub command_answer_wait: Duration,
    /// How long an asynchronous command waits to be sent when its creator names no time.
    #[serde(with = "duration")]
    pub command_expire: Duration,
    /// Asynchronous commands that wait for one device.
    pub commands_pending_max: usize,
    /// Messages that wait for one device.
    pub messages_pending_max: usize,
    /// What becomes of one message more.
    pub messages_full: Full,
}

/// What becomes of a message when too many wait already. UNVERIFIED: the vendor names the number
/// alone (Huawei §8.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Full {
    /// It is refused with `api.quota`.
    #[default]
    Refuse,
    /// It takes the place of the oldest one, which fails.
    DropOldest,
}

/// Northbound API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct North {
    /// Region of derived signatures that is handed out.
    pub region: String,
    /// Accept only this region in signatures.
    pub region_pinned: bool,
    /// Life of an IAM token.
    #[serde(with = "duration")]
    pub token_life: Duration,
    /// Allowed difference between a signature's date and now.
    #[serde(with = "duration")]
    pub clock_skew: Duration,
    /// Largest request body, bytes.
    pub body_bytes_max: usize,
    /// Whether a list of what is behind a gateway goes on behind its sub-devices when the caller
    /// does not say. UNVERIFIED: the vendor's document names no default.
    pub is_cascade_query: bool,
    /// Whether a call that has nothing to answer and whose status the vendor's document does not
    /// tell (`change-gateway`) is answered `200 {}` rather than 204. UNVERIFIED.
    pub empty_object: bool,
}

/// Phone API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct App {
    /// Anybody may sign up.
    pub sign_up: bool,
    /// Life of a sign-in.
    #[serde(with = "duration")]
    pub session_life: Duration,
    /// Life of a bind token.
    #[serde(with = "duration")]
    pub bind_token_life: Duration,
    /// Wrong passwords per account and minute before sign-ins are refused for a minute.
    pub sign_in_failures_max: u32,
}

/// How many objects there may be. The defaults are those of the vendor's cloud (Huawei §15).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Spaces of the instance.
    pub spaces: usize,
    /// Products of a space.
    pub products: u64,
    /// Certificate authorities of a space.
    pub authorities: u64,
    /// Device policies of a space.
    pub policies: u64,
    /// Provisioning templates of a space.
    pub templates: u64,
    /// Sub-devices of a gateway; 50 000 is the most.
    pub children: u64,
    /// Tags of a device.
    pub tags: usize,
    /// Groups of a space (a guess of ours).
    pub groups: u64,
    /// Levels of groups.
    pub group_depth: usize,
    /// Devices of a static group (a guess of ours).
    pub group_devices: u64,
}

fn loopback(port: u16) -> Address {
    Address(Some(SocketAddr::from(([127, 0, 0, 1], port))))
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "roadstead-data".into(),
            listen: Listen::default(),
            mqtt: Mqtt::default(),
            tls: Tls::default(),
            throttle: Throttle::default(),
            region: Region::default(),
            store: Store::default(),
            downlink: Downlink::default(),
            north: North::default(),
            app: App::default(),
            quota: Quota::default(),
            dialect: toml::Table::new(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            mqtt: loopback(1883),
            mqtts: loopback(8883),
            mqtts_legacy: Address(None),
            shared: Address(None),
            http: loopback(8080),
            vendor_http: loopback(8088),
            vendor_https: loopback(8443),
            push: Address(None),
        }
    }
}

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            connections_max: 1_000_000,
            first_packet: secs(10),
            packet_bytes_max: 256 * 1024,
            keep_alive_ceiling: secs(1800),
            inbound_max: 64,
            outbound_window: 32,
            outbound_queue: 1000,
            outbound_bytes: 1024 * 1024,
            write_stall: secs(30),
            subscriptions_max: 100,
            session_expiry_max: secs(7 * 24 * 3600),
            retained_max: 100_000,
            retained_bytes_max: 64 * 1024 * 1024,
            open_files: 1_048_576,
        }
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            free: 3,
            delay_first: Duration::from_millis(250),
            delay_max: secs(4),
            hold: secs(30),
            held_max: 10_000,
            memory: secs(300),
            entries_max: 100_000,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self { engine: Engine::Sqlite, key_file: "master.key".into(), trace_days: 7 }
    }
}

impl Default for Downlink {
    fn default() -> Self {
        Self {
            command_answer_wait: roadstead_core::command::queue::Policy::RELIABLE.answer_wait,
            command_expire: roadstead_core::limit::COMMAND_EXPIRE,
            commands_pending_max: roadstead_core::limit::COMMANDS_PENDING_MAX,
            messages_pending_max: roadstead_core::limit::MESSAGES_PENDING_MAX,
            messages_full: Full::default(),
        }
    }
}

impl Default for North {
    fn default() -> Self {
        Self {
            region: "local".into(),
            region_pinned: false,
            token_life: secs(24 * 3600),
            clock_skew: secs(15 * 60),
            body_bytes_max: 2 * 1024 * 1024,
            is_cascade_query: true,
            empty_object: true,
        }
    }
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            spaces: 10,
            products: 1000,
            children: roadstead_core::limit::SUB_DEVICES_MAX as u64,
            tags: roadstead_core::limit::TAGS_MAX,
            groups: 1000,
            group_depth: 5,
            group_devices: 20_000,
            authorities: 100,
            policies: 50,
            templates: 10,
        }
    }
}

impl Default for App {
    fn default() -> Self {
        Self {
            sign_up: true,
            session_life: secs(30 * 24 * 3600),
            bind_token_life: roadstead_core::limit::BIND_TOKEN_LIFE,
            sign_in_failures_max: 10,
        }
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(address) => to.collect_str(&address),
            None => to.serialize_str(""),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse().map(|address| Self(Some(address))).map_err(|_| {
            serde::de::Error::custom(format!("`{text}` is not an address such as `127.0.0.1:1883`"))
        })
    }
}
