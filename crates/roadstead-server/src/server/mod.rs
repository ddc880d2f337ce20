//! Puts the platform together: store, services, listeners; and takes it apart again.
//!
//! Order of a start: folder, store, recovery, services, administrator, listeners. Only when every
//! address is bound does [`Server::start`] return, so whoever reads the ready file can connect.
//! Order of a stop: listeners stop accepting, sessions end durably, background tasks end, the
//! store is flushed and closed.

mod first_start;
mod http;
mod push;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use roadstead_core::port::{Store, StoreError};
use roadstead_core::{Code, Secret};
use roadstead_dialects::Problem;
use roadstead_dialects::cloud::Ports;
use roadstead_store::sqlite::OpenError;
use roadstead_store::{Memory, Sqlite};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::{Config, Engine};
use crate::directory::Directory;
use crate::listen::{Access, AccessError};
use crate::metrics::Metrics;
use crate::service::{
    CertificateIssuer, IssueError, Issued, Observer, Parts, Platform, Random, Tasks, open_clouds,
};
use crate::tls::{DeviceCa, TlsError};
use crate::{north, vendor};
use http::{Front, Https};
use push::PushFront;

/// What a start needs beside the settings.
#[derive(Default)]
pub struct StartOptions {
    /// Password of `admin` on the first start; a random one is written to `admin-password` in the
    /// data folder when it is absent.
    pub admin_password: Option<Secret>,
    /// The runtime that serves HTTP; the one of the devices when it is absent. With its own, a
    /// long listing does not hold up acknowledgements. It must outlive [`Server::run_until`].
    pub http: Option<Handle>,
}

