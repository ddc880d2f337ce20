//! Phones on TCP 12416.
//!
//! ```text
//! accepted --right passcode--> logged in --silent too long, or closed--> gone
//!    '-- wrong passcode, or anything but a question: closed
//! ```
//! Source: seed §7.2_4, §7.3, §7.5_3, §10_2, §13; GizWits §1.3, §1.6; transcripts lan_app and
//! wrong_passcode.

use alloc::vec::Vec;
use core::time::Duration;

use roadstead_core::Tick;

use super::super::lan::{
    Framer, Hotspot, Hotspots, Message, TCP_PORT, VersionInfo, WEB_PORT, begin, cmd,
};
use super::Module;
use super::forward::Asker;
use super::io::{ConnId, Cx, Level, Network, Output, TcpEvent};

/// Phones at once; the next one is closed (seed §7.3, GizWits §1.1).
pub(super) const CLIENTS_MAX: usize = 8;
/// Networks in the list for a phone.
const HOTSPOTS_MAX: usize = 32;
/// A frame that stays short for this long is taken as it is.
const SHORT_FRAME: Duration = Duration::from_millis(500);

/// Everybody on TCP 12416.
#[derive(Default)]
pub(super) struct Clients {
    list: Vec<Client>,
    /// Encoded entries of the last scan.
    hotspots: Vec<u8>,
}

struct Client {
    conn: ConnId,
    is_in: bool,
    heard: Tick,
    framer: Framer,
    /// Highest level of the log it wants.
    log: Option<u8>,
    /// Closed then, whatever it says.
    closes: Option<Tick>,
}

impl Clients {
    /// Keeps a scan for phones that ask.
    pub(super) fn keep_hotspots(&mut self, networks: &[Network]) {
        self.hotspots.clear();
        for network in networks.iter().take(HOTSPOTS_MAX) {
            let power = network.power.min(100);
            Hotspot { ssid: &network.ssid, power }.emit(&mut self.hotspots);
        }
    }

    /// Returns how many have logged in.
    pub(super) fn logged_in(&self) -> usize {
        self.list.iter().filter(|client| client.is_in).count()
    }

    pub(super) fn deadline(&self, idle: Duration) -> Option<Tick> {
        let due = |client: &Client| {
            let short = client.framer.is_partial().then(|| client.heard + SHORT_FRAME);
            let idle = client.heard + idle;
            [Some(idle), short, client.closes].into_iter().flatten().min()
        };
        self.list.iter().filter_map(due).min()
    }

    /// Calls `send` with every phone that has logged in.
    pub(super) fn each_in(&self, mut send: impl FnMut(ConnId)) {
        self.list.iter().filter(|client| client.is_in).for_each(|client| send(client.conn));
    }

    fn find(&mut self, conn: ConnId) -> Option<&mut Client> {
        self.list.iter_mut().find(|client| client.conn == conn)
    }
}

impl Module {
    pub(super) fn lan_idle(&self) -> Duration {
        match self.mode.is_soft_ap() {
            true => self.policy.lan_idle_softap,
            false => self.policy.lan_idle,
        }
    }

    pub(super) fn tcp(&mut self, conn: ConnId, event: TcpEvent<'_>, cx: &mut Cx<'_>) {
        match event {
            TcpEvent::Opened(TCP_PORT) => self.accept(conn, cx),
            TcpEvent::Opened(WEB_PORT) => self.accept_page(conn, cx),
            TcpEvent::Opened(_) => cx.put(Output::CloseTcp(conn)),
            TcpEvent::Data(bytes) if self.pages.has(conn) => self.page_data(conn, bytes, cx),
            TcpEvent::Data(bytes) => self.client_data(conn, bytes, cx),
            TcpEvent::Closed => {
                self.pages.forget(conn);
                self.clients.list.retain(|client| client.conn != conn);
            }
        }
    }

    fn accept(&mut self, conn: ConnId, cx: &mut Cx<'_>) {
        if self.clients.list.len() >= CLIENTS_MAX {
            self.log(Level::Warning, "a ninth phone was turned away", cx);
            return cx.put(Output::CloseTcp(conn));
        }
        self.clients.list.reserve(CLIENTS_MAX);
        let framer = Framer::new();
        let client = Client { conn, is_in: false, heard: cx.now, framer, log: None, closes: None };
        self.clients.list.push(client);
    }

    /// Ends a phone's connection.
    fn close(&mut self, conn: ConnId, cx: &mut Cx<'_>) {
        self.clients.list.retain(|client| client.conn != conn);
        cx.put(Output::CloseTcp(conn));
    }

    /// Ends all of them.
    pub(super) fn drop_clients(&mut self, cx: &mut Cx<'_>) {
        for client in core::mem::take(&mut self.clients.list) {
            cx.put(Output::CloseTcp(client.conn));
        }
    }

    fn client_data(&mut self, conn: ConnId, bytes: &[u8], cx: &mut Cx<'_>) {
        let Some(client) = self.clients.find(conn) else { return };
        client.heard = cx.now;
        let mut framer = core::mem::take(&mut client.framer);
        let mut input = bytes;
        loop {
            match framer.next(&mut input) {
                Ok(Some(frame)) => self.message(conn, &Message::of(&frame), cx),
                Ok(None) => break,
                Err(error) => {
                    self.log(Level::Warning, &alloc::format!("phone: {error}"), cx);
                    return self.close(conn, cx);
                }
            }
            if self.clients.find(conn).is_none() {
                return;
            }
        }
        if let Some(client) = self.clients.find(conn) {
            client.framer = framer;
        }
    }

