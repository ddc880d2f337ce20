//! The device end of BluFi.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::crypt::{Cipher, Group, PRIVATE_SIZE};
use super::frame::{Assembly, Flags, Framer, Kind, Message};
use super::{STATION, TAG_BSSID, TAG_REASON, TAG_SSID, TOKEN_REFUSED, TOKEN_TAKEN, VERSION};
use crate::airlink::{Mac, PASSWORD_MAX, SSID_MAX};
use crate::ble::{Link, LinkState, Network, Order, Porter, Refusal, Report, TOKEN_MAX};

/// First byte of a negotiation message: its length follows, or its parameters.
const LENGTH: u8 = 0;
const PARAMETERS: u8 = 1;

/// One connection of a device. Does not print.
pub struct BluFiDevice {
    incoming: Assembly,
    outgoing: Framer,
    private: Zeroizing<[u8; PRIVATE_SIZE]>,
    must_encrypt: bool,
    cipher: Option<Cipher>,
    /// How data and control frames of the device go out.
    modes: [Flags; 2],
    network: Network,
}

impl BluFiDevice {
    /// Serves a new connection with notifications of up to `size` bytes. `private` is fresh
    /// randomness. With `must_encrypt` credentials in the clear are refused, which shuts out the
    /// combo subset.
    pub fn new(size: usize, private: [u8; PRIVATE_SIZE], must_encrypt: bool) -> Self {
        Self {
            incoming: Assembly::new(false),
            outgoing: Framer::new(true, size),
            private: Zeroizing::new(private),
            must_encrypt,
            cipher: None,
            modes: [Flags::default(); 2],
            network: Network::default(),
        }
    }

    fn say(&mut self, kind: Kind, content: &[u8], notes: &mut Vec<Vec<u8>>) {
        let flags = match kind {
            Kind::Data(0) => Flags::default(),
            Kind::Data(_) => self.modes[0],
            Kind::Control(_) => self.modes[1],
        };
        self.outgoing.frames(kind, content, flags, self.cipher.as_ref(), notes);
    }

    fn take(
        &mut self,
        message: Message,
        orders: &mut Vec<Order>,
        notes: &mut Vec<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let Message { kind, flags, content, .. } = message;
        match kind {
            Kind::Control(1) => {
                let mode = *content.first().ok_or(Refusal::Malformed)?;
                self.modes = [Flags::of_mode(mode & 0x0F), Flags::of_mode(mode >> 4)];
            }
            Kind::Control(2) if content == [STATION] => orders.push(Order::Station),
            Kind::Control(3) => {
                let network = core::mem::take(&mut self.network);
                if !network.ssid.is_empty() {
                    orders.push(Order::Network(network));
                }
                orders.push(Order::Connect);
            }
            Kind::Control(4) => orders.push(Order::Disconnect),
            Kind::Control(5) => orders.push(Order::Status),
            Kind::Control(7) => self.say(Kind::Data(0x10), &VERSION, notes),
            Kind::Control(8) => orders.push(Order::Close),
            Kind::Control(9) => orders.push(Order::Scan),
            Kind::Data(0) => self.negotiate(&content, notes)?,
            Kind::Data(1 | 2 | 3 | 0x13) => self.learn(kind, content, flags, orders)?,
            // Access point mode, certificates, user names: nothing of it is for this device.
            Kind::Control(_) | Kind::Data(_) => {}
        }
        Ok(())
    }

    /// Takes credentials or the token.
    fn learn(
        &mut self,
        kind: Kind,
        content: Vec<u8>,
        flags: Flags,
        orders: &mut Vec<Order>,
    ) -> Result<(), Refusal> {
        let content = Zeroizing::new(content);
        if self.must_encrypt && !flags.encrypt {
            return Err(Refusal::Insecure);
        }
        match kind {
            Kind::Data(1) => {
                let mac = content.as_slice().try_into().map_err(|_| Refusal::Network)?;
                self.network.bssid = Some(Mac(mac));
            }
            Kind::Data(2) if (1..=SSID_MAX).contains(&content.len()) => {
                self.network.ssid.clone_from(&content);
            }
            Kind::Data(3) if content.len() <= PASSWORD_MAX => self.network.password = content,
            Kind::Data(0x13) if content.len() <= TOKEN_MAX => orders.push(Order::Token(content)),
            Kind::Data(0x13) => return Err(Refusal::TooLong),
            Kind::Control(_) | Kind::Data(_) => return Err(Refusal::Network),
        }
        Ok(())
    }

