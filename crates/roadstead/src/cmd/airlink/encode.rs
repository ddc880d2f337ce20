//! `roadstead airlink encode`: the packets of one full round as JSON, and the parts they are made
//! of under the names the vectors use.

use std::net::Ipv4Addr;

use clap::Args;
use roadstead_wire::airlink::air::Dice;
use roadstead_wire::airlink::{
    EncodeError, Mac, Packet, Request, Round, Scheme, airkiss, esptouch, esptouch2, simpleconfig,
    smartconfig,
};
use serde_json::{Map, Value, json};

use super::{SecretArg, key_for};
use crate::failure::{Failure, Result};
use crate::output::{Out, Table};

/// What to send.
#[derive(Args, Debug)]
pub(crate) struct Encode {
    /// airkiss, esptouch, esptouch2, simpleconfig or smartconfig.
    #[arg(long)]
    scheme: Scheme,
    /// Network name, up to 32 bytes.
    #[arg(long)]
    ssid: String,
    /// Network password, up to 64 bytes; empty for an open network.
    #[arg(long)]
    password: SecretArg,
    /// Access point the phone is on (ESPTouch).
    #[arg(long, value_name = "MAC", default_value = "020000000001")]
    bssid: Mac,
    /// The phone's address in the network (ESPTouch v1, Simple Config).
    #[arg(long, default_value = "192.168.1.100")]
    ip: Ipv4Addr,
    /// The phone's own MAC address (Simple Config).
    #[arg(long, value_name = "MAC", default_value = "020000000002")]
    mac: Mac,
    /// AES key as text or 32 hexadecimal digits (AirKiss, ESPTouch v2), PIN (Simple Config), or
    /// product secret (smartconfig).
    #[arg(long)]
    key: Option<SecretArg>,
    /// Application data that travels along (ESPTouch v2), up to 64 bytes.
    #[arg(long)]
    token: Option<SecretArg>,
    /// Which of its ports the phone listens on, 0 to 3 (ESPTouch v2).
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=3))]
    port_mark: u8,
    /// Encrypt with a zero initialisation vector (ESPTouch v2 security 1).
    #[arg(long)]
    zero_iv: bool,
    /// Leave the network name to the device, which hears it in the beacons (ESPTouch v2).
    #[arg(long)]
    omit_ssid: bool,
    /// Send to multicast groups instead of broadcast (ESPTouch v1).
    #[arg(long)]
    multicast: bool,
    /// Makes the random parts repeatable.
    #[arg(long)]
    seed: Option<u64>,
}

impl Encode {
    pub(crate) fn run(self, out: &Out) -> Result<()> {
        let key = self.key.as_ref().map(|key| key_for(self.scheme, key));
        let mut random = [0; 20];
        match self.seed {
            Some(seed) => {
                let mut dice = Dice::new(seed);
                random.fill_with(|| dice.bits() as u8);
            }
            None => getrandom::fill(&mut random).map_err(|error| {
                Failure::new("client.file", format!("The system gives no random numbers: {error}."))
            })?,
        }
        let request = Request {
            ssid: self.ssid.as_bytes(),
            password: self.password.text().as_bytes(),
            bssid: self.bssid,
            phone_ip: self.ip.octets(),
            phone_mac: self.mac,
            key: key.as_deref(),
            extra: self.token.as_ref().map_or(&[], |token| token.text().as_bytes()),
            omit_ssid: self.omit_ssid,
            port_mark: self.port_mark,
            zero_iv: self.zero_iv,
            multicast: self.multicast,
            random,
        };
        let round = self.scheme.encode(&request).map_err(refused)?;
        let document = document(&round, &request).map_err(refused)?;
        out.answer(&document, |out| table(out, &round))
    }
}

/// The request does not fit the scheme: which limit, and what to do.
fn refused(error: EncodeError) -> Failure {
    let text = error.to_string();
    let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
    Failure::new(error.code(), format!("{}{rest}.", first.to_uppercase()))
}

