//! A world in memory and virtual time: devices, hosts such as phones, an air with loss, a cloud.
//!
//! Nothing here waits: [`World::run`] jumps from deadline to deadline. The same seed repeats a
//! run exactly. TLS and bytes of MQTT are not simulated; the cloud sees actions and answers
//! events.

mod hardware;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use roadstead_core::{Secret, Tick, Timestamp};
use roadstead_dialects::device::{
    Datagram, Fault, Heard, HttpCall, HttpReply, Input, MqttAction, MqttEvent, Random, UdpAction,
    WifiAction, WifiEvent,
};

use self::hardware::{Action, Hardware};
use crate::event::AgentEvent;
use crate::hal::StoreError;
use crate::runner::Runner;

/// Address of a device in its own network.
pub const AP_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 168, 4, 1);
/// Time a datagram or event travels, milliseconds.
const TRAVEL_MS: u64 = 1;
/// Time a radio needs to join, milliseconds.
const JOIN_MS: u64 = 50;
/// What a radio says when no network of that name and password is there.
const WRONG_NETWORK: i32 = 2;

/// Something that is no device of ours: a phone, a neighbour.
pub trait Host {
    /// Returns the name of the network it is in.
    fn network(&self) -> &str;

    /// Returns where it receives; broadcasts to its port reach it too.
    fn address(&self) -> SocketAddr;

    /// Takes a datagram, or wakes up (`None`); what it sends is appended to `out`.
    fn handle(&mut self, datagram: Option<&[u8]>, now: Tick, out: &mut Vec<(SocketAddr, Bytes)>);

    /// Returns when it wants to wake up.
    fn deadline(&self) -> Option<Tick>;
}

/// The platform behind the home network.
pub trait Cloud {
    /// Answers a vendor HTTP call of device `device`.
    ///
    /// # Errors
    ///
    /// The connection fails like this.
    fn http(&mut self, device: usize, call: &HttpCall) -> Result<HttpReply, Fault>;

    /// Takes an action of device `device`; each event in `out` arrives after its delay.
    fn mqtt(&mut self, device: usize, action: MqttAction, out: &mut Vec<(Duration, MqttEvent)>);
}

/// One device of the world.
struct Station {
    runner: Runner,
    hardware: Hardware,
    /// The network it is in: its own, a joined one, or none.
    network: Option<String>,
    address: Ipv4Addr,
    ports: Vec<u16>,
    /// Counts connections; events of former ones are dropped.
    connection: u64,
    events: Vec<AgentEvent>,
}

/// Something under way.
enum Arrival {
    Input { device: usize, input: Input },
    Mqtt { device: usize, connection: u64, event: MqttEvent },
    Host { host: usize, bytes: Bytes },
}

/// The world.
pub struct World {
    now: Tick,
    /// Datagrams lost, of 100.
    loss: u64,
    random: Random,
    networks: Vec<(String, String)>,
    stations: Vec<Station>,
    hosts: Vec<Box<dyn Host>>,
    cloud: Box<dyn Cloud>,
    queue: BTreeMap<(Tick, u64), Arrival>,
    count: u64,
}

impl World {
    /// Returns an empty world with one home network.
    pub fn new(seed: u64, home: (&str, &str), cloud: Box<dyn Cloud>) -> Self {
        Self {
            now: Tick::ZERO,
            loss: 0,
            random: Random::new(seed),
            networks: vec![(home.0.into(), home.1.into())],
            stations: Vec::new(),
            hosts: Vec::new(),
            cloud,
            queue: BTreeMap::new(),
            count: 0,
        }
    }

    /// Loses this many datagrams of 100 from now on.
    pub fn set_loss(&mut self, percent: u64) {
        self.loss = percent;
    }

    /// Switches a device on with this flash; returns its number.
    ///
    /// # Errors
    ///
    /// Never with this store; the signature is the runner's.
    pub fn add_device(
        &mut self,
        runner: Runner,
        flash: BTreeMap<String, Secret>,
    ) -> Result<usize, StoreError> {
        let n = self.stations.len();
        self.stations.push(Station {
            runner,
            hardware: Hardware::new(flash),
            network: None,
            address: Ipv4Addr::UNSPECIFIED,
            ports: Vec::new(),
            connection: 0,
            events: Vec::new(),
        });
        let now = self.now;
        let date = self.date();
        if let Some(station) = self.stations.get_mut(n) {
            let Station { runner, hardware, events, .. } = station;
            runner.start(Some(date), now, date, hardware, events)?;
        }
        self.perform(n);
        Ok(n)
    }