    /// Agrees on a key: `[1][p length][p][g length][g][k length][k]`, lengths big-endian.
    fn negotiate(&mut self, content: &[u8], notes: &mut Vec<Vec<u8>>) -> Result<(), Refusal> {
        let (first, mut rest) = content.split_first().ok_or(Refusal::Malformed)?;
        match *first {
            LENGTH => return Ok(()),
            PARAMETERS => {}
            _ => return Err(Refusal::Agreement),
        }
        let mut field = || {
            let (length, more) = rest.split_first_chunk::<2>()?;
            let (value, more) = more.split_at_checked(u16::from_be_bytes(*length).into())?;
            rest = more;
            Some(value)
        };
        let (Some(prime), Some(generator), Some(public)) = (field(), field(), field()) else {
            return Err(Refusal::Agreement);
        };
        let group = Group::new(prime, generator)?;
        let cipher = group.agree(&self.private, public)?;
        let own = group.public(&self.private);
        self.say(Kind::Data(0), &own, notes);
        self.cipher = Some(cipher);
        Ok(())
    }
}

impl Porter for BluFiDevice {
    fn write(
        &mut self,
        bytes: &[u8],
        orders: &mut Vec<Order>,
        notes: &mut Vec<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let result = self.incoming.take(bytes, self.cipher.as_ref()).and_then(|message| {
            let Some(message) = message else { return Ok(()) };
            let ack = message.ack;
            self.take(message, orders, notes)?;
            if let Some(sequence) = ack {
                self.say(Kind::Control(0), &[sequence], notes);
            }
            Ok(())
        });
        if let Err(refusal) = result {
            self.say(Kind::Data(0x12), &[error(refusal)], notes);
        }
        result
    }

    fn tell(&mut self, report: &Report, notes: &mut Vec<Vec<u8>>) {
        match report {
            Report::Link(link) => self.say(Kind::Data(0x0F), &state(link), notes),
            Report::Token(taken) => {
                let result = if *taken { TOKEN_TAKEN } else { TOKEN_REFUSED };
                self.say(Kind::Data(0x13), &[result], notes);
            }
            Report::Networks(networks) => self.say(Kind::Data(0x11), &list(networks), notes),
            Report::Error(number) => self.say(Kind::Data(0x12), &[*number], notes),
            // BluFi has no words for these.
            Report::Info { .. } | Report::Step(..) | Report::Log(_) | Report::Authorized(_) => {}
        }
    }
}

/// Returns BluFi's number of a refusal; the order is the guide's.
fn error(refusal: Refusal) -> u8 {
    match refusal {
        Refusal::Sequence { .. } => 0,
        Refusal::Checksum => 1,
        Refusal::NoKey => 2,
        Refusal::Agreement => 6,
        Refusal::Insecure => 4,
        Refusal::Malformed | Refusal::TooLong | Refusal::Network => 9,
    }
}

/// Writes a state report.
fn state(link: &Link) -> Vec<u8> {
    let state = match link.state {
        LinkState::Connected => 0,
        LinkState::Failed => 1,
        LinkState::Connecting => 2,
        LinkState::NoAddress => 3,
    };
    let mut report = alloc::vec![STATION, state, 0];
    let mut tag = |tag: u8, value: &[u8]| {
        report.extend_from_slice(&[tag, value.len() as u8]);
        report.extend_from_slice(value);
    };
    if let Some(Mac(bssid)) = &link.bssid {
        tag(TAG_BSSID, bssid);
    }
    if !link.ssid.is_empty() {
        tag(TAG_SSID, &link.ssid);
    }
    if let Some(reason) = link.reason {
        tag(TAG_REASON, &[reason]);
    }
    report
}

/// Writes a list of networks; those that do not fit are left out.
fn list(networks: &[(Vec<u8>, i8)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (ssid, signal) in networks {
        if (1..=SSID_MAX).contains(&ssid.len()) && list.len() + ssid.len() + 2 <= LIST_MAX {
            list.extend_from_slice(&[ssid.len() as u8 + 1, *signal as u8]);
            list.extend_from_slice(ssid);
        }
    }
    list
}

/// Bytes of the longest list of networks.
const LIST_MAX: usize = 1024;