    pub(super) fn clients_timeout(&mut self, cx: &mut Cx<'_>) {
        let (now, idle) = (cx.now, self.lan_idle());
        let is_over = |client: &Client| {
            now >= client.heard + idle || client.closes.is_some_and(|at| now >= at)
        };
        while let Some(conn) = self.clients.list.iter().find(|c| is_over(c)).map(|c| c.conn) {
            self.log(Level::Info, "phone closed: silent for too long", cx);
            self.close(conn, cx);
        }
        let is_short = |c: &&mut Client| c.framer.is_partial() && now >= c.heard + SHORT_FRAME;
        if let Some(client) = self.clients.list.iter_mut().find(is_short) {
            let (conn, mut framer) = (client.conn, core::mem::take(&mut client.framer));
            if let Some(frame) = framer.flush() {
                self.message(conn, &Message::of(&frame), cx);
            }
        }
    }

    fn say(&mut self, conn: ConnId, message: &Message<'_>, cx: &mut Cx<'_>) {
        let mut bytes = core::mem::take(&mut self.scratch);
        bytes.clear();
        message.emit(&mut bytes);
        cx.put(Output::Tcp { conn, bytes: &bytes });
        self.scratch = bytes;
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is left is said by modules, not to them"
    )]
    fn message(&mut self, conn: ConnId, message: &Message<'_>, cx: &mut Cx<'_>) {
        let is_in = self.clients.find(conn).is_some_and(|client| client.is_in);
        match *message {
            Message::PasscodeRequest => self.give_passcode(conn, cx),
            Message::Login(passcode) => self.log_in(conn, passcode, cx),
            Message::HotspotsRequest => self.give_hotspots(conn, cx),
            Message::InfoRequest => self.give_info(conn, cx),
            Message::TestDone => {
                self.say(conn, &Message::TestDoneAck, cx);
                self.end_test(cx);
            }
            _ if !is_in => {
                self.log(Level::Warning, "phone closed: it spoke before the log-in", cx);
                self.close(conn, cx);
            }
            Message::Heartbeat => self.say(conn, &Message::HeartbeatAck, cx),
            Message::LogSwitch { on, level } => {
                if let Some(client) = self.clients.find(conn) {
                    client.log = on.then_some(level);
                }
            }
            Message::Control(p0) => {
                self.ask(Asker::Phone { conn, sn: None, reads: false }, p0, cx);
            }
            Message::ControlSn { sn, p0 } => {
                self.ask(Asker::Phone { conn, sn: Some(sn), reads: false }, p0, cx);
            }
            _ => {}
        }
    }

    fn give_passcode(&mut self, conn: ConnId, cx: &mut Cx<'_>) {
        let open = self.bindable.is_open();
        match self.flash.passcode.clone().filter(|_| open) {
            Some(passcode) => self.say(conn, &Message::Passcode(passcode.expose()), cx),
            None => {
                self.log(Level::Info, "passcode refused: not bindable", cx);
                if self.policy.length_lies {
                    cx.put(Output::Tcp { conn, bytes: &[0, 0, 0, 3, 0x0F, 0, 0, 7, 0, 0] });
                } else {
                    self.say(conn, &Message::Passcode(&[]), cx);
                }
                self.close(conn, cx);
            }
        }
    }

    fn log_in(&mut self, conn: ConnId, passcode: &[u8], cx: &mut Cx<'_>) {
        let fits = self.flash.passcode.as_ref().is_some_and(|own| own.matches(passcode));
        self.say(conn, &Message::LoginResult(u8::from(!fits)), cx);
        if !fits {
            self.log(Level::Warning, "phone closed: wrong passcode", cx);
            self.close(conn, cx);
        } else if let Some(client) = self.clients.find(conn) {
            client.is_in = true;
        }
    }

    fn give_hotspots(&mut self, conn: ConnId, cx: &mut Cx<'_>) {
        let list = core::mem::take(&mut self.clients.hotspots);
        // A list of the air around is for configuration only.
        let shown: &[u8] = if self.mode.is_soft_ap() { &list } else { &[] };
        self.say(conn, &Message::Hotspots(Hotspots(shown)), cx);
        self.clients.hotspots = list;
        let closes = cx.now + self.policy.hotspots_close;
        if let Some(client) = self.clients.find(conn) {
            client.closes = Some(closes);
        }
    }

    fn give_info(&mut self, conn: ConnId, cx: &mut Cx<'_>) {
        let Some(info) = &self.uart.info else { return };
        let info = VersionInfo {
            wifi_hardware: self.config.hardware,
            wifi_software: self.config.software,
            mcu_hardware: info.hardware,
            mcu_software: info.software,
            p0_protocol: info.p0_protocol,
            firmware_id: [0; 8],
            firmware: self.flash.firmware.as_bytes(),
            product_key: info.product_key.as_bytes(),
        };
        let mut bytes = core::mem::take(&mut self.scratch);
        bytes.clear();
        Message::Info(info).emit(&mut bytes);
        if self.policy.length_lies
            && let Some(length) = bytes.get_mut(4)
        {
            *length = 0x77;
        }
        cx.put(Output::Tcp { conn, bytes: &bytes });
        self.scratch = bytes;
    }

    /// Streams a line of the log to the phones that asked for it.
    pub(super) fn log_to_phones(&mut self, level: Level, line: &str, cx: &mut Cx<'_>) {
        let wants = |c: &Client| c.is_in && c.log.is_some_and(|log| log >= level as u8);
        if !self.clients.list.iter().any(wants) {
            return;
        }
        let text = [level.prefix().as_bytes(), line.as_bytes()].concat();
        let mut bytes = Vec::new();
        begin(cmd::LOG_LINE, 1 + text.len(), &mut bytes);
        bytes.push(level as u8);
        bytes.extend_from_slice(&text);
        for client in self.clients.list.iter().filter(|client| wants(client)) {
            cx.put(Output::Tcp { conn: client.conn, bytes: &bytes });
        }
    }
}
