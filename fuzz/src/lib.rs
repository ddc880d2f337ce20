//! The bodies of the fuzz targets, one per parser of untrusted bytes.
//!
//! `cargo fuzz run TARGET --features libfuzzer` explores (nightly); the test at the bottom replays
//! the committed corpus on stable, mutated in every simple way, so that targets never rot. A crash
//! input goes into `corpus/<target>/` and stays there.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use roadstead_core::{Map, Timestamp, Value};
use roadstead_dialects::cloud::{Account, Claim, Cloud, Hello, HttpRequest, Route, Tls};
use roadstead_dialects::gizwits::{lan, serial};
use roadstead_dialects::huawei::{gunzip, gzip as pack};
use roadstead_dialects::tencent::comm;
use roadstead_dialects::{ALL, ArchiveFile, Dialect, Packed, Problem};
use roadstead_doctor::{Doctor, Lang};
use roadstead_server::archive::{Files, is_zip, unpack};
use roadstead_server::north::multipart;
use roadstead_wire::airlink::{Direction, Event, Frame, Hopper, Keys, Mac, Plan, Scheme, radiotap};
use roadstead_wire::ble::improv::{About, Carrier, ImprovDevice, ImprovPhone};
use roadstead_wire::ble::{self, Dialogue, Provisioner};
use roadstead_wire::coap::{self, Endpoint, Message, Reply};
use roadstead_wire::http::Response;
use roadstead_wire::mqtt::codec::{Decoder, encode};
use roadstead_wire::mqtt::packet::Version;
use roadstead_wire::mqtt::topic::{Filter, check_name};
use roadstead_wire::ws::{self, Role};

mod account;

/// Largest packet of the targets, bytes.
const PACKET_BYTES_MAX: u32 = 64 * 1024;
/// A date inside the validity of everything recorded.
const NOW: Timestamp = Timestamp(1_795_221_255_000);

/// MQTT packets as a server reads them: CONNECT decides the version.
pub fn mqtt_server(data: &[u8]) {
    packets(Decoder::new(PACKET_BYTES_MAX), data);
}

/// MQTT packets as a client reads them; the first byte chooses the version.
pub fn mqtt_client(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let version = [Version::V31, Version::V311, Version::V5][usize::from(first % 3)];
    packets(Decoder::with_version(version, PACKET_BYTES_MAX), rest);
}

/// What decodes must encode again to something that is written the same after being read: not
/// equal at once, the reserved return codes of a 3.x CONNACK are read as one reason.
fn packets(mut decoder: Decoder, data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(packet)) = decoder.decode(&mut buffer) {
        let Some(version) = decoder.version() else { return };
        let mut bytes = BytesMut::new();
        if encode(&packet, version, &mut bytes).is_ok() {
            let mut again = Decoder::with_version(version, u32::MAX >> 4);
            let packet = again.decode(&mut bytes.clone()).expect("what is written is valid");
            let mut twice = BytesMut::new();
            encode(&packet.expect("whole"), version, &mut twice).expect("as before");
            assert_eq!(twice, bytes);
        }
    }
}

/// Topic filter, a line feed, topic name.
pub fn mqtt_topic(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let (filter, name) = text.split_once('\n').unwrap_or((text, "a/b"));
    if let (Ok(filter), Ok(())) = (Filter::parse(filter), check_name(name)) {
        let matched = filter.matches(name);
        assert!(filter.has_wildcard() || !matched || filter.as_str().ends_with(name));
    }
}

/// A search over devices: what is refused names a place inside the text.
pub fn device_search(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let places = 1..=text.chars().count() + 1;
    for refused in
        [roadstead_core::search::parse(text).err(), roadstead_core::search::condition(text).err()]
    {
        assert!(refused.is_none_or(|error| places.contains(&error.at)));
    }
}

