//! A communication module as a task: the machine of [`gizwits::module`] on real sockets, a serial
//! port or a virtual MCU, and a file for its flash.
//!
//! ```text
//! phones, browsers --- Sockets ---.
//! cloud -------- http, m2m, names --> inbox --> Life: Module <--> Mcu | serial port
//!                                               |
//!                                       flash file, events
//! ```
//! A life is what happens between two restarts; a panic ends a life, not the module (seed §12_3),
//! and a loop that hangs is ended by the watchdog (seed §12_4).
//!
//! Its Wi-Fi is simulated by address, as in [`crate::hal::net`].
//!
//! [`gizwits::module`]: roadstead_dialects::gizwits::module

mod hardware;
mod http;
mod life;
mod m2m;
mod serial;
mod sockets;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "real sockets, real time")]
mod tests;
mod watchdog;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use roadstead_core::{Map, Value};
use roadstead_dialects::gizwits::lan;
use roadstead_dialects::gizwits::mcu::{Mcu, Panel};
use roadstead_dialects::gizwits::module::{Config, Flash, Policy};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::event::AgentEvent;
use crate::hal::StoreError;
use crate::hal::net::Clock;
use life::Life;
pub use serial::{SerialError, SerialPort};
pub use watchdog::Watchdog;

/// Orders of the handle that wait for the loop.
const ORDERS_MAX: usize = 64;

/// The ports of a module; those of GizWits §1.1 unless several live on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Onboarding and discovery, UDP.
    pub udp: u16,
    /// Announcements go here, UDP.
    pub announce: u16,
    /// Phones, TCP.
    pub tcp: u16,
    /// The page, TCP.
    pub web: u16,
}

impl Default for Ports {
    fn default() -> Self {
        let (udp, announce) = (lan::UDP_PORT, lan::ANNOUNCE_PORT);
        Self { udp, announce, tcp: lan::TCP_PORT, web: lan::WEB_PORT }
    }
}

impl Ports {
    /// Returns ports around another one for UDP, in the same order: `udp + 1` for announcements,
    /// `+ 2` for phones, `+ 3` for the page.
    pub fn around(udp: u16) -> Self {
        Self {
            udp,
            announce: udp.saturating_add(1),
            tcp: udp.saturating_add(2),
            web: udp.saturating_add(3),
        }
    }

    /// Finds ports that nobody has at this address, for one more module on a machine. `None` when
    /// there are none.
    pub fn free(ip: IpAddr) -> Option<Self> {
        sockets::free_ports(ip)
    }
}

/// What is behind the serial line.
pub enum Line {
    /// A virtual MCU of this product.
    Virtual {
        /// Product key.
        product_key: String,
        /// Data points.
        panel: Panel,
        /// Seconds a phone may bind; 0 for always.
        bindable_s: u16,
    },
    /// An MCU at this serial port.
    Port(PathBuf),
}

/// One module on this machine.
pub struct Options {
    /// What is burnt in.
    pub config: Config,
    /// Timings and rules.
    pub policy: Policy,
    /// Address at which it is reached.
    pub lan: IpAddr,
    /// Ports at that address.
    pub ports: Ports,
    /// Where it sends to everybody; `None` for the usual address of the kind of `lan`.
    pub broadcast: Option<Ipv4Addr>,
    /// Its flash is a file in here.
    pub data_dir: PathBuf,
    /// What a new flash holds, such as a passcode the cloud knows; an old one stays as it is.
    pub factory: Flash,
    /// Its MCU.
    pub line: Line,
    /// The only network that can be joined, with its password; `None` lets every join succeed.
    pub network: Option<(Vec<u8>, Vec<u8>)>,
    /// Where its simulated radio hears ([`roadstead_dialects::air`]).
    pub air: SocketAddr,
    /// What somebody at the device presses whenever it waits in its own access point, such as the
    /// key for AirLink; only of a virtual MCU.
    pub key: Option<Press>,
    /// Ends a loop that hangs.
    pub watchdog: Option<Watchdog>,
}

