//! Captures as evidence: what each side says on the wire names the cause.

mod common;

use common::{codes, diagnose, errors};
use proptest::prelude::*;
use roadstead_doctor::{Doctor, Verdict};

const DEVICE: [u8; 4] = [192, 168, 1, 20];
const SERVER: [u8; 4] = [10, 0, 0, 1];

/// Writes a capture, packet by packet, half a second apart.
struct Tape {
    bytes: Vec<u8>,
    ms: u64,
    /// Next sequence number of device and server.
    next: [u32; 2],
    port: u16,
}

const SYN: u8 = 2;
const RST: u8 = 4;
const FIN: u8 = 1;
const ACK: u8 = 16;

impl Tape {
    fn new() -> Self {
        let mut bytes = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
        bytes.extend([0; 8]);
        bytes.extend([0, 0, 4, 0, 1, 0, 0, 0]);
        Self { bytes, ms: 1_795_221_479_000, next: [1000, 5000], port: 40_000 }
    }

    fn wait(mut self, ms: u64) -> Self {
        self.ms += ms;
        self
    }

    fn packet(&mut self, protocol: u8, from: [u8; 4], to: [u8; 4], body: &[u8]) {
        let mut frame = vec![2; 12];
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((20 + body.len() as u16).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
        frame.extend(from.iter().chain(&to));
        frame.extend(body);
        self.bytes.extend(((self.ms / 1000) as u32).to_le_bytes());
        self.bytes.extend(((self.ms % 1000 * 1000) as u32).to_le_bytes());
        for _ in 0..2 {
            self.bytes.extend((frame.len() as u32).to_le_bytes());
        }
        self.bytes.extend(frame);
        self.ms += 500;
    }

    fn tcp(mut self, own: bool, service: u16, flags: u8, payload: &[u8]) -> Self {
        let side = usize::from(!own);
        let ports = if own { (self.port, service) } else { (service, self.port) };
        let mut body = Vec::from(ports.0.to_be_bytes());
        body.extend(ports.1.to_be_bytes());
        body.extend(self.next[side].to_be_bytes());
        body.extend([0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        body.extend(payload);
        self.next[side] += payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        let (from, to) = if own { (DEVICE, SERVER) } else { (SERVER, DEVICE) };
        self.packet(6, from, to, &body);
        self
    }

    fn up(self, service: u16) -> Self {
        self.tcp(true, service, SYN, b"").tcp(false, service, SYN | ACK, b"")
    }

    fn session(self) -> Self {
        let tape = self.up(1883).tcp(true, 1883, ACK, &connect());
        tape.tcp(false, 1883, ACK, &[0x20, 2, 0, 0])
    }

    fn udp(mut self, own: bool, service: u16, payload: &[u8]) -> Self {
        let ports = if own { (self.port, service) } else { (service, self.port) };
        let mut body = Vec::from(ports.0.to_be_bytes());
        body.extend(ports.1.to_be_bytes());
        body.extend((8 + payload.len() as u16).to_be_bytes());
        body.extend([0, 0]);
        body.extend(payload);
        let (from, to) = if own { (DEVICE, SERVER) } else { (SERVER, DEVICE) };
        self.packet(17, from, to, &body);
        self
    }
}

fn text16(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text].concat()
}

fn connect() -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x04\xc2\0\x78".to_vec();
    body.extend(text16(b"LOADLOADLDlamp-1"));
    body.extend(text16(b"LOADLOADLDlamp-1;12010126;A;4"));
    body.extend(text16(b"topsecretpassword"));
    [&[0x10, body.len() as u8][..], &body].concat()
}

fn publish(topic: &str, payload: &str) -> Vec<u8> {
    let body = [text16(topic.as_bytes()), payload.as_bytes().to_vec()].concat();
    [&[0x30, body.len() as u8][..], &body].concat()
}

fn tls(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &(body.len() as u16).to_be_bytes(), body].concat()
}

fn hello(suites: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    body.extend((suites.len() as u16).to_be_bytes());
    body.extend(suites);
    body.extend([1, 0]);
    let name = b"iot.example.com";
    let mut list = vec![0];
    list.extend(text16(name));
    let mut extension = vec![0, 0];
    extension.extend(text16(&text16(&list)));
    body.extend(text16(&extension));
    tls(22, &[&[1, 0, 0, body.len() as u8][..], &body].concat())
}

fn dns(response: bool, code: u8, answers: u8) -> Vec<u8> {
    let mut bytes = vec![0, 9, if response { 0x81 } else { 1 }, code, 0, 1, 0, answers, 0, 0, 0, 0];
    bytes.extend(b"\x03iot\x07example\x03com\0\0\x01\0\x01");
    bytes
}