/// An HTTP response, in two pieces cut at the first byte's value.
pub fn http_response(data: &[u8]) {
    let Some((&cut, rest)) = data.split_first() else { return };
    let (head, tail) = rest.split_at(usize::from(cut).min(rest.len()));
    let mut decoder = Response::new(false, 64 * 1024);
    let mut input = BytesMut::from(head);
    for more in [&[][..], tail] {
        input.extend_from_slice(more);
        loop {
            match decoder.next(&mut input) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    drop(decoder.closed());
}

fn clouds() -> impl Iterator<Item = (&'static dyn Dialect, Box<dyn Cloud>)> {
    ALL.iter().map(|dialect| {
        let settings = Value::Object(Map::new());
        (*dialect, dialect.cloud(&settings).expect("the default settings are valid"))
    })
}

/// Topic, a line feed, payload: nothing a device says may panic, and every message that is
/// routed is heard as something.
pub fn dialect_message(data: &[u8]) {
    let cut = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (topic, payload) = data.split_at(cut);
    let Ok(topic) = core::str::from_utf8(topic) else { return };
    let payload = Bytes::copy_from_slice(payload.get(1..).unwrap_or_default());
    for (dialect, cloud) in clouds() {
        let account: Account = account::of(dialect.id());
        let mut session = cloud.session(&account, 7);
        let _ = session.subscribe_grant(topic);
        if matches!(session.publish_route(topic), Route::Own | Route::Sub(_) | Route::Mixed) {
            let mut heard = Vec::new();
            session.uplink(&account, topic, &payload, NOW, &mut heard);
            assert!(!heard.is_empty(), "{topic}: nothing heard");
            if session.publish_route(topic) == Route::Mixed {
                let mut portions = Vec::new();
                session.split(topic, &payload, &mut portions);
                assert!(!portions.is_empty(), "{topic}: nothing left of it");
            }
        }
    }
}

/// Method and path, host, headers and body as a raw HTTP/1.1 request text.
pub fn dialect_http(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (first.next().unwrap_or_default(), first.next().unwrap_or("/"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let lower: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let headers: Vec<(&str, &str)> = lower.iter().map(|(n, v)| (n.as_str(), *v)).collect();
    let host = headers.iter().find(|(n, _)| *n == "host").map_or("", |(_, v)| *v);
    let request = HttpRequest {
        method,
        host,
        path,
        query,
        headers: &headers,
        body: body.as_bytes(),
        mqtt_port: Some(1883),
    };
    for (dialect, cloud) in clouds() {
        let Some(mut call) = cloud.http(&request) else { continue };
        if call.claim().is_err() {
            continue;
        }
        let account = account::of(dialect.id());
        let _ = call.second_claim(Some(&account.product));
        let decided = call.decide(Some(&account.product), Some(&account.device), NOW);
        if decided.is_ok() {
            let response = call.respond(&account.product, Err("internal.store"), [7; 16]);
            assert!(response.status >= 200);
        }
    }
}

/// Client id, user name and password, a line each: a log-in without the secret is never admitted.
pub fn dialect_hello(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let client_id = lines.next().unwrap_or_default();
    let (user, password) = (lines.next(), lines.next().map(str::as_bytes));
    for (dialect, cloud) in clouds() {
        let keep_alive_s = 120;
        let hello = Hello { level: 4, client_id, user, password, keep_alive_s, tls: &Tls::None };
        if !cloud.recognizes(&hello) {
            continue;
        }
        let account = account::unguessable(dialect.id());
        if let Ok(Claim::Node { product, node }) = cloud.identify(&hello) {
            assert!(!product.is_empty() && !node.is_empty());
        }
        assert!(cloud.admit(&hello, &account, NOW).is_err(), "admitted without the secret");
        let _ = cloud.psk_claim(client_id.as_bytes());
    }
}

/// A thing-model document: what imports must export to something that imports equal.
pub fn dialect_model(data: &[u8]) {
    let Ok(document) = serde_json::from_slice::<Value>(data) else { return };
    for dialect in ALL {
        let Some(Ok(model)) = dialect.import_model(&document) else { continue };
        let exported = dialect.export_model(&model).expect("what was imported can be exported");
        let again = dialect.import_model(&exported);
        assert_eq!(again, Some(Ok(model)), "{}", dialect.id());
    }
}

/// The body of a packed message: never more than the limit, and what unpacks packs again.
pub fn gzip(data: &[u8]) {
    const BYTES_MAX: usize = 4096;
    for bytes_max in [1, BYTES_MAX] {
        if let Ok(plain) = gunzip(data, bytes_max) {
            assert!(plain.len() <= bytes_max);
            assert_eq!(gunzip(&pack(&plain), bytes_max), Ok(plain));
        }
    }
}

/// A content type, a line feed, the body of an upload: parts lie inside the body, in order.
pub fn multipart(data: &[u8]) {
    let cut = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (kind, body) = data.split_at(cut);
    let body = body.get(1..).unwrap_or_default();
    let Ok(kind) = core::str::from_utf8(kind) else { return };
    let Some(boundary) = multipart::boundary(kind) else { return };
    let mut last = body.as_ptr_range().start;
    for part in multipart::parts(body, boundary).unwrap_or_default() {
        let range = part.bytes.as_ptr_range();
        assert!(range.start >= last && range.end <= body.as_ptr_range().end);
        assert!(!part.name.contains('"'));
        last = range.end;
    }
}

/// A product archive: a zip, or its files behind lines `== PATH`. What imports exports to something
/// that imports equal.
pub fn product_archive(data: &[u8]) {
    const TOTAL_BYTES_MAX: usize = 8 * 1024 * 1024;
    let files = match is_zip(data) {
        true => {
            let Ok(files) = unpack(data) else { return };
            let total: usize = files.iter().map(|(_, content)| content.len()).sum();
            assert!(total <= TOTAL_BYTES_MAX);
            let climbs = |path: &String| path.split('/').any(|part| part == "..");
            assert!(!files.iter().any(|(path, _)| path.starts_with('/') || climbs(path)));
            files
        }
        false => {
            let Ok(text) = core::str::from_utf8(data) else { return };
            let files = text.split("== ").skip(1).filter_map(|file| file.split_once('\n'));
            files.map(|(path, content)| (path.to_owned(), content.as_bytes().to_vec())).collect()
        }
    };
    for dialect in ALL {
        let Some(Ok(packed)) = import(*dialect, None, &files) else { continue };
        let mut product = (*account::of(dialect.id()).product).clone();
        (product.model, product.attributes) = (packed.model, packed.attributes);
        let archive = dialect.export_archive(&product).expect("it has archives");
        let archive = archive.expect("what was imported can be exported");
        let again = import(*dialect, Some(&archive.name), &archive.files);
        let again = again.expect("recognised").expect("what was exported can be imported");
        assert_eq!(again.model, product.model, "{}", dialect.id());
    }
}

fn import(
    dialect: &dyn Dialect,
    name: Option<&str>,
    files: &Files,
) -> Option<Result<Packed, Problem>> {
    let files: Vec<_> = files.iter().map(|(path, bytes)| ArchiveFile { path, bytes }).collect();
    dialect.import_archive(name, &files)
}

/// A datagram of Tencent's provisioning service, read by both sides.
pub fn tencent_comm(data: &[u8]) {
    if let Ok(command) = comm::Command::parse(data) {
        let again = comm::Command::parse(&command.emit());
        assert!(again == Ok(command), "what is parsed is written and parsed equal");
    }
    let _ = comm::Message::parse(data);
    let _ = comm::Announcement::parse(data);
    let _ = comm::log::lines(data);
}

/// The serial line of a GizWits module: whatever is found is written and found again.
pub fn gizwits_serial(data: &[u8]) {
    let (mut decoder, mut input) = (serial::Decoder::new(), data);
    while let Some(received) = decoder.next(&mut input) {
        let serial::Received::Frame(frame) = received else { continue };
        let mut wire = Vec::new();
        serial::encode(&frame, &mut wire);
        let (mut again, mut rest) = (serial::Decoder::new(), &wire[..]);
        assert_eq!(again.next(&mut rest), Some(received), "found again");
        let _ = serial::DeviceInfo::parse(frame.payload);
        let _ = serial::ConfigMode::parse(frame.payload);
        let _ = serial::Offer::parse(frame.payload);
        let _ = serial::Ready::parse(frame.payload);
        let _ = serial::Piece::parse(frame.payload);
    }
}

/// Strangers in a device's own access point: sealed messages, forms, names, codes.
pub fn softap(data: &[u8]) {
    use roadstead_wire::softap::{Device, Phone, Qr, SECRET_SIZE, dns, form};
    let (secret, mut device) = ([7; SECRET_SIZE], Device::new([7; SECRET_SIZE]));
    let mut phone = Phone::new(secret, [1; 32]);
    let _ = (device.handle(data, &[2; 32]), phone.welcome(data), phone.state(data));
    if let Ok((welcome, _)) = device.handle(&phone.hello(), &[2; 32]) {
        phone.welcome(&welcome).expect("the same secret");
        assert!(device.handle(data, &[3; 32]).is_err() || data.first() == Some(&1));
        assert!(phone.state(data).is_err(), "nobody else can seal");
    }
    if let Some(answer) = dns::answer(data, core::net::Ipv4Addr::LOCALHOST) {
        assert!(answer.len() <= data.len() + 16);
    }
    if let Ok(given) = form::parse(data) {
        assert!((1..=32).contains(&given.ssid.len()) && given.password.len() <= 64);
    }
    if let Ok(text) = core::str::from_utf8(data)
        && let Ok(qr) = Qr::parse(text)
    {
        assert_eq!(Qr::parse(&qr.text()), Ok(qr));
    }
}

/// Datagram and stream of a GizWits module's LAN; the first byte cuts the stream.
pub fn gizwits_lan(data: &[u8]) {
    let Some((cut, data)) = data.split_first() else { return };
    if let Some(frame) = lan::udp(data) {
        let message = lan::Message::of(&frame);
        let mut wire = Vec::new();
        message.emit(&mut wire);
        // What has no meaning has no body either.
        if !matches!(message, lan::Message::Other(_)) {
            let again = lan::udp(&wire).expect("what is written is a frame");
            assert_eq!(lan::Message::of(&again), message);
        }
    }
    let mut framer = lan::Framer::new();
    for piece in data.chunks(usize::from(*cut).max(1)) {
        let mut input = piece;
        loop {
            match framer.next(&mut input) {
                Ok(Some(frame)) => drop(lan::Message::of(&frame)),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    let _ = framer.flush().map(|frame| frame.cmd);
}

/// Sniffed frames: length, time step, then 26 bytes of header each. Nothing is believed but what a
/// sender sent.
pub fn airlink(data: &[u8]) {
    const FRAME: usize = 29;
    let whole = radiotap::frame(data, data.len(), 6, None);
    assert!(whole.is_none_or(|frame| frame.destination.is_group()));
    let keys = Keys { product_secret: Some(b"secret".to_vec()), ..Keys::default() };
    let mut hopper = Hopper::new(Plan::default(), &Scheme::ALL, &keys, Duration::ZERO);
    let mut at_us = 0;
    for chunk in data.chunks_exact(FRAME) {
        let length = u16::from_be_bytes([chunk[0], chunk[1]]);
        at_us += u64::from(chunk[2]) * 100;
        if let Some(frame) = Frame::parse(&chunk[3..], length, true, 6, Some(at_us)) {
            let _ = hopper.hear(&frame);
        }
    }
    let _ = hopper.reason().code();
}

/// Words for the receiver of AirKiss.
pub fn airlink_airkiss(data: &[u8]) {
    words(Scheme::AirKiss, data);
}

/// Words for the receiver of EspTouch.
pub fn airlink_esptouch(data: &[u8]) {
    words(Scheme::EspTouch, data);
}

/// Words for the receiver of EspTouch2.
pub fn airlink_esptouch2(data: &[u8]) {
    words(Scheme::EspTouch2, data);
}

/// Words for the receiver of SimpleConfig.
pub fn airlink_simpleconfig(data: &[u8]) {
    words(Scheme::SimpleConfig, data);
}

/// Words for the receiver of SmartConfig.
pub fn airlink_smartconfig(data: &[u8]) {
    words(Scheme::SmartConfig, data);
}

/// What one receiver hears of one or two senders, five bytes a frame: length above the overhead,
/// time step, step of the sequence number with direction and talker, and the byte of a group's
/// address. Nothing panics, and what is believed could have been sent.
fn words(scheme: Scheme, data: &[u8]) {
    const FRAME: usize = 5;
    let keys = Keys { product_secret: Some(b"secret".to_vec()), ..Keys::default() };
    let plan = Plan { channels: vec![6], ..Plan::default() };
    let mut hopper = Hopper::new(plan, &[scheme], &keys, Duration::ZERO);
    let (mut at_us, mut sequence) = (0, [0_u16; 4]);
    for chunk in data.chunks_exact(FRAME) {
        let [high, low, step, how, byte] = *chunk else { return };
        let place = usize::from(how >> 6);
        at_us += u64::from(step) * 100;
        sequence[place] = (sequence[place] + u16::from(how & 0xF)) % 4096;
        let up = how & 0x40 != 0;
        let length = u16::from_be_bytes([high, low]);
        // The bytes of a group's address sum to 0 modulo 256 (Simple Config).
        let number = length as u8 & 0x7F;
        let sum = [0x01, 0x00, 0x5E, number, byte].into_iter().fold(0_u8, u8::wrapping_add);
        let group = Mac::of_group([239, number, sum.wrapping_neg(), byte]);
        let frame = Frame {
            at_us: Some(at_us),
            channel: 6,
            direction: if up { Direction::Up } else { Direction::Down },
            source: Mac([2, 0, 0, 0, 0, how >> 7]),
            destination: if how & 0x20 != 0 { group } else { Mac::BROADCAST },
            bssid: Mac([2, 0, 0, 0, 0, 9]),
            sequence: Some(sequence[place]),
            length: length.saturating_add(if up { 82 } else { 80 }),
            overhead: (how & 0x10 != 0).then_some(if up { 82 } else { 80 }),
        };
        if let Some((by, Event::Complete(found))) = hopper.hear(&frame) {
            assert_eq!(by, scheme);
            assert!(found.ssid.len() <= 32 && found.password.len() <= 64);
            assert!(found.extra.len() <= 64);
        }
    }
    let _ = hopper.reason().code();
}

/// Writes of a phone and notifications of a device, a byte of length before each; the first byte
/// chooses the framing. Nothing panics, and a phone fails at most once.
pub fn ble(data: &[u8]) {
    let Some((&first, mut rest)) = data.split_first() else { return };
    let size = ble::PIECE_MIN;
    let carrier = if first % 5 == 3 { Carrier::Gatt } else { Carrier::Serial };
    let courier: Box<dyn ble::Courier> = match first % 5 {
        // Without security: a key agreement for each input would be all it does.
        0 | 1 => Box::new(ble::blufi::BluFiPhone::new(size, None)),
        3 | 4 => Box::new(ImprovPhone::new(carrier, size)),
        _ => Box::new(ble::llsync::LlSyncPhone::new(size)),
    };
    let porter: Box<dyn ble::Porter> = match first % 5 {
        0 | 1 => Box::new(ble::blufi::BluFiDevice::new(size, [2; 32], first % 5 == 0)),
        3 | 4 => Box::new(ImprovDevice::new(carrier, size, About::default(), first & 0x80 == 0)),
        _ => Box::new(ble::llsync::LlSyncDevice::new(size)),
    };
    let network = ble::Network { ssid: b"home".to_vec(), ..ble::Network::default() };
    let mut dialogue = Dialogue::new(courier, ble::Policy::default(), network, b"token".to_vec());
    let mut device = Provisioner::new(porter, "lamp");
    let (mut tasks, mut out) = (Vec::new(), Vec::new());
    dialogue.handle(ble::Input::Start, Duration::ZERO, &mut out);
    while let Some((&length, more)) = rest.split_first() {
        let (piece, more) = more.split_at(usize::from(length).min(more.len()));
        device.write(piece, &mut tasks);
        dialogue.handle(ble::Input::Notified(piece), Duration::ZERO, &mut out);
        rest = more;
    }
    assert!(out.iter().filter(|it| matches!(it, ble::Output::Failed(_))).count() <= 1);
}

/// A payload of the LAN (Alibaba), read by device and phone: what is read is written and read
/// equal, and no bytes open a session of local control.
pub fn alibaba_lan(data: &[u8]) {
    use roadstead_dialects::alibaba::{alcs, lan, softap};
    let secret = roadstead_core::Secret::from("secret");
    if let Ok(ask) = lan::Ask::parse(data) {
        assert_eq!(lan::Ask::parse(ask.emit().as_bytes()), Ok(ask.clone()));
        if let Some(info) = lan::DeviceInfo::from_value(&ask.params) {
            assert!(lan::DeviceInfo::from_value(&info.to_value()).is_some());
        }
        let _ = softap::Switch::from_params(&ask.params, &secret, false);
        let mut server = alcs::Server::default();
        let pair = alcs::KeyPair::new("Fuzz@iot", secret).expect("a pair");
        server.add(pair);
        let peer = SocketAddr::from(([127, 0, 0, 1], 5683));
        let now = roadstead_core::Tick::ZERO;
        assert!(server.auth(peer, &ask.version, &ask.params, "random", now).is_err());
        let _ = server.select(&ask.params);
        let _ = alcs::server::blacklist(&ask.params);
    }
    if let Ok(answer) = lan::Answer::parse(data) {
        let again = lan::Answer::parse(answer.emit(lan::IdStyle::Digits).as_bytes());
        assert_eq!(again, Ok(answer.clone()));
        let _ = softap::ErrorReport::from_value(&answer.data);
    }
    let _ = alcs::cipher::open(&[7; 16], data);
}

/// A CoAP datagram: what is read is written and read equal, and an endpoint with a query under way
/// answers every request once.
pub fn coap(data: &[u8]) {
    if let Ok(message) = Message::parse(data) {
        assert_eq!(Message::parse(&message.emit_unsorted()), Ok(message));
    }
    let peer = SocketAddr::from(([127, 0, 0, 1], 5683));
    let mut out = Vec::new();
    let mut endpoint = Endpoint::new(coap::Policy::default(), 7);
    endpoint.query(peer, coap::Query::new(true, coap::Code::GET, "/a", "x"), 0, &mut out);
    for now in [1, 2] {
        out.clear();
        endpoint.receive(peer, data, now, &mut out);
        let requests = out.iter().filter(|o| matches!(o, coap::Output::Request { .. })).count();
        assert!(requests <= usize::from(now == 1), "a duplicate is no request");
        if let Some(coap::Output::Request { exchange, .. }) = out.first().cloned() {
            endpoint.respond(&exchange, Reply::new(coap::Code::CONTENT, "y"), now, &mut out);
        }
    }
    while let Some(now) = endpoint.deadline() {
        endpoint.timeout(now, &mut out);
    }
}

/// A device's log, fed in two pieces cut at the first byte's value: no answer holds terminal
/// control, and evidence lies within the file.
pub fn doctor(data: &[u8]) {
    let Some((&cut, rest)) = data.split_first() else { return };
    let (head, tail) = rest.split_at(usize::from(cut).min(rest.len()));
    let mut doctor = Doctor::new();
    doctor.begin("device.log");
    doctor.feed(head);
    let _ = doctor.news();
    doctor.feed(tail);
    let report = doctor.finish();
    let lines = report.files.first().map_or(0, |file| file.lines);
    for evidence in report.findings.iter().flat_map(|finding| &finding.evidence) {
        assert!(evidence.line <= lines, "line {} of {lines}", evidence.line);
    }
    let text = report.to_text(Lang::En, &|_, text| text.to_owned());
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
}

/// WebSocket frames as both sides read them: pieces change nothing, and what is read can be written
/// and read again.
pub fn websocket(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let role = if first % 2 == 0 { Role::Server } else { Role::Client };
    let mask = (role == Role::Server).then_some([1, 2, 3, *first]);
    let whole = messages(role, &[rest]);
    let pieces: Vec<&[u8]> = rest.chunks(1 + usize::from(first / 2)).collect();
    assert_eq!(whole, messages(role, &pieces));
    for message in whole.0.iter().filter(|message| **message != ws::Message::Binary) {
        let mut bytes = Vec::new();
        ws::write(message, mask, &mut bytes);
        assert_eq!(messages(role, &[&bytes]).0, std::slice::from_ref(message));
    }
}

fn messages(role: Role, pieces: &[&[u8]]) -> (Vec<ws::Message>, Option<ws::Broken>) {
    let (mut reader, mut read) = (ws::Reader::new(role, PACKET_BYTES_MAX as usize), Vec::new());
    for piece in pieces {
        reader.feed(piece);
        loop {
            match reader.read() {
                Ok(Some(message)) => read.push(message),
                Ok(None) => break,
                Err(broken) => return (read, Some(broken)),
            }
        }
    }
    (read, None)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A target's body.
    type Target = fn(&[u8]);

    /// Every target by name.
    const TARGETS: [(&str, Target); 27] = [
        ("airlink", airlink),
        ("airlink_airkiss", airlink_airkiss),
        ("airlink_esptouch", airlink_esptouch),
        ("airlink_esptouch2", airlink_esptouch2),
        ("airlink_simpleconfig", airlink_simpleconfig),
        ("airlink_smartconfig", airlink_smartconfig),
        ("alibaba_lan", alibaba_lan),
        ("ble", ble),
        ("coap", coap),
        ("device_search", device_search),
        ("dialect_hello", dialect_hello),
        ("dialect_http", dialect_http),
        ("dialect_message", dialect_message),
        ("dialect_model", dialect_model),
        ("doctor", doctor),
        ("gizwits_lan", gizwits_lan),
        ("gizwits_serial", gizwits_serial),
        ("gzip", gzip),
        ("http_response", http_response),
        ("mqtt_client", mqtt_client),
        ("mqtt_server", mqtt_server),
        ("mqtt_topic", mqtt_topic),
        ("multipart", multipart),
        ("product_archive", product_archive),
        ("softap", softap),
        ("tencent_comm", tencent_comm),
        ("websocket", websocket),
    ];

    /// Replays each input whole, cut everywhere and with each byte changed.
    #[test]
    fn the_corpus_is_survived() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        for (name, target) in TARGETS {
            let mut inputs = 0;
            for entry in std::fs::read_dir(corpus.join(name)).expect(name) {
                let data = std::fs::read(entry.expect("entry").path()).expect("input");
                target(&data);
                for n in 0..data.len().min(400) {
                    target(&data[..n]);
                    for change in [0x00, 0x20, 0x7f, 0xff] {
                        let mut mutated = data.clone();
                        mutated[n] ^= change;
                        target(&mutated);
                    }
                }
                inputs += 1;
            }
            assert!(inputs > 0, "{name} has no corpus");
        }
    }

    #[test]
    fn every_target_has_a_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("fuzz_targets")
            .map(|entry| entry.expect("entry").path())
            .map(|path| path.file_stem().expect("name").to_string_lossy().into_owned())
            .collect();
        files.sort();
        assert_eq!(files, TARGETS.map(|(name, _)| name.to_owned()));
    }
}
