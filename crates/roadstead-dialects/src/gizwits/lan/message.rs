//! What the frames mean.
//!
//! Source: GizWits §1.3 to §1.5, §7.12 (log frames are this project's own).

use alloc::vec::Vec;

use super::cmd;
use super::frame::{Frame, finish};

/// Who a device is, in discovery and announcement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block<'a> {
    /// Empty before registration.
    pub did: &'a [u8],
    /// Six bytes.
    pub mac: &'a [u8],
    /// Firmware version; usually empty.
    pub firmware: &'a [u8],
    /// Product key.
    pub product_key: &'a [u8],
    /// Device attributes of the MCU.
    pub attributes: [u8; 8],
    /// `host:port` of the API, from newer firmware.
    pub api_server: Option<&'a [u8]>,
    /// Protocol version, from newer firmware.
    pub version: Option<&'a [u8]>,
}

/// Who the module and its MCU are; text fields of eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionInfo<'a> {
    /// Module hardware.
    pub wifi_hardware: [u8; 8],
    /// Module software.
    pub wifi_software: [u8; 8],
    /// MCU hardware.
    pub mcu_hardware: [u8; 8],
    /// MCU software.
    pub mcu_software: [u8; 8],
    /// Version of the P0 protocol.
    pub p0_protocol: [u8; 8],
    /// Firmware id; zero.
    pub firmware_id: [u8; 8],
    /// Release date of the firmware; may be empty.
    pub firmware: &'a [u8],
    /// Product key.
    pub product_key: &'a [u8],
}

/// A network the module hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hotspot<'a> {
    /// Its name.
    pub ssid: &'a [u8],
    /// Strength, 0 to 100.
    pub power: u8,
}

/// The networks of a [`Message::Hotspots`], in the sender's order; a cut entry ends the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hotspots<'a>(pub &'a [u8]);

impl<'a> Iterator for Hotspots<'a> {
    type Item = Hotspot<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (ssid, rest) = str16(self.0)?;
        let (power, rest) = rest.split_first()?;
        self.0 = rest;
        Some(Hotspot { ssid, power: *power })
    }
}

