//! Network and token through the simulated air: what the phone's radio would do.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use roadstead_core::Secret;
use roadstead_dialects::air::{self, Bearer, Said};
use roadstead_wire::airlink::air::{Air as Frames, Weather};
use roadstead_wire::airlink::{Mac, Request, Round, Scheme};
use roadstead_wire::ble::blufi::{BluFiPhone, PRIVATE_SIZE};
use roadstead_wire::ble::llsync::LlSyncPhone;
use roadstead_wire::ble::{Courier, Dialogue, Failure, Input, Network, Output, Policy};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

use crate::AppError;

/// The access point of the simulated air, and the phone in it.
const ACCESS_POINT: Mac = Mac([0x02, 0x52, 0x53, 0x00, 0x00, 0x01]);
const PHONE: Mac = Mac([0x02, 0x52, 0x53, 0x00, 0x00, 0x02]);
/// Bytes of a write: ATT MTU 185, as phones ask for, less 3.
const WRITE_SIZE: usize = 182;
/// How long to send when no acknowledgement can be heard because its port is taken.
const DEAF: Duration = Duration::from_secs(10);

/// What is sent, and where to.
#[derive(Clone)]
pub struct Air {
    /// How.
    pub bearer: Bearer,
    /// The simulated radio of the device.
    pub radio: SocketAddr,
    /// What the message is encrypted with, where the scheme has a key: smartconfig the product's
    /// secret, the others an AES key or PIN.
    pub key: Option<Secret>,
    /// Probability that the device loses a copy of a frame, 0.0 to 1.0; Bluetooth loses none.
    pub loss: f64,
}

/// What came of it.
pub(crate) struct Sent {
    /// The device said that it is in the network. A hint: anyone there can say so.
    pub(crate) is_acknowledged: bool,
    /// The device has the token, too.
    pub(crate) has_token: bool,
}

impl Air {
    /// Sends until the device answers or the scheme's time is over.
    pub(crate) async fn send(
        &self,
        ssid: &str,
        password: &Secret,
        token: &str,
        device: IpAddr,
    ) -> Result<Sent, AppError> {
        match self.bearer {
            Bearer::Sniffed(scheme) => self.broadcast(scheme, ssid, password, token, device).await,
            Bearer::BluFi | Bearer::Combo | Bearer::LlSync => {
                let network = Network {
                    ssid: ssid.as_bytes().to_vec(),
                    password: Zeroizing::new(password.expose().to_vec()),
                    bssid: None,
                };
                self.converse(network, token.as_bytes().to_vec()).await?;
                Ok(Sent { is_acknowledged: true, has_token: true })
            }
        }
    }

    /// Repeats a round until it is acknowledged.
    async fn broadcast(
        &self,
        scheme: Scheme,
        ssid: &str,
        password: &Secret,
        token: &str,
        device: IpAddr,
    ) -> Result<Sent, AppError> {
        let radio = connect(self.radio).await?;
        let own = radio.local_addr().map_err(|cause| socket(self.radio, cause))?.ip();
        let own = if let IpAddr::V4(ip) = own { ip } else { Ipv4Addr::LOCALHOST };
        // ESPTouch v2 has room for data of the application.
        let has_token = scheme == Scheme::EspTouch2;
        let mut random = [0; 20];
        entropy(&mut random)?;
        let request = Request {
            ssid: ssid.as_bytes(),
            password: password.expose(),
            bssid: ACCESS_POINT,
            phone_ip: own.octets(),
            phone_mac: PHONE,
            key: self.key.as_ref().map(Secret::expose),
            extra: if has_token { token.as_bytes() } else { &[] },
            omit_ssid: false,
            port_mark: 0,
            zero_iv: false,
            multicast: false,
            random,
        };
        let round = scheme.encode(&request)?;
        let weather = Weather { loss: self.loss, ..Weather::default() };
        let seed =
            random.iter().fold(0_u64, |seed, byte| seed << 8 ^ seed >> 56 ^ u64::from(*byte));
        let ear = Ear::open(&round, own, device).await;
        let can_hear = ear.is_some() || round.ack.port.is_none();
        let life = if can_hear { round.time_out } else { DEAF };
        let (start, heard) = (Instant::now(), async {
            match &ear {
                Some(ear) => ear.hear(&round).await,
                None => std::future::pending().await,
            }
        });
        let sending = async {
            for frame in Frames::new(&round, weather, PHONE, ACCESS_POINT, seed) {
                let at = Duration::from_micros(frame.at_us.unwrap_or(0));
                if at > life {
                    break;
                }
                sleep_until(start + at).await;
                // A device that does not listen yet hears the next round.
                let _ = radio.send(&Said::Frame(frame).emit()).await;
            }
        };
        tokio::select! {
            () = heard => Ok(Sent { is_acknowledged: true, has_token }),
            () = sending => Ok(Sent { is_acknowledged: false, has_token }),
        }
    }

