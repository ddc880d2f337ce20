//! Every recording of a real GAgent, played to our module with the timings of that firmware.
//!
//! What comes from outside is fed as recorded: bytes of the MCU that are no answers at their
//! time, answers of MCU, API and M2M server when the module has asked. What our module says is
//! compared per channel: serial frames byte for byte (but for the numbers the module chooses,
//! which must count up), HTTP requests, MQTT packets, datagrams and TCP frames byte for byte (but
//! for the passcode). Where we differ on purpose, [`Difference`] says how and why.

use core::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::vec::Vec;

use roadstead_core::Value;

use super::super::super::serial::Command;
use super::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/transcripts/gizwits");

/// Where our module differs from the recording.
#[derive(Default)]
struct Difference {
    /// Our status words, where modes change: real firmware tells of states in between.
    words: Option<&'static [u16]>,
    /// Serial frames we add at the end, by command.
    adds: &'static [u8],
    /// Requests we add or leave out at the end.
    adds_requests: usize,
    lacks_requests: usize,
    /// Ours goes on where theirs has crashed.
    outlives: bool,
    /// CONNECT packets beyond the first are not compared.
    one_connect: bool,
    /// Our announcements go on until there were 30; theirs are cut by the mode.
    announces_on: bool,
    /// TCP frames are not compared in order of phones.
    tcp: bool,
}

fn difference(name: &str) -> Difference {
    let none = Difference::default();
    match name {
        // The radio of the recording is always connected, ours is not in two modes at once.
        "softap" => Difference { words: Some(&[0x011A, 0x000D, 0x071A]), ..none },
        "webconfig" => {
            Difference { words: Some(&[0x071A, 0x000D, 0x071A]), announces_on: true, ..none }
        }
        "airlink" => Difference {
            words: Some(&[0x071A, 0x000C, 0x0004, 0x000D]),
            announces_on: true,
            ..none
        },
        // The cloud is left while testing, and the network after it.
        "prodtest" => Difference { words: Some(&[0x071A, 0x073A, 0x173A, 0x171A, 0x0000]), ..none },
        // After the reset the recorded radio is connected and registers; ours opens SoftAP.
        "reset_pk" => Difference {
            words: Some(&[0x071A, 0x073A, 0x071A, 0x073A, 0x000D]),
            lacks_requests: 1,
            ..none
        },
        // The recorded firmware crashes here; ours hands the small image on.
        "small_fw" => Difference { adds: &[0x19, 0x1F], outlives: true, ..none },
        // No storm.
        "connack_4" => Difference { one_connect: true, ..none },
        _ => none,
    }
}

struct Replay {
    name: String,
    events: Vec<Value>,
    bench: Bench,
    start: u64,
}

fn bytes(event: &Value) -> Vec<u8> {
    hex::decode(event["hex"].as_str().unwrap_or_default()).expect("hex")
}

fn ms(event: &Value) -> u64 {
    (event["t"].as_f64().expect("time") * 1000.0) as u64
}

fn is(event: &Value, channel: &str, direction: &str) -> bool {
    event["ch"] == channel && event["dir"] == direction
}

/// The frames in bytes of the serial line: command, number, payload.
fn frames(wire: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    use super::super::super::serial::{Decoder, Received};
    let (mut decoder, mut input, mut found) = (Decoder::new(), wire, Vec::new());
    while let Some(received) = decoder.next(&mut input) {
        if let Received::Frame(frame) = received {
            found.push((frame.cmd, frame.sn, frame.payload.to_vec()));
        }
    }
    found
}

/// Hides the passcode, which is random.
fn masked(request: &str) -> String {
    match request.find("passcode=") {
        Some(at) => {
            let (head, tail) = request.split_at(at + 9);
            let rest = tail.find(['&', '\r']).map_or("", |end| &tail[end..]);
            std::format!("{head}*{rest}")
        }
        None => request.to_string(),
    }
}

