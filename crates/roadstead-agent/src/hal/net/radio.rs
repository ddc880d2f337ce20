//! The simulated radio of a device on this machine: hears frames and Bluetooth writes as
//! datagrams ([`air`]), runs the receivers of `wire` on them, and acknowledges.
//!
//! Not here: a radio. Drivers of real ones fill the same events.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use roadstead_core::Secret;
use roadstead_dialects::air::{self, Bearer, Said};
use roadstead_dialects::device::{Ear as Wanted, Heard, WifiEvent};
use roadstead_wire::airlink::{Credentials, Event, Frame, Hopper, Keys, Mac, Plan, Scheme, ack};
use roadstead_wire::ble::blufi::{BluFiDevice, PRIVATE_SIZE};
use roadstead_wire::ble::llsync::LlSyncDevice;
use roadstead_wire::ble::{LinkState, Porter, Provisioner, Task};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Inbound;

/// Name a device tells over Bluetooth.
const NAME: &str = "roadstead";
/// Reason told when a network was not joined: the handshake timed out (802.11's 15).
const NOT_JOINED: u8 = 15;

/// How a join went.
#[derive(Clone, Copy)]
pub(super) enum Join {
    /// With this address.
    Done(Ipv4Addr),
    Failed,
}

/// The radio; at most one task listens.
pub(super) struct Radio {
    inbox: mpsc::Sender<Inbound>,
    listening: Option<Listening>,
}

struct Listening {
    bearer: Bearer,
    task: JoinHandle<()>,
    joins: mpsc::UnboundedSender<Join>,
}

impl Drop for Radio {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Radio {
    pub(super) fn new(inbox: mpsc::Sender<Inbound>) -> Self {
        Self { inbox, listening: None }
    }

    /// Listens at `at`; one that listens for the same goes on, a Bluetooth connection included.
    pub(super) fn listen(
        &mut self,
        wanted: Wanted,
        at: SocketAddr,
        broadcast: Ipv4Addr,
    ) -> io::Result<()> {
        let bearer = wanted.bearer;
        let goes_on = |it: &Listening| it.bearer == bearer && !it.task.is_finished();
        if self.listening.as_ref().is_some_and(goes_on) {
            return Ok(());
        }
        self.stop();
        let socket = UdpSocket::from_std(super::udp::bind(at)?)?;
        let (joins, joined) = mpsc::unbounded_channel();
        let ear = Ear { socket, inbox: self.inbox.clone(), joined };
        let task = tokio::spawn(async move {
            // An error is a closed inbox or a broken socket: the device is gone.
            let result = match bearer {
                Bearer::Sniffed(scheme) => ear.sniff(scheme, &wanted.keys(), broadcast).await,
                Bearer::BluFi | Bearer::Combo | Bearer::LlSync => ear.serve(bearer).await,
            };
            if let Err(error) = result {
                tracing::debug!(%error, "the radio stopped");
            }
        });
        self.listening = Some(Listening { bearer, task, joins });
        Ok(())
    }

    /// Tells whoever listens how a join went.
    pub(super) fn joined(&mut self, join: Join) {
        let Some(listening) = &self.listening else { return };
        match (join, listening.bearer) {
            // Whoever listens again begins anew; a task about to end would be taken for another.
            (Join::Failed, Bearer::Sniffed(_)) => self.stop(),
            // A task that has ended needs no news.
            (_, _) => drop(listening.joins.send(join)),
        }
    }

    pub(super) fn stop(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.task.abort();
        }
    }
}

/// What a listening task has.
struct Ear {
    socket: UdpSocket,
    inbox: mpsc::Sender<Inbound>,
    joined: mpsc::UnboundedReceiver<Join>,
}

