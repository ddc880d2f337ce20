//! What a device serves in its own access point: the page for browsers, the sealed messages of
//! phones that have read its QR code, and a name server that leads there.
//!
//! | request | answer |
//! |---|---|
//! | `POST /provision` | a message of [`softap`], sealed; always served |
//! | `GET /`, `POST /configure`, `GET /status` | the page, where it is switched on |
//! | anything else | sent to `/`: Android, iOS and Windows take that for a captive portal and open it |
//!
//! The access point stays open while the device tries the network (AP+STA), so that a phone sees
//! why it failed. On this machine it is simulated by address.

mod http;
mod page;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roadstead_core::Secret;
use roadstead_dialects::device::{Heard, WifiEvent};
use roadstead_wire::softap::{self, Device, Given, Progress, Qr, Reason, SECRET_SIZE, dns};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::event::AgentEvent;
use crate::hal::net::Inbound;
use crate::hal::{Store, StoreError};
use http::{Answer, Request};
use page::Language;

/// Key of the QR code's secret in the flash.
const SECRET_KEY: &str = "softap-secret";
/// Browsers at once; another one waits.
const CONNECTIONS_MAX: usize = 8;
/// Time a browser may take for its request, and for reading the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time the page stays after the device has an owner or is on line.
const LINGER: Duration = Duration::from_secs(60);

/// What is served, and where.
#[derive(Clone)]
pub struct PortalOptions {
    /// Address of page and messages.
    pub at: SocketAddr,
    /// The page is served; without it only phones with the code can configure the device.
    pub has_page: bool,
    /// Sealed messages are taken, from phones that have read the QR code; its secret is made at the
    /// first start and stays.
    pub is_sealed: bool,
    /// Name of the access point, for the QR code.
    pub ap: String,
    /// Where every name is answered with the address of `at`; `None` answers none.
    pub dns: Option<SocketAddr>,
    /// Name of the device, for people.
    pub name: String,
}

/// What tasks and device share.
struct Shared {
    options: PortalOptions,
    device: Mutex<State>,
    inbox: mpsc::Sender<Inbound>,
}

struct State {
    device: Device,
    /// Network given last.
    ssid: String,
}

/// The portal; its tasks end with it.
pub(crate) struct Portal {
    shared: Arc<Shared>,
    qr: Option<Qr>,
    tasks: Vec<JoinHandle<()>>,
    closing: Option<JoinHandle<()>>,
}

impl Drop for Portal {
    fn drop(&mut self) {
        self.close();
    }
}

impl Portal {
    /// Returns a portal that is closed; the secret is kept in `flash`.
    pub(crate) fn new(
        options: PortalOptions,
        flash: &mut dyn Store,
        inbox: mpsc::Sender<Inbound>,
    ) -> Result<Self, StoreError> {
        let secret = secret(flash)?;
        let qr = options.is_sealed.then(|| Qr {
            secret: secret.into(),
            at: options.at,
            ap: options.ap.clone(),
            name: options.name.clone(),
        });
        let device = Mutex::new(State { device: Device::new(secret), ssid: String::new() });
        let shared = Arc::new(Shared { options, device, inbox });
        Ok(Self { shared, qr, tasks: Vec::new(), closing: None })
    }

    /// Returns what the QR code says; `None` when no sealed messages are taken.
    pub(crate) fn qr(&self) -> Option<&Qr> {
        self.qr.as_ref()
    }

    /// Opens it; one that is open stays as it is.
    pub(crate) fn open(&mut self) -> io::Result<()> {
        self.closing.take().inspect(JoinHandle::abort);
        if self.tasks.iter().any(|task| !task.is_finished()) {
            return Ok(());
        }
        let listener = listen(self.shared.options.at)?;
        self.tasks.push(tokio::spawn(serve(listener, Arc::clone(&self.shared))));
        if let Some(at) = self.shared.options.dns {
            let socket = UdpSocket::from_std(crate::hal::net::udp::bind(at)?)?;
            let IpAddr::V4(address) = self.shared.options.at.ip() else { return Ok(()) };
            self.tasks.push(tokio::spawn(name(socket, address)));
        }
        Ok(())
    }

    fn close(&mut self) {
        self.closing.take().inspect(JoinHandle::abort);
        self.tasks.drain(..).for_each(|task| task.abort());
    }

    /// The radio has begun to join a network, has joined it, or not.
    pub(crate) fn set(&self, progress: Progress, reason: Option<Reason>) {
        self.shared.state().device.set(progress, reason);
    }

    /// Takes what the device saw.
    pub(crate) fn note(&mut self, event: &AgentEvent) {
        let (progress, reason) = self.shared.state().device.state();
        match (event.stage, event.code) {
            ("online", _) if progress < Progress::Online => self.set(Progress::Online, None),
            ("bound", _) => self.set(Progress::Bound, None),
            (_, Some(code)) if reason.is_none() && progress != Progress::Waiting => {
                self.set(progress, Some(cause(progress, code)));
            }
            (_, _) => return,
        }
        let (progress, _) = self.shared.state().device.state();
        if progress >= Progress::Online && self.closing.is_none() {
            let tasks: Vec<_> = self.tasks.iter().map(JoinHandle::abort_handle).collect();
            self.closing = Some(tokio::spawn(async move {
                tokio::time::sleep(LINGER).await;
                tasks.iter().for_each(tokio::task::AbortHandle::abort);
            }));
        }
    }
}