impl Replay {
    fn new(path: &std::path::Path) -> Self {
        let text = std::fs::read_to_string(path).expect("transcript");
        let run: Value = serde_json::from_str(&text).expect("JSON");
        let events = run["events"].as_array().expect("events").clone();
        let name = path.file_stem().expect("name").to_string_lossy().into_owned();
        let passcode = Self::passcode(&events);
        let flash = Flash {
            product_key: KEY.into(),
            passcode: Some(passcode.as_str().into()),
            network: Some((b"Lab"[..].into(), "lab".into())),
            ..Flash::default()
        };
        let mut bench = Bench::new(Policy::firmware()).with_flash(flash);
        bench.due.clear();
        bench.mcu = None;
        bench.restarts = false;
        let strength = if name == "rssi" { 50 } else { 90 };
        bench.networks = std::vec![
            network("Office", 87),
            network("Lab-2G", 45),
            network("Guest_3", 12),
            network("Lab", strength),
        ];
        // The recorded list is the laboratory's invention; the own router is not in it.
        if name == "softap" {
            bench.networks.pop();
        }
        if !events.iter().any(|event| is(event, "http", "mod>api")) {
            bench.resolver = None;
        }
        bench.server = Server::Silent;
        Self { name, events, bench, start: 0 }
    }

    /// The passcode of the recording, as far as it is shown.
    fn passcode(events: &[Value]) -> String {
        let shown = events.iter().find_map(|event| {
            let text = event["text"].as_str().unwrap_or_default();
            let at = text.find("passcode=")?;
            text.get(at + 9..at + 19)
        });
        let tcp = events.iter().find_map(|event| {
            let bytes = bytes(event);
            let is_passcode = is(event, "tcp", "mod>phone") && bytes.len() == 20 && bytes[7] == 7;
            is_passcode.then(|| String::from_utf8_lossy(&bytes[10..]).into_owned())
        });
        shown.map(String::from).or(tcp).unwrap_or_else(|| "ABCDEFGHIJ".to_string())
    }

    /// Answers of the API, in the order of the requests.
    fn api(&mut self) {
        let answers: VecDeque<Vec<u8>> =
            self.events.iter().filter(|e| is(e, "http", "api>mod")).map(bytes).collect();
        let answers = Rc::new(RefCell::new(answers));
        self.bench.api = Box::new(move |_| match answers.borrow_mut().pop_front() {
            None => Api::Silent,
            Some(answer) => {
                let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("head") + 4;
                let (head, body) = answer.split_at(end);
                let head = String::from_utf8_lossy(head).into_owned();
                let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("status");
                match head.contains("filename=") {
                    true => Api::File(body.to_vec(), "mcu.bin"),
                    false => Api::Answer(status, String::from_utf8_lossy(body).into_owned()),
                }
            }
        });
    }

    fn run(&mut self) {
        self.api();
        let is_answer = |e: &Value| {
            is(e, "uart", "mcu>mod") && frames(&bytes(e)).first().is_some_and(|f| f.0 % 2 == 0)
        };
        // 0x12 is no answer anybody waits for.
        let mut mcu: VecDeque<(u8, Vec<u8>)> = self
            .events
            .iter()
            .filter(|e| is_answer(e))
            .flat_map(|e| frames(&bytes(e)))
            .filter(|f| f.0 != 0x12)
            .map(|f| (f.0, f.2))
            .collect();
        let mut m2m: VecDeque<Value> = self
            .events
            .iter()
            .filter(|e| is(e, "mqtt", "m2m>mod") && e["pkt"] != "PUBLISH")
            .cloned()
            .collect();
        let (mut conn, mut is_fresh, mut seen) = (0, false, 0);
        for event in self.events.clone() {
            let at = ms(&event).max(self.start);
            while self.bench.now.as_millis() < at {
                self.bench.run(1);
                self.respond(&mut seen, &mut mcu, &mut m2m);
            }
            let data = bytes(&event);
            match (event["ch"].as_str(), event["dir"].as_str()) {
                (Some("module"), Some("start")) => self.bench.power(),
                (Some("uart"), Some("mcu>mod")) if !is_answer(&event) => {
                    self.bench.after(0, Due::Serial(data));
                }
                (Some("udp"), Some("phone>mod")) => self.bench.after(0, Due::Udp(data)),
                (Some("tcp"), Some("open")) => {
                    conn += 1;
                    is_fresh = true;
                    self.bench.after(0, Due::TcpOpened(conn, TCP_PORT));
                }
                (Some("tcp"), Some("phone>mod")) => {
                    let open: Vec<u32> = (1..=conn).filter(|c| !self.bench.closed(*c)).collect();
                    let oldest = open.first().copied().unwrap_or(conn);
                    let to = if core::mem::take(&mut is_fresh) { conn } else { oldest };
                    self.bench.after(0, Due::Tcp(to, data));
                }
                (Some("http"), Some("browser>mod")) => {
                    self.bench.after(0, Due::TcpOpened(900 + at as u32, 80));
                    self.bench.after(0, Due::Tcp(900 + at as u32, data));
                }
                (Some("mqtt"), Some("m2m>mod")) if event["pkt"] == "PUBLISH" => {
                    let topic = event["topic"].as_str().expect("topic").to_string();
                    let payload = hex::decode(event["payload"].as_str().expect("payload"));
                    self.bench.after(0, Due::M2m(Words::Message(topic, payload.expect("hex"))));
                }
                (Some("mqtt"), Some("close")) if event["who"] == "m2m" => {
                    self.bench.after(0, Due::M2m(Words::Closed));
                }
                (Some("lab"), _) => self.lab(event["note"].as_str().unwrap_or_default()),
                _ => {}
            }
            self.bench.run(0);
            self.respond(&mut seen, &mut mcu, &mut m2m);
        }
    }