impl Ear {
    /// Hears one message of a scheme; acknowledges it once the network is joined.
    async fn sniff(mut self, scheme: Scheme, keys: &Keys, broadcast: Ipv4Addr) -> io::Result<()> {
        let credentials = self.credentials(scheme, keys).await?;
        let token = (!credentials.extra.is_empty()).then(|| Secret::new(credentials.extra.clone()));
        let password = Secret::new(credentials.password.clone());
        self.tell(Some((credentials.ssid_text(), password)), token).await?;
        if let Some(Join::Done(ip)) = self.joined.recv().await {
            let [a, b, c, d] = ip.octets();
            acknowledge(&credentials, Mac([0x02, 0, a, b, c, d]), ip, broadcast).await?;
        }
        Ok(())
    }

    async fn credentials(&self, scheme: Scheme, keys: &Keys) -> io::Result<Credentials> {
        let start = Instant::now();
        let mut hopper = Hopper::new(Plan::default(), &[scheme], keys, Duration::ZERO);
        let mut frames = Frames::new(&self.socket, start);
        loop {
            tokio::select! {
                frame = frames.next() => {
                    let frame = frame?;
                    if frame.channel == hopper.channel()
                        && let Some((_, Event::Complete(credentials))) = hopper.hear(&frame)
                    {
                        return Ok(*credentials);
                    }
                }
                () = tokio::time::sleep_until(start + hopper.deadline()) => {
                    hopper.tick(start.elapsed());
                }
            }
        }
    }

    /// Serves phones over Bluetooth, one at a time, until one is through.
    async fn serve(mut self, bearer: Bearer) -> io::Result<()> {
        let mut buffer = vec![0; air::DATAGRAM_MAX];
        let mut guest: Option<(Provisioner, SocketAddr)> = None;
        let mut has_token = false;
        loop {
            let mut tasks = Vec::new();
            tokio::select! {
                read = self.socket.recv_from(&mut buffer) => {
                    let (len, from) = read?;
                    let is_guest = guest.as_ref().is_some_and(|(_, phone)| *phone == from);
                    match Said::parse(buffer.get(..len).unwrap_or_default()) {
                        Some(Said::Connect { size }) => {
                            guest = Some((Provisioner::new(porter(bearer, size)?, NAME), from));
                        }
                        Some(Said::Write(bytes)) if is_guest => {
                            if let Some((provisioner, _)) = &mut guest {
                                provisioner.write(&bytes, &mut tasks);
                            }
                        }
                        Some(Said::Disconnect) if is_guest => tasks.push(Task::Close(None)),
                        _ => {}
                    }
                }
                Some(join) = self.joined.recv() => {
                    if let Some((provisioner, _)) = &mut guest {
                        let (state, reason) = match join {
                            Join::Done(_) => (LinkState::Connected, None),
                            Join::Failed => (LinkState::Failed, Some(NOT_JOINED)),
                        };
                        provisioner.linked(state, None, reason, &mut tasks);
                    }
                }
            }
            for task in tasks {
                match (task, &mut guest) {
                    (Task::Notify(bytes), Some((_, phone))) => {
                        self.socket.send_to(&Said::Notify(bytes).emit(), *phone).await?;
                    }
                    (Task::Join(network), _) => {
                        let ssid = String::from_utf8_lossy(&network.ssid).into_owned();
                        let password = Secret::new(network.password.to_vec());
                        self.tell(Some((ssid, password)), None).await?;
                    }
                    (Task::Token(token), Some((provisioner, phone))) => {
                        has_token = true;
                        let mut answer = Vec::new();
                        provisioner.token_told(true, &mut answer);
                        for task in answer {
                            if let Task::Notify(bytes) = task {
                                let note = Said::Notify(bytes).emit();
                                self.socket.send_to(&note, *phone).await?;
                            }
                        }
                        self.tell(None, Some(Secret::new(token.to_vec()))).await?;
                    }
                    (Task::Close(refusal), phone) => {
                        if let Some(refusal) = refusal {
                            tracing::info!(code = refusal.code(), "Bluetooth: {refusal}");
                        }
                        if let Some((_, phone)) = phone.take() {
                            self.socket.send_to(&Said::Disconnect.emit(), phone).await?;
                        }
                        if has_token {
                            return Ok(());
                        }
                    }
                    // The simulated radio hears no networks and leaves none.
                    (Task::Scan | Task::Leave, _) | (Task::Notify(_) | Task::Token(_), None) => {}
                }
            }
        }
    }