/// Why a module stopped for good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// Its data directory is not usable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its serial port is not usable.
    #[error(transparent)]
    Serial(#[from] SerialError),
}

impl ModuleError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Serial(_) => "module.mcu_silent",
        }
    }
}

/// What a person does at the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Press {
    /// Turns knobs: data points by name, wire values.
    Change(Map<String, Value>),
    /// The key for SoftAP.
    SoftAp,
    /// The key for AirLink.
    AirLink,
    /// Clears the configuration.
    Reset,
    /// Lets a phone bind.
    Bindable,
}

/// The hand at a running module; a module at a serial port has an MCU of its own.
#[derive(Clone)]
pub struct ModuleHandle(mpsc::Sender<Press>);

impl ModuleHandle {
    /// Does something at the device. False when it has stopped.
    pub async fn press(&self, press: Press) -> bool {
        self.0.send(press).await.is_ok()
    }
}

/// The virtual MCU between two lives of its module.
type Board = Arc<std::sync::Mutex<Option<Mcu>>>;

type Observer = Arc<std::sync::Mutex<Box<dyn FnMut(AgentEvent) + Send>>>;

/// A module.
pub struct ModuleAgent {
    options: Arc<Options>,
    clock: Clock,
    sender: mpsc::Sender<Press>,
    orders: Arc<Mutex<mpsc::Receiver<Press>>>,
    observer: Observer,
}

impl ModuleAgent {
    /// Returns a module that is switched off.
    pub fn new(options: Options) -> Self {
        let (sender, orders) = mpsc::channel(ORDERS_MAX);
        let orders = Arc::new(Mutex::new(orders));
        let observer: Observer = Arc::new(std::sync::Mutex::new(Box::new(|_| {})));
        Self { options: Arc::new(options), clock: Clock::new(), sender, orders, observer }
    }

    /// Calls `observer` with every event. It runs in the module's loop and must not block.
    #[must_use]
    pub fn with_observer(mut self, observer: impl FnMut(AgentEvent) + Send + 'static) -> Self {
        self.observer = Arc::new(std::sync::Mutex::new(Box::new(observer)));
        self
    }

    /// Returns a hand at the device.
    pub fn handle(&self) -> ModuleHandle {
        ModuleHandle(self.sender.clone())
    }

    /// Runs the module until `shutdown` resolves.
    ///
    /// # Errors
    ///
    /// Data directory or serial port are not usable.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ModuleError> {
        let mut shutdown = pin!(shutdown);
        let board = Board::default();
        loop {
            let life = Life::new(&self.options, self.clock, &self.observer, &board)?;
            let orders = Arc::clone(&self.orders);
            // A set ends with its owner: nobody who drops this future leaves a module behind.
            let mut task = JoinSet::new();
            task.spawn(async move {
                let mut orders = orders.lock().await;
                life.run(&mut orders).await
            });
            let ended = tokio::select! {
                ended = task.join_next() => ended,
                () = &mut shutdown => {
                    task.shutdown().await;
                    return Ok(());
                }
            };
            match ended {
                Some(Ok(result)) => result?,
                Some(Err(error)) if error.is_panic() => {
                    tracing::error!("the module crashed and starts again");
                }
                Some(Err(_)) | None => return Ok(()),
            }
        }
    }
}

/// Returns where broadcasts go.
fn broadcast_address(options: &Options) -> SocketAddr {
    let usual = match options.lan {
        // Reaches every listener of this machine and nobody else.
        IpAddr::V4(ip) if ip.is_loopback() => Ipv4Addr::new(127, 255, 255, 255),
        IpAddr::V4(_) | IpAddr::V6(_) => Ipv4Addr::BROADCAST,
    };
    let address = options.broadcast.unwrap_or(usual);
    SocketAddr::from((address, options.ports.announce))
}