    fn lab(&mut self, note: &str) {
        if let Some(strength) = note.strip_prefix("rssi=") {
            let strength = strength.parse().expect("number");
            self.bench.networks = std::vec![network("Lab", strength)];
        }
        if note.starts_with("GIZWITS_TEST_1 appears") {
            self.bench.networks = std::vec![network("GIZWITS_TEST_1", 60), network("Lab", 90)];
        }
    }

    /// Lets the recorded MCU and server answer what the module has asked.
    fn respond(
        &mut self,
        seen: &mut usize,
        mcu: &mut VecDeque<(u8, Vec<u8>)>,
        m2m: &mut VecDeque<Value>,
    ) {
        while let Some((_, did)) = self.bench.said.get(*seen).cloned() {
            *seen += 1;
            match did {
                Did::Serial(wire) => {
                    let (cmd, sn, _) = frames(&wire).pop().expect("a frame");
                    let answer = mcu.iter().position(|(answer, _)| *answer == cmd + 1);
                    if cmd % 2 == 1
                        && let Some((answer, payload)) = answer.and_then(|at| mcu.remove(at))
                    {
                        let mut wire = Vec::new();
                        let frame = super::super::super::serial::Frame {
                            cmd: answer,
                            sn,
                            flags: 0,
                            payload: &payload,
                        };
                        super::super::super::serial::encode(&frame, &mut wire);
                        self.bench.after(0, Due::Serial(wire));
                    }
                }
                Did::Connect(_) => self.server(m2m, "CONNACK"),
                Did::Subscribe(_) => self.server(m2m, "SUBACK"),
                Did::Ping => self.bench.after(0, Due::M2m(Words::Pong)),
                _ => {}
            }
            self.bench.run(0);
        }
    }

    fn server(&mut self, m2m: &mut VecDeque<Value>, packet: &str) {
        let Some(at) = m2m.iter().position(|event| event["pkt"] == packet) else { return };
        let event = m2m.remove(at).expect("there");
        // Not before its time: real firmware looks once per second.
        let wait = ms(&event).saturating_sub(self.bench.now.as_millis());
        let answer = bytes(&event);
        let words = match (packet, answer.last()) {
            ("CONNACK", Some(0)) => Words::Connected,
            ("CONNACK", Some(code)) => Words::Refused(*code),
            _ => Words::Subscribed(true),
        };
        self.bench.after(wait, Due::M2m(words));
    }

    /// What the recorded module said on a channel.
    fn recorded(&self, channel: &str, direction: &str) -> Vec<Value> {
        self.events.iter().filter(|event| is(event, channel, direction)).cloned().collect()
    }

    fn check(&self, tally: &mut Tally) {
        let difference = difference(&self.name);
        self.check_serial(&difference, tally);
        self.check_http(&difference, tally);
        self.check_mqtt(&difference, tally);
        self.check_lan(&difference, tally);
        tally.runs += 1;
    }