    /// Talks to the device over Bluetooth until it has network and token.
    async fn converse(&self, network: Network, token: Vec<u8>) -> Result<(), AppError> {
        let radio = connect(self.radio).await?;
        let mut dialogue = Dialogue::new(self.courier()?, Policy::default(), network, token);
        let start = Instant::now();
        let say = async |said: Said| {
            radio.send(&said.emit()).await.map_err(|cause| socket(self.radio, cause))
        };
        say(Said::Connect { size: WRITE_SIZE }).await?;
        let mut out = Vec::new();
        dialogue.handle(Input::Start, start.elapsed(), &mut out);
        let mut buffer = vec![0; air::DATAGRAM_MAX];
        loop {
            let mut end = None;
            for output in out.drain(..) {
                match output {
                    Output::Write(bytes) => {
                        say(Said::Write(bytes)).await?;
                    }
                    Output::Done => end = Some(Ok(())),
                    Output::Failed(failure) => end = Some(Err(failure)),
                    Output::Answered(_) | Output::Confirm | Output::Joining | Output::Joined(_) => {
                    }
                }
            }
            if let Some(end) = end {
                say(Said::Disconnect).await?;
                return Ok(end?);
            }
            let due = dialogue.deadline().unwrap_or_default();
            tokio::select! {
                read = radio.recv(&mut buffer) => {
                    // Refused by the system: no radio is there.
                    let len = read.map_err(|_| Failure::Closed)?;
                    let said = Said::parse(buffer.get(..len).unwrap_or_default());
                    let input = match &said {
                        Some(Said::Notify(bytes)) => Input::Notified(bytes),
                        Some(Said::Disconnect) => Input::Closed,
                        _ => continue,
                    };
                    dialogue.handle(input, start.elapsed(), &mut out);
                }
                () = sleep_until(start + due) => {
                    dialogue.handle(Input::Timeout, start.elapsed(), &mut out);
                }
            }
        }
    }

    fn courier(&self) -> Result<Box<dyn Courier>, AppError> {
        Ok(match self.bearer {
            Bearer::LlSync => Box::new(LlSyncPhone::new(WRITE_SIZE)),
            Bearer::Combo => Box::new(BluFiPhone::new(WRITE_SIZE, None)),
            Bearer::BluFi | Bearer::Sniffed(_) => {
                let mut private = [0; PRIVATE_SIZE];
                entropy(&mut private)?;
                Box::new(BluFiPhone::new(WRITE_SIZE, Some(private)))
            }
        })
    }
}

/// Where acknowledgements arrive.
struct Ear {
    socket: UdpSocket,
    device: IpAddr,
}

impl Ear {
    /// Listens where the round's acknowledgement goes; `None` when the scheme has none, or its port
    /// is taken by another program: then the phone sends for a while and hopes.
    async fn open(round: &Round, own: Ipv4Addr, device: IpAddr) -> Option<Self> {
        let port = round.ack.port?;
        let at = match (own.is_loopback(), round.scheme) {
            (false, _) => Ipv4Addr::UNSPECIFIED,
            // Simple Config answers to the phone alone, the others to everybody.
            (true, Scheme::SimpleConfig) => own,
            (true, _) => Ipv4Addr::new(127, 255, 255, 255),
        };
        match UdpSocket::bind((at, port)).await {
            Ok(socket) => Some(Self { socket, device }),
            Err(error) => {
                tracing::warn!(port, %error, "no acknowledgement will be heard");
                None
            }
        }
    }

    /// Waits for the acknowledgement of this device.
    async fn hear(&self, round: &Round) {
        let mut buffer = [0; 512];
        loop {
            let Ok((len, from)) = self.socket.recv_from(&mut buffer).await else { continue };
            let said = buffer.get(..len).unwrap_or_default();
            if from.ip() == self.device && round.ack.read(said).is_some() {
                return;
            }
        }
    }
}

async fn connect(to: SocketAddr) -> Result<UdpSocket, AppError> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let connected = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect(to).await?;
        Ok(socket)
    };
    connected.await.map_err(|cause| socket(to, cause))
}

pub(crate) fn entropy(bytes: &mut [u8]) -> Result<(), AppError> {
    getrandom::fill(bytes).map_err(|_| {
        let cause = std::io::Error::other("the system has no entropy");
        AppError::Socket { address: "random numbers".into(), cause }
    })
}

fn socket(address: SocketAddr, cause: std::io::Error) -> AppError {
    AppError::Socket { address: address.to_string(), cause }
}