fn document(round: &Round, request: &Request<'_>) -> std::result::Result<Value, EncodeError> {
    let lengths: Vec<u16> = round.packets.iter().map(|packet| packet.length).collect();
    let mut document = json!({
        "scheme": round.scheme.name(),
        "ssid_utf8": String::from_utf8_lossy(request.ssid),
        "ssid_hex": hex::encode(request.ssid),
        "udp_port": round.port,
        "ack_port": round.ack.port,
        "round_ms": round.lasts.as_millis() as u64,
        "time_out_ms": round.time_out.as_millis() as u64,
        "packets": round.packets.iter().map(packet).collect::<Vec<_>>(),
    });
    let parts = match round.scheme {
        Scheme::AirKiss => airkiss_parts(&airkiss::words(request)?, request),
        Scheme::EspTouch => esptouch_parts(&esptouch::datum(request)?, request),
        Scheme::EspTouch2 => esptouch2_parts(&esptouch2::segments(request)?, &lengths),
        Scheme::SimpleConfig => json!({
            "phone_ip": hex::encode(request.phone_ip),
            "phone_mac": request.phone_mac.to_string(),
            "random_hex": hex::encode(&request.random[..4]),
            "wrapped_hex": wrapped(request),
        }),
        Scheme::SmartConfig => {
            let key = smartconfig::key(request.key.unwrap_or_default());
            let message = smartconfig::emit(request.ssid, request.password, key)?;
            json!({ "message_hex": hex::encode(message), "round_lengths": lengths })
        }
    };
    if let (Value::Object(document), Value::Object(parts)) = (&mut document, parts) {
        document.extend(parts);
    }
    Ok(document)
}

/// One packet: when, how long, where to. `seq` is the place that Simple Config carries.
fn packet(packet: &Packet) -> Value {
    let mut object = Map::new();
    object.insert("t_ms".into(), json!(packet.at.as_micros() as f64 / 1000.0));
    object.insert("length".into(), packet.length.into());
    object.insert("udp_payload_len".into(), packet.length.into());
    object.insert("dst_ip".into(), Ipv4Addr::from(packet.destination.ip()).to_string().into());
    object.insert("dst_mac".into(), packet.destination.mac().to_string().into());
    if packet.destination.ip()[0] == 239 {
        object.insert("seq".into(), packet.length.into());
    }
    Value::Object(object)
}

fn airkiss_parts(words: &airkiss::Words, request: &Request<'_>) -> Value {
    let guide = [1, 2, 3, 4];
    let once = guide.into_iter().chain(words.magic).chain(words.prefix);
    let once: Vec<u16> = once.chain(words.sequences.iter().flatten().copied()).collect();
    json!({
        "random": request.random[0],
        "guide": guide,
        "magic": words.magic,
        "prefix": words.prefix,
        "sequences": words.sequences,
        "round_once": once,
    })
}

fn esptouch_parts(datum: &esptouch::Datum, request: &Request<'_>) -> Value {
    json!({
        "bssid": request.bssid.to_string(),
        "phone_ip": request.phone_ip,
        "total_len": datum.bytes[0],
        "guide": [515, 514, 513, 512],
        "datum_order": datum.order,
        "datum_bytes": datum.bytes,
        "data_lengths": datum.lengths,
        "expect_ack_first_byte": datum.bytes[0],
    })
}

fn esptouch2_parts(message: &esptouch2::Segments, lengths: &[u16]) -> Value {
    let segments = message.segments.iter().filter(|(bytes, _)| !bytes.is_empty());
    let segments: Vec<Value> = segments
        .map(|(bytes, group)| json!({ "hex": hex::encode(bytes), "group": group }))
        .collect();
    json!({
        "head_hex": hex::encode(message.head),
        "segments": segments,
        "packet_lengths": lengths,
    })
}

fn wrapped(request: &Request<'_>) -> String {
    let [a, b, c, d, ..] = request.random;
    let pin = request.key.unwrap_or(simpleconfig::COMMON_PIN);
    hex::encode(simpleconfig::wrapped(
        request.ssid,
        request.password,
        request.phone_ip,
        request.phone_mac,
        pin,
        [a, b, c, d],
    ))
}

/// The packets for people: time, length, destination; repeated runs are long, so it is a plain list.
fn table(out: &Out, round: &Round) -> String {
    let mut table = Table::new(&["MS", "LENGTH", "TO"]);
    for packet in &round.packets {
        table.row([
            format!("{:.1}", packet.at.as_micros() as f64 / 1000.0),
            packet.length.to_string(),
            format!("{}:{}", Ipv4Addr::from(packet.destination.ip()), round.port),
        ]);
    }
    format!(
        "{}One round of {}: {} packets in {} ms; repeat it for up to {} s.\n",
        table.render(out.paint(), "No packets."),
        round.scheme,
        round.packets.len(),
        round.lasts.as_millis(),
        round.time_out.as_secs(),
    )
}
