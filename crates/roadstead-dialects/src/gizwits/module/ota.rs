//! Firmware: the module's own and the MCU's.
//!
//! ```text
//! check -> offer -> name -> fetch -> check sum -+- module: install -> restart
//!                                               '- MCU: 0x19 offer -> 0x1B ready -> 0x1D pieces
//! ```
//! Source: seed §9; GizWits §2.5, §3.1 rows 3 to 5 and 7, §3.6; transcripts mcu_ota, small_fw.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use md5::{Digest as _, Md5};
use roadstead_wire::http::Head;

use super::super::serial::{Command, Frame, Illegal, Offer, Piece, Ready};
use super::Module;
use super::chain::Ask;
use super::io::{Cx, Event, Level, Name, Output, RestartReason};
use super::policy::OtaRule;
use super::reply::{self, Url};
use super::uart::Tag;

/// Largest firmware, bytes.
pub(super) const FIRMWARE_MAX: usize = 4 * 1024 * 1024;
/// Longest time a download may take.
const FETCH_WAIT: Duration = Duration::from_secs(120);
/// Largest piece for the MCU, bytes; it must fit the line's frames.
const PIECE_MAX: u16 = 2048;

/// Whose firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Wifi,
    Mcu,
}

impl Kind {
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Wifi => 1,
            Self::Mcu => 2,
        }
    }
}

/// What is known of new firmware.
#[derive(Default)]
pub(super) struct Ota {
    /// To be fetched.
    wanted: Option<Wanted>,
    /// On its way to the MCU.
    transfer: Option<Transfer>,
    /// Installed once the hardware says so.
    installing: Option<(Option<u32>, Box<str>)>,
    /// The MCU asked for a file itself and waits for the outcome.
    in_transaction: bool,
}

struct Wanted {
    kind: Kind,
    url: Url,
    version: Box<str>,
    firmware_id: Option<u32>,
    address: Option<IpAddr>,
    is_resolving: bool,
}

struct Transfer {
    image: Vec<u8>,
    md5: String,
    version: Box<str>,
    is_hex: bool,
    /// Bytes of a piece, once the MCU is ready; lines for Intel HEX.
    piece: Option<usize>,
    at: usize,
    number: u16,
    /// The last piece is on the line.
    is_last: bool,
}

impl Ota {
    pub(super) fn wants_fetch(&self) -> bool {
        self.wanted.as_ref().is_some_and(|wanted| !wanted.is_resolving)
    }
}

impl Module {
    pub(super) fn checked(&mut self, kind: Kind, status: u16, body: &[u8], cx: &mut Cx<'_>) {
        let offer = match reply::checked(status, body) {
            Ok(Some(offer)) => offer,
            Ok(None) => return,
            Err(error) => {
                return self.log(Level::Error, &format!("firmware check: {error}"), cx);
            }
        };
        let is_new = match (self.policy.ota, kind, offer.firmware_id) {
            // Not equal, not greater (seed §9_6).
            (OtaRule::FirmwareId, Kind::Wifi, Some(id)) => id != self.flash.firmware_id.max(1),
            (OtaRule::FirmwareId, Kind::Wifi, None) => false,
            (_, Kind::Wifi, _) => offer.version.as_bytes() > &self.config.software[..],
            (_, Kind::Mcu, _) => {
                let own = self.uart.info.as_ref().map(|info| info.software);
                own.is_some_and(|own| offer.version.as_bytes() > &own[..])
            }
        };
        if is_new {
            self.want(kind, offer.url, offer.version, offer.firmware_id, cx);
        }
    }

    fn want(
        &mut self,
        kind: Kind,
        url: Url,
        version: Box<str>,
        firmware_id: Option<u32>,
        cx: &mut Cx<'_>,
    ) {
        self.log(Level::Info, &format!("firmware {version} for {kind:?}"), cx);
        let is_resolving = false;
        self.ota.wanted =
            Some(Wanted { kind, url, version, firmware_id, address: None, is_resolving });
    }

    /// An old push names the file itself: `u8 type, u32 fid, str16 url` (§3.6, 0x020E).
    pub(super) fn pushed_firmware(&mut self, body: &[u8], cx: &mut Cx<'_>) {
        let parsed = || -> Option<(u8, u32, Url)> {
            let (kind, rest) = body.split_first()?;
            let (id, rest) = rest.split_first_chunk()?;
            let (len, rest) = rest.split_first_chunk()?;
            let url = rest.get(..usize::from(u16::from_be_bytes(*len)))?;
            let url = Url::parse(core::str::from_utf8(url).ok()?)?;
            Some((*kind, u32::from_be_bytes(*id), url))
        };
        match parsed() {
            Some((1, id, url)) if id != self.flash.firmware_id => {
                self.want(Kind::Wifi, url, "".into(), Some(id), cx);
            }
            Some((2, _, url)) => self.want(Kind::Mcu, url, "".into(), None, cx),
            Some(_) => {}
            None => self.log(Level::Warning, "firmware push is not readable", cx),
        }
    }

