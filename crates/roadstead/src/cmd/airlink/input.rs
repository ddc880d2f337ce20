//! What `airlink decode` reads: received frames in one of three shapes.
//!
//! - `{ap_channel, columns, macs, air}`: the recorded airs; `macs` are referred to by number;
//! - a list of `{t_ms, channel, src, dst, length}`, or an object with such a list under `packets`
//!   (what `airlink encode` prints); `bssid`, `seq`, `to_ds` may be there too;
//! - a capture: pcap or pcapng with link type 802.11 or radiotap.

use std::path::Path;

use roadstead_doctor::capture::{Container, is_capture};
use roadstead_wire::airlink::{Direction, Frame, Mac, radiotap};
use serde::Deserialize;
use serde_json::Value;

use crate::failure::{Failure, Result};

/// Largest file, bytes.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Frames to listen to.
pub(super) struct Input {
    /// Channel the receiver sits on; all channels when the file does not say.
    pub(super) channel: Option<u8>,
    /// The frames in order.
    pub(super) frames: Vec<Frame>,
}

/// Reads a file, `-` for standard input.
pub(super) fn read(path: &Path) -> Result<Input> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        let mut input = std::io::Read::take(std::io::stdin().lock(), FILE_BYTES_MAX + 1);
        std::io::Read::read_to_end(&mut input, &mut bytes)
            .map_err(|error| Failure::file("Reading", path, &error))?;
        bytes
    } else {
        let size =
            std::fs::metadata(path).map_err(|error| Failure::file("Reading", path, &error))?;
        if size.len() > FILE_BYTES_MAX {
            return Err(Failure::new(
                "client.file",
                format!("`{}` has more than {} MiB.", path.display(), FILE_BYTES_MAX >> 20),
            ));
        }
        std::fs::read(path).map_err(|error| Failure::file("Reading", path, &error))?
    };
    if let Some(capture) = capture(&bytes) {
        return capture;
    }
    let document: Value = serde_json::from_slice(&bytes).map_err(|error| {
        unreadable(format!("it is neither a capture (pcap, pcapng) nor JSON: {error}"))
    })?;
    match &document {
        Value::Object(object) if object.contains_key("air") => air(&document),
        Value::Object(object) => match object.get("packets").or_else(|| object.get("frames")) {
            Some(list) => rows(list),
            None => Err(unreadable("the object has neither `air` nor `packets`".into())),
        },
        Value::Array(_) => rows(&document),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err(unreadable("a list or an object is expected".into()))
        }
    }
}

fn unreadable(why: String) -> Failure {
    Failure::with_remedy(
        "airlink.unreadable",
        format!("The frames cannot be read: {why}."),
        "Give a capture (pcap or pcapng), `{ap_channel, columns, macs, air}`, or a list of \
         `{t_ms, channel, src, dst, length}`.",
    )
}

/// One row of a list.
#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    t_ms: Option<f64>,
    #[serde(default)]
    channel: u8,
    #[serde(default, alias = "source")]
    src: Option<String>,
    #[serde(default, alias = "dst_mac", alias = "destination")]
    dst: Option<String>,
    #[serde(default)]
    bssid: Option<String>,
    #[serde(default, alias = "sequence")]
    seq: Option<u16>,
    #[serde(default)]
    to_ds: bool,
    length: u16,
}

fn rows(list: &Value) -> Result<Input> {
    let rows: Vec<Row> = Vec::deserialize(list)
        .map_err(|error| unreadable(format!("a row does not fit: {error}")))?;
    let mac = |text: &Option<String>, otherwise: Mac| match text {
        Some(text) => text.parse().map_err(|error| unreadable(format!("`{text}`: {error}"))),
        None => Ok(otherwise),
    };
    let frames = rows.iter().map(|row| {
        Ok(Frame {
            at_us: row.t_ms.map(|ms| (ms.max(0.0) * 1000.0) as u64),
            channel: row.channel,
            direction: if row.to_ds { Direction::Up } else { Direction::Down },
            source: mac(&row.src, Mac([2, 0, 0, 0, 0, 2]))?,
            destination: mac(&row.dst, Mac::BROADCAST)?,
            bssid: mac(&row.bssid, Mac::default())?,
            sequence: row.seq,
            length: row.length,
            overhead: None,
        })
    });
    Ok(Input { channel: None, frames: frames.collect::<Result<_>>()? })
}

