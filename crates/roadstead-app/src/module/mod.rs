//! Communication modules in the local network: found, given a network, read and controlled over
//! real sockets, with or without the cloud.
//!
//! The dialogues are machines of [`roadstead_dialects::gizwits::app`]; here are their sockets.
//! [`provision()`] is the whole way from a module without a network to a binding.

mod provision;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use roadstead_core::{Secret, Tick};
use roadstead_dialects::gizwits::app::{
    Found, Onboard, OnboardInput, OnboardOutput, OnboardPolicy, OnboardTask, Search, SearchOutput,
    Talk, TalkError, TalkEvent, TalkInput, TalkOutput, TalkPolicy, TalkRequest, heard,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::Instant;

pub use provision::{Options, Way, provision};

/// Largest datagram, bytes; the rest is cut off.
const DATAGRAM_BYTES_MAX: usize = 2048;
/// Longest time to a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(5);

/// Where modules are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Air {
    /// Own address.
    pub ip: Ipv4Addr,
    /// Questions go here: a broadcast address or one module, port 12414.
    pub ask: SocketAddr,
    /// Announcements are heard on this port; 0 for not at all.
    pub announce_port: u16,
}

impl Air {
    /// Returns the air of an own address with the ports of GizWits §1.1.
    pub fn of(ip: Ipv4Addr) -> Self {
        let everybody = match ip.is_loopback() {
            true => Ipv4Addr::new(127, 255, 255, 255),
            false => Ipv4Addr::BROADCAST,
        };
        Self { ip, ask: SocketAddr::from((everybody, 12414)), announce_port: 2415 }
    }
}

/// Why a module was not reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// A socket failed.
    #[error("socket in the local network")]
    Socket(#[from] io::Error),
    /// The talk ended.
    #[error("{0}")]
    Talk(TalkError),
    /// The module did not connect within five seconds.
    #[error("no connection to the module in time")]
    Timeout,
    /// Configuration failed.
    #[error("{1}")]
    Onboard(roadstead_core::Code, String),
}

impl ModuleError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Socket(_) | Self::Timeout => "module.lan_lost",
            Self::Talk(error) => error.code(),
            Self::Onboard(code, _) => code,
        }
    }
}

struct Clock(Instant);

impl Clock {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn now(&self) -> Tick {
        Tick::from_millis(self.0.elapsed().as_millis() as u64)
    }

    async fn sleep(&self, until: Option<Tick>) {
        match until {
            Some(tick) => {
                let at = self.0 + Duration::from_millis(tick.as_millis());
                tokio::time::sleep_until(at).await;
            }
            None => std::future::pending().await,
        }
    }
}

/// The two sockets of a search.
struct Ears {
    asking: UdpSocket,
    announced: Option<UdpSocket>,
    ask: SocketAddr,
}

impl Ears {
    async fn open(air: &Air) -> io::Result<Self> {
        let asking = UdpSocket::bind((air.ip, 0)).await?;
        asking.set_broadcast(true)?;
        // Broadcasts are heard on the wildcard address; another app may have the port.
        let announced = match air.announce_port {
            0 => None,
            port => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await.ok(),
        };
        Ok(Self { asking, announced, ask: air.ask })
    }

    async fn say(&self, bytes: &[u8]) -> io::Result<()> {
        self.asking.send_to(bytes, self.ask).await.map(drop)
    }