fn dhcp(kind: u8) -> Vec<u8> {
    let mut bytes = vec![0; 240];
    bytes[16..20].copy_from_slice(&DEVICE);
    bytes[28..34].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
    bytes.extend([53, 1, kind, 255]);
    bytes
}

const PSK: &[u8] = &[0x00, 0x8c];
const RSA: &[u8] = &[0xc0, 0x2f];

fn logged_in() -> Tape {
    Tape::new().session()
}

/// What the wire shows, and the cause; none for a healthy capture.
fn cases() -> Vec<(&'static str, Tape, Option<&'static str>)> {
    let shake = |suites| Tape::new().up(8883).tcp(true, 8883, ACK, &hello(suites));
    let alert = |own, number| {
        let tape = shake(if number == 48 { RSA } else { PSK });
        tape.tcp(own, 8883, ACK, &tls(21, &[2, number]))
    };
    let plain = || Tape::new().up(1883).tcp(true, 1883, ACK, &connect());
    let token = publish(
        "$thing/up/service/P/D",
        r#"{"method":"app_bind_token","params":{"token":"69f9"}}"#,
    );
    let reply = |code: u8| {
        let text = format!(r#"{{"method":"app_bind_token_reply","code":{code}}}"#);
        publish("$thing/down/service/P/D", &text)
    };
    let rd = b"\x40\x02\x00\x07\xb2rd";
    vec![
        (
            "session",
            logged_in().tcp(true, 1883, ACK, &[0xc0, 0]).tcp(false, 1883, ACK, &[0xd0, 0]),
            None,
        ),
        (
            "lease",
            Tape { port: 68, ..Tape::new() }
                .udp(true, 67, &dhcp(1))
                .udp(false, 68, &dhcp(5))
                .session(),
            None,
        ),
        (
            "no lease",
            (0..3).fold(Tape { port: 68, ..Tape::new() }, |tape, _| tape.udp(true, 67, &dhcp(1))),
            Some("dhcp.no_address"),
        ),
        (
            "no name",
            Tape::new().udp(true, 53, &dns(false, 0, 0)).udp(false, 53, &dns(true, 3, 0)),
            Some("dns.unresolved"),
        ),
        (
            "name server silent",
            Tape::new().udp(true, 53, &dns(false, 0, 0)).udp(true, 53, &dns(false, 0, 0)),
            Some("dns.unresolved"),
        ),
        (
            "refused",
            Tape::new().tcp(true, 1883, SYN, b"").tcp(false, 1883, RST | ACK, b""),
            Some("tcp.refused"),
        ),
        (
            "silent",
            Tape::new().tcp(true, 1883, SYN, b"").wait(9000).udp(false, 9, b"x"),
            Some("tcp.timeout"),
        ),
        ("psk", alert(false, 20), Some("tls.psk_mismatch")),
        ("identity", alert(false, 115), Some("tls.psk_identity_unknown")),
        ("suite", alert(false, 40), Some("tls.no_shared_suite")),
        ("authority", alert(true, 48), Some("tls.server_cert_untrusted")),
        ("closed", shake(RSA).tcp(false, 8883, FIN | ACK, b""), Some("tls.handshake_closed")),
        (
            "not tls",
            shake(RSA).tcp(false, 8883, ACK, b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            Some("tls.not_tls_port"),
        ),
        (
            "plain to tls",
            plain().tcp(false, 1883, ACK, &tls(21, &[2, 70])),
            Some("tls.plain_to_tls_port"),
        ),
        (
            "connack 4",
            plain().tcp(false, 1883, ACK, &[0x20, 2, 0, 4]),
            Some("mqtt.bad_credentials"),
        ),
        ("connack 5", plain().tcp(false, 1883, ACK, &[0x20, 2, 0, 5]), Some("mqtt.not_authorised")),
        ("no connack", plain().wait(9000).udp(false, 9, b"x"), Some("mqtt.connack_timeout")),
        (
            "closed at once",
            plain().tcp(false, 1883, FIN | ACK, b""),
            Some("mqtt.closed_before_connack"),
        ),
        (
            "topic",
            logged_in().tcp(false, 1883, ACK, &[0x90, 3, 0, 1, 0x80]),
            Some("subscribe.refused"),
        ),
        (
            "pings",
            logged_in().tcp(true, 1883, ACK, &[0xc0, 0]).tcp(true, 1883, ACK, &[0xc0, 0]),
            Some("mqtt.ping_timeout"),
        ),
        ("bound", logged_in().tcp(true, 1883, ACK, &token).tcp(false, 1883, ACK, &reply(0)), None),
        (
            "token refused",
            logged_in().tcp(true, 1883, ACK, &token).tcp(false, 1883, ACK, &reply(7)),
            Some("bind.token_refused"),
        ),
        (
            "token unanswered",
            logged_in().tcp(true, 1883, ACK, &token).wait(20_000).tcp(true, 1883, ACK, &[0xc0, 0]),
            Some("bind.token_not_acknowledged"),
        ),
        ("lwm2m", Tape::new().udp(true, 5683, rd).udp(false, 5683, b"\x60\x41\x00\x07"), None),
        (
            "lwm2m refused",
            Tape::new().udp(true, 5683, rd).udp(false, 5683, b"\x60\x83\x00\x07"),
            Some("lwm2m.register_refused"),
        ),
        (
            "lwm2m silent",
            Tape::new().udp(true, 5683, rd).udp(true, 5683, rd),
            Some("lwm2m.register_timeout"),
        ),
        (
            "hotspot",
            Tape::new().udp(
                true,
                8266,
                br#"{"cmdType":1,"ssid":"home","password":"topsecretpassword"}"#,
            ),
            Some("provision.request_missing_field"),
        ),
    ]
}

#[test]
fn the_wire_names_the_cause() {
    let mut wrong = Vec::new();
    for (name, tape, cause) in cases() {
        let report = diagnose(&tape.bytes);
        let right = match cause {
            None => report.verdict == Verdict::Healthy,
            Some(code) => errors(&report).first() == Some(&code),
        };
        let answer = report.to_json().to_string();
        if !right || answer.contains("topsecret") || report.files[0].encoding.name() != "capture" {
            wrong.push(format!("{name}: {:?} {:?}", report.verdict, codes(&report)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Evidence names packet, time and addresses, and the device is its address.
#[test]
fn evidence_is_a_packet() {
    let (_, tape, _) = cases().into_iter().find(|(name, ..)| *name == "connack 4").expect("case");
    let report = diagnose(&tape.bytes);
    let evidence = &report.findings[0].evidence[0];
    assert_eq!(evidence.line, 4);
    assert_eq!(
        evidence.text,
        "2026-11-21 00:38:00.500 tcp 192.168.1.20 port 40000 to 10.0.0.1 port 1883: mqtt: CONNACK 4"
    );
    assert_eq!((report.devices.len(), report.devices[0].key.as_str()), (1, "192.168.1.20"));
}

/// The same packets in the other container and any cut.
#[test]
fn pcapng_and_pieces_change_nothing() {
    for (name, tape, _) in cases() {
        let expected = codes(&diagnose(&tape.bytes));
        let mut blocks =
            vec![0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0];
        blocks.extend([0xff; 8]);
        blocks.extend([28, 0, 0, 0]);
        // An interface in milliseconds.
        blocks.extend([1, 0, 0, 0, 32, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        blocks.extend([9, 0, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0]);
        let mut rest = &tape.bytes[24..];
        while let Some((head, after)) = rest.split_at_checked(16) {
            let four = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four"));
            let (length, ms) =
                (four(8) as usize, u64::from(four(0)) * 1000 + u64::from(four(4)) / 1000);
            let total = (32 + length.next_multiple_of(4)) as u32;
            blocks.extend(
                [6_u32, total, 0, (ms >> 32) as u32, ms as u32].map(u32::to_le_bytes).concat(),
            );
            blocks.extend([length as u32; 2].map(u32::to_le_bytes).concat());
            blocks.extend(&after[..length]);
            blocks.resize(blocks.len().next_multiple_of(4), 0);
            blocks.extend(total.to_le_bytes());
            rest = &after[length..];
        }
        assert_eq!(codes(&diagnose(&blocks)), expected, "{name} as pcapng");
        let mut doctor = Doctor::new();
        doctor.begin("device.pcap");
        tape.bytes.iter().for_each(|byte| doctor.feed(&[*byte]));
        assert_eq!(codes(&doctor.finish()), expected, "{name} in single bytes");
    }
}

proptest! {
    /// Broken captures end; they do not panic, and evidence stays within the packets.
    #[test]
    fn broken_captures_are_survived(case in 0_usize..26, at in 24_usize..400, value: u8, cut in 0_usize..600) {
        let (_, mut tape, _) = cases().swap_remove(case);
        let at = at % tape.bytes.len();
        tape.bytes[at] = value;
        let end = tape.bytes.len().saturating_sub(cut % 64);
        let report = diagnose(&tape.bytes[..end]);
        for evidence in report.findings.iter().flat_map(|finding| &finding.evidence) {
            prop_assert!(evidence.line <= report.files[0].lines);
        }
    }
}
