//! One MQTT connection: stream, codec and the client's session machine.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use roadstead_dialects::device::{Fault, FaultKind, Login, MqttAction, MqttEvent};
use roadstead_wire::mqtt::codec::{Decoder, encode};
use roadstead_wire::mqtt::packet::{
    Connect, Opaque, Packet, Publish, QoS, Reason, Subscription, Version,
};
use roadstead_wire::mqtt::session::client::{Cause, Client, Config, Input, Output, RequestOutcome};
use roadstead_wire::mqtt::session::{Handle, Outgoing, PublishOutcome};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Inbound;
use super::tls::{Stream, Trust, connect};

/// Largest packet a device takes, bytes.
const PACKET_BYTES_MAX: u32 = 64 * 1024;
/// Longest keep-alive MQTT can name.
const KEEP_ALIVE_MAX_S: u64 = 65_535;

/// Where the events of a connection go.
pub(super) struct Results {
    pub(super) connection: u64,
    pub(super) inbox: mpsc::Sender<Inbound>,
}

impl Results {
    async fn send(&self, event: MqttEvent) {
        let connection = self.connection;
        let _ = self.inbox.send(Inbound::Mqtt { connection, event }).await;
    }
}

/// Connects, logs in and serves the connection until it ends; the last event says how.
pub(super) async fn run(
    login: Login,
    trust: Trust,
    actions: mpsc::Receiver<MqttAction>,
    results: Results,
) {
    let opening = connect(&login.host, login.port, &login.tls, &login.server_name, &trust);
    let stream = match tokio::time::timeout(login.wait, opening).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(fault)) => return results.send(MqttEvent::Closed(fault)).await,
        Err(_) => {
            let fault = Fault::new(FaultKind::Timeout, format!("{}: no connection", login.host));
            return results.send(MqttEvent::Closed(fault)).await;
        }
    };
    let connection = Connection::new(&login, stream, results);
    connection.serve(actions).await;
}

struct Connection {
    client: Client,
    stream: Box<dyn Stream>,
    decoder: Decoder,
    input: BytesMut,
    output: BytesMut,
    results: Results,
    start: Instant,
    /// Subscriptions by handle.
    filters: Vec<Box<str>>,
    is_over: bool,
}

