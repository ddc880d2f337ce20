//! What the platform does: load, decide (core), save, tell. One file per noun.
//!
//! [`Platform`] is what listeners ([`crate::shell::Services`]) and APIs call. It never parses wire
//! bytes, never writes them, and knows no vendor by name: what is a vendor's sits behind
//! [`Cloud`]. Every write that a caller sees as done is durable; what is only remembered in memory
//! (`Recent`) is bounded by a limit with a name and may be forgotten without harm.

mod admission;
mod application;
mod attempt;
mod authority;
mod binding;
mod certificate;
mod child;
mod command;
mod connection;
mod credential;
mod desk;
mod device;
mod enrollee;
mod enrolment;
mod error;
mod feed;
mod gateway;
mod group;
mod import;
mod live;
mod login;
mod model;
pub mod model_file;
mod notice;
mod outbox;
mod own_token;
mod password;
mod policy;
mod product;
mod push;
mod random;
mod recent;
mod recorder;
mod region;
mod registration;
mod runlog;
mod shadow;
mod stranger;
mod task;
mod template;
#[cfg(test)]
mod tests;
mod trace;
mod trust;
mod uplink;
mod user;
mod why;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use roadstead_core::port::Store;
use roadstead_core::{Code, DeviceId};
use roadstead_dialects::cloud::Cloud;
use roadstead_dialects::{ALL, Problem};

use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Directory;

pub use application::{ApplicationView, NewApplication};
pub use attempt::PhoneMark;
pub use authority::AuthorityPatch;
pub use binding::{NewToken, TokenProgress, TokenStatus};
pub use certificate::{CertificateIssuer, IssueError, Issued};
pub use credential::Rank;
pub use device::{DeviceChange, DeviceView, NewDevice};
pub use enrollee::Enrollee;
pub use error::Error;
pub use group::NewGroup;
pub(crate) use group::check_tag;
pub use import::{
    Counts, Fleet, FleetCheck, FleetDevice, FleetProduct, FleetReport, RowError, Works,
};
pub(crate) use live::{LiveConnection, Said};
pub use outbox::{Broadcast, Fanout, NewBroadcast, NewCommand, NewMessage};
pub use policy::FailedTarget;
pub use product::{NewProduct, ProductPatch, import_model};
pub use random::Random;
pub use runlog::Outage;
pub use shadow::{Desired, Wish};
pub use stranger::Stranger;
pub use task::Tasks;
pub use user::{Caller, FirstStart, NewUser, SignedIn};
pub use why::{Evidence, State, Verdict};

use admission::Admissions;
use attempt::Onboarding;
use gateway::Gateways;
use login::Refusals;
use outbox::Outbox;
use password::Passwords;
use recent::Recent;
use recorder::Recorder;
use stranger::Strangers;
use user::Failures;

/// Opened clouds by dialect name.
pub type Clouds = BTreeMap<&'static str, Arc<dyn Cloud>>;

/// Replay keys of dynamic registrations that are remembered.
const REPLAYS_MAX: usize = 100_000;
/// Call signs of fresh devices that are remembered.
const CALL_SIGNS_MAX: usize = 10_000;
/// Devices whose refusals are counted.
const REFUSED_MAX: usize = 100_000;

/// What a platform is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<dyn Store>,
    /// Who is connected.
    pub directory: Arc<Directory>,
    /// The dialects, see [`open_clouds`].
    pub clouds: Clouds,
    /// Time.
    pub clock: Clock,
    /// Settings.
    pub config: Arc<Config>,
    /// Makes device certificates.
    pub issuer: Arc<dyn CertificateIssuer>,
    /// Randomness.
    pub random: Random,
    /// Counts what happens.
    pub observer: Arc<dyn Observer>,
}