/// A recorded air.
#[derive(Deserialize)]
struct Air {
    #[serde(default)]
    ap_channel: Option<u8>,
    columns: Vec<String>,
    macs: Vec<String>,
    air: Vec<Vec<f64>>,
}

fn air(document: &Value) -> Result<Input> {
    let file = Air::deserialize(document).map_err(|error| unreadable(error.to_string()))?;
    let macs = file
        .macs
        .iter()
        .map(|text| text.parse().map_err(|error| unreadable(format!("`{text}`: {error}"))));
    let macs: Vec<Mac> = macs.collect::<Result<_>>()?;
    let column = |name: &str| file.columns.iter().position(|column| column == name);
    let of =
        |name: &str| column(name).ok_or_else(|| unreadable(format!("there is no column `{name}`")));
    let (time, length) = (of("time_ms").or_else(|_| of("t_ms"))?, of("length")?);
    let (source, destination) = (of("src")?, of("dst")?);
    let (channel, to_ds, bssid, seq) =
        (column("channel"), column("to_ds"), column("bssid"), column("seq"));
    let frame = |(number, row): (usize, &Vec<f64>)| {
        let at = |column: usize| {
            row.get(column).copied().ok_or_else(|| unreadable(format!("row {number} is short")))
        };
        let mac = |column: usize| {
            let index = at(column)?;
            let known = macs.get(index as usize).copied();
            known.ok_or_else(|| unreadable(format!("row {number}: there is no MAC {index}")))
        };
        let or_zero = |column: Option<usize>| column.map_or(Ok(0.0), at);
        Ok(Frame {
            at_us: Some((at(time)?.max(0.0) * 1000.0) as u64),
            channel: or_zero(channel)? as u8,
            direction: if or_zero(to_ds)? != 0.0 { Direction::Up } else { Direction::Down },
            source: mac(source)?,
            destination: mac(destination)?,
            bssid: bssid.map_or(Ok(Mac::default()), mac)?,
            sequence: seq.map(at).transpose()?.map(|seq| seq as u16),
            length: at(length)? as u16,
            overhead: None,
        })
    };
    let frames = file.air.iter().enumerate().map(frame).collect::<Result<_>>()?;
    Ok(Input { channel: file.ap_channel, frames })
}

/// Link types (tcpdump.org/linktypes.html).
const IEEE802_11: u32 = 105;
const RADIOTAP: u32 = 127;

/// Reads a capture; `None` when it is none.
fn capture(bytes: &[u8]) -> Option<Result<Input>> {
    is_capture(bytes).then(|| {
        let (mut frames, mut other, mut start) = (Vec::new(), None, None);
        Container::new().feed(bytes, &mut |packet| {
            // Times count from the first packet.
            let at_us = packet.at_us.saturating_sub(*start.get_or_insert(packet.at_us));
            match packet.link {
                RADIOTAP => {
                    frames.extend(radiotap::frame(packet.bytes, packet.length, 0, Some(at_us)));
                }
                IEEE802_11 => {
                    let length = u16::try_from(packet.length).unwrap_or(u16::MAX);
                    let frame = Frame::parse(packet.bytes, length, true, 0, Some(at_us));
                    // Whether the check sequence is counted is told by the guide code.
                    frames.extend(frame.map(|frame| Frame { overhead: None, ..frame }));
                }
                link => other = Some(link),
            }
        });
        match other {
            Some(link) if frames.is_empty() => Err(unreadable(format!(
                "the capture has link type {link}; only 802.11 in monitor mode shows frame lengths"
            ))),
            Some(_) | None => Ok(Input { channel: None, frames }),
        }
    })
}