    fn check_serial(&self, difference: &Difference, tally: &mut Tally) {
        let ours: Vec<_> = self
            .bench
            .said
            .iter()
            .filter_map(|(_, did)| match did {
                Did::Serial(wire) => frames(wire).pop(),
                _ => None,
            })
            .collect();
        let theirs: Vec<_> = self
            .recorded("uart", "mod>mcu")
            .iter()
            .flat_map(|event| frames(&bytes(event)))
            .collect();
        let words = |list: &[(u8, u8, Vec<u8>)]| {
            let word = |f: &(u8, u8, Vec<u8>)| u16::from_be_bytes([f.2[0], f.2[1]]);
            let told = list.iter().filter(|f| f.0 == Command::Status as u8).map(word);
            let mut told: Vec<u16> = told.collect();
            // Repetitions of what nobody acknowledged.
            told.dedup();
            told
        };
        let expected = difference.words.map_or_else(|| words(&theirs), <[u16]>::to_vec);
        assert_eq!(hexes(&words(&ours)), hexes(&expected), "{}: status", self.name);
        // Answers repeat the MCU's number; the date differs with the speed of the run.
        let answers = |list: &[(u8, u8, Vec<u8>)]| {
            let of =
                |f: &&(u8, u8, Vec<u8>)| f.0.is_multiple_of(2) || f.0 == Command::Illegal as u8;
            list.iter()
                .filter(of)
                .map(|f| match f.0 {
                    0x18 => (f.0, f.1, String::new()),
                    // The recorded build does not know its own address.
                    0x22 => (f.0, f.1, hex::encode([&f.2[..41], &f.2[57..]].concat())),
                    _ => (f.0, f.1, hex::encode(&f.2)),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(answers(&ours), answers(&theirs), "{}: answers", self.name);
        // Questions: the same payloads in the same order, numbers that count up.
        let status = [Command::Status as u8, Command::Illegal as u8, Command::Heartbeat as u8];
        let questions = |list: &[(u8, u8, Vec<u8>)]| {
            let of = |f: &&(u8, u8, Vec<u8>)| f.0 % 2 == 1 && !status.contains(&f.0);
            list.iter().filter(of).map(|f| (f.0, hex::encode(&f.2))).collect::<Vec<_>>()
        };
        let (mine, real) = (questions(&ours), questions(&theirs));
        let (same, more) = mine.split_at(real.len().min(mine.len()));
        assert_eq!(same, real, "{}: questions", self.name);
        let more: Vec<u8> = more.iter().map(|f| f.0).collect();
        assert!(more.iter().all(|cmd| difference.adds.contains(cmd)), "{}: {more:x?}", self.name);
        let own = ours.iter().filter(|f| f.0 % 2 == 1 && f.0 != Command::Illegal as u8);
        let numbers: Vec<u8> = own.map(|f| f.1).collect();
        let steps =
            numbers.windows(2).all(|p| p[1] == p[0] || p[1] == p[0].wrapping_add(1) || p[1] == 0);
        assert!(steps, "{}: {numbers:?}", self.name);
        tally.serial += theirs.len();
    }

    fn check_http(&self, difference: &Difference, tally: &mut Tally) {
        let ours: Vec<String> = self
            .bench
            .said
            .iter()
            .filter_map(|(_, did)| match did {
                Did::Http { request, .. } => Some(masked(request)),
                _ => None,
            })
            .collect();
        let mut theirs: Vec<String> = self
            .recorded("http", "mod>api")
            .iter()
            .map(|event| masked(event["text"].as_str().expect("text")))
            .collect();
        tally.requests += theirs.len();
        theirs.truncate(theirs.len() - difference.lacks_requests);
        assert!(ours.len() <= theirs.len() + difference.adds_requests, "{}: {ours:#?}", self.name);
        assert_eq!(ours[..theirs.len().min(ours.len())], theirs, "{}: requests", self.name);
    }

    fn check_mqtt(&self, difference: &Difference, tally: &mut Tally) {
        let ours: Vec<String> = self
            .bench
            .said
            .iter()
            .filter_map(|(_, did)| match did {
                Did::Connect(login) => {
                    let mut words = login.split(' ');
                    let did = words.next().expect("DID");
                    Some(std::format!("CONNECT {did} {}", words.nth(1).expect("seconds")))
                }
                Did::Subscribe(filter) => Some(std::format!("SUBSCRIBE {filter}")),
                Did::Publish(topic, payload) => {
                    Some(std::format!("PUBLISH {topic} {}", hex::encode(payload)))
                }
                _ => None,
            })
            .collect();
        let theirs: Vec<String> = self
            .recorded("mqtt", "mod>m2m")
            .iter()
            .filter_map(|event| {
                let wire = bytes(event);
                Some(match event["pkt"].as_str().expect("packet") {
                    "CONNECT" => {
                        assert_eq!(&wire[2..12], b"\x00\x06MQIsdp\x03\xc2", "MQTT 3.1");
                        let seconds = u16::from_be_bytes([wire[12], wire[13]]);
                        std::format!("CONNECT {} {seconds}", String::from_utf8_lossy(&wire[16..38]))
                    }
                    "SUBSCRIBE" => {
                        std::format!(
                            "SUBSCRIBE {}",
                            String::from_utf8_lossy(&wire[6..wire.len() - 1])
                        )
                    }
                    "PUBLISH" => {
                        let at = if wire[1] > 0x7F { 3 } else { 2 };
                        let len = usize::from(wire[at]) << 8 | usize::from(wire[at + 1]);
                        let (topic, payload) = wire[at + 2..].split_at(len);
                        std::format!(
                            "PUBLISH {} {}",
                            String::from_utf8_lossy(topic),
                            hex::encode(payload)
                        )
                    }
                    _ => return None,
                })
            })
            .collect();
        tally.packets += theirs.len();
        if difference.one_connect {
            assert!(ours[0] == theirs[0] && ours.len() < theirs.len() / 2, "{}", self.name);
        } else if difference.outlives {
            assert!(ours.starts_with(&theirs), "{}: MQTT", self.name);
        } else {
            assert_eq!(ours, theirs, "{}: MQTT", self.name);
        }
    }

    fn check_lan(&self, difference: &Difference, tally: &mut Tally) {
        let hexes = |list: Vec<Vec<u8>>| list.iter().map(hex::encode).collect::<Vec<_>>();
        let theirs = hexes(self.recorded("udp", "mod>net").iter().map(bytes).collect());
        let kind = |list: &[String], command: &str| {
            list.iter().filter(|f| f[10..].starts_with(command)).cloned().collect::<Vec<_>>()
        };
        let ours = hexes(
            self.bench
                .said
                .iter()
                .filter_map(|(_, did)| match did {
                    Did::Udp(_, bytes) | Did::Broadcast(bytes) => Some(bytes.clone()),
                    _ => None,
                })
                .collect(),
        );
        for command in ["000004", "000002"] {
            assert_eq!(kind(&ours, command), kind(&theirs, command), "{}: answers", self.name);
        }
        for command in ["000005", "000019"] {
            let (mine, real) = (kind(&ours, command), kind(&theirs, command));
            let close = mine.len().abs_diff(real.len()) <= 3 + real.len() / 5;
            // Some runs were recorded without the network's sniffer.
            let close = close
                || theirs.is_empty() && command == "000005"
                || difference.announces_on && mine.len() > real.len();
            assert!(close, "{}: {} of {}", self.name, mine.len(), real.len());
            let strange = real.iter().find(|frame| !mine.contains(frame));
            assert_eq!(strange, None, "{}: {command}", self.name);
        }
        let theirs = hexes(self.recorded("tcp", "mod>phone").iter().map(bytes).collect());
        let ours = hexes(
            self.bench
                .said
                .iter()
                .filter_map(|(_, did)| match did {
                    Did::Tcp(conn, bytes) if *conn < 900 => Some(bytes.clone()),
                    _ => None,
                })
                .collect(),
        );
        if !difference.tcp {
            assert_eq!(ours, theirs, "{}: TCP", self.name);
        }
        let pages = self.recorded("http", "mod>browser").len();
        let own = self.bench.count(|did| matches!(did, Did::Tcp(conn, b) if *conn >= 900 && b.starts_with(b"HTTP/1.1 200 OK")));
        assert_eq!(own, pages, "{}: pages", self.name);
        tally.lan += theirs.len() + pages;
    }
}

fn hexes(words: &[u16]) -> Vec<String> {
    words.iter().map(|word| std::format!("{word:04x}")).collect()
}

/// What all recordings held; a silent skip would show here.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    runs: usize,
    serial: usize,
    requests: usize,
    packets: usize,
    lan: usize,
}

#[test]
fn every_recording_is_lived_through_alike() {
    let mut tally = Tally::default();
    let mut paths: Vec<_> = std::fs::read_dir(FOLDER)
        .expect("transcripts")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .collect();
    paths.sort();
    for path in paths {
        let mut replay = Replay::new(&path);
        replay.run();
        replay.check(&mut tally);
    }
    let expected = Tally { runs: 18, serial: 157, requests: 55, packets: 72, lan: 28 };
    assert_eq!(tally, expected);
}