impl Connection {
    fn new(login: &Login, stream: Box<dyn Stream>, results: Results) -> Self {
        let mut packet = Connect::new(Version::V311, &login.client_id);
        packet.keep_alive_s = login.keep_alive.as_secs().min(KEEP_ALIVE_MAX_S) as u16;
        packet.username = login.user.clone();
        packet.password =
            login.password.as_ref().map(|password| Opaque::new(password.expose().to_vec()));
        let mut config = Config::new(packet);
        config.connect_wait_ms = login.wait.as_millis() as u64;
        let mut first = [0; 2];
        // Ids that go on from connection to connection would do; random ones need no memory.
        let first = getrandom::fill(&mut first).map_or(1, |()| u16::from_ne_bytes(first));
        Self {
            client: Client::new(config, first),
            stream,
            decoder: Decoder::with_version(Version::V311, PACKET_BYTES_MAX),
            input: BytesMut::new(),
            output: BytesMut::new(),
            results,
            start: Instant::now(),
            filters: Vec::new(),
            is_over: false,
        }
    }

    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    async fn serve(mut self, mut actions: mpsc::Receiver<MqttAction>) {
        self.feed(Input::Opened).await;
        while !self.is_over {
            let deadline = self.client.deadline();
            let start = self.start;
            let wake = async move {
                match deadline {
                    Some((ms, _)) => {
                        tokio::time::sleep_until(start + Duration::from_millis(ms)).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                read = self.stream.read_buf(&mut self.input) => match read {
                    Ok(1..) => self.decode().await,
                    Ok(0) | Err(_) => self.feed(Input::Closed).await,
                },
                // Nobody listens any longer.
                action = actions.recv() => match action {
                    Some(action) => self.act(action).await,
                    None => self.act(MqttAction::Disconnect).await,
                },
                () = wake => self.feed(Input::Timeout).await,
            }
        }
        let _ = self.stream.shutdown().await;
    }

    async fn decode(&mut self) {
        loop {
            match self.decoder.decode(&mut self.input) {
                Ok(Some(packet)) => self.feed(Input::Packet(packet)).await,
                Ok(None) => return,
                Err(error) => return self.feed(Input::Malformed(error.reason())).await,
            }
            if self.is_over {
                return;
            }
        }
    }

    async fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.client.handle(input, self.now_ms(), &mut out);
        self.perform(out).await;
    }

    async fn act(&mut self, action: MqttAction) {
        let (now, mut out) = (self.now_ms(), Vec::new());
        match action {
            MqttAction::Subscribe { filter, qos } => {
                let handle = Handle(self.filters.len() as u64);
                let qos = QoS::from_byte(qos).unwrap_or_default();
                let subscription = Subscription::new(&*filter, qos);
                self.filters.push(filter);
                self.client.subscribe(vec![subscription], handle, now, &mut out);
            }
            MqttAction::Publish { topic, payload, qos, mark } => {
                let qos = QoS::from_byte(qos).unwrap_or_default();
                let mut outgoing = Outgoing::new(Publish::new(&*topic, payload, qos));
                outgoing.handle = Some(Handle(u64::from(mark)));
                self.client.publish(outgoing, now, &mut out);
            }
            MqttAction::Disconnect => self.client.disconnect(now, &mut out),
            MqttAction::Connect(_) => {}
        }
        self.perform(out).await;
    }

    async fn perform(&mut self, out: Vec<Output>) {
        let mut left = VecDeque::from(out);
        while let Some(output) = left.pop_front() {
            match output {
                Output::Send(packet) => self.encode(&packet),
                Output::Connected(_) => self.results.send(MqttEvent::Connected).await,
                Output::Message { token, publish } => {
                    let topic = (&*publish.topic).into();
                    let payload = publish.payload.clone();
                    self.results.send(MqttEvent::Message { topic, payload }).await;
                    let mut more = Vec::new();
                    self.client.accept(token, Reason::Success, &mut more);
                    left.extend(more);
                }
                Output::Resolved { handle, outcome: PublishOutcome::Acked } => {
                    self.results.send(MqttEvent::Published { mark: handle.0 as u32 }).await;
                }
                Output::Resolved { .. } => {}
                Output::Answered { handle, outcome } => self.answered(handle, &outcome).await,
                Output::Close(cause) => {
                    self.flush().await;
                    self.closed(cause).await;
                }
            }
        }
        self.flush().await;
    }

    async fn answered(&mut self, handle: Handle, outcome: &RequestOutcome) {
        let Some(filter) = self.filters.get(handle.0 as usize).cloned() else { return };
        let granted = match outcome {
            RequestOutcome::Answered(codes) => match codes.first() {
                Some(Reason::Success) => Some(0),
                Some(Reason::GrantedQoS1) => Some(1),
                Some(Reason::GrantedQoS2) => Some(2),
                _ => None,
            },
            RequestOutcome::Refused => None,
            // The machine has deadlines of its own.
            RequestOutcome::Lost | RequestOutcome::Expired => return,
        };
        self.results.send(MqttEvent::Subscribed { filter, granted }).await;
    }

    async fn closed(&mut self, cause: Cause) {
        self.is_over = true;
        let fault = |kind, text: &str| MqttEvent::Closed(Fault::new(kind, text));
        let event = match cause {
            Cause::Refused(reason) => MqttEvent::Refused(return_code(reason)),
            Cause::Disconnected => fault(FaultKind::Closed, "closed by the device"),
            Cause::Lost => fault(FaultKind::Closed, "closed by the server"),
            Cause::Dismissed(reason) => fault(FaultKind::Closed, &format!("{reason:?}")),
            Cause::NoConnAck => fault(FaultKind::Timeout, "no CONNACK"),
            Cause::NoPingResp => fault(FaultKind::Timeout, "no PINGRESP"),
            Cause::Violation(reason) => fault(FaultKind::Protocol, &format!("{reason:?}")),
        };
        self.results.send(event).await;
    }

    fn encode(&mut self, packet: &Packet) {
        if let Err(error) = encode(packet, Version::V311, &mut self.output) {
            tracing::warn!(packet = packet.name(), %error, "packet has no encoding");
        }
    }

    async fn flush(&mut self) {
        if self.output.is_empty() {
            return;
        }
        let written = self.stream.write_all(&self.output).await;
        self.output.clear();
        if written.is_err() || self.stream.flush().await.is_err() {
            tracing::debug!("connection broke while writing");
        }
    }
}

/// Returns the CONNACK return code of 3.1.1 that a reason came from.
fn return_code(reason: Reason) -> u8 {
    if reason == Reason::UnsupportedProtocolVersion {
        1
    } else if reason == Reason::ClientIdentifierNotValid {
        2
    } else if reason == Reason::ServerUnavailable {
        3
    } else if reason == Reason::BadUserNameOrPassword {
        4
    } else {
        5
    }
}