    pub(super) fn fetch(&mut self, cx: &mut Cx<'_>) {
        let Some(wanted) = &mut self.ota.wanted else { return };
        let Some(address) = wanted.address else {
            wanted.is_resolving = true;
            return cx.put(Output::Resolve { name: Name::Firmware, host: &wanted.url.host });
        };
        let to = SocketAddr::new(address, wanted.url.port);
        let port = match wanted.url.port {
            80 => String::new(),
            port => format!(":{port}"),
        };
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}{port}\r\nContent-Type: application/text\r\n\r\n",
            wanted.url.path, wanted.url.host
        );
        let kind = wanted.kind;
        self.exchange(Ask::Fetch(kind), to, &request, FETCH_WAIT, FIRMWARE_MAX, cx);
    }

    pub(super) fn firmware_resolved(&mut self, address: Option<IpAddr>, cx: &mut Cx<'_>) {
        let Some(wanted) = &mut self.ota.wanted else { return };
        wanted.is_resolving = false;
        wanted.address = address;
        if address.is_none() {
            let kind = wanted.kind;
            self.fetch_failed(kind, cx);
        }
    }

    pub(super) fn fetch_failed(&mut self, kind: Kind, cx: &mut Cx<'_>) {
        self.ota.wanted = None;
        self.log(Level::Error, "firmware was not fetched; the next check tries again", cx);
        cx.event(Event::Failed("module.firmware_failed", "the file was not fetched"));
        if kind == Kind::Mcu {
            self.transaction_done(false);
        }
    }

    pub(super) fn fetched(&mut self, kind: Kind, head: &Head, body: &[u8], cx: &mut Cx<'_>) {
        let Some(wanted) = self.ota.wanted.take() else { return };
        let md5 = hex::encode(Md5::digest(body));
        let announced = head.header("firmware-md5").unwrap_or(&md5);
        let is_whole = announced.eq_ignore_ascii_case(&md5);
        if head.status != 200 || body.is_empty() || !is_whole {
            let line = format!(
                "firmware: status {}, {} bytes, sum {}",
                head.status,
                body.len(),
                if is_whole { "fits" } else { "differs" }
            );
            self.log(Level::Error, &line, cx);
            return self.fetch_failed(kind, cx);
        }
        match kind {
            Kind::Wifi => {
                let version = head.header("soft-version").unwrap_or(&wanted.version);
                self.ota.installing = Some((wanted.firmware_id, version.into()));
                cx.put(Output::Install { version, image: body });
            }
            Kind::Mcu => {
                let name = head.header("content-disposition").unwrap_or_default();
                self.offer_file(body.to_vec(), md5, wanted.version, name.contains(".hex"));
            }
        }
    }

    /// The hardware has, or has not, kept the module's own firmware (seed §9_6).
    pub(super) fn installed(&mut self, done: bool, cx: &mut Cx<'_>) {
        let Some((id, version)) = self.ota.installing.take() else { return };
        if !done {
            self.log(Level::Error, "firmware was not installed", cx);
            return cx.event(Event::Failed("module.firmware_failed", "the image was not kept"));
        }
        if let Some(id) = id {
            self.flash.firmware_id = id;
        }
        self.flash.firmware = version;
        self.save(cx);
        self.restart = Some((cx.now, RestartReason::Upgraded));
    }

    fn offer_file(&mut self, image: Vec<u8>, md5: String, version: Box<str>, is_hex: bool) {
        let mut payload = Vec::new();
        Offer { size: image.len() as u32, md5: md5.as_bytes() }.emit(&mut payload);
        self.uart.link.push(Command::FileOffer, 0, &payload, Tag::Own);
        self.ota.transfer = Some(Transfer {
            image,
            md5,
            version,
            is_hex,
            piece: None,
            at: 0,
            number: 0,
            is_last: false,
        });
    }

    /// The MCU is ready for the file.
    pub(super) fn file_ready(&mut self, frame: &Frame<'_>, cx: &mut Cx<'_>) {
        let Some(transfer) = &mut self.ota.transfer else {
            return self.illegal(frame.sn, Illegal::Other, cx);
        };
        let Some(ready) = Ready::parse(frame.payload) else {
            return self.illegal(frame.sn, Illegal::Other, cx);
        };
        if frame.flags & 1 == 1 && !transfer.is_hex {
            return self.illegal(frame.sn, Illegal::FileType, cx);
        }
        let fits = ready.md5.eq_ignore_ascii_case(transfer.md5.as_bytes());
        if fits && transfer.piece.is_none() {
            transfer.piece = Some(usize::from(ready.piece.min(PIECE_MAX)));
            transfer.is_hex = frame.flags & 1 == 1;
            self.answer(Command::FileReady, frame.sn, &[], cx);
            self.next_piece();
        } else {
            self.answer(Command::FileReady, frame.sn, &[], cx);
        }
    }

    /// Queues the next piece, GizWits §2.5.
    fn next_piece(&mut self) {
        let Some(transfer) = &mut self.ota.transfer else { return };
        let Some(size) = transfer.piece else { return };
        let rest = transfer.image.get(transfer.at..).unwrap_or_default();
        let taken = match transfer.is_hex {
            true => rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1),
            false => size.min(rest.len()),
        };
        let count = match transfer.is_hex {
            true => 0,
            false => transfer.image.len().div_ceil(size) as u16,
        };
        transfer.number = transfer.number.wrapping_add(1);
        transfer.is_last = taken == rest.len();
        let flags = match (transfer.is_hex, transfer.is_last) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 3,
        };
        let data = rest.get(..taken).unwrap_or_default();
        let mut payload = Vec::with_capacity(4 + data.len());
        Piece { number: transfer.number, count, data }.emit(&mut payload);
        transfer.at += taken;
        self.uart.link.push(Command::FilePiece, flags, &payload, Tag::Own);
    }

    /// The MCU took the offer or a piece.
    pub(super) fn file_acked(&mut self, command: Command, cx: &mut Cx<'_>) {
        if command != Command::FilePiece {
            return;
        }
        if let Some(done) = self.ota.transfer.take_if(|transfer| transfer.is_last) {
            // The MCU has it, even if it says so only after a restart: not offered again.
            let version: Result<[u8; 8], _> = done.version.as_bytes().try_into();
            if let (Ok(version), Some(info)) = (version, &mut self.uart.info) {
                info.software = version;
            }
            self.log(Level::Info, "the MCU has its firmware", cx);
            self.transaction_done(true);
        } else {
            self.next_piece();
        }
    }

    /// The MCU did not answer the offer or a piece.
    pub(super) fn file_lost(&mut self, cx: &mut Cx<'_>) {
        if self.ota.transfer.take().is_some() {
            self.log(Level::Error, "the MCU stopped taking its firmware", cx);
            self.uart.link.push(Command::SenderCancels, 0, &[], Tag::Own);
            self.transaction_done(false);
        }
    }

    /// The MCU does not want the file.
    pub(super) fn file_refused(&mut self, cx: &mut Cx<'_>) {
        if self.ota.transfer.take().is_some() {
            self.log(Level::Warning, "the MCU refused its firmware", cx);
        }
    }

    /// The MCU asks about firmware for itself or for something behind it: GizWits §2.2, 0x23.
    pub(super) fn transaction(&mut self, frame: &Frame<'_>, cx: &mut Cx<'_>) {
        self.answer(Command::McuTransaction, frame.sn, &[], cx);
        self.ota.in_transaction = true;
        match frame.payload.split_first() {
            Some((1, rest)) => self.ask_latest(rest, cx),
            Some((3, rest)) => {
                let url = rest.split_first_chunk().and_then(|(len, rest)| {
                    let url = rest.get(..usize::from(u16::from_be_bytes(*len)))?;
                    Url::parse(core::str::from_utf8(url).ok()?)
                });
                match url {
                    Some(url) => self.want(Kind::Mcu, url, "".into(), None, cx),
                    None => self.answer_transaction(&[4, 1]),
                }
            }
            Some(_) | None => {}
        }
    }

    fn ask_latest(&mut self, rest: &[u8], cx: &mut Cx<'_>) {
        let field = |at: usize, len: usize| rest.get(at..at + len);
        let fields = (field(0, 32), field(64, 8), field(72, 8));
        let (Some(key), Some(hardware), Some(software)) = fields else {
            return self.answer_transaction(&[2, 0]);
        };
        let mut query = String::from("hard_version=");
        reply::form(hardware, &mut query);
        query.push_str("&soft_version=");
        reply::form(software, &mut query);
        query.push_str("&product_key=");
        reply::form(key, &mut query);
        let line = format!("GET /dev/ota/v4.1/latest?{query}&type=2");
        let sent = self.chain.asking.is_none() && self.latest_request(&line, cx);
        if !sent {
            self.answer_transaction(&[2, 0]);
        }
    }

    pub(super) fn latest(&mut self, status: u16, body: &[u8]) {
        let Ok(Some(offer)) = reply::checked(status, body) else {
            return self.answer_transaction(&[2, 0]);
        };
        let Url { host, port, path } = &offer.url;
        let url = format!("http://{host}:{port}{path}");
        let mut payload = Vec::from([2]);
        payload.extend(offer.version.bytes().chain(core::iter::repeat(b'0')).take(8));
        payload.extend_from_slice(&(url.len() as u16).to_be_bytes());
        payload.extend_from_slice(url.as_bytes());
        self.answer_transaction(&payload);
    }

    fn transaction_done(&mut self, done: bool) {
        self.answer_transaction(&[4, u8::from(!done)]);
    }

    /// Tells the MCU, when it has asked.
    pub(super) fn answer_transaction(&mut self, payload: &[u8]) {
        if core::mem::take(&mut self.ota.in_transaction) {
            self.uart.link.push(Command::ModuleTransaction, 0, payload, Tag::Own);
        }
    }
}