/// Counts what happens; the metrics implement it.
pub trait Observer: Send + Sync {
    /// Something (`login`, `report`, `register`, `trace_dropped`, …) ended with `ok` or a code.
    fn count(&self, what: &'static str, code: Code);
}

/// Counts nothing.
impl Observer for () {
    fn count(&self, _: &'static str, _: Code) {}
}

/// The platform. Shared as `Arc<Platform>`; every method takes `&self`.
pub struct Platform {
    store: Arc<dyn Store>,
    directory: Arc<Directory>,
    clouds: Clouds,
    clock: Clock,
    config: Arc<Config>,
    issuer: Arc<dyn CertificateIssuer>,
    random: Random,
    observer: Arc<dyn Observer>,
    recorder: Recorder,
    strangers: Strangers,
    onboarding: Onboarding,
    admissions: Admissions,
    retries: Mutex<Recent<Box<str>, ()>>,
    /// When devices logged in of late, of vendors that count that.
    connects: Mutex<Recent<DeviceId, Vec<roadstead_core::Timestamp>>>,
    /// Bind tokens that devices made of late.
    own_tokens: Mutex<Recent<DeviceId, u32>>,
    /// New devices that others see, by who sees them.
    enrollees: Mutex<Recent<DeviceId, Vec<Enrollee>>>,
    /// Fresh devices by what phones find them by.
    call_signs: Mutex<Recent<Box<str>, Vec<DeviceId>>>,
    feed: feed::Feed,
    gateways: Gateways,
    outbox: Outbox,
    passwords: Passwords,
    failures: Failures,
    replays: Mutex<Recent<Box<str>, ()>>,
    refused: Mutex<Recent<DeviceId, Refusals>>,
    /// Held while a product is checked against the others and kept.
    product_gate: tokio::sync::Mutex<()>,
    /// The same for objects of trust.
    trust_gate: tokio::sync::Mutex<()>,
    authorities: authority::Authorities,
    policies: policy::Policies,
    /// Held while a place behind a gateway is taken.
    gateway_gate: tokio::sync::Mutex<()>,
    /// Held while a space is made.
    space_gate: tokio::sync::Mutex<()>,
}

impl Platform {
    /// Puts a platform together; [`Platform::start`] starts its background tasks.
    pub fn new(parts: Parts) -> Arc<Self> {
        let Parts { store, directory, clouds, clock, config, issuer, random, observer } = parts;
        Arc::new(Self {
            recorder: Recorder::default(),
            strangers: Strangers::default(),
            onboarding: Onboarding::default(),
            admissions: Admissions::default(),
            retries: Mutex::new(Recent::new(REFUSED_MAX, login::RETRY_LIFE)),
            connects: Mutex::new(Recent::new(REFUSED_MAX, login::CONNECTS_KEPT)),
            own_tokens: Mutex::new(Recent::new(REFUSED_MAX, binding::OWN_TOKENS_KEPT)),
            enrollees: Mutex::new(Recent::new(enrollee::REGISTRARS_MAX, 2 * enrollee::SEEN_LIFE)),
            call_signs: Mutex::new(Recent::new(CALL_SIGNS_MAX, enrolment::CALL_SIGN_LIFE)),
            feed: feed::Feed::default(),
            gateways: Gateways::default(),
            outbox: Outbox::default(),
            passwords: Passwords::new(password::Cost::INTERACTIVE),
            failures: Failures::default(),
            replays: Mutex::new(Recent::new(REPLAYS_MAX, registration::REPLAY_LIFE)),
            refused: Mutex::new(Recent::new(REFUSED_MAX, login::REFUSALS_KEPT)),
            product_gate: tokio::sync::Mutex::new(()),
            trust_gate: tokio::sync::Mutex::new(()),
            authorities: authority::Authorities::default(),
            policies: policy::Policies::default(),
            gateway_gate: tokio::sync::Mutex::new(()),
            space_gate: tokio::sync::Mutex::new(()),
            store,
            directory,
            clouds,
            clock,
            config,
            issuer,
            random,
            observer,
        })
    }

    /// Returns the store, for reads that need no decision.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Returns the clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns the settings.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Returns the directory of live connections.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    fn cloud(&self, dialect: &str) -> Option<&Arc<dyn Cloud>> {
        self.clouds.get(dialect)
    }
}

/// Opens every dialect with its section of the settings.
///
/// # Errors
///
/// [`Problem`] naming the unknown section or the setting.
pub fn open_clouds(config: &Config) -> Result<Clouds, Problem> {
    const CODE: Code = "api.bad_request";
    if let Some(unknown) =
        config.dialect.keys().find(|name| roadstead_dialects::find(name).is_none())
    {
        return Err(Problem::new(CODE, format!("`dialect.{unknown}` is not a dialect")));
    }
    ALL.iter()
        .map(|dialect| {
            let settings = match config.dialect.get(dialect.id()) {
                Some(section) => serde_json::to_value(section)
                    .map_err(|error| Problem::new(CODE, format!("`{}`: {error}", dialect.id())))?,
                None => serde_json::Value::Object(serde_json::Map::new()),
            };
            Ok((dialect.id(), Arc::from(dialect.cloud(&settings)?)))
        })
        .collect()
}