    async fn hear(&self) -> io::Result<(Vec<u8>, SocketAddr)> {
        let (mut one, mut two) = ([0; DATAGRAM_BYTES_MAX], [0; DATAGRAM_BYTES_MAX]);
        let announced = async {
            match &self.announced {
                Some(socket) => socket.recv_from(&mut two).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            got = self.asking.recv_from(&mut one) => {
                let (len, from) = got?;
                Ok((one.get(..len).unwrap_or_default().to_vec(), from))
            }
            got = announced => {
                let (len, from) = got?;
                Ok((two.get(..len).unwrap_or_default().to_vec(), from))
            }
        }
    }
}

/// Looks for modules for some time; tells each with its address.
///
/// # Errors
///
/// No socket could be opened.
pub async fn search(air: &Air, time: Duration) -> Result<Vec<(Found, SocketAddr)>, ModuleError> {
    let (clock, ears) = (Clock::new(), Ears::open(air).await?);
    let mut search = Search::new(clock.now(), time);
    let mut found: Vec<(Found, SocketAddr)> = Vec::new();
    loop {
        tokio::select! {
            got = ears.hear() => {
                // An error is an ICMP answer to a question.
                let Ok((bytes, from)) = got else { continue };
                if let Some(SearchOutput::Found(module)) = search.datagram(&bytes) {
                    found.retain(|(known, _)| known.mac != module.mac);
                    found.push((module, from));
                }
            }
            () = clock.sleep(Some(search.deadline())) => match search.timeout(clock.now()) {
                Some(SearchOutput::Broadcast(bytes)) => ears.say(&bytes).await?,
                Some(SearchOutput::Done) => return Ok(found),
                Some(SearchOutput::Found(_)) | None => {}
            },
        }
    }
}

/// Gives a module its network over its own access point, and waits until it says so at home. The
/// change of Wi-Fi networks is the caller's: on one machine both networks are the same.
///
/// # Errors
///
/// The module did not take it, or did not come.
pub async fn onboard(
    air: &Air,
    module: SocketAddr,
    ssid: &[u8],
    password: Secret,
    mac: Option<String>,
) -> Result<Found, ModuleError> {
    let task = OnboardTask { ssid: ssid.into(), password, mac };
    let policy = OnboardPolicy::default();
    let found = arrive(air, Some(module), task, policy, OnboardInput::InModuleNetwork).await?;
    Ok(found.0)
}

/// Runs an onboarding from its first input to the module's arrival; tells its address, too.
async fn arrive(
    air: &Air,
    module: Option<SocketAddr>,
    task: OnboardTask,
    policy: OnboardPolicy,
    first: OnboardInput<'_>,
) -> Result<(Found, SocketAddr), ModuleError> {
    let mut dialogue = Onboard::new(task, policy)
        .map_err(|code| ModuleError::Onboard(code, "name or password do not fit".to_owned()))?;
    let (clock, ears) = (Clock::new(), Ears::open(air).await?);
    let (mut out, mut last) = (Vec::new(), air.ask);
    dialogue.handle(first, clock.now(), &mut out);
    loop {
        for output in std::mem::take(&mut out) {
            match output {
                OnboardOutput::Tell(bytes) => {
                    ears.asking.send_to(&bytes, module.unwrap_or(air.ask)).await?;
                }
                OnboardOutput::Broadcast(bytes) => ears.say(&bytes).await?,
                OnboardOutput::GoHome => {
                    dialogue.handle(OnboardInput::Home, clock.now(), &mut out);
                }
                OnboardOutput::Done(found) => return Ok((found, last)),
                OnboardOutput::Failed(code, why) => return Err(ModuleError::Onboard(code, why)),
            }
        }
        if !out.is_empty() {
            continue;
        }
        tokio::select! {
            got = ears.hear() => {
                let Ok((bytes, from)) = got else { continue };
                last = from;
                // Until it is acknowledged, an announcement is the access point's own.
                let is_told = module.is_none() || dialogue.was_acknowledged();
                if is_told || heard(&bytes).is_none() {
                    dialogue.handle(OnboardInput::Datagram(&bytes), clock.now(), &mut out);
                }
            }
            () = clock.sleep(dialogue.deadline()) => {
                dialogue.handle(OnboardInput::Timeout, clock.now(), &mut out);
            }
        }
    }
}

/// A connection to one module.
pub struct ModuleTalk {
    stream: TcpStream,
    talk: Talk,
    clock: Clock,
    buffer: Vec<u8>,
}

impl ModuleTalk {
    /// Connects; without a passcode the module is asked for it.
    ///
    /// # Errors
    ///
    /// The module is not there.
    pub async fn connect(to: SocketAddr, passcode: Option<Secret>) -> Result<Self, ModuleError> {
        let clock = Clock::new();
        let talk = Talk::new(passcode, TalkPolicy::default(), clock.now());
        Self::open(to, talk, clock).await
    }

    /// Connects for what needs no log-in.
    ///
    /// # Errors
    ///
    /// The module is not there.
    pub async fn guest(to: SocketAddr) -> Result<Self, ModuleError> {
        let clock = Clock::new();
        let talk = Talk::guest(TalkPolicy::default(), clock.now());
        Self::open(to, talk, clock).await
    }

    async fn open(to: SocketAddr, talk: Talk, clock: Clock) -> Result<Self, ModuleError> {
        let stream = tokio::time::timeout(CONNECT_WAIT, TcpStream::connect(to)).await;
        let stream = stream.map_err(|_| ModuleError::Timeout)??;
        // Real modules read one frame per segment.
        stream.set_nodelay(true)?;
        let mut talk = Self { stream, talk, clock, buffer: vec![0; 4096] };
        talk.step(TalkInput::Connected).await?;
        Ok(talk)
    }

    /// Asks for something; what comes is told by [`Self::next`].
    ///
    /// # Errors
    ///
    /// The connection is gone.
    pub async fn request(&mut self, request: TalkRequest) -> Result<Vec<TalkEvent>, ModuleError> {
        self.step(TalkInput::Request(request)).await
    }

    /// Waits for the next events; heartbeats go by themselves while waiting.
    ///
    /// # Errors
    ///
    /// The talk is over.
    pub async fn next(&mut self) -> Result<Vec<TalkEvent>, ModuleError> {
        loop {
            let mut buffer = std::mem::take(&mut self.buffer);
            let read = tokio::select! {
                read = self.stream.read(&mut buffer) => Some(read.unwrap_or(0)),
                () = self.clock.sleep(self.talk.deadline()) => None,
            };
            let input = match read {
                None => TalkInput::Timeout,
                Some(0) => TalkInput::Closed,
                Some(len) => TalkInput::Data(buffer.get(..len).unwrap_or_default()),
            };
            let events = self.step(input).await;
            self.buffer = buffer;
            let events = events?;
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }

    async fn step(&mut self, input: TalkInput<'_>) -> Result<Vec<TalkEvent>, ModuleError> {
        let (mut out, mut events) = (Vec::new(), Vec::new());
        self.talk.handle(input, self.clock.now(), &mut out);
        let mut over = None;
        for output in out {
            match output {
                TalkOutput::Send(bytes) => self.stream.write_all(&bytes).await?,
                TalkOutput::Close => {}
                TalkOutput::Event(TalkEvent::Over(error)) => over = Some(error),
                TalkOutput::Event(event) => events.push(event),
            }
        }
        match over {
            Some(error) if events.is_empty() => Err(ModuleError::Talk(error)),
            _ => Ok(events),
        }
    }
}