    /// Adds a host; returns its number.
    pub fn add_host(&mut self, host: Box<dyn Host>) -> usize {
        self.hosts.push(host);
        self.hosts.len() - 1
    }

    /// Lets this much time pass.
    ///
    /// # Errors
    ///
    /// Never with this store; the signature is the runner's.
    pub fn run(&mut self, time: Duration) -> Result<(), StoreError> {
        let end = self.now + time;
        while let Some(next) = self.next().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            let due = self.queue.first_key_value().is_some_and(|((tick, _), _)| *tick <= next);
            match due {
                true => self.arrive()?,
                false => self.wake(next)?,
            }
        }
        self.now = end;
        Ok(())
    }

    /// Lets something come to a device through the air.
    pub fn hear(&mut self, device: usize, heard: Heard) {
        let input = Input::Wifi(WifiEvent::Heard(heard));
        self.later(TRAVEL_MS, Arrival::Input { device, input });
    }

    /// Returns what a device has told its observer.
    pub fn events(&self, device: usize) -> &[AgentEvent] {
        self.stations.get(device).map_or(&[], |station| &station.events)
    }

    /// Returns the flash of a device, as a power cut would leave it.
    pub fn flash(&self, device: usize) -> BTreeMap<String, Secret> {
        self.stations.get(device).map_or_else(BTreeMap::new, |s| s.hardware.flash().clone())
    }

    fn date(&self) -> Timestamp {
        Timestamp(self.now.as_millis() as i64)
    }

    fn next(&self) -> Option<Tick> {
        let queue = self.queue.first_key_value().map(|((tick, _), _)| *tick);
        let devices = self.stations.iter().filter_map(|s| s.runner.deadline()).map(|(t, _)| t);
        let hosts = self.hosts.iter().filter_map(|host| host.deadline());
        queue.into_iter().chain(devices).chain(hosts).min()
    }

    fn arrive(&mut self) -> Result<(), StoreError> {
        match self.queue.pop_first() {
            Some((_, Arrival::Input { device, input })) => self.feed(device, input)?,
            Some((_, Arrival::Mqtt { device, connection, event }))
                if self.stations.get(device).is_some_and(|s| s.connection == connection) =>
            {
                self.feed(device, Input::Mqtt(event))?;
            }
            Some((_, Arrival::Host { host, bytes })) => self.host(host, Some(&bytes)),
            // Nothing, or an event of a former connection.
            Some((_, Arrival::Mqtt { .. })) | None => {}
        }
        Ok(())
    }

    fn wake(&mut self, at: Tick) -> Result<(), StoreError> {
        for n in 0..self.stations.len() {
            let deadline = self.stations.get(n).and_then(|s| s.runner.deadline());
            if deadline.is_some_and(|(tick, _)| tick <= at) {
                self.feed(n, Input::Timeout)?;
            }
        }
        for n in 0..self.hosts.len() {
            if self.hosts.get(n).and_then(|host| host.deadline()).is_some_and(|tick| tick <= at) {
                self.host(n, None);
            }
        }
        Ok(())
    }

    fn feed(&mut self, device: usize, input: Input) -> Result<(), StoreError> {
        let (now, date) = (self.now, self.date());
        if let Some(Station { runner, hardware, events, .. }) = self.stations.get_mut(device) {
            runner.feed(input, now, date, hardware, events)?;
        }
        self.perform(device);
        Ok(())
    }

    fn host(&mut self, host: usize, datagram: Option<&[u8]>) {
        let Some(sender) = self.hosts.get_mut(host) else { return };
        let mut out = Vec::new();
        sender.handle(datagram, self.now, &mut out);
        let (network, from) = (sender.network().to_string(), sender.address());
        for (to, bytes) in out {
            let is_there = |s: &Station| {
                s.network.as_deref() == Some(&*network)
                    && to.ip() == IpAddr::V4(s.address)
                    && s.ports.contains(&to.port())
            };
            let device = self.stations.iter().position(is_there);
            if let Some(device) = device.filter(|_| !self.is_lost()) {
                let input = Input::Udp(Datagram { port: to.port(), from, bytes });
                self.later(TRAVEL_MS, Arrival::Input { device, input });
            }
        }
    }

    fn is_lost(&mut self) -> bool {
        self.random.below(100) < self.loss
    }

    fn later(&mut self, ms: u64, arrival: Arrival) {
        self.count += 1;
        self.queue.insert((self.now + Duration::from_millis(ms), self.count), arrival);
    }

    /// Performs what the runner has left with its hardware.
    fn perform(&mut self, device: usize) {
        let actions = self.stations.get_mut(device).map(|s| s.hardware.take());
        for action in actions.unwrap_or_default() {
            match action {
                Action::Wifi(action) => self.wifi(device, action),
                Action::Udp(action) => self.udp(device, action),
                Action::Http(call) => {
                    let result = self.cloud.http(device, &call);
                    let input = Input::Http { id: call.id, result };
                    self.later(TRAVEL_MS, Arrival::Input { device, input });
                }
                Action::Mqtt(action) => self.mqtt(device, action),
            }
        }
    }

    fn wifi(&mut self, device: usize, action: WifiAction) {
        let Some(station) = self.stations.get_mut(device) else { return };
        let (ms, event) = match action {
            WifiAction::StartAp { ssid, .. } => {
                station.network = Some(ssid);
                station.address = AP_ADDRESS;
                (TRAVEL_MS, WifiEvent::ApStarted)
            }
            WifiAction::StopAp | WifiAction::Leave => {
                station.network = None;
                return;
            }
            // Its credentials come by `World::hear`.
            WifiAction::Listen(_) => return,
            WifiAction::Join { ssid, password } => {
                let fits = |(name, key): &(String, String)| {
                    *name == ssid && password.matches(key.as_bytes())
                };
                let address = Ipv4Addr::new(192, 168, 1, 10 + device as u8);
                let found = self.networks.iter().any(fits);
                station.network = found.then_some(ssid);
                station.address = address;
                let joined = WifiEvent::Joined(address);
                (JOIN_MS, if found { joined } else { WifiEvent::JoinFailed(WRONG_NETWORK) })
            }
        };
        self.later(ms, Arrival::Input { device, input: Input::Wifi(event) });
    }

    fn udp(&mut self, device: usize, action: UdpAction) {
        let Some(station) = self.stations.get_mut(device) else { return };
        let network = station.network.clone();
        let hosts: Vec<(usize, Bytes)> = match action {
            UdpAction::Bind(port) => return station.ports.push(port),
            UdpAction::Close(port) => return station.ports.retain(|open| *open != port),
            UdpAction::Send { to, bytes, .. } => {
                let at = self.hosts.iter().position(|h| h.address() == to);
                at.map(|n| (n, bytes)).into_iter().collect()
            }
            UdpAction::Broadcast { port, bytes } => {
                let ports = self.hosts.iter().map(|host| host.address().port()).enumerate();
                ports.filter(|(_, open)| *open == port).map(|(n, _)| (n, bytes.clone())).collect()
            }
        };
        for (host, bytes) in hosts {
            let near = self.hosts.get(host).map(|h| h.network().to_string());
            if near == network && !self.is_lost() {
                self.later(TRAVEL_MS, Arrival::Host { host, bytes });
            }
        }
    }

    fn mqtt(&mut self, device: usize, action: MqttAction) {
        let Some(station) = self.stations.get_mut(device) else { return };
        if matches!(action, MqttAction::Connect(_) | MqttAction::Disconnect) {
            station.connection += 1;
        }
        let connection = station.connection;
        let mut out = Vec::new();
        self.cloud.mqtt(device, action, &mut out);
        for (delay, event) in out {
            let ms = delay.as_millis() as u64;
            self.later(ms, Arrival::Mqtt { device, connection, event });
        }
    }
}
