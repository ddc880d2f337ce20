//! The dialogue with a device over real UDP.

use std::net::SocketAddr;
use std::time::Duration;

use roadstead_core::Tick;
use roadstead_dialects::tencent::app::{Dialogue, Input, Output, Policy, Task};
use roadstead_dialects::tencent::comm::DATAGRAM_BYTES_MAX;
use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::AppError;

/// Longest datagram a phone reads: a log of ten lines is the longest.
const READ_BYTES_MAX: usize = 2 * DATAGRAM_BYTES_MAX;

/// One dialogue on its sockets.
pub(crate) struct Talk {
    dialogue: Dialogue,
    device: SocketAddr,
    socket: UdpSocket,
    /// Where progress broadcasts of 3.0 devices arrive.
    progress: Option<UdpSocket>,
    start: Instant,
    buffer: Vec<u8>,
    progress_buffer: Vec<u8>,
}

impl Talk {
    /// Opens the sockets; a progress port that is taken by another program is done without.
    pub(crate) async fn open(
        task: Task,
        policy: Policy,
        device: SocketAddr,
        progress: Option<SocketAddr>,
    ) -> Result<Self, AppError> {
        let any = if device.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)
            .await
            .map_err(|cause| AppError::Socket { address: any.into(), cause })?;
        let progress = match progress {
            Some(address) => match UdpSocket::bind(address).await {
                Ok(socket) => Some(socket),
                Err(error) => {
                    tracing::warn!(%address, %error, "no progress of the device will be seen");
                    None
                }
            },
            None => None,
        };
        Ok(Self {
            dialogue: Dialogue::new(task, policy),
            device,
            socket,
            progress,
            start: Instant::now(),
            buffer: vec![0; READ_BYTES_MAX],
            progress_buffer: vec![0; READ_BYTES_MAX],
        })
    }

    /// Begins; returns what is to be known.
    pub(crate) async fn begin(&mut self) -> Vec<Output> {
        // The reactor must have seen the socket once before `try_send_to` works.
        let _ = self.socket.writable().await;
        let mut out = Vec::new();
        let now = Tick::from_millis(self.start.elapsed().as_millis() as u64);
        self.dialogue.handle(Input::Start, now, &mut out);
        self.send(out)
    }

    /// Waits for the next thing to know. Without a deadline it waits for a datagram; it may be
    /// cancelled at any time.
    pub(crate) async fn next(&mut self) -> Vec<Output> {
        let due = self
            .dialogue
            .deadline()
            .map(|(tick, _)| self.start + Duration::from_millis(tick.as_millis()));
        let wake = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let broadcast = async {
            match &self.progress {
                Some(socket) => socket.recv_from(&mut self.progress_buffer).await,
                None => std::future::pending().await,
            }
        };
        let mut out = Vec::new();
        let now = || Tick::from_millis(self.start.elapsed().as_millis() as u64);
        tokio::select! {
            read = self.socket.recv_from(&mut self.buffer) => match read {
                Ok((len, from)) if from.ip() == self.device.ip() => {
                    let bytes = self.buffer.get(..len).unwrap_or_default();
                    self.dialogue.handle(Input::Datagram(bytes), now(), &mut out);
                }
                // A stranger, or an ICMP answer: the device is not there yet.
                Ok(_) | Err(_) => {}
            },
            read = broadcast => if let Ok((len, _)) = read {
                let bytes = self.progress_buffer.get(..len).unwrap_or_default();
                self.dialogue.handle(Input::Datagram(bytes), now(), &mut out);
            },
            () = wake => self.dialogue.handle(Input::Timeout, now(), &mut out),
        }
        self.send(out)
    }

    /// Sends what is to be sent and returns the rest. A failed send is a lost datagram; nothing
    /// here waits, so that cancelling [`Self::next`] loses nothing.
    fn send(&self, out: Vec<Output>) -> Vec<Output> {
        let mut rest = Vec::new();
        for output in out {
            match output {
                Output::Send(bytes) => {
                    if let Err(error) = self.socket.try_send_to(&bytes, self.device) {
                        tracing::debug!(%error, "datagram lost");
                    }
                }
                known @ (Output::Found { .. }
                | Output::PreviousError(_)
                | Output::Progress(_)
                | Output::Silent
                | Output::Log(_)
                | Output::Failed(_)) => rest.push(known),
            }
        }
        rest
    }
}

/// Reads the log of a device at its command or log port; empty when it has none to tell.
///
/// On the command port this ends the provisioning that is under way.
///
/// # Errors
///
/// The phone's own socket fails.
pub async fn read_log(device: SocketAddr, policy: Policy) -> Result<Vec<String>, AppError> {
    let mut talk = Talk::open(Task::ReadLog, policy, device, None).await?;
    let mut known = talk.begin().await;
    loop {
        for output in known {
            if let Output::Log(lines) = output {
                return Ok(lines);
            }
        }
        known = talk.next().await;
    }
}
