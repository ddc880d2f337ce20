//! Payloads of the serial line that have an inner form.
//!
//! Source: GizWits §2.3 to §2.6.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use roadstead_core::{Secret, Timestamp};

/// What the MCU says of itself; fixed fields are text.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Version of the serial protocol.
    pub serial_protocol: [u8; 8],
    /// Version of the P0 protocol.
    pub p0_protocol: [u8; 8],
    /// MCU hardware version.
    pub hardware: [u8; 8],
    /// MCU software version.
    pub software: [u8; 8],
    /// 32 characters.
    pub product_key: Box<str>,
    /// Seconds a phone may bind after configuration; 0 for always.
    pub bindable_s: u16,
    /// Device attributes; bit 0 of the last byte marks a gateway.
    pub attributes: [u8; 8],
    /// 32 characters, since protocol 4.1.
    pub product_secret: Option<Secret>,
    /// `key=value&…`, since protocol 4.1.
    pub extra: Box<str>,
}

/// Why the MCU's words about itself are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// Shorter than the oldest form.
    #[error("device information is cut short")]
    Short,
    /// The product key is not 32 printable characters.
    #[error("product key is not 32 printable characters")]
    ProductKey,
}

impl DeviceInfo {
    /// Reads the payload of the answer to [`Command::DeviceInfo`](super::Command::DeviceInfo).
    /// Attributes, secret and text are absent in older MCUs.
    ///
    /// # Errors
    ///
    /// Too short, or without a product key.
    pub fn parse(payload: &[u8]) -> Result<Self, InfoError> {
        let mut rest = payload;
        let serial_protocol = take(&mut rest).ok_or(InfoError::Short)?;
        let p0_protocol = take(&mut rest).ok_or(InfoError::Short)?;
        let hardware = take(&mut rest).ok_or(InfoError::Short)?;
        let software = take(&mut rest).ok_or(InfoError::Short)?;
        let key: [u8; 32] = take(&mut rest).ok_or(InfoError::Short)?;
        let bindable: [u8; 2] = take(&mut rest).ok_or(InfoError::Short)?;
        let attributes = take(&mut rest).unwrap_or_default();
        let secret: Option<[u8; 32]> = take(&mut rest);
        let extra = take(&mut rest).and_then(|len: [u8; 2]| {
            let text = rest.get(..usize::from(u16::from_be_bytes(len)))?;
            core::str::from_utf8(text).ok()
        });
        let product_key = core::str::from_utf8(&key)
            .ok()
            .filter(|key| key.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            .ok_or(InfoError::ProductKey)?;
        Ok(Self {
            serial_protocol,
            p0_protocol,
            hardware,
            software,
            product_key: product_key.into(),
            bindable_s: u16::from_be_bytes(bindable),
            attributes,
            product_secret: secret.map(|secret| Secret::new(secret.to_vec())),
            extra: extra.unwrap_or_default().into(),
        })
    }

    /// Appends the form of protocol 4.0, or of 4.1 when there is a secret.
    pub fn emit(&self, out: &mut Vec<u8>) {
        for field in [&self.serial_protocol, &self.p0_protocol, &self.hardware, &self.software] {
            out.extend_from_slice(field);
        }
        out.extend_from_slice(self.product_key.as_bytes());
        out.extend_from_slice(&self.bindable_s.to_be_bytes());
        out.extend_from_slice(&self.attributes);
        if let Some(secret) = &self.product_secret {
            out.extend_from_slice(secret.expose());
            out.extend_from_slice(&(self.extra.len() as u16).to_be_bytes());
            out.extend_from_slice(self.extra.as_bytes());
        }
    }

    /// Returns the time zone named in the text, in minutes east of Greenwich; UTC+8 by default.
    /// `tz` is read as hours, the unit being UNVERIFIED.
    pub fn zone_minutes(&self) -> i32 {
        let tz = self.extra.split('&').find_map(|pair| pair.strip_prefix("tz="));
        tz.and_then(|hours| hours.parse::<i32>().ok())
            .filter(|hours| (-12..=14).contains(hours))
            .map_or(8 * 60, |hours| hours * 60)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

/// The status word, GizWits §2.4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The module's own access point is on.
    pub soft_ap: bool,
    /// Station mode is on.
    pub station: bool,
    /// Configuration mode is on.
    pub onboarding: bool,
    /// A phone may bind.
    pub binding: bool,
    /// Connected to the router.
    pub router: bool,
    /// Logged in and subscribed.
    pub cloud: bool,
    /// Level of the router's signal, 0 to 7.
    pub signal: u8,
    /// A phone or cloud client is there.
    pub app: bool,
    /// Production test.
    pub test: bool,
}

impl Status {
    /// Returns the 16 bits.
    pub fn word(self) -> u16 {
        let bits = [
            (self.soft_ap, 0),
            (self.station, 1),
            (self.onboarding, 2),
            (self.binding, 3),
            (self.router, 4),
            (self.cloud, 5),
            (self.app, 11),
            (self.test, 12),
        ];
        let flags = bits.into_iter().fold(0, |word, (on, bit)| word | u16::from(on) << bit);
        flags | u16::from(self.signal & 7) << 8
    }

    /// Reads 16 bits; those without a meaning are ignored.
    pub fn of(word: u16) -> Self {
        let bit = |n: u16| word >> n & 1 == 1;
        Self {
            soft_ap: bit(0),
            station: bit(1),
            onboarding: bit(2),
            binding: bit(3),
            router: bit(4),
            cloud: bit(5),
            signal: (word >> 8 & 7) as u8,
            app: bit(11),
            test: bit(12),
        }
    }
}

/// What a Wi-Fi module says of itself; GizWits §2.6 type 1.
pub struct ModuleInfo<'a> {
    /// Version of the serial protocol.
    pub serial_protocol: &'a [u8; 8],
    /// Hardware version.
    pub hardware: &'a [u8; 8],
    /// Software version.
    pub software: &'a [u8; 8],
    /// MAC address.
    pub mac: [u8; 6],
    /// Dotted address, empty without one.
    pub ip: &'a str,
    /// Device attributes of the MCU.
    pub attributes: &'a [u8; 8],
}

impl ModuleInfo<'_> {
    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.push(1);
        for field in [self.serial_protocol, self.hardware, self.software] {
            out.extend_from_slice(field);
        }
        let mac: String = hex::encode_upper(self.mac);
        padded::<16>(mac.as_bytes(), out);
        padded::<16>(self.ip.as_bytes(), out);
        out.extend_from_slice(self.attributes);
    }
}