/// Returns the device's secret, made at the first start.
fn secret(flash: &mut dyn Store) -> Result<[u8; SECRET_SIZE], StoreError> {
    let stored = flash.load()?.into_iter().find(|(key, _)| **key == *SECRET_KEY);
    let stored = stored.and_then(|(_, value)| value.expose().try_into().ok());
    if let Some(secret) = stored {
        return Ok(secret);
    }
    let mut secret = [0; SECRET_SIZE];
    getrandom::fill(&mut secret).map_err(|_| StoreError {
        key: SECRET_KEY.to_owned(),
        cause: io::Error::other("the system has no entropy"),
    })?;
    flash.put(SECRET_KEY, Some(&Secret::new(secret)))?;
    Ok(secret)
}

/// Turns a code of the device into a reason for phones.
fn cause(progress: Progress, code: &str) -> Reason {
    match progress {
        _ if code.starts_with("bind.") || code == "attempt.token_not_reported" => {
            Reason::TokenRefused
        }
        Progress::Joined | Progress::Online | Progress::Bound => Reason::NoCloud,
        Progress::Waiting | Progress::Joining => Reason::Other,
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a network to the device.
    async fn take(&self, given: Given) {
        let ssid = String::from_utf8_lossy(&given.ssid).into_owned();
        {
            let mut state = self.state();
            state.device.set(Progress::Joining, None);
            state.ssid.clone_from(&ssid);
        }
        let token = (!given.token.is_empty()).then(|| Secret::new(given.token.to_vec()));
        let network = Some((ssid, Secret::new(given.password.to_vec())));
        let event = WifiEvent::Heard(Heard { network, token });
        // A closed inbox is a device that was switched off.
        let _ = self.inbox.send(Inbound::Wifi(event)).await;
    }

    async fn answer(&self, request: &Request) -> Answer {
        let language = Language::choose(request.query(), &request.language);
        let has_page = self.options.has_page;
        match (&*request.method, request.path()) {
            ("POST", "/provision") if self.options.is_sealed => self.sealed(&request.body).await,
            ("GET" | "HEAD", "/") if has_page => {
                let ssid = self.state().ssid.clone();
                Answer::page(page::form(language, &self.options.name, &ssid, None))
            }
            ("GET" | "HEAD", "/") => Answer::page(page::scan(language)),
            ("GET" | "HEAD", "/status") if has_page => {
                let (ssid, state) = {
                    let state = self.state();
                    (state.ssid.clone(), state.device.state())
                };
                Answer::page(page::status(language, &ssid, state))
            }
            ("POST", "/configure") if has_page && request.is_from(self.options.at) => {
                self.configure(&request.body, language).await
            }
            // Another site's form, or a name that was led here.
            ("POST", "/configure" | "/provision") => Answer::forbidden(),
            ("GET" | "HEAD", _) => Answer::redirect(&format!("http://{}/", self.options.at)),
            (_, _) => Answer::refused(),
        }
    }

    async fn configure(&self, form: &[u8], language: Language) -> Answer {
        match softap::form::parse(form) {
            Ok(given) => {
                self.take(given).await;
                let lang = match language {
                    Language::English => "en",
                    Language::Chinese => "zh",
                };
                Answer::redirect(&format!("/status?lang={lang}"))
            }
            Err(error) => Answer::page(page::form(language, &self.options.name, "", Some(error))),
        }
    }

    async fn sealed(&self, message: &[u8]) -> Answer {
        let mut entropy = [0; 32];
        if getrandom::fill(&mut entropy).is_err() {
            tracing::error!("no entropy: nothing can be sealed");
            return Answer::forbidden();
        }
        let handled = self.state().device.handle(message, &entropy);
        match handled {
            Ok((answer, given)) => {
                if let Some(given) = given {
                    self.take(given).await;
                }
                Answer::message(answer)
            }
            Err(refusal) => {
                tracing::info!(code = refusal.code(), "own access point: {refusal}");
                Answer::message(Device::refusal(refusal))
            }
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // A peer that was gone already, or too many open files.
            tokio::task::yield_now().await;
            continue;
        };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let _place = place;
            // A browser that is slow or gone is no matter of ours.
            let _ = timeout(PATIENCE, exchange(stream, &shared)).await;
        });
    }
}

async fn exchange(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let answer = match http::read(&mut stream).await? {
        Some(request) => shared.answer(&request).await,
        None => Answer::refused(),
    };
    answer.write(&mut stream).await
}

async fn name(socket: UdpSocket, address: Ipv4Addr) {
    let mut buffer = [0; dns::MESSAGE_MAX];
    loop {
        // An error is an ICMP answer to one of our answers.
        let Ok((len, from)) = socket.recv_from(&mut buffer).await else { continue };
        let question = buffer.get(..len).unwrap_or_default();
        if let Some(answer) = dns::answer(question, address) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = match at {
        SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
        SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
    };
    // A device restarts while its phones' connections still linger.
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(16)
}