/// Why the platform did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A file or folder cannot be used.
    #[error("using `{}`", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The store does not open.
    #[error("opening the store: {0}")]
    Open(#[from] OpenError),
    /// The store fails.
    #[error("reading the store")]
    Store(#[from] StoreError),
    /// A dialect does not take its settings.
    #[error("the settings of a dialect: {0}")]
    Dialect(#[from] Problem),
    /// The administrator cannot be made.
    #[error("making the administrator: {0}")]
    Admin(#[from] crate::service::Error),
    /// Certificates cannot be made or read.
    #[error("preparing certificates: {0}")]
    Tls(#[from] TlsError),
    /// Device listeners do not open.
    #[error("opening the device listeners: {0}")]
    Access(#[from] AccessError),
    /// An HTTP listener does not open.
    #[error("listening on `{address}`")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl StartError {
    /// Returns the stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::File { .. } => "start.file",
            Self::Open(_) | Self::Store(_) => "internal.store",
            Self::Dialect(_) => "start.settings",
            Self::Admin(error) => error.code(),
            Self::Tls(_) => "start.certificate",
            Self::Access(_) | Self::Bind { .. } => "start.address",
        }
    }
}

/// A started platform. Dropping it without [`Server::run_until`] stops it without order.
pub struct Server {
    addresses: BTreeMap<String, String>,
    platform: Arc<Platform>,
    access: Access,
    front: Front,
    push: Option<PushFront>,
    http: Option<Handle>,
    tasks: Tasks,
    keeper: Keeper,
    serving: Arc<AtomicBool>,
}

/// The engine, kept beside its trait object because only it can be closed.
enum Keeper {
    Memory,
    Sqlite(Arc<Sqlite>),
}

impl Server {
    /// Starts everything and binds every listener of the settings.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing is left running then.
    pub async fn start(config: Config, options: StartOptions) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let clock = Clock::system();
        first_start::prepare_folder(&config.data_dir)?;
        let (store, keeper) = open_store(&config).await?;
        let epoch = store.recover_presence(clock.now()).await?;
        let directory = Arc::new(Directory::new(epoch));
        let metrics = Arc::new(Metrics::new());
        let issuer = DeviceCa::open(&config.data_dir)?;
        let platform = Platform::new(Parts {
            store: store.clone(),
            directory: directory.clone(),
            clouds: open_clouds(&config)?,
            clock: clock.clone(),
            config: config.clone(),
            issuer: Arc::new(Issuer(issuer)),
            random: Random::os(),
            observer: Arc::new(Counting(metrics.clone())),
        });
        let first = platform.ensure_admin(options.admin_password).await?;
        first_start::write_credentials(&config, &first)?;

        let mut access =
            Access::bind(&config, platform.clone(), directory, store, clock, metrics.clone())
                .await?;
        platform.set_fanout(access.fanout());
        let serving = Arc::new(AtomicBool::new(false));
        let (is_serving, counts) = (serving.clone(), metrics.clone());
        let probes = north::Probes {
            ready: Box::new(move || is_serving.load(Ordering::Relaxed)),
            metrics: Box::new(move || counts.render()),
        };
        let north = north::router(platform.clone(), probes);
        let ports = vendor::KnownPorts::default();
        let vendor = vendor::router(platform.clone(), ports.clone());
        access.share(http::share(vendor.clone()));
        let mut front = Front::default();
        front.plain("http", config.listen.http.0, north)?;
        front.plain("vendor_http", config.listen.vendor_http.0, vendor.clone())?;
        let tls = access.contexts().context(false).clone();
        front.tls("vendor_https", config.listen.vendor_https.0, vendor, Https::new(tls))?;

        let tls = access.contexts().context(false).clone();
        let push = PushFront::bind(config.listen.push.0, tls, &platform, &ports)?;

        let mut addresses = front.addresses();
        addresses.extend(push.as_ref().map(|push| ("push".to_owned(), push.address.to_string())));
        let mqtt = access.addresses();
        let port = |address: Option<SocketAddr>| address.map(|address| address.port());
        let front_port = |name: &str| port(addresses.get(name).and_then(|at| at.parse().ok()));
        ports.set(Ports {
            mqtt: port(mqtt.mqtt),
            mqtts: port(mqtt.mqtts),
            http: front_port("vendor_http"),
            https: front_port("vendor_https"),
        });
        for (name, address) in [
            ("mqtt", mqtt.mqtt),
            ("mqtts", mqtt.mqtts),
            ("mqtts_legacy", mqtt.mqtts_legacy),
            ("shared", mqtt.shared),
        ] {
            if let Some(address) = address {
                addresses.insert(name.to_owned(), address.to_string());
            }
        }
        let tasks = platform.start().await;
        let http = options.http;
        Ok(Self { addresses, platform, access, front, push, http, tasks, keeper, serving })
    }

    /// Returns the bound addresses, by the last word of their setting.
    pub fn addresses(&self) -> BTreeMap<String, String> {
        self.addresses.clone()
    }

    /// Returns the services, for programs that run the platform inside themselves.
    pub fn platform(&self) -> &Arc<Platform> {
        &self.platform
    }

    /// Serves until `shutdown` completes, then stops in order: every session's end is durable.
    pub async fn run_until(self, shutdown: impl Future<Output = ()> + Send) {
        let (stop, stopped) = watch::channel(());
        let http = self.http.unwrap_or_else(Handle::current);
        let mut fronts = self.front.serve(stopped.clone(), &http);
        if let Some(push) = self.push {
            fronts.spawn_on(push.serve(stopped), &http);
        }
        self.serving.store(true, Ordering::Relaxed);
        self.access.serve(shutdown).await;
        self.serving.store(false, Ordering::Relaxed);
        drop(stop);
        http::finish(&mut fronts).await;
        self.tasks.stop().await;
        match self.keeper {
            Keeper::Memory => {}
            Keeper::Sqlite(store) => {
                // Flushes and waits for the writer thread.
                if let Err(error) = tokio::task::spawn_blocking(move || store.close()).await {
                    tracing::error!(%error, "closing the store");
                }
            }
        }
    }
}

/// Tasks that serve HTTP.
type Fronts = JoinSet<()>;

async fn open_store(config: &Config) -> Result<(Arc<dyn Store>, Keeper), StartError> {
    match config.store.engine {
        Engine::Memory => Ok((Arc::new(Memory::new()), Keeper::Memory)),
        Engine::Sqlite => {
            let mut options = roadstead_store::sqlite::Options::new(&config.data_dir);
            options.key_file = Some(config.data_dir.join(&config.store.key_file));
            // Opening replays the journal and may take seconds after a crash.
            let opened = tokio::task::spawn_blocking(move || Sqlite::open(options)).await;
            let store = Arc::new(opened.unwrap_or_else(|panic| {
                std::panic::resume_unwind(panic.into_panic());
            })?);
            Ok((store.clone(), Keeper::Sqlite(store)))
        }
    }
}

/// Device certificates from the authority in the data folder.
struct Issuer(DeviceCa);

impl CertificateIssuer for Issuer {
    fn issue(&self, common_name: &str) -> Result<Issued, IssueError> {
        let issued = self.0.issue(common_name).map_err(|e| IssueError(e.to_string().into()))?;
        Ok(Issued {
            certificate_pem: issued.certificate,
            key_pem: issued.key,
            sha1: issued.sha1,
            sha256: issued.sha256,
        })
    }
}

/// Counts what services report.
struct Counting(Arc<Metrics>);

impl Observer for Counting {
    fn count(&self, what: &'static str, code: Code) {
        self.0.service(what, code);
    }
}