fn padded<const N: usize>(text: &[u8], out: &mut Vec<u8>) {
    let mut field = [0; N];
    for (to, from) in field.iter_mut().zip(text) {
        *to = *from;
    }
    out.extend_from_slice(&field);
}

/// Appends the answer to [`Command::NetworkTime`](super::Command::NetworkTime): local time in a
/// zone, then Unix seconds. An unknown date is the first second of 1970.
pub fn network_time(date: Option<Timestamp>, zone_minutes: i32, out: &mut Vec<u8>) {
    let unix_ms = date.map_or(0, Timestamp::as_millis);
    let local = Timestamp(unix_ms + i64::from(zone_minutes) * 60_000).civil();
    out.extend_from_slice(&(local.year.clamp(0, 9999) as u16).to_be_bytes());
    out.extend_from_slice(&[local.month, local.day, local.hour, local.minute, local.second]);
    out.extend_from_slice(&((unix_ms / 1000) as u32).to_be_bytes());
}

/// A file on offer: [`Command::FileOffer`](super::Command::FileOffer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer<'a> {
    /// Size in bytes.
    pub size: u32,
    /// 32 lower-case hexadecimal digits.
    pub md5: &'a [u8],
}

impl<'a> Offer<'a> {
    /// Reads the payload.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (size, rest) = payload.split_first_chunk()?;
        let (md5, _) = text(rest)?;
        Some(Self { size: u32::from_be_bytes(*size), md5 })
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.size.to_be_bytes());
        out.extend_from_slice(&(self.md5.len() as u16).to_be_bytes());
        out.extend_from_slice(self.md5);
    }
}

/// A ready receiver: [`Command::FileReady`](super::Command::FileReady).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready<'a> {
    /// Of the file that was offered.
    pub md5: &'a [u8],
    /// Bytes of a piece; 256 when the receiver says 0.
    pub piece: u16,
}

impl<'a> Ready<'a> {
    /// Reads the payload.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (md5, rest) = text(payload)?;
        let piece = match u16::from_be_bytes(*rest.first_chunk()?) {
            0 => 256,
            piece => piece,
        };
        Some(Self { md5, piece })
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.md5.len() as u16).to_be_bytes());
        out.extend_from_slice(self.md5);
        out.extend_from_slice(&self.piece.to_be_bytes());
    }
}

/// A piece of a file: [`Command::FilePiece`](super::Command::FilePiece).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Counts from 1.
    pub number: u16,
    /// How many there are; 0 for lines of Intel HEX.
    pub count: u16,
    /// The bytes.
    pub data: &'a [u8],
}

impl<'a> Piece<'a> {
    /// Reads the payload.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let ([a, b, c, d], data) = payload.split_first_chunk()?;
        let (number, count) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
        Some(Self { number, count, data })
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        out.extend_from_slice(self.data);
    }
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}