/// A message, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Network name and password for the module.
    Onboard {
        /// Name.
        ssid: &'a [u8],
        /// Password.
        password: &'a [u8],
    },
    /// The module has them.
    OnboardAck,
    /// Who is there?
    Discover,
    /// I am.
    Found(Block<'a>),
    /// I have just started.
    Announce(Block<'a>),
    /// What is the passcode?
    PasscodeRequest,
    /// The passcode; empty outside of the bindable window.
    Passcode(&'a [u8]),
    /// Log-in with the passcode.
    Login(&'a [u8]),
    /// 0 for success.
    LoginResult(u8),
    /// Which protocol version?
    VersionRequest,
    /// Which networks do you hear?
    HotspotsRequest,
    /// These.
    Hotspots(Hotspots<'a>),
    /// Log to me, or stop it.
    LogSwitch {
        /// Start or stop.
        on: bool,
        /// Highest level: 0 critical to 5 dump.
        level: u8,
    },
    /// A line of the log.
    LogLine {
        /// Its level.
        level: u8,
        /// Its text.
        text: &'a [u8],
    },
    /// Who are you, in versions?
    InfoRequest,
    /// These.
    Info(VersionInfo<'a>),
    /// I am still here.
    Heartbeat,
    /// So am I.
    HeartbeatAck,
    /// The production test is over.
    TestDone,
    /// Understood.
    TestDoneAck,
    /// I was configured and am connected.
    Configured {
        /// Six bytes.
        mac: &'a [u8],
        /// Product key.
        product_key: &'a [u8],
        /// Empty before registration.
        did: &'a [u8],
    },
    /// A P0 action for the MCU.
    Control(&'a [u8]),
    /// A P0 action of the MCU.
    Report(&'a [u8]),
    /// As `Control`; the answer repeats the number.
    ControlSn {
        /// Number.
        sn: u32,
        /// P0 action.
        p0: &'a [u8],
    },
    /// The answer; empty for a control.
    ReportSn {
        /// Number of the question.
        sn: u32,
        /// P0 action.
        p0: &'a [u8],
    },
    /// Not known, or not readable.
    Other(u16),
}

impl<'a> Message<'a> {
    /// Reads a frame; what has the wrong form is [`Message::Other`].
    pub fn of(frame: &Frame<'a>) -> Self {
        Self::read(frame.cmd, frame.body).unwrap_or(Self::Other(frame.cmd))
    }

    fn read(command: u16, body: &'a [u8]) -> Option<Self> {
        Some(match command {
            cmd::ONBOARD => {
                let (ssid, rest) = str16(body)?;
                let (password, _) = str16(rest)?;
                Self::Onboard { ssid, password }
            }
            cmd::ONBOARD_ACK => Self::OnboardAck,
            cmd::DISCOVER => Self::Discover,
            cmd::FOUND => Self::Found(Block::read(body)?),
            cmd::ANNOUNCE => Self::Announce(Block::read(body)?),
            cmd::PASSCODE_REQUEST => Self::PasscodeRequest,
            cmd::PASSCODE => Self::Passcode(loose16(body)?),
            cmd::LOGIN => Self::Login(loose16(body)?),
            cmd::LOGIN_RESULT => Self::LoginResult(*body.first()?),
            cmd::VERSION_REQUEST => Self::VersionRequest,
            cmd::HOTSPOTS_REQUEST => Self::HotspotsRequest,
            cmd::HOTSPOTS => Self::Hotspots(Hotspots(body)),
            cmd::LOG_SWITCH => Self::LogSwitch {
                on: body.first().is_some_and(|on| *on != 0),
                level: body.get(1).copied().unwrap_or(4),
            },
            cmd::LOG_LINE => {
                let (level, text) = body.split_first()?;
                Self::LogLine { level: *level, text }
            }
            cmd::INFO_REQUEST => Self::InfoRequest,
            cmd::INFO => Self::Info(VersionInfo::read(body)?),
            cmd::HEARTBEAT => Self::Heartbeat,
            cmd::HEARTBEAT_ACK => Self::HeartbeatAck,
            cmd::TEST_DONE => Self::TestDone,
            cmd::TEST_DONE_ACK => Self::TestDoneAck,
            cmd::CONFIGURED => {
                let (mac, rest) = str16(body)?;
                let (product_key, rest) = str16(rest)?;
                let (did, _) = str16(rest)?;
                Self::Configured { mac, product_key, did }
            }
            cmd::CONTROL => Self::Control(body),
            cmd::REPORT => Self::Report(body),
            cmd::CONTROL_SN => numbered(body).map(|(sn, p0)| Self::ControlSn { sn, p0 })?,
            cmd::REPORT_SN => numbered(body).map(|(sn, p0)| Self::ReportSn { sn, p0 })?,
            _ => return None,
        })
    }

    /// Appends the whole frame. [`Message::Other`] has no body.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let command = self.body(out);
        finish(command, start, out);
    }

    fn body(&self, out: &mut Vec<u8>) -> u16 {
        match *self {
            Self::Onboard { ssid, password } => {
                put16(ssid, out);
                put16(password, out);
                cmd::ONBOARD
            }
            Self::OnboardAck => cmd::ONBOARD_ACK,
            Self::Discover => cmd::DISCOVER,
            Self::Found(block) => block.write(cmd::FOUND, out),
            Self::Announce(block) => block.write(cmd::ANNOUNCE, out),
            Self::PasscodeRequest => cmd::PASSCODE_REQUEST,
            Self::Passcode(passcode) => {
                put16(passcode, out);
                cmd::PASSCODE
            }
            Self::Login(passcode) => {
                put16(passcode, out);
                cmd::LOGIN
            }
            Self::LoginResult(result) => {
                out.push(result);
                cmd::LOGIN_RESULT
            }
            Self::VersionRequest => cmd::VERSION_REQUEST,
            Self::HotspotsRequest => cmd::HOTSPOTS_REQUEST,
            Self::Hotspots(list) => {
                out.extend_from_slice(list.0);
                cmd::HOTSPOTS
            }
            Self::LogSwitch { on, level } => {
                out.extend_from_slice(&[u8::from(on), level]);
                cmd::LOG_SWITCH
            }
            Self::LogLine { level, text } => {
                out.push(level);
                out.extend_from_slice(text);
                cmd::LOG_LINE
            }
            Self::InfoRequest => cmd::INFO_REQUEST,
            Self::Info(info) => info.write(out),
            Self::Heartbeat => cmd::HEARTBEAT,
            Self::HeartbeatAck => cmd::HEARTBEAT_ACK,
            Self::TestDone => cmd::TEST_DONE,
            Self::TestDoneAck => cmd::TEST_DONE_ACK,
            Self::Configured { mac, product_key, did } => {
                for field in [mac, product_key, did] {
                    put16(field, out);
                }
                cmd::CONFIGURED
            }
            Self::Control(p0) => raw(p0, cmd::CONTROL, out),
            Self::Report(p0) => raw(p0, cmd::REPORT, out),
            Self::ControlSn { sn, p0 } => {
                out.extend_from_slice(&sn.to_be_bytes());
                raw(p0, cmd::CONTROL_SN, out)
            }
            Self::ReportSn { sn, p0 } => {
                out.extend_from_slice(&sn.to_be_bytes());
                raw(p0, cmd::REPORT_SN, out)
            }
            Self::Other(command) => command,
        }
    }
}

impl<'a> Block<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let (did, rest) = str16(body)?;
        let (mac, rest) = str16(rest)?;
        let (firmware, rest) = str16(rest)?;
        let (product_key, rest) = str16(rest)?;
        let (attributes, rest) = rest.split_first_chunk()?;
        let (api_server, rest) = text0(rest).unzip();
        let (version, _) = rest.and_then(text0).unzip();
        Some(Self { did, mac, firmware, product_key, attributes: *attributes, api_server, version })
    }

    fn write(&self, command: u16, out: &mut Vec<u8>) -> u16 {
        for field in [self.did, self.mac, self.firmware, self.product_key] {
            put16(field, out);
        }
        out.extend_from_slice(&self.attributes);
        for text in [self.api_server, self.version].into_iter().flatten() {
            out.extend_from_slice(text);
            out.push(0);
        }
        command
    }
}

impl<'a> VersionInfo<'a> {
    fn read(body: &'a [u8]) -> Option<Self> {
        let mut rest = body;
        let mut field = || -> Option<[u8; 8]> {
            let (field, after) = rest.split_first_chunk()?;
            rest = after;
            Some(*field)
        };
        let (wifi_hardware, wifi_software) = (field()?, field()?);
        let (mcu_hardware, mcu_software) = (field()?, field()?);
        let (p0_protocol, firmware_id) = (field()?, field()?);
        let (firmware, rest) = str16(rest)?;
        let (product_key, _) = str16(rest)?;
        Some(Self {
            wifi_hardware,
            wifi_software,
            mcu_hardware,
            mcu_software,
            p0_protocol,
            firmware_id,
            firmware,
            product_key,
        })
    }

    fn write(&self, out: &mut Vec<u8>) -> u16 {
        let fields = [
            self.wifi_hardware,
            self.wifi_software,
            self.mcu_hardware,
            self.mcu_software,
            self.p0_protocol,
            self.firmware_id,
        ];
        for field in fields {
            out.extend_from_slice(&field);
        }
        put16(self.firmware, out);
        put16(self.product_key, out);
        cmd::INFO
    }
}

impl Hotspot<'_> {
    /// Appends an entry of the list.
    pub fn emit(&self, out: &mut Vec<u8>) {
        put16(self.ssid, out);
        out.push(self.power);
    }
}

fn raw(p0: &[u8], command: u16, out: &mut Vec<u8>) -> u16 {
    out.extend_from_slice(p0);
    command
}

fn put16(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

fn numbered(body: &[u8]) -> Option<(u32, &[u8])> {
    let (sn, p0) = body.split_first_chunk()?;
    Some((u32::from_be_bytes(*sn), p0))
}

fn str16(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

/// Reads a text whose length may be a lie: real modules do not look at it.
fn loose16(bytes: &[u8]) -> Option<&[u8]> {
    match str16(bytes) {
        Some((text, _)) => Some(text),
        None => bytes.get(2..),
    }
}

fn text0(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let (text, rest) = bytes.split_at_checked(end)?;
    Some((text, rest.get(1..)?))
}