    async fn tell(
        &self,
        network: Option<(String, Secret)>,
        token: Option<Secret>,
    ) -> io::Result<()> {
        let event = WifiEvent::Heard(Heard { network, token });
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.inbox.send(Inbound::Wifi(event)).await.map_err(gone)
    }
}

/// The frames that a simulated radio hears, on all channels.
pub(crate) struct Frames<'a> {
    socket: &'a UdpSocket,
    clock: Clock,
    buffer: Vec<u8>,
}

impl<'a> Frames<'a> {
    /// Hears with a clock that began at `start`.
    pub(crate) fn new(socket: &'a UdpSocket, start: Instant) -> Self {
        let clock = Clock { start, offset: None };
        Self { socket, clock, buffer: vec![0; air::DATAGRAM_MAX] }
    }

    /// Waits for the next one; may be cancelled.
    pub(crate) async fn next(&mut self) -> io::Result<Frame> {
        loop {
            let (len, _) = self.socket.recv_from(&mut self.buffer).await?;
            if let Some(Said::Frame(frame)) =
                Said::parse(self.buffer.get(..len).unwrap_or_default())
            {
                return Ok(self.clock.set(frame));
            }
        }
    }
}

/// Turns a sender's clock into the device's: a driver stamps frames when they arrive, whatever
/// the scheduler of this machine does to the datagrams.
struct Clock {
    start: Instant,
    offset: Option<u64>,
}

impl Clock {
    fn set(&mut self, frame: Frame) -> Frame {
        let now = self.start.elapsed().as_micros() as u64;
        let sent = frame.at_us.unwrap_or(0);
        let offset = *self.offset.get_or_insert_with(|| now.wrapping_sub(sent));
        let mut at = sent.wrapping_add(offset);
        // Another sender, or the same one started anew.
        if at.abs_diff(now) > DRIFT_MAX {
            (self.offset, at) = (Some(now.wrapping_sub(sent)), now);
        }
        Frame { at_us: Some(at), ..frame }
    }
}

/// Microseconds by which a sender's clock may differ before it is set anew.
const DRIFT_MAX: u64 = 5_000_000;

/// Returns the device end of a framing for a new connection.
fn porter(bearer: Bearer, size: usize) -> io::Result<Box<dyn Porter>> {
    Ok(match bearer {
        Bearer::LlSync => Box::new(LlSyncDevice::new(size)),
        Bearer::BluFi | Bearer::Combo | Bearer::Sniffed(_) => {
            let mut private = [0; PRIVATE_SIZE];
            getrandom::fill(&mut private).map_err(|_| io::Error::other("no entropy"))?;
            Box::new(BluFiDevice::new(size, private, bearer == Bearer::BluFi))
        }
    })
}

/// Tells the phone that the credentials worked: to its own address where the message said it, and
/// to everybody.
pub(in crate::hal) async fn acknowledge(
    credentials: &Credentials,
    mac: Mac,
    ip: Ipv4Addr,
    broadcast: Ipv4Addr,
) -> io::Result<()> {
    let Some(ack::Ack { port, broadcast: to_all, datagram, times, gap_ms }) =
        credentials.ack.ack(mac, ip.octets(), NAME)
    else {
        return Ok(());
    };
    let socket = UdpSocket::bind((ip, 0)).await?;
    socket.set_broadcast(true)?;
    let phone = credentials.phone_ip.map(Ipv4Addr::from);
    for _ in 0..times {
        for to in phone.into_iter().chain(to_all.then_some(broadcast)) {
            // Nobody listens, or the network drops it: the next one may arrive.
            if let Err(error) = socket.send_to(&datagram, (to, port)).await {
                tracing::debug!(%to, %error, "acknowledgement lost");
            }
        }
        tokio::time::sleep(Duration::from_millis(gap_ms.into())).await;
    }
    Ok(())
}
